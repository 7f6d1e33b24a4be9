"""The embedding model of the article as a real ``keras.Model``: rows in, scores out.

The weights are two tables of vectors, and with biases two tables of one number a row. Nothing here trains; see
`cofactor.solvers.keras_mf`.
"""

import importlib.util
import os
import re
import sys
from collections.abc import Collection
from typing import Any

import numpy as np

from cofactor.errors import SettingError, missing_extra
from cofactor.model.factors import Factors, needs_every_draw

if "keras" not in sys.modules:  # whoever has imported keras already has chosen the backend
    _installed = (name for name in ("jax", "tensorflow", "torch") if importlib.util.find_spec(name))
    os.environ.setdefault("KERAS_BACKEND", next(_installed, "jax"))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow greets with a page of notices otherwise
if _pretended := re.search(r"xla_force_host_platform_device_count=(\d+)", os.environ.get("XLA_FLAGS", "")):
    # One processor plays several devices: with a thread for each core, XLA's devices wait for one another for ever.
    os.environ.setdefault("NPROC", str(16 * int(_pretended[1])))
try:
    import keras
except ImportError as error:
    raise missing_extra("keras", "keras") from error

__all__ = ["RowDecay", "keras", "keras_model", "network_from"]


@keras.saving.register_keras_serializable("cofactor")
class RowDecay(keras.layers.Layer):
    """Add the squared norm of a batch's own rows to the loss, each weighted by a number of its row.

    Rows that are drawn elsewhere than to zero, to ``means``, add their squared distance from there.

    Keras's ``embeddings_regularizer`` shrinks the whole table at every step, however rarely a row is used; this
    touches the rows of the batch alone, so that a row's penalty over an epoch grows with how often it occurs.

    Parameters
    ----------
    rows : int
        How many rows the table has.
    strength : float
        Factor of the penalty.
    drawn : int
        Length of rows that are drawn to ``means``; 0 where all are drawn to zero.
    """

    def __init__(self, rows: int, strength: float, drawn: int = 0, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.rows = rows
        self.strength = strength
        self.drawn = drawn
        if drawn:
            self.means = self.add_weight(
                shape=(rows, drawn), initializer="zeros", trainable=False, name="means", dtype="float32"
            )
        self.row_weights = self.add_weight(
            shape=(rows,), initializer="ones", trainable=False, name="row_weights", dtype="float32"
        )

    def call(self, row: Any, vectors: Any) -> Any:
        """Return ``vectors``, shape (batch, rank), as they are, having added their penalty."""
        rows = keras.ops.reshape(row, (-1,))
        weights = keras.ops.take(self.row_weights, rows)
        away = vectors - keras.ops.take(self.means, rows, axis=0) if self.drawn else vectors
        self.add_loss(self.strength * keras.ops.mean(weights * keras.ops.sum(keras.ops.square(away), axis=-1)))
        return vectors

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return super().get_config() | {"rows": self.rows, "strength": self.strength, "drawn": self.drawn}


def keras_model(
    n_users: int,
    n_items: int,
    rank: int = 20,
    *,
    biases: bool = True,
    mean: float = 0.0,
    spread: float = 1.0,
    regularization: float = 0.0,
    bias_regularization: float = 0.0,
    non_negative: bool = False,
    drawn: Collection[str] = (),
    spare_rows: int = 1,
    row_multiple: int = 1,
    seed: int = 0,
) -> "keras.Model":
    """Build the embedding model: the dot product of a user's and an item's vector, and perhaps biases.

    Parameters
    ----------
    n_users, n_items : int
        How many rows each side has.
    rank : int
        Length of a vector (the article's "latent factors").
    biases : bool
        Whether to learn one number for each user and item besides.
    mean, spread : float
        The score is ``mean + spread * (dot product + biases)``.
    regularization, bias_regularization : float
        Decay of the vectors and biases of the rows in a batch; 0 adds no layer.
    non_negative : bool
        Whether vectors are kept from having negative entries.
    drawn : collection of str
        The sides, "user" and "item", whose decay is to what their layers of decay hold as ``means``.
    spare_rows : int
        Rows beyond ``n_users`` and ``n_items`` in each table, as the article has one.
    row_multiple : int
        Each table has a multiple of so many rows, so that as many devices can share it evenly.
    seed : int
        Seed of the initial vectors.

    Returns
    -------
    keras.Model
        Inputs ``user`` and ``item``: row numbers, shape (batch, 1). Output: shape (batch, 1). It is not compiled.

    Raises
    ------
    SettingError
        If a size is less than one, or ``spare_rows`` is negative.

    Examples
    --------
    >>> keras_model(n_users=943, n_items=1682, rank=20, biases=False).count_params()
    52540
    """
    if min(n_users, n_items, rank, spare_rows + 1) < 1:
        sizes = f"n_users={n_users}, n_items={n_items}, rank={rank}, spare_rows={spare_rows}"
        raise SettingError(f"{sizes}: each must be at least 1, and spare_rows at least 0")
    sides = []
    for place, (side, least) in enumerate((("user", n_users + spare_rows), ("item", n_items + spare_rows))):
        rows = _rounded_up(least, row_multiple)
        row = keras.layers.Input(shape=(1,), dtype="int32", name=side)
        start = _initial(non_negative, seed + place)
        pulled = side in drawn
        vector = _column(row, rows, rank, f"{side}_vectors", start, regularization, non_negative, pulled)
        bias = _column(row, rows, 1, f"{side}_bias", "zeros", bias_regularization, False, pulled) if biases else None
        sides.append((row, vector, bias))
    (user, user_vector, user_bias), (item, item_vector, item_bias) = sides
    score = keras.layers.Dot(axes=1, name="dot_product")([user_vector, item_vector])
    if biases:
        score = keras.layers.Add(name="add_biases")([score, user_bias, item_bias])
    if mean or spread != 1:
        score = keras.layers.Rescaling(scale=spread, offset=mean, name="to_ratings")(score)
    return keras.Model([user, item], score, name="matrix_factorization")


def ranking_network(
    n_users: int,
    n_items: int,
    rank: int = 20,
    *,
    negatives: int | None = None,
    group: int = 1,
    cosine: bool = False,
    item_bias: bool = True,
    regularization: float = 0.0,
    bias_regularization: float = 0.0,
    non_negative: bool = False,
    drawn: Collection[str] = (),
    row_multiple: int = 1,
    seed: int = 0,
) -> "keras.Model":
    """Build the embedding model as it is trained to rank: a positive's score beside those of its negatives.

    Parameters
    ----------
    n_users, n_items, rank, regularization, bias_regularization, non_negative, drawn, row_multiple, seed
        As in `keras_model`.
    negatives : int, optional
        How many negatives each positive brings along; without it, the items of a group are each other's negatives.
    group : int
        Positives in a group; a batch holds whole groups. Sums over a whole batch would depend on the number of
        threads, for the product's kernels cut long sums among them; those of a few hundred they leave whole.
    cosine : bool
        Whether vectors are scaled to length 1 first.
    item_bias : bool
        Whether to learn one number for each item besides.

    Returns
    -------
    keras.Model
        Inputs ``user`` and ``item``, shape (batch, 1), and perhaps ``negatives``, shape (batch, negatives). Output:
        shape (batch, 1 + negatives), or (batch, 1 + group). Tables are called as in `keras_model`.
    """
    user, item = (keras.layers.Input(shape=(1,), dtype="int32", name=side) for side in ("user", "item"))
    scaled = keras.layers.UnitNormalization(axis=-1, name="cosine") if cosine else lambda vectors: vectors
    starts = [_initial(non_negative, seed + place) for place in (0, 1)]
    user_rows, item_rows = (_rounded_up(n + 1, row_multiple) for n in (n_users, n_items))
    users = _table(user_rows, rank, "user_vectors", starts[0], non_negative)
    items = _table(item_rows, rank, "item_vectors", starts[1], non_negative)
    biases = _table(item_rows, 1, "item_bias", "zeros", False) if item_bias else None
    user_vector = scaled(_entry(user, users, regularization, "user" in drawn))
    item_vector = scaled(_entry(item, items, regularization, "item" in drawn))
    bias = _entry(item, biases, bias_regularization, "item" in drawn) if biases else None
    positive = keras.layers.Dot(axes=1, name="positive_score")([user_vector, item_vector])
    if negatives is None:
        inputs = [user, item]
        scores = _in_groups(user_vector, item_vector, group)
        others = None if bias is None else _in_groups(keras.ops.ones_like(bias), bias, group)
    else:
        drawn = keras.layers.Input(shape=(negatives,), dtype="int32", name="negatives")
        inputs = [user, item, drawn]
        scores = keras.layers.Dot(axes=(1, 2), name="negative_scores")([user_vector, scaled(items(drawn))])
        others = None if biases is None else keras.ops.squeeze(biases(drawn), -1)
    if bias is not None:
        positive, scores = positive + bias, scores + others
    return keras.Model(inputs, keras.ops.concatenate([positive, scores], axis=-1), name="ranking")


def _in_groups(users: Any, items: Any, group: int) -> Any:
    """Multiply each user's row with all items' rows of its group: (batch, rank) twice to (batch, group)."""
    users, items = (keras.ops.reshape(side, (-1, group, side.shape[-1])) for side in (users, items))
    return keras.ops.reshape(keras.ops.matmul(users, keras.ops.transpose(items, (0, 2, 1))), (-1, group))


def _rounded_up(rows: int, multiple: int) -> int:
    return -(-rows // multiple) * multiple


def _initial(non_negative: bool, seed: int) -> Any:
    if non_negative:
        return keras.initializers.RandomUniform(0.0, 0.2, seed=seed)
    return keras.initializers.RandomNormal(0.0, 0.1, seed=seed)


def _column(
    row: Any, rows: int, width: int, name: str, start: Any, decay: float, non_negative: bool, drawn: bool
) -> Any:
    """Look up one table: (batch, 1) row numbers to (batch, width)."""
    return _entry(row, _table(rows, width, name, start, non_negative), decay, drawn)


def _table(rows: int, width: int, name: str, start: Any, non_negative: bool) -> Any:
    keep_sign = keras.constraints.NonNeg() if non_negative else None
    return keras.layers.Embedding(rows, width, embeddings_initializer=start, embeddings_constraint=keep_sign, name=name)


def _entry(row: Any, table: Any, decay: float, drawn: bool) -> Any:
    """Look up a table: (batch, 1) row numbers to (batch, width), their penalty added to the loss."""
    entry = keras.layers.Flatten(name=f"{table.name}_flat")(table(row))
    if not decay:
        return entry
    return RowDecay(table.input_dim, decay, table.output_dim if drawn else 0, name=f"{table.name}_decay")(row, entry)


def network_from(model: Factors) -> "keras.Model":
    """Return a ``keras.Model`` with a trained model's weights; it gives the scores of `Factors.score_rows`.

    Raises
    ------
    SettingError
        If scores are no products of vectors, or there are no users, items or vectors.
    """
    if needs_every_draw(model):
        raise SettingError(
            "scores with likelihood='probit' are no products of vectors, as a keras.Model has them: "
            "train with likelihood='gaussian'"
        )
    biased = model.user_bias is not None or model.item_bias is not None
    columns = model.user_vectors.shape[1]  # of a posterior, all draws side by side
    network = keras_model(model.n_users, model.n_items, columns, biases=biased, mean=model.mean, spare_rows=0)
    for side in ("user", "item"):
        network.get_layer(f"{side}_vectors").set_weights([getattr(model, f"{side}_vectors")])
        if biased:
            bias = getattr(model, f"{side}_bias")
            rows = getattr(model, f"{side}_vectors").shape[0]
            bias = np.zeros(rows, np.float32) if bias is None else bias
            network.get_layer(f"{side}_bias").set_weights([bias.reshape(-1, 1)])
    return network
