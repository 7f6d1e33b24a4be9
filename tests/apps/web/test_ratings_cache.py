"""What a service does while its store is away, comes back, or is another one than before."""

import asyncio
import sqlite3
import threading
import time

import pytest

from cofactor.apps.web import ratings_cache, ratings_table, sqlite
from cofactor.apps.web import store as store_module
from cofactor.apps.web.ratings_cache import RatingsCache
from cofactor.apps.web.store import RatingsStore, StoreAway


class Away(RatingsStore):
    """A store that can be told to be away."""

    away = False

    def _run(self, work, **options):
        if self.away:
            raise StoreAway("gone")
        return super()._run(work, **options)

    def peek(self):
        return None if self.away else super().peek()


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario(), 30))


async def until(true):
    for _ in range(200):
        if true():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come true")


def test_another_service_s_write_is_seen_by_the_next_read(store, store_url):
    async def scenario():
        mine, other = RatingsCache(store), RatingsStore(store_url)
        await mine.start()
        for value in (1.0, 2.0, None, 5.0):
            await asyncio.to_thread(other.write, "ann", {"tea": value})
            assert await mine.of("ann") == {"tea": value}
        await mine.write("ann", {"rye": 3.0})
        assert await mine.of("ann") == {"tea": 5.0, "rye": 3.0}
        other.close()
        await mine.stop()

    run(scenario)


def test_while_it_is_away_reads_go_on_and_writes_are_refused_until_it_is_back(store_url, monkeypatch):
    monkeypatch.setattr(ratings_cache, "RETRY_SECONDS", 0.05)

    async def scenario():
        store = Away(store_url)
        mine = RatingsCache(store)
        await mine.start()
        await mine.write("ann", {"tea": 1.0})
        store.away = True
        with pytest.raises(StoreAway):
            await mine.write("ann", {"tea": 2.0})
        begun = time.perf_counter()
        for _ in range(100):
            assert await mine.of("ann") == {"tea": 1.0}
            with pytest.raises(StoreAway):
                await mine.write("ann", {"tea": 2.0})
        assert time.perf_counter() - begun < 2
        assert not mine.is_current
        store.away = False
        await until(lambda: mine.is_current)
        await mine.write("ann", {"tea": 2.0})
        assert await mine.of("ann") == {"tea": 2.0}
        await mine.stop()

    run(scenario)


def test_a_store_that_is_away_at_the_start_is_read_once_it_comes(tmp_path, monkeypatch):
    monkeypatch.setattr(ratings_cache, "RETRY_SECONDS", 0.05)

    async def scenario():
        folder = tmp_path / "later"
        folder.write_text("in the way")
        mine = RatingsCache(RatingsStore(f"sqlite:///{folder}/ratings.db"))
        await mine.start()
        assert not mine.is_current
        assert await mine.of("ann") == {}
        folder.unlink()
        await until(lambda: mine.is_current)
        await mine.write("ann", {"tea": 2.0})
        await mine.stop()

    run(scenario)


def test_another_store_in_its_place_replaces_what_was_remembered(tmp_path):
    async def scenario():
        mine = RatingsCache(RatingsStore(f"sqlite:///{tmp_path}/ratings.db"))
        await mine.start()
        for _ in range(3):
            await mine.write("ann", {"tea": 1.0})
        other = RatingsStore(f"sqlite:///{tmp_path}/other.db")
        for k in range(5):
            await asyncio.to_thread(other.write, f"u{k}", {"rye": 2.0})
        other.close()
        (tmp_path / "other.db").replace(tmp_path / "ratings.db")
        assert await mine.of("ann") == {}
        assert await mine.of("u3") == {"rye": 2.0}
        await mine.stop()

    run(scenario)


def test_a_locked_store_delays_nobody_who_reads(sqlite_url, tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.3)
    monkeypatch.setattr(ratings_cache, "RETRY_SECONDS", 0.05)

    async def scenario():
        mine = RatingsCache(RatingsStore(sqlite_url))
        await mine.start()
        await mine.write("ann", {"tea": 1.0})
        with sqlite3.connect(tmp_path / "ratings.db", check_same_thread=False) as other:
            other.execute("begin exclusive")
            assert await mine.of("ann") == {"tea": 1.0}
            with pytest.raises(StoreAway):
                await mine.write("ann", {"tea": 2.0})
        other.close()
        await until(lambda: mine.is_current)
        assert await mine.of("ann") == {"tea": 1.0}
        await mine.stop()

    run(scenario)


