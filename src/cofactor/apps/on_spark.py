"""What the commands do on a Spark cluster: train, make lists, evaluate."""

import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from cofactor.apps.options import flag
from cofactor.apps.sources import is_named, open_data
from cofactor.errors import SettingError
from cofactor.evaluation.report import Report
from cofactor.lists.rerank import Rule
from cofactor.spark import measuring
from cofactor.spark.distributed_lists import recommend_all
from cofactor.spark.hadoop_files import url_of
from cofactor.spark.item_broadcast import read_card
from cofactor.spark.reading import Layout
from cofactor.spark.session import session
from cofactor.spark.solver import SparkALS

__all__ = ["evaluate", "fit_table", "recommend_everyone"]


def fit_table(
    solver: SparkALS, data: str, output: Path | None, test_fraction: float | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Train on a table by URL, path or name, and write the model's folder.

    Raises
    ------
    SettingError
        If there is no output, if a part is to be held out (large tables are split beforehand), or if a data option
        works on one machine only.
    """
    if output is None:
        raise SettingError("--solver spark-als writes its model to a folder: give -o DIR")
    if test_fraction:
        raise SettingError(
            f"--test-fraction {test_fraction:g}: spark-als trains on all of DATA; keep the test part in a table of its "
            "own, and measure with 'cofactor evaluate'"
        )
    _without_tracebacks()
    start = time.perf_counter()
    options = dict(options)
    items, users = options.pop("items", None), options.pop("users", None)
    target, layout = _url_of(output), _layout(options)
    if is_named(data):
        if items is not None or users is not None:
            raise SettingError(f"{data} brings tables of its own: leave --items and --users out, or give a file")
        written = solver.fit_named(open_data(data, ids=options.get("ids")), target)
    else:
        written = solver.fit_table(data, target, layout=layout, items=items, users=users)
    return {
        "model": written.removeprefix("file://"),
        "solver": type(solver).__name__,
        "goal": solver.goal,
        "fit_seconds": round(time.perf_counter() - start, 3),
    }


def recommend_everyone(
    folder: Path,
    output: Path,
    n: int,
    exclude_seen: bool,
    master: str,
    *,
    where: str | None = None,
    rules: Sequence[Rule] = (),
) -> dict[str, Any]:
    """Write the lists of all users to a folder of Parquet files, on a cluster."""
    _without_tracebacks()
    spark, model = session(master), _url_of(folder)
    written = recommend_all(
        model, _url_of(output), n, exclude_seen=exclude_seen, where=where, rerank=rules, spark=spark
    )
    return {"output": written.removeprefix("file://"), "n_users": int(read_card(spark, model)["n_users"])}


def evaluate(
    folder: Path,
    data: str,
    k: Sequence[int] | None,
    relevant_from: float | None,
    options: Mapping[str, Any],
    master: str,
) -> Report:
    """Measure a model folder on a table by URL, path or name, on a cluster."""
    _without_tracebacks()
    table, layout = data, _layout(options)
    spark = session(master)
    if is_named(data):
        ratings = open_data(data, ids=options.get("ids")).to_frame().select("user", "item", "value")
        table, layout = spark.createDataFrame(ratings.to_arrow()), Layout()
    return measuring.evaluate(
        _url_of(folder), table, layout=layout, k=k or None, relevant_from=relevant_from, spark=spark
    )


def _without_tracebacks() -> None:
    """Keep py4j from logging a traceback to the root logger on Ctrl-C; other failures are raised anyway."""
    logging.getLogger().addFilter(_is_no_interrupt)


def _is_no_interrupt(record: logging.LogRecord) -> bool:
    return not record.getMessage().endswith(" while sending command.")


def _url_of(path: Path) -> str:
    """Return the URL that was given; as a path it lost one of its slashes."""
    text = str(path)
    return url_of(re.sub(r"^([a-zA-Z]\w+):/+", r"\1://", text))


def _layout(options: Mapping[str, Any]) -> Layout:
    """Turn the data options into a layout; what is not given keeps its default.

    Raises
    ------
    SettingError
        If an option works on one machine only.
    """
    for name in ("memory", "query", "encoding", "items", "users", "items_query", "users_query", "weights"):
        if options.get(name) is not None:
            raise SettingError(
                f"{flag(name)} works on one machine only: leave it out, and give Spark a table by URL or path"
            )
    if options.get("header") is False:
        raise SettingError("--no-header works on one machine only: write Parquet, or add a first row with column names")
    names = {field.name for field in fields(Layout)}
    given = {name.removesuffix("_column"): value for name, value in options.items() if value is not None}
    if given.get("value") == "none":
        given["value"] = None
    return Layout(**{name: value for name, value in given.items() if name in names})
