"""The ratings that people give, stored in SQLite, PostgreSQL, MariaDB or MySQL; no acknowledged one is lost.

Every write raises one number, the revision, in the same transaction. That orders the writes of all services, so a
reader that has seen a revision asks only for what came after it; a second write waits for the first, so none becomes
visible before an earlier one.
"""

import contextlib
import functools
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import sqlalchemy as sql
from sqlalchemy import event
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from cofactor.apps.web import sqlite
from cofactor.apps.web.erasures import Erasures, digest_of
from cofactor.apps.web.ratings_table import Rating
from cofactor.apps.web.refusals import is_read_only, refusal_of
from cofactor.apps.web.schema import ERASURES, EVENTS, LISTS, RATINGS, STATE, migrate, version_of
from cofactor.data.columns import LARGEST
from cofactor.errors import CofactorError, SettingError, missing_extra
from cofactor.gate import unusable_path

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from cofactor.apps.web.settings import ServiceSettings

__all__ = ["Changes", "RatingsStore", "StoreAway", "beside", "store_of", "upsert"]

Result = TypeVar("Result")

_SQLITE = b"SQLite format 3\0"
_PATIENCE = {
    "connect_timeout": 2, "tcp_user_timeout": 4000, "keepalives_idle": 5, "keepalives_interval": 2,
    "client_encoding": "utf8", "prepare_threshold": None,  # what is prepared is not on a pooler's next connection
}  # fmt: skip
_MYSQL_PATIENCE = {
    "connect_timeout": 2, "read_timeout": 30, "write_timeout": 10, "charset": "utf8mb4",
    "init_command": "set session innodb_lock_wait_timeout = 5",
}  # fmt: skip
_WRITING = {"synchronous_commit": "on", "statement_timeout": "5000", "lock_timeout": "5000"}


class StoreAway(CofactorError):
    """The ratings database cannot be reached, is full, or refuses to write: retry later."""


class StoreRefused(StoreAway):
    """The ratings database refuses what no retry would change, such as an account without rights."""


PAGE = 20_000
"""How many ratings are read at a time."""


@dataclass(frozen=True)
class Changes:
    """What was written after some revision, or a page of it; no user and item are in it twice.

    Parameters
    ----------
    born : str
        The name of the store.
    revision : int
        Up to which everything has been read with this page and those before it.
    rows : list of (str, str, float or None)
        User, item, value; None for a deleted rating.
    more : bool
        Whether another page follows.
    erased : list of (str, int)
        Who was erased and at which revision, as `erasures.digest_of` names them; all of it is in the first page.
        What they rated later comes after it.
    """

    born: str
    revision: int
    rows: Sequence[Rating]
    more: bool = False
    erased: Sequence[tuple[str, int]] = ()


PAGE_SECONDS = 60
"""How long a page may take; a whole store takes as long as it takes."""

_FIRST_STEP = 1_000
_AT_ONCE = 500
_STATE = sql.select(STATE.c.born, STATE.c.revision)
_AFTER = {
    name: sql.select(RATINGS.c.user_id, RATINGS.c.item_id, RATINGS.c[name]).where(
        RATINGS.c.revision > sql.bindparam("after"), RATINGS.c.revision <= sql.bindparam("newest")
    )
    for name in ("value", "rated_at")
}
_ERASED = sql.select(ERASURES.c.digest, ERASURES.c.revision).where(
    ERASURES.c.revision > sql.bindparam("after"), ERASURES.c.revision <= sql.bindparam("newest")
)
_LAST_ROW = "select max(rowid) from cofactor_ratings"
_RANGE = "select user_id, item_id, {1} from cofactor_ratings where {0} > ? and {0} <= ? and revision <= ?"


def beside(model: Path) -> "URL":
    """Return the URL of a model's own store: a SQLite file beside it; beside the link, where the model is one.

    Examples
    --------
    >>> [beside(Path("/m") / name).database for name in ("films.safetensors", "shop.films")]
    ['/m/films.ratings.db', '/m/shop.films.ratings.db']
    """
    path = model.absolute()
    return URL.create("sqlite", database=str(path.with_name(f"{path.name.removesuffix('.safetensors')}.ratings.db")))


def store_of(settings: "ServiceSettings") -> "RatingsStore":
    """Return the store of a service."""
    return RatingsStore(settings.ratings or beside(settings.model))


_DRIVERS = {
    "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql",
}  # fmt: skip
_SERVERS = "postgresql+psycopg://…, mysql+pymysql://… or mariadb+pymysql://…"


