"""The directive ``drawing``: an SVG of docs/drawings inside the page, so that it takes the page's colours."""

from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

__all__ = ["Drawing", "setup"]

FOLDER = Path(__file__).parents[1] / "drawings"


class Drawing(SphinxDirective):
    """``{drawing} NAME`` with a caption as its content."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Return a figure with the drawing's text in it."""
        path = FOLDER / f"{self.arguments[0]}.svg"
        self.env.note_dependency(str(path))
        figure = nodes.figure(classes=["drawing"])
        figure += nodes.raw("", path.read_text(encoding="utf-8"), format="html")
        if self.content:
            inside = nodes.Element()
            self.state.nested_parse(self.content, self.content_offset, inside)
            figure += nodes.caption("", "", *inside[0].children)
        return [figure]


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("drawing", Drawing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
