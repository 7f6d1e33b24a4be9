"""Model folders, written here by hand as the module says they are; tests/spark has those that a cluster writes."""

import dataclasses
import json

import numpy as np
import polars as pl
import pytest

import cofactor as cf
from cofactor.data import memory_limit
from cofactor.data.preparation import AsGiven
from cofactor.model.folder import CARD, FOLDER_FORMAT, KIND, open_folder
from cofactor.model.objectives.squared import SquaredError
from cofactor.model.origin import Origin


@pytest.fixture
def folder(tmp_path):
    card = {
        "kind": KIND, "format": FOLDER_FORMAT, "rank": 2, "mean": 0.5, "user_bias": False, "item_bias": True,
        "objective": SquaredError(goal="ranking").to_dict(), "origin": dataclasses.asdict(Origin(solver="none")),
        "preparation": AsGiven().to_dict(),
        "n_users": 2, "n_items": 3, "n_seen": 2,
    }  # fmt: skip
    users = pl.DataFrame({"id": ["ann", "bob"], "row": [0, 1], "vector": [[1.0, 0.0], [0.0, 1.0]]})
    items = pl.DataFrame({"id": [7, 8, 9], "row": [0, 1, 2], "vector": [[3.0, 1.0], [2.0, 2.0], [1.0, 3.0]]})
    parts = {
        "users": users,
        "items": items.with_columns(pl.Series("bias", [0.0, 0.0, 1.0])),
        "seen": pl.DataFrame({"user_row": [0, 1], "item_row": [0, 2], "value": [1.0, 1.0]}),
    }
    for name, table in parts.items():
        (tmp_path / name).mkdir()
        table.write_parquet(tmp_path / name / "part-0.parquet")
    (tmp_path / CARD).write_text(json.dumps(card))
    return tmp_path


def test_a_few_users_get_what_the_whole_model_gives_them(folder):
    whole, opened = cf.load(folder), open_folder(folder)
    assert (opened.rank, opened.n_users, opened.n_items) == (2, 2, 3)
    assert opened.recommend(["bob"], n=3).equals(whole.recommend(["bob"], n=3))
    assert whole.recommend(["bob"], n=3)["item"].to_list() == [8, 7]
    assert np.array_equal(opened.score(["ann"], [9]), whole.score(["ann"], [9]))
    with pytest.raises(cf.UnknownIdError, match="unknown user 'eve'"):
        opened.recommend(["eve"])


@pytest.mark.parametrize("part", ["users", "items", "seen"])
def test_a_broken_part_is_one_clear_error(folder, part):
    (folder / part / "part-0.parquet").write_bytes(b"PAR1 and no more")
    for read in (cf.load, lambda path: open_folder(path).recommend(["ann"])):
        with pytest.raises(cf.ModelFileError, match="is not a sound model folder"):
            read(folder)


def test_a_missing_part_is_named(folder):
    (folder / "users" / "part-0.parquet").unlink()
    with pytest.raises(cf.ModelFileError, match="has no users in it: copy it whole or train it again"):
        open_folder(folder).recommend(["ann"])


@pytest.mark.parametrize(
    ("of_container", "available"),
    [
        ({}, 4_096_000),
        ({"memory.max": "max", "memory.current": "7000", "memory.stat": "inactive_file 0"}, 4_096_000),
        ({"memory.max": "9000", "memory.current": "7000", "memory.stat": "anon 5\ninactive_file 500\n"}, 2500),
        ({"memory.max": "9000", "memory.current": "9900", "memory.stat": "anon 9900\n"}, 0),
        (
            {
                "memory/memory.limit_in_bytes": "9000",
                "memory/memory.usage_in_bytes": "7000",
                "memory/memory.stat": "total_inactive_file 100\n",
            },
            2100,
        ),
    ],
)
def test_the_memory_that_may_be_used_is_that_of_the_container(of_container, available, tmp_path, monkeypatch):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:  8000 kB\nMemAvailable:  4000 kB\nHugePages_Total:  0\n")
    for name, text in of_container.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    places = [
        tuple(tmp_path / place.relative_to("/sys/fs/cgroup") for place in four[:3]) for four in memory_limit._CONTAINER
    ]
    reclaimable = [four[3] for four in memory_limit._CONTAINER]
    monkeypatch.setattr(memory_limit, "_MEMORY", meminfo)
    monkeypatch.setattr(memory_limit, "_CONTAINER", [(*p, name) for p, name in zip(places, reclaimable, strict=True)])
    assert memory_limit.available_memory() == available
