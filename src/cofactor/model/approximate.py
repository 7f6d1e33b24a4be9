"""Top n from a part of the items: an index of clusters for catalogues of millions, and the recall that it reaches.

Model: a score is the product of a user's and an item's vector. With one more number, √(longest² − length²), all items
are equally long, and the item of largest product is the nearest one.

Algorithm: the lengthened item vectors are gathered in √items clusters by k-means (on a sample of the items). A search
reads the clusters nearest to the user and no other, for n items and as many more as the user has seen. What it proposes
is scored by the definition of `cofactor.model.retrieval`, so scores and order are those of the exact list; only items
may be missing. A user for whom too few are left, or who has seen very much, is answered exactly. The least number of
clusters is read that reaches the wanted recall for some users, and the recall is then measured for others.

Everything is seeded and nothing depends on the order of threads: the same model and settings give the same lists
wherever matrix multiplication rounds the same. From how many items on it pays is in
``benchmarks/results/approximate.md``.

Reference: Bachrach et al. (2014), Speeding up the Xbox recommender system using a Euclidean transformation for
inner-product spaces; Douze et al. (2024), The Faiss library.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from cofactor.errors import SettingError, missing_extra
from cofactor.model import lists, retrieval
from cofactor.model.retrieval import Ranked

if TYPE_CHECKING:
    from cofactor.model.factors import Factors
    from cofactor.model.index import Index

__all__ = ["LONGEST", "Approximation", "approximated"]

LONGEST = 4096
"""The most candidates that are asked for; users who need more are answered exactly."""

SPARE = 16
"""How many candidates beyond ``n`` are scored by the definition, since the index rounds otherwise."""

SAMPLE = 500
"""Users whose exact lists decide how much is read, and again as many for whom the recall is measured."""

ITERATIONS, POINTS_IN_CLUSTER, FEWEST_POINTS = 10, 64, 39
"""Of k-means: how often, on how many items for each cluster, and how few faiss accepts without complaint."""


@dataclasses.dataclass(frozen=True)
class Approximation:
    """The clusters of one model's items, and what reading some of them achieves.

    Parameters
    ----------
    clusters : faiss.IndexIVFFlat
        The lengthened item vectors.
    probes : int
        How many clusters a search reads.
    recall : float
        The share of the exact list's items that a list holds: the mean over a sample of users.
    """

    clusters: Any
    probes: int
    recall: float

    @property
    def name(self) -> str:
        """What answers depend on besides the model."""
        return f"{self.probes} of {self.clusters.nlist} clusters"

    def search(
        self,
        users: np.ndarray,
        items: np.ndarray,
        n: int,
        *,
        offsets: np.ndarray,
        excluded: sparse.csr_array | None,
        excluded_rows: np.ndarray,
        index: "Callable[[], Index]",
    ) -> Ranked:
        """Find each user's best ``n`` items among those that are read; the parameters are those of `top_n`."""
        seen = np.zeros(len(users), np.int64)
        if excluded is not None:
            seen = np.diff(excluded.indptr)[excluded_rows].astype(np.int64)
        wanted = np.minimum(2 ** np.ceil(np.log2(np.maximum(n + seen, 16))).astype(np.int64), len(items))
        exactly = (wanted > LONGEST) | ~users.any(axis=1)
        parts = []
        for length in np.unique(wanted[~exactly]):
            group = np.flatnonzero((wanted == length) & ~exactly)
            block = max(1, retrieval.SCORES_AT_ONCE // (4 * int(length)))
            for start in range(0, len(group), block):
                some = group[start : start + block]
                own = None if excluded is None else excluded[excluded_rows[some]]
                best = self._proposed(users[some], items, n, offsets[some], own, int(length))
                short = np.bincount(best.users, minlength=len(some)) < n
                exactly[some[short]] = True
                kept = ~short[best.users]
                parts.append(Ranked(some[best.users[kept]], best.items[kept], best.scores[kept]))
        rest = np.flatnonzero(exactly)
        if len(rest):
            best = retrieval.top_n(
                users[rest],
                items,
                n,
                offsets=offsets[rest],
                excluded=excluded,
                excluded_rows=excluded_rows[rest],
                index=index,
            )
            parts.append(Ranked(rest[best.users], best.items, best.scores))
        return _by_user(parts)

    def _proposed(
        self,
        users: np.ndarray,
        items: np.ndarray,
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
            fresh = _not_in(excluded, who, what)
            who, what = who[fresh], what[fresh]
        starts = np.searchsorted(who, np.arange(len(users)))
        near = np.arange(len(who)) - starts[who] < n + SPARE
        who, what = who[near], what[near]
        scores = retrieval.pair_scores(users, items, offsets, who, what)
        return retrieval.first_places(who, what, scores, n, 0, len(users))


def _not_in(excluded: sparse.csr_array, who: np.ndarray, what: np.ndarray) -> np.ndarray:
    """Tell which pairs are not stored in a matrix."""
    if not excluded.nnz:
        return np.ones(len(who), bool)
    n_users, n_items = excluded.shape
    marks = np.repeat(np.arange(n_users), np.diff(excluded.indptr)) * n_items + excluded.indices
    marks.sort(kind="stable")
    pairs = who * n_items + what
    place = np.minimum(np.searchsorted(marks, pairs), len(marks) - 1)
    return marks[place] != pairs


def approximated(model: "Factors", recall: float, n: int) -> "Factors":
    """Return the model with an index that looks at a part of the items; see `Factors.approximate`."""
    if not isinstance(recall, int | float) or not 0 < recall < 1:
        raise SettingError(f"recall is {recall!r}: it must lie between 0 and 1 (the model itself answers exactly)")
    if lists.needs_every_draw(model):
        raise SettingError("this model's scores are no products of vectors: it has no approximate index")
    if not model.n_users or not model.n_items or lists.checked(n) < 1:
        raise SettingError("an approximate index needs users, items, and lists of one item or more")
    exact = model.evolve()
    exact.__dict__["_prepared"].pop(("approximation", "user"), None)
    sample = np.random.default_rng(0).permutation(model.n_users)[: 2 * SAMPLE].astype(np.int32)
    tuning, testing = sample[: (len(sample) + 1) // 2], sample[len(sample) // 2 :]
    clusters = _gathered(model.keys())
    wanted = lists.ranked(exact, tuning, n)
    probes = 1
    while probes < clusters.nlist:
        tried = exact.approximating(Approximation(clusters, probes, 0.0))
        if _recall(lists.ranked(tried, tuning, n), wanted, len(tuning)) >= recall:
            break
        probes = min(2 * probes, clusters.nlist)
    tried = exact.approximating(Approximation(clusters, probes, 0.0))
    reached = _recall(lists.ranked(tried, testing, n), lists.ranked(exact, testing, n), len(testing))
    return exact.approximating(Approximation(clusters, probes, reached))


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
    joined = retrieval.joined(parts)
    order = np.argsort(joined.users, kind="stable")
    return Ranked(joined.users[order], joined.items[order], joined.scores[order])
