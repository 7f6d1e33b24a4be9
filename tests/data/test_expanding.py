"""Small files that become large: each is refused in one sentence, within the limit of memory, and nothing aborts.

A process of its own reads them all, one after the other, so that an abort would be seen and the peak can be measured.
"""

import dataclasses
import gzip
import io
import json
import re
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clisupport import run
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import python

import cofactor as cf
from cofactor.data import memory_limit
from cofactor.data.parquet_sizes import parquet_sizes
from cofactor.data.preparation import AsGiven
from cofactor.model.folder import CARD, FOLDER_FORMAT, KIND
from cofactor.model.objectives.squared import SquaredError
from cofactor.model.origin import Origin

LIMIT = 16  # MB
BEYOND = 200  # MB: what may be taken beyond the limit
HEAD = b"user,item,value\n"
MANY = 24  # MB of text
ROWS = 2_000_000

TEXTS = {  # what is repeated after a header
    "equal rows": (HEAD, b"1,1,1\n"),
    "long ids": (HEAD, b"u" * 1000 + b",1,1\n"),
    "one endless row": (HEAD, b"u"),
    "zeros": (HEAD, b"\0"),
    "short rows": (HEAD, b"1,1\n"),
    "a stray quote": (HEAD + b'"a,b,1\n', b"1,1,1\n"),
    "a stray quote and no row": (HEAD + b'"', b"\n"),
    "nothing but quotes": (HEAD, b'"'),
    "quotes within quotes": (HEAD, b'"a""b",1,1\n'),
    "columns without end": (b"user,item,value", b",a"),
}
BAD = "bad rows|is never closed|goes on after|is this a table|is missing|fields instead"
TOO_LARGE = r"takes? about [\d.]+ [GM]B of memory or more, and reading may take 16 MB: "


