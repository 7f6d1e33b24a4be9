"""Read title files: u.item, movies.dat and movies.csv of MovieLens."""

import os
from pathlib import Path

import polars as pl

from cofactor.data.delimited import rows
from cofactor.data.opening import inner_suffix, opened
from cofactor.errors import DataError

__all__ = ["GENRES", "read_titles", "titles_beside"]

GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_FIRST_FLAG = 5  # the columns of u.item: item, title, date, video date, address, then a flag for each genre
_FILES = ("movies.csv", "movies.dat", "u.item")
_ITEM_NAMES = ("item", "movieId", "item_id", "movie_id", "id")


def titles_beside(file: Path) -> Path | None:
    """Return the title file in the folder of a ratings file, if there is one."""
    return next((file.parent / name for name in _FILES if (file.parent / name).is_file()), None)


def read_titles(path: str | os.PathLike[str]) -> pl.DataFrame:
    """Read a title file as a frame of item, title and genres (separated by ``|``, null where unknown).

    The name determines the layout: ``.item`` is MovieLens 100K's, ``.dat`` is cut at ``::``, and anything else is
    a csv file with a header that has ``title``, maybe ``genres``, and ``item`` or ``movieId``. The text may be
    UTF-8 or Latin-1.

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
    ...     read_titles(path).row(0)
    ('7', 'Sense, and Sensibility (1995)', 'Drama|Romance')
    """
    with opened(path) as stream:
        content = stream.read().removeprefix(b"\xef\xbb\xbf")
    text = _as_utf8(content)
    match inner_suffix(path):
        case ".item":
            return _from_item(path, text)
        case ".dat":
            return _from_dat(path, text)
    return _from_csv(path, text)


def _as_utf8(content: bytes) -> bytes:
    try:
        content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1").encode()
    return content


def _frame(entries: list[tuple[str, str, str | None]]) -> pl.DataFrame:
    schema = {"item": pl.String, "title": pl.String, "genres": pl.String}
    return pl.DataFrame(entries, schema=schema, orient="row").unique("item", keep="first", maintain_order=True)


def _cut(path: str | os.PathLike[str], text: bytes, separator: bytes, least: int) -> list[list[str]]:
    """Split every line, and check that each has enough fields."""
    found = []
    for row in rows(text, separator, quoting=separator == b","):
        if row.problem or len(row.fields) < least:
            reason = row.problem or f"only {len(row.fields)} of {least} fields"
            raise DataError(f"{path}, line {row.line}: {reason}; fix or remove that line")
        found.append(row.fields)
    if not found:
        raise DataError(f"{path} has no titles: give another file, or none")
    return found


def _from_item(path: str | os.PathLike[str], text: bytes) -> pl.DataFrame:
    entries: list[tuple[str, str, str | None]] = []
    for fields in _cut(path, text, b"|", _FIRST_FLAG + len(GENRES)):
        genres = [genre for genre, flag in zip(GENRES, fields[_FIRST_FLAG:], strict=False) if flag == "1"]
        entries.append((fields[0], fields[1], "|".join(genres) or None))
    return _frame(entries)


def _from_dat(path: str | os.PathLike[str], text: bytes) -> pl.DataFrame:
    entries: list[tuple[str, str, str | None]] = []
    for item, *title, genres in _cut(path, text, b"::", 3):
        entries.append((item, "::".join(title), genres or None))
    return _frame(entries)


def _from_csv(path: str | os.PathLike[str], text: bytes) -> pl.DataFrame:
    header, *lines = _cut(path, text, b",", 2)
    names = [name.strip() for name in header]
    item = next((names.index(name) for name in _ITEM_NAMES if name in names), None)
    if item is None or "title" not in names:
        raise DataError(f"{path} has the columns {', '.join(names)}: it needs item (or movieId) and title")
    title, genres = names.index("title"), names.index("genres") if "genres" in names else None
    entries: list[tuple[str, str, str | None]] = []
    for line, fields in enumerate(lines, start=2):
        if len(fields) != len(names):
            raise DataError(
                f"{path}, row {line}: {len(fields)} fields instead of {len(names)}; fix that row: "
                "a field that contains a comma must be quoted"
            )
        entries.append((fields[item], fields[title], None if genres is None else fields[genres] or None))
    return _frame(entries)
