"""The Python blocks of a page: which of them use cofactor, and what each prints.

A block is ours if its fence says ``python`` or ``{executed}``. Another library's code is in a ``{code-block}``, and
is run by ``benchmarks/guides.py``.
"""

import ast
import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any

import polars as pl

__all__ = ["Block", "ours", "output_of", "theirs"]

Block = tuple[int, str]
"""The line on which a block begins, and its code."""

_OURS = re.compile(r"^(?P<fence>`{3,}|:{3,})(?:python|\{executed\}[^\n]*)\n(?P<body>.*?)^(?P=fence)\s*$", re.M | re.S)
_THEIRS = re.compile(r"^(`{3,})\{code-block\} python\n:class: theirs (\S+)\n(.*?)^\1\s*$", re.M | re.S)


def ours(page: str) -> Iterator[Block]:
    """Yield our blocks of a page, in order.

    Examples
    --------
    >>> list(ours("Text\\n```python\\n1 + 1\\n```\\n"))
    [(3, '1 + 1\\n')]
    """
    for found in _OURS.finditer(page):
        body = re.sub(r"\A(:[\w-]+:.*\n)+", lambda options: "\n" * options[0].count("\n"), found["body"])
        yield page.count("\n", 0, found.start("body")) + 1, body


def theirs(page: str) -> Iterator[tuple[str, str]]:
    """Yield the name of the library and the code of every block of another library.

    Examples
    --------
    >>> list(theirs("```{code-block} python\\n:class: theirs surprise\\nx = 1\\n```\\n"))
    [('surprise', 'x = 1\\n')]
    """
    for found in _THEIRS.finditer(page):
        yield found[2], found[3].lstrip("\n")


def output_of(code: str, names: dict[str, Any], filename: str = "<page>") -> str:
    """Run a block as a notebook would: what it printed, then the value of its last expression.

    Examples
    --------
    >>> output_of("x = 2; print(x)\\nx + 1", {})
    '2\\n3\\n'
    """
    tree = ast.parse(code, filename)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed = io.StringIO()
    shape = {"tbl_hide_dataframe_shape": True, "tbl_hide_column_data_types": True, "tbl_width_chars": 90}
    with contextlib.redirect_stdout(printed), pl.Config(tbl_formatting="NOTHING", tbl_rows=20, tbl_cols=12, **shape):
        exec(compile(tree, filename, "exec"), names)  # noqa: S102
        if last is not None:
            value = eval(compile(ast.Expression(last.value), filename, "eval"), names)  # noqa: S307
            if value is not None:
                print(repr(value))  # noqa: T201
    return "\n".join(line.rstrip() for line in printed.getvalue().splitlines()) + "\n" if printed.getvalue() else ""
