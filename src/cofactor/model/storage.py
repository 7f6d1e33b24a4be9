"""Factors ⇄ one safetensors file: numbers as tensors, ids and titles as bytes with offsets, the rest as JSON.

Nothing in the file is ever executed. Whatever a file claims is checked before it is believed: a truncated, foreign or
hostile one ends in one clear error, without memory being given to what it promises.
"""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.passes import as_csr
from cofactor.data.preparation import preparation_from
from cofactor.data.timing import timing_from
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import CofactorError, ModelFileError
from cofactor.files import replacing
from cofactor.model import side_features
from cofactor.model.factors import Factors
from cofactor.model.objectives import objective_from
from cofactor.model.origin import Origin
from cofactor.model.packed_tables import numbers_of, packed_tables, packed_texts, texts_of, unpacked_tables
from cofactor.model.tensors import check_rows, mapped_tensors
from cofactor.model.upgrade import upgraded

__all__ = ["FORMAT_VERSION", "load", "open_model", "save"]

FORMAT_VERSION = 3
"""Version 3 knows of time and of features; a model without either is written as version 2, which older readers read.

Tables of items and users have no version: a reader that knows titles and genres alone leaves the rest out, and gives
the same answers.
"""

LARGE = 2**26
"""From so many seen items on, their values are written even if all are 1, so that no reader has to make them."""

