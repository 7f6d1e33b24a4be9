"""Lists as the API answers them: the best items, or popular ones if nothing is known; similar items; who moved."""

import functools
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cofactor.apps.web.house_rules import Placing
from cofactor.apps.web.item_index import ItemFilters
from cofactor.apps.web.list_rules import NO_RULES, ListRules, naming
from cofactor.apps.web.profiles import NOBODY, Profile
from cofactor.apps.web.reasons import reasons_of
from cofactor.apps.web.scoring import best_items, best_of_popular, item_scores
from cofactor.apps.web.served_model import ServedModel
from cofactor.errors import SettingError
from cofactor.lists.request import By, ListRequest
from cofactor.model.factors import parameters_of
from cofactor.model.neighbours import nearest

__all__ = ["ServiceListRequest", "check", "positions_of", "recommended", "similar", "warm_rules"]


@dataclass(frozen=True, kw_only=True)
class ServiceListRequest:
    """How a list of the service should be: the library's request, with filters by what is known of items, and reasons.

    Parameters
    ----------
    n : int
    candidates, exclude : tuple of str
        Item ids to choose from, and never to choose; unknown ones are ignored.
    filters : ItemFilters
    by : {"mean", "optimistic", "cautious"}
    rules : ListRules
    reasons : int
        How many ratings to name for each item that raised its score.
    placing : Placing, optional
        Comes last: the service's own rules for items.
    """

    n: int = 10
    candidates: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    filters: ItemFilters = ItemFilters()
    by: By = "mean"
    rules: ListRules = NO_RULES
    reasons: int = 0
    placing: Placing | None = None

    @functools.cached_property
    def ranking(self) -> ListRequest:
        """What the library is asked for, once the filters have become item rows."""
        placed = () if self.placing is None else (self.placing,)
        return ListRequest(n=self.n, by=self.by, rerank=(*self.rules.rerankers, *placed))

    @functools.cached_property
    def noted(self) -> str:
        """What was asked for beyond what is usual, as JSON; of ids, how many."""
        known = {**asdict(self.filters), **asdict(self.rules), "by": self.by, "n": self.n}
        usual = {**asdict(_USUAL.filters), **asdict(_USUAL.rules), "by": _USUAL.by}
        asked = {name: value for name, value in known.items() if name not in usual or value != usual[name]}
        ids = {"candidates": self.candidates, "exclude": self.exclude}
        return json.dumps({**asked, **{name: len(some) for name, some in ids.items() if some}}, default=str)


_USUAL = ServiceListRequest()


def check(served: ServedModel, request: ServiceListRequest) -> None:
    """Refuse a request that the model cannot answer.

    Raises
    ------
    SettingError
        If the list is to be ordered by uncertainty, and the model has none; if a condition or a rule does not fit what
        is known of the items.
    """
    if request.by != "mean" and not served.has_spread:
        raise SettingError(
            f"by={request.by!r} needs a model with uncertainty, such as BayesianMF's: use by='mean' here"
        )
    request.rules.check(served.attributes)
    _where(served, request)


def _where(served: ServedModel, request: ServiceListRequest) -> np.ndarray | None:
    """Return for which items a request's condition holds: a mask, not to be changed; None without a condition."""
    if request.rules.where is None:
        return None
    with naming("where"):
        return served.rows_where(request.rules.where)


def recommended(
    served: ServedModel, profile: Profile, request: ServiceListRequest, before: Profile | None = None
) -> dict[str, Any]:
    """Return a profile's list; with an earlier profile, also how each item moved since.

    Raises
    ------
    SettingError
        As `check` does.
    """
    check(served, request)
    request = served.house.applied(request)
    allowed = _allowed(served, request)
    rows, scores = _best(served, profile, request, allowed)
    items = _described(served, rows, scores)
    for item, row in zip(items, rows, strict=True):
        if row in served.house.pinned:
            item["pinned"] = True
    if before is not None:
        was = _positions(served, before, rows, allowed, request)
        for item, old in zip(items, was, strict=True):
            item["was"] = old or None
            item["moved"] = old - item["position"] if old else None
    if request.reasons:
        found = reasons_of(
            served,
            profile,
            rows,
            request.reasons,
            lambda other, those: _positions(served, other, those, allowed, request),
        )
        for item, reasons in zip(items, found, strict=True):
            item["reasons"] = reasons
    return {**served.label, "popular": not profile.is_known, "items": items}


