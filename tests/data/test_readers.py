"""Readers: whatever a table comes in, the same interactions come out."""

import csv
import gzip
import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sqlalchemy
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from processes import python

from cofactor.data.attribute_files import read_items
from cofactor.data.delimited import Choice, read_delimited
from cofactor.data.readers import (
    from_frame,
    read_csv,
    read_movielens,
    read_parquet,
    read_sql,
    read_sql_table,
    read_table,
)
from cofactor.errors import DataError, MissingExtraError, SettingError

ROWS = [("ann", "tea", 5.0, 30), ("bob", "tea", 4.0, 20), ("ann", "rye", 2.5, 10)]
COLUMNS = dict(zip(("who", "what", "stars", "at"), map(list, zip(*ROWS, strict=True)), strict=True))
NAMED = {"user": "who", "item": "what", "value": "stars", "time": "at"}
CSV = "who,what,stars,at\n" + "".join(",".join(map(str, row)) + "\n" for row in ROWS)


def rows_of(table: Any) -> list[tuple[Any, ...]]:
    return table.to_frame().rows()


def zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("README.txt", "about")
        archive.writestr("__MACOSX/._x.csv", "about")
        archive.writestr(name, content)
    return buffer.getvalue()


PACKINGS = {
    "plays.csv": CSV.encode(),
    "plays.tsv": CSV.replace(",", "\t").encode(),
    "plays.txt": CSV.replace(",", ";").encode(),
    "pipes.txt": CSV.replace(",", "|").encode(),
    "plays.dat": CSV.replace(",", "::").encode(),
    "plays.csv.gz": gzip.compress(CSV.encode()),
    "plays.csv.zst": pa.compress(CSV.encode(), codec="zstd", asbytes=True),
    "plays.zip": zipped("inner/plays.csv", CSV.encode()),
    "bom.csv": b"\xef\xbb\xbf" + CSV.encode(),
    "crlf.csv": CSV.replace("\n", "\r\n").encode(),
    "no-last-line-end.csv": CSV.rstrip().encode(),
    "spaced-header.csv": CSV.replace("who,what", " who , what").encode(),
    "quoted-header.csv": CSV.replace("who,what", '"who","what"').encode(),
    "blank-lines.csv": ("\n\n" + CSV.replace("\n", "\n\n")).encode(),
    "spaced-numbers.csv": CSV.replace(",5.0,30", ", 5.0 , 30 ").encode(),
    "two-line-header.csv": CSV.replace("at\n", 'at,"a\nb"\n', 1).replace("0\n", "0,\n").encode(),
    "columns-that-are-not-wanted.csv": "".join(f"x,{line}" for line in CSV.splitlines(True)).encode(),
}


