"""Is one model better than another: a paired test over the users, both measured on the same held-out ratings."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.errors import SettingError
from cofactor.evaluation.metrics import ErrorMetric, finished, label_of, metric_of
from cofactor.evaluation.per_user import Column, Pairs, PerUser, percentiles, sums_of
from cofactor.evaluation.report import Report

__all__ = ["Difference", "Verdict", "better", "difference_of", "paired", "verdict"]

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

    If both were equally good, each user's two results could as well be exchanged. So they are exchanged at random,
    9,999 times from a fixed seed, and the p-value is the share of exchanges, the given order among them, with a
    difference at least as large: Fisher's randomization test as Smucker, Allan and Carterette (2007), A Comparison of
    Statistical Significance Tests for Information Retrieval Evaluation, recommend it.

    Parameters
    ----------
    a, b : Report
        Of the same users, held-out ratings, relevance and protocol. Users who have no value in one are left out.
    metric : str
        Such as ``"ndcg@10"`` or ``"rmse"``; one that users have a value of.

    Returns
    -------
    Difference

    Raises
    ------
    SettingError
        If a report lacks the metric, or the two were measured on other users or ratings, or in another way.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.evaluation import better, evaluate
    >>> from cofactor.solvers import ImplicitALS, Popularity
    >>> train, test = cf.load_dataset("synthetic:200x80x4000").split_random(test_fraction=0.2, seed=0)
    >>> personal, popular = (evaluate(s.fit(train), test) for s in (ImplicitALS(rank=4, seed=0), Popularity()))
    >>> difference = better(personal, popular, "ndcg@10")
    >>> difference.low < difference.mean < difference.high, difference.n_users
    (True, 168)
    """
    parts = _parts_of(*paired(a, b, metric))
    if not len(parts):
        raise SettingError(f"no user has a value of {metric} in both reports: nothing can be compared")
    mean, low, high = _interval_of(metric, parts)
    exchanged = _difference(metric, _exchanged_sums(parts))
    as_large = np.count_nonzero(np.abs(exchanged) >= abs(mean) * (1 - 1e-9) - 1e-15)
    return Difference(metric, mean, low, high, (as_large + 1) / (FLIPS + 1), len(parts))


def difference_of(metric: str, one: Column, two: Column) -> tuple[float, float, float]:
    """Return how far one column of a metric is from another, of the same users, with its 95 % interval over them.

    Returns
    -------
    float, float, float
        The difference, and the bounds of its interval; NaN if no user has a value in both.
    """
    parts = _parts_of(one, two)
    return _interval_of(metric, parts) if len(parts) else (np.nan, np.nan, np.nan)


def _parts_of(one: Column, two: Column) -> np.ndarray:
    """Return both columns of the users who have a value in both: shape (users, 4)."""
    both = (one.weight > 0) & (two.weight > 0)
    return np.column_stack([part[both] for part in (*one, *two)])


def _interval_of(metric: str, parts: np.ndarray) -> tuple[float, float, float]:
    mean = float(_difference(metric, parts.sum(axis=0)))
    return mean, *percentiles(_difference(metric, sums_of(parts)), 0.95)


@dataclass(frozen=True)
class Verdict:
    """Which of two models is better, in a metric of which one direction is.

    Parameters
    ----------
    name, other : str
        What the two are called.
    value, other_value : float
        Their figures.
    found : Difference
        The first minus the second.
    """

    name: str
    other: str
    value: float
    other_value: float
    found: Difference

    @property
    def higher_is_better(self) -> bool:
        """Which direction is better."""
        metric = metric_of(self.found.metric)
        return metric is None or metric.better != "lower"

    @property
    def sign(self) -> int:
        """1 if the first is better, -1 if it is worse, 0 if the interval does not exclude that they are equal."""
        if self.found.low <= 0 <= self.found.high:
            return 0
        return 1 if (self.found.mean > 0) == self.higher_is_better else -1

    @property
    def who(self) -> str:
        """Say who is better."""
        if self.sign:
            return f"{self.name} is {'better' if self.sign > 0 else 'worse'} than {self.other}"
        return f"No clear difference between {self.name} and {self.other}"

    @property
    def by_how_much(self) -> str:
        """Say by how much, with the interval and the direction."""
        found, better_is = self.found, "higher" if self.higher_is_better else "lower"
        values = f"{label_of(found.metric)} {self.value:.4f} against {self.other_value:.4f}"
        between = f"{found.mean:+.4f} (95 % interval {found.low:+.4f} to {found.high:+.4f})".replace("-", "−")
        return f"{values}, {between}; {better_is} is better"

    def __str__(self) -> str:
        return f"{self.who}: {self.by_how_much}."

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        found = self.found
        figures = {"metric": found.metric, "value": self.value, "other_value": self.other_value}
        tested = {"difference": found.mean, "interval": [found.low, found.high], "p_value": found.p_value}
        return {"model": self.name, "against": self.other, "said": str(self), **figures, **tested}


