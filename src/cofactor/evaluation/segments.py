"""Where one model is better than another: by how much users had, by how well known items are, by what is known of both.

Users are grouped and a metric is compared within each group. A list has items of many groups, so groups of items are
compared by recall: the share of the relevant items of the group that is listed.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.passes import stores
from cofactor.errors import SettingError
from cofactor.evaluation.beyond import thirds_of
from cofactor.evaluation.held_out import relevant_among
from cofactor.evaluation.metrics import finished
from cofactor.evaluation.per_user import Column
from cofactor.evaluation.report import Report
from cofactor.evaluation.significance import difference_of, paired
from cofactor.lists.attributes import Groups
from cofactor.model.factors import Factors, learnt_counts, ranked_rows

__all__ = ["Segment", "Segments", "groupings", "segments"]

Side = Literal["user", "item"]

NEW_UNTIL = 10
"""Up to how many interactions in training a user counts as new."""

FEWEST = 20
"""How many users a segment needs: the interval of fewer says little."""

MOST_GROUPS = 12
"""How many groups of a column are shown, the largest."""

MOST_VALUES = 30
"""A column of more different texts is no column of groups, but one of names."""

PARTS = 4
"""Into how many parts of about equal size numbers are divided."""

USERS_AT_ONCE = 20_000


@dataclass(frozen=True)
class Segment:
    """What two models reach for some of the users, or with some of the items.

    Parameters
    ----------
    label : str
        What the segment is called.
    n : int
        How many users, or items, are in it.
    n_users : int
        How many users have a value in it.
    value, other : float
        The two models' figures.
    mean, low, high : float
        The difference, the first minus the second, with its 95 % interval over users.
    """

    label: str
    n: int
    n_users: int
    value: float
    other: float
    mean: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes that both are equal."""
        return not self.low <= 0 <= self.high


@dataclass(frozen=True)
class Segments:
    """The segments by one property: what it is called, of which side it is, which metric is compared."""

    by: str
    side: Side
    metric: str
    parts: Sequence[Segment]
    left_out: int = 0


def segments(
    model: Factors,
    report: Report,
    other: Factors,
    other_report: Report,
    *,
    metric: str,
    k: int,
    by: Sequence[str] | None = None,
) -> list[Segments]:
    """Compare two models by segments of the users and of the items.

    Parameters
    ----------
    model, other : Factors
        What is known of users and items, and how much they had, is taken from the first.
    report, other_report : Report
        Of the same held-out ratings.
    metric : str
        What is compared within groups of users.
    k : int
        The length of the lists whose recall is compared within groups of items.
    by : sequence of str, optional
        Columns of what is known of users or items; by default all that make groups: numbers, truth values, days, lists
        of texts, and texts with few different values.

    Raises
    ------
    SettingError
        If a column is not there, or the reports cannot be compared.
    """
    _check(model, by)
    one, two = paired(report, other_report, metric)
    users = model.users.rows(report.measured_users().users)
    found = [_by_users("how much they had in training", _activity(model), users, metric, one, two)]
    found += [_by_users(name, groups, users, metric, one, two) for name, groups in _columns(model, "user", by)]
    if k and report.protocol and other_report.protocol:
        hits = _Hits.of(report, model, other, k)
        found.append(_by_items("how well known they are", _fame(model), hits, k))
        found += [_by_items(name, groups, hits, k) for name, groups in _columns(model, "item", by)]
    return [one for one in found if one.parts]


def _check(model: Factors, by: Sequence[str] | None) -> None:
    known = {"user": model.user_table, "item": model.item_table}
    there = [name for side, table in known.items() for name in table.columns if name not in (side, "title")]
    for name in by or ():
        if name not in there:
            has = f"it has {', '.join(there)}" if there else "it has none"
            raise SettingError(f"by names {name!r}, which is no column of the model's users or items: {has}")


