"""What the report page shows of a model: its report, those of baselines and other ranks, its calibration."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from cofactor.data.interactions import Interactions
from cofactor.errors import SettingError
from cofactor.evaluation.calibration import calibration
from cofactor.evaluation.held_out import common_part, held_out_of, is_later, training_part
from cofactor.evaluation.metrics import METRICS
from cofactor.evaluation.ranking import cut_offs_of, lengths_for_pictures
from cofactor.evaluation.report import Report, compare, evaluate, label_of_solver
from cofactor.evaluation.segments import Segments, segments
from cofactor.evaluation.significance import Verdict, verdict
from cofactor.model.factors import Factors
from cofactor.solvers import BiasOnly, Popularity
from cofactor.solvers.baselines import late_popularity
from cofactor.solvers.retrain import solver_of, trained_on

__all__ = ["Contender", "ReportData", "collect"]

Done = Callable[[float, str], None]
"""Called with the share of the work that is done, and what was finished."""


@dataclass(frozen=True)
class Contender:
    """A model that is compared: its label, itself, and its report on the same held-out part."""

    label: str
    model: Factors
    report: Report


@dataclass(frozen=True, eq=False)
class ReportData:
    """Everything that the page shows of a model.

    Parameters
    ----------
    name : str
        What the page calls the model.
    ratings, held_out : Interactions
        The data as they were given, and the part that the model was not trained on.
    this : Contender
        The model itself.
    baselines, ranks : sequence of Contender
        Popularity, of all time and of late, and biases alone for ratings; the same solver at other ranks. Trained on
        what the model was.
    calibration : polars.DataFrame, or None
        If the model gives intervals; see `cofactor.evaluation.calibration`.
    length : int
        The length of the lists that single figures are of.
    examples : int
        How many people to show.
    relevant_from : float, or None
        From which value on a held-out rating is relevant in lists; None if all are.
    other : Contender, or None
        What the model is compared with first: the model that was named, or else the best baseline.
    verdict : Verdict, or None
        Which of the two is better.
    by_segment : sequence of Segments
        Where it is.
    n_left_out : int
        How many held-out ratings only one of the two models could be measured on.
    """

    name: str
    ratings: Interactions
    held_out: Interactions
    this: Contender
    baselines: Sequence[Contender]
    ranks: Sequence[Contender]
    calibration: pl.DataFrame | None
    length: int
    examples: int
    relevant_from: float | None
    other: Contender | None = None
    verdict: Verdict | None = None
    by_segment: Sequence[Segments] = ()
    n_left_out: int = 0

    @property
    def against(self) -> Contender | None:
        """The model that was named to compare with; None where the best baseline is compared with."""
        return None if self.other in self.baselines else self.other

    @property
    def model(self) -> Factors:
        """The model itself."""
        return self.this.model

    @property
    def report(self) -> Report:
        """The model's report."""
        return self.this.report

    @property
    def predicts(self) -> bool:
        """Whether the model's scores are predicted ratings."""
        return self.model.objective.goal == "rating"

    @property
    def sought(self) -> str:
        """What lists should contain, in words: what was held out, or the part of it that was rated highly enough."""
        liked = "" if self.relevant_from is None else f" and rated {self.relevant_from:g} or more"
        return f"was held out{liked}"


def collect(
    model: Factors,
    ratings: Interactions,
    *,
    name: str = "",
    k: int | Sequence[int] | None = None,
    relevant_from: float | None = None,
    ranks: Sequence[int] = (),
    examples: int = 3,
    against: Factors | None = None,
    against_name: str = "",
    by: Sequence[str] | None = None,
    done: Done = lambda *_: None,
) -> ReportData:
    """Measure a model, and what it is to be compared with, on what it was not trained on; see `report_page`."""
    if isinstance(examples, bool) or not isinstance(examples, int | np.integer) or examples < 0:
        raise SettingError(f"examples is {examples!r}: it must be a whole number of 0 or more")
    name = name or model.origin.solver or "A model"
    asked = None if k is None else cut_offs_of(k).tolist()
    dated = training_part(model, ratings)
    learnt = trained_on(model) if dated is None else dated
    baselines, others = _baselines(model, learnt), _at_other_ranks(model, ranks)
    lengths = sorted({*lengths_for_pictures(asked, model.n_items), max(asked or (10,))})
    held_out, n_left_out = held_out_of(model, ratings), 0
    if against is not None:
        held_out, n_left_out = _for_both(model, against, held_out)
    done(0, "measuring")
    this = Contender(name, model, evaluate(model, held_out, k=lengths, relevant_from=relevant_from))
    tried = _trained([*baselines, *others], learnt, held_out, this.report, lengths, done)
    length, compared = max(asked or (10,)), tried[: len(baselines)]
    other = None
    if against is not None:
        label = against_name or against.origin.solver or "the other model"
        other = Contender(label if label != name else f"{label} (other)", against, _alike(this, against, held_out))
    metric = _metric(this, [other] if other else compared, length)
    if other is None and compared:
        sign = -1 if METRICS[metric.partition("@")[0]].better == "lower" else 1
        other = max(compared, key=lambda one: sign * one.report.metrics.get(metric, -sign * math.inf))
    told, parts = _compared(this, other, metric, length, by)
    return ReportData(
        name,
        ratings,
        held_out,
        this,
        compared,
        sorted([this, *tried[len(baselines) :]], key=lambda one: one.model.rank) if ranks else [],
        calibration(model, held_out) if model.objective.draws > 1 else None,
        length,
        examples,
        relevant_from,
        other,
        told,
        parts,
        n_left_out,
    )


