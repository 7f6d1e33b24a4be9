"""Two lists made into one, so that what people choose from it says which of the two they prefer."""

import random
from collections.abc import Hashable, Sequence
from typing import NamedTuple, TypeVar

__all__ = ["Draft", "team_draft"]

Item = TypeVar("Item", bound=Hashable)


class Draft(NamedTuple):
    """An interleaved list, and which list (``"A"`` or ``"B"``) each of its positions is of."""

    items: list
    teams: str


def team_draft(a: Sequence[Item], b: Sequence[Item], n: int, chance: random.Random) -> Draft:
    """Interleave two lists by team draft.

    In each round a coin says which of the two picks first; each picks its best item that is not in the list yet. So
    both have about as many items at about the same positions, whichever is better.

    **Reference.** Radlinski, Kurup and Joachims (2008), How Does Clickthrough Data Reflect Retrieval Quality?

    Parameters
    ----------
    a, b : sequence
        Items, the best first, each once.
    n : int
        Length of the interleaved list.
    chance : random.Random
        Tosses the coins.

    Examples
    --------
    >>> team_draft(["tea", "rye"], ["rye", "oat"], 3, random.Random(1))
    Draft(items=['tea', 'rye', 'oat'], teams='ABB')
    """
    items: list[Item] = []
    teams: list[str] = []
    taken: set[Item] = set()
    sides = {"A": iter(a), "B": iter(b)}
    while len(items) < n:
        before = len(items)
        for team in "AB" if chance.random() < 0.5 else "BA":
            pick = next((item for item in sides[team] if item not in taken), None)
            if pick is not None and len(items) < n:
                items.append(pick)
                teams.append(team)
                taken.add(pick)
        if len(items) == before:
            break
    return Draft(items, "".join(teams))
