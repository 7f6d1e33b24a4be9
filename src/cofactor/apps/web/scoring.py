"""What the service asks of a model: lists, scores, shares. No other module of it computes with vectors."""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from cofactor.apps.web.profiles import Profile, history, times_of
from cofactor.apps.web.served_model import ServedModel
from cofactor.lists.pipeline import rank
from cofactor.lists.request import By, ListRequest
from cofactor.lists.rerank import ListContext, Ranked
from cofactor.lists.retriever import ExactRetriever, Filter, Users
from cofactor.model.factors import (
    Factors,
    draws_needed,
    exact_of,
    needs_every_draw,
    ranked_users,
    retriever_of,
    score_rows,
    users_of,
)

__all__ = ["Shares", "best_items", "best_of_popular", "item_scores", "score_of", "shares_of"]


class Shares(NamedTuple):
    """How a profile's ratings make up the scores of some items.

    Parameters
    ----------
    rated : numpy.ndarray of int
        Item rows of the ratings that were learnt from.
    ratings : numpy.ndarray of float
        As given.
    shares : numpy.ndarray of float, shape (ratings, items)
        Each rating's share of each score.
    """

    rated: np.ndarray
    ratings: np.ndarray
    shares: np.ndarray


def best_items(served: ServedModel, profile: Profile, request: ListRequest, allowed: np.ndarray | None) -> Ranked:
    """Return the best items of a known profile, of the allowed rows (sorted; None: all) and not rated yet."""
    model, row = served.model, np.array([profile.row])
    seen = model.seen if profile.folded is None else profile.folded.seen
    chosen, context = Filter(allowed, None, seen, row), _context(served, request, seen, row)
    if request.by != "mean" or needs_every_draw(model):
        theirs = _model_of(served, profile)
        return rank(retriever_of(theirs, request.by), users_of(theirs), row, request, chosen, context)
    retriever = exact_of(model)
    if not (served.warmed.is_set() or served.is_slow):
        retriever = retriever.without_scan()  # which would wait for the compiled kernels
    return rank(retriever, _users(served, profile), row, request, chosen, context)


def best_of_popular(served: ServedModel, profile: Profile, request: ListRequest, allowed: np.ndarray | None) -> Ranked:
    """Return the most popular items that the rules leave, of the allowed rows and not rated yet."""
    retriever, row = ExactRetriever(served.items.popularity.astype(np.float32)[:, None]), np.zeros(1, np.int64)
    anybody, seen = Users(np.ones((1, 1), np.float32)), history(served, [profile.rated])
    return rank(
        retriever, anybody, row, request, Filter(allowed, None, seen, row), _context(served, request, seen, row)
    )


def _context(served: ServedModel, request: ListRequest, seen: sparse.csr_array, row: np.ndarray) -> ListContext | None:
    """Return what rules can know, if there are any."""
    return ListContext(served.attributes, served.model.items, seen, row) if request.rerank else None


def item_scores(served: ServedModel, profile: Profile, by: By = "mean") -> np.ndarray:
    """Return the score of every item for a known profile: float32, shape (items,)."""
    row = np.array([profile.row])
    if by != "mean" or needs_every_draw(served.model):
        from cofactor.model.uncertainty import score_block  # loads the sampler's kernels

        scores: np.ndarray = score_block(draws_needed(_model_of(served, profile)), row, by)[0]
        return scores
    users = _users(served, profile)
    queries = exact_of(served.model).queries(users.vectors[row]).astype(np.float64)
    exact = queries @ served.wide_items.T + users.offsets(row)[:, None]
    return exact.astype(np.float32)[0]


def score_of(served: ServedModel, profile: Profile, item: int) -> float:
    """Return a known profile's score of one item."""
    return float(score_rows(_model_of(served, profile), np.array([profile.row]), np.array([item]))[0])


def shares_of(served: ServedModel, profile: Profile, items: np.ndarray) -> Shares:
    """Return each rating's share of a known profile's scores of some items."""
    from cofactor.model import fold_in  # imports numba

    learnt = profile.rated.only(profile.rated.learnt)
    model, table = _model_of(served, profile), history(served, [learnt])
    shares = fold_in.shares_of(model, table, profile.row, items, times_of([learnt]))
    return Shares(learnt.rows, learnt.ratings, shares)


def _users(served: ServedModel, profile: Profile) -> Users:
    """Return the user side of a search, with a profile in its row."""
    if profile.folded is None:
        return users_of(served.model)
    placed = profile.folded.placed
    return ranked_users(served.model, placed.vectors, None if served.model.user_bias is None else placed.bias)


def _model_of(served: ServedModel, profile: Profile) -> Factors:
    """Return a model that has a profile in its row."""
    return served.model if profile.folded is None else profile.folded.alone_in(served.model)
