"""Pictures of lists: how much is found by what length, and what accuracy costs in popularity.

Like the others, each function returns a matplotlib figure.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from cofactor.errors import DataError
from cofactor.evaluation.plots import COLORS, GRID, INK, MUTED, Figure, blank, box_around, draw_band
from cofactor.evaluation.report import Report

__all__ = ["accuracy_against_popularity", "recall_by_cut_off"]

Point: TypeAlias = tuple[float, float]

LOOKS = [*((color, "o", "-") for color in COLORS), *((color, "s", "--") for color in COLORS)]
"""Colour, point and line of each model in turn."""

AXES = {
    "novelty": "novelty: bits of surprise at an item of the list (0: everybody had it)",
    "popularity_share": "share of the lists that goes to the most popular fifth of the items",
}
OFFSETS = ((9, 4), (9, -12), (-9, 4), (-9, -12), (0, 12), (0, -20), (9, 16), (9, -24), (-9, 16), (-9, -24))
"""Where a label may stand beside its point, in points, the best place first."""


def recall_by_cut_off(reports: Mapping[str, Report], *, metric: str = "recall") -> Figure:
    """Draw a metric of lists against their length, one line for each model, with its 95 % interval.

    Parameters
    ----------
    reports : mapping of str to Report
        A label for each model, and its report at several lengths.
    metric : str
        Such as ``"recall"`` or ``"ndcg"``.

    Raises
    ------
    DataError
        If no report has the metric.
    """
    lengths = {label: _lengths(report, metric) for label, report in reports.items()}
    if not any(lengths.values()):
        raise DataError(f"no report has {metric} at any length: evaluate with k")
    subtitle = f"{_protocols(reports)}; bands: 95 % intervals over users"
    figure, axes = blank(f"{metric.replace('_', ' ').capitalize()} by length of the list", subtitle)
    for (color, marker, line), (label, own) in zip(LOOKS * 3, lengths.items(), strict=False):
        if own:
            names = [f"{metric}@{k}" for k in own]
            low, high = zip(*(reports[label].interval(name) for name in names), strict=True)
            values = [reports[label][name] for name in names]
            axes.plot(own, values, line, marker=marker, color=color, linewidth=2, markersize=5, label=label)
            draw_band(axes, own, low, high, color)
    ticks = sorted({k for own in lengths.values() for k in own})
    axes.set_xscale("log")
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("k, length of the list (log axis)", color=MUTED)
    axes.set_ylabel(f"{metric}@k", color=MUTED)
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="upper left")
    return figure


def accuracy_against_popularity(
    reports: Mapping[str, Report], k: int, *, metric: str = "ndcg", against: str = "novelty"
) -> Figure:
    """Draw a metric of lists against how well known what they recommend is, one labelled point for each model.

    Parameters
    ----------
    reports : mapping of str to Report
        A label for each model, and its report.
    k : int
        The length of the lists.
    metric : str
        For the vertical axis.
    against : {"novelty", "popularity_share"}
        For the horizontal axis.

    Raises
    ------
    DataError
        If no report has both at this length.
    """
    names = f"{against}@{k}", f"{metric}@{k}"
    shown = {label: report for label, report in reports.items() if set(names) <= set(report.metrics)}
    if not shown:
        raise DataError(f"no report has {names[0]} and {names[1]}: evaluate with k={k}")
    best = "upper right" if against == "novelty" else "upper left"
    subtitle = f"{_protocols(shown)}; {best}: accurate without being obvious; bars: 95 % intervals over users"
    figure, axes = blank(f"{names[1]} against popularity bias", subtitle)
    points, bars = {}, []
    for (color, marker, _), (label, report) in zip(LOOKS * 3, shown.items(), strict=False):
        x, y = points[label] = report[names[0]], report[names[1]]
        (left, right), (low, high) = (report.interval(name) for name in names)
        bars += [((left, y), (right, y)), ((x, low), (x, high))]
        for bar in bars[-2:]:
            axes.plot(*zip(*bar, strict=True), "-", color=color, alpha=0.45, linewidth=1.2)
        axes.plot(x, y, marker, color=color, markersize=8)
    axes.margins(0.16)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"{AXES[against]}, @{k}", color=MUTED)
    axes.set_ylabel(names[1], color=MUTED)
    axes.grid(True, color=GRID, linewidth=0.8)
    _write_labels(figure, axes, points, bars)
    return figure


def _lengths(report: Report, metric: str) -> list[int]:
    return sorted(int(name.split("@")[1]) for name in report.metrics if name.split("@")[0] == metric and "@" in name)


def _protocols(reports: Mapping[str, Report]) -> str:
    return " and ".join(dict.fromkeys(report.protocol for report in reports.values() if report.protocol))


def _write_labels(figure: Any, axes: Any, points: Mapping[str, Point], bars: Sequence[tuple[Point, Point]]) -> None:
    """Write each label beside its point, where it covers no other label, point or bar, if there is such a place."""
    figure.draw_without_rendering()  # text has no size before the layout is known
    inside, taken = axes.get_window_extent(), [box_around(axes, *bar, margin=2) for bar in bars]
    taken += [box_around(axes, point, point, margin=8) for point in points.values()]
    for (color, _, _), (label, point) in zip(LOOKS * 3, points.items(), strict=False):
        text = None
        for dx, dy in OFFSETS:
            if text is not None:
                text.remove()
            side = "left" if dx > 0 else "right" if dx < 0 else "center"
            text = axes.annotate(
                label, point, xytext=(dx, dy), textcoords="offset points", ha=side, fontsize=9, color=color
            )
            box = text.get_window_extent()
            if box.x1 <= inside.x1 and box.x0 >= inside.x0 and not any(box.overlaps(other) for other in taken):
                break
        taken.append(box)
