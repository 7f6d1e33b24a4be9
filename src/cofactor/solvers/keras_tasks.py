"""What `KerasMF` can train for: to predict ratings, or to put what was chosen above what was not.

A task knows the network, the batches that go in, the figure to watch, and how the network's weights become `Factors`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from cofactor.data.interactions import Interactions
from cofactor.data.passes import counts_of, places_of
from cofactor.data.splits import random_mask
from cofactor.model.factors import Factors
from cofactor.model.keras_network import keras, keras_model, ranking_network
from cofactor.model.objectives import Objective
from cofactor.model.objectives.squared import SquaredError
from cofactor.model.origin import Origin
from cofactor.model.surrogate_fold_in import with_placement
from cofactor.solvers.base import check_held_out, hold_out, origin_of
from cofactor.solvers.keras_batches import Batches
from cofactor.solvers.keras_losses import ranking_loss
from cofactor.solvers.keras_negatives import (
    FixedBatches,
    InBatchNegatives,
    Negatives,
    RankingBatches,
    UniformNegatives,
)

if TYPE_CHECKING:
    from cofactor.solvers.keras_mf import KerasMF

__all__ = ["RankingTask", "RatingTask", "Task"]

TABLES_HELD: Mapping[str, float] = {"rating": 9.0, "ranking": 14.0}
"""What training takes at its peak, as a multiple of the tables, where these are large against a batch: the optimizer's
own tables, gradients, their copies in a step, and what becomes of the weights in the end."""

_GROUP = 256  # positives in a batch that are each other's negatives

History: TypeAlias = Mapping[str, Sequence[float]]


class Task(Protocol):
    """All that differs between the losses; ``network`` is compiled by `compile`."""

    batches: Any
    validation: Any
    network: Any
    watch: str

    def compile(self, optimizer: Any) -> None:
        """Give the network its loss and its metrics."""
        ...

    def factors(self, history: History) -> Factors:
        """Return the model that the network's weights are now."""
        ...


class RatingTask:
    """Predict ratings, by the squared error."""

    watch = "val_mse"

    def __init__(self, solver: "KerasMF", train: Interactions, row_multiple: int = 1) -> None:
        self._solver, self._train = solver, train
        self._mean = float(train.matrix.data.mean(dtype=np.float64)) if solver.biases else 0.0
        self.batches, self.validation = self._parts()
        strengths = solver.strengths
        self.network = keras_model(
            train.n_users,
            train.n_items,
            solver.rank,
            biases=solver.biases,
            mean=self._mean,
            regularization=strengths.regularization,
            bias_regularization=strengths.bias_regularization,
            non_negative=solver.non_negative,
            row_multiple=row_multiple,
            seed=solver.seed,
        )
        _weigh_decay(self.network, train, solver.nu)

    def _parts(self) -> tuple[Batches, Batches | None]:
        solver, train = self._solver, self._train
        if not solver.validation_fraction:
            return Batches(train, solver.batch_size, seed=solver.seed), None
        held_out = random_mask(len(train), solver.validation_fraction, solver.seed, train.array_store)
        check_held_out(solver, len(train), int(np.count_nonzero(held_out)))
        validation = Batches(train, 65_536, positions=places_of(held_out, train.array_store), seed=None)
        np.logical_not(held_out, out=held_out)
        positions = places_of(held_out, train.array_store)
        return Batches(train, solver.batch_size, positions=positions, seed=solver.seed), validation

    def compile(self, optimizer: Any) -> None:
        """Give the network its loss and its metrics."""
        self.network.compile(optimizer, loss="mse", metrics=["mae", "mse"])

    def factors(self, history: History) -> Factors:
        """Return the model that the network's weights are now."""
        solver, train, strengths = self._solver, self._train, self._solver.strengths
        tables = _tables(self.network, train)
        objective = SquaredError(
            regularization=strengths.regularization,
            bias_regularization=strengths.bias_regularization,
            nu=solver.nu,
            non_negative=solver.non_negative,
            scale=train.value_range,
        )
        return _factors(solver, train, tables, objective, history, mean=self._mean)


