"""Search a solver's settings: try some, and measure each on held-out parts of the training data."""

import dataclasses
import functools
import hashlib
import math
import os
import shlex
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import polars as pl

from cofactor.data.interactions import Interactions
from cofactor.data.splits import disjoint_parts, horizon_of
from cofactor.data.times import Duration, duration
from cofactor.errors import DataError, SettingError, nearest
from cofactor.evaluation import studies
from cofactor.evaluation.held_out import known_part
from cofactor.evaluation.metrics import METRICS, SCORE_METRICS, ErrorMetric, ListMetric, RequestedMetric
from cofactor.evaluation.report import Report, evaluate
from cofactor.evaluation.search_space import Choices, Range, Space, check_known, search_space, time_space, value_of
from cofactor.model.factors import Factors
from cofactor.solvers import SOLVERS
from cofactor.solvers.base import Epoch, unset_extras

__all__ = [
    "Curve",
    "Parts",
    "Split",
    "Target",
    "Tried",
    "Tuned",
    "fitted_curve",
    "folds_of",
    "looks",
    "tune",
    "validation_parts",
]

Split: TypeAlias = Literal["per-user", "random", "last", "time", "rolling"]
Parts: TypeAlias = Sequence[tuple[Interactions, Interactions]]
"""Pairs of what to train on and what to measure on."""

BY_DATE = ("time", "rolling")
"""The splits by which everything that is measured is later than what is learnt from."""

Curve: TypeAlias = Mapping[int, float]
"""The metric after some epochs; the last entry is that of the finished model."""


_FIRST_TREND, _FIRST_RECENCY = "3d", 0.8
"""With a split by date, the settings of time in the first trial."""


class UnfitMetric(SettingError):
    """A metric that the solver's models are not measured by, whatever the settings."""


@dataclass(frozen=True)
class Target:
    """The figure that a search optimizes: its name, the length of the lists it needs, whether higher is better."""

    name: str
    k: int | None
    maximize: bool

    @classmethod
    def of(cls, name: str) -> "Target":
        """Read a name such as ``ndcg@10`` or ``rmse``.

        Raises
        ------
        SettingError
            If there is no such metric, or neither direction of it is better.
        """
        kind, at, length = name.partition("@")
        metric = METRICS.get(kind)
        if metric is not None and metric.better is not None:
            of_lists = isinstance(metric, ListMetric | RequestedMetric)
            if of_lists and length.isdecimal() and int(length) >= 1:
                return cls(name, int(length), metric.better == "higher")
            if not of_lists and not at:
                return cls(name, 10 if metric in SCORE_METRICS else None, metric.better == "higher")
        raise SettingError(f"unknown metric {name!r}: {nearest(name, _tunable())}choose one of {', '.join(_tunable())}")

    @property
    def is_error(self) -> bool:
        """Whether it is an error of predicted ratings."""
        return isinstance(METRICS[self.name.partition("@")[0]], ErrorMetric)

    def check_fits(self, solver: Any) -> None:
        """Refuse an error of predicted ratings for a solver whose models only put items in order.

        Raises
        ------
        SettingError
            Naming both.
        """
        if self.is_error and getattr(solver, "goal", "rating") == "ranking":
            raise SettingError(
                f"{type(solver).__name__} makes models for ranking, and {self.name!r} does not measure those: "
                "choose a metric of lists, such as ndcg@10"
            )

    def report(self, model: Factors, held_out: Interactions) -> Report:
        """Return a model's report on a held-out part, with this figure in it if models of its kind have one."""
        metric = METRICS[self.name.partition("@")[0]]
        on_request = [metric.name] if metric in SCORE_METRICS or isinstance(metric, RequestedMetric) else []
        return evaluate(model, held_out, k=self.k, also=on_request)

    def measure(self, model: Factors, held_out: Interactions) -> float:
        """Return a model's figure on a held-out part.

        Raises
        ------
        UnfitMetric
            If models of this kind have no such figure.
        DataError
            If the figure is not a number.
        """
        metrics = self.report(model, held_out).metrics
        if self.name not in metrics:
            raise UnfitMetric(
                f"{model.origin.solver} makes models for {model.objective.goal}, and {self.name!r} does not measure "
                f"those: choose one of {', '.join(metrics)}"
            )
        if not math.isfinite(metrics[self.name]):
            raise DataError(f"{self.name} is {metrics[self.name]}: the training diverged")
        return float(metrics[self.name])

    def best(self, values: Collection[float]) -> float:
        """Return the best of some values."""
        return max(values) if self.maximize else min(values)


