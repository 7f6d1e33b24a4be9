"""The stored ratings as a process has them in memory: checked against the store at every use, and there without it.

A read asks the store only whether anything was written since. While the store is away, reads go on from what is in
memory and say so, writes are refused at once, and a task tries every half second whether it is back. It costs about
a hundred bytes for each rating.
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

from cofactor.apps.web.store import Changes, RatingsStore, StoreAway
from cofactor.errors import CofactorError

__all__ = ["Remembered"]

Result = TypeVar("Result")

log = logging.getLogger("cofactor.web")

READ_SECONDS = 5.0
WRITE_SECONDS = 25.0
RETRY_SECONDS = 0.5
_THREADS = 8

_NOTHING: Mapping[str, float | None] = MappingProxyType({})


class Remembered:
    """A store's ratings in memory. Belongs to one event loop.

    Parameters
    ----------
    store : RatingsStore
    """

    def __init__(self, store: RatingsStore) -> None:
        self.store = store
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
        """Whether the store answered when it was last asked."""
        return self.away_since is None

    async def start(self) -> None:
        """Read all there is; if the store is away, go on without, and keep trying."""
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
        """Return a user's ratings, None where one was taken back; as they were last known, if the store is away."""
        if self.is_current:
            version = self.store.peek()
            if version is None or version != self._version:
                await self._checked()
        return self._ratings.get(user, _NOTHING)

    async def write(self, user: str, ratings: Mapping[str, float | None]) -> None:
        """Keep some ratings of a user; None takes one back.

        Raises
        ------
        StoreAway
            If they could not be kept.
        """
        await self._write(partial(self.store.write, user, ratings))

    async def replace(self, user: str, ratings: Mapping[str, float], also: tuple[str, ...] = ()) -> None:
        """Keep these ratings of a user and no others; see `RatingsStore.replace`.

        Raises
        ------
        StoreAway
            If they could not be kept.
        """
        await self._write(partial(self.store.replace, user, ratings, also))

    async def _write(self, work: Callable[[], None]) -> None:
        if not self.is_current:
            raise StoreAway("the ratings store is away")
        try:
            await self._in_thread(work, WRITE_SECONDS)
        except (CofactorError, TimeoutError) as error:
            self._lost(error)
            raise StoreAway(str(error)) from error
        await self._checked()

    async def _checked(self) -> None:
        """Return when a look at the store that began after this call is over; many callers share one look."""
        if self._waiting is None:
            self._waiting = asyncio.ensure_future(self._after(self._running))
        await asyncio.shield(self._waiting)

    async def _after(self, earlier: "asyncio.Future[None] | None") -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        self._running, self._waiting = self._waiting, None
        await self._read()

    async def _read(self) -> None:
        """Bring the memory up to date."""
        version = self.store.peek()
        try:
            changes = await self._in_thread(partial(self.store.since, self._revision), READ_SECONDS)
            if self._revision >= 0 and (changes.born != self._born or changes.revision < self._revision):
                changes = await self._in_thread(partial(self.store.since, -1), READ_SECONDS)  # it is another store
                self._ratings = {}
        except (CofactorError, TimeoutError) as error:
            self._lost(error)
            return
        self._take(changes)
        self._version = version
        if not self.is_current:
            log.info("ratings store answers", extra={"event": "store_found"})
            self.away_since = None

    def _take(self, changes: Changes) -> None:
        for user, item, value in changes.rows:
            self._ratings.setdefault(user, {})[item] = value
        self._born, self._revision = changes.born, changes.revision

    def _lost(self, error: Exception) -> None:
        if self.is_current or self._revision < 0:
            why = str(error) or type(error).__name__
            log.error("ratings store is away: %s", why, extra={"event": "store_lost"})
        self.away_since = self.away_since or time.time()

    async def _probe(self) -> None:
        """While the store is away, try again and again to write to it; once that works, read what was missed."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            if self.is_current:
                continue
            with contextlib.suppress(CofactorError, TimeoutError):
                await self._in_thread(self.store.probe, WRITE_SECONDS)
                await self._read()

    async def _in_thread(self, work: Callable[[], Result], seconds: float) -> Result:
        return await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(self._pool, work), seconds)
