"""The rows of one side that are nearest to one of them: those of largest cosine."""

import numpy as np

from cofactor.data.passes import as_csr
from cofactor.lists.rerank import Ranked
from cofactor.lists.retriever import ExactRetriever, Filter, Users
from cofactor.model.objectives.objective import Parameters, Side

__all__ = ["nearest"]


def nearest(model: Parameters, side: Side, row: int, n: int, candidates: np.ndarray | None = None) -> Ranked:
    """Return the other rows whose vectors have the largest cosine with one row's.

    Parameters
    ----------
    model : Parameters
        Its vectors are brought to length one once, for as long as they do not change.
    side : {"user", "item"}
    row, n : int
    candidates : numpy.ndarray of int, optional
        Sorted rows to choose from; all if not given.
    """
    directions = model.once("directions", side, lambda: ExactRetriever(_unit(model.vectors(side))))
    itself = as_csr(np.ones(1, np.float32), np.array([row]), np.array([0, 1]), (1, directions.n_items))
    return directions.search(Users(directions.items[row][None]), np.zeros(1, int), n, Filter(candidates, None, itself))


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length one; zeros stay zeros."""
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))[:, None]
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0, casting="same_kind")