def _tunable() -> list[str]:
    """Return how the metrics are written that a search can optimize."""
    known = [metric for metric in METRICS.values() if metric.better is not None]
    return [
        f"{metric.name}@10" if isinstance(metric, ListMetric | RequestedMetric) else metric.name for metric in known
    ]


def validation_parts(
    train: Interactions,
    split: Split,
    fraction: float = 0.1,
    folds: int | None = None,
    seed: int = 0,
    *,
    horizon: Duration | None = None,
) -> Parts:
    """Hold out parts of the training data to measure on; no two of them overlap.

    Parameters
    ----------
    train : Interactions
    split : {"per-user", "random", "last", "time", "rolling"}
        A share of each user's at random, a share of all at random, each user's last one, the latest, or the latest in
        several stretches of time, each after training on everything before it.
    fraction : float
        Size of a held-out part, and with "rolling" of all together; ignored for "last", and where ``horizon`` is given.
    folds : int, optional
        How many parts: 3, but 1 for "last" and "time", which have no more.
    seed : int
        Of the random parts.
    horizon : str, float or datetime.timedelta, optional
        How long each part of "rolling" lasts; by default, together they hold ``fraction`` of the interactions.

    Raises
    ------
    SettingError
        If the split is unknown, the horizon is none or of another split, or there is not enough for so many parts of
        this size.
    DataError
        If a part would be empty, or timestamps are needed and there are none.
    """
    folds = folds_of(split, folds)
    if horizon is not None and split != "rolling":
        raise SettingError(f"horizon is {horizon!r}: it is for the split 'rolling', not for {split!r}")
    if split != "last" and horizon is None and not 0 < fraction < 1:
        raise SettingError(f"validation_fraction is {fraction:g}: it must lie between 0 and 1, such as 0.1")
    if split == "last":
        parts = [train.split_last()]
    elif split == "time":
        parts = [train.split_by_time(test_fraction=fraction)]
    elif split == "rolling":
        if horizon is None:
            horizon = horizon_of(train.timestamps, fraction, folds, train.array_store)
        parts = list(train.split_rolling(folds, horizon=horizon))
    else:
        groups = train.triplets().user_rows if split == "per-user" else np.zeros(len(train), dtype=np.int64)
        parts = [train.split_rows(rows) for rows in disjoint_parts(groups, fraction, folds, seed)]
    for rest, held_out in parts:
        if not len(rest) or not len(held_out):
            raise DataError(f"{len(train):,} interactions are too few to hold out a validation part of them")
    return parts


def folds_of(split: Split, folds: int | None) -> int:
    """Return how many parts are held out: as many as asked for, or what suits the split.

    Raises
    ------
    SettingError
        If the split is unknown, or has no such number of parts.
    """
    if split not in get_args(Split):
        raise SettingError(f"unknown split {split!r}: choose one of {', '.join(get_args(Split))}")
    single = split in ("last", "time")
    if folds is None:
        return 1 if single else 3
    if folds < 1 or (folds > 1 and single):
        instead = "; 'rolling' has several parts by date" if folds > 1 and split == "time" else ""
        raise SettingError(f"folds is {folds}: it must be {'at least 1' if folds < 1 else f'1 with {split=}'}{instead}")
    return folds


def _knowable(parts: Parts) -> Parts:
    """Return the parts without what no model of their training part can know: users and items that come after it.

    Raises
    ------
    DataError
        If nothing is left of one.
    """
    known = [(rest, known_part(rest, held_out)) for rest, held_out in parts]
    for number, (_, held_out) in enumerate(known, 1):
        if not len(held_out):
            raise DataError(
                f"validation part {number} of {len(known)} has only users and items that come after what is trained "
                "on: hold out less"
            )
    return known


