"""The sections of the report page: the data, the training, how good the model is, its lists, some users.

Each function returns its section, or None if the model has nothing to show there.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from cofactor.data.interactions import Interactions
from cofactor.evaluation import plots
from cofactor.evaluation.charts import Chart, legend, linear
from cofactor.evaluation.exposure import exposure
from cofactor.evaluation.html_report.report_data import Contender, ReportData
from cofactor.evaluation.markup import (
    Markup,
    count,
    data,
    decimals,
    isolated,
    joined,
    percent,
    table,
    tag,
)
from cofactor.evaluation.metrics import METRICS, label_of, shown_in
from cofactor.evaluation.plane import names_of
from cofactor.evaluation.report import Report
from cofactor.evaluation.segments import groupings
from cofactor.evaluation.significance import better
from cofactor.model.factors import parameters_of
from cofactor.model.neighbours import nearest

__all__ = [
    "Section",
    "at_a_glance",
    "by_rank",
    "calibrated",
    "direction",
    "headline",
    "item_map",
    "named",
    "top_lists",
    "training",
    "with_interval",
]

TILES = 4
"""How many figures are at the top of the page."""

EPOCH_ROWS = 20
"""How many epochs a table has at most."""

NEIGHBOURS, NAMED = 3, 20
"""How many neighbours the map's table has for how many items."""

LISTS_SHOWN = 5_000
"""For how many users the room of each group in the lists is counted, at most."""

GROUPS_SHOWN = 5
"""How many groups' room in the lists is told at once."""

COMMON = 0.01
"""Which share of the choices a group has at least that a title names: of small ones, ratios say little."""

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True)
class Section:
    """One section; ``short`` is what the list of sections calls it."""

    anchor: str
    short: str
    title: str
    lead: Any
    body: Markup

    def to_html(self) -> Markup:
        """Return the section as HTML."""
        head = tag("h2", self.title, id=f"{self.anchor}-title")
        lead = tag("p", self.lead, class_="lead") if self.lead else Markup()
        return tag("section", head, lead, self.body, id=self.anchor, aria_labelledby=f"{self.anchor}-title")


def _facts_list(entries: Sequence[tuple[str, Any]]) -> Markup:
    """Return figures with their names."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in entries), class_="facts")


def _grid(*figures: Markup) -> Markup:
    """Return figures side by side where there is room."""
    return tag("div", *figures, class_="grid")


def _figure(chart: Chart, alternative: Markup, *, title: str = "", note: Any = "", alone: bool = False) -> Markup:
    """Return a chart with title, note, and the table that says the same: below it, or beside it if it is alone."""
    head = tag("figcaption", tag("h3", title or chart.title), tag("p", note or chart.note, class_="quiet"))
    drawn = joined([legend(chart.labels), chart.picture])
    if alone:
        return tag("div", tag("figure", head, drawn), alternative, class_="card beside")
    more = tag("details", tag("summary", "The same as a table"), alternative)
    return tag("figure", head, drawn, more, class_="card")


def at_a_glance(content: ReportData) -> Section:
    """Show the data as they were given: what the model learnt from, and what was held out."""
    ratings, held_out = content.ratings, len(content.held_out)
    learnt = len(ratings) - held_out
    lead = (
        f"{count(learnt)} of these {_things(ratings)} trained the model; {count(held_out)} were held out, and the "
        "model is measured on those alone."
    )
    pictures = [_tails(ratings), _figure(plots.density_map(ratings), _density_table(ratings))]
    if not ratings.is_binary:
        pictures.insert(0, _histogram(ratings))
    return Section(
        "data", "Data", "The data at a glance", lead, joined([_facts_list(_facts(ratings)), _grid(*pictures)])
    )


def _things(ratings: Interactions) -> str:
    return "interactions" if ratings.is_binary else "ratings"


def _facts(ratings: Interactions) -> list[tuple[str, str]]:
    per_user = np.diff(ratings.matrix.indptr)
    entries = [
        ("users", count(ratings.n_users)),
        ("items", count(ratings.n_items)),
        (_things(ratings), count(len(ratings))),
        ("of all pairs", percent(ratings.density)),
        ("by the median user", count(float(np.median(per_user)))),
    ]
    if ratings.timestamps is not None and len(ratings):
        entries.append(("when", _period(ratings.timestamps)))
    return entries


def _period(timestamps: np.ndarray) -> str:
    """Return from what month to what month times lie."""
    ends = np.array([timestamps.min(), timestamps.max()]).astype("datetime64[s]")
    months = [str(month).split("-") for month in np.datetime_as_string(ends, unit="M")]
    first, last = (f"{MONTHS[int(month[-1]) - 1]} {'-'.join(month[:-1])}" for month in months)
    return first if first == last else f"{first} – {last}"


def _histogram(ratings: Interactions) -> Markup:
    labels, heights = plots.counted(ratings.matrix.data)
    total = max(sum(heights), 1)
    rows = [(label, count(height), percent(height / total)) for label, height in zip(labels, heights, strict=True)]
    return _figure(plots.rating_histogram(ratings), table("Ratings by value", ["value", "ratings", "share"], rows))


def _tails(ratings: Interactions) -> Markup:
    described = ratings.describe().select("statistic", "per user", "per item")
    rows = [(name, decimals(users, 1), decimals(items, 1)) for name, users, items in described.iter_rows()]
    caption = f"{_things(ratings).capitalize()} per user and per item"
    return _figure(plots.long_tails(ratings), table(caption, ["", "per user", "per item"], rows))


def _density_table(ratings: Interactions) -> Markup:
    """Return which share is filled, by fifths of the users and of the items."""
    grid = plots.density_grid(ratings.matrix, 5, 5)
    heads = ["users", *(f"items {place}" for place in range(1, grid.shape[1] + 1))]
    rows = [[f"part {place}", *(percent(share) for share in row)] for place, row in enumerate(grid, 1)]
    return table("Share that is filled, most active users and best known items first", heads, rows)


def with_interval(report: Report, metric: str) -> str:
    """Return the bounds of a metric's interval; a dash if it has none."""
    if metric not in report.measured_users().columns or math.isnan(report[metric]):
        return "–"
    low, high = report.interval(metric)
    return f"{decimals(low)} – {decimals(high)}"


