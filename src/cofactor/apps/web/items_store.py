"""Items that were put with their attributes, kept in the same database as the ratings."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import sqlalchemy as sql

from cofactor.apps.web.ratings_table import Rating
from cofactor.apps.web.schema import ITEMS, RATINGS
from cofactor.apps.web.store import RatingsStore, upsert

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Attributes", "ItemChange", "ItemsStore"]

Attributes: TypeAlias = Mapping[str, Any]
"""Values by column, as JSON has them."""

_AT_ONCE = 500


@dataclass(frozen=True)
class ItemChange:
    """An item that was put, or deleted if it has no attributes; and the revision of that."""

    item: str
    attributes: Attributes | None
    revision: int


class ItemsStore:
    """The items of a store. All methods block, and raise `StoreAway` where the database fails.

    Parameters
    ----------
    store : RatingsStore
    """

    def __init__(self, store: RatingsStore) -> None:
        self._store = store

    def write(self, item: str, attributes: Attributes | None) -> None:
        """Store an item's attributes in place of those stored before; None deletes them."""
        text = None if attributes is None else json.dumps(attributes)

        def write(connection: "Connection", revision: int) -> None:
            row = {"item_id": item, "attributes": text, "revision": revision}
            connection.execute(upsert(connection, ITEMS), [row])

        self._store.writing(write)

    def since(self, revision: int) -> list[ItemChange]:
        """Return what was put or deleted after a revision."""
        asked = sql.select(ITEMS.c.item_id, ITEMS.c.attributes, ITEMS.c.revision).where(ITEMS.c.revision > revision)
        rows = self._store.reading(lambda connection: connection.execute(asked.order_by(ITEMS.c.revision)).all())
        return [ItemChange(item, None if text is None else json.loads(text), at) for item, text, at in rows]

    def ratings_of(self, items: Iterable[str]) -> list[Rating]:
        """Return the stored ratings of some items; this reads through all ratings."""
        found: list[Rating] = []
        names = list(items)
        for first in range(0, len(names), _AT_ONCE):
            some = names[first : first + _AT_ONCE]
            columns = RATINGS.c.user_id, RATINGS.c.item_id, RATINGS.c.value
            asked = sql.select(*columns).where(RATINGS.c.item_id.in_(some), RATINGS.c.value.is_not(None))
            rows = self._store.reading(lambda connection, asked=asked: connection.execute(asked).all())  # type: ignore[misc]
            found += [(user, item, value) for user, item, value in rows]
        return found
