"""What a served model takes up between trainings: items that were put, the ratings of new ones, what is rising.

Nothing is trained. A model stays as it was loaded; what is served is made of it and of what came since, in one step
after the other, and takes its place when it is ready. Every process of every service does so by itself, from the store.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.apps.web.item_attributes import UnfitAttribute, fitting, frame_of
from cofactor.apps.web.items_store import Attributes
from cofactor.apps.web.names import row_named
from cofactor.apps.web.rising import Events, with_rising
from cofactor.apps.web.rules_store import SetRule
from cofactor.apps.web.scale import Scale
from cofactor.data.metadata import Metadata
from cofactor.data.vocabulary import Id, Vocabulary
from cofactor.errors import CofactorError
from cofactor.model.factors import Factors, evolved, learnt_counts, new_items_of
from cofactor.model.trend import LEVELS

__all__ = ["News", "item_id", "put_table", "renewed"]

log = logging.getLogger("cofactor.web")


@dataclass(frozen=True)
class News:
    """What came since a model was trained.

    Parameters
    ----------
    items : mapping of str to Attributes
        Items that were put.
    ratings : mapping of str to mapping of str to float
        Of these, by item and user.
    events : Events, optional
        What was rated of late, for what is rising.
    rules : mapping of str to SetRule
        The rules for all lists, by item; those taken back too.
    """

    items: Mapping[str, Attributes] = field(default_factory=dict)
    ratings: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    events: Events | None = None
    rules: Mapping[str, SetRule] = field(default_factory=dict)

    @property
    def latest(self) -> float | None:
        """When the latest of the events was."""
        found = None if self.events is None else self.events.table.filter(pl.col("value").is_not_null())["time"].max()
        return found if isinstance(found, float) else None

    def digest(self, base: str, model: Factors) -> str:
        """Return a short name for a model that took this up, from that of the model before."""
        digest = hashlib.blake2b(base.encode(), digest_size=16)
        digest.update(json.dumps([self.items, self.ratings], sort_keys=True).encode("utf-8", "surrogatepass"))
        if LEVELS in model.extras:
            digest.update(model.extras[LEVELS].tobytes())
        return digest.hexdigest()


def renewed(model: Factors, news: News, scale: Scale) -> Factors:
    """Return a model with what came since it was trained; a step that fails is logged and left out."""
    for step in (_with_items, _with_first_ratings, _with_rising):
        try:
            model = step(model, news, scale)
        except CofactorError as error:
            log.error("the model did not take up what is new: %s", error, extra={"event": "renewal_failed"})
    return model


def item_id(items: Vocabulary, name: str) -> Id | None:
    """Return the id that a name would have among some items; None if it cannot be one."""
    identifier = items.parse(name)
    fits = str(identifier) == name and (not len(items) or isinstance(identifier, int) == items.holds_integers)
    return identifier if fits else None


def put_table(items: Vocabulary, metadata: Metadata, put: Mapping[str, Attributes]) -> pl.DataFrame:
    """Return items that were put as a table with the columns that are known already; what does not fit is left out."""
    ids, rows = [], []
    for name, attributes in put.items():
        identifier = item_id(items, name)
        try:
            fit = fitting(attributes, metadata.items)
        except UnfitAttribute as error:
            log.warning("what was put of an item is left out: %s", error, extra={"event": "unfit_attribute"})
            continue
        if identifier is not None:
            ids.append(identifier)
            rows.append(fit)
    return frame_of(pl.Series(ids, dtype=items.ids.dtype), rows, metadata.items)


def _with_items(model: Factors, news: News, scale: Scale) -> Factors:
    """Return the model with the items that were put: known ones with their attributes changed, new ones by them."""
    table = put_table(model.items, model.metadata, news.items)
    known = model.items.find(table["item"]) >= 0
    model = _with_changes(model, table.filter(known))
    fresh = table.filter(~known)
    return model.fold_in_items(fresh) if fresh.height and "item" in model.features else model


def _with_changes(model: Factors, table: pl.DataFrame) -> Factors:
    """Return the model with attributes of its items changed; the vectors of those without ratings follow."""
    if not table.height:
        return model
    changed = Vocabulary(table["item"], kind="item")
    said = Metadata().with_table(table, changed)
    model = evolved(model, metadata=model.metadata.updated(model.items, said, changed))
    rows = model.items.find(changed.ids)
    unrated = rows[learnt_counts(model).by_item[rows] == 0]
    return _placed(model, unrated, sparse.csr_array((len(unrated), model.n_users), dtype=np.float32))


def _with_first_ratings(model: Factors, news: News, scale: Scale) -> Factors:
    """Return the model with new items placed by their first ratings too, of users whom it knows."""
    new = new_items_of(model)
    if new is None:
        return model
    entries: list[tuple[int, int, float]] = []
    for name, ratings in news.ratings.items():
        row = row_named(model.items, name)
        if row < 0 or not new[row]:
            continue
        entries += [
            (row, user, value) for name, value in ratings.items() if (user := row_named(model.users, name)) >= 0
        ]
    if not entries:
        return model
    rows, users, given = (np.array(column) for column in zip(*entries, strict=True))
    values = scale.values(given.astype(np.float32))
    learnt = scale.learnt(values)
    rated, places = np.unique(rows[learnt], return_inverse=True)
    table = sparse.csr_array((values[learnt], (places, users[learnt])), shape=(len(rated), model.n_users))
    return _placed(model, rated, table)


def _with_rising(model: Factors, news: News, scale: Scale) -> Factors:
    return model if news.events is None else with_rising(model, news.events, scale)


def _placed(model: Factors, rows: np.ndarray, ratings: sparse.csr_array) -> Factors:
    """Return the model with some items placed anew, by their attributes and some ratings."""
    if "item" not in model.features or not len(rows):
        return model
    from cofactor.model.fold_in import place_rows, toward_of  # imports numba

    ratings.sort_indices()
    times = None if model.timing is None else np.full(ratings.nnz, model.timing.now)
    placed = place_rows(model, ratings, "item", times, toward=toward_of(model, "item", rows))
    changes: dict[str, Any] = {"item_vectors": _put(model.item_vectors, placed.vectors, rows)}
    if model.item_bias is not None and placed.bias is not None:
        changes["item_bias"] = _put(model.item_bias, placed.bias, rows)
    changes["extras"] = {
        **model.extras, **{name: _put(model.extras[name], new, rows) for name, new in placed.extras.items()}
    }  # fmt: skip
    return evolved(model, **changes)


def _put(old: np.ndarray, new: np.ndarray, rows: np.ndarray) -> np.ndarray:
    whole = old.copy()
    whole[rows] = new
    return whole
