"""Charts of data, models, lists and searches: what the report page, the command line and the documentation show.

Each function returns a `Chart`: a notebook shows it, and ``chart.save("chart.svg")`` writes it.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.interactions import Interactions
from cofactor.data.passes import counts_of, sums_of
from cofactor.errors import DataError
from cofactor.evaluation.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    Chart,
    Series,
    Spot,
    axis_names,
    bars,
    baseline,
    grid_lines,
    linear,
    linear_from_zero,
    lines,
    logarithmic,
    marker,
    picture,
    spots,
    text,
    tick_text,
    ticks_below,
)
from cofactor.evaluation.held_out import table_in_rows_of
from cofactor.evaluation.markup import Markup, breadth, count, decimals, joined, percent, shortened, tag
from cofactor.evaluation.metrics import label_of, metric_of
from cofactor.evaluation.plane import best_known, item_plane, names_of
from cofactor.evaluation.report import Report
from cofactor.model.factors import Factors

__all__ = [
    "accuracy_against_popularity",
    "calibration_plot",
    "density_map",
    "error_by_rank",
    "importance_plot",
    "item_map",
    "long_tails",
    "model_diagram",
    "rating_histogram",
    "recall_by_cut_off",
    "training_curve",
    "tuning_history",
]

STEEP = 20
"""From how many times its least value on a training curve is drawn on a logarithmic axis."""

MOST_BARS = 12
"""Up to how many different values have a bar each."""

POINTS = 60
"""How many points a curve over ranks of popularity has."""

Histories = Mapping[str, Mapping[str, Sequence[float]]]


def capital(words: str) -> str:
    """Return words with a capital at the start, but for names that are written otherwise."""
    return words if words.startswith("nDCG") else words[:1].upper() + words[1:]


def label_of_training(figure: str) -> str:
    """Return what people call a figure of the training."""
    words = {
        "objective": "objective, which is minimized",
        "in_order": "share of pairs in the right order",
        "noise": "noise (standard deviation)",
    }
    return words.get(figure, label_of(figure))


def has_curve(history: Mapping[str, Sequence[float]]) -> bool:
    """Return whether a training curve can be drawn of a model's history."""
    return any(len(history.get(name, ())) for name in ("mse", "val_mse", "loss"))


def training_curve(histories: Histories, *, figure: str = "") -> Chart:
    """Draw a figure of the training, epoch by epoch, and the same on the validation part if there is one.

    Parameters
    ----------
    histories : mapping of str to mapping
        A label for each model, and its ``history``.
    figure : str
        Which figure of the history, such as ``"objective"``; the mean squared error if not given, and for a model that
        was not trained on errors its loss.

    Raises
    ------
    DataError
        If no history has the figure.
    """
    series: list[Series] = []
    kinds: dict[str, None] = {}
    for label, history in histories.items():
        kind = figure or ("mse" if "mse" in history or "val_mse" in history else "loss")
        for name, part in ((kind, "training"), (f"val_{kind}", "validation")):
            values = history.get(name, ())
            if len(values):
                words = f"{label}, {part}" if label and len(histories) > 1 else part
                series.append(Series(words, range(1, len(values) + 1), values))
                kinds[label_of_training(kind)] = None
    if not series:
        raise DataError("the model has no training history to draw")
    known = [value for one in series for value in one.y]
    steep = min(known) > 0 and max(known) > STEEP * min(known)
    what = " or ".join(kinds)
    first, last = decimals(series[0].y[0]), decimals(series[0].y[-1])
    title = (
        f"{capital(what)}: {first} at first, {last} in the end" if len(histories) == 1 else f"{capital(what)} by epoch"
    )
    on_validation = any(one.label.endswith("validation") for one in series)
    kept = ", and on a part kept for validation" if on_validation else ""
    note = f"On the training data{kept}{'; the axis is logarithmic' if steep else ''}."
    scales = (linear, logarithmic if steep else linear)
    drawn = lines(series, across="epoch", up=what, scales=scales, words=f"{title}: a line over the epochs")
    return Chart(title, note, drawn, [one.label for one in series])


