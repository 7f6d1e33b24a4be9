"""Metadata: what is known of items and users besides who rated what, as two tables in row order."""

import dataclasses
import functools
import logging
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from cofactor.data.columns import shortened
from cofactor.data.vocabulary import Vocabulary, id_series
from cofactor.errors import DataError

__all__ = ["Metadata", "can_be_kept"]

log = logging.getLogger("cofactor")


@dataclass(frozen=True, eq=False)
class Metadata:
    """The attributes of items and users: two frames without ids, a row for each, nulls where nothing is known.

    A frame without columns has no rows either: nothing is known of that side.

    Parameters
    ----------
    items, users : polars.DataFrame
        Columns of text, numbers, booleans, dates, times, durations, and lists of these.
    """

    items: pl.DataFrame = field(default_factory=pl.DataFrame)
    users: pl.DataFrame = field(default_factory=pl.DataFrame)

    @functools.cached_property
    def titles(self) -> pl.Series | None:
        """The item column title, where it is text."""
        return _text_column(self.items, "title")

    @functools.cached_property
    def genres(self) -> pl.Series | None:
        """The item column genres as text: several genres are separated by ``|``."""
        if "genres" in self.items.columns and self.items.schema["genres"] == pl.List(pl.String):
            return self.items["genres"].list.join("|")
        return _text_column(self.items, "genres")

    def table(self, ids: Vocabulary) -> pl.DataFrame:
        """Return one side's frame with the ids in front, in a column that is named after the side."""
        known = self._of(ids.kind)
        return pl.DataFrame({ids.kind: ids.ids, **known.to_dict()})

    def with_table(self, table: pl.DataFrame, ids: Vocabulary) -> "Metadata":
        """Return the metadata with the columns of a frame, aligned by id; columns of the same names are replaced.

        Parameters
        ----------
        table : polars.DataFrame
            A column named after the side (``item`` or ``user``) with the ids, and any others.
        ids : Vocabulary
            The ids in row order. Rows of other ids are counted in the log.

        Raises
        ------
        DataError
            If the ids are missing, repeated or of another type, or a column is of a type that cannot be kept.
        """
        side = ids.kind
        rows = ids.find(_ids_of(table, ids))
        if (unknown := int(np.count_nonzero(rows < 0))) and len(ids):
            log.info("%s of %s %ss in the table are not in the data", f"{unknown:,}", f"{len(rows):,}", side)
        places = np.full(len(ids), -1)
        places[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
        columns = {column.name: _kept(column) for column in table.iter_columns() if column.name != side}
        if not columns:
            return self
        aligned = _taken(pl.DataFrame(columns), places)
        return self._with(side, pl.DataFrame({**self._of(side).to_dict(), **aligned.to_dict()}))

    def take(self, *, items: np.ndarray | None = None, users: np.ndarray | None = None) -> "Metadata":
        """Return the metadata of the given rows, -1 for a row of nulls; a side that is not named stays as it is."""
        return Metadata(
            self.items if items is None else _taken(self.items, items),
            self.users if users is None else _taken(self.users, users),
        )

    def updated(self, ids: Vocabulary, news: "Metadata", news_ids: Vocabulary) -> "Metadata":
        """Return the metadata with one side's news in it: where something new is known, it replaces what was.

        Parameters
        ----------
        ids : Vocabulary
            The side's ids, which the metadata are in the order of.
        news : Metadata
        news_ids : Vocabulary
            Those that the news are in the order of.

        Raises
        ------
        DataError
            If a column is of another type than before.
        """
        old, new = self._of(ids.kind), news._of(ids.kind)
        if not new.width:
            return self
        new = _taken(new, news_ids.find(ids.ids))
        merged = {name: _merged(old[name], new[name]) if name in old.columns else new[name] for name in new.columns}
        return self._with(ids.kind, pl.DataFrame({**old.to_dict(), **merged}))

    def check(self, side: str, length: int) -> None:
        """Raise DataError where one side's frame has not a row for each item or user."""
        known = self._of(side)
        if known.width and known.height != length:
            raise DataError(f"there are {known.height:,} rows of metadata for {length:,} {side}s: give one for each")

    def _of(self, side: str) -> pl.DataFrame:
        return self.items if side == "item" else self.users

    def _with(self, side: str, frame: pl.DataFrame) -> "Metadata":
        return dataclasses.replace(self, **{f"{side}s": frame})


def _ids_of(table: pl.DataFrame, ids: Vocabulary) -> pl.Series:
    side = ids.kind
    if side not in table.columns:
        named = f"the columns {', '.join(map(repr, table.columns))}" if table.width else "no columns"
        raise DataError(f"the table of {side}s has {named}: name the one that holds their ids {side!r}")
    given = id_series(table[side], side)
    if len(ids) and len(given) and (given.dtype == pl.String) == ids.holds_integers:
        wanted = "integers" if ids.holds_integers else "strings"
        raise DataError(
            f"the table of {side}s has ids such as {given[0]!r}, and those of the data are {wanted}, such as "
            f"{ids[0]!r}: convert the column {side!r} to {wanted}"
        )
    if given.n_unique() < len(given):
        repeated = given.filter(given.is_duplicated())[0]
        raise DataError(
            f"{side} {shortened(repeated)} has several rows in the table of {side}s: give each {side} once, for "
            f"example with unique({side!r}, keep='last')"
        )
    return given


def _kept(column: pl.Series) -> pl.Series:
    """Return a column as it is kept: categories as text, decimals as floats, NaN as null."""
    kind = _kept_type(column.dtype)
    if kind is None:
        remedy = "unnest() it" if column.dtype == pl.Struct else "convert it, or leave it out"
        raise DataError(
            f"the column {column.name!r} is of type {column.dtype}: tables keep text, numbers, booleans, dates, times "
            f"and lists of these; {remedy}"
        )
    column = _plainly_named(column)
    column = column if kind == column.dtype else column.cast(kind)
    return column.fill_nan(None) if column.dtype.is_float() else column


def can_be_kept(kind: pl.DataType) -> bool:
    """Return whether a table of attributes keeps a column of some type as it is."""
    return _kept_type(kind) == kind


def _kept_type(kind: pl.DataType) -> pl.DataType | None:
    """Return the type that a column is kept as, or None where it cannot be kept."""
    if isinstance(kind, pl.List | pl.Array):
        inner = _kept_type(kind.inner)  # type: ignore[arg-type]
        return None if inner is None else pl.List(inner)
    if isinstance(kind, pl.Categorical | pl.Enum | pl.Null):
        return pl.String()
    if isinstance(kind, pl.Decimal):
        return pl.Float64()
    plain = (pl.String, pl.Boolean, pl.Date, pl.Datetime, pl.Duration, pl.Time, pl.Float32, pl.Float64)
    whole = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)
    return kind if isinstance(kind, plain + whole) else None


