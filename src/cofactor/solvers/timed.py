"""Settings of time that solvers share: decay; and for lists latest first and what is rising."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from cofactor.data.interactions import Interactions
from cofactor.data.times import Duration, duration, length_setting
from cofactor.data.timing import Timing, check_recency
from cofactor.errors import DataError, SettingError
from cofactor.model.factors import Factors, evolved, learnt_counts
from cofactor.model.fold_in import place_rows, toward_of
from cofactor.model.trend import extras_of
from cofactor.solvers.base import check_settings, unset_extras
from cofactor.solvers.solver_settings import Settings

__all__ = ["TIME_SETTINGS", "Decayed", "Timed", "in_time", "refuse_time", "timing_of"]


@dataclass(frozen=True, kw_only=True)
class Decayed(Settings):
    """What a solver makes of the age of each value. It needs data with times.

    Parameters
    ----------
    half_life : str, float or datetime.timedelta, optional
        The age at which a choice weighs half as much as the latest one, such as 30d; the least weight is 0.05.
    """

    half_life: Duration | None = None

    def __post_init__(self) -> None:
        _set_lengths(self, "half_life")


@dataclass(frozen=True, kw_only=True)
class Timed(Decayed):
    r"""What a solver for lists makes of time. Every setting needs data with times.

    With ``trend``, :math:`score = (\hat s_{ui} - \bar s_i) / \sigma_i + \beta \log(1 + \sum 2^{-a / trend})`. Mean and
    standard deviation of an item's score are over the users, the sum is over the ages of its choices. Biases and
    the mean have no part in it.

    Parameters
    ----------
    half_life : str, float or datetime.timedelta, optional
        The age at which a choice weighs half as much as the latest one, such as 30d; the least weight is 0.05.
    recency : float
        What each choice of a user weighs against the next later one when users are placed; 1 lets all count alike.
    trend : str, float or datetime.timedelta, optional
        The age at which a choice counts half as much for what is rising, such as 7d.
    trend_weight : float
        How much what is rising counts against the personal part of a score.
    """

    recency: float = 1.0
    trend: Duration | None = None
    trend_weight: float = 3.0

    @property
    def for_lists_alone(self) -> tuple[str, ...]:
        """The settings of time that are refused, since the solver as it is set predicts ratings."""
        return ()

    def __post_init__(self) -> None:
        _set_lengths(self, "half_life", "trend")
        check_recency(self.recency, "recency")
        object.__setattr__(self, "recency", float(self.recency))
        check_settings(self, trend_weight=0.0)


def _set_lengths(solver: Decayed, *settings: str) -> None:
    """Let settings that are lengths of time be what a model file can hold; raises SettingError for what is none."""
    for setting in settings:
        if getattr(solver, setting) is not None:
            object.__setattr__(solver, setting, length_setting(getattr(solver, setting), setting))


TIME_SETTINGS = tuple(field.name for field in dataclasses.fields(Timed))


def refuse_time(solver: Timed, *, instead: str) -> None:
    """Refuse settings of time that make sense for lists alone, for a solver that predicts ratings.

    Parameters
    ----------
    solver : Timed
    instead : str
        What makes the solver learn lists, as Python writes it.

    Raises
    ------
    SettingError
        Naming the first that is not at its default.
    """
    told = type(solver).__name__
    for name in solver.for_lists_alone:
        if name not in unset_extras(solver):
            raise SettingError(f"{name} is for lists, and {told} predicts ratings: leave it out, or set {instead}")


def timing_of(solver: Decayed, train: Interactions) -> Timing | None:
    """Return how a model of these data will heed time; None if the solver is not told to.

    Raises
    ------
    DataError
        If a setting needs times, and the data have none.
    """
    lists = solver if isinstance(solver, Timed) else Timed(half_life=solver.half_life)
    asked = [name for name in ("half_life", "trend") if getattr(lists, name) is not None]
    asked += ["recency"] * (lists.recency < 1)
    if not asked:
        return None
    if train.timestamps is None:
        raise DataError(
            f"{asked[0]} needs the times of the ratings, and the data have none: name their column when reading "
            f"(time=…), or leave {asked[0]} out"
        )
    timing = Timing(
        now=float(train.timestamps.max()),
        half_life=None if lists.half_life is None else duration(lists.half_life),
        recency=lists.recency,
        trend=None if lists.trend is None else duration(lists.trend),
        trend_weight=0.0 if lists.trend is None else lists.trend_weight,
    )
    return timing.measured(train.timestamps, train.array_store)


def in_time(model: Factors, timing: Timing | None, times: np.ndarray | None) -> Factors:
    """Return a trained model that heeds time: users placed by their latest choices, what is rising in scores.

    Parameters
    ----------
    model : Factors
    timing : Timing, optional
        As `timing_of` returned it.
    times : numpy.ndarray, shape (seen pairs,), optional
        Of the training data.
    """
    if timing is None:
        return model
    assert times is not None
    model = evolved(model, timing=timing, seen_times=times)
    if timing.recency < 1:
        toward = toward_of(model, "user", np.arange(model.n_users))
        placed = place_rows(model, model.seen, "user", times, toward=toward)
        model = evolved(model, user_vectors=placed.vectors, user_bias=placed.bias)
    if timing.trend is not None:
        levels = timing.levels(model.seen.indices, times, model.n_items)
        kept = extras_of(model.user_vectors, learnt_counts(model).by_user > 0, levels)
        model = evolved(model, extras={**model.extras, **kept})
    return model
