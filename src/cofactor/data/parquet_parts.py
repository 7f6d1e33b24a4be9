"""Find Parquet files, and read them in parts, so that no more of them is in memory than is asked for."""

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from cofactor.data.columns import Column, Typed, Weights, positions_of, typed
from cofactor.data.delimited import Problem
from cofactor.data.memory_limit import Limit, needed_for
from cofactor.data.opening import existing, files_of, is_pattern
from cofactor.data.parquet_sizes import parquet_sizes
from cofactor.errors import DataError, first_line

__all__ = ["PARQUET", "ParquetParts", "Part", "check_size", "parquet_columns", "parquet_errors", "parquet_files"]

PARQUET = (".parquet", ".pq")
"""What the names of Parquet files end with."""


@contextlib.contextmanager
def parquet_errors(path: Path) -> Iterator[None]:
    """Turn a failure to read Parquet in the block into one error that names the path."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path} cannot be read (No such file or directory): copy it again or move it away") from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as Parquet ({first_line(error)}): write it again or move it away"
        ) from error


def parquet_columns(files: Sequence[Path], wanted: Mapping[str, Column]) -> dict[str, str]:
    """Return the names of the wanted columns by role, as the first of some Parquet files has them.

    Raises
    ------
    DataError
        If a file is not Parquet, or has other ones of these columns than the first.
    """
    first = _columns_of(files[0], wanted)
    for file in files[1:]:
        found = _columns_of(file, wanted)
        if found != first:
            columns, others = (", ".join(map(repr, names.values())) for names in (found, first))
            raise DataError(
                f"{file} has the columns {columns}, and {files[0]} {others}: give files with the same columns, or name "
                "those that all have, and None for value and time where there are none"
            )
    return first


def _columns_of(file: Path, wanted: Mapping[str, Column]) -> dict[str, str]:
    with parquet_errors(file):
        schema = pl.scan_parquet(file).collect_schema()
    names = schema.names()
    numeric = [at for at, kind in enumerate(schema.dtypes()) if kind.is_numeric()]
    return {role: names[at] for role, at in positions_of(wanted, names, file, numeric).items()}


def parquet_files(path: Path, *, apart_from: Path | None = None) -> list[Path]:
    """Return a file, or the Parquet files of a folder or a pattern by their names, except those of another folder."""
    if is_pattern(path):
        return list(
            dict.fromkeys(file for found in files_of(path) for file in parquet_files(found, apart_from=apart_from))
        )
    if not path.is_dir():
        return [existing(path)]
    inside = (file for suffix in PARQUET for file in path.rglob(f"*{suffix}") if file.name[0] not in "._")
    try:
        files = sorted(inside)
    except OSError as error:
        where = f"{error.filename} in {path}" if error.filename else str(path)
        raise DataError(
            f"{where} cannot be searched ({error.strerror or error}): give the folder of the files"
        ) from error
    if apart_from is not None and path.resolve() in apart_from.resolve().parents:
        files = [file for file in files if apart_from.resolve() not in file.resolve().parents]
    if not files:
        raise DataError(f"{path} is a folder without .parquet files: give a folder with some")
    return files


def check_size(files: Sequence[Path], columns: Collection[str], place: str, limit: Limit) -> None:
    """Refuse Parquet files whose columns, once they are read, take more memory than they may.

    Raises
    ------
    DataError
        With the amount and what to do.
    """
    rows = size = 0
    for file in files:
        with parquet_errors(file):
            found = parquet_sizes(file, columns)
        rows, size = rows + found.rows, size + found.columns
    limit.check(
        needed_for(size, rows),
        place,
        lambda amount: (
            "open_parquet(path, memory='4GB') sorts it on disk, time=None leaves out a column, "
            f"and memory={amount!r} allows it where there is as much"
        ),
    )


@dataclass(frozen=True)
class Part:
    """Some consecutive valid rows of a file: user, item, and optionally value and time."""

    file: Path
    first_row: int
    found: Typed

    @property
    def frame(self) -> pl.DataFrame:
        """The valid rows in their final types."""
        return self.found.frame

    def problems(self) -> list[Problem]:
        """Describe the first few bad rows."""
        return [Problem(self.first_row + row, self.found.why(row)) for row in self.found.bad_rows[:3]]

    def first_bad(self) -> str:
        """Describe the first few bad rows in one text."""
        rows = (f"row {problem.line:,}: {problem.reason}" for problem in self.problems())
        return f"{self.file}, {'; '.join(rows)}"


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
    weights : mapping of str to float, optional
        What each text in the column of values counts.
    """

    files: Sequence[Path]
    wanted: Mapping[str, str]
    rows_at_once: int
    weights: Weights | None = None

    def __iter__(self) -> Iterator[Part]:
        kinds: dict[str, tuple[Path, pl.DataType]] = {}
        for file in self.files:
            with parquet_errors(file):
                yield from self._parts_of(file, kinds)

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
                found = typed(raw, None, self.weights)
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
