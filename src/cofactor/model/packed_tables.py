"""Tables of attributes ⇄ plain arrays: text as bytes with offsets, dates as numbers, lists as offsets and entries.

A reader trusts no size: each array must be there, of its type, and as long as the table asks for.
"""

import zoneinfo
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from cofactor.data.metadata import Metadata

__all__ = ["PackedTables", "numbers_of", "packed_tables", "packed_texts", "texts_of", "unpacked_tables"]

_OLDEST = (("title", "titles"), ("genres", "genres"))
"""Columns of items that every version of the model file knows, and what it calls their arrays."""

_NUMBERS: Mapping[str, tuple[pl.DataType, type[np.generic]]] = {
    **{name: (kind(), getattr(np, name)) for name, kind in {
        "int8": pl.Int8, "int16": pl.Int16, "int32": pl.Int32, "int64": pl.Int64, "uint8": pl.UInt8,
        "uint16": pl.UInt16, "uint32": pl.UInt32, "uint64": pl.UInt64, "float32": pl.Float32, "float64": pl.Float64,
    }.items()},
    "boolean": (pl.Boolean(), np.uint8),
    "date": (pl.Date(), np.int32),
    "time": (pl.Time(), np.int64),
}  # fmt: skip
"""Columns that are numbers in a file: what they are in a table, and there."""

_DAY = 24 * 3600 * 10**9


@dataclass(frozen=True)
class PackedTables:
    """Both tables of a model as a file holds them.

    Parameters
    ----------
    schema : mapping
        For ``items`` and ``users`` the columns in order, each as ``[name, kind]``; empty where there are no columns
        but those that every version knows.
    tensors : mapping of str to numpy.ndarray
    """

    schema: Mapping[str, list[list[Any]]]
    tensors: Mapping[str, np.ndarray]


def packed_tables(metadata: Metadata) -> PackedTables:
    """Return what is known of items and users as arrays and what they mean."""
    schema: dict[str, list[list[Any]]] = {}
    tensors: dict[str, np.ndarray] = {}
    for side, table in (("items", metadata.items), ("users", metadata.users)):
        schema[side] = [[column.name, _kind_of(column.dtype)] for column in table.iter_columns()]
        for at, column in enumerate(table.iter_columns()):
            tensors |= _packed(column.alias("column"), _name_of(side, at, *schema[side][at]))  # not ^…$, a pattern
    oldest = [[name, "text"] for name, _ in _OLDEST if name in metadata.items.columns]
    if schema == {"items": oldest, "users": []}:
        schema = {}
    return PackedTables(schema, tensors)


def unpacked_tables(schema: Any, tensors: Mapping[str, np.ndarray], lengths: Mapping[str, int]) -> Metadata:
    """Return the tables that arrays hold.

    Parameters
    ----------
    schema : mapping
        As `packed_tables` returns it; nothing in it is believed before it is checked.
    tensors : mapping of str to numpy.ndarray
    lengths : mapping
        How many ``items`` and ``users`` there are.

    Raises
    ------
    KeyError, TypeError, ValueError, polars.exceptions.PolarsError
        If arrays are missing, or of another type or length than they should.
    """
    columns = dict(schema) or {
        "items": [[name, "text"] for name, tensor in _OLDEST if f"{tensor}.offsets" in tensors], "users": [],
    }  # fmt: skip
    tables = {}
    for side, length in lengths.items():
        series: dict[str, pl.Series] = {}
        for at, (name, kind) in enumerate(columns[side]):
            if not isinstance(name, str) or name in series:
                raise TypeError(f"the columns of {side} have no names of their own")
            series[name] = _unpacked(kind, tensors, _name_of(side, at, name, kind), length)
        tables[side] = pl.DataFrame(series)
    return Metadata(**tables)


def packed_texts(texts: pl.Series, name: str) -> dict[str, np.ndarray]:
    """Lay texts out as bytes plus offsets; a text that is not known has its place in ``missing``."""
    encoded = [text.encode() for text in texts.fill_null("").to_list()]
    packed: dict[str, np.ndarray] = {
        f"{name}.bytes": np.frombuffer(b"".join(encoded), dtype=np.uint8),
        f"{name}.offsets": _offsets(np.array([len(text) for text in encoded], np.int64)),
    }
    return packed | _missing(texts, name)


def texts_of(tensors: Mapping[str, np.ndarray], name: str) -> pl.Series:
    """Return texts that `packed_texts` laid out, and check what their arrays claim.

    Raises
    ------
    ValueError
        Saying what does not fit.
    """
    offsets, packed = numbers_of(tensors, f"{name}.offsets", np.int64), numbers_of(tensors, f"{name}.bytes", np.uint8)
    if packed.ndim != 1:
        raise ValueError(f"{name} have the wrong shape")
    _check_offsets(offsets, len(packed), name)
    data = packed.tobytes()
    decode: Callable[[int, int], str] = lambda start, end: data[start:end].decode()  # noqa: E731
    texts = pl.Series([decode(start, end) for start, end in pairwise(offsets.tolist())], dtype=pl.String)
    return _with_missing(texts, tensors, name)


