"""The command ``cofactor compare``: train several solvers at several ranks on one split, baselines among them."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cofactor.apps import show
from cofactor.apps.evaluate import figures, lengths, measured_on, shown_metrics, written_files
from cofactor.apps.fit import solver_from
from cofactor.apps.fit import split as split_data
from cofactor.apps.options import (
    DATA_OPTIONS,
    Data,
    Fraction,
    Horizon,
    How,
    Json,
    K,
    RelevantFrom,
    Seed,
    data_options,
    taking,
)
from cofactor.apps.outputs import check_folder, write_json, write_table
from cofactor.errors import SettingError

if TYPE_CHECKING:
    import polars as pl

    from cofactor.data.interactions import Interactions
    from cofactor.evaluation.report import Comparison, Report

__all__ = ["compare", "compare_ranks"]


@taking(DATA_OPTIONS)
def compare(
    data: Data,
    *,
    solver: Annotated[list[str] | None, typer.Option(help="A solver; repeat for more.", show_default="keras")] = None,
    rank: Annotated[list[int] | None, typer.Option(help="A rank; repeat for more.", show_default="5, 10, 20")] = None,
    test_fraction: Fraction = 0.2,
    split: How = "random",
    horizon: Horizon = None,
    seed: Seed = 0,
    k: K = None,
    relevant_from: RelevantFrom = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder for JSON, CSV and pictures.")] = None,
    json_output: Json = False,
    **options: Any,
) -> None:
    """Train several solvers at several ranks on one split, and compare them with each other and with baselines."""
    check_folder(output)
    from cofactor.apps.sources import open_data
    from cofactor.evaluation.ranking import lengths_for_pictures
    from cofactor.solvers.baselines import late_popularity

    names, ranks, k = [*(solver or ["keras"])], rank or [5, 10, 20], lengths(k, relevant_from)
    names += [name for name in _baselines_for(names, k) if name not in names]
    ratings = open_data(data, progress=not json_output, notify=show.note, **data_options(options))
    measured = lengths_for_pictures(k, ratings.n_items) if output is not None and k else k
    with show.progress_bar("comparing", hidden=json_output) as bar:
        comparison, test = compare_ranks(
            ratings, names, ranks, test_fraction, seed, split, measured, relevant_from, bar, horizon=horizon,
            baselines=late_popularity if "popularity" in names else lambda _: (),
        )  # fmt: skip
    written = [] if output is None else _write_comparison(comparison, k, output)
    lead = _lead(comparison, k)
    if json_output:
        told = {"rows": _as_rows(comparison, k), "lead": lead, "n_test": len(test)}
        show.as_json({**told, "notes": comparison.reports[0].notes, **written_files(written)})
        return
    for line in _verdicts(comparison, lead):
        show.headline(line)
    table = _comparison_table(comparison, k)
    show.prose(f"{measured_on(comparison.reports[0])}; below each value its 95 % interval over users")
    show.table(table, right=tuple(table.columns[1:]))
    for line in comparison.reports[0].notes:
        show.prose(line)
    for path in written:
        show.say(f"wrote {path}")


def _baselines_for(names: Sequence[str], k: Sequence[int] | None) -> list[str]:
    """Return the baselines to add: biases where ratings are predicted, popularity for lists."""
    rating = ["bias"] if any(solver_from(name, {}).goal == "rating" for name in names) else []
    return rating + (["popularity"] if k is not None or not rating else [])


def compare_ranks(
    ratings: "Interactions",
    solvers: Sequence[str],
    ranks: Sequence[int],
    fraction: float,
    seed: int,
    how: str = "random",
    k: Sequence[int] | None = None,
    relevant_from: float | None = None,
    done: show.Progress = lambda *_: None,
    *,
    horizon: str | None = None,
    baselines: "Callable[[Interactions], Iterable[Any]]" = lambda _: (),
) -> "tuple[Comparison, Interactions]":
    """Train each solver at each rank on the same split; return the comparison and the held-out part.

    ``done`` is called with the share that is done, from 0 to 1, and a few words. ``baselines`` returns more solvers to
    compare with for the training part.
    """
    from cofactor.evaluation import report
    from cofactor.solvers import solver_class

    train, test = split_data(ratings, how, fraction, seed, horizon)
    if test is None:
        raise SettingError("compare needs a held-out part: give --test-fraction, such as 0.2")
    tried = []
    for name in solvers:
        has_rank = "rank" in {field.name for field in dataclasses.fields(solver_class(name))}
        settings: list[dict[str, Any]]
        settings = [{"seed": seed, "rank": rank} for rank in ranks] if has_rank and ranks else [{"seed": seed}]
        tried += [solver_from(name, setting) for setting in settings]
    tried += baselines(train)
    count = itertools.count(1)

    def tell(solver: Any, _: "Report") -> None:
        number = next(count)
        done(number / len(tried), f"{type(solver).__name__}, {number} of {len(tried)}")

    compared = report.compare(tried, train, test, k=k, relevant_from=relevant_from, done=tell)
    return compared, test


def _as_rows(comparison: "Comparison", k: Sequence[int] | None, *, everything: bool = False) -> list[dict[str, Any]]:
    """Return a comparison as JSON can hold it: one row per solver, with intervals."""
    rows = []
    for frame_row, report in zip(comparison.to_frame().iter_rows(named=True), comparison.reports, strict=True):
        hidden = set() if everything else set(report.metrics) - set(shown_metrics(report, k))
        kept = {name: value for name, value in frame_row.items() if name not in hidden}
        names = [name for name in report.metrics if name not in hidden]
        rows.append({**kept, **{name: figures(report, names)[name] for name in ("protocol", "intervals")}})
    known = dict.fromkeys(name for row in rows for name in row if name not in ("protocol", "intervals"))
    return [{**dict.fromkeys(known), **row} for row in rows]


def _comparison_table(comparison: "Comparison", k: Sequence[int] | None) -> "pl.DataFrame":
    """Return a table to print: one row per solver, in each cell a value with its interval below it."""
    import polars as pl

    from cofactor.evaluation.report import label_of_solver

    names = dict.fromkeys(name for report in comparison.reports for name in shown_metrics(report, k))
    places = {name: place for name in names if (place := _column_order(name)) is not None}
    parts = zip(comparison.solvers, comparison.models, comparison.reports, comparison.seconds, strict=True)
    rows = [
        {
            "solver": label_of_solver(solver),
            "rank": f"{model.rank}" if model.rank else "–",
            **{name: _cell(report, name) for name in sorted(places, key=places.__getitem__)},
            "seconds": f"{seconds:.2f}",
        }
        for solver, model, report, seconds in parts
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _column_order(name: str) -> tuple[int, int] | None:
    """Return a key to sort columns by: errors first, then by list length; None for a metric without a column."""
    from cofactor.evaluation.metrics import shown_in

    kind, _, length = name.partition("@")
    shown = shown_in("comparison")
    return (int(length or 0), shown.index(kind)) if kind in shown else None


def _cell(report: "Report", name: str) -> str:
    if name not in report.metrics:
        return "–"
    value = f"{report[name]:.4f}"
    if name not in report.measured_users().columns or math.isnan(report[name]):
        return value
    low, high = report.interval(name)
    return f"{value}\n{_short(low)}–{_short(high)}"


def _short(number: float) -> str:
    """Write three decimals without a leading 0: terminals are narrow."""
    return f"{number:.3f}".removeprefix("0")


def _labels(comparison: "Comparison") -> list[str]:
    """Return a name for each compared model: its solver, and its rank where the solver occurs more than once."""
    from cofactor.evaluation.report import label_of_solver

    names = [label_of_solver(solver) for solver in comparison.solvers]
    return [
        f"{name} {model.rank}" if model.rank and names.count(name) > 1 else name
        for name, model in zip(names, comparison.models, strict=True)
    ]


def _lead(comparison: "Comparison", k: Sequence[int] | None) -> dict[str, Any] | None:
    """Compare the best model with the second best, by nDCG or RMSE; None where not all models have either."""
    from cofactor.evaluation.significance import better

    metric = next((name for name in (f"ndcg@{max(k or (10,))}", "rmse") if _all_have(comparison, name)), None)
    if metric is None or len(comparison.reports) < 2:
        return None
    sign = 1 if metric == "rmse" else -1
    order = sorted(range(len(comparison.reports)), key=lambda row: sign * comparison.reports[row][metric])
    first, second = order[:2]
    found = better(comparison.reports[first], comparison.reports[second], metric)
    names = _labels(comparison)
    return {
        "metric": metric, "best": names[first], "next": names[second], "difference": found.mean,
        "interval": [found.low, found.high], "p_value": found.p_value,
    }  # fmt: skip


def _verdicts(comparison: "Comparison", lead: Mapping[str, Any] | None) -> list[str]:
    """Say who is best, and by how much: against the next one, and against the best baseline."""
    from cofactor.evaluation.significance import verdict

    if lead is None:
        return ["no figure decides: not all models have nDCG, or RMSE"] if len(comparison.reports) > 1 else []
    names, metric = _labels(comparison), lead["metric"]
    reports = dict(zip(names, comparison.reports, strict=True))
    best, sign = lead["best"], -1 if metric == "rmse" else 1
    baselines = [
        name
        for name, solver in zip(names, comparison.solvers, strict=True)
        if type(solver).__name__ in ("Popularity", "BiasOnly") and name != best
    ]
    others = dict.fromkeys([lead["next"], *sorted(baselines, key=lambda name: -sign * reports[name][metric])[:1]])
    return [str(verdict(reports[best], reports[name], metric, best, name)) for name in others]


def _all_have(comparison: "Comparison", metric: str) -> bool:
    return sum(metric in report.metrics for report in comparison.reports) > 1 and all(
        metric in report.metrics and not math.isnan(report[metric]) for report in comparison.reports
    )


def _write_comparison(comparison: "Comparison", k: Sequence[int] | None, folder: Path) -> list[Path]:
    """Write a comparison as JSON and CSV, and as pictures: errors by rank, recall by length, accuracy by popularity."""
    import polars as pl

    from cofactor.evaluation import plots

    reports = dict(zip(_labels(comparison), comparison.reports, strict=True))
    tables = [report.intervals().insert_column(0, pl.lit(name).alias("model")) for name, report in reports.items()]
    written = [
        write_json({"rows": _as_rows(comparison, k, everything=True)}, folder / "report.json"),
        write_table(pl.concat(tables, how="diagonal"), folder / "report.csv"),
    ]
    pictures: dict[str, Any] = {}
    errors, bounds = _errors_by_rank(comparison)
    if errors:
        pictures["error-by-rank.svg"] = plots.error_by_rank(errors, intervals=bounds)
    with_lists = {name: report for name, report in reports.items() if report.protocol}
    if with_lists:
        pictures["recall-by-length.svg"] = plots.recall_by_cut_off(with_lists)
        length = max(k) if k else 10
        pictures["accuracy-against-popularity.svg"] = plots.accuracy_against_popularity(with_lists, length)
    return written + [chart.save(folder / name) for name, chart in pictures.items()]


def _errors_by_rank(
    comparison: "Comparison",
) -> tuple[dict[str, dict[int, float]], dict[str, dict[int, tuple[float, float]]]]:
    """Return each solver's MSE at each rank, and its interval."""
    errors: dict[str, dict[int, float]] = {}
    bounds: dict[str, dict[int, tuple[float, float]]] = {}
    for solver, model, report in zip(comparison.solvers, comparison.models, comparison.reports, strict=True):
        if "mse" in report.metrics:
            errors.setdefault(type(solver).__name__, {})[model.rank] = report["mse"]
            bounds.setdefault(type(solver).__name__, {})[model.rank] = report.interval("mse")
    return errors, bounds
