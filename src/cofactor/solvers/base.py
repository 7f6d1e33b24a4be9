"""What solvers share: the protocol, the report of an epoch, checks, data to learn from, initial vectors."""

import dataclasses
import datetime
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np

from cofactor.data.interactions import Interactions
from cofactor.data.passes import as_csr
from cofactor.data.preparation import Alike, AsGiven, Preparation
from cofactor.data.timing import Timing
from cofactor.errors import DataError, SettingError
from cofactor.model.checks import check_interactions
from cofactor.model.factors import Factors
from cofactor.model.objectives import Goal
from cofactor.model.origin import Origin
from cofactor.version import __version__

log = logging.getLogger("cofactor")

__all__ = [
    "Callback",
    "Epoch",
    "Solver",
    "check_choice",
    "check_confidences",
    "check_held_out",
    "check_settings",
    "check_train",
    "check_validation",
    "decayed",
    "hold_out",
    "known_biases",
    "known_rows",
    "learnt_from",
    "mean_and_spread",
    "narrowed",
    "origin_of",
    "parted",
    "positives",
    "started",
    "unit_of_ratings",
    "unset_extras",
]


log = logging.getLogger(__name__)

_MOST: dict[str, float] = {
    "rank": 2**16, "epochs": 10**6, "sweeps": 10**6, "burn_in": 10**6, "n_samples": 10**6, "patience": 10**6,
    "batch_size": 2**27, "negatives": 1_000,
    "regularization": 1e9, "bias_regularization": 1e9, "nu": 2.0, "unobserved_weight": 1e6, "learning_rate": 1e3,
    "trend_weight": 1e9, "popularity_correction": 1e3, "negative_weight": 1e6, "margin": 1e6,
}  # fmt: skip
"""The most that settings may be: beyond, numbers overflow or a fit has no end. Objectives hold the same of files."""

_ROWS_AT_ONCE = 8192
_VALUES_AT_ONCE = 2**20
_EQUAL = 1e-6  # a spread so small against the mean is rounding


@dataclass(frozen=True)
class Epoch:
    """Report of one epoch: its number from 1, the number planned, its metrics, and the model so far.

    ``model()`` builds the model and must be called before the callback returns. It is None for solvers that have no
    model before the end.
    """

    number: int
    planned: int
    metrics: Mapping[str, float]
    model: Callable[[], Factors] | None = None


Callback: TypeAlias = Callable[[Epoch], None]
"""Called after every epoch; an exception that it raises ends the fit."""


