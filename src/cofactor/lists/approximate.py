"""Top n from a part of the items: an index of clusters for catalogues of millions, and the recall that it reaches.

Model: a score is the product of a user's and an item's vector. With one more number, √(longest² − length²), all items
are equally long, and the item of largest product is the nearest one.

Algorithm: the lengthened item vectors are gathered in √items clusters by k-means (on a sample of the items). A search
reads the clusters nearest to the user and no other, for n items and as many more as the user has seen. What it proposes
is scored by the definition of `cofactor.lists.exact`, so scores and order are those of the exact list; only items
may be missing. A user for whom too few are left, or who has seen very much, is answered exactly. The least number of
clusters is read that reaches the wanted recall for some users, and the recall is then measured for others.

Everything is seeded and nothing depends on the order of threads: the same model and settings give the same lists
wherever matrix multiplication rounds the same. From how many items on it pays is in
``benchmarks/results/approximate.md``.

Reference: Bachrach et al. (2014), Speeding up the Xbox recommender system using a Euclidean transformation for
inner-product spaces; Douze et al. (2024), The Faiss library.
"""

from typing import Any

import numpy as np
from scipy import sparse

from cofactor.data.passes import stores
from cofactor.errors import SettingError, missing_extra
from cofactor.lists.exact import SCORES_AT_ONCE, first_places, joined, pair_scores
from cofactor.lists.request import checked_n
from cofactor.lists.rerank import Ranked
from cofactor.lists.retriever import ExactRetriever, Filter, Users

__all__ = ["LONGEST", "ApproximateRetriever", "approximated"]

LONGEST = 4096
"""The most candidates that are asked for; users who need more are answered exactly."""

SPARE = 16
"""How many candidates beyond ``n`` are scored by the definition, since the index rounds otherwise."""

SAMPLE = 500
"""Users whose exact lists decide how much is read, and again as many for whom the recall is measured."""

ITERATIONS, POINTS_IN_CLUSTER, FEWEST_POINTS = 10, 64, 39
"""Of k-means: how often, on how many items for each cluster, and how few faiss accepts without complaint."""


