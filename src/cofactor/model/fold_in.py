"""Fold-in, explanations and updates: newcomers in a trained model. Its objective and preparation are all it takes."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.columns import LARGEST
from cofactor.data.features import EVERYTHING
from cofactor.data.interactions import Interactions
from cofactor.data.metadata import Metadata
from cofactor.data.passes import as_csr
from cofactor.data.timing import check_recency
from cofactor.data.vocabulary import Id, Vocabulary, id_series
from cofactor.errors import DataError, SettingError
from cofactor.kernels.compiling import readable
from cofactor.lists.answer import named_items
from cofactor.model import checks
from cofactor.model.factors import Factors, evolved, parameters_of, prepared_for, score_rows
from cofactor.model.objectives.objective import Placed, Side, Toward
from cofactor.model.seen import Seen
from cofactor.model.side_features import NEW_ITEMS
from cofactor.model.trend import LEVELS, scales

__all__ = ["Newcomers", "explain", "fold_in", "place_rows", "toward_of", "update"]

_MOMENT = 1e-3
"""Seconds between two choices that were listed in order."""

Newcomers = Interactions | Mapping[Id, Mapping[Id, float] | Iterable[Id]] | Any
"""Interactions, or for each newcomer what they met: ids with values, or ids alone; or a frame of their attributes."""


def place_rows(
    model: Factors,
    matrix: sparse.csr_array,
    side: Side,
    times: np.ndarray | None = None,
    *,
    recency: float | None = None,
    toward: Toward | None = None,
) -> Placed:
    """Return the vectors that rows of raw values get in a model.

    Parameters
    ----------
    model : Factors
    matrix : scipy.sparse.csr_array, shape (newcomers, items) for users, (newcomers, users) for items
    side : {"user", "item"}
        What the newcomers are.
    times : numpy.ndarray, shape (values,), optional
        When each value was, for a model that heeds time.
    recency : float, optional
        What each choice of a user weighs against the next later one; as the model was trained, if not given.
    toward : Toward, optional
        Where vectors are drawn to; see `toward_of`.

    Raises
    ------
    SettingError
        If a row's equation is singular, for want of regularization.
    """
    learnt = _learnt(model, Seen(matrix, times), side, recency)
    return model.objective.place(parameters_of(model), learnt, side, toward)


def _learnt(model: Factors, rows: Seen, side: Side, recency: float | None) -> sparse.csr_array:
    """Return raw values as the model would learn from them; of a user the latest choices count most."""
    if recency is None:
        recency = 1.0 if model.timing is None else model.timing.recency
    return prepared_for(model, rows.table, rows.times, recency=recency if side == "user" else 1.0)


def fold_in(model: Factors, newcomers: Newcomers, side: Side, *, alone: bool, recency: float | None = None) -> Factors:
    """Return a model with the newcomers in it, or with them alone on their side."""
    if recency is not None:
        check_recency(recency, "recency")
        if recency < 1 and not model.objective.heeds_weights:
            raise SettingError(
                f"recency is {recency:g}, and {model.origin.solver or 'this model'} lets all choices of a user count "
                "alike: leave it out, or train ImplicitALS"
            )
    if not isinstance(newcomers, Interactions | Mapping) and hasattr(newcomers, "columns"):
        newcomers = _Described.of(model, newcomers, side)
    ids, given = _rows_of(model, newcomers, side)
    learnt = _learnt(model, given, side, recency)
    model.objective.check_values(ids, learnt)
    own: Vocabulary = getattr(model, f"{side}s")
    known = own.find(ids)
    if (known >= 0).any():
        given = _seen_of(model, side).laid_under(known, given)
        learnt = _learnt(model, given, side, recency)
    names = Vocabulary(ids, kind=side)
    toward = None
    if side in model.features:
        attributes = _with_news(_grown_metadata(model, **{f"{side}s": names}), names, newcomers)
        toward = _toward(model, side, attributes.table(names), _is_new(model, side, known))
    placed = model.objective.place(parameters_of(model), learnt, side, toward)
    extended = names if alone else own.extended(ids)
    grown = _with_rows(model, side, extended, placed, given, None if alone else extended.find(ids))
    if isinstance(newcomers, Mapping):  # which says nothing else of them
        return grown
    return evolved(grown, metadata=_with_news(grown.metadata, extended, newcomers))


@dataclass(frozen=True, eq=False)
class _Described:
    """Newcomers of whom attributes are known, and no rating."""

    ids: Vocabulary
    metadata: Metadata

    @classmethod
    def of(cls, model: Factors, frame: Any, side: Side) -> "_Described":
        if side not in model.features:
            raise SettingError(
                f"this model learnt nothing from attributes of {side}s, so it cannot place any by them: train with "
                f"{side}_features=(…), such as ImplicitALS({side}_features=('genres',)), or give their ratings"
            )
        if not isinstance(frame, pl.DataFrame):
            from cofactor.data.frames import as_polars  # imports narwhals, which is slow

            frame = as_polars(frame)
        if side not in frame.columns:
            raise DataError(
                f"the frame of new {side}s has the columns {', '.join(frame.columns)}: name the one that holds their "
                f"ids {side!r}"
            )
        ids = Vocabulary(id_series(frame[side], side), kind=side)
        return cls(ids, Metadata().with_table(frame, ids))


def toward_of(model: Factors, side: Side, rows: np.ndarray) -> Toward | None:
    """Return where the vectors of some of a model's rows are drawn to by their attributes; None if nothing draws."""
    if side not in model.features:
        return None
    table = model.user_table if side == "user" else model.item_table
    return _toward(model, side, table[rows], _is_new(model, side, rows))


