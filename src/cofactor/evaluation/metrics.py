"""What each figure of a report means: every metric's definition, its source, and its computation on arrays.

Errors of predicted ratings, over all held-out ratings, and of each user over their own:

====  =================================================================================================================
mse   mean of (predicted − actual)², in squared units of the ratings
rmse  root of the mse
mae   mean of abs(predicted − actual), in units of the ratings; Herlocker, Konstan, Terveen and Riedl (2004),
      Evaluating Collaborative Filtering Recommender Systems
====  =================================================================================================================

Lists. For one user, R items are relevant, and hit(p) is 1 where the item at place p of the list is relevant. Users with
R = 0 have no value and are in no mean. A list that is shorter than k, as nothing was left to rank, counts as a list
with misses at its end, except for the last two, which are means over the items that are there.

==================  ===================================================================================================
precision@k         Σ hit / k; Manning, Raghavan and Schütze (2008), Introduction to Information Retrieval, 8.4
recall@k            Σ hit / R; the same. Below 1 for the best of lists where R > k
capped_recall@k     Σ hit / min(k, R); Liang, Krishnan, Hoffman and Jebara (2018), Variational Autoencoders for
                    Collaborative Filtering, who call it Recall@k
hit@k               1 where Σ hit > 0; the hit ratio of He et al. (2017), Neural Collaborative Filtering
ndcg@k              Σ hit(p) / log2(p + 1), over what a list with the relevant items first has: the sum over p from 1 to
                    min(k, R); Järvelin and Kekäläinen (2002), Cumulated Gain-Based Evaluation of IR Techniques, with
                    the discount of Burges et al. (2005), which all libraries have
map@k               Σ hit(p) · precision@p / R; Buckley and Voorhees (2000), Evaluating Evaluation Measure Stability, as
                    trec_eval's map_cut and ranx have it. Others divide by min(k, R) and so get more where R > k
mrr@k               1 / p of the first hit, 0 where there is none; Voorhees (1999), The TREC-8 Question Answering Track
                    Report
novelty@k           mean of −log2(share of the users who had the item in training), in bits; Zhou et al. (2010), Solving
                    the Apparent Diversity–Accuracy Dilemma. An item that nobody had counts as had by one user
popularity_share@k  share of listed items that are among the fifth of all items that was had most often in training;
                    Abdollahpouri, Mansoury, Burke and Mobasher (2019), The Unfairness of Popularity Bias
==================  ===================================================================================================

Of the lists of all users together, and so without a value for each of them:

==========  ===========================================================================================================
coverage@k  share of all items that are in anybody's list; Ge, Delgado-Battenfeld and Jannach (2010), Beyond Accuracy
gini@k      how unequally items are listed: Σ (2j − n − 1) c(j) / ((n − 1) Σ c), where c are the n items' counts in all
            lists in rising order; 0 where all are listed equally often, 1 where every place goes to one item; Shani
            and Gunawardana (2011), Evaluating Recommendation Systems
==========  ===========================================================================================================

Of all that a user has not had in training, whatever k:

===  ==================================================================================================================
auc  the probability that a relevant item scores higher than one that is not, ties counted half; Rendle, Freudenthaler,
     Gantner and Schmidt-Thieme (2009), BPR. Users to whom everything that is left is relevant have no value
===  ==================================================================================================================

Hits are counted against what is relevant, whose order and value do not matter: gains are 0 or 1.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from cofactor.evaluation.held_out import among
from cofactor.lists.rerank import Ranked

__all__ = [
    "LIST_METRICS",
    "Audience",
    "areas",
    "gini",
    "ideal_gains",
    "listed_counts",
    "mean_absolute_error",
    "mean_squared_error",
    "place_discounts",
    "ranking_metrics",
    "root_mean_squared_error",
]

LIST_METRICS = (
    "precision", "recall", "capped_recall", "hit", "ndcg", "map", "mrr", "novelty", "popularity_share",
)  # fmt: skip
"""What is measured of each user's list, in the order in which it is computed."""

HEAD = 0.2
"""The share of the items that counts as popular."""


