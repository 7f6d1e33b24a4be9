"""Exact top n: the best items for each user, seen ones left out, in bounded memory.

One score has one definition, whichever path computes it: products of single-precision entries, added in double
precision column by column, rounded once to single precision. Matrix multiplication only proposes candidates: whatever
lies within its own rounding error of the n-th best score is scored again by the definition. So the lists are the
same on any machine, with any block size and on any number of threads; equal scores are in item row order.

Where much is asked, `cofactor.lists.index` takes the place of the multiplication: items by falling norm, which most
users can leave after a few per cent. Its lists are the same.
"""

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from cofactor.kernels.rounding import LOST_BELOW, rounding_reach
from cofactor.lists.rerank import Ranked

if TYPE_CHECKING:
    from cofactor.lists.index import Index

__all__ = [
    "SCORES_AT_ONCE",
    "Ranked",
    "first_places",
    "joined",
    "pair_scores",
    "scan_pays",
    "top_n",
    "top_of",
]

PAIRS_AT_ONCE = 4096
"""Pairs whose products are held at a time."""

SCORES_AT_ONCE = 4_000_000
"""The most scores held in memory at a time: about 100 MB with what goes with them."""

SCAN_FROM = {"loaded": 0, "numba": 20_000_000, "nothing": 200_000_000}
"""From how many scores on a scan is worth its loading, by what this process has loaded already."""

multiplied = {"scores": 0}
"""How many scores this process has multiplied where a scan would have done: many small calls are worth it too."""

SCAN_TO = 1000
"""The longest list that a scan is used for."""

SCAN_SHARE = 20
"""The candidates are multiplied, not scanned for, where they are less than one in this many items."""

OWN_INDEX_FROM, OWN_INDEX_SHARE = 500, 3
"""For so many users, candidates that are less than one in so many items get an index of their own."""


def pair_scores(
    users: np.ndarray, items: np.ndarray, offsets: np.ndarray, user_rows: np.ndarray, item_rows: np.ndarray
) -> np.ndarray:
    """Score pairs of rows: the one definition of a score.

    Parameters
    ----------
    users, items : numpy.ndarray of float32, shapes (users, columns) and (items, columns)
        The vectors, bias columns included.
    offsets : numpy.ndarray of float64, shape (users,)
        What is added to every score of a user.
    user_rows, item_rows : numpy.ndarray of int, shape (pairs,)

    Returns
    -------
    numpy.ndarray of float32, shape (pairs,)
    """
    scores = np.empty(len(user_rows), np.float32)
    for first in range(0, len(user_rows), PAIRS_AT_ONCE):
        part = slice(first, first + PAIRS_AT_ONCE)
        who, what = user_rows[part], item_rows[part]
        products = np.empty((users.shape[1], len(who)))  # so that they are added column by column
        np.multiply(users[who].T, items[what].T, dtype=np.float64, out=products)
        scores[part] = np.add.reduce(products, axis=0) + offsets[who]
    return scores


def top_n(
    users: np.ndarray,
    items: np.ndarray,
    n: int,
    *,
    offsets: np.ndarray | None = None,
    excluded: sparse.csr_array | None = None,
    excluded_rows: np.ndarray | None = None,
    candidates: np.ndarray | None = None,
    index: "Callable[[], Index] | None" = None,
    reach: Callable[[], float] | None = None,
) -> Ranked:
    """Find each user's ``n`` items of highest score.

    Parameters
    ----------
    users, items : numpy.ndarray of float32, shapes (users, columns) and (items, columns)
        The vectors, bias columns included.
    n : int
        The length of a list; a user with fewer items left gets fewer.
    offsets : numpy.ndarray of float64, shape (users,), optional
        What is added to every score of a user; it does not change the order.
    excluded : scipy.sparse.csr_array, shape (users, items), optional
        The pairs it stores are never returned.
    excluded_rows : numpy.ndarray of int, shape (users,), optional
        Which row of ``excluded`` is each user's, where it has other rows or another order.
    candidates : numpy.ndarray of int, optional
        Sorted item rows to choose from; all of them if not given.
    index : callable, optional
        Returns ``cofactor.lists.index.build(items)``, made now or before; called only where `scan_pays`.
    reach : callable, optional
        Returns ``rounding_reach(items)``, found now or before; called only where all items are multiplied.
    """
    offsets = np.zeros(len(users)) if offsets is None else offsets
    chosen = len(items) if candidates is None else len(candidates)
    suits = 0 < n <= SCAN_TO and chosen * SCAN_SHARE >= len(items) > 0 and users.dtype == items.dtype == np.float32
    if index is not None and suits and scan_pays(len(users), len(items)):
        if candidates is not None and len(users) >= OWN_INDEX_FROM and chosen * OWN_INDEX_SHARE <= len(items):
            return _scanned_among(candidates, users, items, n, offsets, excluded, excluded_rows)
        return _scanned(index(), users, items, n, offsets, excluded, excluded_rows, candidates)
    if index is not None and suits:
        multiplied["scores"] += len(users) * len(items)
    return joined(list(_blocks(users, items, n, offsets, _rows(excluded, excluded_rows), candidates, reach)))


