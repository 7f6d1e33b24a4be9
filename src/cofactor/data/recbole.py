"""Lay the MovieLens 100K files of the package RecBole out as GroupLens lays them out.

RecBole keeps the ratings in u.data's order under a header of its own, and cuts a film's title and year apart:
``Toy Story``, ``1995``, ``Animation Children's Comedy``.
"""

import zipfile
from pathlib import Path

from cofactor.data.titles import GENRES
from cofactor.errors import DownloadError

__all__ = ["write_movielens"]

_FOLDER = "recbole/dataset_example/ml-100k/ml-100k"
_RATINGS_HEADER = b"user_id:token\titem_id:token\trating:float\ttimestamp:float"
_TITLES_HEADER = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"
_NAMELESS = "unkonwn"  # so spelt there


def write_movielens(wheel: Path, ratings: Path, titles: Path) -> None:
    """Write u.data and u.item from RecBole's wheel.

    Raises
    ------
    DownloadError
        If the wheel is broken or holds something else.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            interactions = archive.read(f"{_FOLDER}.inter")
            films = archive.read(f"{_FOLDER}.item").decode()
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise DownloadError(f"{wheel.name} does not hold MovieLens 100K ({error})") from error
    header, _, rows = interactions.partition(b"\n")
    first, *lines = films.splitlines()
    if header.rstrip() != _RATINGS_HEADER or first != _TITLES_HEADER:
        raise DownloadError(f"{wheel.name} holds MovieLens 100K in another layout than expected")
    ratings.write_bytes(rows)
    text = "".join(f"{_item_line(line)}\n" for line in lines)
    titles.write_bytes(text.encode("latin-1", "replace"))


def _item_line(line: str) -> str:
    """Turn a film's line into one of u.item: number, title (year), three dates and addresses, genre flags.

    >>> _item_line("2\\tGoldenEye\\t1995\\tAction Thriller")
    '2|GoldenEye (1995)||||0|1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|1|0|0'
    """
    item, title, year, genres = line.split("\t")
    named = "unknown" if title == _NAMELESS else f"{title} ({year})"
    held = genres.split()
    flags = ["1" if genre in held else "0" for genre in GENRES]
    return "|".join([item, named, "", "", "", *flags])