def mean_squared_error(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Return the mean of the squared differences, in squared units of the ratings."""
    difference = predicted.astype(np.float64) - actual
    return float(np.mean(difference * difference))


def root_mean_squared_error(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Return the root of the mean squared error, in units of the ratings."""
    return mean_squared_error(predicted, actual) ** 0.5


def mean_absolute_error(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Return the mean of the absolute differences, in units of the ratings."""
    return float(np.mean(np.abs(predicted.astype(np.float64) - actual)))


@dataclass(frozen=True, eq=False)
class Audience:
    """How well known each item is: ``surprise`` in bits and whether it is ``popular``, both of shape (items,)."""

    surprise: np.ndarray  # float64
    popular: np.ndarray  # float64, 1 or 0

    @classmethod
    def of(cls, counts: np.ndarray, n_users: int) -> "Audience":
        """Derive it from how many of the users had each item; items that equally many had are in row order."""
        surprise = np.log2(max(n_users, 1)) - np.log2(np.maximum(counts, 1))
        popular = np.zeros(len(counts))
        popular[np.argsort(-counts, kind="stable")[: int(np.ceil(HEAD * len(counts)))]] = 1
        return cls(surprise, popular)


def place_discounts(k: int) -> np.ndarray:
    """Return 1 / log2(p + 1) for the places from 1 to k."""
    discounts: np.ndarray = 1 / np.log2(np.arange(2, k + 2))
    return discounts


def ideal_gains(k: int) -> np.ndarray:
    """Return the gain of lists that begin with 0 to k relevant items; 1 in place of 0, since it is divided by."""
    return np.concatenate([[1.0], np.cumsum(place_discounts(k))])


def ranking_metrics(ranked: Ranked, relevant: sparse.csr_array, cut_offs: np.ndarray, audience: Audience) -> np.ndarray:
    """Measure each user's list against the items that are relevant to them.

    Parameters
    ----------
    ranked : Ranked
        The lists, of as many items as the largest cut-off, or of all that are left.
    relevant : scipy.sparse.csr_array, shape (users, items)
        What it stores is relevant, whatever the value.
    cut_offs : numpy.ndarray of int
        The lengths to measure, each at least 1.
    audience : Audience

    Returns
    -------
    numpy.ndarray of float64, shape (cut-offs, metrics, users)
        In the order of `LIST_METRICS`, as the module defines them; NaN for users without a relevant item.
    """
    n_users = relevant.shape[0]
    wanted = np.diff(relevant.indptr)
    place, hits = _places(ranked.users, n_users), among(relevant, ranked.users, ranked.items).astype(np.float64)
    so_far = np.cumsum(hits) - _before(ranked.users, hits, n_users)
    discounts, best = place_discounts(int(max(cut_offs))), ideal_gains(int(max(cut_offs)))
    measured = np.empty((len(cut_offs), len(LIST_METRICS), n_users))
    for place_of_k, k in enumerate(cut_offs):
        inside = place < k
        users, at = ranked.users[inside], place[inside]
        hit, nth, items = hits[inside], so_far[inside], ranked.items[inside]

        def total(of: np.ndarray, users: np.ndarray = users) -> np.ndarray:
            return np.bincount(users, weights=of, minlength=n_users)

        found = total(hit)
        listed = np.maximum(np.bincount(users, minlength=n_users), 1)
        metrics = (
            found / k,
            found / np.maximum(wanted, 1),
            found / np.maximum(np.minimum(wanted, k), 1),
            found > 0,
            total(hit * discounts[at]) / best[np.minimum(wanted, k)],
            total(hit * nth / (at + 1)) / np.maximum(wanted, 1),
            total(hit * (nth == 1) / (at + 1)),
            total(audience.surprise[items]) / listed,
            total(audience.popular[items]) / listed,
        )
        measured[place_of_k] = metrics
    measured[:, :, wanted == 0] = np.nan
    measured[:, -2:, _lengths(ranked.users, n_users) == 0] = np.nan
    return measured


def _lengths(users: np.ndarray, n_users: int) -> np.ndarray:
    return np.bincount(users, minlength=n_users)


def _places(users: np.ndarray, n_users: int) -> np.ndarray:
    """Return the place of each entry of lists that stand one after the other, from 0."""
    lengths = _lengths(users, n_users)
    return np.arange(len(users)) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _before(users: np.ndarray, hits: np.ndarray, n_users: int) -> np.ndarray:
    """Return for each entry how many hits the lists of earlier users have."""
    of_user = np.bincount(users, weights=hits, minlength=n_users)
    before: np.ndarray = (np.cumsum(of_user) - of_user)[users]
    return before


def listed_counts(ranked: Ranked, n_users: int, n_items: int, cut_offs: np.ndarray) -> np.ndarray:
    """Count how often each item is listed: shape (cut-offs, items)."""
    place = _places(ranked.users, n_users)
    return np.stack([np.bincount(ranked.items[place < k], minlength=n_items) for k in cut_offs])


def gini(counts: np.ndarray) -> float:
    """Return how unequal counts are, from 0 (all the same) to 1 (all but one are 0)."""
    n, total = len(counts), counts.sum()
    if n < 2 or not total:
        return 0.0
    weights = 2.0 * np.arange(1, n + 1) - n - 1
    return float(np.sort(counts) @ weights / ((n - 1) * total))


def areas(scores: np.ndarray, seen: sparse.csr_array, relevant: sparse.csr_array) -> np.ndarray:
    """Return the area under the curve of each user: relevant items against all others that were not seen.

    Parameters
    ----------
    scores : numpy.ndarray, shape (users, items)
    seen, relevant : scipy.sparse.csr_array, shape (users, items)
        Their stored pairs count; they share none.

    Returns
    -------
    numpy.ndarray of float64, shape (users,)
        NaN where nothing is relevant, or everything that was not seen.
    """
    measured = np.full(len(scores), np.nan)
    for user, row in enumerate(scores):
        wanted = relevant.indices[relevant.indptr[user] : relevant.indptr[user + 1]]
        others = np.ones(len(row), bool)
        others[wanted] = False
        others[seen.indices[seen.indptr[user] : seen.indptr[user + 1]]] = False
        rest, good = row[others], np.sort(row[wanted])
        if len(rest) and len(good):
            not_above = np.searchsorted(good, rest, "left") + np.searchsorted(good, rest, "right")
            measured[user] = 1 - not_above.sum() / (2 * len(rest) * len(good))
    return measured
