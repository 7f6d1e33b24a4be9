"""Every metric of a report as one record: its name and definition, which direction is better, how it is computed.

The reports, their labels and tables, the settings that `tune` accepts, the figures and this page follow from the
records. A metric of lists that can be written in the sums of `ListSums` needs its record alone; one that needs a new
sum adds it to `SUMS`, here in `list_sums` and in the compiled loop of `cofactor.evaluation.kernels`.

A hit is a relevant item in a list: gains are 0 or 1, and neither the order nor the value of what is relevant matters.
For one user, R items are relevant, and hit(p) is 1 if the item at position p of the list is relevant. Users without a
relevant item have no value and are left out of the mean. A list with fewer than k items, because nothing else is left
to rank, counts as a list with misses at its end, except for novelty and popularity_share, which are means over the
items that are there.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from scipy import sparse

from cofactor.data.passes import stores
from cofactor.lists.answer import positions_of
from cofactor.lists.rerank import Ranked

__all__ = [
    "CATALOG_METRICS",
    "ERROR_METRICS",
    "LIST_METRICS",
    "METRICS",
    "REQUESTED_METRICS",
    "SCORE_METRICS",
    "SUMS",
    "CatalogMetric",
    "ErrorMetric",
    "ItemPopularity",
    "ListMetric",
    "ListSums",
    "Metric",
    "RequestedMetric",
    "areas",
    "finished",
    "gini",
    "ideal_gains",
    "label_of",
    "list_metrics",
    "list_sums",
    "listed_counts",
    "metric_of",
    "position_discounts",
    "shown_in",
]

Place: TypeAlias = Literal["comparison", "headline"]
"""Where a metric is shown first: in the columns of a printed comparison, at the top of a report page."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One metric.

    Parameters
    ----------
    name : str
        As reports have it, without the length of the lists.
    label : str
        What people call it.
    definition : str
        How it is computed, and who defined it.
    better : {"higher", "lower"}, or None
        Which direction is better; None if neither is, so that it cannot be tuned for.
    shown : tuple of {"comparison", "headline"}
        Where it is among the few that are shown first.
    """

    name: str
    label: str
    definition: str
    better: Literal["higher", "lower"] | None
    shown: tuple[Place, ...] = ()

    def finish(self, ratio: np.ndarray) -> np.ndarray:
        """Turn an average over users into the metric: for most they are the same."""
        return ratio


@dataclass(frozen=True, kw_only=True)
class ErrorMetric(Metric):
    """An error of predicted ratings: the mean over ratings of a loss of (predicted − actual), then maybe its root."""

    loss: Callable[[np.ndarray], np.ndarray]
    root: bool = False

    def finish(self, ratio: np.ndarray) -> np.ndarray:
        """Turn a mean loss into the error."""
        return np.sqrt(ratio) if self.root else ratio


@dataclass(frozen=True, kw_only=True)
class ListMetric(Metric):
    """A metric of each user's list, computed from what is summed over its first k positions."""

    value: "Callable[[ListSums], np.ndarray]"


@dataclass(frozen=True, kw_only=True)
class CatalogMetric(Metric):
    """A metric of all lists together, computed from how often each item is listed; users have no value of it."""

    value: Callable[[np.ndarray], float]


@dataclass(frozen=True, kw_only=True)
class RequestedMetric(Metric):
    """A metric of each user's list that is measured on request, by `cofactor.evaluation.beyond`."""


SUMS = ("found", "gained", "precisions", "reciprocal", "surprise", "popular", "listed")
"""What is summed over the first k positions of a list; `ListSums` says what each is."""


