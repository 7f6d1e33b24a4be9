"""Read delimited text of any size: block by block with polars, and row by row if a block has bad rows."""

import csv
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from cofactor.data.columns import Column, IdType, Weights, positions_of, shortened, typed
from cofactor.data.gathering import Gathered
from cofactor.data.memory_limit import UNLIMITED, Limit, needed_for
from cofactor.data.opening import PACKED, Unpacked, inner_suffix, opened, shown
from cofactor.errors import DataError

__all__ = ["MOST_BAD", "Choice", "Problem", "Row", "Table", "read_delimited", "rows"]

_BLOCK = 1 << 24  # bytes given to polars at once
_SMALL = 1 << 20  # blocks with bad rows are split down to this size before they are read row by row
_HEAD = 1 << 20  # bytes that are searched for the header or the first hundred rows
_SHOWN = 3  # bad rows listed in an error
_SEPARATORS = ("::", "\t", ",", ";", "|")
_BY_SUFFIX = {".tsv": "\t", ".data": "\t", ".inter": "\t", ".csv": ","}
_LONGEST_ROW = 1_000  # lines in one row; a quote that stays open longer is a stray one
_LONGEST_TEXT = 1 << 27  # bytes in one row
MOST_BAD = 100_000  # bad rows after which an error does not count on; each takes ten microseconds
_NUMERIC = {"user": pl.Int64, "item": pl.Int64, "value": pl.Float64, "time": pl.Int64}
_STANDARD = ("user", "item", "value", "time")


@dataclass(frozen=True)
class Choice:
    """What to read of a file, and how; see `cofactor.data.readers.read_csv` for the meanings."""

    columns: dict[str, Column]
    separator: str | None = None
    names: Sequence[str] | None = None
    has_header: bool = True
    ids: IdType = "str"
    encoding: str = "utf-8"
    limit: Limit = UNLIMITED
    skip_bad: bool = False
    weights: Weights | None = None


@dataclass(frozen=True)
class Problem:
    """A bad line, and what is wrong with it."""

    line: int
    reason: str


@dataclass(frozen=True)
class Table:
    """The valid rows of a file, the first few bad ones, and the number of bad rows.

    The columns of ids named in ``spelled`` are texts, held as the integers they spell. The bad rows are those of the
    file ``place``, the first that has some.
    """

    frame: pl.DataFrame
    problems: list[Problem]
    n_bad: int
    spelled: frozenset[str] = frozenset()
    place: str = ""


@dataclass(frozen=True)
class Row:
    """A row: the line it starts on, and its fields or what is wrong with it."""

    line: int
    fields: list[str]
    problem: str = ""


@dataclass(frozen=True)
class _Layout:
    """The layout of a file."""

    separator: bytes
    quoting: bool
    width: int
    positions: dict[str, int]
    ids: IdType
    weights: Weights | None

    @property
    def numeric(self) -> tuple[str, ...]:
        """The columns that are read as numbers at once, where they are such."""
        return ("time", *(() if self.weights else ("value",)), *(("user", "item") if self.ids == "int" else ()))


def read_delimited(files: Sequence[Path], choice: Choice) -> Table:
    """Read the chosen columns of delimited files that have the same columns.

    Raises
    ------
    DataError
        If a file cannot be opened, lacks a column, or none has rows. Bad rows are returned, not raised.
    """
    table = _Reading(choice)
    for file in files:
        table.add(file)
        if table.is_hopeless:
            break
    return table.done(files)


