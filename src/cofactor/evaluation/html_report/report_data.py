"""What the report page shows of a model: its report, those of baselines and other ranks, its calibration."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from cofactor.data.interactions import Interactions
from cofactor.errors import SettingError
from cofactor.evaluation.calibration import calibration
from cofactor.evaluation.held_out import held_out_of, training_part
from cofactor.evaluation.ranking import lengths_for_pictures
from cofactor.evaluation.report import Report, compare, evaluate, label_of_solver
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
    name: str,
    k: Sequence[int] | None,
    relevant_from: float | None,
    ranks: Sequence[int],
    examples: int,
    done: Done,
) -> ReportData:
    """Measure a model, and what it is to be compared with, on what it was not trained on.

    Raises
    ------
    DataError
        If the model was trained on all of the ratings, or knows none of their users and items.
    SettingError
        If other ranks are asked of a model that has none, or whose solver is not known.
    """
    dated = training_part(model, ratings)
    learnt = trained_on(model) if dated is None else dated
    baselines, others = _baselines(model, learnt), _at_other_ranks(model, ranks)
    lengths = sorted({*lengths_for_pictures(k, model.n_items), max(k or (10,))})
    held_out = held_out_of(model, ratings)
    done(0, "measuring")
    this = Contender(name, model, evaluate(model, held_out, k=lengths, relevant_from=relevant_from))
    tried = _trained([*baselines, *others], learnt, held_out, this.report, lengths, done)
    return ReportData(
        name,
        ratings,
        held_out,
        this,
        tried[: len(baselines)],
        sorted([this, *tried[len(baselines) :]], key=lambda one: one.model.rank) if ranks else [],
        calibration(model, held_out) if model.objective.draws > 1 else None,
        max(k or (10,)),
        examples,
        relevant_from,
    )


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
