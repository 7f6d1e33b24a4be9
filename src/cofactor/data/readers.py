"""Read interactions from files, folders, databases and data frames.

By default a bad row is an error, which says where it is, what is wrong, and how many bad rows there are;
``on_bad_rows="skip"`` leaves them out and logs how many.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from cofactor.data import remote
from cofactor.data.arguments import check_choice, check_flag, check_text, path_of
from cofactor.data.attribute_files import items_beside, users_beside
from cofactor.data.columns import DEFAULTS, Column, IdType, OnBadRows, Weights, checked_weights, wanted_columns
from cofactor.data.database import read_sql, read_sql_table
from cofactor.data.delimited import Choice, Problem, Table, read_delimited
from cofactor.data.gathering import Gathered
from cofactor.data.ingest import Attributes, Known, from_columns, interactions, without_bad
from cofactor.data.interactions import Duplicates, Interactions
from cofactor.data.memory_limit import Limit
from cofactor.data.opening import existing, files_of, inner_suffix, is_pattern, opened, shown
from cofactor.data.parquet_parts import PARQUET, ParquetParts, check_size, parquet_columns, parquet_files
from cofactor.data.remote import is_url, without_secrets
from cofactor.errors import DataError, SettingError

__all__ = [
    "from_frame",
    "is_parquet",
    "looks_like_movielens",
    "read_csv",
    "read_movielens",
    "read_parquet",
    "read_sql",
    "read_sql_table",
    "read_table",
]

PathLike = str | os.PathLike[str]
Paths = PathLike | Sequence[PathLike]
"""A path, a pattern such as ``2024/*.csv``, a URL, or a list of paths and patterns."""

_ROWS_AT_ONCE = 1 << 20  # of a Parquet file
_MOVIELENS = ("u.data", "ratings.dat", "ratings.csv")
_HEADERLESS = ("u.data", "ratings.dat")


def read_csv(
    path: Paths,
    *,
    user: Column = DEFAULTS["user"],
    item: Column = DEFAULTS["item"],
    value: Column | None = DEFAULTS["value"],
    time: Column | None = DEFAULTS["time"],
    separator: str | None = None,
    has_header: bool = True,
    columns: Sequence[str] | None = None,
    ids: IdType = "str",
    encoding: str = "utf-8",
    items: Attributes | None = None,
    users: Attributes | None = None,
    weights: Weights | None = None,
    duplicates: Duplicates = "last",
    on_bad_rows: OnBadRows = "error",
    memory: str | int | None = None,
    name: str | None = None,
) -> Interactions:
    """Read delimited text files: csv, tsv, the ``::`` layout; plain or compressed as gz, zst or zip.

    Parameters
    ----------
    path : str or path, or a list of these
        The file, or several with the same columns: a pattern such as ``"2024/*.csv"``, whose files are read in the
        order of their names, or a list of files and patterns. Each file is read once. Or the URL of a file that polars
        reads, such as ``s3://…`` or ``https://…``.
    user, item : str or tuple of str
        The names of the columns with the ids. Of several names the first is taken that the file has.
    value : str or tuple of str, optional
        The name of the column with ratings or counts. None for feedback without values, where each row counts 1. So it
        does by default in a file with no other columns than ids, times and titles.
    time : str or tuple of str, optional
        The name of a column with seconds since 1970, or with dates such as 2024-05-31 or 2024-05-31T12:30:00+02:00
        (UTC where no zone is named). Times are kept to the microsecond. Numbers that are too large for seconds are
        taken as milliseconds, microseconds or nanoseconds, and the log says so. None leaves times out; so does a file
        with none of several names.
    separator : str, optional
        The text between two columns; by default determined from the file's name and first line.
    has_header : bool
        Whether the first line names the columns. Without a header they are called user, item, value and time in
        that order, then column_5 and so on.
    columns : sequence of str, optional
        Other names, in order, for the columns of a file without a header.
    ids : {"str", "int"}
        Whether ids are kept as strings, or read as integers.
    encoding : str
        The encoding of the text, such as ``"latin-1"`` or ``"utf-16"``.
    items : path or data frame, optional
        What is known of the items: a file for `cofactor.data.attribute_files.read_items`, or a frame for
        `Interactions.with_items`.
    users : path or data frame, optional
        What is known of the users, likewise.
    weights : mapping of str to float, optional
        What each text in the column of values counts, such as ``{"view": 1, "cart": 3, "purchase": 5}`` for a log of
        events; ``duplicates="sum"`` adds up what a user did with an item.
    duplicates : {"last", "first", "sum", "mean", "error"}
        What to do with several rows for the same user and item; see `Interactions.from_columns`.
    on_bad_rows : {"error", "skip"}
        Whether bad rows are an error or are left out.
    memory : str or int, optional
        What reading may take at most, such as ``"4GB"``, or a number of bytes; by default half of the memory that is
        available, by a container's limit too. A file that takes more is refused before it does, however small it is on
        disk.
    name : str, optional
        The data set's name, as shown in reports; by default that of the file.

    Raises
    ------
    DataError
        If the file cannot be read, has bad rows, or takes more memory than it may; the text names the line, the reason
        and the remedy.
    SettingError
        If an argument is of the wrong type or none of its choices.

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
    check_flag("has_header", has_header)
    weights = checked_weights(weights, value)
    check_text("encoding", encoding)
    wanted = wanted_columns(user, item, value, time)
    if separator is not None:
        check_text("separator", separator)
    if columns is not None and not _are_names(columns):
        raise SettingError(f"columns is {columns!r}: give a list of names, one for each column")
    has_header = has_header and columns is None
    if is_url(path):
        scan = remote.csv(str(path), separator, columns, encoding, has_header=has_header)
        chosen = remote.columns(scan, str(path), wanted, Limit.of(memory), all_text=True)
        name = without_secrets(str(path)) if name is None else name
        return from_columns(
            chosen, without_secrets(str(path)), on_bad_rows, duplicates, name, Known.of(items, users), ids, weights
        )
    files = files_of(path)
    name = _name_of(path, files) if name is None else name
    check_text("name", name)
    limit, skip_bad = Limit.of(memory), on_bad_rows == "skip"
    table = read_delimited(
        files, Choice(wanted, separator, columns, has_header, ids, encoding, limit, skip_bad, weights)
    )
    frame = without_bad(table, "line", on_bad_rows)
    return interactions(frame, shown(files), duplicates, name, Known.of(items, users), table.spelled)


def _name_of(given: Paths, files: Sequence[Path]) -> str:
    """Return how a table is called in reports if no name is given."""
    if is_pattern(given):
        return str(given)
    return files[0].name if len(files) == 1 else f"{files[0].name} and {len(files) - 1:,} more"


def _are_names(columns: object) -> bool:
    return isinstance(columns, list | tuple) and all(isinstance(name, str) for name in columns)


def read_parquet(
    path: Paths,
    *,
    user: Column = DEFAULTS["user"],
    item: Column = DEFAULTS["item"],
    value: Column | None = DEFAULTS["value"],
    time: Column | None = DEFAULTS["time"],
    items: Attributes | None = None,
    users: Attributes | None = None,
    weights: Weights | None = None,
    duplicates: Duplicates = "last",
    on_bad_rows: OnBadRows = "error",
    memory: str | int | None = None,
    name: str | None = None,
) -> Interactions:
    """Read a Parquet file, or all of a folder, a pattern, a list or a URL; ids keep their type. See `read_csv`.

    Raises
    ------
    DataError
        If a file is not Parquet, the files differ, a column is missing or unusable, rows are bad, or the files take
        more memory than they may.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pl.DataFrame({"user": [1, 2], "item": [7, 7]}).write_parquet(Path(folder) / "part-0.parquet")
    ...     read_parquet(folder, value=None)
    2 users × 1 items, 2 interactions, 100 %
    """
    check_choice("on_bad_rows", on_bad_rows, ("error", "skip"))
    weights = checked_weights(weights, value)
    if is_url(path):
        wanted = wanted_columns(user, item, value, time)
        chosen = remote.columns(pl.scan_parquet(str(path)), str(path), wanted, Limit.of(memory))
        name = without_secrets(str(path)) if name is None else name
        known = Known.of(items, users)
        return from_columns(chosen, without_secrets(str(path)), on_bad_rows, duplicates, name, known, weights=weights)
    sources = files_of(path)
    name = _name_of(path, sources) if name is None else name
    check_text("name", name)
    files = list(dict.fromkeys(file for source in sources for file in parquet_files(source)))
    place = shown(sources)
    named = parquet_columns(files, wanted_columns(user, item, value, time))
    check_size(files, named.values(), place, Limit.of(memory))
    table = _from_parts(ParquetParts(files, named, _ROWS_AT_ONCE, weights), place)
    frame = without_bad(table, "row", on_bad_rows)
    return interactions(frame, place, duplicates, name, Known.of(items, users), table.spelled)


def _from_parts(parts: ParquetParts, place: str) -> Table:
    """Return all rows."""
    columns, first_bad, n_rows, n_bad = Gathered(), "", 0, 0
    problems: list[Problem] = []
    for part in parts:
        if part.found.bad_rows and not n_bad:
            first_bad, problems = str(part.file), part.problems()
        columns.add(part.frame)
        n_rows, n_bad = n_rows + len(part.frame), n_bad + len(part.found.bad_rows)
    if not n_rows + n_bad:
        raise DataError(f"{place} has no rows: nothing to learn from")
    frame = columns.together(place, "convert them to strings")
    return Table(frame, problems, n_bad, columns.spelled, first_bad)


def from_frame(
    frame: Any,
    *,
    user: Column = DEFAULTS["user"],
    item: Column = DEFAULTS["item"],
    value: Column | None = DEFAULTS["value"],
    time: Column | None = DEFAULTS["time"],
    items: Attributes | None = None,
    users: Attributes | None = None,
    weights: Weights | None = None,
    duplicates: Duplicates = "last",
    on_bad_rows: OnBadRows = "error",
    memory: str | int | None = None,
    name: str = "",
) -> Interactions:
    """Read interactions from a data frame: pandas, polars, pyarrow, a duckdb relation, or anything narwhals reads.

    Ids keep their type: integers stay integers, categories become strings. See `read_csv` for the parameters. Titles
    are taken from a column title where there is one and no ``items`` are given, so what `Interactions.to_frame` returns
    gives the same table.

    Raises
    ------
    DataError
        If it is not a data frame, a column is missing or unusable, rows are bad, or it takes more memory than it may.
    SettingError
        If an argument is of the wrong type or none of its choices.

    Examples
    --------
    >>> plays = pl.DataFrame({"who": ["ann", "bob"], "what": [7, 7], "times": [3, 1]})
    >>> from_frame(plays, user="who", item="what", value="times")
    2 users × 1 items, 2 ratings from 1 to 3, 100 %
    """
    from cofactor.data.frames import chosen_columns  # brings narwhals, which importing cofactor must not load

    weights = checked_weights(weights, value)
    wanted = wanted_columns(user, item, value, time)
    if items is None and "title" not in wanted.values():
        wanted["title"] = ("title",)
    chosen = chosen_columns(frame, wanted, Limit.of(memory))
    if "title" in chosen.columns:
        titles = chosen.select("item", "title").filter(pl.col("title").is_not_null()).unique("item", keep="first")
        texts = isinstance(titles["title"].dtype, pl.String | pl.Categorical | pl.Enum)
        items = titles if texts and len(titles) else None
        chosen = chosen.drop("title")
    return from_columns(chosen, "the frame", on_bad_rows, duplicates, name, Known.of(items, users), weights=weights)


def read_table(path: Paths, **options: Any) -> Interactions:
    """Read a file according to its name: folders and ``.parquet`` with `read_parquet`, all else with `read_csv`.

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


def is_parquet(path: Paths) -> bool:
    """Return whether `read_parquet` reads a path: a folder, or a name (the first of several) on ``.parquet``."""
    if is_url(path):
        return inner_suffix(str(path).partition("?")[0]) in PARQUET
    first = files_of(path)[0]
    return first.is_dir() or inner_suffix(first) in PARQUET


def read_movielens(path: PathLike, *, name: str | None = None, **options: Any) -> Interactions:
    """Read ratings in one of the MovieLens layouts, with the files of items and users in the same folder.

    Parameters
    ----------
    path : str or path
        ``u.data`` (tabs), ``ratings.dat`` (``::``) or ``ratings.csv``, or a folder with one of them. Items come
        from ``u.item``, ``movies.dat`` or ``movies.csv`` in the same folder, users from ``u.user`` or ``users.dat``.
    name : str, optional
        The data set's name, as shown in reports; by default that of the folder.
    **options
        The other parameters of `read_csv`.

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
    file = _ratings_file(path_of(path))
    beside = {"items": items_beside(file), "users": users_beside(file), "has_header": inner_suffix(file) == ".csv"}
    return read_csv(file, name=name or file.resolve().parent.name, **{**beside, **options})


def looks_like_movielens(path: PathLike, separator: str | None = None) -> bool:
    """Return whether a text file has a MovieLens layout, or a folder such a file under its usual name.

    A file with a header has it where that is MovieLens's. One without, which must have the name of a MovieLens file,
    has it where its first line is a user, an item, a rating and a time.
    """
    path = path_of(path)
    if path.is_dir():
        return any((path / name).is_file() and looks_like_movielens(path / name, separator) for name in _MOVIELENS)
    if not path.is_file():
        return False
    try:
        with opened(path) as stream:
            first = stream.read(200).decode(errors="replace").partition("\n")[0].strip()
    except DataError:
        return False
    if path.name not in _HEADERLESS:
        return set(first.split(separator or ",")) >= {"userId", "movieId", "rating"}
    fields = first.split(separator or ("::" if path.suffix == ".dat" else "\t"))
    return len(fields) == 4 and all(field.replace(".", "", 1).isdigit() for field in fields)


def _ratings_file(path: Path) -> Path:
    if not path.is_dir():
        return existing(path)
    found = [path / name for name in _MOVIELENS if (path / name).is_file()]
    if not found:
        raise DataError(f"{path} contains none of {', '.join(_MOVIELENS)}: give the path of the ratings file")
    return found[0]
