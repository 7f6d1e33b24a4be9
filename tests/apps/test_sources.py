"""Options of the data are obeyed or refused by name, whatever DATA is; errors name what the command line has."""

import shlex
import sqlite3

import polars as pl
import pytest
from clisupport import as_json, run

import cofactor as cf
from cofactor.apps.options import in_options
from cofactor.apps.sources import open_data
from cofactor.errors import DataError, SettingError

MOVIELENS = "userId,movieId,rating,timestamp\n"
ALL = {
    "user_column": "u",
    "item_column": "i",
    "value_column": "v",
    "time_column": "t",
    "separator": ";",
    "header": False,
    "ids": "int",
    "encoding": "latin-1",
    "duplicates": "sum",
    "on_bad_rows": "skip",
    "memory": "1GB",
    "query": "select 1",
}
COLUMNS = ("user_column", "item_column", "value_column", "time_column")
TABLE = (*COLUMNS, "duplicates", "on_bad_rows", "memory")
TEXT = (*TABLE, "separator", "header", "ids", "encoding")
KINDS = {
    "plays.csv": TEXT,
    "ratings.csv": TEXT,
    "plays.parquet": TABLE,
    "folder": ("memory",),
    "sqlite:///plays.db": (*TABLE, "query"),
    "synthetic:10x10x50": ("ids",),
    "ml-100k": ("ids",),
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COFACTOR_DATA", str(tmp_path / "data"))
    frame = pl.DataFrame({"user": ["a", "b"], "item": ["x", "y"], "value": [1.0, 2.0]})
    frame.write_csv("plays.csv")
    frame.write_parquet("plays.parquet")
    (tmp_path / "ratings.csv").write_text(f"{MOVIELENS}1,1,3,10\n1,1,4,11\n2,1,5,12\n2,2,1,13\n")
    cf.from_frame(frame).write("folder")
    with sqlite3.connect("plays.db") as connection:
        connection.execute("create table plays as select 'a' as user, 'x' as item, 3 as value")
    connection.close()
    return tmp_path


@pytest.mark.parametrize("option", ALL)
@pytest.mark.parametrize("data", KINDS)
def test_an_option_that_a_kind_of_data_does_not_have_is_refused_by_name(data, option):
    if option in KINDS[data] or (option == "query" and "://" not in data):  # with a query DATA is a database's URL
        return
    with pytest.raises(cf.SettingError) as caught:
        open_data(data, **{option: ALL[option]})
    assert f"--{'no-' * (option == 'header')}{option.replace('_', '-')}" in str(caught.value)
    assert "leave" in str(caught.value)


@pytest.mark.parametrize("name", ["ratings.csv", "plays.csv", "ratings.dat", "u.data"])
def test_options_are_obeyed_whatever_a_file_is_called(here, name):
    text = f"{MOVIELENS}1,1,3,10\n1,1,4,11\n2,1,,12\n2,2,1,13\n"
    separator = {"ratings.dat": "::", "u.data": "\t"}.get(name, ",")
    lines = text.replace(",", separator).splitlines(keepends=True)[0 if name.endswith("csv") else 1 :]
    (here / name).write_text("".join(lines))
    table = open_data(name, duplicates="sum", on_bad_rows="skip", ids="int")
    assert table.to_frame().select("user", "item", "value").rows() == [(1, 1, 7.0), (2, 2, 1.0)]
    with pytest.raises(cf.DataError, match="the value is missing"):
        open_data(name)
    with pytest.raises(cf.DataError, match="user '1' and item '1' appear more than once"):
        open_data(name, duplicates="error", on_bad_rows="skip")


def test_movielens_is_known_by_its_header_not_its_name(here):
    (here / "movies.csv").write_text("movieId,title,genres\n1,Alien (1979),Horror\n")
    (here / "other.csv").write_text(f"{MOVIELENS}1,1,3,10\n2,2,1,13\n")
    assert open_data("other.csv").metadata.titles.to_list() == ["Alien (1979)", None]
    (here / "ratings.csv").write_text("user,item,value\na,1,5\nb,1,4\n")
    assert open_data("ratings.csv").to_frame().rows() == [("a", "1", 5.0), ("b", "1", 4.0)]


@pytest.mark.parametrize("data", ["plays.csv", "plays.parquet", "folder", "synthetic:10x10x50"])
def test_files_of_items_and_users_go_with_data_of_any_kind(here, data):
    named = {"synthetic:10x10x50": ("1", "1")}.get(data, ("x", "a"))
    (here / "goods.csv").write_text(f"price,item,since\n2.5,{named[0]},2024-05-31\n9,nothing,2024-01-01\n")
    (here / "people.csv").write_text(f"user,age\n{named[1]},31\n")
    table = open_data(data, items="goods.csv", users="people.csv")
    goods = table.item_table.select("item", "price", "since").row(0)
    assert tuple(map(str, goods)) == (named[0], "2.5", "2024-05-31")
    assert table.user_table["age"][0] == 31
    assert table.user_table["age"].null_count() == table.n_users - 1


def test_a_file_of_items_that_is_not_there_is_named_before_the_data_are_read(here):
    with pytest.raises(cf.DataError, match=r"good\.csv does not exist"):
        open_data("nothing.csv", items="good.csv")


def test_a_separator_is_obeyed_where_a_movielens_file_has_another(here):
    (here / "u.data").write_text("1 31 2.5 10\n1 32 3 11\n2 31 4 12\n")
    assert open_data("u.data", separator=" ").to_frame().row(0) == ("1", "31", 2.5, 10)


def test_a_column_may_be_chosen_in_a_movielens_file(here):
    (here / "ratings.csv").write_text(MOVIELENS.replace("rating", "rating,liked") + "1,1,3,1,10\n")
    assert open_data("ratings.csv", value_column="liked").to_frame()["value"].to_list() == [1.0]
    table = open_data("ratings.csv", value_column="none", time_column="none")
    assert table.is_binary
    assert table.timestamps is None


def test_the_rows_of_a_query_may_be_skipped(here):
    query = "select 'a', 'x', null union all select 'a', 'y', 3"
    assert len(open_data("sqlite:///plays.db", query=query, on_bad_rows="skip")) == 1


def test_a_query_gives_its_columns_by_name_or_in_order():
    for query in (
        "'x' as item, 'a' as user, 9 as time, 3 as value",
        "'a', 'x', 3, 9",
        "'a' as user, 'x' as item, 3, 9",
    ):
        table = open_data("sqlite:///plays.db", query=f"select {query}")
        assert table.to_frame().rows() == [("a", "x", 3.0, 9)]


FAULTS = {
    "an encoding": (b"user,item,value\na,caf\xe9,1\nb,x,2\n", [], ["--encoding", "latin-1"]),
    "a header": (b"a,x,1\nb,y,2\nb,x,2\n", [], ["--no-header"]),
    "a separator": (b"user item value\na x 1\nb y 2\n", [], ["--separator", " "]),
    "a bad row": (b"user,item,value\na,x,one\nb,y,2\nb,x,2\n", [], ["--on-bad-rows", "skip"]),
    "duplicates": (b"user,item,value\na,x,1\na,x,2\nb,y,2\n", ["--duplicates", "error"], ["--duplicates", "last"]),
    "an id": (b"user,item,value\na,x,1\nb,y,2\n", ["--ids", "int"], ["--ids", "str"]),
    "no values": (b"user,item,stars\na,x,1\nb,y,2\n", [], ["--value-column", "none"]),
    "other values": (b"user,item,stars\na,x,1\nb,y,2\n", [], ["--value-column", "stars"]),
    "a time": (b"user,item,time\na,x,noon\nb,y,2\n", [], ["--time-column", "none"]),
}


@pytest.mark.parametrize(
    ("content", "options", "remedy"), FAULTS.values(), ids=[name.replace(" ", "-") for name in FAULTS]
)
def test_the_remedy_that_an_error_names_works_at_the_command_line(here, content, options, remedy):
    (here / "data.csv").write_bytes(content)
    fit = ["fit", "data.csv", "--solver", "popularity", "--test-fraction", 0]
    told = as_json(*fit, *options, code=1)["error"]
    assert remedy[0] in told
    assert "=" not in told
    assert "binary()" not in told
    run(*fit, *remedy)


def test_json_is_told_how_to_become_a_table(here):
    for name, content, reader in (
        ("a.json", '{"u":"a"}\n{"u":"b"}\n', pl.read_ndjson),
        ("b.json", "[1]", pl.read_json),
    ):
        (here / name).write_text(content)
        told = as_json("fit", name, code=1)["error"]
        assert f"{name} is JSON: convert it to Parquet first" in told
        assert f"polars.{reader.__name__}('{name}').write_parquet('{name[0]}.parquet')" in told


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("1,234", "write 1234 if the comma groups thousands, 1.234 if it begins the decimals"),
        ("1,234,567", "write it without the commas: 1234567"),
        ("4,5", "write decimals with a point"),
        ("0,234", "write decimals with a point"),
    ],
)
def test_a_number_with_a_comma_is_not_told_to_be_a_thousandth(here, cell, says):
    (here / "data.csv").write_text(f'user,item,value\na,x,"{cell}"\nb,y,1\n')
    assert says in as_json("fit", "data.csv", code=1)["error"]


