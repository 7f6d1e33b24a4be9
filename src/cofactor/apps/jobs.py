"""The work behind each command: arguments in, plain results out; nothing here prints."""

import dataclasses
import difflib
import itertools
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from cofactor.apps.sources import open_data
from cofactor.data.interactions import Interactions
from cofactor.data.vocabulary import Id
from cofactor.errors import SettingError, UnknownIdError
from cofactor.evaluation.calibration import calibration
from cofactor.evaluation.held_out import held_out_of, without_training_rows
from cofactor.evaluation.protocols import evaluate_sampled
from cofactor.evaluation.report import Comparison, Report, compare, evaluate
from cofactor.files import replacing
from cofactor.lists.everyone import parts_folder
from cofactor.model.factors import Factors
from cofactor.model.storage import load, open_model
from cofactor.solvers import SOLVER_FOR, solver_class
from cofactor.solvers.base import Callback

__all__ = [
    "Fitted",
    "baselines_for",
    "calibrated",
    "card",
    "compare_ranks",
    "evaluate_fairly",
    "find_item",
    "find_user",
    "fit",
    "for_goal",
    "load",
    "open_data",
    "open_model",
    "recommend_everyone",
    "solver_from",
    "split",
    "title_of",
    "with_metrics",
    "write_page",
    "write_pictures",
]

SPLITS: Mapping[str, Callable[[Interactions, float, int], tuple[Interactions, Interactions]]] = {
    "random": lambda ratings, fraction, seed: ratings.split_random(test_fraction=fraction, seed=seed),
    "per-user": lambda ratings, fraction, seed: ratings.split_per_user(test_fraction=fraction, seed=seed),
    "last": lambda ratings, fraction, seed: ratings.split_last(),
    "time": lambda ratings, fraction, seed: ratings.split_by_time(test_fraction=fraction),
}


_ADAPTED: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("nmf", "ranking"): {"feedback": "implicit"},
    ("keras", "ranking"): {"loss": "softmax"},
    ("spark-als", "ranking"): {"implicit": True},
}
"""What makes a solver learn for a goal that is not its usual one."""

_COMPARED = 100_000
"""To how many ids a misspelt one is compared, which takes a second or two."""


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A trained model, how long it took, and its report on the held-out part if there was one."""

    model: Factors
    seconds: float
    n_train: int
    report: Report | None

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


def split(ratings: Interactions, how: str, fraction: float, seed: int) -> tuple[Interactions, Interactions | None]:
    """Hold out a part for testing; a fraction of 0 holds out nothing."""
    if how not in SPLITS:
        raise SettingError(f"unknown split {how!r}: choose one of {', '.join(SPLITS)}")
    if fraction == 0:
        return ratings, None
    return SPLITS[how](ratings, fraction, seed)


def solver_from(name: str, settings: Mapping[str, Any], goal: str | None = None) -> Any:
    """Build a solver from its command-line name and the options given for it; made to fit a goal where one is given.

    Raises
    ------
    SettingError
        If a setting is out of range, or the solver is not made for the goal.
    """
    kind = solver_class(name)
    fields = {field.name for field in dataclasses.fields(kind)}
    made = kind(**{key: value for key, value in settings.items() if key in fields})
    if goal is None or made.goal == goal:
        return made
    if (name, goal) not in _ADAPTED:
        raise SettingError(
            f"--solver {name} does not learn for --goal {goal}: leave --solver out, and {SOLVER_FOR[goal]} is taken"
        )
    return dataclasses.replace(made, **_ADAPTED[name, goal])


def for_goal(solver: Any, train: Interactions) -> Interactions:
    """Make of star ratings what a solver learns to rank from: weights where it takes weights, else what was chosen.

    That this is the better way, and by how much, is measured in ``benchmarks/stars_to_lists``.
    """
    if solver.goal == "rating" or train.is_binary:
        return train
    return train.as_confidences() if type(solver).__name__ == "ImplicitALS" else train.binary()


def fit(solver: Any, train: Interactions, test: Interactions | None, callback: Callback | None = None) -> Fitted:
    """Train a solver and measure it on the held-out part; the figures go into the model's origin."""
    start = time.perf_counter()
    model = solver.fit(train, callback=callback)
    seconds = time.perf_counter() - start
    report = None if test is None or not len(test) else evaluate(model, test)
    return Fitted(model if report is None else _with_figures(model, report), seconds, len(train), report)


