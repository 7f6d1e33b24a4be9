"""Find how large the columns of a Parquet file are once they are read, without reading them.

A megabyte of Parquet can hold a billion equal numbers, or a text that is compressed ten thousandfold. The file says so
in its footer and before each page, in Thrift's compact protocol, of which polars shows nothing. The pages are asked
too: what decompresses them believes them, not the footer.

Source: the Apache Parquet format (parquet.thrift), and Thrift's compact protocol.
"""

import mmap
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cofactor.errors import DataError

__all__ = ["Sizes", "parquet_sizes"]

_MAGIC = b"PAR1"
_MOST = 1 << 25  # bytes of a footer: it takes ten times as much once it is read
_WIDTHS = {0: 1, 1: 4, 2: 8, 3: 8, 4: 4, 5: 8}  # of booleans, integers, times and floats
_TEXT = 6
_VIEW = 16  # bytes of a text in a column besides its letters
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12


@dataclass(frozen=True)
class Sizes:
    """How large some columns are: rows, bytes in memory, and of the largest row group the same and that of texts."""

    rows: int
    columns: int
    group: int
    group_texts: int


def parquet_sizes(file: Path, names: Collection[str] | None = None) -> Sizes:
    """Return the sizes of some columns of a file, or of all.

    Raises
    ------
    DataError
        If the file is not sound Parquet.
    """
    try:
        with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _sizes(content, names)
    except (IndexError, KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DataError(f"{file} cannot be read as Parquet ({error}): write it again or move it away") from error


def _sizes(content: mmap.mmap, names: Collection[str] | None) -> Sizes:
    end = len(content) - 8
    if end < 4 or content[-4:] != _MAGIC:
        raise ValueError("it does not end as Parquet does")
    length = int.from_bytes(content[end : end + 4], "little")
    if not 0 < length <= min(end, _MOST):
        raise ValueError(f"its footer is said to have {length:,} bytes")
    footer = _Compact(content, end - length, end).struct()
    widths = {tuple(path): _width(leaf) for path, leaf in _leaves(footer[2])}
    rows, columns, groups, groups_texts = 0, 0, [0], [0]
    for group in footer.get(4, []):
        texts, before = 0, columns
        n = group[3]
        for chunk in group[1]:
            described = chunk[3]
            path = tuple(name.decode() for name in described[3])
            if names is not None and path[0] not in names:
                continue
            values, unpacked = _pages(content, described, end - length)
            is_text = described[1] == _TEXT
            columns += values * widths[path] + unpacked * is_text
            texts += unpacked * is_text
            n = max(n, values if len(path) == 1 else 0)
        rows += n
        groups.append(columns - before)
        groups_texts.append(texts)
    return Sizes(max(rows, footer[3]), columns, max(groups), max(groups_texts))


def _leaves(schema: list[dict[int, Any]]) -> Iterator[tuple[list[str], dict[int, Any]]]:
    """Yield the path and the description of each column that has values; a schema is a tree, written in preorder."""
    open_groups: list[list[Any]] = [["", schema[0].get(5, 0)]]
    for element in schema[1:]:
        while open_groups and not open_groups[-1][1]:
            open_groups.pop()
        open_groups[-1][1] -= 1
        name = element[4].decode()
        if element.get(5):
            open_groups.append([name, element[5]])
        else:
            yield [*(group[0] for group in open_groups[1:]), name], element


def _width(leaf: dict[int, Any]) -> int:
    kind = leaf[1]
    return _VIEW + (leaf.get(2, 0) if kind > _TEXT else 0) if kind >= _TEXT else _WIDTHS[kind]


def _pages(content: mmap.mmap, chunk: dict[int, Any], end: int) -> tuple[int, int]:
    """Return how many values a column chunk has, and the bytes of its pages once they are decompressed."""
    position = min(filter(None, (chunk[9], chunk.get(11))), default=0)
    stop = position + chunk[7]
    if stop > position and not 0 < position < stop <= end:
        raise ValueError("a column is said to lie outside of it")
    values = unpacked = 0
    while position < stop:
        reader = _Compact(content, position, stop)
        header = reader.struct()
        size, packed = header[2], header[3]
        if size < 0 or packed < 0:
            raise ValueError("a page has a negative size")
        data = header.get(5) or header.get(8)
        values += data[1] if data else 0
        unpacked += size
        position = reader.position + packed
    return max(values, chunk[5]), max(unpacked, chunk[6])


class _Compact:
    """Reads structs of Thrift's compact protocol as dictionaries from field numbers to values."""

    def __init__(self, content: mmap.mmap, position: int, end: int) -> None:
        self._content, self.position, self._end = content, position, end

    def struct(self) -> dict[int, Any]:
        """Read a struct."""
        found: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            found[number] = kind == _TRUE if kind <= _FALSE else self._value(kind)
        return found

    def _value(self, kind: int) -> Any:
        if kind == _BINARY:
            return self._taken(self._unsigned())
        if kind in (_LIST, _SET):
            head = self._byte()
            size = head >> 4 if head >> 4 < 15 else self._unsigned()
            return [self._value(head & 15) for _ in range(size)]
        if kind == _STRUCT:
            return self.struct()
        if kind == _MAP:
            size = self._unsigned()
            kinds = self._byte() if size else 0
            return [(self._value(kinds >> 4), self._value(kinds & 15)) for _ in range(size)]
        if kind == _DOUBLE:
            return self._taken(8)
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._byte()
        return self._signed()

    def _byte(self) -> int:
        if self.position >= self._end:
            raise ValueError("it ends too early")
        self.position += 1
        return self._content[self.position - 1]

    def _taken(self, size: int) -> bytes:
        if self.position + size > self._end:
            raise ValueError("it ends too early")
        self.position += size
        return self._content[self.position - size : self.position]

    def _unsigned(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("a number in it has more than 64 bits")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
