"""Parquet files sorted on disk: the same table as in memory, kept while the files stay, whole or not there at all."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tablesupport import in_files, is_mapped, same_table

import cofactor as cf
from cofactor.data import array_store, buckets, ondisk, outofcore


@pytest.fixture(autouse=True, scope="module")
def in_small_parts():
    """Let a limit of 16 MB mean 40 entries at a time, and every array go to a file."""
    with in_files(40):
        yield


def frame(n=300, seed=0, users=40, items=25):
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "user": [f"u{k}" for k in random.integers(0, users, n)],
            "item": random.integers(0, items, n),
            "value": random.integers(1, 6, n).astype(np.float64),
            "time": random.integers(0, 50, n),
        }
    )


def write(table, folder, cuts=(100, 110)):
    """Write a frame as Parquet files, cut at some rows."""
    folder.mkdir(exist_ok=True)
    edges = [0, *sorted(cuts), len(table)]
    for number, (first, last) in enumerate(pairwise(edges)):
        table[first:last].write_parquet(folder / f"part-{number}.parquet")
    return folder


def opened(folder, **options):
    return cf.open_parquet(folder, memory="16MB", cache=folder.parent / "cache", **options)


def builds(home):
    """Return the whole builds of a cache folder."""
    return sorted(path.parent.name for path in home.glob("*/*/interactions.json"))


ids = st.one_of(
    st.lists(st.sampled_from([3, -1, 2**40, 0, 7]), min_size=1, max_size=120),
    st.lists(st.sampled_from(["10", "9", "b", "é", "aa"]), min_size=1, max_size=120),
    st.lists(st.sampled_from(["10", "9", "0", "77"]), min_size=1, max_size=120),
    st.lists(st.sampled_from([2**63, 1, 2**64 - 1]), min_size=1, max_size=120),
)


@given(ids, ids, st.sampled_from(["last", "first", "sum", "mean"]), st.booleans(), st.booleans(), st.integers(0, 9999))
@settings(max_examples=25, deadline=None)
def test_the_table_is_the_one_that_is_read_into_memory(tmp_path_factory, users, items, duplicates, timed, valued, seed):
    n, random = min(len(users), len(items)), np.random.default_rng(seed)
    table = pl.DataFrame(
        {
            "user": _series(users[:n]),
            "item": _series(items[:n]),
            "value": random.normal(size=n),
            "time": random.integers(0, 5, n),
        }
    )
    folder = write(table, tmp_path_factory.mktemp("any") / "ratings", random.integers(0, n + 1, 2).tolist())
    options = {"duplicates": duplicates, "time": "time" if timed else None, "value": "value" if valued else None}
    in_memory, on_disk = cf.read_parquet(folder, **options), opened(folder, **options)
    same_table(in_memory, on_disk)
    assert repr(in_memory) == repr(on_disk)
    if len(in_memory) > 1:
        for mine, theirs in zip(in_memory.split_random(seed=seed), on_disk.split_random(seed=seed), strict=True):
            same_table(mine, theirs)


def _series(values):
    return pl.Series(values, dtype=pl.UInt64 if isinstance(values[0], int) and max(values) >= 2**63 else None)


def test_what_is_made_of_the_table_is_the_same_and_lies_in_files(tmp_path):
    folder = write(frame(), tmp_path / "ratings")
    in_memory, on_disk = cf.read_parquet(folder, time="time"), opened(folder, time="time")
    for change in (
        lambda r: r.binary(),
        lambda r: r.valued(np.sqrt),
        lambda r: r.at_least(3),
        lambda r: r.split_random(seed=3)[0],
        lambda r: r.split_last()[1],
        lambda r: r.at_least(2).valued(np.sqrt).split_per_user(seed=1)[0],
    ):
        same_table(change(in_memory), change(on_disk))
        changed = change(on_disk)
        for matrix in (changed.matrix, changed.by_item):
            assert is_mapped(matrix.data)
            assert is_mapped(matrix.indices)
    assert on_disk.to_frame().equals(in_memory.to_frame())


def test_titles_come_with_it(tmp_path):
    folder = write(frame(), tmp_path / "ratings")
    titles = pl.DataFrame({"item": [3, 4], "title": ["Three", "Four"]})
    table = opened(folder, items=titles)
    assert table.metadata.titles[int(table.items.rows([4])[0])] == "Four"
    assert is_mapped(table.by_item.indices)  # the transpose that was found, not another


def test_one_file_will_do(tmp_path):
    path = tmp_path / "ratings.parquet"
    frame().write_parquet(path)
    same_table(cf.read_parquet(path), opened(path))


def test_it_is_built_once_while_the_files_stay(tmp_path, monkeypatch):
    folder = write(frame(), tmp_path / "ratings")
    first = opened(folder)
    monkeypatch.setattr(outofcore, "build", None)  # calling it would fail
    same_table(first, opened(folder))
    same_table(first, cf.open_parquet(folder, memory="1GB", cache=tmp_path / "cache"))


def test_a_path_is_the_same_from_whatever_folder_it_is_named(tmp_path, monkeypatch):
    folder = write(frame(), tmp_path / "ratings")
    opened(folder)
    before = builds(tmp_path / "cache")
    monkeypatch.setattr(outofcore, "build", None)
    (tmp_path / "other").symlink_to(folder)
    for current, named in ((tmp_path, "ratings"), (folder, "."), (tmp_path, "other"), (tmp_path, folder)):
        monkeypatch.chdir(current)
        same_table(cf.read_parquet(folder), cf.open_parquet(named, memory="16MB", cache=tmp_path / "cache"))
    assert builds(tmp_path / "cache") == before


@pytest.mark.parametrize("cache", ["ratings/cache", "ratings/a/b", "."])
def test_a_cache_in_or_above_the_data_hides_none_of_them(tmp_path, cache):
    folder = write(frame(), tmp_path / "ratings")
    wanted = cf.read_parquet(folder)
    for _ in range(2):  # the second time there are Parquet files in the cache
        same_table(wanted, cf.open_parquet(folder, memory="16MB", cache=tmp_path / cache))
    assert len(list((tmp_path / cache).glob("ratings-*/*/interactions.json"))) == 1


def test_a_cache_that_is_the_folder_of_the_data_is_refused(tmp_path, monkeypatch):
    folder = write(frame(), tmp_path / "ratings")
    monkeypatch.chdir(tmp_path)
    for cache in (folder, "ratings", "ratings/../ratings"):
        with pytest.raises(cf.SettingError, match=r"cache is the folder of the data, .*ratings: name another"):
            cf.open_parquet(folder, cache=cache)


def test_each_opening_gives_the_table_its_own_name(tmp_path):
    folder = write(frame(), tmp_path / "ratings")
    assert [opened(folder, name=name).name for name in ("first", "second", None)] == ["first", "second", "ratings"]


def append(folder):
    frame(20, seed=9).write_parquet(folder / "part-9.parquet")


def touch(folder):
    os.utime(folder / "part-1.parquet", ns=(1, 1))


def remove(folder):
    (folder / "part-0.parquet").unlink()


def rewrite(folder):
    frame(11, seed=5).write_parquet(folder / "part-2.parquet")


@pytest.mark.parametrize("change", [append, touch, remove, rewrite])
def test_it_is_built_anew_when_a_file_has_changed(tmp_path, change):
    folder = write(frame(), tmp_path / "ratings")
    opened(folder)
    before = builds(tmp_path / "cache")
    change(folder)
    same_table(cf.read_parquet(folder), opened(folder))
    after = builds(tmp_path / "cache")
    assert len(after) == 1  # the old one went
    assert after != before


def test_each_choice_of_options_has_a_build_of_its_own(tmp_path):
    folder = write(frame(), tmp_path / "ratings")
    for options in ({}, {"duplicates": "sum"}, {"time": None}, {"value": None}):
        same_table(cf.read_parquet(folder, **options), opened(folder, **options))
    assert len(builds(tmp_path / "cache")) == 4


def test_files_that_change_meanwhile_are_refused(tmp_path, monkeypatch):
    folder = write(frame(), tmp_path / "ratings")
    build = outofcore.build

    def meanwhile(*arguments):
        build(*arguments)
        append(folder)

    monkeypatch.setattr(outofcore, "build", meanwhile)
    with pytest.raises(cf.DataError, match="changed while it was read: open it again when it is complete"):
        opened(folder)
    assert builds(tmp_path / "cache") == []


@pytest.mark.parametrize("news", [frame(500), frame(5).with_columns(pl.lit("nobody").alias("user"))])
def test_rows_that_change_between_the_passes_are_refused(tmp_path, monkeypatch, news):
    folder = write(frame(), tmp_path / "ratings")
    indexed = outofcore.indexed

    def then_changed(*arguments):
        found = indexed(*arguments)
        news.write_parquet(folder / "part-1.parquet")
        return found

    monkeypatch.setattr(outofcore, "indexed", then_changed)
    with pytest.raises(
        cf.DataError, match=r"part-\d.parquet changed while it was read: open it again when it is complete"
    ):
        opened(folder)


def full(*_, **__):
    raise OSError(28, "No space left on device")


def full_for_polars(*_, **__):
    raise pl.exceptions.ComputeError("parquet: underlying IO error: No space left on device (os error 28)")


NO_SPACE = {
    "while users are sorted": (buckets.Buckets, "add", full),
    "while arrays are written": (ondisk.ArrayFile, "append", full),
    "while arrays are closed": (ondisk.ArrayFile, "close", full),
    "while starts are written": (np, "save", full),
    "while ids are written": (pl.DataFrame, "write_parquet", full_for_polars),
    "while files are synced": (os, "fsync", full),
    "before anything": (Path, "mkdir", full),
}


@pytest.mark.parametrize("moment", NO_SPACE)
def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path, monkeypatch, moment):
    folder = write(frame(), tmp_path / "ratings")
    with monkeypatch.context() as patch:
        patch.setattr(*NO_SPACE[moment])
        says = (
            r"cache cannot be written to \(.*No space left on device.*\): make room, or give cache= a folder on another"
        )
        with pytest.raises(cf.DataError, match=says):
            opened(folder)
    assert builds(tmp_path / "cache") == []
    assert list((tmp_path / "cache").glob("*/.*.part")) == []
    same_table(cf.read_parquet(folder), opened(folder))


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/none"])
def test_a_cache_that_cannot_be_a_folder_is_one_clear_error(tmp_path, place):
    folder = write(frame(), tmp_path / "ratings")
    (tmp_path / "file").write_text("not a folder")
    if place.startswith("/proc") and not Path("/proc").is_dir():
        pytest.skip("there is no /proc here")
    with pytest.raises(cf.DataError, match=rf"{place} cannot be written to \(.+\): make room, or give cache="):
        cf.open_parquet(folder, cache=tmp_path / place)


@pytest.mark.parametrize("part", ["interactions.json", "users.parquet", "values.npy", "."])
@pytest.mark.parametrize("put", ["a folder", "a file", "a link to nothing", "a pipe"])
def test_a_table_in_whose_place_lies_something_else_is_sorted_again(tmp_path, part, put):
    folder = write(frame(), tmp_path / "ratings")
    wanted = opened(folder)
    lies = next((tmp_path / "cache").glob("*/*/interactions.json")).parent / part
    shutil.rmtree(lies) if lies.is_dir() else lies.unlink(missing_ok=True)
    {
        "a folder": Path.mkdir,
        "a file": Path.touch,
        "a link to nothing": lambda path: path.symlink_to("gone"),
        "a pipe": os.mkfifo,
    }[put](lies)
    same_table(wanted, opened(folder))


def test_a_file_that_is_gone_again_is_named(tmp_path):
    folder = write(frame(), tmp_path / "ratings")
    (folder / "part-9.parquet").symlink_to(tmp_path / "gone")
    with pytest.raises(cf.DataError, match=r"part-9.parquet cannot be read \(No such file .*\): copy it again or move"):
        opened(folder)


def skewed(n, users, items, seed=0):
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "user": random.choice(users, n),
            "item": random.choice(items, n),
            "value": (random.normal(size=n) * 10.0 ** random.integers(-3, 4, n)).astype(np.float32),
            "time": random.integers(0, 9, n),
        }
    )


SKEWED = {
    "one pair that has everything": ([3], [5]),
    "one user with everything": ([3], range(200)),
    "one user with few items": ([3], [1, 2]),
    "one item that everybody has": (range(200), [5]),
    "one user with nearly everything": ([3] * 30 + [1, 2, 9], [5] * 20 + [*range(60)]),
}


@pytest.mark.parametrize("duplicates", ["last", "first", "sum", "mean"])
@pytest.mark.parametrize("name", SKEWED)
def test_one_key_may_have_everything(tmp_path, name, duplicates):
    folder = write(skewed(1000, *SKEWED[name]), tmp_path / "ratings")
    for number, columns in enumerate(({"time": "time"}, {"time": None}, {"time": None, "value": None})):
        same_table(
            cf.read_parquet(folder, duplicates=duplicates, **columns),
            cf.open_parquet(
                folder, memory="16MB", cache=tmp_path / f"cache {number}", duplicates=duplicates, **columns
            ),
        )


def test_no_more_of_one_key_than_the_limit_is_in_memory_at_once(tmp_path, monkeypatch):
    sizes = []
    whole = outofcore.distinct
    monkeypatch.setattr(
        outofcore, "distinct", lambda entries, *a: (sizes.append(len(entries.values)), whole(entries, *a))[1]
    )
    opened(write(skewed(3000, [3], [5]), tmp_path / "ratings"))
    assert 0 < max(sizes) <= 41  # those of a part, and what was kept of the parts before


def test_repeated_pairs_of_one_key_that_has_everything_are_refused(tmp_path):
    with pytest.raises(cf.DataError, match="user 3 and item 5 appear more than once: choose what to keep"):
        opened(write(skewed(1000, [3], [5]), tmp_path / "ratings"), duplicates="error")


KILLED_AT = {
    "while the ids are read": "outofcore.indexed",
    "while they are sorted": "outofcore.distinct",
    "before the manifest": "json.dumps",
}


def build_in_a_process(folder, at=None):
    """Start a process that opens a folder; it stops for good where it is told to, else it takes half a second more."""
    stop = f"""
        def stop(*_, **__):
            print("there", flush=True)
            time.sleep(60)
        module, name = {at!r}.split(".")
        if module == "json":
            build = outofcore.build
            outofcore.build = lambda *a: (build(*a), stop())
        else:
            setattr({{"outofcore": outofcore}}[module], name, stop)
    """
    code = f"""
        import sys, time, cofactor as cf
        from pathlib import Path
        from cofactor.data import outofcore, array_store
        array_store.BYTES_AN_ENTRY = {array_store.BYTES_AN_ENTRY}
        array_store.SHARE_OF_AN_ARRAY = {array_store.SHARE_OF_AN_ARRAY}
        kept = outofcore._Cached._write
        outofcore._Cached._write = lambda *a: (print("building", flush=True), time.sleep({0 if at else 0.5}), kept(*a))
        {textwrap.dedent(stop).replace(chr(10), chr(10) + " " * 8) if at else ""}
        folder = Path(sys.argv[1])
        table = cf.open_parquet(folder, memory="16MB", cache=folder.parent / "cache", notify=print)
        print(len(table), flush=True)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("at", KILLED_AT)
