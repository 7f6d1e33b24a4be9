"""The command ``cofactor evaluate``: measure a model on held-out ratings, and print or write its report."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cofactor.apps import show
from cofactor.apps.options import DATA_OPTIONS, Data, Json, K, Master, ModelPath, RelevantFrom, data_options, taking
from cofactor.apps.outputs import check_folder, write_json, write_table
from cofactor.errors import SettingError

if TYPE_CHECKING:
    import polars as pl

    from cofactor.data.interactions import Interactions
    from cofactor.evaluation.report import Report
    from cofactor.model.factors import Factors

__all__ = ["evaluate", "figures", "lengths", "measured_on", "shown_metrics", "written_files"]


@taking(DATA_OPTIONS)
def evaluate(
    model: ModelPath,
    data: Data,
    *,
    k: K = None,
    relevant_from: RelevantFrom = None,
    negatives: Annotated[
        int | None,
        typer.Option(help="Rank each held-out item among this many sampled items instead of among all items."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the report as JSON and CSV, and for pictures.")
    ] = None,
    master: Master = None,
    json_output: Json = False,
    **options: Any,
) -> None:
    """Measure a model on ratings it was not trained on; for a Bayesian model, also its intervals."""
    k = lengths(k, relevant_from)
    if master is not None:
        if negatives is not None or output is not None:
            raise typer.BadParameter("--master ranks all items: leave out --negatives and -o")
        _evaluate_on_spark(model, data, k, relevant_from, master, json_output, data_options(options))
        return
    check_folder(output)
    from cofactor.apps.sources import open_data
    from cofactor.evaluation.ranking import lengths_for_pictures
    from cofactor.evaluation.report import unbeaten
    from cofactor.model.storage import open_model

    loaded = open_model(model)
    ratings = open_data(data, progress=not json_output, notify=show.note, **data_options(options))
    with_lists = bool(k) or negatives is not None or loaded.objective.goal == "ranking"
    measured = lengths_for_pictures(k, loaded.n_items) if output is not None and with_lists else k
    report, trained_on = _evaluate_held_out(loaded, ratings, measured, negatives, relevant_from)
    coverage = _interval_coverage(loaded, ratings)
    beside = {} if negatives is not None else _baselines(loaded, ratings, report, measured, relevant_from)
    late = [one for one in beside.items() if one[0] != "Popularity"]
    notes = report.notes + [line for one in late for line in unbeaten(report, *one, k=max(k or (10,)))]
    written = [] if output is None else _write_report(report, coverage, model.stem, output)
    names = shown_metrics(report, k)
    if relevant_from is not None and report.n_without_relevant == report.n_users:
        show.note(f"no held-out rating is {relevant_from:g} or higher, so lists have no metrics: lower --relevant-from")
    if json_output:
        more = {} if coverage is None else {"calibration": show.rows_of(coverage)}
        known = {label: {name: one[name] for name in names if name in one.metrics} for label, one in beside.items()}
        told = {**figures(report, names), "notes": notes, "baselines": known, "n_trained_on": trained_on}
        show.as_json({**told, **more, **written_files(written)})
        return
    show.prose(measured_on(report))
    show.table(_report_table(report, names, beside), right=("95 % interval",), decimals=4)
    if coverage is not None:
        show.table(coverage, title="intervals: the share of held-out ratings inside them")
    for line in notes:
        show.prose(line)
    for path in written:
        show.say(f"wrote {path}")
    if trained_on:
        show.say(f"left out {trained_on:,} ratings of {data} that the model was trained on")


def lengths(k: list[int] | None, relevant_from: float | None) -> list[int] | None:
    """Return the list lengths asked for; 10 where only ``--relevant-from`` is given."""
    return k or ([10] if relevant_from is not None else None)


def _evaluate_held_out(
    model: "Factors",
    ratings: "Interactions",
    k: Sequence[int] | None,
    negatives: int | None,
    relevant_from: float | None,
) -> "tuple[Report, int]":
    """Measure a model on the ratings it was not trained on; how many it was trained on comes second.

    Raises
    ------
    DataError
        If it was trained on all of them.
    SettingError
        If both ``negatives`` and ``relevant_from`` are given.
    """
    from cofactor.evaluation.held_out import held_out_of
    from cofactor.evaluation.protocols import evaluate_sampled
    from cofactor.evaluation.report import evaluate as evaluate_all

    if negatives is not None and relevant_from is not None:
        raise SettingError("--negatives ranks every held-out item: leave out --relevant-from")
    held_out = held_out_of(model, ratings)
    left_out = len(ratings) - len(held_out)
    if negatives is not None:
        return evaluate_sampled(model, held_out, k=k or 10, negatives=negatives), left_out
    return evaluate_all(model, held_out, k=k, relevant_from=relevant_from), left_out


def _baselines(
    model: "Factors",
    ratings: "Interactions",
    report: "Report",
    k: Sequence[int] | None,
    relevant_from: float | None,
) -> "dict[str, Report]":
    """Measure popularity, of all time and of late, on the same held-out ratings; nothing without times or lists.

    What was popular of late is known only where DATA hold the ratings that the model was trained on.
    """
    from cofactor.evaluation.held_out import held_out_of, training_part
    from cofactor.evaluation.report import compare, label_of_solver
    from cofactor.solvers.baselines import Popularity, late_popularity

    learnt = training_part(model, ratings) if report.protocol else None
    late = [] if learnt is None else late_popularity(learnt)
    if learnt is None or not late:
        return {}
    tried = [Popularity(), *late]
    found = compare(tried, learnt, held_out_of(model, ratings), k=k or 10, relevant_from=relevant_from)
    return dict(zip(map(label_of_solver, tried), found.reports, strict=True))


def _interval_coverage(model: "Factors", ratings: "Interactions") -> "pl.DataFrame | None":
    """Return the share of held-out ratings inside a Bayesian model's intervals; None for other models."""
    from cofactor.evaluation.calibration import calibration
    from cofactor.evaluation.held_out import without_training_rows

    return calibration(model, without_training_rows(model, ratings)) if model.objective.draws > 1 else None


