"""Who is asked for: what somebody rated, and their place in a model, without anything being retrained."""

import copy
import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from cofactor.apps.web.served import Served
from cofactor.data.vocabulary import Vocabulary
from cofactor.model.factors import Factors

__all__ = ["Person", "Rated", "folded", "known_person", "placed", "rated_by", "visitor"]

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
        return bool(self.learnt.all())

    def without(self, place: int) -> "Rated":
        """Return all but one of them."""
        return Rated(*(np.delete(column, place) for column in self.columns))


@dataclass(frozen=True, eq=False)
class Person:
    """Somebody in a model: a row of it, and what they rated. Without a model there is nothing to place them by."""

    model: Factors | None
    row: int
    rated: Rated


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
    if not rated.learnt.any():
        return Person(None, 0, rated)
    return Person(folded(served, [rated]), 0, rated)


def folded(served: Served, people: list[Rated]) -> Factors:
    """Return the model with some people alone in it, row by row, each with all that they rated as seen."""
    from cofactor.model.placing import place_rows  # brings numba

    model = served.model
    simple = all(rated.all_learnt for rated in people)
    learnt = people if simple else [Rated(*(part[rated.learnt] for part in rated.columns)) for rated in people]
    table = _table(served, learnt)
    found = place_rows(model, table, "user")
    seen = table if simple else _table(served, people)
    names = _ONE if len(people) == 1 else Vocabulary(range(len(people)), kind="user")
    bias = None if model.user_bias is None else found.bias
    if model.user_bias is not None and bias is None:
        bias = np.zeros(len(people), np.float32)
    return model.evolve(
        users=names, user_vectors=found.vectors, user_bias=bias, seen=seen, extras={**model.extras, **found.extras}
    )


def _table(served: Served, people: list[Rated]) -> sparse.csr_array:
    """Return what people rated as a table; the rows are sorted, so scipy's checks, which take long, may be spared."""
    table = copy.copy(served.blank)
    table._shape = (len(people), served.model.n_items)
    if len(people) == 1:
        table.indptr = np.array((0, len(people[0].rows)), dtype=np.int32)
        table.indices, table.data = people[0].rows, people[0].values
        return table
    table.indptr = np.cumsum([0, *(len(rated.rows) for rated in people)]).astype(np.int32)
    table.indices = np.concatenate([rated.rows for rated in people])
    table.data = np.concatenate([rated.values for rated in people])
    return table
