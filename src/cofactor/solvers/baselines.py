"""Baselines for comparison: `Popularity`, `BiasOnly` and `PureSVD`."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from scipy import sparse

from cofactor.data.interactions import Interactions
from cofactor.data.passes import counts_of
from cofactor.data.preparation import Alike, AsGiven, Preparation, prepared
from cofactor.data.times import Duration, duration, length_setting, shown_length
from cofactor.errors import DataError, SettingError
from cofactor.model.factors import Factors
from cofactor.model.least_squares import Rows, solve_rows
from cofactor.model.objectives import Goal
from cofactor.model.objectives.complete import Complete
from cofactor.model.objectives.squared import SquaredError
from cofactor.solvers.base import (
    Callback,
    Epoch,
    check_choice,
    check_confidences,
    check_settings,
    check_train,
    origin_of,
    positives,
)
from cofactor.solvers.solver_settings import Settings

__all__ = ["BiasOnly", "Popularity", "PureSVD", "late_popularity"]


LATE = "7d"
"""The window of the popularity that models are compared with where there are times."""

_TIE = 1e-6
"""The weight of the popularity of all time beside that of late, so that it decides between equals only."""


@dataclass(frozen=True)
class Popularity(Settings):
    """The same ranking for everyone: the items that most users have, of all time or lately.

    **Model**: score = the share of users who have the item. With a window, the share among those users who have
    anything of that time; with a half-life, every interaction counts by its age. Items that are equal then are ordered
    by their popularity of all time.

    **Loss**: none.

    **Algorithm**: counting.

    **Reference**: Cremonesi, Koren, Turrin (2010), Performance of recommender algorithms on top-n recommendation tasks;
    with a window or a half-life: Ji, Sun, Zhang, Li (2020), A re-visit of the popularity baseline in recommender
    systems.

    Parameters
    ----------
    window : str, float or datetime.timedelta, optional
        Count only what happened in this time before the latest interaction, such as 7d.
    half_life : str, float or datetime.timedelta, optional
        The age at which an interaction counts half as much as the latest one, such as 7d.
    values : {"alike", "as given"}
        Whether every value above 0 counts 1, or values are weights.

    Examples
    --------
    >>> import cofactor as cf
    >>> plays = cf.load_dataset("synthetic:60x40x600")
    >>> Popularity().fit(plays).recommend([1], n=1)["position"].to_list()
    [1]
    >>> Popularity(window="7d").fit(plays).origin.settings["window"]
    '7d'
    """

    goal: ClassVar[Goal] = "ranking"

    window: Duration | None = None
    half_life: Duration | None = None
    values: Literal["alike", "as given"] = "alike"

    def __post_init__(self) -> None:
        check_choice(self, "values", ("alike", "as given"))
        for name in ("window", "half_life"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, length_setting(getattr(self, name), name))
        if self.window is not None and self.half_life is not None:
            raise SettingError("give either window=… or half_life=…, not both")

    @property
    def label(self) -> str:
        """What tables call it: its name, and of what time."""
        if self.window is not None:
            return f"Popularity of the last {shown_length(duration(self.window))}"
        if self.half_life is not None:
            return f"Popularity with a half-life of {shown_length(duration(self.half_life))}"
        return "Popularity"

    def fit(self, train: Interactions, *, callback: Callback | None = None) -> Factors:
        """Count how many users have each item.

        Raises
        ------
        DataError
            If there is nothing to count, no value is above 0, or times are needed and there are none.
        """
        check_train(train)
        preparation: Preparation = Alike() if self.values == "alike" else AsGiven()
        if self.values == "as given":
            check_confidences(train)
        learnt = positives(train)
        overall = counts_of(learnt.matrix.indices, train.n_items) / train.n_users
        return Factors(
            np.zeros((train.n_users, 0)),
            np.zeros((train.n_items, 0)),
            train.users,
            train.items,
            item_bias=self._shares(train, preparation, overall),
            seen=train.matrix,
            metadata=train.metadata,
            objective=Complete(goal="ranking"),
            origin=origin_of(self, train),
            preparation=preparation,
        )

    def _shares(self, train: Interactions, preparation: Preparation, overall: np.ndarray) -> np.ndarray:
        """Return the share of each item, from 0 to 1: its weight over the most that all users could give to one."""
        if self._length is None and self.values == "alike":
            return overall
        by_item, most = self._weights(train, preparation)
        if self._length is None:
            return by_item / most
        tie = 0.5 / (most + 1) if self.window is not None and self.values == "alike" else _TIE  # less than one user
        shares: np.ndarray = (1 - tie) * by_item / most + tie * overall
        return shares

    @property
    def _length(self) -> Duration | None:
        return self.half_life if self.window is None else self.window

    def _weights(self, train: Interactions, preparation: Preparation) -> tuple[np.ndarray, float]:
        """Sum the weights of each item's interactions; the sum over users of their greatest weight comes second."""
        matrix, latest = train.matrix, self._latest(train)
        by_item, most = np.zeros(train.n_items), 0.0
        for part in train.array_store.row_parts(np.diff(matrix.indptr)):
            first, last = (int(matrix.indptr[row]) for row in (part.start, part.stop))
            weights = preparation.apply(matrix.data[first:last]).astype(np.float64)
            if train.timestamps is not None and latest is not None:
                weights *= self._freshness(latest - train.timestamps[first:last])
            by_item += np.bincount(matrix.indices[first:last], weights=weights, minlength=train.n_items)
            starts = np.unique(matrix.indptr[part] - first)
            most += float(np.maximum.reduceat(weights, starts[starts < len(weights)]).sum()) if len(weights) else 0.0
        if not by_item.any():
            raise DataError("no value of the window is above 0, so there is nothing to count: give a longer window")
        return by_item, most

    def _latest(self, train: Interactions) -> float | None:
        if self._length is None:
            return None
        if train.timestamps is None:
            name = "half_life" if self.window is None else "window"
            raise DataError(
                f"{name}={self._length!r} needs the times of the interactions: name their column when reading (time=…)"
            )
        return float(train.timestamps.max())

    def _freshness(self, ages: np.ndarray) -> np.ndarray:
        """Return what interactions count by their age in seconds, beside what they count by their value."""
        if self.window is not None:
            return ages < duration(self.window, "window")
        fresh: np.ndarray = np.exp2(-ages / duration(self.half_life, "half_life"))
        return fresh


