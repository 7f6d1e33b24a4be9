"""Lists and events on their way to the store: taken at once, written by a thread a little later.

So no list and no event waits for the store. What is not written yet is lost if the process is killed. While the store
does not answer, as much is kept as memory allows; then lists are served without an id, and events are refused.
"""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cofactor.apps.web.events_store import Event, EventsStore, Kind, ServedList
from cofactor.apps.web.health import Health
from cofactor.apps.web.list_ids import made_at, new_id
from cofactor.apps.web.prometheus import Metrics
from cofactor.apps.web.store import RatingsStore, StoreAway

__all__ = ["EventLog", "NewList"]

FLUSH_SECONDS = 5.0
"""How long a list or event waits in memory. SQLite without a write-ahead log lets no other process read while it syncs,
so it is to be seldom."""

EXPIRE_SECONDS = 3600.0
PATIENCE_SECONDS = 30.0
"""How long an event is kept whose list is not stored: another worker may still have it in memory."""

ENDING_SECONDS = 2.0
"""How long the end of a worker waits for lists of other workers."""

AT_ONCE = 20_000
"""How many lists and how many events a transaction stores at most, since ratings wait meanwhile."""

MOST_LISTS = 50_000
MOST_EVENTS = 200_000


class NewList(NamedTuple):
    """A list that is being served; see `ServedList`."""

    user: str | None
    experiment: str
    arm: str
    model: str
    request: str
    items: tuple[str, ...]
    teams: str = ""
    propensities: tuple[float, ...] | None = None


class EventLog:
    """What a worker keeps of lists and events until they are stored.

    Parameters
    ----------
    store : RatingsStore
    moment : callable
        Returns the name of the store, empty until that is known, and up to which of its writes is known.
    days : int
        For how many days lists are stored.
    health : Health
    metrics : Metrics
    """

    def __init__(
        self, store: RatingsStore, moment: Callable[[], tuple[str, int]], days: int, health: Health, metrics: Metrics
    ) -> None:
        self._store, self._moment, self._days = EventsStore(store), moment, days
        self._health, self._metrics = health, metrics
        self._lists: deque[ServedList] = deque()
        self._events: deque[Event] = deque()
        self._ending = threading.Event()
        self._expired = float("-inf")
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is left, and end; events whose lists other workers still have are waited for."""
        self._ending.set()
        self._thread.join()
        end = time.monotonic() + ENDING_SECONDS
        with self._health.watching("events"), contextlib.suppress(StoreAway):
            self.flush()
            while self._events and time.monotonic() < end:
                time.sleep(0.1)
                self.flush()

    def keep(self, served: NewList) -> str | None:
        """Keep a list and return its id; None where it cannot be kept."""
        born, revision = self._moment()
        if not born or len(self._lists) >= MOST_LISTS:
            return None
        now = time.time()
        name = new_id(born, now)
        self._lists.append(ServedList(name, now, *served, revision))
        return name

    def knows(self, list_id: str) -> bool:
        """Tell whether a list of an id was served, as lately as lists are kept."""
        born = self._moment()[0]
        made = made_at(list_id, born) if born else None
        return made is not None and made // 86_400 > time.time() // 86_400 - self._days

    @property
    def is_open(self) -> bool:
        """Whether events can be taken."""
        return bool(self._moment()[0]) and len(self._events) < MOST_EVENTS

    def take(self, events: Sequence[tuple[str, str, Kind]]) -> None:
        """Keep events, given as list id, item and kind, of lists that `knows` knows."""
        now = time.time()
        self._events.extend(Event(*one, now) for one in events)

    def flush(self) -> None:
        """Store all that is kept.

        Raises
        ------
        StoreAway
            If the store does not answer: what is not stored is still kept.
        """
        waiting: list[Event] = []
        while self._lists or self._events:
            lists = [self._lists.popleft() for _ in range(min(len(self._lists), AT_ONCE))]
            events = [self._events.popleft() for _ in range(min(len(self._events), AT_ONCE))]
            try:
                written = self._store.write(lists, events)
            except BaseException:
                self._lists.extendleft(reversed(lists))
                self._events.extendleft([*reversed(events), *reversed(waiting)])
                raise
            late = time.time() - PATIENCE_SECONDS
            again = [one for one in written.without_list if one.told_at > late]
            waiting += again
            self._metrics.count("lists_kept", written.lists)
            self._metrics.count("events_kept", written.events)
            self._metrics.count("events_dropped", written.unfit + len(written.without_list) - len(again))
        self._events.extendleft(reversed(waiting))

    def _run(self) -> None:
        while not self._ending.wait(FLUSH_SECONDS):
            with self._health.watching("events"), contextlib.suppress(StoreAway):  # which is told elsewhere
                self.flush()
                if time.monotonic() - self._expired > EXPIRE_SECONDS:
                    self._store.expire(int(time.time() // 86_400) - self._days + 1)
                    self._expired = time.monotonic()
