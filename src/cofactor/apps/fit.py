"""The command ``cofactor fit``: train a model, measure it on a held-out part, save it.

The other commands that train (`compare`, `tune`, `quickstart`) build their solvers and split their data here too.
"""

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cofactor.apps import show
from cofactor.apps.options import Data, Horizon, How, Json, Seed, data_options
from cofactor.apps.outputs import check_output
from cofactor.errors import SettingError

if TYPE_CHECKING:
    from cofactor.data.interactions import Interactions
    from cofactor.data.vocabulary import Id
    from cofactor.evaluation.report import Report
    from cofactor.model.factors import Factors
    from cofactor.solvers.base import Callback, Epoch

__all__ = ["Fitted", "fit", "solver_from", "split", "train", "with_metrics"]

Goal = Literal["ranking", "rating"]

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
    made = solver_from(solver or SOLVER_FOR[goal or "ranking"], {**options, "seed": seed}, goal)
    if solver == "spark-als":
        _fit_on_spark(made, data, output, test_fraction, split, json_output, data_options(options))
        return
    ratings = open_data(data, progress=not json_output, notify=show.note, **data_options(options))
    learnt, test = _split(ratings, split, 0.2 if test_fraction is None else test_fraction, seed, horizon)
    with show.progress_bar(f"training {type(made).__name__}", hidden=json_output) as bar:
        fitted = train(made, learnt, test, lambda epoch: bar(epoch.number / epoch.planned, _figures(epoch)))
        fitted = fitted.beside_a_baseline(learnt, test, "random" if split in ("random", "per-user") else "newest")
        notes = _notes(fitted, learnt, test)
    result = fitted.to_json(None if output is None else fitted.model.save(output))
    if json_output:
        show.as_json({**result, "notes": notes})
    else:
        _say(ratings, result, _user_with_history(fitted.model), notes)


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
        raise SettingError(f"unknown split {how!r}: choose one of {', '.join(SPLITS)}")
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


def _notes(fitted: Fitted, learnt: "Interactions", test: "Interactions | None") -> list[str]:
    """Return what to know before a model is used: that it has seen the future, or that what is new does better."""
    from cofactor.evaluation.report import evaluate, unbeaten
    from cofactor.solvers.baselines import Popularity, late_popularity

    report = fitted.report
    if report is None or test is None:
        return []
    advice = "; --split time tests on the latest ratings instead"
    notes = [f"{line}{advice}" for line in report.notes]
    if not report.protocol or fitted.model.origin.solver == Popularity.__name__:
        return notes
    late = [(one.label, evaluate(one.fit(learnt), test)) for one in late_popularity(learnt)]
    return notes + [line for one in late for line in unbeaten(report, *one)]


def _say(ratings: "Interactions", result: Mapping[str, Any], user: "Id", notes: list[str]) -> None:
    show.say(f"{ratings!r}")
    show.say(f"trained {result['solver']} on {result['n_train']:,} of them in {result['fit_seconds']:.2f} s")
    shown = ("mse", "rmse", "mae", "ndcg@", "recall@", "hit@")
    measured = {name: value for name, value in result.items() if name.startswith(shown) and value is not None}
    if result["n_test"]:
        figures = ", ".join(f"{name.upper()} {value:.4f}" for name, value in measured.items())
        show.say(f"on {result['n_test']:,} held-out ratings: {figures}")
    for line in notes:
        show.say(line)
    if result["model"] is None:
        show.say("not saved: give -o MODEL.safetensors to save it")
        return
    if result["n_test"]:
        show.say("the held-out ratings are not in the model, so it may recommend them; --test-fraction 0 trains on all")
    following = show.command_line("recommend", result["model"], user, options=("-n", 5))
    show.say(f"saved to {result['model']}; next: {following}")