class Solver(Protocol):
    """A frozen dataclass of settings that learns `Factors` from `Interactions`."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    @property
    def goal(self) -> Goal:
        """Whether its models predict ratings or rank items."""
        ...

    def fit(self, train: Interactions, *, callback: Callback | None = None) -> Factors:
        """Learn vectors for every user and item of ``train``."""
        ...


def check_train(train: Interactions, start: Factors | None = None) -> None:
    """Check that there are interactions, and that ``start`` is a model.

    Raises
    ------
    DataError
        If ``train`` is not Interactions, or is empty.
    SettingError
        If ``start`` is given and is not Factors.
    """
    check_interactions(train)
    if start is not None and not isinstance(start, Factors):
        raise SettingError(f"start is {type(start).__name__}, not a model: open its file with cofactor.load")
    if not len(train):
        raise DataError("there are no interactions to learn from: check the file, or the split")


def check_confidences(train: Interactions) -> None:
    """Refuse negative values, for a solver that takes values as confidences.

    Raises
    ------
    DataError
        If there is one.
    """
    if train.matrix.data.min() < 0:
        raise DataError(
            "a value is negative, and here values say how sure it is that a user chose an item: "
            "keep what was liked with ratings.at_least(), or all alike with ratings.binary()"
        )


def learnt_from(train: Interactions, preparation: Preparation, timing: Timing | None = None) -> Interactions:
    """Return what a solver for lists learns from: prepared values, without those that carry no weight.

    With a ``timing``, old values weigh less. A user has seen the others, and they are never recommended to them. How
    many they are is logged.

    Raises
    ------
    DataError
        If nothing was chosen.
    """
    values, store = train.matrix.data, train.array_store
    learnt = train if isinstance(preparation, AsGiven) else train.valued(preparation.apply)
    kept: np.ndarray = store.zeros(len(values), bool)
    chosen = False
    for part in store.parts(len(values)):
        kept[part] = learnt.matrix.data[part] != 0
        chosen = chosen or bool((learnt.matrix.data[part] > 0).any())
    if not chosen:
        raise DataError(
            "no value is above 0, so nothing counts as chosen: check the column of values, "
            "or let every pair count alike with ratings.binary()"
        )
    if timing is not None and timing.half_life is not None:
        learnt = decayed(learnt, timing)
    if kept.all():
        return learnt
    left = int(len(kept) - np.count_nonzero(kept))
    log.warning("%s of %s values are 0 and carry no weight", f"{left:,}", f"{len(kept):,}")
    return learnt.where(kept)


def decayed(learnt: Interactions, timing: Timing, *, alone: bool = False) -> Interactions:
    """Return the table with values that weigh less with age, or with their weights alone."""
    matrix, store, times = learnt.matrix, learnt.array_store, learnt.timestamps
    assert times is not None
    values: np.ndarray = store.zeros(len(learnt), np.float32)
    for part in store.parts(len(learnt)):
        values[part] = timing.decay(times[part]) * (1 if alone else matrix.data[part])
    return dataclasses.replace(learnt, matrix=as_csr(values, matrix.indices, matrix.indptr, matrix.shape))


def check_settings(solver: Any, **least: float) -> None:
    """Refuse settings that are not finite numbers of at least the given bound; an integer bound asks for an integer.

    NumPy scalars become Python numbers, which a model file can hold.

    Raises
    ------
    SettingError
        Naming the setting, its value and the least.
    """
    optional = {field.name for field in dataclasses.fields(solver) if field.default is None}
    for name, bound in least.items():
        value = getattr(solver, name)
        if value is None and name in optional:
            continue
        if isinstance(value, np.generic):
            value = value.item()
            object.__setattr__(solver, name, value)
        whole = isinstance(bound, int)
        right_type = isinstance(value, int) if whole else isinstance(value, int | float)
        most = _MOST.get(name, 2**63 - 1 if whole else sys.float_info.max)
        if isinstance(value, bool) or not right_type or not bound <= value <= most:
            number = "a whole number" if whole else "a number"
            limit = f"at most {most:,}" if right_type and value > most else f"at least {bound}"
            raise SettingError(f"{type(solver).__name__}({name}={value!r}): it must be {number} of {limit}")


def unset_extras(solver: Any) -> list[str]:
    """Return the settings of time and attributes that a solver has, and that say nothing.

    They are the keyword-only ones. What identifies a training leaves them out, so that files older than they stay good.
    """
    return [f.name for f in dataclasses.fields(solver) if f.kw_only and getattr(solver, f.name) == f.default]


def check_choice(solver: Any, name: str, choices: tuple[str, ...]) -> None:
    """Refuse a setting that is not one of its choices.

    Raises
    ------
    SettingError
        Naming the setting, its value and the choices.
    """
    value = getattr(solver, name)
    if value not in choices:
        raise SettingError(f"{type(solver).__name__}({name}={value!r}): it must be {' or '.join(map(repr, choices))}")


def check_validation(solver: Any) -> None:
    """Refuse a ``validation_fraction`` of 1 or more, and ``patience`` without a validation part.

    Raises
    ------
    SettingError
        Naming the setting.
    """
    name = type(solver).__name__
    check_settings(solver, validation_fraction=0.0)
    if solver.validation_fraction >= 1:
        raise SettingError(f"{name}(validation_fraction={solver.validation_fraction}): it must be less than 1")
    if solver.patience is not None and not solver.validation_fraction:
        raise SettingError(f"{name}(patience=…) needs a validation_fraction to watch: set it to 0.1, say")


def hold_out(solver: Any, train: Interactions) -> tuple[Interactions, Interactions | None]:
    """Split off the solver's ``validation_fraction`` of the training data; the second part is None if it is 0.

    Raises
    ------
    DataError
        If one of the two parts would be empty.
    """
    if not solver.validation_fraction:
        return train, None
    part, validation = train.split_random(test_fraction=solver.validation_fraction, seed=solver.seed)
    check_held_out(solver, len(train), len(validation))
    return part, validation


def check_held_out(solver: Any, ratings: int, held_out: int) -> None:
    """Refuse a ``validation_fraction`` that holds out none or all of the ratings.

    Raises
    ------
    DataError
        Saying how many there are.
    """
    if not 0 < held_out < ratings:
        raise DataError(
            f"{ratings:,} ratings are too few to hold out {solver.validation_fraction:g} of them: "
            "give more, or set validation_fraction to 0"
        )


def mean_and_spread(train: Interactions) -> tuple[float, float]:
    """Return the mean of the ratings and the unit that a rating model learns in; see `unit_of_ratings`.

    The sums do not depend on where the data are kept.
    """
    values = train.matrix.data
    mean = np.float64(values.mean(dtype=np.float64))
    parts = (values[first : first + _VALUES_AT_ONCE] for first in range(0, len(values), _VALUES_AT_ONCE))
    deviation = np.sqrt(sum(float(np.square(part - mean).sum()) for part in parts) / len(values))
    return float(mean), unit_of_ratings(float(mean), float(deviation))


def unit_of_ratings(mean: float, deviation: float) -> float:
    """Return the standard deviation of ratings, which is the unit that a rating model learns in.

    Where all ratings are equal it is a third of their size, about what it is for stars; for zeros it is 1.
    """
    return deviation if deviation > _EQUAL * abs(mean) else abs(mean) / 3 or 1.0


def positives(train: Interactions, timing: Timing | None = None) -> Interactions:
    """Return the pairs of a value above 0, for a solver that lets them all count alike; see `learnt_from`.

    With a ``timing`` that lets old pairs weigh less, the values are their weights.
    """
    if timing is not None and timing.half_life is not None:
        return learnt_from(train, Alike(), timing)
    return train if train.matrix.data.min() > 0 else learnt_from(train, Alike())


def started(
    solver: Any,
    train: Interactions,
    start: Factors | None,
    *,
    biased: bool,
    non_negative: bool = False,
    spread: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return initial vectors, float32, shapes (users, rank) and (items, rank); with a bias as one more column.

    They are small random numbers whose products are in proportion to ``spread``, or the vectors of ``start`` for users
    and items that it has. Rows without interactions are zeros.

    Raises
    ------
    SettingError
        If the model to start from has another rank or form, or ids of another type.
    """
    random = np.random.default_rng(solver.seed)
    scale = np.sqrt(spread / solver.rank) * (1 if non_negative else 0.1)
    draw = random.random if non_negative else random.standard_normal
    sides = []
    for side, counts in (("user", np.diff(train.matrix.indptr)), ("item", np.diff(train.by_item.indptr))):
        n = len(counts)
        vectors = train.array_store.zeros((n, solver.rank + biased), np.float32)
        for first in range(0, n, _ROWS_AT_ONCE):  # a whole side of random numbers would be as large as the vectors
            part = vectors[first : first + _ROWS_AT_ONCE, : solver.rank]
            part[:] = scale * draw(part.shape, dtype=np.float32)
        if start is not None:
            _copy_known(start, train, side, vectors, biased)
        vectors[counts == 0] = 0  # training never changes them
        sides.append(vectors)
    return sides[0], sides[1]


