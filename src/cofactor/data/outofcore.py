"""Open Parquet files larger than memory: sorted once into memory-mapped arrays in a cache folder, then reused.

Three passes, each over parts that fit the limit: one reads all files to check them and to collect the ids; one reads
them again and throws every rating into the range of its user on disk; one sorts the ranges, and on the way throws the
ratings into the ranges of their items, which gives the transpose. The arrays are what `read_parquet` makes in memory,
bit by bit.

A cache folder has a name made of the files' names, sizes and times of change and of the options. It appears whole, in
one step; so whatever ends a build, the next call finds all of it or none. A lock lets one process build at a time.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from cofactor.data.arguments import check_callable, check_choice, check_text, path_of
from cofactor.data.array_store import Disk, bytes_of, scratch_folder
from cofactor.data.assembly import Titles, as_table
from cofactor.data.columns import DEFAULTS, Column, OnBadRows, wanted_columns
from cofactor.data.disk_build import build
from cofactor.data.interactions import Duplicates, Interactions
from cofactor.data.ondisk import MANIFEST, open_folder, write_manifest
from cofactor.data.parquet_parts import ParquetParts, indexed
from cofactor.data.readers import parquet_columns, parquet_files
from cofactor.errors import DataError, SettingError
from cofactor.files import new_folder

__all__ = ["open_parquet"]

LAYOUT = 2
"""Of the cache: another number, and what is there is built anew."""

log = logging.getLogger(__name__)


def open_parquet(
    path: str | os.PathLike[str],
    *,
    user: Column = DEFAULTS["user"],
    item: Column = DEFAULTS["item"],
    value: Column | None = DEFAULTS["value"],
    time: Column | None = DEFAULTS["time"],
    memory: str | int = "4GB",
    titles: Titles | None = None,
    duplicates: Duplicates = "last",
    on_bad_rows: OnBadRows = "error",
    cache: str | os.PathLike[str] | None = None,
    name: str | None = None,
    notify: Callable[[str], None] | None = None,
) -> Interactions:
    """Open a Parquet file, or all Parquet files in a folder, holding no more than a limit of it in memory.

    The first call sorts the ratings into a cache folder, where later calls with the same files find them. What is then
    made of the table, such as random splits, folds, binary values or a model's training, keeps to the limit too, and
    vectors may lie in files. What cannot keep to it says beforehand how much memory it needs: the tables of `KerasMF`,
    and what takes the ratings as columns, such as a data frame, `describe`, and splits per user or by time. Only
    `PureSVD` and `BayesianMF` do not ask: they hold their vectors in memory, and may copy the ratings there.

    Parameters
    ----------
    path : str or path
        The file or folder.
    user, item, value, time, titles, duplicates, on_bad_rows, name
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
    wanted = wanted_columns(user, item, value, time)
    columns = parquet_columns(parquet_files(source, apart_from=store.folder), wanted)
    options = {"columns": columns, "duplicates": duplicates, "on_bad_rows": on_bad_rows}
    texts = None if titles is None else as_table(titles)  # a wrong file shows before the work, not after it
    table = _Cached(source, options, store, notify or log.info).opened(name)
    return table if texts is None else table.with_items(texts)


class _Cached:
    """The arrays of some files with some options: those in the cache, or new ones."""

    def __init__(self, path: Path, options: dict[str, Any], store: Disk, notify: Callable[[str], None]) -> None:
        self._path, self._options, self._store, self._notify = path, options, store, notify
        source = {"path": str(path.resolve()), **options}
        self._home = store.folder / f"{path.resolve().stem or 'root'}-{_short(source)}"

    def opened(self, name: str) -> Interactions:
        """Return the table; build it where it is not there."""
        inputs = self._inputs()
        target = self._home / _short(inputs)
        if not (target / MANIFEST).exists():
            with self._store.writing():
                self._build(target, inputs, name)
        return open_folder(target, self._store, name=name)

    def _inputs(self) -> dict[str, Any]:
        """Describe the files as they are now, by names that hold in every folder."""
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
        lock = FileLock(self._home / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self._notify(f"another process is sorting {self._path}: waiting for it")
            lock.acquire()
        try:
            if (target / MANIFEST).exists():  # it was that process's work
                return
            _clear(self._home)
            self._write(target, inputs, name)
        finally:
            lock.release()

    def _write(self, target: Path, inputs: dict[str, Any], name: str) -> None:
        files, columns = [Path(file) for file, _, _ in inputs["files"]], self._options["columns"]
        parts = ParquetParts(files, columns, self._store.entries_at_once)
        with new_folder(target) as beside:
            self._notify(f"reading the ids of {len(files):,} file{'s' * (len(files) > 1)}")
            found = indexed(parts, self._options["on_bad_rows"])
            self._notify(f"sorting {found.n_rows:,} ratings of {len(found.users.ids):,} users, once")
            build(parts, found, self._options["duplicates"], beside, self._store.entries_at_once)
            if self._inputs() != inputs:
                raise DataError(f"{self._path} changed while it was read: open it again when it is whole")
            write_manifest(beside, name, made_from=inputs)


def _clear(home: Path) -> None:
    """Remove what killed builds left, and the arrays of files that have changed since."""
    for entry in home.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)


def _short(description: dict[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(description, sort_keys=True).encode(), digest_size=8).hexdigest()