def error_by_rank(
    series: Mapping[str, Mapping[int, float]],
    *,
    metric: str = "mse",
    intervals: Mapping[str, Mapping[int, tuple[float, float]]] | None = None,
) -> Chart:
    """Draw a metric against the rank, one line per system; a system without vectors is a level line.

    Parameters
    ----------
    series : mapping of str to mapping of int to float
        A label, and the metric at each rank; rank 0 is that of a system without vectors.
    metric : str
        Which metric, such as ``"mse"`` or ``"ndcg@10"``.
    intervals : mapping of str to mapping of int to tuple of float, optional
        The bounds of each value's interval, drawn as a band.
    """
    bounds = intervals or {}
    ranks = sorted({rank for values in series.values() for rank in values if rank > 0}) or [0]
    drawn = []
    for label, values in series.items():
        if set(values) == {0}:
            drawn.append(Series(f"{label} ({values[0]:.3f})", [ranks[0], ranks[-1]], [values[0]] * 2))
            continue
        own = sorted(values)
        low, high = [[bounds[label][rank][side] for rank in own] if label in bounds else [] for side in (0, 1)]
        drawn.append(Series(label, own, [values[rank] for rank in own], low, high))
    what, found = label_of(metric), metric_of(metric)
    better = found.better if found is not None else None
    notes = [f"{better.capitalize()} is better"] if better else []
    notes += ["the band: 95 % intervals over users"] if bounds else []
    words = f"{capital(what)} of {len(ranks)} ranks{f'; {better} is better' if better else ''}"
    image = lines(drawn, across="rank", up=what, scales=(linear, linear), words=words, values=len(drawn) < 4)
    return Chart(f"{capital(what)} by rank", f"{'; '.join(notes)}.", image, [one.label for one in drawn])


def calibration_plot(frame: pl.DataFrame) -> Chart:
    """Draw how many held-out ratings are inside a model's intervals, against how many should be.

    Parameters
    ----------
    frame : polars.DataFrame
        The columns level and share, as `cofactor.evaluation.calibration` makes them.
    """
    levels, shares = frame["level"].to_list(), frame["share"].to_list()
    series = [
        Series("this model", levels, shares),
        Series("perfectly calibrated", [min(levels), 1.0], [min(levels), 1.0]),
    ]
    words = "Share of held-out ratings inside the model's intervals, for each probability; perfect is the diagonal"
    image = lines(series, across="probability of the interval", up="share inside", scales=(linear, linear), words=words)
    note = "On the diagonal, an interval contains as many ratings as it should."
    return Chart("Intervals and what they contain", note, image, [one.label for one in series])


def recall_by_cut_off(reports: Mapping[str, Report], *, metric: str = "recall") -> Chart:
    """Draw a metric of lists against their length, one line per model, with its 95 % interval.

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
    series = []
    for label, report in reports.items():
        if own := lengths_of(report, metric):
            names = [f"{metric}@{k}" for k in own]
            low, high = zip(*(report.interval(name) for name in names), strict=True)
            series.append(Series(label, own, [report[name] for name in names], low, high))
    if not series:
        raise DataError(f"no report has {metric} at any length: evaluate with k")
    what = label_of(metric)
    words = f"{capital(what)} by length of the list, a line for each model, with 95 % intervals"
    scales = (logarithmic, linear_from_zero)
    image = lines(series, across="length of the list (logarithmic)", up=what, scales=scales, words=words)
    note = f"Lists: {_protocols(reports.values())}. The mean over users; bands: 95 % intervals."
    return Chart(f"{capital(what)} by length of the list", note, image, [one.label for one in series])


def lengths_of(report: Report, metric: str) -> list[int]:
    """Return the lengths at which a report has a metric of lists."""
    parts = (name.partition("@") for name in report.metrics)
    return sorted(int(length) for kind, at, length in parts if at and kind == metric)


def accuracy_against_popularity(
    reports: Mapping[str, Report], k: int, *, metric: str = "ndcg", against: str = "popularity_share"
) -> Chart:
    """Draw a metric of lists against how well known the recommended items are, one point per model.

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
    points = [Spot(label, *((report[n], *report.interval(n)) for n in names)) for label, report in shown.items()]
    across, up = (label_of(name) for name in names)
    words = f"{capital(up)} against the {across} in the lists, a point for each model, with 95 % intervals"
    image = spots(points, across=across.removesuffix(f" at {k}"), up=up, vertical=linear_from_zero, words=words)
    corner = "Upper right" if against == "novelty" else "Upper left"
    note = f"{corner}: accurate without being obvious. Lists: {_protocols(shown.values())}; bars: 95 % intervals."
    return Chart(f"{capital(up)} against popularity", note, image, list(shown))


