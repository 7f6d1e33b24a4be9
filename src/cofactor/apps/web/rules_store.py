"""Rules for all lists, kept in the same database as the ratings, each with who set it and when."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sql

from cofactor.apps.web.schema import RULES
from cofactor.apps.web.store import RatingsStore, StoreAway, upsert

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["LISTS", "RulesStore", "SetRule"]

LISTS = ""
"""In place of an item's id: the rule is of all lists. No item has an empty id."""


@dataclass(frozen=True)
class SetRule:
    """A rule of an item, or of all lists; None where it was taken back. And who set it, and when.

    Parameters
    ----------
    item : str
    rule : mapping of str, or None
    by : str
    at : int
        Seconds since 1970.
    revision : int
    """

    item: str
    rule: Mapping[str, Any] | None
    by: str
    at: int
    revision: int


class RulesStore:
    """The rules of a store. All methods block, and raise `StoreAway` where the database fails.

    Parameters
    ----------
    store : RatingsStore
    """

    def __init__(self, store: RatingsStore) -> None:
        self._store = store

    def write(self, item: str, rule: Mapping[str, Any] | None, by: str) -> None:
        """Store a rule in place of the one before; None takes it back."""
        text = None if rule is None else json.dumps(rule)

        def write(connection: "Connection", revision: int) -> None:
            row = {"item_id": item, "rule": text, "set_by": by, "set_at": int(time.time()), "revision": revision}
            connection.execute(upsert(connection, RULES), [row])

        self._store.writing(write)

    def since(self, revision: int) -> list[SetRule]:
        """Return what was set or taken back after a revision."""
        columns = RULES.c.item_id, RULES.c.rule, RULES.c.set_by, RULES.c.set_at, RULES.c.revision
        asked = sql.select(*columns).where(RULES.c.revision > revision).order_by(RULES.c.revision)
        rows = self._store.reading(lambda connection: connection.execute(asked).all())
        return [SetRule(str(item), _rule(text), str(by), int(at), number) for item, text, by, at, number in rows]


def _rule(text: str | None) -> Mapping[str, Any] | None:
    """Return what a stored text says; SQLite keeps anything in any column."""
    try:
        found = None if text is None else json.loads(text)
    except (TypeError, ValueError):
        found = ()
    if found is not None and not isinstance(found, dict):
        raise StoreAway("the database holds a rule that is none: delete it from cofactor_rules")
    return found
