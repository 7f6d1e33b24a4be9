"""Lists that were served and what people did with them, kept in the same database as the ratings."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import polars as pl
import sqlalchemy as sql

from cofactor.apps.web.erasures import digest_of
from cofactor.apps.web.list_ids import first_id_of
from cofactor.apps.web.schema import ERASURES, EVENTS, LISTS, STATE
from cofactor.apps.web.store import RatingsStore, upsert

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Event", "EventsStore", "Kind", "ServedList", "Written", "logged_lists"]

Kind: TypeAlias = Literal["shown", "opened", "chosen", "dismissed"]

_AT_ONCE = 500
_PAGE = 2_000


@dataclass(frozen=True)
class ServedList:
    """A list that was served.

    Parameters
    ----------
    list_id : str
    served_at : float
        Seconds since 1970.
    user : str, optional
        None for somebody without a name.
    experiment : str
        The name of the split between two models; empty for a single model.
    arm : str
        ``"A"`` or ``"B"``, by whose model it was made; ``"AB"`` for an interleaved list.
    model : str
        The model's digest.
    request : str
        What was asked for, as JSON.
    items : tuple of str
        In the order of their positions.
    teams : str
        Of an interleaved list, which model each position is of, such as ``"ABBA"``.
    propensities : tuple of float, optional
        How likely each item was at its position; None for a list without chance.
    revision : int
        Up to which write of the store was known when it was made.
    """

    list_id: str
    served_at: float
    user: str | None
    experiment: str
    arm: str
    model: str
    request: str
    items: tuple[str, ...]
    teams: str = ""
    propensities: tuple[float, ...] | None = None
    revision: int = -1

    def row(self) -> dict[str, Any]:
        """Return the row of its table."""
        positions: dict[str, Any] = {"items": self.items}
        if self.teams:
            positions["teams"] = self.teams
        if self.propensities is not None:
            positions["propensities"] = self.propensities
        return {
            "list_id": self.list_id, "day": int(self.served_at // 86_400), "served_at": int(1000 * self.served_at),
            "user_id": self.user, "experiment": self.experiment, "arm": self.arm, "model": self.model,
            "request": self.request, "items": json.dumps(positions, separators=(",", ":")),
        }  # fmt: skip


class Event(NamedTuple):
    """What somebody did with an item of a list; no item (an empty text) for the whole list. Times are as of lists."""

    list_id: str
    item: str
    kind: Kind
    told_at: float


class Written(NamedTuple):
    """How many lists and events a write has stored, and the events whose lists are not stored, or not yet."""

    lists: int
    events: int
    without_list: Sequence[Event]
    unfit: int


class EventsStore:
    """The lists and events of a store. All methods block, and raise `StoreAway` where the database fails.

    Parameters
    ----------
    store : RatingsStore
    """

    def __init__(self, store: RatingsStore) -> None:
        self._store = store

    def write(self, lists: Sequence[ServedList], events: Sequence[Event]) -> Written:
        """Store some lists, but of nobody who was erased meanwhile, and events of lists that are stored.

        Whatever is there already is there once afterwards. Events of items that are not in their lists are left out.
        """

        def write(connection: "Connection") -> Written:
            erased = _erased(connection, {one.user for one in lists if one.user is not None})
            kept = [one.row() for one in lists if one.user is None or erased.get(one.user, -1) <= one.revision]
            if kept:
                connection.execute(upsert(connection, LISTS), kept)
            found = _items_of(connection, {event.list_id for event in events})
            fit = [one for one in events if one.list_id in found and one.item in found[one.list_id]]
            if fit:
                rows = {one[:3]: one for one in fit}.values()
                columns = EVENTS.columns.keys()
                told = [dict(zip(columns, (*one[:3], int(1000 * one.told_at)), strict=True)) for one in rows]
                connection.execute(upsert(connection, EVENTS), told)
            missing = [one for one in events if one.list_id not in found]
            return Written(len(kept), len(fit), missing, len(events) - len(fit) - len(missing))

        return self._store.writing_aside(write)

    def expire(self, before: int) -> int:
        """Delete the lists of days before one, with their events, and return how many lists it was.

        Little by little, since ratings cannot be written meanwhile.
        """
        end, gone = first_id_of(before), 0
        asked = sql.select(LISTS.c.list_id).where(LISTS.c.list_id < end).order_by(LISTS.c.list_id).limit(_AT_ONCE)

        def some(connection: "Connection") -> int:
            names = connection.execute(asked).scalars().all()
            if names:
                for table in (EVENTS, LISTS):
                    connection.execute(sql.delete(table).where(table.c.list_id.in_(names)))
            return len(names)

        while count := self._store.writing_aside(some):
            gone += count
        return gone

    def pages(self, since: int = 0) -> Iterator[tuple[Sequence[Any], Sequence[Any]]]:
        """Yield rows of lists from a day on, in the order of time, with the rows of their events."""
        after = first_id_of(since)

        def page(connection: "Connection") -> tuple[Sequence[Any], Sequence[Any]]:
            asked = sql.select(LISTS).where(LISTS.c.list_id > after).order_by(LISTS.c.list_id).limit(_PAGE)
            lists = connection.execute(asked).all()
            if not lists:
                return [], []
            between = EVENTS.c.list_id.between(lists[0].list_id, lists[-1].list_id)
            columns = EVENTS.c.list_id, EVENTS.c.item_id, EVENTS.c.kind
            return lists, connection.execute(sql.select(*columns).where(between)).all()

        while True:
            lists, events = self._store.reading(page)
            if not lists:
                return
            yield lists, events
            after = lists[-1].list_id


def _erased(connection: "Connection", users: set[str]) -> dict[str, int]:
    """Return who of some users was erased, and with which write of the store."""
    born = connection.execute(sql.select(STATE.c.born)).scalar_one()
    digests = {digest_of(user, born): user for user in users}
    found: dict[str, int] = {}
    for some in _parts(digests):
        asked = sql.select(ERASURES.c.digest, ERASURES.c.revision).where(ERASURES.c.digest.in_(some))
        found |= {digests[digest]: revision for digest, revision in connection.execute(asked)}
    return found


def _items_of(connection: "Connection", list_ids: Iterable[str]) -> dict[str, set[str]]:
    """Return the items of those lists that are stored, and the empty text, which stands for the whole list."""
    found: dict[str, set[str]] = {}
    for some in _parts(list_ids):
        asked = sql.select(LISTS.c.list_id, LISTS.c["items"]).where(LISTS.c.list_id.in_(some))
        for name, text in connection.execute(asked):
            found[name] = {"", *json.loads(text)["items"]}
    return found


def _parts(values: Iterable[str]) -> Iterator[list[str]]:
    every = list(values)
    for first in range(0, len(every), _AT_ONCE):
        yield every[first : first + _AT_ONCE]


_LOGGED: dict[str, Any] = {
    "list_id": pl.String, "time": pl.Datetime("ms", "UTC"), "user": pl.String, "experiment": pl.String,
    "arm": pl.String, "model": pl.String, "request": pl.String, "position": pl.Int64, "item": pl.String,
    "team": pl.String, "propensity": pl.Float64, "shown": pl.Boolean, "opened": pl.Boolean, "chosen": pl.Boolean,
    "dismissed": pl.Boolean,
}  # fmt: skip


def logged_lists(store: EventsStore, since: int = 0) -> pl.DataFrame:
    """Return what is stored from a day on, a row for each position of each list.

    Returns
    -------
    polars.DataFrame
        Columns list_id, time, user, experiment, arm, model, request, position, item, team, propensity, and whether the
        item was shown, opened, chosen, dismissed. A list that was shown as a whole was shown at every position.
    """
    parts = [_frame(lists, events) for lists, events in store.pages(since)]
    return pl.concat(parts) if parts else pl.DataFrame(schema=_LOGGED)


def _frame(lists: Sequence[Any], events: Sequence[Any]) -> pl.DataFrame:
    done = {tuple(event) for event in events}
    columns: dict[str, list[Any]] = {name: [] for name in _LOGGED}
    for row in lists:
        known = json.loads(row.items)
        names, size = known["items"], len(known["items"])
        for name, value in zip(
            ("list_id", "time", "user", "experiment", "arm", "model", "request"),
            (row.list_id, row.served_at, row.user_id, row.experiment, row.arm, row.model, row.request), strict=True,
        ):  # fmt: skip
            columns[name] += [value] * size
        columns["position"] += range(1, size + 1)
        columns["item"] += names
        columns["team"] += known["teams"] if "teams" in known else [None] * size
        columns["propensity"] += known.get("propensities", [None] * size)
        for kind in ("shown", "opened", "chosen", "dismissed"):
            whole = (row.list_id, "", kind) in done
            columns[kind] += [whole or (row.list_id, item, kind) in done for item in names]
    return pl.DataFrame(columns, schema={**_LOGGED, "time": pl.Int64}).with_columns(
        pl.col("time").cast(pl.Datetime("ms", "UTC"))
    )
