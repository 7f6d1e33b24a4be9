"""What the benchmarks wrote, as Markdown for the site: tables for people, with machine, date and command.

The files under benchmarks/results stay the record; here long numbers get their separators, and a solver is written with
those of its settings that are not the defaults.
"""

import ast
import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import cofactor.solvers

__all__ = ["RESULTS", "card_of", "made", "shown", "table"]

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


@cache
def card_of(name: str) -> dict[str, Any]:
    """Return what one benchmark wrote."""
    card: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return card


def made(card: Mapping[str, Any]) -> str:
    """Say in one line by what command, when and on what a benchmark was run."""
    host = card["machine"]
    where = f"{host['cpu']}, {host['cores']} cores, {host['memory_gib']:.0f} GiB, Python {host['python']}"
    return f"`{card['command']}`, {card['date'][:10]}, {where}"


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """Write rows as a Markdown table, numbers to the right.

    Examples
    --------
    >>> print(table([{"fit_seconds": 0.25, "ratings": 20000}]))
    | fit seconds | ratings |
    | ---: | ---: |
    | 0.25 | 20,000 |
    """
    names = list(columns) or list(dict.fromkeys(name for row in rows for name in row))
    numeric = [all(isinstance(row.get(name), int | float | None) for row in rows) for name in names]
    head = [name.replace("_", " ") for name in names]
    marks = ["---:" if right else "---" for right in numeric]
    body = [[shown(row.get(name)) for name in names] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, marks, *body])


def shown(value: Any) -> str:
    """Write one cell.

    Examples
    --------
    >>> shown(None), shown(1234567), shown(0.123456), shown(31791240.2)
    ('', '1,234,567', '0.12346', '31,791,240')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.5g}"
    return f"{value:,}" if isinstance(value, int) else _text(str(value))


def _text(text: str) -> str:
    prefix, call = ("ours: ", text.removeprefix("ours: ")) if text.startswith("ours: ") else ("", text)
    short = _without_defaults(call)
    return (f"{prefix}`{short}`" if short else text).replace("|", "\\|")


def _without_defaults(text: str) -> str:
    """Write ``ALS(rank=20, seed=3)`` as ``ALS(seed=3)``; an empty text where it is no such call."""
    try:
        call = ast.parse(text, mode="eval").body
    except SyntaxError:
        return ""
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
        return ""
    if call.func.id not in cofactor.solvers.__all__:
        return ""
    fields = {field.name: field.default for field in dataclasses.fields(getattr(cofactor.solvers, call.func.id))}
    given = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
    changed = [f"{name}={value!r}" for name, value in given.items() if fields.get(name, ...) != value]
    return f"{call.func.id}({', '.join(changed)})"
