"""Which of two models people like better, by what they did with the lists that they were shown."""

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from scipy import stats

from cofactor.errors import DataError, SettingError
from cofactor.evaluation.sequential import always_valid_reach

__all__ = ["OnlineDifference", "OnlineReport", "Rate", "online"]

LEAST_USERS = 50
"""From how many users of each arm on an always-valid interval is given."""

LEAST_DONE = 40
"""An always-valid interval is as wide as if at least so many users had done it once: it is asymptotic, and where
something is rare, its variance is not known before."""

_RATES = {
    "chosen per list": ("any_chosen", "lists"),
    "chosen per item": ("chosen", "shown"),
    "dismissed per list": ("any_dismissed", "lists"),
}
_GOAL, _HARM = "chosen per list", "dismissed per list"
_PREFERENCE = "preference for B"
_NEEDED = ("list_id", "time", "user", "experiment", "arm", "item", "team", "shown", "chosen", "dismissed")


@dataclass(frozen=True)
class Rate:
    """How often something was done in one arm, with the 95 % interval over users for a single look."""

    metric: str
    arm: str
    mean: float
    low: float
    high: float
    n_users: int
    n_lists: int


@dataclass(frozen=True)
class OnlineDifference:
    """How far B is from A in a rate.

    Parameters
    ----------
    metric : str
        The rate; or ``"preference for B"``, of interleaved lists: the lists that B won less those that A won, over all
        that one of them won. A list is won by whose items more were chosen of.
    mean, low, high : float
        B's rate minus A's, over all users and lists, with the interval for a single look at a time fixed before.
    always_mean, always_low, always_high : float
        The same over users in the order in which they came, each with the lists of their first ``window``, once that
        is over; the interval holds at all looks. Without bounds (infinite) while there are too few.
    n_users, n_complete : int
        Users in the first, and in the second.
    """

    metric: str
    mean: float
    low: float
    high: float
    always_mean: float
    always_low: float
    always_high: float
    n_users: int
    n_complete: int


@dataclass(frozen=True)
class OnlineReport:
    """What people did with the lists of two models, or of one.

    Parameters
    ----------
    rates : tuple of Rate
    differences : tuple of OnlineDifference
        Empty where one arm has no list that was shown.
    preference : OnlineDifference, optional
        Of interleaved lists.
    n_switched : int
        Users who had lists of more than one arm, as when the share was changed; they are left out.
    """

    rates: tuple[Rate, ...]
    differences: tuple[OnlineDifference, ...]
    preference: OnlineDifference | None
    n_switched: int

    @property
    def harmful(self) -> bool:
        """Whether B should be stopped: fewer of its lists are chosen from, or more are waved off, at any look."""
        below = [one for one in self.differences if one.metric == _GOAL and one.always_high < 0]
        above = [one for one in self.differences if one.metric == _HARM and one.always_low > 0]
        lost = self.preference is not None and self.preference.always_high < 0
        return bool(below or above) or lost

    @property
    def better(self) -> bool:
        """Whether B is better, at any look: more of its lists are chosen from, or it wins interleaved lists."""
        won = self.preference is not None and self.preference.always_low > 0
        return not self.harmful and (won or any(one.metric == _GOAL and one.always_low > 0 for one in self.differences))

    @property
    def verdict(self) -> str:
        """One sentence; whoever acts by it may look as often as they like."""
        if not self.differences and self.preference is None:
            return "There is one arm only, so there is nothing to compare."
        if self.harmful:
            return "B is worse for people: stop it."
        return (
            "B is better for people."
            if self.better
            else "No difference is certain yet: go on, or stop for other reasons."
        )


