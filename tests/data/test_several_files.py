"""Several files are one table: lists, patterns and folders, of text and of Parquet, and on the command line."""

import gzip

import polars as pl
import pytest
from clisupport import run

import cofactor as cf

HEAD = "user,item,value,time\n"


@pytest.fixture
def plays(tmp_path, monkeypatch):
    """Three months of plays, the last of them compressed, and the same as Parquet."""
    monkeypatch.chdir(tmp_path)
    whole = pl.DataFrame(
        {
            "user": [f"u{k % 7}" for k in range(90)],
            "item": [k % 11 for k in range(90)],
            "value": [float(k) for k in range(90)],
        }
    ).with_columns(time=pl.int_range(90))
    (tmp_path / "2024").mkdir()
    (tmp_path / "plays").mkdir()
    for month in range(3):
        part = whole.slice(30 * month, 30)
        part.write_parquet(tmp_path / f"plays/{month}.parquet")
        if month < 2:
            part.write_csv(tmp_path / f"2024/{month}.csv")
    (tmp_path / "2025.csv.gz").write_bytes(
        gzip.compress(part.select("item", "user", "time", "value").write_csv().encode())
    )
    return whole


@pytest.mark.parametrize("duplicates", ["last", "sum"])
def test_a_list_of_files_and_patterns_is_one_table(plays, duplicates):
    wanted = cf.from_frame(plays.with_columns(pl.col("item").cast(pl.String)), duplicates=duplicates)
    assert cf.read_csv(["2024/*.csv", "2025.csv.gz"], duplicates=duplicates) == wanted
    assert cf.read_csv(["2024/0.csv", "2024/*.csv", "2025.csv.gz"], duplicates=duplicates) == wanted  # each once


@pytest.mark.parametrize("path", ["plays", "plays/*.parquet", "pl*", ["plays/0.parquet", "plays"], "**/*.parquet"])
def test_parquet_files_are_one_table_however_they_are_named(plays, path):
    assert cf.read_parquet(path) == cf.from_frame(plays)


def test_a_pattern_opens_within_a_limit(plays, tmp_path):
    assert cf.open_parquet("plays/*.parquet", memory="16MB", cache=tmp_path / "cache") == cf.from_frame(plays)


def test_a_table_is_named_after_its_files(plays):
    assert cf.read_csv("2024/*.csv").name == "2024/*.csv"
    assert cf.read_csv(["2024/0.csv", "2024/1.csv"]).name == "0.csv and 1 more"
    assert cf.read_parquet("plays").name == "plays"


def test_the_command_line_takes_a_pattern(plays):
    run("fit", "2024/*.csv", "--solver", "popularity", "--output", "model.safetensors")
    assert cf.load("model.safetensors").n_users == 7
    run("fit", "plays/*.parquet", "--solver", "popularity", "--output", "other.safetensors")
    failed = run("fit", "2023/*.csv", "--solver", "popularity", "--output", "none.safetensors", code=1)
    assert "nothing matches '2023/*.csv': check the folder and the pattern" in " ".join(failed.output.split())


@pytest.mark.parametrize(
    ("second", "error"),
    [
        ("user,film,value\na,x,1\n", r"1\.csv has no column 'item': its columns are 'user', 'film', 'value'"),
        ("user,item\na,x\n", r"1\.csv has no column for the value, which .*0\.csv has: .* with value=None"),
        (
            "user,item,value,time\na,x,1,5\n",
            r"0\.csv has no column for the time, which .*1\.csv has: .* with time=None",
        ),
        ("user,item,value\na,x\n", r"1\.csv, line 2: 2 fields .* instead of 3"),
        ("user,item,value\na,x,many\n", r"1\.csv, line 2: the value 'many' is not"),
        ("", r"1\.csv is empty"),
    ],
)
def test_the_file_that_differs_or_is_bad_is_named(second, error, tmp_path):
    (tmp_path / "0.csv").write_text("user,item,value\na,x,1\nb,x,2\n")
    (tmp_path / "1.csv").write_text(second)
    with pytest.raises(cf.DataError, match=error):
        cf.read_csv(f"{tmp_path}/*.csv")


def test_the_remedies_for_files_that_differ_work(tmp_path):
    (tmp_path / "0.csv").write_text("user,item,value\na,x,1\nb,x,2\n")
    (tmp_path / "1.csv").write_text("user,item\na,y\n")
    assert len(cf.read_csv(f"{tmp_path}/*.csv", value=None)) == 3
    (tmp_path / "1.csv").write_text("user,item,value\na,y,none\nc,y,3\n")
    assert len(cf.read_csv(f"{tmp_path}/*.csv", on_bad_rows="skip")) == 3


def test_headerless_files_of_different_widths_are_refused(tmp_path):
    (tmp_path / "0.csv").write_text("a,x,1\n")
    (tmp_path / "1.csv").write_text("a,x,1,7\n")
    with pytest.raises(cf.DataError, match=r"1\.csv has 4 columns and .*0\.csv 3: give files with the same columns"):
        cf.read_csv(f"{tmp_path}/*.csv", has_header=False)


