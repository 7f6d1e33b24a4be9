"""Where re-rankers fit in: they reorder each user's exact list, as deep as they need, before it is cut to length."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

__all__ = ["Ranked", "Reranker"]


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
    """

    users: np.ndarray
    items: np.ndarray
    scores: np.ndarray


class Reranker(Protocol):
    """Reorders lists; what it returns is again sorted by user and holds no item that it was not given."""

    def depth(self, n: int) -> int:
        """Return how many candidates it needs to fill a list of ``n``."""
        ...

    def rerank(self, candidates: Ranked, n: int) -> Ranked:
        """Return the lists in their new order, each cut to ``n``."""
        ...