def late_popularity(train: Interactions) -> list[Popularity]:
    """Return what models are to beat where there are times, popularity of the last week; else nothing."""
    if train.timestamps is None or not len(train):
        return []
    since, values = train.timestamps.max() - duration(LATE), train.matrix.data
    for part in train.array_store.parts(len(train)):
        if ((train.timestamps[part] > since) & (values[part] > 0)).any():
            return [Popularity(window=LATE)]
    return []


@dataclass(frozen=True)
class BiasOnly(Settings):
    r"""Ratings predicted from a bias of the user and a bias of the item, without vectors.

    **Model**: score = mean + user bias + item bias.

    **Loss**: the squared errors of all ratings, plus :math:`n^\nu \lambda b^2` for each row with n ratings.

    **Algorithm**: alternating least squares on one coefficient a row.

    **Reference**: Koren (2010), Factor in the neighbors: scalable and accurate collaborative filtering.

    Parameters
    ----------
    regularization : float
        Weight of the biases' squares.
    nu : float
        How a row's penalty grows with its number of ratings.
    epochs : int
        How often both sides are solved.

    Examples
    --------
    >>> import cofactor as cf
    >>> BiasOnly().fit(cf.load_dataset("synthetic:60x40x600")).rank
    0
    """

    goal: ClassVar[Goal] = "rating"

    regularization: float = 3.0
    nu: float = 0.0
    epochs: int = 10

    def __post_init__(self) -> None:
        check_settings(self, epochs=1)
        check_settings(self, regularization=0.0, nu=0.0)

    def fit(self, train: Interactions, *, callback: Callback | None = None) -> Factors:
        """Learn a bias for every user and item of ``train``.

        Raises
        ------
        DataError
            If there is nothing to learn from.
        """
        check_train(train)
        by_user, by_item = Rows.of(train.matrix), Rows.of(train.by_item)
        mean = float(train.matrix.data.mean(dtype=np.float64))
        loss = SquaredError(bias_regularization=self.regularization, nu=self.nu, scale=train.value_range)
        users, items = (np.zeros((n, 1), np.float32) for n in train.matrix.shape)
        errors = []
        for epoch in range(self.epochs):
            solve_rows(by_user, loss.equations(items, mean), out=users)
            solve_rows(by_item, loss.equations(users, mean), out=items)
            errors.append(loss.measure(by_user, by_item, users, items, mean).squares / len(train))
            if callback is not None:
                callback(Epoch(epoch + 1, self.epochs, {"mse": errors[-1]}))
        return Factors(
            np.zeros((train.n_users, 0)),
            np.zeros((train.n_items, 0)),
            train.users,
            train.items,
            users[:, 0],
            items[:, 0],
            mean,
            train.matrix,
            train.metadata,
            loss,
            origin_of(self, train),
            {"mse": tuple(errors)},
        )


