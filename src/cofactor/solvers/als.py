"""Alternating least squares for ratings (`ALS`) and for lists (`ImplicitALS`)."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import ClassVar, Literal, get_args

import numpy as np

from cofactor.data.interactions import Interactions
from cofactor.data.preparation import Preparation, Values, confidences
from cofactor.data.timing import Timing
from cofactor.errors import CollapseWarning
from cofactor.model.factors import Factors
from cofactor.model.least_squares import (
    Equations,
    Floats,
    Rows,
    improve_blocks,
    improve_rows,
    singular_values,
    solve_rows,
    sum_of_losses,
)
from cofactor.model.objectives import Goal, Side
from cofactor.model.objectives.confidence import SHORT_ROW, Confidence
from cofactor.model.objectives.squared import SquaredError, penalties
from cofactor.solvers.base import (
    Callback,
    check_choice,
    check_settings,
    check_train,
    check_validation,
    decayed,
    hold_out,
    learnt_from,
    mean_and_spread,
    origin_of,
    parted,
    started,
)
from cofactor.solvers.epochs import Arrays, Checkpoint, History, run_epochs
from cofactor.solvers.featured import Attributes, Featured, attributes_of, drawn, features_of
from cofactor.solvers.timed import Decayed, Timed, in_time, timing_of

__all__ = ["ALS", "ImplicitALS"]

_SMALL = 0.01
_COLLAPSED = 3
"""A model has collapsed when no more singular values than this are larger than the small share of the first."""

_JUDGED_RANK, _JUDGED_ROWS = 8, 300
"""Of a smaller model, few dimensions are no wonder."""


@dataclass(frozen=True)
class ALS(Decayed, Featured):
    r"""Vectors and biases for star ratings, by solving one small equation for each user and each item in turn.

    **Model**: score = mean + user bias + item bias + user vector · item vector.

    **Loss**: the squared errors of all ratings, plus for each row with n ratings
    :math:`n^\nu (\lambda s |x|^2 + \lambda_b b^2)`, where s is the standard deviation of the ratings. With it, the
    same ratings in stars, points or per cent give the same model up to scale.

    **Algorithm**: with the items held fixed, each user's vector and bias minimize the loss jointly through one normal
    equation; then the same for the items; then the mean.

    **Time**: with ``half_life`` the squared errors of old ratings weigh less, with a mean weight of 1, and count less
    in the figures; penalties stay as they are. A newcomer's ratings count alike.

    **Attributes**: with ``item_features`` or ``user_features`` a row's vector and bias are drawn to what the row's
    attributes say instead of to zero, so that items and users without ratings have them, too; see `Featured`.

    **Reference**: Zhou, Wilkinson, Schreiber, Pan (2008), Large-scale parallel collaborative filtering for the Netflix
    Prize.

    Parameters
    ----------
    rank : int
        Length of the vectors.
    regularization : float
        Weight of the vectors' squared norms, in units of the ratings' standard deviation.
    bias_regularization : float
        Weight of the biases' squares.
    nu : float
        How a row's penalty grows with its number of ratings: 0 not at all, 1 in proportion.
    epochs : int
        How often both sides are solved.
    validation_fraction : float
        Share of the training ratings held out to watch the error on; 0 trains on all.
    patience : int, optional
        Stop when the validation error has not fallen for so many epochs, and go back to the best one.
    seed : int
        Of the initial vectors and of the validation part.

    Examples
    --------
    >>> import cofactor as cf
    >>> train, test = cf.load_dataset("synthetic:60x40x600").split_random(test_fraction=0.2, seed=0)
    >>> model = ALS(rank=2, epochs=3, seed=0).fit(train)
    >>> model.history["objective"][-1] < model.history["objective"][0]
    True
    """

    goal: ClassVar[Goal] = "rating"

    rank: int = 20
    regularization: float = 1.87
    bias_regularization: float = 0.97
    nu: float = 0.4
    epochs: int = 12
    validation_fraction: float = 0.0
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(self, rank=1, epochs=1, patience=1, seed=0)
        check_settings(self, regularization=0.0, bias_regularization=0.0, nu=0.0)
        check_validation(self)
        Decayed.__post_init__(self)
        Featured.__post_init__(self)

    def fit(
        self,
        train: Interactions,
        *,
        callback: Callback | None = None,
        start: Factors | None = None,
        checkpoint: str | PathLike[str] | None = None,
    ) -> Factors:
        """Learn vectors and biases for every user and item of ``train``.

        Parameters
        ----------
        train : Interactions
        callback : callable, optional
            Called with an `Epoch` after each epoch.
        start : Factors, optional
            A model to start from, of the same rank; users and items are matched by id.
        checkpoint : path, optional
            A file that holds the progress after each epoch; if it exists, training continues from it.

        Returns
        -------
        Factors
            With ``history`` holding the objective and the training mse (and val_mse) of each epoch.

        Raises
        ------
        DataError
            If there is nothing to learn from, or a setting needs times or attributes that the data lack.
        SettingError
            If a row's equation is singular, for want of regularization, or ``start`` does not fit.
        """
        check_train(train, start)
        timing = timing_of(self, train)
        part, validation = hold_out(self, train)
        by_user, by_item = _weighed(part, timing)
        watched = None if validation is None else _weighed(validation, timing)[0]
        weight, watched_weight = _weight(by_user), 0.0 if watched is None else _weight(watched)
        center, spread = mean_and_spread(part)
        stored = Checkpoint(checkpoint, self, train)
        spread = stored.unit(spread)
        objective = SquaredError(
            regularization=self.regularization * spread,
            bias_regularization=self.bias_regularization,
            nu=self.nu,
            scale=train.value_range,
        )
        attributes = attributes_of(
            self, train, {"user": by_user.counts, "item": by_item.counts}, objective.penalty_scale
        )
        squares = penalties(objective, self.rank + 1, with_bias=True)

        def first() -> Arrays:
            users, items = started(self, train, start, biased=True, spread=spread)
            return {"users": users, "items": items, "mean": np.array(center if start is None else start.mean)}

        def step(_: int, arrays: Arrays) -> tuple[Arrays, Mapping[str, float]]:
            users, items, mean = arrays["users"], arrays["items"], float(arrays["mean"])
            with objective.holding(items, mean) as system:
                solve_rows(by_user, drawn(system, attributes, "user", users), out=users)
            with objective.holding(users, mean) as system:
                solve_rows(by_item, drawn(system, attributes, "item", items), out=items)
            measured = objective.measure(by_user, by_item, users, items, mean)
            sides: Mapping[Side, Floats] = {"user": users, "item": items}
            penalty = sum(one.penalty(sides[side], squares) for side, one in attributes.items())
            mean += measured.errors / weight
            figures = {"objective": measured.objective + penalty, "mse": measured.squares / weight}
            if watched is not None:
                left = sum_of_losses(watched, objective.equations(items, mean), users)
                figures["val_mse"] = left.squares / watched_weight
            return {"users": users, "items": items, "mean": np.array(mean)}, figures

        done = run_epochs(
            first,
            step,
            epochs=self.epochs,
            checkpoint=stored,
            callback=callback,
            watch=None if watched is None else "val_mse",
            patience=self.patience,
            model=partial(self._factors, train, objective, timing, attributes),
        )
        return self._factors(train, objective, timing, attributes, done.arrays, done.history)

    def _factors(
        self,
        train: Interactions,
        objective: SquaredError,
        timing: Timing | None,
        attributes: Mapping[Side, Attributes],
        arrays: Arrays,
        history: History,
    ) -> Factors:
        sides: Mapping[Side, Floats] = {"user": arrays["users"], "item": arrays["items"]}
        features = features_of(attributes, sides)
        for side, one in attributes.items():
            one.learnt(sides[side])
        (users, user_bias), (items, item_bias) = parted(sides["user"]), parted(sides["item"])
        trained = Factors(
            users,
            items,
            train.users,
            train.items,
            user_bias,
            item_bias,
            float(arrays["mean"]),
            train.matrix,
            train.metadata,
            objective,
            origin_of(self, train),
            history,
            features=features,
        )
        return in_time(trained, timing, train.timestamps)


@dataclass(frozen=True)
class ImplicitALS(Timed, Featured):
    r"""Vectors for putting items in order, learnt from what people chose rather than from how they rated it.

    **Model**: score = user vector · item vector, near 1 for what a user would choose and near 0 for the rest.

    **Loss**: :math:`\sum_{chosen} c_{ui} (\hat s_{ui} - 1)^2 + \sum_{disliked} c_{ui} \hat s_{ui}^2 + \alpha_0
    \sum_{all} \hat s_{ui}^2`, plus for each row with n pairs :math:`\lambda (n + 50)^\nu |x|^2`. A pair with a positive
    value was chosen, one with a negative value was disliked, and one with 0 was seen without either. The confidence c
    is the absolute value, 1 in binary data. The 50 keeps rows of a few pairs from following every one of them; unlike
    the penalty of Rendle et al., this one does not grow with the size of the other side.

    **Algorithm**: alternating least squares. ``cholesky`` solves each row exactly; ``cg`` takes three steps of
    conjugate gradients from the last epoch's vector; ``block`` solves for 64 coordinates at a time (iALS++). At ranks
    of 128 to 512, ``cg`` gets as low as the others soonest, and of the other two ``block`` is the faster from 256 on:
    ``benchmarks/large_ranks.py`` measures all three.

    **Time**: see `Timed` for the settings ``half_life``, ``recency``, ``trend`` and ``trend_weight``.

    **Attributes**: with ``item_features`` or ``user_features`` a row's vector is drawn to what the row's attributes say
    instead of to zero, so that items and users without ratings have vectors, too; see `Featured`.

    **Reference**: Hu, Koren, Volinsky (2008), Collaborative filtering for implicit feedback datasets; Rendle,
    Krichene, Zhang, Koren (2021), Revisiting the performance of iALS on item recommendation benchmarks, and iALS++.

    Parameters
    ----------
    rank : int
        Length of the vectors.
    regularization : float
        Weight of the vectors' squared norms.
    unobserved_weight : float
        Weight of a pair that was not seen, against 1 for one that was.
    nu : float
        How a row's penalty grows with its number of pairs: 0 not at all, 1 in proportion.
    epochs : int
        How often both sides are solved.
    method : {"cholesky", "cg", "block"}
        How a row's equation is treated.
    values : {"auto", "as given", "alike"}
        What the values of the ratings mean. ``"auto"`` recognizes stars, which weigh by their position on the scale,
        the lowest as dislikes, and counts, which are divided by their mean; ``"as given"`` takes values as confidences,
        those below 0 as dislikes; ``"alike"`` lets every value above 0 count 1. A value of 0 carries no weight.
    seed : int
        Of the initial vectors.

    Examples
    --------
    >>> import cofactor as cf
    >>> likes = cf.load_dataset("synthetic:60x40x600").at_least(4).binary()
    >>> model = ImplicitALS(rank=4, epochs=3, seed=0).fit(likes)
    >>> model.recommend([1], n=3).height
    3
    """

    goal: ClassVar[Goal] = "ranking"
    count_offset: ClassVar[float] = SHORT_ROW

    rank: int = 64
    regularization: float = 0.7
    unobserved_weight: float = 0.15
    nu: float = 0.5
    epochs: int = 16
    method: Literal["cholesky", "cg", "block"] = "cholesky"
    values: Values = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(self, rank=1, epochs=1, seed=0)
        check_settings(self, regularization=0.0, unobserved_weight=0.0, nu=0.0)
        check_choice(self, "method", tuple(_METHODS))
        check_choice(self, "values", get_args(Values))
        Timed.__post_init__(self)
        Featured.__post_init__(self)

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
            With ``history`` holding the objective of each epoch.

        Raises
        ------
        DataError
            If there is nothing to learn from, or no value is above 0.
        SettingError
            If a row's equation is singular, for want of regularization, or ``start`` does not fit.
        """
        check_train(train, start)
        preparation = confidences(train.matrix.data, self.values)
        timing = timing_of(self, train)
        learnt = learnt_from(train, preparation, timing)
        rows: Mapping[Side, Rows] = {"user": Rows.of(learnt.matrix), "item": Rows.of(learnt.by_item)}
        loss = self._objective()
        attributes = attributes_of(self, train, {side: one.counts for side, one in rows.items()}, loss.penalty_scale)
        improve = _METHODS[self.method]

        def first() -> Arrays:
            users, items = started(self, learnt, start, biased=False)
            return {"users": users, "items": items}

        def step(_: int, arrays: Arrays) -> tuple[Arrays, Mapping[str, float]]:
            users, items = arrays["users"], arrays["items"]
            sides: Mapping[Side, tuple[Floats, Floats]] = {"user": (users, items), "item": (items, users)}
            for side, (own, other) in sides.items():
                improve(rows[side], drawn(loss.equations(other), attributes, side, own), own)
            objective = loss.measure(rows["user"], rows["item"], users, items).objective
            penalty = np.full(self.rank, self.regularization, np.float32)
            objective += sum(one.penalty(sides[side][0], penalty) for side, one in attributes.items())
            return arrays, {"objective": objective}

        done = run_epochs(
            first,
            step,
            epochs=self.epochs,
            checkpoint=Checkpoint(checkpoint, self, train),
            callback=callback,
            model=partial(self._factors, train, preparation, timing, attributes),
        )
        self._warn_of_collapse(done.arrays["users"], done.arrays["items"])
        return self._factors(train, preparation, timing, attributes, done.arrays, done.history)

    def _warn_of_collapse(self, users: Floats, items: Floats) -> None:
        if self.rank < _JUDGED_RANK or min(len(users), len(items)) < _JUDGED_ROWS:
            return
        values = singular_values(users, items)
        used = int(np.sum(values > _SMALL * values[0]))
        if used <= _COLLAPSED:
            warnings.warn(
                f"the model has collapsed: {used} of its {self.rank} dimensions hold nearly everything, so all users "
                f"get nearly the same list; give less regularization (it is {self.regularization:g}) or more data, or "
                "settle for a smaller rank",
                CollapseWarning,
                stacklevel=3,
            )

    def _factors(
        self,
        train: Interactions,
        preparation: Preparation,
        timing: Timing | None,
        attributes: Mapping[Side, Attributes],
        arrays: Arrays,
        history: History,
    ) -> Factors:
        vectors: dict[Side, Floats] = {"user": arrays["users"], "item": arrays["items"]}
        features = features_of(attributes, vectors)
        vectors |= {side: one.learnt(vectors[side]) for side, one in attributes.items()}
        trained = Factors(
            vectors["user"],
            vectors["item"],
            train.users,
            train.items,
            seen=train.matrix,
            metadata=train.metadata,
            objective=self._objective(),
            origin=origin_of(self, train),
            history=history,
            preparation=preparation,
            features=features,
        )
        return in_time(trained, timing, train.timestamps)

    def _objective(self) -> Confidence:
        return Confidence(
            goal="ranking",
            regularization=self.regularization,
            nu=self.nu,
            unobserved_weight=self.unobserved_weight,
            count_offset=self.count_offset,
        )


def _weighed(train: Interactions, timing: Timing | None) -> tuple[Rows, Rows]:
    """Return ratings by user and by item, old ones of less weight if the timing says so."""
    if timing is None or timing.half_life is None:
        return Rows.of(train.matrix), Rows.of(train.by_item)
    weights = decayed(train, timing, alone=True)
    return Rows.of(train.matrix, weights.matrix.data), Rows.of(train.by_item, weights.by_item.data)


def _weight(rows: Rows) -> float:
    """Return what all ratings weigh together."""
    return float(rows.factors.sum(dtype=np.float64)) if len(rows.factors) else float(len(rows.values))


def _solve(rows: Rows, system: Equations, vectors: Floats) -> Floats:
    return solve_rows(rows, system, out=vectors)


_METHODS = {"cholesky": _solve, "cg": improve_rows, "block": improve_blocks}
