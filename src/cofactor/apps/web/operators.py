"""What whoever runs a service wants to know: what is rated each day, by whom, all of one person, what lists hold."""

import time
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import sqlalchemy as sql

from cofactor.apps.web.profiles import NOBODY, user_profile
from cofactor.apps.web.recommendations import ServiceListRequest, recommended
from cofactor.apps.web.schema import RATINGS
from cofactor.apps.web.served_model import ServedModel
from cofactor.apps.web.store import RatingsStore

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["ListShares", "list_shares", "person", "raters", "ratings_a_day"]

DAY = 86_400

LISTS, LENGTH = 500, 10
"""Of so many people the lists are looked through, and so long they are."""


class ListShares(NamedTuple):
    """The share of people's lists that each item is in, and of how many people."""

    shares: np.ndarray
    people: int


_SHARES: "weakref.WeakKeyDictionary[ServedModel, ListShares]" = weakref.WeakKeyDictionary()


def list_shares(served: ServedModel) -> ListShares:
    """Return in which share of the lists of the model's users each item is, with the rules for all lists.

    Of many users, 500 at random are looked at; what is found is kept for as long as the model is served.
    """
    if (known := _SHARES.get(served)) is not None:
        return known
    model, request = served.model, ServiceListRequest(n=LENGTH)
    rows = np.random.default_rng(0).permutation(model.n_users)[:LISTS]
    counts = np.zeros(model.n_items, np.int64)
    names = [str(model.users[int(row)]) for row in rows]
    for name in names:
        found = recommended(served, user_profile(served, name, {}) or NOBODY, request)
        counts[[served.items.rows[item["item"]] for item in found["items"]]] += 1
    _SHARES[served] = made = ListShares(counts / max(len(names), 1), len(names))
    return made


def ratings_a_day(store: RatingsStore, days: int, now: float | None = None) -> list[dict[str, int]]:
    """Return for each of the last days, in UTC, how many stored ratings were last given on it, and by how many people.

    Raises
    ------
    StoreAway
        If the store does not answer.
    """
    today = int(time.time() if now is None else now) // DAY * DAY
    first = today - (days - 1) * DAY
    day = (RATINGS.c.rated_at - RATINGS.c.rated_at % DAY).label("day")
    columns = day, sql.func.count().label("ratings"), sql.func.count(sql.distinct(RATINGS.c.user_id)).label("people")
    asked = sql.select(*columns).where(RATINGS.c.rated_at >= first, RATINGS.c.value.is_not(None)).group_by(day)
    rows = store.reading(lambda connection: connection.execute(asked).all())
    found = {int(when): (int(ratings), int(people)) for when, ratings, people in rows}
    return [
        {"day": when, "ratings": found.get(when, (0, 0))[0], "people": found.get(when, (0, 0))[1]}
        for when in range(first, today + DAY, DAY)
    ]


def raters(store: RatingsStore, item: str, n: int) -> list[dict[str, Any]]:
    """Return who last rated an item here.

    Raises
    ------
    StoreAway
        If the store does not answer.
    """
    asked = (
        sql.select(RATINGS.c.user_id, RATINGS.c.value, RATINGS.c.rated_at)
        .where(RATINGS.c.item_id == item, RATINGS.c.value.is_not(None))
        .order_by(RATINGS.c.revision.desc())
        .limit(n)
    )
    rows = store.reading(lambda connection: connection.execute(asked).all())
    return [{"user": user, "rating": float(value), "rated_at": int(when)} for user, value, when in rows]


def person(store: RatingsStore, user: str) -> list[dict[str, Any]]:
    """Return all that is stored of a user, the newest first; deleted ratings have None.

    Raises
    ------
    StoreAway
        If the store does not answer.
    """
    columns = RATINGS.c.item_id, RATINGS.c.value, RATINGS.c.rated_at
    asked = sql.select(*columns).where(RATINGS.c.user_id == user).order_by(RATINGS.c.revision.desc())

    def read(connection: "Connection") -> list[dict[str, Any]]:
        rows = connection.execute(asked).all()
        return [
            {"item": item, "rating": None if value is None else float(value), "rated_at": int(when)}
            for item, value, when in rows
        ]

    return store.reading(read)
