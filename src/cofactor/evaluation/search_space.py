"""Which settings of a solver are tried, and within which bounds, derived from the names of its fields."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from cofactor.data.times import duration
from cofactor.errors import SettingError

__all__ = ["Choices", "Range", "Space", "check_known", "field_types", "search_space", "time_space", "value_of"]


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; with ``log``, each doubling is as likely as another.

    With ``balanced``, they are weights of a penalty as they would be at the solver's default ``nu``; a trial with
    another ``nu`` gets the weight that is as heavy on an average row. Otherwise most trials would be spent on penalties
    that are far too light or too heavy.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False
    balanced: bool = False

    def holds(self, value: Any) -> bool:
        """Return whether a value lies in it."""
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choices:
    """Some values, without an order."""

    values: tuple[Any, ...]

    def holds(self, value: Any) -> bool:
        """Return whether a value is one of them."""
        return value in self.values


Space: TypeAlias = Mapping[str, Range | Choices]
"""What to try for each setting that is searched."""

_FACTORS = {"rank": 4, "regularization": 10, "unobserved_weight": 10, "learning_rate": 10, "negatives": 4}
"""How many times more, or less, than the default is tried; all on a log axis."""

_BOUNDS = {"nu": (0.0, 1.0)}
"""Settings whose meaning gives their bounds."""

_REPETITIONS = ("epochs", "sweeps")
"""Up to twice the default; sweeps at least half of it, epochs any number, since the best is chosen along the way."""

_MOST = {"unobserved_weight": 1.0}
"""The weight of an unobserved pair is relative to 1 for an observed one."""

_NEVER = {
    "seed": "it would pick a lucky number; average over seeds instead",
    "patience": "the epochs are chosen on the validation part already",
    "validation_fraction": "tuning holds out validation parts of its own",
    "method": "it changes how long a fit takes rather than what it finds",
}


_RECENCIES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.4)
_HALF_LIVES = ("3d", "7d", "14d", "30d", "90d", "365d", "1000d")
_TRENDS = ("12h", "1d", "2d", "3d", "5d", "7d", "14d", "30d", "90d")


def time_space(split: str, span: float) -> Space:
    """Return what to try for the settings of time, for a held-out part that comes after what is learnt from.

    Parameters
    ----------
    split : str
        With "time" and "rolling" all of them; with "last" how much the latest choices of a user count, since each
        user's last one is of another time. With other splits the held-out part is of all times, and nothing can be
        told.
    span : float
        From the first to the last time of the training data, in seconds: half-lives of up to a half of it, and trends
        of up to a fifth are tried.

    Examples
    --------
    >>> time_space("time", 60 * 86_400)["half_life"].values
    (None, '3d', '7d', '14d', '30d')
    """
    if split == "last":
        return {"recency": Choices(_RECENCIES)}
    if split not in ("time", "rolling"):
        return {}
    lengths = {"half_life": (_HALF_LIVES, 2), "trend": (_TRENDS, 5)}
    space: dict[str, Range | Choices] = {
        name: Choices((None, *(length for length in all_of if duration(length) <= span / share)))
        for name, (all_of, share) in lengths.items()
    }
    return {**space, "recency": Choices(_RECENCIES), "trend_weight": Range(1.0, 10.0, log=True)}


def search_space(
    solver: Any,
    given: Mapping[str, Any] | None = None,
    fixed: Sequence[str] = (),
    also: Space | None = None,
    *,
    alone: bool = True,
) -> Space:
    """Derive what to try from a solver's fields, by their names and types.

    Ranks go from a quarter to four times the default, regularization, learning rates and the weight of unseen pairs
    by ten around it (log-uniform), the exponent ``nu`` from 0 to 1, epochs up to twice the default. Fields of
    other names, choices such as a loss among them, are searched only where they are given. What is given is all that
    is searched.

    Parameters
    ----------
    solver : type or solver
        A solver's class, or one whose settings stand for the defaults.
    given : mapping of str to tuple or list, optional
        For the fields to search a range ``(low, high)`` or a list of choices, instead of all that would be derived.
    fixed : sequence of str
        Fields that are not searched.
    also : mapping of str to Range or Choices, optional
        What to try for further fields, where the solver has them; see `time_space`.
    alone : bool
        Whether what is given is all that is searched. Before version 0.2 it was not.

    Returns
    -------
    mapping of str to Range or Choices

    Raises
    ------
    SettingError
        If a field is not known, must not be searched, is both given and fixed, or its range is none.

    Examples
    --------
    >>> from cofactor.solvers.als import ImplicitALS
    >>> list(search_space(ImplicitALS, fixed=["epochs"]))
    ['rank', 'regularization', 'unobserved_weight', 'nu']
    >>> search_space(ImplicitALS, {"rank": (16, 256)})["rank"].high
    256
    """
    given = given or {}
    usual = solver() if isinstance(solver, type) else solver
    kinds = field_types(type(usual))
    check_known(type(usual), [*given, *fixed])
    for name in given:
        if name in _NEVER:
            raise SettingError(f"{name} is not to be searched: {_NEVER[name]}")
        if name in fixed:
            raise SettingError(f"{name} is both fixed and to be searched: choose one")
    space: dict[str, Range | Choices] = {}
    for name in kinds:
        if name in given:
            space[name] = _as_given(name, given[name], kinds[name])
        elif given and alone:
            continue
        elif also and name in also and name not in fixed:
            space[name] = also[name]
        elif (
            name not in fixed and name not in _NEVER and (derived := _derived(name, value_of(usual, name), kinds[name]))
        ):
            space[name] = derived
    return space


def value_of(solver: Any, name: str) -> Any:
    """Return a setting of a solver; if it is None, the value that the solver's ``strengths`` name for it."""
    value = getattr(solver, name)
    return getattr(getattr(solver, "strengths", None), name, None) if value is None else value


