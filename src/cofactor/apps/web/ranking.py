"""The lists: a person's best items, the popular ones for whom nothing is known of, what is like an item, who moved."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cofactor.apps.web.catalogue import Filters
from cofactor.apps.web.people import Person, history_of
from cofactor.apps.web.served import Served
from cofactor.errors import SettingError
from cofactor.lists.answer import nearest
from cofactor.model.factors import Factors, draws_needed, exact_of, needs_every_draw, ranked_rows, users_of

__all__ = ["Wish", "check", "places", "recommended", "similar"]

By = Literal["mean", "optimistic", "cautious"]


@dataclass(frozen=True)
class Wish:
    """How a list is to be: its length, which items it may hold, what it is ordered by, how many reasons it gives."""

    n: int = 10
    filters: Filters = Filters()
    by: By = "mean"
    reasons: int = 0


def check(served: Served, wish: Wish) -> None:
    """Refuse a wish that a model cannot fulfil.

    Raises
    ------
    SettingError
        If a list is to be ordered by how sure the model is, which this one does not know.
    """
    if wish.by != "mean" and not served.has_spread:
        raise SettingError(f"by={wish.by!r} needs a model that knows how sure it is; this one knows 'mean' alone")


def recommended(served: Served, person: Person, wish: Wish, before: Person | None = None) -> dict[str, Any]:
    """Return a person's list as it is answered; with someone from before, how each place moved since.

    Raises
    ------
    SettingError
        As `check` does.
    """
    check(served, wish)
    allowed = served.catalogue.allowed(wish.filters)
    rows, scores = _best(served, person, wish, allowed)
    describe = served.catalogue.describe
    items = [
        {"position": position, **describe(row), "score": score}
        for position, (row, score) in enumerate(zip(rows, scores, strict=True), 1)
    ]
    if before is not None:
        was = places(served, before, np.array(rows, dtype=np.int64), allowed, wish.by)
        for item, old in zip(items, was.tolist(), strict=True):
            item["was"] = old or None
            item["moved"] = old - item["position"] if old else None
    if wish.reasons:
        _add_reasons(served, person, rows, items, wish.reasons)
    return {**served.label, "popular": person.base is None, "items": items}


def _best(
    served: Served, person: Person, wish: Wish, allowed: np.ndarray | None
) -> tuple[list[int], list[float] | list[None]]:
    """Return the rows of the best items and their scores; popular ones, without a score, where there is no model."""
    if person.base is not None:
        if wish.by != "mean" or needs_every_draw(person.base):
            ranked = ranked_rows(person.model, np.array([person.row]), wish.n, candidates=allowed, by=wish.by)
        else:  # until the kernels are loaded, multiplied, without waiting for them
            ranked = person.best(wish.n, allowed, scan=served.warmed.is_set() or served.is_slow)
        return ranked.items.tolist(), ranked.scores.tolist()
    order = served.catalogue.by_popularity
    rows = order[_open(served, person, allowed)[order]][: wish.n].tolist()
    return rows, [None] * len(rows)


def _open(served: Served, person: Person, allowed: np.ndarray | None) -> np.ndarray:
    """Return which items may stand in somebody's list: shape (items,)."""
    is_open = np.full(served.model.n_items, allowed is None)
    if allowed is not None:
        is_open[allowed] = True
    is_open[person.rated.rows] = False
    return is_open


def places(
    served: Served, person: Person, item_rows: np.ndarray, allowed: np.ndarray | None = None, by: By = "mean"
) -> np.ndarray:
    """Return the places of some items in somebody's whole list, from 1; 0 for an item that cannot stand in it."""
    if person.base is None:
        scores = served.catalogue.raters.astype(np.float32)
    else:
        scores = scores_of_all(served, person.model, np.array([person.row]), by)[0]
    return _counted(scores, _open(served, person, allowed), item_rows)


def scores_of_all(served: Served, model: Factors, rows: np.ndarray, by: By = "mean") -> np.ndarray:
    """Return the scores of every item for some rows of a model: float32, shape (rows, items)."""
    if by != "mean" or needs_every_draw(model):
        from cofactor.model.uncertainty import score_block  # loads the sampler's kernels

        return score_block(draws_needed(model), rows, by)
    users = users_of(model)
    queries = exact_of(served.model).queries(users.vectors[rows]).astype(np.float64)
    scores = queries @ served.wide_keys.T + users.offsets(rows)[:, None]
    return scores.astype(np.float32)


def _counted(scores: np.ndarray, is_open: np.ndarray, item_rows: np.ndarray) -> np.ndarray:
    """Count for each item those before it; of equal scores the lower row comes first."""
    found = np.zeros(len(item_rows), np.int64)
    rows = np.arange(len(scores))
    for k, item in enumerate(item_rows):
        if is_open[item]:
            ahead = (scores > scores[item]) | ((scores == scores[item]) & (rows < item))
            found[k] = 1 + np.count_nonzero(ahead & is_open)
    return found


def _add_reasons(served: Served, person: Person, rows: list[int], items: list[dict[str, Any]], n: int) -> None:
    """Add to each item the ratings that raise it most."""
    learnt = person.rated.learnt
    for item in items:
        item["reasons"] = []
    if person.base is None or not rows:
        return
    from cofactor.model.fold_in import shares_of  # brings numba

    rated, given, catalogue = person.rated.rows[learnt], person.rated.given[learnt], served.catalogue
    shares = shares_of(person.model, history_of(served, person.rated), person.row, np.array(rows))
    for column, item in enumerate(items):
        best = np.argsort(-shares[:, column], kind="stable")[:n]
        item["reasons"] = [
            {
                "item": catalogue.ids[rated[k]],
                "title": catalogue.titles[rated[k]],
                "rating": float(given[k]),
                "share": float(shares[k, column]),
            }
            for k in best
            if shares[k, column] > 0
        ]


def similar(served: Served, row: int, n: int) -> dict[str, Any]:
    """Return the items whose vectors point most nearly the way of one's."""
    near = nearest(served.model.item_vectors, np.array([row]), n)
    items = [
        {"position": position, **served.catalogue.describe(int(item)), "score": float(score)}
        for position, (item, score) in enumerate(zip(near.items, near.scores, strict=True), 1)
    ]
    return {**served.label, "item": served.catalogue.ids[row], "title": served.catalogue.titles[row], "items": items}