@dataclass(frozen=True)
class PureSVD(Settings):
    """The singular value decomposition of the table with a zero wherever nothing is known.

    **Model**: score = user vector · item vector.

    **Loss**: the squared error over all pairs, those not seen counting as 0.

    **Algorithm**: scipy's truncated SVD.

    **Reference**: Cremonesi, Koren, Turrin (2010), Performance of recommender algorithms on top-n recommendation tasks.

    Parameters
    ----------
    rank : int
        Length of the vectors.
    values : {"alike", "as given"}
        Whether every value above 0 counts 1, or values are taken as they are.
    seed : int
        Of the vector that the iteration starts from.

    Examples
    --------
    >>> import cofactor as cf
    >>> PureSVD(rank=4).fit(cf.load_dataset("synthetic:60x40x600")).rank
    4
    """

    goal: ClassVar[Goal] = "ranking"

    rank: int = 20
    values: Literal["alike", "as given"] = "alike"
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(self, rank=1, seed=0)
        check_choice(self, "values", ("alike", "as given"))

    def fit(self, train: Interactions, *, callback: Callback | None = None) -> Factors:
        """Decompose the table.

        Raises
        ------
        DataError
            If there is nothing to learn from, or all values are 0.
        """
        check_train(train)
        preparation: Preparation = Alike() if self.values == "alike" else AsGiven()
        if not preparation.apply(train.matrix.data).any():
            raise DataError("all values are 0, so there is nothing to decompose: check the column of values")
        matrix = prepared(train.matrix, preparation, zeros_count=False).astype(np.float64)
        least = min(matrix.shape)
        if self.rank < least:
            first = np.random.default_rng(self.seed).normal(size=least)
            left, sizes, right = sparse.linalg.svds(matrix, k=self.rank, v0=first)
        else:
            left, sizes, right = np.linalg.svd(matrix.toarray(), full_matrices=False)
        order = np.argsort(-sizes, kind="stable")
        users, items = np.zeros((train.n_users, self.rank)), np.zeros((train.n_items, self.rank))
        signs = np.sign(right[order, np.abs(right[order]).argmax(axis=1)])
        users[:, : len(order)] = left[:, order] * (sizes[order] * signs)
        items[:, : len(order)] = right[order].T * signs
        items[:, np.append(sizes[order], np.zeros(self.rank - len(order))) < 1e-9 * sizes.max()] = 0
        users[np.diff(matrix.indptr) == 0] = 0  # rounding leaves traces there
        items[counts_of(matrix.indices, train.n_items) == 0] = 0
        return Factors(
            users,
            items,
            train.users,
            train.items,
            seen=train.matrix,
            metadata=train.metadata,
            objective=Complete(goal="ranking"),
            origin=origin_of(self, train),
            preparation=preparation,
        )