def test_the_command_that_fit_proposes_works_for_an_id_with_a_dash(here):
    (here / "data.csv").write_text("user,item,value\n-5,x,1\n-5,y,2\nb,x,1\nb,z,1\n")
    said = run("fit", "data.csv", "--test-fraction", 0, "--rank", 2, "-o", "d.safetensors").stdout
    proposed = shlex.split(said.split("next: ")[1].splitlines()[0])
    assert proposed[:2] == ["cofactor", "recommend"]
    assert "-5" in proposed
    assert "-5" in run(*proposed[1:]).stdout


def test_an_error_about_a_setting_names_its_option(here):
    told = as_json("fit", "plays.csv", "--rank", 0, code=2)["error"]
    assert told.startswith("--rank 0: it must be")


def test_other_words_of_an_error_stay_as_they_are():
    for text in ("its columns are 'user', 'item'", "x=3", "a.csv, line 2: value='3'"):
        assert in_options(text) == text


def test_a_value_with_a_space_is_quoted():
    assert in_options("say values='as given', or values='alike'") == "say --values 'as given', or --values alike"


def test_tables_of_items_and_users_come_from_a_database(tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("create table goods (movie_id text, title text, price real)")
        connection.executemany("insert into goods values (?, ?, ?)", [("a", "Tea", 2.5), ("b", "Rye", 3.0)])
        connection.execute("create table people (user text, age integer)")
        connection.execute("insert into people values ('ann', 30)")
        connection.execute("create table plays (user text, item text)")
        connection.executemany("insert into plays values (?, ?)", [("ann", "a"), ("bob", "b")])
    url, goods, people = f"sqlite:///{tmp_path}/shop.db", "select * from goods", "select * from people"
    data = open_data(url, query="select * from plays", items_query=goods, users_query=people)
    (tmp_path / "plays.csv").write_text("user,item\nann,a\nbob,b\n")
    beside = open_data(str(tmp_path / "plays.csv"), items=url, items_query=goods, users=url, users_query=people)
    for found in (data, beside):
        assert found.item_table.rows() == [("a", "Tea", 2.5), ("b", "Rye", 3.0)]
        assert found.user_table.rows() == [("ann", 30), ("bob", None)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"items": "sqlite:///shop.db"}, "give --items-query, a select"),
        ({"users_query": "select 1 as user"}, "--users-query needs a database: give --users URL"),
        ({"items": "sqlite://", "items_query": "select 1 as thing"}, "--items-query has the columns thing"),
    ],
)
def test_half_of_a_table_from_a_database_is_refused(tmp_path, options, said):
    (tmp_path / "plays.csv").write_text("user,item\nann,a\nbob,b\n")
    with pytest.raises((SettingError, DataError), match=said):
        open_data(str(tmp_path / "plays.csv"), **options)
