"""The work behind the commands where it is done on Spark."""

import re
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from cofactor.apps import jobs
from cofactor.data import catalog
from cofactor.errors import SettingError
from cofactor.spark.reading import Layout
from cofactor.spark.solver import SparkALS

__all__ = ["fit_table"]


def fit_table(
    solver: SparkALS, data: str, output: Path | None, test_fraction: float | None, options: Mapping[str, Any]
) -> dict[str, Any]:
    """Train on a table by URL, path or name, and write the model's folder.

    Raises
    ------
    SettingError
        If there is no output, or a part is to be held out: tables that are too large for one machine are split before.
    """
    if output is None:
        raise SettingError("--solver spark-als writes its model as a folder: name it with -o DIR")
    if test_fraction:
        raise SettingError(
            f"--test-fraction {test_fraction:g}: spark-als trains on all that DATA holds; keep what is to be tested on "
            "in a table of its own, and measure with 'cofactor evaluate'"
        )
    start = time.perf_counter()
    target = re.sub(r"^(\w+):/+", r"\1://", str(output)) if re.match(r"\w+:/", str(output)) else output
    if is_named(data):
        written = solver.fit_named(jobs.open_data(data, ids=options.get("ids")), target)
    else:
        written = solver.fit_table(data, target, layout=_layout(options))
    return {
        "model": written.removeprefix("file://"),
        "solver": type(solver).__name__,
        "goal": solver.goal,
        "fit_seconds": round(time.perf_counter() - start, 3),
    }


def is_named(data: str) -> bool:
    """Return whether data are named rather than found by a path or URL."""
    return data.startswith("synthetic:") or data in {entry.name for entry in catalog.datasets()}


def _layout(options: Mapping[str, Any]) -> Layout:
    """Read the options of the data as a layout; what is not given keeps its default."""
    names = {field.name for field in fields(Layout)}
    given = {name.removesuffix("_column"): value for name, value in options.items() if value is not None}
    if given.get("value") == "none":
        given["value"] = None
    return Layout(**{name: value for name, value in given.items() if name in names})