def scan_pays(n_users: int, n_items: int) -> bool:
    """Tell whether so much is asked that a scan is worth loading, or whether it is loaded and so always is."""
    loaded = "loaded" if "cofactor.lists.index" in sys.modules else "numba" if "numba" in sys.modules else "nothing"
    return multiplied["scores"] + n_users * n_items >= SCAN_FROM[loaded]


def _scanned(
    index: "Index",
    users: np.ndarray,
    items: np.ndarray,
    n: int,
    offsets: np.ndarray,
    excluded: sparse.csr_array | None,
    excluded_rows: np.ndarray | None,
    candidates: np.ndarray | None,
) -> Ranked:
    """Scan, and multiply for the users whom the scan gave up."""
    from cofactor.lists.index import search  # brings numba

    found = search(index, users, n, offsets, excluded, excluded_rows, candidates)
    if len(users) == 1 and (count := int(found.counts[0])) >= 0:  # what a service asks for: no detour for many
        return Ranked(np.zeros(count, np.int64), found.items[0, :count], found.scores[0, :count])
    if found.counts.min(initial=0) < 0:
        rest = np.flatnonzero(found.counts < 0)
        own = rest if excluded_rows is None else excluded_rows[rest]
        blocks = _blocks(users[rest], items, n, offsets[rest], _rows(excluded, own), candidates)
        ranked = joined(list(blocks))
        counts = np.bincount(ranked.users, minlength=len(rest))
        place = np.arange(len(ranked.users)) - np.repeat(np.cumsum(counts) - counts, counts)
        found.items[rest[ranked.users], place] = ranked.items
        found.scores[rest[ranked.users], place] = ranked.scores
        found.counts[rest] = counts
    who = np.repeat(np.arange(len(users)), found.counts)
    if len(who) == found.items.size:
        return Ranked(who, found.items.ravel(), found.scores.ravel())
    there = np.arange(n) < found.counts[:, None]
    return Ranked(who, found.items[there], found.scores[there])


def _scanned_among(
    candidates: np.ndarray,
    users: np.ndarray,
    items: np.ndarray,
    n: int,
    offsets: np.ndarray,
    excluded: sparse.csr_array | None,
    excluded_rows: np.ndarray | None,
) -> Ranked:
    """Scan an index of the candidates alone, which users can leave sooner; rows keep their order, and so do ties."""
    from cofactor.lists.index import build  # brings numba

    chosen = items[candidates]
    theirs = None if excluded is None else _among(excluded, excluded_rows, candidates)
    ranked = _scanned(build(chosen), users, chosen, n, offsets, theirs, None, None)
    return Ranked(ranked.users, candidates[ranked.items], ranked.scores)


def _among(excluded: sparse.csr_array, rows: np.ndarray | None, candidates: np.ndarray) -> sparse.csr_array:
    """Return the exclusions of some users among the candidates, whose places become the columns."""
    taken = excluded if rows is None else excluded[rows]
    places = np.full(taken.shape[1], -1, np.int32)
    places[candidates] = np.arange(len(candidates))
    columns = places[taken.indices]
    kept = columns >= 0
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])[taken.indptr]
    return sparse.csr_array((taken.data[kept], columns[kept], indptr), shape=(taken.shape[0], len(candidates)))


def joined(parts: list[Ranked]) -> Ranked:
    """Return several answers as one, one after the other."""
    if not parts:
        return Ranked(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))
    columns = ((part.users, part.items, part.scores) for part in parts)
    users, items, scores = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Ranked(users, items, scores)


