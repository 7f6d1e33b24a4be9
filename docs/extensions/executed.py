"""The directive ``executed``: Python that runs while the page is built, with its output below it."""

import contextlib
import tempfile
from typing import Any, ClassVar

from blocks import output_of
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

__all__ = ["Executed", "setup"]


class Executed(SphinxDirective):
    """Blocks of one page share their names and an empty folder that they run in."""

    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"quiet": directives.flag}

    def run(self) -> list[nodes.Node]:
        """Return the code, and what it printed."""
        code = "\n".join(self.content)
        names, folder = self._session()
        with contextlib.chdir(folder.name):
            output = output_of(code, names, f"<{self.env.docname}>")
        shown: list[nodes.Node] = [nodes.literal_block(code, code, language="python")]
        if output and "quiet" not in self.options:
            shown.append(nodes.literal_block(output, output, language="none", classes=["output"]))
        return shown

    def _session(self) -> tuple[dict[str, Any], tempfile.TemporaryDirectory[str]]:
        data = getattr(self.env, "current_document", None) or self.env.temp_data
        if "executed" not in data:
            data["executed"] = ({}, tempfile.TemporaryDirectory())
        session: tuple[dict[str, Any], tempfile.TemporaryDirectory[str]] = data["executed"]
        return session


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("executed", Executed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
