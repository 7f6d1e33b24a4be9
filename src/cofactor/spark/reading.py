"""Tables by URL → a frame of user, item, value and time, cleaned and written to files before training."""

import os
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

from cofactor.data.arguments import check_choice
from cofactor.errors import DataError
from cofactor.model.folder import ATTRIBUTE, PLAIN_ATTRIBUTES
from cofactor.spark import hadoop_files

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

__all__ = ["Layout", "Source", "attribute_table", "check_choices", "frozen", "open_table", "with_attributes"]

Source = Any
"""A URL or path of Parquet or text files, or a Spark DataFrame."""

_PARQUET = (".parquet", ".pq")
_TEXT = (".csv", ".tsv", ".txt", ".data", ".csv.gz", ".tsv.gz", ".txt.gz", ".csv.bz2", ".csv.zst")
_INTEGERS = ("tinyint", "smallint", "int", "bigint")
_KEPT = (*_INTEGERS, "string", "boolean", "float", "double", "date", "timestamp", "timestamp_ntz")


@dataclass(frozen=True)
class Layout:
    """The columns of a table, and how its duplicates and bad rows are treated.

    Parameters
    ----------
    user, item : str
        Names of the columns with the ids.
    value : str or None
        Name of the column with ratings or counts; None where every row counts 1.
    time : str or None
        Name of a column of numbers or dates that says which of two equal pairs came last.
    separator : str or None
        Between the columns of a text file; tabs for ``.tsv``, else commas, where not given.
    ids : {"str", "int"}
        What strings are read as; integers of Parquet files and frames stay integers.
    duplicates : {"last", "first", "sum", "mean", "error"}
        How repeated pairs are combined. Rows of a distributed table have no order: the first and the
        last need a ``time``, unless all values of the pair are equal.
    on_bad_rows : {"error", "skip"}
        How rows without an id or a finite number are treated.
    """

    user: str = "user"
    item: str = "item"
    value: str | None = "value"
    time: str | None = None
    separator: str | None = None
    ids: Literal["str", "int"] = "str"
    duplicates: Literal["last", "first", "sum", "mean", "error"] = "last"
    on_bad_rows: Literal["error", "skip"] = "error"

    def columns(self) -> dict[str, str]:
        """Return the wanted columns by what they are for."""
        roles = {"user": self.user, "item": self.item, "value": self.value, "time": self.time}
        return {role: name for role, name in roles.items() if name is not None}


def open_table(spark: "SparkSession", source: Source, layout: Layout) -> "DataFrame":
    """Return the frame of a source with the columns user, item, value and perhaps time; nothing is read yet.

    Raises
    ------
    DataError
        If there is nothing, a column is missing, or ids are neither strings nor integers.
    """
    frame = source if hasattr(source, "sparkSession") else _read(spark, source, layout.separator)
    _check_columns(frame, layout, source)
    chosen = frame.select([frame[name].alias(role) for role, name in layout.columns().items()])
    return _typed(chosen, layout)


def _read(
    spark: "SparkSession", source: str | PathLike[str], separator: str | None, *, typed_but: str | None = None
) -> "DataFrame":
    from pyspark.sql.types import StringType

    url = hadoop_files.url_of(source)
    if not hadoop_files.exists(spark, url):
        raise DataError(f"{source} does not exist: give the URL or path of a table")
    if url.startswith("file:") and not os.access(url.removeprefix("file://"), os.R_OK):
        raise DataError(f"{source} cannot be read: permission denied")
    if _is_parquet(spark, url):
        return spark.read.parquet(url)
    between = separator or ("\t" if ".tsv" in url.rpartition("/")[2] else ",")
    reader = spark.read.options(sep=between, header=True, escape='"', mode="PERMISSIVE")
    if typed_but is None:
        return reader.csv(url)
    found = reader.option("inferSchema", True).csv(url).schema
    for column in found.fields:
        if column.name == typed_but:  # ids stay as they are spelt
            column.dataType = StringType()
    return reader.schema(found).csv(url)


def attribute_table(spark: "SparkSession", source: Source, side: str) -> "DataFrame":
    """Return what a table knows of items or users, under the names that a model folder has: id, and attributes.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession
    source : str, path or pyspark.sql.DataFrame
        Numbers and dates in text files are recognized.
    side : {"item", "user"}
        Also the name of the column with the ids.

    Raises
    ------
    DataError
        If there is no such column, an id comes twice, or a column is of a type that cannot be kept.
    """
    from pyspark.sql import functions as f

    frame = source if hasattr(source, "sparkSession") else _read(spark, source, None, typed_but=side)
    if side not in frame.columns:
        there = ", ".join(map(repr, frame.columns[:20]))
        raise DataError(f"the table of {side}s has no column {side!r}, but {there}: rename the one of their ids")
    repeated = frame.groupBy(side).count().filter("count > 1").first()
    if repeated is not None:
        raise DataError(f"{side} {repeated[0]!r} has several rows in the table of {side}s: give each {side} once")
    chosen = [f.col(side).alias("id")]
    for name, kind in frame.dtypes:
        if name != side:
            chosen.append(_attribute(name, kind).alias(name if name in PLAIN_ATTRIBUTES else ATTRIBUTE + name))
    return frame.filter(f.col(side).isNotNull()).select(chosen)


