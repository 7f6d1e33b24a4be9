"""Boost, Promote and Pin: items that are to be shown more, by choice of whoever makes the lists."""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from cofactor.data.arguments import check_count
from cofactor.data.vocabulary import Id, id_series
from cofactor.errors import SettingError
from cofactor.lists.exact import first_places
from cofactor.lists.request import check_choice_of
from cofactor.lists.rerank import BoundReranker, ListContext, Ranked
from cofactor.lists.where import Where, rows_where

__all__ = ["Boost", "Chosen", "Pin", "Promote"]

Chosen: TypeAlias = Iterable[Id] | Where
"""Item ids, of which those that a model does not have are ignored, or a condition on what is known of the items."""


def _kept(items: Any) -> Any:
    """Return a choice that can be used again, or raise SettingError."""
    if isinstance(items, pl.Expr | str):
        return items
    check_choice_of("items", items, "item")
    if items is None or hasattr(type(items), "columns"):
        raise SettingError("items must be a list of item ids, or a condition such as 'year >= 1990'")
    return id_series(items, "item")


def _told(items: Any) -> str:
    """Return a choice in words that are the same for the same choice, since files of lists are known by them."""
    if isinstance(items, str):
        return repr(items)
    if isinstance(items, pl.Expr):
        return f"<{items}, {_digest(_written(items))}>"
    return f"<{len(items):,} items, {_digest(chr(0).join(map(str, items)).encode())}>"


def _written(condition: pl.Expr) -> bytes:
    """Return an expression in full: its text leaves out most of a long list."""
    try:
        return condition.meta.serialize()
    except pl.exceptions.PolarsError:  # a Python function that cannot be pickled
        return str(condition).encode()


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=6).hexdigest()


def _mask(items: Any, context: ListContext) -> np.ndarray:
    if isinstance(items, pl.Expr | str):
        return _holding(items, context)
    mask = np.zeros(len(context.items), bool)
    rows = context.items.find(items)
    mask[rows[rows >= 0]] = True
    return mask


def _holding(condition: Where, context: ListContext) -> np.ndarray:
    try:
        return rows_where(condition, context.attributes.table, "items")
    except SettingError as error:
        if isinstance(condition, str) and condition in context.items:
            raise SettingError(f"items is {condition!r}: give a list of item ids, [{condition!r}]") from error
        raise


@dataclass(frozen=True, eq=False, repr=False)
class Boost:
    """Add a number to the scores of some items; a re-ranker for ``recommend``.

    **Model.** score + weight for the chosen items. The lists show that sum as the score, and re-rankers that come after
    it work with it.

    **Algorithm.** Exact: besides the best items overall, the best of those are found that can gain from the change.

    **Reference.** Craswell, Robertson, Zaragoza and Taylor (2005), Relevance Weighting for Query Independent Evidence,
    add such a prior to the score of a search.

    Parameters
    ----------
    items : iterable of ids, polars.Expr or str
        Which items; an expression or a text is a condition on what is known of them, as ``where`` of ``recommend``.
    weight : float
        In units of scores; negative to show the items less.

    Raises
    ------
    SettingError
        If ``weight`` is no finite number, or ``items`` are neither; in ``recommend``, if the condition does not fit
        what is known of the items.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.lists import Boost
    >>> from cofactor.solvers import ImplicitALS
    >>> model = ImplicitALS(rank=4, seed=0).fit(cf.load_dataset("synthetic:60x40x600"))
    >>> last = model.recommend([1], n=40)["item"].to_list()[-1]
    >>> model.recommend([1], n=1, rerank=[Boost([last], 5.0)])["item"].to_list() == [last]
    True
    """

    items: Chosen
    weight: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", _kept(self.items))
        number = isinstance(self.weight, int | float | np.number) and not isinstance(self.weight, bool)
        if not number or not math.isfinite(self.weight):
            raise SettingError(f"weight is {self.weight!r}: it must be a finite number, such as 0.1")

    def __repr__(self) -> str:
        return f"Boost({_told(self.items)}, weight={self.weight!r})"

    def bound(self, context: ListContext) -> BoundReranker:
        """Return the re-ranker for some items."""
        return _Boosted(_mask(self.items, context), float(self.weight))


class _Boosted(BoundReranker):
    def __init__(self, mask: np.ndarray, weight: float) -> None:
        self._mask, self._weight = mask, weight
        self._gaining = np.flatnonzero(mask if weight > 0 else ~mask)

    def besides(self, n: int) -> Sequence[tuple[np.ndarray, int]]:
        """Return the items that gain: of the others, only the best can stay among the best."""
        return [(self._gaining, n)]

    def rerank(self, candidates: Ranked, n: int) -> Ranked:
        """Order by the changed scores, equal ones by item row."""
        users, items = candidates.users, candidates.items
        added = candidates.scores.astype(np.float64) + self._weight * self._mask[items]
        n_users = int(users[-1]) + 1 if len(users) else 0
        return first_places(users, items, added.astype(np.float32), n, 0, n_users)