def headline(content: ReportData) -> Markup:
    """Return the most important figures, each with its interval and what the baselines reach."""
    known = content.report.metrics
    metrics = [name for kind in shown_in("headline") for name in (kind, f"{kind}@{content.length}") if name in known]
    return tag("ul", *(_tile(content, metric) for metric in metrics[:TILES]), class_="tiles")


def _tile(content: ReportData, metric: str) -> Markup:
    report = content.report
    bounds = with_interval(report, metric)
    beside = [one for one in content.baselines if metric in one.report.metrics]
    others = [tag("p", f"{one.label} ", decimals(one.report[metric]), class_="quiet") for one in beside]
    strip = _strip([content.this, *beside], metric)
    return tag(
        "li",
        tag("p", _link(metric, plots.capital(label_of(metric))), class_="name"),
        tag("p", data(report[metric], metric), class_="value"),
        tag("p", plots.capital(direction(metric)), class_="quiet"),
        tag("p", "95 % ", bounds, class_="quiet") if bounds != "–" else Markup(),
        strip,
        *others,
    )


def direction(metric: str) -> str:
    """Say which direction of a metric is better."""
    better_is = METRICS[metric.partition("@")[0]].better
    return f"{better_is} is better" if better_is else "neither direction is better"


def _link(metric: str, text: str) -> Markup:
    """Return a text that leads to the metric's definition, and shows it when one points at it."""
    kind = metric.partition("@")[0]
    return tag("a", text, href=f"#metric-{kind}", title=METRICS[kind].definition, class_="term")


def named(metric: str) -> Markup:
    """Return what people call a metric, with its definition and the direction that is better."""
    return joined([_link(metric, label_of(metric)), tag("span", direction(metric), class_="bounds")])


def _strip(compared: Sequence[Contender], metric: str) -> Markup:
    """Draw the model and the baselines on one line, the model with its interval."""
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


def training(content: ReportData) -> Section | None:
    """Show each figure of the training, epoch by epoch; None if the model has no history."""
    kept = {name: values for name, values in content.model.history.items() if len(set(values)) > 1}
    kinds = list(dict.fromkeys(name.removeprefix("val_") for name in kept))
    if not kinds:
        return None
    epochs = max(len(values) for values in kept.values())
    lead = f"{epochs} epochs. A curve that has become flat says that more epochs would change little."
    body = _grid(*(_curve(kind, kept, alone=len(kinds) == 1) for kind in kinds))
    return Section("training", "Training", "Training, epoch by epoch", lead, body)


