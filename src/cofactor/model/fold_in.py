"""Fold-in, explanations and updates: newcomers in a trained model. Its objective and preparation are all it takes."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.columns import LARGEST
from cofactor.data.interactions import Interactions
from cofactor.data.metadata import ItemMetadata
from cofactor.data.vocabulary import Id, Vocabulary, id_series
from cofactor.errors import DataError
from cofactor.kernels.compiling import readable
from cofactor.lists.answer import titles_of
from cofactor.model import checks
from cofactor.model.factors import Factors, evolved, parameters_of, prepared_for, score_rows
from cofactor.model.objectives.objective import Placed, Side

__all__ = ["Newcomers", "explain", "fold_in", "laid_over", "place_rows", "update"]

Newcomers = Interactions | Mapping[Id, Mapping[Id, float] | Iterable[Id]]
"""Interactions, or for each newcomer what they met: ids with values, or ids alone."""


def place_rows(model: Factors, matrix: sparse.csr_array, side: Side) -> Placed:
    """Return the vectors that rows of raw values get in a model.

    Parameters
    ----------
    model : Factors
    matrix : scipy.sparse.csr_array, shape (newcomers, items) for users, (newcomers, users) for items
    side : {"user", "item"}
        What the newcomers are.

    Raises
    ------
    SettingError
        If a row's equation is singular, for want of regularization.
    """
    return model.objective.place(parameters_of(model), prepared_for(model, matrix), side)


def fold_in(model: Factors, newcomers: Newcomers, side: Side, *, alone: bool) -> Factors:
    """Return a model with the newcomers in it, or with them alone on their side."""
    ids, matrix = _rows_of(model, newcomers, side)
    learnt = prepared_for(model, matrix)
    model.objective.check_values(ids, learnt)
    own: Vocabulary = getattr(model, f"{side}s")
    known = own.find(ids)
    if (known >= 0).any():
        matrix = laid_over(_seen_of(model, side), known, matrix)
        learnt = prepared_for(model, matrix)
    placed = model.objective.place(parameters_of(model), learnt, side)
    if alone:
        return _with_rows(model, side, Vocabulary(ids, kind=side), placed, matrix, None)
    extended = own.extended(ids)
    grown = _with_rows(model, side, extended, placed, matrix, extended.find(ids))
    if side == "item" and isinstance(newcomers, Interactions):
        return evolved(grown, metadata=_joined_metadata(model, extended, newcomers))
    return grown


def _rows_of(model: Factors, newcomers: Newcomers, side: Side) -> tuple[pl.Series, sparse.csr_array]:
    """Return the newcomers' ids, and their values as rows over the model's other side."""
    other: Vocabulary = getattr(model, "items" if side == "user" else "users")
    if isinstance(newcomers, Interactions):
        table = newcomers.matrix if side == "user" else newcomers.by_item
        theirs, others = (newcomers.users, newcomers.items) if side == "user" else (newcomers.items, newcomers.users)
        present = np.flatnonzero(np.diff(table.indptr))
        told = table[present].tocoo()
        places = other.rows(others.take(told.col))
        return theirs.take(present), _compressed(told.row, places, told.data, (len(present), len(other)))
    ids = id_series(list(newcomers), side)
    if not isinstance(newcomers, Mapping):
        raise DataError(f"{type(newcomers).__name__} in place of newcomers: give a mapping, as {{'new': ['a']}}")
    met = [_met(model, newcomer, given) for newcomer, given in newcomers.items()]
    rows = np.repeat(np.arange(len(ids)), [len(pairs) for pairs in met])
    columns = other.rows([identifier for pairs in met for identifier in pairs])
    values = np.array([value for pairs in met for value in pairs.values()], dtype=np.float32)
    return ids, _compressed(rows, columns, values, (len(ids), len(other)))


def _met(model: Factors, newcomer: Id, given: Mapping[Id, float] | Iterable[Id]) -> dict[Id, float]:
    """Return the items of a newcomer with their values; without values, each is an average choice."""
    if isinstance(given, str | int):
        raise DataError(f"what {newcomer!r} met came as one id, {given!r}: give a list, [{given!r}]")
    if not isinstance(given, Mapping):
        if model.objective.goal == "rating" and model.objective.scale is not None and (items := list(given)):
            raise DataError(
                f"{newcomer!r} came with items alone, and this model predicts ratings: give the rating of each item, "
                f"such as {{{items[0]!r}: {model.objective.scale[1]:g}}}"
            )
        return dict.fromkeys(given, model.preparation.choice)
    for identifier, value in given.items():
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = np.nan
        if not abs(number) <= LARGEST:
            raise DataError(
                f"the value that {newcomer!r} and {identifier!r} have together is {value!r}: give a finite number"
            )
    return dict(given)


def _compressed(rows: np.ndarray, columns: np.ndarray, values: np.ndarray, shape: tuple[int, int]) -> sparse.csr_array:
    matrix = sparse.csr_array((values, (rows, columns)), shape=shape, dtype=np.float32)
    matrix.sort_indices()
    return matrix


def _seen_of(model: Factors, side: Side) -> sparse.csr_array:
    return model.seen if side == "user" else model.seen.T.tocsr()


def laid_over(seen: sparse.csr_array, known: np.ndarray, news: sparse.csr_array) -> sparse.csr_array:
    """Lay new values over those a known row has already; rows of -1 have none."""
    old = seen[np.maximum(known, 0)].tocoo()
    kept = known[old.row] >= 0
    rows, columns, values = (
        np.concatenate([getattr(old, name)[kept], getattr(news.tocoo(), name)]) for name in ("row", "col", "data")
    )
    order = np.lexsort((np.arange(len(rows)), columns, rows))  # of equal pairs the new one is last
    rows, columns, values = rows[order], columns[order], values[order]
    last = np.append((np.diff(rows) != 0) | (np.diff(columns) != 0), True) if len(rows) else np.empty(0, bool)
    return _compressed(rows[last], columns[last], values[last], news.shape)


def _with_rows(
    model: Factors,
    side: Side,
    vocabulary: Vocabulary,
    placed: Placed,
    matrix: sparse.csr_array,
    places: np.ndarray | None,
) -> Factors:
    """Return the model with rows of one side put at ``places``, or with them alone where that is None."""
    length = len(vocabulary)
    bias = np.zeros(matrix.shape[0], np.float32) if placed.bias is None else placed.bias
    news = {f"{side}_vectors": placed.vectors, f"{side}_bias": bias}
    changes: dict[str, Any] = {f"{side}s": vocabulary}
    for name, found in news.items():
        if (old := getattr(model, name)) is not None:
            new = checks.frozen(found, name)
            changes[name] = new if places is None else readable(_put(old, new, places, length))
    seen = matrix if places is None else _replaced(_seen_of(model, side), matrix, places, length)
    changes["seen"] = seen if side == "user" else seen.T.tocsr()
    extras = {
        n: new if places is None else _put(model.extras[n], new, places, length) for n, new in placed.extras.items()
    }
    changes["extras"] = {**model.extras, **extras}
    if side == "item":
        rows = np.arange(length)
        changes["metadata"] = model.metadata.take(np.where(rows < model.n_items, rows, -1))
    return evolved(model, checked=True, **changes)


def _put(old: np.ndarray, new: np.ndarray, places: np.ndarray, length: int) -> np.ndarray:
    """Return ``old``, lengthened by zeros, with new rows put at their places."""
    whole = np.empty((length, *old.shape[1:]), old.dtype)
    whole[: len(old)], whole[len(old) :] = old, 0
    whole[places] = new
    return whole


def _replaced(seen: sparse.csr_array, news: sparse.csr_array, places: np.ndarray, length: int) -> sparse.csr_array:
    """Put new rows into the table of what was seen."""
    counts = np.zeros(length, np.int64)
    counts[: seen.shape[0]] = np.diff(seen.indptr)
    if len(places) and places.min() >= seen.shape[0] and np.all(np.diff(places) == 1):  # they simply come last
        counts[places] = np.diff(news.indptr)
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(seen.indptr.dtype)
        arrays = (np.concatenate([seen.data, news.data]), np.concatenate([seen.indices, news.indices]), indptr)
        return sparse.csr_array(arrays, shape=(length, seen.shape[1]))
    old, new = seen.tocoo(), news.tocoo()
    kept = ~np.isin(old.row, places)
    rows, columns = np.concatenate([old.row[kept], places[new.row]]), np.concatenate([old.col[kept], new.col])
    return _compressed(rows, columns, np.concatenate([old.data[kept], new.data]), (length, seen.shape[1]))


def explain(model: Factors, user: Id, item: Id) -> pl.DataFrame:
    """Return each of a user's items with its share of a score; see `Factors.explain`."""
    user_row, item_row = int(model.users.rows([user])[0]), int(model.items.rows([item])[0])
    history = model.seen[[user_row]]
    score = float(score_rows(model, np.array([user_row]), np.array([item_row]))[0])
    shares = shares_of(model, history, user_row, np.array([item_row]))[:, 0]
    order = np.argsort(-np.abs(shares), kind="stable")
    rows = history.indices[order]
    named = pl.DataFrame(
        {
            "item": model.items.take(rows),
            "title": titles_of(model.metadata.titles, rows),
            "value": pl.Series(history.data[order], dtype=pl.Float32),
            "share": shares[order],
        }
    )
    rest = {"item": None, "title": "everything else", "value": None, "share": score - float(shares.sum())}
    return pl.concat([named, pl.DataFrame([rest], schema=named.schema)])