def test_a_store_that_cannot_be_written_is_away_for_writers_alone(sqlite_url, monkeypatch):
    """A full disk, by the limit that SQLite itself can be given."""
    monkeypatch.setattr(ratings_cache, "RETRY_SECONDS", 0.05)
    room = []

    def prepare(connection, *_):
        original(connection)
        if room:
            connection.execute(f"pragma max_page_count = {room[0]}")

    original = sqlite.prepare
    monkeypatch.setattr(sqlite, "prepare", prepare)

    async def scenario():
        store = RatingsStore(sqlite_url)
        mine = RatingsCache(store)
        await mine.start()
        kept = {f"i{k}": 3.0 for k in range(50)}
        await mine.write("ann", kept)
        room.append(1)
        store.close()
        big = {f"item number {k} of a long list": 3.0 for k in range(5000)}
        with pytest.raises(StoreAway, match="full"):
            await mine.write("bob", big)
        assert await mine.of("ann") == kept
        assert await mine.of("bob") == {}
        room.clear()
        store.close()
        await until(lambda: mine.is_current)
        await mine.write("bob", big)
        assert await mine.of("bob") == big
        await mine.stop()

    run(scenario)


def test_the_clock_may_jump(store, monkeypatch):
    async def scenario():
        mine = RatingsCache(store)
        await mine.start()
        for moment, value in ((2e9, 1.0), (1.0, 2.0), (4e9, 3.0), (0.0, 4.0)):
            monkeypatch.setattr(time, "time", lambda moment=moment: moment)
            await mine.write("ann", {"tea": value})
            assert await mine.of("ann") == {"tea": value}
        await mine.stop()

    run(scenario)


def test_many_readers_share_one_look_at_the_store(store, monkeypatch):
    looks = []
    monkeypatch.setattr(store, "peek", lambda: None)
    original = store.pages
    monkeypatch.setattr(store, "pages", lambda revision: (looks.append(threading.get_ident()), original(revision))[1])

    async def scenario():
        mine = RatingsCache(store)
        await mine.start()
        looks.clear()
        await asyncio.gather(*(mine.of("ann") for _ in range(200)))
        assert 1 <= len(looks) <= 3
        await mine.stop()

    run(scenario)


@pytest.fixture
def small_pages(monkeypatch):
    """Pages of a few ratings, so that a store of a few hundred is a large one."""
    monkeypatch.setattr(store_module, "PAGE", 20)
    monkeypatch.setattr(store_module, "_FIRST_STEP", 3)


def filled(url, people=40, items=12):
    store = RatingsStore(url)
    for k in range(people):
        store.write(f"u{k}", {f"i{j}": float(1 + (k + j) % 5) for j in range(items)})
    store.write("u3", {"i1": None, "i2": 4.5})
    store.close()
    expected = {f"u{k}": {f"i{j}": float(1 + (k + j) % 5) for j in range(items)} for k in range(people)}
    expected["u3"] |= {"i1": None, "i2": 4.5}
    return expected


def test_a_store_is_read_in_pages(store, store_url, small_pages):
    expected = filled(store_url)
    pages = list(store.pages(-1))
    assert len(pages) > 20
    assert max(len(page.rows) for page in pages) <= 20
    assert [page.more for page in pages] == [True] * (len(pages) - 1) + [False]
    found = {}
    for page in pages:
        for user, item, value in page.rows:
            assert found.setdefault(user, {}).setdefault(item, value) == value
    assert found == expected
    later = list(store.pages(38))
    assert {user for page in later for user, _, _ in page.rows} == {"u38", "u39", "u3"}
    assert pages[-1].revision == later[-1].revision == 41


