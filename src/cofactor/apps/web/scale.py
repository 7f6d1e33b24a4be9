"""What a rating from outside means to a model: a value on the scale it was trained on, or a like, or neither."""

from dataclasses import dataclass

import numpy as np

from cofactor.model.factors import Factors

__all__ = ["Scale", "scale_of"]

_LOOKED_AT = 100_000
STARS = (1.0, 5.0)
LIKED_FROM = 4.0


@dataclass(frozen=True)
class Scale:
    """The ratings that people may give, and what becomes of them.

    Parameters
    ----------
    low, high, step : float
        The least and the greatest rating, and the distance of those between.
    liked_from : float or None
        Where the model knows likes alone: the rating from which on one is a like. Anything below keeps an item out of
        the lists and says nothing else. None where the model was trained on ratings like these.
    like : float
        The value that a like has for the model.
    """

    low: float
    high: float
    step: float
    liked_from: float | None = None
    like: float = 1.0

    def holds(self, rating: float) -> bool:
        """Tell whether a rating lies on the scale."""
        return self.low <= rating <= self.high

    def trained(self, rating: float) -> float:
        """Return the rating as the model's training data would have it; NaN where it would not have it at all."""
        if self.liked_from is None:
            return rating
        return self.like if rating >= self.liked_from else float("nan")

    def all_trained(self, ratings: np.ndarray) -> np.ndarray:
        """Return what `trained` makes of each of some ratings: float32."""
        if self.liked_from is None:
            return ratings
        values = np.full(len(ratings), self.like, np.float32)
        values[ratings < self.liked_from] = np.nan
        return values


def scale_of(model: Factors) -> Scale:
    """Read the scale off a model: its own where it predicts ratings, stars that mean likes where it puts in order."""
    sample = model.seen.data[:_LOOKED_AT]
    bounds = model.objective.scale
    if model.objective.goal == "rating" and bounds is not None and bounds[0] < bounds[1]:
        return Scale(*bounds, step=_step(sample))
    return Scale(*STARS, step=1.0, liked_from=LIKED_FROM, like=float(np.median(sample)) if len(sample) else 1.0)


def _step(values: np.ndarray) -> float:
    """Return the coarsest usual step that all values are multiples of."""
    for step in (1.0, 0.5, 0.25):
        if not np.any(values % step):
            return step
    return 0.1
