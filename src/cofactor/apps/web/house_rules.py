"""The rules that whoever runs a service sets for all its lists: items hidden, pinned, moved; and what holds by default.

They are part of what is served, as items that were put are: every process reads them from the store, and a request
takes them together with the model.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from cofactor.apps.web.list_rules import ListRules
from cofactor.apps.web.rules_store import LISTS, SetRule
from cofactor.errors import SettingError
from cofactor.lists.attributes import ItemAttributes
from cofactor.lists.rerank import BoundReranker, Ranked, starts_of

__all__ = ["NO_HOUSE_RULES", "HouseRules", "Placing", "house_rules"]

_NO_ROWS = np.empty(0, np.int64)
Request = TypeVar("Request")
"""A `ServiceListRequest`, which is built on this module."""


class Placing(BoundReranker):
    """Moves items up or down by some places, then puts the pinned ones where they belong.

    Parameters
    ----------
    moves : mapping of int to int
        By how many places an item row moves up; down, where negative.
    pins : mapping of int to int
        The position of an item row, from 1.

    Examples
    --------
    >>> ranked = Ranked(np.zeros(5, int), np.array([4, 3, 2, 1, 0]), np.arange(5, 0, -1, dtype=np.float32))
    >>> Placing({1: 2, 4: -1}, {0: 1}).rerank(ranked, 4).items
    array([0, 1, 3, 4])
    """

    def __init__(self, moves: Mapping[int, int], pins: Mapping[int, int]) -> None:
        self._moves, self._pins = dict(moves), dict(pins)
        self._farthest = max([0, *moves.values()])
        self._down = sum(places < 0 for places in moves.values())

    def depth(self, n: int) -> int:
        """Return how many candidates it needs: as many more as an item may rise, and as many as may sink."""
        return n + self._farthest + self._down

    def besides(self, n: int) -> list[tuple[np.ndarray, int]]:
        """Return the pinned items, which are to be among the candidates."""
        return [(np.array(sorted(self._pins)), len(self._pins))] if self._pins else []

    def rerank(self, candidates: Ranked, n: int) -> Ranked:
        """Return the lists with every item in its place, each cut to ``n``."""
        _, starts = starts_of(candidates)
        chosen = [
            start + self._order(candidates.items[start:end].tolist())[:n]
            for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
        ]
        rows = np.concatenate(chosen) if chosen else _NO_ROWS
        return Ranked(candidates.users[rows], candidates.items[rows], candidates.scores[rows])

    def _order(self, items: list[int]) -> np.ndarray:
        """Return a list's places in their new order."""
        free = [place for place, item in enumerate(items) if item not in self._pins]
        ranks = {place: rank for rank, place in enumerate(free)}

        def wanted(place: int) -> tuple[float, int]:
            up = self._moves.get(items[place], 0)
            beside = 0.5 if up < 0 else -0.5 if up else 0.0  # past the one whose place it takes
            return ranks[place] - up + beside, ranks[place]

        order = sorted(free, key=wanted)
        pinned = sorted((self._pins[item], place) for place, item in enumerate(items) if item in self._pins)
        for position, place in pinned:
            order.insert(position - 1, place)
        return np.array(order, np.int64)


@dataclass(frozen=True, eq=False)
class HouseRules:
    """The rules of a service, as they are for one model.

    Parameters
    ----------
    hidden : numpy.ndarray of int
        Sorted rows of items that are in no list.
    pinned : dict of int to int
        Positions by item row.
    moved : dict of int to int
        Places up by item row.
    lists : dict of str
        The fields of `ListRules` that hold where a request says nothing of them.
    unfit : tuple of str
        Items that have a rule, and are not in the model; "lists" where that rule does not fit what is known of them.
    """

    hidden: np.ndarray = field(default_factory=lambda: _NO_ROWS)
    pinned: Mapping[int, int] = field(default_factory=dict)
    moved: Mapping[int, int] = field(default_factory=dict)
    lists: Mapping[str, Any] = field(default_factory=dict)
    unfit: tuple[str, ...] = ()
    placing: Placing | None = None

    def applied(self, request: Request) -> Request:
        """Return a request that keeps to the rules; what it asks for itself comes first."""
        if self.placing is None and not self.lists:
            return request
        asked: Any = request
        ruled: Request = dataclasses.replace(asked, rules=self._with_defaults(asked.rules), placing=self.placing)
        return ruled

    def summary(self) -> dict[str, Any]:
        """Return how many rules there are, and what holds by default, for everybody to see."""
        counts = {"hidden": len(self.hidden), "pinned": len(self.pinned), "moved": len(self.moved)}
        return {**counts, "lists": dict(self.lists)}

    def _with_defaults(self, asked: ListRules) -> ListRules:
        defaults = dict(self.lists)
        if asked.at_most is not None:
            defaults.pop("at_most", None)
            defaults.pop("per", None)
        if asked.diversify is not None or asked.calibrate is not None:
            for name in ("diversify", "calibrate", "strength"):
                defaults.pop(name, None)
        return dataclasses.replace(asked, **defaults) if defaults else asked


NO_HOUSE_RULES = HouseRules()


def house_rules(rules: Iterable[SetRule], rows: Mapping[str, int], attributes: ItemAttributes) -> HouseRules:
    """Return what rules mean for a model; those that do not fit it are named and left out.

    Parameters
    ----------
    rules : iterable of SetRule
    rows : mapping of str to int
        The model's item rows by id.
    attributes : ItemAttributes
    """
    hidden, pinned, moved, lists, unfit = [], {}, {}, {}, []
    for one in rules:
        rule = one.rule or {}
        if one.item == LISTS:
            try:
                ListRules(**rule).check(attributes)
                lists = dict(rule)
            except (SettingError, TypeError):
                unfit.append("lists")
        elif (row := rows.get(one.item)) is None:
            unfit.append(one.item)
        elif rule.get("hide"):
            hidden.append(row)
        elif (position := rule.get("pin")) is not None:
            pinned[row] = int(position)
        elif places := rule.get("boost"):
            moved[row] = int(places)
    placing = Placing(moved, pinned) if moved or pinned else None
    return HouseRules(np.array(sorted(hidden), np.int64), pinned, moved, lists, tuple(unfit), placing)
