"""Synthetic sets on disk: what is generated in memory, whole or not there, the same bytes every time."""

import polars as pl
import pytest

import cofactor as cf
from cofactor.data import synthetic

NAME = "synthetic:3000x200x60000:5"


@pytest.fixture
def in_small_blocks(monkeypatch):
    monkeypatch.setattr(synthetic, "_BLOCK_RATINGS", 4000)


def test_the_files_hold_the_set_that_is_generated_in_memory(tmp_path, in_small_blocks):
    told = []
    folder = cf.write_synthetic(NAME, tmp_path / "set", progress=told.append)
    assert len(list(folder.iterdir())) > 2
    assert told == sorted(told)
    assert told[-1] == 60_000
    wanted = cf.load_dataset(NAME).to_frame().drop("title").rename({"timestamp": "time"})
    assert pl.read_parquet(sorted(folder.iterdir())).equals(wanted)


def test_the_same_name_gives_the_same_bytes_and_another_seed_others(tmp_path, in_small_blocks):
    names = NAME, NAME, NAME.replace(":5", ":6")
    one, again, other = (cf.write_synthetic(name, tmp_path / str(k)) for k, name in enumerate(names))
    contents = [[file.read_bytes() for file in sorted(folder.iterdir())] for folder in (one, again, other)]
    assert contents[0] == contents[1] != contents[2]


def test_what_stops_halfway_leaves_nothing(tmp_path, in_small_blocks):
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cf.write_synthetic(NAME, tmp_path / "set", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path):
    with pytest.raises(cf.DataError, match="exists already: remove it or name another folder"):
        cf.write_synthetic(NAME, tmp_path)
    with pytest.raises(cf.SettingError, match="make only 100 pairs"):
        cf.write_synthetic("synthetic:10x10x101", tmp_path / "set")