@dataclass(frozen=True, eq=False)
class ListSums:
    """Sums over the first k positions of each user's list, one number a user.

    Parameters
    ----------
    found : numpy.ndarray
        Hits.
    gained : numpy.ndarray
        1 / log2(p + 1) of each hit's position p.
    precisions : numpy.ndarray
        The precision of the list up to each hit.
    reciprocal : numpy.ndarray
        1 / p of the first hit.
    surprise, popular : numpy.ndarray
        Of the items listed; see `ItemPopularity`.
    listed : numpy.ndarray
        Items.
    relevant : numpy.ndarray
        How many items are relevant to the user.
    k : int
        The length.
    """

    found: np.ndarray
    gained: np.ndarray
    precisions: np.ndarray
    reciprocal: np.ndarray
    surprise: np.ndarray
    popular: np.ndarray
    listed: np.ndarray
    relevant: np.ndarray
    k: int

    @property
    def reachable(self) -> np.ndarray:
        """The most hits that a list of this length can have."""
        return np.minimum(self.relevant, self.k)


POPULAR_SHARE = 0.2
"""The share of the items that counts as popular."""


@dataclass(frozen=True, eq=False)
class ItemPopularity:
    """How well known each item is: ``surprise`` in bits and whether it is ``popular``, both of shape (items,)."""

    surprise: np.ndarray  # float64
    popular: np.ndarray  # float64, 1 or 0

    @classmethod
    def of(cls, counts: np.ndarray, n_users: int) -> "ItemPopularity":
        """Derive it from how many of the users had each item; items that equally many had are in row order."""
        surprise = np.log2(max(n_users, 1)) - np.log2(np.maximum(counts, 1))
        popular = np.zeros(len(counts))
        popular[np.argsort(-counts, kind="stable")[: int(np.ceil(POPULAR_SHARE * len(counts)))]] = 1
        return cls(surprise, popular)


def position_discounts(k: int) -> np.ndarray:
    """Return 1 / log2(p + 1) for the positions from 1 to k."""
    discounts: np.ndarray = 1 / np.log2(np.arange(2, k + 2))
    return discounts


def ideal_gains(k: int) -> np.ndarray:
    """Return the gain of lists that begin with 0 to k relevant items; 1 for 0, since it is a divisor."""
    return np.concatenate([[1.0], np.cumsum(position_discounts(k))])


def gini(counts: np.ndarray) -> float:
    """Return how unequal counts are, from 0 (all the same) to 1 (all but one are 0)."""
    n, total = len(counts), counts.sum()
    if n < 2 or not total:
        return 0.0
    weights = 2.0 * np.arange(1, n + 1) - n - 1
    return float(np.sort(counts) @ weights / ((n - 1) * total))


ERROR_METRICS = (
    ErrorMetric(
        name="mse",
        label="mean squared error",
        definition="Mean of (predicted − actual)², in squared units of the ratings.",
        better="lower",
        shown=("comparison",),
        loss=np.square,
    ),
    ErrorMetric(
        name="rmse",
        label="root mean squared error",
        definition="Root of the mean squared error, in units of the ratings.",
        better="lower",
        shown=("headline",),
        loss=np.square,
        root=True,
    ),
    ErrorMetric(
        name="mae",
        label="mean absolute error",
        definition="Mean of abs(predicted − actual), in units of the ratings; Herlocker, Konstan, Terveen and Riedl "
        "(2004), Evaluating Collaborative Filtering Recommender Systems.",
        better="lower",
        shown=("comparison", "headline"),
        loss=np.abs,
    ),
)
"""Errors of predicted ratings: over all held-out ratings, and of each user over their own."""

