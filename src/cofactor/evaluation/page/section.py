"""A section of the page: where links find it, its title, a sentence or two, and what it shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cofactor.evaluation.page.markup import Markup, tag

__all__ = ["Section", "facts", "grid"]


@dataclass(frozen=True)
class Section:
    """One section; ``short`` is what the list of sections calls it."""

    anchor: str
    short: str
    title: str
    lead: Any
    body: Markup

    def to_html(self) -> Markup:
        """Return the section as HTML."""
        head = tag("h2", self.title, id=f"{self.anchor}-title")
        lead = tag("p", self.lead, class_="lead") if self.lead else Markup()
        return tag("section", head, lead, self.body, id=self.anchor, aria_labelledby=f"{self.anchor}-title")


def facts(entries: Sequence[tuple[str, Any]]) -> Markup:
    """Return figures with their names."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in entries), class_="facts")


def grid(*figures: Markup) -> Markup:
    """Return figures side by side where there is room."""
    return tag("div", *figures, class_="grid")
