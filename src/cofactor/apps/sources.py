"""Open the data that a command is given: a name, a file, a folder or a database."""

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cofactor.data import catalog, readers
from cofactor.data.interactions import Interactions
from cofactor.data.ondisk import MANIFEST
from cofactor.data.outofcore import open_parquet
from cofactor.errors import DataError, SettingError

__all__ = ["open_data"]


def open_data(
    data: str, *, progress: bool = False, notify: Callable[[str], None] | None = None, **options: Any
) -> Interactions:
    """Open a catalogue name, a synthetic name, a file or folder, or a database URL with a query.

    A limit of memory changes how DATA is held, not which DATA is meant: what cannot be held within one is refused.
    """
    given = {name: value for name, value in options.items() if value is not None}
    given["has_header"] = given.pop("header", True)
    columns: dict[str, Any] = {
        short: given[f"{short}_column"] for short in ("user", "item", "value", "time") if f"{short}_column" in given
    }
    if columns.get("value") == "none":
        columns["value"] = None
    if given.get("query") or re.match(r"\w[\w+]*://", data):
        return _read_sql(data, given, columns)
    if data.startswith("synthetic:") or data in {entry.name for entry in catalog.datasets()}:
        _refuse_limit(repr(data), given)
        return catalog.load_dataset(data, ids=given.get("ids", "str"), progress=progress, notify=notify)
    path = _existing(data)
    if (path / MANIFEST).is_file():
        return _open_written(path, given, columns)
    if "memory" in given:
        return _open_in_bounds(path, given, columns, notify)
    return _read(path, given, columns)


def _read_sql(url: str, given: Mapping[str, Any], columns: Mapping[str, Any]) -> Interactions:
    _refuse_limit("a database", given)  # its URL may hold a password
    if not given.get("query"):
        raise SettingError("a database URL needs --query 'select user, item, value from …'")
    return readers.read_sql(given["query"], url, **columns, duplicates=given["duplicates"])


def _existing(data: str) -> Path:
    path = Path(data)
    if path.exists():
        return path
    beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(data, [entry.name for entry in catalog.datasets()], n=1)
    near = near or [str(path.parent / name) for name in difflib.get_close_matches(path.name, beside, n=1)]
    hint = f"did you mean {near[0]}?" if near else "'cofactor datasets' lists those there are"
    raise DataError(f"{data!r} is neither a file nor a named data set: {hint}")


def _open_written(path: Path, given: Mapping[str, Any], columns: Mapping[str, Any]) -> Interactions:
    """Open a folder that `Interactions.write` wrote."""
    if columns or "separator" in given:
        raise SettingError(
            f"{path} is a folder of interactions, whose columns are known: leave out --separator and what names columns"
        )
    return Interactions.open(path, memory=given.get("memory"))


def _open_in_bounds(
    path: Path, given: Mapping[str, Any], columns: Mapping[str, Any], notify: Callable[[str], None] | None
) -> Interactions:
    if not readers.is_parquet(path):
        _refuse_limit(repr(str(path)), given)
    choices = {name: given[name] for name in ("memory", "duplicates", "on_bad_rows") if name in given}
    return open_parquet(path, **columns, **choices, notify=notify)


def _read(path: Path, given: Mapping[str, Any], columns: Mapping[str, Any]) -> Interactions:
    if not columns and given["has_header"] and readers.looks_like_movielens(path):
        return readers.read_movielens(path, ids=given.get("ids", "str"))
    of_text = () if readers.is_parquet(path) else ("separator", "ids", "has_header")
    choices = {name: given[name] for name in (*of_text, "duplicates", "on_bad_rows") if name in given}
    return readers.read_table(path, **columns, **choices)


def _refuse_limit(what: str, given: Mapping[str, Any]) -> None:
    if "memory" in given:
        raise SettingError(
            f"--memory needs a Parquet file or a folder of them, and {what} is neither: leave --memory out, or "
            "write Parquet first ('cofactor synthesize' does so for synthetic sets)"
        )