def _evaluate_on_spark(
    model: Path,
    data: str,
    k: list[int] | None,
    relevant_from: float | None,
    master: str,
    json_output: bool,
    options: Mapping[str, Any],
) -> None:
    """Measure on a cluster, where no single user's metrics are known, so there are no intervals."""
    import polars as pl

    from cofactor.apps import on_spark

    report = on_spark.evaluate(model, data, k, relevant_from, options, master)
    values = {name: None if math.isnan(report[name]) else report[name] for name in shown_metrics(report, k)}
    if json_output:
        show.as_json({**values, **report.counts, "protocol": report.protocol})
        return
    show.prose(measured_on(report))
    show.table(
        pl.DataFrame({"metric": values.keys(), "value": pl.Series(values.values(), dtype=pl.Float64)}), decimals=4
    )


def measured_on(report: "Report") -> str:
    """Say what a report was measured on."""
    unknown = f", {report.n_unknown:,} more of users or items unknown to the model" if report.n_unknown else ""
    new = [(report.n_without_history, "users")]
    new += [(report.n_items_without_history, "items")] if report.on_new_items == "skip" else []
    without = " and ".join(f"{number:,} {what}" for number, what in new if number)
    cold = f" ({without} without history)" if without else ""
    protocol = f"; lists: {report.protocol}" if report.protocol else ""
    nothing = report.n_without_relevant if report.protocol else 0
    left_out = f", {nothing:,} users without a relevant item left out" if nothing else ""
    return f"{report.n_test:,} held-out ratings of {report.n_users:,} users{unknown}{cold}{protocol}{left_out}"


def shown_metrics(report: "Report", k: Sequence[int] | None) -> list[str]:
    """Return which metrics to show: errors, and those of the list lengths asked for, or of 10."""
    wanted = {str(length) for length in k or (10,)}
    chosen = [name for name in report.metrics if "@" not in name or name.split("@")[1] in wanted]
    return chosen or list(report.metrics)


def _report_table(report: "Report", names: Sequence[str], beside: "Mapping[str, Report]") -> "pl.DataFrame":
    """Return a table to print: each metric with its 95 % interval, and beside it what baselines reach."""
    import polars as pl

    rows = report.intervals().filter(pl.col("metric").is_in(list(names)))
    texts = [_interval_text(low, high) for low, high in rows.select("low", "high").iter_rows()]
    others = [
        pl.Series(label, [one.metrics.get(name) for name in rows["metric"]], dtype=pl.Float64)
        for label, one in beside.items()
    ]
    return rows.select("metric", "value", pl.Series("95 % interval", texts, dtype=pl.String), *others)


def _interval_text(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None or math.isnan(low) else f"{low:.4f} – {high:.4f}"


def figures(report: "Report", names: Sequence[str] | None = None) -> dict[str, Any]:
    """Return a report as JSON can hold it: metrics, intervals, protocol and counts."""
    shown = [name for name in report.metrics if names is None or name in names]
    averaged = report.measured_users().columns
    return {
        **{name: report[name] for name in shown},
        **report.counts,
        "protocol": report.protocol,
        "notes": report.notes,
        "intervals": {name: list(report.interval(name)) for name in shown if name in averaged},
    }


def _write_report(report: "Report", coverage: "pl.DataFrame | None", label: str, folder: Path) -> list[Path]:
    """Write the report as JSON and CSV, and the pictures that can be drawn of it."""
    from cofactor.evaluation import plots

    written = [
        write_json(figures(report), folder / "report.json"),
        write_table(report.intervals(), folder / "report.csv"),
    ]
    pictures: dict[str, Any] = {}
    if metric := next((name for name in ("recall", "hit") if _at_several_lengths(report, name)), None):
        pictures[f"{metric}-by-length.svg"] = plots.recall_by_cut_off({label: report}, metric=metric)
    if coverage is not None:
        pictures["calibration.svg"] = plots.calibration_plot(coverage)
    return written + [chart.save(folder / name) for name, chart in pictures.items()]


def _at_several_lengths(report: "Report", metric: str) -> bool:
    return sum(name.startswith(f"{metric}@") for name in report.metrics) > 1


def written_files(written: Sequence[Path]) -> dict[str, list[str]]:
    """Return the paths of written files, and those of the pictures among them, as JSON can hold them."""
    pictures = [str(path) for path in written if path.suffix == ".svg"]
    return {"written": [str(path) for path in written], "pictures": pictures}
