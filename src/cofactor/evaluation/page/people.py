"""The section on people: some users, what they had, and what the model would recommend to them."""

import warnings

import numpy as np

from cofactor.data.passes import counts_of
from cofactor.errors import GoalWarning
from cofactor.evaluation.page.markup import Markup, count, decimals, isolated, joined, tag
from cofactor.evaluation.page.material import Material
from cofactor.evaluation.page.section import Section
from cofactor.evaluation.plane import names_of
from cofactor.model.factors import ranked_rows

__all__ = ["example_people"]

HISTORY = 8
"""How much of what somebody had is shown."""


def example_people(material: Material) -> Section | None:
    """Show some users; None where none is wanted, or nobody with held-out ratings had anything in training."""
    rows = chosen_rows(material)
    if not len(rows):
        return None
    lead = (
        "Chosen by how much they had in training, from little to much, not by how well their lists are. A tick marks "
        "what was held out: the model could not know of it."
    )
    body = tag("div", *(_person(material, int(row)) for row in rows), class_="people")
    return Section("people", "People", "Some people and their lists", lead, body)


def chosen_rows(material: Material) -> np.ndarray:
    """Return the model's rows of the users to show, evenly spread over those measured, by how much they had."""
    model = material.model
    measured = model.users.rows(material.report.measured_users().users)
    had = np.diff(model.seen.indptr)[measured]
    known = measured[had > 0][np.argsort(had[had > 0], kind="stable")]
    wanted = min(material.examples, len(known))
    places = ((np.arange(wanted) + 0.5) * len(known) / max(wanted, 1)).astype(int)
    return known[places]


def _person(material: Material, row: int) -> Markup:
    model = material.model
    user = model.users[row]
    had = int(np.diff(model.seen.indptr[row : row + 2])[0])
    held = _values(material, row, held_out=True)
    head = tag("h3", "User ", isolated(user))
    told = f"{count(had)} in training, {count(len(held))} held out"
    before = tag("div", tag("h4", _before(material, had)), _history(material, row))
    after = tag("div", tag("h4", f"The first {material.length} of the list"), _list(material, row, held))
    return tag("article", tag("header", head, tag("p", told, class_="quiet")), before, after, class_="card person")


def _before(material: Material, had: int) -> str:
    if material.ratings.is_binary:
        return "Had in training" if had <= HISTORY else "Had in training, the best known"
    return "Rated in training" if had <= HISTORY else "Rated best in training"


def _values(material: Material, row: int, *, held_out: bool) -> dict[int, float]:
    """Return the values of a user's items in the data: those held out, or all that the data has."""
    given = material.held_out if held_out else material.ratings
    there = given.users.row(material.model.users[row])
    if there < 0:
        return {}
    span = slice(*given.matrix.indptr[there : there + 2])
    items = material.model.items.find(given.items.take(given.matrix.indices[span])).tolist()
    return {item: value for item, value in zip(items, given.matrix.data[span].tolist(), strict=True) if item >= 0}


def _history(material: Material, row: int) -> Markup:
    """List what a user had, the best rated first, the best known first among equals."""
    model = material.model
    span = slice(*model.seen.indptr[row : row + 2])
    given = _values(material, row, held_out=False)
    items, weights = model.seen.indices[span].tolist(), model.seen.data[span].tolist()
    trained: dict[int, float] = dict(zip(items, weights, strict=True))
    values = trained | {item: value for item, value in given.items() if item in trained}
    counts = counts_of(model.seen.indices, model.n_items)
    shown = sorted(values, key=lambda item: (-values[item], -counts[item], item))[:HISTORY]
    names = names_of(model, np.array(shown))
    marks = [
        Markup() if material.ratings.is_binary else tag("span", f"{values[item]:g}", class_="number") for item in shown
    ]
    entries = [tag("li", isolated(name), mark) for name, mark in zip(names, marks, strict=True)]
    return tag("ul", *entries, class_="items")


def _list(material: Material, row: int, held: dict[int, float]) -> Markup:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GoalWarning)  # the page says so itself
        best = ranked_rows(material.model, np.array([row]), material.length)
    names = names_of(material.model, best.items)
    entries = []
    for item, name, score in zip(best.items.tolist(), names, best.scores.tolist(), strict=True):
        tick = Markup()
        if item in held:
            value = "" if material.ratings.is_binary else f": {held[item]:g}"
            tick = tag("span", f"✓ held out{value}", class_="tick")
        entries.append(tag("li", isolated(name), tick, tag("span", decimals(score, 2), class_="number quiet")))
    return joined([tag("ol", *entries, class_="items")]) if entries else tag("p", "Nothing is left.", class_="quiet")
