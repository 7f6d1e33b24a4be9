"""The command ``cofactor fit``: train a model, measure it on a held-out part, save it.

The other commands that train (`compare`, `tune`, `quickstart`) build their solvers and split their data here too.
"""

import dataclasses
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cofactor.apps import show
from cofactor.apps.options import Data, Horizon, How, Json, Seed, data_options
from cofactor.apps.outputs import check_output
from cofactor.errors import SettingError, nearest

if TYPE_CHECKING:
    from cofactor.data.interactions import Interactions
    from cofactor.data.vocabulary import Id
    from cofactor.evaluation.report import Report
    from cofactor.model.factors import Factors
    from cofactor.solvers.base import Callback, Epoch

__all__ = ["Fitted", "fit", "solver_from", "split", "train", "with_metrics"]

Goal = Literal["ranking", "rating"]

_SHOWN = ("mse", "rmse", "mae", "ndcg@", "recall@", "hit@")
"""What is printed of a model's figures."""

SPLITS = ("random", "per-user", "last", "time", "rolling")

_ADAPTED: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("nmf", "ranking"): {"goal": "ranking"},
    ("keras", "ranking"): {"loss": "softmax"},
    ("spark-als", "ranking"): {"goal": "ranking"},
}
"""The settings that make a solver learn for a goal other than its default one."""


