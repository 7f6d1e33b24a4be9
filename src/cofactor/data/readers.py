"""Read interactions from files, folders, databases and data frames.

Every reader refuses a table with a bad row, says where it is and what is wrong, and how many there are in all;
``on_bad_rows="skip"`` leaves such rows out instead, and logs how many.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from cofactor.data.assembly import Titles, from_columns, interactions, without_bad
from cofactor.data.columns import IdType, OnBadRows, check_choice
from cofactor.data.database import read_sql
from cofactor.data.delimited import Choice, position_of, read_delimited
from cofactor.data.interactions import Duplicates, Interactions
from cofactor.data.opening import existing, inner_suffix
from cofactor.data.titles import titles_beside
from cofactor.errors import DataError, SettingError, first_line

__all__ = [
    "from_frame",
    "is_parquet",
    "looks_like_movielens",
    "parquet_files",
    "read_csv",
    "read_movielens",
    "read_parquet",
    "read_sql",
    "read_table",
    "wanted_columns",
]

PathLike = str | os.PathLike[str]

_MOVIELENS = ("u.data", "ratings.dat", "ratings.csv")
_PARQUET = (".parquet", ".pq")


def read_csv(
    path: PathLike,
    *,
    user: str = "user",
    item: str = "item",
    value: str | None = "value",
    time: str | None = None,
    separator: str | None = None,
    has_header: bool = True,
    columns: Sequence[str] | None = None,
    ids: IdType = "str",
    encoding: str = "utf-8",
    titles: Titles | None = None,
    duplicates: Duplicates = "last",
    on_bad_rows: OnBadRows = "error",
    name: str | None = None,
) -> Interactions:
    """Read a delimited text file: csv, tsv, the ``::`` layout; as it is or packed as gz, zst or zip.

    Parameters
    ----------
    path : str or path
        The file.
    user, item : str
        The names of the columns with the ids.
    value : str, optional
        The name of the column with ratings or counts; None for feedback without values, where each row counts 1.
    time : str, optional
        The name of a column with whole seconds since 1970, or with dates such as 2024-05-31 or
        2024-05-31T12:30:00+02:00 (UTC where nothing else is said).
    separator : str, optional
        The text between two columns; found out from the file's name and its first line where it is not given.
    has_header : bool
        Whether the first line names the columns. Without a header they are called user, item, value and time in
        that order, then column_5 and so on.
    columns : sequence of str, optional
        Other names, in order, for the columns of a file without a header.
    ids : {"str", "int"}
        Whether the ids are kept as they are spelt, or read as integers.
    encoding : str
        How the text is written, such as ``"latin-1"`` or ``"utf-16"``.
    titles : path or polars.DataFrame, optional
        A file for `read_titles`, or a frame with the columns item, title and perhaps genres.
    duplicates : {"last", "first", "sum", "mean", "error"}
        What becomes of a user and an item that meet more than once.
    on_bad_rows : {"error", "skip"}
        Whether a bad row is an error or is left out.
    name : str, optional
        The data set's name for people; the file's where it is not given.

    Raises
    ------
    DataError
        If the file cannot be read or has bad rows; the text names the line, the reason and the remedy.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "plays.csv"
    ...     _ = path.write_text("listener,track,plays\\nann,tune,3\\nbob,tune,1\\n")
    ...     read_csv(path, user="listener", item="track", value="plays")
    2 users × 1 items, 2 ratings from 1 to 3, 100 %
    """
    check_choice("ids", ids, ("str", "int"))
    check_choice("on_bad_rows", on_bad_rows, ("error", "skip"))
    wanted = wanted_columns(user, item, value, time)
    has_header = has_header and columns is None
    table = read_delimited(path, Choice(wanted, separator, columns, has_header, ids, encoding))
    frame = without_bad(table, str(path), "line", on_bad_rows)
    return interactions(frame, str(path), duplicates, name or Path(path).name, titles)


def read_parquet(
    path: PathLike,
    *,
    user: str = "user",
    item: str = "item",
    value: str | None = "value",
    time: str | None = None,
    titles: Titles | None = None,
    duplicates: Duplicates = "last",
    on_bad_rows: OnBadRows = "error",
    name: str | None = None,
) -> Interactions:
    """Read a Parquet file, or all Parquet files in a folder; ids keep their type. See `read_csv` for the rest.

    Raises
    ------
    DataError
        If a file is not Parquet, the files differ, a column is missing or of no use, or rows are bad.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pl.DataFrame({"user": [1, 2], "item": [7, 7]}).write_parquet(Path(folder) / "part-0.parquet")
    ...     read_parquet(folder, value=None)
    2 users × 1 items, 2 interactions, 100 %
    """
    files = parquet_files(Path(path))
    wanted = wanted_columns(user, item, value, time)
    try:
        names = pl.scan_parquet(files[0]).collect_schema().names()
        positions = {role: position_of(column, names, path, role) for role, column in wanted.items()}
        chosen = [pl.col(names[at]).alias(role) for role, at in positions.items()]
        frame = pl.scan_parquet(files).select(chosen).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DataError(
            f"{path} cannot be read as Parquet ({first_line(error)}): write it again or move it away"
        ) from error
    return from_columns(frame, str(path), on_bad_rows, duplicates, name or Path(path).name, titles)


def parquet_files(path: Path, *, apart_from: Path | None = None) -> list[Path]:
    """Return a file, or the Parquet files of a folder in the order of their names, except those of a folder in it."""
    if not path.is_dir():
        return [existing(path)]
    found = (file for suffix in _PARQUET for file in path.rglob(f"*{suffix}") if file.name[0] not in "._")
    try:
        files = sorted(found)
    except OSError as error:
        where = f"{error.filename} in {path}" if error.filename else str(path)
        raise DataError(
            f"{where} cannot be searched ({error.strerror or error}): give the folder of the files"
        ) from error
    if apart_from is not None and path.resolve() in apart_from.resolve().parents:
        files = [file for file in files if apart_from.resolve() not in file.resolve().parents]
    if not files:
        raise DataError(f"{path} is a folder without a .parquet file in it: give one that has some")
    return files


def from_frame(
    frame: Any,
    *,
    user: str = "user",
    item: str = "item",
    value: str | None = None,
    time: str | None = None,
    titles: Titles | None = None,
    duplicates: Duplicates = "last",
    on_bad_rows: OnBadRows = "error",
    name: str = "",
) -> Interactions:
    """Take interactions from a data frame: pandas, polars, pyarrow, a duckdb relation, anything narwhals reads.

    Ids keep their type: integers stay integers, categories become strings. See `read_csv` for the parameters.

    Raises
    ------
    DataError
        If it is no data frame, a column is missing or of no use, or rows are bad.

    Examples
    --------
    >>> plays = pl.DataFrame({"who": ["ann", "bob"], "what": [7, 7], "times": [3, 1]})
    >>> from_frame(plays, user="who", item="what", value="times")
    2 users × 1 items, 2 ratings from 1 to 3, 100 %
    """
    from cofactor.data.frames import chosen_columns  # brings narwhals, which importing cofactor must not load

    wanted = wanted_columns(user, item, value, time)
    return from_columns(chosen_columns(frame, wanted), "the frame", on_bad_rows, duplicates, name, titles)


def read_table(path: PathLike, **options: Any) -> Interactions:
    """Read a file by its name: a folder or ``.parquet`` with `read_parquet`, all else with `read_csv`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "plays.parquet"
    ...     pl.DataFrame({"user": [1, 2], "item": [7, 7]}).write_parquet(path)
    ...     read_table(path, value=None)
    2 users × 1 items, 2 interactions, 100 %
    """
    return (read_parquet if is_parquet(path) else read_csv)(path, **options)


def is_parquet(path: PathLike) -> bool:
    """Return whether a path is one for `read_parquet`, by its name or as a folder."""
    return Path(path).is_dir() or inner_suffix(path) in _PARQUET


def read_movielens(path: PathLike, *, ids: IdType = "str", name: str | None = None) -> Interactions:
    """Read ratings in one of the MovieLens layouts, with the titles that lie beside them.

    Parameters
    ----------
    path : str or path
        ``u.data`` (tabs), ``ratings.dat`` (``::``) or ``ratings.csv``, or a folder with one of them. Titles come
        from ``u.item``, ``movies.dat`` or ``movies.csv`` in the same folder.
    ids : {"str", "int"}
        Whether the ids are kept as they are spelt, or read as integers.
    name : str, optional
        The data set's name for people; the folder's where it is not given.

    Raises
    ------
    DataError
        If there is no such file, or it has bad rows.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "ratings.dat").write_text("1::7::4::1365029107\\n")
    ...     _ = (Path(folder) / "movies.dat").write_text("7::Alien (1979)::Horror\\n")
    ...     read_movielens(folder).to_frame().row(0)
    ('1', '7', 4.0, 1365029107, 'Alien (1979)')
    """
    file = _ratings_file(Path(path))
    beside = titles_beside(file)
    name = name or file.resolve().parent.name
    if inner_suffix(file) == ".csv":
        named = {"user": "userId", "item": "movieId", "value": "rating", "time": "timestamp"}
        return read_csv(file, **named, ids=ids, titles=beside, name=name)  # type: ignore[arg-type]
    return read_csv(file, time="time", has_header=False, ids=ids, titles=beside, name=name)


def looks_like_movielens(path: PathLike) -> bool:
    """Return whether a path is a MovieLens ratings file by its name, or a folder with one in it."""
    path = Path(path)
    return path.name in _MOVIELENS if path.is_file() else any((path / name).is_file() for name in _MOVIELENS)


def _ratings_file(path: Path) -> Path:
    if not path.is_dir():
        return existing(path)
    found = [path / name for name in _MOVIELENS if (path / name).is_file()]
    if not found:
        raise DataError(f"{path} has none of {', '.join(_MOVIELENS)} in it: give the file itself to read_csv")
    return found[0]


def wanted_columns(user: str, item: str, value: str | None, time: str | None) -> dict[str, str]:
    """Return the columns that are there to read, by their roles."""
    roles = {"user": user, "item": item, "value": value, "time": time}
    for role, name in roles.items():
        if name is not None and not isinstance(name, str):
            raise SettingError(f"{role}={name!r} is no column's name: give a text, and columns=[…] names what has none")
    return {role: name for role, name in roles.items() if name is not None}
