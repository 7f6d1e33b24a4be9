"""The pages generated at every build, into docs/generated: from the code, benchmarks/results and the tutorial."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import api_pages
import command_pages
import result_pages
import tutorial_pages
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

__all__ = ["setup", "write"]


def write(folder: Path) -> None:
    """Write all generated pages below a folder; leave unchanged ones untouched, and remove old ones."""
    pages: dict[str, str | bytes] = {}
    for maker in (api_pages, command_pages, result_pages, tutorial_pages):
        pages |= maker.pages()
    _write_changed(folder, pages)
    for path in folder.rglob("*.*"):
        if path.is_file() and str(path.relative_to(folder)) not in pages:
            path.unlink()


def _write_changed(folder: Path, pages: Mapping[str, str | bytes]) -> None:
    for name, content in pages.items():
        path, wanted = folder / name, content.encode() if isinstance(content, str) else content
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != wanted:
            path.write_bytes(wanted)


def _on_config(app: Sphinx, config: Config) -> None:
    write(Path(app.srcdir) / "generated")


def _by_last_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    """Link a name of the library given without its module, if it is unique."""
    target = node.get("reftarget", "").removeprefix("~")
    if node.get("refdomain") != "py" or not target:
        return None
    objects = env.domains["py"].objects  # type: ignore[attr-defined]
    found = {name: entry for name, entry in objects.items() if name.endswith(f".{target}") and not entry.aliased}
    if len(found) != 1 or node.get("refdoc") is None:
        return None
    name, entry = found.popitem()
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, name)


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages before Sphinx looks for pages."""
    app.connect("config-inited", _on_config)
    app.connect("missing-reference", _by_last_name)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
