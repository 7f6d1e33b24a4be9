"""What becomes of raw values between a table and a solver: a small record that the model keeps and every door applies.

**Prepared values.** A positive value says that the user chose the item, with that confidence. A negative value ``-w``
says that the user disliked it, with confidence ``w``. 0 says that the user saw it, and nothing more. Solvers of ratings
take values as they are.

**Stars.** With ``z`` the position of a value on its scale, 0 at the lowest and 1 at the highest, a rating weighs ``z``
over the table's mean ``z``; below a quarter of the scale it is a dislike that weighs 0.3. On a scale from 1 to 5
that is the single star, on one from 0.5 to 5 all up to 1.5. Since only positions count, the same ratings on another
scale get the same weights.

The rule was chosen on validation parts of ml-100k, ml-latest-small and MovieTweetings: of those that cost next to none
of the nDCG of all that people go on to rate, it puts the fewest disliked items in the lists.
``benchmarks/implicit_defaults.py`` shows what it does on their test parts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import sparse

from cofactor.data.passes import as_csr
from cofactor.errors import DataError

__all__ = [
    "Alike",
    "AsGiven",
    "Kind",
    "Preparation",
    "Stars",
    "Values",
    "Weights",
    "confidences",
    "preparation_from",
    "prepared",
    "recognize",
]

Kind = Literal["binary", "stars", "counts", "signed"]

Values: TypeAlias = Literal["auto", "as given", "alike"]
"""How a solver for lists takes values: by what they look like, as they are, or each above 0 alike."""

DISLIKED_BELOW = 0.25
"""Stars below this share of their scale are dislikes."""

DISLIKE_WEIGHT = 0.3
"""Weight of a dislike, the average rating weighing 1."""

_MOST_LEVELS = 11
"""Steps of the longest scale: from 0 to 10, or by halves from 0 to 5."""

_AT_ONCE = 1 << 20
_ROUNDING = 1e-4
_LEAST, _MOST = 1e-30, 1e30  # of what files may say


class Preparation(Protocol):
    """From raw values to those that a solver learns from."""

    @property
    def choice(self) -> float:
        """The raw value of an item that was chosen, if nothing else is known: it weighs as much as an average one."""
        ...

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

    @property
    def choice(self) -> float:
        """The raw value of a choice."""
        return 1.0

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

    @property
    def choice(self) -> float:
        """The raw value of a choice."""
        return 1.0

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return 1 for each value above 0, else 0."""
        return (values > 0).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"kind": self.kind}


@dataclass(frozen=True)
class Weights:
    """Counts or weights, divided by their mean so that they lie around 1.

    Parameters
    ----------
    mean : float
        The mean of the training values.
    """

    kind: ClassVar[str] = "weights"

    mean: float

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Self:
        """Return what suits the values of a training table."""
        return cls(float(np.asarray(values).mean(dtype=np.float64)))

    @property
    def choice(self) -> float:
        """The raw value of an average choice: the mean."""
        return self.mean

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return the weights: float32."""
        return (values / np.float64(self.mean)).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class Stars:
    """Stars as weights around 1, low ones as dislikes.

    Parameters
    ----------
    low, high : float
        The ends of the scale.
    mean : float
        The mean position of the training ratings on it, from 0 to 1.
    disliked_below : float
        Ratings below are dislikes.
    dislike_weight : float
        What a dislike weighs, the average rating weighing 1.

    Examples
    --------
    >>> Stars.of([1, 2, 3, 4, 5]).apply(np.array([1, 2, 3, 4, 5]))
    array([-0.3,  0.5,  1. ,  1.5,  2. ], dtype=float32)
    """

    kind: ClassVar[str] = "stars"

    low: float
    high: float
    mean: float
    disliked_below: float
    dislike_weight: float = DISLIKE_WEIGHT

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Self:
        """Return what suits the ratings of a training table.

        Raises
        ------
        DataError
            If the values are no stars; see `recognize`.
        """
        values = np.asarray(values)
        levels = _levels(values)
        scale = None if levels is None or np.count_nonzero(levels) <= 1 or levels[0] < 0 else _scale(levels)
        if scale is None:
            raise DataError(
                f"the values are no stars: stars are 2 to {_MOST_LEVELS} steps of one scale, such as 1 to 5 or 0.5 to 5"
            )
        low, high = scale
        total = sum(float((part.astype(np.float64) - low).sum()) for part in _parts(values))
        return cls(low, high, total / (high - low) / len(values), low + DISLIKED_BELOW * (high - low))

    @property
    def choice(self) -> float:
        """The raw value of an average choice: the mean rating."""
        return self.low + self.mean * (self.high - self.low)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Return the weights, those of disliked items negative: float32. Beyond the scale, its ends count."""
        held = np.clip(np.asarray(values, np.float64), self.low, self.high)
        weights = (held - self.low) / (self.high - self.low) / self.mean
        disliked = held < self.disliked_below - _ROUNDING * (self.high - self.low)
        return np.where(disliked, -self.dislike_weight, weights).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"kind": self.kind, **asdict(self)}