def _taken(frame: pl.DataFrame, rows: np.ndarray) -> pl.DataFrame:
    """Return some rows of a frame, nulls for -1."""
    if not frame.width:
        return frame
    if not frame.height:
        return frame.clear(len(rows))
    wanted = pl.Series(rows.astype(np.int64))
    wanted = wanted.set(wanted < 0, None) if (rows < 0).any() else wanted
    return pl.DataFrame({name: _plainly_named(column).gather(wanted) for name, column in frame.to_dict().items()})


def _merged(old: pl.Series, new: pl.Series) -> pl.Series:
    if new.null_count() == len(new):
        return old
    if old.dtype != new.dtype and not (old.dtype.is_numeric() and new.dtype.is_numeric()):
        if old.null_count() < len(old):
            raise DataError(
                f"the new column {new.name!r} is of type {new.dtype}, and what is known already is {old.dtype}: "
                "convert it to that type"
            )
        return new
    both = pl.DataFrame({"old": old, "new": new})
    return both.select(pl.coalesce("new", "old")).to_series()


def _plainly_named(column: pl.Series) -> pl.Series:
    """Rename a column for a moment: many methods of a series take a name such as ``^…$`` for a pattern."""
    return column.alias("column")


def _text_column(frame: pl.DataFrame, name: str) -> pl.Series | None:
    return frame[name] if name in frame.columns and frame.schema[name] == pl.String else None
