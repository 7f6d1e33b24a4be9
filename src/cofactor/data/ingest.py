"""Build `Interactions` from checked columns, and report bad rows."""

import logging
import os
from typing import Any

import polars as pl

from cofactor.data.arguments import check_choice, check_text
from cofactor.data.columns import OnBadRows, typed
from cofactor.data.delimited import Problem, Table
from cofactor.data.interactions import Duplicates, Interactions
from cofactor.data.title_files import read_titles
from cofactor.errors import DataError

__all__ = ["Titles", "as_table", "from_columns", "interactions", "without_bad"]

Titles = str | os.PathLike[str] | Any
"""A title file, or a data frame of any library."""

logger = logging.getLogger(__name__)


def from_columns(
    raw: pl.DataFrame,
    place: str,
    on_bad_rows: OnBadRows,
    duplicates: Duplicates,
    name: str,
    titles: Titles | None,
) -> Interactions:
    """Check typed columns and build the table."""
    check_choice("on_bad_rows", on_bad_rows, ("error", "skip"))
    check_text("name", name)
    if not len(raw):
        raise DataError(f"{place} has no rows: nothing to learn from")
    try:
        found = typed(raw, None)
    except DataError as error:
        raise DataError(f"{place}: {error}") from error
    problems = [Problem(row, found.why(row)) for row in found.bad_rows[:3]]
    frame = without_bad(Table(found.frame, problems, len(found.bad_rows)), place, "row", on_bad_rows)
    return interactions(frame, place, duplicates, name, titles)


def without_bad(table: Table, place: str, unit: str, on_bad_rows: OnBadRows) -> pl.DataFrame:
    """Return the valid rows, or raise one error that lists the bad ones."""
    if not table.n_bad:
        return table.frame
    first, *others = table.problems
    first_bad = f"{place}, {unit} {first.line:,}: {first.reason}"
    if on_bad_rows == "skip" and len(table.frame):
        logger.warning("%s; left out %s bad row%s", first_bad, f"{table.n_bad:,}", "s" * (table.n_bad > 1))
        return table.frame
    if others:
        first_bad += "".join(f"; {unit} {problem.line:,}: {problem.reason}" for problem in others)
    count = f"{table.n_bad:,} bad row{'s' if table.n_bad > 1 else ''} in all"
    if not len(table.frame):
        raise DataError(f"{first_bad}; {count}, and no valid rows: check the columns and the separator")
    raise DataError(f"{first_bad}; {count}: fix them, or leave them out with on_bad_rows='skip'")


def interactions(
    frame: pl.DataFrame, place: str, duplicates: Duplicates, name: str, titles: Titles | None
) -> Interactions:
    """Build the table from valid rows (user, item, and optionally value and time), with titles."""
    values = frame["value"].to_numpy() if "value" in frame.columns else None
    times = frame["time"].to_numpy() if "time" in frame.columns else None
    try:
        table = Interactions.from_columns(frame["user"], frame["item"], values, times, duplicates=duplicates, name=name)
    except DataError as error:
        raise DataError(f"{place}: {error}") from error
    return table if titles is None else table.with_items(as_table(titles))


def as_table(titles: Titles) -> pl.DataFrame:
    """Return titles as a polars frame, from a title file or from any data frame."""
    if isinstance(titles, str | os.PathLike):
        return read_titles(titles)
    if isinstance(titles, pl.DataFrame):
        return titles
    from cofactor.data.frames import as_polars  # brings narwhals, which importing cofactor must not load

    return as_polars(titles)
