"""Parquet files a part at a time: checked columns, and errors that name the file, the row and the remedy."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from cofactor.data.columns import OnBadRows, Typed, positions_of, typed
from cofactor.data.times import TimeUnit
from cofactor.data.vocabulary import Vocabulary, id_series
from cofactor.errors import DataError, first_line

__all__ = ["Indexed", "ParquetParts", "Part", "Side", "indexed"]

MOST_ROWS = 2**31 - 1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """Some consecutive good rows of a file: user, item and, where asked for, value and time."""

    file: Path
    first_row: int
    found: Typed

    @property
    def frame(self) -> pl.DataFrame:
        """The good rows in their final types."""
        return self.found.frame

    def told(self) -> str:
        """Say where the bad rows are, and what is wrong with the first few."""
        bad = self.found.bad_rows
        first, *others = (f"row {self.first_row + row:,}: {self.found.why(row)}" for row in bad[:3])
        return f"{self.file}, {'; '.join([first, *others])}"


@dataclass(frozen=True)
class ParquetParts:
    """The rows of some Parquet files, in the order of the files.

    Parameters
    ----------
    files : sequence of path
    wanted : mapping of str to str
        From user, item, value and time to the names of their columns.
    rows_at_once : int
        The most rows in a part.
    """

    files: Sequence[Path]
    wanted: Mapping[str, str]
    rows_at_once: int

    def __iter__(self) -> Iterator[Part]:
        kinds: dict[str, tuple[Path, pl.DataType]] = {}
        for file in self.files:
            try:
                yield from self._parts_of(file, kinds)
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
                raise DataError(
                    f"{file} cannot be read as Parquet ({first_line(error)}): write it again or move it away"
                ) from error

    def _parts_of(self, file: Path, kinds: dict[str, tuple[Path, pl.DataType]]) -> Iterator[Part]:
        table = pl.scan_parquet(file)
        names = table.collect_schema().names()
        positions = positions_of(self.wanted, names, file)
        chosen = table.select(pl.col(names[at]).alias(role) for role, at in positions.items())
        self._check_kinds(file, chosen.collect_schema(), kinds)
        rows = int(table.select(pl.len()).collect(engine="streaming").item())
        for first in range(0, rows, self.rows_at_once):
            raw = chosen.slice(first, self.rows_at_once).collect(engine="streaming")
            try:
                found = typed(raw, None)
            except DataError as error:
                raise DataError(f"{file}: {error}") from error
            yield Part(file, first, found)

    def _check_kinds(self, file: Path, schema: pl.Schema, kinds: dict[str, tuple[Path, pl.DataType]]) -> None:
        """Refuse a file whose ids are integers where another's are strings: 1 is not "1"."""
        for role in ("user", "item"):
            if schema[role] == pl.Null:
                continue
            other, known = kinds.setdefault(role, (file, schema[role]))
            if known.is_integer() != schema[role].is_integer():
                raise DataError(
                    f"{file}: the {role} ids are of type {schema[role]}, but of type {known} in {other}: "
                    f"convert the column {self.wanted[role]!r} to one type in all files"
                )


@dataclass(frozen=True)
class Side:
    """The ids of a side, and how many rows each has: (ids,), int64."""

    ids: Vocabulary
    counts: np.ndarray


@dataclass(frozen=True)
class Indexed:
    """What one pass over the files finds: both sides, the number of good rows, and the unit of their times."""

    users: Side
    items: Side
    n_rows: int
    times: TimeUnit | None


def indexed(parts: ParquetParts, on_bad_rows: OnBadRows) -> Indexed:
    """Go through the files once: check every row, and collect the ids and their counts.

    Raises
    ------
    DataError
        If a file cannot be used, a row is bad and that is an error, or there is no good row.
    """
    known: dict[str, pl.DataFrame] = {}
    times: TimeUnit | None = None
    n_rows = n_bad = 0
    first_bad = ""
    for part in parts:
        if part.found.bad_rows:
            n_bad += len(part.found.bad_rows)
            first_bad = first_bad or part.told()
        n_rows += len(part.frame)
        if "time" in part.frame.columns:
            unit = TimeUnit.of(part.frame["time"].to_numpy())
            times = unit if times is None else times + unit
        for role in ("user", "item"):
            known[role] = _with_counts(known.get(role), part, role)
    if n_bad:
        _tell(first_bad, n_bad, n_rows, on_bad_rows)
    if not n_rows:
        place = parts.files[0] if len(parts.files) == 1 else parts.files[0].parent
        raise DataError(f"{place} has no rows: nothing to learn from")
    if n_rows > MOST_ROWS:
        raise DataError(f"there are {n_rows:,} ratings, and one machine takes {MOST_ROWS:,}: train with SparkALS")
    if times is not None:
        times.log_unless_seconds(str(parts.files[0]))
    return Indexed(_side(known["user"], "user"), _side(known["item"], "item"), n_rows, times)


def _tell(first: str, n_bad: int, n_good: int, on_bad_rows: OnBadRows) -> None:
    count = f"{n_bad:,} bad row{'s' if n_bad > 1 else ''} in all"
    if not n_good:
        raise DataError(f"{first}; {count}, and no valid rows: check the columns")
    if on_bad_rows == "error":
        raise DataError(f"{first}; {count}: mend them, or leave them out with on_bad_rows='skip'")
    log.warning("%s; left out %s", first, count.removesuffix(" in all"))


def _with_counts(known: pl.DataFrame | None, part: Part, role: str) -> pl.DataFrame:
    fresh = id_series(part.frame[role], role).alias("id").to_frame().group_by("id").agg(pl.len().cast(pl.Int64))
    if known is None or not len(known):
        return fresh
    if known["id"].dtype != fresh["id"].dtype and len(fresh):
        try:  # one of them has ids above 2**63
            known, fresh = (frame.with_columns(pl.col("id").cast(pl.UInt64)) for frame in (known, fresh))
        except pl.exceptions.InvalidOperationError as error:
            raise DataError(
                f"{part.file}: the {role} ids reach from below 0 to above 2**63, which no integer of 64 bits does: "
                "convert them to strings"
            ) from error
    return pl.concat([known, fresh.cast(known.schema)]).group_by("id").agg(pl.col("len").sum())


def _side(known: pl.DataFrame, kind: str) -> Side:
    ids, rows = Vocabulary.of(known["id"], kind=kind)
    counts = np.zeros(len(ids), np.int64)
    counts[rows] = known["len"].to_numpy()
    return Side(ids, counts)
