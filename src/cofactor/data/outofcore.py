"""Open Parquet files larger than memory: sorted once into memory-mapped arrays in a cache folder, then reused.

Three passes, each over parts that fit the limit: one reads all files, checks them and collects the ids; one reads them
again and distributes the ratings to ranges of users on disk; one sorts these ranges and distributes the ratings to
ranges of items, which gives the transpose. The arrays are bit-identical to those of `read_parquet`.

The name of a cache folder is a hash of the files' names, sizes and modification times and of the options. It is created
in one step, so after a crash it is either complete or absent. A lock lets one process build at a time.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl

from cofactor.data.arguments import check_callable, check_choice, check_text, path_of
from cofactor.data.array_store import Disk, bytes_of, edges_of, scratch_folder
from cofactor.data.buckets import Buckets, Section, Transposing, sums_between
from cofactor.data.building import Duplicates, Entries, distinct
from cofactor.data.columns import DEFAULTS, Column, OnBadRows, Weights, checked_weights, wanted_columns
from cofactor.data.ingest import Attributes, Known
from cofactor.data.interactions import Interactions, open_folder
from cofactor.data.merging import merged
from cofactor.data.metadata import Metadata
from cofactor.data.ondisk import ARRAYS, MANIFEST, TRANSPOSED, ArrayFile, write_manifest, write_sides
from cofactor.data.parquet_parts import ParquetParts, Part, parquet_columns, parquet_errors, parquet_files
from cofactor.data.parquet_sizes import parquet_sizes
from cofactor.data.times import TimeUnit
from cofactor.data.vocabulary import Vocabulary, id_series
from cofactor.errors import DataError, SettingError
from cofactor.files import new_folder

__all__ = ["open_parquet"]

LAYOUT = 2
"""Version of the cache's content; with a new one, caches are rebuilt."""

LOCK = "lock"
"""The file in a table's folder that the process which sorts it holds."""

logger = logging.getLogger(__name__)
MOST_ROWS = 2**31 - 1
_READ = 2  # a row group's texts are in memory as pages and as columns
_PLACE = np.dtype([("row", np.int32), ("place", np.int32)])


def open_parquet(
    path: str | os.PathLike[str],
    *,
    user: Column = DEFAULTS["user"],
    item: Column = DEFAULTS["item"],
    value: Column | None = DEFAULTS["value"],
    time: Column | None = DEFAULTS["time"],
    memory: str | int = "4GB",
    items: Attributes | None = None,
    users: Attributes | None = None,
    weights: Weights | None = None,
    duplicates: Duplicates = "last",
    on_bad_rows: OnBadRows = "error",
    cache: str | os.PathLike[str] | None = None,
    name: str | None = None,
    notify: Callable[[str], None] | None = None,
) -> Interactions:
    """Open a Parquet file, or all Parquet files in a folder, with a limit on how much of it is in memory.

    The first call sorts the ratings into a cache folder, where later calls with the same files find them. What is then
    made of the table, such as random splits, folds, binary values or a model's training, keeps to the limit too, and
    vectors may lie in files. What cannot keep to it says beforehand how much memory it needs: the tables of `KerasMF`,
    and what takes the ratings as columns, such as a data frame, `describe`, and splits per user or by time. Only
    `PureSVD` and `BayesianMF` do not ask: they hold their vectors in memory, and may copy the ratings there.

    Parameters
    ----------
    path : str or path
        The file or folder.
    user, item, value, time, items, users, weights, duplicates, on_bad_rows, name
        As in `read_parquet`.
    memory : str or int
        What may be in memory at once, besides Python and its libraries and the ids of both sides: such as ``"4GB"``,
        or a number of bytes. A row group of the files must fit a few times.
    cache : path, optional
        Where the sorted arrays are kept and large arrays are put; COFACTOR_DATA or the user's cache if not given. It
        takes 16 to 28 bytes a rating, and up to 40 more while it is built.
    notify : callable, optional
        Called with a sentence on what is being done.

    Returns
    -------
    Interactions
        Whose arrays are memory-mapped, the transpose among them.

    Raises
    ------
    DataError
        If a file is not Parquet, a column is missing or of no use, the ids' types differ between files, rows are bad,
        or the files change meanwhile; the text names the file. Or if the cache cannot be written to.
    SettingError
        If the memory is no amount, ``duplicates`` or ``on_bad_rows`` is none of its choices, or the cache is the
        folder of the data.

    Examples
    --------
    >>> import tempfile
    >>> import polars as pl
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for day in (1, 2):
    ...         plays = pl.DataFrame({"user": ["ann", "bob"], "item": [day, day], "value": [1.0, 3.0]})
    ...         plays.write_parquet(Path(folder) / f"day-{day}.parquet")
    ...     open_parquet(folder, memory="1GB", cache=Path(folder) / "cache")
    2 users × 2 items, 4 ratings from 1 to 3, 100 %
    """
    check_choice("on_bad_rows", on_bad_rows, get_args(OnBadRows))
    check_choice("duplicates", duplicates, get_args(Duplicates))
    store = Disk(scratch_folder() if cache is None else path_of(cache, "cache"), bytes_of(memory))
    check_callable("notify", notify)
    source = path_of(path)
    name = source.resolve().name if name is None else name
    check_text("name", name)
    if store.folder.resolve() == source.resolve():
        raise SettingError(f"cache is the folder of the data, {path}: name another, whose files are not taken for data")
    weights = checked_weights(weights, value)
    wanted = wanted_columns(user, item, value, time)
    columns = parquet_columns(parquet_files(source, apart_from=store.folder), wanted)
    options: dict[str, Any] = {"columns": columns, "duplicates": duplicates, "on_bad_rows": on_bad_rows}
    if weights:
        options["weights"] = {text: float(weight) for text, weight in weights.items()}
    known = Known.of(items, users)  # fails before the work, not after it
    return known.joined_to(_Cached(source, options, store, notify or logger.info).opened(name))


