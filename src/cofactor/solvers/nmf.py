"""NMF: matrix factorization with non-negative vectors, whose columns can be read as topics."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import Literal

from cofactor.data.interactions import Interactions
from cofactor.data.preparation import Alike, AsGiven, Preparation
from cofactor.data.timing import Timing
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
    learnt_from,
    mean_and_spread,
    origin_of,
    parted,
    started,
)
from cofactor.solvers.epochs import Arrays, Checkpoint, History, run_epochs
from cofactor.solvers.timed import TIME_SETTINGS, Timed, in_time, refuse_time, timing_of

__all__ = ["NMF"]


@dataclass(frozen=True)
class NMF(Timed):
    r"""Non-negative vectors, for star ratings or for what people chose.

    **Model**: with ``goal="rating"`` mean + user bias + item bias + user vector · item vector, where vectors have no
    negative entry but biases may be negative; with ``goal="ranking"`` the product alone.

    **Loss**: that of `ALS` for ratings, that of `ImplicitALS` for ranking, under the constraint.

    **Algorithm**: alternating over users and items, coordinate descent on each row's normal equation: each coordinate
    in turn goes to its minimum, or to zero where that is negative. The loss never rises.

    **Time**: see `Timed` for the settings ``half_life``, ``recency``, ``trend`` and ``trend_weight``; only with
    ``goal="ranking"``.

    **Reference**: Cichocki, Phan (2009), Fast local algorithms for large scale nonnegative matrix and tensor
    factorizations; Hsieh, Dhillon (2011), Fast coordinate descent methods with variable selection for non-negative
    matrix factorization.

    Parameters
    ----------
    rank : int
        Length of the vectors.
    regularization : float
        Weight of the vectors' squared norms, in units of the ratings' standard deviation with ``goal="rating"``; and of
        the biases' squares, without a unit.
    nu : float
        How a row's penalty grows with its number of ratings: 0 not at all, 1 in proportion.
    goal : {"rating", "ranking"}
        Whether values are ratings to predict, or say how sure it is that a user chose an item.
    values : {"alike", "as given"}
        With ``goal="ranking"``, whether every value above 0 counts 1, or values are taken as they are.
    unobserved_weight : float
        Weight of a pair that was not seen; only with ``goal="ranking"``.
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
    regularization: float = 0.75
    nu: float = 0.5
    goal: Goal = "rating"
    values: Literal["alike", "as given"] = "alike"
    unobserved_weight: float = 0.1
    epochs: int = 30
    sweeps: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(self, rank=1, epochs=1, sweeps=1, seed=0)
        check_settings(self, regularization=0.0, nu=0.0, unobserved_weight=0.0)
        check_choice(self, "goal", ("rating", "ranking"))
        check_choice(self, "values", ("alike", "as given"))
        super().__post_init__()
        refuse_time(self, instead="goal='ranking'")

    @property
    def for_lists_alone(self) -> tuple[str, ...]:
        """The settings of time that are refused, with ``goal="rating"`` all of them."""
        return TIME_SETTINGS if self.goal == "rating" else ()

    @property
    def count_offset(self) -> float:
        """What a row's number of pairs is raised by in its penalty; see `ImplicitALS`."""
        return 0.0 if self.goal == "rating" else SHORT_ROW

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
            If there is nothing to learn from, or there is a negative value with ``goal="ranking"``.
        SettingError
            If ``start`` does not fit.
        """
        check_train(train, start)
        ratings = self.goal == "rating"
        preparation: Preparation = AsGiven()
        if not ratings and self.values == "alike":
            preparation = Alike()
        elif not ratings:
            check_confidences(train)
        timing = timing_of(self, train)
        learnt = train if ratings else learnt_from(train, preparation, timing)
        by_user, by_item = Rows.of(learnt.matrix), Rows.of(learnt.by_item)
        mean, spread = mean_and_spread(train) if ratings else (0.0, 1.0)
        stored = Checkpoint(checkpoint, self, train)
        spread = stored.unit(spread)
        objective = self._objective(train, spread)

        def first() -> Arrays:
            users, items = started(self, learnt, start, biased=ratings, non_negative=True, spread=spread)
            return {"users": users, "items": items}

        def step(_: int, arrays: Arrays) -> tuple[Arrays, Mapping[str, float]]:
            users, items = arrays["users"], arrays["items"]
            with objective.holding(items, mean) as system:
                improve_nonnegative_rows(by_user, system, users, sweeps=self.sweeps, free=int(ratings))
            with objective.holding(users, mean) as system:
                improve_nonnegative_rows(by_item, system, items, sweeps=self.sweeps, free=int(ratings))
            measured = objective.measure(by_user, by_item, users, items, mean)
            figures = {"objective": measured.objective}
            return arrays, figures | ({"mse": measured.squares / len(train)} if ratings else {})

        done = run_epochs(
            first,
            step,
            epochs=self.epochs,
            checkpoint=stored,
            callback=callback,
            model=partial(self._factors, train, preparation, timing, objective, mean),
        )
        return self._factors(train, preparation, timing, objective, mean, done.arrays, done.history)

    def _factors(
        self,
        train: Interactions,
        preparation: Preparation,
        timing: Timing | None,
        objective: LeastSquares,
        mean: float,
        arrays: Arrays,
        history: History,
    ) -> Factors:
        ratings = self.goal == "rating"
        users, items = arrays["users"], arrays["items"]
        user_bias, item_bias = None, None
        if ratings:
            (users, user_bias), (items, item_bias) = parted(users), parted(items)
        trained = Factors(
            users,
            items,
            train.users,
            train.items,
            user_bias,
            item_bias,
            mean,
            train.matrix,
            train.metadata,
            objective,
            origin_of(self, train),
            history,
            preparation=preparation,
        )
        return in_time(trained, timing, train.timestamps)

    def _objective(self, train: Interactions, spread: float) -> LeastSquares:
        if self.goal == "rating":
            return SquaredError(
                regularization=self.regularization * spread,
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