def _toward(model: Factors, side: Side, table: pl.DataFrame, new: np.ndarray) -> Toward | None:
    return Toward(model.features[side].means(table), new) if side in model.features else None


def _is_new(model: Factors, side: Side, rows: np.ndarray) -> np.ndarray:
    """Return which rows are items that came after training, -1 being one that is not in the model yet.

    A user could have chosen any item, however new the user is.
    """
    if side == "user":
        return np.zeros(len(rows), bool)
    flags = model.extras.get(NEW_ITEMS)
    new: np.ndarray = rows < 0
    if flags is not None:
        new = new | (flags[np.maximum(rows, 0)] != 0)
    return new


def _flags(model: Factors, n_items: int) -> dict[str, np.ndarray]:
    """Return which items came after training."""
    if n_items == model.n_items and NEW_ITEMS not in model.extras:
        return {}
    flags = np.ones(n_items, np.uint8)
    flags[: model.n_items] = model.extras.get(NEW_ITEMS, 0)
    return {NEW_ITEMS: flags}


def _rows_of(model: Factors, newcomers: Newcomers, side: Side) -> tuple[pl.Series, Seen]:
    """Return the newcomers' ids, and their values as rows over the model's other side."""
    other: Vocabulary = getattr(model, "items" if side == "user" else "users")
    if isinstance(newcomers, Interactions):
        told = Seen(newcomers.matrix, _times_for(model, newcomers))
        told = told if side == "user" else told.transposed
        theirs, others = (newcomers.users, newcomers.items) if side == "user" else (newcomers.items, newcomers.users)
        present = np.flatnonzero(np.diff(told.table.indptr))
        entries = told.table[present].tocoo()
        places = other.rows(others.take(entries.col))
        return theirs.take(present), Seen.of(entries.row, places, entries.data, told.times, (len(present), len(other)))
    if isinstance(newcomers, _Described):
        nobody = np.empty(0, np.int64)
        return newcomers.ids.ids, Seen.of(
            nobody, nobody, nobody, _in_order(model, []), (len(newcomers.ids), len(other))
        )
    ids = id_series(list(newcomers), side)
    if not isinstance(newcomers, Mapping):
        raise DataError(f"{type(newcomers).__name__} in place of newcomers: give a mapping, as {{'new': ['a']}}")
    met = [_met(model, newcomer, given) for newcomer, given in newcomers.items()]
    rows = np.repeat(np.arange(len(ids)), [len(pairs) for pairs in met])
    columns = other.rows([identifier for pairs in met for identifier in pairs])
    values = np.array([value for pairs in met for value in pairs.values()], dtype=np.float32)
    return ids, Seen.of(rows, columns, values, _in_order(model, [len(pairs) for pairs in met]), (len(ids), len(other)))


