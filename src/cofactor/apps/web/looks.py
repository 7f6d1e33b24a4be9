"""What an item looks like where there is no picture of it: a hue by its vector, so that similar items look alike."""

import numpy as np
import polars as pl

from cofactor.model.factors import Factors, attributes_of

__all__ = ["hues", "images"]

IMAGE_COLUMNS = ("image", "image_url", "cover", "poster")
"""Columns that may hold the address of a picture, the first that there is counts."""

_ADDRESS = r"^(data:image/|\.{0,2}/?[\w-][^:]*$)"


def hues(model: Factors) -> np.ndarray:
    """Return a hue for each item, from 0 to 359: the direction of its vector in the plane of the most variance.

    Items without a vector get 0.
    """
    vectors = model.item_vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    told = lengths[:, 0] > 0
    if vectors.shape[1] < 2 or not told.any():
        return np.zeros(len(vectors), dtype=np.int64)
    directions = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    directions[told] -= directions[told].mean(axis=0)
    axes = np.linalg.eigh(directions.T @ directions)[1][:, -2:]
    axes *= np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)  # an axis has no sign of its own
    plane = directions @ axes
    found = np.degrees(np.arctan2(plane[:, 1], plane[:, 0])).round().astype(np.int64) % 360
    return np.where(told, found, 0)


def images(model: Factors) -> list[str | None]:
    """Return the address of each item's picture, None where there is none that the page may show.

    The page loads nothing from other sites, so addresses are paths on this one, or ``data:image/…``.
    """
    table = attributes_of(model).table
    column = next((name for name in IMAGE_COLUMNS if name in table.columns and table[name].dtype == pl.String), None)
    if column is None:
        return [None] * model.n_items
    text = table[column].str.strip_chars()
    return pl.select(pl.when(text.str.contains(_ADDRESS)).then(text)).to_series().to_list()