LIST_METRICS = (
    ListMetric(
        name="ndcg",
        label="nDCG",
        definition="Σ hit(p) / log2(p + 1), divided by that of a list that begins with the relevant items: the sum "
        "over p from 1 to min(k, R); Järvelin and Kekäläinen (2002), Cumulated Gain-Based Evaluation of IR Techniques, "
        "with the discount of Burges et al. (2005), which all libraries use.",
        better="higher",
        shown=("comparison", "headline"),
        value=lambda sums: sums.gained / ideal_gains(sums.k)[sums.reachable],
    ),
    ListMetric(
        name="precision",
        label="precision",
        definition="Σ hit / k; Manning, Raghavan and Schütze (2008), Introduction to Information Retrieval, 8.4.",
        better="higher",
        value=lambda sums: sums.found / sums.k,
    ),
    ListMetric(
        name="recall",
        label="recall",
        definition="Σ hit / R; the same source. Below 1 for the best of lists if R > k.",
        better="higher",
        shown=("comparison", "headline"),
        value=lambda sums: sums.found / sums.relevant,
    ),
    ListMetric(
        name="capped_recall",
        label="capped recall",
        definition="Σ hit / min(k, R); Liang, Krishnan, Hoffman and Jebara (2018), Variational Autoencoders for "
        "Collaborative Filtering, who call it Recall@k.",
        better="higher",
        value=lambda sums: sums.found / sums.reachable,
    ),
    ListMetric(
        name="hit",
        label="hit rate",
        definition="1 if Σ hit > 0, else 0; the hit ratio of He et al. (2017), Neural Collaborative Filtering.",
        better="higher",
        shown=("headline",),
        value=lambda sums: sums.found > 0,
    ),
    ListMetric(
        name="map",
        label="mean average precision",
        definition="Σ hit(p) · precision@p / R; Buckley and Voorhees (2000), Evaluating Evaluation Measure Stability, "
        "as trec_eval's map_cut and ranx compute it. Others divide by min(k, R), which is more if R > k.",
        better="higher",
        value=lambda sums: sums.precisions / sums.relevant,
    ),
    ListMetric(
        name="mrr",
        label="mean reciprocal rank",
        definition="1 / p of the first hit, 0 if there is none; Voorhees (1999), The TREC-8 Question Answering Track "
        "Report.",
        better="higher",
        value=lambda sums: sums.reciprocal,
    ),
    ListMetric(
        name="novelty",
        label="novelty in bits",
        definition="Mean over listed items of −log2(share of the users who had the item in training), in bits; Zhou et "
        "al. (2010), Solving the Apparent Diversity–Accuracy Dilemma. An item that nobody had counts as had by one "
        "user.",
        better=None,
        shown=("comparison",),
        value=lambda sums: sums.surprise / sums.listed,
    ),
    ListMetric(
        name="popularity_share",
        label="share of the most popular fifth",
        definition="Share of the listed items that are among the fifth of all items that most users had in training; "
        "Abdollahpouri, Mansoury, Burke and Mobasher (2019), The Unfairness of Popularity Bias.",
        better=None,
        value=lambda sums: sums.popular / sums.listed,
    ),
)
"""What is measured of each user's list, in the order in which arrays of values hold it."""

CATALOG_METRICS = (
    CatalogMetric(
        name="coverage",
        label="coverage",
        definition="Share of all items that are in anybody's list; Ge, Delgado-Battenfeld and Jannach (2010), Beyond "
        "Accuracy.",
        better=None,
        shown=("headline",),
        value=lambda counts: float(np.count_nonzero(counts) / max(len(counts), 1)),
    ),
    CatalogMetric(
        name="gini",
        label="Gini",
        definition="How unequally items are listed: Σ (2j − n − 1) c(j) / ((n − 1) Σ c), where c are the n items' "
        "counts in all lists in rising order. 0 if all are listed equally often, 1 if every position goes to one item; "
        "Shani and Gunawardana (2011), Evaluating Recommendation Systems.",
        better=None,
        value=gini,
    ),
)
"""What is measured of the lists of all users together."""

SCORE_METRICS = (
    Metric(
        name="auc",
        label="AUC",
        definition="Of all items that a user did not have in training, whatever k: the probability that a relevant one "
        "scores higher than one that is not relevant, ties counted half; Rendle, Freudenthaler, Gantner and "
        "Schmidt-Thieme (2009), BPR. Users to whom everything that is left is relevant have no value.",
        better="higher",
    ),
)
"""What takes the scores of all items for every user, and so is measured on request only."""

