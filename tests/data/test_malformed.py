"""A corpus of malformed files: each gives one clear error, and what is good in it can be kept."""

import gzip
import io
import logging
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from cofactor.data.readers import read_csv, read_parquet
from cofactor.errors import CofactorError, DataError

HEAD = b"user,item,value\n"
A, B = ("a", "x", 1.0), ("b", "y", 2.0)


@dataclass(frozen=True)
class Case:
    """A bad file, what its error says, and the rows that skipping keeps (None where nothing can be kept)."""

    id: str
    content: bytes
    says: str
    line: int | None = None
    kept: list[tuple[Any, ...]] | None = None
    n_bad: int = 1
    file: str = "bad.csv"
    options: dict[str, Any] = field(default_factory=dict)


def rows(id: str, content: bytes, says: str, line: int, *, n_bad: int = 1, **options: Any) -> Case:
    """A file whose good rows are A and B."""
    file = options.pop("file", "bad.csv")
    return Case(id, content, says, line, [A, B], n_bad, file, options)


def row(id: str, bad: bytes, says: str, **options: Any) -> Case:
    """A file with one bad row between two good ones."""
    return rows(id, HEAD + b"a,x,1\n" + bad + b"\nb,y,2\n", says, 3, **options)


def whole(id: str, content: bytes, says: str, line: int | None = None, file: str = "bad.csv", **options: Any) -> Case:
    """A file of which nothing can be used."""
    return Case(id, content, says, line, file=file, options=options)


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return buffer.getvalue()


def broken_zip() -> bytes:
    content = bytearray(zipped(a_csv=HEAD + b"a,x,1\n" * 500))
    content[45:60] = b"\xff" * 15
    return bytes(content)


def parquet(**columns: Any) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(columns, strict=False).write_parquet(buffer)
    return buffer.getvalue()


def zstd(content: str) -> bytes:
    return pa.compress(b"user,item\n%s,x\n" % content.encode(), codec="zstd", asbytes=True)


PACKED = gzip.compress(HEAD + b"".join(b"u%d,i%d,3\n" % (k * 7919 % 10007, k * 104729 % 9973) for k in range(3000)))
TIMED = {"time": "time"}
DAT = {"has_header": False}