@pytest.mark.parametrize("name", PACKINGS)
def test_every_packing_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(PACKINGS[name])
    table = read_csv(tmp_path / name, **NAMED)
    assert rows_of(table) == ROWS
    assert table.name == name


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "cp1252"])
def test_other_encodings_are_read_when_named(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "plays.csv"
    path.write_bytes("user,item,value\né,ü,1\n".encode(encoding))
    assert rows_of(read_csv(path, encoding=encoding)) == [("é", "ü", 1.0)]


def test_without_a_value_every_interaction_counts_one(tmp_path: Path) -> None:
    (tmp_path / "plays.csv").write_text(CSV)
    table = read_csv(tmp_path / "plays.csv", user="who", item="what", value=None)
    assert table.is_binary
    assert table.timestamps is None


def test_a_file_without_a_header_is_read_by_position(tmp_path: Path) -> None:
    path = tmp_path / "u.data"
    path.write_text("196\t242\t3\t881250949\n186\t302\t4\t891717742\n")
    expected = [("196", "242", 3.0, 881250949), ("186", "302", 4.0, 891717742)]
    assert rows_of(read_csv(path, has_header=False, time="time")) == expected
    assert rows_of(read_csv(path, columns=["item", "user", "a", "b"], value=None))[0] == ("242", "196", 1.0)


def test_ids_can_be_read_as_integers_of_64_bits(tmp_path: Path) -> None:
    path = tmp_path / "plays.csv"
    path.write_text("user,item,value\n18446744073709551615,-9223372036854775808,1\n7, 8 ,2\n")
    assert rows_of(read_csv(path, ids="int")) == [(2**64 - 1, -(2**63), 1.0), (7, 8, 2.0)]
    assert rows_of(read_csv(path))[1] == ("7", " 8 ", 2.0)


@pytest.mark.parametrize("cut", [True, False], ids=["in-two-blocks", "in-one-block"])
def test_integer_ids_of_both_extremes_in_one_column_are_refused(cut: bool, tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "plays.csv"
    first = "user,item,value\n18446744073709551615,1,1\n"
    if cut:
        monkeypatch.setattr("cofactor.data.delimited._BLOCK", len(first))
    path.write_text(first + "-1,1,1\n")
    with pytest.raises(DataError, match="ids='str'"):
        read_csv(path, ids="int")


def test_a_lazy_frame_that_fails_says_why() -> None:
    frame = pl.LazyFrame({"user": ["a"], "item": ["x"]}).with_columns(pl.col("user").cast(pl.Int64))
    with pytest.raises(DataError, match="the frame cannot be computed: conversion from"):
        from_frame(frame)


def test_a_pandas_value_column_of_mixed_types_is_refused() -> None:
    with pytest.raises(DataError, match="column 'value' mixes types"):
        from_frame(pd.DataFrame({"user": ["a", "b"], "item": [1, 2], "value": [1, "x"]}), value="value")


def test_uuids_and_decimals_of_a_database_become_plain() -> None:
    import decimal
    import uuid

    from cofactor.data import database

    number, text = decimal.Decimal(7), uuid.UUID(int=1)
    assert database._plain(number, "user") == 7
    assert database._plain(decimal.Decimal("4.5"), "value") == 4.5
    assert database._plain(text, "item") == str(text)


def test_times_may_be_seconds_dates_or_datetimes(tmp_path: Path) -> None:
    path = tmp_path / "plays.csv"
    times = {
        "86400": 86400,
        "-5": -5,
        "12.75": 12.75,
        "1970-01-02": 86400,
        "1970-01-02T00:00:01": 86401,
        "1970-01-02 00:01": 86460,
        "1970-01-02 00:00:01.5": 86401.5,
        "1970-01-02T02:00:00+02:00": 86400,
        "1970-01-02T00:00:00Z": 86400,
    }
    path.write_text("user,item,value,time\n" + "".join(f"{k},{k},1,{text}\n" for k, text in enumerate(times)))
    assert [row[3] for row in rows_of(read_csv(path, time="time"))] == list(times.values())


@pytest.mark.parametrize(("policy", "value"), [("last", 1.0), ("first", 2.0), ("sum", 3.0), ("mean", 1.5)])
def test_duplicates_follow_the_policy(policy: Any, value: float, tmp_path: Path) -> None:
    (tmp_path / "plays.csv").write_text("user,item,value\na,x,2\na,x,1\n")
    assert rows_of(read_csv(tmp_path / "plays.csv", duplicates=policy)) == [("a", "x", value)]


def test_duplicates_that_are_an_error_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "plays.csv").write_text("user,item,value\na,x,2\na,x,1\n")
    with pytest.raises(DataError, match=r"plays\.csv: user 'a' and item 'x' appear more than once"):
        read_csv(tmp_path / "plays.csv", duplicates="error")


@pytest.mark.parametrize("setting", [{"ids": "float"}, {"on_bad_rows": "ignore"}])
def test_a_setting_outside_its_choices_is_refused(setting: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="it must be"):
        read_csv(tmp_path / "plays.csv", **setting)


# What polars and the exact reader must agree on: any text in the ids, any finite value.
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r"), min_size=1, max_size=8)
VALUE = st.floats(width=32, allow_nan=False, allow_infinity=False)
TABLES = st.lists(st.tuples(TEXT, TEXT, VALUE), min_size=1, max_size=12, unique_by=lambda row: row[:2])
QUIET = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(table=TABLES, separator=st.sampled_from([",", "\t", ";", "|"]), end=st.sampled_from(["\n", "\r\n"]))
@QUIET
def test_any_table_that_is_written_is_read_back_equal(table: Any, separator: str, end: str, tmp_path: Path) -> None:
    path = tmp_path / "any.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator, lineterminator=end)
        writer.writerows([("user", "item", "value"), *table])
    read = rows_of(read_csv(path, separator=separator))
    assert read == [(user, item, pytest.approx(value, rel=1e-6)) for user, item, value in table]


@given(table=TABLES, size=st.integers(1, 80))
@example(table=[("\n", "\n", 0.0)], size=1)
@QUIET
def test_the_size_of_the_blocks_does_not_matter(table: Any, size: int, tmp_path: Path) -> None:
    path = tmp_path / "any.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("user", "item", "value"), *table, ("", "", "")])
    choice = Choice({"user": "user", "item": "item", "value": "value"}, separator=",")
    whole = read_delimited([path], choice)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cofactor.data.delimited._BLOCK", size)
        patch.setattr("cofactor.data.delimited._SMALL", max(size // 4, 1))
        cut = read_delimited([path], choice)
    texts = pl.col("user", "item").cast(pl.String)
    assert cut.frame.with_columns(texts).equals(whole.frame.with_columns(texts))
    assert (cut.n_bad, cut.problems) == (whole.n_bad, whole.problems)
    assert len(whole.frame) == len(table)
    assert whole.n_bad == 1


@given(table=TABLES)
@QUIET
def test_any_frame_gives_back_its_rows(table: Any) -> None:
    frame = pl.DataFrame(table, schema={"user": pl.String, "item": pl.String, "value": pl.Float32}, orient="row")
    assert rows_of(from_frame(frame, value="value")) == frame.rows()


@given(st.binary(max_size=200))
@QUIET
def test_any_bytes_at_all_give_a_table_or_a_data_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.csv"
    path.write_bytes(b"user,item,value\n" + content)
    try:
        table = read_csv(path, on_bad_rows="skip")
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert np.isfinite(table.matrix.data).all()


def test_parquet_files_keep_the_type_of_their_ids(tmp_path: Path) -> None:
    frame = pl.DataFrame({"user": [1, 2], "item": ["x", "y"], "value": [1, 2], "time": ["1970-01-02", "5"]})
    frame.write_parquet(tmp_path / "plays.parquet")
    table = read_parquet(tmp_path / "plays.parquet", time="time")
    assert rows_of(table) == [(1, "x", 1.0, 86400), (2, "y", 2.0, 5)]
    assert rows_of(read_table(tmp_path / "plays.parquet", time=None)) == [(1, "x", 1.0), (2, "y", 2.0)]


def test_a_folder_of_parquet_files_is_one_table(tmp_path: Path) -> None:
    for part, user in enumerate(["ann", "bob"]):
        pl.DataFrame({"user": [user], "item": ["tea"], "value": [part + 1]}).write_parquet(tmp_path / f"{part}.parquet")
    (tmp_path / "_SUCCESS").write_bytes(b"")
    assert rows_of(read_table(tmp_path)) == [("ann", "tea", 1.0), ("bob", "tea", 2.0)]


FRAMES = {
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "pandas with an index": lambda: pd.DataFrame(COLUMNS, index=[9, 7, 8]),
    "polars": lambda: pl.DataFrame(COLUMNS),
    "polars lazy": lambda: pl.LazyFrame(COLUMNS),
    "polars categories": lambda: pl.DataFrame(COLUMNS).cast({"who": pl.Categorical, "what": pl.Categorical}),
    "pandas categories": lambda: pd.DataFrame(COLUMNS).astype({"who": "category"}),
    "pyarrow": lambda: pl.DataFrame(COLUMNS).to_arrow(),
    "duckdb": lambda: duckdb.sql(
        "select * from (values " + ", ".join(map(str, ROWS)) + ') as t(who, what, stars, "at")'
    ),
    "times as datetimes": lambda: pl.DataFrame(COLUMNS).with_columns(pl.from_epoch("at", "s")),
}


@pytest.mark.parametrize("kind", FRAMES)
def test_every_kind_of_frame_gives_the_same_rows(kind: str) -> None:
    assert rows_of(from_frame(FRAMES[kind](), **NAMED)) == ROWS


def test_one_column_may_serve_twice() -> None:
    frame = pl.DataFrame({"a": ["x", "y"], "b": ["p", "q"]})
    assert rows_of(from_frame(frame, user="a", item="a")) == [("x", "x", 1.0), ("y", "y", 1.0)]


def test_integer_ids_of_a_frame_stay_integers() -> None:
    table = from_frame(pd.DataFrame({"user": [2**63, 1], "item": np.array([1, 2], np.int8)}))
    assert table.to_frame()["user"].to_list() == [2**63, 1]
    assert table.items.holds_integers


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (pd.DataFrame({"user": [1, "1"], "item": [1, 2]}), "user ids of type int and str"),
        (pd.DataFrame({"user": [1, None], "item": [1, 2]}), "type Float64, such as 1.0"),
        (pl.DataFrame({"user": ["a", None], "item": [1, 2]}), "the frame, row 1: the user id is missing"),
        (pl.DataFrame({"user": [], "item": []}), "the frame has no rows"),
        (
            pl.DataFrame({"user": pl.Series([2**100], dtype=pl.Int128), "item": [1]}),
            r"row 0: the user id 1267\d+ is not an integer of 64 bits \(convert the column to strings\)",
        ),
        (pl.DataFrame({"users": [1], "item": [1]}), "the nearest is 'users'"),
        ([("a", "b")], "list is not a data frame"),
    ],
)
def test_frames_that_cannot_be_used_say_why(frame: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        from_frame(frame)


def test_bad_rows_of_a_frame_can_be_skipped() -> None:
    frame = pl.DataFrame({"user": ["a", None, "b"], "item": ["x", "y", "z"], "value": [1.0, 2.0, float("inf")]})
    assert rows_of(from_frame(frame, value="value", on_bad_rows="skip")) == [("a", "x", 1.0)]


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """The URL of a database with the rows."""
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("create table plays (who text, what text, stars real, at integer)"))
        statement = sqlalchemy.text("insert into plays values (:who, :what, :stars, :at)")
        connection.execute(statement, [dict(zip(COLUMNS, row, strict=True)) for row in ROWS])
    engine.dispose()
    return url


def test_a_query_is_read_by_position_or_by_name(shop: str) -> None:
    assert rows_of(read_sql("select * from plays", shop)) == ROWS
    assert rows_of(read_sql("select at, stars, what, who from plays", shop, **NAMED)) == ROWS
    assert rows_of(read_sql("select who, what, at from plays", shop, time="at"))[0] == ("ann", "tea", 1.0, 30)


def test_what_is_known_of_items_is_read_with_all_columns_and_types(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cofactor.data.database._BATCH", 1)
    values = "(values ('tea', 'Tea', 2.5, null), ('rye', null, 3, 7)) as goods"
    query = f"select column1 as item, column2 as title, column3 as price, column4 as stock from {values}"
    table = read_sql_table(query, shop)
    assert table.rows() == [("tea", "Tea", 2.5, None), ("rye", None, 3.0, 7)]
    known = read_sql("select * from plays", shop, items=table).item_table
    assert dict(known.select("item", "price").iter_rows())["tea"] == 2.5
    assert read_sql_table("select '12' as item, 5 as year", shop).dtypes == [pl.String, pl.Int64]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("select * from nowhere", "no such table"), ("select who as item from plays where 1 = 0", "gives no rows"),
        ("select who as item, what as item from plays", "several columns 'item'"),
        ("select who as item, case at when 10 then 7 else 'x' end as kind from plays", "kind column mixes"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_read_says_why(shop: str, query: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read_sql_table(query, shop)


def test_a_query_is_read_in_batches(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cofactor.data.database._BATCH", 2)
    assert rows_of(read_sql("select * from plays", shop)) == ROWS
    assert len(read_sql("select who, what, case at when 10 then 3 else stars end from plays", shop)) == 3
    mixed = "select case at when 10 then 7 else who end, what from plays"
    with pytest.raises(DataError, match="the query's user column mixes"):
        read_sql(mixed, shop)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("select * from nowhere", "no such table: nowhere"),
        ("selec", "syntax error"),
        ("select who from plays", "the query gives 1 column"),
        ("select * from plays where at > 99", "the query gives no rows"),
        ("select who, what, 'good' from plays", "row 0: the value 'good' is not a finite"),
        ("select null, what from plays", "row 0: the user id is missing"),
        ("select 1.5, what from plays", "type Float64, such as 1.5"),
    ],
)
def test_a_query_that_fails_says_why(query: str, says: str, shop: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read_sql(query, shop)
    assert "shop.db" in str(caught.value) or "the query" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/at/all?password=hunter2",
        "postgresql+psycopg://me:hunter2@127.0.0.1:1/shop",
        "postgresql+nosuchdriver://me:hunter2@127.0.0.1:1/shop",
        "me:hunter2@nowhere",
    ],
)
def test_no_error_shows_the_password(url: str) -> None:
    with pytest.raises((DataError, MissingExtraError)) as caught:
        read_sql("select 1, 2", url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or "hunter2" not in str(caught.value.__context__)


def test_a_sqlite_file_that_is_not_there_is_named_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "shp.db"
    with pytest.raises(DataError, match=r"shp\.db does not exist: give sqlite:/// and the path"):
        read_sql("select customer, product from orders", f"sqlite:///{path}")
    assert not path.exists()


def test_a_missing_driver_is_installed_by_the_name_of_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "MySQLdb", None)
    with pytest.raises(MissingExtraError, match="needs MySQLdb, which is not installed: pip install mysqlclient"):
        read_sql("select 1, 2", "mysql://me:secret@host/shop")


def test_a_driver_that_quotes_the_password_is_scrubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise RuntimeError("cannot log in with hunter2 at all\nmore")

    monkeypatch.setattr(sqlalchemy, "create_engine", failing)
    with pytest.raises(DataError, match=r"cannot log in with \*\*\* at all$"):
        read_sql("select 1, 2", "mysql://me:hunter2@host/shop")


def test_a_missing_sqlalchemy_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'cofactor\[sql\]'"):
        read_sql("select 1, 2", "sqlite://")


ITEM = "1|Café (1995)|01-Jan-1995||http://x|" + "|".join("1" if k in (5, 16) else "0" for k in range(19)) + "\n"
TITLES = {
    "u.item": ITEM.encode("latin-1"),
    "utf-8.item": ITEM.encode(),
    "movies.dat": "1::Café (1995)::Comedy|Thriller\n2::A::B (1990)::\n".encode(),
    "latin.dat": "1::Café (1995)::Comedy|Thriller\n".encode("latin-1"),
    "movies.csv": 'movieId,title,genres\n1,Café (1995),Comedy|Thriller\n2,"A, ""B""",\n'.encode(),
    "own.csv": "title,item,genres\nCafé (1995),1,Comedy|Thriller\n".encode(),
}


@pytest.mark.parametrize("name", TITLES)
def test_titles_are_read_from_every_layout_and_encoding(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(TITLES[name])
    titles = read_items(tmp_path / name)
    assert titles.row(0)[:3] == ("1", "Café (1995)", "Comedy|Thriller")
    year = [] if name == "own.csv" else ["year"]
    assert titles.columns[0] == "item"
    assert set(titles.columns) == {"item", "title", "genres", *year}
    if year:
        assert titles["year"][0] == 1995


def test_odd_titles_keep_their_separators(tmp_path: Path) -> None:
    for name, title in (("movies.dat", "A::B (1990)"), ("movies.csv", 'A, "B"')):
        (tmp_path / name).write_bytes(TITLES[name])
        assert read_items(tmp_path / name).row(1)[:3] == ("2", title, None)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("u.item", b"1|Cafe\n", "line 1: only 2 of 24 fields"),
        ("movies.dat", b"1::a::b\n2::c\n", "line 2: only 2 of 3 fields"),
        ("movies.csv", b"number,name\n1,a\n", "it needs item or movieId"),
        ("movies.csv", b"item,title\n1,a,b\n", "3 fields instead of 2"),
        ("movies.csv", b"\n", "has no rows"),
    ],
)
def test_title_files_that_do_not_fit_say_where(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_items(tmp_path / name)


def test_titles_come_from_a_file_or_a_frame(tmp_path: Path) -> None:
    (tmp_path / "plays.csv").write_text("user,item,value\na,1,2\na,9,2\n")
    (tmp_path / "movies.csv").write_bytes(TITLES["movies.csv"])
    for titles in (tmp_path / "movies.csv", pl.DataFrame({"item": ["1"], "title": ["Café (1995)"]})):
        table = read_csv(tmp_path / "plays.csv", items=titles)
        assert table.metadata.titles is not None
        assert table.metadata.titles.to_list() == ["Café (1995)", None]


def test_movielens_layouts_are_read_with_the_titles_beside_them(tmp_path: Path) -> None:
    content = {
        "u.data": ("1\t1\t3\t50\n", "u.item"),
        "ratings.dat": ("1::1::3::50\n", "movies.dat"),
        "ratings.csv": ("userId,movieId,rating,timestamp\n1,1,3.0,50\n", "movies.csv"),
    }
    for name, (text, titles) in content.items():
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        (folder / name).write_text(text)
        (folder / titles).write_bytes(TITLES[titles])
        for path in (folder, folder / name):
            table = read_movielens(path)
            assert rows_of(table) == [("1", "1", 3.0, 50, "Café (1995)")]
            assert table.name == folder.name
    assert rows_of(read_movielens(tmp_path / "u-data", ids="int"))[0][:2] == (1, 1)
    with pytest.raises(DataError, match=r"none of u\.data"):
        read_movielens(tmp_path)


@pytest.mark.parametrize(
    ("folder", "size"),
    [("ml-latest-small", (610, 9_724, 100_836)), ("movietweetings-100k", (16_554, 10_506, 100_000))],
)
def test_real_ratings_are_read_whole(folder: str, size: tuple[int, int, int], real_ratings: Any) -> None:
    table = read_movielens(real_ratings(folder))
    assert (table.n_users, table.n_items, len(table)) == size
    assert table.metadata.titles is not None
    assert table.metadata.titles.null_count() == 0


def test_reading_loads_no_heavy_package() -> None:
    heavy = "narwhals sqlalchemy pooch requests rich numba filelock platformdirs pandas pyarrow"
    code = (
        "import sys, cofactor.data.readers, cofactor.data.catalog; print([m for m in sys.argv[1:] if m in sys.modules])"
    )
    assert python(code, *heavy.split()).strip() == "[]"


def test_a_column_that_is_a_number_is_refused_with_what_names_it(tmp_path):
    path = tmp_path / "headless.csv"
    path.write_text("ann,lamp,5\nbob,desk,4\n")
    with pytest.raises(SettingError, match=r"user=0 is not the name of a column: give a text, and columns="):
        read_csv(path, user=0, item=1, value=2)
    assert len(read_csv(path, columns=["user", "item", "value"])) == 2
