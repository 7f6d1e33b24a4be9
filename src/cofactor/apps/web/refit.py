"""Retraining: the same solver on the old training data with the stored ratings merged in."""

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np

from cofactor.apps.web.erasures import Erasures
from cofactor.apps.web.items_store import Attributes, ItemsStore
from cofactor.apps.web.ratings_table import RatingColumns, RatingsTable
from cofactor.apps.web.renewal import put_table
from cofactor.apps.web.scale import scale_of
from cofactor.apps.web.store import RatingsStore
from cofactor.data.interactions import Interactions
from cofactor.data.metadata import Metadata
from cofactor.data.vocabulary import Vocabulary
from cofactor.evaluation.trials import Trial, trial
from cofactor.model.factors import Factors, evolved
from cofactor.solvers.retrain import solver_of, trained_on

__all__ = ["Stored", "merged", "refit", "save_without_erased", "stored_in"]

log = logging.getLogger("cofactor.web")

NOTHING_PUT: Mapping[str, Attributes] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class Stored:
    """What is in a store, up to one of its writes.

    Parameters
    ----------
    ratings : RatingsTable
    erasures : Erasures
    put : dict of str to Attributes
        Items that were put.
    times : RatingsTable, optional
        In place of the ratings' values, when each was given, in seconds since 1970.
    """

    ratings: RatingsTable
    erasures: Erasures = field(default_factory=Erasures)
    put: dict[str, Attributes] = field(default_factory=dict)
    times: RatingsTable | None = None


def refit(
    model: Factors,
    stored: Stored,
    data: Interactions | None = None,
    *,
    asked_by: str = "",
    watch: Callable[[Trial | None], None] | None = None,
) -> Factors:
    """Train a model again, with the ratings stored since, and without those who were erased.

    Parameters
    ----------
    model : Factors
        Its solver and settings are used again and, without ``data``, its training data.
    stored : Stored
    data : Interactions, optional
        Newer training data.
    asked_by : str
        Who asked for it; kept in the model's origin.
    watch : callable, optional
        If given, the training is first tried on the newest ratings, as `cofactor.evaluation.trial` does, and this is
        told how that went. What it raises ends the work before the model is trained on everything.

    Raises
    ------
    SettingError
        If the model does not say how it was trained.
    """
    solver, erasures = solver_of(model), stored.erasures
    data = None if data is None else erasures.taken_out_of_data(data)
    model = erasures.taken_out_of(model)
    everything = merged(model, stored.ratings, data, stored.put, stored.times)
    found = None
    if watch is not None:
        found = trial(solver, everything, model)
        watch(found)
    trained: Factors = solver.fit(everything)
    name = (erasures.born, erasures.revision) if erasures.born else None
    metrics = {} if found is None else {found.metric: found.figure[0]}
    origin = dataclasses.replace(trained.origin, store=name, trial=found, asked_by=asked_by, metrics=metrics)
    return evolved(trained, origin=origin)


def save_without_erased(model: Factors, store: RatingsStore, path: Path) -> Factors:
    """Save a model, without those who were erased while it was trained or saved; return what was saved.

    Raises
    ------
    StoreAway
        If the store does not answer.
    """
    saved = None
    while True:
        model = _without_erased(model, store)
        if model is saved:
            return model
        model.save(path)
        saved = model


def _without_erased(model: Factors, store: RatingsStore) -> Factors:
    return model if store.version() is None else store.erasures().taken_out_of(model)


def stored_in(store: RatingsStore, *, timed: bool = False) -> Stored:
    """Return all that is in a store, read in pages; nothing if there is no store, which this does not make.

    The times of ratings are read too if ``timed`` says so.

    Raises
    ------
    StoreAway
        If the store does not answer.
    """
    stored = Stored(RatingsTable())
    if store.version() is not None:
        for page in store.pages(-1):
            stored.ratings.add(page.rows)
            stored.erasures.add(page.born, page.revision, page.erased)
        found = ItemsStore(store).since(-1)
        stored.put.update({one.item: one.attributes for one in found if one.attributes is not None})
        if timed:
            times = RatingsTable()
            for page in store.pages(-1, "rated_at"):
                times.add(page.rows)
            stored = dataclasses.replace(stored, times=times)
    return stored