def shares_of(model: Factors, history: sparse.csr_array, user_row: int, item_rows: np.ndarray) -> np.ndarray:
    """Split scores over the ratings that they come from.

    Parameters
    ----------
    model : Factors
    history : scipy.sparse.csr_array, shape (1, items)
        What the user rated, as raw values.
    user_row : int
    item_rows : numpy.ndarray of int, shape (items,)
        Whose scores are split.

    Returns
    -------
    numpy.ndarray of float64, shape (ratings, items)
        A row for each value of ``history``; zeros for those that the model does not learn from.
    """
    learnt = prepared_for(model, history)
    found = model.objective.shares(
        parameters_of(model), learnt.indices, learnt.data.astype(np.float64), user_row, item_rows
    )
    if learnt.nnz == history.nnz:
        return found
    shares = np.zeros((history.nnz, len(item_rows)))
    shares[np.searchsorted(history.indices, learnt.indices)] = found
    return shares


def update(model: Factors, news: Interactions) -> Factors:
    """Return the model with new users, items and ratings; see `Factors.update`."""
    checks.check_interactions(news)
    users = model.users.extended(news.users.take(np.flatnonzero(np.diff(news.matrix.indptr))))
    items = model.items.extended(news.items.take(np.flatnonzero(np.diff(news.by_item.indptr))))
    old, columns = model.seen.tocoo(), news.triplets()
    merged = Interactions.from_rows(
        users,
        items,
        np.concatenate([old.row, users.find(news.users.take(columns.user_rows))]),
        np.concatenate([old.col, items.find(news.items.take(columns.item_rows))]),
        np.concatenate([old.data, columns.values]),
    )
    touched = {
        "user": np.unique(users.find(news.users.take(columns.user_rows))),
        "item": np.unique(items.find(news.items.take(columns.item_rows))),
    }
    grown = _grown(model, users, items, merged.matrix, news)
    fresh_items = touched["item"][touched["item"] >= model.n_items]
    turns: list[tuple[Side, np.ndarray]] = [
        ("item", fresh_items), ("user", touched["user"]), ("item", touched["item"]),
    ]  # fmt: skip
    for side, rows in turns:
        if len(rows):
            grown = _refreshed(grown, side, rows)
    return grown