def _times_for(model: Factors, newcomers: Interactions) -> np.ndarray | None:
    """Return the times of newcomers' values; where they have none, and the model heeds time, they are all of today."""
    if newcomers.timestamps is None and model.timing is not None:
        return np.full(len(newcomers), model.timing.now)
    return newcomers.timestamps


def _in_order(model: Factors, lengths: list[int]) -> np.ndarray:
    """Return times of choices that were listed in their order: today, each a little later than the one before."""
    now = 0.0 if model.timing is None else model.timing.now
    places = np.concatenate([np.arange(length) for length in lengths]) if lengths else np.zeros(0)
    return now + _MOMENT * places


def _met(model: Factors, newcomer: Id, given: Mapping[Id, float] | Iterable[Id]) -> dict[Id, float]:
    """Return the items of a newcomer with their values; without values, each is an average choice."""
    if isinstance(given, str | int):
        raise DataError(f"what {newcomer!r} met came as one id, {given!r}: give a list, [{given!r}]")
    if not isinstance(given, Iterable):
        raise DataError(
            f"what {newcomer!r} met is {given!r}: give items with their values, such as {{item: {given!r}}}"
        )
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


def _seen_of(model: Factors, side: Side) -> Seen:
    seen = Seen(model.seen, model.seen_times)
    return seen if side == "user" else seen.transposed


def _with_rows(
    model: Factors,
    side: Side,
    vocabulary: Vocabulary,
    placed: Placed,
    given: Seen,
    places: np.ndarray | None,
) -> Factors:
    """Return the model with rows of one side put at ``places``, or with them alone where that is None."""
    length = len(vocabulary)
    bias = np.zeros(given.table.shape[0], np.float32) if placed.bias is None else placed.bias
    news = {f"{side}_vectors": placed.vectors, f"{side}_bias": bias}
    changes: dict[str, Any] = {f"{side}s": vocabulary}
    for name, found in news.items():
        if (old := getattr(model, name)) is not None:
            new = checks.frozen(found, name)
            changes[name] = new if places is None else readable(_put(old, new, places, length))
    if (
        side == "item"
        and places is not None
        and not given.table.nnz
        and places.min(initial=model.n_items) >= model.n_items
    ):
        seen = _widened(model, length)  # without a pass over all that was seen
    else:
        seen = given if places is None else _seen_of(model, side).replaced(given, places, length)
        seen = seen if side == "user" else seen.transposed
    changes |= _stored(model, seen)
    extras = {
        n: new if places is None else _put(model.extras[n], new, places, length) for n, new in placed.extras.items()
    }
    changes["extras"] = {**model.extras, **extras}
    changes["metadata"] = _grown_metadata(model, **{f"{side}s": vocabulary})
    if side == "item":
        changes["extras"] |= _levels(model, changes["seen"], changes["seen_times"])
        changes["extras"] |= {} if places is None else _flags(model, length)
    return evolved(model, checked=True, **changes)


def _widened(model: Factors, n_items: int) -> Seen:
    """Return what was seen, with room for items that nobody has."""
    old = model.seen
    return Seen(as_csr(old.data, old.indices, old.indptr, (old.shape[0], n_items)), model.seen_times)


def _stored(model: Factors, seen: Seen) -> dict[str, Any]:
    """Return what was seen as a model's fields; a model that does not heed time keeps no times."""
    return {"seen": seen.table, "seen_times": None if model.timing is None else seen.times}


def _levels(model: Factors, seen: sparse.csr_array, times: np.ndarray | None) -> dict[str, np.ndarray]:
    """Return what is rising by what was seen, if the model heeds that."""
    if model.timing is None or model.timing.trend is None or times is None:
        return {}
    return {LEVELS: model.timing.levels(seen.indices, times, seen.shape[1])}


def _put(old: np.ndarray, new: np.ndarray, places: np.ndarray, length: int) -> np.ndarray:
    """Return ``old``, lengthened by zeros, with new rows put at their places."""
    whole = np.empty((length, *old.shape[1:]), old.dtype)
    whole[: len(old)], whole[len(old) :] = old, 0
    whole[places] = new
    return whole