def _columns(model: Factors, side: Side, by: Sequence[str] | None) -> Iterator[tuple[str, Groups]]:
    """Yield the columns of one side that make groups, or those asked for."""
    table = model.user_table if side == "user" else model.item_table
    for column in table.iter_columns():
        if column.name in (side, "title") or (by is not None and column.name not in by):
            continue
        groups = Groups.of(_in_parts(column))
        if groups.count >= 2 and (by is not None or groups.count <= MOST_VALUES):
            yield column.name, groups


def groupings(table: pl.DataFrame, side: Side) -> Iterator[str]:
    """Yield the columns of what is known of one side that name groups: not too many, and no numbers or days."""
    for column in table.iter_columns():
        if column.name in (side, "title") or column.dtype.is_numeric() or column.dtype.is_temporal():
            continue
        if 2 <= Groups.of(column).count <= MOST_VALUES:
            yield column.name


def _in_parts(column: pl.Series) -> pl.Series:
    """Divide many numbers or days into parts of about equal size; other columns stay as they are."""
    if column.dtype in (pl.Date, pl.Datetime):
        column = column.dt.year()
    if not column.dtype.is_numeric() or column.n_unique() <= MOST_GROUPS:
        return column
    values = column.cast(pl.Float64).to_numpy()
    known = np.isfinite(values)
    bounds = np.unique(np.quantile(values[known], np.arange(1, PARTS) / PARTS, method="higher"))
    part = np.searchsorted(bounds, values, side="right")
    labels: list[str | None] = [None] * len(values)
    for number in range(len(bounds) + 1):
        here = known & (part == number)
        if here.any():
            label = _span(values[here].min(), values[here].max())
            for row in np.flatnonzero(here):
                labels[row] = label
    ordered = sorted({label for label in labels if label is not None}, key=_first_number)
    return pl.Series(column.name, labels, dtype=pl.Enum(ordered))


def _span(low: float, high: float) -> str:
    return f"{low:.10g}" if low == high else f"{low:.10g} to {high:.10g}"


def _first_number(label: str) -> float:
    return float(label.partition(" ")[0])


def _activity(model: Factors) -> Groups:
    """Group users by how much they had in training: new ones, and the others in two halves."""
    had = np.diff(model.seen.indptr)
    more = had[had > NEW_UNTIL]
    middle = int(np.median(more)) if len(more) else NEW_UNTIL
    bounds = {"new": NEW_UNTIL, "light": middle, "heavy": int(had.max(initial=0))}
    names, codes = list(bounds), np.searchsorted(list(bounds.values())[:2], had, side="left")
    first = [0, NEW_UNTIL + 1, middle + 1]
    labels = [f"{name}: {low:,} to {bounds[name]:,}" for name, low in zip(names, first, strict=True)]
    return Groups(np.arange(len(had) + 1), codes.astype(np.int32), pl.Series(labels))


def _fame(model: Factors) -> Groups:
    """Group items by popularity: each group has a third of the training data."""
    counts = learnt_counts(model).by_item
    labels = pl.Series(["head: a third of all choices", "middle: the next third", "tail: the last third"])
    return Groups(np.arange(len(counts) + 1), thirds_of(counts).astype(np.int32), labels)


def _by_users(by: str, groups: Groups, rows: np.ndarray, metric: str, one: Column, two: Column) -> Segments:
    """Compare a metric within each group of users; ``rows`` are the model's rows of the measured users."""
    table = _table(groups)[rows]
    parts, known = [], (one.weight > 0) & (two.weight > 0)
    sizes = np.bincount(table.indices, minlength=groups.count)
    for code in _largest(sizes):
        here = np.flatnonzero(np.bincount(_owners(table)[table.indices == code], minlength=len(rows)))
        if known[here].sum() >= FEWEST:
            columns = [Column(*(part[here] for part in column)) for column in (one, two)]
            parts.append(_segment(str(groups.labels[int(code)]), len(here), metric, *columns))
    return Segments(by, "user", metric, parts, int(np.count_nonzero(sizes)) - len(parts))


