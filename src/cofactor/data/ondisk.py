"""Interactions in a folder of memory-mapped arrays, which need not fit in memory."""

import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.arguments import path_of
from cofactor.data.checked import remember_checked, was_checked
from cofactor.data.metadata import Metadata, can_be_kept
from cofactor.data.passes import as_csr, counts_of
from cofactor.data.sound_rows import check_finite, check_places, check_rows
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import DataError
from cofactor.files import checked_version, new_folder
from cofactor.gate import MOST_OF_A_CARD, checksum_of_file, ordinary, parsed, read_bytes

__all__ = [
    "ARRAYS",
    "MANIFEST",
    "TRANSPOSED",
    "ArrayFile",
    "Stored",
    "read_folder",
    "write_folder",
    "write_manifest",
    "write_sides",
]

ARRAYS = ("indptr", "indices", "values")
TRANSPOSED = tuple(f"by_item.{name}" for name in ARRAYS)
MANIFEST = "interactions.json"
FORMAT_VERSION = 1
_REMEDY = "write it again"
_SUMMED = (".npy", ".parquet")
_KINDS = {
    "indptr": (np.int32, np.int64), "indices": (np.int32, np.int64), "values": (np.float32,),
    "timestamps": (np.int64, np.float64), "order": (np.int32, np.int64),
}  # fmt: skip
"""Of which types arrays may be."""
_UNSOUND = (
    *(pl.exceptions.PolarsError, pl.exceptions.PanicException),
    *(ArithmeticError, AttributeError, LookupError, MemoryError, OSError, TypeError, ValueError),
)


@dataclass(frozen=True)
class Stored:
    """The content of a folder of interactions: the fields of `Interactions`, and the transpose if stored."""

    users: Vocabulary
    items: Vocabulary
    matrix: sparse.csr_array
    timestamps: np.ndarray | None
    order: np.ndarray | None
    metadata: Metadata
    name: str
    by_item: sparse.csr_array | None = None


def write_folder(stored: Stored, folder: str | os.PathLike[str]) -> Path:
    """Write interactions to a new folder, whole or not at all.

    Raises
    ------
    DataError
        If the folder is there already.
    """
    target = path_of(folder, "folder")
    if target.exists():
        raise DataError(f"{target} exists already: remove it or name another folder")
    with new_folder(target) as beside:
        arrays = dict(zip(ARRAYS, (stored.matrix.indptr, stored.matrix.indices, stored.matrix.data), strict=True))
        arrays |= {"timestamps": stored.timestamps, "order": stored.order}
        for name, array in arrays.items():
            if array is not None:
                np.save(beside / f"{name}.npy", array, allow_pickle=False)
        write_sides(beside, stored.users, stored.items, stored.metadata)
        write_manifest(beside, stored.name)
    return target


def write_manifest(folder: Path, name: str, **more: Any) -> None:
    """Write the manifest, last of all: the format version, the table's name, the files' checksums, and more."""
    sums = {file.name: checksum_of_file(file) for file in sorted(folder.iterdir()) if file.suffix in _SUMMED}
    manifest = {"format": FORMAT_VERSION, "name": name, "checksums": sums, **more}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1))


def write_sides(folder: Path, users: Vocabulary, items: Vocabulary, metadata: Metadata) -> None:
    """Write the ids of users and items, and what is known of them."""
    for ids in (users, items):
        _write_parquet(metadata.table(ids), folder / f"{ids.kind}s.parquet")


def _write_parquet(frame: pl.DataFrame, path: Path) -> None:
    try:
        frame.write_parquet(path)
    except pl.exceptions.ComputeError as error:  # raised by polars if the disk is full
        raise OSError(str(error)) from error


