"""How SQLite is set up so that no acknowledged rating is lost, and writers take turns."""

import random
import sqlite3
import time
from typing import Any

__all__ = ["BUSY_SECONDS", "empty_log", "has_wal_fix", "journal_mode", "prepare", "wait_for_turn"]

BUSY_SECONDS = 20.0
"""How long a writer waits for the others: far longer than a write takes."""

_RETRY_SECONDS = (0.0005, 0.003)

_FIXED = ((3, 44, 6), (3, 50, 7))
"""Backports of the fix of 3.51.3, each for the releases of its own branch."""


def has_wal_fix(version: tuple[int, ...]) -> bool:
    """Tell whether a release of SQLite has the fix of the WAL-reset bug, which could lose commits.

    Examples
    --------
    >>> [has_wal_fix(version) for version in ((3, 40, 1), (3, 44, 6), (3, 50, 6), (3, 51, 3))]
    [False, True, False, True]
    """
    if version >= (3, 51, 3):
        return True
    return any(version[:2] == fixed[:2] and version >= fixed for fixed in _FIXED)


def journal_mode(version: tuple[int, ...]) -> str:
    """Return the journal mode: the write-ahead log where it is safe, a rollback journal elsewhere."""
    return "WAL" if has_wal_fix(version) else "DELETE"


def prepare(connection: sqlite3.Connection, *_: Any) -> None:
    """Set up a new connection: transactions start explicitly, and a commit is on disk when it returns."""
    connection.isolation_level = None
    connection.execute(f"pragma journal_mode = {journal_mode(sqlite3.sqlite_version_info)}")
    connection.execute("pragma synchronous = FULL")
    connection.execute("pragma secure_delete = ON")  # what is deleted is overwritten


def empty_log(connection: sqlite3.Connection) -> None:
    """Move all of the write-ahead log into the database and cut it to nothing, since it holds what was deleted.

    Raises
    ------
    sqlite3.OperationalError
        If readers are in the way for too long.
    """
    end = time.monotonic() + BUSY_SECONDS
    while connection.execute("pragma wal_checkpoint(truncate)").fetchone()[0]:
        if time.monotonic() > end:
            raise sqlite3.OperationalError("the write-ahead log is in use, and still holds what was erased")
        time.sleep(random.uniform(*_RETRY_SECONDS))  # noqa: S311


def wait_for_turn(connection: sqlite3.Connection) -> None:
    """Begin a write transaction as soon as no other is open.

    SQLite's own wait retries ever less often, so that with many busy writers the one that waits longest has the least
    chance, and fails in the end. Here all retry equally often.

    Raises
    ------
    sqlite3.Error
        If the others take too long, or the database fails otherwise.
    """
    end = time.monotonic() + BUSY_SECONDS
    connection.execute("pragma busy_timeout = 0")
    try:
        while True:
            try:
                connection.execute("begin immediate")
                return
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > end:
                    raise
            time.sleep(random.uniform(*_RETRY_SECONDS))  # noqa: S311
    finally:
        connection.execute(f"pragma busy_timeout = {1000 * BUSY_SECONDS:.0f}")


def _is_busy(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