def parted(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors (rows, rank) and biases (rows,) of a side's own table (rows, rank + 1), which is overwritten.

    The vectors are moved together within its memory, since a copy would be as large as they are.
    """
    bias = table[:, -1].copy()
    return narrowed(table, table.shape[1] - 1), bias


def narrowed(table: np.ndarray, columns: int) -> np.ndarray:
    """Return the first columns of a side's own table, as contiguous rows; the table is overwritten."""
    n = len(table)
    if columns == table.shape[1]:
        return table
    vectors = table.reshape(-1)[: n * columns].reshape(n, columns)
    for first in range(0, n, _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        moved = table[part, :columns].copy()  # what it is written over belongs to it and to rows that have moved
        vectors[part] = moved
    return vectors


def _copy_known(start: Factors, train: Interactions, side: str, vectors: np.ndarray, biased: bool) -> None:
    known, bias = getattr(start, f"{side}_vectors"), getattr(start, f"{side}_bias")
    if known.shape[1] != vectors.shape[1] - biased or (bias is not None) != biased:
        raise SettingError(
            f"the model to start from has rank {known.shape[1]} and {'' if bias is not None else 'no '}biases: "
            f"it must have rank {vectors.shape[1] - biased} and {'' if biased else 'no '}biases"
        )
    rows = known_rows(start, train, side)
    vectors[rows >= 0, : known.shape[1]] = known[rows[rows >= 0]]
    if biased:
        vectors[rows >= 0, -1] = bias[rows[rows >= 0]]


def known_rows(start: Factors, train: Interactions, side: str) -> np.ndarray:
    """Return the row that each of the data's users, or items, has in a model to start from; -1 for those it lacks.

    Raises
    ------
    SettingError
        If none can be found, since ids are integers on one side and strings on the other.
    """
    ours, theirs = getattr(train, f"{side}s"), getattr(start, f"{side}s")
    if len(theirs) and ours.holds_integers != theirs.holds_integers:
        kinds = [("strings", "integers")[ids.holds_integers] for ids in (theirs, ours)]
        raise SettingError(
            f"the model to start from has {side} ids that are {kinds[0]}, and the data's are {kinds[1]}: "
            "read the data with ids of the model's type"
        )
    rows: np.ndarray = theirs.find(ours.ids)
    return rows


def known_biases(start: Factors | None, train: Interactions, side: str) -> np.ndarray:
    """Return initial biases, float32, (rows,): those of the model to start from, and zeros for other rows."""
    bias = np.zeros(len(getattr(train, f"{side}s")), np.float32)
    if start is not None and (known := getattr(start, f"{side}_bias")) is not None:
        rows = known_rows(start, train, side)
        bias[rows >= 0] = known[rows[rows >= 0]]
    return bias


def origin_of(solver: Any, train: Interactions | str) -> Origin:
    """Return the origin of a model: solver, settings, the name and the period of the data, date and version."""
    settings = {field.name: getattr(solver, field.name) for field in dataclasses.fields(solver)}
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}  # as JSON
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    if isinstance(train, str):
        return Origin(type(solver).__name__, settings, train, now, __version__)
    return Origin(type(solver).__name__, settings, train.name, now, __version__, period=train.period)
