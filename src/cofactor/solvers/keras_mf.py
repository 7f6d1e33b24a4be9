"""KerasMF: matrix factorization as an embedding model, trained by gradient descent on Keras.

What differs between the goals is in a task: `RatingTask` predicts ratings, `RankingTask` puts what was chosen above
what was not. A task knows the network, the batches that go in, the figure to watch, and how the network's weights
become `Factors`.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np

from cofactor.data.interactions import Interactions
from cofactor.data.passes import counts_of, places_of
from cofactor.data.preparation import Alike
from cofactor.data.splits import random_mask
from cofactor.data.timing import Timing
from cofactor.errors import SettingError
from cofactor.model.factors import Factors
from cofactor.model.keras_network import keras, keras_model, ranking_network
from cofactor.model.objectives import Goal, Objective, Side
from cofactor.model.objectives.squared import SquaredError
from cofactor.model.origin import Origin
from cofactor.model.surrogate_fold_in import with_placement
from cofactor.solvers.base import (
    Callback,
    Epoch,
    check_choice,
    check_held_out,
    check_settings,
    check_train,
    check_validation,
    hold_out,
    mean_and_spread,
    origin_of,
    positives,
    started,
)
from cofactor.solvers.epochs import Checkpoint
from cofactor.solvers.featured import Attributes, Featured, attributes_of, described
from cofactor.solvers.keras_losses import DEFAULTS, Strengths, ranking_loss
from cofactor.solvers.keras_training import (
    Batches,
    Drawn,
    FixedBatches,
    InBatchNegatives,
    Keeper,
    Negatives,
    RankingBatches,
    UniformNegatives,
    all_devices,
)
from cofactor.solvers.timed import Timed, in_time, refuse_time, timing_of

__all__ = ["KerasMF", "keras_model"]

TABLES_HELD: Mapping[str, float] = {"rating": 9.0, "ranking": 14.0}
"""What training takes at its peak, as a multiple of the tables, where these are large against a batch: the optimizer's
own tables, gradients, their copies in a step, and what becomes of the weights in the end."""

_GROUP = 256  # positives in a batch that are each other's negatives

History: TypeAlias = Mapping[str, Sequence[float]]


@dataclass(frozen=True)
class KerasMF(Timed, Featured):
    r"""Embeddings of users and items whose dot product predicts a rating, or puts items in order.

    **Model**: score = mean + user bias + item bias + user vector · item vector; without biases just the product, as
    in the article. The losses for ranking need no mean and no user bias, which change no list; ``"ccl"`` is the cosine
    of the vectors alone.

    **Loss**: ``"mse"``, the article's, is the mean over the ratings of

    .. math:: (r_{ui} - \hat r_{ui})^2 + \lambda (n_u^{\nu-1} |p_u|^2 + n_i^{\nu-1} |q_i|^2) + \text{(biases alike)},

    so that over an epoch the penalty of a row with n ratings is :math:`\lambda n^\nu`. Here the ratings r are in units
    of their standard deviation, so that stars, points and per cent give the same model up to scale.

    The other losses ignore the values, as is right for a top-n list. They take the same penalty, and in place of the
    squared error, for the score :math:`s` of a pair that was seen, and the scores :math:`s_j` and weights :math:`w_j`
    of its negatives,

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
    A ``keras.distribution`` that is set already is left as it is. ``CUDA_VISIBLE_DEVICES`` chooses the GPUs.

    **Time**: see `Timed` for the settings ``half_life``, ``recency``, ``trend`` and ``trend_weight``. Decayed weights
    multiply the squared error of a rating, or the loss of a pair that was seen, and count in the figures; penalties
    stay as they are. With ``loss="mse"`` there is ``half_life`` alone, and newcomers' ratings count alike.

    **Attributes**: with ``item_features`` or ``user_features`` penalties draw a row's vector and bias to what the row's
    attributes say, as found anew before each epoch, instead of to zero; see `Featured`. Without penalties attributes
    place only rows without ratings.

    **Reference**: Koren, Bell, Volinsky (2009), Matrix factorization techniques for recommender systems; Rendle et al.
    (2009), BPR; He et al. (2017), Neural collaborative filtering (bce); Yi et al. (2019), Sampling-bias-corrected
    neural modeling (softmax); Mao et al. (2021), SimpleX (ccl).

    Settings that are None take a default of the loss:

    =================== ===== ===== ===== ========= =====
    setting             mse   bpr   bce   softmax   ccl
    =================== ===== ===== ===== ========= =====
    regularization      1.1   0.1   0.35  0.7       0
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
        Strength of the penalty on vectors; with ``loss="mse"`` in units of the ratings' standard deviation.
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
        Timed.__post_init__(self)
        Featured.__post_init__(self)
        refuse_time(self, instead="loss='softmax'")

    @property
    def for_lists_alone(self) -> tuple[str, ...]:
        """The settings of time that are refused, with ``loss="mse"`` all but ``half_life``."""
        return ("recency", "trend", "trend_weight") if self.loss == "mse" else ()

    @property
    def strengths(self) -> Strengths:
        """The settings as given, with the defaults of the loss for those that are None."""
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
            A file that holds the progress after each epoch; if it exists, training continues from it.

        Returns
        -------
        Factors
            With ``history`` holding loss, mae and mse of each epoch, or loss and its part without penalties, called
            bpr, bce and so on (with a validation part the same with ``val_`` before it). Users and items without a
            training rating have vectors of zeros.

        Raises
        ------
        DataError
            If there is nothing to learn from, a setting needs times or attributes that the data lack, or the training
            diverged.
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
            stored = Checkpoint(checkpoint, self, train)
            task: Task = (
                RatingTask(self, train, row_multiple, unit=stored.unit)
                if self.loss == "mse"
                else RankingTask(self, train, row_multiple)
            )
            task.compile(self._optimizer(self.epochs * len(task.batches)))
            if start is not None:
                self._start_from(start, train, task)

            def model() -> Factors:
                return task.factors(keeper.progress.history)

            def report(epoch: int, figures: Mapping[str, float]) -> None:
                if callback is not None:
                    callback(Epoch(epoch, self.epochs, figures, model))

            keeper = Keeper(
                stored,
                task.watch if self.patience is not None else None,
                self.patience,
                loss_unit=task.spread**2,
                report=report,
            )
            begun = keeper.resume(task.network, task.batches)
            if begun < self.epochs and not keeper.progress.waited(self.patience):
                task.network.fit(
                    task.batches,
                    epochs=self.epochs,
                    initial_epoch=begun,
                    validation_data=task.validation,
                    callbacks=[*keras_callbacks, Drawn(task.attributes), keeper],
                    shuffle=False,
                    verbose=0,
                )
            keeper.restore_best(task.network)
            return model()

    def _start_from(self, start: Factors, train: Interactions, task: "Task") -> None:
        if start.item_bias is not None and start.user_bias is None:  # as ranking leaves it
            start = dataclasses.replace(start, user_bias=np.zeros(start.n_users, np.float32))
        layers = {layer.name: layer for layer in task.network.layers}
        biased, spread = "item_bias" in layers, task.spread
        tables = started(self, train, start, biased=biased, non_negative=self.non_negative, spread=spread)
        for side, table in zip(("user", "item"), tables, strict=True):
            table[:, : self.rank] /= np.float32(np.sqrt(spread))
            table[:, self.rank :] /= np.float32(spread)
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


