"""The sections on what a model recommends: recall by length, accuracy against popularity, the map of the items."""

import math
from collections.abc import Sequence

import numpy as np

from cofactor.evaluation.page.axes import linear_from_zero, logarithmic
from cofactor.evaluation.page.charts import Series, Spot, legend, lines, spots
from cofactor.evaluation.page.item_map import SHADES, ItemMap, map_of, map_picture
from cofactor.evaluation.page.markup import Markup, count, data, decimals, figure, isolated, joined, percent, table, tag
from cofactor.evaluation.page.material import Contender, Material
from cofactor.evaluation.page.section import Section, grid
from cofactor.evaluation.plane import names_of
from cofactor.lists.answer import nearest

__all__ = ["item_map", "top_lists"]

NEIGHBOURS, NAMED = 3, 20
"""How many neighbours the map's table has for how many items."""


def top_lists(material: Material) -> Section | None:
    """Show how much the lists find, and how well known what they recommend is; None where nothing is relevant."""
    compared = [one for one in _compared(material) if not math.isnan(one.report[f"recall@{material.length}"])]
    if material.this not in compared:
        return None
    lead = (
        f"Every item that a user had not in training is ranked ({material.report.protocol}), and every one that "
        f"{material.sought} is relevant."
    )
    if material.predicts:
        lead += (
            " This model predicts ratings: it learnt how people rate what they chose, not what they choose, so lists "
            "by its predictions favour what few people know. For lists, train one for ranking."
        )
    body = grid(_recall(material, compared), _popularity(material, compared))
    return Section("lists", "Lists", "What its lists find", lead, body)


def _drawn(material: Material, compared: Sequence[Contender]) -> list[Contender]:
    """Return what the pictures show: other ranks, of which there may be many, have a section of their own."""
    return [one for one in compared if one is material.this or one not in material.ranks]


def _compared(material: Material) -> list[Contender]:
    return [material.this, *material.baselines, *(one for one in material.ranks if one is not material.this)]


def _recall(material: Material, compared: Sequence[Contender]) -> Markup:
    names = [name for name in material.report.metrics if name.startswith("recall@")]
    names.sort(key=_length)
    series = []
    for one in _drawn(material, compared):
        low, high = zip(*(one.report.interval(name) for name in names), strict=True)
        lengths = [_length(name) for name in names]
        series.append(Series(one.label, lengths, [one.report[name] for name in names], low, high))
    at = f"recall@{material.length}"
    title = f"{percent(material.report[at])} of what {material.sought} is among the first {material.length}"
    words = "Recall by length of the list, a line for each model, with 95 % intervals"
    scales = (logarithmic, linear_from_zero)
    chart = lines(series, across="length of the list (logarithmic)", up="recall", scales=scales, words=words)
    rows = [(one.label, *(data(one.report[name], _owned(material, one, name)) for name in names)) for one in compared]
    note = "The mean share over users, by length of the list; bands: 95 % intervals. The table has all models."
    heads = ["model", *(f"at {_length(name)}" for name in names)]
    return figure(
        title, note, joined([legend([one.label for one in series]), chart]), table("Recall by length", heads, rows)
    )


def _length(name: str) -> int:
    return int(name.partition("@")[2])


def _owned(material: Material, one: Contender, metric: str) -> str:
    """Return a figure's name for programs: the metric, after the model's label where it is not the page's own."""
    return metric if one is material.this else f"{one.label} {metric}"


def _popularity(material: Material, compared: Sequence[Contender]) -> Markup:
    k = material.length
    shown = [one for one in _drawn(material, compared) if not math.isnan(one.report[f"popularity_share@{k}"])]
    points = [
        Spot(one.label, _coordinate(one, f"popularity_share@{k}"), _coordinate(one, f"ndcg@{k}")) for one in shown
    ]
    words = f"nDCG at {k} against the share of the lists that goes to the most popular fifth of the items"
    chart = spots(
        points,
        across="share that goes to the most popular fifth",
        up=f"nDCG at {k}",
        vertical=linear_from_zero,
        words=words,
    )
    own = material.report[f"popularity_share@{k}"]
    kinds = ("ndcg", "popularity_share", "novelty", "coverage", "gini")
    rows = [
        (one.label, *(data(one.report[f"{kind}@{k}"], _owned(material, one, f"{kind}@{k}")) for kind in kinds))
        for one in compared
    ]
    heads = ["model", "nDCG", "share of the most popular fifth", "novelty in bits", "coverage", "Gini"]
    title = f"{percent(own)} of its lists goes to the most popular fifth of the items"
    note = f"Upper left: accurate without being obvious. Lists of {k}; bars: 95 % intervals over users."
    body = joined([legend([one.label for one in shown]), chart])
    return figure(title, note, body, table(f"Accuracy and popularity of lists of {k}", heads, rows))


def _coordinate(one: Contender, metric: str) -> tuple[float, float, float]:
    return (one.report[metric], *one.report.interval(metric))


def item_map(material: Material) -> Section | None:
    """Show the items in a plane; None where the model has no vectors, or nothing to place."""
    if not material.model.rank or not material.model.n_items:
        return None
    shown = map_of(material.model, material.ratings)
    title = f"The {count(len(shown.rows))} best known of {count(material.model.n_items)} items"
    words = f"Map of {count(len(shown.rows))} items; the table names the nearest to the best known of them"
    note = (
        "The two principal directions of the item vectors; those that lie far out stand at the edge. Larger: had by "
        "more people. Point at one for its title."
    )
    picture = joined([_shades(shown), tag("div", map_picture(shown, words), class_="map-frame")])
    one = figure(title, note, picture, _neighbours(material, shown))
    lead = "Items that the same people like lie near each other. Nobody told the model what they are."
    return Section("map", "Map", "The items, as the model sees them", lead, one)


def _shades(shown: ItemMap) -> Markup:
    """Return what the colours stand for; empty where all values are the same."""
    if not len(shown.edges):
        return Markup()
    keys = "".join(f'<circle cx="{7 + 16 * shade}" cy="7" r="6" class="item m{shade}"/>' for shade in range(SHADES))
    key = tag("svg", Markup(keys), viewBox=f"0 0 {16 * SHADES} 14", class_="shades", aria_hidden="true")
    low, high = decimals(float(shown.edges[0]), 2), decimals(float(shown.edges[-1]), 2)
    return tag("p", f"mean rating: below {low} ", key, f" {high} and more", class_="key-line quiet")


def _neighbours(material: Material, shown: ItemMap) -> Markup:
    """Name the items whose vectors point most nearly the way of the best known ones."""
    model, rows = material.model, []
    for row, name, people in zip(shown.rows[:NAMED], shown.names, shown.counts, strict=False):
        near = nearest(model.item_vectors, np.array([row]), NEIGHBOURS).items
        others = Markup(" · ".join(isolated(other) for other in names_of(model, near)))
        rows.append((isolated(name), others, count(people)))
    return table("The best known items and what is nearest to them", ["item", "nearest", "had by"], rows, texts=2)
