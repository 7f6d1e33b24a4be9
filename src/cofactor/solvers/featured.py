"""Settings for what items and users are, which solvers share that draw vectors to what attributes say of them.

The vectors of a side are rows of a table here; where rows have biases, these are the table's last column, and drawn to
what attributes say as well.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.features import Encoder, names_of
from cofactor.data.interactions import Interactions
from cofactor.model.factors import Factors, evolved
from cofactor.model.least_squares import Equations
from cofactor.model.objectives import Side
from cofactor.model.side_features import Features, Floats, SideFeatures, regressed, ridge_for
from cofactor.solvers.solver_settings import Settings

__all__ = [
    "Attributes",
    "Featured",
    "Pulled",
    "attributes_of",
    "described",
    "drawn",
    "encoders_of",
    "features_of",
    "tables_of",
]


@dataclass(frozen=True, kw_only=True)
class Featured(Settings):
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
        Weight of the squares of ``B``, in the same units.
    """

    encoder: Encoder
    design: sparse.csr_array
    strengths: Floats
    ridge: float

    @classmethod
    def of(cls, encoder: Encoder, table: pl.DataFrame, counts: np.ndarray, scales: Floats) -> "Attributes":
        """Encode a side's table."""
        strengths = np.where(counts > 0, scales, 0).astype(np.float32)
        return cls(encoder, encoder.encode(table), strengths, ridge_for(strengths))

    def weights(self, vectors: Floats) -> Floats:
        """Return the regression of vectors on attributes."""
        return regressed(self.design, vectors, self.strengths, self.ridge)

    def said(self, vectors: Floats) -> Floats:
        """Return what the attributes of each row say, by the vectors so far."""
        found: Floats = self.design @ self.weights(vectors)
        return found

    def drawing(self, system: Equations, vectors: Floats) -> Equations:
        """Return equations that draw rows to what their attributes say, by the vectors so far, instead of to zero."""
        pull = self.strengths[:, None] * self.said(vectors) * system.penalty
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


def tables_of(train: Interactions) -> Mapping[Side, Callable[[], pl.DataFrame]]:
    """Return what makes the table of attributes of each side, a row for each of theirs."""
    return {"user": lambda: train.user_table, "item": lambda: train.item_table}


def encoders_of(solver: Featured, train: Interactions) -> Mapping[Side, Encoder]:
    """Return how the attributes are encoded that a solver is told to heed, by side.

    Raises
    ------
    DataError
        If a column is not there, or says nothing; see `Encoder.of`.
    """
    tables, names = tables_of(train), {"user": solver.user_features, "item": solver.item_features}
    return {side: Encoder.of(tables[side](), names[side], side) for side in tables if names[side]}


def attributes_of(
    solver: Featured,
    train: Interactions,
    counts: Mapping[Side, np.ndarray],
    scale: Callable[[np.ndarray], Floats],
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

    Raises
    ------
    DataError
        If a column is not there, or says nothing; see `Encoder.of`.
    """
    tables = tables_of(train)
    return {
        side: Attributes.of(encoder, tables[side](), counts[side], scale(counts[side]))
        for side, encoder in encoders_of(solver, train).items()
    }


def drawn(system: Equations, attributes: Mapping[Side, Attributes], side: Side, vectors: Floats) -> Equations:
    """Return a side's equations, which draw its rows to what their attributes say if these are heeded."""
    return attributes[side].drawing(system, vectors) if side in attributes else system


class Pulled:
    """A side's rows in stochastic descent, whose penalties draw them to what their attributes say.

    The steps draw rows to zero. After each epoch, what they have taken away from where a row is drawn to is added.

    Parameters
    ----------
    attributes : Attributes
        With how often an epoch touches a row as the scale of its penalty.
    rank : int
        Length of the vectors, which may be padded.
    """

    def __init__(self, attributes: Attributes, rank: int) -> None:
        self._attributes, self._rank = attributes, rank

    def after_epoch(self, vectors: Floats, bias: Floats | None, step: float) -> None:
        """Move rows in place, ``step`` being by which share one touch has shortened them."""
        said = self._attributes.design @ self._weights(vectors, bias)
        said *= -np.expm1(np.log1p(-step) * self._attributes.strengths)[:, None]
        vectors[:, : self._rank] += said[:, : self._rank]
        if bias is not None:
            bias += said[:, self._rank]

    def learnt(self, vectors: Floats, bias: Floats | None) -> SideFeatures:
        """Return what the model keeps, and put rows without pairs in place."""
        weights = self._weights(vectors, bias)
        new = np.flatnonzero(self._attributes.strengths == 0)
        said = self._attributes.design[new] @ weights
        vectors[new, : self._rank] = said[:, : self._rank]
        if bias is not None:
            bias[new] = said[:, self._rank]
        return SideFeatures(self._attributes.encoder, weights)

    def _weights(self, vectors: Floats, bias: Floats | None) -> Floats:
        own = vectors[:, : self._rank]
        return self._attributes.weights(own if bias is None else np.column_stack([own, bias]))


def pulled_by(
    solver: Any, train: Interactions, counts: Mapping[Side, np.ndarray], touches: Mapping[Side, np.ndarray]
) -> Mapping[Side, Pulled]:
    """Return what draws rows to their attributes in stochastic descent, by side.

    Parameters
    ----------
    solver : Featured
        With a rank.
    train : Interactions
    counts : mapping of side to numpy.ndarray of int
        How many pairs each row learns from.
    touches : mapping of side to numpy.ndarray
        How often an epoch moves each row that has pairs.

    Raises
    ------
    DataError
        If a column is not there, or says nothing; see `Encoder.of`.
    """
    tables = tables_of(train)
    return {
        side: Pulled(Attributes.of(encoder, tables[side](), counts[side], touches[side]), solver.rank)
        for side, encoder in encoders_of(solver, train).items()
    }


def described(model: Factors, attributes: Mapping[Side, Attributes]) -> Factors:
    """Return a trained model with what it learnt from attributes, and rows without ratings where these put them."""
    changes: dict[str, Any] = {}
    features: dict[Side, SideFeatures] = {}
    for side, one in attributes.items():
        vectors, bias = getattr(model, f"{side}_vectors"), getattr(model, f"{side}_bias")
        table = np.array(vectors) if bias is None else np.column_stack([vectors, bias])
        features[side] = SideFeatures(one.encoder, one.weights(table))
        one.learnt(table)
        if getattr(model.objective, "non_negative", False):
            np.maximum(table[:, : vectors.shape[1]], 0, out=table[:, : vectors.shape[1]])
        changes[f"{side}_vectors"] = np.ascontiguousarray(table[:, : vectors.shape[1]])
        if bias is not None:
            changes[f"{side}_bias"] = table[:, -1].copy()
    return evolved(model, features=features, **changes) if attributes else model


def features_of(attributes: Mapping[Side, Attributes], vectors: Mapping[Side, Floats]) -> Features:
    """Return what a model keeps, to place others by their attributes."""
    return {side: SideFeatures(one.encoder, one.weights(vectors[side])) for side, one in attributes.items()}