_THIRD = (
    "Σ hit / R with the hits and the relevant items of {} third of the training data alone: items in the order of how "
    "many users had them, cut where a third and two thirds of the training pairs are reached. Users without a relevant "
    "item there have no value; Steck (2011), Item Popularity and Recommendation Accuracy, on why it is to be looked at."
)

REQUESTED_METRICS = (
    RequestedMetric(
        name="ild",
        label="distance within the list",
        definition="Mean over all pairs of listed items of 1 − c / √(a b), where a and b are how many groups the two "
        "are in by an attribute, such as genres, and c how many both are in; items in no group share one of their own. "
        "Ziegler, McNee, Konstan and Lausen (2005), Improving Recommendation Lists Through Topic Diversification, with "
        "the cosine.",
        better=None,
    ),
    RequestedMetric(
        name="calibration",
        label="divergence from the history's mix",
        definition="Σ p log(p / (0.99 q + 0.01 p)) over the groups of an attribute, such as genres, where p are their "
        "shares in what the user had in training, and q those in the list; an item in several groups counts in equal "
        "parts. 0 if the mixes are the same; Steck (2018), Calibrated Recommendations.",
        better=None,
    ),
    RequestedMetric(
        name="recall_popular",
        label="recall of popular items",
        definition=_THIRD.format("the most popular"),
        better="higher",
    ),
    RequestedMetric(
        name="recall_middle",
        label="recall of less popular items",
        definition=_THIRD.format("the middle"),
        better="higher",
    ),
    RequestedMetric(
        name="recall_rare",
        label="recall of rare items",
        definition=_THIRD.format("the least popular"),
        better="higher",
    ),
)
"""What is measured of each user's list on request, since it needs more than the list and its hits."""

METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (*ERROR_METRICS, *LIST_METRICS, *CATALOG_METRICS, *REQUESTED_METRICS, *SCORE_METRICS)
}
"""Every metric by its name."""


def metric_of(name: str) -> Metric | None:
    """Return the metric of a figure such as ``"ndcg@10"``; None if there is no such metric."""
    return METRICS.get(name.partition("@")[0])


def label_of(name: str) -> str:
    """Return what people call a figure.

    >>> label_of("ndcg@10"), label_of("rmse"), label_of("val_loss")
    ('nDCG at 10', 'root mean squared error', 'val loss')
    """
    kind, at, length = name.partition("@")
    label = METRICS[kind].label if kind in METRICS else kind.replace("_", " ")
    return f"{label} at {length}" if at else label


def shown_in(place: Place) -> list[str]:
    """Return the names of the metrics that are shown first in a place, errors before lists."""
    return [name for name, metric in METRICS.items() if place in metric.shown]