def _for_both(model: Factors, against: Factors, held_out: Interactions) -> tuple[Interactions, int]:
    """Return what neither model was trained on and both can be measured on, and how many ratings that leaves out."""
    unseen = held_out_of(against, held_out)
    later = is_later(model, unseen) and is_later(against, unseen)
    both = common_part(unseen, model, against, on_new_items="skip" if later else "miss")
    return both, len(held_out) - len(both)


def _alike(this: Contender, against: Factors, held_out: Interactions) -> Report:
    """Measure the other model in the same way."""
    report = this.report
    lengths = sorted({int(name.partition("@")[2]) for name in report.metrics if "@" in name})
    return evaluate(against, held_out, k=lengths, relevant_from=report.relevant_from, on_new_items=report.on_new_items)


def _metric(this: Contender, others: Sequence[Contender], length: int) -> str:
    """Return what decides which is better: the error, if all predict ratings, or else nDCG."""
    predicts = ["rmse" in one.report.metrics for one in (this, *others)]
    return "rmse" if predicts[0] and (len(predicts) == 1 or any(predicts[1:])) else f"ndcg@{length}"


def _compared(
    this: Contender, other: Contender | None, metric: str, length: int, by: Sequence[str] | None
) -> tuple[Verdict | None, Sequence[Segments]]:
    """Return which of two is better, and by segments; nothing if there is no other or nothing to compare."""
    if other is None or any(math.isnan(one.report.metrics.get(metric, math.nan)) for one in (this, other)):
        return None, ()
    found = verdict(this.report, other.report, metric, this.label, other.label)
    return found, segments(this.model, this.report, other.model, other.report, metric=metric, k=length, by=by)


def _baselines(model: Factors, learnt: Interactions) -> list[Any]:
    """Return the baselines to compare with: biases for ratings, popularity, and where there are times, that of late."""
    if not model.seen.nnz:
        return []
    tried: list[Any] = [BiasOnly()] if model.objective.goal == "rating" else []
    tried += [Popularity(), *late_popularity(learnt)]
    return [one for one in tried if type(one).__name__ != model.origin.solver]


def _at_other_ranks(model: Factors, ranks: Sequence[int]) -> list[Any]:
    """Return the model's own solver at other ranks than it has."""
    if not ranks:
        return []
    solver = solver_of(model)
    if "rank" not in {field.name for field in dataclasses.fields(solver)}:
        raise SettingError(f"{type(solver).__name__} has no rank: leave the ranks to compare out")
    return [dataclasses.replace(solver, rank=rank) for rank in sorted({*ranks} - {model.rank})]


def _trained(
    tried: Sequence[Any],
    learnt: Interactions,
    held_out: Interactions,
    report: Report,
    lengths: Sequence[int],
    done: Done,
) -> list[Contender]:
    """Train each on what the model was trained on, and measure it on the same held-out part in the same way."""
    if not tried:
        return []
    finished = iter(range(1, len(tried) + 1))
    tell = lambda solver, _: done(next(finished) / len(tried), type(solver).__name__)  # noqa: E731
    found = compare(
        tried,
        learnt,
        held_out,
        k=lengths,
        relevant_from=report.relevant_from,
        on_new_items=report.on_new_items,
        done=tell,
    )
    labels = [_label(solver, one) for solver, one in zip(found.solvers, found.models, strict=True)]
    return [Contender(*parts) for parts in zip(labels, found.models, found.reports, strict=True)]


def _label(solver: Any, model: Factors) -> str:
    words = {"Popularity": "popularity alone", "BiasOnly": "biases alone"}
    name = label_of_solver(solver)
    if isinstance(solver, Popularity):
        return words.get(name, name.lower())
    return words.get(name, f"{name}, rank {model.rank}")
