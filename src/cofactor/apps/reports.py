"""Reports for people and for programs: tables with intervals, JSON, CSV and pictures in a folder."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from cofactor.apps import show
from cofactor.evaluation.metrics import shown_in
from cofactor.evaluation.report import Comparison, Report
from cofactor.evaluation.significance import better
from cofactor.files import replacing

__all__ = [
    "as_rows",
    "comparison_table",
    "figures",
    "lead",
    "report_table",
    "shown_metrics",
    "write_comparison",
    "write_report",
]


def shown_metrics(report: Report, k: Sequence[int] | None) -> list[str]:
    """Return which metrics to show: errors, and those of the lengths asked for, or of 10."""
    wanted = {str(length) for length in k or (10,)}
    chosen = [name for name in report.metrics if "@" not in name or name.split("@")[1] in wanted]
    return chosen or list(report.metrics)


def report_table(report: Report, names: Sequence[str]) -> pl.DataFrame:
    """Return a table for people: a metric's value, and its 95 % interval."""
    rows = report.intervals().filter(pl.col("metric").is_in(list(names)))
    texts = [_text(low, high) for low, high in rows.select("low", "high").iter_rows()]
    return rows.select("metric", "value", pl.Series("95 % interval", texts, dtype=pl.String))


def _text(low: float | None, high: float | None) -> str:
    if low is None or high is None or math.isnan(low):
        return "–"
    return f"{low:.4f} – {high:.4f}"


