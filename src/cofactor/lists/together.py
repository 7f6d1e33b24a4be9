"""One list for several people, who will see or do it together.

**Model.** Every member has a score of every item; the group's score is their mean, the least of them ("least misery":
nobody is to dislike it), or the largest ("most pleasure": somebody is to love it). Products of scores are not offered,
since scores may be negative, and then two dislikes would make a like.

**Reference.** Masthoff (2004), Group Modeling: Selecting a Sequence of Television Items to Suit a Group of Viewers;
O'Connor, Cosley, Konstan and Riedl (2001), PolyLens: A Recommender System for Groups of Users.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.arguments import check_choice
from cofactor.data.passes import counts_of
from cofactor.errors import SettingError
from cofactor.lists.answer import Catalog, marked_new, named_items, positions_of
from cofactor.lists.filters import ItemFilter
from cofactor.lists.pipeline import rank
from cofactor.lists.request import ListRequest
from cofactor.lists.rerank import ListContext
from cofactor.lists.retriever import Filter, ScoringRetriever, Users

__all__ = ["Together", "group_list"]

Together: TypeAlias = Literal["mean", "min", "max"]

_STEPS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": np.add,
    "min": np.minimum,
    "max": np.maximum,
}


def group_list(
    catalog: Catalog,
    score: Callable[[np.ndarray], np.ndarray],
    users: pl.Series,
    rows: np.ndarray,
    request: ListRequest,
    how: Together,
) -> pl.DataFrame:
    """Return the list of a group; see `Factors.recommend_group` for its columns.

    Parameters
    ----------
    catalog : Catalog
    score : callable
        From user rows to the scores of every item: float32, shape (users, items).
    users : polars.Series
        The members' raw ids.
    rows : numpy.ndarray of int
        Their rows.
    request : ListRequest
    how : {"mean", "min", "max"}
    """
    check_choice("how", how, get_args(Together))
    if not len(rows):
        raise SettingError("users is empty: name the members of the group")
    together = combined(score, rows, how)
    retriever = ScoringRetriever(lambda _: together[None].copy(), len(together))
    allowed = _allowed(catalog, users, rows, request)
    group, only = Users(np.empty((1, 0), np.float32)), np.zeros(1, np.int64)
    context = ListContext(catalog.attributes, catalog.item_ids, _joint_history(catalog.seen, rows), only)
    ranked = rank(retriever, group, only, request, Filter(allowed), context)
    return pl.DataFrame(
        [
            pl.Series("position", positions_of(ranked.users, 1)),
            *named_items(catalog.item_ids, catalog.metadata, ranked.items),
            pl.Series("score", ranked.scores),
            *marked_new(catalog.new, ranked.items),
        ]
    )


def combined(score: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, how: Together) -> np.ndarray:
    """Return a group's score of every item, member by member, so that memory holds the scores of one: float32."""
    total = score(rows[:1])[0].astype(np.float64)
    for row in rows[1:]:
        total = _STEPS[how](total, score(np.array([row]))[0])
    return (total / len(rows) if how == "mean" else total).astype(np.float32)


def _joint_history(seen: sparse.csr_array, rows: np.ndarray) -> sparse.csr_array:
    """Return in one row what any member has had."""
    theirs = seen[rows]
    items = np.unique(theirs.indices[theirs.data > 0])
    return sparse.csr_array((np.ones(len(items), np.float32), items, [0, len(items)]), shape=(1, seen.shape[1]))


def _allowed(catalog: Catalog, users: pl.Series, rows: np.ndarray, request: ListRequest) -> np.ndarray:
    """Return the items that no member may not be shown: sorted rows."""
    chosen = ItemFilter.of(request, catalog.item_ids, catalog.metadata)
    theirs = chosen.for_users(users, rows, catalog.seen if request.exclude_seen else None)
    allowed = np.ones(chosen.n_items, bool)
    if theirs.candidates is not None:
        allowed[:] = False
        allowed[theirs.candidates] = True
    if theirs.own_candidates is not None:
        allowed &= counts_of(theirs.own_candidates.indices, chosen.n_items) == len(rows)
    if theirs.excluded is not None:
        table = theirs.excluded if theirs.excluded_rows is None else theirs.excluded[theirs.excluded_rows]
        allowed[table.indices] = False
    return np.flatnonzero(allowed)