def check_known(solver: type[Any], names: Sequence[str]) -> None:
    """Refuse names that are not fields of a solver."""
    known = [field.name for field in dataclasses.fields(solver)]
    for name in names:
        if name not in known:
            raise SettingError(f"{solver.__name__} has no setting {name!r}: it has {', '.join(known) or 'none'}")


def field_types(solver: type[Any]) -> dict[str, Any]:
    """Return the type of each field, without the None that some may be."""
    hints = typing.get_type_hints(solver)
    return {field.name: _without_none(hints[field.name]) for field in dataclasses.fields(solver)}


def _without_none(kind: Any) -> Any:
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        inner = [part for part in typing.get_args(kind) if part is not type(None)]
        return inner[0] if len(inner) == 1 else Any
    return kind


def _derived(name: str, default: Any, kind: Any) -> Range | None:
    if kind not in (int, float) or not isinstance(default, int | float):
        return None
    ending = _ending(name)
    if ending in _BOUNDS:
        return Range(*_BOUNDS[ending])
    if ending in _REPETITIONS and kind is int:
        return Range(1 if ending == "epochs" else max(1, default // 2), 2 * default, log=True, whole=True)
    if ending not in _FACTORS or default <= 0:
        return None
    low, high = default / _FACTORS[ending], min(default * _FACTORS[ending], _MOST.get(ending, math.inf))
    if kind is int:
        return Range(max(1, round(low)), round(high), log=True, whole=True)
    return Range(low, high, log=True, balanced=ending == "regularization")


def _ending(name: str) -> str:
    """Return the name under which a field's bounds are listed: every regularization has the same."""
    return "regularization" if name.endswith("_regularization") else name


def _as_given(name: str, given: Any, kind: Any) -> Range | Choices:
    if isinstance(given, list):
        return _choices(name, given, kind)
    if not isinstance(given, tuple) or len(given) != 2:
        raise SettingError(f"{name}: {given!r} is neither a range (low, high) nor a list of choices")
    low, high = given
    number = int if kind is int else (int, float)
    right = kind in (int, float) and all(isinstance(end, number) and not isinstance(end, bool) for end in given)
    if not right or not math.isfinite(low) or not math.isfinite(high) or not low < high:
        whole = " of whole numbers" if kind is int else ""
        remedy = f"a range{whole} (low, high) goes up" if kind in (int, float) else "give a list of choices"
        raise SettingError(f"{name}: {given!r} is no range to search: {remedy}")
    return Range(low, high, log=low > 0 and _spread(name, high / low), whole=kind is int)


def _spread(name: str, ratio: float) -> bool:
    """Return whether a range is searched on a log axis, as derived ones are, and other wide ones."""
    ending = _ending(name)
    return ending in _FACTORS or ending in _REPETITIONS or (ending not in _BOUNDS and ratio >= 100)


def _choices(name: str, given: list[Any], kind: Any) -> Choices:
    if typing.get_origin(kind) is Literal:
        for value in given:
            if value not in typing.get_args(kind):
                allowed = " or ".join(map(repr, typing.get_args(kind)))
                raise SettingError(f"{name}: {value!r} is no choice: it must be {allowed}")
    if len(given) < 2 or len(set(map(repr, given))) < len(given):
        raise SettingError(f"{name}: {given!r} is nothing to choose from: list two or more values, each once")
    if any(not isinstance(value, bool | int | float | str | None) for value in given):
        raise SettingError(f"{name}: choices must be numbers, texts, True, False or None")
    return Choices(tuple(given))