def online(
    lists: Any, *, served: bool = False, window: datetime.timedelta = datetime.timedelta(days=1),
    experiment: str | None = None, best_at: int = 1_000,
) -> OnlineReport:  # fmt: skip
    """Compare what people did with the lists of two models.

    Users were split, so users are what is counted: a rate is a ratio of two sums over users, and its interval comes
    from the users' deviations from it (the delta method), however many lists each had. Two kinds of intervals are
    given, both of 95 %: one for a single look at a time that was fixed before, and one that holds at all looks together
    (`sequential.always_valid_reach`). Whoever looks often, and stops by what they see, goes by the second.

    **Reference.** Deng, Knoblich and Lu (2018), Applying the Delta Method in Metric Analytics, for ratios over users;
    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), Time-uniform central limit theory and asymptotic confidence
    sequences; Radlinski, Kurup and Joachims (2008), How Does Clickthrough Data Reflect Retrieval Quality?, for
    interleaved lists.

    Parameters
    ----------
    lists : data frame
        A row for each position of each list, with the columns list_id, time, user, experiment, arm, item, team, and
        whether it was shown, chosen and dismissed; as ``cofactor online --output`` writes them. Lists without a user
        are left out.
    served : bool
        Count each list as shown that was served, where nobody tells what was shown.
    window : datetime.timedelta
        How long after a user's first list what they do counts for the always-valid intervals.
    experiment : str, optional
        Which split to measure; the latest if not given.
    best_at : int
        The number of users at which always-valid intervals are narrowest. Choose it before you look.

    Raises
    ------
    DataError
        If a column is missing.
    SettingError
        If no list of a user was shown, or there is no such experiment.
    """
    by_list, n_switched = _lists_shown(lists, served, experiment)
    ends = by_list["time"].max()
    split, mixed = by_list.filter(pl.col("arm") != "AB"), by_list.filter(arm="AB")
    arms = {str(arm): _Users.of(split.filter(arm=arm)) for arm in split["arm"].unique().sort()}
    sizes = dict(split.group_by("arm").len().iter_rows())
    rates = [
        Rate(name, arm, *users.ratio(top, base).interval(), len(users), sizes[arm])
        for name, (top, base) in _RATES.items()
        for arm, users in arms.items()
    ]
    differences = []
    if len(arms) == 2:
        first = {arm: _Users.of(_within(split.filter(arm=arm), window, ends)) for arm in arms}
        for name, (top, base) in _RATES.items():
            every, complete = ([some[arm].ratio(top, base) for arm in ("B", "A")] for some in (arms, first))
            differences.append(_difference(name, every, complete, best_at))
    preference = None
    if len(mixed):
        both = [[_Users.of(some).ratio("win", "decided")] for some in (mixed, _within(mixed, window, ends))]
        preference = _difference(_PREFERENCE, both[0], both[1], best_at)
    return OnlineReport(tuple(rates), tuple(differences), preference, n_switched)


class _Ratio(NamedTuple):
    """A ratio of two sums over users, how far each user's part is from it, and how far one more would move a part."""

    mean: float
    parts: np.ndarray
    once: float = float("nan")

    def interval(self) -> tuple[float, float, float]:
        return _single_look([self])


class _Users:
    """What each user of an arm did: sums over lists."""

    def __init__(self, sums: pl.DataFrame) -> None:
        self._sums = sums

    @classmethod
    def of(cls, by_list: pl.DataFrame) -> "_Users":
        kept = pl.col("lists", "shown", "chosen", "any_chosen", "any_dismissed", "win", "decided")
        return cls(by_list.group_by("user", maintain_order=True).agg(kept.sum()))

    def __len__(self) -> int:
        return len(self._sums)

    def ratio(self, top: str, base: str) -> _Ratio:
        done, times = (self._sums[name].to_numpy().astype(np.float64) for name in (top, base))
        total = times.sum()
        if not total:
            return _Ratio(float("nan"), np.full(len(times), np.nan))
        mean = float(done.sum() / total)
        return _Ratio(mean, (done - mean * times) * len(times) / total, len(times) / total)


