"""What every solver has in common: the protocol, the report of an epoch, the checks before a fit."""

import dataclasses
import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np

from cofactor.data.interactions import Interactions
from cofactor.errors import DataError, SettingError
from cofactor.model.factors import Factors, Origin
from cofactor.version import __version__

__all__ = ["Callback", "Epoch", "Solver", "check_settings", "check_train", "origin_of"]


@dataclass(frozen=True)
class Epoch:
    """One epoch's report: its number from 1, how many are planned, and the figures so far."""

    number: int
    planned: int
    metrics: Mapping[str, float]


Callback: TypeAlias = Callable[[Epoch], None]
"""Called after every epoch; whatever it raises ends the fit."""


class Solver(Protocol):
    """A frozen dataclass of settings that learns `Factors` from `Interactions`."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def fit(self, train: Interactions, *, callback: Callback | None = None) -> Factors:
        """Learn vectors for every user and item of ``train``."""
        ...


def check_train(train: Interactions) -> None:
    """Refuse data that nothing can be learnt from.

    Raises
    ------
    DataError
        If there is no interaction at all.
    """
    if not len(train):
        raise DataError("there are no interactions to learn from: check the file, or the split")


def check_settings(solver: Any, **least: float) -> None:
    """Refuse settings below the least value each may have, and such as are not finite numbers.

    Raises
    ------
    SettingError
        Naming the setting, its value and the least.
    """
    for name, bound in least.items():
        value = getattr(solver, name)
        if value is None:
            continue
        whole = isinstance(bound, int)
        right_type = isinstance(value, int | np.integer) if whole else isinstance(value, int | float | np.number)
        if isinstance(value, bool) or not right_type or not np.isfinite(value) or value < bound:
            number = "a whole number" if whole else "a number"
            raise SettingError(f"{type(solver).__name__}({name}={value!r}): it must be {number} of at least {bound}")


def origin_of(solver: Any, train: Interactions) -> Origin:
    """Return where a model comes from, for its file and its card."""
    settings = {field.name: getattr(solver, field.name) for field in dataclasses.fields(solver)}
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return Origin(type(solver).__name__, settings, train.name, now, __version__)