def top_of(
    score: Callable[[np.ndarray], np.ndarray],
    user_rows: np.ndarray,
    n: int,
    *,
    n_items: int,
    excluded: sparse.csr_array | None = None,
    candidates: np.ndarray | None = None,
) -> Ranked:
    """Find each user's ``n`` best items where a score is no product of vectors, by scoring all of them.

    Parameters
    ----------
    score : callable
        From some of ``user_rows`` to their scores, float32, shape (users, items).
    user_rows : numpy.ndarray of int
    n, excluded, candidates
        As in `top_n`.
    """
    parts = []
    block = max(1, SCORES_AT_ONCE // max(n_items, 1))
    for start in range(0, len(user_rows), block):
        scores = score(user_rows[start : start + block])
        if excluded is not None:
            _mask(scores, excluded[start : start + block], None, n_items)
        if candidates is not None:
            scores[:, np.setdiff1d(np.arange(n_items), candidates)] = -np.inf
        who, what = np.nonzero(scores > -np.inf)
        parts.append(first_places(who, what, scores[who, what], n, start, len(scores)))
    return joined(parts)


def _rows(excluded: sparse.csr_array | None, rows: np.ndarray | None) -> "Callable[[slice], sparse.csr_array] | None":
    """Return what gives the exclusions of some users: rows of a large matrix are taken a block at a time."""
    if excluded is None:
        return None
    return lambda part: excluded[part] if rows is None else excluded[rows[part]]


def _blocks(
    users: np.ndarray,
    items: np.ndarray,
    n: int,
    offsets: np.ndarray,
    excluded: "Callable[[slice], sparse.csr_array] | None",
    candidates: np.ndarray | None,
    reach: Callable[[], float] | None = None,
) -> Iterator[Ranked]:
    rows = np.arange(len(items)) if candidates is None else candidates
    chosen = items if candidates is None else items[candidates]
    if n < 1 or not len(rows):
        return
    off = rounding_reach(chosen) if reach is None or candidates is not None else reach()
    block = max(1, SCORES_AT_ONCE // len(rows))
    for start in range(0, len(users), block):
        part = slice(start, start + block)
        scores = users[part] @ chosen.T  # (block, candidates)
        if excluded is not None:
            _mask(scores, excluded(part), candidates, len(items))
        margin = off * np.linalg.norm(users[part].astype(np.float64), axis=1) + 1e-6 * np.abs(offsets[part])
        margin += users.shape[1] * LOST_BELOW
        yield _best(users[part], chosen, offsets[part], scores, margin, n, rows, start)


def _mask(scores: np.ndarray, excluded: sparse.csr_array, candidates: np.ndarray | None, n_items: int) -> None:
    """Set the excluded pairs of a block to minus infinity, which no real score is."""
    user_rows = np.repeat(np.arange(excluded.shape[0]), np.diff(excluded.indptr))
    columns = excluded.indices
    if candidates is not None:
        place = np.full(n_items, -1)
        place[candidates] = np.arange(len(candidates))
        columns = place[columns]
        user_rows, columns = user_rows[columns >= 0], columns[columns >= 0]
    scores[user_rows, columns] = -np.inf


def _best(
    users: np.ndarray,
    items: np.ndarray,
    offsets: np.ndarray,
    scores: np.ndarray,
    margin: np.ndarray,
    n: int,
    rows: np.ndarray,
    first_user: int,
) -> Ranked:
    """Keep the best ``n`` of each row of approximate scores, decided by their exact scores."""
    if n < scores.shape[1]:
        threshold = np.partition(scores, -n, axis=1)[:, -n] - margin
        near = scores >= np.maximum(threshold, np.finfo(np.float32).min)[:, None]
    else:
        near = scores > -np.inf
    who, what = np.nonzero(near)
    best = first_places(who, what, pair_scores(users, items, offsets, who, what), n, first_user, len(users))
    return Ranked(best.users, rows[best.items], best.scores)


def first_places(
    who: np.ndarray, what: np.ndarray, scores: np.ndarray, n: int, first_user: int, n_users: int
) -> Ranked:
    """Put scored pairs in order, equal scores by item, and keep ``n`` of each user."""
    order = np.lexsort((what, -scores, who))
    counts = np.bincount(who, minlength=n_users)
    place = np.arange(len(who)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = order[place < n]
    return Ranked(who[kept] + first_user, what[kept], scores[kept])
