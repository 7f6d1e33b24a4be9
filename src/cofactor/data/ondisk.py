"""Interactions in a folder of memory-mapped arrays, which need not fit in memory."""

import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.arguments import path_of
from cofactor.data.metadata import Metadata
from cofactor.data.passes import as_csr
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import DataError
from cofactor.files import checked_version, new_folder

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
    """Write the manifest: the format version, the table's name, and more."""
    (folder / MANIFEST).write_text(json.dumps({"format": FORMAT_VERSION, "name": name, **more}, indent=1))


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

    Raises
    ------
    DataError
        If it is not such a folder, a newer version of cofactor wrote it, or its arrays do not fit each other.
    """
    source = path_of(folder, "folder")
    try:
        manifest = json.loads((source / MANIFEST).read_text())
        checked_version(manifest["format"], FORMAT_VERSION, source, DataError)
        tables = {side: pl.read_parquet(source / f"{side}s.parquet") for side in ("user", "item")}
        users, items = (Vocabulary(table[side], kind=side) for side, table in tables.items())
        matrix = _matrix(source, ARRAYS, (len(users), len(items)))
        by_item = None
        if (source / f"{TRANSPOSED[0]}.npy").exists():
            by_item = _matrix(source, TRANSPOSED, (len(items), len(users)))
        timestamps, order = (
            _mapped(source, part) if (source / f"{part}.npy").exists() else None for part in ("timestamps", "order")
        )
        name = str(manifest["name"])
    except DataError:
        raise
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"{source} is not a folder of interactions ({error}): write it with Interactions.write"
        ) from error
    metadata = Metadata(tables["item"].drop("item"), tables["user"].drop("user"))
    return Stored(users, items, matrix, timestamps, order, metadata, name, by_item)


def _matrix(folder: Path, names: tuple[str, ...], shape: tuple[int, int]) -> sparse.csr_array:
    indptr, indices, values = (_mapped(folder, name) for name in names)
    if len(indptr) != shape[0] + 1 or indptr[-1] != len(indices) or len(indices) != len(values):
        raise DataError(f"{folder} is damaged: its arrays do not fit each other; write it again")
    return as_csr(values, indices, indptr, shape)


def _mapped(folder: Path, name: str) -> np.ndarray:
    array: np.ndarray = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    return array.view(np.ndarray)