def _curve(kind: str, kept: Mapping[str, Sequence[float]], *, alone: bool) -> Markup:
    """Return one figure of the training."""
    curves = {name: values for name, values in kept.items() if name.removeprefix("val_") == kind}
    longest = max(map(len, curves.values()))
    shown = np.unique(np.linspace(1, longest, min(longest, EPOCH_ROWS)).astype(int)).tolist()
    rows = [(count(n), *(decimals(y[n - 1]) if n <= len(y) else "–" for y in curves.values())) for n in shown]
    heads = ["epoch", *("validation" if name.startswith("val_") else "training" for name in curves)]
    chart = plots.training_curve({"": curves}, figure=kind)
    rest = longest - len(shown)
    said = tag("p", f"{len(shown)} of {longest} epochs; the picture has all.", class_="quiet") if rest else Markup()
    words = joined([table(f"{plots.label_of_training(kind)} by epoch", heads, rows), said])
    return _figure(chart, tag("div", words, class_="alternative"), alone=alone)


def by_rank(content: ReportData) -> Section | None:
    """Compare ranks by error, and by nDCG; None if no other rank was trained."""
    if not content.ranks:
        return None
    metrics = [*(("mse",) if content.predicts else ()), f"ndcg@{content.length}"]
    lead = (
        f"{content.model.origin.solver} trained anew on the same training data, with the same settings but for the "
        f"rank; nothing was chosen by the held-out part. This model's own rank is {content.model.rank}."
    )
    body = _grid(*(_ranked(content, metric, alone=len(metrics) == 1) for metric in metrics))
    return Section("ranks", "Ranks", "Accuracy by rank", lead, body)


def _ranked(content: ReportData, metric: str, *, alone: bool) -> Markup:
    """Return the figure of one metric by rank."""
    known = [one for one in content.ranks if not math.isnan(one.report[metric])]
    values = {one.model.rank: one.report[metric] for one in known}
    bounds = {one.model.rank: one.report.interval(metric) for one in known}
    words = label_of(metric)
    heads = ["rank", named(metric), "95 % interval", "against this model"]
    rows = table(f"{plots.capital(words)} by rank", heads, [_rank_row(content, one, metric) for one in known])
    if not known:
        return rows
    chart = plots.error_by_rank({words: values}, metric=metric, intervals={words: bounds})
    return _figure(chart, rows, alone=alone)


def _rank_row(content: ReportData, one: Contender, metric: str) -> tuple[str | Markup, ...]:
    against = "this model"
    if one is not content.this:
        found = better(one.report, content.report, metric)
        against = f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})".replace("-", "−")
    value = data(one.report[metric], f"rank {one.model.rank} {metric}")
    return (count(one.model.rank), value, with_interval(one.report, metric), against)


def calibrated(content: ReportData) -> Section | None:
    """Show how many held-out ratings are inside the model's intervals; None if it gives none."""
    frame = content.calibration
    if frame is None:
        return None
    pairs = list(zip(frame["level"].to_list(), frame["share"].to_list(), strict=True))
    level, share = max(pairs, key=lambda pair: abs(pair[1] - pair[0]))
    lead = (
        f"The model gives intervals for its predictions. Its {percent(level)} intervals are the least accurate ones: "
        f"{100 * share:.1f} % of the held-out ratings are inside them."
    )
    rows = [
        (percent(level), data(share, f"inside {level}"), decimals(width, 2))
        for level, share, width in frame.select("level", "share", "width").iter_rows()
    ]
    alternative = table("Calibration", ["interval", "share inside", "mean width"], rows)
    one = _figure(plots.calibration_plot(frame), alternative, alone=True)
    return Section("calibration", "Calibration", "How reliable its intervals are", lead, _grid(one))


def top_lists(content: ReportData) -> Section | None:
    """Show how much the lists find, and how well known the recommended items are; None if nothing is relevant."""
    compared = [one for one in _compared(content) if not math.isnan(one.report[f"recall@{content.length}"])]
    if content.this not in compared:
        return None
    lead = (
        f"Every item that a user did not have in training is ranked ({content.report.protocol}), and every one that "
        f"{content.sought} is relevant."
    )
    if content.predicts:
        lead += (
            " This model predicts ratings: it learnt how people rate what they chose, not what they choose, so its "
            "lists favour items that few people know. For lists, train a model for ranking."
        )
    body = _grid(_recall(content, compared), _popularity(content, compared), *_exposed(content))
    return Section("lists", "Lists", "What its lists find", lead, body)