def repeated(text, times, pack):
    """Return a packed file with a text over and over: its frames, or members, are the same bytes."""
    part = pack(text * (2**20 // len(text)))
    return part * times


def gzipped(head, text):
    return gzip.compress(head) + repeated(text, MANY, gzip.compress)


def zstandard(head, text):
    def pack(content):
        return pa.compress(content, codec="zstd", asbytes=True)

    return pack(head) + repeated(text, MANY, pack)


def zipped(head, text, kind=zipfile.ZIP_DEFLATED, name="ratings.csv"):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", kind, compresslevel=9) as archive, archive.open(name, "w") as member:
        member.write(head)
        for _ in range(MANY):
            member.write(text * (2**20 // len(text)))
    return packed.getvalue()


def lying_zip():
    """A zip that says that its table has 20 bytes."""
    content = zipped(HEAD, b"1,1,1\n")
    at = content.rindex(b"PK\x01\x02")
    return content[: at + 24] + struct.pack("<L", 20) + content[at + 28 :]


def nested_zip():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("ratings.csv", zipped(HEAD, b"1,1,1\n"))
    return packed.getvalue()


def zip_of_many_files(n=400_000):
    """A zip with the same file in its list again and again; packed once more by what carries it."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.bin", b"")
    content = packed.getvalue()
    first, last = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    listed = content[first:last] * n
    return (
        content[:first] + listed + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(listed), first, 0)
    )


def parquet(columns, path, **options):
    table = pa.table(columns)
    pq.write_table(table, path, **{"compression": "zstd", **options})
    return path


def equal_numbers(path, **options):
    ones = np.ones(ROWS, np.int64)
    return parquet({"user": ones, "item": ones, "value": ones.astype(float)}, path, **options)


def texts(path, **options):
    return parquet({"user": ["u" * 2_000_000] * 20, "item": range(20), "value": np.ones(20)}, path, **options)


def lying_footer(path):
    """Texts whose footer says that they have next to no bytes; only the pages tell the truth."""
    content = texts(path, use_dictionary=False).read_bytes()
    size = int.from_bytes(content[-8:-4], "little")
    described = pq.ParquetFile(path).metadata.row_group(0).column(0).total_uncompressed_size
    footer = content[-8 - size : -8].replace(varint(2 * described), varint(2 * 100, len(varint(2 * described))))
    assert footer != content[-8 - size : -8]
    path.write_bytes(content[: -8 - size] + footer + content[-8:])
    return path


def varint(number, length=1):
    """Write a number as Thrift does, in so many bytes at least."""
    found = []
    while number or len(found) < length:
        found.append(number & 127 | 128)
        number >>= 7
    found[-1] &= 127
    return bytes(found)


def model_folder(path, columns):
    """A model folder whose users are said to be few."""
    path.mkdir()
    card = {
        "kind": KIND, "format": FOLDER_FORMAT, "rank": 2, "mean": 0.5, "user_bias": False, "item_bias": False,
        "objective": SquaredError(goal="ranking").to_dict(), "origin": dataclasses.asdict(Origin(solver="none")),
        "preparation": AsGiven().to_dict(), "n_users": 2, "n_items": 2, "n_seen": 1,
    }  # fmt: skip
    (path / CARD).write_text(json.dumps(card))
    side = {"id": ["a", "b"], "row": [0, 1], "vector": [[1.0, 0.0], [0.0, 1.0]]}
    for part, content in {
        "users": side | columns,
        "items": side,
        "seen": {"user_row": [0], "item_row": [1], "value": [1.0]},
    }.items():
        (path / part).mkdir()
        parquet(content, path / part / "part-0.parquet")
    return path


def cases(home):
    """Make the files; yield the name of each, what reads it, and what is said."""

    def written(name, content):
        path = home / name
        path.write_bytes(content)
        return path

    for number, (name, (head, text)) in enumerate(TEXTS.items()):
        says = TOO_LARGE if name in ("equal rows", "long ids", "a stray quote", "quotes within quotes") else BAD
        for suffix, pack in (("gz", gzipped), ("zst", zstandard)):
            path = written(f"{number}.csv.{suffix}", pack(head, text))
            yield f"{name}, {suffix}", f"cf.read_csv({str(path)!r}, memory='16MB')", says
    path = written("blank.csv.gz", gzipped(HEAD, b"\n"))
    yield "blank lines, gz", f"cf.read_csv({str(path)!r}, memory='16MB')", "has no rows"
    path = written("skip.csv.gz", gzipped(HEAD, b"1,1\n"))
    yield "short rows to skip, gz", f"cf.read_csv({str(path)!r}, memory='16MB', on_bad_rows='skip')", "no valid rows"
    path = written("wide.csv.gz", gzipped(b"\xff\xfe" + HEAD.decode().encode("utf-16-le"), b"1\0,\0001\0,\0001\0\n\0"))
    yield "UTF-16, gz", f"cf.read_csv({str(path)!r}, memory='16MB', encoding='utf-16')", TOO_LARGE
    path = written("ratings.dat.gz", gzipped(b"1::1::1::1\n", b"1::1::1::1\n"))
    yield "MovieLens, gz", f"read_movielens({str(path)!r}, memory='16MB')", TOO_LARGE
    path = written("lines.jsonl.gz", gzipped(b"", b'{"user": 1, "item": 1}\n'))
    yield "JSON lines, gz", f"cf.read_csv({str(path)!r}, memory='16MB')", "is JSON: convert it to Parquet first"

    for name, content, says in (
        ("equal rows", zipped(HEAD, b"1,1,1\n"), TOO_LARGE),
        ("packed with lzma", zipped(HEAD, b"1,1,1\n", zipfile.ZIP_LZMA), TOO_LARGE),
        ("that says less", lying_zip(), "damaged zip file|CRC|has no rows|bad row|takes about"),
        ("in a zip", nested_zip(), "is packed twice: unpack it once"),
        ("of many files", zip_of_many_files(), "holds too many files"),
    ):
        path = written(f"{name}.zip", content)
        yield f"a zip {name}", f"cf.read_csv({str(path)!r}, memory='16MB')", says

    for name, make in {
        "equal numbers": equal_numbers,
        "equal numbers, differences": lambda path: equal_numbers(
            path, use_dictionary=False, column_encoding=dict.fromkeys(("user", "item"), "DELTA_BINARY_PACKED")
        ),
        "equal numbers, brotli": lambda path: equal_numbers(path, use_dictionary=False, compression="brotli"),
        "long texts": lambda path: texts(path, use_dictionary=False),
        "long texts, in a dictionary": lambda path: parquet(
            {"user": pa.array(["u" * 4_000_000 + str(k) for k in range(10)]), "item": range(10)}, path
        ),
        "a footer that lies": lying_footer,
        "lists": lambda path: parquet(
            {"user": pa.array([np.ones(ROWS, np.int64)] * 2), "item": [1, 2], "value": [1.0, 2.0]}, path
        ),
        "no values": lambda path: parquet(dict.fromkeys(("user", "item"), pa.nulls(ROWS, pa.int64())), path),
    }.items():  # fmt: skip
        path = make(home / f"{name}.parquet")
        yield f"Parquet, {name}", f"cf.read_parquet({str(path)!r}, memory='16MB')", TOO_LARGE
    path = home / "equal numbers.parquet"
    cache = str(home / "cache")
    yield "equal numbers sorted on disk", f"cf.open_parquet({str(path)!r}, memory='16MB', cache={cache!r})", None
    path = home / "long texts.parquet"
    yield (
        "Parquet sorted on disk, long texts",
        f"cf.open_parquet({str(path)!r}, memory='16MB', cache={cache!r})",
        "the texts of a row group of .* take .* but memory is 16 MB: .* write smaller row groups",
    )
    endless = "with recursive n(k) as (select 1 union all select k + 1 from n) select 1 as user, 1 as item from n"
    yield "SQL without end", f"cf.read_sql({endless!r}, 'sqlite://', memory='16MB')", "the query, after .*takes about"
    lazy = f"pl.scan_parquet({str(home / 'equal numbers.parquet')!r})"
    yield "a lazy frame", f"cf.from_frame({lazy}, memory='16MB')", "the frame takes about"
    limited = "with mock.patch('cofactor.data.memory_limit.available_memory', lambda: 32_000_000): "
    for name, head, text in (
        ("movies.csv", b"movieId,title,genres\n", b"1,a,b\n"),
        ("movies.dat", b"", b"1::a::b\n"),
        ("u.item", b"", b"1|a|b||" + b"|0" * 19 + b"\n"),
    ):
        path = written(f"{name}.gz", gzipped(head, text))
        yield (
            f"attributes, {name}",
            f"{limited}read_items({str(path)!r})",
            r"gz takes about .* half of what is available",
        )
    path = parquet({"item": np.ones(ROWS, np.int64)}, home / "items.parquet")
    yield "attributes, Parquet", f"{limited}read_items({str(path)!r})", "takes about"
    path = written("set.train.rating", b"")
    for part in ("train.rating", "test.rating", "test.negative"):
        written(f"set.{part}", gzipped(b"", b"1\t1\t1\t1\n"))
    yield "a published split", f"{limited}cf.read_ncf({str(home / 'set')!r})", "takes about"
    for name, columns in (
        (
            "with rows",
            {"id": np.arange(ROWS), "row": np.arange(ROWS), "vector": pa.nulls(ROWS, pa.list_(pa.float32()))},
        ),
        ("with a long vector", {"id": ["a", "b"], "row": [0, 1], "vector": pa.array([np.ones(ROWS)] * 2)}),
    ):
        columns = {
            k: pa.nulls(ROWS, pa.list_(pa.float32())) if column is None else column for k, column in columns.items()
        }
        path = model_folder(home / f"model {name}", columns)
        unwilling = limited.replace("32_000_000", "16_000_000")
        yield f"a model folder {name}", f"{unwilling}cf.load({str(path)!r})", "of users, and its|takes .* or more"


READ_ALL = """
    import json, sys
    from pathlib import Path
    from unittest import mock
    import polars as pl
    import cofactor as cf
    from cofactor.data.attribute_files import read_items
    from cofactor.data.readers import read_movielens
    import cofactor.data.frames, cofactor.model.folder, sqlalchemy

    def memory(name):
        return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name)) / 1000

    before, found = memory("VmRSS"), {}
    for name, code in json.loads(Path(sys.argv[1]).read_text()).items():
        print(name, file=sys.stderr, flush=True)
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        try:
            exec(code)
            said = ["", ""]
        except Exception as error:
            said = [type(error).__mro__[1].__name__, str(error)]
        found[name] = [*said, memory("VmHWM") - before]
    print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def attempts(tmp_path_factory):
    """What was said of each file, what should be, and the peak of memory in MB."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("memory is read from Linux's /proc")
    pytest.importorskip("sqlalchemy", reason="sqlalchemy is not installed")
    home = tmp_path_factory.mktemp("expanding")
    tried = list(cases(home))
    (home / "code.json").write_text(json.dumps({name: code for name, code, _ in tried}))
    found = json.loads(python(READ_ALL, home / "code.json").splitlines()[-1])
    return {name: (*found[name], says) for name, _, says in tried}


def test_each_of_them_is_refused_in_one_sentence_within_the_limit(attempts):
    assert len(attempts) >= 30
    wrong = {
        name: (kind, text, peak, says)
        for name, (kind, text, peak, says) in attempts.items()
        if kind != ("" if says is None else "CofactorError")
        or "\n" in text
        or (says and not re.search(says, text))
        or peak > LIMIT + BEYOND
    }
    assert not wrong


@pytest.fixture
def plays(tmp_path):
    """The same ratings as csv and as Parquet."""
    frame = pl.DataFrame({"user": np.arange(200_000) // 50, "item": np.arange(200_000) % 50, "value": 1.0, "time": 0})
    frame.write_csv(tmp_path / "plays.csv")
    frame.write_parquet(tmp_path / "plays.parquet")
    return tmp_path


def test_what_takes_too_much_names_remedies_that_work(plays, monkeypatch):
    monkeypatch.setattr(memory_limit, "available_memory", lambda: 40_000_000)
    for file, read in (("plays.csv", cf.read_csv), ("plays.parquet", cf.read_parquet)):
        with pytest.raises(
            cf.DataError, match=r"or more, and reading may take 20 MB, half of what is available"
        ) as said:
            read(plays / file)
        amount = re.search(r"memory='(\d+MB)' allows it", str(said.value))[1]
        assert len(read(plays / file, memory=amount)) == 200_000
        assert "time=None leaves out a column" in str(said.value)
        assert "open_parquet(path, memory='4GB') sorts it on disk" in str(said.value)
    assert len(cf.open_parquet(plays / "plays.parquet", memory="16MB", cache=plays / "cache")) == 200_000


def test_the_command_line_names_its_own_options(plays, monkeypatch):
    monkeypatch.setattr(memory_limit, "available_memory", lambda: 40_000_000)
    monkeypatch.setenv("COFACTOR_DATA", str(plays / "cache"))
    fit = ("--rank", 2, "--epochs", 1, "--test-fraction", 0)
    for file in ("plays.csv", "plays.parquet"):
        said = " ".join(run("fit", plays / file, *fit, code=1).output.split())
        amount = re.search(r"--memory (\d+MB) allows it", said)[1]
        assert "--time-column none leaves out a column" in said
        assert "open_parquet" not in said
        run("fit", plays / file, *fit, "-o", plays / f"{file}.safetensors", "--memory", amount)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_sizes_are_those_that_pyarrow_finds(data):
    n = data.draw(st.integers(0, 50))
    columns = {
        "number": pa.array(range(n), pa.int64()),
        "flag": pa.array([k % 2 == 0 for k in range(n)]),
        "text": pa.array([f"a{k % 3}" for k in range(n)]),
        "list": pa.array([[k] * (k % 4) for k in range(n)], pa.list_(pa.int32())),
        "pair": pa.array(
            [{"one": k, "two": "b"} for k in range(n)], pa.struct({"one": pa.int16(), "two": pa.string()})
        ),
    }
    options = {
        "row_group_size": data.draw(st.integers(1, 60)),
        "data_page_version": data.draw(st.sampled_from(["1.0", "2.0"])),
        "use_dictionary": data.draw(st.booleans()),
        "compression": data.draw(st.sampled_from(["none", "zstd", "snappy"])),
        "write_page_index": data.draw(st.booleans()),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "some.parquet"
        pq.write_table(pa.table(columns), path, **options)
        found = parquet_sizes(path)
        groups = [pq.ParquetFile(path).metadata.row_group(k) for k in range(pq.ParquetFile(path).num_row_groups)]
        assert found.rows == n
        assert parquet_sizes(path, ["number"]).columns == 8 * n
        assert parquet_sizes(path, ["flag"]).columns == n
        wanted = [sum(g.column(k).total_uncompressed_size for k in (2, 5)) for g in groups]
        assert max(wanted, default=0) * 0.5 <= found.group_texts <= max(wanted, default=0)
        lists = sum(g.column(3).num_values for g in groups)
        assert parquet_sizes(path, ["list"]).columns == 4 * lists


@given(st.binary(max_size=200), st.integers(0, 2**31))
@settings(max_examples=200, deadline=None)
def test_what_is_no_parquet_is_refused(tmp_path_factory, footer, length):
    path = tmp_path_factory.getbasetemp() / "broken.parquet"
    for size in (len(footer), length):
        path.write_bytes(b"PAR1" + footer + struct.pack("<L", size) + b"PAR1")
        with pytest.raises(cf.DataError, match=r"broken.parquet cannot be read as Parquet .*: write it again"):
            parquet_sizes(path)