def _grown(model: Factors, users: Vocabulary, items: Vocabulary, seen: sparse.csr_array, news: Interactions) -> Factors:
    """Return the model with room for new rows, which are zeros, and the merged table."""
    changes: dict[str, Any] = {"users": users, "items": items, "seen": seen}
    for side, length in (("user", len(users)), ("item", len(items))):
        for name in (f"{side}_vectors", f"{side}_bias"):
            old = getattr(model, name)
            changes[name] = old if old is None else _put(old, old[:0], np.empty(0, int), length)
    changes["extras"] = model.objective.grown(parameters_of(model), len(users), len(items))
    if model.metadata.titles is not None or news.metadata.titles is not None:
        changes["metadata"] = _joined_metadata(model, items, news)
    return evolved(model, **changes)


def _joined_metadata(model: Factors, items: Vocabulary, news: Interactions) -> ItemMetadata:
    ours = model.metadata.take(model.items.find(items.ids))
    theirs = news.metadata.take(news.items.find(items.ids))
    joined = []
    for one, other in ((ours.titles, theirs.titles), (ours.genres, theirs.genres)):
        joined.append(other if one is None else one if other is None else one.zip_with(one.is_not_null(), other))
    return ItemMetadata(*joined)


def _refreshed(model: Factors, side: Side, rows: np.ndarray) -> Factors:
    """Solve some rows of one side anew, all else held."""
    placed = place_rows(model, _seen_of(model, side)[rows], side)
    changes: dict[str, Any] = {}
    for name, new in ((f"{side}_vectors", placed.vectors), (f"{side}_bias", placed.bias)):
        if new is not None:
            changes[name] = _put(getattr(model, name), new, rows, len(getattr(model, name)))
    extras = {name: _put(model.extras[name], new, rows, len(model.extras[name])) for name, new in placed.extras.items()}
    changes["extras"] = {**model.extras, **extras}
    return evolved(model, **changes)
