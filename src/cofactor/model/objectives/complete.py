"""Squared error over all pairs, unobserved ones counting as 0: the objective of `PureSVD`, and of `Popularity`."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from cofactor.model.objectives.objective import Objective, Parameters, Placed, Side, Toward, other_side

__all__ = ["Complete"]


@dataclass(frozen=True, kw_only=True)
class Complete(Objective):
    """Squared error over all pairs, those that were not observed counting as 0.

    A bias, where there is one, is the share of a row's pairs that were observed.
    """

    kind: ClassVar[str] = "complete"

    def place(self, parameters: Parameters, rows: sparse.csr_array, side: Side, toward: Toward | None = None) -> Placed:
        """Project rows, zeros included, on the other side's vectors; see `Objective.place`."""
        fixed = parameters.vectors(other_side(side)).astype(np.float64)
        vectors = (rows @ fixed @ np.linalg.pinv(fixed.T @ fixed)).astype(np.float32)
        if parameters.bias(side) is None:
            return Placed(vectors)
        shares = np.diff(rows.indptr) / max(rows.shape[1], 1)  # of all that could have chosen it: popularity
        return Placed(vectors, shares.astype(np.float32))

    def shares(
        self,
        parameters: Parameters,
        met: np.ndarray,
        values: np.ndarray,
        user_row: int,
        item_rows: np.ndarray,
        toward: Toward | None = None,
    ) -> np.ndarray:
        """Split scores, which are sums over the user's values; see `Objective.shares`."""
        wide = parameters.item_vectors.astype(np.float64)
        found: np.ndarray = values[:, None] * (wide[met] @ (np.linalg.pinv(wide.T @ wide) @ wide[item_rows].T))
        return found
