"""What is rising, by what people rated here since the training: a model's levels made anew without training.

**Model.** The sum in `cofactor.data.timing` is one over all who chose an item. What was trained on has aged by the time
since, what came here is added, and a pair that is in both counts once, by the time that it was rated here.
"""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import sqlalchemy as sql

from cofactor.apps.web.names import row_named
from cofactor.apps.web.scale import Scale
from cofactor.apps.web.schema import RATINGS
from cofactor.apps.web.store import RatingsStore
from cofactor.data.vocabulary import Vocabulary
from cofactor.model.factors import Factors, evolved
from cofactor.model.trend import LEVELS

if TYPE_CHECKING:
    from sqlalchemy import Connection

__all__ = ["Events", "events_in", "with_rising"]

HALF_LIVES = 20
"""What is older than so many half-lives counts a millionth, and is left out."""

_SCHEMA = {"user": pl.String, "item": pl.String, "value": pl.Float64, "time": pl.Float64}


@dataclass(frozen=True, eq=False)
class Events:
    """Ratings of late, as a store has them.

    Parameters
    ----------
    table : polars.DataFrame
        Columns user, item, value (null for a deleted rating), time (seconds since 1970).
    """

    table: pl.DataFrame


def events_in(store: RatingsStore, half_life: float) -> Events:
    """Read the ratings that still count for what is rising.

    Parameters
    ----------
    store : RatingsStore
    half_life : float
        In seconds.

    Raises
    ------
    StoreAway
        If the store does not answer.
    """
    columns = RATINGS.c.user_id, RATINGS.c.item_id, RATINGS.c.value, RATINGS.c.rated_at
    asked = sql.select(*columns).where(RATINGS.c.rated_at > int(time.time() - HALF_LIVES * half_life))

    def read(connection: "Connection") -> pl.DataFrame:
        rows = connection.execute(asked).all()
        return pl.DataFrame([tuple(row) for row in rows], schema=_SCHEMA, orient="row")

    return Events(store.reading(read))


def with_rising(model: Factors, events: Events, scale: Scale) -> Factors:
    """Return the model with the levels that its own choices and those of a store make together."""
    timing = model.timing
    if timing is None or timing.trend is None or not events.table.height:
        return model
    table = events.table.with_columns(
        user_row=_rows(model.users, events.table["user"]),
        item_row=_rows(model.items, events.table["item"]),
    ).filter(pl.col("item_row") >= 0)
    live = table.filter(pl.col("value").is_between(scale.low, scale.high))
    now = max(timing.now, float(live["time"].max() or 0.0))  # type: ignore[arg-type]
    sums = np.expm1(model.extras[LEVELS].astype(np.float64))
    known = table.filter(pl.col("user_row") >= 0)
    items, ages = _trained(model, known["user_row"].to_numpy(), known["item_row"].to_numpy())
    sums -= np.bincount(items, np.exp2(-ages / timing.trend), minlength=model.n_items)
    sums = np.maximum(sums, 0) * np.exp2(-(now - timing.now) / timing.trend)
    fresh = np.exp2(-(now - live["time"].to_numpy()) / timing.trend)
    sums += np.bincount(live["item_row"].to_numpy(), fresh, minlength=model.n_items)
    return evolved(model, extras={**model.extras, LEVELS: np.log1p(sums).astype(np.float32)})


def _rows(ids: Vocabulary, names: pl.Series) -> pl.Series:
    """Return the row of each name, -1 for those that are not in the model."""
    distinct = names.unique()
    rows = [row_named(ids, name) for name in distinct.to_list()]
    known = pl.DataFrame({"name": distinct, "row": rows}, schema={"name": pl.String, "row": pl.Int64})
    return names.to_frame("name").join(known, on="name", how="left", maintain_order="left")["row"]


def _trained(model: Factors, users: np.ndarray, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which of some pairs a model was trained on, by their items, and how old each was then."""
    assert model.timing is not None
    assert model.seen_times is not None
    seen = model.seen
    found: list[tuple[int, float]] = []
    for user, item in zip(users.tolist(), items.tolist(), strict=True):
        first, last = seen.indptr[user], seen.indptr[user + 1]
        place = first + int(np.searchsorted(seen.indices[first:last], item))
        if place < last and seen.indices[place] == item:
            found.append((item, max(model.timing.now - float(model.seen_times[place]), 0.0)))
    rows, ages = zip(*found, strict=True) if found else ((), ())
    return np.array(rows, np.int64), np.array(ages, np.float64)
