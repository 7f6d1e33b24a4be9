"""Build `Interactions` from checked columns, and report bad rows."""

import logging
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import polars as pl

from cofactor.data.arguments import check_choice, check_text
from cofactor.data.attribute_files import read_items, read_users
from cofactor.data.columns import IdType, OnBadRows, Weights, typed
from cofactor.data.delimited import MOST_BAD, Problem, Table
from cofactor.data.interactions import Duplicates, Interactions
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import DataError

__all__ = ["Attributes", "Known", "from_columns", "interactions", "without_bad"]

Attributes = str | os.PathLike[str] | Any
"""A file of attributes, or a data frame of any library."""

logger = logging.getLogger(__name__)


def from_columns(
    raw: pl.DataFrame,
    place: str,
    on_bad_rows: OnBadRows,
    duplicates: Duplicates,
    name: str,
    known: "Known",
    ids: IdType | None = None,
    weights: Weights | None = None,
) -> Interactions:
    """Check typed columns and build the table; for ``ids`` and ``weights`` see `cofactor.data.columns.typed`."""
    check_choice("on_bad_rows", on_bad_rows, ("error", "skip"))
    check_text("name", name)
    if not len(raw):
        raise DataError(f"{place} has no rows: nothing to learn from")
    try:
        found = typed(raw, ids, weights)
    except DataError as error:
        raise DataError(f"{place}: {error}") from error
    problems = [Problem(row, found.why(row)) for row in found.bad_rows[:3]]
    frame = without_bad(Table(found.frame, problems, len(found.bad_rows), place=place), "row", on_bad_rows)
    return interactions(frame, place, duplicates, name, known)


def without_bad(table: Table, unit: str, on_bad_rows: OnBadRows) -> pl.DataFrame:
    """Return the valid rows, or raise one error that lists the bad ones."""
    if not table.n_bad:
        return table.frame
    first, *others = table.problems
    first_bad = f"{table.place}, {unit} {first.line:,}: {first.reason}"
    if on_bad_rows == "skip" and len(table.frame):
        logger.warning("%s; left out %s bad row%s", first_bad, f"{table.n_bad:,}", "s" * (table.n_bad > 1))
        return table.frame
    if others:
        first_bad += "".join(f"; {unit} {problem.line:,}: {problem.reason}" for problem in others)
    count = f"{table.n_bad:,} bad row{'s' if table.n_bad > 1 else ''} in all"
    count = count if table.n_bad <= MOST_BAD else f"more than {MOST_BAD:,} bad rows"
    if not len(table.frame):
        raise DataError(f"{first_bad}; {count}, and no valid rows: check the columns and the separator")
    raise DataError(f"{first_bad}; {count}: fix them, or leave them out with on_bad_rows='skip'")


def interactions(
    frame: pl.DataFrame,
    place: str,
    duplicates: Duplicates,
    name: str,
    known: "Known",
    spelled: Collection[str] = (),
) -> Interactions:
    """Build the table from valid rows, with what is known of both sides.

    The columns are user, item, and optionally value and time; for ``spelled`` see `cofactor.data.delimited.Table`.
    They are taken out of the frame, so that the memory of ids is free once they are numbered.
    """
    values = frame["value"].to_numpy() if "value" in frame.columns else None
    times = frame["time"].to_numpy() if "time" in frame.columns else None
    try:
        (users, user_rows), (items, item_rows) = (
            Vocabulary.of(frame.drop_in_place(kind), kind=kind, spelled=kind in spelled) for kind in ("user", "item")
        )
        table = Interactions.from_rows(
            users, items, user_rows, item_rows, values, times, duplicates=duplicates, name=name
        )
    except DataError as error:
        raise DataError(f"{place}: {error}") from error
    return known.joined_to(table)


@dataclass(frozen=True, eq=False)
class Known:
    """What is given of the items and the users beside their ratings.

    Parameters
    ----------
    items, users : polars.DataFrame, or None
    files : tuple of str
        The sides that were read from files, which do not say of which type their ids are.
    """

    items: pl.DataFrame | None
    users: pl.DataFrame | None
    files: tuple[str, ...] = ()

    @classmethod
    def of(cls, items: Attributes | None, users: Attributes | None) -> "Known":
        """Read files, and take frames of any library."""
        given = {"items": items, "users": users}
        files = tuple(name for name, table in given.items() if isinstance(table, str | os.PathLike))
        return cls(_read(items, read_items), _read(users, read_users), files)

    def joined_to(self, table: Interactions) -> Interactions:
        """Return the interactions with all this."""
        if self.items is not None:
            table = table.with_items(self._fitting(self.items, table.items))
        if self.users is not None:
            table = table.with_users(self._fitting(self.users, table.users))
        return table

    def _fitting(self, known: pl.DataFrame, ids: Vocabulary) -> pl.DataFrame:
        """Give ids from a file the type of the data's; those that cannot have it are none of the data's."""
        if f"{ids.kind}s" not in self.files:
            return known
        converted = known[ids.kind].cast(ids.ids.dtype, strict=False)
        return known.with_columns(converted).filter(converted.is_not_null())


def _read(given: Attributes | None, read: Callable[[str | os.PathLike[str]], pl.DataFrame]) -> pl.DataFrame | None:
    if given is None or isinstance(given, pl.DataFrame):
        return given
    if isinstance(given, str | os.PathLike):
        return read(given)
    from cofactor.data.frames import as_polars  # brings narwhals, which importing cofactor must not load

    return as_polars(given)
