"""Read files of attributes: u.item, u.user, movies.dat, users.dat and movies.csv of MovieLens, any csv, and Parquet."""

import io
import os
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from cofactor.data.delimited import rows
from cofactor.data.memory_limit import Limit
from cofactor.data.opening import existing, inner_suffix, text_of
from cofactor.data.parquet_sizes import parquet_sizes
from cofactor.errors import DataError, first_line

__all__ = ["GENRES", "ids_first", "items_beside", "read_items", "read_users", "users_beside"]

GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_FIRST_FLAG = 5  # the columns of u.item: item, title, date, video date, address, then a flag for each genre
_ID_NAMES = {"item": ("item", "movieId", "item_id", "movie_id", "id"), "user": ("user", "userId", "user_id", "id")}
_MOVIES_CSV = ["movieId", "title", "genres"]
_TEXTS = ("title", "genres")
_PARQUET = (".parquet", ".pq")
_EACH = 40  # bytes of memory that a byte of such a file takes, as lists of short texts
_OCCUPATIONS = (
    *("other", "educator", "artist", "clerical", "college student", "customer service", "doctor", "executive"),
    *("farmer", "homemaker", "K-12 student", "lawyer", "programmer", "retired", "sales", "scientist"),
    *("self-employed", "technician", "tradesman", "unemployed", "writer"),
)
"""What the numbers in users.dat stand for."""


def items_beside(file: Path) -> Path | None:
    """Return the file of items in the folder of a ratings file, if there is one."""
    return _beside(file, ("movies.csv", "movies.dat", "u.item"))


def users_beside(file: Path) -> Path | None:
    """Return the file of users in the folder of a ratings file, if there is one."""
    return _beside(file, ("users.dat", "u.user"))


def read_items(path: str | os.PathLike[str]) -> pl.DataFrame:
    """Read what a file says of items: a frame with the column item (ids as text, from Parquet as they are) and others.

    The name determines the layout: ``.item`` is MovieLens 100K's, ``.dat`` is cut at ``::``, ``.parquet`` is Parquet,
    and anything else is a csv file with a header that has ``item`` or ``movieId``. From the layouts of MovieLens come
    title, genres (separated by ``|``, null where unknown) and the year in a title's brackets. The text may be UTF-8 or
    Latin-1.

    Raises
    ------
    DataError
        If the file is missing, or has a row that does not fit its layout.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "movies.csv"
    ...     _ = path.write_text('movieId,title,genres\\n7,"Sense, and Sensibility (1995)",Drama|Romance\\n')
    ...     read_items(path).row(0)
    ('7', 'Sense, and Sensibility (1995)', 'Drama|Romance', 1995)
    """
    match inner_suffix(path):
        case ".item":
            return _from_item(path)
        case ".dat":
            return _from_movies_dat(path)
    return _from_table(path, "item")


def read_users(path: str | os.PathLike[str]) -> pl.DataFrame:
    """Read what a file says of users: a frame with the column user and others; see `read_items`.

    ``.user`` is MovieLens 100K's layout and ``.dat`` that of MovieLens 1M: age, gender, occupation and zip.

    Raises
    ------
    DataError
        If the file is missing, or has a row that does not fit its layout.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "u.user"
    ...     _ = path.write_text("1|24|M|technician|85711\\n")
    ...     read_users(path).row(0)
    ('1', 24, 'M', 'technician', '85711')
    """
    match inner_suffix(path):
        case ".user":
            lines = (fields[:5] for fields in _cut(path, b"|", 5))
            return _people(path, [(user, age, gender, work, code) for user, age, gender, work, code in lines])
        case ".dat":
            lines = (fields[:5] for fields in _cut(path, b"::", 5))
            return _people(path, [(user, age, gender, _job(work), code) for user, gender, age, work, code in lines])
    return _from_table(path, "user")


def _beside(file: Path, names: tuple[str, ...]) -> Path | None:
    return next((file.parent / name for name in names if (file.parent / name).is_file()), None)


def _text_of(path: str | os.PathLike[str]) -> bytes:
    """Return a file's text in UTF-8."""
    content = text_of(path, _EACH).removeprefix(b"\xef\xbb\xbf")
    try:
        content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1").encode()
    return content


def _cut(path: str | os.PathLike[str], separator: bytes, least: int) -> list[list[str]]:
    """Split every line, and check that each has enough fields."""
    found = []
    for row in rows(_text_of(path), separator, quoting=separator == b","):
        if row.problem or len(row.fields) < least:
            reason = row.problem or f"only {len(row.fields)} of {least} fields"
            raise DataError(f"{path}, line {row.line}: {reason}; fix or remove that line")
        found.append(row.fields)
    if not found:
        raise DataError(f"{path} has no rows: give another file, or none")
    return found