def confidences(values: np.ndarray, how: Values) -> Preparation:
    """Return what a solver that takes confidences makes of a training table's values.

    Parameters
    ----------
    values : numpy.ndarray
        All values of the table.
    how : {"auto", "as given", "alike"}
        By what they look like: stars by their weight, counts around 1; as they are; each above 0 alike.

    Raises
    ------
    DataError
        If values are negative and nothing says what that means.
    """
    if how != "auto":
        return AsGiven() if how == "as given" else Alike()
    kind = recognize(values)
    if kind == "signed":
        raise DataError(
            "a value is negative, which can mean disliked or not rated: leave such rows out, or say "
            "values='as given', which takes negative values as dislikes, or values='alike', which counts every value "
            "above 0 as chosen"
        )
    if kind == "binary" or not values.any():
        return Alike()
    return Stars.of(values) if kind == "stars" else Weights.of(values)


def recognize(values: npt.ArrayLike) -> Kind:
    """Tell what the values of a table are.

    Parameters
    ----------
    values : array_like of float
        All finite.

    Returns
    -------
    {"binary", "stars", "counts", "signed"}
        - ``"signed"``: some are negative.
        - ``"binary"``: there is one value, or one and 0, or none at all.
        - ``"stars"``: they are the steps of a scale, such as 1 to 5, 0.5 to 5 or 0 to 100 in tens, with at most 11
          steps, and half of them or more lie in the upper half of it, as people mostly rate what they chose to see.
        - ``"counts"``: anything else, such as how often something was played, or weights.

    Examples
    --------
    >>> recognize([5, 4, 4, 2, 1]), recognize([1, 1, 1, 2, 7]), recognize([1, 1]), recognize([1, -1])
    ('stars', 'counts', 'binary', 'signed')
    """
    values = np.asarray(values)
    levels = _levels(values)
    if levels is None:
        return "signed" if values.min() < 0 else "counts"
    if len(levels) and levels[0] < 0:
        return "signed"
    if np.count_nonzero(levels) <= 1:
        return "binary"
    scale = _scale(levels)
    if scale is None:
        return "counts"
    upper = sum(int(np.count_nonzero(2 * part >= sum(scale))) for part in _parts(values))
    return "stars" if 2 * upper >= len(values) else "counts"


def preparation_from(stored: Mapping[str, Any]) -> Preparation:
    """Read what `to_dict` wrote; raises KeyError, TypeError or ValueError where it does not fit."""
    values = dict(stored)
    kinds: dict[str, Any] = {one.kind: one for one in (AsGiven, Alike, Stars, Weights)}
    kind = values.pop("kind")
    if kind not in kinds:
        raise ValueError(f"unknown preparation {str(kind)[:40]!r}")
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name} should be a number")
    made: Preparation = kinds[kind](**values)
    if isinstance(made, Weights) and not _LEAST <= made.mean <= _MOST:
        raise ValueError(f"weights with a mean of {made.mean}")
    if isinstance(made, Stars) and not (
        abs(made.low) <= _MOST
        and made.low < made.high <= _MOST
        and _LEAST <= made.mean <= 1
        and made.low <= made.disliked_below <= made.high
        and 0 <= made.dislike_weight <= _MOST
    ):
        raise ValueError("the scale of the stars does not fit their mean or their dislikes")
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


def _parts(values: npt.NDArray[np.floating]) -> Iterator[npt.NDArray[np.floating]]:
    """Yield a table's values in parts, as it may be longer than the memory."""
    for first in range(0, len(values), _AT_ONCE):
        yield values[first : first + _AT_ONCE]


def _levels(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64] | None:
    """Return the different values in ascending order, or None if there are more than a scale has steps."""
    levels = np.empty(0, values.dtype)
    for part in _parts(values):
        levels = np.union1d(levels, part[~np.isin(part, levels)])
        if len(levels) > _MOST_LEVELS:
            return None
    return levels.astype(np.float64)


def _scale(levels: npt.NDArray[np.float64]) -> tuple[float, float] | None:
    """Return the ends of the scale whose steps the levels are, or None if they are none's.

    A scale begins at 0 or at its first step. So a table without its low ratings has the scale that it was rated on.
    """
    step = float(np.diff(levels).min())
    steps = (levels - levels[0]) / step
    if np.abs(steps - np.round(steps)).max() > 0.01:
        return None
    low, high = min(float(levels[0]), step), float(levels[-1])
    return (low, high) if (high - low) / step < _MOST_LEVELS - 0.5 else None