def _check_sizes(files: Sequence[Path], columns: Collection[str], store: Disk) -> None:
    """Refuse what cannot be read in parts: too many rows, and a row group whose texts alone exceed the limit."""
    rows = 0
    for file in files:
        with parquet_errors(file):
            sizes = parquet_sizes(file, columns)
        rows += sizes.rows
        store.require(_READ * sizes.group_texts, f"the texts of a row group of {file}", "write smaller row groups")
    _check_rows(rows)


def _check_rows(n_rows: int) -> None:
    if n_rows > MOST_ROWS:
        raise DataError(f"there are {n_rows:,} ratings, the limit on one machine is {MOST_ROWS:,}: train with SparkALS")


class _Cached:
    """The sorted arrays of some files with some options, in the cache or to be built."""

    def __init__(self, path: Path, options: dict[str, Any], store: Disk, notify: Callable[[str], None]) -> None:
        self._path, self._options, self._store, self._notify = path, options, store, notify
        source = {"path": str(path.resolve()), **options}
        self._home = store.folder / f"{path.resolve().stem or 'root'}-{_short(source)}"

    def opened(self, name: str) -> Interactions:
        """Return the table; build it if it is not cached."""
        inputs = self._inputs()
        target = self._home / _short(inputs)
        if not (target / MANIFEST).exists():
            with self._store.writing():
                self._build(target, inputs, name)
        try:
            return open_folder(target, self._store, name=name)
        except DataError as error:
            self._notify(f"{error}: it is sorted again")
        with self._store.writing():
            _remove(target)
            self._build(target, inputs, name)
        return open_folder(target, self._store, name=name)

    def _inputs(self) -> dict[str, Any]:
        """Describe the current state of the files, by absolute paths."""
        described = []
        for file in parquet_files(self._path, apart_from=self._store.folder):
            try:
                known = file.stat()
            except OSError as error:
                raise DataError(f"{file} cannot be read ({error.strerror}): copy it again or move it away") from error
            described.append([str(file.resolve()), known.st_size, known.st_mtime_ns])
        return {"layout": LAYOUT, "files": described, **self._options}

    def _build(self, target: Path, inputs: dict[str, Any], name: str) -> None:
        from filelock import FileLock, Timeout  # brings asyncio, which `import cofactor` need not wait for

        self._home.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._home / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self._notify(f"another process is sorting {self._path}: waiting for it")
            lock.acquire()
        try:
            if (target / MANIFEST).exists():  # the other process built it
                return
            _clear(self._home)
            self._write(target, inputs, name)
        finally:
            lock.release()

    def _write(self, target: Path, inputs: dict[str, Any], name: str) -> None:
        files, columns = [Path(file) for file, _, _ in inputs["files"]], self._options["columns"]
        _check_sizes(files, columns.values(), self._store)
        parts = ParquetParts(files, columns, self._store.entries_at_once, self._options.get("weights"))
        with new_folder(target) as beside:
            self._notify(f"reading the ids of {len(files):,} file{'s' * (len(files) > 1)}")
            found = indexed(parts, self._options["on_bad_rows"])
            self._notify(f"sorting {found.n_rows:,} ratings of {len(found.users.ids):,} users, once")
            build(parts, found, self._options["duplicates"], beside, self._store.entries_at_once)
            if self._inputs() != inputs:
                raise DataError(f"{self._path} changed while it was read: open it again when it is complete")
            write_manifest(beside, name, made_from=inputs)


