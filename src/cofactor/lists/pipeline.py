"""From a retriever through the re-rankers to lists of n: as deep as they need, and deeper where lists come out short.

Each re-ranker is given the list that the one before it made, as deep as it asks for, and at its end the items that it
needs however far down they are: these are searched for by themselves. Where a rule leaves items out and a list is
short, the list is made again from four times as many, until it is full or no item is left. So a list is as long as
the rules and the filter allow.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from cofactor.lists.exact import joined
from cofactor.lists.request import ListRequest
from cofactor.lists.rerank import AnyReranker, ListContext, Ranked, Reranker
from cofactor.lists.retriever import Filter, Retriever, Users

__all__ = ["rank"]

ROWS_AT_ONCE = 2_000_000
"""The most candidates that are held at a time where lists are made again from deeper ones."""

DEEPER = 4


def rank(
    retriever: Retriever,
    users: Users,
    rows: np.ndarray,
    request: ListRequest,
    chosen: Filter | None = None,
    context: ListContext | None = None,
) -> Ranked:
    """Return the lists of some rows of ``users``: retrieved as deep as the re-rankers need, re-ranked, cut to ``n``.

    Parameters
    ----------
    retriever : Retriever
    users : Users
    rows : numpy.ndarray of int
    request : ListRequest
    chosen : Filter, optional
        Everything if not given.
    context : ListContext, optional
        What rules are bound to; needed if there are any.
    """
    chosen = chosen or Filter()
    if not request.rerank:
        return retriever.search(users, rows, request.n, chosen)
    return _Pipeline(retriever, users, rows, chosen, [_bound(one, context) for one in request.rerank]).lists(request.n)


def _bound(reranker: AnyReranker, context: ListContext | None) -> Reranker:
    if not hasattr(reranker, "bound"):
        return reranker
    assert context is not None, "rules need to know of the items"
    bound: Reranker = reranker.bound(context)
    return bound


class _Pipeline:
    """One search and its re-rankers; users are named by their positions among ``rows``."""

    def __init__(
        self, retriever: Retriever, users: Users, rows: np.ndarray, chosen: Filter, stages: Sequence[Reranker]
    ) -> None:
        self.retriever, self.users, self.rows, self.chosen, self.stages = retriever, users, rows, chosen, stages

    def lists(self, n: int) -> Ranked:
        """Return everybody's list."""
        everybody = np.arange(len(self.rows))
        made, found = self._made(everybody, n, 1)
        if not any(getattr(stage, "deepens", False) for stage in self.stages):
            return made
        short = _counts(made, everybody) < n
        done, waiting, found, factor = [_without(made, everybody[short])], everybody[short], found[short], 1
        while len(waiting):
            all_there = found < self._least_depth(n, factor)
            done += [self._made(some, n, factor, whole=True)[0] for some in self._blocks(waiting[all_there], n, factor)]
            waiting, factor = waiting[~all_there], DEEPER * factor
            still, counts = [waiting[:0]], [found[:0]]
            for some in self._blocks(waiting, n, factor):
                made, found = self._made(some, n, factor)
                short = _counts(made, some) < n
                done.append(_without(made, some[short]))
                still.append(some[short])
                counts.append(found[short])
            waiting, found = np.concatenate(still), np.concatenate(counts)
        return _by_user(done)

    def _blocks(self, some: np.ndarray, n: int, factor: int) -> list[np.ndarray]:
        size = max(1, ROWS_AT_ONCE // self._depths(n, factor)[0])
        return [some[first : first + size] for first in range(0, len(some), size)]

    def _depths(self, n: int, factor: int) -> list[int]:
        """Return how many candidates each re-ranker gets, and at the end how many are wanted of the last."""
        depths = [n]
        for stage in reversed(self.stages):
            more = factor if getattr(stage, "deepens", False) else 1
            depths.append(min(max(more * stage.depth(depths[-1]), depths[-1]), self.retriever.n_items + 1))
        return depths[::-1]

    def _least_depth(self, n: int, factor: int) -> int:
        pairs = zip(self.stages, self._depths(n, factor), strict=False)
        return min(depth for stage, depth in pairs if getattr(stage, "deepens", False))

    def _made(self, some: np.ndarray, n: int, factor: int, whole: bool = False) -> tuple[Ranked, np.ndarray]:
        """Return the lists of some users, and how many candidates there were for each."""
        depths = self._depths(n, factor)
        ranked = self._searched(some, depths[0], self.chosen)
        found = _counts(ranked, some)
        for stage, depth in zip(self.stages, depths[1:], strict=True):
            for items, count in getattr(stage, "besides", _nothing)(depth):
                ranked = self._with_more(ranked, some, items, count)
            ranked = stage.rerank(dataclasses.replace(ranked, whole=whole), depth)
        return ranked, found

    def _searched(self, some: np.ndarray, n: int, chosen: Filter) -> Ranked:
        if len(some) == len(self.rows):
            return self.retriever.search(self.users, self.rows, n, chosen)
        found = self.retriever.search(self.users, self.rows[some], n, chosen.of_users(some))
        return Ranked(some[found.users], found.items, found.scores)

    def _with_more(self, ranked: Ranked, some: np.ndarray, items: np.ndarray, count: int) -> Ranked:
        """Return lists with the best ``count`` of some items below the others, where they are not in them already."""
        allowed = items if self.chosen.candidates is None else np.intersect1d(items, self.chosen.candidates)
        more = self._searched(some, count, dataclasses.replace(self.chosen, candidates=allowed))
        size = self.retriever.n_items
        there = np.isin(more.users * size + more.items, ranked.users * size + ranked.items)
        more = Ranked(more.users[~there], more.items[~there], more.scores[~there])
        return _by_user([ranked, more])


def _nothing(n: int) -> tuple[()]:
    return ()


def _counts(ranked: Ranked, some: np.ndarray) -> np.ndarray:
    counts: np.ndarray = np.bincount(ranked.users, minlength=int(some[-1]) + 1 if len(some) else 0)[some]
    return counts


def _without(ranked: Ranked, users: np.ndarray) -> Ranked:
    kept = ~np.isin(ranked.users, users)
    return Ranked(ranked.users[kept], ranked.items[kept], ranked.scores[kept])


def _by_user(parts: Sequence[Ranked]) -> Ranked:
    whole = joined(list(parts))
    order = np.argsort(whole.users, kind="stable")
    return Ranked(whole.users[order], whole.items[order], whole.scores[order])
