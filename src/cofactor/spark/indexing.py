"""Raw ids of any type ⇄ dense rows, in Spark: no list of ids ever comes to the driver.

Rows are in the order of the ids, as in a `Vocabulary`: numerically where all are integers or spell integers, else by
their bytes. So a row depends on neither the partitions nor the order of the input, and one machine and a hundred agree.
"""

from typing import TYPE_CHECKING

from cofactor.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

__all__ = ["MOST_ROWS", "index_ids"]

MOST_ROWS = 2**31 - 1
"""MLlib's rows are 32-bit integers; the ids themselves may be anything."""

_SPELT_INTEGER = r"^(0|[1-9]\d{0,17})$"
_WITHIN_PARTITION = 2**33 - 1  # monotonically_increasing_id has the partition in the bits above


def index_ids(ids: "DataFrame", folder: str, kind: str) -> "tuple[DataFrame, int]":
    """Give every distinct id a row.

    Parameters
    ----------
    ids : pyspark.sql.DataFrame
        One column ``id`` of strings or 64-bit integers, repeated as may be, none null.
    folder : str
        The URL of a folder to keep the ids in; what is returned is read from there.
    kind : str
        ``"user"`` or ``"item"``, for errors.

    Returns
    -------
    pyspark.sql.DataFrame, int
        Columns ``id`` and ``row`` (32-bit integers from 0); how many there are.

    Raises
    ------
    DataError
        If there are none, or more than MLlib can count.
    """
    from pyspark.sql import functions as f

    place = f.monotonically_increasing_id().bitwiseAND(f.lit(_WITHIN_PARTITION))
    distinct = ids.distinct()
    numbered = distinct.sort(_order(distinct)).select("id", f.spark_partition_id().alias("part"), place.alias("place"))
    numbered.write.parquet(folder)  # to files: sorted again after a lost executor, partitions might differ
    kept = ids.sparkSession.read.parquet(folder)
    sizes = {row["part"]: row["count"] for row in kept.groupBy("part").count().collect()}
    _check_number(sum(sizes.values()), kind)
    row = (f.col("place") + _first_row(sizes)).cast("int").alias("row")
    return kept.select("id", row), sum(sizes.values())


def _check_number(n: int, kind: str) -> None:
    if not n:
        raise DataError("there are no interactions to learn from: check the table")
    if n > MOST_ROWS:
        raise DataError(f"there are {n:,} {kind}s, and Spark's ALS can count {MOST_ROWS:,}: leave out rare ones")


def _order(ids: "DataFrame") -> "Column":
    from pyspark.sql import functions as f

    if dict(ids.dtypes)["id"] == "string" and ids.filter(~f.col("id").rlike(_SPELT_INTEGER)).isEmpty():
        return f.col("id").cast("bigint")
    return f.col("id")


def _first_row(sizes: dict[int, int]) -> "Column":
    """Return, for the partition in column ``part``, the row that its first id has."""
    from pyspark.sql import functions as f

    firsts, total = [], 0
    for part in range(max(sizes) + 1):
        firsts.append(total)
        total += sizes.get(part, 0)
    return f.element_at(f.lit(firsts), f.col("part") + 1)
