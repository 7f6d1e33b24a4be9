"""LogisticMF: logistic matrix factorization, which models the probability that a user chooses an item."""

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
from cofactor.model.objectives.logistic import Logistic
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

__all__ = ["LogisticMF"]


@dataclass(frozen=True)
class LogisticMF(Timed, Featured):
    r"""Vectors whose scores are the log-odds that a user chooses an item.

    **Model**: the probability is :math:`1 / (1 + e^{-s})` with the score s = mean + user bias + item bias + user
    vector · item vector.

    **Loss**: :math:`\sum [\log(1 + e^{-s_{ui}}) + \sum_j \log(1 + e^{s_{uj}})]` over the pairs (u, i) that were seen,
    each with ``negatives`` items j drawn beside it, plus :math:`\lambda / 2` times the squares of the rows and biases
    that each example touches. Items are drawn evenly from all, those that u has seen among them: so no score can grow
    without end, least those of users who have seen much, and lists are far better for it. All pairs of a
    value above 0 count alike; leave out what users did not like with ``ratings.at_least(4)``. The mean
    is the score of what one example in ``1 + negatives`` is.

    **Algorithm**: stochastic descent, an epoch being one pass over the pairs, with new items drawn in each. Steps
    keep their length for half of the epochs, and then shorten evenly to nothing: what chance has added in the first
    half is averaged away. Users and items are trained on in blocks with no row in common, so that threads never write
    to the same row, and a seed gives identical results with any number of threads.

    **Time**: see `Timed` for the settings ``half_life``, ``recency``, ``trend`` and ``trend_weight``. Decayed weights
    multiply the first logarithm in the loss, that of the pair; drawn items and penalties stay as they are.

    **Attributes**: with ``item_features`` or ``user_features`` penalties draw a row's vector and bias to what the row's
    attributes say instead of to zero, so that items and users without pairs have them, too; see `Featured`.

    **Reference**: Rendle, Krichene, Zhang, Anderson (2020), Neural collaborative filtering vs. matrix factorization
    revisited; Johnson (2014), Logistic matrix factorization for implicit feedback data; for the blocks Gemulla,
    Nijkamp, Haas, Sismanis (2011), Large-scale matrix factorization with distributed stochastic gradient descent.

    Parameters
    ----------
    rank : int
        Length of the vectors.
    learning_rate : float
        Length of the steps in the first half of the epochs.
    regularization : float
        Weight of the squares of vectors and biases.
    negatives : int
        How many items are drawn beside each pair.
    epochs : int
        How often the pairs are gone through.
    seed : int
        Of the initial vectors, the blocks and the draws.

    Examples
    --------
    >>> import cofactor as cf
    >>> likes = cf.load_dataset("synthetic:60x40x600").at_least(4)
    >>> model = LogisticMF(rank=4, epochs=20, seed=0).fit(likes)
    >>> model.history["loss"][-1] < model.history["loss"][0]
    True
    """

    goal: ClassVar[Goal] = "ranking"

    rank: int = 64
    learning_rate: float = 0.01
    regularization: float = 0.0075
    negatives: int = 8
    epochs: int = 100
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
            With ``history`` holding each epoch's mean loss of an example before it was trained on; it counts all pairs
            alike, whatever their age. Items without a pair have the bias of the item that is chosen least, or
            what their attributes say.

        Raises
        ------
        DataError
            If there is nothing to learn from, attributes are not there or say nothing, or the steps are so long that
            the training diverged.
        SettingError
            If ``start`` does not fit.
        """
        check_train(train, start)
        timing, objective, mean = timing_of(self, train), self._objective(), -float(np.log(self.negatives))
        chosen = positives(train, timing)
        decays = timing is not None and timing.half_life is not None
        blocks = Blocks(chosen.matrix, train.array_store, weights=chosen.matrix.data if decays else None)
        pulled = self._pulled(train, blocks)

        def step(epoch: int, arrays: Arrays) -> tuple[Arrays, Mapping[str, float]]:
            rate = self.learning_rate * min(1.0, 2 * (1 - epoch / self.epochs))
            biases = (arrays["user_bias"], arrays["item_bias"])
            loss = objective.train(blocks, rate, arrays["users"], arrays["items"], biases, mean, self.seed, epoch)
            for side, one in pulled.items():
                one.after_epoch(arrays[f"{side}s"], arrays[f"{side}_bias"], rate * self.regularization)
            return arrays, {"loss": loss}

        done = run_epochs(
            lambda: _start(self, chosen, start),
            step,
            epochs=self.epochs,
            checkpoint=Checkpoint(checkpoint, self, train),
            callback=callback,
            model=partial(self._factors, train, timing, blocks, pulled, mean),
        )
        return self._factors(train, timing, blocks, pulled, mean, done.arrays, done.history)

    def _pulled(self, train: Interactions, blocks: Blocks) -> Mapping[Side, Pulled]:
        """Return what draws rows to their attributes; drawn items are touched, too, and all items are as likely."""
        counts: Mapping[Side, np.ndarray] = {"user": np.diff(blocks.indptr), "item": blocks.counts}
        drawn = self.negatives * len(blocks.indices) / max(len(blocks.met), 1)
        touches: Mapping[Side, np.ndarray] = {
            "user": counts["user"] * (1 + self.negatives),
            "item": counts["item"] + drawn,
        }
        return pulled_by(self, train, counts, touches)

    def _factors(
        self,
        train: Interactions,
        timing: Timing | None,
        blocks: Blocks,
        pulled: Mapping[Side, Pulled],
        mean: float,
        arrays: Arrays,
        history: History,
    ) -> Factors:
        bias: Mapping[Side, Floats] = {
            "user": arrays["user_bias"].copy(),
            "item": blocks.least_for_unmet(arrays["item_bias"]),
        }
        features = {side: one.learnt(arrays[f"{side}s"], bias[side]) for side, one in pulled.items()}
        trained = Factors(
            narrowed(arrays["users"], self.rank),
            narrowed(arrays["items"], self.rank),
            train.users,
            train.items,
            user_bias=bias["user"],
            item_bias=bias["item"],
            mean=mean,
            seen=train.matrix,
            metadata=train.metadata,
            objective=self._objective(),
            origin=origin_of(self, train),
            history=history,
            preparation=Alike(),
            features=features,
        )
        return in_time(trained, timing, train.timestamps)

    def _objective(self) -> Logistic:
        return Logistic(goal="ranking", regularization=self.regularization, negatives=self.negatives)


def _start(solver: LogisticMF, train: Interactions, start: Factors | None) -> Arrays:
    """Return vectors and biases to begin with: those of a known model, small random numbers for all else."""
    known = None if start is None else dataclasses.replace(start, user_bias=None, item_bias=None)
    vectors = started(solver, train, known, biased=False)
    longer = np.float32(np.sqrt(solver.rank) if start is None else 1)
    arrays = {"users": pad(vectors[0], train.array_store), "items": pad(vectors[1], train.array_store)}
    for table in arrays.values():
        table *= longer
    return arrays | {f"{side}_bias": known_biases(start, train, side) for side in ("user", "item")}
