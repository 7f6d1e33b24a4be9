"""The stored ratings in a process's memory: checked against the store at every use, and usable without it.

A read asks the store only whether anything was written since. While the store does not answer, or is being read,
reads use what is in memory and say so, writes are refused at once, and a task retries every half second.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Literal, TypeVar

from cofactor.apps.web.erasures import Erasures, digest_of
from cofactor.apps.web.health import Health
from cofactor.apps.web.news_cache import NewsCache
from cofactor.apps.web.ratings_table import RatingsTable
from cofactor.apps.web.store import PAGE_SECONDS, Changes, RatingsStore, StoreAway
from cofactor.errors import CofactorError

__all__ = ["RatingsCache"]

Result = TypeVar("Result")

log = logging.getLogger("cofactor.web")

READ_SECONDS = 5.0
"""How long a request waits for the store; what takes longer goes on without it."""

START_SECONDS = 2.0
"""How long the start of the service waits for the ratings; a larger store is read while requests are answered."""

WRITE_SECONDS = 25.0
RETRY_SECONDS = 0.5
_THREADS = 8


class RatingsCache:
    """A store's ratings in memory. Belongs to one event loop.

    Parameters
    ----------
    store : RatingsStore
    health : Health, optional
        Where the task that retries reports what it did not expect.
    news : NewsCache, optional
        What else is read from the store when something was written.

    Attributes
    ----------
    erasures : Erasures
        Who was erased, as far as is read.
    """

    def __init__(self, store: RatingsStore, health: Health | None = None, news: NewsCache | None = None) -> None:
        self.store = store
        self._news = news
        self._health = health or Health()
        self.away_since: float | None = time.time()  # until it has answered once
        self.erasures = Erasures()
        self._table = RatingsTable()
        self._opened = False
        self._turn = asyncio.Lock()
        self._merging: asyncio.Task[None] | None = None
        self._born, self._revision = "", -1
        self._version: int | None = None
        self._peeked: tuple[int | None] | None = None
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")
        self._loading = False
        self._running: asyncio.Future[None] | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._probing: asyncio.Task[None] | None = None

    @property
    def is_current(self) -> bool:
        """Whether the store answered the last time it was asked."""
        return self.away_since is None

    @property
    def moment(self) -> tuple[str, int]:
        """The name of the store, empty until it has answered, and up to which write everything was read."""
        return self._born, self._revision

    @property
    def state(self) -> Literal["current", "loading", "away"]:
        """Whether the store has answered and everything was read, is being read, or does not answer."""
        return "current" if self.is_current else "loading" if self._loading else "away"

    @property
    def is_opening(self) -> bool:
        """Whether the ratings are being read for the first time, so that people get lists without some of them."""
        return self._loading and not self._opened

    def __len__(self) -> int:
        return len(self._table)

    async def start(self) -> None:
        """Begin to read all ratings, and wait a moment; if the store does not answer, keep trying."""
        opening = asyncio.create_task(self._read())
        await asyncio.wait([opening], timeout=START_SECONDS)
        self._probing = asyncio.create_task(self._probe(opening))

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
        await self.look()
        return self._table.of(user)

    async def look(self) -> None:
        """Read what was written since, if anything was."""
        if self.is_current:
            version = self._peek()
            if version is None and self.store.held_at == self._revision:
                return  # this process has the file locked, to write lists: nobody else can have written
            if version is None or version != self._version:
                await self._checked()

    def _peek(self) -> int | None:
        """Ask the store whether anything was written, once for all requests that have arrived already."""
        if self._peeked is None:
            self._peeked = (self.store.peek(),)
            asyncio.get_running_loop().call_soon(self._forget_peek)  # before anything that arrives from now on
        return self._peeked[0]

    def _forget_peek(self) -> None:
        self._peeked = None

    async def write(self, user: str, ratings: Mapping[str, float | None]) -> None:
        """Store some ratings of a user; None deletes one.

        Raises
        ------
        StoreAway
            If they could not be stored.
        """
        await self.change(partial(self.store.write, user, ratings))

    async def replace(self, user: str, ratings: Mapping[str, float], also: tuple[str, ...] = ()) -> None:
        """Store these ratings of a user and delete all others; see `RatingsStore.replace`.

        Raises
        ------
        StoreAway
            If they could not be stored.
        """
        await self.change(partial(self.store.replace, user, ratings, also))

    async def erase(self, user: str) -> int:
        """Delete all that is stored of a user; see `RatingsStore.erase`.

        Raises
        ------
        StoreAway
            If it may not have been deleted.
        """
        count = await self.change(partial(self.store.erase, user))
        if not self.is_current:
            raise StoreAway("the user was erased, but the store went away before this was read: retry")
        return count

    async def change(self, work: Callable[[], Result]) -> Result:
        """Do some writing, and read what follows from it.

        Raises
        ------
        StoreAway
            If it could not be stored.
        """
        if not self.is_current:
            raise StoreAway(f"the ratings store {'is being read' if self._loading else 'does not answer'}: retry")
        try:
            result = await self._in_thread(work, WRITE_SECONDS)
        except (CofactorError, TimeoutError) as error:
            self._lost(error)
            raise StoreAway(str(error)) from error
        await self._checked()
        return result

    async def _checked(self) -> None:
        """Wait for a check of the store that began after this call; many callers share one check.

        Nobody waits longer than for the one that is under way and the next, such as behind the task that retries.
        """
        if self._waiting is None:
            self._waiting = asyncio.ensure_future(self._after(self._running))
        try:
            async with asyncio.timeout(2 * READ_SECONDS):
                await asyncio.shield(self._waiting)
        except TimeoutError as error:
            self._lost(error)

    async def _after(self, earlier: "asyncio.Future[None] | None") -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        self._running, self._waiting = self._waiting, None
        await self._read()

    async def _read(self) -> None:
        """Read what was written since the last time."""
        async with self._turn:
            version = self.store.peek()
            try:
                while not await self._read_pages(self.store.pages(self._revision)):
                    pass
            except (CofactorError, TimeoutError) as error:
                self._lost(error)
                return
            finally:
                self._loading = False
            self._version, self._opened = version, True
            if not self.is_current:
                log.info("the ratings store answers", extra={"event": "store_found"})
                self.away_since = None
        self._merge_if_needed()

    async def _read_pages(self, pages: Iterator[Changes]) -> bool:
        """Take one page after the other; False if another store turns out to be in the place of the one before."""
        seconds = READ_SECONDS if self.is_current else PAGE_SECONDS
        before, more = self._revision, True
        while more:
            page = await self._in_thread(partial(next, pages), seconds)
            known = self._revision
            if self._revision >= 0 and (page.born != self._born or page.revision < self._revision):
                self._table, self._revision, self._born = RatingsTable(), -1, page.born
                self.erasures.clear()
                return False
            if page.erased:
                await self._in_thread(partial(self._forget, page.born, page.erased), PAGE_SECONDS)
            if page.more and not self._loading:
                self._loading, seconds = True, PAGE_SECONDS
                self.away_since = self.away_since or time.time()
            if self._loading:
                await self._in_thread(partial(self._table.add, page.rows), PAGE_SECONDS)
            else:
                self._table.put(page.rows)
            if self._news is not None and page.revision > known >= 0:
                self._news.note(page.rows)
            self._born, self._revision, more = page.born, page.revision, page.more
        if self._loading:
            await self._in_thread(self._table.merge, PAGE_SECONDS)
        if self._news is not None and self._revision != before:
            await self._in_thread(partial(self._news.read, self._born), PAGE_SECONDS)
        return True

    def _forget(self, born: str, erased: Sequence[tuple[str, int]]) -> None:
        """Drop the ratings of those who were erased, who are found by the digests of their names."""
        digests = {digest for digest, _ in erased}
        self._table.forget([user for user in self._table.known_users() if digest_of(user, born) in digests])
        if self._news is not None:
            self._news.forget(lambda user: digest_of(user, born) in digests)
        self.erasures.add(born, max(revision for _, revision in erased), erased)

    def _merge_if_needed(self) -> None:
        """Sort what has gathered in the dictionary into the arrays, in a thread."""
        if self._table.needs_merge:
            self._table.freeze()
            self._merging = asyncio.create_task(self._merge())

    async def _merge(self) -> None:
        with self._health.watching("merging ratings"):
            await asyncio.get_running_loop().run_in_executor(self._pool, self._table.merge)

    def _lost(self, error: Exception) -> None:
        if self.is_current or not self._opened:
            why = str(error) or type(error).__name__
            log.error("the ratings store does not answer: %s", why, extra={"event": "store_lost"})
        self.away_since = self.away_since or time.time()

    async def _probe(self, opening: "asyncio.Task[None]") -> None:
        """While the store does not answer, keep trying to write to it; once that works, read what was missed."""
        with self._health.watching("ratings store"):
            await opening
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            if self.is_current:
                continue
            with self._health.watching("ratings store"), contextlib.suppress(CofactorError, TimeoutError):
                await self._in_thread(self.store.probe, WRITE_SECONDS)
                await self._read()

    async def _in_thread(self, work: Callable[[], Result], seconds: float) -> Result:
        return await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(self._pool, work), seconds)
