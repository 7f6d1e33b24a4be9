"""Lists for all users on Spark: users stay partitioned, items are broadcast, and executors run the exact search."""

import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.errors import SettingError
from cofactor.lists.answer import positions_of
from cofactor.lists.filters import ItemFilter
from cofactor.lists.pipeline import rank
from cofactor.lists.request import ItemChoice, ListRequest
from cofactor.lists.rerank import AnyReranker, ListContext
from cofactor.lists.where import Where
from cofactor.model.factors import exact_of, has_history, users_of
from cofactor.spark import hadoop_files
from cofactor.spark.arrow import pa
from cofactor.spark.batches import seen_of, use_own_cores, vectors_of
from cofactor.spark.failures import clear_errors
from cofactor.spark.item_broadcast import Items, broadcast_items, read_part
from cofactor.spark.session import session

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["recommend_all"]

USERS_IN_A_PARTITION = 200_000
"""The most users that one task ranks, so that little is lost with an executor."""


def recommend_all(
    folder: str | os.PathLike[str],
    output: str | os.PathLike[str],
    n: int = 10,
    *,
    exclude_seen: bool = True,
    candidates: ItemChoice | None = None,
    exclude: ItemChoice | None = None,
    where: Where | None = None,
    rerank: Sequence[AnyReranker] = (),
    partitions: int | None = None,
    spark: "SparkSession | None" = None,
) -> str:
    """Write everyone's ``n`` best items to a folder of Parquet files, on all executors of a cluster.

    The lists are those of `Factors.recommend_all` on the same vectors, ties included, however the users are
    partitioned. Users without history are left out. Users and what they have seen never pass through
    the driver.

    Parameters
    ----------
    folder : path or URL
        A model folder, as `SparkALS.fit_table` writes it.
    output : path or URL
        The folder to write; it has the columns user, position (from 1), item, title (null where not known) and score.
        Its files are not in the order of users, but each user's list is in one of them, in order. Spark's file
        ``_SUCCESS`` marks it as complete; an incomplete folder of a stopped run is replaced.
    n : int
        The length of a list. A user with fewer items left gets fewer rows.
    exclude_seen : bool
        Whether to leave out what each user had in the training data.
    candidates, exclude, where, rerank
        As in `cofactor.Factors.recommend`. The driver decides which items they mean; frames of pairs and re-rankers go
        to every executor.
    partitions : int, optional
        Into how many parts to divide the users; by the cluster's cores and the number of users if not given.
    spark : pyspark.sql.SparkSession, optional
        The cluster; the session that there is if not given.

    Returns
    -------
    str
        The URL of what was written.

    Raises
    ------
    ModelFileError
        If ``folder`` is not a complete model folder.
    SettingError
        If ``n`` is not a whole number, ``output`` holds something already, or a condition or a re-ranker does not fit
        what is known of the items.
    """
    request = ListRequest(
        n=n, exclude_seen=exclude_seen, candidates=candidates, exclude=exclude, where=where, rerank=rerank
    )
    source, target = hadoop_files.url_of(folder), hadoop_files.url_of(output)
    if partitions is not None and partitions < 1:
        raise SettingError(f"partitions is {partitions!r}: divide the users into 1 part or more")
    spark = spark or session()
    with clear_errors(spark):
        _refuse_to_overwrite(spark, target)
    with clear_errors(spark), broadcast_items(spark, source) as items:
        parts = partitions or _partitions(spark, int(items.value.card["n_users"]))
        users = _users(spark, source, parts)
        kinds = [dict(table.dtypes)["id"] for table in (users, read_part(spark, source, "items"))]
        schema = f"user {kinds[0]}, position int, item {kinds[1]}, title string, score float"
        question = _Question.of(request, items.value)
        ranked = users.mapInArrow(functools.partial(_ranked, items=items, question=question), schema)
        ranked.write.mode("overwrite").parquet(target)
    return target


@dataclass(frozen=True, eq=False)
class _Question:
    """What executors are asked for: the items that the driver chose, the length of a list, and the re-rankers."""

    request: ListRequest
    chosen: ItemFilter

    @classmethod
    def of(cls, request: ListRequest, items: Items) -> "_Question":
        """Look up what a request means, and refuse rules that do not fit the items before anything is sent."""
        chosen = ItemFilter.of(request, items.vocabulary, items.metadata)
        nobody = ListContext(
            items.attributes, items.vocabulary, sparse.csr_array((0, len(items.ids))), np.empty(0, np.int64)
        )
        for rule in request.rerank:
            if hasattr(rule, "bound"):
                rule.bound(nobody)
        return cls(dataclasses.replace(request, candidates=None, exclude=None, where=None), chosen)


def _partitions(spark: "SparkSession", n_users: int) -> int:
    return max(spark.sparkContext.defaultParallelism, -(-n_users // USERS_IN_A_PARTITION))


def _users(spark: "SparkSession", folder: str, partitions: int) -> "DataFrame":
    """Return id, vector, bias, and the item rows and values that each user has seen, divided by user."""
    from pyspark.sql import functions as F  # noqa: N812  (its usual name)

    users = read_part(spark, folder, "users").repartition(partitions, "row")
    pairs = read_part(spark, folder, "seen").withColumnRenamed("user_row", "row").repartition(partitions, "row")
    lists = (F.collect_list("item_row").alias("seen"), F.collect_list("value").alias("values"))
    return users.join(pairs.groupBy("row").agg(*lists), "row", "left")


def _refuse_to_overwrite(spark: "SparkSession", target: str) -> None:
    """Refuse a target that exists, unless a stopped job of Spark left it."""
    if hadoop_files.exists(spark, target):
        there = hadoop_files.names_in(spark, target)
        if any(name != "_temporary" for name in there) or hadoop_files.is_file(spark, target):
            raise SettingError(f"{target} already exists: give another folder, or remove this one")


def _ranked(
    batches: Iterable[pa.RecordBatch], *, items: "Broadcast[Items]", question: _Question
) -> Iterator[pa.RecordBatch]:
    """Rank the users of each batch; this runs in the executors."""
    use_own_cores()
    for batch in batches:
        yield _lists(items.value, batch, question)


def _lists(items: Items, batch: pa.RecordBatch, question: _Question) -> pa.RecordBatch:
    """Return the lists of a batch of users: user, position, item, title, score."""
    vectors = vectors_of(batch, items.vectors.shape[1])
    bias = batch["bias"].to_numpy(zero_copy_only=False).astype(np.float32) if items.card["user_bias"] else None
    model = items.with_users(vectors, bias, seen_of(batch, len(items.vectors)))
    rows = np.flatnonzero(has_history(model, np.arange(batch.num_rows)))
    ids = pl.Series(pl.from_arrow(batch["id"].take(pa.array(rows))))
    chosen = question.chosen.for_users(ids, rows, model.seen if question.request.exclude_seen else None)
    context = ListContext(items.attributes, items.vocabulary, model.seen, rows)
    best = rank(exact_of(items.model), users_of(model), rows, question.request, chosen, context)
    columns = {
        "user": batch["id"].take(pa.array(rows[best.users])),
        "position": pa.array(positions_of(best.users, batch.num_rows)),
        "item": items.ids.take(pa.array(best.items)),
        "title": items.titles.take(pa.array(best.items)),
        "score": pa.array(best.scores),
    }
    return pa.RecordBatch.from_pydict(columns)
