"""HTML summaries for notebooks: a heading and a small table.

Without colours or style sheets, so that they fit light and dark pages.
"""

import html
import math
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["facts", "table"]

_LINE = "border-bottom: 1px solid rgba(128, 128, 128, 0.35); padding: 0.2em 0.9em 0.2em 0"


def facts(title: str, known: Mapping[str, object]) -> str:
    """Return a heading and a table of names and values; None and empty values are left out.

    Examples
    --------
    >>> "3 &lt; 4" in facts("numbers", {"known": "3 < 4", "unknown": None})
    True
    """
    rows = [(name, value) for name, value in known.items() if value is not None and value != ""]
    return table(title, (), rows)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], note: str = "") -> str:
    """Return a heading, a table with column names, and a note below; all text is escaped.

    Parameters
    ----------
    title : str
    columns : sequence of str
        Names of the columns; may be empty.
    rows : iterable of sequences
        Texts and numbers; numbers are right-aligned.
    note : str
    """
    head = "".join(_cell("th", name, aligned="left" if at == 0 else "right") for at, name in enumerate(columns))
    body = "".join(f"<tr>{_row(row)}</tr>" for row in rows)
    parts = [f"<tr>{head}</tr>" if columns else "", body]
    below = f'<div style="opacity: 0.7">{html.escape(note)}</div>' if note else ""
    return (
        f'<div><div style="font-weight: bold; margin-bottom: 0.3em">{html.escape(title)}</div>'
        f'<table style="border-collapse: collapse; font-variant-numeric: tabular-nums">{"".join(parts)}</table>'
        f"{below}</div>"
    )


def _row(values: Sequence[object]) -> str:
    first, *others = values
    return _cell("th", first, aligned="left") + "".join(
        _cell("td", value, aligned="left" if isinstance(value, str) else "right") for value in others
    )


def _cell(tag: str, value: object, *, aligned: str) -> str:
    return f'<{tag} style="text-align: {aligned}; {_LINE}">{html.escape(_shown(value))}</{tag}>'


def _shown(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
