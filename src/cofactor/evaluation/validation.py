"""How good settings are, judged on held-out parts of the training data: parts, metric, the curve over the epochs."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from cofactor.data.interactions import Interactions
from cofactor.data.splits import disjoint_parts
from cofactor.errors import DataError, SettingError
from cofactor.evaluation.report import Report, evaluate
from cofactor.model.factors import Factors
from cofactor.solvers.base import Epoch

__all__ = ["Curve", "Metric", "Parts", "Split", "fitted_curve", "looks", "validation_parts"]

Split: TypeAlias = Literal["per-user", "random", "last", "time"]
Parts: TypeAlias = Sequence[tuple[Interactions, Interactions]]
"""Pairs of what to train on and what to measure on."""

_OF_LISTS = ("ndcg", "recall", "precision", "hit", "map", "mrr")
_ERRORS = ("rmse", "mse", "mae")


class UnfitMetric(SettingError):
    """A metric that the solver's models are not measured by: no other setting would help."""


@dataclass(frozen=True)
class Metric:
    """One figure of a report: its name, the length of the lists it needs, whether more of it is better."""

    name: str
    k: int | None
    maximize: bool

    @classmethod
    def of(cls, name: str) -> "Metric":
        """Read a name such as ``ndcg@10`` or ``rmse``.

        Raises
        ------
        SettingError
            If there is no such metric.
        """
        kind, at, length = name.partition("@")
        if kind in _ERRORS and not at:
            return cls(name, None, maximize=False)
        if kind == "auc" and not at:
            return cls(name, 10, maximize=True)
        if kind in _OF_LISTS and length.isdecimal() and int(length) >= 1:
            return cls(name, int(length), maximize=True)
        lists = ", ".join(f"{known}@10" for known in _OF_LISTS)
        raise SettingError(f"unknown metric {name!r}: choose one of {lists}, auc, {', '.join(_ERRORS)}")

    def check_fits(self, solver: Any) -> None:
        """Refuse an error of predicted ratings for a solver whose models only put items in order.

        Raises
        ------
        SettingError
            Naming both.
        """
        if self.name in _ERRORS and getattr(solver, "goal", "rating") == "ranking":
            raise SettingError(
                f"{type(solver).__name__} makes models for ranking, and {self.name!r} does not measure those: "
                "choose a metric of lists, such as ndcg@10"
            )

    def report(self, model: Factors, held_out: Interactions) -> Report:
        """Return a model's report on a held-out part, with this figure in it if models of its kind have one."""
        return evaluate(model, held_out, k=self.k, also=("auc",) if self.name == "auc" else ())

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
            raise DataError(f"{self.name} came out as {metrics[self.name]}: the training diverged")
        return float(metrics[self.name])

    def best(self, values: Collection[float]) -> float:
        """Return the best of some values."""
        return max(values) if self.maximize else min(values)


def validation_parts(train: Interactions, split: Split, fraction: float, folds: int, seed: int) -> Parts:
    """Hold out parts of the training data to measure on, none of which overlap.

    Parameters
    ----------
    train : Interactions
    split : {"per-user", "random", "last", "time"}
        Each user's share at random, a share of all at random, each user's last one, or what happened last.
    fraction : float
        Size of a held-out part; no matter for "last".
    folds : int
        How many parts; more than one only where chance decides.
    seed : int
        Of chance.

    Raises
    ------
    SettingError
        If the split is unknown, or so many parts of this size do not fit.
    DataError
        If a part would be empty, or there are no timestamps where they are needed.
    """
    if split not in ("per-user", "random", "last", "time"):
        raise SettingError(f"unknown split {split!r}: choose one of per-user, random, last, time")
    if folds < 1 or (folds > 1 and split in ("last", "time")):
        raise SettingError(f"folds is {folds}: it must be {'at least 1' if folds < 1 else f'1 with split={split!r}'}")
    if split != "last" and not 0 < fraction < 1:
        raise SettingError(f"validation_fraction is {fraction:g}: it must lie between 0 and 1, such as 0.1")
    if split == "last":
        parts = [train.split_last()]
    elif split == "time":
        parts = [train.split_by_time(test_fraction=fraction)]
    else:
        groups = train.triplets().user_rows if split == "per-user" else np.zeros(len(train), dtype=np.int64)
        parts = [train.split_rows(rows) for rows in disjoint_parts(groups, fraction, folds, seed)]
    for rest, held_out in parts:
        if not len(rest) or not len(held_out):
            raise DataError(f"{len(train):,} interactions are too few to hold out a validation part of them")
    return parts


def looks(epochs: int) -> list[int]:
    """Return the epochs after which a model is measured: 1, 2, 3, 4, 6, 9, 13, … and the last.

    Each comes half as many epochs after the one before, so that measuring, which can cost more than an epoch, never
    takes more than a few times, and the best number of epochs is found to within a third.
    """
    chosen = [1]
    while chosen[-1] < epochs:
        chosen.append(min(max(chosen[-1] + 1, chosen[-1] * 3 // 2), epochs))
    return chosen


Curve: TypeAlias = Mapping[int, float]
"""The metric after some epochs; the last entry is that of the finished model."""


def fitted_curve(
    solver: Any,
    part: tuple[Interactions, Interactions],
    metric: Metric,
    epochs: Collection[int],
    tell: Callable[[int, float], None] | None = None,
) -> Curve:
    """Train a solver, and measure its model at some of its epochs and at its end.

    Parameters
    ----------
    solver : solver
    part : pair of Interactions
        What to train on, and what to measure on.
    metric : Metric
    epochs : collection of int
        When to look, where the solver shows its model between epochs.
    tell : callable, optional
        Told each epoch and value as it is known; what it raises ends the training.
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