def _protocols(reports: Iterable[Report]) -> str:
    return " and ".join(dict.fromkeys(report.protocol for report in reports if report.protocol))


def tuning_history(trials: pl.DataFrame, metric: str, *, maximize: bool) -> Chart:
    """Draw each trial's value in order, and the best so far.

    Parameters
    ----------
    trials : polars.DataFrame
        As `Tuned.trials_frame` makes it.
    metric : str
        What the values are.
    maximize : bool
        Whether higher is better.

    Raises
    ------
    DataError
        If no trial was completed.
    """
    whole, stopped = (trials.filter(pl.col("state") == state) for state in ("complete", "pruned"))
    if whole.is_empty():
        raise DataError("no trial was completed, so there is no history to draw")
    best = whole["value"].cum_max() if maximize else whole["value"].cum_min()
    low, high = _visible(whole["value"].to_numpy(), maximize)
    x = linear([0, int(trials["trial"].max())], LEFT, WIDTH - RIGHT)  # type: ignore[arg-type]
    y = linear([low, high], HEIGHT - BOTTOM, TOP)
    rows, values = whole["trial"].to_list(), best.to_list()
    corners = [(rows[0], values[0])]
    for row, value in zip(rows[1:], values[1:], strict=True):
        corners += [(row, corners[-1][1]), (row, value)]
    path = "M" + "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b in corners)
    marks = []
    for look, frame in ((0, whole), (5, stopped)):
        for row, value in frame.select("trial", "value").iter_rows():
            if value is not None and y.low <= value <= y.high:
                marks.append(marker(look, x(row), y(value), f"trial {row}: {decimals(value)}"))
    top = whole.sort("value", descending=maximize, maintain_order=True).row(0, named=True)
    figure = tag("text", f"{top['value']:.4f}", x=x(top["trial"]), y=y(top["value"]) - 9, class_="value middle s0")
    what = label_of(metric)
    words = f"{capital(what)} of {len(trials)} trials, and the best so far; the best is {top['value']:.4f}"
    axes = (grid_lines(y), ticks_below(x), baseline(), *axis_names("trial", what))
    image = picture(words, *axes, tag("path", d=path, class_="line s0"), *marks, figure)
    note = f"On held-out parts; {'higher' if maximize else 'lower'} is better. Crosses: stopped early."
    return Chart("The best settings so far, trial by trial", note, image)


def _visible(values: np.ndarray, maximize: bool) -> tuple[float, float]:
    """Return limits that show most values well; a trial that is far off would flatten all others."""
    best = values.max() if maximize else values.min()
    worst = np.quantile(values, 0.1 if maximize else 0.9)
    return (float(worst), float(best)) if maximize else (float(best), float(worst))


def importance_plot(shares: Mapping[str, float]) -> Chart:
    """Draw how important each searched setting is for a trial to be among the best.

    Parameters
    ----------
    shares : mapping of str to float
        As `Tuned.importances` returns them.

    Raises
    ------
    DataError
        If there are none.
    """
    if not shares:
        raise DataError("too few trials were completed to tell which settings matter: four are needed")
    names = sorted(shares, key=lambda name: -shares[name])
    left = 16 + 6.6 * max(map(len, names))
    x = Axis(0.0, max(shares.values()), left, WIDTH - 52)
    drawn = []
    for place, name in enumerate(names):
        top, end = 12.0 + 26 * place, x(shares[name])
        shape = f"M{left:.1f} {top:.1f}H{end:.1f}v16H{left:.1f}z"
        drawn.append(tag("path", tag("title", f"{name}: {percent(shares[name])}"), d=shape, class_="bar"))
        drawn += [text(left - 8, top + 12, name, "end"), text(end + 6, top + 12, percent(shares[name]))]
    height = 20 + 26 * len(names)
    words = f"How important each of {len(names)} settings is; the most important is {names[0]}"
    note = "Share in whether a trial is among the best (PED-ANOVA)."
    return Chart("Which settings matter", note, picture(words, *drawn, height=height), height=height)


