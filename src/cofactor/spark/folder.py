"""Write what was learnt as a model folder, whole or not at all; `cofactor.model.folder` reads it."""

import dataclasses
import json
import secrets
from typing import TYPE_CHECKING

from cofactor.data.preparation import AsGiven
from cofactor.errors import ModelFileError
from cofactor.model.folder import CARD, FOLDER_FORMAT, KIND
from cofactor.model.objectives import Objective
from cofactor.model.origin import Origin
from cofactor.spark import storage
from cofactor.spark.als import Learnt

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
        storage.write_text(spark, f"{beside}/{CARD}", json.dumps(_card(learnt, objective, origin), allow_nan=False))
        _exchange(spark, beside, url)
    finally:
        storage.delete(spark, beside)


def check_target(spark: "SparkSession", url: str) -> None:
    """Refuse to write over what is not a model folder: hours of training must not end in it.

    Raises
    ------
    ModelFileError
        If there is a file, or a folder with something else in it.
    """
    if not storage.exists(spark, url):
        return
    names = storage.names_in(spark, url)
    if CARD not in names and (names or storage.is_file(spark, url)):
        raise ModelFileError(f"{url} is there, and is not a model folder: give another name")


def _write(frame: "DataFrame", order: tuple[str, ...], url: str) -> None:
    """Write a frame in order, so that a few rows are found by the least and greatest row of each part."""
    frame.sort(*order).write.parquet(url)


def _exchange(spark: "SparkSession", new: str, url: str) -> None:
    old = f"{url}.old-{secrets.token_hex(4)}"
    replaces = storage.exists(spark, url)
    if replaces:
        storage.rename(spark, url, old)
    storage.rename(spark, new, url)
    if replaces:
        storage.delete(spark, old)


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
