"""Where a model comes from: solver and settings, data, time, figures on held-out data."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["Figure", "Origin", "Trial"]

Figure: TypeAlias = tuple[float, float, float]
"""A mean, and the bounds of its 95 % interval."""


@dataclass(frozen=True)
class Trial:
    """How a model did on ratings that were held out from it, beside a baseline and the model before it.

    Parameters
    ----------
    metric : str
        What all figures are of, such as ``"ndcg@10"``.
    held_out : {"newest", "random"}
        Whether the latest ratings were held out, or random ones, where the data have no times.
    n_test, n_users : int
        How many ratings were held out, and of how many users.
    figure : (float, float, float)
        The model's mean, and the bounds of its 95 % interval.
    baseline : (float, float, float), optional
        That of popular items, or of biases alone for predicted ratings.
    before : (float, float, float), optional
        That of the model before, with the same ratings taken up.
    difference : (float, float, float), optional
        Of the model and the one before it, user by user.
    p_value : float, optional
        How often chance alone makes a difference at least so large.
    worse : bool
        Whether the model is significantly worse than the one before.
    """

    metric: str
    held_out: str
    n_test: int
    n_users: int
    figure: Figure
    baseline: Figure | None = None
    before: Figure | None = None
    difference: Figure | None = None
    p_value: float | None = None
    worse: bool = False

    def __post_init__(self) -> None:
        texts, counts = (self.metric, self.held_out), (self.n_test, self.n_users)
        if not all(isinstance(text, str) for text in texts) or not all(type(count) is int for count in counts):
            raise TypeError("the trial of the model does not say what was measured")
        for name in ("figure", "baseline", "before", "difference"):
            if name == "figure" or getattr(self, name) is not None:
                object.__setattr__(self, name, _figure(getattr(self, name)))  # from a file it comes as a list
        if self.p_value is not None:
            _figure([self.p_value] * 3)
        if not isinstance(self.worse, bool):
            raise TypeError("the trial of the model does not say whether it is worse")


@dataclass(frozen=True)
class Origin:
    """Where a model comes from: solver and settings, data, time, library version, figures on held-out data.

    ``period`` is the first and the last time of the training data, in seconds since 1970; None where they have no
    times, or the model was made before this was kept. ``store`` is, after a refit, the name of the ratings store and
    the number of its last write that the model learnt from. ``trial`` is how it did on ratings that were held out, and
    ``asked_by`` who asked for the training, where that is known.
    """

    solver: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""
    trained_at: str = ""
    version: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    period: tuple[float, float] | None = None
    store: tuple[str, int] | None = None
    trial: Trial | None = None
    asked_by: str = ""

    def __post_init__(self) -> None:
        given: Any = self.trial
        if isinstance(given, Mapping):  # from a file
            object.__setattr__(self, "trial", Trial(**given))
        if self.store is not None:
            name, revision = self.store
            object.__setattr__(self, "store", (str(name), int(revision)))
        if self.period is not None:
            object.__setattr__(self, "period", _checked(self.period))  # from a file it comes as a list

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it; without a trial, as it was before there were any."""
        stored = dataclasses.asdict(self)
        for name in ("trial", "asked_by"):
            if not stored[name]:
                del stored[name]
        return stored


def _checked(period: Any) -> tuple[float, float]:
    first, last = period
    if any(isinstance(end, bool) or not isinstance(end, int | float) for end in (first, last)):
        raise TypeError("the period of the training data is not made of numbers")
    return (first, last)


def _figure(stored: Any) -> Figure:
    mean, low, high = stored
    for number in (mean, low, high):
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise TypeError("the trial of the model is not made of numbers")
    return float(mean), float(low), float(high)
