"""KerasMF: matrix factorization as an embedding model, trained by gradient descent on Keras."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal

import numpy as np

from cofactor.data.interactions import Interactions
from cofactor.errors import SettingError
from cofactor.model.factors import Factors
from cofactor.model.keras_network import keras, keras_model
from cofactor.model.objectives import Goal
from cofactor.solvers.base import (
    Callback,
    check_choice,
    check_settings,
    check_train,
    check_validation,
    started,
)
from cofactor.solvers.epochs import Checkpoint
from cofactor.solvers.keras_callbacks import Keeper, Reporter
from cofactor.solvers.keras_devices import all_devices
from cofactor.solvers.keras_tasks import TABLES_HELD, RankingTask, RatingTask, Task

__all__ = ["KerasMF", "Strengths", "keras_model"]


@dataclass(frozen=True)
class Strengths:
    """What has to suit the loss: the penalties, the learning rate, and what all negatives weigh together."""

    regularization: float
    bias_regularization: float
    learning_rate: float
    negative_weight: float


DEFAULTS: Mapping[str, Strengths] = {
    "mse": Strengths(1.2, 0.6, 0.01, 1.0),
    "bpr": Strengths(0.1, 0.05, 0.02, 1.0),
    "bce": Strengths(0.35, 0.175, 0.01, 4.0),
    "softmax": Strengths(0.7, 0.35, 0.01, 1.0),
    "ccl": Strengths(0.0, 0.0, 0.02, 12.0),
}
"""Each loss with what suits it; chosen on held-out training data of ml-100k."""


@dataclass(frozen=True)
class KerasMF:
    r"""Embeddings of users and items whose dot product predicts a rating, or puts items in order.

    **Model**: score = mean + user bias + item bias + user vector · item vector; without biases just the product, as
    in the article. The losses for ranking need no mean and no user bias, which change no list; ``"ccl"`` is the cosine
    of the vectors alone.

    **Loss**: ``"mse"``, the article's, is the mean over the ratings of

    .. math:: (r_{ui} - \hat r_{ui})^2 + \lambda (n_u^{\nu-1} |p_u|^2 + n_i^{\nu-1} |q_i|^2) + \text{(biases alike)},

    so that over an epoch a row with n ratings is held by :math:`\lambda n^\nu`. The others leave the values aside, as
    is right for a top-n list. They take the same penalty, and in place of the squared error, for the score
    :math:`s` of a pair that was seen, and the scores :math:`s_j` and weights :math:`w_j` of its negatives,

    ============= ===========================================================================================
    ``"bpr"``     mean of :math:`\log(1 + e^{s_j - s})`, weighted by :math:`w_j` as all means here
    ``"bce"``     :math:`\log(1 + e^{-s})`, plus ``negative_weight`` times the mean of :math:`\log(1 + e^{s_j})`
    ``"softmax"`` :math:`-\log (e^s / (e^s + \sum_j w_j e^{s_j}))`
    ``"ccl"``     :math:`1 - s`, plus ``negative_weight`` times the mean of :math:`\max(0, s_j - \text{margin})`
    ============= ===========================================================================================

    **Algorithm**: minibatch gradient descent with any Keras optimizer, the learning rate falling to zero along a
    cosine. Every epoch sees the ratings in a new order, and draws new negatives, that depend on the seed alone; what a
    user had in training is never their negative. A new user is then placed by the weighted least squares that
    brings the training users nearest to their trained vectors.

    **Devices**: with the JAX backend all that it lists, several GPUs say, train together: each batch and the tables'
    rows are shared out among them, and the result is that of one device but for rounding. Other backends use one.
    A ``keras.distribution`` of one's own, set before, is left as it is. ``CUDA_VISIBLE_DEVICES`` says which GPUs count.

    **Reference**: Koren, Bell, Volinsky (2009), Matrix factorization techniques for recommender systems; Rendle et al.
    (2009), BPR; He et al. (2017), Neural collaborative filtering (bce); Yi et al. (2019), Sampling-bias-corrected
    neural modeling (softmax); Mao et al. (2021), SimpleX (ccl).

    What is None by default is the loss's own:

    =================== ===== ===== ===== ========= =====
    setting             mse   bpr   bce   softmax   ccl
    =================== ===== ===== ===== ========= =====
    regularization      1.2   0.1   0.35  0.7       0
    bias_regularization 0.6   0.05  0.175 0.35      0
    learning_rate       0.01  0.02  0.01  0.01      0.02
    negative_weight     1     1     4     1         12
    =================== ===== ===== ===== ========= =====

    Parameters
    ----------
    rank : int
        Length of the vectors.
    loss : {"mse", "bpr", "bce", "softmax", "ccl"}
        What is minimized: the error of ratings, or one of the losses for lists.
    biases : bool
        Whether to learn a number for each user and item besides their vectors, around the mean rating; for lists, for
        each item.
    regularization : float, optional
        Strength of the penalty on vectors.
    bias_regularization : float, optional
        Strength of the penalty on biases.
    nu : float
        How a row's penalty grows with its number of ratings: 0 not at all, 1 in proportion.
    non_negative : bool
        Whether to keep the vectors from having negative entries.
    optimizer : str or keras.optimizers.Optimizer
        Name of a Keras optimizer, or one that serves as a pattern (its own learning rate then counts).
    learning_rate : float, optional
        Of the optimizer, at the start.
    schedule : {"cosine", "constant"}
        What the learning rate does over the epochs.
    batch_size : int
        Ratings in a step.
    epochs : int
        How often all ratings are seen.
    negatives : int
        Items that are set against each rating, with ``sampling="uniform"``; unused by ``"mse"``, as are the next four.
    sampling : {"uniform", "batch"}
        Whether negatives are drawn from all items, or are the items of 255 other ratings of the batch, which are the
        popular ones.
    popularity_correction : float
        How far negatives' weights make up for how often they are drawn: 0 not at all, 1 wholly. The weight is the
        expected number of draws to the power of minus this (Bengio and Senécal 2008).
    negative_weight : float, optional
        What all negatives of a rating weigh together, with ``"bce"`` and ``"ccl"``.
    margin : float
        The cosine below which a negative is left alone, with ``"ccl"``.
    validation_fraction : float
        Share of the training ratings held out to watch the loss on; 0 trains on all.
    patience : int, optional
        Stop when the validation loss, without penalties, has not fallen for so many epochs, and go back to the best.
    seed : int
        Of the initial vectors, the order of the ratings, the negatives and the validation part.

    Examples
    --------
    >>> import cofactor as cf
    >>> train, test = cf.load_dataset("synthetic:60x40x600").split_random(test_fraction=0.2, seed=0)
    >>> model = KerasMF(rank=2, epochs=2, seed=0).fit(train)
    >>> model
    Factors of rank 2 for 60 users × 40 items by KerasMF
    >>> sorted(model.history)
    ['loss', 'mae', 'mse']
    >>> KerasMF(loss="softmax", rank=2, epochs=2).fit(train).recommend([1], n=3).height
    3
    """

    rank: int = 20
    loss: Literal["mse", "bpr", "bce", "softmax", "ccl"] = "mse"
    biases: bool = True
    regularization: float | None = None
    bias_regularization: float | None = None
    nu: float = 0.5
    non_negative: bool = False
    optimizer: Any = "adam"
    learning_rate: float | None = None
    schedule: Literal["cosine", "constant"] = "cosine"
    batch_size: int = 1024
    epochs: int = 20
    negatives: int = 16
    sampling: Literal["uniform", "batch"] = "uniform"
    popularity_correction: float = 1.0
    negative_weight: float | None = None
    margin: float = 0.4
    validation_fraction: float = 0.0
    patience: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_settings(self, rank=1, batch_size=1, epochs=1, patience=1, negatives=1, seed=0)
        check_settings(self, regularization=0.0, bias_regularization=0.0, nu=0.0)
        check_settings(self, learning_rate=1e-12, popularity_correction=0.0, negative_weight=0.0, margin=-1.0)
        check_validation(self)
        check_choice(self, "loss", tuple(DEFAULTS))
        check_choice(self, "schedule", ("cosine", "constant"))
        check_choice(self, "sampling", ("uniform", "batch"))

    @property
    def strengths(self) -> Strengths:
        """The settings that were given, and the loss's own where None was."""
        own = DEFAULTS[self.loss]
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(own)}
        return dataclasses.replace(own, **{name: value for name, value in given.items() if value is not None})

    @property
    def goal(self) -> Goal:
        """Predicted ratings with the squared error, an order with any other loss."""
        return "rating" if self.loss == "mse" else "ranking"

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
            With ``history`` holding loss, mae and mse of each epoch, or loss and its part without penalties, called
            bpr, bce and so on (with a validation part the same with ``val_`` before it). Users and items without a
            training rating have vectors of zeros.

        Raises
        ------
        DataError
            If there is nothing to learn from, or the training diverged.
        SettingError
            If ``start`` or ``checkpoint`` does not fit, or ``train`` was opened with a limit of memory that the tables
            do not fit.
        """
        check_train(train, start)
        entries = (train.n_users + train.n_items + 2) * (self.rank + self.biases)
        needed = int(4 * entries * TABLES_HELD[self.goal])
        what = f"KerasMF(rank={self.rank})'s tables and what their training holds"
        train.array_store.require(needed, what, "a smaller rank, or another solver")
        with all_devices() as row_multiple:
            task: Task = (RatingTask if self.loss == "mse" else RankingTask)(self, train, row_multiple)
            task.compile(self._optimizer(self.epochs * len(task.batches)))
            if start is not None:
                self._start_from(start, train, task.network)
            keeper = Keeper(
                Checkpoint(checkpoint, self, train), task.watch if self.patience is not None else None, self.patience
            )
            begun = keeper.resume(task.network, task.batches)

            def model() -> Factors:
                return task.factors(keeper.progress.history)

            watchers = [*keras_callbacks, keeper]
            if callback is not None:
                watchers.append(Reporter(callback, self.epochs, model))
            if begun < self.epochs and not keeper.progress.waited(self.patience):
                task.network.fit(
                    task.batches,
                    epochs=self.epochs,
                    initial_epoch=begun,
                    validation_data=task.validation,
                    callbacks=watchers,
                    shuffle=False,
                    verbose=0,
                )
            keeper.restore_best(task.network)
            return model()

    def _start_from(self, start: Factors, train: Interactions, network: Any) -> None:
        if start.item_bias is not None and start.user_bias is None:  # as ranking leaves it
            start = dataclasses.replace(start, user_bias=np.zeros(start.n_users, np.float32))
        layers = {layer.name: layer for layer in network.layers}
        biased = "item_bias" in layers
        tables = started(self, train, start, biased=biased, non_negative=self.non_negative)
        for side, table in zip(("user", "item"), tables, strict=True):
            for name, part in ((f"{side}_vectors", table[:, : self.rank]), (f"{side}_bias", table[:, self.rank :])):
                if name in layers:
                    weights = layers[name].get_weights()[0]
                    weights[: len(part)] = part
                    layers[name].set_weights([weights])

    def _optimizer(self, steps: int) -> Any:
        if isinstance(self.optimizer, keras.optimizers.Optimizer):  # a pattern: its own state stays untouched
            return type(self.optimizer).from_config(self.optimizer.get_config())
        rate: Any = self.strengths.learning_rate
        if self.schedule == "cosine":
            rate = keras.optimizers.schedules.CosineDecay(rate, steps)
        try:
            return keras.optimizers.get({"class_name": self.optimizer, "config": {"learning_rate": rate}})
        except (ValueError, TypeError) as error:
            raise SettingError(
                f"KerasMF(optimizer={self.optimizer!r}): give the name of a Keras optimizer, such as 'adam' or 'sgd'"
            ) from error