def _clear(home: Path) -> None:
    """Remove leftovers of killed builds, and arrays of files that have changed."""
    for entry in home.iterdir():
        if entry.name != LOCK:
            _remove(entry)


def _remove(path: Path) -> None:
    """Remove a folder, or what lies in its place."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _short(description: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(description, sort_keys=True).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Side:
    """The ids of users or items, and how many rows each has: (ids,), int64."""

    ids: Vocabulary
    counts: np.ndarray


@dataclass(frozen=True)
class Indexed:
    """Result of the first pass: ids of both sides, the number of valid rows, and the unit of their times."""

    users: Side
    items: Side
    n_rows: int
    times: TimeUnit | None


def indexed(parts: ParquetParts, on_bad_rows: OnBadRows) -> Indexed:
    """Read the files once: check every row, and collect the ids and their counts.

    Raises
    ------
    DataError
        If a file cannot be used, a row is bad and that is an error, or there is no valid row.
    """
    known: dict[str, pl.DataFrame] = {}
    times: TimeUnit | None = None
    n_rows = n_bad = 0
    first_bad = ""
    for part in parts:
        if part.found.bad_rows:
            n_bad += len(part.found.bad_rows)
            first_bad = first_bad or part.first_bad()
        n_rows += len(part.frame)
        if "time" in part.frame.columns:
            unit = TimeUnit.of(part.frame["time"].to_numpy())
            times = unit if times is None else times + unit
        for role in ("user", "item"):
            known[role] = _with_counts(known.get(role), part, role)
    if n_bad:
        _tell(first_bad, n_bad, n_rows, on_bad_rows)
    if not n_rows:
        place = parts.files[0] if len(parts.files) == 1 else parts.files[0].parent
        raise DataError(f"{place} has no rows: nothing to learn from")
    _check_rows(n_rows)
    if times is not None:
        times.log_unless_seconds(str(parts.files[0]))
    return Indexed(_side(known["user"], "user"), _side(known["item"], "item"), n_rows, times)


def _tell(first: str, n_bad: int, n_good: int, on_bad_rows: OnBadRows) -> None:
    count = f"{n_bad:,} bad row{'s' if n_bad > 1 else ''} in all"
    if not n_good:
        raise DataError(f"{first}; {count}, and no valid rows: check the columns")
    if on_bad_rows == "error":
        raise DataError(f"{first}; {count}: fix them, or leave them out with on_bad_rows='skip'")
    logger.warning("%s; left out %s", first, count.removesuffix(" in all"))


def _with_counts(known: pl.DataFrame | None, part: Part, role: str) -> pl.DataFrame:
    fresh = id_series(part.frame[role], role).alias("id").to_frame().group_by("id").agg(pl.len().cast(pl.Int64))
    if known is None or not len(known):
        return fresh
    if known["id"].dtype != fresh["id"].dtype and len(fresh):
        try:  # one of them has ids above 2**63
            known, fresh = (frame.with_columns(pl.col("id").cast(pl.UInt64)) for frame in (known, fresh))
        except pl.exceptions.InvalidOperationError as error:
            raise DataError(
                f"{part.file}: the {role} ids reach from below 0 to above 2**63, which no integer of 64 bits does: "
                "convert them to strings"
            ) from error
    return pl.concat([known, fresh.cast(known.schema)]).group_by("id").agg(pl.col("len").sum())


def _side(known: pl.DataFrame, kind: str) -> Side:
    ids, rows = Vocabulary.of(known["id"], kind=kind)
    counts = np.zeros(len(ids), np.int64)
    counts[rows] = known["len"].to_numpy()
    return Side(ids, counts)


def build(parts: Iterable[Part], found: Indexed, duplicates: Duplicates, folder: Path, at_once: int) -> None:
    """Write all arrays, but not the manifest, to an existing folder.

    Parameters
    ----------
    parts : iterable of Part
        The rows, as they were when they were indexed.
    found : Indexed
    duplicates
        As in `Interactions.from_columns`.
    folder : path
    at_once : int
        How many ratings may be in memory at once.
    """
    users, items = found.users, found.items
    counts, item_counts = np.zeros(len(users.ids), np.int64), np.zeros(len(items.ids), np.int64)
    by_item = Transposing(folder, items.counts, at_once)
    files: dict[str, ArrayFile] = {}

    def merge(entries: Entries) -> Entries:
        return distinct(entries, duplicates, users.ids, items.ids)

    for first, last, section in _by_user(parts, found, folder, at_once):
        for entries in merged(section, len(items.ids), duplicates, merge, folder, at_once):
            user_rows, item_rows = entries.user_rows, entries.item_rows
            counts[first:last] += np.bincount(user_rows - first, minlength=last - first)
            item_counts += np.bincount(item_rows, minlength=len(items.ids))
            by_item.add(user_rows, item_rows, entries.values)
            columns = {"indices": item_rows, "values": entries.values, "rows": entries.rows}
            _append(files, folder, columns | {"timestamps": entries.timestamps})
    for file in files.values():
        file.close()
    _write_starts(folder / f"{ARRAYS[0]}.npy", counts)
    _write_transpose(by_item, item_counts, folder)
    _write_order(folder, found.n_rows, at_once)
    write_sides(folder, users.ids, items.ids, Metadata())


def _by_user(parts: Iterable[Part], found: Indexed, folder: Path, at_once: int) -> Iterator[tuple[int, int, Section]]:
    """Yield the ratings of each range of users, in reading order."""
    edges, buckets, done = edges_of(found.users.counts, at_once), None, 0
    for part in parts:
        records = _records(part, found, done)
        if buckets is None:
            buckets = Buckets(folder, edges, sums_between(edges, found.users.counts), records.dtype)
        done += len(records)
        try:
            buckets.add(records["user"], records)
        except OverflowError:
            raise DataError(f"{part.file} changed while it was read: open it again when it is complete") from None
    assert buckets is not None
    return iter(buckets)


def _records(part: Part, found: Indexed, first_row: int) -> np.ndarray:
    frame = part.frame
    columns = {
        "user": found.users.ids.find(frame["user"]),
        "item": found.items.ids.find(frame["item"]),
        "row": np.arange(first_row, first_row + len(frame), dtype=np.int32),
    }
    for side in ("user", "item"):
        if columns[side].min(initial=0) < 0:
            raise DataError(f"{part.file} changed while it was read: open it again when it is complete")
    columns |= {"value": frame["value"].to_numpy()} if "value" in frame.columns else {}
    if found.times is not None:
        columns["time"] = found.times.seconds(frame["time"].to_numpy())
    records = np.empty(len(frame), [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        records[name] = column
    return records


def _append(files: dict[str, ArrayFile], folder: Path, columns: dict[str, np.ndarray | None]) -> None:
    for name, column in columns.items():
        if column is not None:
            if name not in files:
                files[name] = ArrayFile(folder / f"{name}.npy", column.dtype)
            files[name].append(column)


def _write_starts(path: Path, counts: np.ndarray) -> None:
    np.save(path, np.concatenate([[0], np.cumsum(counts)]).astype(np.int32), allow_pickle=False)


def _write_transpose(by_item: Transposing, counts: np.ndarray, folder: Path) -> None:
    indices, values = (
        ArrayFile(folder / f"{name}.npy", np.dtype(kind))
        for name, kind in zip(TRANSPOSED[1:], (np.int32, np.float32), strict=True)
    )
    for user_rows, of_them in by_item.parts():
        indices.append(user_rows)
        values.append(of_them)
    indices.close()
    values.close()
    _write_starts(folder / f"{TRANSPOSED[0]}.npy", counts)


def _write_order(folder: Path, n_rows: int, at_once: int) -> None:
    """Write the stored position of each rating read, unless they are stored in reading order."""
    rows: Any = np.load(folder / "rows.npy", mmap_mode="r")
    starts = range(0, len(rows), at_once)
    if not all(np.all(np.diff(rows[first : first + at_once + 1]) > 0) for first in starts):
        edges = np.append(np.arange(0, n_rows, at_once), n_rows)
        buckets = Buckets(folder, edges, np.diff(edges), _PLACE)
        for first in starts:
            some = rows[first : first + at_once]
            records = np.empty(len(some), _PLACE)
            records["row"], records["place"] = some, np.arange(first, first + len(some))
            buckets.add(some, records)
        order = ArrayFile(folder / "order.npy", np.dtype(np.int32))
        for _, _, section in buckets:
            records = section[:]
            order.append(records["place"][np.argsort(records["row"], kind="stable")])
        order.close()
    del rows
    (folder / "rows.npy").unlink()
