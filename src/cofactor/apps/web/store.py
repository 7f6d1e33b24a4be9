"""The ratings that people give, stored in SQLite or PostgreSQL; no acknowledged one is lost.

Every write raises one number, the revision, in the same transaction. That orders the writes of all services, so a
reader that has seen a revision asks only for what came after it; a second write waits for the first, so none becomes
visible before an earlier one.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sql
from sqlalchemy import event
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from cofactor.apps.web import sqlite
from cofactor.apps.web.schema import RATINGS, STATE, migrate, version_of
from cofactor.errors import CofactorError, SettingError, missing_extra

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL

__all__ = ["Changes", "RatingsStore", "StoreAway", "beside"]

Result = TypeVar("Result")

_SQLITE = b"SQLite format 3\0"
_PATIENCE = {"connect_timeout": 2, "tcp_user_timeout": 4000, "keepalives_idle": 5, "keepalives_interval": 2}
_OPTIONS = "-c synchronous_commit=on -c statement_timeout=5000 -c lock_timeout=5000"


class StoreAway(CofactorError):
    """The ratings database cannot be reached, is full, or refuses to write: retry later."""


@dataclass(frozen=True)
class Changes:
    """What was written after some revision: (user, item, value or None), in the order of writing."""

    born: str
    revision: int
    rows: list[tuple[str, str, float | None]]


def beside(model: Path) -> str:
    """Return the URL of a model's own store: a SQLite file beside it."""
    return f"sqlite:///{model.resolve().with_suffix('.ratings.db')}"


def _address(url: str) -> "URL":
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingError("--ratings is not a database URL: write sqlite:///FILE or postgresql+psycopg://…") from None
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    if address.drivername not in ("sqlite", "postgresql+psycopg"):
        raise SettingError(f"--ratings names {address.drivername!r}: it must be sqlite or postgresql+psycopg")
    if address.drivername == "sqlite" and address.database in (None, "", ":memory:"):
        raise SettingError("--ratings has no file name, and ratings in memory would be lost: write sqlite:///FILE")
    return address


def _check_kind(file: Path) -> None:
    """Refuse a file that is not a database, which no retry would change."""
    if not file.is_file():
        return
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
    url : str
        ``sqlite:///FILE`` or ``postgresql+psycopg://user:password@host/database``.

    Raises
    ------
    SettingError
        If the URL is of another kind, or its file exists and is not a SQLite database.
    """

    def __init__(self, url: str) -> None:
        self.address = _address(url)
        self.file = Path(str(self.address.database)) if self.address.drivername == "sqlite" else None
        if self.file is not None:
            _check_kind(self.file)
        self._engine: Engine | None = None
        self._turn = threading.Lock()  # writers of one process queue here, not at the file
        self._opening = threading.Lock()
        self._watch: sqlite3.Connection | None = None
        self._watches = 0
        self._inode = 0

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

    def since(self, revision: int) -> Changes:
        """Return all that was written after a revision; everything after -1.

        Raises
        ------
        StoreAway
            If the database does not answer.
        """

        def read(connection: "Connection") -> Changes:
            born, newest = connection.execute(sql.select(STATE.c.born, STATE.c.revision)).one()
            if newest == revision:
                return Changes(born, newest, [])
            wanted = sql.select(RATINGS.c.user_id, RATINGS.c.item_id, RATINGS.c.value).order_by(RATINGS.c.revision)
            between = RATINGS.c.revision.between(revision + 1, newest)
            rows = connection.execute(wanted.where(between)).all()
            return Changes(born, newest, [(user, item, value) for user, item, value in rows])

        return self._run(read, reading=True)

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

    def check_version(self) -> None:
        """Refuse a database whose schema version this code cannot read; one that does not exist yet is fine.

        Raises
        ------
        SettingError
            If it has such a version.
        StoreAway
            If the database does not answer.
        """
        if self.file is not None and not self.file.exists():
            return
        engine = self._made()
        try:
            version_of(engine)
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            self._fail(error)
        finally:
            engine.dispose()

    def close(self) -> None:
        """Close all connections; the next call opens new ones."""
        engine, self._engine = self._engine, None
        watch, self._watch = self._watch, None
        if engine is not None:
            engine.dispose()
        if watch is not None:
            watch.close()

    def _writing(self, changes: "Callable[[Connection], Mapping[str, float | None]]", user: str) -> None:
        def write(connection: "Connection") -> None:
            raised = sql.update(STATE).values(revision=STATE.c.revision + 1)
            connection.execute(raised)  # locks the row: others wait here until this transaction ends
            revision = connection.execute(sql.select(STATE.c.revision)).scalar_one()
            now = int(time.time())
            rows = [
                {"user_id": user, "item_id": item, "value": value, "rated_at": now, "revision": revision}
                for item, value in changes(connection).items()
            ]
            if rows:
                connection.execute(_upsert(connection), rows)

        with self._turn:
            self._run(write)

    def _run(self, work: "Callable[[Connection], Result]", **options: Any) -> Result:
        """Do some work in one transaction, and again if the connection turns out to be dead.

        Writing the same rating twice does no harm.
        """
        for last in (False, True):
            try:
                with self._opened().execution_options(**options).begin() as connection:
                    return work(connection)
            except DBAPIError as error:
                if last or not error.connection_invalidated:
                    self._fail(error)
            except (SQLAlchemyError, sqlite3.Error, OSError) as error:
                self._fail(error)
        raise AssertionError("unreachable")

    def _fail(self, error: Exception) -> None:
        """Raise StoreAway with the driver's message, without the password."""
        lines = str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__]
        password = self.address.password
        said = lines[0].replace(str(password), "***") if password else lines[0]
        raise StoreAway(said if self.file is None else f"{self.file}: {said}") from None

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
        try:
            return sql.create_engine(self.address, pool_size=8, connect_args={**_PATIENCE, "options": _OPTIONS})
        except ModuleNotFoundError:
            raise missing_extra("psycopg", "sql") from None


def _begin(connection: "Connection") -> None:
    """Lock the file at the start of a transaction that will write, so that no writer fails midway."""
    if connection.get_execution_options().get("reading"):
        connection.exec_driver_sql("begin")
    else:
        sqlite.wait_for_turn(connection.connection.dbapi_connection)


def _upsert(connection: "Connection") -> Any:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite_dialect
    insert: Any = dialect.insert(RATINGS)
    given = {name: insert.excluded[name] for name in ("value", "rated_at", "revision")}
    return insert.on_conflict_do_update(index_elements=["user_id", "item_id"], set_=given)