class ApproximateRetriever:
    """The clusters of a model's items, and what reading some of them achieves.

    Parameters
    ----------
    exact : ExactRetriever
        It answers what the clusters cannot, and lists with candidates.
    clusters : faiss.IndexIVFFlat
        The lengthened item vectors.
    probes : int
        How many clusters a search reads.
    recall : float
        The share of the exact list's items that a list holds: the mean over a sample of users.
    """

    def __init__(self, exact: ExactRetriever, clusters: Any, probes: int, recall: float) -> None:
        self.exact, self.clusters, self.probes, self.recall = exact, clusters, probes, recall

    @property
    def n_items(self) -> int:
        """How many items there are."""
        return self.exact.n_items

    @property
    def name(self) -> str:
        """What answers depend on besides the model."""
        return f"{self.probes} of {self.clusters.nlist} clusters"

    def prepare(self, n_users: int) -> None:
        """There is nothing to prepare."""

    def search(self, users: Users, rows: np.ndarray, n: int, chosen: Filter) -> Ranked:
        """Return the best ``n`` items of some users among those that are read."""
        if chosen.candidates is not None or chosen.own_candidates is not None or n < 1:
            return self.exact.search(users, rows, n, chosen)
        own = np.arange(len(rows)) if chosen.excluded_rows is None else chosen.excluded_rows
        queries, offsets, excluded = self.exact.queries(users.vectors[rows]), users.offsets(rows), chosen.excluded
        seen = np.zeros(len(rows), np.int64)
        if excluded is not None:
            seen = np.diff(excluded.indptr)[own].astype(np.int64)
        wanted = np.minimum(2 ** np.ceil(np.log2(np.maximum(n + seen, 16))).astype(np.int64), self.n_items)
        exactly = (wanted > LONGEST) | ~queries.any(axis=1)
        parts = []
        for length in np.unique(wanted[~exactly]):
            group = np.flatnonzero((wanted == length) & ~exactly)
            block = max(1, SCORES_AT_ONCE // (4 * int(length)))
            for start in range(0, len(group), block):
                some = group[start : start + block]
                theirs = None if excluded is None else excluded[own[some]]
                best = self._proposed(queries[some], n, offsets[some], theirs, int(length))
                short = np.bincount(best.users, minlength=len(some)) < n
                exactly[some[short]] = True
                kept = ~short[best.users]
                parts.append(Ranked(some[best.users[kept]], best.items[kept], best.scores[kept]))
        rest = np.flatnonzero(exactly)
        if len(rest):
            best = self.exact.search(users, rows[rest], n, Filter(excluded=excluded, excluded_rows=own[rest]))
            parts.append(Ranked(rest[best.users], best.items, best.scores))
        return _by_user(parts)

    def _proposed(
        self,
        users: np.ndarray,
        n: int,
        offsets: np.ndarray,
        excluded: sparse.csr_array | None,
        length: int,
    ) -> Ranked:
        """Return the best ``n`` of the ``length`` items that the clusters propose for each user."""
        import faiss

        read: Any = faiss.SearchParametersIVF
        queries = np.column_stack([users, np.zeros(len(users), np.float32)])
        _, found = self.clusters.search(queries, length, params=read(nprobe=self.probes))
        who, place = np.nonzero(found >= 0)
        what = found[who, place]
        if excluded is not None:
            fresh = ~stores(excluded, who, what)
            who, what = who[fresh], what[fresh]
        starts = np.searchsorted(who, np.arange(len(users)))
        near = np.arange(len(who)) - starts[who] < n + SPARE
        who, what = who[near], what[near]
        scores = pair_scores(users, self.exact.items, offsets, who, what)
        return first_places(who, what, scores, n, 0, len(users))


def approximated(
    exact: ExactRetriever, users: Users, seen: sparse.csr_array, recall: float, n: int
) -> ApproximateRetriever:
    """Return a retriever that reads the fewest clusters that reach a recall; see `Factors.approximate`."""
    if not isinstance(recall, int | float) or not 0 < recall < 1:
        raise SettingError(f"recall is {recall!r}: it must lie between 0 and 1 (the model itself answers exactly)")
    if not len(users.vectors) or not exact.n_items or checked_n(n) < 1:
        raise SettingError("an approximate index needs users, items, and lists of one item or more")
    sample = np.random.default_rng(0).permutation(len(users.vectors))[: 2 * SAMPLE].astype(np.int32)
    tuning, testing = sample[: (len(sample) + 1) // 2], sample[len(sample) // 2 :]
    clusters = _gathered(exact.items)

    def best(retriever: ApproximateRetriever | ExactRetriever, rows: np.ndarray) -> Ranked:
        return retriever.search(users, rows, n, Filter(excluded=seen, excluded_rows=rows))

    def reached(probes: int, rows: np.ndarray, wanted: Ranked) -> float:
        return _recall(best(ApproximateRetriever(exact, clusters, probes, 0.0), rows), wanted, len(rows))

    probes, wanted = 1, best(exact, tuning)
    while probes < clusters.nlist and reached(probes, tuning, wanted) < recall:
        probes = min(2 * probes, clusters.nlist)
    return ApproximateRetriever(exact, clusters, probes, reached(probes, testing, best(exact, testing)))


def _gathered(items: np.ndarray) -> Any:
    """Gather item vectors, made equally long, in clusters."""
    try:
        import faiss
    except ImportError:
        raise missing_extra("faiss", "approximate") from None

    squares = np.einsum("ij,ij->i", items, items, dtype=np.float64)
    equal = np.column_stack([items, np.sqrt(squares.max() - squares).astype(np.float32)])
    count, columns = equal.shape
    clusters = faiss.IndexIVFFlat(
        faiss.IndexFlatL2(columns), columns, max(1, min(int(np.sqrt(count)), count // FEWEST_POINTS))
    )
    clusters.cp.niter, clusters.cp.max_points_per_centroid, clusters.cp.seed = ITERATIONS, POINTS_IN_CLUSTER, 0
    clusters.train(equal)
    clusters.add(equal)
    return clusters


def _recall(found: Ranked, exact: Ranked, n_users: int) -> float:
    """Return the mean over users of the share of the exact list that was found; 1 where nothing is to be found."""
    width = 1 + max(found.items.max(initial=0), exact.items.max(initial=0))
    hits = np.isin(exact.users * width + exact.items, found.users * width + found.items)
    counts = np.bincount(exact.users, minlength=n_users)
    shares = np.bincount(exact.users, hits, minlength=n_users)[counts > 0] / counts[counts > 0]
    return float(shares.mean()) if len(shares) else 1.0


def _by_user(parts: list[Ranked]) -> Ranked:
    whole = joined(parts)
    order = np.argsort(whole.users, kind="stable")
    return Ranked(whole.users[order], whole.items[order], whole.scores[order])