ROWS = [
    row("text where a number should be", b"c,z,five", "the value 'five' is not a finite 32-bit number"),
    row("a decimal comma in quotes", b'c,z,"4,5"', "'4,5' is not a finite 32-bit number (write decimals with a point)"),
    row("a value that is NaN", b"c,z,nan", "'nan' is not a finite"),
    row("a value that is infinite", b"c,z,inf", "'inf' is not a finite"),
    row("a value that is minus infinity", b"c,z,-Infinity", "'-Infinity' is not a finite"),
    row("a value beyond 64-bit floats", b"c,z,1e400", "'1e400' is not a finite"),
    row("a value beyond 32-bit floats", b"c,z,1e39", "'1e39' is not a finite"),
    row("a value in hexadecimal", b"c,z,0x5", "'0x5' is not a finite"),
    row("a value with an underscore", b"c,z,1_0", "'1_0' is not a finite"),
    row("a value in Arabic digits", "c,z,٤".encode(), "'٤' is not a finite"),
    row("a value with a unit", b"c,z,5 stars", "'5 stars' is not a finite"),
    row("an empty value", b"c,z,", "the value is missing"),
    row("a value of spaces", b"c,z,   ", "the value '   ' is not a finite"),
    row("an empty value in quotes", b'c,z,""', "the value is missing"),
    row("an empty user", b",z,3", "the user id is missing"),
    row("an empty item", b"c,,3", "the item id is missing"),
    row("an empty user in quotes", b'"",z,3', "the user id is missing"),
    row("nothing but separators", b",,", "the user id is missing"),
    row("a short row", b"c,z", "2 fields ('c z') instead of 3"),
    row("a row of one field", b"c", "1 field ('c') instead of 3"),
    row("a long row", b"c,z,3,4", "4 fields ('c z 3 4') instead of 3"),
    row("an unquoted comma in a value", b"c,z,4,5", "4 fields ('c z 4 5') instead of 3"),
    row("a trailing separator", b"c,z,3,", "4 fields"),
    row("a quote that is never closed", b'c,"z,3', "is never closed"),
    row("text after a closing quote", b'c,"z"z,3', "goes on after its closing quote"),
    row("another separator in one row", b"c;z;3", "1 field ('c;z;3') instead of 3"),
    row("Latin-1 in an id", b"caf\xe9,z,3", "b'caf\\xe9' is not UTF-8 text: give encoding='latin-1'"),
    row("a cut-off UTF-8 character", b"c,z\xe2\x82,3", "is not UTF-8 text"),
    row("a NUL byte in an id", b"c\0,z,3", "'c\\x00' holds a NUL byte"),
    row("a NUL byte in a value", b"c,z,\x003", "holds a NUL byte"),
    row("an old line end inside a row", b"c,z,3\rd,w,4", "5 fields"),
    row("a merge conflict", b"<<<<<<< HEAD", "1 field ('<<<<<<< HEAD') instead of 3"),
    row("the header once more", b"user,item,value", "the value 'value' is not a finite"),
    row("a comment", b"# from here on by hand", "1 field"),
    row("a very long value", b"c,z," + b"9" * 5000 + b"x", "… (5,001 characters) is not a finite"),
    row("a very long row", b"c" * 70_000, "… (70,000 characters)"),
    rows("two bad rows", HEAD + b"a,x,1\nc,z,no\nd,w,never\nb,y,2\n", "line 4: the value 'never'", 3, n_bad=2),
    rows("many bad rows", HEAD + b"a,x,1\n" + b"c,z,no\n" * 500 + b"b,y,2\n", "500 bad rows in all", 3, n_bad=500),
    rows("a bad row after blank lines", HEAD + b"\n\na,x,1\n\nc,z,no\nb,y,2\n", "the value 'no'", 6),
    rows("a bad row under CRLF", b"user,item,value\r\na,x,1\r\nc,z\r\nb,y,2\r\n", "2 fields ('c z')", 3),
    rows("a bad row under a BOM", b"\xef\xbb\xbfuser,item,value\na,x,1\nc,z,no\nb,y,2\n", "the value 'no'", 3),
    rows("a bad row after a field of two lines", HEAD + b'a,x,1\n"c\nd",z,no\nb,y,2\n', "the value 'no'", 3),
    rows("a bad row below a field of two lines", b'user,item,value,n\na,x,1,"m\nn"\nc,z,no,n\nb,y,2,n\n', "'no'", 4),
    rows("a last row cut off", HEAD + b"a,x,1\nb,y,2\nc,z", "2 fields ('c z') instead of 3", 4),
    rows("a last row cut off before its value", HEAD + b"a,x,1\nb,y,2\nc,z,", "the value is missing", 4),
    rows("a bad row in a tab file", b"user\titem\tvalue\na\tx\t1\nc\tz\t4,5\nb\ty\t2\n", "'4,5'", 3, file="bad.tsv"),
    rows("a short row in a dat file", b"a::x::1\nc::z\nb::y::2\n", "2 fields", 2, file="bad.dat", **DAT),
    rows("a single colon in a dat file", b"a::x::1\nc::z:3\nb::y::2\n", "2 fields", 2, file="bad.dat", **DAT),
    rows("a wide first row without a header", b"c,z,3,4\na,x,1\nb,y,2\n", "4 fields", 1, **DAT),
    rows("a bad row in gzip", gzip.compress(HEAD + b"a,x,1\nc,z,no\nb,y,2\n"), "'no'", 3, file="bad.csv.gz"),
    rows("a bad row in a zip", zipped(a_csv=HEAD + b"a,x,1\nc,z,no\nb,y,2\n"), "'no'", 3, file="bad.zip"),
    rows(
        "a bad time", b"user,item,value,time\na,x,1,5\nc,z,3,noon\nb,y,2,6\n", "the time 'noon' is neither", 3, **TIMED
    ),
    rows(
        "a 13th month", b"user,item,value,time\na,x,1,5\nc,z,3,2024-13-01\nb,y,2,6\n", "the time '2024-13", 3, **TIMED
    ),
    rows("an endless time", b"user,item,value,time\na,x,1,5\nc,z,3,1e99\nb,y,2,6\n", "the time '1e99' is", 3, **TIMED),
    rows("a missing time", b"user,item,value,time\na,x,1,5\nc,z,3,\nb,y,2,6\n", "the time is missing", 3, **TIMED),
]

INTEGERS = [
    Case(id, b"user,item,value\n1,7,1\n" + bad + b",8,2\n", f"{bad.decode()!r} is not an integer", 3, [(1, 7, 1.0)])
    for id, bad in [
        ("text where an integer id should be", b"u1"),
        ("a decimal where an integer id should be", b"5.0"),
        ("an integer id beyond 64 bits", b"18446744073709551616"),
    ]
]

