"""Interactions in a folder: memory-mapped arrays, so that they need not fit in memory."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.interactions import Interactions
from cofactor.data.texts import ItemTexts
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import DataError

__all__ = ["open_folder", "write_folder"]

_ARRAYS = ("indptr", "indices", "values")
_MANIFEST = "interactions.json"


def write_folder(ratings: Interactions, folder: str | os.PathLike[str]) -> Path:
    """Write interactions to a new folder, whole or not at all.

    Raises
    ------
    DataError
        If the folder is there already.
    """
    target = Path(folder)
    if target.exists():
        raise DataError(f"{target} is there already: remove it or name another folder")
    beside = target.with_name(f".{target.name}.{os.getpid()}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        arrays = dict(zip(_ARRAYS, (ratings.matrix.indptr, ratings.matrix.indices, ratings.matrix.data), strict=True))
        arrays |= {"timestamps": ratings.timestamps, "order": ratings.order}
        for name, array in arrays.items():
            if array is not None:
                np.save(beside / f"{name}.npy", array, allow_pickle=False)
        ratings.users.ids.alias("user").to_frame().write_parquet(beside / "users.parquet")
        texts = {"title": ratings.texts.titles, "genres": ratings.texts.genres}
        items = {"item": ratings.items.ids} | {name: text for name, text in texts.items() if text is not None}
        pl.DataFrame(items).write_parquet(beside / "items.parquet")
        (beside / _MANIFEST).write_text(json.dumps({"format": 1, "name": ratings.name}))
        beside.rename(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return target


def open_folder(folder: str | os.PathLike[str]) -> Interactions:
    """Open a folder that `write_folder` wrote; the arrays stay on disk until they are read.

    Raises
    ------
    DataError
        If the folder is not one, or its arrays do not fit each other.
    """
    source = Path(folder)
    try:
        name = str(json.loads((source / _MANIFEST).read_text())["name"])
        users = Vocabulary(pl.read_parquet(source / "users.parquet")["user"], kind="user")
        table = pl.read_parquet(source / "items.parquet")
        items = Vocabulary(table["item"], kind="item")
        indptr, indices, values = (_mapped(source, name) for name in _ARRAYS)
        if len(indptr) != len(users) + 1 or indptr[-1] != len(indices) or len(indices) != len(values):
            raise DataError(f"{source} is not whole: its arrays do not fit each other; write it again")
        matrix = sparse.csr_array((values, indices, indptr), shape=(len(users), len(items)), copy=False)
        matrix.has_canonical_format = True
        timestamps, order = (
            _mapped(source, name) if (source / f"{name}.npy").exists() else None for name in ("timestamps", "order")
        )
    except (OSError, ValueError, KeyError, pl.exceptions.PolarsError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{source} is not a folder of interactions ({error}): write it with Interactions.write"
        ) from error
    texts = ItemTexts(*(table[name] if name in table.columns else None for name in ("title", "genres")))
    return Interactions(users, items, matrix, timestamps, order, texts, name)


def _mapped(folder: Path, name: str) -> np.ndarray:
    return np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