class ArrayFile:
    """A one-dimensional ``.npy`` file that is written part by part."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._file = path.open("wb")
        self._file.write(self._header(0))
        self.length = 0

    def append(self, part: np.ndarray) -> None:
        """Write further entries."""
        np.ascontiguousarray(part, self._dtype).tofile(self._file)
        self.length += len(part)

    def close(self) -> None:
        """Write the number of entries to the header and close the file."""
        header = self._header(self.length)
        self._file.seek(0)
        self._file.write(header)
        self._file.close()

    def _header(self, length: int) -> bytes:
        """Return a header; NumPy pads it, so that the length can change."""
        description = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (length,)}
        stream = io.BytesIO()
        np.lib.format.write_array_header_1_0(stream, description)
        return stream.getvalue()


def read_folder(folder: str | os.PathLike[str]) -> Stored:
    """Open a folder that `write_folder` wrote; the arrays stay on disk until they are read.

    What the arrays hold is checked in one pass, once for each state of the files: kernels trust what is mapped.

    Raises
    ------
    DataError
        If it is not such a folder, a newer version of cofactor wrote it, or what its arrays hold is not sound.
    """
    source = path_of(folder, "folder")
    try:
        manifest = parsed(read_bytes(source / MANIFEST, MOST_OF_A_CARD, DataError, _REMEDY))
        checked_version(manifest["format"], FORMAT_VERSION, source, DataError)
        name, sums = manifest["name"], manifest.get("checksums", {})
        if not isinstance(name, str) or not isinstance(sums, dict):
            raise TypeError("its name is no text")
    except DataError:
        raise
    except _UNSOUND as error:
        raise DataError(
            f"{source} is not a folder of interactions ({_told(error)}): write it with Interactions.write"
        ) from error
    try:
        known = was_checked(source, files := _files_of(source))
        found = _read_parts(source, name, known)
        if not known:
            _check(source, found, sums)
            remember_checked(source, files)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{source} is not a folder of interactions ({error}): {_REMEDY}") from error
    except _UNSOUND as error:
        raise DataError(f"{source} is damaged ({_told(error)}): {_REMEDY}") from error
    return found


def _files_of(folder: Path) -> list[Path]:
    """Return the files of a folder of interactions; others may lie beside them."""
    names = [f"{name}.npy" for name in (*ARRAYS, *TRANSPOSED, "timestamps", "order")]
    there = [folder / name for name in (*names, "users.parquet", "items.parquet")]
    return [file for file in there if file.exists()]


def _read_parts(source: Path, name: str, known: bool) -> Stored:
    """Map the arrays and read the tables of both sides, once types and lengths fit each other."""
    user_starts = _mapped(source, ARRAYS[0])
    n_users = len(user_starts) - 1
    tables = {"user": _table(source, "user", n_users, known)}
    transposed = (source / f"{TRANSPOSED[0]}.npy").exists()
    n_items = len(_mapped(source, TRANSPOSED[0])) - 1 if transposed else None
    tables["item"] = _table(source, "item", n_items, known)
    users, items = (Vocabulary(table[side], kind=side) for side, table in tables.items())
    matrix = _matrix(source, ARRAYS, (len(users), len(items)))
    by_item = _matrix(source, TRANSPOSED, (len(items), len(users))) if transposed else None
    timestamps, order = (
        _mapped(source, part) if (source / f"{part}.npy").exists() else None for part in ("timestamps", "order")
    )
    others = [
        *(array for array in (timestamps, order) if array is not None),
        *([] if by_item is None else [by_item.data]),
    ]
    if any(len(array) != matrix.nnz for array in others):
        raise ValueError("its arrays do not fit each other")
    metadata = Metadata(tables["item"].drop("item"), tables["user"].drop("user"))
    return Stored(users, items, matrix, timestamps, order, metadata, name, by_item)


def _check(source: Path, found: Stored, sums: Mapping[str, Any]) -> None:
    """Check what arrays hold, part by part: all that kernels rely on, and that nothing was damaged since.

    A matrix made of wrong numbers is not asked for its number of entries or rows, which are known by now.
    """
    starts = _mapped(source, ARRAYS[0])
    check_rows(starts, found.matrix.indices, found.matrix.data, len(found.items), what="ratings")
    if found.by_item is not None:
        starts, rows = _mapped(source, TRANSPOSED[0]), found.by_item
        check_rows(starts, rows.indices, rows.data, len(found.users), what="ratings by item", column="a user")
        if not np.array_equal(np.diff(starts), counts_of(found.matrix.indices, len(found.items))):
            raise ValueError("the ratings by item are not those by user")
    if found.timestamps is not None:
        check_finite(found.timestamps, "the times")
    if found.order is not None:
        check_places(found.order, "the order of reading")
    for name, wanted in sums.items():
        if checksum_of_file(source / Path(name).name) != wanted:
            raise ValueError(f"{name} is not what was written")


def _matrix(folder: Path, names: tuple[str, ...], shape: tuple[int, int]) -> sparse.csr_array:
    indptr, indices, values = (_mapped(folder, name) for name in names)
    if len(indptr) != shape[0] + 1 or indptr[-1] != len(indices) or len(indices) != len(values):
        raise ValueError("its arrays do not fit each other")
    return as_csr(values, indices, indptr, shape)


def _table(folder: Path, side: str, n: int | None, known: bool) -> pl.DataFrame:
    """Read what is known of one side, once its columns are of types that tables keep and its rows as many as wanted."""
    path = folder / f"{side}s.parquet"
    if known:
        return pl.read_parquet(path)
    ordinary(path, DataError, _REMEDY).close()
    table = pl.scan_parquet(path)
    unfit = [kind for kind in table.collect_schema().values() if not can_be_kept(kind)]
    length = table.select(pl.len()).collect().item()
    if unfit or length != (length if n is None else n) or length >= 2**31:
        raise ValueError(f"{path.name} has {length:,} rows where {n} should be, or columns that no table has")
    return table.collect()


def _mapped(folder: Path, name: str) -> np.ndarray:
    """Map a one-dimensional array, once its header fits the length of the file."""
    with ordinary(folder / f"{name}.npy", DataError, _REMEDY) as file:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
        if read is None:
            raise ValueError(f"{name}.npy is of an unknown version")
        try:
            shape, _, kind = read(file)
        except Exception as error:  # NumPy parses it as Python, which can fail in any way
            raise ValueError(f"{name}.npy has no sound header") from error
        start, end = file.tell(), file.seek(0, os.SEEK_END)
        if len(shape) != 1 or kind not in _KINDS[name.removeprefix("by_item.")]:
            raise ValueError(f"{name}.npy holds {kind} of the shape {shape}")
        if end - start != shape[0] * kind.itemsize:
            raise ValueError(f"{name}.npy is cut off")
        if not shape[0]:
            return np.empty(0, kind)
        return np.memmap(file, kind, "r", offset=start, shape=shape).view(np.ndarray)


def _told(error: BaseException) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error) or type(error).__name__