class RankingTask:
    """Put what a user chose above what they did not."""

    def __init__(self, solver: "KerasMF", train: Interactions, row_multiple: int = 1) -> None:
        self._solver, self._train = solver, train
        self.watch = f"val_{solver.loss}"
        part, held_out = hold_out(solver, train)
        self._group = 1
        if solver.sampling == "batch":
            self._group = min(_GROUP, solver.batch_size, len(part), len(part if held_out is None else held_out))
        self.batches = RankingBatches(self._positives(part), self._negatives(part, part), solver.seed)
        self.validation = None
        if held_out is not None:
            self.validation = FixedBatches(self._positives(held_out), self._negatives(train, held_out), solver.seed)
        strengths = solver.strengths
        self.network = ranking_network(
            train.n_users,
            train.n_items,
            solver.rank,
            negatives=solver.negatives if solver.sampling == "uniform" else None,
            group=self._group,
            cosine=self._cosine,
            item_bias=solver.biases and not self._cosine,
            regularization=strengths.regularization,
            bias_regularization=strengths.bias_regularization,
            non_negative=solver.non_negative,
            row_multiple=row_multiple,
            seed=solver.seed,
        )
        _weigh_decay(self.network, part, solver.nu)

    @property
    def _cosine(self) -> bool:
        return self._solver.loss == "ccl"

    def _positives(self, part: Interactions) -> Batches:
        return Batches(part, self._solver.batch_size, multiple=self._group, seed=self._solver.seed)

    def _negatives(self, met: Interactions, positives: Interactions) -> Negatives:
        """Draw none of those that users have met; in a batch each is as likely as among the positives."""
        solver = self._solver
        if solver.sampling == "uniform":
            return UniformNegatives(met.matrix, solver.negatives, solver.popularity_correction)
        chances = _item_counts(positives) / len(positives)
        return InBatchNegatives(met.matrix, chances, self._group, solver.popularity_correction)

    def compile(self, optimizer: Any) -> None:
        """Give the network its loss, and the same again as a metric, which has no penalty in it."""
        settings = {"negative_weight": self._solver.strengths.negative_weight, "margin": self._solver.margin}
        loss = ranking_loss(self._solver.loss, settings)
        self.network.compile(optimizer, loss=loss, metrics=[loss])

    def factors(self, history: History) -> Factors:
        """Return the model that the network's weights are now."""
        train, tables = self._train, _tables(self.network, self._train)
        if self._cosine:
            for name, vectors in tables.items():
                lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
                tables[name] = vectors / np.where(lengths > 0, lengths, 1)
        objective = SquaredError(goal="ranking", non_negative=self._solver.non_negative)
        return with_placement(_factors(self._solver, train, tables, objective, history), seed=self._solver.seed)


def _item_counts(train: Interactions) -> np.ndarray:
    return counts_of(train.matrix.indices, train.n_items)


def _counts(train: Interactions) -> dict[str, np.ndarray]:
    return {"user": np.diff(train.matrix.indptr), "item": _item_counts(train)}


def _layers(network: Any) -> dict[str, Any]:
    return {layer.name: layer for layer in network.layers}


def _weigh_decay(network: Any, train: Interactions, nu: float) -> None:
    """Let a row that has n ratings, and so is in n batches, be held by n^nu in all."""
    layers = _layers(network)
    for side, counts in _counts(train).items():
        for name in (f"{side}_vectors_decay", f"{side}_bias_decay"):
            if name in layers:
                weights = np.ones(layers[name].rows, np.float32)
                weights[: len(counts)] = np.maximum(counts, 1).astype(np.float64) ** (nu - 1)
                layers[name].row_weights.assign(weights)


def _tables(network: Any, train: Interactions) -> dict[str, np.ndarray]:
    """Return the network's tables without the spare rows; a row without ratings is zeros."""
    layers, tables = _layers(network), {}
    for side, counts in _counts(train).items():
        for name in (f"{side}_vectors", f"{side}_bias"):
            if name in layers:
                weights = layers[name].get_weights()[0]
                tables[name] = np.where(counts[:, None] > 0, weights[: len(counts)], np.float32(0))
    return tables


def _factors(
    solver: "KerasMF",
    train: Interactions,
    tables: Mapping[str, np.ndarray],
    objective: Objective,
    history: History,
    mean: float = 0.0,
) -> Factors:
    biases = {side: tables[f"{side}_bias"][:, 0] if f"{side}_bias" in tables else None for side in ("user", "item")}
    return Factors(
        tables["user_vectors"],
        tables["item_vectors"],
        train.users,
        train.items,
        biases["user"],
        biases["item"],
        mean,
        train.matrix,
        train.metadata,
        objective,
        _origin(solver, train),
        {name: tuple(float(value) for value in values) for name, values in history.items()},
    )


def _origin(solver: "KerasMF", train: Interactions) -> Origin:
    """Do as `origin_of`, with the name alone of an optimizer that JSON cannot hold."""
    origin = origin_of(solver, train)
    if isinstance(solver.optimizer, keras.optimizers.Optimizer):
        settings = {**origin.settings, "optimizer": type(solver.optimizer).__name__}
        return dataclasses.replace(origin, settings=settings)
    return origin
