"""Whether a user chooses an item is a matter of chance that a product tells: epochs of logistic factorization.

**Model.** The logit ``mean + bias_u + bias_i + x_u.y_i``; vectors are padded to whole registers.

**Loss.** ``log(1 + exp(-s))`` of each pair that was seen and ``log(1 + exp(s))`` of each item drawn beside it, evenly
from all and anew each time, plus ``regularization / 2`` times the squares of the rows and biases that each touches.

**Algorithm.** Stochastic descent in `cofactor.model.blocks`; newcomers are placed by `cofactor.model.logistic_rows`.

Reference: S. Rendle, W. Krichene, L. Zhang, J. Anderson (2020), "Neural collaborative filtering vs. matrix
factorization revisited".
"""

from dataclasses import dataclass

import numpy as np

from cofactor.model.blocks import Blocks
from cofactor.model.kernels import examples
from cofactor.model.least_squares import Floats

__all__ = ["Examples", "Steps"]


@dataclass(frozen=True, slots=True)
class Steps:
    """How an example moves its rows: the steps' length, the penalty, how many items are drawn beside a chosen one."""

    learning_rate: float
    regularization: float
    drawn: int


class Examples(Blocks):
    """The pairs of a table, in blocks; one epoch after another trains on them and on what is drawn beside them."""

    def train(
        self,
        steps: Steps,
        users: Floats,
        items: Floats,
        biases: tuple[Floats, Floats],
        mean: float,
        seed: int,
        epoch: int,
    ) -> float:
        """Move vectors and biases in place by one pass over the pairs; return the mean loss of an example."""
        rate = np.float32(steps.learning_rate)
        decay = np.float32(1 - steps.learning_rate * steps.regularization)
        settings = (rate, decay, np.float32(mean), steps.drawn)
        loss, count = self.epoch(examples.descend, seed, epoch, users, items, biases, settings, figures=2)
        return float(loss / max(count, 1))