def rating_histogram(ratings: Interactions) -> Chart:
    """Draw how often each rating is given, or each range of ratings if there are many."""
    labels, heights = counted(ratings.matrix.data)
    low, high = ratings.value_range
    mean = float(ratings.matrix.data.mean(dtype=np.float64))
    title = f"Ratings from {tick_text(low)} to {tick_text(high)}, {decimals(mean, 2)} on average"
    image = bars(labels, heights, across="rating", up="how many", words=f"{title}: a bar for each value")
    return Chart(title, "How often each value is given.", image)


def counted(values: np.ndarray) -> tuple[list[str], list[int]]:
    """Count how often each value occurs, or each range of values if there are many."""
    known, counts = np.unique(values, return_counts=True)
    if len(known) <= MOST_BARS:
        return [f"{value:g}" for value in known], counts.tolist()
    wide = known[0] > 0 and known[-1] / known[0] > 50
    space = np.geomspace if wide else np.linspace
    edges = space(known[0], known[-1], MOST_BARS + 1)
    edges[0], edges[-1] = known[0], known[-1]  # rounding must leave no value out
    heights, _ = np.histogram(values, edges)
    return [f"from {tick_text(float(f'{edge:.3g}'))}" for edge in edges[:-1]], heights.tolist()


def long_tails(ratings: Interactions) -> Chart:
    """Draw how many interactions each item and each user has, by falling number, on logarithmic axes."""
    per_item = np.sort(counts_of(ratings.matrix.indices, ratings.n_items))[::-1]
    per_user = np.sort(np.diff(ratings.matrix.indptr))[::-1]
    share = per_item[: int(np.ceil(ratings.n_items / 5))].sum() / max(per_item.sum(), 1)
    thing = "interactions" if ratings.is_binary else "ratings"
    title = f"The best known fifth of the items has {percent(share)} of the {thing}"
    series = [_falling("items", per_item), _falling("users", per_user)]
    note = f"How many {thing} each item and each user has, by falling number; both axes are logarithmic."
    scales = (logarithmic, logarithmic)
    image = lines(series, across="position, by falling number", up=thing, scales=scales, words=f"{title}. {note}")
    return Chart(title, note, image, ["items", "users"])


def _falling(label: str, counts: np.ndarray) -> Series:
    """Return counts by position, at positions that are evenly spaced on a logarithmic axis."""
    counts = counts[counts > 0]
    places = np.unique(np.geomspace(1, max(len(counts), 1), POINTS).astype(int))[: len(counts)]
    return Series(label, places.tolist(), counts[places - 1].tolist())


DENSITY_COLUMNS, DENSITY_ROWS, LEVELS = 40, 22, 7


def density_map(ratings: Interactions) -> Chart:
    """Draw which share of each part of the table is filled, active users and well-known items first."""
    title = f"{percent(ratings.density)} of all pairs of a user and an item are known"
    note = "The most active users at the top, the best known items on the left; darker where more is known."
    grid = density_grid(ratings.matrix, DENSITY_ROWS, DENSITY_COLUMNS)
    left, top, bottom = 12, 8, 30
    high, wide = (HEIGHT - top - bottom) / grid.shape[0], (WIDTH - 2 * left) / grid.shape[1]
    level = np.ceil(LEVELS * np.sqrt(grid / max(grid.max(), 1e-12))).astype(int)
    cells = []
    for step in range(1, LEVELS + 1):
        found = zip(*np.nonzero(level == step), strict=True)
        corners = [f"M{left + x * wide:.1f} {top + y * high:.1f}" for y, x in found]
        if corners:
            cell = f"h{wide:.1f}v{high:.1f}h-{wide:.1f}z"
            cells.append(tag("path", d="".join(corner + cell for corner in corners), class_=f"cell c{step}"))
    frame = tag("rect", x=left, y=top, width=WIDTH - 2 * left, height=HEIGHT - top - bottom, class_="frame")
    names = (text(left, HEIGHT - 10, "best known items"), text(WIDTH - left, HEIGHT - 10, "least known", "end"))
    return Chart(title, note, picture(f"{title}. {note}", frame, *cells, *names))


