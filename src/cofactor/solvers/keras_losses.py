"""The losses of `KerasMF` with what suits each; those for lists put what a user chose above what they did not.

Those for lists take ``weights`` and ``scores`` of shape (batch, 1 + negatives), the positive's in the first column, and
return one number for each row. A weight of 0 means that there is no negative.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cofactor.model.keras_network import keras

__all__ = ["DEFAULTS", "RANKING_LOSSES", "Strengths", "ranking_loss"]


@dataclass(frozen=True)
class Strengths:
    """The settings whose best values depend on the loss; see `KerasMF`."""

    regularization: float
    bias_regularization: float
    learning_rate: float
    negative_weight: float


DEFAULTS: Mapping[str, Strengths] = {
    "mse": Strengths(1.1, 0.6, 0.01, 1.0),
    "bpr": Strengths(0.1, 0.05, 0.02, 1.0),
    "bce": Strengths(0.35, 0.175, 0.01, 4.0),
    "softmax": Strengths(0.7, 0.35, 0.01, 1.0),
    "ccl": Strengths(0.0, 0.0, 0.02, 12.0),
}
"""Each loss with what suits it; chosen on held-out training data of ml-100k."""

ops = keras.ops


def bpr(weights: Any, scores: Any) -> Any:
    """Return the mean of log(1 + exp(negative - positive)); Rendle et al. (2009)."""
    return _mean(weights, ops.softplus(scores[:, 1:] - scores[:, :1]))


def bce(weights: Any, scores: Any, negative_weight: float) -> Any:
    """Return log(1 + exp(-positive)) + negative_weight * mean of log(1 + exp(negative)); He et al. (2017)."""
    return ops.softplus(-scores[:, 0]) + negative_weight * _mean(weights, ops.softplus(scores[:, 1:]))


def softmax(weights: Any, scores: Any) -> Any:
    """Return -log of the positive's share of all exp(score), each times its weight; Bengio and Senécal (2008)."""
    shifted = ops.where(weights > 0, scores + ops.log(ops.maximum(weights, 1e-30)), -1e9)
    return ops.logsumexp(shifted, axis=-1) - shifted[:, 0]


def ccl(weights: Any, scores: Any, negative_weight: float, margin: float) -> Any:
    """Return 1 - positive + negative_weight * mean of max(0, negative - margin), of cosines; Mao et al. (2021)."""
    return 1 - scores[:, 0] + negative_weight * _mean(weights, ops.relu(scores[:, 1:] - margin))


def _mean(weights: Any, losses: Any) -> Any:
    weights = weights[:, 1:]
    return ops.sum(weights * losses, axis=-1) / ops.maximum(ops.sum(weights, axis=-1), 1e-30)


RANKING_LOSSES: Mapping[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "bpr": (bpr, ()),
    "bce": (bce, ("negative_weight",)),
    "softmax": (softmax, ()),
    "ccl": (ccl, ("negative_weight", "margin")),
}
"""Each loss with the settings it takes."""


def ranking_loss(name: str, settings: Mapping[str, float]) -> Callable[[Any, Any], Any]:
    """Return a loss as Keras takes it, with its settings in it."""
    function, taken = RANKING_LOSSES[name]

    def loss(weights: Any, scores: Any) -> Any:
        return function(weights, scores, **{key: settings[key] for key in taken})

    loss.__name__ = name
    return loss
