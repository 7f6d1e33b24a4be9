"""Synthetic ratings of any size, with long tails as in real data and a low-rank structure that solvers can recover.

Who rated what does not depend on taste. The numbers of ratings per user are log-normal (σ 1.2), the popularity of
the items follows Zipf's law (exponent 0.9, item row 0 first). A rating is the mean, plus the two biases, plus the
product of two vectors of rank 8, plus noise, rounded to 1, 2, 3, 4 or 5.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from cofactor.data.arguments import check_callable, check_text, path_of
from cofactor.data.interactions import Interactions
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import DataError, SettingError
from cofactor.files import new_folder

__all__ = ["Block", "Spec", "blocks", "generate", "is_synthetic", "parse", "write_synthetic"]

RANK = 8
SIGMA = 1.2
EXPONENT = 0.9
MEAN = 3.5

_BLOCK_RATINGS = 1 << 20  # part of the definition of a set: another size would give other ratings
_BLOCK_USERS = 1 << 13
_ITEM_BITS, _TURN_BITS = 26, 24  # with the 13 bits of a user in a block they fill an int64
_BLOCKS_A_FILE = 4
_ROWS_A_GROUP = 1 << 20
_MOST_ITEMS = 1 << _ITEM_BITS
_MOST_USERS = 1 << 30
_MOST_RATINGS = 1 << 36
_CELLS = 1 << 22  # exponential keys held at once
_YEAR_2000, _YEARS, _BUSY = 946_684_800, 20 * 31_557_600, 90 * 86_400  # seconds


@dataclass(frozen=True)
class Spec:
    """The size and the seed of a synthetic set."""

    users: int
    items: int
    ratings: int
    seed: int = 0

    @property
    def name(self) -> str:
        """The name that `parse` reads."""
        seed = f":{self.seed}" if self.seed else ""
        return f"synthetic:{self.users}x{self.items}x{self.ratings}{seed}"


@dataclass(frozen=True)
class Block:
    """The ratings of some consecutive users, sorted by user and item."""

    user_rows: np.ndarray
    item_rows: np.ndarray
    values: np.ndarray
    timestamps: np.ndarray


@dataclass(frozen=True)
class _Items:
    """What all users share: the popularity, bias and vector of each item."""

    cumulative: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    vectors: np.ndarray


def is_synthetic(name: str) -> bool:
    """Whether a data set's name asks for a synthetic one."""
    return name.startswith("synthetic:")


def parse(name: str) -> Spec:
    """Parse ``synthetic:USERSxITEMSxRATINGS`` with an optional ``:SEED``.

    Raises
    ------
    SettingError
        If the name has another form, or such a set is impossible.

    Examples
    --------
    >>> parse("synthetic:500x300x20000:7")
    Spec(users=500, items=300, ratings=20000, seed=7)
    """
    match = re.fullmatch(r"synthetic:([0-9]{1,18})x([0-9]{1,18})x([0-9]{1,18})(?::([0-9]{1,18}))?", name)
    if not match:
        shown = name if len(name) <= 60 else f"{name[:60]}…"
        raise SettingError(
            f"{shown!r} is not the name of a synthetic set: write synthetic:USERSxITEMSxRATINGS, such as {_EXAMPLE}"
        )
    spec = Spec(*(int(number or 0) for number in match.groups()))
    _check(spec)
    return spec


_EXAMPLE = "synthetic:1000x500x50000, and :SEED after it if you like"


def _check(spec: Spec) -> None:
    for what, size, most in (
        ("users", spec.users, _MOST_USERS),
        ("items", spec.items, _MOST_ITEMS),
        ("ratings", spec.ratings, _MOST_RATINGS),
    ):
        if not 1 <= size <= most:
            raise SettingError(f"{spec.name} has {size:,} {what}: ask for 1 to {most:,}")
    if spec.ratings > spec.users * spec.items:
        raise SettingError(
            f"{spec.name} asks for {spec.ratings:,} ratings, but {spec.users:,} users and {spec.items:,} items "
            f"make only {spec.users * spec.items:,} pairs: ask for fewer ratings"
        )


def generate(spec: Spec) -> Interactions:
    """Generate a synthetic set in memory, with integer ids from 1 on, timestamps and titles.

    Examples
    --------
    >>> generate(Spec(users=500, items=300, ratings=20_000))
    500 users × 300 items, 20,000 ratings from 1 to 5, 13 %
    """
    user_rows = np.empty(spec.ratings, np.int32)
    item_rows = np.empty(spec.ratings, np.int32)
    values = np.empty(spec.ratings, np.float32)
    timestamps = np.empty(spec.ratings, np.int64)
    start = 0
    for block in blocks(spec):
        span = slice(start, start + len(block.values))
        user_rows[span], item_rows[span] = block.user_rows, block.item_rows
        values[span], timestamps[span] = block.values, block.timestamps
        start = span.stop
    users, items = _numbered(spec.users, "user"), _numbered(spec.items, "item")
    table = Interactions.from_rows(users, items, user_rows, item_rows, values, timestamps, name=spec.name)
    return table.with_items(pl.DataFrame({"item": items.ids}).with_columns(pl.format("Film {}", "item").alias("title")))