def test_a_header_alone_among_files_with_rows_is_nothing(tmp_path):
    (tmp_path / "0.csv").write_text("user,item,value\n")
    with pytest.raises(cf.DataError, match="has no rows under its header"):
        cf.read_csv(tmp_path / "0.csv")
    (tmp_path / "1.csv").write_text("user,item,value\na,x,1\n")
    assert len(cf.read_csv(f"{tmp_path}/*.csv")) == 1


def test_parquet_files_with_other_columns_are_named(plays, tmp_path):
    plays.select("user", "item", "time").write_parquet(tmp_path / "plays/7.parquet")
    with pytest.raises(
        cf.DataError, match=r"7\.parquet has the columns 'user', 'item', 'time', and .*0\.parquet 'user'"
    ):
        cf.read_parquet("plays")
    assert len(cf.read_parquet("plays", value=None, time=None)) == 77


def test_texts_in_one_file_and_integers_as_texts_in_another_go_together(tmp_path):
    (tmp_path / "0.csv").write_text("user,item,value\n1,x,1\n2,x,2\n")
    (tmp_path / "1.csv").write_text("user,item,value\nann,x,1\n02,x,2\n1,y,5\n")
    table = cf.read_csv(f"{tmp_path}/*.csv")
    assert table.users.ids.to_list() == ["02", "1", "2", "ann"]
    assert table.to_frame()["user"].to_list() == ["1", "2", "ann", "02", "1"]


def test_several_files_are_refused_together_where_they_take_too_much_memory(tmp_path):
    for at in range(300):
        (tmp_path / f"{at}.csv").write_text("user,item,value\n" + "".join(f"{k},{at},1\n" for k in range(2000)))
    assert len(cf.read_csv(tmp_path / "0.csv", memory="16MB")) == 2000
    with pytest.raises(cf.DataError, match="of memory or more, and reading may take 16 MB"):
        cf.read_csv(f"{tmp_path}/*.csv", memory="16MB")


def test_a_reader_of_record_batches_is_a_frame(plays):
    duckdb = pytest.importorskip("duckdb")
    reader = duckdb.sql("select * from plays").to_arrow_reader(7)
    assert hasattr(reader, "read_next_batch")
    assert cf.from_frame(reader) == cf.from_frame(plays)
    with pytest.raises(cf.DataError, match="the frame has no column 'user'"):
        cf.from_frame(duckdb.sql("select item from plays").to_arrow_reader(7))


def test_batches_are_counted_while_they_come():
    import pyarrow as pa

    schema = pa.schema([("user", pa.int64()), ("item", pa.int64())])
    batch = pa.record_batch([pa.array(range(50_000)), pa.array(range(50_000))], schema=schema)
    taken = []

    def batches():
        for at in range(50):
            taken.append(at)
            yield batch

    with pytest.raises(cf.DataError, match=r"the frame takes about .* and reading may take 16 MB"):
        cf.from_frame(pa.RecordBatchReader.from_batches(schema, batches()), memory="16MB")
    assert len(taken) < 10


def test_a_url_is_read_through_polars(plays, tmp_path):
    url = (tmp_path / "plays").as_uri()
    assert cf.read_parquet(f"{url}/0.parquet") == cf.read_parquet("plays/0.parquet")
    text = (tmp_path / "2024").as_uri()
    assert cf.read_csv(f"{text}/*.csv", ids="int", user="item", item="time") == cf.read_csv(
        "2024/*.csv", ids="int", user="item", item="time"
    )
    run("fit", f"{text}/0.csv", "--solver", "popularity", "--output", "model.safetensors")


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda url: cf.read_csv(f"{url}/none.csv"), r"none\.csv cannot be read .*: check the URL and the credentials"),
        (lambda url: cf.read_parquet(f"{url}/none.parquet"), r"none\.parquet cannot be read .*: check the URL"),
        (lambda url: cf.read_csv(f"{url}/0.csv", value="stars"), r"0\.csv has no column 'stars'"),
        (lambda url: cf.read_csv(f"{url}/0.csv", separator="::"), "download it and give its path"),
        (lambda url: cf.read_csv(f"{url}/0.csv", encoding="utf-16"), "download it and give its path"),
        (lambda url: cf.read_csv(f"{url}/0.csv", columns=["user", "item"]), "has 4 columns, but columns= names 2"),
        (lambda url: cf.read_csv(f"{url}/0.csv", ids="int"), r"0\.csv, row 0: the user id 'u0' is not an integer"),
    ],
)
def test_what_is_wrong_at_a_url_is_one_error(plays, tmp_path, call, error):
    with pytest.raises(cf.DataError, match=error):
        call((tmp_path / "2024").as_uri())


def test_no_secret_of_a_url_is_shown():
    with pytest.raises(cf.DataError) as caught:
        cf.read_csv("http://me:hidden@127.0.0.1:9/plays.csv?signature=hidden")
    assert "http://***@127.0.0.1:9/plays.csv cannot be read" in str(caught.value)
    assert "hidden" not in str(caught.value)
