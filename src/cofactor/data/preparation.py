"""What a model for lists makes of raw values: stars become weights, and low stars become dislikes.

**Prepared values.** A positive value says that the user chose the item, with that confidence. A negative value ``-w``
says that the user disliked it, with confidence ``w``. 0 says that the user saw it, and nothing more.

**Stars.** With ``z`` the position of a value on its scale, 0 at the lowest and 1 at the highest, a rating weighs ``z``
over the table's mean ``z``; below a quarter of the scale it is a dislike that weighs a half. On a scale from 1 to 5
that is the single star, on one from 0.5 to 5 all up to 1.5. Since only positions count, the same ratings on another
scale get the same weights.

The rule was chosen on validation parts of ml-100k, ml-latest-small and MovieTweetings: of those that keep the nDCG of
what people go on to rate, it has the fewest disliked items in the lists. ``benchmarks/implicit_defaults.py`` shows what
it does on their test parts.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from cofactor.errors import DataError

__all__ = ["Kind", "recognize", "star_statistics", "star_weights"]

Kind = Literal["binary", "stars", "counts", "signed"]

DISLIKED_BELOW = 0.25
"""Stars below this share of their scale are dislikes."""

DISLIKE_WEIGHT = 0.5
"""Weight of a dislike, the average rating weighing 1."""

_MOST_LEVELS = 11
"""Steps of the longest scale: from 0 to 10, or by halves from 0 to 5."""

_AT_ONCE = 1 << 20
_ROUNDING = 1e-4


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


def star_statistics(values: npt.ArrayLike) -> dict[str, float]:
    """Return what `star_weights` needs to know of a table, so that ratings to come get the weights of those in it.

    Parameters
    ----------
    values : array_like of float
        All ratings of the table.

    Returns
    -------
    dict
        ``low`` and ``high``, the ends of the scale; ``mean``, the mean position on it; ``disliked_below``, in stars;
        and ``dislike_weight``.

    Raises
    ------
    DataError
        If the values are no stars; see `recognize`.

    Examples
    --------
    >>> star_statistics([5, 4, 4, 2, 1])["disliked_below"]
    2.0
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
    return {
        "low": low,
        "high": high,
        "mean": total / (high - low) / len(values),
        "disliked_below": low + DISLIKED_BELOW * (high - low),
        "dislike_weight": DISLIKE_WEIGHT,
    }


def star_weights(values: npt.ArrayLike, statistics: Mapping[str, float]) -> npt.NDArray[np.float32]:
    """Weigh ratings by their stars: positive for what was chosen, negative for what was disliked.

    Parameters
    ----------
    values : array_like of float
        Ratings; beyond the ends of the scale they count as its ends.
    statistics : mapping
        Of the table that the model learnt from, made by `star_statistics`.

    Returns
    -------
    numpy.ndarray of float32
        As many as the values.

    Examples
    --------
    >>> star_weights([1, 2, 3, 4, 5], star_statistics([1, 2, 3, 4, 5]))
    array([-0.5,  0.5,  1. ,  1.5,  2. ], dtype=float32)
    """
    low, high = statistics["low"], statistics["high"]
    values = np.clip(np.asarray(values, np.float64), low, high)
    weights = (values - low) / (high - low) / statistics["mean"]
    disliked = values < statistics["disliked_below"] - _ROUNDING * (high - low)
    return np.where(disliked, -statistics["dislike_weight"], weights).astype(np.float32)


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