WHOLE = [
    whole("an empty file", b"", "is empty"),
    whole("a header only", HEAD, "has no rows under its header"),
    whole("a header without a line end", b"user,item,value", "has no rows under its header"),
    whole("blank lines only", b"\n\n\r\n", "only blank lines"),
    whole("a BOM only", b"\xef\xbb\xbf", "has no rows"),
    whole("a header of spaces", b"  ,  ,  \na,x,1\n", "no column 'user'"),
    whole("one column", b"user\na\nb\n", "has one column, its first line is 'user'"),
    whole(
        "a wrong column name",
        b"user,itme,value\na,x,1\n",
        "no column 'item': its columns are 'user', 'itme', 'value', the nearest is 'itme'",
    ),
    whole("a column in capitals", b"USER,item,value\na,x,1\n", "the nearest is 'USER'"),
    whole("no value column", b"user,item,stars\na,x,5\n", "value=None where there is none"),
    whole("no header", b"1,2,3\n4,5,6\n", "has_header=False"),
    whole("a name twice in the header", b"user,item,value,user\na,x,1,b\n", "has 2 columns named 'user'"),
    whole("a header in Latin-1", b"user,item,value,caf\xe9\na,x,1,2\n", "is not UTF-8 text", 1),
    whole("a quote that stays open in the header", b'user,item,"value\na,x,1\n', "is never closed", 1),
    whole("a wrong separator", HEAD + b"a,x,1\n", "the separator seems to be ','", separator=";"),
    whole("a separator of nothing", HEAD + b"a,x,1\n", "separator is ''", separator=""),
    whole("too few names", b"a,x,1\n", "3 columns, but columns= names 2", 1, columns=["user", "item"]),
    whole("UTF-16", (HEAD + b"a,x,1\n").decode().encode("utf-16"), "UTF-16"),
    whole("an unknown encoding", HEAD + b"a,x,1\n", "which Python does not know", encoding="klingon"),
    whole("text that is not its encoding", HEAD + b"a,x,1\n", "is not utf-16 text", encoding="utf-16"),
    whole("old Macintosh line ends", b"user,item,value\ra,x,1\r", "old Macintosh"),
    whole("truncated gzip", PACKED[:-2000], "is a damaged gzip file", file="bad.csv.gz"),
    whole("gzip with a wrong sum", PACKED[:-8] + b"\0" * 8, "is a damaged gzip file", file="bad.csv.gz"),
    whole(
        "gzip with rubbish inside",
        PACKED[:300] + b"\xff" * 300 + PACKED[600:],
        "is a damaged gzip file",
        file="bad.csv.gz",
    ),
    whole("a csv named gz", HEAD + b"a,x,1\n", "is not a gzip file: rename it", file="bad.csv.gz"),
    whole("a csv named zip", HEAD + b"a,x,1\n", "is not a zip file", file="bad.zip"),
    whole("a csv named zst", HEAD + b"a,x,1\n", "is not a zstandard file", file="bad.csv.zst"),
    whole("truncated zstandard", zstd("u" * 50)[:-10], "zstandard", file="bad.csv.zst"),
    whole("a truncated zip", zipped(a_csv=HEAD + b"a,x,1\n" * 500)[:-60], "is a damaged zip file", file="bad.zip"),
    whole("a zip with a damaged member", broken_zip(), "is a damaged zip file", file="bad.zip"),
    whole("a zip with two tables", zipped(a_csv=HEAD, b_csv=HEAD), "holds 2 tables (a.csv, b.csv)", file="bad.zip"),
    whole("a zip without a table", zipped(a_png=b"x"), "no table among its 1 files", file="bad.zip"),
    whole("an empty zip", zipped(), "no table among its 0 files", file="bad.zip"),
    whole("nothing good at all", HEAD + b"a,x,no\nb,y,never\n", "no valid rows", 2),
    whole("a picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0" * 50, ": give a table as csv, tsv or Parquet"),
    whole("Parquet", b"PAR1\x15\x04,\x15\n\0user,item\n", "is a Parquet file: give it a name that ends with .parquet"),
    whole("a web page", b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n", "has one column"),
]

TABLES = [
    whole("a csv named parquet", HEAD + b"a,x,1\n", "cannot be read as Parquet"),
    whole("truncated parquet", parquet(user=["a"], item=["x"], value=[1.0])[:-20], "cannot be read as Parquet"),
    whole("a parquet that is only its mark", b"PAR1", "cannot be read as Parquet"),
    whole("a parquet without a row", parquet(user=[], item=[], value=[]), "has no rows"),
    whole("a parquet of lists", parquet(user=[["a"]], item=["x"], value=[1.0]), "are of type List(String)"),
    whole("a parquet of structs", parquet(user=["a"], item=["x"], value=[{"stars": 1}]), "are of type Struct"),
    whole("decimal ids in a parquet", parquet(user=[1.5], item=["x"], value=[1.0]), "type Float64, such as 1.5"),
    whole("a parquet without the column", parquet(usr=["a"], item=["x"], value=[1.0]), "the nearest is 'usr'"),
    Case(
        "null ids in a parquet",
        parquet(user=["a", None, "b"], item=["x", "z", "y"], value=[1, 3, 2]),
        "row 1: the user id is missing",
        None,
        [A, B],
    ),
    Case(
        "NaN in a parquet",
        parquet(user=["a", "c", "b"], item=["x", "z", "y"], value=[1, float("nan"), 2]),
        "row 1: the value nan is not a finite",
        None,
        [A, B],
    ),
    Case(
        "text values in a parquet",
        parquet(user=["a", "c", "b"], item=["x", "z", "y"], value=["1", "no", "2"]),
        "row 1: the value 'no' is not",
        None,
        [A, B],
    ),
]

FILES = [(read_csv, case, {}) for case in ROWS + WHOLE] + [(read_csv, case, {"ids": "int"}) for case in INTEGERS]
FILES += [(read_parquet, case, {}) for case in TABLES]
EACH = pytest.mark.parametrize(("read", "case", "more"), FILES, ids=[case.id.replace(" ", "-") for _, case, _ in FILES])


def written(folder: Path, case: Case) -> Path:
    path = folder / case.file
    path.write_bytes(case.content)
    return path


@EACH
def test_a_malformed_file_gives_one_error_that_names_file_line_and_reason(
    read: Any, case: Case, more: dict[str, Any], tmp_path: Path
) -> None:
    path = written(tmp_path, case)
    with pytest.raises(CofactorError) as caught:
        read(path, **case.options, **more)
    text = str(caught.value)
    assert isinstance(caught.value, DataError)
    assert case.says in text
    assert "\n" not in text
    assert len(text) < 900
    assert case.line is None or f"{path}, line {case.line}: " in text
    assert case.kept is None or "on_bad_rows='skip'" in text
    assert "separator is" in text or "encoding is" in text or str(path) in text


@EACH
def test_skipping_bad_rows_keeps_exactly_the_good_ones(
    read: Any, case: Case, more: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, case)
    if case.kept is None:
        with pytest.raises(DataError):
            read(path, on_bad_rows="skip", **case.options, **more)
        return
    with caplog.at_level(logging.WARNING, "cofactor"):
        table = read(path, on_bad_rows="skip", **case.options, **more)
    assert table.to_frame().select("user", "item", "value").rows() == case.kept
    assert len(caplog.records) == 1
    plural = "s" if case.n_bad > 1 else ""
    assert f"left out {case.n_bad:,} bad row{plural}" in caplog.text
    assert case.line is None or f"line {case.line}: " in caplog.text


def test_the_corpus_is_large_and_each_case_has_a_name_of_its_own() -> None:
    assert len(FILES) >= 60
    assert len({case.id for _, case, _ in FILES}) == len(FILES)


def test_a_missing_file_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_bytes(HEAD)
    with pytest.raises(DataError, match=r"ratngs\.csv does not exist: did you mean ratings\.csv\?"):
        read_csv(tmp_path / "ratngs.csv")
    with pytest.raises(DataError, match="nor does its folder"):
        read_csv(tmp_path / "nowhere" / "ratings.csv")


def test_a_folder_in_place_of_a_file_is_told_with_its_files(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_bytes(HEAD)
    with pytest.raises(DataError, match=r"is a folder: give one of its files, ratings\.csv"):
        read_csv(tmp_path)
    with pytest.raises(DataError, match=r"without \.parquet files"):
        read_parquet(tmp_path)


def test_parquet_files_that_differ_are_one_error(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(parquet(user=["a"], item=["x"], value=[1.0]))
    (tmp_path / "b.parquet").write_bytes(parquet(user=[1], item=["x"], value=[1.0]))
    with pytest.raises(DataError, match=r"b\.parquet: the user ids are of type Int64, but of type String in .*a\.parq"):
        read_parquet(tmp_path)


def test_a_bad_row_deep_in_a_large_file_is_found_at_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cofactor.data.delimited._BLOCK", 5_000)
    monkeypatch.setattr("cofactor.data.delimited._SMALL", 500)
    lines = [b"user,item,value,note"] + [b'u%d,i%d,3,"a, b"' % (k, k) for k in range(3_000)]
    lines[1_234] = b"u,i,none,"
    lines[2_345] = b'u,i,3,"never closed'
    path = tmp_path / "large.csv"
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(DataError) as caught:
        read_csv(path)
    assert f"{path}, line 1,235: the value 'none' is not" in str(caught.value)
    assert "line 2,346: " in str(caught.value)
    assert "; 2 bad rows in all" in str(caught.value)
    assert len(read_csv(path, on_bad_rows="skip")) == 2_998