def explain(model: Factors, user: Id, item: Id) -> pl.DataFrame:
    """Return each of a user's items with its share of a score; see `Factors.explain`."""
    user_row, item_row = model.users.known_row(user), model.items.known_row(item)
    history = _seen_of(model, "user").take(np.array([user_row]))
    score = float(score_rows(model, np.array([user_row]), np.array([item_row]))[0])
    shares = shares_of(model, history.table, user_row, np.array([item_row]), history.times)[:, 0]
    order = np.argsort(-np.abs(shares), kind="stable")
    others = attribute_shares_of(model, history, user_row, item_row)
    if model.timing is not None and model.timing.trend is not None:
        others["how much it is chosen of late"] = model.timing.trend_weight * float(model.extras[LEVELS][item_row])
    others["everything else"] = score - float(shares.sum()) - sum(others.values())
    nothing = [None] * len(others)
    items, titles = named_items(model.items, model.metadata, history.table.indices[order])
    return pl.DataFrame(
        [
            pl.Series("item", items.to_list() + nothing, dtype=items.dtype),
            pl.Series("title", [*titles.to_list(), *others]),
            pl.Series("value", history.table.data[order].tolist() + nothing, dtype=pl.Float32),
            pl.Series("share", [*shares[order].tolist(), *others.values()]),
        ]
    )


def shares_of(
    model: Factors,
    history: sparse.csr_array,
    user_row: int,
    item_rows: np.ndarray,
    times: np.ndarray | None = None,
) -> np.ndarray:
    """Split scores over the ratings that they come from.

    Parameters
    ----------
    model : Factors
    history : scipy.sparse.csr_array, shape (1, items)
        What the user rated, as raw values.
    user_row : int
    item_rows : numpy.ndarray of int, shape (items,)
        Whose scores are split.
    times : numpy.ndarray, shape (ratings,), optional
        When each was, for a model that heeds time.

    Returns
    -------
    numpy.ndarray of float64, shape (ratings, items)
        A row for each value of ``history``; zeros for those that the model does not learn from.
    """
    learnt = _learnt(model, Seen(history, times), "user", None)
    found = model.objective.shares(
        parameters_of(model),
        learnt.indices,
        learnt.data.astype(np.float64),
        user_row,
        item_rows,
        toward_of(model, "user", np.array([user_row])),
    )
    if model.timing is not None and model.timing.trend is not None:
        found = found / scales(model.item_vectors[item_rows], model.extras)
    if learnt.nnz == history.nnz:
        return found
    shares = np.zeros((history.nnz, len(item_rows)))
    shares[np.searchsorted(history.indices, learnt.indices)] = found
    return shares


def attribute_shares_of(model: Factors, history: Seen, user_row: int, item_row: int) -> dict[str, float]:
    """Return what each of a user's attributes adds to a score, by its name; nothing where none are learnt from."""
    if "user" not in model.features:
        return {}
    features = model.features["user"]
    places = features.encoder.encode(model.user_table[[user_row]]).indices
    learnt = _learnt(model, history, "user", None)
    found = model.objective.attribute_shares(
        parameters_of(model),
        learnt.indices,
        learnt.data.astype(np.float64),
        user_row,
        np.array([item_row]),
        features.weights[places].astype(np.float64),
    )[:, 0]
    if model.timing is not None and model.timing.trend is not None:
        found = found / scales(model.item_vectors[[item_row]], model.extras)
    shares: dict[str, float] = {}
    for place, share in zip(places.tolist(), found.tolist(), strict=True):
        name = features.encoder.labels[place]
        name = "what most users share" if name == EVERYTHING else name
        shares[name] = shares.get(name, 0.0) + share
    return shares