def test_a_large_store_is_read_while_requests_are_answered(store, store_url, small_pages, monkeypatch):
    expected = filled(store_url)
    monkeypatch.setattr(ratings_cache, "START_SECONDS", 1.0)
    monkeypatch.setattr(ratings_cache, "READ_SECONDS", 0.001)  # bulk work has no such deadline
    monkeypatch.setattr(ratings_table, "_PENDING", 30)
    take = threading.Semaphore(4)
    whole = store.pages

    def pages(revision):
        for page in whole(revision):
            take.acquire()
            yield page

    monkeypatch.setattr(store, "pages", pages)

    async def scenario():
        mine = RatingsCache(store)
        await mine.start()
        assert (mine.state, mine.is_current, mine.is_opening) == ("loading", False, True)
        there: dict[str, dict[str, float | None]] = {}
        while not any(there.values()):  # those read first can be seen while the rest waits
            await asyncio.sleep(0.01)
            there = {user: dict(await mine.of(user)) for user in expected}
        assert 0 < sum(map(len, there.values())) < 480
        assert all(expected[user].items() >= ratings.items() for user, ratings in there.items())
        with pytest.raises(StoreAway, match="being read"):
            await mine.write("ann", {"tea": 5.0})
        monkeypatch.setattr(ratings_cache, "READ_SECONDS", 5)
        take.release(1000)
        await until(lambda: mine.is_current)
        assert mine.is_opening is False
        assert {user: dict(await mine.of(user)) for user in expected} == expected
        await mine.write("ann", {"tea": 5.0})
        assert dict(await mine.of("ann")) == {"tea": 5.0}
        await mine.stop()

    run(scenario)


def test_what_is_written_while_a_store_is_read_is_not_missed(store_url, small_pages, monkeypatch):
    expected = filled(store_url)
    store, other = RatingsStore(store_url), RatingsStore(store_url)
    monkeypatch.setattr(ratings_cache, "RETRY_SECONDS", 0.05)
    whole, turn = store.pages, []

    def pages(revision):
        for page in whole(revision):
            if page.more and revision < 0 and len(turn) < 30:
                user = f"u{len(turn)}"
                turn.append(user)
                other.write(user, {"i0": 2.5, "new": 1.0})
            yield page

    monkeypatch.setattr(store, "pages", pages)

    async def scenario():
        mine = RatingsCache(store)
        await mine.start()
        await until(lambda: mine.is_current)
        for user in turn:
            expected[user] |= {"i0": 2.5, "new": 1.0}
        assert len(turn) > 10
        assert {user: dict(await mine.of(user)) for user in expected} == expected
        await mine.stop()

    run(scenario)
    store.close()
    other.close()


def test_a_store_that_goes_away_while_it_is_read_is_read_later(store_url, small_pages, monkeypatch):
    expected = filled(store_url)
    monkeypatch.setattr(ratings_cache, "RETRY_SECONDS", 0.05)
    store = RatingsStore(store_url)
    whole, failures = store.pages, [7, 3]

    def pages(revision):
        left = failures.pop() if failures else 1000
        for page in whole(revision):
            if left == 0:
                raise StoreAway("gone")
            left -= 1
            yield page

    monkeypatch.setattr(store, "pages", pages)

    async def scenario():
        mine = RatingsCache(store)
        await mine.start()
        assert mine.state == "away"
        await until(lambda: mine.is_current)
        assert failures == []
        assert {user: dict(await mine.of(user)) for user in expected} == expected
        await mine.stop()

    run(scenario)
    store.close()


def test_what_gathers_in_the_dictionary_is_merged(sqlite_url, monkeypatch):
    monkeypatch.setattr(ratings_table, "_RECENT", 20)

    async def scenario():
        mine = RatingsCache(RatingsStore(sqlite_url))
        await mine.start()
        for k in range(30):
            await mine.write(f"u{k % 7}", {f"i{k}": 3.0})
        await until(lambda: len(mine._table._sorted.items) > 20)
        for k in range(30):
            assert (await mine.of(f"u{k % 7}"))[f"i{k}"] == 3.0
        await mine.stop()

    run(scenario)


def test_nobody_who_reads_waits_for_the_task_that_retries(sqlite_url, monkeypatch):
    monkeypatch.setattr(ratings_cache, "READ_SECONDS", 0.1)
    monkeypatch.setattr(ratings_cache, "RETRY_SECONDS", 0.05)

    async def scenario():
        mine, other = RatingsCache(RatingsStore(sqlite_url)), RatingsStore(sqlite_url)
        await mine.start()
        await mine.write("ann", {"tea": 1.0})
        other.write("ann", {"tea": 2.0})
        async with mine._turn:  # as while a server hangs that it asks
            begun = time.perf_counter()
            assert await mine.of("ann") == {"tea": 1.0}
            assert time.perf_counter() - begun < 1
            assert not mine.is_current
        await until(lambda: mine.is_current)
        assert await mine.of("ann") == {"tea": 2.0}
        other.close()
        await mine.stop()

    run(scenario)
