"""A short name for what a model is: equal for equal models, in memory or read from a file, on any machine.

It covers all that answers depend on: vectors, biases, mean, ids, titles, what was seen, the objective that places
newcomers. When and from what the model was trained, and the figures of its training, it leaves out.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from cofactor.model.state import FactorState

__all__ = ["digest_of"]

BYTES = 16


def digest_of(model: "FactorState") -> str:
    """Return the name of a model: 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=BYTES)
    for name, array in _parts(model):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _parts(model: "FactorState") -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays of a model, each of one type whatever made it."""
    objective = dataclasses.asdict(model.objective)
    if objective["count_offset"] is None:  # as in the files from before there was one: their digests stay
        del objective["count_offset"]
    settings = {"mean": model.mean, "objective": objective}
    yield "settings", np.frombuffer(json.dumps(settings, sort_keys=True).encode(), np.uint8)
    for name in ("user_vectors", "item_vectors", "user_bias", "item_bias"):
        if (array := getattr(model, name)) is not None:
            yield name, array
    yield "seen.indptr", model.seen.indptr.astype(np.int64, copy=False)
    yield "seen.indices", model.seen.indices.astype(np.int32, copy=False)
    yield "seen.values", model.seen.data.astype(np.float32, copy=False)
    texts = {"titles": model.metadata.titles, "genres": model.metadata.genres}
    series = {"users": model.users.ids, "items": model.items.ids, **texts}
    for name, values in series.items():
        if values is not None:
            yield from _of_series(name, values)
    for name in sorted(model.extras):
        yield f"extras.{name}", np.asarray(model.extras[name])


def _of_series(name: str, values: pl.Series) -> Iterator[tuple[str, np.ndarray]]:
    if values.dtype != pl.String:
        yield name, values.to_numpy()
        return
    yield f"{name}.lengths", values.str.len_bytes().cast(pl.Int64).fill_null(-1).to_numpy()
    yield name, np.frombuffer("".join(values.fill_null("").to_list()).encode(), np.uint8)
