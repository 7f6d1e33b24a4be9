"""MLlib's alternating least squares on frames of any size, from raw ids to vectors, without its usual pitfalls.

Row numbers are dense 32-bit integers whatever the ids are. Every table that is used twice is written to files first, so
that a repeated task sees the same rows in the same order. Checkpoints are enabled.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cofactor.errors import DataError
from cofactor.solvers.base import unit_of_ratings
from cofactor.spark.indexing import index_ids
from cofactor.spark.reading import Layout, frozen

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

__all__ = ["Learnt", "Recipe", "learn"]

_BIAS_ROUNDS = 2


@dataclass(frozen=True)
class Recipe:
    """Settings of MLlib, which is given ratings in units of their spread; confidences as they are."""

    rank: int
    epochs: int
    regularization: float
    bias_regularization: float | None
    alpha: float | None
    partitions: int
    checkpoint_every: int
    seed: int


@dataclass(frozen=True)
class Learnt:
    """What was learnt, as frames.

    Parameters
    ----------
    users, items : pyspark.sql.DataFrame
        Columns id, row, vector (32-bit floats), and bias where there are biases.
    seen : pyspark.sql.DataFrame
        Columns user_row, item_row, value.
    mean : float
    spread : float
        The unit that ratings are learnt in, their standard deviation; 1 for implicit feedback.
    scale : tuple of float
        The least and the greatest value.
    n_users, n_items, n_seen : int
    """

    users: "DataFrame"
    items: "DataFrame"
    seen: "DataFrame"
    mean: float
    spread: float
    scale: tuple[float, float]
    n_users: int
    n_items: int
    n_seen: int


@dataclass(frozen=True)
class _Summary:
    count: int
    mean: float
    spread: float
    low: float
    high: float


def learn(table: "DataFrame", recipe: Recipe, layout: Layout, folder: str) -> Learnt:
    """Learn vectors for every user and item of a table.

    Parameters
    ----------
    table : pyspark.sql.DataFrame
        Columns user, item, value, perhaps time, as `cofactor.spark.reading.open_table` makes them.
    recipe : Recipe
    layout : Layout
        How duplicates and bad rows are treated.
    folder : str
        The URL of a folder for intermediate results, which the frames that are returned are read from.

    Raises
    ------
    DataError
        If there is nothing to learn from, or it cannot be used as it is.
    """
    from pyspark.sql import functions as f

    rows = frozen(table, f"{folder}/table", layout)
    users, n_users = index_ids(rows.select(f.col("user").alias("id")), f"{folder}/user-ids", "user")
    items, n_items = index_ids(rows.select(f.col("item").alias("id")), f"{folder}/item-ids", "item")
    seen = _seen(rows, users, items, recipe, layout, f"{folder}/seen")
    summary = _checked(seen, recipe, layout)
    mean, user_bias, item_bias = 0.0, None, None
    rated = seen.select("user_row", "item_row", "value")
    if recipe.bias_regularization is not None:
        mean = summary.mean
        user_bias, item_bias = _biases(rated, mean, recipe.bias_regularization, folder)
        rated = _without_biases(rated, mean, user_bias, item_bias)
    standardized = rated.withColumn("value", (f.col("value") / summary.spread).cast("float"))
    model = _estimator(recipe).fit(_frozen(standardized, f"{folder}/residuals"))
    return Learnt(
        _with_vectors(users, model.userFactors, user_bias, summary.spread),
        _with_vectors(items, model.itemFactors, item_bias, summary.spread),
        seen.select("user_row", "item_row", "value"),
        mean,
        summary.spread,
        (summary.low, summary.high),
        n_users,
        n_items,
        summary.count,
    )


def _seen(
    rows: "DataFrame", users: "DataFrame", items: "DataFrame", recipe: Recipe, layout: Layout, folder: str
) -> "DataFrame":
    """Return each pair once, by row numbers, sorted and written to files: user_row, item_row, value, conflict."""
    from pyspark.sql import functions as f

    keyed = (
        rows.join(users.select(f.col("id").alias("user"), f.col("row").alias("user_row")), "user")
        .join(items.select(f.col("id").alias("item"), f.col("row").alias("item_row")), "item")
        .groupBy("user_row", "item_row")
    )
    once = keyed.agg(_kept_value(layout).cast("float").alias("value"), _conflict(layout).alias("conflict"))
    placed = once.repartition(recipe.partitions, "user_row").sortWithinPartitions("user_row", "item_row")
    return _frozen(placed, folder)


def _kept_value(layout: Layout) -> "Column":
    from pyspark.sql import functions as f

    if layout.duplicates in ("sum", "mean"):
        exact = f.sort_array(f.collect_list("value"))  # added in one order, whatever the partitions
        total = f.aggregate(exact, f.lit(0.0), lambda so_far, value: so_far + value)
        return total if layout.duplicates == "sum" else total / f.size(exact)
    if layout.time is None:
        return f.max("value")
    best = f.max if layout.duplicates == "last" else f.min
    return best(f.struct("time", "value"))["value"]


def _conflict(layout: Layout) -> "Column":
    """Return whether a pair is repeated and the layout does not say which value to keep."""
    from pyspark.sql import functions as f

    if layout.duplicates == "error":
        return f.count("*") > 1
    undecided = layout.time is None and layout.duplicates in ("first", "last")
    return f.min("value") != f.max("value") if undecided else f.lit(False)


def _checked(seen: "DataFrame", recipe: Recipe, layout: Layout) -> _Summary:
    from pyspark.sql import functions as f

    row = seen.agg(
        f.count("*").alias("count"),
        f.avg("value").alias("mean"),
        f.stddev_pop("value").alias("deviation"),
        f.min("value").alias("low"),
        f.max("value").alias("high"),
        f.sum(f.col("conflict").cast("long")).alias("conflicts"),
    ).collect()[0]
    if row["conflicts"] and layout.duplicates == "error":
        raise DataError(
            f"{row['conflicts']:,} pairs of a user and an item are repeated: "
            "choose how to combine them with duplicates 'last', 'first', 'sum' or 'mean'"
        )
    if row["conflicts"]:
        raise DataError(
            f"{row['conflicts']:,} pairs of a user and an item are repeated with different values, and no time "
            f"says which is the {layout.duplicates}: name a time column, or choose duplicates 'sum' or 'mean'"
        )
    if recipe.alpha is not None and row["low"] < 0:
        raise DataError("a value is negative, but values are confidences here: leave such rows out")
    spread = 1.0 if recipe.alpha is not None else unit_of_ratings(row["mean"], row["deviation"])
    spread = float(np.float32(spread))  # its last digits depend on the order in which Spark adds the parts
    return _Summary(row["count"], row["mean"], spread, row["low"], row["high"])


def _biases(rated: "DataFrame", mean: float, regularization: float, folder: str) -> "tuple[DataFrame, DataFrame]":
    """Return the biases that explain ratings best without vectors: frames of row and bias, by alternation."""
    from pyspark.sql import functions as f

    none = f.lit(0.0)
    users = rated.select(f.col("user_row").alias("row")).distinct().withColumn("bias", none)
    items = users
    for turn in range(_BIAS_ROUNDS):
        items = _bias(rated, "item", "user", users, mean, regularization, f"{folder}/item-bias-{turn}")
        users = _bias(rated, "user", "item", items, mean, regularization, f"{folder}/user-bias-{turn}")
    return users, items


def _bias(
    rated: "DataFrame", side: str, other: str, known: "DataFrame", mean: float, regularization: float, folder: str
) -> "DataFrame":
    from pyspark.sql import functions as f

    joined = rated.join(known.withColumnRenamed("row", f"{other}_row"), f"{other}_row")
    left = f.avg(f.col("value") - mean - f.col("bias")) / (1 + regularization)
    found = joined.groupBy(f.col(f"{side}_row").alias("row")).agg(left.cast("float").alias("bias"))
    return _frozen(found, folder)


def _without_biases(rated: "DataFrame", mean: float, users: "DataFrame", items: "DataFrame") -> "DataFrame":
    from pyspark.sql import functions as f

    of_users = users.select(f.col("row").alias("user_row"), f.col("bias").alias("user_bias"))
    of_items = items.select(f.col("row").alias("item_row"), f.col("bias").alias("item_bias"))
    left = f.col("value") - mean - f.col("user_bias") - f.col("item_bias")
    return (
        rated.join(of_users, "user_row")
        .join(of_items, "item_row")
        .select("user_row", "item_row", left.cast("float").alias("value"))
    )


def _estimator(recipe: Recipe) -> Any:
    from pyspark.ml.recommendation import ALS

    return ALS(
        rank=recipe.rank,
        maxIter=recipe.epochs,
        regParam=recipe.regularization,
        numUserBlocks=recipe.partitions,
        numItemBlocks=recipe.partitions,
        implicitPrefs=recipe.alpha is not None,
        alpha=1.0 if recipe.alpha is None else recipe.alpha,
        userCol="user_row",
        itemCol="item_row",
        ratingCol="value",
        checkpointInterval=recipe.checkpoint_every,
        seed=recipe.seed,
    )


def _with_vectors(ids: "DataFrame", factors: "DataFrame", biases: "DataFrame | None", spread: float) -> "DataFrame":
    from pyspark.sql import functions as f

    entries = f.transform("features", lambda entry: (entry * spread**0.5).cast("float"))
    vectors = factors.select(f.col("id").alias("row"), entries.alias("vector"))
    joined = ids.join(vectors, "row")
    joined = joined if biases is None else joined.join(biases, "row")
    return joined.select("id", "row", "vector", *([] if biases is None else ["bias"]))


def _frozen(frame: "DataFrame", folder: str) -> "DataFrame":
    """Write a frame to files and read it from there, so that a retry after a lost executor gives the same rows."""
    frame.write.parquet(folder)
    return frame.sparkSession.read.parquet(folder)
