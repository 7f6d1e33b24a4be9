"""Damaged and hostile files of each format: mutations that know where a format keeps its numbers, and blind ones.

Each takes a generator, a sound file or folder and a place to write the mutant to. The same seed gives the same mutant.
"""

import contextlib
import io
import json
import os
import shutil
import sqlite3
import struct

import numpy as np
import polars as pl

NUMBERS = (
    0, 1, -1, 2, 3, 7, -7, 0.5, -0.5, 1e-300, 1e-9, 1e9, -1e9, 1e12, 1e18, 1e19, 10**19, 2**31, 2**31 - 1, -(2**31),
    2**63, -(2**63), 2**64, 1e38, 1e39, 1e300, 1e308, -1e308, 10**400, 5000,
)  # fmt: skip
OTHERS = (
    None, True, False, "", "x", "nan", 'a"b\nc', "é" * 50, "x" * 100_000, [], {}, [[]], [1], ["a"], {"a": 1},
    [1, 2, 3], [None], "float32", "squared", "confidence", "complete", "pairwise", "logistic", "posterior", "rating",
    "ranking", "stars", "weights", "alike", "as given",
)  # fmt: skip
RAW = (b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-0", b"[" * 3000 + b"]" * 3000)
KINDS = ("BOOL", "F16", "F32", "F64", "I8", "I16", "I32", "I64", "U8", "U16", "U32", "U64", "C64")
DTYPES_OF_KINDS = ("?", "f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "c8")
DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "float16", "float32", "float64",
    "complex64", ">i4", ">f4", "S4", "U4", "M8[s]",
)  # fmt: skip


def odd(random):
    """Return a value that stands where another should."""
    pool = NUMBERS if random.random() < 0.6 else OTHERS
    return pool[random.integers(len(pool))]


def mutated_json(random, value):
    """Change, remove, add, double or exchange something within a JSON value."""
    places = list(_places(value))
    if not places:
        return odd(random)
    for _ in range(int(random.choice([1, 1, 1, 2, 4]))):
        holder, key = places[random.integers(len(places))]
        other, other_key = places[random.integers(len(places))]
        what = random.integers(8)
        try:
            if what <= 3:
                holder[key] = odd(random)
            elif what == 4:
                del holder[key]
            elif what == 5:
                holder[key] = other[other_key]
            elif what == 6 and isinstance(holder, dict):
                holder[str(odd(random))[:40]] = holder[key]
            elif isinstance(holder[key], int | float) and not isinstance(holder[key], bool):
                holder[key] = holder[key] * [-1, 0.5, 2, 1e3, 1e-3, 1e30][random.integers(6)]
            elif isinstance(holder, list):
                holder.append(holder[key])
        except (IndexError, KeyError, OverflowError, TypeError):
            continue
    return value


def _places(value):
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in list(entries):
        yield value, key
        yield from _places(one)


def json_bytes(random, value):
    """Write JSON, now and then with what JSON cannot hold."""
    try:
        text = json.dumps(value).encode()
    except (ValueError, RecursionError):
        text = b"{}"
    if random.random() < 0.05:
        at = random.integers(len(text) + 1)
        text = text[:at] + RAW[random.integers(len(RAW))] + text[at:]
    return text


def mutated_array(random, array):
    """Change numbers, the length, the type or the shape of an array."""
    array, what = np.array(array), random.integers(8)
    flat = array.reshape(-1)
    if what == 0 or not flat.size:
        return np.resize(array, [(0,), (1,), (flat.size + 1,), (2, 2), (flat.size, 1), ()][random.integers(6)])
    if what == 1:
        with np.errstate(all="ignore"):
            return array.astype(DTYPES[random.integers(11)])
    if what == 2:
        return flat[: random.integers(flat.size + 1)]
    if what == 3:
        return flat[random.permutation(flat.size)].reshape(array.shape)
    if what == 4:
        bits = flat.view(np.uint8)
        bits[random.integers(bits.size)] ^= np.uint8(1 << random.integers(8))
        return array
    pool = [0, 1, -1, 2, len(flat), -len(flat), 99, 2**31 - 1, -(2**31), 2**62, np.nan, np.inf, -np.inf, 1e16, 3e38]
    with np.errstate(all="ignore"):
        for place in random.integers(flat.size, size=int(random.choice([1, 1, 2, flat.size]))):
            value = pool[random.integers(len(pool))]
            flat[place] = np.array(value).astype(flat.dtype)
    return array


def blind(random, data):
    """Flip bits, cut, repeat or insert bytes without knowing what they mean."""
    data, what = bytearray(data), random.integers(6)
    if not data or what == 0:
        return bytes(data[: random.integers(len(data) + 1)])
    if what == 1:
        at, length = random.integers(len(data)), random.integers(1, 64)
        return bytes(data[:at] + bytes(random.integers(0, 256, length, dtype=np.uint8)) + data[at:])
    if what == 2:
        first, last = sorted(random.integers(len(data) + 1, size=2))
        return bytes(data[:first] + data[last:])
    for _ in range(int(random.choice([1, 1, 3, 30]))):
        data[random.integers(len(data))] ^= 1 << int(random.integers(8))
    return bytes(data)


def tensors(random, source, target):
    """Mutate a safetensors file: its description, its header, its arrays, or its bytes."""
    data = source.read_bytes()
    if random.random() < 0.15:
        target.write_bytes(blind(random, data))
        return
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    metadata = header.pop("__metadata__")
    (name, text), *_ = metadata.items()
    arrays = {one: _array_of(entry, body) for one, entry in header.items()}
    card, packed = json.loads(text), None
    if random.random() < 0.8:
        card.pop("checksums", None)  # else most mutants would be refused for these alone
    what = random.random()
    if what < 0.55:
        packed = json_bytes(random, mutated_json(random, card))
    if what > 0.45:
        for _ in range(int(random.choice([1, 1, 2]))):
            chosen = list(arrays)[random.integers(len(arrays))]
            other = list(arrays)[random.integers(len(arrays))]
            how = random.integers(8)
            if how == 0:
                arrays.pop(chosen)
            elif how == 1:
                arrays[chosen] = arrays[other]
            elif how == 2:
                arrays[f"extras.{chosen}"] = arrays[chosen]
            else:
                arrays[chosen] = mutated_array(random, arrays[chosen])
            if not arrays:
                break
    packed = json.dumps(card).encode() if packed is None else packed
    target.write_bytes(_as_file(random, name, packed, arrays))


def _array_of(entry, body):
    kinds = dict(zip(KINDS, DTYPES_OF_KINDS, strict=True))
    first, last = entry["data_offsets"]
    return np.frombuffer(body[first:last], kinds[entry["dtype"]]).reshape(entry["shape"])


def _as_file(random, name, packed, arrays):
    names = {"?": "BOOL", "c8": "C64"} | {f"{k}{b}": f"{k.upper()}{8 * b}" for k in "fiu" for b in (1, 2, 4, 8)}
    header, body = {"__metadata__": {name: packed.decode("utf-8", "replace")}}, b""
    for one, array in arrays.items():
        kind = "?" if array.dtype == bool else f"{array.dtype.kind}{array.dtype.itemsize}"
        part = np.ascontiguousarray(array).tobytes()
        header[one] = {
            "dtype": names.get(kind, "F32"),
            "shape": list(array.shape),
            "data_offsets": [len(body), len(body) + len(part)],
        }
        body += part
    if random.random() < 0.1:
        header = mutated_json(random, header)
    text = json_bytes(random, header)
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def folder(random, source, target):
    """Mutate one file of a folder, or put something else in its place."""
    shutil.copytree(source, target)
    files = sorted(file for file in target.rglob("*") if file.is_file() and not file.name.startswith("."))
    for _ in range(int(random.choice([1, 1, 2]))):
        file = files[random.integers(len(files))]
        what = random.random()
        if what < 0.02:
            file.unlink(missing_ok=True)
        elif what < 0.04:
            file.unlink(missing_ok=True)
            os.mkfifo(file)
            return
        elif what < 0.06:
            file.unlink(missing_ok=True)
            file.mkdir()
            return
        elif what < 0.15 and file.is_file():
            file.write_bytes(blind(random, file.read_bytes()))
        elif file.is_file():
            with contextlib.suppress(
                Exception, pl.exceptions.PanicException
            ):  # what was mutated before need not be readable
                {".json": _json_file, ".npy": _npy_file, ".parquet": _parquet_file}[file.suffix](random, file)


def _json_file(random, file):
    value = json.loads(file.read_bytes())
    if random.random() < 0.7 and isinstance(value, dict):
        value.pop("checksums", None)
    file.write_bytes(json_bytes(random, mutated_json(random, value)))


def _npy_file(random, file):
    array = mutated_array(random, np.load(file))
    if random.random() < 0.1:
        array = array.astype(DTYPES[random.integers(len(DTYPES))]) if array.dtype.kind in "iu" else array
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    data = stream.getvalue()
    if random.random() < 0.1:  # a header that lies
        data = data.replace(b"(" + str(len(array) if array.ndim else 0).encode(), b"(" + str(odd(random))[:9].encode())
    file.write_bytes(data)
    if random.random() < 0.8:
        _without_sums(file.parent / "interactions.json")


def _without_sums(manifest):
    if manifest.is_file():
        try:
            value = json.loads(manifest.read_bytes())
            value.pop("checksums", None)
            manifest.write_text(json.dumps(value))
        except (AttributeError, ValueError):
            pass


def _parquet_file(random, file):
    try:
        table = pl.read_parquet(file)
    except pl.exceptions.PanicException:  # which is no Exception
        return
    column = table.columns[random.integers(table.width)]
    other = table.columns[random.integers(table.width)]
    what = random.integers(8)
    try:
        if what == 0:
            table = table.drop(column)
        elif what == 1:
            table = table.head(int(random.integers(table.height + 1)))
        elif what == 2:
            table = pl.concat([table, table])
        elif what == 3:
            table = table.with_columns(pl.col(other).alias(column))
        elif what == 4:
            kind = [pl.Int8, pl.UInt64, pl.Float32, pl.String, pl.Boolean, pl.Binary, pl.Date][random.integers(7)]
            table = table.with_columns(pl.col(column).cast(kind, strict=False))
        elif what == 5:
            table = table.with_columns(
                pl.when(pl.Series(random.random(table.height) < 0.3)).then(None).otherwise(pl.col(column)).alias(column)
            )
        elif what == 6:
            value = [0, -1, 2**31, 1e300, "x", "", None, True, -(2**63), float("nan")][random.integers(10)]
            table = table.with_columns(pl.lit(value).alias(column))
        else:
            table = table.with_columns(pl.Series(column, mutated_array(random, table[column].to_numpy())))
        table.write_parquet(file)
    except Exception:  # not every change suits every type: what is left is a mutant too
        pl.DataFrame({"renamed": [1, 2]}).write_parquet(file)
    if random.random() < 0.8:
        _without_sums(file.parent / "interactions.json")


def lines(random, source, target):
    """Mutate a study, which is a line of JSON for each thing that happened."""
    data = source.read_bytes()
    if random.random() < 0.2:
        target.write_bytes(blind(random, data))
        return
    rows = data.splitlines()
    for _ in range(int(random.choice([1, 1, 3]))):
        at = random.integers(len(rows))
        what = random.integers(6)
        if what == 0:
            del rows[at]
        elif what == 1:
            rows.insert(at, rows[random.integers(len(rows))])
        else:
            try:
                rows[at] = json_bytes(random, mutated_json(random, json.loads(rows[at])))
            except ValueError:
                rows[at] = blind(random, rows[at])
        if not rows:
            break
    target.write_bytes(b"\n".join(rows) + b"\n" * (random.random() < 0.9))


def database(random, source, target):
    """Mutate a ratings store: its rows, its tables, or its bytes."""
    if random.random() < 0.4:
        target.write_bytes(blind(random, source.read_bytes()))
        return
    shutil.copy(source, target)
    values = ["null", "-1", "9e999", "'x'", "x'00ff'", str(2**63 - 1), "1e308", "''", "'a' || char(0) || 'b'"]
    value = values[random.integers(len(values))]
    table = ["cofactor_ratings", "cofactor_state", "cofactor_version"][random.integers(3)]
    with sqlite3.connect(target) as connection:
        columns = [row[1] for row in connection.execute(f"pragma table_info({table})")]
        column = columns[random.integers(len(columns))]
        statements = [
            f"update {table} set {column} = {value}",
            f"delete from {table}",
            f"drop table {table}",
            f"alter table {table} rename column {column} to other",
            f"insert into {table} select * from {table}",
            f"create trigger odd after update on cofactor_state begin delete from {table}; end",
            f"create view odd as select * from {table}",
            f"pragma user_version = {random.integers(2**31)}",
        ]
        for _ in range(2):
            try:
                connection.execute(statements[random.integers(len(statements))])
            except sqlite3.Error:
                continue
    connection.close()


def text(random, source, target):
    """Mutate a file of tokens."""
    data = source.read_bytes()
    target.write_bytes(blind(random, data * int(random.choice([1, 1, 2, 2000]))))