def _single_look(ratios: list[_Ratio]) -> tuple[float, float, float]:
    """Return a ratio, or the first less the second, with the bounds of its usual interval."""
    mean = ratios[0].mean - (ratios[1].mean if len(ratios) > 1 else 0.0)
    sizes = np.array([len(one.parts) for one in ratios])
    if sizes.min() < 2:
        return mean, float("-inf"), float("inf")
    shares = np.array([one.parts.var(ddof=1) / len(one.parts) for one in ratios])
    total = float(shares.sum())
    freedom = total**2 / float((shares**2 / (sizes - 1)).sum()) if total > 0 else 1.0
    reach = float(stats.t.ppf(0.975, freedom)) * total**0.5
    return mean, mean - reach, mean + reach


def _difference(metric: str, every: list[_Ratio], complete: list[_Ratio], best_at: int) -> OnlineDifference:
    n = sum(len(one.parts) for one in complete)
    mean = complete[0].mean - (complete[1].mean if len(complete) > 1 else 0.0)
    reach = float("inf")
    if min(len(one.parts) for one in complete) >= LEAST_USERS and np.isfinite(mean):
        sums = [max(float((one.parts**2).sum()), LEAST_DONE * one.once**2) for one in complete]
        squares = sum(total * (n / len(one.parts)) ** 2 for total, one in zip(sums, complete, strict=True))
        reach = always_valid_reach(n, (squares / n) ** 0.5, best_at=best_at)
    n_users = sum(len(one.parts) for one in every)
    return OnlineDifference(metric, *_single_look(every), mean, mean - reach, mean + reach, n_users, n)


def _within(by_list: pl.DataFrame, window: datetime.timedelta, ends: Any) -> pl.DataFrame:
    """Return the lists of each user's first time, of users for whom that is over."""
    first = pl.col("time").min().over("user")
    return by_list.filter((pl.col("time") < first + window) & (first + window <= ends))


def _lists_shown(lists: Any, served: bool, experiment: str | None) -> tuple[pl.DataFrame, int]:
    """Return a row for each list that was shown, and how many users were left out since they had several arms."""
    from cofactor.data.frames import as_polars  # brings narwhals

    frame = as_polars(lists)
    if missing := [name for name in _NEEDED if name not in frame.columns]:
        raise DataError(
            f"the lists lack the column {missing[0]!r}: 'cofactor online STORE -o FILE' writes all that is needed"
        )
    frame = frame.filter(pl.col("user").is_not_null())
    frame = (
        frame.with_columns(shown=pl.lit(True))
        if served
        else frame.filter(pl.col("shown") | pl.col("chosen") | pl.col("dismissed"))
    )
    if frame.is_empty():
        raise SettingError(
            "no list of a user was told to be shown: send 'shown' events, or count every list that was served with "
            "served=True"
        )
    names = frame.sort("time")["experiment"]
    wanted = names[-1] if experiment is None else experiment
    if wanted not in set(_unique(names)):
        raise SettingError(
            f"no list is of the experiment {wanted!r}; there are: {', '.join(map(repr, _unique(names)))}"
        )
    frame = frame.filter(experiment=wanted)
    n_arms = pl.col("arm").n_unique().over("user")
    n_switched = frame.filter(n_arms > 1)["user"].n_unique()
    won = pl.col("chosen").filter(pl.col("team") == "B").sum().cast(pl.Int64) - pl.col("chosen").filter(
        pl.col("team") == "A"
    ).sum().cast(pl.Int64)
    by_list = frame.filter(n_arms == 1).group_by("list_id").agg(
        pl.col("user", "arm", "time").first(), lists=1, shown=pl.len(), chosen=pl.col("chosen").sum(),
        any_chosen=pl.col("chosen").any().cast(pl.Int64), any_dismissed=pl.col("dismissed").any().cast(pl.Int64),
        win=won.sign(), decided=won.sign().abs(),
    )  # fmt: skip
    return by_list.sort("time", "list_id"), n_switched


def _unique(names: pl.Series) -> Iterator[str]:
    return iter(names.unique().sort().to_list())
