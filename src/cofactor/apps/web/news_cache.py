"""What came since the training, in a process's memory: read from the store as it changes, and given to the model."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from cofactor.apps.web.health import Health
from cofactor.apps.web.items_store import Attributes, ItemsStore
from cofactor.apps.web.ratings_table import Rating
from cofactor.apps.web.renewal import News
from cofactor.apps.web.rising import Events, events_in
from cofactor.apps.web.rules_store import RulesStore, SetRule
from cofactor.apps.web.served_model import ModelHolder
from cofactor.apps.web.store import RatingsStore, StoreAway

__all__ = ["NewsCache", "Renewal"]

log = logging.getLogger("cofactor.web")

PAUSE = 10
"""Ratings are taken up at most every so many times as long as that takes."""

TREND_SECONDS = 60.0
"""How often what is rising is made anew, if anything was rated since."""


class NewsCache:
    """The items that were put, the ratings of those, the rules. Its methods may be called from several threads.

    Parameters
    ----------
    store : RatingsStore
    """

    def __init__(self, store: RatingsStore) -> None:
        self._ratings_store, self._store, self._rules_store = store, ItemsStore(store), RulesStore(store)
        self._turn = threading.Lock()
        self._born, self._after = "", -1
        self._items: Mapping[str, Attributes] = {}
        self._ratings: Mapping[str, Mapping[str, float]] = {}
        self._rules: Mapping[str, SetRule] = {}
        self._events: Events | None = None
        self.items_version = 0
        self.version = 0
        self.written = False

    @property
    def news(self) -> News:
        """What is known now; it does not change any more."""
        with self._turn:
            return News(self._items, self._ratings, self._events, self._rules)

    def read(self, born: str) -> None:
        """Read what was put and which rules were set since the last time, in the store of a name.

        Raises
        ------
        StoreAway
            If the store does not answer.
        """
        self.written = True
        after = self._after if born == self._born else -1
        changes, rules = self._store.since(after), self._rules_store.since(after)
        if not (changes or rules) and born == self._born:
            return
        put = {change.item: change.attributes for change in changes}
        rated = self._store.ratings_of(item for item, attributes in put.items() if attributes is not None)
        with self._turn:
            older = {} if born != self._born else self._items
            kept = {item: attributes for item, attributes in older.items() if item not in put}
            self._items = {**kept, **{item: one for item, one in put.items() if one is not None}}
            if born != self._born:
                self._ratings = {}
            self._add(rated)
            self._ratings = {item: users for item, users in self._ratings.items() if item in self._items}
            known = {} if born != self._born else self._rules
            self._rules = {**known, **{rule.item: rule for rule in rules}}
            self._born, self._after = (
                born,
                max([after, *(one.revision for one in changes), *(one.revision for one in rules)]),
            )
            self.items_version += 1

    def read_events(self, half_life: float) -> None:
        """Read what was rated of late.

        Raises
        ------
        StoreAway
            If the store does not answer.
        """
        self.written = False
        try:
            events = events_in(self._ratings_store, half_life)
        except StoreAway:
            self.written = True
            raise
        with self._turn:
            self._events = events
            self.version += 1

    def note(self, rows: Sequence[Rating]) -> None:
        """Take note of ratings that were read from the store."""
        if self._items:
            with self._turn:
                self._add([row for row in rows if row[1] in self._items])

    def forget(self, is_gone: Callable[[str], bool]) -> None:
        """Drop the ratings of users who were erased."""
        with self._turn:
            self._ratings = {
                item: {user: value for user, value in users.items() if not is_gone(user)}
                for item, users in self._ratings.items()
            }
            self.version += 1

    def _add(self, rows: Sequence[Rating]) -> None:
        self.version += 1 if rows else 0
        ratings = dict(self._ratings)
        for user, item, value in rows:
            others = {name: given for name, given in ratings.get(item, {}).items() if name != user}
            ratings[item] = others if value is None else {**others, user: value}
        self._ratings = ratings


class Renewal:
    """Lets the served models take up the news. Belongs to one event loop.

    Parameters
    ----------
    cache : NewsCache
    models : sequence of ModelHolder
    health : Health
    """

    def __init__(self, cache: NewsCache, models: Sequence[ModelHolder], health: Health) -> None:
        self._cache, self._models, self._health = cache, models, health
        self._turn = asyncio.Lock()
        self._done = (0, 0)
        self._ended, self._took, self._counted = 0.0, 0.0, -TREND_SECONDS

    async def _count(self) -> None:
        """Read what was rated of late, if a model knows what is rising; as far back as that of the longest memory."""
        timings = [one.current.model.timing for one in self._models]
        trends = [timing.trend for timing in timings if timing is not None and timing.trend is not None]
        if not trends:
            return
        with self._health.watching("trend"), contextlib.suppress(StoreAway):  # which is told elsewhere
            self._counted = time.monotonic()
            await asyncio.to_thread(self._cache.read_events, max(trends))

    @property
    def put(self) -> Mapping[str, Attributes]:
        """The items that were put, as last read."""
        return self._cache.news.items

    @property
    def rules(self) -> Collection[SetRule]:
        """The rules for all lists as last read, those taken back too."""
        return self._cache.news.rules.values()

    @property
    def _wanted(self) -> tuple[int, int]:
        return self._cache.items_version, self._cache.version

    async def take_up(self) -> None:
        """Serve what is known now; many callers share one renewal."""
        wanted = self._wanted
        async with self._turn:
            if self._done >= wanted:
                return
            wanted, start = self._wanted, time.monotonic()
            for models in self._models:
                await asyncio.to_thread(models.renew)
            self._done, self._ended = wanted, time.monotonic()
            self._took = self._ended - start

    async def follow(self) -> None:
        """Serve what is new, if there is something: items at once, their ratings and what is rising after a while."""
        rested = time.monotonic() - self._ended > PAUSE * self._took
        if rested and self._cache.written and time.monotonic() - self._counted >= TREND_SECONDS:
            await self._count()
        if self._wanted[0] > self._done[0] or (self._wanted > self._done and rested):
            with self._health.watching("new items"):
                await self.take_up()
