"""The stored ratings in a process's memory: checked against the store at every use, and usable without it.

A read asks the store only whether anything was written since. While the store does not answer, reads use what is in
memory and say so, writes are refused at once, and a task retries every half second. A rating takes about a hundred
bytes.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from cofactor.apps.web.health import Health
from cofactor.apps.web.store import Changes, RatingsStore, StoreAway
from cofactor.errors import CofactorError

__all__ = ["RatingsCache"]

Result = TypeVar("Result")

log = logging.getLogger("cofactor.web")

READ_SECONDS = 5.0
WRITE_SECONDS = 25.0
RETRY_SECONDS = 0.5
_THREADS = 8

_NOTHING: Mapping[str, float | None] = MappingProxyType({})


class RatingsCache:
    """A store's ratings in memory. Belongs to one event loop.

    Parameters
    ----------
    store : RatingsStore
    health : Health, optional
        Where the task that retries reports what it did not expect.
    """

    def __init__(self, store: RatingsStore, health: Health | None = None) -> None:
        self.store = store
        self._health = health or Health()
        self.away_since: float | None = time.time()  # until it has answered once
        self._ratings: dict[str, dict[str, float | None]] = {}
        self._born, self._revision = "", -1
        self._version: int | None = None
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")
        self._running: asyncio.Future[None] | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_current(self) -> bool:
        """Whether the store answered the last time it was asked."""
        return self.away_since is None

    async def start(self) -> None:
        """Read all ratings; if the store does not answer, start without them and keep trying."""
        await self._read()
        self._probing = asyncio.create_task(self._probe())

    async def stop(self) -> None:
        """Stop trying, and close the store."""
        if self._probing is not None:
            self._probing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._probing
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.store.close()

    async def of(self, user: str) -> Mapping[str, float | None]:
        """Return a user's ratings, None for a deleted one; as last known, if the store does not answer."""
        if self.is_current:
            version = self.store.peek()
            if version is None or version != self._version:
                await self._checked()
        return self._ratings.get(user, _NOTHING)

    async def write(self, user: str, ratings: Mapping[str, float | None]) -> None:
        """Store some ratings of a user; None deletes one.

        Raises
        ------
        StoreAway
            If they could not be stored.
        """
        await self._write(partial(self.store.write, user, ratings))

    async def replace(self, user: str, ratings: Mapping[str, float], also: tuple[str, ...] = ()) -> None:
        """Store these ratings of a user and delete all others; see `RatingsStore.replace`.

        Raises
        ------
        StoreAway
            If they could not be stored.
        """
        await self._write(partial(self.store.replace, user, ratings, also))

    async def _write(self, work: Callable[[], None]) -> None:
        if not self.is_current:
            raise StoreAway("the ratings store does not answer: retry")
        try:
            await self._in_thread(work, WRITE_SECONDS)
        except (CofactorError, TimeoutError) as error:
            self._lost(error)
            raise StoreAway(str(error)) from error
        await self._checked()

    async def _checked(self) -> None:
        """Wait for a check of the store that began after this call; many callers share one check."""
        if self._waiting is None:
            self._waiting = asyncio.ensure_future(self._after(self._running))
        await asyncio.shield(self._waiting)

    async def _after(self, earlier: "asyncio.Future[None] | None") -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        self._running, self._waiting = self._waiting, None
        await self._read()

    async def _read(self) -> None:
        """Read what was written since the last time."""
        version = self.store.peek()
        try:
            changes = await self._in_thread(partial(self.store.since, self._revision), READ_SECONDS)
            if self._revision >= 0 and (changes.born != self._born or changes.revision < self._revision):
                changes = await self._in_thread(
                    partial(self.store.since, -1), READ_SECONDS
                )  # another store is in its place
                self._ratings = {}
        except (CofactorError, TimeoutError) as error:
            self._lost(error)
            return
        self._take(changes)
        self._version = version
        if not self.is_current:
            log.info("the ratings store answers", extra={"event": "store_found"})
            self.away_since = None

    def _take(self, changes: Changes) -> None:
        for user, item, value in changes.rows:
            self._ratings.setdefault(user, {})[item] = value
        self._born, self._revision = changes.born, changes.revision

    def _lost(self, error: Exception) -> None:
        if self.is_current or self._revision < 0:
            why = str(error) or type(error).__name__
            log.error("the ratings store does not answer: %s", why, extra={"event": "store_lost"})
        self.away_since = self.away_since or time.time()

    async def _probe(self) -> None:
        """While the store does not answer, keep trying to write to it; once that works, read what was missed."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            if self.is_current:
                continue
            with self._health.watching("ratings store"), contextlib.suppress(CofactorError, TimeoutError):
                await self._in_thread(self.store.probe, WRITE_SECONDS)
                await self._read()

    async def _in_thread(self, work: Callable[[], Result], seconds: float) -> Result:
        return await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(self._pool, work), seconds)