def _with_figures(model: Factors, report: Report) -> Factors:
    return dataclasses.replace(model, origin=dataclasses.replace(model.origin, metrics=dict(report.metrics)))


def compare_ranks(
    ratings: Interactions,
    solvers: Sequence[str],
    ranks: Sequence[int],
    fraction: float,
    seed: int,
    how: str = "random",
    k: Sequence[int] | None = None,
    relevant_from: float | None = None,
    done: Callable[[float, str], None] = lambda *_: None,
) -> tuple[Comparison, Interactions]:
    """Train each solver at each rank on the same split; the held-out part comes with the result.

    ``done`` is told how much is done, from 0 to 1, and a word on it.
    """
    train, test = split(ratings, how, fraction, seed)
    if test is None:
        raise SettingError("compare needs a held-out part: give --test-fraction, such as 0.2")
    tried = []
    for name in solvers:
        has_rank = "rank" in {field.name for field in dataclasses.fields(solver_class(name))}
        settings: list[dict[str, Any]]
        settings = [{"seed": seed, "rank": rank} for rank in ranks] if has_rank and ranks else [{"seed": seed}]
        tried += [solver_from(name, setting) for setting in settings]
    count = itertools.count(1)

    def tell(solver: Any, _: Report) -> None:
        number = next(count)
        done(number / len(tried), f"{type(solver).__name__}, {number} of {len(tried)}")

    return compare(tried, train, test, k=k, relevant_from=relevant_from, learns_from=for_goal, done=tell), test


def evaluate_fairly(
    model: Factors,
    ratings: Interactions,
    k: Sequence[int] | None = None,
    negatives: int | None = None,
    relevant_from: float | None = None,
) -> tuple[Report, int]:
    """Measure a model on those of the ratings that it was not trained on; how many it was comes second.

    With ``negatives``, each is ranked among so many items that its user never met, instead of among all of them.

    Raises
    ------
    DataError
        If it was trained on all of them.
    SettingError
        If both ``negatives`` and ``relevant_from`` are given.
    """
    if negatives is not None and relevant_from is not None:
        raise SettingError("--negatives ranks every held-out item: leave out --relevant-from")
    held_out = held_out_of(model, ratings)
    left_out = len(ratings) - len(held_out)
    if negatives is not None:
        return evaluate_sampled(model, held_out, k=k or 10, negatives=negatives), left_out
    return evaluate(model, held_out, k=k, relevant_from=relevant_from), left_out


def calibrated(model: Factors, ratings: Interactions) -> pl.DataFrame | None:
    """Return how many held-out ratings a Bayesian model's intervals hold; None for a model without intervals."""
    return calibration(model, without_training_rows(model, ratings)) if model.objective.draws > 1 else None


def baselines_for(names: Sequence[str], k: Sequence[int] | None) -> list[str]:
    """Return the baselines to show beside some solvers: biases where ratings are predicted, popularity with lists."""
    rating = ["bias"] if any(solver_from(name, {}).goal == "rating" for name in names) else []
    return rating + (["popularity"] if k is not None or not rating else [])


def title_of(model: Factors, item: Id) -> str:
    """Return an item's title with its id, or the id alone."""
    title = None if model.metadata.titles is None else model.metadata.titles[int(model.items.rows([item])[0])]
    return f"{title} (id {item})" if title else str(item)


def card(model: Factors) -> dict[str, Any]:
    """Return what a model is: solver, settings, data, sizes, figures on held-out data."""
    origin = model.origin
    return {
        "solver": origin.solver,
        "settings": dict(origin.settings),
        "goal": model.objective.goal,
        "data": origin.data,
        "trained_at": origin.trained_at,
        "version": origin.version,
        "n_users": model.n_users,
        "n_items": model.n_items,
        "n_train": int(model.seen.nnz),
        "rank": model.rank,
        "metrics": dict(origin.metrics),
    }