def figures(report: Report, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Return a report for programs: each metric, its interval, the protocol and the counts."""
    shown = [name for name in report.metrics if names is None or name in names]
    averaged = report.measured_users().columns
    return {
        **{name: report[name] for name in shown},
        **report.counts,
        "protocol": report.protocol,
        "intervals": {name: list(report.interval(name)) for name in shown if name in averaged},
    }


def as_rows(comparison: Comparison, k: Sequence[int] | None, *, everything: bool = False) -> list[dict[str, Any]]:
    """Return a comparison for programs: one row a solver, as its frame has it, with intervals."""
    rows = []
    for frame_row, report in zip(comparison.to_frame().iter_rows(named=True), comparison.reports, strict=True):
        hidden = set() if everything else set(report.metrics) - set(shown_metrics(report, k))
        kept = {name: value for name, value in frame_row.items() if name not in hidden}
        names = [name for name in report.metrics if name not in hidden]
        rows.append({**kept, **{name: figures(report, names)[name] for name in ("protocol", "intervals")}})
    known = dict.fromkeys(name for row in rows for name in row if name not in ("protocol", "intervals"))
    return [{**dict.fromkeys(known), **row} for row in rows]


def comparison_table(comparison: Comparison, k: Sequence[int] | None) -> pl.DataFrame:
    """Return a table for people: one row a solver, in each cell a value with its interval below it."""
    names = dict.fromkeys(name for report in comparison.reports for name in shown_metrics(report, k))
    places = {name: place for name in names if (place := _head(name)) is not None}
    parts = zip(comparison.solvers, comparison.models, comparison.reports, comparison.seconds, strict=True)
    rows = [
        {
            "solver": type(solver).__name__,
            "rank": model.rank,
            **{name: _cell(report, name) for name in sorted(places, key=places.__getitem__)},
            "seconds": f"{seconds:.2f}",
        }
        for solver, model, report, seconds in parts
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _head(name: str) -> tuple[int, int] | None:
    """Return the order of a metric's column: errors first, then list by list; None if it has none."""
    kind, _, length = name.partition("@")
    shown = shown_in("comparison")
    return (int(length or 0), shown.index(kind)) if kind in shown else None


def _cell(report: Report, name: str) -> str:
    if name not in report.metrics:
        return "–"
    value = f"{report[name]:.4f}"
    if name not in report.measured_users().columns or math.isnan(report[name]):
        return value
    low, high = report.interval(name)
    return f"{value}\n{_short(low)}–{_short(high)}"


def _short(number: float) -> str:
    """Write three digits after the point, and no 0 before it: screens are narrow."""
    return f"{number:.3f}".removeprefix("0")


def labels_of(comparison: Comparison) -> list[str]:
    """Return a name for each of the compared: its solver, and its rank where it has one."""
    names = [type(solver).__name__ for solver in comparison.solvers]
    return [
        f"{name} {model.rank}" if model.rank and names.count(name) > 1 else name
        for name, model in zip(names, comparison.models, strict=True)
    ]


def lead(comparison: Comparison, k: Sequence[int] | None) -> dict[str, Any] | None:
    """Compare the best with the next best, by nDCG or by the error; None where not all have either."""
    metric = next((name for name in (f"ndcg@{max(k or (10,))}", "rmse") if _all_have(comparison, name)), None)
    if metric is None or len(comparison.reports) < 2:
        return None
    sign = 1 if metric == "rmse" else -1
    order = sorted(range(len(comparison.reports)), key=lambda row: sign * comparison.reports[row][metric])
    first, second = order[:2]
    found = better(comparison.reports[first], comparison.reports[second], metric)
    names = labels_of(comparison)
    return {
        "metric": metric, "best": names[first], "next": names[second], "difference": found.mean,
        "interval": [found.low, found.high], "p_value": found.p_value,
    }  # fmt: skip


def _all_have(comparison: Comparison, metric: str) -> bool:
    return sum(metric in report.metrics for report in comparison.reports) > 1 and all(
        metric in report.metrics and not math.isnan(report[metric]) for report in comparison.reports
    )


def write_report(report: Report, calibration: pl.DataFrame | None, label: str, folder: Path) -> list[Path]:
    """Write one model's report: JSON, CSV, and the pictures that can be drawn of it."""
    from cofactor.evaluation import plots

    written = [_write_json(figures(report), folder / "report.json"), _write_csv(report.intervals(), folder)]
    pictures: dict[str, Any] = {}
    if metric := next((name for name in ("recall", "hit") if _several(report, name)), None):
        pictures[f"{metric}-by-length.svg"] = plots.recall_by_cut_off({label: report}, metric=metric)
    if calibration is not None:
        pictures["calibration.svg"] = plots.calibration_plot(calibration)
    return written + [chart.save(folder / name) for name, chart in pictures.items()]


def write_comparison(comparison: Comparison, k: Sequence[int] | None, folder: Path) -> list[Path]:
    """Write a comparison: JSON, CSV, and errors by rank, recall by length, accuracy against popularity as pictures."""
    from cofactor.evaluation import plots

    rows, names = as_rows(comparison, k, everything=True), labels_of(comparison)
    tables = [report.intervals().insert_column(0, pl.lit(name).alias("model")) for name, report in _pairs(comparison)]
    written = [_write_json({"rows": rows}, folder / "report.json")]
    written.append(_write_csv(pl.concat(tables, how="diagonal"), folder))
    pictures: dict[str, Any] = {}
    errors, bounds = _errors_by_rank(comparison)
    if errors:
        pictures["error-by-rank.svg"] = plots.error_by_rank(errors, intervals=bounds)
    reports = {name: report for name, report in zip(names, comparison.reports, strict=True) if report.protocol}
    if reports:
        pictures["recall-by-length.svg"] = plots.recall_by_cut_off(reports)
        length = max(k) if k else 10
        pictures["accuracy-against-popularity.svg"] = plots.accuracy_against_popularity(reports, length)
    return written + [chart.save(folder / name) for name, chart in pictures.items()]


def _pairs(comparison: Comparison) -> list[tuple[str, Report]]:
    return list(zip(labels_of(comparison), comparison.reports, strict=True))


def _errors_by_rank(
    comparison: Comparison,
) -> tuple[dict[str, dict[int, float]], dict[str, dict[int, tuple[float, float]]]]:
    """Return each solver's MSE at each rank, and its interval."""
    errors: dict[str, dict[int, float]] = {}
    bounds: dict[str, dict[int, tuple[float, float]]] = {}
    for solver, model, report in zip(comparison.solvers, comparison.models, comparison.reports, strict=True):
        if "mse" in report.metrics:
            errors.setdefault(type(solver).__name__, {})[model.rank] = report["mse"]
            bounds.setdefault(type(solver).__name__, {})[model.rank] = report.interval("mse")
    return errors, bounds


def _several(report: Report, metric: str) -> bool:
    return sum(name.startswith(f"{metric}@") for name in report.metrics) > 1


def _write_json(content: Mapping[str, Any], path: Path) -> Path:
    with replacing(path) as beside:
        beside.write_text(show.json_text(content, indent=2) + "\n", encoding="utf-8")
    return path


def _write_csv(table: pl.DataFrame, folder: Path) -> Path:
    path = folder / "report.csv"
    with replacing(path) as beside:
        table.write_csv(beside)
    return path
