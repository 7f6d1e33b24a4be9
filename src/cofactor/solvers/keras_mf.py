"""KerasMF: matrix factorization as an embedding model, trained by gradient descent on Keras."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, ClassVar, Literal

import numpy as np

from cofactor.data.interactions import Interactions
from cofactor.data.splits import random_mask
from cofactor.errors import DataError, SettingError
from cofactor.model.factors import Factors
from cofactor.model.keras_network import keras, keras_model
from cofactor.model.objective import Goal, Objective
from cofactor.solvers.base import (
    Callback,
    Epoch,
    check_choice,
    check_settings,
    check_train,
    check_validation,
    origin_of,
    started,
)
from cofactor.solvers.epochs import Checkpoint, Progress
from cofactor.solvers.keras_batches import Batches

__all__ = ["KerasMF", "keras_model"]


@dataclass(frozen=True)
class KerasMF:
    r"""Embeddings of users and items whose dot product, plus biases, predicts the rating.

    **Model**: score = mean + user bias + item bias + user vector · item vector; without biases just the product, as
    in the article.

    **Loss**: the mean over the ratings of

    .. math:: (r_{ui} - \hat r_{ui})^2 + \lambda (n_u^{\nu-1} |p_u|^2 + n_i^{\nu-1} |q_i|^2) + \text{(biases alike)},

    so that over an epoch a row with n ratings is held by :math:`\lambda n^\nu`.

    **Algorithm**: minibatch gradient descent with any Keras optimizer, the learning rate falling to zero along a
    cosine. Every epoch sees the ratings in a new order that depends on the seed alone.

    **Reference**: Koren, Bell, Volinsky (2009), Matrix factorization techniques for recommender systems.

    Parameters
    ----------
    rank : int
        Length of the vectors.
    biases : bool
        Whether to learn a number for each user and item besides their vectors, around the mean rating.
    regularization : float
        Strength of the penalty on vectors.
    bias_regularization : float
        Strength of the penalty on biases.
    nu : float
        How a row's penalty grows with its number of ratings: 0 not at all, 1 in proportion.
    non_negative : bool
        Whether to keep the vectors from having negative entries.
    optimizer : str or keras.optimizers.Optimizer
        Name of a Keras optimizer, or one that serves as a pattern (its own learning rate then counts).
    learning_rate : float
        Of the optimizer, at the start.
    schedule : {"cosine", "constant"}
        What the learning rate does over the epochs.
    batch_size : int
        Ratings in a step.
    epochs : int
        How often all ratings are seen.
    validation_fraction : float
        Share of the training ratings held out to watch the error on; 0 trains on all.
    patience : int, optional
        Stop when the validation error has not fallen for so many epochs, and go back to the best one.
    seed : int
        Of the initial vectors, the order of the ratings and the validation part.

    Examples
    --------
    >>> import cofactor as cf
    >>> train, test = cf.load_dataset("synthetic:60x40x600").split_random(test_fraction=0.2, seed=0)
    >>> model = KerasMF(rank=2, epochs=2, seed=0).fit(train)
    >>> model
    Factors of rank 2 for 60 users × 40 items by KerasMF
    >>> sorted(model.history)
    ['loss', 'mae', 'mse']
    """

    goal: ClassVar[Goal] = "rating"

    rank: int = 20
    biases: bool = True
    regularization: float = 1.2
    bias_regularization: float = 0.6
    nu: float = 0.5
    non_negative: bool = False
    optimizer: Any = "adam"
    learning_rate: float = 0.01
    schedule: Literal["cosine", "constant"] = "cosine"
    batch_size: int = 1024
    epochs: int = 20
    validation_fraction: float = 0.0
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(self, rank=1, batch_size=1, epochs=1, patience=1, seed=0)
        check_settings(self, regularization=0.0, bias_regularization=0.0, nu=0.0)
        check_settings(self, learning_rate=1e-12)
        check_validation(self)
        check_choice(self, "schedule", ("cosine", "constant"))

    def fit(
        self,
        train: Interactions,
        *,
        callback: Callback | None = None,
        keras_callbacks: Sequence[Any] = (),
        start: Factors | None = None,
        checkpoint: str | PathLike[str] | None = None,
    ) -> Factors:
        """Learn vectors for every user and item of ``train``.

        Parameters
        ----------
        train : Interactions
            The ratings; its matrix may lie in memory-mapped files, of which a few million entries are read at a time.
        callback : callable, optional
            Called with an `Epoch` after each epoch.
        keras_callbacks : sequence of keras.callbacks.Callback
            Passed on to Keras.
        start : Factors, optional
            A model to start from, of the same rank; users and items are matched by id.
        checkpoint : path, optional
            A file that holds the progress after each epoch; where it is there already, training goes on from it.

        Returns
        -------
        Factors
            With ``history`` holding loss, mae and mse of each epoch (and val_… with a validation part). Users and
            items without a training rating have vectors of zeros.

        Raises
        ------
        DataError
            If there is nothing to learn from, or the training diverged.
        SettingError
            If ``start`` or ``checkpoint`` does not fit.
        """
        check_train(train)
        batches, validation = self._parts(train)
        mean = float(train.matrix.data.mean(dtype=np.float64)) if self.biases else 0.0
        network = self._network(train, batches, mean)
        if start is not None:
            self._start_from(start, train, network)
        keeper = _Keeper(
            Checkpoint(checkpoint, self, train), "val_mse" if self.patience is not None else None, self.patience
        )
        begun = keeper.resume(network, batches)
        watchers = [*keras_callbacks, keeper, *([] if callback is None else [_Reporter(callback, self.epochs)])]
        if begun < self.epochs and not keeper.progress.waited(self.patience):
            network.fit(
                batches,
                epochs=self.epochs,
                initial_epoch=begun,
                validation_data=validation,
                callbacks=watchers,
                shuffle=False,
                verbose=0,
            )
        keeper.restore_best(network)
        return self._factors(train, network, mean, keeper.progress.history)

    def _start_from(self, start: Factors, train: Interactions, network: Any) -> None:
        tables = started(self, train, start, biased=self.biases, non_negative=self.non_negative)
        for side, table in zip(("user", "item"), tables, strict=True):
            for name, part in ((f"{side}_vectors", table[:, : self.rank]), (f"{side}_bias", table[:, self.rank :])):
                if part.shape[1]:
                    layer = network.get_layer(name)
                    weights = layer.get_weights()[0]
                    weights[: len(part)] = part
                    layer.set_weights([weights])

    def _parts(self, train: Interactions) -> tuple[Batches, Batches | None]:
        if not self.validation_fraction:
            return Batches(train, self.batch_size, seed=self.seed), None
        held_out = random_mask(len(train), self.validation_fraction, self.seed)
        if not 0 < held_out.sum() < len(train):
            raise DataError(f"{len(train):,} ratings are too few to hold out {self.validation_fraction:g} of them")
        validation = Batches(train, 65_536, positions=np.flatnonzero(held_out), seed=None)
        return Batches(train, self.batch_size, positions=np.flatnonzero(~held_out), seed=self.seed), validation

    def _network(self, train: Interactions, batches: Batches, mean: float) -> Any:
        network = keras_model(
            train.n_users,
            train.n_items,
            self.rank,
            biases=self.biases,
            mean=mean,
            regularization=self.regularization,
            bias_regularization=self.bias_regularization,
            non_negative=self.non_negative,
            seed=self.seed,
        )
        for side, counts in (("user", np.diff(train.matrix.indptr)), ("item", _item_counts(train))):
            weights = np.append(np.maximum(counts, 1), 1).astype(np.float64) ** (self.nu - 1)
            for name in (f"{side}_vectors_decay", f"{side}_bias_decay"):
                if any(layer.name == name for layer in network.layers):
                    network.get_layer(name).row_weights.assign(weights.astype(np.float32))
        network.compile(self._optimizer(self.epochs * len(batches)), loss="mse", metrics=["mae", "mse"])
        return network

    def _optimizer(self, steps: int) -> Any:
        if isinstance(self.optimizer, keras.optimizers.Optimizer):  # a pattern: its own state stays untouched
            return type(self.optimizer).from_config(self.optimizer.get_config())
        rate: Any = self.learning_rate
        if self.schedule == "cosine":
            rate = keras.optimizers.schedules.CosineDecay(self.learning_rate, steps)
        try:
            return keras.optimizers.get({"class_name": self.optimizer, "config": {"learning_rate": rate}})
        except (ValueError, TypeError) as error:
            raise SettingError(
                f"KerasMF(optimizer={self.optimizer!r}): give the name of a Keras optimizer, such as 'adam' or 'sgd'"
            ) from error

    def _factors(
        self, train: Interactions, network: Any, mean: float, history: Mapping[str, Sequence[float]]
    ) -> Factors:
        tables = {}
        for side, counts in (("user", np.diff(train.matrix.indptr)), ("item", _item_counts(train))):
            for name in (f"{side}_vectors", f"{side}_bias") if self.biases else (f"{side}_vectors",):
                weights = network.get_layer(name).get_weights()[0]
                tables[name] = np.where(counts[:, None] > 0, weights[: len(counts)], np.float32(0))
        return Factors(
            tables["user_vectors"],
            tables["item_vectors"],
            train.users,
            train.items,
            tables["user_bias"][:, 0] if self.biases else None,
            tables["item_bias"][:, 0] if self.biases else None,
            mean,
            train.matrix,
            train.texts,
            Objective(
                goal="rating",
                regularization=self.regularization,
                bias_regularization=self.bias_regularization,
                nu=self.nu,
                non_negative=self.non_negative,
                scale=train.value_range,
            ),
            dataclasses.replace(origin_of(self, train), settings=self._settings()),
            {name: tuple(float(value) for value in values) for name, values in history.items()},
        )

    def _settings(self) -> dict[str, Any]:
        """Return the fields as JSON can hold them."""
        settings = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if isinstance(self.optimizer, keras.optimizers.Optimizer):
            settings["optimizer"] = self.optimizer.__class__.__name__
        return settings


class _Keeper(keras.callbacks.Callback):
    """Keep the progress: on disk after each epoch, and of the best epoch where there is something to watch.

    Keras's own early stopping forgets what was best when a process dies, so a resumed run could end elsewhere.
    """

    def __init__(self, checkpoint: Checkpoint, watch: str | None, patience: int | None) -> None:
        super().__init__()
        self.progress = Progress({})
        self._checkpoint = checkpoint
        self._watch = watch
        self._patience = patience

    def resume(self, network: Any, batches: Batches) -> int:
        """Put a checkpoint's weights and optimizer state into a network; return how many epochs it has had."""
        found = self._checkpoint.load()
        if found is None:
            return 0
        network.optimizer.build(network.trainable_variables)
        for variable, (_, array) in zip(_variables(network), sorted(found.arrays.items()), strict=True):
            variable.assign(array)
        batches.skip_to(found.epochs)
        self.progress = found
        return found.epochs

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        arrays = {f"{k:03d}": np.array(variable) for k, variable in enumerate(_variables(self.model))}
        self.progress = self.progress.after(arrays, logs or {}, self._watch)
        self._checkpoint.save(self.progress)
        if self.progress.waited(self._patience):
            self.model.stop_training = True

    def restore_best(self, network: Any) -> None:
        """Put back the best epoch's weights, where one was watched."""
        if self.progress.best is not None:
            for variable, (_, array) in zip(_variables(network), sorted(self.progress.best.items()), strict=True):
                variable.assign(array)


def _variables(network: Any) -> list[Any]:
    """Return all that training changes: weights, then the optimizer's own state."""
    return [*network.trainable_variables, *network.optimizer.variables]


class _Reporter(keras.callbacks.Callback):
    """Pass Keras's figures on to a solver's callback."""

    def __init__(self, callback: Callback, planned: int) -> None:
        super().__init__()
        self._callback = callback
        self._planned = planned

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        figures = {name: float(value) for name, value in (logs or {}).items()}
        self._callback(Epoch(epoch + 1, self._planned, figures))


def _item_counts(train: Interactions) -> np.ndarray:
    return np.bincount(train.matrix.indices, minlength=train.n_items)
