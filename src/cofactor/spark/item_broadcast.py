"""The item side of a model folder, as every executor holds it: vectors, ids, titles, and what users are placed by.

Users stay where they are, in Parquet, however many there are. Items go to every executor: a catalogue of ten million
items at rank 64 takes about 3 GB there, and as much again for the index for lists.
"""

import contextlib
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.metadata import Metadata
from cofactor.data.preparation import preparation_from
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import ModelFileError, SettingError
from cofactor.lists.attributes import ItemAttributes
from cofactor.model.factors import Factors, evolved
from cofactor.model.folder import CARD, attributes_of_folder, card_from
from cofactor.model.objectives import objective_from
from cofactor.model.origin import Origin
from cofactor.spark.arrow import pa
from cofactor.spark.batches import vectors_of

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["Items", "broadcast_items", "read_card", "read_part"]


@dataclass(frozen=True, eq=False)
class Items:
    """An executor's part of a model: its card and its items in row order.

    Parameters
    ----------
    card : mapping
        The contents of ``model.json``.
    vectors : numpy.ndarray of float32, shape (items, rank)
    bias : numpy.ndarray of float32, shape (items,), or None
    ids : pyarrow.Array
        Strings or 64-bit integers.
    titles : pyarrow.Array
        Strings, null where they are not known.
    known : polars.DataFrame
        What is known of the items, in row order, under its own names; without the ids.
    """

    card: Mapping[str, Any]
    vectors: np.ndarray
    bias: np.ndarray | None
    ids: pa.Array
    titles: pa.Array
    known: pl.DataFrame

    @functools.cached_property
    def vocabulary(self) -> Vocabulary:
        """The items' own ids."""
        return Vocabulary(pl.Series(pl.from_arrow(self.ids)), kind="item")

    @functools.cached_property
    def attributes(self) -> ItemAttributes:
        """What is known of the items, as rules read it."""
        return ItemAttributes(self.metadata.table(self.vocabulary))

    @property
    def metadata(self) -> Metadata:
        """The same as part of a model."""
        return Metadata(self.known)

    @functools.cached_property
    def model(self) -> Factors:
        """A model of these items and of no user, made once in a process: its index and its equations serve all."""
        rank = self.vectors.shape[1]
        return Factors(
            np.zeros((0, rank), np.float32),
            self.vectors,
            Vocabulary([], kind="user"),
            Vocabulary(range(len(self.vectors)), kind="item"),
            np.zeros(0, np.float32) if self.card["user_bias"] else None,
            self.bias,
            float(self.card["mean"]),
            objective=objective_from(self.card["objective"]),
            origin=Origin(**self.card["origin"]),
            preparation=preparation_from(self.card["preparation"]),
        )

    def with_users(self, vectors: np.ndarray, bias: np.ndarray | None, seen: sparse.csr_array) -> Factors:
        """Return the model with some users in it, whose ids are their places."""
        return evolved(
            self.model,
            users=Vocabulary(range(len(vectors)), kind="user"),
            user_vectors=vectors,
            user_bias=bias,
            seen=seen,
        )


def read_card(spark: "SparkSession", folder: str) -> dict[str, Any]:
    """Return what ``model.json`` says, in the newest format; see `cofactor.model.folder.card_from`.

    Raises
    ------
    ModelFileError
        If it is not there, not sound, or from a newer version.
    """
    from pyspark.errors import AnalysisException

    try:
        card = spark.read.text(f"{folder}/{CARD}", wholetext=True).first()
    except AnalysisException:
        raise ModelFileError(f"{folder} holds no {CARD}: give the folder that fit_table() or fit -o wrote") from None
    return card_from("" if card is None else card[0], folder)


def read_part(spark: "SparkSession", folder: str, part: str) -> "DataFrame":
    """Return a table of a model folder, its row numbers as 64-bit integers.

    Raises
    ------
    ModelFileError
        If it is not there.
    """
    from pyspark.errors import AnalysisException

    try:
        table = spark.read.parquet(f"{folder}/{part}")
    except AnalysisException as error:
        raise ModelFileError(f"{folder}/{part} cannot be read: train the model again ({error})") from error
    rows = [name for name in ("row", "user_row", "item_row") if name in table.columns]
    return table.withColumns({name: table[name].cast("long") for name in rows})


@contextlib.contextmanager
def broadcast_items(spark: "SparkSession", folder: str) -> Iterator["Broadcast[Items]"]:
    """Send the items to the executors, and take them back after the block."""
    sent = spark.sparkContext.broadcast(_read_items(spark, folder))
    try:
        yield sent
    finally:
        sent.destroy()


def _read_items(spark: "SparkSession", folder: str) -> Items:
    card = read_card(spark, folder)
    if objective_from(card["objective"]).draws > 1:
        raise SettingError(f"{folder} holds draws of a posterior, which Spark cannot rank: open it with cofactor.load")
    table = read_part(spark, folder, "items").toArrow().combine_chunks().sort_by("row")
    count = int(card["n_items"])
    if not np.array_equal(table["row"].to_numpy(), np.arange(count)):
        raise ModelFileError(
            f"{folder}/items should have {count:,} rows numbered from 0: copy it again or train the model again"
        )
    batch = table.to_batches()[0] if count else pa.RecordBatch.from_pylist([], schema=table.schema)
    known = "title" in table.column_names
    return Items(
        card,
        vectors_of(batch, int(card["rank"])),
        batch["bias"].to_numpy(zero_copy_only=False).astype(np.float32) if card["item_bias"] else None,
        batch["id"],
        batch["title"].cast(pa.string()) if known else pa.nulls(count, pa.string()),
        attributes_of_folder(pl.DataFrame(table)),
    )