def verdict(a: Report, b: Report, metric: str, name: str, other: str) -> Verdict:
    """Say which of two models is better in a metric; see `better`, whose reports and errors these are."""
    return Verdict(name, other, a[metric], b[metric], better(a, b, metric))


def paired(a: Report, b: Report, metric: str) -> tuple[Column, Column]:
    """Return a metric in two reports on the same users and held-out ratings, in the order of the first's users.

    Raises
    ------
    SettingError
        If a report lacks the metric, or the two were measured on other users or ratings, or in another way.
    """
    one, two = a.measured_users(), b.measured_users()
    for users in (one, two):
        if metric not in users.columns:
            raise SettingError(f"no per-user {metric!r}; available: {', '.join(users.columns)}")
    if not isinstance(metric_of(metric), ErrorMetric):
        _check_lists(a, b)
    order = _order(one, two)
    _check_pairs(one, two, order, values=isinstance(metric_of(metric), ErrorMetric) or a.relevant_from is not None)
    return one.columns[metric], Column(*(part[order] for part in two.columns[metric]))


def _check_lists(a: Report, b: Report) -> None:
    """Refuse lists that were measured in different ways."""
    if a.protocol != b.protocol:
        raise SettingError(f"one report is of {a.protocol!r}, the other of {b.protocol!r}: measure both alike")
    if a.relevant_from != b.relevant_from:
        kinds = ["every rating" if r.relevant_from is None else f"ratings from {r.relevant_from:g}" for r in (a, b)]
        raise SettingError(f"{kinds[0]} were relevant in one report, {kinds[1]} in the other: measure both alike")


def _order(one: PerUser, two: PerUser) -> np.ndarray:
    """Return where the second report has the users of the first."""
    if one.users.equals(two.users):
        return np.arange(len(one.users))
    if one.users.dtype != two.users.dtype:
        raise SettingError(f"the user ids are {one.users.dtype} in one report and {two.users.dtype} in the other")
    rows = pl.DataFrame({"user": two.users}).with_row_index("row")
    order = pl.DataFrame({"user": one.users}).join(rows, on="user", how="left", maintain_order="left")["row"]
    if order.null_count() or len(one.users) != len(two.users):
        both = len(order) - order.null_count()
        raise SettingError(
            f"the reports are of different users, {len(one.users):,} and {len(two.users):,}, of whom {both:,} are in "
            "both: evaluate both models on the same test part, and train them on the same part or evaluate with "
            'on_unknown="popular", so that the same users are measured'
        )
    return order.to_numpy().astype(np.int64)


def _check_pairs(one: PerUser, two: PerUser, order: np.ndarray, *, values: bool) -> None:
    """Refuse reports on different held-out ratings: other pairs, and if ``values`` matter, other values."""
    same = bool(np.array_equal(one.n_test, two.n_test[order]))
    if same and one.pairs is not None and two.pairs is not None:
        same = _same_pairs(one.pairs, two.pairs, order, values)
    if not same:
        raise SettingError(
            "the reports are of different held-out ratings: evaluate both models on the same test part, with the same "
            "items in their training data"
        )


def _same_pairs(one: Pairs, two: Pairs, order: np.ndarray, values: bool) -> bool:
    ours, theirs = one.matrix, two.matrix
    if one.items != two.items or not np.array_equal(order, np.arange(len(order))):
        rows = np.arange(len(two.items)) if one.items == two.items else one.items.find(two.items.ids)
        theirs = theirs[order]
        indices = rows[theirs.indices]
        if (indices < 0).any():
            return False
        theirs = sparse.csr_array((theirs.data, indices, theirs.indptr), shape=ours.shape)
        theirs.sort_indices()
    if not np.array_equal(ours.indices, theirs.indices):
        return False
    return bool(np.array_equal(ours.data, theirs.data) if values else np.array_equal(ours.data != 0, theirs.data != 0))


def _difference(metric: str, sums: np.ndarray) -> np.ndarray:
    """Return the difference of two figures, each given by a total and a weight: sums of shape (…, 4)."""
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