def test_a_killed_build_leaves_nothing_that_is_taken_for_whole(tmp_path, at):
    folder = write(frame(), tmp_path / "ratings")
    process = build_in_a_process(folder, KILLED_AT[at])
    for line in process.stdout:
        if line.strip() == "there":
            break
    else:
        pytest.fail(process.stderr.read())
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert builds(tmp_path / "cache") == []
    same_table(cf.read_parquet(folder), opened(folder))
    (home,) = (tmp_path / "cache").iterdir()
    assert sorted(path.name for path in home.iterdir()) == sorted(["lock", *builds(tmp_path / "cache")])


@pytest.mark.long
def test_a_kill_at_any_moment_is_survived(tmp_path):
    folder, random = write(frame(3000), tmp_path / "ratings"), np.random.default_rng(0)
    whole = cf.read_parquet(folder)
    for _ in range(20):
        process = build_in_a_process(folder)
        time.sleep(random.uniform(0.5, 3))
        process.kill()
        process.communicate()
        same_table(whole, opened(folder))
        os.utime(folder / "part-0.parquet")


def test_of_two_builders_at_once_one_builds_and_the_other_waits_for_it(tmp_path):
    folder = write(frame(), tmp_path / "ratings")
    outputs = [process.communicate(timeout=60)[0] for process in [build_in_a_process(folder) for _ in range(2)]]
    assert sum("building" in output for output in outputs) == 1
    assert all(re.search(r"^\d+$", output, re.MULTILINE) for output in outputs)
    assert len(builds(tmp_path / "cache")) == 1


