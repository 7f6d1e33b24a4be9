"""Why an item is suggested: each rating's share of its score, and where it would stand without that rating."""

from typing import Any

import numpy as np

from cofactor.apps.web.people import Person, Rated, history_of, newcomers
from cofactor.apps.web.ranking import places
from cofactor.apps.web.served import Served
from cofactor.model.factors import score_rows

__all__ = ["explained"]

TRIED_WITHOUT = 50
"""For so many of the strongest ratings the place without them is worked out: each takes a fold-in and all scores."""


def explained(served: Served, person: Person, item: int) -> dict[str, Any]:
    """Return the explanation of one item's score for somebody.

    The shares and ``rest`` (the mean, the item's own bias, what training left undone) add up to the score.
    """
    rated, described = person.rated, served.catalogue.describe(item)
    place = int(places(served, person, np.array([item]))[0]) or None
    answer = {**served.label, "popular": person.base is None, **described, "position": place}
    if person.base is None:
        return {**answer, "score": None, "rest": None, "reasons": []}
    from cofactor.model.fold_in import shares_of  # brings numba

    learnt = np.flatnonzero(rated.learnt)
    rows = rated.rows[learnt]
    score = float(score_rows(person.model, np.array([person.row]), np.array([item]))[0])
    shares = shares_of(person.model, history_of(served, rated), person.row, np.array([item]))[:, 0]
    order = np.argsort(-np.abs(shares), kind="stable")
    without = _places_without(served, rated, learnt[order[:TRIED_WITHOUT]], item) if place else []
    catalogue = served.catalogue
    reasons = [
        {
            "item": catalogue.ids[rows[k]],
            "title": catalogue.titles[rows[k]],
            "rating": float(rated.given[learnt[k]]),
            "share": float(shares[k]),
            "position_without": without[at] if at < len(without) else None,
        }
        for at, k in enumerate(order.tolist())
    ]
    return {**answer, "score": score, "rest": score - float(shares.sum()), "reasons": reasons}


def _places_without(served: Served, rated: Rated, ratings: np.ndarray, item: int) -> list[int]:
    """Return the item's place in the list that there would be without each of some ratings."""
    others = [rated.without(int(k)) for k in ratings]
    if not all(other.learnt.any() for other in others):  # it was the only one: what is left is the popular list
        return [int(places(served, Person(None, 0, other), np.array([item]))[0]) for other in others]
    model = newcomers(served, others).alone_in(served.model)
    people = [Person(model, row, other) for row, other in enumerate(others)]
    return [int(places(served, person, np.array([item]))[0]) for person in people]
