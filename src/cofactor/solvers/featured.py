"""Settings for what items and users are, which solvers share that draw vectors to what attributes say of them.

The vectors of a side are rows of a table here; where rows have biases, these are the table's last column, and drawn to
what attributes say as well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.features import Encoder, names_of
from cofactor.data.interactions import Interactions
from cofactor.model.least_squares import Equations
from cofactor.model.objectives import Side
from cofactor.model.side_features import RIDGE, Features, Floats, SideFeatures, regressed

__all__ = ["Attributes", "Featured", "attributes_of", "drawn", "features_of"]


_LARGEST_SHARE = 0.06
"""The most that the ridge weighs, as a share of what all rows weigh: in a small table no value would say anything."""


@dataclass(frozen=True, kw_only=True)
class Featured:
    """Which attributes of items and users say something about their vectors.

    Parameters
    ----------
    item_features, user_features : tuple of str
        Columns of the tables of attributes, such as ``("genres", "year")``; see `Interactions.with_items`.
    """

    item_features: tuple[str, ...] = ()
    user_features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("item_features", "user_features"):
            object.__setattr__(self, name, names_of(getattr(self, name), name))


@dataclass(frozen=True, eq=False)
class Attributes:
    """What is known of the rows of one side in training.

    Parameters
    ----------
    encoder : Encoder
    design : scipy.sparse.csr_array, shape (rows, columns)
        The encoded attributes.
    strengths : numpy.ndarray of float32, shape (rows,)
        The scale of each row's penalty; 0 for rows without ratings, from which nothing can be learnt.
    ridge : float
        Weight of the squares of ``B``, in units of a row's penalty; less in small tables.
    """

    encoder: Encoder
    design: sparse.csr_array
    strengths: Floats
    ridge: float = RIDGE

    @classmethod
    def of(
        cls,
        side: Side,
        names: Sequence[str],
        table: pl.DataFrame,
        counts: np.ndarray,
        scales: Floats,
        ridge: float = RIDGE,
    ) -> "Attributes":
        """Encode some columns of a side's table.

        Raises
        ------
        DataError
            If a column is not there, or says nothing; see `Encoder.of`.
        """
        encoder = Encoder.of(table, names, side)
        strengths = np.where(counts > 0, scales, 0).astype(np.float32)
        most = _LARGEST_SHARE * float(strengths.sum(dtype=np.float64))
        return cls(encoder, encoder.encode(table), strengths, min(ridge, max(most, RIDGE)))

    def weights(self, vectors: Floats) -> Floats:
        """Return the regression of vectors on attributes."""
        return regressed(self.design, vectors, self.strengths, self.ridge)

    def drawing(self, system: Equations, vectors: Floats) -> Equations:
        """Return equations that draw rows to what their attributes say, by the vectors so far, instead of to zero."""
        pull = self.strengths[:, None] * (self.design @ self.weights(vectors)) * system.penalty
        return replace(system, prior=(system.prior + pull).astype(np.float32))

    def learnt(self, vectors: Floats) -> Floats:
        """Put in place the vectors of rows without ratings, which are what their attributes say; return all."""
        new = np.flatnonzero(self.strengths == 0)
        if len(new):
            vectors[new] = self.design[new] @ self.weights(vectors)
        return vectors

    def penalty(self, vectors: Floats, penalty: Floats) -> float:
        """Return what the loss adds to the vectors' own penalty, given that of each coordinate's square."""
        weights = self.weights(vectors)
        means = self.design @ weights
        cross = np.einsum("if,if,i->f", means, means - 2 * vectors, self.strengths, dtype=np.float64)
        return float((cross + self.ridge * np.square(weights, dtype=np.float64).sum(axis=0)) @ penalty)


def attributes_of(
    solver: Featured,
    train: Interactions,
    counts: Mapping[Side, np.ndarray],
    scale: Callable[[np.ndarray], Floats],
    *,
    ridge: float = RIDGE,
) -> Mapping[Side, Attributes]:
    """Return the attributes that a solver is told to heed, by side.

    Parameters
    ----------
    solver : Featured
    train : Interactions
    counts : mapping of side to numpy.ndarray of int
        How many ratings each row learns from.
    scale : callable
        From numbers of ratings to the scales of rows' penalties.
    ridge : float
        Weight of the squares of ``B``, in units of a row's penalty.

    Raises
    ------
    DataError
        If a column is not there, or says nothing; see `Encoder.of`.
    """
    asked: Mapping[Side, tuple[tuple[str, ...], Callable[[], pl.DataFrame]]] = {
        "user": (solver.user_features, lambda: train.user_table),
        "item": (solver.item_features, lambda: train.item_table),
    }
    return {
        side: Attributes.of(side, names, table(), counts[side], scale(counts[side]), ridge)
        for side, (names, table) in asked.items()
        if names
    }


def drawn(system: Equations, attributes: Mapping[Side, Attributes], side: Side, vectors: Floats) -> Equations:
    """Return a side's equations, which draw its rows to what their attributes say if these are heeded."""
    return attributes[side].drawing(system, vectors) if side in attributes else system


def features_of(attributes: Mapping[Side, Attributes], vectors: Mapping[Side, Floats]) -> Features:
    """Return what a model keeps, to place others by their attributes."""
    return {side: SideFeatures(one.encoder, one.weights(vectors[side])) for side, one in attributes.items()}
