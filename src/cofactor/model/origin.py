"""Where a model comes from: solver and settings, data, time, figures on held-out data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Origin"]


@dataclass(frozen=True)
class Origin:
    """Where a model comes from: solver and settings, data, time, library version, figures on held-out data.

    ``period`` is the first and the last time of the training data, in seconds since 1970; None where they have no
    times, or the model was made before this was kept. ``store`` is, after a refit, the name of the ratings store and
    the number of its last write that the model learnt from.
    """

    solver: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""
    trained_at: str = ""
    version: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    period: tuple[float, float] | None = None
    store: tuple[str, int] | None = None

    def __post_init__(self) -> None:
        if self.store is not None:
            name, revision = self.store
            object.__setattr__(self, "store", (str(name), int(revision)))
        if self.period is not None:
            object.__setattr__(self, "period", _checked(self.period))  # from a file it comes as a list


def _checked(period: Any) -> tuple[float, float]:
    first, last = period
    if any(isinstance(end, bool) or not isinstance(end, int | float) for end in (first, last)):
        raise TypeError("the period of the training data is not made of numbers")
    return (first, last)