@dataclass(frozen=True, eq=False, repr=False)
class Promote:
    """Give some items a share of every list; a re-ranker for ``recommend``.

    **Model.** With a share of 0.2, at least every fifth item of a list is a promoted one, spread evenly from the top:
    the j-th stands at position j / share at the latest. Each user gets the promoted items of highest score; what would
    be listed anyway counts. The others keep their order.

    **Algorithm.** Exact: the best promoted items are searched for by themselves, however far down they are.

    **Reference.** Promotions of Amazon Personalize, which reserve a percentage of a list for items that meet a filter.

    Parameters
    ----------
    items : iterable of ids, polars.Expr or str
        Which items; an expression or a text is a condition on what is known of them, as ``where`` of ``recommend``.
    share : float
        The least share of a list, above 0 and at most 1. A list has fewer where fewer are left for the user.

    Raises
    ------
    SettingError
        If ``share`` is not above 0 and at most 1, or ``items`` are neither; in ``recommend`` as for `Boost`.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.lists import Promote
    >>> from cofactor.solvers import ImplicitALS
    >>> model = ImplicitALS(rank=4, seed=0).fit(cf.load_dataset("synthetic:60x40x600"))
    >>> last = model.recommend([1], n=40)["item"].to_list()[-1]
    >>> model.recommend([1], n=5, rerank=[Promote([last], 0.2)])["item"].to_list()[-1] == last
    True
    """

    items: Chosen
    share: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", _kept(self.items))
        number = isinstance(self.share, int | float | np.number) and not isinstance(self.share, bool)
        if not number or not 0 < self.share <= 1:
            raise SettingError(f"share is {self.share!r}: it must be a number above 0 and at most 1, such as 0.2")

    def __repr__(self) -> str:
        return f"Promote({_told(self.items)}, share={self.share!r})"

    def bound(self, context: ListContext) -> BoundReranker:
        """Return the re-ranker for some items."""
        return _Promoted(_mask(self.items, context), float(self.share))


class _Promoted(BoundReranker):
    def __init__(self, mask: np.ndarray, share: float) -> None:
        self._mask, self._share = mask, share

    def due(self, n: int) -> np.ndarray:
        """Return by which place, from 0, each promoted item is due in a list of ``n``."""
        j = np.arange(1, math.ceil(self._share * n - 1e-9) + 1)
        return np.minimum(np.floor(j / self._share + 1e-9).astype(np.int64), n) - 1

    def besides(self, n: int) -> Sequence[tuple[np.ndarray, int]]:
        """Return the promoted items: as many of the best as the list is to hold."""
        return [(np.flatnonzero(self._mask), len(self.due(n)))]

    def rerank(self, candidates: Ranked, n: int) -> Ranked:
        """Move promoted items to where they are due."""
        from cofactor.kernels.compiling import readable  # brings numba
        from cofactor.kernels.greedy import take_promoted
        from cofactor.lists.picking import picked

        return picked(take_promoted, candidates, n, readable(self.due(n)), readable(self._mask))


@dataclass(frozen=True)
class Pin:
    """Put items at fixed places of every list; a re-ranker for ``recommend``.

    **Model.** The pinned items stand at their places, and the others keep their order around them. Whoever must not be
    shown a pinned item, because of having seen it or of a filter, gets a list without it.

    **Algorithm.** The pinned items are searched for by themselves, and placed.

    **Reference.** Editors' picks, as in the pinned results of search engines.

    Parameters
    ----------
    places : mapping of int to id
        Which item is at which position, from 1: ``{1: "50"}``. Ids that a model does not have are ignored.

    Raises
    ------
    SettingError
        If a position is below 1, or an item has two of them.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.lists import Pin
    >>> from cofactor.solvers import ImplicitALS
    >>> model = ImplicitALS(rank=4, seed=0).fit(cf.load_dataset("synthetic:60x40x600"))
    >>> last = model.recommend([1], n=40)["item"].to_list()[-1]
    >>> model.recommend([1], n=3, rerank=[Pin({2: last})])["item"].to_list()[1] == last
    True
    """

    places: Mapping[int, Id]
    _ids: pl.Series = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.places, Mapping):
            raise SettingError(f"places is {self.places!r}: say which item is at which position, such as {{1: '50'}}")
        for position in self.places:
            check_count("a position in places", position)
        object.__setattr__(self, "places", dict(sorted(self.places.items())))
        object.__setattr__(self, "_ids", id_series(list(self.places.values()), "item"))
        if self._ids.n_unique() < len(self._ids):
            raise SettingError(f"places is {self.places!r}: give every item one position")

    def bound(self, context: ListContext) -> BoundReranker:
        """Return the re-ranker for some items."""
        places = np.full(len(context.items), -1)
        rows = context.items.find(self._ids)
        places[rows[rows >= 0]] = np.array(list(self.places), np.int64)[rows >= 0] - 1
        return _Pinned(places)


class _Pinned(BoundReranker):
    def __init__(self, places: np.ndarray) -> None:
        self._places = places

    def besides(self, n: int) -> Sequence[tuple[np.ndarray, int]]:
        """Return the pinned items."""
        pinned = np.flatnonzero(self._places >= 0)
        return [(pinned, len(pinned))]

    def rerank(self, candidates: Ranked, n: int) -> Ranked:
        """Put pinned items at their places."""
        from cofactor.kernels.compiling import readable  # brings numba
        from cofactor.kernels.greedy import take_pinned
        from cofactor.lists.picking import picked

        return picked(take_pinned, candidates, n, readable(self._places, np.int64))