def find_user(model: Factors, text: str) -> Id:
    """Return the user id that a text means.

    Raises
    ------
    UnknownIdError
        Showing what the ids look like, and where new people are served.
    """
    identifier = model.users.parse(text)
    if identifier not in model.users:
        known = f"the ids look like {model.users[0]!r}" if model.n_users else "the model has none"
        raise UnknownIdError(f"unknown user {text!r}, {known}: use 'cofactor serve' for people who are new")
    return identifier


def find_item(model: Factors, text: str) -> Id:
    """Return the item that a text means: an id, or a title, with or without its year, in any case.

    Raises
    ------
    UnknownIdError
        Naming the nearest titles or, where there are none, the nearest id.
    """
    identifier = model.items.parse(text)
    if identifier in model.items:
        return identifier
    titles = model.metadata.titles
    if titles is None:
        close = difflib.get_close_matches(text, map(str, model.items.ids[:_COMPARED]), n=1)
        known = f"the nearest id is {close[0]!r}" if close else f"the item ids look like {model.items[0]!r}"
        raise UnknownIdError(f"unknown item {text!r}: {known}, and there are no titles")
    wanted = text.casefold().strip()
    names = [(title or "").casefold() for title in titles.to_list()]
    for reading in (names, [re.sub(r"\s*\(\d{4}\)$", "", name) for name in names]):
        if reading.count(wanted) == 1:
            return model.items[reading.index(wanted)]
    near = [row for row, name in enumerate(names) if wanted and wanted in name][:5]
    near = near or [names.index(name) for name in difflib.get_close_matches(wanted, names, n=5, cutoff=0.4)]
    offered = "; ".join(f"{titles[row]} (id {model.items[row]})" for row in near)
    raise UnknownIdError(
        f"no item is called {text!r}; the nearest are: {offered}" if near else f"unknown item {text!r}"
    )


def with_metrics(comparison: Comparison) -> list[Factors]:
    """Return the compared models, each with its figures in its origin."""
    return list(map(_with_figures, comparison.models, comparison.reports))


def write_page(model: Factors, ratings: Interactions, path: Path, **choices: Any) -> Path:
    """Write a model's page, whole or not at all; ``choices`` are those of `cofactor.evaluation.report_page`.

    Raises
    ------
    SettingError
        If a choice cannot be.
    """
    from cofactor.evaluation.html_report.build import report_page

    page = report_page(model, ratings, **choices)
    with replacing(path) as beside:
        beside.write_text(page, encoding="utf-8")
    return path


def write_pictures(
    models: Mapping[str, Factors], folder: Path, others: Mapping[str, Mapping[int, float]] | None = None
) -> list[Path]:
    """Draw what can be drawn of some models: training curves, error by rank, the last one's map and diagram.

    ``others`` are errors by rank to draw beside ours."""
    from cofactor.evaluation import plots

    histories = {label: model.history for label, model in models.items() if plots.has_curve(model.history)}
    errors: dict[str, dict[int, float]] = {}
    for model in models.values():
        if "mse" in model.origin.metrics:
            errors.setdefault(model.origin.solver, {})[model.rank] = model.origin.metrics["mse"]
    last = list(models.values())[-1]
    charts = {}
    if histories:
        charts["training-curve.svg"] = plots.training_curve(histories)
    if errors:
        charts["error-by-rank.svg"] = plots.error_by_rank({**errors, **(others or {})})
    charts |= {"item-map.svg": plots.item_map(last), "model.svg": plots.model_diagram(last)}
    return [chart.save(folder / name) for name, chart in charts.items()]


def recommend_everyone(
    model: Factors, output: Path, n: int, include_seen: bool, progress: Callable[[float, str], None]
) -> Path:
    """Write everyone's lists; stopped, say how far it came and how to go on."""
    done = 0

    def report(users: int) -> None:
        nonlocal done
        done = users
        progress(users / max(model.n_users, 1), f"{users:,} users")

    try:
        return model.recommend_all(output, n, exclude_seen=not include_seen, progress=report)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped after {done:,} of {model.n_users:,} users: the same command goes on from there "
            f"(what is done is in {parts_folder(output)})"
        ) from None
