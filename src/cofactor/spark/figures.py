"""The executors' part of an evaluation: fold in newcomers, predict, rank, and sum the metrics."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from cofactor.data.passes import stores
from cofactor.evaluation import metrics
from cofactor.evaluation.held_out import Group
from cofactor.evaluation.report import measured_columns
from cofactor.model.factors import exact_of, has_history
from cofactor.model.fold_in import place_rows
from cofactor.model.seen import Seen
from cofactor.spark.arrow import pa
from cofactor.spark.batches import compressed, lengths_of, use_own_cores, vectors_of
from cofactor.spark.item_broadcast import Items

if TYPE_CHECKING:
    from pyspark import Broadcast

__all__ = ["COUNTS", "SCHEMA", "TESTED", "Wanted", "listed_name", "measure"]

SCHEMA = "name string, item long, total double, weight double"
"""Sums as they leave an executor; the item is null but where it is counted how often one is listed."""

TESTED = "tested"
"""The name of the counts of how many test ratings each item has, of users that the model knows."""

COUNTS = ("test", "unknown", "users", "without history", "irrelevant", "repeated", "trained on", "unusable")
"""The sums that are no metrics."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """What is to be measured: lengths of lists, if any, and the choices of `evaluate`."""

    cut_offs: np.ndarray | None
    clip: bool
    relevant_from: float | None
    popularity: metrics.ItemPopularity


def measure(
    batches: Iterable[pa.RecordBatch], *, items: "Broadcast[Items]", wanted: Wanted
) -> Iterator[pa.RecordBatch]:
    """Measure the users of all batches of a part, and return the sums."""
    use_own_cores()
    if wanted.cut_offs is not None:
        _ = exact_of(items.value.model).index  # made once here, it serves the models of all batches
    sums = Sums(len(items.value.vectors), wanted.cut_offs)
    for batch in batches:
        _measure_users(items.value, wanted, batch, sums)
    yield sums.to_batch()


class Sums:
    """Sums over the users of a part: of each figure its total and weight, and how often each item is listed."""

    def __init__(self, n_items: int, cut_offs: np.ndarray | None) -> None:
        self.names = [] if cut_offs is None else [listed_name(k) for k in cut_offs]
        self.tested = np.zeros(n_items, np.int64)
        self.listed = np.zeros((len(self.names), n_items), np.int64)
        self.figures: dict[str, tuple[float, float]] = {}

    def add(self, name: str, total: float, weight: float = 0.0) -> None:
        """Add to a figure."""
        before = self.figures.get(name, (0.0, 0.0))
        self.figures[name] = (before[0] + float(total), before[1] + float(weight))

    def to_batch(self) -> pa.RecordBatch:
        """Return what is not zero, as Spark is told to expect it."""
        rows: list[tuple[str, int | None, float, float]] = [(name, None, *both) for name, both in self.figures.items()]
        for name, counts in [(TESTED, self.tested), *zip(self.names, self.listed, strict=True)]:
            rows += [(name, int(item), float(counts[item]), 0.0) for item in np.flatnonzero(counts)]
        kinds = (pa.string(), pa.int64(), pa.float64(), pa.float64())
        columns = [pa.array([row[k] for row in rows], kind) for k, kind in enumerate(kinds)]
        return pa.RecordBatch.from_arrays(columns, names=["name", "item", "total", "weight"])


def listed_name(length: int) -> str:
    """Return the name of the counts of how often each item is in lists of a length."""
    return f"listed@{length}"


def _measure_users(items: Items, wanted: Wanted, batch: pa.RecordBatch, sums: Sums) -> None:
    """Measure those users of a batch with ratings that can be predicted."""
    sums.add("unusable", lengths_of(batch["tested"])[batch["user"].is_null().to_numpy(zero_copy_only=False)].sum())
    tested = _ratings(batch["tested"], len(items.vectors), sums)
    users = _placed(items, batch, sums)
    lengths = np.diff(tested.indptr)
    everyone = items.with_users(users.vectors, users.bias, users.seen)
    history = users.known & has_history(everyone, np.arange(batch.num_rows))
    at_known = np.repeat(users.known, lengths)
    at = np.repeat(np.arange(batch.num_rows), lengths)
    sums.add("trained on", stores(users.seen, at, tested.indices).sum())
    sums.tested += np.bincount(tested.indices[at_known], minlength=len(items.vectors))
    sums.add("unknown", lengths_of(batch["tested"]).sum() - lengths[history].sum())
    sums.add("without history", (~history & (lengths > 0)).sum())
    chosen = np.flatnonzero(history & (lengths > 0))
    if not len(chosen):
        return
    table = tested[chosen]
    group = Group(everyone, chosen, table)
    relevant = group.relevant(wanted.relevant_from)
    columns, listed = measured_columns(group, relevant, wanted.popularity, wanted.cut_offs, clip=wanted.clip)
    for name, column in columns.items():
        sums.add(name, column.total.sum(), column.weight.sum())
    sums.listed += listed
    sums.add("test", table.nnz)
    sums.add("users", len(chosen))
    sums.add("irrelevant", (np.diff(relevant.indptr) == 0).sum())


@dataclass(frozen=True, eq=False)
class Users:
    """The users of a batch: vectors, biases, what they have seen, and whether the model knows or could place them."""

    vectors: np.ndarray
    bias: np.ndarray | None
    seen: sparse.csr_array
    known: np.ndarray


def _placed(items: Items, batch: pa.RecordBatch, sums: Sums) -> Users:
    """Return the users of a batch, those who were given ratings placed anew by all that they have."""
    vectors = vectors_of(batch, items.vectors.shape[1])
    known = batch["vector"].is_valid().to_numpy(zero_copy_only=False)
    bias = None
    if items.card["user_bias"]:
        bias = batch["bias"].fill_null(0).to_numpy(zero_copy_only=False).astype(np.float32)
    seen = _ratings(batch["seen"], len(items.vectors), sums)
    if "given" not in batch.schema.names:
        return Users(vectors, bias, seen, known)
    given = _ratings(batch["given"], len(items.vectors), sums)
    met = np.flatnonzero(np.diff(given.indptr))
    seen = Seen(seen).laid_under(np.arange(batch.num_rows), Seen(given)).table
    placed = place_rows(items.model, seen[met], "user")
    vectors[met] = placed.vectors
    if bias is not None and placed.bias is not None:
        bias = np.array(bias)
        bias[met] = placed.bias
    return Users(vectors, bias, seen, known | np.isin(np.arange(batch.num_rows), met))


def _ratings(column: pa.ListArray, n_items: int, sums: Sums) -> sparse.csr_array:
    """Return a column of lists of ratings as compressed rows, without items that the model does not know."""
    entries = column.flatten()
    rows = entries.field("row").fill_null(-1).to_numpy(zero_copy_only=False)
    values = entries.field("value").fill_null(np.nan).to_numpy(zero_copy_only=False)
    sums.add("unusable", (~np.isfinite(values)).sum() + entries.field("row").null_count)
    who = np.repeat(np.arange(len(column)), lengths_of(column))[rows >= 0]
    table = compressed(np.bincount(who, minlength=len(column)), rows[rows >= 0], values[rows >= 0], n_items)
    sums.add("repeated", table.nnz - len(np.unique(who * n_items + rows[rows >= 0])))
    return table