def test_the_manifest_says_what_it_was_made_from(tmp_path):
    folder = write(frame(), tmp_path / "ratings")
    opened(folder)
    (manifest,) = (tmp_path / "cache").glob("*/*/interactions.json")
    made_from = json.loads(manifest.read_text())["made_from"]
    assert [Path(file).name for file, _, _ in made_from["files"]] == [f"part-{k}.parquet" for k in range(3)]
    assert made_from["columns"] == {"user": "user", "item": "item", "value": "value", "time": "time"}


def changed(column, value, row=70, dtype=None):
    """Return a frame with another value in one place."""
    table = frame()
    values = table[column].to_list()
    values[row] = value
    return table.with_columns(pl.Series(column, values, dtype=dtype or table[column].dtype))


@pytest.mark.parametrize(
    ("table", "options", "says"),
    [
        (changed("user", None), {}, r"part-0.parquet, row 70: the user id is missing; 1 bad row in all: fix them, or"),
        (changed("item", None, 104), {}, r"part-1.parquet, row 4: the item id is missing"),
        (changed("user", ""), {}, r"part-0.parquet, row 70: the user id is missing"),
        (changed("value", float("nan")), {}, r"part-0.parquet, row 70: the value nan is not a finite 32-bit number"),
        (changed("value", float("inf"), 299), {}, r"part-2.parquet, row 189: the value inf is not a finite"),
        (changed("value", 1e39), {}, r"part-0.parquet, row 70: the value 1e\+?39 is not a finite 32-bit number"),
        (changed("time", None), {"time": "time"}, r"part-0.parquet, row 70: the time is missing"),
        (frame(), {"user": "listener"}, r"part-0.parquet has no column 'listener': its columns are 'user', .*user=…"),
        (frame(), {"value": "stars"}, r"has no column 'stars'.*value=None where there is none"),
        (frame().with_columns(pl.col("item") / 2), {}, r"part-0.parquet: the item ids are of type Float64.*convert"),
        (frame().with_columns(pl.lit("x").alias("value")), {}, r"part-0.parquet, row 0: the value 'x' is not a finite"),
        (frame().clear(), {}, r"ratings has no rows: nothing to learn from"),
        (frame(), {"duplicates": "error"}, r"user 'u\d+' and item \d+ appear more than once: choose what to keep"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_with_its_file_and_a_remedy(tmp_path, table, options, says):
    cuts = (0,) if not len(table) else (100, 110)
    folder = write(table, tmp_path / "ratings", cuts)
    with pytest.raises(cf.CofactorError, match=says):
        opened(folder, **options)
    assert builds(tmp_path / "cache") == []


def test_a_single_file_without_rows_is_named_itself(tmp_path):
    frame().clear().write_parquet(tmp_path / "plays.parquet")
    with pytest.raises(cf.DataError, match=r"plays.parquet has no rows: nothing to learn from"):
        cf.open_parquet(tmp_path / "plays.parquet", cache=tmp_path / "cache")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"duplicates": "never"}, r"duplicates is 'never': it must be 'last' or 'first' or 'sum' or 'mean' or 'error'"),
        ({"on_bad_rows": "maybe"}, r"on_bad_rows is 'maybe': it must be 'error' or 'skip'"),
        ({"items": "films.csv"}, r"films.csv does not exist: check the path"),
    ],
)
def test_what_can_be_known_to_be_wrong_is_refused_before_the_work(tmp_path, options, says):
    told = []
    with pytest.raises(cf.CofactorError, match=says):
        opened(write(frame(), tmp_path / "ratings"), notify=told.append, **options)
    assert told == []
    assert not (tmp_path / "cache").exists()