def finished(name: str, total: Any, weight: Any) -> np.ndarray:
    """Turn sums over users into the figure of that name; NaN where the weight is 0."""
    total, weight = np.asarray(total, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    ratio = np.divide(total, weight, out=np.full(total.shape, np.nan), where=weight > 0)
    metric = metric_of(name)
    return ratio if metric is None else metric.finish(ratio)


def list_metrics(sums: np.ndarray, relevant: np.ndarray, cut_offs: np.ndarray) -> np.ndarray:
    """Compute every metric of lists from the sums over their first positions.

    Parameters
    ----------
    sums : numpy.ndarray of float64, shape (cut-offs, sums, users)
        In the order of `SUMS`, as `list_sums` returns them.
    relevant : numpy.ndarray of int, shape (users,)
        How many items are relevant to each user.
    cut_offs : numpy.ndarray of int

    Returns
    -------
    numpy.ndarray of float64, shape (cut-offs, metrics, users)
        In the order of `LIST_METRICS`; NaN for users without a relevant item.
    """
    values = np.empty((len(cut_offs), len(LIST_METRICS), len(relevant)))
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 is how a figure that does not exist comes out
        for at_k, summed, k in zip(values, sums, cut_offs, strict=True):
            named = ListSums(**dict(zip(SUMS, summed, strict=True)), relevant=relevant, k=int(k))
            for row, metric in zip(at_k, LIST_METRICS, strict=True):
                row[:] = metric.value(named)
    if not relevant.all():
        values[:, :, relevant == 0] = np.nan
    return values


def list_sums(
    ranked: Ranked, relevant: sparse.csr_array, cut_offs: np.ndarray, popularity: ItemPopularity
) -> np.ndarray:
    """Sum what the metrics of lists are computed from.

    Parameters
    ----------
    ranked : Ranked
        The lists, as long as the largest cut-off, or of all items that are left.
    relevant : scipy.sparse.csr_array, shape (users, items)
        What it stores is relevant, whatever the value.
    cut_offs : numpy.ndarray of int
        The lengths to measure, each at least 1, rising.
    popularity : ItemPopularity

    Returns
    -------
    numpy.ndarray of float64, shape (cut-offs, sums, users)
        In the order of `SUMS`.
    """
    n_users = relevant.shape[0]
    position = positions_of(ranked.users, n_users) - 1
    hits = stores(relevant, ranked.users, ranked.items).astype(np.float64)
    so_far = np.cumsum(hits) - _before(ranked.users, hits, n_users)
    discounts = position_discounts(int(max(cut_offs)))
    sums = np.empty((len(cut_offs), len(SUMS), n_users))
    for row, k in zip(sums, cut_offs, strict=True):
        inside = position < k
        users, at, items = ranked.users[inside], position[inside], ranked.items[inside]
        hit, nth = hits[inside], so_far[inside]
        weights = {
            "found": hit,
            "gained": hit * discounts[at],
            "precisions": hit * nth / (at + 1),
            "reciprocal": hit * (nth == 1) / (at + 1),
            "surprise": popularity.surprise[items],
            "popular": popularity.popular[items],
            "listed": np.ones(len(items)),
        }
        for column, name in enumerate(SUMS):
            row[column] = np.bincount(users, weights=weights[name], minlength=n_users)
    return sums


def _before(users: np.ndarray, hits: np.ndarray, n_users: int) -> np.ndarray:
    """Return for each entry how many hits the lists of earlier users have."""
    of_user = np.bincount(users, weights=hits, minlength=n_users)
    before: np.ndarray = (np.cumsum(of_user) - of_user)[users]
    return before


def listed_counts(ranked: Ranked, n_users: int, n_items: int, cut_offs: np.ndarray) -> np.ndarray:
    """Count how often each item is listed: shape (cut-offs, items)."""
    position = positions_of(ranked.users, n_users) - 1
    return np.stack([np.bincount(ranked.items[position < k], minlength=n_items) for k in cut_offs])


def areas(scores: np.ndarray, seen: sparse.csr_array, relevant: sparse.csr_array) -> np.ndarray:
    """Return the area under the ROC curve of each user: relevant items against all others that were not seen.

    Parameters
    ----------
    scores : numpy.ndarray, shape (users, items)
    seen, relevant : scipy.sparse.csr_array, shape (users, items)
        Their stored pairs count; they share none.

    Returns
    -------
    numpy.ndarray of float64, shape (users,)
        NaN if nothing is relevant, or everything that was not seen.
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


def _described(title: str, metrics: Iterable[Metric], suffix: str = "") -> str:
    entries = "\n".join(f"{metric.name}{suffix}\n    {metric.definition}" for metric in metrics)
    return f"\n{title}:\n\n{entries}\n"


__doc__ = (
    f"{__doc__}"
    f"{_described('Errors of predicted ratings, over all held-out ratings', ERROR_METRICS)}"
    f"{_described('Of each list', LIST_METRICS, '@k')}"
    f"{_described('Of the lists of all users together', CATALOG_METRICS, '@k')}"
    f"{_described('Of each list, on request', REQUESTED_METRICS, '@k')}"
    f"{_described('Of the scores of all items, on request', SCORE_METRICS)}"
)
