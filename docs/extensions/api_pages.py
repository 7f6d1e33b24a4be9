"""The API reference: a page for every public class, and one for the functions of each part, from the docstrings."""

import importlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["pages"]


@dataclass(frozen=True)
class Part:
    """A module whose public names are documented; ``names`` replaces its ``__all__``."""

    title: str
    module: str
    names: Sequence[str] = ()

    def public(self) -> Sequence[str]:
        """Return the names in order: classes first."""
        module = importlib.import_module(self.module)
        names = self.names or [name for name in module.__all__ if not name.startswith("_")]
        return [name for name in names if _documented(getattr(module, name))]


PARTS = (
    Part("Data and models", "cofactor"),
    Part("Solvers", "cofactor.solvers"),
    Part("Evaluation", "cofactor.evaluation"),
    Part("Metric definitions", "cofactor.evaluation.metrics"),
    Part("Tuning ranges", "cofactor.evaluation.search_space", ("search_space", "Range", "Choices")),
    Part("Charts", "cofactor.evaluation.plots"),
    Part("Chart: show and save", "cofactor.evaluation.charts", ("Chart",)),
    Part("More readers", "cofactor.data.readers", ("read_table", "read_movielens")),
    Part("Files of items and users", "cofactor.data.attribute_files", ("read_items", "read_users")),
    Part("Ids", "cofactor.data.vocabulary", ("Vocabulary",)),
    Part("Lists and re-rankers", "cofactor.lists"),
    Part("Conditions on items", "cofactor.lists.where", ("rows_where",)),
    Part("Origin of a model", "cofactor.model.origin", ("Origin",)),
    Part("Objectives", "cofactor.model.objectives", ("Objective",)),
    Part("Solvers: protocol and callbacks", "cofactor.solvers.base", ("Epoch", "Solver")),
    Part("Model folders", "cofactor.model.folder", ("FolderModel", "open_folder")),
    Part("Spark session", "cofactor.spark.session", ("session",)),
    Part("Tables on Spark", "cofactor.spark.reading", ("Layout",)),
    Part("Lists for all users on Spark", "cofactor.spark.distributed_lists"),
    Part("Evaluation on Spark", "cofactor.spark.measuring"),
    Part("The Keras network", "cofactor.solvers.keras_mf", ("keras_model",)),
)


def pages() -> dict[str, str]:
    """Return the text of each page by its name below the folder of generated pages."""
    written = {"api/index.md": _index()}
    for part in PARTS:
        module = importlib.import_module(part.module)
        classes = [name for name in part.public() if inspect.isclass(getattr(module, name))]
        functions = [name for name in part.public() if name not in classes]
        for name in classes:
            written[f"api/{part.module}.{name}.rst"] = _class_page(part.module, name)
        if functions:
            written[f"api/{part.module}.rst"] = _functions_page(part, functions)
    return written


def _documented(value: Any) -> bool:
    return (inspect.isclass(value) or callable(value)) and bool(inspect.getdoc(value))


_SIGNATURES = {"Factors": "(user_vectors, item_vectors, users, items, ...)"}
"""Short signatures, for classes with many fields."""


def _class_page(module: str, name: str) -> str:
    return f"{_heading(name)}\n\n.. autoclass:: {module}.{name}{_SIGNATURES.get(name, '')}\n   :members:\n"


def _functions_page(part: Part, functions: Sequence[str]) -> str:
    intro = f"The functions of ``{part.module}``."
    return "\n\n".join(
        [_heading(part.title), intro, *(f".. autofunction:: {part.module}.{name}" for name in functions)]
    ) + ("\n")


def _heading(title: str) -> str:
    return f"{title}\n{'=' * len(title)}"


def _index() -> str:
    lines = ["# API reference", "", "Generated from the docstrings. Their examples run in the tests."]
    listed: list[str] = []
    for part in PARTS:
        module = importlib.import_module(part.module)
        lines += ["", f"## {part.title}", "", f"`{part.module}`", "", "| name | |", "| --- | --- |"]
        for name in part.public():
            value = getattr(module, name)
            page = f"{part.module}.{name}" if inspect.isclass(value) else part.module
            kind = "class" if inspect.isclass(value) else "func"
            lines.append(f"| {{py:{kind}}}`~{part.module}.{name}` | {_first_sentence(value)} |")
            listed += [page] if page not in listed else []
    toctree = ["", "```{toctree}", ":hidden:", ":maxdepth: 1", "", *listed, "```", ""]
    return "\n".join(lines + toctree)


def _first_sentence(value: Any) -> str:
    first = " ".join((inspect.getdoc(value) or "").split("\n\n")[0].split())
    return first.replace("|", "\\|")
