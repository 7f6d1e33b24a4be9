"""Where re-rankers fit in: they reorder each user's exact list, as deep as they need, before it is cut to length.

What a rule is made of is known before the model, such as ``AtMost(2, per="genres")``. For a question it is bound to
the model's items and the asked users' histories; what comes of it is a re-ranker, which takes rows of items.
"""

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from scipy import sparse

from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import SettingError
from cofactor.lists.attributes import ItemAttributes

__all__ = ["BoundReranker", "ListContext", "Ranked", "Reranker", "Rule", "check_strength", "starts_of"]


@dataclass(frozen=True, eq=False)
class Ranked:
    """Users' lists as rows: three columns sorted by user, then by position, best first.

    Parameters
    ----------
    users : numpy.ndarray of int, shape (rows,)
        Positions in the list of users that were asked for.
    items : numpy.ndarray of int, shape (rows,)
        Item rows of the model.
    scores : numpy.ndarray of float32, shape (rows,)
    whole : bool
        Whether these are all the items that the filter leaves: nothing comes by searching deeper.
    """

    users: np.ndarray
    items: np.ndarray
    scores: np.ndarray
    whole: bool = False


class Reranker(Protocol):
    """Reorders lists; what it returns is again sorted by user and holds no item that it was not given."""

    def depth(self, n: int) -> int:
        """Return how many candidates it needs to fill a list of ``n``."""
        ...

    def rerank(self, candidates: Ranked, n: int) -> Ranked:
        """Return the lists in their new order, each cut to ``n``."""
        ...


class BoundReranker(abc.ABC):
    """A re-ranker that may ask for more than the best items; by default it asks for nothing more.

    Parameters
    ----------
    deepens : bool
        Whether it leaves items out, so that lists that come out short are made again from deeper ones.
    """

    deepens = False

    def depth(self, n: int) -> int:
        """Return how many candidates it needs to fill a list of ``n``."""
        return n

    def besides(self, n: int) -> Sequence[tuple[np.ndarray, int]]:
        """Return sorted item rows, and how many of the best of them are to be among the candidates, however deep."""
        return ()

    @abc.abstractmethod
    def rerank(self, candidates: Ranked, n: int) -> Ranked:
        """Return the lists in their new order, each cut to ``n``."""


@dataclass(frozen=True, eq=False)
class ListContext:
    """What rules can know.

    Parameters
    ----------
    attributes : ItemAttributes
    items : Vocabulary
    history : scipy.sparse.csr_array, shape (histories, items)
        What users have had.
    rows : numpy.ndarray of int, shape (asked users,)
        Each asked user's row in ``history``; -1 without one.
    """

    attributes: ItemAttributes
    items: Vocabulary
    history: sparse.csr_array
    rows: np.ndarray


class Rule(Protocol):
    """Becomes a re-ranker when it is known of which items and users lists are made."""

    def bound(self, context: ListContext) -> BoundReranker:
        """Return the re-ranker; raise SettingError if the items lack what it needs."""
        ...


AnyReranker: TypeAlias = Reranker | Rule
"""What ``rerank`` takes: a rule of `cofactor.lists`, or an object with the methods of `Reranker`."""


def check_strength(given: object) -> None:
    """Raise where a strength is no number from 0 to 1."""
    number = isinstance(given, int | float | np.number) and not isinstance(given, bool)
    if not number or not 0 <= given <= 1:  # type: ignore[operator]
        raise SettingError(f"strength is {given!r}: it must be a number from 0 to 1, such as 0.1")


def starts_of(ranked: Ranked) -> tuple[np.ndarray, np.ndarray]:
    """Return the users who have a list, and where each of these lists starts, with the end of the last."""
    if not len(ranked.users):
        return np.empty(0, np.int64), np.zeros(1, np.int64)
    starts = np.flatnonzero(np.concatenate([[True], ranked.users[1:] != ranked.users[:-1]]))
    return ranked.users[starts], np.append(starts, len(ranked.users))
