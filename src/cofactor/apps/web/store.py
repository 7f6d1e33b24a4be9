"""The ratings that people give, kept in SQLite or PostgreSQL so that none that was acknowledged is lost.

Every write raises one number, the revision, in the same transaction. That puts the writes of all services in one
order, so whoever has seen a revision need only ask for what came after it; and a second write waits for the first,
so none is seen before an earlier one.
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
from cofactor.apps.web.schema import RATINGS, STATE, migrate
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
    """The database of the ratings cannot be reached, is full, or refuses to write: try again later."""


@dataclass(frozen=True)
class Changes:
    """What a store has taken after some revision: (user, item, value or None) in the order of writing."""

    born: str
    revision: int
    rows: list[tuple[str, str, float | None]]


def beside(model: Path) -> str:
    """Return the URL of the store that belongs to a model file: a SQLite file next to it."""
    return f"sqlite:///{model.resolve().with_suffix('.ratings.db')}"


def _address(url: str) -> "URL":
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingError("--ratings is no database URL: write sqlite:///FILE or postgresql+psycopg://…") from None
    if address.drivername == "postgresql":
        address = address.set(drivername="postgresql+psycopg")
    if address.drivername not in ("sqlite", "postgresql+psycopg"):
        raise SettingError(f"--ratings names {address.drivername!r}: it must be sqlite or postgresql+psycopg")
    if address.drivername == "sqlite" and address.database in (None, "", ":memory:"):
        raise SettingError("--ratings names no file, and ratings in memory would be lost: write sqlite:///FILE")
    return address


def _check_kind(file: Path) -> None:
    """Refuse a file that no database can be made of, which no waiting would mend."""
    if not file.is_file():
        return
    with contextlib.suppress(OSError), file.open("rb") as opened:
        begun = opened.read(len(_SQLITE))
        if begun and begun != _SQLITE:
            raise SettingError(f"--ratings names {file}, which is no SQLite database: give another file, or a new one")


class RatingsStore:
    """A database of ratings. All methods block; those of one store may be called from several threads.

    Parameters
    ----------
    url : str
        ``sqlite:///FILE`` or ``postgresql+psycopg://user:password@host/database``.

    Raises
    ------
    SettingError
        If the URL is of another kind, or its file is there and no SQLite database.
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
        """Keep a user's ratings; None takes one back. When it returns, they are on the disk.

        Raises
        ------
        StoreAway
            If it could not be done; then it may or may not have been.
        """
        self._writing(lambda _: ratings, user)

    def replace(self, user: str, ratings: Mapping[str, float], also: Iterable[str] = ()) -> None:
        """Keep these ratings of a user and no others: those in the store, and of the items ``also``, are taken back.

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
        """Return all that was written after a revision; all there is after -1.

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
        """Return a number that changes when another connection has written, in microseconds; None where one must ask.

        Only SQLite has such a number, and not while a writer has the file locked.
        """
        if self.file is None or self._engine is None:
            return None
        try:
            if os.stat(self.file).st_ino != self._inode:  # noqa: PTH116  (a Path costs more than the call)
                self.close()
                return None
            if self._watch is None:
                self._watch = sqlite3.connect(self.file, timeout=0, check_same_thread=False)
                self._watches += 1  # the number means something to one connection alone
            version: int = self._watch.execute("pragma data_version").fetchone()[0]
            return (self._watches << 32) + version
        except (OSError, sqlite3.Error):
            return None

    def probe(self) -> None:
        """Write nothing, but as durably as ever, to learn whether it can be done.

        Raises
        ------
        StoreAway
            If it cannot.
        """
        self._writing(lambda _: {}, "")

    def close(self) -> None:
        """Let go of all connections; the next call opens new ones."""
        engine, self._engine = self._engine, None
        watch, self._watch = self._watch, None
        if engine is not None:
            engine.dispose()
        if watch is not None:
            watch.close()

    def _writing(self, changes: "Callable[[Connection], Mapping[str, float | None]]", user: str) -> None:
        def write(connection: "Connection") -> None:
            raised = sql.update(STATE).values(revision=STATE.c.revision + 1)
            connection.execute(raised)  # others wait here until this one is done
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
        """Do some work in one transaction; once more where the connection turns out to be a dead one.

        Doing it twice does no harm: a rating that is written again is the same rating.
        """
        for last in (False, True):
            try:
                with self._opened().execution_options(**options).begin() as connection:
                    return work(connection)
            except DBAPIError as error:
                if last or not error.connection_invalidated:
                    self._given_up(error)
            except (SQLAlchemyError, sqlite3.Error, OSError) as error:
                self._given_up(error)
        raise AssertionError("unreachable")

    def _given_up(self, error: Exception) -> None:
        """Say that the store is away; the driver's own words, less the password, are for the log."""
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
    """Lock the file before the first look where something will be written, so that no writer must give up midway."""
    if connection.get_execution_options().get("reading"):
        connection.exec_driver_sql("begin")
    else:
        sqlite.wait_for_turn(connection.connection.dbapi_connection)


def _upsert(connection: "Connection") -> Any:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite_dialect
    insert: Any = dialect.insert(RATINGS)
    given = {name: insert.excluded[name] for name in ("value", "rated_at", "revision")}
    return insert.on_conflict_do_update(index_elements=["user_id", "item_id"], set_=given)
