"""Retrievers: they find each user's best items, filters applied before ranking."""

import copy
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy import sparse

from cofactor.data.passes import stores
from cofactor.kernels.rounding import rounding_reach
from cofactor.lists.exact import SCAN_SHARE, SCAN_TO, first_places, pair_scores, scan_pays, top_n, top_of
from cofactor.lists.rerank import Ranked

if TYPE_CHECKING:
    from cofactor.lists.coded import Coded
    from cofactor.lists.index import Index

__all__ = ["ExactRetriever", "Filter", "Retriever", "ScoringRetriever", "Users", "scores_of_pairs"]


@dataclass(frozen=True, eq=False)
class Users:
    """The user side of a search.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (users, rank)
    bias : numpy.ndarray of float32, shape (users,), or None
    mean : float
        Added to every score.
    """

    vectors: np.ndarray
    bias: np.ndarray | None = None
    mean: float = 0.0

    def offsets(self, rows: np.ndarray) -> np.ndarray:
        """Return what is added to every score of some users, float64; it does not change the order."""
        bias = np.zeros(len(rows)) if self.bias is None else self.bias[rows].astype(np.float64)
        return self.mean + bias


@dataclass(frozen=True, eq=False)
class Filter:
    """Which items may be listed.

    Parameters
    ----------
    candidates : numpy.ndarray of int, optional
        Sorted item rows that everyone may be shown; all of them if not given.
    own_candidates : scipy.sparse.csr_array, shape (asked users, items), optional
        Pairs to choose from, each user from their own row.
    excluded : scipy.sparse.csr_array, optional
        Pairs that are never listed.
    excluded_rows : numpy.ndarray of int, shape (asked users,), optional
        Which row of ``excluded`` is each asked user's; the same position if not given.
    """

    candidates: np.ndarray | None = None
    own_candidates: sparse.csr_array | None = None
    excluded: sparse.csr_array | None = None
    excluded_rows: np.ndarray | None = None

    def of_users(self, some: np.ndarray) -> "Filter":
        """Return the filter of some of the asked users, by their positions."""
        own = None if self.own_candidates is None else self.own_candidates[some]
        rows = some if self.excluded_rows is None else self.excluded_rows[some]
        return Filter(self.candidates, own, self.excluded, None if self.excluded is None else rows)


class Retriever(Protocol):
    """Finds each user's best items."""

    @property
    def n_items(self) -> int:
        """How many items there are."""
        ...

    def prepare(self, n_users: int) -> None:
        """Get ready for lists of so many users, which may come in parts; made once, it serves them all."""
        ...

    def search(self, users: Users, rows: np.ndarray, n: int, chosen: Filter) -> Ranked:
        """Return the ``n`` best items of some rows of ``users`` among those that the filter leaves."""
        ...


class ExactRetriever:
    """The exact best items by the product of vectors: by a scan that most users leave early, or by multiplication.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (items, rank)
    bias : numpy.ndarray of float32, shape (items,), optional
    """

    def __init__(self, vectors: np.ndarray, bias: np.ndarray | None = None) -> None:
        self.items = vectors if bias is None else np.column_stack([vectors, bias])
        self._biased = bias is not None
        self._scans = True

    def without_scan(self) -> "ExactRetriever":
        """Return a retriever of the same items that multiplies alone, and so loads no kernels."""
        new = copy.copy(self)
        new._scans = False
        return new

    @property
    def n_items(self) -> int:
        """How many items there are."""
        return len(self.items)

    @functools.cached_property
    def index(self) -> "Index":
        """The items laid out for the scan; it takes as much memory as they do."""
        from cofactor.lists.index import build  # brings numba, which a single list need not wait for

        return build(self.items)

    @functools.cached_property
    def coded(self) -> "Coded":
        """The items rounded to a byte a number, for lists of one user; they take a quarter of the memory."""
        from cofactor.lists.coded import coded  # brings numba

        return coded(self.items)

    @functools.cached_property
    def reach(self) -> float:
        """How far single-precision products may be off; finding it takes as long as a product."""
        return rounding_reach(self.items)

    def prepare(self, n_users: int) -> None:
        """Lay the items out for the scan, if it pays for so many users."""
        if scan_pays(n_users, self.n_items):
            _ = self.index

    def queries(self, vectors: np.ndarray) -> np.ndarray:
        """Return the user side of the product: with item biases there is one more column, of ones."""
        return np.column_stack([vectors, np.ones(len(vectors), np.float32)]) if self._biased else vectors

    def search(self, users: Users, rows: np.ndarray, n: int, chosen: Filter) -> Ranked:
        """Return the ``n`` best items of some users."""
        queries, offsets = self.queries(users.vectors[rows]), users.offsets(rows)
        if len(rows) == 1 and chosen.own_candidates is None:
            found = self._one(queries, offsets, n, chosen)
            if found is not None:
                return found
        if chosen.own_candidates is not None:
            score = functools.partial(pair_scores, queries, self.items, offsets)
            return best_of_pairs(score, len(rows), n, chosen)
        return top_n(
            queries,
            self.items,
            n,
            offsets=offsets,
            excluded=chosen.excluded,
            excluded_rows=chosen.excluded_rows,
            candidates=chosen.candidates,
            index=(lambda: self.index) if self._scans else None,
            reach=lambda: self.reach,
        )

    def _one(self, queries: np.ndarray, offsets: np.ndarray, n: int, chosen: Filter) -> Ranked | None:
        """Return the list of one user, if there is a quicker way than those for many."""
        candidates = chosen.candidates
        if candidates is not None and SCAN_SHARE * len(candidates) < self.n_items:
            those = candidates[~closed_for_one(chosen, self.n_items)[candidates]]
            only = np.zeros(len(those), np.int64)
            return first_places(only, those, pair_scores(queries, self.items, offsets, only, those), n, 0, 1)
        if not (self._scans and 0 < n <= SCAN_TO and "numba" in sys.modules and self.n_items):
            return None
        from cofactor.lists.coded import search_one

        found = search_one(self.coded, queries[0], offsets[0], n, closed_for_one(chosen, self.n_items))
        return None if found is None else Ranked(np.zeros(len(found[0]), np.int64), *found)

    def every_score(self, users: Users, rows: np.ndarray) -> np.ndarray:
        """Score every item for some users, by the definition: float32, shape (users, items)."""
        queries, keys = self.queries(users.vectors[rows]).astype(np.float64), self.items
        total = np.zeros((len(rows), self.n_items))
        for column in range(keys.shape[1]):
            total += np.multiply.outer(queries[:, column], keys[:, column].astype(np.float64))
        return (total + users.offsets(rows)[:, None]).astype(np.float32)

    def scores(self, users: Users, user_rows: np.ndarray, item_rows: np.ndarray) -> np.ndarray:
        """Score pairs of rows: float32, shape (pairs,)."""
        return scores_of_pairs(self.items, self.queries, users, user_rows, item_rows)


