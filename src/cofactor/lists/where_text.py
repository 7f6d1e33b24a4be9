"""The language of conditions in a text, and what they say of a table. No part of a text is run, or given to polars.

::

    condition   = any_of
    any_of      = all_of {"or" all_of}
    all_of      = one {"and" one}
    one         = "not" one | "(" any_of ")" | operand [test]
    test        = ("=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=") operand
                | ["not"] "in" ("(" literal {"," literal} ")" | column)
                | ["not"] "between" operand "and" operand
                | "is" ["not"] "null"
    operand     = column | literal
    column      = a word, or any name in backquotes
    literal     = number | text in single or double quotes | "true" | "false"
"""

import datetime
import difflib
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import polars as pl

from cofactor.errors import SettingError

__all__ = ["WORDS", "columns_of", "evaluated"]

_LONGEST = 10_000  # characters
_DEEPEST = 50  # brackets within brackets
_SHOWN = 20  # columns

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
      | (?P<name>`(?:[^`]|``)*`)
      | (?P<word>[^\W\d]\w*)
      | (?P<sign><=|>=|!=|<>|==|[=<>(),\[\]])
    )""",
    re.VERBOSE,
)
_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "==": operator.eq, "!=": operator.ne, "<>": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
WORDS = {"and", "or", "not", "in", "is", "between", "null", "true", "false"}
"""What cannot be a column's name without backquotes, in small letters."""

_OPENING = {"(": ")", "[": "]"}


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class _Column:
    values: pl.Series
    name: str


@dataclass(frozen=True)
class _Literal:
    value: str | bool | int | float


_Operand: TypeAlias = _Column | _Literal


def evaluated(text: str, table: pl.DataFrame, name: str = "where") -> pl.Series:
    """Return what a condition says of each row of a table: true, false, or null where a value is not known.

    Raises
    ------
    SettingError
        If the text is no condition, or does not fit the table; it says where in the text.
    """
    return _Reader(text, table, name).read()


def columns_of(table: pl.DataFrame) -> str:
    """Return a sentence on which columns a table has."""
    side = "users" if table.columns[:1] == ["user"] else "items"
    names = [str(name) for name in table.columns[:_SHOWN]]
    more = f" and {table.width - _SHOWN} more" if table.width > _SHOWN else ""
    return f"what is known of the {side} is {', '.join(names)}{more}"


class _Reader:
    """Reads a condition from left to right, and finds its rows on the way."""

    def __init__(self, text: str, table: pl.DataFrame, name: str) -> None:
        self._text, self._table, self._name, self._depth, self._at = text, table, name, 0, 0
        if len(text) > _LONGEST:
            raise SettingError(
                f"{name} has {len(text):,} characters: at most {_LONGEST:,} are read; give an expression"
            )
        self._tokens = self._cut()

    def read(self) -> pl.Series:
        if self._next.kind == "end":
            raise self._error("it is empty: give a condition such as 'price < 20'")
        found = self._any_of()
        if self._next.kind != "end":
            raise self._error(f"after the condition comes {self._shown()}: join conditions with 'and' or 'or'")
        return found

    def _cut(self) -> list[_Token]:
        tokens, at = [], 0
        end = len(self._text.rstrip())
        while at < end:
            found = _TOKEN.match(self._text, at)
            if found is None:
                at += len(self._text[at:]) - len(self._text[at:].lstrip())
                self._tokens = [_Token("other", self._text[at : at + 12], at)]
                raise self._error(f"{self._shown()} is no part of a condition")
            kind = str(found.lastgroup)
            tokens.append(_Token(kind, found[kind], found.start(kind)))
            at = found.end()
        return [*tokens, _Token("end", "", len(self._text))]

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _word(self) -> str:
        """Return the next token if it is a word of the language or a sign, in small letters, else nothing."""
        token = self._next
        lowered = token.text.lower()
        return lowered if token.kind == "sign" or (token.kind == "word" and lowered in WORDS) else ""

    def _took(self, *words: str) -> str:
        """Go on if one of some words is next, and return it."""
        word = self._word()
        if word not in words or not word:
            return ""
        self._at += 1
        return word

    def _need(self, word: str, after: str) -> None:
        if not self._took(word):
            raise self._error(f"{self._shown()} where {word!r} is needed after {after}")

    def _any_of(self) -> pl.Series:
        found = self._all_of()
        while self._took("or"):
            found = found | self._all_of()
        return found

    def _all_of(self) -> pl.Series:
        found = self._one()
        while self._took("and"):
            found = found & self._one()
        return found

    def _one(self) -> pl.Series:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error(f"more than {_DEEPEST} brackets or 'not' within each other")
        if self._took("not"):
            found = ~self._one()
        elif self._took("("):
            found = self._any_of()
            self._need(")", "what was opened with '('")
        else:
            found = self._test()
        self._depth -= 1
        return found

    def _test(self) -> pl.Series:
        start = self._at
        left = self._operand()
        if sign := self._took(*_SIGNS):
            return self._compared(left, _SIGNS[sign], self._operand(), start)
        if self._took("is"):
            negated = self._took("not")
            self._need("null", "'is'")
            unknown = self._column_of(left, "is null", start).is_null()
            return ~unknown if negated else unknown
        negated = self._took("not")
        if self._took("in"):
            found = self._within(left, start)
        elif self._took("between"):
            low = self._operand()
            self._need("and", "'between' and a value")
            high = self._operand()
            found = self._compared(left, operator.ge, low, start) & self._compared(left, operator.le, high, start)
        elif negated:
            raise self._error(f"{self._shown()} where 'in' or 'between' is needed after 'not'")
        else:
            return self._flag(left, start)
        return ~found if negated else found

    def _operand(self) -> _Operand:
        token = self._next
        self._at += 1
        match token.kind:
            case "number":
                return _Literal(self._number(token))
            case "text":
                quote = token.text[0]
                return _Literal(token.text[1:-1].replace(quote * 2, quote))
            case "name":
                return self._column(token.text[1:-1].replace("``", "`"))
            case "word" if token.text.lower() in ("true", "false"):
                return _Literal(token.text.lower() == "true")
            case "word" if token.text.lower() == "null":
                self._at -= 1
                raise self._error("nothing is equal to null: write 'price is null' or 'price is not null'")
            case "word" if token.text.lower() not in WORDS:
                return self._column(token.text)
        self._at -= 1
        raise self._error(f"{self._shown()} where a column or a value is needed")

    def _number(self, token: _Token) -> int | float:
        if len(token.text) <= 20 and re.fullmatch(r"-?\d+", token.text):
            return int(token.text)
        number = float(token.text)
        if math.isfinite(number):
            return number
        self._at -= 1
        raise self._error(f"{self._shown()} is too large a number")

    def _column(self, name: str) -> _Column:
        if name in self._table.columns:
            return _Column(self._table[name].alias("column"), name)  # methods of a series take ^…$ for a pattern
        self._at -= 1
        near = difflib.get_close_matches(name, self._table.columns, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise self._error(f"there is no column {name[:60]!r}: {hint}{columns_of(self._table)}; put texts in quotes")

    def _compared(self, left: _Operand, sign: Callable[[Any, Any], Any], right: _Operand, start: int) -> pl.Series:
        if isinstance(left, _Column) and isinstance(right, _Column):
            one, other = left.values, right.values
            if one.dtype != other.dtype and not (one.dtype.is_numeric() and other.dtype.is_numeric()):
                raise self._error(f"{left.name} is {_kind(one.dtype)} and {right.name} is {_kind(other.dtype)}", start)
            if isinstance(one.dtype, pl.List):
                raise self._error(f"{left.name} is {_kind(one.dtype)}: write 'x' in {left.name}", start)
            return sign(one, other)
        if isinstance(left, _Literal) and isinstance(right, _Literal):
            raise self._error("it compares two values: one side must be a column", start)
        column = left if isinstance(left, _Column) else right
        literal = right if isinstance(left, _Column) else left
        assert isinstance(column, _Column)
        assert isinstance(literal, _Literal)
        value = self._fitting(column.name, column.values.dtype, literal, start)
        known = column.values if value.dtype == column.values.dtype else column.values.cast(pl.Float64)
        return sign(known, value) if column is left else sign(value, known)

    def _within(self, left: _Operand, start: int) -> pl.Series:
        if not (opened := self._took(*_OPENING)):
            column = self._operand()
            if isinstance(column, _Literal):
                raise self._error("the values of a list stand in brackets: write in (1, 2)", self._at - 1)
            if isinstance(left, _Column):
                raise self._error(f"before 'in' and a column stands a value: write 'x' in {column.name}", start)
            return self._holding(column, left, start)
        if not isinstance(left, _Column):
            raise self._error("before 'in' and a list stands a column", start)
        values = [self._listed()]
        while self._took(","):
            values.append(self._listed())
        self._need(_OPENING[opened], "the values of a list")
        kind = left.values.dtype
        fitting = [self._fitting(left.name, kind, value, start) for value in values]
        same = [value for value in fitting if value.dtype == kind]
        found = left.values.is_in(pl.concat(same).implode()) if same else left.values != left.values
        for value in (value for value in fitting if value.dtype != kind):
            found = found | (left.values.cast(pl.Float64) == value)
        return found

    def _listed(self) -> _Literal:
        value = self._operand()
        if not isinstance(value, _Literal):
            self._at -= 1
            raise self._error(f"a list holds values, and {value.name} is a column: put texts in quotes")
        return value

    def _holding(self, column: _Column, value: _Literal, start: int) -> pl.Series:
        """Return which rows of a column of lists, or of texts with ``|`` between their parts, hold a value."""
        name, values = column.name, column.values
        if isinstance(values.dtype, pl.List):
            one = self._fitting(name, values.dtype.inner, value, start)  # type: ignore[arg-type]
            known = values if one.dtype == values.dtype.inner else values.cast(pl.List(one.dtype))
            return known.list.contains(one.first())
        if values.dtype != pl.String:
            raise self._error(f"{name} is {_kind(values.dtype)} and no list: write {name} = …", start)
        if not isinstance(value.value, str):
            raise self._error(f"{name} holds texts: put {value.value!r} in quotes", start)
        return values.str.contains(rf"(?s)^(?:.*\|)?{pl.escape_regex(value.value)}(?:\||$)")

    def _column_of(self, operand: _Operand, test: str, start: int) -> pl.Series:
        if isinstance(operand, _Column):
            return operand.values
        raise self._error(f"{test!r} needs a column, not a value", start)

    def _flag(self, operand: _Operand, start: int) -> pl.Series:
        if isinstance(operand, _Literal):
            raise self._error("a value alone is no condition: compare a column with it, as in price < 20", start)
        if operand.values.dtype != pl.Boolean:
            kind = _kind(operand.values.dtype)
            raise self._error(
                f"{operand.name} alone is no condition, since it is {kind}: compare it with a value", start
            )
        return operand.values

    def _fitting(self, name: str, kind: pl.DataType, literal: _Literal, start: int) -> pl.Series:
        """Return a value as a series of one entry: of the column's type, or a float beside a column of numbers."""
        value = literal.value
        if kind.is_numeric() and isinstance(value, int | float) and not isinstance(value, bool):
            return _as_number(value, kind)
        if kind == pl.Boolean and isinstance(value, bool):
            return pl.Series([value])
        if kind == pl.String and isinstance(value, str):
            return pl.Series([value])
        if isinstance(value, str) and kind in (pl.Date, pl.Datetime, pl.Time):
            try:
                return _as_time(value, kind)
            except (ValueError, OverflowError, pl.exceptions.PolarsError):
                raise self._error(
                    f"{value[:40]!r} is not {_kind(kind)} such as {_EXAMPLES[kind.base_type()]}", start
                ) from None
        hint = f": write 'x' in {name}" if isinstance(kind, pl.List) else ""
        raise self._error(f"{name} is {_kind(kind)}, and {str(value)[:40]!r} is {_KINDS[type(value)]}{hint}", start)

    def _shown(self) -> str:
        return repr(self._next.text[:40]) if self._next.kind != "end" else "the end"

    def _error(self, problem: str, token: int | None = None) -> SettingError:
        """Return the error for what is wrong at a token, the next one if not given."""
        at = self._tokens[min(self._at if token is None else token, len(self._tokens) - 1)].at
        shown = self._text if len(self._text) <= 200 else f"{self._text[:200]}…"
        return SettingError(f"{self._name} is {shown!r}, and from character {at + 1:,} on: {problem}")


_KINDS: dict[type, str] = {str: "a text", bool: "true or false", int: "a number", float: "a number"}
_EXAMPLES: dict[Any, str] = {pl.Date: "2024-05-31", pl.Datetime: "2024-05-31 12:30", pl.Time: "12:30"}


def _kind(dtype: pl.DataType) -> str:
    """Return what a column holds, in words."""
    if dtype.is_numeric():
        return "a number"
    words: dict[Any, str] = {
        pl.String: "a text", pl.Boolean: "true or false", pl.Date: "a date", pl.Datetime: "a date and time",
        pl.Time: "a time of day", pl.List: "a list",
    }  # fmt: skip
    return next((word for kind, word in words.items() if dtype == kind), f"of type {dtype}")


def _as_number(value: int | float, kind: pl.DataType) -> pl.Series:
    """Return a number in a column's own type where that has it, else as a float of double precision."""
    if kind.is_integer() and float(value).is_integer():
        one = pl.Series([int(value)], dtype=pl.Int128).cast(kind, strict=False)
        if not one.null_count():
            return one
    return pl.Series([float(value)], dtype=kind if kind.is_float() else pl.Float64)


def _as_time(value: str, kind: pl.DataType) -> pl.Series:
    if kind == pl.Date:
        return pl.Series([datetime.date.fromisoformat(value)])
    if kind == pl.Time:
        return pl.Series([datetime.time.fromisoformat(value)])
    moment = datetime.datetime.fromisoformat(value)
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
        return pl.Series([moment]).dt.replace_time_zone("UTC").cast(kind)
    zone = kind.time_zone  # type: ignore[attr-defined]
    return pl.Series([moment]).dt.replace_time_zone(zone).cast(kind)
