"""Who is asked for: what somebody rated, and their place in a model, without anything being retrained."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from cofactor.apps.web.served import Served
from cofactor.data.vocabulary import Vocabulary
from cofactor.lists.answer import rank
from cofactor.lists.request import ListRequest
from cofactor.lists.rerank import Ranked
from cofactor.lists.retriever import Filter, Users
from cofactor.model.factors import Factors, evolved, exact_of, users_of

if TYPE_CHECKING:
    from cofactor.model.objectives import Placed

__all__ = ["Newcomers", "Person", "Rated", "history_of", "known_person", "newcomers", "placed", "rated_by", "visitor"]

_ONE = Vocabulary(["visitor"], kind="user")


@dataclass(frozen=True, eq=False)
class Rated:
    """What somebody rated: sorted item rows, the ratings as given, and as the model's training data would have them.

    The latter is NaN where the model would not have learnt from it: such items are only kept out of lists.
    """

    rows: np.ndarray
    given: np.ndarray
    values: np.ndarray

    @functools.cached_property
    def learnt(self) -> np.ndarray:
        """Which of them say something to the model."""
        return ~np.isnan(self.values)

    @property
    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, ratings as given, and values."""
        return self.rows, self.given, self.values

    def besides(self, rows: list[int]) -> "Rated":
        """Return those of them that are of other items."""
        kept = ~np.isin(self.rows, rows)
        return Rated(*(column[kept] for column in self.columns))

    @functools.cached_property
    def all_learnt(self) -> bool:
        """Whether all of them say something to the model."""
        return not np.isnan(self.values).any()

    def without(self, place: int) -> "Rated":
        """Return all but one of them."""
        return Rated(*(np.delete(column, place) for column in self.columns))


@dataclass(frozen=True, eq=False)
class Newcomers:
    """People who have been placed in a model: their vectors, and the table of what they rated."""

    placed: "Placed"
    seen: sparse.csr_array

    def alone_in(self, model: Factors) -> Factors:
        """Return the model with them alone in it, row by row."""
        count = self.seen.shape[0]
        names = _ONE if count == 1 else Vocabulary(range(count), kind="user")
        bias = None if model.user_bias is None else self.placed.bias
        if model.user_bias is not None and bias is None:
            bias = np.zeros(count, np.float32)
        changes = {"users": names, "user_vectors": self.placed.vectors, "user_bias": bias, "seen": self.seen}
        return evolved(model, **changes, extras={**model.extras, **self.placed.extras})


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody, and what they rated: a row of a model, or placed beside it. Without one nothing is known of them."""

    base: Factors | None
    row: int
    rated: Rated
    beside: Newcomers | None = None

    @functools.cached_property
    def model(self) -> Factors:
        """A model that has them in their row."""
        assert self.base is not None, "nothing is known of them"
        return self.base if self.beside is None else self.beside.alone_in(self.base)

    def best(self, n: int, allowed: np.ndarray | None, *, scan: bool) -> Ranked:
        """Return the best items where a score is a product, without a model made for the occasion."""
        assert self.base is not None, "nothing is known of them"
        base, own = self.base, np.array([self.row])
        users, seen = users_of(base), base.seen
        if self.beside is not None:
            placed, seen = self.beside.placed, self.beside.seen
            users = Users(placed.vectors, None if base.user_bias is None else placed.bias, base.mean)
        retriever = exact_of(base) if scan else exact_of(base).without_scan()
        return rank(retriever, users, own, ListRequest(n=n), Filter(allowed, None, seen, own))


def visitor(served: Served, ratings: Mapping[str, float]) -> Person:
    """Place somebody by ratings alone; ids that the model does not have are passed over."""
    rows = served.catalogue.rows
    return placed(served, {rows[item]: value for item, value in ratings.items() if item in rows})


def known_person(served: Served, user: str, stored: Mapping[str, float | None]) -> Person | None:
    """Return a user of the model, of the store, or of both; None where neither knows them.

    A stored rating takes the place of the one that the model was trained on, and one that was taken back removes it.
    """
    row = served.user_row(user)
    rows = served.catalogue.rows
    changes = {rows[item]: value for item, value in stored.items() if item in rows}
    if not changes:
        return None if row < 0 and not stored else _as_trained(served, row)
    given = {item: value for item, value in changes.items() if value is not None}
    return placed(served, given, rated_by(served, row).besides(list(changes)))


def rated_by(served: Served, row: int) -> Rated:
    """Return what a row of the model was trained on; nothing for row -1."""
    if row < 0:
        return Rated(np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.float32))
    seen = served.model.seen
    span = slice(seen.indptr[row], seen.indptr[row + 1])
    return Rated(seen.indices[span], seen.data[span], seen.data[span])


def _as_trained(served: Served, row: int) -> Person:
    rated = rated_by(served, row)
    return Person(served.model if len(rated.rows) else None, row, rated)


def placed(served: Served, given: Mapping[int, float], trained: Rated | None = None) -> Person:
    """Place somebody by ratings of item rows, and by what of the training data goes with them."""
    ordered = sorted(given)
    rows = np.array(ordered, dtype=np.int32)
    numbers = np.array([given[row] for row in ordered], dtype=np.float32)
    rated = Rated(rows, numbers, served.scale.all_trained(numbers))
    if trained is not None and len(trained.rows):
        columns = [(rated.rows, trained.rows), (rated.given, trained.given), (rated.values, trained.values)]
        order = np.argsort(np.concatenate(columns[0]))
        rated = Rated(*(np.concatenate(pair)[order] for pair in columns))
    if not (rated.all_learnt or rated.learnt.any()) or not len(rated.rows):
        return Person(None, 0, rated)
    return Person(served.model, 0, rated, newcomers(served, [rated]))


def newcomers(served: Served, people: list[Rated]) -> Newcomers:
    """Place some people, each with all that they rated as seen."""
    from cofactor.model.fold_in import place_rows  # brings numba

    simple = all(rated.all_learnt for rated in people)
    learnt = people if simple else [Rated(*(part[rated.learnt] for part in rated.columns)) for rated in people]
    table = _table(served, learnt)
    return Newcomers(place_rows(served.model, table, "user"), table if simple else _table(served, people))


def history_of(served: Served, rated: Rated) -> sparse.csr_array:
    """Return what of somebody's ratings the model learns from, as a table of one row."""
    return _table(served, [Rated(*(part[rated.learnt] for part in rated.columns))])


def _table(served: Served, people: list[Rated]) -> sparse.csr_array:
    """Return what people rated as a table; the rows are sorted, so scipy's checks, which take long, may be spared."""
    table = object.__new__(sparse.csr_array)
    table.__dict__.update(served.blank.__dict__)
    table._shape = (len(people), served.model.n_items)
    if len(people) == 1:
        table.indptr = np.array((0, len(people[0].rows)), dtype=np.int32)
        table.indices, table.data = people[0].rows, people[0].values
        return table
    table.indptr = np.cumsum([0, *(len(rated.rows) for rated in people)]).astype(np.int32)
    table.indices = np.concatenate([rated.rows for rated in people])
    table.data = np.concatenate([rated.values for rated in people])
    return table
