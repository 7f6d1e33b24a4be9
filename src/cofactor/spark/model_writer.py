"""Write a trained model as a folder, atomically; `cofactor.model.folder` reads it."""

import dataclasses
import json
import secrets
from typing import TYPE_CHECKING

from cofactor.data.preparation import AsGiven
from cofactor.errors import ModelFileError
from cofactor.model.folder import CARD, FOLDER_FORMAT, KIND
from cofactor.model.objectives import Objective
from cofactor.model.origin import Origin
from cofactor.spark import hadoop_files
from cofactor.spark.mllib import Learnt

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

__all__ = ["check_target", "write_folder"]


def write_folder(spark: "SparkSession", learnt: Learnt, objective: Objective, origin: Origin, url: str) -> None:
    """Write a model to a folder by URL.

    It is written beside and renamed, which ``file://`` and ``hdfs://`` do in one step; object stores copy.

    Parameters
    ----------
    spark : pyspark.sql.SparkSession
    learnt : Learnt
    objective : Objective
    origin : Origin
    url : str
        Where to; a model folder that is there already is replaced.

    Raises
    ------
    ModelFileError
        If there is something else.
    """
    check_target(spark, url)
    beside = f"{url}.part-{secrets.token_hex(4)}"
    try:
        for side in ("users", "items"):
            _write(getattr(learnt, side), ("row",), f"{beside}/{side}")
        _write(learnt.seen, ("user_row", "item_row"), f"{beside}/seen")
        hadoop_files.write_text(
            spark, f"{beside}/{CARD}", json.dumps(_card(learnt, objective, origin), allow_nan=False)
        )
        _exchange(spark, beside, url)
    finally:
        hadoop_files.delete(spark, beside)


def check_target(spark: "SparkSession", url: str) -> None:
    """Refuse to replace what is not a model folder; called before training, so that no hours are lost.

    Raises
    ------
    ModelFileError
        If there is a file, or a folder with something else in it.
    """
    if not hadoop_files.exists(spark, url):
        return
    names = hadoop_files.names_in(spark, url)
    if CARD not in names and (names or hadoop_files.is_file(spark, url)):
        raise ModelFileError(f"{url} exists and is not a model folder: give another name")


def _write(frame: "DataFrame", order: tuple[str, ...], url: str) -> None:
    """Write a frame in order, so that a few rows are found by the least and greatest row of each part."""
    frame.sort(*order).write.parquet(url)


def _exchange(spark: "SparkSession", new: str, url: str) -> None:
    old = f"{url}.old-{secrets.token_hex(4)}"
    replaces = hadoop_files.exists(spark, url)
    if replaces:
        hadoop_files.rename(spark, url, old)
    hadoop_files.rename(spark, new, url)
    if replaces:
        hadoop_files.delete(spark, old)


def _card(learnt: Learnt, objective: Objective, origin: Origin) -> dict[str, object]:
    return {
        "format": FOLDER_FORMAT,
        "kind": KIND,
        "rank": origin.settings["rank"],
        "mean": learnt.mean,
        "objective": objective.to_dict(),
        "preparation": AsGiven().to_dict(),
        "origin": dataclasses.asdict(origin),
        "n_users": learnt.n_users,
        "n_items": learnt.n_items,
        "n_seen": learnt.n_seen,
        "user_bias": "bias" in learnt.users.columns,
        "item_bias": "bias" in learnt.items.columns,
    }
