"""Profiles: what somebody rated, and their vector in a model, found by fold-in without retraining anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from cofactor.apps.web.served_model import ServedModel
from cofactor.data.passes import as_csr
from cofactor.data.vocabulary import Vocabulary
from cofactor.model.factors import Factors, evolved

if TYPE_CHECKING:
    from cofactor.model.objectives import Placed

__all__ = [
    "NOBODY",
    "FoldedIn",
    "Profile",
    "RatedItems",
    "fold_in",
    "history",
    "times_of",
    "trained_on",
    "user_profile",
    "visitor_profile",
]

_ONE_VISITOR = Vocabulary(["visitor"], kind="user")


@dataclass(frozen=True, eq=False)
class RatedItems:
    """What somebody rated, by item row.

    Parameters
    ----------
    rows : numpy.ndarray of int32
        Sorted item rows.
    ratings : numpy.ndarray of float32
        On the scale of the service: as given, or what the training data stand for.
    values : numpy.ndarray of float32
        As the model's training data have them.
    learnt : numpy.ndarray of bool
        Which of them the model learns from; the other items are only kept out of lists.
    times : numpy.ndarray of float64
        When, in seconds since 1970, for a model that heeds time; those given now are in their order.
    """

    rows: np.ndarray
    ratings: np.ndarray
    values: np.ndarray
    learnt: np.ndarray
    times: np.ndarray

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """All five arrays."""
        return self.rows, self.ratings, self.values, self.learnt, self.times

    def only(self, kept: np.ndarray) -> "RatedItems":
        """Return those that a mask keeps."""
        return self if kept.all() else RatedItems(*(column[kept] for column in self.columns))

    def without(self, index: int) -> "RatedItems":
        """Return all but one of them."""
        return RatedItems(*(np.delete(column, index) for column in self.columns))


_NO_ITEMS = RatedItems(
    np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.float32), np.empty(0, bool), np.empty(0)
)


@dataclass(frozen=True, eq=False)
class FoldedIn:
    """Users that were folded into a model: their vectors, and the table of what they rated, and when."""

    placed: "Placed"
    seen: sparse.csr_array
    times: np.ndarray

    def alone_in(self, model: Factors) -> Factors:
        """Return the model with these users in place of its own, row by row."""
        count = self.seen.shape[0]
        names = _ONE_VISITOR if count == 1 else Vocabulary(range(count), kind="user")
        bias = None if model.user_bias is None else self.placed.bias
        if model.user_bias is not None and bias is None:
            bias = np.zeros(count, np.float32)
        changes = {"users": names, "user_vectors": self.placed.vectors, "user_bias": bias, "seen": self.seen}
        changes["seen_times"] = None if model.seen_times is None else self.times
        return evolved(model, **changes, extras={**model.extras, **self.placed.extras})


@dataclass(frozen=True, eq=False)
class Profile:
    """Somebody, what they rated, and where their vector is.

    Parameters
    ----------
    rated : RatedItems
    row : int
        Of ``folded``, or of the model for a user whose ratings are just those it was trained on.
    is_known : bool
        Whether the model learnt anything of them; if not, they get popular items.
    folded : FoldedIn, optional
    """

    rated: RatedItems
    row: int = 0
    is_known: bool = False
    folded: FoldedIn | None = None


NOBODY = Profile(_NO_ITEMS)


def visitor_profile(served: ServedModel, ratings: Mapping[str, float]) -> Profile:
    """Fold in somebody by ratings alone; items that the model does not have are ignored."""
    rows = served.items.rows
    return _folded(served, {rows[item]: value for item, value in ratings.items() if item in rows})


def user_profile(served: ServedModel, user: str, stored: Mapping[str, float | None]) -> Profile | None:
    """Return the profile of a user of the model, of the store, or of both; None where neither has them.

    A stored rating replaces the one that the model was trained on, and None deletes it.
    """
    row = served.user_row(user)
    rows = served.items.rows
    changes = {rows[item]: value for item, value in stored.items() if item in rows}
    trained = trained_on(served, row)
    if not changes:
        is_known = row >= 0 and _says_something(served, served.model.user_vectors[row], trained)
        return None if row < 0 and not stored else Profile(trained, row, is_known)
    given = {item: value for item, value in changes.items() if value is not None}
    return _folded(served, given, trained.only(~np.isin(trained.rows, list(changes))))


def trained_on(served: ServedModel, row: int) -> RatedItems:
    """Return what a user of the model was trained on; nothing for row -1."""
    if row < 0:
        return _NO_ITEMS
    seen = served.model.seen
    span = slice(seen.indptr[row], seen.indptr[row + 1])
    values = seen.data[span]
    times = served.model.seen_times
    when = np.zeros(len(values)) if times is None else times[span].astype(np.float64)
    scale = served.scale
    return RatedItems(seen.indices[span], scale.ratings(values), values, scale.learnt(values), when)


def _folded(served: ServedModel, given: Mapping[int, float], trained: RatedItems = _NO_ITEMS) -> Profile:
    """Fold in somebody by ratings of item rows, and by what remains of their training data."""
    ordered = sorted(given)
    ratings = np.array([given[row] for row in ordered], dtype=np.float32)
    values = served.scale.values(ratings)
    rows, when = np.array(ordered, dtype=np.int32), _in_order(served, given, ordered)
    rated = RatedItems(rows, ratings, values, served.scale.learnt(values), when)
    if len(trained.rows):
        joined = [np.concatenate(pair) for pair in zip(rated.columns, trained.columns, strict=True)]
        order = np.argsort(joined[0])
        rated = RatedItems(*(column[order] for column in joined))
    if not rated.learnt.any():
        return Profile(rated)
    folded = fold_in(served, [rated])
    return Profile(rated, 0, _says_something(served, folded.placed.vectors[0], rated), folded)


def _says_something(served: ServedModel, vector: np.ndarray, rated: RatedItems) -> bool:
    """Tell whether a vector orders items; one of dislikes alone may be zero, and then every score is the same."""
    return bool(vector.any() or (rated.learnt.any() and served.model.item_bias is not None))


def fold_in(served: ServedModel, people: list[RatedItems]) -> FoldedIn:
    """Fold in some people, each with all that they rated as seen."""
    from cofactor.model.fold_in import place_rows  # imports numba

    table, times = history(served, people), times_of(people)
    return FoldedIn(place_rows(served.model, table, "user", times), table, times)


def times_of(people: list[RatedItems]) -> np.ndarray:
    """Return when what `history` holds was."""
    return people[0].times if len(people) == 1 else np.concatenate([rated.times for rated in people])


def _in_order(served: ServedModel, given: Mapping[int, float], ordered: list[int]) -> np.ndarray:
    """Return times of ratings that are given now, one after the other."""
    timing = served.model.timing
    if timing is None:
        return np.zeros(len(given))
    places = dict(zip(given, range(len(given)), strict=True))
    return timing.now + 1e-3 * np.array([places[row] for row in ordered], dtype=np.float64)


def history(served: ServedModel, people: list[RatedItems]) -> sparse.csr_array:
    """Return what people rated as a table of training values, a row each."""
    shape = len(people), served.model.n_items
    if len(people) == 1:
        starts = np.array((0, len(people[0].rows)))
        return as_csr(people[0].values, people[0].rows, starts, shape)
    starts = np.cumsum([0, *(len(rated.rows) for rated in people)])
    rows = np.concatenate([rated.rows for rated in people])
    return as_csr(np.concatenate([rated.values for rated in people]), rows, starts, shape)