_UNSOUND = (
    *(
        CofactorError,
        pl.exceptions.PolarsError,
        AttributeError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
        RecursionError,
    ),
    *(OverflowError, MemoryError),
)
"""What reading a file that lies about its contents can end in."""

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
    OSError
        If the file cannot be written; an existing one is then left as it was.
    """
    from safetensors.numpy import save_file

    target = Path(path)
    tables = packed_tables(model.metadata)
    card = {
        "format_version": 2 if model.timing is None and not model.features else FORMAT_VERSION,
        "mean": model.mean,
        "objective": model.objective.to_dict(),
        "preparation": model.preparation.to_dict(),
        **({} if model.timing is None else {"timing": model.timing.to_dict()}),
        **({"tables": tables.schema} if tables.schema else {}),
        **({"features": side_features.stored(model.features)} if model.features else {}),
        "origin": dataclasses.asdict(model.origin),
        "history": {name: list(values) for name, values in model.history.items()},
    }
    header = {"cofactor": json.dumps(card, allow_nan=False)}  # one entry: safetensors shuffles several
    with replacing(target) as beside:
        save_file(_tensors(model) | dict(tables.tensors), beside, header)
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
    return _read(Path(path), _in_memory)


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
    return _read(Path(path), mapped_tensors)


def _read(source: Path, tensors_of: Callable[[Path], dict[str, np.ndarray]]) -> Factors:
    from safetensors import SafetensorError, safe_open

    if source.is_dir():
        from cofactor.model.folder import is_model_folder, load_folder  # few models are folders

        if is_model_folder(source):
            return load_folder(source)
    if not source.is_file():
        what = "a folder, not a file" if source.is_dir() else "not there"
        raise ModelFileError(f"{source} is {what}: give the path of a model written by save() or 'cofactor fit -o'")
    try:
        with safe_open(source, framework="numpy") as file:
            card = _card(file.metadata() or {}, source)
        return _model(card, tensors_of(source))
    except ModelFileError:
        raise
    except SafetensorError as error:
        raise ModelFileError(f"{source} is not a whole safetensors file ({error}): copy or train it again") from error
    except _UNSOUND as error:
        reason = f"{type(error).__name__}: {error}" if not isinstance(error, CofactorError) else str(error)
        raise ModelFileError(f"{source} is not a sound model ({reason}): copy or train it again") from error
    except OSError as error:
        raise ModelFileError(f"{source} cannot be read ({error}): check its rights, and the disk") from error


def _in_memory(source: Path) -> dict[str, np.ndarray]:
    from safetensors import safe_open

    with safe_open(source, framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is not a dict)


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
    card = json.loads(header["cofactor"], parse_constant=_refuse)
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


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} stands where a number should")


def _model(card: dict[str, Any], tensors: dict[str, np.ndarray]) -> Factors:
    users, items = (_vocabulary(tensors, side) for side in ("users", "items"))
    bias = {name: numbers_of(tensors, name, np.float32) for name in ("user_bias", "item_bias") if name in tensors}
    timing = timing_from(card.get("timing"))
    return Factors(
        numbers_of(tensors, "user_vectors", np.float32),
        numbers_of(tensors, "item_vectors", np.float32),
        user_bias=bias.get("user_bias"),
        item_bias=bias.get("item_bias"),
        users=users,
        items=items,
        mean=_real(card["mean"]),
        seen=_seen(tensors, (len(users), len(items))),
        metadata=unpacked_tables(card.get("tables", {}), tensors, {"items": len(items), "users": len(users)}),
        objective=objective_from(card["objective"]),
        preparation=preparation_from(card["preparation"]),
        timing=timing,
        seen_times=None if timing is None else _times(tensors),
        features=_features(card, tensors),
        origin=_origin(card["origin"]),
        history=_history(card["history"]),
        extras={name.removeprefix("extras."): array for name, array in tensors.items() if name.startswith("extras.")},
    )


def _origin(stored: Any) -> Origin:
    origin = Origin(**stored)
    texts = (origin.solver, origin.data, origin.trained_at, origin.version)
    if not all(isinstance(text, str) for text in texts) or not isinstance(origin.settings, dict):
        raise TypeError("the model's origin is not made of texts")
    return dataclasses.replace(origin, metrics={name: _real(value) for name, value in origin.metrics.items()})


def _history(stored: Any) -> dict[str, tuple[float, ...]]:
    return {str(name): tuple(_real(value) for value in values) for name, values in stored.items()}


def _real(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{str(value)[:40]!r} stands where a number should")
    return float(value)


def _seen(tensors: Mapping[str, np.ndarray], shape: tuple[int, int]) -> sparse.csr_array:
    indptr, indices = numbers_of(tensors, "seen.indptr", np.int64), numbers_of(tensors, "seen.indices", np.int32)
    if "seen.values" in tensors:
        values = numbers_of(tensors, "seen.values", np.float32)
    else:
        values = np.ones(indices.shape, np.float32)
    if indptr.shape != (shape[0] + 1,) or indices.ndim != 1 or values.shape != indices.shape:
        raise ValueError("the table of seen items does not fit the users")
    if indptr[0] != 0 or indptr[-1] != len(indices) or np.any(np.diff(indptr) < 0):
        raise ValueError("the table of seen items has rows that overlap")
    check_rows(indptr, indices, values, shape[1])
    return as_csr(values, indices, indptr, shape)


def _features(card: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> side_features.Features:
    if not (encoders := card.get("features")):
        return {}
    weights = {side: numbers_of(tensors, f"features.{side}", np.float32) for side in encoders}
    return side_features.features_from(encoders, weights, tensors["user_vectors"].shape[-1])


def _times(tensors: Mapping[str, np.ndarray]) -> np.ndarray | None:
    if (times := tensors.get("seen.times")) is None:
        return None
    if times.dtype not in (np.int64, np.float64) or not np.isfinite(times).all():
        raise ValueError("the times of seen items are not numbers of seconds")
    return times


def _vocabulary(tensors: Mapping[str, np.ndarray], side: str) -> Vocabulary:
    kind = side.removesuffix("s")
    if side not in tensors:
        return Vocabulary(texts_of(tensors, side), kind=kind)
    ids = tensors[side]
    if ids.ndim != 1 or ids.dtype not in (np.int64, np.uint64):
        raise ValueError(f"{side} are of type {ids.dtype} and shape {ids.shape}")
    return Vocabulary(pl.Series(ids), kind=kind)
