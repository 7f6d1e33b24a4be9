"""Factors ⇄ one safetensors file: numbers as tensors, ids and titles as bytes with offsets, the rest as JSON.

Nothing in the file is ever executed. Whatever a file claims is checked before it is believed: a truncated, foreign or
hostile one ends in one clear error, without memory being given to what it promises.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.arguments import path_of
from cofactor.data.array_store import shown_bytes
from cofactor.data.memory_limit import short_of
from cofactor.data.passes import as_csr
from cofactor.data.preparation import preparation_from
from cofactor.data.sound_rows import check_finite, check_rows
from cofactor.data.timing import timing_from
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import ModelFileError
from cofactor.files import replacing
from cofactor.gate import parsed
from cofactor.model import side_features
from cofactor.model.cards import UNSOUND, check_loaded, history_from, number_from, origin_from, reason_of
from cofactor.model.factors import Factors
from cofactor.model.folder import is_model_folder, load_folder
from cofactor.model.objectives import objective_from
from cofactor.model.origin import Origin
from cofactor.model.packed_tables import numbers_of, packed_tables, packed_texts, texts_of, unpacked_tables
from cofactor.model.tensors import opened_tensors, write_tensors
from cofactor.model.upgrade import upgraded

__all__ = ["FORMAT_VERSION", "load", "open_model", "origin_in", "save"]

Result = TypeVar("Result")

FORMAT_VERSION = 3
"""Version 3 knows of time and of features; a model without either is written as version 2, which older readers read.

Tables of items and users have no version: a reader that knows titles and genres alone leaves the rest out, and gives
the same answers.
"""

LARGE = 2**26
"""From so many seen items on, their values are written even if all are 1, so that no reader has to make them."""

_REMEDY = "copy or train it again"

Keep: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""What becomes of an array that lies in the file: a copy in memory, or itself."""

_VECTORS = ("user_vectors", "item_vectors", "user_bias", "item_bias")


def save(model: Factors, path: str | os.PathLike[str]) -> Path:
    """Write a model to ``path``, whole or not at all.

    Parameters
    ----------
    model : Factors
    path : path
        Where to; an existing file is replaced in one step.

    Raises
    ------
    DataError
        If what describes the model is longer than a file may have it, such as the values of its features.
    OSError
        If the file cannot be written; an existing one is then left as it was.
    """
    target = path_of(path)
    tables = packed_tables(model.metadata)
    card = {
        "format_version": 2 if model.timing is None and not model.features else FORMAT_VERSION,
        "mean": model.mean,
        "objective": model.objective.to_dict(),
        "preparation": model.preparation.to_dict(),
        **({} if model.timing is None else {"timing": model.timing.to_dict()}),
        **({"tables": tables.schema} if tables.schema else {}),
        **({"features": side_features.stored(model.features)} if model.features else {}),
        "origin": model.origin.to_dict(),
        "history": {name: list(values) for name, values in model.history.items()},
    }
    with replacing(target) as beside:
        write_tensors(beside, _tensors(model) | dict(tables.tensors), "cofactor", card)
    return target


def load(path: str | os.PathLike[str]) -> Factors:
    """Read a model that `Factors.save` wrote, or a model folder of `SparkALS`.

    Parameters
    ----------
    path : path

    Returns
    -------
    Factors

    Raises
    ------
    ModelFileError
        If the file is missing, truncated, not a cofactor model, from a newer version, or not sound; or if a folder
        does not fit the memory.
    """
    return _read(path_of(path), np.array)


def open_model(path: str | os.PathLike[str]) -> Factors:
    """Open a model that `Factors.save` wrote and leave its arrays in the file, mapped into memory.

    A model larger than memory can be used so. The file must not be written to meanwhile; replacing it by another, as
    `save` does, is fine.

    Parameters
    ----------
    path : path

    Returns
    -------
    Factors
        With the same bits as `load` gives.

    Raises
    ------
    ModelFileError
        As `load` does.
    """
    return _read(path_of(path), np.asarray)


def origin_in(path: str | os.PathLike[str]) -> Origin:
    """Read from the head of a model's file where the model comes from; nothing else of the file is read or checked.

    Raises
    ------
    ModelFileError
        If it is not the head of a model that this cofactor reads.
    """
    source = path_of(path)

    def read() -> Origin:
        return origin_from(_card(opened_tensors(source, ModelFileError, _REMEDY).metadata, source)["origin"])

    return _refusing(source, read)


