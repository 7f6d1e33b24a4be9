"""The tutorial as a page: the cells of examples/tutorial.ipynb, with what they printed and drew when they were run."""

import ast
import inspect
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from sphinx.errors import ConfigError

from cofactor.evaluation import plots

__all__ = ["pages", "table_of"]

NOTEBOOK = Path(__file__).parents[2] / "examples" / "tutorial.ipynb"
_COLOURS = re.compile(r"\x1b\[[\d;]*m")


def pages() -> dict[str, str]:
    """Return the text of the page and its pictures by their names below the folder of generated pages."""
    page = _Page()
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        page.add(cell)
    first, *rest = page.parts
    return {"tutorial.md": "\n\n".join([first, _ABOUT, *rest]) + "\n", **page.pictures}


@dataclass
class _Page:
    """Markdown, part by part, and the pictures that it shows."""

    parts: list[str] = field(default_factory=list)
    pictures: dict[str, str] = field(default_factory=dict)

    def add(self, cell: Mapping[str, Any]) -> None:
        """Add a cell: prose as it is, code with its outputs below it."""
        source = "".join(cell["source"]).replace("  # fmt: skip", "")
        if cell["cell_type"] == "markdown":
            self.parts.append(source)
            return
        self.parts.append(_fenced("python", source))
        said = [_said(output) for output in cell["outputs"]]
        if printed := "".join(text for text in said if text):
            self.parts.append(_fenced("{code-block} none\n:class: output", _COLOURS.sub("", printed).rstrip()))
        for output in cell["outputs"]:
            self._add_shown(output.get("data", {}), source)

    def _add_shown(self, data: Mapping[str, Any], source: str) -> None:
        html = "".join(data.get("text/html", ""))
        if "image/svg+xml" in data:
            name = f"tutorial/{len(self.pictures) + 1}.svg"
            self.pictures[name] = "".join(data["image/svg+xml"])
            self._show(_fenced(f"{{image}} {name}\n:alt: {_described(source)}\n:class: dark-light\n:width: 640px", ""))
        elif "<table" in html:
            self._show(table_of(html) if "dataframe" in html else _fenced("{raw} html", html))

    def _show(self, part: str) -> None:
        self.parts.append(f"::::{{container}} shown\n{part}\n::::")


def _fenced(kind: str, text: str) -> str:
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
    return f"{fence}{kind}\n{text}\n{fence}"


def _said(output: Mapping[str, Any]) -> str:
    """Return the text of an output that is neither a table nor a picture."""
    data = output.get("data", {})
    if "image/svg+xml" in data or "<table" in "".join(data.get("text/html", "")):
        return ""
    return "".join(output.get("text") or data["text/plain"])


def _described(source: str) -> str:
    """Say what a picture shows: the first sentence of the function of ours that drew it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "plots":
            first = (inspect.getdoc(getattr(plots, node.attr)) or "").split("\n\n")[0]
            return re.sub(r"[`*]", "", " ".join(first.split()))
    raise ConfigError(f"examples/tutorial.ipynb has a picture that none of cofactor's functions drew: {source!r}")


class _Cells(HTMLParser):
    """Reads the rows of a table."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._inside = True

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] += data


def table_of(html: str) -> str:
    """Write a frame of polars as a Markdown table, numbers to the right.

    Examples
    --------
    >>> head = "<tr><th>title</th><th>score</th></tr><tr><td>str</td><td>f32</td></tr>"
    >>> print(table_of(f"<table>{head}<tr><td>&quot;Kolya&quot;</td><td>0.5</td></tr></table>"))
    | title | score |
    | --- | ---: |
    | Kolya | 0.5 |
    """
    reader = _Cells()
    reader.feed(html)
    names, kinds, *rows = reader.rows
    marks = ["---" if kind == "str" else "---:" for kind in kinds]
    return "\n".join(f"| {' | '.join(line)} |" for line in [_row(names), marks, *map(_row, rows)])


def _row(cells: Sequence[str]) -> Iterator[str]:
    """Yield cells without the quotes around text, which may be cut short, nor what Markdown would take for markup."""
    for cell in cells:
        plain = "–" if cell == "null" else re.sub(r'^"(.*?)"?$', r"\1", cell, flags=re.S)
        yield re.sub(r"([\\*_|<>\[\]$`])", r"\\\1", plain)


_ABOUT = """*This page is the notebook `examples/tutorial.ipynb` with its output. To run it yourself, install Jupyter
and the extras `keras` and `web`.*"""
