"""What lists are like beyond their hits: how their items differ, whose mix they have, and whose hits they are.

`cofactor.evaluation.metrics` defines the figures, `REQUESTED_METRICS`. They need more than the lists and the hits: what
is known of the items, what users have had, how popular items are. So they are measured on request.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from cofactor.data.passes import stores
from cofactor.evaluation.metrics import REQUESTED_METRICS
from cofactor.lists.answer import positions_of
from cofactor.lists.attributes import Groups, ItemAttributes
from cofactor.lists.rerank import Ranked

__all__ = ["BeyondHits", "thirds_of"]

SMOOTHED = 0.01
"""How much of the history's mix is added to the list's, so that the divergence is finite, as Steck (2018) does."""

THIRDS = ("recall_popular", "recall_middle", "recall_rare")


@dataclass(frozen=True, eq=False)
class BeyondHits:
    """What is measured of lists beyond their hits.

    Parameters
    ----------
    names : tuple of str
        Of metrics, as in `REQUESTED_METRICS`.
    memberships : scipy.sparse.csr_array, shape (items, groups), or None
        In equal parts, each item's groups: rows sum to 1, or 0 for items in none.
    directions : scipy.sparse.csr_array, shape (items, groups), or None
        The same with rows of length 1; items in no group share one of their own.
    thirds : numpy.ndarray of int, shape (items,)
        In which third of the training data each item is, 0 for the most popular.
    """

    names: tuple[str, ...]
    memberships: sparse.csr_array | None
    directions: sparse.csr_array | None
    thirds: np.ndarray

    @classmethod
    def of(cls, names: Iterable[str], attributes: ItemAttributes, by: str, counts: np.ndarray) -> "BeyondHits | None":
        """Prepare what was asked for; None if that is nothing.

        Parameters
        ----------
        names : iterable of str
        attributes : ItemAttributes
        by : str
            The column of groups, where a metric needs one.
        counts : numpy.ndarray of int, shape (items,)
            How many users had each item in training.
        """
        wanted = tuple(metric.name for metric in REQUESTED_METRICS if metric.name in set(names))
        if not wanted:
            return None
        memberships = _table(attributes.groups(by), 1.0) if "calibration" in wanted else None
        directions = _table(attributes.groups(by, complete=True), 0.5) if "ild" in wanted else None
        return cls(wanted, memberships, directions, thirds_of(counts))

    def measure(
        self, ranked: Ranked, relevant: sparse.csr_array, history: sparse.csr_array, cut_offs: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return the figures of each user, NaN where there is none: float64, shape (users,), by names with lengths.

        Parameters
        ----------
        ranked : Ranked
        relevant, history : scipy.sparse.csr_array, shape (users, items)
            What is relevant to each user, and what each has had in training.
        cut_offs : numpy.ndarray of int
        """
        n_users, n_items = relevant.shape
        position = positions_of(ranked.users, n_users)
        found: dict[str, np.ndarray] = {}
        for k in cut_offs:
            inside = (position <= k) & (ranked.items < n_items)
            pairs = ranked.users[inside], ranked.items[inside]
            lists = sparse.csr_array((np.ones(len(pairs[0])), pairs), shape=(n_users, n_items))
            for name in self.names:
                if name == "ild":
                    found[f"ild@{k}"] = self._distances(lists)
                elif name == "calibration":
                    found[f"calibration@{k}"] = self._divergences(lists, history)
                else:
                    found[f"{name}@{k}"] = self._recall(THIRDS.index(name), *pairs, relevant)
        return found

    def _distances(self, lists: sparse.csr_array) -> np.ndarray:
        """Return 1 less the mean cosine of the pairs in each list, from the length of the sum of their directions."""
        assert self.directions is not None
        sums = lists @ self.directions
        counts = np.diff(lists.indptr).astype(np.float64)
        squares = np.asarray(sums.multiply(sums).sum(axis=1)).ravel()
        with np.errstate(invalid="ignore", divide="ignore"):  # a list of fewer than two items has no pair
            distances = 1 - (squares - counts) / (counts * (counts - 1))
        return np.where(counts > 1, np.clip(distances, 0.0, 1.0), np.nan)

    def _divergences(self, lists: sparse.csr_array, history: sparse.csr_array) -> np.ndarray:
        """Return the divergence of each list's mix from the history's."""
        assert self.memberships is not None
        had = sparse.csr_array(((history.data > 0).astype(np.float64), history.indices, history.indptr), history.shape)
        wanted, held = _shares(had @ self.memberships), _shares(lists @ self.memberships)
        users = np.repeat(np.arange(wanted.shape[0]), np.diff(wanted.indptr))
        p, q = wanted.data, np.asarray(held[users, wanted.indices]).ravel() if len(users) else np.empty(0)
        parts = p * np.log(np.divide(p, (1 - SMOOTHED) * q + SMOOTHED * p, out=np.ones(len(p)), where=p > 0))
        sums = np.bincount(users, weights=parts, minlength=wanted.shape[0])
        return np.where(np.diff(wanted.indptr) > 0, np.maximum(sums, 0.0), np.nan)

    def _recall(self, third: int, users: np.ndarray, items: np.ndarray, relevant: sparse.csr_array) -> np.ndarray:
        """Return which share of the relevant items of a third is listed."""
        n_users = relevant.shape[0]
        owners = np.repeat(np.arange(n_users), np.diff(relevant.indptr))
        wanted = np.bincount(owners[self.thirds[relevant.indices] == third], minlength=n_users)
        hits = stores(relevant, users, items) & (self.thirds[items] == third)
        found = np.bincount(users[hits], minlength=n_users)
        return np.divide(found, wanted, out=np.full(n_users, np.nan), where=wanted > 0)


def thirds_of(counts: np.ndarray) -> np.ndarray:
    """Return in which third of the training data each item is, from 0, the most popular: equal counts by item row."""
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    thirds = np.empty(len(counts), np.int64)
    thirds[order] = np.minimum(3 * before // max(int(counts.sum()), 1), 2)
    return thirds


def _table(groups: Groups, power: float) -> sparse.csr_array:
    """Return items as rows over groups: each of an item's groups weighs 1 over their number to a power."""
    weights = np.repeat(1.0 / np.maximum(groups.sizes, 1) ** power, groups.sizes)
    return sparse.csr_array((weights, groups.codes, groups.indptr), shape=(len(groups.sizes), groups.count))


def _shares(table: sparse.csr_array) -> sparse.csr_array:
    """Return rows that sum to 1, but for empty ones."""
    table = sparse.csr_array(table)
    table.sum_duplicates()
    totals = np.asarray(table.sum(axis=1)).ravel()
    scale = np.repeat(np.divide(1.0, totals, out=np.zeros_like(totals), where=totals > 0), np.diff(table.indptr))
    return sparse.csr_array((table.data * scale, table.indices, table.indptr), shape=table.shape)