def _address(url: "str | URL") -> "URL":
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingError(f"--ratings is not a database URL: write sqlite:///FILE or {_SERVERS}") from None
    address = address.set(drivername=_DRIVERS.get(address.drivername, address.drivername))
    if address.drivername not in ("sqlite", *_DRIVERS.values()):
        raise SettingError(f"--ratings names {address.drivername!r}: write sqlite:///FILE or {_SERVERS}")
    if address.drivername == "sqlite" and address.database in (None, "", ":memory:"):
        raise SettingError("--ratings has no file name, and ratings in memory would be lost: write sqlite:///FILE")
    return address


def _check_kind(file: Path) -> None:
    """Refuse a file that is not a database, which no retry would change."""
    if reason := unusable_path(file):
        raise SettingError(f"--ratings names a file whose path {reason}: write sqlite:///FILE")
    if not file.exists():
        return
    if not file.is_file():
        raise SettingError(f"--ratings names {file}, which is not an ordinary file: give another")
    with contextlib.suppress(OSError), file.open("rb") as opened:
        begun = opened.read(len(_SQLITE))
        if begun and begun != _SQLITE:
            raise SettingError(
                f"--ratings names {file}, which is not a SQLite database: give another file, or a new one"
            )


class RatingsStore:
    """A database of ratings. All methods block; those of one store may be called from several threads.

    Parameters
    ----------
    url : str or sqlalchemy.URL
        ``sqlite:///FILE`` or ``postgresql+psycopg://user:password@host/database``, or the same with
        ``mysql+pymysql`` or ``mariadb+pymysql``.

    Raises
    ------
    SettingError
        If the URL is of another kind, or its file exists and is not a SQLite database.

    Attributes
    ----------
    held_at : int, optional
        The revision of a SQLite file while `writing_aside` has it locked, so that nobody can write to it.
    """

    def __init__(self, url: "str | URL") -> None:
        self.address = _address(url)
        self.file = Path(str(self.address.database)) if self.address.drivername == "sqlite" else None
        if self.file is not None:
            _check_kind(self.file)
        self._engine: Engine | None = None
        self._turn = threading.Lock()  # writers of one process queue here, not at the file
        self._opening = threading.Lock()
        self._watch: sqlite3.Connection | None = None
        self._watches = 0
        self.held_at: int | None = None
        self._inode = 0

    def __str__(self) -> str:
        """Return where the ratings are, without the password."""
        return self.address.set(query={}).render_as_string(hide_password=True)

    def write(self, user: str, ratings: Mapping[str, float | None]) -> None:
        """Store a user's ratings; None deletes one. When it returns, they are on disk.

        Raises
        ------
        StoreAway
            If the database fails; the ratings may or may not have been stored.
        """
        self._writing(lambda _: ratings, user)

    def replace(self, user: str, ratings: Mapping[str, float], also: Iterable[str] = ()) -> None:
        """Store these ratings of a user and delete all others: those in the store, and of the items ``also``.

        Raises
        ------
        StoreAway
            As `write`.
        """
        gone = dict.fromkeys(also)

        def changes(connection: "Connection") -> Mapping[str, float | None]:
            kept = sql.select(RATINGS.c.item_id).where(RATINGS.c.user_id == user, RATINGS.c.value.is_not(None))
            return {**dict.fromkeys(connection.execute(kept).scalars()), **gone, **ratings}

        self._writing(changes, user)

    def erase(self, user: str) -> int:
        """Delete all that is stored of a user, deleted ratings, lists and events too; return how many ratings it was.

        What remains is a digest of the id. When this returns, a SQLite file has no byte of the rest.

        Raises
        ------
        StoreAway
            If the database fails; try again until it does not.
        """

        def work(connection: "Connection", revision: int) -> int:
            gone = connection.execute(sql.delete(RATINGS).where(RATINGS.c.user_id == user)).rowcount
            lists = connection.execute(sql.select(LISTS.c.list_id).where(LISTS.c.user_id == user)).scalars().all()
            for first in range(0, len(lists), _AT_ONCE):  # by key, as some servers demand
                connection.execute(sql.delete(EVENTS).where(EVENTS.c.list_id.in_(lists[first : first + _AT_ONCE])))
            connection.execute(sql.delete(LISTS).where(LISTS.c.user_id == user))
            born = connection.execute(sql.select(STATE.c.born)).scalar_one()
            rows = [{"digest": digest_of(user, born), "revision": revision}]
            connection.execute(upsert(connection, ERASURES), rows)
            return gone

        count = self.writing(work)
        if self.file is not None:
            self._run(lambda connection: sqlite.empty_log(connection.connection.dbapi_connection), outside=True)
        return count

    def knows(self, user: str) -> bool:
        """Return whether anything is stored of a user, be it a deleted rating or a list."""
        asked = [sql.select(table.c.user_id).where(table.c.user_id == user).limit(1) for table in (RATINGS, LISTS)]
        return self._run(lambda connection: any(connection.execute(one).first() for one in asked), reading=True)

    def erasures(self) -> Erasures:
        """Return who was erased."""

        def read(connection: "Connection") -> Erasures:
            born, newest = connection.execute(_STATE).one()
            return Erasures.of(born, newest, connection.execute(_ERASED, {"after": -1, "newest": newest}).all())

        return self._run(read, reading=True)

    def since(self, revision: int) -> Changes:
        """Return all that was written after a revision; everything after -1.

        Raises
        ------
        StoreAway
            If the database does not answer.
        """
        pages = list(self.pages(revision))
        return Changes(
            pages[-1].born,
            pages[-1].revision,
            [(user, item, value) for page in pages for user, item, value in page.rows],
            erased=pages[0].erased,
        )

    def pages(self, revision: int, what: Literal["value", "rated_at"] = "value") -> Iterator[Changes]:
        """Yield what was written after a revision, some ten thousand ratings at a time.

        Where there is nothing, that is one page without ratings. What is written meanwhile is left for the next call.
        With "rated_at", the seconds since 1970 of the last write take the place of the values.

        Raises
        ------
        StoreAway
            If the database does not answer.
        """
        return self._pages_of_file(revision, what) if self.file is not None else self._pages_of_server(revision, what)

    def _pages_of_file(self, revision: int, what: str) -> Iterator[Changes]:
        """Read each page in a transaction of its own, since SQLite's writers wait for readers.

        A page is a range of revisions, which an index has in order; for a whole store a range of the file's rows, which
        are read one after the other.
        """
        column, place, step = ("revision", revision, _FIRST_STEP) if revision >= 0 else ("rowid", 0, PAGE)
        newest = last = -1

        def read(connection: "Connection") -> tuple[str, int, int, Any, Any]:
            born, now = _checked_state(connection.execute(_STATE).one())
            if now == revision:
                return born, now, now, [], ()
            upto = now if newest < 0 else newest
            erased = connection.execute(_ERASED, {"after": revision, "newest": upto}).all() if newest < 0 else ()
            end = upto if revision >= 0 else connection.exec_driver_sql(_LAST_ROW).scalar_one() or 0
            rows = connection.exec_driver_sql(_RANGE.format(column, what), (place, min(place + step, end), upto))
            return born, now, end, _checked_rows(rows.cursor.fetchall()), erased

        while newest < 0 or place < last:
            born, now, last, rows, erased = self._run(read, reading=True)
            newest = now if newest < 0 else newest
            place += step
            step = max(1, min(PAGE, step * PAGE // max(len(rows), 1)))
            done = newest if place >= last else place if revision >= 0 else revision
            yield Changes(born, done, rows, place < last, erased)

    def _pages_of_server(self, revision: int, what: str) -> Iterator[Changes]:
        """Read all pages in one transaction, which makes nobody wait.

        Whether there is anything is asked outside of one, which takes a third of the time.
        """
        born, newest = self._run(
            lambda connection: _checked_state(connection.execute(_STATE).one()), isolation_level="AUTOCOMMIT"
        )
        if newest == revision:
            yield Changes(born, newest, [])
            return
        with self._failing_as_away(), self._opened().begin() as connection:
            born, newest = connection.execute(_STATE).one()
            if connection.dialect.name == "postgresql":
                _set(connection, statement_timeout=str(1000 * PAGE_SECONDS))
            bounds = {"after": revision, "newest": newest}
            erased = connection.execute(_ERASED, bounds).all()
            stream = connection.execution_options(stream_results=True, max_row_buffer=PAGE).execute(
                _AFTER[what], bounds
            )
            parts = stream.partitions(PAGE)
            rows: Sequence[Any] = next(parts, [])
            while (following := next(parts, None)) is not None:
                yield Changes(born, revision, _checked_rows(rows), True, erased)
                rows, erased = following, []
            yield Changes(born, newest, _checked_rows(rows), erased=erased)

    def peek(self) -> int | None:
        """Return a number that changes when another connection writes; None if the store must be asked instead.

        Only SQLite has such a number, which takes microseconds, and not while a writer has the file locked.
        """
        if self.file is None or self._engine is None:
            return None
        try:
            if os.stat(self.file).st_ino != self._inode:  # noqa: PTH116  (a Path costs more than the call)
                self.close()
                return None
            if self._watch is None:
                self._watch = sqlite3.connect(self.file, timeout=0, check_same_thread=False)
                self._watches += 1  # the number is comparable within one connection only
            version: int = self._watch.execute("pragma data_version").fetchone()[0]
            return (self._watches << 32) + version
        except (OSError, sqlite3.Error):
            return None

    def probe(self) -> None:
        """Make an empty write, to find out whether the store takes writes.

        Raises
        ------
        StoreAway
            If it does not.
        """
        self._writing(lambda _: {}, "")

    def check(self) -> None:
        """Open the store and make an empty write, as a service does that starts.

        Raises
        ------
        SettingError
            If the database refuses what no retry would change.
        StoreAway
            If it does not answer, or not in time.
        """
        try:
            self.probe()
        except StoreRefused as error:
            raise SettingError(f"--ratings names {self}: {error}") from None
        finally:
            self.close()

    def version(self) -> str | None:
        """Return the schema version of the database, None if it is not there or has no ratings store in it.

        It makes nothing, and refuses a database whose version this code cannot read.

        Raises
        ------
        SettingError
            If it has such a version.
        StoreAway
            If the database does not answer.
        """
        if self.file is not None and not self.file.exists():
            return None
        engine = self._made()
        try:
            return version_of(engine)
        except (SQLAlchemyError, self._driver_error, OSError, UnicodeDecodeError) as error:
            self._fail(error)
        finally:
            engine.dispose()
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Close all connections; the next call opens new ones."""
        engine, self._engine = self._engine, None
        watch, self._watch = self._watch, None
        if engine is not None:
            engine.dispose()
        if watch is not None:
            watch.close()

    def _writing(self, changes: "Callable[[Connection], Mapping[str, float | None]]", user: str) -> None:
        def write(connection: "Connection", revision: int) -> None:
            now = int(time.time())
            rows = [
                {"user_id": user, "item_id": item, "value": value, "rated_at": now, "revision": revision}
                for item, value in changes(connection).items()
            ]
            if rows:
                connection.execute(upsert(connection, RATINGS), rows)

        self.writing(write)

    def writing(self, work: "Callable[[Connection, int], Result]") -> Result:
        """Do some work in a write of its own, which is told its revision; when it returns, that is on disk.

        Raises
        ------
        StoreAway
            As `write`.
        """

        def write(connection: "Connection") -> Result:
            if connection.dialect.name == "postgresql":
                _set(connection, **_WRITING)
            raised = sql.update(STATE).where(STATE.c.id == 1).values(revision=STATE.c.revision + 1)
            connection.execute(raised)  # locks the row: others wait here until this transaction ends
            return work(connection, connection.execute(sql.select(STATE.c.revision)).scalar_one())

        with self._turn:
            return self._run(write)

    def writing_aside(self, work: "Callable[[Connection], Result]") -> Result:
        """Do some work in a write of its own that readers of ratings need not hear of; it waits for other writes.

        Raises
        ------
        StoreAway
            As `write`.
        """

        def write(connection: "Connection") -> Result:
            if connection.dialect.name == "postgresql":
                _set(connection, **_WRITING)
            revision = connection.execute(sql.select(STATE.c.revision).where(STATE.c.id == 1).with_for_update())
            if self.file is not None:
                self.held_at = revision.scalar_one()
            return work(connection)

        with self._turn:
            try:
                return self._run(write)
            finally:
                self.held_at = None

    def reading(self, work: "Callable[[Connection], Result]") -> "Result":
        """Read something in one transaction.

        Raises
        ------
        StoreAway
            If the database does not answer.
        """
        return self._run(work, reading=True)

    def _run(self, work: "Callable[[Connection], Result]", **options: Any) -> Result:
        """Do some work in one transaction, and again if the connection turns out to be dead.

        Writing the same rating twice does no harm.
        """
        for last in (False, True):
            with self._failing_as_away():
                try:
                    with self._opened().execution_options(**options).begin() as connection:
                        return work(connection)
                except DBAPIError as error:
                    if last or not error.connection_invalidated:
                        raise
                except self._driver_error:  # of a server, while the connection was made ready, before the work
                    if last or self.file is not None:
                        raise
                    self.close()
        raise AssertionError("unreachable")

    @contextlib.contextmanager
    def _failing_as_away(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, self._driver_error, OSError, UnicodeDecodeError) as error:
            self._fail(error)

    @functools.cached_property
    def _driver_error(self) -> type[Exception]:
        """What the driver itself raises: SQLAlchemy lets it pass where it sets a connection's isolation level."""
        try:
            found: type[Exception] = self.address.get_dialect().import_dbapi().Error
        except ModuleNotFoundError:
            return sqlite3.Error
        return found

    def _fail(self, error: Exception) -> None:
        """Raise StoreAway with the driver's message, without the password."""
        if is_read_only(error) and self.file is None:
            self.close()  # the server was demoted: its successor is found by connecting again
        lines = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
        password = self.address.password
        said = lines[0].replace(str(password), "***") if password else lines[0]
        said = said if self.file is None else f"{self.file}: {said}"
        if (remedy := refusal_of(error)) is not None:
            raise StoreRefused(f"{said}; {remedy}") from None
        raise StoreAway(said) from None

    def _opened(self) -> "Engine":
        with self._opening:
            if self._engine is not None and self.file is not None and not self._same_file():
                self.close()
            if self._engine is None:
                engine = self._made()
                migrate(engine)
                self._inode = 0 if self.file is None else self.file.stat().st_ino
                self._engine = engine
            return self._engine

    def _same_file(self) -> bool:
        try:
            return self.file is not None and self.file.stat().st_ino == self._inode
        except OSError:
            return False

    def _made(self) -> "Engine":
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            engine = sql.create_engine(self.address, pool_size=4, connect_args={"timeout": sqlite.BUSY_SECONDS})
            event.listen(engine, "connect", sqlite.prepare)
            event.listen(engine, "begin", _begin)
            return engine
        is_postgresql = self.address.drivername.startswith("postgresql")
        patience, isolation = (
            (_PATIENCE, "READ COMMITTED") if is_postgresql else (_MYSQL_PATIENCE, "REPEATABLE READ")
        )  # whatever the account's default is
        try:
            return sql.create_engine(self.address, pool_size=8, connect_args=patience, isolation_level=isolation)
        except ModuleNotFoundError:
            raise missing_extra("psycopg" if is_postgresql else "pymysql", "sql") from None


def _checked_state(row: Any) -> tuple[str, int]:
    """Return a store's name and revision; SQLite keeps anything in any column."""
    born, revision = row
    if not isinstance(born, str) or type(revision) is not int or not 0 <= revision < 2**62:
        raise StoreAway("the database does not say how far it has been written to: restore it from a copy")
    return born, revision


def _checked_rows(rows: Sequence[Rating]) -> Sequence[Rating]:
    """Return ratings, once all are of texts and finite numbers."""
    for user, item, value in rows:
        sound = value is None or (isinstance(value, int | float) and abs(value) <= LARGEST)
        if not (sound and isinstance(user, str) and isinstance(item, str)):
            raise StoreAway("the database holds a rating that is no text and number: restore it from a copy")
    return rows


def _set(connection: "Connection", **settings: str) -> None:
    """Change settings of PostgreSQL for a transaction: those of a connection are not kept by poolers."""
    changes = [sql.func.set_config(name, value, True) for name, value in settings.items()]
    connection.execute(sql.select(*changes))


def _begin(connection: "Connection") -> None:
    """Lock the file at the start of a transaction that will write, so that no writer fails midway."""
    options = connection.get_execution_options()
    if options.get("outside"):
        return
    if options.get("reading"):
        connection.exec_driver_sql("begin")
    else:
        sqlite.wait_for_turn(connection.connection.dbapi_connection)


def upsert(connection: "Connection", table: sql.Table) -> Any:
    """Return the statement that inserts rows, or replaces those of the same keys."""
    if connection.dialect.name in ("mysql", "mariadb"):
        replacing: Any = mysql.insert(table)
        given = {column.name: replacing.inserted[column.name] for column in table.columns if not column.primary_key}
        return replacing.on_duplicate_key_update(given)
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite_dialect
    insert: Any = dialect.insert(table)
    keys = [column.name for column in table.primary_key]
    given = {column.name: insert.excluded[column.name] for column in table.columns if not column.primary_key}
    return insert.on_conflict_do_update(index_elements=keys, set_=given)