def update(model: Factors, news: Interactions) -> Factors:
    """Return the model with new users, items and ratings; see `Factors.update`."""
    checks.check_interactions(news)
    users = model.users.extended(news.users.take(np.flatnonzero(np.diff(news.matrix.indptr))))
    items = model.items.extended(news.items.take(np.flatnonzero(np.diff(news.by_item.indptr))))
    model = _at_the_time_of(model, news)
    known, columns = model.seen.tocoo(), news.matrix.tocoo()
    old_rows, new_rows = known.row, users.find(news.users.take(columns.row))
    old_columns, new_columns = known.col, items.find(news.items.take(columns.col))
    times = None
    if model.seen_times is not None:
        times = np.concatenate([model.seen_times, _times_for(model, news)])
    merged = Seen.of(
        np.concatenate([old_rows, new_rows]),
        np.concatenate([old_columns, new_columns]),
        np.concatenate([known.data, columns.data]),
        times,
        (len(users), len(items)),
    )
    touched = {
        "user": np.unique(new_rows),
        "item": np.unique(new_columns),
    }
    grown = _grown(model, users, items, merged, news)
    fresh_items = touched["item"][touched["item"] >= model.n_items]
    turns: list[tuple[Side, np.ndarray]] = [
        ("item", fresh_items), ("user", touched["user"]), ("item", touched["item"]),
    ]  # fmt: skip
    for side, rows in turns:
        if len(rows):
            grown = _refreshed(grown, side, rows)
    return grown


def _at_the_time_of(model: Factors, news: Interactions) -> Factors:
    """Return the model at the time of the latest news, from which ages are counted."""
    if news.period is None or not len(news):
        return model
    changes: dict[str, Any] = {}
    if model.timing is not None:
        changes["timing"] = dataclasses.replace(model.timing, now=max(model.timing.now, news.period[1]))
    if (known := model.origin.period) is not None:
        period = (min(known[0], news.period[0]), max(known[1], news.period[1]))
        changes["origin"] = dataclasses.replace(model.origin, period=period)
    return evolved(model, **changes)


def _grown(model: Factors, users: Vocabulary, items: Vocabulary, seen: Seen, news: Interactions) -> Factors:
    """Return the model with room for new rows, which are zeros, and the merged table."""
    changes: dict[str, Any] = {"users": users, "items": items, **_stored(model, seen)}
    for side, length in (("user", len(users)), ("item", len(items))):
        for name in (f"{side}_vectors", f"{side}_bias"):
            old = getattr(model, name)
            changes[name] = old if old is None else _put(old, old[:0], np.empty(0, int), length)
    grown = model.objective.grown(parameters_of(model), len(users), len(items))
    changes["extras"] = {**grown, **_levels(model, seen.table, seen.times), **_flags(model, len(items))}
    changes["metadata"] = _grown_metadata(model, users=users, items=items)
    for ids in (users, items):
        changes["metadata"] = _with_news(changes["metadata"], ids, news)
    return evolved(model, **changes)


def _grown_metadata(model: Factors, **sides: Vocabulary) -> Metadata:
    """Return a model's metadata in the order of other vocabularies, nulls for those who are new."""
    rows = {
        name: getattr(model, name).find(ids.ids) for name, ids in sides.items() if getattr(model.metadata, name).width
    }
    return model.metadata.take(**rows)


def _with_news(metadata: Metadata, ids: Vocabulary, news: Newcomers) -> Metadata:
    if isinstance(news, _Described):
        return metadata.updated(ids, news.metadata, news.ids)
    if not isinstance(news, Interactions):
        return metadata
    return metadata.updated(ids, news.metadata, news.users if ids.kind == "user" else news.items)


def _refreshed(model: Factors, side: Side, rows: np.ndarray) -> Factors:
    """Solve some rows of one side anew, all else held."""
    given = _seen_of(model, side).take(rows)
    placed = place_rows(model, given.table, side, given.times, toward=toward_of(model, side, rows))
    changes: dict[str, Any] = {}
    for name, new in ((f"{side}_vectors", placed.vectors), (f"{side}_bias", placed.bias)):
        if new is not None:
            changes[name] = _put(getattr(model, name), new, rows, len(getattr(model, name)))
    extras = {name: _put(model.extras[name], new, rows, len(model.extras[name])) for name, new in placed.extras.items()}
    changes["extras"] = {**model.extras, **extras}
    return evolved(model, **changes)
