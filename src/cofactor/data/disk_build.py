"""Sort ratings that come part by part into the arrays of a folder of interactions, and their transpose beside them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cofactor.data.array_store import edges_of
from cofactor.data.buckets import Buckets, Transposing, sums_between
from cofactor.data.building import Duplicates, Entries, distinct
from cofactor.data.metadata import ItemMetadata
from cofactor.data.ondisk import ARRAYS, TRANSPOSED, ArrayFile, write_sides
from cofactor.data.parquet_parts import Indexed, Part
from cofactor.errors import DataError

__all__ = ["build"]

_PLACE = np.dtype([("row", np.int32), ("place", np.int32)])


def build(parts: Iterable[Part], found: Indexed, duplicates: Duplicates, folder: Path, at_once: int) -> None:
    """Write all arrays but the manifest into a folder that is there already.

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
    for first, last, records in _by_user(parts, found, folder, at_once):
        entries = distinct(_entries(records, len(items.ids)), duplicates, users.ids, items.ids)
        user_rows, item_rows = np.divmod(entries.keys, max(len(items.ids), 1))
        counts[first:last] = np.bincount(user_rows - first, minlength=last - first)
        item_counts += np.bincount(item_rows, minlength=len(items.ids))
        by_item.add(user_rows, item_rows, entries.values)
        columns = {"indices": item_rows.astype(np.int32), "values": entries.values, "rows": entries.rows}
        _append(files, folder, columns | {"timestamps": entries.timestamps})
    for file in files.values():
        file.close()
    _write_starts(folder / f"{ARRAYS[0]}.npy", counts)
    _write_transpose(by_item, item_counts, folder)
    _write_order(folder, found.n_rows, at_once)
    write_sides(folder, users.ids, items.ids, ItemMetadata())


def _by_user(
    parts: Iterable[Part], found: Indexed, folder: Path, at_once: int
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield for each range of users its ratings in reading order."""
    edges, buckets, done = edges_of(found.users.counts, at_once), None, 0
    for part in parts:
        records = _records(part, found, done)
        if buckets is None:
            buckets = Buckets(folder, edges, sums_between(edges, found.users.counts), records.dtype)
        done += len(records)
        try:
            buckets.add(records["user"], records)
        except OverflowError:
            raise DataError(f"{part.file} changed while it was read: open it again when it is whole") from None
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
            raise DataError(f"{part.file} changed while it was read: open it again when it is whole")
    columns |= {"value": frame["value"].to_numpy()} if "value" in frame.columns else {}
    if found.times is not None:
        columns["time"] = found.times.seconds(frame["time"].to_numpy())
    records = np.empty(len(frame), [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        records[name] = column
    return records


def _entries(records: np.ndarray, width: int) -> Entries:
    names = records.dtype.names or ()
    keys = records["user"] * np.int64(max(width, 1)) + records["item"]
    values = np.array(records["value"]) if "value" in names else np.ones(len(records), np.float32)
    return Entries(keys, values, np.array(records["time"]) if "time" in names else None, np.array(records["row"]))


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
    for _, _, user_rows, of_them in by_item.parts():
        indices.append(user_rows)
        values.append(of_them)
    indices.close()
    values.close()
    _write_starts(folder / f"{TRANSPOSED[0]}.npy", counts)


def _write_order(folder: Path, n_rows: int, at_once: int) -> None:
    """Write where each rating that was read is stored, unless they are stored as they were read."""
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
        for _, _, records in buckets:
            order.append(records["place"][np.argsort(records["row"], kind="stable")])
        order.close()
    del rows
    (folder / "rows.npy").unlink()
