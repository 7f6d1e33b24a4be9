"""Read delimited text slowly and exactly: cut it into rows one by one, and say of each bad row what is wrong with it.

The fast reader hands over the blocks in which something is wrong. Quotes follow RFC 4180: a field that begins with
one ends at the next single one, may hold separators and line ends, and doubles the quotes inside.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cofactor.data.columns import shortened

__all__ = ["Row", "rows"]

_LONGEST_ROW = 1_000  # lines in one row: a quote that is open for longer was never meant as one


@dataclass(frozen=True)
class Row:
    """One row: the line it begins on, and its fields or why they cannot be had."""

    line: int
    fields: list[str]
    problem: str = ""


def rows(block: bytes, separator: bytes, *, quoting: bool, line: int = 1) -> Iterator[Row]:
    """Yield the rows of a block whose first line has the number ``line``; blank lines are passed over.

    Examples
    --------
    >>> [row.fields for row in rows(b'1,"a, b"\\r\\n2,c', b",", quoting=True)]
    [['1', 'a, b'], ['2', 'c']]
    """
    lines = block.split(b"\n")
    position = 0
    while position < len(lines):
        text, used = lines[position].removesuffix(b"\r"), 1
        if quoting and b'"' in text:
            fields, used = _quoted(lines, position, separator)
        else:
            fields = text.split(separator)
        if isinstance(fields, str):
            yield Row(line + position, [], fields)
        elif text or used > 1:
            yield _decoded(line + position, fields)
        position += used


def _decoded(line: int, fields: list[bytes]) -> Row:
    try:
        texts = [field.decode() for field in fields]
    except UnicodeDecodeError as error:
        found = shortened(error.object)
        return Row(line, [], f"{found} is not UTF-8 text: give encoding='latin-1' or whichever it was written in")
    if any("\0" in text for text in texts):
        return Row(line, texts, f"{shortened(next(text for text in texts if chr(0) in text))} holds a NUL byte")
    return Row(line, texts)


def _quoted(lines: list[bytes], position: int, separator: bytes) -> tuple[list[bytes] | str, int]:
    """Cut a row that holds quotes, taking in further lines while one is open; a bad row uses up one line only."""
    text = lines[position]
    used = 1
    while True:
        fields = _cut(text.removesuffix(b"\r"), separator)
        if fields is not None:
            return fields, 1 if isinstance(fields, str) else used
        if used == _LONGEST_ROW or position + used == len(lines):
            return f"the quote in {shortened(lines[position])} is never closed", 1
        # Take in lines up to the next quote at once, so that a stray one costs linear and not quadratic time.
        start = used
        while used < _LONGEST_ROW and position + used < len(lines):
            used += 1
            if b'"' in lines[position + used - 1]:
                break
        text = b"\n".join([text, *lines[position + start : position + used]])


def _cut(text: bytes, separator: bytes) -> list[bytes] | str | None:
    """Return the fields, or what is wrong with the quotes, or None where the last quote is still open."""
    fields, start = [], 0
    plain = re.compile(rb"(?:(?!" + re.escape(separator) + rb").)*", re.DOTALL)
    while True:
        if text[start : start + 1] == b'"':
            match = re.compile(rb'"((?:[^"]|"")*)"(?!")').match(text, start)
            if match is None:
                return None
            field = match[1].replace(b'""', b'"')
        else:
            match = plain.match(text, start)
            assert match is not None  # it matches the empty string too
            field = match[0]
        fields.append(field)
        end = match.end()
        if end == len(text):
            return fields
        if not text.startswith(separator, end):
            return f"{shortened(text[start : end + 10])} goes on after its closing quote"
        start = end + len(separator)