def test_ids_of_two_types_are_refused_with_both_files(tmp_path):
    folder = write(frame(), tmp_path / "ratings")
    frame(20).with_columns(pl.col("item").cast(pl.String)).write_parquet(folder / "part-7.parquet")
    with pytest.raises(cf.DataError, match=r"part-7.parquet: the item ids are of type String, but of type Int64 in .*"):
        opened(folder)


def test_integers_that_no_64_bits_hold_together_are_refused(tmp_path):
    folder = write(frame(), tmp_path / "ratings")
    large = pl.Series("item", [2**63 + 1] * 20, dtype=pl.UInt64)
    frame(20).with_columns(large).write_parquet(folder / "part-7.parquet")
    assert 2**63 + 1 in opened(folder).items
    frame(20).with_columns(pl.lit(-1).alias("item")).write_parquet(folder / "part-8.parquet")
    with pytest.raises(cf.DataError, match=r"part-8.parquet: the item ids reach from below 0 to above .* to strings"):
        opened(folder)


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    folder = write(frame(), tmp_path / "ratings")
    (folder / "part-1.parquet").write_text("user,item\n1,2\n")
    with pytest.raises(cf.DataError, match=r"part-1.parquet cannot be read as Parquet .*: write it again or move it"):
        opened(folder)


