"""Baselines for comparison: `Popularity`, `BiasOnly` and `PureSVD`."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from scipy import sparse

from cofactor.data.interactions import Interactions
from cofactor.data.passes import counts_of
from cofactor.data.preparation import Alike, AsGiven, Preparation, prepared
from cofactor.errors import DataError
from cofactor.model.factors import Factors
from cofactor.model.least_squares import Rows, solve_rows
from cofactor.model.objectives import Goal
from cofactor.model.objectives.complete import Complete
from cofactor.model.objectives.squared import SquaredError
from cofactor.solvers.base import Callback, Epoch, check_choice, check_settings, check_train, origin_of, positives

__all__ = ["BiasOnly", "Popularity", "PureSVD"]


@dataclass(frozen=True)
class Popularity:
    """The same ranking for everyone: the items that most users have.

    **Model**: score = the share of users who have the item.

    **Loss**: none.

    **Algorithm**: counting.

    **Reference**: Cremonesi, Koren, Turrin (2010), Performance of recommender algorithms on top-n recommendation tasks.

    Examples
    --------
    >>> import cofactor as cf
    >>> Popularity().fit(cf.load_dataset("synthetic:60x40x600")).recommend([1], n=1)["position"].to_list()
    [1]
    """

    goal: ClassVar[Goal] = "ranking"

    def fit(self, train: Interactions, *, callback: Callback | None = None) -> Factors:
        """Count how many users have each item.

        Raises
        ------
        DataError
            If there is nothing to count, or no value is above 0.
        """
        check_train(train)
        counts = counts_of(positives(train).matrix.indices, train.n_items)
        return Factors(
            np.zeros((train.n_users, 0)),
            np.zeros((train.n_items, 0)),
            train.users,
            train.items,
            item_bias=counts / train.n_users,
            seen=train.matrix,
            metadata=train.metadata,
            objective=Complete(goal="ranking"),
            origin=origin_of(self, train),
            preparation=Alike(),
        )


@dataclass(frozen=True)
class BiasOnly:
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
class PureSVD:
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