class _Reading:
    """What has been read so far."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._columns = Gathered()
        self._first: tuple[Path, _Layout] | None = None
        self._problems: list[Problem] = []
        self._place = ""
        self._n_bad = self._size = self._n_rows = 0

    def add(self, file: Path) -> None:
        """Read a file."""
        choice, layout = self._choice, None
        before = needed_for(self._size, self._n_rows)
        with opened(file, choice.encoding) as stream:
            for line, block in _blocks(file, stream, choice.limit):
                if layout is None:
                    layout, line, block = _begun(file, choice, line, block)
                    self._check(file, layout)
                for part in _read_block(block, layout, line):
                    self._add(file, part)
                    needed = needed_for(self._size, self._n_rows)
                    if choice.limit.exceeded_by(needed):
                        choice.limit.check(before + stream.whole(needed - before), file, _smaller)
                if self.is_hopeless:
                    break

    def _add(self, file: Path, part: Table) -> None:
        self._columns.add(part.frame)
        if part.n_bad:
            self._place = self._place or str(file)
            if self._place == str(file):
                self._problems += part.problems[: max(_SHOWN - len(self._problems), 0)]
        self._n_bad += part.n_bad
        self._size, self._n_rows = self._size + int(part.frame.estimated_size()), self._n_rows + len(part.frame)

    def _check(self, file: Path, layout: "_Layout") -> None:
        """Refuse a file whose columns are others than those of the first one."""
        first, known = self._first = self._first or (file, layout)
        if not self._choice.has_header and layout.width != known.width:
            raise DataError(
                f"{file} has {layout.width} columns and {first} {known.width}: give files with the same columns"
            )
        for role in sorted(layout.positions.keys() ^ known.positions.keys()):
            has, lacks = (file, first) if role in layout.positions else (first, file)
            raise DataError(
                f"{lacks} has no column for the {role}, which {has} has: give files with the same columns, "
                f"or leave it out of all with {role}=None"
            )

    @property
    def is_hopeless(self) -> bool:
        """Whether there are so many bad rows that no more need be read."""
        return self._n_bad > MOST_BAD and not (self._choice.skip_bad and self._n_rows > 0)

    def done(self, files: Sequence[Path]) -> Table:
        """Return all rows."""
        if not self._n_bad and not self._n_rows:
            header = " under its header" if self._choice.has_header and len(files) == 1 else ""
            raise DataError(
                f"{shown(files)} {'has' if len(files) == 1 else 'have'} no rows{header}: nothing to learn from"
            )
        frame = self._columns.together(shown(files), "read them with ids='str'")
        return Table(frame, self._problems, self._n_bad, self._columns.spelled, self._place)


def _smaller(amount: str) -> str:
    """Say what to do about a text file that takes too much memory."""
    return (
        f"memory={amount!r} allows it where there is as much, time=None leaves out a column, and as Parquet "
        "open_parquet(path, memory='4GB') sorts it on disk"
    )


def _blocks(path: str | os.PathLike[str], stream: Unpacked, limit: Limit) -> Iterator[tuple[int, bytes]]:
    """Yield blocks of whole rows, each with the number of its first line."""
    usual, longest = limit.share(32, _BLOCK), limit.share(8, _LONGEST_TEXT)
    line, rest, size = 1, b"", usual
    while True:
        read = stream.read(size)
        block = rest + read
        if line == 1 and not rest:
            block = block.removeprefix(b"\xef\xbb\xbf")
        end = _row_end(block) if read else len(block)
        if not end and len(block) > longest:  # a stray quote: the rows after it are read one by one
            end = block.rfind(b"\n") + 1
            if not end:
                raise DataError(f"{path}, line {line:,}: a row of more than {longest:,} bytes: is this a table?")
        if end:
            yield line, block[:end]
            line += _count(block, b"\n", end)
        if not read:
            return
        rest = block[end:]
        size = max(usual, len(rest))  # a row longer than a block: double, so that the time stays linear


def _count(block: bytes, mark: bytes, end: int) -> int:
    """Count a character up to a position, faster than bytes do."""
    return int(np.count_nonzero(np.frombuffer(block, np.uint8, end) == ord(mark))) if mark in block else 0


def _row_end(block: bytes) -> int:
    """Return the last position where a row certainly ends (after a line end outside quotes), or 0."""
    end = block.rfind(b"\n") + 1
    quotes = _count(block, b'"', end)
    while quotes % 2:  # the line end lies within quotes: look before the last of them, which may be within others
        earlier = block.rfind(b"\n", 0, block.rfind(b'"', 0, end)) + 1
        quotes -= block.count(b'"', earlier, end)
        end = earlier
    return end


def _begun(path: str | os.PathLike[str], choice: Choice, line: int, block: bytes) -> tuple[_Layout, int, bytes]:
    """Read the header, determine the layout, and return what follows the header."""
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path} is UTF-16 text: give encoding='utf-16'")
    if block.startswith(PACKED):
        raise DataError(f"{path} is packed twice: unpack it once")
    if block.startswith(b"PAR1"):
        raise DataError(f"{path} is a Parquet file: give it a name that ends with .parquet")
    if block.lstrip().startswith((b"{", b"[")):
        suffix = inner_suffix(path)
        reader = "read_ndjson" if block.lstrip().startswith(b"{") else "read_json"
        raise DataError(
            f"{path} is JSON: convert it to Parquet first, such as with "
            f"polars.{reader}({str(path)!r}).write_parquet({str(path).removesuffix(suffix) + '.parquet'!r})"
        )
    content = block.lstrip(b"\r\n")
    line += block.count(b"\n", 0, len(block) - len(content))
    if not content:
        raise DataError(f"{path} has only blank lines: it needs at least one row")
    head = content.split(b"\n", 1)[0]
    separator = _separator(path, choice, head, binary=b"\0" in content[:_HEAD])
    quoting = len(separator) == 1  # the '::' layout has no quoting
    if b"\r" in head.rstrip(b"\r"):
        raise DataError(f"{path} has the line ends of old Macintosh files: convert them to '\\n'")
    first = _first_row(path, choice, content, separator, line)
    names = [name.strip() for name in first.fields] if choice.has_header else _names(path, choice, first)
    positions = positions_of(choice.columns, names, path)
    layout = _Layout(separator, quoting, len(first.fields), positions, choice.ids, choice.weights)
    if choice.has_header:
        end = _length_of_first(content, separator, quoting, first)
        line, content = line + content.count(b"\n", 0, end), content[end:]
    return layout, line, content


def _first_row(path: str | os.PathLike[str], choice: Choice, content: bytes, separator: bytes, line: int) -> Row:
    """Return the header, or where there is none, the first row that is as wide as most of the first hundred."""
    reader = rows(content[:_HEAD], separator, quoting=len(separator) == 1, line=line)
    if choice.has_header:
        header = next(reader)
        if header.problem:
            raise DataError(f"{path}, line {header.line}: {header.problem}")
        return header
    sample = list(itertools.islice(reader, 100))
    widths = [len(row.fields) for row in sample if not row.problem]
    if not widths:
        raise DataError(f"{path}, line {sample[0].line}: {sample[0].problem}")
    usual = max(set(widths), key=lambda width: (widths.count(width), width))
    return next(row for row in sample if len(row.fields) == usual)


def _length_of_first(content: bytes, separator: bytes, quoting: bool, first: Row) -> int:
    """Return the length in bytes of the first row, whose quoted names may contain line ends."""
    end = content.find(b"\n") + 1 or len(content)
    while end < len(content) and next(rows(content[:end], separator, quoting=quoting)).fields != first.fields:
        end = content.find(b"\n", end) + 1 or len(content)
    return end


def _names(path: str | os.PathLike[str], choice: Choice, first: Row) -> list[str]:
    """Name the columns of a file without a header, in order."""
    width = len(first.fields)
    if choice.names is None:
        return [*_STANDARD, *(f"column_{number}" for number in range(5, width + 1))][:width]
    if len(choice.names) != width:
        raise DataError(f"{path}, line {first.line}: {width} columns, but columns= names {len(choice.names)}")
    return list(choice.names)


def _separator(path: str | os.PathLike[str], choice: Choice, head: bytes, *, binary: bool) -> bytes:
    counts = {mark: head.count(mark.encode()) for mark in _SEPARATORS}
    likely = max(counts, key=lambda mark: counts[mark] * len(mark))
    if choice.separator is not None:
        if not choice.separator or choice.separator in '"\r\n':
            raise DataError(f"separator is {choice.separator!r}: give the text between two columns, such as ','")
        if choice.separator.encode() not in head:
            hint = f": the separator seems to be {likely!r}" if counts[likely] else ""
            raise DataError(
                f"{path} has one column with the separator {choice.separator!r}{hint}; its first line is {_text(head)}"
            )
        return choice.separator.encode()
    usual = _BY_SUFFIX.get(inner_suffix(path), "")
    if counts.get(usual):
        return usual.encode()
    if not counts[likely]:
        if binary:
            raise DataError(
                f"{path} is not a text file, it begins with {_text(head)}: give a table as csv, tsv or Parquet"
            )
        raise DataError(f"{path} has one column, its first line is {_text(head)}: give separator='…'")
    return likely.encode()


def _text(head: bytes) -> str:
    return shortened(head.rstrip(b"\r").decode(errors="replace"))


def _read_block(block: bytes, layout: _Layout, line: int) -> Iterator[Table]:
    """Yield the rows of a block: at once if all are valid, else in smaller parts and finally row by row."""
    frame = _quickly(block, layout)
    if frame is not None:
        yield Table(frame, [], 0)
        return
    if not block.strip(b"\r\n"):  # blank lines only, of which there may be a great many
        return
    if len(block) <= _SMALL:
        yield _slowly(block, layout, line)[0]
        return
    start = 0
    while start < len(block):
        end = start + (_row_end(block[start : start + _SMALL]) if start + _SMALL < len(block) else _SMALL)
        if end == start:  # an open quote: read some rows one by one
            part, used = _slowly(_some_lines(block, start), layout, line, _SMALL)
            yield part
            end = start + used
        else:
            yield from _read_block(block[start:end], layout, line)
        line += block.count(b"\n", start, end)
        start = end


def _some_lines(block: bytes, start: int) -> bytes:
    """Return so many bytes that the rows which begin in the first `_SMALL` of them are whole."""
    end = start + _SMALL
    for _ in range(_LONGEST_ROW):
        end = block.find(b"\n", end) + 1
        if not end:
            return block[start:]
    return block[start:end]


def _quickly(block: bytes, layout: _Layout) -> pl.DataFrame | None:
    """Read a block with polars; None if anything in it is irregular."""
    text = block
    separator = layout.separator.decode()
    if len(layout.separator) > 1:
        if b"\x1f" in block:
            return None
        text, separator = block.replace(layout.separator, b"\x1f"), "\x1f"
    if not block:  # a header with nothing after it
        return typed(pl.DataFrame(schema=dict.fromkeys(layout.positions, pl.String)), layout.ids, layout.weights).frame
    if not _is_regular(text, separator, layout):
        return None
    positions = sorted({*layout.positions.values(), layout.width - 1})
    texts = {f"column {at}": pl.String() for at in range(layout.width)}
    numbers = {f"column {at}": _NUMERIC[role]() for role, at in layout.positions.items() if role in layout.numeric}
    for schema in (texts | numbers, texts):
        try:
            frame = pl.read_csv(
                text,
                has_header=False,
                separator=separator,
                quote_char='"' if layout.quoting else None,
                schema=schema,
                columns=positions,
            )
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            continue
        if b'"' in block and frame[:, -1].null_count():
            return None  # with quotes, only a missing last field shows that a row is short
        chosen = frame.select(pl.nth(positions.index(at)).alias(role) for role, at in layout.positions.items())
        converted = typed(chosen, layout.ids, layout.weights)
        return None if converted.bad_rows else converted.frame
    return None


def _is_regular(text: bytes, separator: str, layout: _Layout) -> bool:
    """Whether all lines have the right number of fields in total, which polars does not check."""
    if b"\0" in text:
        return False
    if layout.quoting and b'"' in text:
        return True
    lines = _count(text, b"\n", len(text)) + (not text.endswith(b"\n"))
    return _count(text, separator.encode(), len(text)) == lines * (layout.width - 1)


def _slowly(block: bytes, layout: _Layout, line: int, most: int | None = None) -> tuple[Table, int]:
    """Read the rows one by one that begin in the first ``most`` bytes of a block; describe the first bad ones.

    Returns
    -------
    the rows, and how many bytes they take
    """
    good: list[Row] = []
    problems: list[Problem] = []
    last = len(block) if most is None else most
    ends = _ends_of_lines(block)
    used = len(block)
    for row in rows(block, layout.separator, quoting=layout.quoting, line=line):
        begun = int(ends[row.line - line - 1]) if row.line > line else 0
        if begun >= last:
            used = begun
            break
        if not row.problem and len(row.fields) == layout.width:
            good.append(row)
        else:
            problems.append(Problem(row.line, row.problem or f"{_fields(row)} instead of {layout.width}"))
    columns = {role: [row.fields[at] for row in good] for role, at in layout.positions.items()}
    converted = typed(pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)), layout.ids, layout.weights)
    n_bad = len(problems) + len(converted.bad_rows)
    problems = problems[:_SHOWN] + [Problem(good[bad].line, converted.why(bad)) for bad in converted.bad_rows[:_SHOWN]]
    return Table(converted.frame, sorted(problems, key=lambda problem: problem.line)[:_SHOWN], n_bad), used


def _ends_of_lines(block: bytes) -> np.ndarray:
    return np.flatnonzero(np.frombuffer(block, np.uint8) == 10) + 1


def rows(block: bytes, separator: bytes, *, quoting: bool, line: int = 1) -> Iterator[Row]:
    """Yield the rows of a block whose first line has the number ``line``; blank lines are skipped.

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
            row, used = _quoted(lines[position : position + _LONGEST_ROW], separator)
        else:
            row = text.split(separator)
        if isinstance(row, str):
            yield Row(line + position, [], row)
        elif text or used > 1:
            yield _decoded(line + position, row)
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


def _quoted(lines: list[bytes], separator: bytes) -> tuple[list[bytes] | str, int]:
    """Return the first row of some lines, or what is wrong with its quotes, and how many lines it takes: one if bad."""
    texts = (line.decode("utf-8", "surrogateescape") + "\n" for line in lines)
    reader = csv.reader(texts, delimiter=separator.decode(), strict=True)
    limit = csv.field_size_limit(2**31 - 1)
    try:
        fields = next(reader)
    except csv.Error as error:
        first = shortened(lines[0].removesuffix(b"\r"))
        if "unexpected end" in str(error):
            return f"the quote in {first} is never closed", 1
        if "expected after" in str(error):
            return f"{first} goes on after its closing quote", 1
        return f"{first} has a carriage return outside of quotes", 1
    finally:
        csv.field_size_limit(limit)
    return [field.encode("utf-8", "surrogateescape") for field in fields], reader.line_num


def _fields(row: Row) -> str:
    return f"{len(row.fields)} field{'s' if len(row.fields) != 1 else ''} ({shortened(' '.join(row.fields))})"