def density_grid(matrix: sparse.csr_array, rows: int, columns: int) -> np.ndarray:
    """Return which share of each part of a table is filled.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (users, items)
    rows, columns : int
        Into how many parts the users and the items are divided, by falling number of entries.

    Returns
    -------
    numpy.ndarray, shape (rows, columns), or less if there are fewer users or items
        The most active users first, the best known items first.
    """
    per_user = np.diff(matrix.indptr)
    per_item = counts_of(matrix.indices, matrix.shape[1])
    user_parts, item_parts = _parts(per_user, rows), _parts(per_item, columns)
    rows, columns = int(user_parts.max()) + 1, int(item_parts.max()) + 1
    cells = np.repeat(user_parts, per_user) * columns + item_parts[matrix.indices]
    filled = np.bincount(cells, minlength=rows * columns).reshape(rows, columns)
    sizes = np.outer(np.bincount(user_parts, minlength=rows), np.bincount(item_parts, minlength=columns))
    shares: np.ndarray = filled / np.maximum(sizes, 1)
    return shares


def _parts(counts: np.ndarray, parts: int) -> np.ndarray:
    """Return the part of each row, the rows ordered by falling counts."""
    places = np.empty(len(counts), np.int64)
    places[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return places * min(parts, len(counts)) // max(len(counts), 1)


def model_diagram(model: Factors) -> Chart:
    """Draw what the model computes: tables of vectors and biases, the product, the sum."""
    biased, parts = model.item_bias is not None, []
    for side, rows, look, mirror in (("user", model.n_users, 0, 1), ("item", model.n_items, 2, -1)):
        row, bias = 200 - mirror * (112 if biased else 90), 200 - mirror * 158
        vectors = 200 - mirror * (66 if biased else 90)
        parts += [_arrow(row, 50, vectors, 86), _arrow(vectors, 122, 200 - mirror * 20, 150)]
        parts += [_box(row, 14, 92, f"{side} row", "one number", 1)]
        parts += [_box(vectors, 86, 94, f"{side} vectors", f"{rows:,} × {model.rank}", look)]
        if biased:
            parts += [_arrow(row, 50, bias, 86), _arrow(bias, 122, 200 - mirror * 112, 226)]
            parts += [_box(bias, 86, 78, f"{side} bias", f"{rows:,} × 1", look)]
    total = "product + biases + mean" if biased else "the product itself"
    parts += [_box(200, 150, 110, "dot product", f"of {model.rank} numbers", 1), _arrow(200, 186, 200, 212)]
    parts += [_box(200, 212, 224, "score", f"{total} ({model.mean:.2f})" if model.mean else total, 3)]
    words = (
        f"The vectors of {model.n_users:,} users and {model.n_items:,} items, whose dot product is part of the score"
    )
    note = f"{model.rank} numbers for each user and for each item{', and biases' if biased else ''}."
    image = picture(words, *parts, height=256)
    return Chart("The model: two tables of vectors and a dot product", note, image, height=256)


def _box(middle: float, y: float, width: float, name: str, detail: str, look: int) -> Markup:
    box = tag("rect", x=middle - width / 2, y=y, width=width, height=36.0, rx=7.0, class_=f"box s{look}")
    return joined(
        [
            box,
            tag("text", name, x=float(middle), y=y + 15.0, class_="name middle"),
            text(middle, y + 29, detail, "middle"),
        ]
    )


def _arrow(x0: float, y0: float, x1: float, y1: float) -> Markup:
    """Draw an arrow that ends a little before a point."""
    length = math.hypot(x1 - x0, y1 - y0)
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    bx, by = x1 - 7 * dx, y1 - 7 * dy
    tip = f"M{x1:.1f} {y1:.1f}L{bx - 3 * dy:.1f} {by + 3 * dx:.1f}L{bx + 3 * dy:.1f} {by - 3 * dx:.1f}z"
    return joined(
        [
            tag("path", d=f"M{x0:.1f} {y0:.1f}L{bx:.1f} {by:.1f}", class_="arrow"),
            tag("path", d=tip, class_="tip-of-arrow"),
        ]
    )


MAP_WIDTH, MAP_HEIGHT, MARGIN = 960, 600, 26
MOST_ITEMS = 1500
"""How many items are drawn: a page must stay small enough to send."""

APART = 4
"""The least distance between labels."""

OUTLYING = 0.01
"""The share of the items on either side that must not decide how large the others are drawn."""

SHADES = 5
"""Into how many classes the items are divided by their mean rating."""


@dataclass(frozen=True, eq=False)
class ItemMap:
    """What a map shows, the items that most users had first.

    Parameters
    ----------
    rows : numpy.ndarray of int, shape (items,)
        The model's rows of the items shown.
    plane : numpy.ndarray, shape (items, 2)
        Where each is drawn.
    counts : numpy.ndarray of int, shape (items,)
        How many users had each in training.
    means : numpy.ndarray, shape (items,)
        Its mean value in the data, NaN if it has none.
    edges : numpy.ndarray
        The means that divide the shades; empty if all values are the same.
    names : list of str
        Titles, or ids.
    """

    rows: np.ndarray
    plane: np.ndarray
    counts: np.ndarray
    means: np.ndarray
    edges: np.ndarray
    names: list[str]


@dataclass(frozen=True)
class _Letters:
    """How labels are written: how high, how wide at most, how many at most, on which kind of screen."""

    size: float
    width: int
    most: int
    kind: str


_YEAR = re.compile(r"\s*\(\d{4}\)$")

DESK = _Letters(12.5, 30, 46, "desk")
PHONE = _Letters(29.0, 22, 14, "phone")
"""A phone shows the same picture a third as large, with fewer and larger letters."""


def item_map(model: Factors, ratings: Interactions | None = None) -> Chart:
    """Draw the items in the plane of their two strongest directions, the best known ones with their titles.

    Parameters
    ----------
    model : Factors
    ratings : Interactions, optional
        Whose means colour the items; the training data of a model for ratings if not given. What a model for lists was
        trained on are weights, which are no ratings.
    """
    return map_chart(model, map_of(model, ratings))


def map_of(model: Factors, ratings: Interactions | None) -> ItemMap:
    """Choose what a map shows: the best known items, as many as a page should have."""
    counts = counts_of(model.seen.indices, model.n_items)
    rows = best_known(counts)[:MOST_ITEMS]
    means = _mean_ratings(model, ratings)[rows]
    known = means[~np.isnan(means)]
    edges = np.unique(np.quantile(known, np.arange(1, SHADES) / SHADES)) if len(np.unique(known)) > 1 else np.empty(0)
    return ItemMap(rows, _drawn_in(item_plane(model)[rows]), counts[rows], means, edges, names_of(model, rows))


def _mean_ratings(model: Factors, ratings: Interactions | None) -> np.ndarray:
    """Return each item's mean rating; NaN if it has none."""
    if ratings is None and model.objective.goal == "ranking":
        return np.full(model.n_items, np.nan)
    table = model.seen if ratings is None else table_in_rows_of(model.users, model.items, ratings)
    counts, sums = counts_of(table.indices, model.n_items), sums_of(table.indices, table.data, model.n_items)
    means: np.ndarray = np.divide(sums, counts, out=np.full(model.n_items, np.nan), where=counts > 0)
    return means


def _drawn_in(plane: np.ndarray) -> np.ndarray:
    """Move the few that are far out to the edge of the others, so that these have room."""
    low, high = np.quantile(plane, [OUTLYING, 1 - OUTLYING], axis=0)
    reach = 0.2 * (high - low)
    drawn: np.ndarray = np.clip(plane, low - reach, high + reach)
    return drawn


def map_chart(model: Factors, shown: ItemMap) -> Chart:
    """Draw a map; every point has its title in it."""
    title = f"The {count(len(shown.rows))} best known of {count(model.n_items)} items"
    colour = ", the colour their mean rating" if len(shown.edges) else ""
    note = (
        "Items that the same people like are near each other: the two principal directions of the item vectors, those "
        f"that are far out drawn at the edge. The size is how many users had them{colour}."
    )
    (left, low), (right, high) = shown.plane.min(axis=0), shown.plane.max(axis=0)
    x, y = Axis(left, right, MARGIN, MAP_WIDTH - MARGIN), Axis(low, high, MAP_HEIGHT - MARGIN, MARGIN)
    shades, radii = _shades(shown), _radii(shown)
    points = [
        tag("circle", tag("title", f"{name} · {had:,}"), cx=x(a), cy=y(b), r=float(r), class_=f"item m{shade}")
        for name, had, (a, b), r, shade in zip(shown.names, shown.counts, shown.plane, radii, shades, strict=True)
    ]
    frame = tag("rect", width=MAP_WIDTH, height=MAP_HEIGHT, rx=10, class_="frame")
    labels = [_labels(shown, x, y, letters) for letters in (DESK, PHONE)]
    words = f"Map of {count(len(shown.rows))} items; the best known of them have their titles beside them"
    box = f"0 0 {MAP_WIDTH} {MAP_HEIGHT}"
    image = tag("svg", frame, *points, *labels, viewBox=box, role="img", aria_label=words, class_="map")
    return Chart(title, note, image, width=MAP_WIDTH, height=MAP_HEIGHT)


def _shades(shown: ItemMap) -> np.ndarray:
    """Return the class of each mean, from the least; the middle one if there is none, or all are the same."""
    if not len(shown.edges):
        return np.full(len(shown.rows), SHADES // 2)
    classes = np.searchsorted(shown.edges, np.nan_to_num(shown.means), side="right")
    return np.where(np.isnan(shown.means), SHADES // 2, classes)


def _radii(shown: ItemMap) -> np.ndarray:
    """Return how large each point is: its area grows with the number of users."""
    radii: np.ndarray = 2.2 + 7 * np.sqrt(shown.counts / max(shown.counts.max(), 1))
    return radii


def _labels(shown: ItemMap, x: Axis, y: Axis, letters: _Letters) -> Markup:
    """Write titles, the best known first, wherever one covers no other, and what the colours mean."""
    key, taken = _key(shown, letters)
    fixed = len(taken)
    for name, (a, b), radius in zip(shown.names, shown.plane, _radii(shown), strict=True):
        words = shortened(_YEAR.sub("", name), letters.width)
        label = _label(words, x(a), y(b), radius + letters.size * 0.25, letters.size)
        if label.is_inside() and not any(label.covers(other) for other in taken):
            taken.append(label)
        if len(taken) == letters.most + fixed:
            break
    return tag("g", key, joined(label.written(letters.size) for label in taken[fixed:]), class_=letters.kind)


def _key(shown: ItemMap, letters: _Letters) -> "tuple[Markup, list[_Label]]":
    """Say what the colours mean, in the lower left corner; nothing if all values are the same."""
    if not len(shown.edges):
        return Markup(), []
    low, high = decimals(float(shown.edges[0]), 2), decimals(float(shown.edges[-1]), 2)
    size, base = letters.size, MAP_HEIGHT - letters.size * 0.9
    before, after = f"mean rating: below {low}", f"{high} and more"
    start = 14 + len(before) * size * 0.54
    dots = [
        tag("circle", cx=start + size * (shade + 0.7), cy=base - size * 0.35, r=size * 0.42, class_=f"mark m{shade}")
        for shade in range(SHADES)
    ]
    end = start + size * (SHADES + 0.6)
    right = end + len(after) * size * 0.54
    parts = [tag("text", before, x=14.0, y=base, class_="key"), *dots, tag("text", after, x=end, y=base, class_="key")]
    return joined(parts), [_Label("", 0.0, right, base - size, float(MAP_HEIGHT), ends=False)]


@dataclass(frozen=True)
class _Label:
    """A title beside a point: the box that it fills, and whether it ends at the point rather than starts there."""

    words: str
    left: float
    right: float
    top: float
    bottom: float
    ends: bool

    def is_inside(self) -> bool:
        return self.left > 4 and self.top > 2 and self.bottom < MAP_HEIGHT - 2

    def covers(self, other: "_Label") -> bool:
        beside = self.left >= other.right + APART or other.left >= self.right + APART
        return not beside and self.top < other.bottom and other.top < self.bottom

    def written(self, size: float) -> Markup:
        base = float((self.top + self.bottom) / 2 + size * 0.35)
        x = float(self.right if self.ends else self.left)
        return text(x, base, self.words, "end" if self.ends else "start")


def _label(words: str, x: float, y: float, gap: float, size: float) -> _Label:
    """Put a title to the right of a point, and to the left where the picture ends."""
    width, half = breadth(words) * size * 0.54, size * 0.7
    ends = x + gap + width > MAP_WIDTH - 4
    left = x - gap - width if ends else x + gap
    return _Label(words, left, left + width, y - half, y + half, ends)
