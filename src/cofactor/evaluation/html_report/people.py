"""Some users: what each had, and the model's list beside the other's, with what was held out marked by its rating."""

import warnings
from collections.abc import Callable

import numpy as np

from cofactor.data.passes import counts_of
from cofactor.data.preparation import Stars, Weights, recognize
from cofactor.data.vocabulary import Id
from cofactor.errors import GoalWarning
from cofactor.evaluation.html_report.report_data import Contender, ReportData
from cofactor.evaluation.html_report.sections import Section
from cofactor.evaluation.markup import Markup, count, decimals, isolated, joined, tag
from cofactor.evaluation.plane import names_of
from cofactor.model.factors import ranked_rows

__all__ = ["chosen_rows", "example_users"]

HISTORY = 8
"""How many items of a user's history are shown."""


def example_users(content: ReportData) -> Section | None:
    """Show some users; None if none is wanted, or nobody with held-out ratings had anything in training."""
    rows = chosen_rows(content)
    if not len(rows):
        return None
    beside = "" if content.against is None else " Both models list for the same users."
    lead = (
        "Chosen by how much they had in training, from little to much, not by how good their lists are. What is marked "
        f"was held out: the model did not know of it.{beside}"
    )
    mark = _marks(content)
    body = tag("div", *(_user(content, int(row), mark) for row in rows), class_="people")
    return Section("users", "Users", "Some users and their lists", lead, joined([_key(content), body]))


Mark = Callable[[float], Markup]
"""Returns what marks a held-out item in a list, by its rating."""

SIGNS = {"liked": "✓", "fair": "•", "disliked": "✗"}
"""What stands before the rating of a held-out item; a disliked one is no success of the list."""

KEY = {"liked": "liked", "fair": "rated in between", "disliked": "disliked"}


def _taste(content: ReportData) -> Callable[[float], str] | None:
    """Return what tells from a rating whether somebody liked the item; None where values are no stars."""
    values = content.ratings.matrix.data
    if content.relevant_from is not None:
        least = content.relevant_from
        return lambda value: "liked" if value >= least else "disliked"
    stars = content.model.preparation
    if isinstance(stars, Weights) or not len(values):
        return None
    if not isinstance(stars, Stars):
        if recognize(values) != "stars":
            return None
        stars = Stars.of(values)
    middle = stars.low + (stars.high - stars.low) / 2
    return lambda value: "liked" if value > middle else "disliked" if value < middle else "fair"


def _marks(content: ReportData) -> Mark:
    taste = _taste(content)

    def mark(value: float) -> Markup:
        if taste is None:
            told = "held out" if content.ratings.is_binary else f"held out: {value:g}"
            return tag("span", f"✓ {told}", class_="tick liked")
        kind = taste(value)
        return tag("span", f"{SIGNS[kind]} rated {value:g}", class_=f"tick {kind}")

    return mark


def _key(content: ReportData) -> Markup:
    """Say what the marks mean, where there are several."""
    taste = _taste(content)
    if taste is None:
        return Markup()
    kinds = [kind for kind in SIGNS if content.relevant_from is None or kind != "fair"]
    entries = [tag("li", tag("span", SIGNS[kind], class_=f"tick {kind}"), f" {KEY[kind]}") for kind in kinds]
    return tag("ul", *entries, class_="legend", aria_label="What was held out, by how it was rated")


def chosen_rows(content: ReportData) -> np.ndarray:
    """Return the model's rows of the users to show, evenly spread over those measured, by how much they had."""
    model = content.model
    measured = model.users.rows(content.report.measured_users().users)
    had = np.diff(model.seen.indptr)[measured]
    known = measured[had > 0][np.argsort(had[had > 0], kind="stable")]
    wanted = min(content.examples, len(known))
    places = ((np.arange(wanted) + 0.5) * len(known) / max(wanted, 1)).astype(int)
    return known[places]


def _user(content: ReportData, row: int, mark: Mark) -> Markup:
    model = content.model
    user = model.users[row]
    had = int(np.diff(model.seen.indptr[row : row + 2])[0])
    held = _values(content, row, held_out=True)
    head = tag("h3", "User ", isolated(user))
    told = f"{count(had)} in training, {count(len(held))} held out"
    before = tag("div", tag("h4", _before(content, had)), _history(content, row))
    length, there = content.length, content.against
    title = (
        f"The first {length} of the list" if there is None else joined([isolated(content.name), f", first {length}"])
    )
    lists = [tag("div", tag("h4", title), _list(content, content.this, user, held, mark))]
    if there is not None:
        title = joined([isolated(there.label), f", first {length}"])
        lists.append(tag("div", tag("h4", title), _list(content, there, user, held, mark)))
    kind = "card person" if there is None else "card person pair"
    return tag("article", tag("header", head, tag("p", told, class_="quiet")), before, *lists, class_=kind)


def _before(content: ReportData, had: int) -> str:
    if content.ratings.is_binary:
        return "Had in training" if had <= HISTORY else "Had in training, the best known"
    return "Rated in training" if had <= HISTORY else "Rated best in training"


def _values(content: ReportData, row: int, *, held_out: bool) -> dict[int, float]:
    """Return the values of a user's items: those held out, or all in the data."""
    given = content.held_out if held_out else content.ratings
    there = given.users.row(content.model.users[row])
    if there < 0:
        return {}
    span = slice(*given.matrix.indptr[there : there + 2])
    items = content.model.items.find(given.items.take(given.matrix.indices[span])).tolist()
    return {item: value for item, value in zip(items, given.matrix.data[span].tolist(), strict=True) if item >= 0}


def _history(content: ReportData, row: int) -> Markup:
    """List what a user had: the best rated first, among equals the best known."""
    model = content.model
    span = slice(*model.seen.indptr[row : row + 2])
    given = _values(content, row, held_out=False)
    items, weights = model.seen.indices[span].tolist(), model.seen.data[span].tolist()
    trained: dict[int, float] = dict(zip(items, weights, strict=True))
    values = trained | {item: value for item, value in given.items() if item in trained}
    counts = counts_of(model.seen.indices, model.n_items)
    shown = sorted(values, key=lambda item: (-values[item], -counts[item], item))[:HISTORY]
    names = names_of(model, np.array(shown))
    marks = [
        Markup() if content.ratings.is_binary else tag("span", f"{values[item]:g}", class_="number") for item in shown
    ]
    entries = [tag("li", isolated(name), mark) for name, mark in zip(names, marks, strict=True)]
    return tag("ul", *entries, class_="items")


def _list(content: ReportData, one: Contender, user: Id, held: dict[int, float], mark: Mark) -> Markup:
    """List what a model recommends to a user; ``held`` are the values of the held-out items, by the page's model."""
    row = one.model.users.rows([user])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GoalWarning)  # the page says so itself
        best = ranked_rows(one.model, row, content.length)
    names = names_of(one.model, best.items)
    ours = content.model.items.find(one.model.items.take(best.items)).tolist()
    entries = []
    for item, name, score in zip(ours, names, best.scores.tolist(), strict=True):
        marked = mark(held[item]) if item in held else Markup()
        entries.append(tag("li", isolated(name), marked, tag("span", decimals(score, 2), class_="number quiet")))
    if not entries:
        return tag("p", "No items are left to recommend.", class_="quiet")
    return tag("ol", *entries, class_="items")
