"""The sections on how good a model is: the headline, training, other ranks, calibration."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from cofactor.evaluation.page.axes import linear, logarithmic
from cofactor.evaluation.page.charts import Series, legend, lines
from cofactor.evaluation.page.markup import (
    Markup,
    count,
    data,
    decimals,
    figure,
    figure_beside_table,
    joined,
    percent,
    table,
    tag,
)
from cofactor.evaluation.page.material import Contender, Material
from cofactor.evaluation.page.section import Section, grid
from cofactor.evaluation.report import Report
from cofactor.evaluation.significance import better

__all__ = ["by_rank", "calibrated", "headline", "training", "with_interval"]

WORDS = {
    "mse": "mean squared error",
    "objective": "what is minimized",
    "loss": "loss",
    "in_order": "share of pairs in the right order",
    "noise": "noise, its standard deviation",
    "rmse": "root mean squared error",
    "mae": "mean absolute error",
    "ndcg": "nDCG",
    "recall": "recall",
    "hit": "hit rate",
}
ROWS = 25
"""How many epochs a table has at most."""

STEEP = 20
"""From how many times the least value on a curve is drawn on a logarithmic axis."""


def named(metric: str) -> str:
    """Return what people call a metric."""
    kind, at, length = metric.partition("@")
    return f"{WORDS.get(kind, kind.replace('_', ' '))}{f' at {length}' if at else ''}"


def _capital(text: str) -> str:
    """Return a text with a capital at its start, but for names that are written otherwise."""
    return text if text.startswith("nDCG") else text[:1].upper() + text[1:]


def with_interval(report: Report, metric: str) -> str:
    """Return the bounds of a metric's interval in words; a dash where it has none."""
    if metric not in report.measured_users().columns or math.isnan(report[metric]):
        return "–"
    low, high = report.interval(metric)
    return f"{decimals(low)} – {decimals(high)}"


def headline(material: Material) -> Markup:
    """Return the figures that matter most, each with its interval and what the baselines reach."""
    lists = [f"{kind}@{material.length}" for kind in ("ndcg", "recall", "hit", "coverage")]
    metrics = ["rmse", "mae", *lists[:2]] if material.predicts else lists
    return tag("ul", *(_tile(material, metric) for metric in metrics), class_="tiles")


def _tile(material: Material, metric: str) -> Markup:
    report = material.report
    bounds = with_interval(report, metric)
    beside = [one for one in material.baselines if metric in one.report.metrics]
    others = [tag("p", f"{one.label} ", decimals(one.report[metric]), class_="quiet") for one in beside]
    strip = _strip([material.this, *beside], metric)
    return tag(
        "li",
        tag("p", _capital(named(metric)), class_="name"),
        tag("p", data(report[metric], metric), class_="value"),
        tag("p", "95 % ", bounds, class_="quiet") if bounds != "–" else Markup(),
        strip,
        *others,
    )


def _strip(compared: Sequence[Contender], metric: str) -> Markup:
    """Draw the model and what it is compared with on one line, the model with its interval."""
    values = [one.report[metric] for one in compared]
    if any(math.isnan(value) for value in values):
        return Markup()
    has_interval = metric in compared[0].report.measured_users().columns
    bounds = compared[0].report.interval(metric) if has_interval else (values[0], values[0])
    x = linear([*values, *bounds], 6, 214)
    parts = [tag("line", x1="2", y1="9", x2="218", y2="9", class_="rule")]
    parts += [tag("circle", cx=x(value), cy="9", r="4.5", class_="mark s1 ring") for value in values[1:]]
    parts.append(tag("line", x1=x(bounds[0]), y1="9", x2=x(bounds[1]), y2="9", class_="reach"))
    parts.append(tag("circle", cx=x(values[0]), cy="9", r="5.5", class_="mark s0"))
    return tag("svg", *parts, viewBox="0 0 220 18", class_="strip", aria_hidden="true")


def training(material: Material) -> Section | None:
    """Show each figure of the training epoch by epoch; None where the model kept no history."""
    kept = {name: values for name, values in material.model.history.items() if len(set(values)) > 1}
    groups: dict[str, dict[str, Sequence[float]]] = {}
    for name, values in kept.items():
        groups.setdefault(name.removeprefix("val_"), {})[name] = values
    if not groups:
        return None
    epochs = max(len(values) for values in kept.values())
    lead = f"{epochs} epochs. A curve that has become flat says that more of them would change little."
    framed = figure_beside_table if len(groups) == 1 else figure
    body = grid(*(framed(*_curve(kind, curves)) for kind, curves in groups.items()))
    return Section("training", "Training", "Training, epoch by epoch", lead, body)