def test_a_folder_without_parquet_is_told_so(tmp_path):
    with pytest.raises(cf.DataError, match=r"is a folder without \.parquet files"):
        cf.open_parquet(tmp_path)


def test_bad_rows_can_be_left_out(tmp_path, caplog):
    table = changed("value", None)
    folder = write(table, tmp_path / "ratings")
    left = opened(folder, on_bad_rows="skip", time="time")
    assert re.search(r"part-0.parquet, row 70: the value is missing; left out 1 bad row", caplog.text)
    same_table(cf.read_parquet(folder, on_bad_rows="skip", time="time"), left)


def test_a_written_folder_can_be_opened_with_a_limit(tmp_path, monkeypatch):
    monkeypatch.setenv("COFACTOR_DATA", str(tmp_path / "cache"))
    table = cf.read_parquet(write(frame(), tmp_path / "ratings"), time="time")
    again = cf.Interactions.open(table.write(tmp_path / "written"), memory="16MB")
    same_table(table, again)
    assert is_mapped(again.by_item.data)


def test_a_folder_that_cannot_be_searched_is_named(tmp_path, monkeypatch):
    def closed(self, _):
        yield self / "part-0.parquet"
        raise OSError(22, "Invalid argument", str(self / "strange"))

    monkeypatch.setattr(Path, "rglob", closed)
    with pytest.raises(cf.DataError, match=r"strange in .* cannot be searched \(Invalid argument\): give the folder"):
        cf.read_parquet(tmp_path)