def _by_items(by: str, groups: Groups, hits: "_Hits", k: int) -> Segments:
    """Compare the recall of the items of each group."""
    sizes = np.bincount(groups.codes, minlength=groups.count)
    table = _table(groups).tocsc()
    parts = []
    for code in _largest(sizes):
        inside = np.zeros(hits.n_items, bool)
        inside[table.indices[slice(*table.indptr[code : code + 2])]] = True
        one, two = hits.recalls(inside)
        if one.weight.sum() >= FEWEST:
            parts.append(_segment(str(groups.labels[int(code)]), int(inside.sum()), f"recall@{k}", one, two))
    return Segments(by, "item", f"recall@{k}", parts, int(np.count_nonzero(sizes)) - len(parts))


def _table(groups: Groups) -> sparse.csr_array:
    """Return which users or items are in which groups."""
    stored = np.ones(len(groups.codes), bool), groups.codes, groups.indptr
    return sparse.csr_array(stored, shape=(len(groups.indptr) - 1, groups.count))


def _largest(sizes: np.ndarray) -> np.ndarray:
    """Return the largest groups, in their own order."""
    return np.sort(np.argsort(-sizes, kind="stable")[: min(MOST_GROUPS, np.count_nonzero(sizes))])


def _segment(label: str, n: int, metric: str, one: Column, two: Column) -> Segment:
    both = (one.weight > 0) & (two.weight > 0)
    value, other = (float(finished(metric, part.total[both].sum(), part.weight[both].sum())) for part in (one, two))
    return Segment(label, n, int(both.sum()), value, other, *difference_of(metric, one, two))


def _owners(table: sparse.csr_array) -> np.ndarray:
    return np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))


@dataclass(frozen=True, eq=False)
class _Hits:
    """The relevant pairs, users and items in the order of the first report, and which of them each model lists."""

    n_users: int
    n_items: int
    owners: np.ndarray
    items: np.ndarray
    listed: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, report: Report, one: Factors, two: Factors, k: int) -> "_Hits":
        """Make the lists of both models for the users of a report."""
        users, pairs = report.measured_users().users, report.measured_users().pairs
        assert pairs is not None
        relevant = relevant_among(pairs.matrix, report.relevant_from)
        listed = [_listed(model, users, pairs.items.ids, relevant, k) for model in (one, two)]
        return cls(len(users), len(pairs.items), _owners(relevant), relevant.indices, (listed[0], listed[1]))

    def recalls(self, inside: np.ndarray) -> Iterable[Column]:
        """Return each model's recall of some items, a mask, for every user; users without any have none."""
        here = inside[self.items]
        wanted = np.bincount(self.owners[here], minlength=self.n_users)
        for listed in self.listed:
            found = np.bincount(self.owners[here & listed], minlength=self.n_users)
            yield Column.of(np.divide(found, wanted, out=np.full(self.n_users, np.nan), where=wanted > 0))


def _listed(model: Factors, users: pl.Series, items: pl.Series, relevant: sparse.csr_array, k: int) -> np.ndarray:
    """Return which of the relevant pairs are in a model's lists: a mask over the stored ones."""
    rows, places = model.users.rows(users), np.full(model.n_items, -1)
    theirs = model.items.find(items)
    places[theirs[theirs >= 0]] = np.flatnonzero(theirs >= 0)
    mask = np.zeros(relevant.nnz, bool)
    for first in range(0, len(rows), USERS_AT_ONCE):
        part = relevant[first : first + USERS_AT_ONCE]
        ranked = ranked_rows(model, rows[first : first + USERS_AT_ONCE], k)
        known = places[ranked.items] >= 0
        pairs = ranked.users[known], places[ranked.items[known]]
        lists = sparse.csr_array((np.ones(len(pairs[0]), bool), pairs), shape=part.shape)
        lists.sort_indices()
        span = slice(*relevant.indptr[[first, min(first + USERS_AT_ONCE, len(rows))]])
        mask[span] = stores(lists, _owners(part), part.indices)
    return mask