class Task(Protocol):
    """All that differs between the losses; products of the network's vectors are in units of ``spread``."""

    batches: Any
    validation: Any
    network: Any
    watch: str
    spread: float
    attributes: Mapping[Side, Attributes]

    def compile(self, optimizer: Any) -> None:
        """Give the network its loss and its metrics."""
        ...

    def factors(self, history: History) -> Factors:
        """Return the model that the network's weights are now."""
        ...


class RatingTask:
    """Predict ratings, by the squared error; ``unit`` makes of their spread the unit to learn in."""

    watch = "val_mse"

    def __init__(
        self,
        solver: KerasMF,
        train: Interactions,
        row_multiple: int = 1,
        *,
        unit: Callable[[float], float] = lambda spread: spread,
    ) -> None:
        self._solver, self._train = solver, train
        self._timing, self.attributes = timing_of(solver, train), _attributes(solver, train, train)
        mean, spread = mean_and_spread(train)
        self.spread = unit(spread)
        self._mean = mean if solver.biases else 0.0
        self.batches, self.validation = self._parts()
        strengths = solver.strengths
        self.network = keras_model(
            train.n_users,
            train.n_items,
            solver.rank,
            biases=solver.biases,
            mean=self._mean,
            spread=self.spread,
            regularization=strengths.regularization,
            bias_regularization=strengths.bias_regularization,
            non_negative=solver.non_negative,
            drawn=self.attributes,
            row_multiple=row_multiple,
            seed=solver.seed,
        )
        _weigh_decay(self.network, train, solver.nu)

    def _parts(self) -> tuple[Batches, Batches | None]:
        solver, train = self._solver, self._train
        if not solver.validation_fraction:
            return Batches(train, solver.batch_size, timing=self._timing, seed=solver.seed), None
        held_out = random_mask(len(train), solver.validation_fraction, solver.seed, train.array_store)
        check_held_out(solver, len(train), int(np.count_nonzero(held_out)))
        positions = places_of(held_out, train.array_store)
        validation = Batches(train, 65_536, positions=positions, timing=self._timing, seed=None)
        np.logical_not(held_out, out=held_out)
        positions = places_of(held_out, train.array_store)
        batches = Batches(train, solver.batch_size, positions=positions, timing=self._timing, seed=solver.seed)
        return batches, validation

    def compile(self, optimizer: Any) -> None:
        """Give the network its loss, of standardized ratings, and its metrics, of the ratings as they are."""
        unit = self.spread

        def standardized(ratings: Any, scores: Any) -> Any:
            return keras.ops.mean(keras.ops.square((ratings - scores) / unit), axis=-1)

        self.network.compile(optimizer, loss=standardized, **_figures(self._timing, "mae", "mse"))

    def factors(self, history: History) -> Factors:
        """Return the model that the network's weights are now."""
        solver, train, strengths = self._solver, self._train, self._solver.strengths
        tables = _tables(self.network, train)
        for name, table in tables.items():
            table *= np.float32(self.spread if name.endswith("bias") else np.sqrt(self.spread))
        objective = SquaredError(
            regularization=strengths.regularization * self.spread,
            bias_regularization=strengths.bias_regularization,
            nu=solver.nu,
            non_negative=solver.non_negative,
            scale=train.value_range,
        )
        model = _factors(solver, train, tables, objective, history, mean=self._mean)
        return in_time(described(model, self.attributes), self._timing, train.timestamps)


