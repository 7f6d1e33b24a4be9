"""Pictures of a search for settings: its history, and which settings mattered."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from cofactor.errors import DataError
from cofactor.evaluation import plots

__all__ = ["importance_plot", "tuning_history"]


def tuning_history(trials: pl.DataFrame, metric: str, *, maximize: bool) -> Any:
    """Draw each trial's value in order, and the best so far.

    Parameters
    ----------
    trials : polars.DataFrame
        As `Tuned.trials_frame` makes it.
    metric : str
        What the values are.
    maximize : bool
        Whether more of it is better.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If no trial was completed.
    """
    whole, stopped = (trials.filter(pl.col("state") == state) for state in ("complete", "pruned"))
    if whole.is_empty():
        raise DataError("no trial was completed, so there is no history to draw")
    better = "higher" if maximize else "lower"
    figure, axes = plots.blank(
        "The best settings so far, trial by trial", f"{metric} on held-out parts; {better} is better"
    )
    best = whole["value"].cum_max() if maximize else whole["value"].cum_min()
    ends = int(trials["trial"].max()) + 1  # type: ignore[arg-type]
    axes.step(
        [*whole["trial"], ends], [*best, best[-1]], where="post", color=plots.COLORS[0], linewidth=2, label="best"
    )
    axes.plot(stopped["trial"], stopped["value"], "x", color=plots.MUTED, markersize=6, label="stopped early")
    axes.plot(whole["trial"], whole["value"], "o", color=plots.COLORS[0], markersize=5, alpha=0.7, label="completed")
    row = whole.sort("value", descending=maximize, maintain_order=True).row(0, named=True)
    axes.annotate(
        f"{row['value']:.4f}", (row["trial"], row["value"]), xytext=(0, 9 if maximize else -16),
        textcoords="offset points", ha="center", fontsize=10, fontweight="bold", color=plots.COLORS[0],
    )  # fmt: skip
    axes.set_ylim(*_span(whole["value"].to_numpy(), maximize))
    axes.set_xlim(-0.8, ends)
    axes.set_xlabel("trial", color=plots.MUTED)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(True, axis="y", color=plots.GRID, linewidth=0.8)
    axes.legend(
        frameon=False, fontsize=9, labelcolor=plots.INK, ncols=3, loc="lower right", bbox_to_anchor=(1, 1),
        borderaxespad=0,
    )  # fmt: skip
    return figure


def _span(values: np.ndarray, maximize: bool) -> tuple[float, float]:
    """Return limits that show the better three quarters of the values well; a trial far off would flatten them all."""
    best = values.max() if maximize else values.min()
    worst = np.quantile(values, 0.1 if maximize else 0.9)
    room = 0.12 * max(abs(best - worst), 1e-3 * abs(best), 1e-12)
    return (worst - room, best + 1.5 * room) if maximize else (best - 1.5 * room, worst + room)


def importance_plot(shares: Mapping[str, float]) -> Any:
    """Draw how much each searched setting decides whether a trial is among the best.

    Parameters
    ----------
    shares : mapping of str to float
        As `Tuned.importances` gives them.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        If there are none.
    """
    if not shares:
        raise DataError("too few trials were completed to tell which settings matter: four are needed")
    names = sorted(shares, key=lambda name: shares[name])
    figure, axes = plots.blank(
        "Which settings decide",
        "share in whether a trial is among the best (PED-ANOVA)",
        size=(8, 1.6 + 0.45 * len(names)),
    )
    bars = axes.barh(names, [shares[name] for name in names], color=plots.COLORS[0], height=0.6)
    axes.bar_label(bars, [f"{100 * shares[name]:.0f} %" for name in names], padding=5, fontsize=9, color=plots.INK)
    axes.set_xlim(0, 1.12 * max(shares.values()))
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=10, labelcolor=plots.INK)
    return figure
