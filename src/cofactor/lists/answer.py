"""From a request to a table: who is known, what the filter leaves, the retriever, the re-rankers, the columns."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.metadata import Metadata
from cofactor.data.vocabulary import Id, Vocabulary, id_series, places
from cofactor.errors import UnknownIdError
from cofactor.lists.attributes import ItemAttributes
from cofactor.lists.exact import joined
from cofactor.lists.filters import ItemFilter
from cofactor.lists.pipeline import rank
from cofactor.lists.request import ListRequest
from cofactor.lists.rerank import ListContext, Ranked
from cofactor.lists.retriever import ExactRetriever, Retriever, Users

__all__ = ["Catalog", "answer", "check_history", "marked_new", "named_items", "positions_of", "titles_of"]


@dataclass(frozen=True, eq=False)
class Catalog:
    """Whom and what lists are about.

    Parameters
    ----------
    user_ids, item_ids : Vocabulary
    metadata : Metadata
        What is known of the items.
    seen : scipy.sparse.csr_array, shape (users, items)
        What each user must not be shown again.
    has_history : callable
        From user rows to a mask: of whom something was learnt.
    popularity : callable
        Returns how many users chose each item: shape (items,).
    attributes : ItemAttributes
        The same in the form that rules read.
    new : numpy.ndarray of bool, shape (items,), optional
        Which items came after training, if any did.
    """

    user_ids: Vocabulary
    item_ids: Vocabulary
    metadata: Metadata
    seen: sparse.csr_array
    has_history: Callable[[np.ndarray], np.ndarray]
    popularity: Callable[[], np.ndarray]
    attributes: ItemAttributes
    new: np.ndarray | None = None

    def context(self, rows: np.ndarray) -> ListContext:
        """Return what rules can know, for lists of some user rows; -1 for users without one."""
        return ListContext(self.attributes, self.item_ids, self.seen, rows)


def answer(
    catalog: Catalog,
    retriever: Retriever,
    users: Users,
    asked: Iterable[Id] | pl.Series,
    request: ListRequest,
    item_filter: ItemFilter | None = None,
) -> pl.DataFrame:
    """Return the lists of the asked users as one table; see `Factors.recommend` for its columns.

    Raises
    ------
    UnknownIdError
        If the request says so, and nothing was learnt of a user.
    """
    ids = id_series(asked, "user")
    if not len(ids):
        ids = ids.cast(catalog.user_ids.ids.dtype)
    rows = catalog.user_ids.find(ids)
    known = rows >= 0
    known[known] = catalog.has_history(rows[known])
    if request.on_unknown == "raise" and not known.all():
        _refuse_unknown(catalog, ids, known)
    chosen = item_filter or ItemFilter.of(request, catalog.item_ids, catalog.metadata)
    seen = catalog.seen if request.exclude_seen else None
    here = np.flatnonzero(known)
    theirs = chosen.for_users(_taken(ids, here), rows[here], seen)
    ranked = rank(retriever, users, rows[here], request, theirs, catalog.context(rows[here]))
    ranked = Ranked(here[ranked.users], ranked.items, ranked.scores)
    if request.on_unknown != "popular":
        return _table(catalog, ids, ranked)
    there = np.flatnonzero(~known)
    popular = ExactRetriever(catalog.popularity().astype(np.float32)[:, None])
    anybody = Users(np.ones((len(there), 1), np.float32))
    theirs = chosen.for_users(_taken(ids, there), rows[there], seen)
    found = rank(popular, anybody, np.arange(len(there)), request, theirs, catalog.context(rows[there]))
    whole = joined([ranked, Ranked(there[found.users], found.items, np.full(len(found.items), np.nan, np.float32))])
    order = np.argsort(whole.users, kind="stable")
    frame = _table(catalog, ids, Ranked(whole.users[order], whole.items[order], whole.scores[order]))
    return frame.with_columns(pl.col("score").fill_nan(None), popular=~known[whole.users[order]])


def _taken(ids: pl.Series, places: np.ndarray) -> pl.Series:
    return ids if len(places) == len(ids) else ids.gather(places)


def _table(catalog: Catalog, ids: pl.Series, ranked: Ranked) -> pl.DataFrame:
    whose = ids.new_from_index(0, len(ranked.users)) if len(ids) == 1 else ids[places(ranked.users)]
    columns = [
        whose.alias("user"),
        pl.Series("position", positions_of(ranked.users, len(ids))),
        *named_items(catalog.item_ids, catalog.metadata, ranked.items),
        pl.Series("score", ranked.scores),
        *marked_new(catalog.new, ranked.items),
    ]
    return pl.DataFrame(columns)


def named_items(ids: Vocabulary, metadata: Metadata, item_rows: np.ndarray) -> list[pl.Series]:
    """Return the columns item and title of some item rows; titles are null where they are not known."""
    rows = places(item_rows)
    return [ids.take(rows).alias("item"), titles_of(metadata.titles, rows).alias("title")]


def marked_new(new: np.ndarray | None, item_rows: np.ndarray) -> list[pl.Series]:
    """Return a column that says which of some items came after training; none if no item of the model did."""
    return [] if new is None else [pl.Series("new", new[item_rows])]


def positions_of(users: np.ndarray, n_users: int) -> np.ndarray:
    """Return each row's position in its user's list, from 1: int32."""
    if n_users == 1:
        return np.arange(1, len(users) + 1, dtype=np.int32)
    counts = np.bincount(users, minlength=n_users)
    return (np.arange(1, len(users) + 1) - np.repeat(np.cumsum(counts) - counts, counts)).astype(np.int32)


def check_history(catalog: Catalog, ids: pl.Series, rows: np.ndarray) -> None:
    """Raise for the first user of whom nothing was learnt."""
    known = catalog.has_history(rows)
    if not known.all():
        raise UnknownIdError(f"{_without_history(ids, known)}: leave such users out, or place them by fold_in()")


def _refuse_unknown(catalog: Catalog, ids: pl.Series, known: np.ndarray) -> None:
    """Raise for the first user who is not in the model, or else of whom nothing was learnt."""
    catalog.user_ids.rows(ids)
    raise UnknownIdError(
        f"{_without_history(ids, known)}: on_unknown='popular' lists popular items, on_unknown='skip' leaves such "
        "users out, and fold_in() places users by ratings"
    )


def _without_history(ids: pl.Series, known: np.ndarray) -> str:
    without = np.flatnonzero(~known)
    more = f" (and {len(without) - 1:,} more)" if len(without) > 1 else ""
    return f"user {ids[int(without[0])]!r}{more} has no history in this model, so nothing was learnt of them"


def titles_of(titles: pl.Series | None, item_rows: np.ndarray | pl.Series) -> pl.Series:
    """Return the titles of some item rows, null where they are not known."""
    if titles is None:
        return pl.Series([None], dtype=pl.String).new_from_index(0, len(item_rows))
    taken: pl.Series = titles[places(item_rows)]
    return taken
