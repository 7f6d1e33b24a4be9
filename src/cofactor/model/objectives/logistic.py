"""The probability that a user chooses an item, σ(x·y): the objective of `LogisticMF`, and its epochs in threads.

**Model.** The logit ``mean + bias_u + bias_i + x_u.y_i``; vectors are padded to whole registers.

**Loss.** ``log(1 + exp(-s))`` of each pair that was chosen and ``log(1 + exp(s))`` of each item drawn beside it, evenly
from all and anew each time, plus ``regularization / 2`` times the squares of the rows and biases that each touches.
Where pairs have weights, such as those by their age, these multiply the losses of what was chosen.

**Algorithm.** Stochastic gradient descent in `cofactor.model.pair_blocks`. A newcomer's row is the logistic
regression that these steps aim at: for a user with ``m`` items, their losses as chosen and ``n m / items`` times the
loss of every item as not chosen, which is what ``n`` drawn beside each come to on average, plus the penalty of each
example; for an item likewise, drawn ``n m_u / items`` times beside the pairs of a user ``u``. It is solved by
Newton's method in double precision; of many rows `SAMPLE` represent all. The sample depends on nothing but its size,
so a newcomer's row depends on nobody else.

References
----------
S. Rendle, W. Krichene, L. Zhang, J. Anderson (2020), "Neural collaborative filtering vs. matrix factorization
revisited".
C. C. Johnson (2014), "Logistic matrix factorization for implicit feedback data".
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import sparse

from cofactor.model.objectives.objective import (
    Objective,
    Parameters,
    Placed,
    Side,
    Toward,
    need_biases,
    other_side,
)

if TYPE_CHECKING:
    from cofactor.model.least_squares import Floats
    from cofactor.model.pair_blocks import Blocks

__all__ = ["Logistic", "Regression"]

Doubles = npt.NDArray[np.float64]

SAMPLE = 2000
"""So many rows stand for all that may be drawn, but no fewer than four for each that a newcomer has met."""

_STEPS, _HALVINGS = 50, 30
_TASKS = 64
_LEAST_PENALTY = 1e-4  # without any, a newcomer whose items stand apart from all others would have no finite vector


@dataclass(frozen=True, kw_only=True)
class Logistic(Objective):
    """A score is the logit of being chosen (Rendle et al. 2020).

    Parameters
    ----------
    regularization : float
        Weight of the squares of vectors and biases.
    negatives : int
        How many items are drawn beside each chosen one.
    """

    kind: ClassVar[str] = "logistic"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"regularization": (0.0, 1e20), "negatives": (1, 1_000)}

    regularization: float = 0.0
    negatives: int = 1

    @property
    def heeds_weights(self) -> bool:
        """Whether some choices of a user can count more than others: their values are the weights of their losses."""
        return True

    def train(
        self,
        blocks: "Blocks",
        rate: float,
        users: "Floats",
        items: "Floats",
        biases: "tuple[Floats, Floats]",
        mean: float,
        seed: int,
        epoch: int,
    ) -> float:
        """Move vectors and biases in place by one pass, with steps of length ``rate``; return the mean loss."""
        from cofactor.kernels import examples

        settings = (np.float32(rate), np.float32(1 - rate * self.regularization), np.float32(mean), self.negatives)
        loss, count = blocks.epoch(examples.descend, seed, epoch, users, items, biases, settings, figures=2)
        return float(loss / max(count, 1))

    def place(self, parameters: Parameters, rows: sparse.csr_array, side: Side, toward: Toward | None = None) -> Placed:
        """Solve a logistic regression for each row; see `Objective.place`."""
        from cofactor.kernels import logistic_rows
        from cofactor.kernels.compiling import readable
        from cofactor.kernels.threads import share_out
        from cofactor.model.pair_blocks import compressed

        vectors, offsets = self._fixed(parameters, other_side(side))
        indptr, indices = compressed(rows)
        counts, rank = np.diff(indptr), parameters.item_vectors.shape[1]
        found, said = np.zeros((len(counts), vectors.shape[1]), np.float32), np.zeros((len(counts), vectors.shape[1]))
        known, fresh = counts > 0, np.zeros(len(counts), bool)
        if toward is None:
            known |= side == "item"  # one that nobody has met is drawn beside others, too
        else:
            said[:, : rank + 1], fresh = toward.vectors, toward.fresh
            found[:, : rank + 1] = toward.vectors  # nothing else is known of those who have met nothing
        pairs = (indptr, indices, readable(rows.data, np.float32))
        for chosen, drawn in self._samples(parameters, side, counts, np.flatnonzero(known)):
            examples = counts + drawn.scales * drawn.weights.sum()
            penalties = max(self.regularization, _LEAST_PENALTY) * np.maximum(examples, 1.0)
            tasks = np.unique(np.linspace(0, len(chosen), min(len(chosen), _TASKS) + 1).astype(np.int64))
            share_out(
                logistic_rows.place, tasks, chosen, pairs, drawn, (vectors, offsets), said, fresh, penalties, found
            )
        return Placed(found[:, :rank], found[:, rank])

    def _fixed(self, parameters: Parameters, side: Side) -> tuple["Floats", Doubles]:
        """Return what rows are placed against: [vector, 1] up to whole registers, and the logits they begin with."""
        from cofactor.model.objectives.squared import with_ones
        from cofactor.model.pair_blocks import pad

        vectors = parameters.once("lanes with ones", side, lambda: pad(with_ones(parameters.vectors(side))))
        bias = parameters.bias(side)
        own = np.zeros(len(vectors)) if bias is None else bias.astype(np.float64)
        return vectors, own + parameters.mean

    def _samples(
        self, parameters: Parameters, side: Side, counts: np.ndarray, rows: np.ndarray
    ) -> Iterator[tuple[np.ndarray, "_Drawn"]]:
        """Yield rows that share what is drawn beside their pairs, and that."""
        if not len(rows):
            return
        often = self._often(parameters) if side == "item" else None
        everyone = len(parameters.item_vectors) if often is None else np.count_nonzero(often)
        sizes = np.minimum(np.maximum(SAMPLE, 4 * counts[rows]), everyone)
        for size in np.unique(sizes):
            chosen = rows[sizes == size]
            if often is None:
                drawn, weights = self._of_items(parameters, int(size))
                yield chosen, _Drawn(drawn, weights, self.negatives * counts.astype(np.float64))
            else:
                yield chosen, _Drawn(*self._of_users(often, int(size)), np.ones(len(counts)))

    def _of_items(self, parameters: Parameters, size: int) -> tuple[np.ndarray, Doubles]:
        """Return items that stand for all, and what each weighs of what is drawn beside one pair."""
        drawn = np.arange(len(parameters.item_vectors))
        if len(drawn) > size:
            drawn = np.random.default_rng(0).choice(drawn, size, replace=False)
        return drawn, np.full(len(drawn), 1 / max(len(drawn), 1))

    def _of_users(self, often: Doubles, size: int) -> tuple[np.ndarray, Doubles]:
        """Return users that stand for all beside whose pairs an item is drawn, and how often that is."""
        drawn = np.flatnonzero(often)
        weights = often[drawn]
        if len(drawn) > size:
            drawn = np.random.default_rng(0).choice(drawn, size, p=weights / weights.sum())
            weights = np.full(size, weights.sum() / size)
        return drawn, weights

    def shares(
        self,
        parameters: Parameters,
        met: np.ndarray,
        values: np.ndarray,
        user_row: int,
        item_rows: np.ndarray,
        toward: Toward | None = None,
    ) -> np.ndarray:
        """Split scores over the chosen items, were the user placed by them; see `Objective.shares`.

        At the solution, the loss is nearly a weighted sum of squares, whose solution is a sum over the examples.
        """
        if not len(met):
            return np.zeros((0, len(item_rows)))
        said = (
            np.zeros(parameters.item_vectors.shape[1] + 1) if toward is None else toward.vectors[0].astype(np.float64)
        )
        regression = self._of_user(parameters, met, values.astype(np.float64)).about(said)
        row = regression.solved()
        slopes, weights = regression.parts(row)
        asked = np.column_stack([parameters.item_vectors[item_rows].astype(np.float64), np.ones(len(item_rows))])
        effect = regression.design @ np.linalg.solve(regression.curvature(weights), asked.T)
        found: Doubles = (slopes + weights * (regression.design @ row))[:, None] * effect
        return found[: len(met)]

    def check_parameters(self, parameters: Parameters) -> None:
        """Check that both sides have biases; see `Objective.check_parameters`."""
        need_biases(parameters, "user", "item")

    def _often(self, parameters: Parameters) -> Doubles:
        """Return how often a new item would be drawn beside the pairs of each user."""
        learnt = parameters.learnt()
        often: Doubles = self.negatives * np.diff(learnt.indptr) / max(learnt.shape[1], 1)
        return often

    def _of_user(self, parameters: Parameters, met: npt.NDArray[np.int32], values: Doubles) -> "Regression":
        drawn, weights = self._of_items(parameters, max(SAMPLE, 4 * len(met)))
        return self._regression(parameters, "item", met, values, drawn, self.negatives * len(met) * weights)

    def _regression(
        self,
        parameters: Parameters,
        fixed: Side,
        met: npt.NDArray[np.int32],
        values: Doubles,
        drawn: np.ndarray,
        weights: Doubles,
    ) -> "Regression":
        """Put together what was chosen, each counting its value, and what may be drawn beside it."""
        rows, bias = np.concatenate([met, drawn]), parameters.bias(fixed)
        examples = len(met) + float(weights.sum())
        own = np.zeros(len(rows)) if bias is None else bias[rows].astype(np.float64)
        penalty = max(self.regularization, _LEAST_PENALTY) * max(examples, 1.0)
        return Regression(
            np.column_stack([parameters.vectors(fixed)[rows].astype(np.float64), np.ones(len(rows))]),
            own + parameters.mean,
            np.concatenate([np.ones(len(met)), np.zeros(len(drawn))]),
            np.concatenate([values, weights]),
            penalty,
        )


class _Drawn(NamedTuple):
    """What is drawn beside the pairs of some rows, what each weighs, and by what the weights of a row multiply."""

    drawn: np.ndarray
    weights: Doubles
    scales: Doubles


def _chances(logits: Doubles) -> Doubles:
    found: Doubles = 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
    return found


@dataclass(frozen=True, slots=True)
class Regression:
    """Examples of one newcomer: rows [vector, 1], what is known of each score, chances, weights, the penalty."""

    design: Doubles
    offsets: Doubles
    labels: Doubles
    weights: Doubles
    penalty: float

    def about(self, said: Doubles, *, fresh: bool = False) -> "Regression":
        """Return the regression of what is left of a row that is drawn to ``said``.

        Of a fresh item, who did not choose it says nothing: their examples aim at what its attributes say.
        """
        offsets = self.offsets + self.design @ said
        labels = np.where(self.labels > 0, 1.0, _chances(offsets)) if fresh else self.labels
        return dataclasses.replace(self, offsets=offsets, labels=labels)

    def loss(self, row: Doubles) -> float:
        """Return what is to be least."""
        logits = self.design @ row + self.offsets
        losses = np.logaddexp(0, logits) - self.labels * logits
        return float(self.weights @ losses + self.penalty / 2 * (row @ row))

    def parts(self, row: Doubles) -> tuple[Doubles, Doubles]:
        """Return each example's slope, by which its rows are multiplied, and its curvature."""
        found = _chances(self.design @ row + self.offsets)
        return self.weights * (self.labels - found), self.weights * found * (1 - found)

    def curvature(self, weights: Doubles) -> Doubles:
        """Return the second derivative, given each example's part in it."""
        matrix: Doubles = (self.design.T * weights) @ self.design + self.penalty * np.eye(self.design.shape[1])
        return matrix

    def solved(self) -> Doubles:
        """Return the row, a bias at its end, whose loss is least."""
        row = np.zeros(self.design.shape[1])
        least = self.loss(row)
        for _ in range(_STEPS):
            slopes, weights = self.parts(row)
            step = np.linalg.solve(self.curvature(weights), slopes @ self.design - self.penalty * row)
            for _ in range(_HALVINGS):
                if (loss := self.loss(row + step)) <= least:
                    break
                step = step / 2
            else:
                break  # as good as numbers can tell
            row, gain, least = row + step, least - loss, loss
            if gain <= 1e-10 * abs(loss):
                break
        return row