def _from_item(path: str | os.PathLike[str]) -> pl.DataFrame:
    entries: list[tuple[str, str, str | None]] = []
    for fields in _cut(path, b"|", _FIRST_FLAG + len(GENRES)):
        genres = [genre for genre, flag in zip(GENRES, fields[_FIRST_FLAG:], strict=False) if flag == "1"]
        entries.append((fields[0], fields[1], "|".join(genres) or None))
    return _films(entries)


def _from_movies_dat(path: str | os.PathLike[str]) -> pl.DataFrame:
    entries: list[tuple[str, str, str | None]] = []
    for item, *title, genres in _cut(path, b"::", 3):
        entries.append((item, "::".join(title), genres or None))
    return _films(entries)


def _films(entries: list[tuple[str, str, str | None]]) -> pl.DataFrame:
    return _with_year(pl.DataFrame(entries, schema=dict.fromkeys(("item", *_TEXTS), pl.String), orient="row"))


def _with_year(films: pl.DataFrame) -> pl.DataFrame:
    return films.with_columns(year=pl.col("title").str.extract(r".*\((\d{4})\)").cast(pl.Int64))


def _people(path: str | os.PathLike[str], entries: list[tuple[str, str, str, str | None, str]]) -> pl.DataFrame:
    columns = ("user", "age", "gender", "occupation", "zip")
    frame = pl.DataFrame(entries, schema=dict.fromkeys(columns, pl.String), orient="row")
    try:
        return frame.with_columns(pl.col("age").cast(pl.Int64))
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{path} has an age that is no whole number ({first_line(error)}): fix that line") from error


def _job(code: str) -> str | None:
    known = code.isascii() and code.isdigit() and int(code) < len(_OCCUPATIONS)
    return _OCCUPATIONS[int(code)] if known else None


def _from_table(path: str | os.PathLike[str], side: str) -> pl.DataFrame:
    """Read a csv or Parquet file with a header; the column with the ids comes first."""
    table = _from_parquet(path) if inner_suffix(path) in _PARQUET else _from_csv(path, side)
    return ids_first(_with_year(table) if table.columns == _MOVIES_CSV else table, side, str(path))


def ids_first(table: pl.DataFrame, side: str, path: str) -> pl.DataFrame:
    """Return a table with the column of its ids first, named after the side.

    Raises
    ------
    DataError
        If there is none, or two; the text begins with the table's place.
    """
    found = next((name for name in _ID_NAMES[side] if name in table.columns), None)
    if found is None:
        named = " or ".join(_ID_NAMES[side][:2])
        raise DataError(f"{path} has the columns {', '.join(table.columns)}: it needs {named}")
    others = [name for name in table.columns if name != found]
    if side in others:
        raise DataError(f"{path} has the columns {side} and {found}: leave out one of them")
    return pl.DataFrame({side: table[found], **{name: table[name] for name in others}})


def _from_parquet(path: str | os.PathLike[str]) -> pl.DataFrame:
    try:
        needed = 2 * parquet_sizes(existing(path)).columns
        Limit.of(None).check(needed, path, lambda _: "leave out rows or columns")
        return pl.read_parquet(Path(path))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DataError(f"{path} cannot be read as Parquet ({first_line(error)}): write it again") from error


def _from_csv(path: str | os.PathLike[str], side: str) -> pl.DataFrame:
    """Read a csv file: ids, titles and genres as text, other columns as numbers, dates or booleans where all are."""
    text = _text_of(path)
    as_text: Mapping[str, type[pl.DataType]] = dict.fromkeys((*_ID_NAMES[side], *_TEXTS), pl.String)
    try:
        return pl.read_csv(io.BytesIO(text), schema_overrides=as_text, infer_schema_length=None, try_parse_dates=True)
    except pl.exceptions.PolarsError as error:
        _refuse_ragged(path)
        raise DataError(f"{path} cannot be read as csv ({first_line(error)}): fix it, or give Parquet") from error


def _refuse_ragged(path: str | os.PathLike[str]) -> None:
    """Raise for the first row that has not as many fields as the header."""
    header, *lines = _cut(path, b",", 1)
    for line, fields in enumerate(lines, start=2):
        if len(fields) != len(header):
            raise DataError(
                f"{path}, row {line}: {len(fields)} fields instead of {len(header)}; fix that row: "
                "a field that contains a comma must be quoted"
            )
