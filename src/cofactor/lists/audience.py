"""Audiences: the users with the highest scores for an item, by the scan that makes lists, with its sides exchanged."""

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.metadata import Metadata
from cofactor.data.vocabulary import Id, Vocabulary, id_series
from cofactor.lists.answer import positions_of
from cofactor.lists.exact import first_places, joined
from cofactor.lists.filters import ItemFilter
from cofactor.lists.request import AudienceRequest
from cofactor.lists.rerank import Ranked
from cofactor.lists.retriever import ExactRetriever, Filter, ScoringRetriever, Users

__all__ = ["Audience", "ProductAudience", "ScoringAudience", "audience"]

SPARE = 16
"""How many more users than asked for are scored by the definition: the scan adds their biases in another order."""


class Audience(Protocol):
    """Finds the users with the highest scores for items."""

    def search(self, item_rows: np.ndarray, n: int, chosen: Filter) -> Ranked:
        """Return the ``n`` best users of some items; in what it returns and in the filter, the sides are exchanged."""
        ...


class ProductAudience:
    """Audiences where a score is a product of vectors.

    Parameters
    ----------
    exact : ExactRetriever
        The items.
    users : Users
    """

    def __init__(self, exact: ExactRetriever, users: Users) -> None:
        self._exact, self._users = exact, users
        keys = exact.queries(users.vectors)
        self._keys = ExactRetriever(np.ascontiguousarray(keys), users.bias)
        self._biased = users.bias is not None
        self._longest = float(np.sqrt(np.einsum("ij,ij->i", keys, keys, dtype=np.float64).max(initial=0)))

    def search(self, item_rows: np.ndarray, n: int, chosen: Filter) -> Ranked:
        """Return the ``n`` best users of some items, equal scores in user row order."""
        asked = Users(np.ascontiguousarray(self._exact.items[item_rows]), None, self._users.mean)
        if not self._biased or n < 1:
            return self._keys.search(asked, np.arange(len(item_rows)), n, chosen)
        return self._scored_again(asked, item_rows, n, chosen)

    def _scored_again(self, asked: Users, item_rows: np.ndarray, n: int, chosen: Filter) -> Ranked:
        """Score by the definition all users who are so near the n-th that rounding may have misplaced them."""
        parts, rest, depth = [], np.arange(len(item_rows)), n + SPARE
        while len(rest):
            found = self._keys.search(asked, rest, depth, chosen.of_users(rest))
            scores = self._exact.scores(self._users, found.items, item_rows[rest[found.users]])
            best = first_places(found.users, found.items, scores, n, 0, len(rest))
            sure = self._sure(found, best, asked.vectors[rest], n, depth)
            kept = sure[best.users]
            parts.append(Ranked(rest[best.users[kept]], best.items[kept], best.scores[kept]))
            rest, depth = rest[~sure], 2 * depth
        whole = joined(parts)
        order = np.argsort(whole.users, kind="stable")
        return Ranked(whole.users[order], whole.items[order], whole.scores[order])

    def _sure(self, found: Ranked, best: Ranked, vectors: np.ndarray, n: int, depth: int) -> np.ndarray:
        """Return for which items nobody who was not found can be among the best."""
        counts, ends = _counts_and_ends(found.users, len(vectors))
        kept, last_kept = _counts_and_ends(best.users, len(vectors))
        sure = counts < depth
        open_ = np.flatnonzero(~sure & (kept == n))
        lowest, worst = (ranked.scores[ends_[open_] - 1] for ranked, ends_ in ((found, ends), (best, last_kept)))
        slack = 1e-12 * self._longest * np.linalg.norm(vectors[open_].astype(np.float64), axis=1)
        sure[open_] = np.nextafter(lowest, np.float32(np.inf)) + slack < worst
        return sure


class ScoringAudience:
    """Audiences where a score is no product of vectors: every user is scored.

    Parameters
    ----------
    score : callable
        From user rows and item rows, equally many, to scores.
    n_users : int
    """

    def __init__(self, score: Callable[[np.ndarray, np.ndarray], np.ndarray], n_users: int) -> None:
        self._score, self._n_users = score, n_users

    def search(self, item_rows: np.ndarray, n: int, chosen: Filter) -> Ranked:
        """Return the ``n`` best users of some items, equal scores in user row order."""
        everybody, asked = np.arange(self._n_users), np.arange(len(item_rows))

        def scores(places: np.ndarray) -> np.ndarray:
            return np.stack([self._score(everybody, np.full(self._n_users, row)) for row in item_rows[places]])

        nobody = Users(np.empty((len(asked), 0), np.float32))
        return ScoringRetriever(scores, self._n_users).search(nobody, asked, n, chosen)


def audience(
    search: Audience,
    users: Vocabulary,
    items: Vocabulary,
    asked: Iterable[Id] | pl.Series,
    request: AudienceRequest,
    metadata: Metadata,
    *,
    seen: sparse.csr_array,
    known: np.ndarray,
) -> pl.DataFrame:
    """Return the audiences of the asked items as one table; see `Factors.recommend_users` for its columns.

    Parameters
    ----------
    search : Audience
    users, items : Vocabulary
    asked : iterable of ids
    request : AudienceRequest
    metadata : Metadata
        What is known of the users.
    seen : scipy.sparse.csr_array, shape (users, items)
    known : numpy.ndarray of bool, shape (users,)
        Of whom something was learnt; the others are in no audience.
    """
    ids = id_series(asked, "item")
    ids = ids if len(ids) else ids.cast(items.ids.dtype)
    rows = items.rows(ids).astype(np.int64)
    chosen = ItemFilter.of(request, users, metadata)
    had = _turned(seen, rows) if request.exclude_seen else None
    theirs = chosen.for_users(ids, np.arange(len(rows)), had)
    if not known.all():
        left = np.flatnonzero(known)
        left = left if theirs.candidates is None else np.intersect1d(left, theirs.candidates)
        theirs = Filter(left, theirs.own_candidates, theirs.excluded, theirs.excluded_rows)
    ranked = search.search(rows, request.n, theirs)
    return pl.DataFrame(
        [
            ids[pl.Series(ranked.users, dtype=pl.UInt32)].alias("item"),
            pl.Series("position", positions_of(ranked.users, len(ids))),
            users.take(ranked.items).alias("user"),
            pl.Series("score", ranked.scores),
        ]
    )


def _turned(seen: sparse.csr_array, item_rows: np.ndarray) -> sparse.csr_array:
    """Return who has had some items: a row for each of these; nothing is made of the other items."""
    present, places = np.unique(item_rows, return_inverse=True)
    wanted = np.zeros(seen.shape[1], bool)
    wanted[present] = True
    stored = np.flatnonzero(wanted[seen.indices])
    who = np.searchsorted(seen.indptr, stored, side="right") - 1
    pairs = np.searchsorted(present, seen.indices[stored]), who
    table = sparse.csr_array((np.ones(len(stored), np.float32), pairs), shape=(len(present), seen.shape[0]))
    table.sort_indices()
    return table[places]


def _counts_and_ends(users: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    counts = np.bincount(users, minlength=n)
    return counts, np.cumsum(counts)
