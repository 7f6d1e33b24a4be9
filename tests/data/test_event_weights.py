"""Logs of events: what each kind of event counts, at every door that reads a table."""

import polars as pl
import pytest
from clisupport import as_json, run

import cofactor as cf

WEIGHTS = {"view": 1, "cart": 3, "purchase": 5}
LOG = pl.DataFrame(
    {
        "user": ["ann", "ann", "bob", "bob", "eve"],
        "item": ["tea", "tea", "tea", "cup", "cup"],
        "event": ["view", "purchase", " view", "cart", "wish"],
        "time": [1_700_000_000 + k for k in range(5)],
    }
)


def from_sql(folder, frame, **options):
    pytest.importorskip("sqlalchemy")
    url = f"sqlite:///{folder}/log.db"
    frame.write_database("log", url, engine="sqlalchemy", if_table_exists="replace")
    query = "select user, item, event, time from log order by time"
    return cf.read_sql(query, url, user="user", item="item", time="time", **options)


def in_file(name, write, read):
    def door(folder, frame, **options):
        path = folder / name
        write(frame, path)
        return read(path, **options)

    return door


DOORS = {
    "csv": in_file("log.csv", pl.DataFrame.write_csv, cf.read_csv),
    "parquet": in_file("log.parquet", pl.DataFrame.write_parquet, cf.read_parquet),
    "frame": lambda _, frame, **options: cf.from_frame(frame, **options),
    "categories": lambda _, frame, **options: cf.from_frame(
        frame.with_columns(pl.col("event").cast(pl.Categorical)), **options
    ),
    "sql": from_sql,
    "on disk": in_file(
        "big.parquet",
        pl.DataFrame.write_parquet,
        lambda path, **options: cf.open_parquet(path, cache=path.parent / "cache", **options),
    ),
}


@pytest.mark.parametrize("door", DOORS)
def test_events_count_by_their_kind(tmp_path, door):
    found = DOORS[door](tmp_path, LOG.head(4), value="event", weights=WEIGHTS, duplicates="sum")
    rows = sorted(found.to_frame().select("user", "item", "value").rows())
    assert rows == [("ann", "tea", 6.0), ("bob", "cup", 3.0), ("bob", "tea", 1.0)]
    other = DOORS[door](tmp_path, LOG.head(4), value="event", weights={**WEIGHTS, "purchase": 0.5}, duplicates="sum")
    assert other.to_frame()["value"].max() == 3.0


@pytest.mark.parametrize("door", DOORS)
def test_a_kind_without_a_weight_is_named_with_remedies_that_work(tmp_path, door):
    with pytest.raises(cf.DataError, match="the value 'wish' has no weight") as told:
        DOORS[door](tmp_path, LOG, value="event", weights=WEIGHTS)
    assert "weights={…} gives it one, on_bad_rows='skip' leaves such rows out" in str(told.value)
    assert len(DOORS[door](tmp_path, LOG, value="event", weights={**WEIGHTS, "wish": 2})) == 4
    assert len(DOORS[door](tmp_path, LOG, value="event", weights=WEIGHTS, on_bad_rows="skip")) == 3


@pytest.mark.parametrize("door", [name for name in DOORS if name != "categories"])
def test_words_without_weights_are_told_of_them(tmp_path, door):
    with pytest.raises(cf.DataError, match=r"is not a finite 32-bit number \(weights=\{…\} says what each such text"):
        DOORS[door](tmp_path, LOG, value="event")


@pytest.mark.parametrize("weights", [{}, {"view": "1"}, {"view": True}, {1: 1.0}, {"view": float("nan")}, 5, ["view"]])
def test_weights_that_are_none_are_refused(weights):
    with pytest.raises(cf.SettingError, match=r"weights is .*: give a number for each text, such as \{'view': 1"):
        cf.from_frame(LOG, value="event", weights=weights)
    with pytest.raises(cf.SettingError, match="value=None leaves the values out: give one of them"):
        cf.from_frame(LOG, value=None, weights=WEIGHTS)


def test_the_command_line_takes_them(tmp_path):
    LOG.write_csv(tmp_path / "log.csv")
    data = tmp_path / "log.csv", "--value-column", "event"
    made = tmp_path / "model.safetensors"
    given = "view=1, cart=3,purchase=5,wish=2"
    as_json("fit", *data, "--solver", "popularity", "--weights", given, "--test-fraction", "0", "-o", made)
    assert cf.load(made).n_users == 3
    for given, says in {
        "view=1,wish=2": "'cart' has no weight (--weights gives it one, --on-bad-rows skip leaves",
        "view": "--weights view: give a number for each text, such as view=1,purchase=5",
        "=3": "--weights =3: give a number for each text",
        "view=nan": "--weights is {'view': nan}: give a number for each text",
    }.items():
        told = run("fit", *data, "--weights", given, "-o", made, code=1 if "wish" in given else 2)
        assert says in " ".join(told.stderr.split())
    assert "--weights says what each such text counts" in run("fit", *data, "-o", made, code=1).stderr
