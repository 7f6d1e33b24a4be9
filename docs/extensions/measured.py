"""The directive ``measured``: a table of benchmark results inside a page."""

from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from result_tables import RESULTS, card_of, made, table
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

__all__ = ["Measured", "setup"]


class Measured(SphinxDirective):
    """``{measured} BENCHMARK`` with the options ``table``, ``columns`` and ``where: column=text``."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {
        "table": directives.unchanged_required,
        "columns": directives.unchanged,
        "where": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        """Return the table and the line that says how it was made."""
        name = self.arguments[0]
        self.env.note_dependency(str(RESULTS / f"{name}.json"))
        card = card_of(name)
        title = self.options["table"]
        if title not in card["tables"]:
            raise self.error(f"{name} has no table {title!r}: it has {', '.join(card['tables'])}")
        rows = [row for row in card["tables"][title] if self._wanted(row)]
        columns = [column.strip() for column in self.options.get("columns", "").split(",") if column.strip()]
        source = f"[How it was measured](/generated/results/{name}.md): {made(card)}."
        inside = nodes.container(classes=["measured"])
        text = f"**{title}**\n\n{table(rows, columns)}\n\n{source}"
        self.state.nested_parse(StringList(text.splitlines(), name), self.content_offset, inside)
        return [inside]

    def _wanted(self, row: dict[str, Any]) -> bool:
        if "where" not in self.options:
            return True
        column, text = self.options["where"].split("=", 1)
        return text in str(row.get(column, ""))


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("measured", Measured)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
