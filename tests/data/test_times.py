"""Times keep their precision from the table to whatever is ordered by them."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest

import cofactor as cf
from cofactor.data.times import TimeUnit, as_seconds, duration, moment

NOON = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC)
EVENTS = pl.DataFrame(
    {
        "user": ["a"] * 3,
        "item": ["x", "x", "y"],
        "value": [5.0, 1.0, 2.0],
        "time": [NOON + datetime.timedelta(milliseconds=after) for after in (900, 100, 500)],
    }
)
SECONDS = NOON.timestamp()
KINDS = {
    "datetimes": pl.col("time"),
    "datetimes of nanoseconds": pl.col("time").cast(pl.Datetime("ns", "UTC")),
    "seconds with fractions": pl.col("time").dt.epoch("us") / 1e6,
    "milliseconds": pl.col("time").dt.epoch("ms"),
    "microseconds": pl.col("time").dt.epoch("us"),
    "nanoseconds": pl.col("time").dt.epoch("us") * 1000,
    "text": pl.col("time").dt.to_string("%+"),
}


@pytest.fixture(params=KINDS, ids=lambda name: name.replace(" ", "-"))
def events(request):
    return EVENTS.with_columns(time=KINDS[request.param])


def opened(frame, tmp_path, **options):
    frame.write_parquet(tmp_path / "events.parquet")
    return cf.open_parquet(tmp_path / "events.parquet", memory="16MB", cache=tmp_path / "cache", **options)


def test_the_latest_within_a_second_is_kept_and_held_out_last(events, tmp_path):
    for table in (cf.from_frame(events), opened(events, tmp_path)):
        assert table.to_frame().rows() == [("a", "x", 5.0, SECONDS + 0.9), ("a", "y", 2.0, SECONDS + 0.5)]
        assert table.split_last()[1].to_frame()["item"].to_list() == ["x"]
        assert table.split_by_time(at=SECONDS + 0.7)[1].to_frame()["item"].to_list() == ["x"]
    earliest = opened(events, tmp_path, duplicates="first")
    assert earliest.to_frame()["value"].to_list() == [1.0, 2.0]


def test_whole_seconds_stay_integers_whatever_they_come_as(tmp_path):
    whole = EVENTS.with_columns(time=pl.col("time").dt.truncate("1s"))
    for column in (pl.col("time"), pl.col("time").dt.epoch("s"), pl.col("time").dt.epoch("s").cast(pl.Float64)):
        frame = whole.with_columns(time=column)
        for table in (cf.from_frame(frame), opened(frame, tmp_path)):
            assert table.timestamps.dtype == np.int64
            assert set(table.timestamps.tolist()) == {SECONDS}


def test_times_that_are_not_in_seconds_are_told(caplog):
    cf.from_frame(EVENTS.with_columns(time=pl.col("time").dt.epoch("ms")))
    assert "the times are taken as milliseconds since 1970" in caplog.text
    caplog.clear()
    cf.from_frame(EVENTS)
    assert not caplog.text


def test_one_odd_time_does_not_change_the_unit_of_the_others():
    times = np.array([SECONDS, SECONDS + 1, 253_402_300_799, 0])
    assert TimeUnit.of(times).name == "seconds"


def test_parts_have_the_unit_of_the_whole():
    early, late = np.array([5, 0]), np.array([1_700_000_000_000, 1_700_000_000_001, 1_700_000_000_002])
    unit = TimeUnit.of(early) + TimeUnit.of(late)
    assert unit == TimeUnit.of(np.concatenate([early, late]))
    assert unit.seconds(late).tolist() == [1_700_000_000.0, 1_700_000_000.001, 1_700_000_000.002]


def test_csv_parts_with_and_without_fractions_go_together(tmp_path, monkeypatch):
    from cofactor.data import delimited

    monkeypatch.setattr(delimited, "_BLOCK", 64)
    path = tmp_path / "events.csv"
    path.write_text("user,item,time\n" + "".join(f"u{k},i,{k}\n" for k in range(20)) + "v,i,2.25\n")
    table = cf.read_csv(path)
    assert table.to_frame()["timestamp"].to_list() == [*range(20), 2.25]


@pytest.mark.parametrize(
    "at",
    [
        "2024-01-01T12:00:00Z",
        "2024-01-01 12:00",
        NOON,
        NOON.replace(tzinfo=None),
        NOON.astimezone(datetime.timezone(datetime.timedelta(hours=5))),
        pd.Timestamp("2024-01-01T12", tz="UTC"),
        np.datetime64("2024-01-01T12"),
        SECONDS,
        int(SECONDS),
        np.int64(SECONDS),
    ],
    ids=repr,
)
def test_a_moment_may_be_a_text_a_datetime_or_seconds(at):
    assert moment(at) == SECONDS
    assert len(cf.from_frame(EVENTS).split_by_time(at=at)[1]) == 2


@pytest.mark.parametrize("at", ["yesterday", [1], True, float("nan"), 1.7e12, datetime.time(1)], ids=repr)
def test_what_is_no_moment_is_refused(at):
    with pytest.raises(cf.SettingError, match=r"at is .*give seconds since 1970, a datetime, or a text"):
        cf.from_frame(EVENTS).split_by_time(at=at)


@pytest.mark.parametrize("times", [[1, 2], np.array(["1970-01-01T00:00:01", "1970-01-01T00:00:02"], "M8[s]")])
def test_columns_of_times_may_be_lists_and_datetimes(times):
    table = cf.Interactions.from_columns([1, 2], [1, 2], None, times)
    assert table.timestamps.tolist() == [1, 2]


@pytest.mark.parametrize(
    "times", [[1, None], ["never", "1"], 5, [object(), 1]], ids=["null", "text", "number", "object"]
)
def test_a_column_that_holds_no_times_is_refused(times):
    with pytest.raises(cf.DataError, match="seconds"):
        as_seconds(times)


def test_a_table_read_from_its_own_frame_is_the_same(tmp_path):
    titles = pl.DataFrame({"item": ["x", "y"], "title": ["The X", None]})
    for table in (cf.from_frame(EVENTS, items=titles), cf.load_dataset("synthetic:20x10x80")):
        frame = table.to_frame()
        again = cf.from_frame(frame)
        assert again.to_frame().equals(frame)
        assert again.timestamps.dtype == table.timestamps.dtype
        frame.write_parquet(tmp_path / "again.parquet")
        assert cf.read_parquet(tmp_path / "again.parquet").to_frame().equals(frame.drop("title"))
        frame.write_csv(tmp_path / "again.csv")
        ids = "int" if table.users.holds_integers else "str"
        assert cf.read_csv(tmp_path / "again.csv", ids=ids).to_frame().equals(frame.drop("title"))


@pytest.mark.parametrize(
    ("length", "seconds"),
    [
        ("30d", 30 * 86_400),
        ("12h", 12 * 3600),
        ("2w", 14 * 86_400),
        ("90m", 5400),
        (" 45 s ", 45),
        ("0.5d", 43_200),
        (datetime.timedelta(days=1, seconds=0.5), 86_400.5),
        (3600, 3600),
        (0.25, 0.25),
        (np.int64(7), 7),
    ],
    ids=repr,
)
def test_a_length_of_time_may_be_a_text_a_timedelta_or_seconds(length, seconds):
    assert duration(length) == seconds


@pytest.mark.parametrize("length", [datetime.timedelta(0), datetime.timedelta(days=-1), datetime.date(2024, 1, 1)])
def test_a_timedelta_that_is_no_length_is_refused(length):
    with pytest.raises(cf.SettingError, match="above 0"):
        duration(length)


@pytest.mark.parametrize(
    "length",
    [
        "",
        "30",
        "d",
        "30 days",
        "-3d",
        "0d",
        "1e3s",
        "3D",
        [1],
        np.timedelta64(3, "ns"),
        0,
        -1,
        True,
        None,
        float("nan"),
        float("inf"),
        10**400,
    ],
    ids=lambda length: repr(length)[:20],
)
def test_what_is_no_length_of_time_is_refused(length):
    with pytest.raises(cf.SettingError, match=r"half_life is .*above 0, such as '30d'.*or a number of seconds"):
        duration(length, "half_life")