def fit(
    data: Data,
    *,
    goal: Annotated[
        Goal | None,
        typer.Option(help="What the model is for: top-n lists, or predicted ratings", show_default="ranking"),
    ] = None,
    solver: Annotated[
        str | None, typer.Option(help="Which solver; its own options are listed below", show_default="by the goal")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to save the model.")] = None,
    test_fraction: Annotated[
        float | None,
        typer.Option(
            help="Share of the ratings held out for testing; 0 trains on all", show_default="0.2; 0 for spark-als"
        ),
    ] = None,
    split: How = "random",
    horizon: Horizon = None,
    seed: Seed = 0,
    json_output: Json = False,
    **options: Any,
) -> None:
    """Train a model, and measure it on a held-out part of the data."""
    from cofactor.apps.sources import open_data
    from cofactor.solvers import SOLVER_FOR

    check_output(None if solver == "spark-als" else output, data)
    with show.progress_bar("loading the solver", hidden=json_output):
        made = solver_from(solver or SOLVER_FOR[goal or "ranking"], {**options, "seed": seed}, goal)
    if solver == "spark-als":
        _fit_on_spark(made, data, output, test_fraction, split, json_output, data_options(options))
        return
    ratings = open_data(data, progress=not json_output, notify=show.note, **data_options(options))
    learnt, test = _split(ratings, split, 0.2 if test_fraction is None else test_fraction, seed, horizon)
    with show.progress_bar(f"training {type(made).__name__}", hidden=json_output) as bar:
        fitted = train(made, learnt, test, lambda epoch: bar(epoch.number / epoch.planned, _figures(epoch)))
        bar(None, "measuring what is popular")
        beside = _baselines(fitted, learnt, test)
        fitted = fitted.beside_a_baseline(learnt, test, "random" if split in ("random", "per-user") else "newest")
        notes = _notes(fitted, beside)
    result = fitted.to_json(None if output is None else fitted.model.save(output))
    if json_output:
        known = {label: dict(report.metrics) for label, report in beside.items()}
        show.as_json({**result, "baselines": known, "notes": notes})
    else:
        show.say(f"{ratings!r}")
        _say_measured(fitted, result, beside)
        _say_next(result, _user_with_history(fitted.model), notes)


def _fit_on_spark(
    solver: Any,
    data: str,
    output: Path | None,
    test_fraction: float | None,
    split: str,
    json_output: bool,
    options: Mapping[str, Any],
) -> None:
    from cofactor.apps.on_spark import fit_table

    if split != "random":
        raise SettingError(
            f"--split {split}: spark-als trains on all of DATA; keep the test part in a table of its own"
        )
    result = fit_table(solver, data, output, test_fraction, options)
    if json_output:
        show.as_json(result)
        return
    show.say(f"trained {result['solver']} in {result['fit_seconds']:.2f} s")
    show.say(f"saved to {result['model']}; next: {show.command_line('recommend', result['model'])} USER -n 5")


def solver_from(name: str, settings: Mapping[str, Any], goal: str | None = None) -> Any:
    """Build a solver from its command-line name and the options given for it, adapted to a goal where one is given.

    Raises
    ------
    SettingError
        If a setting is out of range, or the solver cannot learn for the goal.
    """
    from cofactor.solvers import SOLVER_FOR, solver_class
    from cofactor.solvers.timed import TIME_SETTINGS

    kind = solver_class(name)
    fields = {field.name for field in dataclasses.fields(kind)}
    given = {key: value for key, value in settings.items() if key in fields}
    timeless = {key: value for key, value in given.items() if key not in TIME_SETTINGS}  # some goals refuse the others
    if goal is None or kind(**timeless).goal == goal:
        return kind(**given)
    if (name, goal) not in _ADAPTED:
        raise SettingError(
            f"--solver {name} cannot learn for --goal {goal}: leave --solver out to use {SOLVER_FOR[goal]}"
        )
    return kind(**{**given, **_ADAPTED[name, goal]})


def split(
    ratings: "Interactions", how: str, fraction: float, seed: int, horizon: str | None = None
) -> "tuple[Interactions, Interactions | None]":
    """Hold out a part for testing; a fraction of 0 holds out nothing."""
    if how not in SPLITS:
        raise SettingError(f"unknown split {how!r}: {nearest(how, SPLITS)}choose one of {', '.join(SPLITS)}")
    if horizon is not None and how != "rolling":
        raise SettingError(f"--horizon {horizon}: it is for --split rolling, not for --split {how}")
    if fraction == 0:
        return ratings, None
    if how == "last":
        return ratings.split_last()
    if how in ("time", "rolling"):
        return _split_by_date(ratings, how, fraction, horizon)
    by = ratings.split_per_user if how == "per-user" else ratings.split_random
    return by(test_fraction=fraction, seed=seed)


def _split_by_date(
    ratings: "Interactions", how: str, fraction: float, horizon: str | None
) -> "tuple[Interactions, Interactions]":
    """Hold out the latest ratings: a share of them, or those of one horizon."""
    from cofactor.data.splits import horizon_of

    if how == "rolling":
        length = horizon_of(ratings.timestamps, fraction, 1, ratings.array_store) if horizon is None else horizon
        return next(ratings.split_rolling(1, horizon=length))
    learnt, test = ratings.split_by_time(test_fraction=fraction)
    reached = len(test) / max(len(ratings), 1)
    if abs(reached - fraction) > 0.1 * fraction:
        held = f"the test part holds {reached:.3g} of the ratings, not {fraction:g}"
        show.note(f"{held}: those of one moment stay together")
    return learnt, test


_split = split  # `fit` has an option of that name


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A trained model, how long it took, and its report on the held-out part if there was one."""

    model: "Factors"
    seconds: float
    n_train: int
    report: "Report | None"

    def beside_a_baseline(self, learnt: "Interactions", test: "Interactions | None", held_out: str) -> "Fitted":
        """Return the same with the trial in the model's origin: its main figure with its interval, and a baseline's."""
        from cofactor.evaluation.trials import held_out_trial

        if self.report is None or test is None:
            return self
        found = held_out_trial(self.model, self.report, learnt, test, held_out)
        origin = dataclasses.replace(self.model.origin, trial=found)
        return dataclasses.replace(self, model=dataclasses.replace(self.model, origin=origin))

    def to_json(self, saved: Path | None) -> dict[str, Any]:
        """Return how the fit went, with the path of the saved model, as JSON can hold it."""
        history = self.model.history
        return {
            "model": None if saved is None else str(saved),
            "solver": self.model.origin.solver,
            "goal": self.model.objective.goal,
            **dict.fromkeys(("mse", "rmse", "mae")),
            **({} if self.report is None else self.report.metrics),
            "fit_seconds": round(self.seconds, 3),
            "epochs_run": max((len(values) for values in history.values()), default=0),
            "n_users": self.model.n_users,
            "n_items": self.model.n_items,
            "n_train": self.n_train,
            "n_test": 0 if self.report is None else self.report.n_test,
        }


def train(
    solver: Any, ratings: "Interactions", test: "Interactions | None", callback: "Callback | None" = None
) -> Fitted:
    """Train a solver and measure it on the held-out part; the metrics are stored in the model's origin."""
    from cofactor.evaluation.report import evaluate

    start = time.perf_counter()
    model = solver.fit(ratings, callback=callback)
    seconds = time.perf_counter() - start
    report = None if test is None or not len(test) else evaluate(model, test)
    return Fitted(model if report is None else with_metrics(model, report), seconds, len(ratings), report)


def with_metrics(model: "Factors", report: "Report") -> "Factors":
    """Return the model with a report's metrics in its origin."""
    return dataclasses.replace(model, origin=dataclasses.replace(model.origin, metrics=dict(report.metrics)))


def _figures(epoch: "Epoch") -> str:
    shown = " ".join(f"{name} {value:.4f}" for name, value in epoch.metrics.items() if name != "loss")
    return f"epoch {epoch.number}/{epoch.planned} {shown}"


def _user_with_history(model: "Factors") -> "Id":
    """Return the first user of whom something was learnt, and who so gets a list."""
    import numpy as np

    from cofactor.model.factors import has_history

    return model.users[int(has_history(model, np.arange(model.n_users)).argmax())]


def _baselines(fitted: Fitted, learnt: "Interactions", test: "Interactions | None") -> "dict[str, Report]":
    """Measure what asks nobody's taste on the same held-out part: popularity, of all time and of late, or biases."""
    from cofactor.evaluation.report import compare, label_of_solver
    from cofactor.solvers.baselines import BiasOnly, Popularity, late_popularity

    report = fitted.report
    if report is None or test is None:
        return {}
    tried: list[Any] = [Popularity(), *late_popularity(learnt)] if report.protocol else [BiasOnly()]
    tried = [one for one in tried if type(one).__name__ != fitted.model.origin.solver]
    found = compare(tried, learnt, test)
    return dict(zip(map(label_of_solver, found.solvers), found.reports, strict=True))


def _notes(fitted: Fitted, beside: "Mapping[str, Report]") -> list[str]:
    """Return what to know before a model is used: that it has seen the future, or that what is popular does better."""
    from cofactor.evaluation.report import unbeaten

    report = fitted.report
    if report is None:
        return []
    advice = "; --split time tests on the latest ratings instead"
    notes = [f"{line}{advice}" for line in report.notes]
    return notes + [line for one in beside.items() for line in unbeaten(report, *one)]


def _say_measured(fitted: Fitted, result: Mapping[str, Any], beside: "Mapping[str, Report]") -> None:
    """Print a model's figures beside those of the baselines, and which is better by how much."""
    import polars as pl

    from cofactor.evaluation.metrics import METRICS
    from cofactor.evaluation.significance import verdict

    solver, report = result["solver"], fitted.report
    show.say(f"trained {solver} on {result['n_train']:,} of them in {result['fit_seconds']:.2f} s")
    if report is None:
        return
    names = [name for name in report.metrics if name.startswith(_SHOWN)]
    better = " and ".join(dict.fromkeys(str(METRICS[name.partition("@")[0]].better) for name in names))
    show.say(f"on {result['n_test']:,} held-out ratings; {better} is better:")
    figures = {solver: report, **beside}
    columns = {one: [figure.metrics.get(name) for name in names] for one, figure in figures.items()}
    show.table(pl.DataFrame({"metric": names, **columns}), decimals=4)
    metric = next((name for name in ("ndcg@10", "rmse") if name in report.metrics), None)
    known = {one: figure for one, figure in beside.items() if metric in figure.metrics}
    if metric is not None and known and not math.isnan(report[metric]):
        sign = -1 if metric == "rmse" else 1
        best = max(known, key=lambda one: sign * known[one][metric])
        show.headline(str(verdict(report, known[best], metric, solver, best)))


def _say_next(result: Mapping[str, Any], user: "Id", notes: list[str]) -> None:
    for line in notes:
        show.prose(line)
    if result["model"] is None:
        show.say("not saved: give -o MODEL.safetensors to save it")
        return
    if result["n_test"]:
        show.prose(
            "the held-out ratings are not in the model, so it may recommend them; --test-fraction 0 trains on all"
        )
    following = show.command_line("recommend", result["model"], user, options=("-n", 5))
    show.say(f"saved to {result['model']}; next: {following}")