def _read(source: Path, keep: Keep) -> Factors:
    if is_model_folder(source):
        return load_folder(source)
    return _refusing(source, lambda: _of_file(source, keep))


def _refusing(source: Path, read: Callable[[], Result]) -> Result:
    """Return what comes of reading a file, and say what is wrong with it where that fails."""
    try:
        return read()
    except ModelFileError:
        raise
    except UNSOUND as error:
        raise ModelFileError(f"{source} is not a sound model ({reason_of(error)}): {_REMEDY}") from error
    except OSError as error:
        raise ModelFileError(f"{source} cannot be read ({error}): check its rights, and the disk") from error


def _of_file(source: Path, keep: Keep) -> Factors:
    """Check the header, then sizes and shapes, then what arrays hold, then checksums; read nothing before its turn."""
    if not source.is_file():
        what = "is a folder, not a file" if source.is_dir() else "is not there"
        what = "is no ordinary file" if source.exists() and not source.is_dir() else what
        raise ModelFileError(f"{source} {what}: give the path of a model written by save() or 'cofactor fit -o'")
    other = f"{_REMEDY}, or give the path of a model written by save() or 'cofactor fit -o'"
    file = opened_tensors(source, ModelFileError, other)
    card = _card(file.metadata, source)
    _check_shapes(file.arrays)
    if keep is np.array:
        _check_memory(source, sum(array.nbytes for array in file.arrays.values()))
    model = _model(card, file.arrays, keep)
    check_loaded(model)
    file.check_sums(card)
    return model


def _check_memory(source: Path, needed: int) -> None:
    if (there := short_of(needed)) is not None:
        raise ModelFileError(
            f"{source} needs {shown_bytes(needed)} of memory, and {shown_bytes(there)} are available: "
            "cofactor.open_model() leaves the arrays in the file"
        )


def _check_shapes(tensors: Mapping[str, np.ndarray]) -> None:
    """Check that the arrays of rows have one length and one rank, before any of them is read."""
    lengths = {side: _length(tensors, side) for side in ("user", "item")}
    columns = {numbers_of(tensors, f"{side}_vectors", np.float32).shape[1:] for side in lengths}
    if any(tensors[f"{side}_vectors"].ndim != 2 for side in lengths):
        raise ValueError("user_vectors and item_vectors must be two-dimensional: (rows, rank)")
    for side, length in lengths.items():
        for name in (f"{side}_vectors", f"{side}_bias"):
            if name in tensors and tensors[name].shape[:1] != (length,):
                raise ValueError(f"{name} has the shape {tensors[name].shape} for {length:,} {side}s")
        if f"{side}_bias" in tensors and numbers_of(tensors, f"{side}_bias", np.float32).ndim != 1:
            raise ValueError(f"{side}_bias has the shape {tensors[f'{side}_bias'].shape}")
    if len(columns) > 1:
        raise ValueError("user_vectors and item_vectors have vectors of another shape")
    if max(lengths.values()) >= 2**31:
        raise ValueError("it has more users or items than models can have")


def _length(tensors: Mapping[str, np.ndarray], side: str) -> int:
    """Return how many ids a side has, from the shapes of its arrays."""
    ids = tensors.get(f"{side}s")
    offsets = numbers_of(tensors, f"{side}s.offsets", np.int64) if ids is None else None
    if offsets is not None and (offsets.ndim != 1 or not len(offsets)):
        raise ValueError(f"{side}s have the wrong shape")
    return len(offsets) - 1 if offsets is not None else (len(ids) if ids is not None and ids.ndim else 0)


def _tensors(model: Factors) -> dict[str, np.ndarray]:
    tensors = {name: array for name in _VECTORS if (array := getattr(model, name)) is not None}
    tensors["seen.indptr"] = model.seen.indptr.astype(np.int64, copy=False)
    tensors["seen.indices"] = model.seen.indices.astype(np.int32, copy=False)
    if model.seen.nnz >= LARGE or np.any(model.seen.data != 1):
        tensors["seen.values"] = model.seen.data.astype(np.float32, copy=False)
    if model.seen_times is not None:
        tensors["seen.times"] = model.seen_times
    for side in ("users", "items"):
        tensors |= _packed_ids(getattr(model, side), side)
    tensors |= {f"extras.{name}": np.asarray(array) for name, array in model.extras.items()}
    tensors |= {f"features.{side}": one.weights for side, one in model.features.items()}
    return {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}