def looks(epochs: int) -> list[int]:
    """Return the epochs after which a model is measured: 1, 2, 3, 4, 6, 9, 13, … and the last.

    Each is at one and a half times the epoch before, so that measuring, which can cost more than an epoch, happens only
    a few times, and the best number of epochs is found to within a third.
    """
    chosen = [1]
    while chosen[-1] < epochs:
        chosen.append(min(max(chosen[-1] + 1, chosen[-1] * 3 // 2), epochs))
    return chosen


def fitted_curve(
    solver: Any,
    part: tuple[Interactions, Interactions],
    metric: Target,
    epochs: Collection[int],
    tell: Callable[[int, float], None] | None = None,
) -> Curve:
    """Train a solver, and measure its model after some epochs and at the end.

    Parameters
    ----------
    solver : solver
    part : pair of Interactions
        What to train on, and what to measure on.
    metric : Target
    epochs : collection of int
        When to measure, if the solver shows its model between epochs.
    tell : callable, optional
        Called with each epoch and its value; what it raises ends the training.
    """
    train, held_out = part
    curve: dict[int, float] = {}
    last = 0

    def look(epoch: Epoch) -> None:
        nonlocal last
        last = epoch.number
        if epoch.model is not None and epoch.number in epochs and epoch.number < epoch.planned:
            curve[epoch.number] = metric.measure(epoch.model(), held_out)
            if tell is not None:
                tell(epoch.number, curve[epoch.number])

    model = solver.fit(train, callback=look)
    curve.pop(last, None)  # a training that stops early goes back to a better epoch
    curve[last] = metric.measure(model, held_out)
    if tell is not None:
        tell(last, curve[last])
    return curve


@dataclass(frozen=True)
class Tried:
    """The progress after a trial: how many are done of how many, this one's value, the best so far.

    A value is None if the trial was stopped early or failed.
    """

    done: int
    planned: int
    value: float | None
    best: float | None


def _of_one_kind(values: list[Any]) -> list[Any]:
    """Return values that a column can hold: texts where they are of several kinds."""
    numbers = (int, float)
    kinds = {float if type(value) in numbers else type(value) for value in values if value is not None}
    return values if len(kinds) < 2 else [None if value is None else str(value) for value in values]


@dataclass(frozen=True)
class Tuned:
    """The best settings that were found, and how.

    Parameters
    ----------
    solver : solver
        With the best settings, ready to fit on the whole training data.
    value : float
        Its average metric on the held-out parts. The best of many trials is optimistic: measure it on test data.
    metric : str
        The metric.
    study : optuna.Study
        All trials.
    n_unknown : int
        How many held-out interactions were left out, because their user or item comes after the cut in time.
    """

    solver: Any
    value: float
    metric: str
    study: Any
    n_unknown: int = 0

    @property
    def maximize(self) -> bool:
        """Whether higher is better."""
        return Target.of(self.metric).maximize

    def trials_frame(self) -> pl.DataFrame:
        """Return one row per trial, in order: trial, state, value, epochs, the searched settings, seconds, error.

        The value of a trial that was stopped early is its last one, on the first held-out part. Settings of several
        kinds, such as a number or a text, are texts.
        """
        trials = studies.finished(self.study)
        names = list(dict.fromkeys(name for trial in trials for name in trial.user_attrs["settings"]))
        settings = {name: _of_one_kind([trial.user_attrs["settings"].get(name) for trial in trials]) for name in names}
        rows = [
            {
                "trial": number,
                "state": studies.STATES[trial.state],
                "value": trial.value,
                **{name: settings[name][number] for name in names},
                "seconds": trial.user_attrs["seconds"],
                "error": trial.user_attrs.get("error"),
            }
            for number, trial in enumerate(trials)
        ]
        return pl.DataFrame(rows, infer_schema_length=None, schema_overrides={"value": pl.Float64, "error": pl.String})

    def importances(self) -> dict[str, float]:
        """Return how important each searched setting is for a trial to be among the best; they add up to 1.

        By PED-ANOVA (Watanabe, Bansal, Hutter 2023, PED-ANOVA: Efficiently quantifying hyperparameter importance in
        arbitrary subspaces). Empty if fewer than four trials were completed.
        """
        return studies.importances(self.study)

    def command(self, data: str, *options: str) -> str:
        """Return the command line that fits the best settings.

        Parameters
        ----------
        data : str
            What ``cofactor fit`` reads: a data set's name, a file or folder.
        *options : str
            Further options, word by word, such as those of the split.

        Raises
        ------
        SettingError
            If the solver has no name on the command line, or a setting cannot be written there.

        Examples
        --------
        >>> from cofactor.solvers.als import ImplicitALS
        >>> tuned = Tuned(ImplicitALS(rank=32, nu=0.7, seed=1), 0.4, "ndcg@10", None)
        >>> tuned.command("plays.csv", "-o", "best.safetensors")
        'cofactor fit plays.csv --solver implicit-als --rank 32 --nu 0.7 --seed 1 -o best.safetensors'
        """
        kind = type(self.solver)
        names = {where: name for name, where in SOLVERS.items()}
        if (kind.__module__, kind.__name__) not in names:
            raise SettingError(f"{kind.__name__} has no name on the command line: fit it from Python")
        words = ["cofactor", "fit", data, "--solver", names[kind.__module__, kind.__name__]]
        for field in dataclasses.fields(self.solver):
            value = getattr(self.solver, field.name)
            if value != field.default:
                words += _option(field.name, value)
        return shlex.join([*words, *options])


def _option(name: str, value: Any) -> list[str]:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    if not isinstance(value, int | float | str):
        raise SettingError(f"{name}={value!r} cannot be written on the command line: fit it from Python")
    return [f"--{flag}", str(value)]


def tune(
    solver: Any,
    train: Interactions,
    *,
    metric: str,
    trials: int = 30,
    timeout: Duration | None = None,
    space: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    split: Split = "per-user",
    validation_fraction: float = 0.1,
    folds: int | None = None,
    horizon: Duration | None = None,
    study: str | os.PathLike[str] | None = None,
    seed: int = 0,
    done: Callable[[Tried], None] | None = None,
) -> Tuned:
    """Find a solver's settings by trying some on held-out parts of the training data.

    The first trial has the solver's defaults, with a split by date also ``trend="3d"`` and ``recency=0.8``, and only
    then are settings of time searched. The next nine are random, the others are where a model of the trials so
    far expects most (the tree-structured Parzen estimator: Bergstra, Bardenet, Bengio, Kégl 2011, Algorithms for
    hyper-parameter optimization). A trial is measured after some of its epochs, and is stopped if after a quarter of
    them its best value is worse than that of half of the completed trials at the same epoch. The median rule rather
    than Hyperband, which would divide a few dozen trials among brackets and have too few in each to learn from.

    The number of epochs is chosen along the way: every trial is trained to the upper end, and the epoch with the best
    average over the held-out parts becomes its setting. If a shorter training is not the beginning of a longer one, as
    with a learning rate that follows a schedule or with ``patience``, epochs stay as they are, unless ``space`` names
    them; they are then searched like any other number.

    Users who have nothing left in training are not measured; see `evaluate`. The popular items that they would be shown
    are the same whatever the settings.

    Parameters
    ----------
    solver : type or solver
        A solver's class, or one whose settings are fixed wherever they differ from the defaults
        and ``space`` does not name them.
    train : Interactions
        The training data, without the test part.
    metric : str
        ``ndcg@k``, ``recall@k``, ``precision@k``, ``hit@k``, ``map@k``, ``mrr@k`` or ``auc``, the higher the better, or
        ``rmse``, ``mse`` or ``mae``, the lower the better.
    trials : int
        How many settings to try, including those in ``study``.
    timeout : str, float or datetime.timedelta, optional
        How long to search at most, such as "2m": then no further trial begins, and the one that is running is stopped
        when it is measured next. One trial is completed in any case.
    space : mapping of str to tuple or list, optional
        A range ``(low, high)`` or a list of choices for each field to search, instead of all those that `search_space`
        derives.
    fixed : mapping of str to value, optional
        Fields that are not searched, with their values.
    split : {"per-user", "random", "last", "time", "rolling"}
        What to hold out: some of each user's at random, some of all at random, each user's last one, the latest, or the
        latest in several stretches of time, each after training on everything before it. Where lists are for tomorrow,
        choose one of the last two; users and items that come after the cut are left out and counted.
    validation_fraction : float
        Size of a held-out part; with "rolling", of all together. A small one, since the best regularization depends on
        how much there is to learn from, and the result is trained on all of it.
    folds : int, optional
        How many parts to hold out, no two of which overlap; the metric is their average. More are slower and less
        noisy. 3 by default; 1 with "last" and "time", which have no more.
    horizon : str, float or datetime.timedelta, optional
        How long each part of "rolling" lasts, such as "14d"; by default, together they hold ``validation_fraction``.
    study : path, optional
        A file for the trials, from which a run that was killed continues.
    seed : int
        Of the held-out parts, of the search, and of the solver if a class is given.
    done : callable, optional
        Called with a `Tried` after each trial.

    Returns
    -------
    Tuned

    Raises
    ------
    SettingError
        If a setting, a range or the metric does not fit the solver, no trial could be completed, or the study belongs
        to another search.
    DataError
        If there is too little to hold out a part.
    ModelFileError
        If the file is not a study.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.solvers.als import ImplicitALS
    >>> likes = cf.load_dataset("synthetic:60x40x600").at_least(4).binary()
    >>> best = tune(ImplicitALS, likes, metric="ndcg@5", trials=2, fixed={"rank": 3, "epochs": 3})
    >>> best.solver.rank, best.trials_frame()["state"].to_list()
    (3, ['complete', 'complete'])
    """
    if trials < 1:
        raise SettingError(f"trials is {trials}: it must be at least 1")
    base, held = _based_on(solver, fixed or {}, space or {}, seed)
    Target.of(metric).check_fits(base)
    of_time = {} if train.timestamps is None else time_space(split, float(np.ptp(train.timestamps)))
    of_time = {name: tried for name, tried in of_time.items() if name not in getattr(base, "for_lists_alone", ())}
    ways = [
        _Search.of(base, search_space(base, space, held, of_time, alone=alone), Target.of(metric), set(space or {}))
        for alone in (True, False)
    ]
    average_row = _average_row(train)
    parts = validation_parts(train, split, validation_fraction, folds, seed, horizon=horizon)
    measured = _knowable(parts) if split in BY_DATE else parts
    n_unknown = sum(len(whole) - len(known) for (_, whole), (_, known) in zip(parts, measured, strict=True))
    protocol: dict[str, Any] = {
        "split": split,
        "validation_fraction": validation_fraction,
        "folds": len(parts),
        "seed": seed,
    }
    protocol |= {} if horizon is None else {"horizon": duration(horizon, "horizon")}
    protocol["data"] = _digest(train)
    earlier = {**ways[1].described(), **protocol}
    search = ways[studies.is_of(study, earlier)]  # a study that searched more than what is given goes on so
    described = {**search.described(), **protocol}
    maximize, warm_up = search.metric.maximize, max(search.looks) // 4
    end = math.inf if timeout is None else time.monotonic() + duration(timeout, "timeout")
    with studies.opened(
        study, described, maximize=maximize, warm_up=warm_up, solver=search.rebuilt, defaults=search.defaults()
    ) as kept:
        while (number := len(studies.finished(kept))) < trials:
            over = functools.partial(_is_over, kept, end)
            if over():
                break
            value = _try(kept, search, measured, average_row, seed, over)
            if done is not None:
                done(Tried(number + 1, trials, value, studies.best_value(kept)))
    return dataclasses.replace(_result(kept, search), n_unknown=n_unknown)


def _is_over(study: Any, end: float) -> bool:
    """Return whether the time is up, and there is a result."""
    return time.monotonic() >= end and studies.best_value(study) is not None


def _try(
    study: Any, search: "_Search", parts: Parts, average_row: float, seed: int, over: Callable[[], bool]
) -> float | None:
    """Train and measure the next settings on every part; return the value where the trial was completed.

    It is stopped when it is measured next where ``over`` says so.
    """
    trial, suggested = studies.begin(study, search.space, search.defaults(), seed)
    settings = search.settings(suggested, average_row)
    start = time.perf_counter()
    result: float | str | None = None
    try:
        solver = search.solver(settings)
        planned = getattr(solver, "epochs", 0)
        judge = studies.judge(trial, more_to_come=lambda epoch: epoch < planned or len(parts) > 1)

        def tell(number: int, epoch: int, value: float) -> None:
            if number == 0:
                judge(epoch, value)
            if over() and (epoch < planned or number < len(parts) - 1):
                raise studies.Stopped

        curves = [
            fitted_curve(solver, part, search.metric, search.looks, functools.partial(tell, number))
            for number, part in enumerate(parts)
        ]
        result, seen = search.judged(curves)
        settings |= seen
    except studies.Stopped:
        pass
    except UnfitMetric:
        raise
    except (SettingError, DataError) as error:
        result = str(error)
    studies.close(study, trial, settings, result, time.perf_counter() - start)
    return result if isinstance(result, float) else None


def _result(study: Any, search: "_Search") -> Tuned:
    if studies.best_value(study) is None:
        errors = [trial.user_attrs["error"] for trial in studies.finished(study) if "error" in trial.user_attrs]
        raise SettingError(f"none of the {len(errors)} trials could be completed; the last: {errors[-1]}")
    best = study.best_trial
    solver = search.rebuilt(best.user_attrs["settings"])
    return Tuned(solver, best.value, search.metric.name, study)


def _average_row(train: Interactions) -> float:
    """Return the number of interactions of an average row: the geometric mean of both sides' averages."""
    return float(len(train) / (train.n_users * train.n_items) ** 0.5)


def _digest(train: Interactions) -> str:
    """Return a hash of the entries."""
    digest = hashlib.blake2b(repr(train.matrix.shape).encode(), digest_size=16)
    for array in (train.matrix.indptr, train.matrix.indices, train.matrix.data, train.timestamps, train.order):
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _based_on(solver: Any, fixed: Mapping[str, Any], space: Mapping[str, Any], seed: int) -> tuple[Any, list[str]]:
    """Return the solver that trials vary, and the names of the fields that stay as they are."""
    kind = solver if isinstance(solver, type) else type(solver)
    if not dataclasses.is_dataclass(kind):
        raise SettingError(f"{solver!r} is not a solver: give a solver's class, or one with some settings fixed")
    check_known(kind, list(fixed))
    fields = {field.name: field.default for field in dataclasses.fields(kind)}
    start = {"seed": seed} if isinstance(solver, type) and "seed" in fields else {}
    base = dataclasses.replace(kind() if isinstance(solver, type) else solver, **{**start, **fixed})
    given = [] if isinstance(solver, type) else [name for name in fields if getattr(solver, name) != fields[name]]
    own = [name for name in given if name not in space]
    return base, list(dict.fromkeys([*own, *fixed]))


@dataclass(frozen=True)
class _Search:
    """What is searched: a solver to vary, what to suggest for it, and after which epochs to measure."""

    base: Any
    space: Space
    metric: Target
    looks: tuple[int, ...]
    epochs: tuple[int, ...] = ()
    """The measured epochs that may become the setting ``epochs``; none if it is searched like any other setting."""

    @classmethod
    def of(cls, base: Any, space: Space, metric: Target, asked: set[str]) -> "_Search":
        """Take the epochs out of the space if they are chosen along the way."""
        if not space:
            raise SettingError(f"{type(base).__name__} has no settings to search: give space={{field: (low, high)}}")
        epochs = space.get("epochs")
        if epochs is None:
            return cls(base, space, metric, tuple(looks(getattr(base, "epochs", 1))))
        others = {name: given for name, given in space.items() if name != "epochs"}
        scheduled = "schedule" in space or getattr(base, "schedule", "constant") != "constant"
        if scheduled or getattr(base, "patience", None) is not None:
            most = base.epochs if "epochs" not in asked else max(_ends(epochs))
            return cls(base, space if "epochs" in asked else others, metric, tuple(looks(int(most))))
        least, most = (int(end) for end in _ends(epochs))
        seen = epochs.values if isinstance(epochs, Choices) else [e for e in looks(most) if e >= least]
        return cls(base, others, metric, tuple(sorted({*looks(most), *seen})), tuple(seen))

    def rebuilt(self, settings: Mapping[str, Any]) -> Any:
        """Return the solver of a trial, from the settings that were kept of it."""
        return dataclasses.replace(self.base, **settings)

    def described(self) -> dict[str, Any]:
        """Return what identifies this search, for JSON."""
        settings = {field.name: repr(getattr(self.base, field.name)) for field in dataclasses.fields(self.base)}
        if getattr(self.base, "goal", None) == "rating":
            settings.pop("values", None)  # it is for lists only, and older studies do not have it
        for name in unset_extras(self.base):  # which older studies do not have either
            del settings[name]
        if offset := getattr(self.base, "count_offset", 0):  # a penalty that older studies do not have
            settings["count_offset"] = repr(offset)
        space = {name: repr(given) for name, given in self.space.items()}
        kind = type(self.base).__name__
        return {"solver": kind, "settings": settings, "space": space, "metric": self.metric.name, "epochs": self.epochs}

    def defaults(self) -> dict[str, Any]:
        """Return those of the base solver's settings that are in the space."""
        own = {name: value_of(self.base, name) for name in self.space}
        if "trend" in own:  # by date, a model without these is rarely worth a trial
            own |= {"trend": _FIRST_TREND, "recency": _FIRST_RECENCY}
        return {name: value for name, value in own.items() if self.space[name].holds(value)}

    def settings(self, suggested: Mapping[str, Any], average_row: float) -> dict[str, Any]:
        """Return a trial's settings, its regularization weights being those suggested for the default ``nu``.

        The penalty of a row with n interactions grows as (n + count_offset)^nu. A trial with another ``nu`` gets the
        weights that are as heavy on an average row. Numbers have three digits, so that they can be written down.
        """

        def heaviness(settings: Mapping[str, Any]) -> float:
            nu = settings.get("nu", getattr(self.base, "nu", 0.0))
            return float((average_row + getattr(self.base, "count_offset", 0.0)) ** nu)

        settings, factor = dict(suggested), heaviness({}) / heaviness(suggested)
        for name, given in self.space.items():
            if isinstance(given, Range) and not given.whole:
                settings[name] = float(f"{settings[name] * (factor if given.balanced else 1.0):.3g}")
        return settings

    def solver(self, settings: Mapping[str, Any]) -> Any:
        """Return the solver with a trial's settings, trained to the last epoch that may be chosen."""
        longest = {"epochs": max(self.epochs)} if self.epochs else {}
        return dataclasses.replace(self.base, **settings, **longest)

    def judged(self, curves: Sequence[Curve]) -> tuple[float, dict[str, int]]:
        """Return the average over the parts, at the best epoch if epochs are chosen, and that epoch as a setting."""
        seen = [epoch for epoch in self.epochs if all(epoch in curve for curve in curves)]
        if not seen:
            return float(np.mean([list(curve.values())[-1] for curve in curves])), {}
        means = {epoch: float(np.mean([curve[epoch] for curve in curves])) for epoch in seen}
        best = self.metric.best(means.values())
        return best, {"epochs": min(epoch for epoch in seen if means[epoch] == best)}


def _ends(given: Range | Choices) -> tuple[float, float]:
    return (min(given.values), max(given.values)) if isinstance(given, Choices) else (given.low, given.high)
