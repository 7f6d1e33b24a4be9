"""Open the data that a command is given: a name, a file, a folder or a database.

Every option of the data is passed on or refused by name, whatever DATA is.
"""

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from cofactor.apps import show
from cofactor.apps.options import flag
from cofactor.data import catalog, readers
from cofactor.data.arguments import path_of
from cofactor.data.attribute_files import ids_first
from cofactor.data.ingest import Known
from cofactor.data.interactions import Interactions
from cofactor.data.ondisk import MANIFEST
from cofactor.data.opening import files_of
from cofactor.data.outofcore import open_parquet
from cofactor.data.remote import is_url, without_secrets
from cofactor.errors import DataError, SettingError

__all__ = ["is_named", "open_data"]

_COLUMNS = {"user_column": "user", "item_column": "item", "value_column": "value", "time_column": "time"}
_TABLE = {*_COLUMNS, "weights", "duplicates", "on_bad_rows", "memory"}
_TEXT = {*_TABLE, "separator", "header", "ids", "encoding"}


def open_data(
    data: str, *, progress: bool = False, notify: Callable[[str], None] | None = None, **options: Any
) -> Interactions:
    """Open a catalogue name, a synthetic name, a file or folder, or a database URL with a query.

    Files of items and users go with any of them. A limit of memory changes how DATA is held, not which DATA is meant:
    what cannot be held within one is refused.

    Raises
    ------
    SettingError
        If an option is given that this kind of data does not have.
    DataError
        If the data cannot be read.
    """
    known = Known.of(_known(data, options, "item"), _known(data, options, "user"))  # before the work, not after it
    given = {name: value for name, value in options.items() if value is not None}
    if is_named(data) and not given.get("query"):
        _refuse_others(given, {"ids"}, repr(data))
        if not data.startswith("synthetic:"):
            catalog.dataset_files(data, progress=progress, notify=notify)  # a download has a bar of its own
    label = "reading the database" if "://" in data else f"reading {data}"  # a URL may hold a password
    with show.progress_bar(label, hidden=not progress):
        return known.joined_to(_opened(data, given, progress, notify))


def _known(data: str, options: dict[str, Any], side: str) -> Any:
    """Return what is known of a side as options say: a file, or the table of a query."""
    given, query = options.pop(f"{side}s", None), options.pop(f"{side}s_query", None)
    if query is None:
        if given is not None and _is_url(given):
            raise SettingError(f"--{side}s is a database URL: give --{side}s-query, a select statement, too")
        return given
    url = data if given is None else given
    if not _is_url(url):
        raise SettingError(f"--{side}s-query needs a database: give --{side}s URL, such as sqlite:///shop.db")
    return ids_first(readers.read_sql_table(query, url), side, f"--{side}s-query")


def _is_url(text: str) -> bool:
    return re.match(r"\w[\w+]*://", text) is not None


def _opened(data: str, given: dict[str, Any], progress: bool, notify: Callable[[str], None] | None) -> Interactions:
    if is_url(data) and not given.get("query"):
        _refuse_others(given, _TABLE if readers.is_parquet(data) else _TEXT, without_secrets(data))
        return readers.read_table(data, **_arguments(given))
    if given.get("query") or _is_url(data):
        return _read_sql(data, given)
    if is_named(data):
        return _load_named(data, given, progress, notify)
    path = _existing(data)
    if (path / MANIFEST).is_file():
        _refuse_others(given, {"memory"}, f"{path}, a folder of interactions")
        return Interactions.open(path, memory=given.get("memory"))
    if readers.looks_like_movielens(path, given.get("separator")) and given.get("header", True):
        _refuse_others(given, _TEXT, repr(str(path)))
        return readers.read_movielens(path, **_arguments(given))
    if not readers.is_parquet(path):
        _refuse_others(given, _TEXT, repr(str(path)))
        return readers.read_csv(path, **_arguments(given))
    _refuse_others(given, _TABLE, "Parquet")
    if "memory" in given:
        return open_parquet(path, **_arguments(given), notify=notify)
    return readers.read_parquet(path, **_arguments(given))


def is_named(data: str) -> bool:
    """Return whether data are given by a name, not by a path or URL."""
    return data.startswith("synthetic:") or data in {entry.name for entry in catalog.datasets()}


def _read_sql(url: str, given: Mapping[str, Any]) -> Interactions:
    _refuse_others(given, {*_TABLE, "query"}, "a database")  # its URL may hold a password
    if not given.get("query"):
        raise SettingError("a database URL needs --query 'select user, item, value from …'")
    return readers.read_sql(url=url, **_arguments(given))


def _load_named(
    name: str, given: Mapping[str, Any], progress: bool, notify: Callable[[str], None] | None
) -> Interactions:
    if name.startswith("synthetic:") and given.get("ids") == "str":
        raise SettingError(f"--ids str is not for {name!r}, whose ids are integers: leave it out")
    return catalog.load_dataset(name, **_arguments(given), progress=progress, notify=notify)


def _existing(data: str) -> Path:
    path = path_of(data)
    if path.exists() or files_of(data) != [path]:  # or a pattern; one that nothing matches is refused
        return path
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(data, [entry.name for entry in catalog.datasets()], n=1)
    near = near or [str(path.parent / name) for name in difflib.get_close_matches(path.name, beside, n=1)]
    hint = f"did you mean {near[0]}?" if near else "'cofactor datasets' lists those there are"
    raise DataError(f"{data!r} is neither a file nor a named data set: {hint}")


def _arguments(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as the readers' arguments."""
    arguments = {_COLUMNS.get(name, name): value for name, value in given.items()}
    if "header" in arguments:
        arguments["has_header"] = arguments.pop("header")
    if "weights" in arguments:
        arguments["weights"] = _weights(arguments["weights"])
    return arguments | {role: None for role in ("value", "time") if arguments.get(role) == "none"}


def _weights(text: str) -> dict[str, float]:
    """Read what texts count, from ``view=1,purchase=5``."""
    found = {}
    for part in text.split(","):
        name, mark, number = part.rpartition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            mark = ""
        if not mark or not name.strip():
            raise SettingError(f"--weights {text}: give a number for each text, such as view=1,purchase=5")
    return found


def _refuse_others(given: Mapping[str, Any], known: Collection[str], what: str) -> None:
    """Refuse what is given and this kind of data does not have.

    Raises
    ------
    SettingError
        Naming the first such option, and for which data it is.
    """
    for name, value in given.items():
        if name == "memory" and name not in known:
            raise SettingError(
                f"--memory needs a file, a folder or a database, and {what} is none: leave --memory out, or "
                "write Parquet first ('cofactor synthesize' does so for synthetic sets)"
            )
        if name not in known:
            where = "a database" if name == "query" else "text files" if name in _TEXT - _TABLE else "files and tables"
            raise SettingError(f"{flag(name, value)} is for {where}, not for {what}: leave it out")