def merged(
    model: Factors,
    stored: RatingsTable,
    data: Interactions | None = None,
    put: Mapping[str, Attributes] = NOTHING_PUT,
    times_stored: RatingsTable | None = None,
) -> Interactions:
    """Return the training data with stored ratings: new ones added, changed ones replaced, deleted ones left out.

    Items that were put are in it, too: with their attributes, and new ones for what they are, rated or not.

    In a model of likes a rating that is no like stays in the table with value 0: seen, so that the item is not
    recommended, but not learnt from. Ratings of items that the data do not have are left out: nothing but an id is
    known of such items; and those off the model's scale, which would change it. Where the training data have times,
    a rating has that of ``times_stored``, or the present one.
    """
    old = _with_put(trained_on(model) if data is None else data, put, model)
    ratings, names = stored.columns(), stored.users
    scale = scale_of(model)
    on_scale = np.isnan(ratings.values) | ((ratings.values >= scale.low) & (ratings.values <= scale.high))
    if off := int(np.count_nonzero(~on_scale)):
        text = "%s stored ratings are off the model's scale, %g to %g, and are left out"
        log.warning(text, f"{off:,}", scale.low, scale.high, extra={"event": "off_the_scale"})
        ratings = RatingColumns(*(column[on_scale] for column in ratings))
    items = _rows_in({str(identifier): row for row, identifier in enumerate(old.items)}, stored.items)[ratings.items]
    raters = np.unique(ratings.users[(items >= 0) & ~np.isnan(ratings.values)])
    users_now = _joined(old.users, {names[row] for row in raters.tolist()})
    users = _rows_in(_rows_of(users_now, set(names)), names)[ratings.users]
    known = (items >= 0) & (users >= 0)
    users, items, values = users[known], items[known], ratings.values[known]
    width, values = max(len(old.items), 1), np.where(np.isnan(values), np.nan, scale.values(values))
    stored_keys = users.astype(np.int64) * width + items
    triplets = old.triplets()
    old_keys = triplets.user_rows.astype(np.int64) * width + triplets.item_rows
    news = ~_holds(old_keys, triplets.values, stored_keys, values)  # what an earlier refit took keeps its time
    kept = ~np.isin(old_keys, stored_keys[news])
    given = news & ~np.isnan(values)
    columns = ((triplets.user_rows, users), (triplets.item_rows, items), (triplets.values, values))
    rows, places, joined_values = (np.concatenate([one[kept], new[given].astype(one.dtype)]) for one, new in columns)
    times = None
    if triplets.timestamps is not None:
        latest = np.full(int(given.sum()), time.time())
        if times_stored is not None:
            found, seconds = _times_of(times_stored, users_now, old.items, stored_keys[given])
            latest[found] = seconds
        times = np.concatenate([triplets.timestamps[kept], latest])
    joined = Interactions.from_rows(users_now, old.items, rows, places, joined_values, times, name=old.name)
    return dataclasses.replace(joined, metadata=old.metadata.take(users=old.users.find(users_now.ids)))


def _times_of(
    times: RatingsTable, users: Vocabulary, items: Vocabulary, keys: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return which pairs of rows, as ``user * items + item``, have a time in a store, and those times."""
    when, names = times.columns(), times.users
    user_rows = _rows_in(_rows_of(users, set(names)), names)[when.users]
    item_rows = _rows_in({str(identifier): row for row, identifier in enumerate(items)}, times.items)[when.items]
    known = (user_rows >= 0) & (item_rows >= 0)
    theirs = user_rows[known].astype(np.int64) * max(len(items), 1) + item_rows[known]
    order = np.argsort(theirs)
    place = np.minimum(np.searchsorted(theirs, keys, sorter=order), max(len(order) - 1, 0))
    if not len(order):
        return np.zeros(len(keys), bool), np.empty(0)
    found = theirs[order[place]] == keys
    return found, when.values[known][order[place]][found]


def _with_put(data: Interactions, put: Mapping[str, Attributes], model: Factors) -> Interactions:
    """Return data with items that were put, new ones last; without attributes to learn from, known ones alone."""
    table = put_table(data.items, data.metadata, put)
    if "item" not in model.features:
        table = table.filter(data.items.find(table["item"]) >= 0)
    if not table.height:
        return data
    items, said = data.items.extended(table["item"]), Vocabulary(table["item"], kind="item")
    metadata = data.metadata.take(items=data.items.find(items.ids))
    known = data.triplets()
    grown = Interactions.from_rows(
        data.users, items, known.user_rows, known.item_rows, known.values, known.timestamps, name=data.name
    )
    return dataclasses.replace(grown, metadata=metadata.updated(items, Metadata().with_table(table, said), said))


def _holds(keys: np.ndarray, values: np.ndarray, asked: np.ndarray, asked_values: np.ndarray) -> np.ndarray:
    """Return which of the asked pairs a table has with the very same value."""
    order = np.argsort(keys, kind="stable")
    place = np.minimum(np.searchsorted(keys[order], asked), max(len(keys) - 1, 0))
    if not len(keys):
        return np.zeros(len(asked), bool)
    found = order[place]
    same: np.ndarray = (keys[found] == asked) & (values[found] == asked_values.astype(values.dtype))
    return same


def _rows_in(rows: Mapping[str, int], names: list[str]) -> np.ndarray:
    """Return the row of each name, -1 where it has none."""
    return np.array([rows.get(name, -1) for name in names], dtype=np.int32)


def _joined(users: Vocabulary, names: set[str]) -> Vocabulary:
    """Return the users and new names; as strings if the ids were integers and one of the names is not."""
    fresh = [users.parse(name) for name in sorted(names)]
    if users.holds_integers and not all(isinstance(name, int) and str(name) in names for name in fresh):
        users = Vocabulary([str(identifier) for identifier in users], kind="user")
        fresh = sorted(names)
    return users.extended(fresh) if fresh else users


def _rows_of(users: Vocabulary, names: set[str]) -> Mapping[str, int]:
    ordered = sorted(names)
    if not ordered:
        return {}
    parsed = [users.parse(name) for name in ordered]
    known = {name: identifier for name, identifier in zip(ordered, parsed, strict=True) if str(identifier) == name}
    if users.holds_integers:
        known = {name: identifier for name, identifier in known.items() if isinstance(identifier, int)}
    found = users.find(list(known.values())) if known else np.empty(0, np.int32)
    return {name: int(row) for name, row in zip(known, found, strict=True) if row >= 0}
