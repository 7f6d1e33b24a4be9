"""Pictures of a model: training curves, errors by rank, calibration, the map of the items, the model's diagram.

Each function returns a matplotlib figure; ``figure.savefig(path)`` writes it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from cofactor.data.passes import counts_of, sums_of
from cofactor.errors import DataError, missing_extra
from cofactor.evaluation.plane import best_known, item_plane, names_of
from cofactor.model.factors import Factors

try:
    from matplotlib.figure import Figure  # without pyplot: no global state, no window, half the import time
    from matplotlib.patches import FancyBboxPatch
    from matplotlib.transforms import Bbox
except ImportError as error:
    raise missing_extra("matplotlib", "plots") from error

__all__ = [
    "COLORS",
    "DRAWN",
    "GRID",
    "INK",
    "MUTED",
    "Figure",
    "blank",
    "box_around",
    "calibration_plot",
    "draw_band",
    "error_by_rank",
    "item_map",
    "item_plane",
    "model_diagram",
    "training_curve",
]

INK, MUTED, GRID = "#1f2933", "#616e7c", "#e4e7eb"
COLORS = ("#2563eb", "#e8590c", "#0f766e", "#9333ea", "#b91c1c", "#64748b")

DRAWN = {"mse", "val_mse", "loss"}
"""The figures that a training curve can be drawn of; an objective alone is none."""


def blank(title: str, subtitle: str = "", size: tuple[float, float] = (8, 5)) -> tuple[Figure, Any]:
    """Return a figure in the common dress, and its axes."""
    figure = Figure(figsize=size, dpi=150, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=13, fontweight="bold", color=INK, pad=24 if subtitle else 8)
    if subtitle:
        axes.text(0, 1.02, subtitle, transform=axes.transAxes, fontsize=9.5, color=MUTED, va="bottom")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelsize=9)
    return figure, axes


def draw_band(axes: Any, x: Sequence[float], low: Sequence[float], high: Sequence[float], color: str) -> None:
    """Shade an interval around a line, with bars where there is but one point."""
    axes.fill_between(x, low, high, color=color, alpha=0.14, linewidth=0)
    axes.vlines(x, low, high, color=color, alpha=0.45, linewidth=1.2)


def box_around(axes: Any, low: tuple[float, float], high: tuple[float, float], margin: float) -> Bbox:
    """Return the box on the picture that reaches from one point to another, and so many dots further."""
    (x0, y0), (x1, y1) = axes.transData.transform([low, high])
    return Bbox.from_extents(x0 - margin, y0 - margin, x1 + margin, y1 + margin)


def training_curve(histories: Mapping[str, Mapping[str, Sequence[float]]]) -> Figure:
    """Draw the training error of each epoch on a log axis, and the validation error where there is one.

    Of a model that is not trained on errors, it is the loss.

    Parameters
    ----------
    histories : mapping of str to mapping
        A label for each model, and its ``history``.

    Raises
    ------
    DataError
        If no history has a figure in it.
    """
    kinds = dict.fromkeys("mean squared error" if "mse" in known else "loss" for known in histories.values())
    figure, axes = blank("Training error falls epoch by epoch", f"{' or '.join(kinds)}, log axis")
    drawn = False
    for color, (label, history) in zip(COLORS * 3, histories.items(), strict=False):
        for key, style, suffix in (("mse", "-", "training"), ("val_mse", "--", "validation")):
            values = history.get(key, history.get("loss", ()) if key == "mse" else ())
            if len(values):
                epochs = np.arange(1, len(values) + 1)
                axes.plot(epochs, values, style, color=color, linewidth=2, label=f"{label}, {suffix}")
                drawn = True
    if not drawn:
        raise DataError("the model holds no training history to draw")
    axes.set_yscale("log")
    axes.set_xlabel("epoch", color=MUTED)
    axes.grid(True, which="both", color=GRID, linewidth=0.8)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return figure


def error_by_rank(
    series: Mapping[str, Mapping[int, float]],
    *,
    metric: str = "MSE",
    intervals: Mapping[str, Mapping[int, tuple[float, float]]] | None = None,
) -> Figure:
    """Draw the test error against the rank, one line for each system; systems without vectors are dashed lines.

    Parameters
    ----------
    series : mapping of str to mapping of int to float
        A label, and its error at each rank.
    metric : str
        What the error is, for the axis.
    intervals : mapping of str to mapping of int to tuple of float, optional
        The bounds of each error's interval, drawn as a band.
    """
    bounds = intervals or {}
    subtitle = "lower is better; bands: 95 % intervals over users" if bounds else "lower is better"
    figure, axes = blank(f"Test {metric} by rank", subtitle)
    ranks = sorted({rank for errors in series.values() for rank in errors if rank > 0})
    for color, (label, errors) in zip(COLORS * 3, series.items(), strict=False):
        if set(errors) == {0}:
            axes.axhline(errors[0], color=color, linestyle="--", linewidth=1.6, label=f"{label} ({errors[0]:.3f})")
            continue
        own = sorted(errors)
        axes.plot(own, [errors[rank] for rank in own], "-o", color=color, linewidth=2, markersize=6, label=label)
        if label in bounds:
            low, high = zip(*(bounds[label][rank] for rank in own), strict=True)
            draw_band(axes, own, low, high, color)
        for rank in own:
            axes.annotate(
                f"{errors[rank]:.3f}", (rank, errors[rank]), xytext=(0, 8), textcoords="offset points",
                ha="center", fontsize=9, color=color,
            )  # fmt: skip
    axes.set_xlabel("rank (number of latent factors)", color=MUTED)
    axes.set_xticks(ranks)
    axes.margins(x=0.08, y=0.18)
    axes.grid(True, axis="y", color=GRID, linewidth=0.8)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return figure


def calibration_plot(frame: pl.DataFrame) -> Figure:
    """Draw how many held-out ratings lie inside a model's intervals, against how many should.

    Parameters
    ----------
    frame : polars.DataFrame
        The columns level and share, as `cofactor.evaluation.calibration` makes them.
    """
    figure, axes = blank("Intervals hold what they promise", "on the dashed line: perfectly calibrated", size=(6, 6))
    axes.plot([0, 1], [0, 1], "--", color=MUTED, linewidth=1.2, label="perfect")
    axes.plot(frame["level"], frame["share"], "-o", color=COLORS[0], linewidth=2, markersize=6, label="the model")
    axes.set_xlabel("probability of the interval", color=MUTED)
    axes.set_ylabel("share of held-out ratings inside", color=MUTED)
    low = max(0.0, float(frame.select("level", "share").to_numpy().min()) - 0.1)
    axes.set_xlim(low, 1.0)
    axes.set_ylim(low, 1.0)
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    return figure


def item_map(model: Factors, *, labels: int = 36) -> Figure:
    """Draw the items in the plane of their two strongest directions, the most rated ones with their titles.

    Parameters
    ----------
    model : Factors
    labels : int
        How many titles to write at most; one that would cover another is left out.
    """
    figure, axes = blank(
        "Items that the same people like lie near each other",
        "two principal directions of the item vectors; size: how often rated; colour: mean rating",
        size=(11, 8),
    )
    counts = counts_of(model.seen.indices, model.n_items)
    sums = sums_of(model.seen.indices, model.seen.data, model.n_items)
    means = np.divide(sums, counts, out=np.zeros(model.n_items), where=counts > 0)
    plane = item_plane(model)
    shown = best_known(counts)
    points = axes.scatter(
        *plane[shown].T,
        s=4 + 120 * np.sqrt(counts[shown] / max(counts.max(), 1)),
        c=means[shown], cmap="cividis", alpha=0.65, linewidths=0,
    )  # fmt: skip
    bar = figure.colorbar(points, ax=axes, shrink=0.6, pad=0.01)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=MUTED, labelsize=8)
    axes.set_xlabel("first direction", color=MUTED)
    axes.set_ylabel("second direction", color=MUTED)
    _write_titles(figure, axes, plane[shown], names_of(model, shown), labels)
    return figure


def _write_titles(figure: Figure, axes: Any, points: np.ndarray, names: list[str], limit: int) -> None:
    """Write titles, the most rated first, wherever one has room."""
    figure.draw_without_rendering()  # text has no size before the layout is known
    taken: list[Any] = []
    inside = axes.get_window_extent()
    for point, name in zip(points, names, strict=True):
        if len(taken) == limit:
            return
        text = axes.annotate(
            name if len(name) <= 34 else f"{name[:32]}…", point, xytext=(4, 4), textcoords="offset points",
            fontsize=7.5, color=INK,
        )  # fmt: skip
        box = text.get_window_extent().expanded(1.02, 1.15)
        if any(box.overlaps(other) for other in taken) or box.x1 > inside.x1 or box.y1 > inside.y1:
            text.remove()
        else:
            taken.append(box)


def model_diagram(model: Factors) -> Figure:
    """Draw what the model computes: tables of vectors and biases, the product, the sum."""
    figure, axes = blank("The model: two tables of vectors and a dot product", size=(9, 5.4))
    axes.set_axis_off()
    axes.set_xlim(0, 12)
    axes.set_ylim(0, 7)
    biased = model.item_bias is not None
    for side, rows, color, mirror in (("user", model.n_users, COLORS[0], 1), ("item", model.n_items, COLORS[1], -1)):
        row, vectors, bias = (6 - mirror * offset for offset in (3.6, 2.4, 5.0))
        vectors = vectors if biased else row
        _box(axes, row, 5.7, 2.6, f"{side} row", "one number", MUTED)
        _box(axes, vectors, 3.7, 2.8, f"{side} vectors", f"{rows:,} × {model.rank}", color)
        _arrow(axes, (row, 5.7), (vectors, 4.7))
        _arrow(axes, (vectors, 3.7), (6 - mirror * 0.7, 2.9))
        if biased:
            _box(axes, bias, 3.7, 1.9, f"{side} bias", f"{rows:,} × 1", color)
            _arrow(axes, (row, 5.7), (bias, 4.7))
            _arrow(axes, (bias, 3.7), (6 - mirror * 1.9, 0.75))
    _box(axes, 6, 1.9, 2.8, "dot product", f"of {model.rank} numbers", INK)
    _arrow(axes, (6, 1.9), (6, 1.1))
    total = "product + biases + mean" if biased else "the product itself"
    _box(axes, 6, 0.1, 3.8, "score", f"{total} ({model.mean:.2f})" if model.mean else total, COLORS[2])
    return figure


def _box(axes: Any, middle: float, y: float, width: float, name: str, detail: str, color: str) -> None:
    x = middle - width / 2
    axes.add_patch(
        FancyBboxPatch(
            (x, y), width, 1.0, boxstyle="round,pad=0,rounding_size=0.18", facecolor=f"{color}18", edgecolor=color
        )
    )
    axes.text(x + width / 2, y + 0.62, name, ha="center", va="center", fontsize=10, color=INK, fontweight="bold")
    axes.text(x + width / 2, y + 0.28, detail, ha="center", va="center", fontsize=8.5, color=MUTED)


def _arrow(axes: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": MUTED, "linewidth": 1.1})
