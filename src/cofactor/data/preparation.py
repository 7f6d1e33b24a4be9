"""What becomes of raw values between a table and a solver: a small record that the model keeps and every door applies.

A prepared value above 0 is how much a choice counts, 0 means seen and nothing else, and below 0 how sure it is that an
item was disliked. Solvers of ratings take values as they are.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

import numpy as np
from scipy import sparse

from cofactor.data.passes import as_csr

__all__ = ["Alike", "AsGiven", "Preparation", "Values", "Weighted", "preparation_from", "prepared"]

Values: TypeAlias = Literal["auto", "as given", "alike"]
"""How a solver for lists takes values: by what they look like, as they are, or each above 0 alike."""


class Preparation(Protocol):
    """From raw values to those that a solver learns from."""

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return prepared values: float32, of the same shape."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        ...


@dataclass(frozen=True)
class AsGiven:
    """Values as they are."""

    kind: ClassVar[str] = "as given"

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return the values themselves."""
        return values

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"kind": self.kind}


@dataclass(frozen=True)
class Alike:
    """Every value above 0 counts 1, whatever it is."""

    kind: ClassVar[str] = "alike"

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return 1 for each value above 0, else 0."""
        return (values > 0).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"kind": self.kind}


@dataclass(frozen=True)
class Weighted:
    """Stars or counts as weights around 1.

    Parameters
    ----------
    mean : float
        The mean of the training values, by which all are divided.
    disliked_to : float or None
        Up to this rating an item counts as disliked.
    dislike_weight : float
        How much a disliked item counts, against 1 for a chosen one.
    """

    kind: ClassVar[str] = "weighted"

    mean: float
    disliked_to: float | None = None
    dislike_weight: float = 0.0

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return the weights; those of disliked items are negative."""
        weights = (values / np.float64(self.mean)).astype(np.float32)
        if self.disliked_to is not None:
            weights[values <= self.disliked_to] = -self.dislike_weight
        return weights

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"kind": self.kind, **asdict(self)}


def preparation_from(stored: Mapping[str, Any]) -> Preparation:
    """Read what `to_dict` wrote; raises KeyError, TypeError or ValueError where it does not fit."""
    values = dict(stored)
    kinds: dict[str, Any] = {one.kind: one for one in (AsGiven, Alike, Weighted)}
    kind = values.pop("kind")
    if kind not in kinds:
        raise ValueError(f"unknown preparation {str(kind)[:40]!r}")
    for name, value in values.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise TypeError(f"{name} should be a number")
    made: Preparation = kinds[kind](**values)
    return made


def prepared(table: sparse.csr_array, preparation: Preparation, *, zeros_count: bool) -> sparse.csr_array:
    """Return a table of raw values as a solver learns from it.

    Parameters
    ----------
    table : scipy.sparse.csr_array
    preparation : Preparation
    zeros_count : bool
        Whether a prepared 0 is a value like others, as a rating is; if not, such pairs are left out.
    """
    values = preparation.apply(table.data)
    if zeros_count or values.all():
        return table if values is table.data else as_csr(values, table.indices, table.indptr, table.shape)
    kept = values != 0
    before = np.concatenate([[0], np.cumsum(kept)])
    return as_csr(values[kept], table.indices[kept], before[table.indptr], table.shape)