def _curve(kind: str, curves: Mapping[str, Sequence[float]]) -> tuple[str, str, Markup, Markup]:
    """Return title, note, picture and table of one figure of the training."""
    series = [
        Series("validation" if name.startswith("val_") else "training", range(1, len(values) + 1), values)
        for name, values in curves.items()
    ]
    everything = [value for one in series for value in one.y]
    steep = min(everything) > 0 and max(everything) > STEEP * min(everything)
    first, last = series[0].y[0], series[0].y[-1]
    title = f"{_capital(named(kind))}: {decimals(first)} at first, {decimals(last)} in the end"
    scales = (linear, logarithmic if steep else linear)
    chart = lines(series, across="epoch", up=named(kind), scales=scales, words=f"{title}: a line over the epochs")
    longest = max(len(one.y) for one in series)
    shown = np.unique(np.linspace(1, longest, min(longest, ROWS)).astype(int)).tolist()
    rows = [(count(n), *(decimals(one.y[n - 1]) if n <= len(one.y) else "–" for one in series)) for n in shown]
    heads = ["epoch", *(one.label for one in series)]
    kept = ", and on a part of it kept for validation" if len(series) > 1 else ""
    note = f"On the training data{kept}{'; the axis is logarithmic' if steep else ''}."
    body = joined([legend([one.label for one in series]), chart])
    return title, note, body, table(f"{named(kind)} by epoch", heads, rows)


def by_rank(material: Material) -> Section | None:
    """Compare ranks by error, and by nDCG; None where no other rank was trained."""
    if not material.ranks:
        return None
    lists = f"ndcg@{material.length}"
    metrics = [*(("mse",) if material.predicts else ()), lists]
    lead = (
        f"{material.model.origin.solver} trained anew on the same training data, with the same settings but for the "
        f"rank; nothing was chosen by what is held out. This model's own rank is {material.model.rank}."
    )
    framed = figure_beside_table if len(metrics) == 1 else figure
    body = grid(*(framed(*_ranked(material, metric)) for metric in metrics))
    return Section("ranks", "Ranks", "Accuracy by rank", lead, body)


def _ranked(material: Material, metric: str) -> tuple[str, str, Markup, Markup]:
    """Return title, note, picture and table of one metric by rank."""
    known = [one for one in material.ranks if not math.isnan(one.report[metric])]
    bounds = [one.report.interval(metric) for one in known]
    low, high = [[bound[side] for bound in bounds] for side in (0, 1)]
    series = Series(named(metric), [one.model.rank for one in known], [one.report[metric] for one in known], low, high)
    better_is = "lower" if metric == "mse" else "higher"
    words = f"{named(metric)} of {len(known)} ranks; {better_is} is better"
    chart = (
        lines([series], across="rank", up=named(metric), scales=(linear, linear), words=words) if known else Markup()
    )
    rows = [_rank_row(material, one, metric) for one in known]
    heads = ["rank", named(metric), "95 % interval", "against this model"]
    note = f"{better_is.capitalize()} is better; the band: 95 % intervals over users."
    title = f"{_capital(named(metric))} by rank"
    return title, note, chart, table(title, heads, rows)


def _rank_row(material: Material, one: Contender, metric: str) -> tuple[str | Markup, ...]:
    against = "this model"
    if one is not material.this:
        found = better(one.report, material.report, metric)
        against = f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})".replace("-", "−")
    value = data(one.report[metric], f"rank {one.model.rank} {metric}")
    return (count(one.model.rank), value, with_interval(one.report, metric), against)


def calibrated(material: Material) -> Section | None:
    """Show how many held-out ratings the model's intervals hold; None where it gives none."""
    frame = material.calibration
    if frame is None:
        return None
    levels, shares = frame["level"].to_list(), frame["share"].to_list()
    worst = max(zip(levels, shares, strict=True), key=lambda pair: abs(pair[1] - pair[0]))
    lead = (
        f"The model says how sure it is. Of its {percent(worst[0])} intervals, those furthest from their promise, "
        f"{100 * worst[1]:.1f} % hold the rating that was held out."
    )
    series = [
        Series("this model", levels, shares),
        Series("perfectly calibrated", [min(levels), 1.0], [min(levels), 1.0]),
    ]
    words = "Share of held-out ratings inside the model's intervals, for each probability; perfect is the diagonal"
    chart = lines(series, across="probability of the interval", up="share inside", scales=(linear, linear), words=words)
    rows = [
        (percent(level), data(share, f"inside {level}"), decimals(width, 2))
        for level, share, width in frame.select("level", "share", "width").iter_rows()
    ]
    alternative = table("Calibration", ["interval", "share inside", "mean width"], rows)
    body = joined([legend([one.label for one in series]), chart])
    one = figure_beside_table(
        "Intervals and what they hold", "On the diagonal: what is promised is kept.", body, alternative
    )
    return Section("calibration", "Calibration", "How sure it may be", lead, grid(one))
