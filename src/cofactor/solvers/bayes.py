"""BayesianMF: Bayesian matrix factorization by Gibbs sampling."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
from scipy import sparse

from cofactor.data.features import Encoder
from cofactor.data.interactions import Interactions
from cofactor.errors import SettingError
from cofactor.kernels.compiling import readable
from cofactor.model.bayesian.chain import (
    Features,
    Gaussian,
    Likelihood,
    Problem,
    attribute_features,
    implicit_features,
    keep,
    start_chain,
    sweep_once,
)
from cofactor.model.bayesian.packing import (
    attribute_weights,
    average_bias,
    draws_of,
    extras_of,
    prior_means,
    side_by_side,
)
from cofactor.model.bayesian.predictions import without_opinion
from cofactor.model.bayesian.probit import OrderedProbit, bring_to_ratings
from cofactor.model.bayesian.row_system import Ratings
from cofactor.model.bayesian.state import Chain, KeptSide, fill_from, to_arrays
from cofactor.model.factors import Factors, draws_needed
from cofactor.model.objectives import Goal
from cofactor.model.objectives import Side as SideName
from cofactor.model.objectives.posterior import Posterior
from cofactor.model.side_features import SideFeatures
from cofactor.solvers.base import (
    Callback,
    check_choice,
    check_settings,
    check_train,
    known_rows,
    mean_and_spread,
    origin_of,
)
from cofactor.solvers.epochs import Arrays, Checkpoint, History, run_epochs
from cofactor.solvers.featured import Featured, encoders_of, tables_of

__all__ = ["BayesianMF"]

_MOST_LEVELS = 20


@dataclass(frozen=True)
class BayesianMF(Featured):
    r"""Gibbs sampling of vectors and biases; only rank and sweeps to tune, and every score has a standard deviation.

    **Model**: rating = mean + user bias + item bias + user vector · item vector + noise. A row's vector and bias
    are normal with a mean and a precision matrix that all rows of its side share and that have a Normal-Wishart
    prior. Noise is normal, its precision the product of a global, a user's and an item's, all with gamma priors. The
    priors are for ratings in units of their standard deviation, so that they suit any scale.
    With ``svdpp``, which items a row has rated shifts its prior mean, whatever the ratings:

    .. math:: \mu + |N(u)|^{-1/2} \sum_{i \in N(u)} y_i,

    for users (SVD++) and, flipped, for items; only training rows count. With ``likelihood="probit"`` the left side
    is a latent variable, and cut points on it decide the level of the rating.

    **Attributes**: with ``item_features`` or ``user_features`` a row's attributes shift its prior mean as well, each
    value by a vector and a bias that are drawn, too; those of one column have a normal prior of their own, whose mean
    and precision are drawn (Macau). Items and users without ratings are what their attributes say; see `Featured`.

    **Loss**: none is minimized. A score is the average over draws from the posterior, which has the least expected
    squared error.

    **Algorithm**: Gibbs sampling. A sweep draws for users, then for items: the shared mean and precision, the
    implicit part, all vectors jointly with their biases (one linear system of the rank a row), the rows' noise. Of
    the sweeps after the burn-in, evenly spaced ones are kept. The kept draws are concatenated in the vectors,
    (rows, n_samples × rank), each divided by the root of their number, so that the plain dot product is the average.

    **Reference**: Salakhutdinov, Mnih (2008), Bayesian probabilistic matrix factorization using Markov chain Monte
    Carlo. Simm et al. (2017), Macau: scalable Bayesian factorization with high-dimensional side information using MCMC.
    Rendle, Zhang, Koren (2019), On the difficulty of evaluating baselines. Koren (2008), Factorization meets
    the neighborhood. Albert, Chib (1993), Bayesian analysis of binary and polychotomous response data.

    Parameters
    ----------
    rank : int
        Length of the vectors of one draw.
    sweeps : int
        How often everything is drawn.
    burn_in : int
        Sweeps at the start that are never kept.
    n_samples : int
        How many draws to keep, evenly spaced after the burn-in. A row takes 4 * rank * n_samples bytes; fewer
        than 64 cost accuracy.
    svdpp : bool
        Whether to learn from which items a user rated, and which users rated an item, beyond the ratings (SVD++).
    likelihood : {"gaussian", "probit"}
        Whether ratings are numbers with normal noise, or ordered levels such as stars.
    seed : int
        Of all that is drawn.

    Examples
    --------
    >>> import cofactor as cf
    >>> train, test = cf.load_dataset("synthetic:60x40x600").split_random(test_fraction=0.2, seed=0)
    >>> model = BayesianMF(rank=2, sweeps=30, burn_in=10, n_samples=8).fit(train)
    >>> model
    Factors of rank 2 for 60 users × 40 items by BayesianMF
    >>> model.user_vectors.shape
    (60, 16)
    """

    goal: ClassVar[Goal] = "rating"

    rank: int = 24
    sweeps: int = 1000
    burn_in: int = 100
    n_samples: int = 64
    svdpp: bool = False
    likelihood: Literal["gaussian", "probit"] = "gaussian"
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(self, rank=1, sweeps=1, burn_in=0, n_samples=1, seed=0)
        if self.burn_in >= self.sweeps:
            raise SettingError(f"BayesianMF(burn_in={self.burn_in}): it must be less than sweeps={self.sweeps}")
        if self.n_samples > self.sweeps - self.burn_in:
            raise SettingError(
                f"BayesianMF(n_samples={self.n_samples}): only {self.sweeps - self.burn_in} sweeps follow the burn-in; "
                "keep fewer, or raise sweeps"
            )
        check_choice(self, "likelihood", ("gaussian", "probit"))
        super().__post_init__()

    def fit(
        self,
        train: Interactions,
        *,
        callback: Callback | None = None,
        start: Factors | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Factors:
        """Draw vectors for every user and item of ``train``.

        Parameters
        ----------
        train : Interactions
            The ratings.
        callback : callable, optional
            Called with an `Epoch` after each sweep.
        start : Factors, optional
            A model of draws of the same rank, whose last draw is where the chain begins.
        checkpoint : path, optional
            A file that is written after each sweep; an interrupted run continues from it with identical results.

        Returns
        -------
        Factors
            With ``history`` holding, for each sweep, the noise (its standard deviation) and mse (the training error
            of this one draw). With the probit likelihood, vectors and biases give opinions in units of the ratings,
            and noise is in the model's own units. Users and items without a training rating have vectors of
            zeros and the bias of the average row, or what their attributes say; their biases vary between draws as
            much as rows do.

        Raises
        ------
        DataError
            If there is nothing to learn from, or attributes are not there or say nothing.
        SettingError
            If the probit likelihood is asked for ratings that do not come in levels, or the checkpoint belongs to
            another training, or ``start`` does not fit.
        """
        check_train(train, start)
        stored = Checkpoint(checkpoint, self, train)
        spread = 1.0 if self.likelihood == "probit" else stored.unit(mean_and_spread(train)[1])  # levels have no unit
        encoders = encoders_of(self, train)
        problem = _problem(train, spread, encoders, svdpp=self.svdpp)
        likelihood = self._likelihood(problem)
        chain = start_chain(problem, likelihood, rank=self.rank, kept=self.n_samples, seed=self.seed)
        if start is not None:
            self._start_from(start, train, chain, spread)

        def step(number: int, arrays: Arrays) -> tuple[Arrays, dict[str, float]]:
            fill_from(chain, arrays)
            sweep_once(problem, chain, likelihood, self.seed)
            if (place := self._place(number)) is not None:
                keep(chain, place)
            noise, error = float(chain.noise) ** -0.5, likelihood.training_error(problem, chain)
            return to_arrays(chain), {"noise": spread * noise, "mse": spread**2 * error}

        progress = run_epochs(
            lambda: to_arrays(chain),
            step,
            epochs=self.sweeps,
            checkpoint=stored,
            callback=callback,
        )
        fill_from(chain, progress.arrays)
        return self._factors(train, problem, encoders, likelihood, chain, progress.history, spread)

    def _start_from(self, start: Factors, train: Interactions, chain: Chain, spread: float) -> None:
        if start.rank != self.rank:
            raise SettingError(f"the model to start from has rank {start.rank}: it must have rank {self.rank}")
        draws = draws_of(draws_needed(start))
        for name, side, kept in (("user", chain.users, draws.users), ("item", chain.items, draws.items)):
            rows = known_rows(start, train, name)
            side.vectors[rows >= 0, :-1] = kept.vectors[rows[rows >= 0], -1] * np.sqrt(len(draws.noise) / spread)
            side.vectors[rows >= 0, -1] = kept.bias[rows[rows >= 0], -1] / spread
            side.weights[rows >= 0] = kept.weights[rows[rows >= 0], -1]
        chain.noise = np.array(draws.noise[-1] * spread**2)

    def _likelihood(self, problem: Problem) -> Likelihood:
        if self.likelihood == "gaussian":
            return Gaussian()
        levels = len(np.unique(problem.by_user.values))
        if not 2 <= levels <= _MOST_LEVELS:
            raise SettingError(
                f"BayesianMF(likelihood='probit') needs ratings of 2 to {_MOST_LEVELS} levels, such as stars, and "
                f"these have {levels:,} distinct values: round them, or take likelihood='gaussian'"
            )
        return OrderedProbit.of(problem)

    def _place(self, sweep: int) -> int | None:
        """Return a sweep's place among the kept draws: evenly spaced, the last sweep the last of them."""
        after, spaces = sweep + 1 - self.burn_in, self.sweeps - self.burn_in
        place = after * self.n_samples // spaces
        return place - 1 if after > 0 and place > (after - 1) * self.n_samples // spaces else None

    def _factors(
        self,
        train: Interactions,
        problem: Problem,
        encoders: Mapping[SideName, Encoder],
        likelihood: Likelihood,
        chain: Chain,
        history: History,
        spread: float,
    ) -> Factors:
        draws, extras, line = chain.kept, {}, (0.0, spread)
        if isinstance(likelihood, OrderedProbit):
            line = likelihood.straight_line(problem, chain)
            extras["draws.levels"] = likelihood.values
        bring_to_ratings(draws, *line)
        features: dict[SideName, SideFeatures] = {}
        kept: Mapping[SideName, tuple[KeptSide, np.ndarray]] = {
            "user": (draws.users, problem.by_user.counts == 0),
            "item": (draws.items, problem.by_item.counts == 0),
        }
        for name, (side, unrated) in kept.items():
            means = None
            if name in encoders:
                side.loadings, loadings = side.loadings[: self.svdpp], side.loadings[self.svdpp :]
                features[name] = SideFeatures(encoders[name], attribute_weights(side, loadings))
                said = features[name].means(tables_of(train)[name]()[np.flatnonzero(unrated)])
                means = prior_means(said, self.n_samples)
            without_opinion(side, unrated, means)
        return Factors(
            side_by_side(draws.users.vectors),
            side_by_side(draws.items.vectors),
            train.users,
            train.items,
            average_bias(draws.users),
            average_bias(draws.items),
            float(draws.mean),
            train.matrix,
            train.metadata,
            Posterior(n_samples=self.n_samples, scale=train.value_range),
            origin_of(self, train),
            history,
            extras_of(draws) | extras,
            features=features,
        )


def _problem(train: Interactions, spread: float, encoders: Mapping[SideName, Encoder], *, svdpp: bool) -> Problem:
    """Return the ratings in units of their spread, so that the priors suit any scale, and what is known of rows."""
    by_user, by_item = (
        replace(ratings, values=readable(ratings.values / np.float32(spread)))
        for ratings in (Ratings.of(train.matrix), Ratings.of(train.by_item))
    )
    of_users, of_items = (_attributes(train, encoders, side) for side in ("user", "item"))
    if svdpp:
        of_users = (implicit_features(by_user, by_item), *of_users)
        of_items = (implicit_features(by_item, by_user), *of_items)
    return Problem(by_user, by_item, of_users, of_items)


def _attributes(train: Interactions, encoders: Mapping[SideName, Encoder], side: SideName) -> tuple[Features, ...]:
    """Return what is known of a side's rows, each attribute by itself; what is true of all rows is their mean."""
    if side not in encoders:
        return ()
    design = sparse.csc_array(encoders[side].encode(tables_of(train)[side]()))
    return tuple(attribute_features(design[:, part]) for part in encoders[side].parts)
