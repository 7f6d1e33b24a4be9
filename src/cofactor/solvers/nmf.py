"""NMF: vectors without a negative entry, so that tastes only ever add up and can be read."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import Literal

import numpy as np

from cofactor.data.interactions import Interactions
from cofactor.model.factors import Factors
from cofactor.model.least_squares import Rows, improve_nonnegative_rows
from cofactor.model.objectives import Goal
from cofactor.model.objectives.confidence import SHORT_ROW, Confidence
from cofactor.model.objectives.squared import LeastSquares, SquaredError
from cofactor.solvers.base import (
    Callback,
    check_choice,
    check_confidences,
    check_settings,
    check_train,
    origin_of,
    parted,
    started,
)
from cofactor.solvers.epochs import Arrays, Checkpoint, History, run_epochs

__all__ = ["NMF"]


@dataclass(frozen=True)
class NMF:
    r"""Non-negative vectors, for star ratings or for what people chose.

    **Model**: for ratings, mean + user bias + item bias + user vector · item vector, with vectors that have no negative
    entry and biases that may; for implicit feedback the product alone.

    **Loss**: that of `ALS` for ratings, that of `ImplicitALS` for implicit feedback, under the constraint.

    **Algorithm**: alternating over users and items, coordinate descent on each row's normal equation: each coordinate
    in turn goes to its minimum, or to zero where that is negative. The loss never rises.

    **Reference**: Cichocki, Phan (2009), Fast local algorithms for large scale nonnegative matrix and tensor
    factorizations; Hsieh, Dhillon (2011), Fast coordinate descent methods with variable selection for non-negative
    matrix factorization.

    Parameters
    ----------
    rank : int
        Length of the vectors.
    regularization : float
        Weight of the squared norms of vectors, and of biases.
    nu : float
        How a row's penalty grows with its number of ratings: 0 not at all, 1 in proportion.
    feedback : {"explicit", "implicit"}
        Whether values are ratings to predict, or say how sure it is that a user chose an item.
    unobserved_weight : float
        Weight of a pair that was not seen; for implicit feedback only.
    epochs : int
        How often both sides are improved.
    sweeps : int
        How often each row's coordinates are gone through in an epoch.
    seed : int
        Of the initial vectors.

    Examples
    --------
    >>> import cofactor as cf
    >>> model = NMF(rank=3, epochs=3, seed=0).fit(cf.load_dataset("synthetic:60x40x600"))
    >>> float(model.item_vectors.min()) >= 0
    True
    """

    rank: int = 20
    regularization: float = 0.8
    nu: float = 0.5
    feedback: Literal["explicit", "implicit"] = "explicit"
    unobserved_weight: float = 0.1
    epochs: int = 30
    sweeps: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(self, rank=1, epochs=1, sweeps=1, seed=0)
        check_settings(self, regularization=0.0, nu=0.0, unobserved_weight=0.0)
        check_choice(self, "feedback", ("explicit", "implicit"))

    @property
    def goal(self) -> Goal:
        """Predicted ratings, or with implicit feedback an order."""
        return "rating" if self.feedback == "explicit" else "ranking"

    @property
    def count_offset(self) -> float:
        """What a row's number of pairs is raised by in its penalty; see `ImplicitALS`."""
        return 0.0 if self.feedback == "explicit" else SHORT_ROW

    def fit(
        self,
        train: Interactions,
        *,
        callback: Callback | None = None,
        start: Factors | None = None,
        checkpoint: str | PathLike[str] | None = None,
    ) -> Factors:
        """Learn vectors for every user and item of ``train``; see `ALS.fit` for the parameters.

        Returns
        -------
        Factors
            With ``history`` holding the objective of each epoch (and for ratings the training mse).

        Raises
        ------
        DataError
            If there is nothing to learn from, or implicit feedback has a negative value.
        SettingError
            If ``start`` does not fit.
        """
        check_train(train, start)
        explicit = self.feedback == "explicit"
        if not explicit:
            check_confidences(train)
        by_user, by_item = Rows.of(train.matrix), Rows.of(train.by_item)
        mean = float(train.matrix.data.mean(dtype=np.float64)) if explicit else 0.0
        objective = self._objective(train)

        def first() -> Arrays:
            users, items = started(self, train, start, biased=explicit, non_negative=True)
            return {"users": users, "items": items}

        def step(_: int, arrays: Arrays) -> tuple[Arrays, Mapping[str, float]]:
            users, items = arrays["users"], arrays["items"]
            with objective.holding(items, mean) as system:
                improve_nonnegative_rows(by_user, system, users, sweeps=self.sweeps, free=int(explicit))
            with objective.holding(users, mean) as system:
                improve_nonnegative_rows(by_item, system, items, sweeps=self.sweeps, free=int(explicit))
            measured = objective.measure(by_user, by_item, users, items, mean)
            figures = {"objective": measured.objective}
            return arrays, figures | ({"mse": measured.squares / len(train)} if explicit else {})

        done = run_epochs(
            first,
            step,
            epochs=self.epochs,
            checkpoint=Checkpoint(checkpoint, self, train),
            callback=callback,
            model=partial(self._factors, train, mean),
        )
        return self._factors(train, mean, done.arrays, done.history)

    def _factors(self, train: Interactions, mean: float, arrays: Arrays, history: History) -> Factors:
        explicit = self.feedback == "explicit"
        users, items = arrays["users"], arrays["items"]
        user_bias, item_bias = None, None
        if explicit:
            (users, user_bias), (items, item_bias) = parted(users), parted(items)
        return Factors(
            users,
            items,
            train.users,
            train.items,
            user_bias,
            item_bias,
            mean,
            train.matrix,
            train.metadata,
            self._objective(train),
            origin_of(self, train),
            history,
        )

    def _objective(self, train: Interactions) -> LeastSquares:
        if self.feedback == "explicit":
            return SquaredError(
                regularization=self.regularization,
                bias_regularization=self.regularization,
                nu=self.nu,
                non_negative=True,
                scale=train.value_range,
            )
        return Confidence(
            goal="ranking",
            regularization=self.regularization,
            bias_regularization=self.regularization,
            nu=self.nu,
            non_negative=True,
            unobserved_weight=self.unobserved_weight,
            count_offset=self.count_offset,
        )
