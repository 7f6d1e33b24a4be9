"""Read published splits: those of NCF (with sampled negatives) and of LightGCN."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cofactor.data.arguments import path_of
from cofactor.data.interactions import Interactions
from cofactor.data.opening import existing, text_of
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import DataError

__all__ = ["PublishedSplit", "read_lightgcn", "read_ncf"]

PathLike = str | os.PathLike[str]

_NCF = ("train.rating", "test.rating", "test.negative")
_EACH = 100  # bytes of memory that a byte of a file takes, as arrays of its lines
_PAIR = re.compile(rb"\(\s*(\d+)\s*,\s*(\d+)\s*\)")


@dataclass(frozen=True)
class PublishedSplit:
    """A split as a paper published it; the three tables share their users and items.

    Parameters
    ----------
    train, test : Interactions
    negatives : Interactions, optional
        For each user the items among which the test items are ranked.
    """

    train: Interactions
    test: Interactions
    negatives: Interactions | None = None


def read_lightgcn(folder: PathLike) -> PublishedSplit:
    """Read ``train.txt`` and ``test.txt`` of the LightGCN layout: one user and their items per line.

    Parameters
    ----------
    folder : path
        The folder of the two files, such as ``gowalla``, ``yelp2018`` or ``amazon-book`` of LightGCN's repository
        (He et al. 2020, LightGCN: Simplifying and powering graph convolution network for recommendation).

    Returns
    -------
    PublishedSplit
        Ids are integers, as in the files. A user whose line holds no item has no interactions.

    Raises
    ------
    DataError
        If a file is missing, or a line holds anything but whole numbers; the text names the line.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "train.txt").write_text("0 1 2\\n1 0\\n")
    ...     _ = (Path(folder) / "test.txt").write_text("0 3\\n1\\n")
    ...     split = read_lightgcn(folder)
    >>> split.train, split.test
    (2 users × 4 items, 3 interactions, 38 %, 2 users × 4 items, 1 interactions, 12 %)
    """
    source = path_of(folder, "folder")
    parts = []
    for name in ("train.txt", "test.txt"):
        path = source / name
        lines = _numbers(path)
        users = np.array([line[0] for line in lines], dtype=np.int64)
        counts = np.array([len(line) - 1 for line in lines], dtype=np.int64)
        items = np.concatenate([line[1:] for line in lines]) if lines else np.empty(0, np.int64)
        parts.append(_Pairs(users, np.repeat(users, counts), items))
    return PublishedSplit(*_tables(parts, source.name))


def read_ncf(path: PathLike) -> PublishedSplit:
    """Read the NCF layout: ``train.rating``, ``test.rating`` and ``test.negative``.

    Parameters
    ----------
    path : path
        A folder that holds one such set, or what comes before the three names: ``Data/ml-1m`` for
        ``Data/ml-1m.train.rating`` and its two companions (He et al. 2017, Neural collaborative filtering).

    Returns
    -------
    PublishedSplit
        Every line of the two rating files is an interaction of value 1; ids are integers, as in the files. Where all
        lines of a file have a fourth column, it is the time.

    Raises
    ------
    DataError
        If a file is missing or a line is not as the layout asks; the text names the line.
    """
    files = _ncf_files(path_of(path))
    rated = []
    for file in files[:2]:
        columns = _columns(file)
        times = columns[:, 2] if columns.shape[1] > 2 else None
        rated.append(_Pairs(columns[:, 0], columns[:, 0], columns[:, 1], times))
    negatives = _negatives(files[2])
    return PublishedSplit(*_tables([*rated, negatives], files[0].name.removesuffix(_NCF[0]).rstrip(".") or "ncf"))


@dataclass(frozen=True)
class _Pairs:
    """Raw numbers of one file: its users, its (user, item) pairs, and their times if there are any."""

    named: np.ndarray
    users: np.ndarray
    items: np.ndarray
    times: np.ndarray | None = None


def _tables(parts: list[_Pairs], name: str) -> list[Interactions]:
    """Build one table for each part, all with the same vocabularies."""
    users = Vocabulary(np.unique(np.concatenate([part.named for part in parts])).tolist(), kind="user")
    items = Vocabulary(np.unique(np.concatenate([part.items for part in parts])).tolist(), kind="item")
    return [
        Interactions.from_rows(
            users,
            items,
            users.rows(part.users.tolist()),
            items.rows(part.items.tolist()),
            timestamps=part.times,
            name=name,
        )
        for part in parts
    ]


def _numbers(path: Path) -> list[np.ndarray]:
    """Return the integers of each non-blank line."""
    return [_whole(line.split(), path, number) for number, line in _lines(path)]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the non-blank lines with their numbers, from 1."""
    for number, line in enumerate(text_of(path, _EACH).splitlines(), start=1):
        if line.strip():
            yield number, line.strip()


def _whole(cells: list[bytes], path: Path, number: int) -> np.ndarray:
    try:
        whole = np.array([int(cell) for cell in cells], dtype=np.int64)
    except (ValueError, OverflowError):
        wrong = next(cell for cell in cells if not cell.removeprefix(b"-").isdigit() or len(cell) > 18)
        shown = wrong[:40].decode(errors="replace")
        raise DataError(f"{path}, line {number:,}: {shown!r} is not the whole number of a user or an item") from None
    if whole.min() < 0:
        raise DataError(f"{path}, line {number:,}: {whole.min()} is negative, but users and items are numbered from 0")
    return whole


def _ncf_files(path: Path) -> list[Path]:
    """Return the three files in a folder or with a common prefix."""
    if path.is_dir():
        found = sorted(path.glob(f"*{_NCF[0]}"))
        if len(found) != 1:
            what = "no" if not found else "more than one"
            raise DataError(f"{path} holds {what} *{_NCF[0]}: name one set, such as {path / 'ml-1m'}")
        begun = str(found[0]).removesuffix(_NCF[0])
    else:
        begun = f"{path}."
    return [existing(begun + name) for name in _NCF]


def _columns(path: Path) -> np.ndarray:
    """Return user and item of each line of a rating file (user, item, value, time), and the time if all have one."""
    rows = []
    for number, line in _lines(path):
        cells = line.split()
        if len(cells) < 2:
            raise DataError(f"{path}, line {number:,}: expected a user and an item, got {line[:40]!r}")
        timed = len(cells) > 3 and cells[3].isdigit() and len(cells[3]) <= 18
        rows.append(_whole([*cells[:2], *cells[3:4]] if timed else cells[:2], path, number))
    if not rows:
        raise DataError(f"{path} has no rows: nothing to learn from")
    width = min(len(row) for row in rows)
    return np.stack([row[:width] for row in rows])


def _negatives(path: Path) -> _Pairs:
    """Return the negatives of each line: ``(user,item)``, then the sampled items."""
    users, items = [], []
    for number, line in _lines(path):
        pair = _PAIR.match(line)
        if pair is None:
            raise DataError(f"{path}, line {number:,}: expected (user,item) at the beginning of the line")
        listed = _whole(line[pair.end() :].split(), path, number)
        users.append(np.full(len(listed), int(pair[1])))
        items.append(listed)
    if not users:
        raise DataError(f"{path} has no rows: there is nothing to rank among")
    both = np.concatenate(users), np.concatenate(items)
    return _Pairs(both[0], *both)
