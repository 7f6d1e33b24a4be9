"""Evaluation on Spark: the figures of one machine, summed over executors that each measure the users they have."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cofactor.errors import DataError
from cofactor.evaluation import metrics, ranking
from cofactor.evaluation.metrics import finished
from cofactor.evaluation.report import FULL, Report, of_all_lists
from cofactor.spark import hadoop_files
from cofactor.spark.failures import clear_errors
from cofactor.spark.figures import COUNTS, SCHEMA, TESTED, Wanted, listed_name, measure
from cofactor.spark.item_broadcast import Items, broadcast_items, read_part
from cofactor.spark.reading import Layout, Source, open_table
from cofactor.spark.session import session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["evaluate"]


def evaluate(
    folder: str | os.PathLike[str],
    test: Source,
    *,
    given: Source = None,
    layout: Layout | None = None,
    k: int | Sequence[int] | None = None,
    clip: bool = True,
    relevant_from: float | None = None,
    spark: "SparkSession | None" = None,
) -> Report:
    """Measure a model folder on ratings that were held out from its training, on all executors of a cluster.

    The figures are those of `cofactor.evaluation.evaluate` on the same data, up to the last digits of sums. Ratings
    of users or items that the model does not know are left out and counted, so that no figure is NaN; ``known_share``
    is the share of the others.

    Parameters
    ----------
    folder : path or URL
        A model folder, as `SparkALS.fit_table` writes it.
    test : pyspark.sql.DataFrame, or path or URL of Parquet or text files
        The columns user, item and value, or what ``layout`` says.
    given : the same, optional
        What users had since training, or before the test if they are new. They are placed by it on the executors, as
        `Factors.fold_in` does, and then measured like all others; items that the model does not know are left out.
    layout : Layout, optional
        The names of the columns of both, and how text files are read; see `SparkALS.fit_table`.
    k : int or several, optional
        The lengths of the lists to measure; 10 for a model that is trained for ranking.
    clip, relevant_from
        As in `cofactor.evaluation.evaluate`.
    spark : pyspark.sql.SparkSession, optional
        The cluster; the session that there is if not given.

    Returns
    -------
    Report
        Of averages; it holds no users, and so has no intervals.

    Raises
    ------
    DataError
        If a test rating was in the training data, is repeated or has no id or number, or if none can be predicted.
    ModelFileError
        If ``folder`` is not a complete model folder.
    SettingError
        If a length is below 1.
    """
    source, spark = hadoop_files.url_of(folder), spark or session()
    cut_offs = ranking.cut_offs_of(10 if k is None else k)
    with clear_errors(spark), broadcast_items(spark, source) as items:
        model = items.value.model
        lists_too = k is not None or model.objective.goal == "ranking"
        part = functools.partial(read_part, spark, source)
        tested = _ratings(open_table(spark, test, layout or Layout()), part)
        more = None if given is None else _ratings(open_table(spark, given, layout or Layout()), part)
        training = _training(part, more, items.value)
        wanted = Wanted(cut_offs if lists_too else None, clip, relevant_from, training.popularity)
        frame = _by_user(part, tested, more)
        sums = frame.mapInArrow(functools.partial(measure, items=items, wanted=wanted), SCHEMA)
        return _report(_added_up(sums), wanted, training)


def _ratings(table: "DataFrame", part: Callable[[str], "DataFrame"]) -> "DataFrame":
    """Return user, row (of the item, −1 where it is unknown) and value."""
    from pyspark.sql import functions as F  # noqa: N812  (its usual name)

    users, items = (_comparable(table, side, part(f"{side}s")) for side in ("user", "item"))
    table = table.select(users.alias("user"), items.alias("item"), table["value"].cast("float").alias("value"))
    rows = part("items").select(F.col("id").alias("item"), "row")
    found = F.when(F.col("item").isNotNull(), F.coalesce("row", F.lit(-1)))
    return table.join(rows, "item", "left").select("user", found.alias("row"), "value")


def _comparable(table: "DataFrame", side: str, known: "DataFrame") -> Any:
    """Return a column of ids as the model has them."""
    theirs, ours = dict(table.dtypes)[side], dict(known.dtypes)["id"]
    if (theirs == "string") != (ours == "string"):
        raise DataError(
            f"the {side} ids of the ratings are of type {theirs}, those of the model of type {ours}: convert the "
            f"former, such as ratings.withColumn({side!r}, ratings[{side!r}].cast({ours!r}))"
        )
    return table[side].cast(ours)


@dataclass(frozen=True, eq=False)
class _Training:
    """What the model was trained on, what was given since included.

    Parameters
    ----------
    popularity : ItemPopularity
    without_history : numpy.ndarray of bool, shape (items,)
        Of which items nothing was learnt, although of others something was.
    """

    popularity: metrics.ItemPopularity
    without_history: np.ndarray


def _training(part: Callable[[str], "DataFrame"], given: "DataFrame | None", items: Items) -> _Training:
    """Count how many users had each item."""
    from pyspark.sql import functions as F  # noqa: N812

    pairs, n_users = part("seen"), int(items.card["n_users"])
    if given is not None:
        users = part("users").select(F.col("id").alias("user"), F.col("row").alias("user_row"))
        met = given.where("row >= 0").join(users, "user", "left")
        n_users += met.where("user_row is null").select("user").distinct().count()
        news = met.select("user_row", F.col("row").alias("item_row"), "value")
        pairs = pairs.join(news, ["user_row", "item_row"], "left_anti").select(*news.columns).unionAll(news)
    counted = pairs.groupBy("item_row").agg(
        F.count("*").alias("users"), F.min("value").alias("least"), F.max("value").alias("greatest")
    )
    table = counted.toArrow()
    rows, n_items = table["item_row"].to_numpy(), len(items.vectors)
    counts, without = np.zeros(n_items, np.int64), np.full(n_items, bool(len(rows)))
    counts[rows], without[rows] = table["users"].to_numpy(), False
    if items.model.objective.goal == "ranking":  # a prepared 0 says nothing; preparations keep the order of values
        ends = [items.model.preparation.apply(table[name].to_numpy()) for name in ("least", "greatest")]
        without[rows] = (ends[0] == 0) & (ends[1] == 0)
    return _Training(metrics.ItemPopularity.of(counts, n_users), without)


def _by_user(part: Callable[[str], "DataFrame"], tested: "DataFrame", given: "DataFrame | None") -> "DataFrame":
    """Return a row for each user with test ratings: vector, bias, and what was seen, given and tested."""
    from pyspark.sql import functions as F  # noqa: N812

    def gathered(ratings: "DataFrame", key: str, name: str) -> "DataFrame":
        return ratings.groupBy(key).agg(F.collect_list(F.struct("row", "value")).alias(name))

    users = part("users").withColumnsRenamed({"id": "user", "row": "user_row"})
    seen = part("seen").withColumnRenamed("item_row", "row")
    frame = gathered(tested, "user", "tested").join(users, "user", "left")
    frame = frame.join(gathered(seen, "user_row", "seen"), "user_row", "left")
    if given is None:
        return frame
    return frame.join(gathered(given.where("row is null or row >= 0"), "user", "given"), "user", "left")


def _added_up(sums: "DataFrame") -> Mapping[str, Any]:
    """Return the sums of all executors: for each name its rows of item, total and weight."""
    from pyspark.sql import functions as F  # noqa: N812

    whole = sums.groupBy("name", "item").agg(F.sum("total").alias("total"), F.sum("weight").alias("weight"))
    found: dict[str, list[tuple[int | None, float, float]]] = {}
    for row in whole.toArrow().to_pylist():
        found.setdefault(row["name"], []).append((row["item"], row["total"], row["weight"]))
    return found


def _report(sums: Mapping[str, Any], wanted: Wanted, training: _Training) -> Report:
    counts = {name: int(sums[name][0][1]) if name in sums else 0 for name in COUNTS}
    _refuse(counts)
    averages = {
        name: float(finished(name, np.asarray(rows[0][1]), np.asarray(rows[0][2])))
        for name, rows in sums.items()
        if name not in COUNTS and rows[0][0] is None
    }
    n_items, catalog = len(training.without_history), {}
    if wanted.cut_offs is not None:
        listed = np.stack([_by_item(sums, listed_name(length), n_items) for length in wanted.cut_offs])
        catalog = of_all_lists(listed, wanted.cut_offs)
    tested = _by_item(sums, TESTED, n_items) > 0
    known = {"known_share": counts["test"] / (counts["test"] + counts["unknown"])}
    return Report(
        {**averages, **catalog, **known},
        counts["test"],
        counts["unknown"],
        counts["users"],
        counts["irrelevant"],
        "" if wanted.cut_offs is None else FULL,
        n_without_history=counts["without history"],
        n_items_without_history=int((tested & training.without_history).sum()),
        relevant_from=wanted.relevant_from,
    )


def _by_item(sums: Mapping[str, Any], name: str, n_items: int) -> np.ndarray:
    """Return the sums of a name for each item."""
    found = np.zeros(n_items, np.int64)
    for item, total, _ in sums.get(name, []):
        found[item] = total
    return found


def _refuse(counts: Mapping[str, int]) -> None:
    """Refuse ratings that would make figures meaningless."""
    if counts["unusable"]:
        raise DataError(
            f"{counts['unusable']:,} of the ratings lack a user, an item or a finite value: filter those rows out"
        )
    if counts["repeated"]:
        raise DataError(
            f"{counts['repeated']:,} of the ratings repeat a user and an item: keep one of "
            "each, such as with ratings.dropDuplicates(['user', 'item'])"
        )
    if counts["trained on"]:
        raise DataError(
            f"{counts['trained on']:,} of the test ratings were in the training data or among those given, so the "
            "result would be flattering: evaluate on held-out ratings"
        )
    if not counts["test"]:
        raise DataError("none of the test ratings has both its user and its item in the model: nothing can be measured")