def warm_rules(served: ServedModel) -> None:
    """Load what rules need, so that the first list with rules need not wait; nothing where no attribute is known."""
    if (column := next((one.name for one in served.attribute_values if one.values), None)) is None:
        return
    for rules in (ListRules(at_most=1, per=column, diversify=column), ListRules(calibrate=column)):
        recommended(served, NOBODY, ServiceListRequest(n=1, rules=rules))


def _allowed(served: ServedModel, request: ServiceListRequest) -> np.ndarray | None:
    """Return the sorted rows that a list may hold; None if all may."""
    passing, holds, hidden = served.items.rows_passing(request.filters), _where(served, request), served.house.hidden
    if request.candidates is None and not request.exclude and holds is None and not len(hidden):
        return passing
    mask = np.full(served.model.n_items, passing is None)
    if passing is not None:
        mask[passing] = True
    if holds is not None:
        mask &= holds
    if request.candidates is not None:
        chosen = np.zeros(served.model.n_items, bool)
        chosen[served.items.known(request.candidates)] = True
        mask &= chosen
    mask[served.items.known(request.exclude)] = False
    mask[hidden] = False
    return np.flatnonzero(mask)


def _best(
    served: ServedModel, profile: Profile, request: ServiceListRequest, allowed: np.ndarray | None
) -> tuple[list[int], Sequence[float | None]]:
    """Return the rows and scores of the best items; of popular ones, without scores, if nothing is known."""
    if profile.is_known:
        ranked = best_items(served, profile, request.ranking, allowed)
        return ranked.items.tolist(), ranked.scores.tolist()
    if request.ranking.rerank:
        return (rows := best_of_popular(served, profile, request.ranking, allowed).items.tolist()), [None] * len(rows)
    order = served.items.by_popularity
    rows = order[_open(served, profile, allowed)[order]][: request.n].tolist()
    return rows, [None] * len(rows)


def _described(served: ServedModel, rows: Sequence[int], scores: Sequence[float | None]) -> list[dict[str, Any]]:
    describe = served.items.describe
    return [
        {"position": position, **describe(row), "score": score}
        for position, (row, score) in enumerate(zip(rows, scores, strict=True), 1)
    ]


def _open(served: ServedModel, profile: Profile, allowed: np.ndarray | None) -> np.ndarray:
    """Return which items may be in a profile's list: shape (items,)."""
    is_open = np.full(served.model.n_items, allowed is None)
    if allowed is not None:
        is_open[allowed] = True
    is_open[profile.rated.rows] = False
    return is_open


def positions_of(
    served: ServedModel, profiles: Iterable[Profile], item: int, request: ServiceListRequest
) -> list[int | None]:
    """Return an item's position in each profile's list, from 1; None where it is not in it.

    Without rules that is the whole list, however long a list is asked for.
    """
    request = served.house.applied(request)
    allowed = _allowed(served, request)
    return [_positions(served, profile, [item], allowed, request)[0] or None for profile in profiles]


def _positions(
    served: ServedModel, profile: Profile, rows: Sequence[int], allowed: np.ndarray | None, request: ServiceListRequest
) -> list[int]:
    """Return the positions of some items in a profile's list, from 1; 0 for items that are not in it.

    What rules choose depends on the length of a list, so with rules it is the list of that length; without, the whole
    list. Of items with equal scores the lower row comes first.
    """
    if request.ranking.rerank:
        places = {row: place for place, row in enumerate(_best(served, profile, request, allowed)[0], 1)}
        return [places.get(row, 0) for row in rows]
    known = profile.is_known
    scores = item_scores(served, profile, request.by) if known else served.items.popularity.astype(np.float32)
    is_open = _open(served, profile, allowed)
    every = np.arange(len(scores))
    found = []
    for row in rows:
        ahead = (scores > scores[row]) | ((scores == scores[row]) & (every < row))
        found.append(1 + int(np.count_nonzero(ahead & is_open)) if is_open[row] else 0)
    return found


def similar(served: ServedModel, row: int, n: int, where: str | None = None) -> dict[str, Any]:
    """Return the items with the largest cosine to one, of those that a condition holds for.

    Raises
    ------
    FieldError
        If the condition does not fit what is known of the items.
    """
    chosen = _allowed(served, ServiceListRequest(rules=ListRules(where=where)))
    near = nearest(parameters_of(served.model), "item", row, n, chosen)
    items = _described(served, near.items.tolist(), near.scores.astype(float).tolist())
    return {**served.label, "item": served.items.ids[row], "title": served.items.titles[row], "items": items}
