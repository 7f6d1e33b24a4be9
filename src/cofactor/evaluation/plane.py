"""What a map of the items shows: which items, their coordinates in two dimensions, and their names."""

import numpy as np

from cofactor.data.passes import counts_of
from cofactor.model.factors import Factors

__all__ = ["best_known", "item_plane", "names_of"]


def best_known(counts: np.ndarray) -> np.ndarray:
    """Return the rows of the items to show, by how many had each: two thirds of those that anybody had.

    At least 50, if there are so many; the best known first.
    """
    wanted = max(int((counts > 0).sum()) * 2 // 3, min(len(counts), 50))
    return np.argsort(-counts, kind="stable")[:wanted]


def item_plane(model: Factors) -> np.ndarray:
    """Return the items' two principal coordinates, shape (items, 2); the axes' signs are fixed.

    They are the first two principal components of the item vectors, each item counted by how often it was rated.
    """
    weights = counts_of(model.seen.indices, model.n_items).astype(np.float64)
    weights = weights if weights.any() else np.ones(model.n_items)
    vectors = model.item_vectors.astype(np.float64)
    centred = vectors - np.average(vectors, axis=0, weights=weights)
    values, axes = np.linalg.eigh((centred * weights[:, None]).T @ centred / weights.sum())
    top = axes[:, np.argsort(values)[::-1][:2]]
    top = top * np.sign(top[np.abs(top).argmax(axis=0), np.arange(top.shape[1])])
    plane = centred @ top
    return plane if plane.shape[1] == 2 else np.column_stack([plane[:, 0], np.zeros(len(plane))])


def names_of(model: Factors, rows: np.ndarray) -> list[str]:
    """Return the titles of some items, and the ids of those that have none."""
    titles = None if model.metadata.titles is None else model.metadata.titles.gather(rows)
    ids = [str(identifier) for identifier in model.items.take(rows)]
    return ids if titles is None else [title or name for title, name in zip(titles, ids, strict=True)]
