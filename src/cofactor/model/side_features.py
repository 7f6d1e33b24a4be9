"""What attributes say of vectors: where a row's vector is drawn to, before anybody's choices are known.

**Model.** ``y_i = B'g_i + free part``, with the row's encoded attributes ``g_i`` and one matrix ``B`` for a side.

**Loss.** In place of the penalty ``scale_i r |y_i|^2`` of a row, ``scale_i r |y_i - B'g_i|^2``, plus ``r ridge |B|^2``.

**Algorithm.** Before each half-step, ``B`` is the ridge regression of the side's vectors on its attributes, each row
with the weight of its penalty. A row without any rating has the vector ``B'g_i``. Of an item that came after training,
unobserved pairs aim at what its attributes say as well, and its first raters count more; see `Toward`.

References
----------
D. Agarwal, B.-C. Chen (2009), "Regression-based latent factor models".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from cofactor.data.features import Encoder, encoder_from
from cofactor.model.objectives.objective import Side

__all__ = [
    "NEW_ITEMS",
    "NO_FEATURES",
    "Features",
    "SideFeatures",
    "features_from",
    "regressed",
    "ridge_for",
    "stored",
]

Floats = npt.NDArray[np.float32]

NEW_ITEMS = "features.new_items"
"""The name of the flags that say which items came after training, among what else a model keeps."""

_ROWS, _SHARE = 50, 0.05
"""The squares of ``B`` weigh as much as so many rows, and as this share of all rows at most: a value that fewer rows
share says little. It was chosen on parts of the training data of ml-100k, for ALS, ImplicitALS, BPR and LogisticMF
alike: half and twice as much are about as good, a tenth is worse for cold items and for known ones."""


@dataclass(frozen=True, eq=False)
class SideFeatures:
    """What the attributes of one side say.

    Parameters
    ----------
    encoder : Encoder
    weights : numpy.ndarray of float32, shape (encoded columns, columns of a vector [+ draws])
        ``B``; where rows have biases, their part comes last, a column for each draw of a posterior.
    """

    encoder: Encoder
    weights: Floats

    def means(self, table: pl.DataFrame) -> Floats:
        """Return where vectors are drawn to, from the attributes of their rows: one row for each of theirs."""
        found: Floats = self.encoder.encode(table) @ self.weights
        return found

    def only_used(self, table: pl.DataFrame) -> "SideFeatures":
        """Return the same without the values that nobody in a table has."""
        used = np.diff(self.encoder.encode(table).tocsc().indptr) > 0
        kept = self.encoder.kept(used)
        return SideFeatures(self.encoder.only(kept), self.weights[kept])


Features = Mapping[Side, SideFeatures]
NO_FEATURES: Features = MappingProxyType({})


def ridge_for(strengths: npt.NDArray[np.floating[Any]]) -> float:
    """Return the weight of the squares of ``B``, from the scales of rows' penalties, 0 for rows that say nothing."""
    total, rows = float(strengths.sum(dtype=np.float64)), int(np.count_nonzero(strengths))
    return total * min(_SHARE, _ROWS / max(rows, 1))


def regressed(
    design: sparse.csr_array, vectors: Floats, weights: npt.NDArray[np.floating[Any]], ridge: float
) -> Floats:
    """Return ``B``: the ridge regression of vectors on attributes.

    Parameters
    ----------
    design : scipy.sparse.csr_array, shape (rows, columns)
    vectors : numpy.ndarray of float32, shape (rows, rank)
    weights : numpy.ndarray, shape (rows,)
        Of each row.
    ridge : float
        Weight of the squares of ``B``.
    """
    weighted = sparse.csr_array(design.multiply(weights[:, None])).astype(np.float64)
    matrix = (weighted.T @ design).toarray() + ridge * np.eye(design.shape[1])
    found: Floats = np.linalg.solve(matrix, weighted.T @ vectors.astype(np.float64)).astype(np.float32)
    return found


def stored(features: Features) -> dict[str, Any]:
    """Return the encoders as JSON can hold them, by side."""
    return {side: one.encoder.to_dict() for side, one in features.items()}


def features_from(card: Mapping[str, Any], weights: Mapping[str, Floats], columns: Mapping[str, int]) -> Features:
    """Read what `stored` wrote, given how many columns the weights of each side have.

    Raises
    ------
    KeyError, TypeError, ValueError
        Where it does not fit.
    """
    found: dict[Side, SideFeatures] = {}
    for side in ("user", "item"):
        if side in card:
            encoder = encoder_from(card[side])
            if weights[side].shape != (encoder.size, columns[side]) or not np.isfinite(weights[side]).all():
                raise ValueError(f"the weights of the {side}s' features do not fit their columns")
            found[side] = SideFeatures(encoder, weights[side])
    return MappingProxyType(found)