def closed_for_one(chosen: Filter, n_items: int) -> np.ndarray:
    """Return which items the only user asked for must not be shown: bool, shape (items,)."""
    closed = np.zeros(n_items, bool)
    if chosen.candidates is not None:
        closed[:] = True
        closed[chosen.candidates] = False
    if chosen.excluded is not None:
        row = 0 if chosen.excluded_rows is None else int(chosen.excluded_rows[0])
        closed[chosen.excluded.indices[chosen.excluded.indptr[row] : chosen.excluded.indptr[row + 1]]] = True
    return closed


class ScoringRetriever:
    """The exact best items where a score is no product of vectors: every item is scored.

    Parameters
    ----------
    score : callable
        From user rows to the scores of every item: float32, shape (users, items).
    n_items : int
    """

    def __init__(self, score: Callable[[np.ndarray], np.ndarray], n_items: int) -> None:
        self._score = score
        self.n_items = n_items

    def prepare(self, n_users: int) -> None:
        """There is nothing to prepare."""

    def search(self, users: Users, rows: np.ndarray, n: int, chosen: Filter) -> Ranked:
        """Return the ``n`` best items of some users."""
        candidates, excluded = chosen.candidates, chosen.excluded
        if excluded is not None and chosen.excluded_rows is not None:
            excluded = excluded[chosen.excluded_rows]
        if chosen.own_candidates is not None:
            return best_of_pairs(lambda who, what: self._score(rows)[who, what], len(rows), n, chosen)
        return top_of(self._score, rows, n, n_items=self.n_items, excluded=excluded, candidates=candidates)


def scores_of_pairs(
    items: np.ndarray,
    queries: Callable[[np.ndarray], np.ndarray],
    users: Users,
    user_rows: np.ndarray,
    item_rows: np.ndarray,
) -> np.ndarray:
    """Score pairs of rows by the one definition of a score: float32, shape (pairs,)."""
    present, places = np.unique(user_rows, return_inverse=True)
    return pair_scores(queries(users.vectors[present]), items, users.offsets(present), places, item_rows)


def best_of_pairs(
    score: Callable[[np.ndarray, np.ndarray], np.ndarray], n_users: int, n: int, chosen: Filter
) -> Ranked:
    """Rank pairs that each user may choose from, the excluded ones left out."""
    own = chosen.own_candidates
    assert own is not None
    who, what = np.repeat(np.arange(n_users), np.diff(own.indptr)), own.indices.astype(np.int64)
    if chosen.candidates is not None:
        kept = np.isin(what, chosen.candidates)
        who, what = who[kept], what[kept]
    if chosen.excluded is not None:
        excluded = chosen.excluded if chosen.excluded_rows is None else chosen.excluded[chosen.excluded_rows]
        kept = ~stores(excluded, who, what)
        who, what = who[kept], what[kept]
    return first_places(who, what, score(who, what), n, 0, n_users)