class RankingTask:
    """Rank what a user chose above what they did not."""

    spread = 1.0

    def __init__(self, solver: KerasMF, train: Interactions, row_multiple: int = 1) -> None:
        self._solver, self._train = solver, train
        self.watch = f"val_{solver.loss}"
        self._timing, self._chosen = timing_of(solver, train), positives(train)
        self.attributes = _attributes(solver, train, self._chosen)
        part, held_out = hold_out(solver, self._chosen)
        self._group = 1
        if solver.sampling == "batch":
            self._group = min(_GROUP, solver.batch_size, len(part), len(part if held_out is None else held_out))
        self.batches = RankingBatches(self._positives(part), self._negatives(part, part), solver.seed)
        self.validation = None
        if held_out is not None:
            self.validation = FixedBatches(
                self._positives(held_out), self._negatives(self._chosen, held_out), solver.seed
            )
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
            drawn=self.attributes,
            row_multiple=row_multiple,
            seed=solver.seed,
        )
        _weigh_decay(self.network, part, solver.nu)

    @property
    def _cosine(self) -> bool:
        return self._solver.loss == "ccl"

    def _positives(self, part: Interactions) -> Batches:
        solver = self._solver
        return Batches(part, solver.batch_size, multiple=self._group, timing=self._timing, seed=solver.seed)

    def _negatives(self, met: Interactions, chosen: Interactions) -> Negatives:
        """Return how to draw items that users have not met; within a batch they are as frequent as among ``chosen``."""
        solver = self._solver
        if solver.sampling == "uniform":
            return UniformNegatives(met.matrix, solver.negatives, solver.popularity_correction)
        chances = _item_counts(chosen) / len(chosen)
        return InBatchNegatives(met.matrix, chances, self._group, solver.popularity_correction)

    def compile(self, optimizer: Any) -> None:
        """Give the network its loss, and the same again as a metric, which has no penalty in it."""
        settings = {"negative_weight": self._solver.strengths.negative_weight, "margin": self._solver.margin}
        loss = ranking_loss(self._solver.loss, settings)
        self.network.compile(optimizer, loss=loss, **_figures(self._timing, loss))

    def factors(self, history: History) -> Factors:
        """Return the model that the network's weights are now."""
        tables = _tables(self.network, self._chosen)
        if self._cosine:
            for name, vectors in tables.items():
                lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
                tables[name] = vectors / np.where(lengths > 0, lengths, 1)
        objective = SquaredError(goal="ranking", non_negative=self._solver.non_negative)
        model = _factors(self._solver, self._chosen, tables, objective, history)
        placing = with_placement(
            dataclasses.replace(model, preparation=Alike()),
            seed=self._solver.seed,
            describe=lambda centred: described(centred, self.attributes),
        )
        return in_time(dataclasses.replace(placing, seen=self._train.matrix), self._timing, self._train.timestamps)