def _numbered(count: int, kind: str) -> Vocabulary:
    return Vocabulary(np.arange(1, count + 1, dtype=np.int64), kind=kind)


def blocks(spec: Spec) -> Iterator[Block]:
    """Yield a synthetic set in blocks of about a million ratings, so that any size fits in memory.

    Examples
    --------
    >>> sum(len(block.values) for block in blocks(Spec(users=500, items=300, ratings=20_000)))
    20000
    """
    _check(spec)
    items = _items(spec)
    counts = _counts(spec)
    for number, (start, stop) in enumerate(_bounds(counts)):
        yield _block(items, start, counts[start:stop], np.random.default_rng([spec.seed, 2, number]))


def _items(spec: Spec) -> _Items:
    rng = np.random.default_rng([spec.seed, 0])
    weights = np.arange(1, spec.items + 1, dtype=np.float64) ** -EXPONENT
    weights /= weights.sum()
    bias = rng.normal(0, 0.45, spec.items).astype(np.float32)
    vectors = rng.normal(0, 1, (spec.items, RANK)).astype(np.float32)
    return _Items(np.cumsum(weights), weights, bias, vectors)


def _counts(spec: Spec) -> np.ndarray:
    """Distribute the ratings among users: log-normal, at least one each if there are enough."""
    weights = np.random.default_rng([spec.seed, 1]).lognormal(0, SIGMA, spec.users)
    least = 1 if spec.ratings >= spec.users else 0
    scale = _scale(weights, least, spec.items, spec.ratings)
    exact = np.clip(weights * scale, least, spec.items)
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")  # the largest fractions first
    missing = spec.ratings - int(counts.sum())
    while missing > 0:
        room = order[counts[order] < spec.items][:missing]
        counts[room] += 1
        missing -= len(room)
    return counts


def _scale(weights: np.ndarray, least: int, most: int, total: int) -> float:
    """Find by bisection the factor for which the clipped weights sum to ``total``."""
    low, high = 0.0, (most + 1) / float(weights.min())
    for _ in range(100):
        middle = (low + high) / 2
        if np.clip(weights * middle, least, most).sum() < total:
            low = middle
        else:
            high = middle
    return low


def _bounds(counts: np.ndarray) -> Iterator[tuple[int, int]]:
    """Split the users into blocks of at most `_BLOCK_USERS`, of about `_BLOCK_RATINGS` ratings."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = int(ends[start - 1]) if start else 0
        stop = int(np.searchsorted(ends, before + _BLOCK_RATINGS, side="right"))
        stop = min(max(stop, start + 1), start + _BLOCK_USERS)
        yield start, stop
        start = stop


def _block(items: _Items, first: int, counts: np.ndarray, rng: np.random.Generator) -> Block:
    n_items = len(items.weights)
    heavy = counts > max(n_items // 16, 1)
    keys = [_by_draws(rng, np.where(heavy, 0, counts), items.cumulative)]
    keys += list(_by_exponentials(rng, np.flatnonzero(heavy), counts[heavy], items.weights))
    pairs = np.sort(np.concatenate(keys))
    user, item = pairs >> _ITEM_BITS, pairs & (_MOST_ITEMS - 1)
    bias = rng.normal(0, 0.4, len(counts)).astype(np.float32)
    vectors = rng.normal(0, 0.5 / np.sqrt(RANK), (len(counts), RANK)).astype(np.float32)
    taste = np.einsum("nk,nk->n", vectors[user], items.vectors[item])
    noise = rng.standard_normal(len(user), dtype=np.float32) * np.float32(0.7)
    values = np.clip(np.rint(np.float32(MEAN) + bias[user] + items.bias[item] + taste + noise), 1, 5)
    start = _YEAR_2000 + rng.integers(0, _YEARS, len(counts))
    timestamps = start[user] + rng.integers(0, _BUSY, len(user))
    return Block((user + first).astype(np.int32), item.astype(np.int32), values, timestamps)


def _by_draws(rng: np.random.Generator, counts: np.ndarray, cumulative: np.ndarray) -> np.ndarray:
    """Draw items for each user with replacement and keep the first distinct ones, as many as needed.

    Every draw is one integer: the bits of the user, of the item, and of the turn among the user's draws.
    """
    users, last_item = np.arange(len(counts)), len(cumulative) - 1
    drawn = np.zeros(len(counts), np.int64)
    draws, missing = np.empty(0, np.int64), counts
    while missing.any():
        more = np.where(missing > 0, missing + missing // 2 + 8, 0)
        user = np.repeat(users, more)
        turn = np.arange(len(user)) - np.repeat(np.cumsum(more) - more - drawn, more)
        item = np.minimum(np.searchsorted(cumulative, rng.random(len(user))), last_item)
        fresh = (((user << _ITEM_BITS) | item) << _TURN_BITS) | turn
        draws = np.sort(np.concatenate([draws, fresh]))
        pairs = draws >> _TURN_BITS
        draws = draws[np.concatenate([[True], pairs[1:] != pairs[:-1]])]
        drawn += more
        held = np.bincount(draws >> (_TURN_BITS + _ITEM_BITS), minlength=len(counts))
        missing = np.maximum(counts - held, 0)
    return _first(draws, counts)


def _first(draws: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Keep each user's ``counts`` earliest draws, as pairs of user and item."""
    if not len(draws):
        return draws
    user = draws >> (_TURN_BITS + _ITEM_BITS)
    in_time = (user << _TURN_BITS) | (draws & ((1 << _TURN_BITS) - 1))
    held = np.bincount(user, minlength=len(counts))
    last = np.cumsum(held) - held + counts - 1  # where each user's last kept draw stands, once sorted by turn
    bell = np.sort(in_time)[np.maximum(last, 0).clip(max=len(draws) - 1)]
    return draws[in_time <= bell[user]] >> _TURN_BITS


