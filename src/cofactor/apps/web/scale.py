"""The scale of ratings that people may give a model, and the raw values that stand for them in its training data."""

from dataclasses import dataclass

import numpy as np

from cofactor.data.preparation import Stars
from cofactor.model.factors import Factors

__all__ = ["Scale", "scale_of"]

_SAMPLE = 100_000
STARS = (1.0, 5.0)
LIKED_FROM = 4.0


@dataclass(frozen=True)
class Scale:
    """The ratings that people may give, and the model's raw values for them.

    Parameters
    ----------
    low, high, step : float
        The lowest and the highest rating, and the distance between two ratings.
    liked_from : float or None
        For a model that was trained on likes: the lowest rating that counts as a like. A lower one is 0 to the model:
        seen, but not learnt from. None for a model that was trained on ratings like these.
    like : float
        The value of a like in the training data.
    """

    low: float
    high: float
    step: float
    liked_from: float | None = None
    like: float = 1.0

    def holds(self, rating: float) -> bool:
        """Tell whether a rating lies on the scale."""
        return self.low <= rating <= self.high

    def values(self, ratings: np.ndarray) -> np.ndarray:
        """Return the raw values that ratings have in the training data: float32."""
        if self.liked_from is None:
            return ratings.astype(np.float32, copy=False)
        return np.where(ratings >= self.liked_from, np.float32(self.like), np.float32(0))

    def ratings(self, values: np.ndarray) -> np.ndarray:
        """Return the ratings that raw values of the training data stand for: float32.

        Where the model was trained on choices, such as how often something was played, that is the best rating.
        """
        if self.liked_from is None:
            return values
        return np.where(values > 0, np.float32(self.high), np.float32(self.low))

    def learnt(self, values: np.ndarray) -> np.ndarray:
        """Tell which raw values the model learns from; the others only keep items out of lists."""
        return np.ones(len(values), bool) if self.liked_from is None else values != 0


def scale_of(model: Factors) -> Scale:
    """Return a model's scale: that of its training data if those are ratings, otherwise stars with likes."""
    sample = model.seen.data[:_SAMPLE]
    bounds = model.objective.scale if model.objective.goal == "rating" else None
    if isinstance(model.preparation, Stars):
        bounds = model.preparation.low, model.preparation.high
    if bounds is not None and bounds[0] < bounds[1]:
        return Scale(*bounds, step=_step(sample))
    likes = sample[sample > 0]
    return Scale(*STARS, step=1.0, liked_from=LIKED_FROM, like=float(np.median(likes)) if len(likes) else 1.0)


def _step(values: np.ndarray) -> float:
    """Return the largest usual step that all values are multiples of."""
    for step in (1.0, 0.5, 0.25):
        if not np.any(values % step):
            return step
    return 0.1