def _attribute(name: str, kind: str) -> "Column":
    from pyspark.sql import functions as f

    column = f.col(f"`{name.replace('`', '``')}`")
    if kind.startswith("decimal"):
        return column.cast("double")
    if kind in ("float", "double"):
        return f.when(~f.isnan(column), column)
    if kind.removeprefix("array<").removesuffix(">") not in _KEPT:
        raise DataError(f"the column {name!r} is of type {kind}, which cannot be kept: convert it, or leave it out")
    return column


def with_attributes(learnt: "DataFrame", known: "DataFrame") -> "DataFrame":
    """Return what was learnt of one side with what is known of it, by id."""
    kinds = dict(learnt.dtypes)["id"], dict(known.dtypes)["id"]
    if kinds[1] == "string" and kinds[0] in _INTEGERS:  # as in a text file
        known = known.withColumn("id", known["id"].try_cast("bigint"))
    elif (kinds[0] == "string") != (kinds[1] == "string"):
        raise DataError(f"the table has ids of type {kinds[1]}, and those of the data are {kinds[0]}: convert them")
    return learnt.join(known, "id", "left")


def _is_parquet(spark: "SparkSession", url: str) -> bool:
    if url.endswith(_PARQUET):
        return True
    names = [name for name in hadoop_files.names_in(spark, url) if name[0] not in "._"]
    if not names:
        return False
    if any(name.endswith(_TEXT) for name in names):
        return False
    return any(name.endswith(_PARQUET) or "=" in name for name in names)


def _check_columns(frame: "DataFrame", layout: Layout, source: Source) -> None:
    missing = [(role, name) for role, name in layout.columns().items() if name not in frame.columns]
    if not missing:
        return
    where = source if isinstance(source, str | PathLike) else "the frame"
    if not frame.columns:
        raise DataError(f"{where} is empty: it needs at least one row")
    role, name = missing[0]
    there = ", ".join(map(repr, frame.columns[:20]))
    remedy = f"name it with Layout({role}=…) or --{role}-column"
    remedy += " (None, or none, where there is none)" if role == "value" else ""
    raise DataError(f"{where} has no column {name!r}, but {there}: {remedy}")


def _typed(frame: "DataFrame", layout: Layout) -> "DataFrame":
    from pyspark.sql import functions as f

    kinds = dict(frame.dtypes)
    chosen = [_id(frame, role, kinds[role], layout.ids == "int") for role in ("user", "item")]
    value = f.lit(1.0) if layout.value is None else f.col("value").try_cast("double")
    chosen.append(value.alias("value"))
    if layout.time is not None:
        chosen.append(_moment(kinds["time"]).alias("time"))
    return frame.select(chosen)


def _id(frame: "DataFrame", role: str, kind: str, numeric: bool) -> "Column":
    from pyspark.sql import functions as f

    if numeric:
        return f.col(role).try_cast("bigint").alias(role)
    if kind in _INTEGERS:
        return f.col(role).cast("bigint").alias(role)
    if kind != "string":
        raise DataError(f"{role} ids of type {kind} cannot be used: convert them to strings or integers")
    return f.col(role)


def _moment(kind: str) -> "Column":
    from pyspark.sql import functions as f

    if kind == "string":
        return f.coalesce(f.col("time").try_cast("double"), f.col("time").try_cast("timestamp").try_cast("double"))
    return f.col("time").cast("timestamp").cast("double") if kind == "date" else f.col("time").cast("double")


def frozen(table: "DataFrame", folder: str, layout: Layout) -> "DataFrame":
    """Write the valid rows of a table to a folder and read them from there, so that every later pass sees the same.

    Raises
    ------
    DataError
        If there are no rows, or bad ones that are not to be skipped.
    """
    from pyspark.sql import functions as f

    sound = f.col("user").isNotNull() & f.col("item").isNotNull() & _finite("value")
    if layout.time is not None:
        sound = sound & _finite("time")
    table.withColumn("sound", sound).write.parquet(folder)
    kept = table.sparkSession.read.parquet(folder)
    if layout.on_bad_rows == "error":
        _refuse_bad(kept.filter(~f.col("sound")).drop("sound"))
    return kept.filter("sound").drop("sound")


def _finite(name: str) -> "Column":
    from pyspark.sql import functions as f

    column = f.col(name)
    return column.isNotNull() & ~f.isnan(column) & (f.abs(column) < float("inf"))


def _refuse_bad(bad: "DataFrame") -> None:
    first = bad.limit(1).collect()
    if first:
        shown = ", ".join(f"{name} {value!r}" for name, value in first[0].asDict().items())
        raise DataError(
            f"{bad.count():,} rows have no id or no finite number, such as {shown}: "
            "correct them, or leave them out with on_bad_rows='skip' (--on-bad-rows skip)"
        )


def check_choices(layout: Layout) -> None:
    """Refuse unknown choices.

    Raises
    ------
    SettingError
        Naming the choice.
    """
    allowed = {
        "ids": ("str", "int"),
        "duplicates": ("last", "first", "sum", "mean", "error"),
        "on_bad_rows": ("error", "skip"),
    }
    for name, choices in allowed.items():
        check_choice(name, getattr(layout, name), choices)