def _by_exponentials(
    rng: np.random.Generator, users: np.ndarray, counts: np.ndarray, weights: np.ndarray
) -> Iterator[np.ndarray]:
    """Draw without replacement exactly: the items whose exponential clocks, as fast as they are popular, ring first.

    Efraimidis and Spirakis (2006), Weighted random sampling with a reservoir.
    """
    n_items = len(weights)
    step = max(_CELLS // n_items, 1)
    for start in range(0, len(users), step):
        part, wanted = users[start : start + step], counts[start : start + step]
        clocks = rng.standard_exponential((len(part), n_items)) / weights  # (users, items)
        bell = np.sort(clocks, axis=1)[np.arange(len(part)), wanted - 1]
        row, item = np.nonzero(clocks <= bell[:, None])
        yield (part[row] << _ITEM_BITS) | item


def write_synthetic(
    name: str, folder: str | os.PathLike[str], *, progress: Callable[[int], None] | None = None
) -> Path:
    """Write a synthetic set to a new folder of Parquet files, in memory that does not grow with its ratings.

    Parameters
    ----------
    name : str
        ``synthetic:USERSxITEMSxRATINGS`` with an optional ``:SEED``; the same name gives the same ratings as
        `load_dataset` does.
    folder : path
        It is created in one step. Its columns are user, item, value and time.
    progress : callable, optional
        Called with the number of ratings so far.

    Returns
    -------
    path
        The folder.

    Raises
    ------
    DataError
        If the folder is there already.
    SettingError
        If no such set can exist.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as home:
    ...     folder = write_synthetic("synthetic:500x300x20000", Path(home) / "ratings")
    ...     pl.scan_parquet(folder).select(pl.len()).collect().item()
    20000
    """
    check_text("name", name)
    check_callable("progress", progress)
    spec, target = parse(name), path_of(folder, "folder")
    if target.exists():
        raise DataError(f"{target} exists already: remove it or name another folder")
    done = 0
    with new_folder(target) as beside:
        for number, frame in enumerate(_frames(spec)):
            frame.write_parquet(beside / f"part-{number:05}.parquet", row_group_size=_ROWS_A_GROUP)
            done += len(frame)
            if progress is not None:
                progress(done)
    return target


def _frames(spec: Spec) -> Iterator[pl.DataFrame]:
    """Yield the ratings as frames of several blocks, ids counted from 1."""
    waiting: list[pl.DataFrame] = []
    for block in blocks(spec):
        columns = {
            "user": block.user_rows.astype(np.int64) + 1,
            "item": block.item_rows.astype(np.int64) + 1,
            "value": block.values.astype(np.float32),
            "time": block.timestamps,
        }
        waiting.append(pl.DataFrame(columns))
        if len(waiting) == _BLOCKS_A_FILE:
            yield pl.concat(waiting)
            waiting = []
    if waiting:
        yield pl.concat(waiting)