def _figures(timing: Timing | None, *figures: Any) -> dict[str, list[Any]]:
    """Return figures to watch as Keras takes them: weighted where old ratings weigh less, as in the loss."""
    weighted = timing is not None and timing.half_life is not None
    return {"weighted_metrics" if weighted else "metrics": [*figures]}


def _attributes(solver: KerasMF, train: Interactions, learnt: Interactions) -> Mapping[Side, Attributes]:
    """Return the attributes to heed, rows having the penalties of what is learnt from."""
    counts: dict[Side, np.ndarray] = {"user": np.diff(learnt.matrix.indptr), "item": _item_counts(learnt)}
    return attributes_of(solver, train, counts, lambda own: np.maximum(own, 1).astype(np.float32) ** solver.nu)


def _item_counts(train: Interactions) -> np.ndarray:
    return counts_of(train.matrix.indices, train.n_items)


def _counts(train: Interactions) -> dict[str, np.ndarray]:
    return {"user": np.diff(train.matrix.indptr), "item": _item_counts(train)}


def _layers(network: Any) -> dict[str, Any]:
    return {layer.name: layer for layer in network.layers}


def _weigh_decay(network: Any, train: Interactions, nu: float) -> None:
    """Make the penalty of a row with n ratings, which is in n batches of an epoch, n^nu in all."""
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
    solver: KerasMF,
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


def _origin(solver: KerasMF, train: Interactions) -> Origin:
    """Return `origin_of` the solver, with an optimizer object by its name, since JSON cannot hold it."""
    origin = origin_of(solver, train)
    if isinstance(solver.optimizer, keras.optimizers.Optimizer):
        settings = {**origin.settings, "optimizer": type(solver.optimizer).__name__}
        return dataclasses.replace(origin, settings=settings)
    return origin
