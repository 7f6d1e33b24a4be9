"""Is one model better than another: a paired test over the users whom both were measured on."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from cofactor.errors import SettingError
from cofactor.evaluation.per_user import Column, PerUser, finished, percentiles, sums_of
from cofactor.evaluation.report import Report

__all__ = ["Difference", "better"]

FLIPS = 9_999
SEED = 20_260_102


@dataclass(frozen=True)
class Difference:
    """How far one model is from another in a metric.

    Parameters
    ----------
    metric : str
    mean : float
        The first model's figure minus the second's, over the users that both have. Of an error, less is better.
    low, high : float
        Bounds of the 95 % bootstrap interval over users.
    p_value : float
        How often chance alone makes a difference at least so large, either way.
    n_users : int
    """

    metric: str
    mean: float
    low: float
    high: float
    p_value: float
    n_users: int

    def __str__(self) -> str:
        bounds = f"{self.low:+.4f} to {self.high:+.4f}"
        return f"{self.metric} {self.mean:+.4f} ({bounds}), p = {self.p_value:.4f}, {self.n_users:,} users"


def better(a: Report, b: Report, metric: str) -> Difference:
    """Compare two models in one metric, user by user.

    If both were equally good, each user's two results might as well stand the other way round. So they are exchanged at
    random, 9,999 times from a fixed seed, and the p-value is the share of exchanges, the given order among them, with
    a difference at least as large: Fisher's randomization test as Smucker, Allan and Carterette (2007), A Comparison of
    Statistical Significance Tests for Information Retrieval Evaluation, recommend it.

    Parameters
    ----------
    a, b : Report
        Of the same test part and protocol. Users whom only one was measured on are left out.
    metric : str
        Such as ``"ndcg@10"`` or ``"rmse"``; one that is an average over users.

    Returns
    -------
    Difference

    Raises
    ------
    SettingError
        If one report has not the metric for each user, the protocols differ, or no user is in both.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.evaluation import better, evaluate
    >>> from cofactor.solvers import ImplicitALS, Popularity
    >>> train, test = cf.load_dataset("synthetic:200x80x4000").split_random(test_fraction=0.2, seed=0)
    >>> personal, popular = (evaluate(s.fit(train), test) for s in (ImplicitALS(rank=4, seed=0), Popularity()))
    >>> difference = better(personal, popular, "ndcg@10")
    >>> difference.low < difference.mean < difference.high, difference.n_users
    (True, 172)
    """
    if a.protocol != b.protocol:
        raise SettingError(f"one report is of {a.protocol!r}, the other of {b.protocol!r}: measure both alike")
    one, two = _paired(a, b, metric)
    n_users = len(one.total)
    if not n_users:
        raise SettingError(f"no user has {metric} in both reports: evaluate both models on the same test part")
    parts = np.column_stack([*one, *two])
    mean = float(_difference(metric, parts.sum(axis=0)))
    low, high = percentiles(_difference(metric, sums_of(parts)), 0.95)
    exchanged = _difference(metric, _exchanged_sums(parts))
    as_large = np.count_nonzero(np.abs(exchanged) >= abs(mean) * (1 - 1e-9) - 1e-15)
    return Difference(metric, mean, low, high, (as_large + 1) / (FLIPS + 1), n_users)


def _paired(a: Report, b: Report, metric: str) -> tuple[Column, Column]:
    """Return the metric of the users who have it in both reports, in one order."""
    one, two = a.measured_users(), b.measured_users()
    for users in (one, two):
        if metric not in users.columns:
            raise SettingError(f"{metric!r} was not measured of each user: {', '.join(users.columns)} were")
    places = _places(one, two)
    first = Column(*(part[places[:, 0]] for part in one.columns[metric]))
    second = Column(*(part[places[:, 1]] for part in two.columns[metric]))
    both = (first.weight > 0) & (second.weight > 0)
    return Column(*(part[both] for part in first)), Column(*(part[both] for part in second))


def _places(one: PerUser, two: PerUser) -> np.ndarray:
    """Return where the users that both have stand in each: shape (users, 2)."""
    if one.users.equals(two.users):
        return np.column_stack([np.arange(len(one.users))] * 2)
    if one.users.dtype != two.users.dtype:
        raise SettingError(f"the user ids are {one.users.dtype} in one report and {two.users.dtype} in the other")
    tables = (pl.DataFrame({"user": part.users}).with_row_index(name) for name, part in (("a", one), ("b", two)))
    first, second = tables
    joined = first.join(second, on="user", how="inner", maintain_order="left")
    return joined.select("a", "b").to_numpy().astype(np.int64)


def _difference(metric: str, sums: np.ndarray) -> np.ndarray:
    """Return how far the first pair of sums (…, 4) is from the second, each a total and a weight."""
    return finished(metric, sums[..., 0], sums[..., 1]) - finished(metric, sums[..., 2], sums[..., 3])


def _exchanged_sums(parts: np.ndarray) -> np.ndarray:
    """Sum after exchanging some users' first two parts with their last two, at random: (flips, 4)."""
    middle = (parts[:, :2] + parts[:, 2:]).sum(axis=0) / 2
    half = np.ascontiguousarray((parts[:, :2] - parts[:, 2:]).T) / 2
    random, sums = np.random.default_rng(SEED), np.empty((FLIPS, 4))
    for flipped in sums:
        signs = random.integers(0, 2, len(parts), dtype=np.int8) * 2.0 - 1
        moved = np.einsum("cu,u->c", half, signs)
        flipped[:2], flipped[2:] = middle + moved, middle - moved
    return sums
