"""The tables that `Factors` answers with: lists of items for users, the nearest vectors, their description."""

import functools
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.vocabulary import Id
from cofactor.errors import GoalWarning, SettingError
from cofactor.model import retrieval

if TYPE_CHECKING:
    from cofactor.model.factors import Factors
    from cofactor.model.uncertainty import By

__all__ = [
    "allowed",
    "checked",
    "described",
    "nearest",
    "needs_every_draw",
    "ranked",
    "recommended",
    "scored",
    "titles",
]


def recommended(
    model: "Factors",
    user_rows: np.ndarray,
    n: int,
    exclude_seen: bool,
    allowed: np.ndarray | None,
    by: "By" = "mean",
) -> pl.DataFrame:
    """Return the lists of some user rows as one table: user, position, item, title, score."""
    if model.objective.goal == "rating" and model.objective.scale is not None:
        _warn_of_rating_model(model.origin.solver)
    best = ranked(model, user_rows, n, exclude_seen=exclude_seen, allowed=allowed, by=by)
    counts = np.bincount(best.users, minlength=len(user_rows))
    place = np.arange(1, len(best.users) + 1) - np.repeat(np.cumsum(counts) - counts, counts)
    return pl.DataFrame(
        [
            model.users.take(user_rows[best.users]).alias("user"),
            pl.Series("position", place.astype(np.int32)),
            model.items.take(best.items).alias("item"),
            titles(model, best.items).alias("title"),
            pl.Series("score", best.scores),
        ]
    )


@functools.cache
def _warn_of_rating_model(solver: str) -> None:
    """Warn once of lists by predicted rating: what few people know, and they love, comes first."""
    warnings.warn(
        f"this list is by predicted ratings: {solver} learnt how people rate what they chose, not what they choose, "
        "so it favours what few people know; for a top-n list train ImplicitALS().fit(ratings.binary()), or on the "
        "command line: cofactor fit DATA --goal ranking",
        GoalWarning,
        stacklevel=4,
    )


def ranked(
    model: "Factors",
    user_rows: np.ndarray,
    n: int,
    *,
    exclude_seen: bool = True,
    allowed: np.ndarray | None = None,
    by: "By" = "mean",
) -> retrieval.Ranked:
    """Return the lists of some user rows as rows; ``allowed`` are the sorted item rows to choose from."""
    if by == "mean" and not needs_every_draw(model):
        return _ranked_by_product(model, user_rows, n, model.seen if exclude_seen else None, allowed)
    from cofactor.model.uncertainty import score_block  # loads the sampler's kernels

    excluded = model.seen[user_rows] if exclude_seen else None
    score = functools.partial(score_block, model, by=by)
    return retrieval.top_of(score, user_rows, n, n_items=model.n_items, excluded=excluded, candidates=allowed)


def _ranked_by_product(
    model: "Factors", user_rows: np.ndarray, n: int, excluded: sparse.csr_array | None, allowed: np.ndarray | None
) -> retrieval.Ranked:
    users, items, offsets = model.queries(user_rows), model.keys(), model.offsets(user_rows)
    if allowed is None and model.approximation is not None and n > 0:
        search: Callable[..., retrieval.Ranked] = model.approximation.search
    else:
        search = functools.partial(retrieval.top_n, candidates=allowed)
    return search(users, items, n, offsets=offsets, excluded=excluded, excluded_rows=user_rows, index=model.index)


def scored(model: "Factors", user_rows: np.ndarray, item_rows: np.ndarray) -> np.ndarray:
    """Return the scores of pairs of rows, float32, (pairs,)."""
    if needs_every_draw(model):
        from cofactor.model.uncertainty import score_with_spread  # loads the sampler's kernels

        return score_with_spread(model, user_rows, item_rows)[0]
    users, places = np.unique(user_rows, return_inverse=True)
    return retrieval.pair_scores(model.queries(users), model.keys(), model.offsets(users), places, item_rows)


def needs_every_draw(model: "Factors") -> bool:
    """Return whether a score is no plain product: with ordered levels it is an expectation over every draw."""
    return "draws.levels" in model.extras


def allowed(model: "Factors", candidates: Iterable[Id] | None, exclude: Iterable[Id] | None) -> np.ndarray | None:
    """Return the sorted item rows that may be chosen, or None if all may."""
    if candidates is None and exclude is None:
        return None
    chosen = np.full(model.n_items, candidates is None)
    if candidates is not None:
        chosen[model.items.rows(candidates)] = True
    if exclude is not None:
        chosen[model.items.rows(exclude)] = False
    return np.flatnonzero(chosen)


def titles(model: "Factors", item_rows: np.ndarray) -> pl.Series:
    """Return the titles of some item rows, null where they are not known."""
    known = model.metadata.titles
    if known is None:
        return pl.Series([None], dtype=pl.String).new_from_index(0, len(item_rows))
    taken: pl.Series = known[pl.Series(item_rows, dtype=pl.UInt32)]
    return taken


def checked(n: Any) -> int:
    """Return the length of a list, once it is known to be one."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise SettingError(f"n is {n!r}: it must be a whole number of 0 or more")
    return int(n)


def nearest(vectors: np.ndarray, row: np.ndarray, n: int) -> retrieval.Ranked:
    """Return the rows whose vectors have the largest cosine with one row's, itself left out."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros(vectors.shape), where=lengths > 0).astype(np.float32)
    itself = sparse.csr_array((np.ones(1), ([0], row)), shape=(1, len(vectors)))
    return retrieval.top_n(unit[row], unit, n, excluded=itself)


def described(vectors: np.ndarray, side: str) -> pl.DataFrame:
    """Return count, mean, std, min, quartiles and max of each column, labelled with the side they are of."""
    numbers = vectors.astype(np.float64)
    quartiles = np.percentile(numbers, [25, 50, 75], axis=0)
    spread = numbers.std(axis=0, ddof=1) if len(numbers) > 1 else np.full(numbers.shape[1], np.nan)
    statistics = {
        "count": np.full(numbers.shape[1], float(len(numbers))),
        "mean": numbers.mean(axis=0),
        "std": spread,
        "min": numbers.min(axis=0),
        "25%": quartiles[0],
        "50%": quartiles[1],
        "75%": quartiles[2],
        "max": numbers.max(axis=0),
    }
    columns = {str(k): [values[k] for values in statistics.values()] for k in range(numbers.shape[1])}
    return pl.DataFrame({"vectors": [side] * len(statistics), "statistic": list(statistics), **columns})
