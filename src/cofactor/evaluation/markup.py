"""HTML and SVG as text, in which every value is escaped unless it is markup that was made here."""

import html
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "Markup",
    "breadth",
    "count",
    "data",
    "decimals",
    "isolated",
    "joined",
    "percent",
    "shortened",
    "table",
    "tag",
]

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_EMPTY = ("circle", "line", "path", "rect")
"""SVG's shapes, which close themselves."""


class Markup(str):
    """Text that is HTML or SVG already, and so is not escaped again."""

    __slots__ = ()


def tag(name: str, *children: Any, **attributes: Any) -> Markup:
    """Return an element; children that are not `Markup` are text, and are escaped.

    Parameters
    ----------
    name : str
    *children
        Markup, or anything that has a text.
    **attributes
        ``class_`` is ``class``, ``aria_label`` is ``aria-label``. None leaves one out, True gives it no value.

    Examples
    --------
    >>> tag("p", "Tea & rye ", tag("b", "<now>"), class_="quiet")
    '<p class="quiet">Tea &amp; rye <b>&lt;now&gt;</b></p>'
    """
    head = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items() if value is not None)}"
    if name in _EMPTY and not children:
        return Markup(f"{head}/>")
    return Markup(f"{head}>{joined(children)}</{name}>")


def _attribute(key: str, value: Any) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {name}"
    text = _coordinate(value) if isinstance(value, float) else _clean(str(value))
    return f' {name}="{html.escape(text)}"'


def _coordinate(value: float) -> str:
    """Write a place in a picture to a tenth of its unit: nobody sees more, and the page stays small."""
    return f"{value:.1f}".removesuffix(".0")


def _clean(text: str) -> str:
    """Replace what no HTML may hold."""
    return _CONTROLS.sub("\ufffd", text)


def joined(children: Iterable[Any]) -> Markup:
    """Return children one after another, escaped where they are not markup."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else html.escape(_clean(str(child)), quote=False) for child in children
        )
    )


def isolated(text: Any) -> Markup:
    """Return a text from outside whose direction of writing must not disturb what stands around it."""
    return tag("bdi", text)


def shortened(text: str, width: int) -> str:
    """Return a text that takes no more room than so many Latin letters."""
    if breadth(text) <= width:
        return text
    kept, room = "", float(width - 1)
    for letter in text:
        room -= breadth(letter)
        if room < 0:
            break
        kept += letter
    return f"{kept.rstrip()}…"


def breadth(text: str) -> float:
    """Return about how many Latin letters wide a text is."""
    return sum(1.8 if unicodedata.east_asian_width(letter) in "WF" else 1.0 for letter in text)


def count(number: float) -> str:
    """Write a whole number."""
    return f"{int(number):,}"


def decimals(value: float | None, digits: int = 4) -> str:
    """Write a figure, with fewer digits after the point where there are many before it; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    whole = len(f"{abs(value):.0f}")
    return f"{value:,.{max(0, min(digits, 6 - whole))}f}"


def percent(share: float) -> str:
    """Write a share in percent, with two significant digits at least."""
    return f"{100 * share:.0f} %" if share >= 0.1 or share == 0 else f"{100 * share:.2g} %"


def data(value: float, name: str, digits: int = 4) -> Markup:
    """Return a figure for people that holds its full value for programs."""
    return tag("data", decimals(value, digits), value=repr(float(value)), data_metric=name)


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[Any]], *, texts: int = 1) -> Markup:
    """Return a table that scrolls by itself where the screen is too narrow; the first ``texts`` columns are text."""
    classes = ["text" if place < texts else "number" for place in range(len(heads))]
    head = [tag("th", name, scope="col", class_=kind) for name, kind in zip(heads, classes, strict=True)]
    body = [tag("tr", *(tag("td", cell, class_=kind) for cell, kind in zip(row, classes, strict=True))) for row in rows]
    inside = tag("table", tag("caption", caption, class_="hidden"), tag("thead", tag("tr", *head)), tag("tbody", *body))
    return tag("div", inside, class_="scroll", role="region", aria_label=caption, tabindex="0")
