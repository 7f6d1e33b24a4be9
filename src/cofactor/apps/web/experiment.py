"""Who gets whose lists: a split of the users between two models, lists of both, and lists with chance in them.

All chance follows from keyed hashes of the user, so that somebody's list is the same when it is asked for again.
"""

import hashlib
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cofactor.apps.web.settings import ServiceSettings
from cofactor.lists.team_draft import team_draft

__all__ = ["POOL", "Experiment", "explored", "interleaved"]

POOL = 3
"""Lists with chance are drawn from so many times as many items."""


@dataclass(frozen=True)
class Experiment:
    """A split of the users.

    Parameters
    ----------
    name : str
        The key of the hash: another name is another split.
    share : float
        Of the users who are treated.

    Examples
    --------
    >>> half, tenth = Experiment("autumn", 0.5), Experiment("autumn", 0.1)
    >>> users = [f"u{k}" for k in range(10_000)]
    >>> sum(map(half.treats, users)) // 100, sum(map(tenth.treats, users)) // 100
    (49, 9)
    >>> all(half.treats(user) for user in users if tenth.treats(user))
    True
    """

    name: str
    share: float

    @classmethod
    def of(cls, settings: ServiceSettings) -> "Experiment | None":
        """Return the one of a service with two models."""
        if settings.challenger is None:
            return None
        names = f"{settings.model.name} {settings.challenger.name}"
        return cls(settings.experiment or names[:200], settings.share)

    def treats(self, user: str) -> bool:
        """Tell whether a user is treated: always the same, and still so if the share grows."""
        return _hash(user, self.name) < self.share * 2**64


def chance_for(user: str | None, purpose: str) -> random.Random:
    """Return the chance of a user's lists, which is the same all day; new each time for somebody without a name."""
    if user is None:
        return random.Random()  # noqa: S311
    return random.Random(_hash(user, f"{purpose} {int(time.time() // 86_400)}"))  # noqa: S311


def interleaved(a: Mapping[str, Any], b: Mapping[str, Any], n: int, chance: random.Random) -> dict[str, Any]:
    """Return a list of two models' lists, each item with the team that it is of."""
    lists = {"A": {item["item"]: item for item in a["items"]}, "B": {item["item"]: item for item in b["items"]}}
    draft = team_draft(list(lists["A"]), list(lists["B"]), n, chance)
    places = enumerate(zip(draft.items, draft.teams, strict=True), 1)
    items = [{**lists[team][item], "position": position, "team": team} for position, (item, team) in places]
    return {**a, "items": items, "popular": a["popular"] and b["popular"]}


def explored(
    found: Mapping[str, Any], n: int, share: float, chance: random.Random
) -> tuple[dict[str, Any], tuple[float, ...]]:
    """Return a list of n of the best items and how likely each was at its position.

    With probability ``share`` all are drawn at random from those that were found, otherwise they are the first n.
    """
    pool: Sequence[Mapping[str, Any]] = found["items"]
    size = min(n, len(pool))
    order = chance.sample(range(len(pool)), size) if chance.random() < share else range(size)
    items = [_moved({**pool[place], "position": position}) for position, place in enumerate(order, 1)]
    by_chance = share / max(len(pool), 1)
    likely = tuple(by_chance + (1 - share) * (place == position) for position, place in enumerate(order))
    return {**found, "items": items}, likely


def _moved(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item with how far it moved to the position that it has now."""
    return {**item, "moved": item["was"] - item["position"]} if item.get("was") else item


def _hash(user: str, key: str) -> int:
    keyed = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=32).digest()
    return int.from_bytes(hashlib.blake2b(user.encode("utf-8", "surrogatepass"), digest_size=8, key=keyed).digest())