def _exposed(content: ReportData) -> list[Markup]:
    """Show how much of the lists each group of items gets, by the first attribute that makes any."""
    by = next(groupings(content.ratings.item_table, "item"), None)
    if by is None:
        return []
    users, k = content.report.measured_users().users, content.length
    some = users.gather_every(-(-len(users) // LISTS_SHOWN)) if len(users) > LISTS_SHOWN else users
    lists = content.model.recommend(some, k, on_unknown="skip")
    found = exposure(lists, content.ratings, by).filter(pl.col("group").is_not_null() & (pl.col("chosen") > 0))
    if found.is_empty():
        return []
    common = found.filter(pl.col("chosen") >= COMMON)
    far = (common if len(common) else found).sort(pl.col("ratio").log().abs(), descending=True).head(GROUPS_SHOWN)
    heads = [by, "share of the lists", "share of the choices", "times"]

    def shown(caption: str, part: pl.DataFrame) -> Markup:
        rows = [
            (isolated(str(group)), percent(room), percent(chosen), decimals(ratio, 2))
            for group, room, chosen, ratio in part.select("group", "exposure", "chosen", "ratio").iter_rows()
        ]
        return table(caption, heads, rows)

    title = f"Lists show {far['group'][0]} {decimals(far['ratio'][0], 2)} times as much as people choose it"
    note = (
        f"Each group's share of lists of {k} for {count(len(some))} users, where a lower place counts less, beside its "
        "share of what people chose. The groups that differ most come first."
    )
    head = tag("figcaption", tag("h3", title), tag("p", note, class_="quiet"))
    every = shown(f"All groups by {by}", found.sort("chosen", descending=True))
    more = tag("details", tag("summary", f"All {count(len(found))} groups"), every)
    return [
        tag("figure", head, shown(f"Groups by {by} that lists and people treat least alike", far), more, class_="card")
    ]


def _drawn(content: ReportData, compared: Sequence[Contender]) -> list[Contender]:
    """Return what the charts show: other ranks, of which there may be many, have a section of their own."""
    return [one for one in compared if one is content.this or one not in content.ranks]


def _compared(content: ReportData) -> list[Contender]:
    return [content.this, *content.baselines, *(one for one in content.ranks if one is not content.this)]


def _recall(content: ReportData, compared: Sequence[Contender]) -> Markup:
    lengths = plots.lengths_of(content.report, "recall")
    chart = plots.recall_by_cut_off({one.label: one.report for one in _drawn(content, compared)})
    rows = [
        (one.label, *(data(one.report[f"recall@{k}"], _owned(content, one, f"recall@{k}")) for k in lengths))
        for one in compared
    ]
    alternative = table("Recall by length", ["model", *(f"at {k}" for k in lengths)], rows)
    found = percent(content.report[f"recall@{content.length}"])
    title = f"{found} of what {content.sought} is among the first {content.length}"
    note = "The mean over users, by length of the list; bands: 95 % intervals. The table has all models."
    return _figure(chart, alternative, title=title, note=note)


def _owned(content: ReportData, one: Contender, metric: str) -> str:
    """Return a figure's name for programs: the metric, after the label of a model that is not the page's own."""
    return metric if one is content.this else f"{one.label} {metric}"


def _popularity(content: ReportData, compared: Sequence[Contender]) -> Markup:
    k = content.length
    chart = plots.accuracy_against_popularity({one.label: one.report for one in _drawn(content, compared)}, k)
    kinds = ("ndcg", "popularity_share", "novelty", "coverage", "gini")
    rows = [
        (one.label, *(data(one.report[f"{kind}@{k}"], _owned(content, one, f"{kind}@{k}")) for kind in kinds))
        for one in compared
    ]
    heads = ["model", *map(named, kinds)]
    own = percent(content.report[f"popularity_share@{k}"])
    title = f"{own} of its lists goes to the most popular fifth of the items"
    note = f"Upper left: accurate without being obvious. Lists of {k}; bars: 95 % intervals over users."
    alternative = table(f"Accuracy and popularity of lists of {k}", heads, rows)
    return _figure(chart, alternative, title=title, note=note)


def item_map(content: ReportData) -> Section | None:
    """Show the items in a plane; None if the model has no vectors, or no items."""
    if not content.model.rank or not content.model.n_items:
        return None
    shown = plots.map_of(content.model, content.ratings)
    chart = plots.map_chart(content.model, shown)
    one = _figure(chart, _neighbours(content, shown), note=f"{chart.note} Point at one for its title.")
    lead = "Nobody told the model what the items are: it learnt from who rated what."
    return Section("map", "Map", "The items, as the model sees them", lead, one)


def _neighbours(content: ReportData, shown: plots.ItemMap) -> Markup:
    """Name the items whose vectors have the largest cosine with those of the best known ones."""
    model, rows = content.model, []
    for row, name, people in zip(shown.rows[:NAMED], shown.names, shown.counts, strict=False):
        near = nearest(parameters_of(model), "item", int(row), NEIGHBOURS).items
        others = Markup(" · ".join(isolated(other) for other in names_of(model, near)))
        rows.append((isolated(name), others, count(people)))
    return table("The best known items and what is nearest to them", ["item", "nearest", "had by"], rows, texts=2)