def _packed_ids(vocabulary: Vocabulary, side: str) -> dict[str, np.ndarray]:
    if not vocabulary.holds_integers:
        return packed_texts(vocabulary.ids, side)
    ids: np.ndarray = vocabulary.ids.to_numpy()
    return {side: ids}


def _card(header: Mapping[str, str], source: Path) -> dict[str, Any]:
    """Return the JSON part, once the header says that it is ours and of a version that we read."""
    if "cofactor" not in header:
        raise ModelFileError(f"{source} is a safetensors file, but not a cofactor model: give one that save() wrote")
    card = parsed(header["cofactor"])
    if not isinstance(card, dict):
        raise ModelFileError(
            f"{source} is not a sound model (its description is not an object): copy or train it again"
        )
    version = card.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise ModelFileError(f"{source} has an unknown format version, {str(version)[:20]!r}: train the model again")
    if version > FORMAT_VERSION:
        raise ModelFileError(
            f"{source} has format version {version}, this cofactor reads up to {FORMAT_VERSION}: "
            "pip install --upgrade cofactor"
        )
    return upgraded(card, version)


def _model(card: Mapping[str, Any], tensors: Mapping[str, np.ndarray], keep: Keep) -> Factors:
    users, items = (_vocabulary(tensors, side) for side in ("users", "items"))
    bias = {name: keep(tensors[name]) for name in ("user_bias", "item_bias") if name in tensors}
    timing = timing_from(card.get("timing"))
    return Factors(
        keep(tensors["user_vectors"]),
        keep(tensors["item_vectors"]),
        user_bias=bias.get("user_bias"),
        item_bias=bias.get("item_bias"),
        users=users,
        items=items,
        mean=number_from(card["mean"], "mean"),
        seen=_seen(tensors, (len(users), len(items)), keep),
        metadata=unpacked_tables(card.get("tables", {}), tensors, {"items": len(items), "users": len(users)}),
        objective=objective_from(card["objective"]),
        preparation=preparation_from(card["preparation"]),
        timing=timing,
        seen_times=None if timing is None else _times(tensors, keep),
        features=_features(card, tensors, keep),
        origin=origin_from(card["origin"]),
        history=history_from(card["history"]),
        extras={
            name.removeprefix("extras."): keep(array) for name, array in tensors.items() if name.startswith("extras.")
        },
    )


def _seen(tensors: Mapping[str, np.ndarray], shape: tuple[int, int], keep: Keep) -> sparse.csr_array:
    indptr, indices = numbers_of(tensors, "seen.indptr", np.int64), numbers_of(tensors, "seen.indices", np.int32)
    if "seen.values" in tensors:
        values = numbers_of(tensors, "seen.values", np.float32)
    else:
        values = np.ones(indices.shape, np.float32)
    if indptr.shape != (shape[0] + 1,) or indices.ndim != 1 or values.shape != indices.shape:
        raise ValueError("the table of seen items does not fit the users")
    check_rows(indptr, indices, values, shape[1])
    return as_csr(keep(values), keep(indices), keep(indptr), shape)


def _features(card: Mapping[str, Any], tensors: Mapping[str, np.ndarray], keep: Keep) -> side_features.Features:
    if not (encoders := card.get("features")):
        return {}
    weights = {side: keep(numbers_of(tensors, f"features.{side}", np.float32)) for side in encoders}
    draws = objective_from(card["objective"]).draws
    columns = {
        side: tensors[f"{side}_vectors"].shape[-1] + (draws if f"{side}_bias" in tensors else 0) for side in weights
    }
    return side_features.features_from(encoders, weights, columns)


def _times(tensors: Mapping[str, np.ndarray], keep: Keep) -> np.ndarray | None:
    if (times := tensors.get("seen.times")) is None:
        return None
    if times.dtype not in (np.int64, np.float64) or times.ndim != 1:
        raise ValueError("the times of seen items are not numbers of seconds")
    check_finite(times, "the times of seen items")
    return keep(times)


def _vocabulary(tensors: Mapping[str, np.ndarray], side: str) -> Vocabulary:
    kind = side.removesuffix("s")
    if side not in tensors:
        return Vocabulary(texts_of(tensors, side), kind=kind)
    ids = tensors[side]
    if ids.ndim != 1 or ids.dtype not in (np.int64, np.uint64):
        raise ValueError(f"{side} are of type {ids.dtype} and shape {ids.shape}")
    return Vocabulary(pl.Series(ids), kind=kind)
