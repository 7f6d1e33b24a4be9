"""What a database refuses for good: no retry helps, so a service that starts says why and ends."""

import sqlite3

__all__ = ["is_read_only", "refusal_of"]

_READ_ONLY = "the server is a read-only standby, or set to read-only: give --ratings the address of the primary"
_RIGHTS = (
    "the account may not make or write tables there: give it the right to, such as 'grant create, usage on schema …'"
)
_LOGIN = "the server refuses the account: check user, password and its rules for hosts"
_DATABASE = "the database is not there: make it, or check its name in --ratings"
_FILE = "the file cannot be written: give --ratings a file in a folder that your account may write to"

_STATES = {"25006": _READ_ONLY, "42501": _RIGHTS, "3D000": _DATABASE, "28000": _LOGIN, "28P01": _LOGIN}
_SAID = {  # psycopg has no code for what ends a connection before it is made
    'database "': _DATABASE, "no such database": _DATABASE, "password authentication failed": _LOGIN,
    "no pg_hba.conf entry": _LOGIN, 'role "': _LOGIN, "permission denied": _RIGHTS,
}  # fmt: skip
_NUMBERS = {
    1044: _RIGHTS, 1045: _LOGIN, 1049: _DATABASE, 1130: _LOGIN, 1142: _RIGHTS, 1290: _READ_ONLY, 1698: _LOGIN,
    1836: _READ_ONLY,
}  # fmt: skip
"""MySQL's and MariaDB's."""

_FILES = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}


def refusal_of(error: BaseException) -> str | None:
    """Return what to do about an error that no retry would change; None for all others.

    Examples
    --------
    >>> refusal_of(PermissionError(13, "Permission denied"))
    'the file cannot be written: give --ratings a file in a folder that your account may write to'
    >>> refusal_of(TimeoutError()) is None
    True
    """
    cause = getattr(error, "orig", None) or error
    if isinstance(cause, PermissionError):
        return _FILE
    if isinstance(cause, sqlite3.Error):
        return _FILE if getattr(cause, "sqlite_errorcode", 0) & 0xFF in _FILES else None
    if type(cause).__module__.startswith("pymysql") and cause.args:
        return _NUMBERS.get(cause.args[0])
    if state := getattr(cause, "sqlstate", None):
        return _STATES.get(state)
    text = str(cause)
    found = (remedy for said, remedy in _SAID.items() if said in text and ("FATAL" in text or said[-1] != '"'))
    return next(found, None)


def is_read_only(error: BaseException) -> bool:
    """Tell whether a server that took writes before has become read-only: its successor may have the same address."""
    return refusal_of(error) == _READ_ONLY
