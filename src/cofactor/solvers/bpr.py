"""BPR: Bayesian personalized ranking."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import ClassVar

import numpy as np

from cofactor.data.interactions import Interactions
from cofactor.data.preparation import Alike
from cofactor.data.timing import Timing
from cofactor.model.factors import Factors
from cofactor.model.least_squares import Floats
from cofactor.model.objectives import Goal, Side
from cofactor.model.objectives.pairwise import Pairwise
from cofactor.model.pair_blocks import Blocks, pad
from cofactor.solvers.base import (
    Callback,
    check_settings,
    check_train,
    known_biases,
    narrowed,
    origin_of,
    positives,
    started,
)
from cofactor.solvers.epochs import Arrays, Checkpoint, History, run_epochs
from cofactor.solvers.featured import Featured, Pulled, pulled_by
from cofactor.solvers.timed import Timed, in_time, timing_of

__all__ = ["BPR"]


@dataclass(frozen=True)
class BPR(Timed, Featured):
    r"""Vectors for ranking, learnt so that what a user chose scores above what they did not.

    **Model**: score = item bias + user vector · item vector.

    **Loss**: :math:`\sum \log(1 + e^{-(\hat s_{ui} - \hat s_{uj})})` over the pairs (u, i) that were seen, j being one
    that u has not seen, plus :math:`\lambda / 2` times the squares of the rows and biases that each pair touches. All
    pairs of a value above 0 count alike; leave out what users did not like with ``ratings.at_least(4)``.

    **Algorithm**: stochastic descent, an epoch being one pass over the pairs, with steps that shorten evenly to
    nothing. In each epoch, ``negatives`` items are drawn for each pair, uniformly from those the user has not seen, and
    the one that scores highest is taken; 1 is BPR as published, and more give harder negatives, those that
    wrongly rank at the top. Users and items are trained on in blocks with no row in common, so that threads never
    write to the same row, and a seed gives identical results with any number of threads.

    **Time**: see `Timed` for the settings ``half_life``, ``recency``, ``trend`` and ``trend_weight``. Decayed weights
    multiply the logarithms in the loss, and so the steps; penalties stay as they are.

    **Attributes**: with ``item_features`` or ``user_features`` penalties draw a row's vector and bias to what the row's
    attributes say instead of to zero, so that items and users without pairs have them, too; see `Featured`.

    **Reference**: Rendle, Freudenthaler, Gantner, Schmidt-Thieme (2009), BPR: Bayesian personalized ranking from
    implicit feedback; Zhang, Chen, Wang, Yu (2013), Optimizing top-n collaborative filtering via dynamic negative item
    sampling; for the blocks Gemulla, Nijkamp, Haas, Sismanis (2011), Large-scale matrix factorization with distributed
    stochastic gradient descent.

    Parameters
    ----------
    rank : int
        Length of the vectors.
    learning_rate : float
        Length of the first epoch's steps.
    regularization : float
        Weight of the squares of vectors and biases.
    negatives : int
        How many unseen items are drawn for each pair, to take the one that scores highest.
    epochs : int
        How often the pairs are gone through.
    seed : int
        Of the initial vectors, the blocks and the draws.

    Examples
    --------
    >>> import cofactor as cf
    >>> likes = cf.load_dataset("synthetic:60x40x600").at_least(4)
    >>> model = BPR(rank=4, epochs=20, seed=0).fit(likes)
    >>> model.history["loss"][-1] < model.history["loss"][0]
    True
    """

    goal: ClassVar[Goal] = "ranking"

    rank: int = 64
    learning_rate: float = 0.07
    regularization: float = 0.05
    negatives: int = 4
    epochs: int = 60
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(self, rank=1, epochs=1, negatives=1, seed=0)
        check_settings(self, learning_rate=1e-12, regularization=0.0)
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
            With ``history`` holding each epoch's mean loss, and the share of its pairs that were in the right order
            before they were trained on; both count all pairs alike, whatever their age. Items without a pair
            have the bias of the item that is chosen least, or what their attributes say.

        Raises
        ------
        DataError
            If there is nothing to learn from, attributes are not there or say nothing, or the steps are so long that
            the training diverged.
        SettingError
            If ``start`` does not fit.
        """
        check_train(train, start)
        timing, objective = timing_of(self, train), self._objective()
        chosen = positives(train, timing)
        decays = timing is not None and timing.half_life is not None
        pairs = Blocks(chosen.matrix, train.array_store, weights=chosen.matrix.data if decays else None)
        pulled = self._pulled(train, pairs)

        def first() -> Arrays:
            known = (
                start if start is None or start.user_bias is not None else dataclasses.replace(start, item_bias=None)
            )
            users, items = started(self, chosen, known, biased=False)
            bias = known_biases(start, train, "item")
            return {"users": pad(users, train.array_store), "items": pad(items, train.array_store), "bias": bias}

        def step(epoch: int, arrays: Arrays) -> tuple[Arrays, Mapping[str, float]]:
            rate = self.learning_rate * (1 - epoch / self.epochs)
            tables = arrays["users"], arrays["items"], arrays["bias"]
            stats = objective.train(pairs, rate, *tables, self.seed, epoch)
            for side, one in pulled.items():
                vectors, bias = (arrays["users"], None) if side == "user" else tables[1:]
                one.after_epoch(vectors, bias, rate * self.regularization)
            return arrays, {"loss": stats.loss, "in_order": stats.in_order}

        done = run_epochs(
            first,
            step,
            epochs=self.epochs,
            checkpoint=Checkpoint(checkpoint, self, train),
            callback=callback,
            model=partial(self._factors, train, timing, pairs, pulled),
        )
        return self._factors(train, timing, pairs, pulled, done.arrays, done.history)

    def _pulled(self, train: Interactions, pairs: Blocks) -> Mapping[Side, Pulled]:
        """Return what draws rows to their attributes; an item is touched by its own pairs and as another's negative."""
        counts: Mapping[Side, np.ndarray] = {"user": np.diff(pairs.indptr), "item": pairs.counts}
        rivals = len(pairs.indices) / max(len(pairs.met), 1)
        touches: Mapping[Side, np.ndarray] = {"user": counts["user"], "item": counts["item"] + rivals}
        return pulled_by(self, train, counts, touches)

    def _factors(
        self,
        train: Interactions,
        timing: Timing | None,
        pairs: Blocks,
        pulled: Mapping[Side, Pulled],
        arrays: Arrays,
        history: History,
    ) -> Factors:
        bias = pairs.least_for_unmet(arrays["bias"])
        tables: Mapping[Side, tuple[Floats, Floats | None]] = {
            "user": (arrays["users"], None),
            "item": (arrays["items"], bias),
        }
        features = {side: one.learnt(*tables[side]) for side, one in pulled.items()}
        trained = Factors(
            narrowed(arrays["users"], self.rank),
            narrowed(arrays["items"], self.rank),
            train.users,
            train.items,
            item_bias=bias,
            seen=train.matrix,
            metadata=train.metadata,
            objective=self._objective(),
            origin=origin_of(self, train),
            history=history,
            preparation=Alike(),
            features=features,
        )
        return in_time(trained, timing, train.timestamps)

    def _objective(self) -> Pairwise:
        return Pairwise(
            goal="ranking",
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            negatives=self.negatives,
        )
