"""The section on the data: how much there is, its long tails, how dense it is, how people rate."""

import numpy as np

from cofactor.data.interactions import Interactions
from cofactor.data.passes import counts_of
from cofactor.evaluation.page.axes import logarithmic, tick_text
from cofactor.evaluation.page.charts import Series, bars, legend, lines
from cofactor.evaluation.page.density import density_picture, density_table
from cofactor.evaluation.page.markup import Markup, count, decimals, figure, joined, percent, table
from cofactor.evaluation.page.material import Material
from cofactor.evaluation.page.section import Section, facts, grid

__all__ = ["at_a_glance"]

FEW = 12
"""Up to so many different values have a bar each."""

POINTS = 60

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def at_a_glance(material: Material) -> Section:
    """Show the data as it was given: what the model learnt from, and what was held out."""
    ratings, held_out = material.ratings, len(material.held_out)
    learnt = len(ratings) - held_out
    lead = (
        f"{count(learnt)} of these {_things(ratings)} trained the model; {count(held_out)} were held out, and "
        "how good it is is measured on those alone."
    )
    pictures = [_tails(ratings), _density(ratings)]
    if not ratings.is_binary:
        pictures.insert(0, _histogram(ratings))
    return Section("data", "Data", "The data at a glance", lead, joined([facts(_facts(ratings)), grid(*pictures)]))


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
    labels, heights = _counted(ratings.matrix.data)
    low, high = ratings.value_range
    mean = float(ratings.matrix.data.mean(dtype=np.float64))
    total = max(sum(heights), 1)
    title = f"Ratings from {tick_text(low)} to {tick_text(high)}, {decimals(mean, 2)} on average"
    chart = bars(labels, heights, across="rating", up="how many", words=f"{title}: a bar for each value")
    rows = [(label, count(height), percent(height / total)) for label, height in zip(labels, heights, strict=True)]
    note = "How often each value is given."
    return figure(title, note, chart, table("Ratings by value", ["value", "ratings", "share"], rows))


def _counted(values: np.ndarray) -> tuple[list[str], list[int]]:
    """Count how often each value occurs, or each range of values where there are many."""
    known, counts = np.unique(values, return_counts=True)
    if len(known) <= FEW:
        return [f"{value:g}" for value in known], counts.tolist()
    wide = known[0] > 0 and known[-1] / known[0] > 50
    edges = np.geomspace(known[0], known[-1], FEW + 1) if wide else np.linspace(known[0], known[-1], FEW + 1)
    edges[0], edges[-1] = known[0], known[-1]  # rounding must leave nobody out
    heights, _ = np.histogram(values, edges)
    return [f"from {tick_text(float(f'{edge:.3g}'))}" for edge in edges[:-1]], heights.tolist()


def _tails(ratings: Interactions) -> Markup:
    per_item = np.sort(counts_of(ratings.matrix.indices, ratings.n_items))[::-1]
    per_user = np.sort(np.diff(ratings.matrix.indptr))[::-1]
    head = int(np.ceil(ratings.n_items / 5))
    share = per_item[:head].sum() / max(per_item.sum(), 1)
    thing = _things(ratings)
    title = f"The best known fifth of the items has {percent(share)} of the {thing}"
    series = [_falling("items", per_item), _falling("users", per_user)]
    axes = {"across": "place, by falling number", "up": thing}
    words = f"{title}. How many {thing} each item and each user has, by falling number; both axes are logarithmic."
    chart = lines(series, **axes, scales=(logarithmic, logarithmic), words=words)
    described = ratings.describe().select("statistic", "per user", "per item")
    rows = [(name, decimals(users, 1), decimals(items, 1)) for name, users, items in described.iter_rows()]
    alternative = table(f"{thing.capitalize()} per user and per item", ["", "per user", "per item"], rows)
    note = f"How many {thing} each item and each user has; both axes are logarithmic."
    return figure(title, note, joined([legend([one.label for one in series]), chart]), alternative)


def _falling(label: str, counts: np.ndarray) -> Series:
    """Return counts by place, at places that lie evenly on a logarithmic axis."""
    counts = counts[counts > 0]
    places = np.unique(np.geomspace(1, max(len(counts), 1), POINTS).astype(int))[: len(counts)]
    return Series(label, places.tolist(), counts[places - 1].tolist())


def _density(ratings: Interactions) -> Markup:
    title = f"{percent(ratings.density)} of all pairs of a user and an item are known"
    note = "The most active users above, the best known items to the left; darker where more is known."
    return figure(title, note, density_picture(ratings.matrix, f"{title}. {note}"), density_table(ratings.matrix))
