"""Which items each user may be shown: raw ids and frames of pairs become rows, once for all parts of a question."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.metadata import Metadata
from cofactor.data.vocabulary import Vocabulary, id_series
from cofactor.errors import UnknownIdError
from cofactor.lists.request import AudienceRequest, ListRequest
from cofactor.lists.retriever import Filter
from cofactor.lists.where import rows_where

__all__ = ["ItemFilter"]

log = logging.getLogger("cofactor")


@dataclass(frozen=True, eq=False)
class ItemFilter:
    """A request's candidates, exclusions and condition as rows.

    Parameters
    ----------
    n_items : int
    candidates : numpy.ndarray of int, or None
        Sorted item rows that everyone may be shown.
    own_candidates, own_exclusions : polars.DataFrame with the columns user (raw ids) and item (rows), or None
    kind : {"user", "item"}
        For whom the choice is. Where it is for items, users are chosen from, and the columns are exchanged.
    """

    n_items: int
    candidates: np.ndarray | None = None
    own_candidates: pl.DataFrame | None = None
    own_exclusions: pl.DataFrame | None = None
    kind: str = "user"

    @classmethod
    def of(cls, request: ListRequest | AudienceRequest, items: Vocabulary, metadata: Metadata) -> "ItemFilter":
        """Look a request's ids up; those the model does not have are ignored, and counted in one log line each.

        Raises
        ------
        SettingError
            If the request's condition does not fit what is known of those that are chosen from.
        """
        allowed: np.ndarray | None = None
        own: dict[str, pl.DataFrame] = {}
        for name, given in (("candidates", request.candidates), ("exclude", request.exclude)):
            if given is None:
                continue
            if _is_frame(given):
                own[name] = _pairs(name, given, items)
                continue
            rows = _rows(name, given, items)
            rows = rows[rows >= 0]
            if allowed is None:
                allowed = np.full(len(items), name == "exclude")
            allowed[rows] = name == "candidates"
        if request.where is not None:
            holds = rows_where(request.where, metadata.table(items))
            allowed = holds if allowed is None else allowed & holds
        chosen = None if allowed is None else np.flatnonzero(allowed)
        return cls(len(items), chosen, own.get("candidates"), own.get("exclude"), _other(items.kind))

    def for_users(self, ids: pl.Series, rows: np.ndarray, seen: sparse.csr_array | None) -> Filter:
        """Return what some users may be shown.

        Parameters
        ----------
        ids : polars.Series
            Raw user ids.
        rows : numpy.ndarray of int
            Their rows in ``seen``; -1 for users without one.
        seen : scipy.sparse.csr_array, shape (users, items), or None
            What is excluded besides.
        """
        excluded, excluded_rows = seen, rows if seen is not None else None
        if seen is not None and (rows < 0).any():
            excluded, excluded_rows = _with_empty(seen, rows), None
        if self.own_exclusions is not None:
            theirs = self._table(ids, self.own_exclusions)
            if excluded is not None:
                theirs = theirs + (excluded if excluded_rows is None else excluded[excluded_rows])
                theirs.sort_indices()
            excluded, excluded_rows = theirs, None
        own = None if self.own_candidates is None else self._table(ids, self.own_candidates)
        return Filter(self.candidates, own, excluded, excluded_rows)

    def _table(self, ids: pl.Series, pairs: pl.DataFrame) -> sparse.csr_array:
        """Return a row for each user: ones at the items of their own."""
        distinct = Vocabulary(ids.unique(maintain_order=True), kind=self.kind)
        if len(pairs) and len(ids) and (pairs["user"].dtype == pl.String) == distinct.holds_integers:
            raise UnknownIdError(
                f"the pairs name {self.kind}s such as {pairs['user'][0]!r}, and lists are asked for {self.kind}s such "
                f"as {ids[0]!r}: give ids of one type"
            )
        who = distinct.find(pairs["user"])
        kept = who >= 0
        entries = np.ones(int(kept.sum()), np.float32), (who[kept], pairs["item"].to_numpy()[kept])
        table = sparse.csr_array(entries, shape=(len(distinct), self.n_items))
        table.sum_duplicates()
        table.data[:] = 1
        positions = distinct.find(ids)
        return table if np.array_equal(positions, np.arange(len(distinct))) else table[positions]


def _other(kind: str) -> str:
    return "user" if kind == "item" else "item"


def _is_frame(given: Any) -> bool:
    return hasattr(type(given), "columns") and not isinstance(given, pl.Series)


def _rows(name: str, given: Iterable[Any], items: Vocabulary) -> np.ndarray:
    """Return the row of each item id, -1 for those the model does not have, which are counted in the log."""
    column = id_series(given, items.kind)
    rows = items.find(column)
    missing = int(np.count_nonzero(rows < 0))
    if missing and missing == len(rows):
        _refuse_other_type(name, column[0], items)
    if missing:
        counts = f"{missing:,} of {len(rows):,}"
        log.info("%s: %s %ss are not in the model and are ignored", name, counts, items.kind)
    return rows


def _refuse_other_type(name: str, identifier: Any, items: Vocabulary) -> None:
    """Raise where none can be found since ids are integers on one side and strings on the other."""
    if len(items) and isinstance(identifier, str) == items.holds_integers:
        kind = "integers" if items.holds_integers else "strings"
        raise UnknownIdError(
            f"{name} holds ids such as {identifier!r}, and the model's {items.kind} ids are {kind}, such as "
            f"{items[0]!r}: give ids of that type"
        )


def _pairs(name: str, given: Any, items: Vocabulary) -> pl.DataFrame:
    """Return the pairs of a frame whose items the model has: user (raw ids) and item (rows)."""
    from cofactor.data.frames import chosen_columns  # brings narwhals

    frame = chosen_columns(given, {"user": _other(items.kind), "item": items.kind})
    rows = _rows(name, frame["item"], items)
    return frame.select("user").with_columns(item=pl.Series(rows)).filter(pl.col("item") >= 0)


def _with_empty(table: sparse.csr_array, rows: np.ndarray) -> sparse.csr_array:
    """Return some rows of a table, an empty one for each -1."""
    there = rows >= 0
    taken = table[rows[there]]
    counts = np.zeros(len(rows), np.int64)
    counts[there] = np.diff(taken.indptr)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return sparse.csr_array((taken.data, taken.indices, indptr), shape=(len(rows), table.shape[1]))