def numbers_of(tensors: Mapping[str, np.ndarray], name: str, dtype: type) -> np.ndarray:
    """Return an array, once it is known to be there and of its type.

    Raises
    ------
    ValueError
        Saying what is wrong with it.
    """
    if name not in tensors:
        raise ValueError(f"{name} is missing")
    if tensors[name].dtype != dtype:
        raise ValueError(f"{name} is of type {tensors[name].dtype}, not {np.dtype(dtype)}")
    return tensors[name]


def _name_of(side: str, at: int, name: str, kind: Any) -> str:
    oldest = dict(_OLDEST)
    return oldest[name] if side == "items" and kind == "text" and name in oldest else f"{side}.column.{at}"


def _kind_of(dtype: pl.DataType) -> Any:
    """Return a column's type in words that JSON can hold."""
    if isinstance(dtype, pl.List):
        return ["list", _kind_of(dtype.inner)]  # type: ignore[arg-type]
    if isinstance(dtype, pl.Datetime):
        return ["datetime", dtype.time_unit, dtype.time_zone]
    if isinstance(dtype, pl.Duration):
        return ["duration", dtype.time_unit]
    if dtype == pl.String:
        return "text"
    return next(kind for kind, (known, _) in _NUMBERS.items() if known == dtype)


def _packed(column: pl.Series, name: str) -> dict[str, np.ndarray]:
    if column.dtype == pl.String:
        return packed_texts(column, name)
    if isinstance(column.dtype, pl.List):
        lengths = column.list.len().fill_null(0)
        entries = column.filter(lengths > 0).explode()
        return {
            f"{name}.offsets": _offsets(lengths.cast(pl.Int64).to_numpy()),
            **_packed(entries, f"{name}.entries"),
            **_missing(column, name),
        }
    _, stored = _stored_as(_kind_of(column.dtype))
    numbers = column.to_physical().fill_null(False if column.dtype == pl.Boolean else 0).to_numpy()
    return {name: np.ascontiguousarray(numbers, dtype=stored), **_missing(column, name)}


def _unpacked(kind: Any, tensors: Mapping[str, np.ndarray], name: str, length: int) -> pl.Series:
    if kind == "text":
        texts = texts_of(tensors, name)
        if len(texts) != length:
            raise ValueError(f"there are {len(texts):,} {name} for {length:,} rows")
        return texts
    if isinstance(kind, list) and kind[0] == "list":
        return _with_missing(_lists_of(kind[1], tensors, name, length), tensors, name)
    dtype, stored = _stored_as(kind)
    numbers = numbers_of(tensors, name, stored)
    if numbers.shape != (length,):
        raise ValueError(f"{name} has the shape {numbers.shape} for {length:,} rows")
    if kind == "time" and not ((numbers >= 0) & (numbers < _DAY)).all():
        raise ValueError(f"{name} holds times that no day has")
    return _with_missing(pl.Series(numbers).cast(dtype), tensors, name)


def _lists_of(inner: Any, tensors: Mapping[str, np.ndarray], name: str, length: int) -> pl.Series:
    offsets = numbers_of(tensors, f"{name}.offsets", np.int64)
    if offsets.shape != (length + 1,):
        raise ValueError(f"{name} has offsets of the shape {offsets.shape} for {length:,} rows")
    _check_offsets(offsets, None, name)
    entries = _unpacked(inner, tensors, f"{name}.entries", int(offsets[-1]))
    rows = np.repeat(np.arange(length), np.diff(offsets))
    lists = pl.DataFrame({"row": rows, "entry": entries}).group_by("row", maintain_order=True).agg("entry")
    whole = pl.DataFrame({"row": np.arange(length)}).join(lists, on="row", how="left", maintain_order="left")["entry"]
    return whole.fill_null(pl.lit([], dtype=whole.dtype)) if whole.null_count() else whole


def _stored_as(kind: Any) -> tuple[pl.DataType, type[np.generic]]:
    """Return the type of a column of numbers in a table and in a file."""
    if isinstance(kind, str):
        return _NUMBERS[kind]
    what, unit, *zone = kind
    if unit not in ("ms", "us", "ns") or what not in ("datetime", "duration"):
        raise ValueError(f"{str(kind)[:40]} is no type of a column")
    if what == "duration":
        return pl.Duration(unit), np.int64
    if zone[0] is not None:
        zoneinfo.ZoneInfo(zone[0])  # raises where there is none of that name
    return pl.Datetime(unit, zone[0]), np.int64


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def _check_offsets(offsets: np.ndarray, end: int | None, name: str) -> None:
    if offsets.ndim != 1 or not len(offsets):
        raise ValueError(f"{name} have the wrong shape")
    if offsets[0] != 0 or np.any(np.diff(offsets) < 0) or (end is not None and offsets[-1] != end):
        raise ValueError(f"{name} have offsets outside of their bytes")


def _missing(column: pl.Series, name: str) -> dict[str, np.ndarray]:
    if not column.null_count():
        return {}
    return {f"{name}.missing": np.asarray(column.is_null().to_numpy(), dtype=np.uint8)}


def _with_missing(column: pl.Series, tensors: Mapping[str, np.ndarray], name: str) -> pl.Series:
    """Return a column with its nulls."""
    if f"{name}.missing" not in tensors:
        return column
    missing = numbers_of(tensors, f"{name}.missing", np.uint8)
    if missing.shape != (len(column),):
        raise ValueError(f"{name} have the wrong shape")
    places = pl.Series(np.where(missing != 0, -1, np.arange(len(column))))
    return column.gather(places.set(places < 0, None))
