"""Lists for everyone: the same file whether a run was interrupted, killed or neither, in bounded memory."""

import json
import logging
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import polars as pl
import pytest
from filelock import FileLock
from processes import python
from scipy import sparse

import cofactor as cf
from cofactor.errors import SettingError
from cofactor.lists import everyone
from cofactor.model.factors import evolved


@pytest.fixture
def model():
    random = np.random.default_rng(0)
    seen = sparse.csr_array((random.random((300, 50)) < 0.3).astype(np.float32))
    return cf.Factors.from_arrays(
        random.normal(size=(300, 4)), random.normal(size=(50, 4)), items=[f"i{k}" for k in range(50)], seen=seen
    )


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch):
    monkeypatch.setattr(everyone, "USERS_AT_ONCE", 40)


class Stop(Exception):
    pass


def stopping_after(users):
    def stop(done):
        if done >= users:
            raise Stop

    return stop


def interrupted(model, path, stop, **settings):
    with pytest.raises(Stop):
        model.recommend_all(path, n=5, progress=stopping_after(stop), **settings)


def parts(path):
    return sorted(part.name for part in everyone.parts_folder(path).glob("part-*"))


def counting_ranges(monkeypatch):
    """Return the list that will hold the first user row of every range that is worked out."""
    worked_out, original = [], everyone.answer

    def counted(catalog, retriever, users, ids, *arguments):
        worked_out.extend(catalog.user_ids.find(ids[:1]).tolist())
        return original(catalog, retriever, users, ids, *arguments)

    monkeypatch.setattr(everyone, "answer", counted)
    return worked_out


def test_an_interrupted_run_goes_on_where_it_stopped_and_ends_in_the_same_bytes(model, tmp_path, monkeypatch):
    whole = model.recommend_all(tmp_path / "whole.parquet", n=5)
    path = tmp_path / "lists.parquet"
    interrupted(model, path, 120)
    assert not path.exists()
    assert len(parts(path)) == 3
    worked_out, done = counting_ranges(monkeypatch), []
    model.recommend_all(path, n=5, progress=done.append)
    assert worked_out == [120, 160, 200, 240, 280]
    assert done == [40, 80, 120, 160, 200, 240, 280, 300]
    assert path.read_bytes() == whole.read_bytes()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["lists.parquet", "whole.parquet"]


def test_the_file_says_which_model_it_is_from_and_what_was_asked(model, tmp_path):
    path = model.recommend_all(tmp_path / "lists.parquet", n=5)
    card = json.loads(pl.read_parquet_metadata(path)["cofactor"])
    assert {name: card[name] for name in ("model", "n", "exclude_seen", "recall")} == {
        "model": model.digest, "n": 5, "exclude_seen": True, "recall": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize("settings", [{"exclude": ["i3"]}, {"candidates": ["i1", "i2"]}, {"exclude_seen": False}])
def test_parts_of_another_question_are_made_anew(model, tmp_path, caplog, settings):
    path = tmp_path / "lists.parquet"
    interrupted(model, path, 120)
    with caplog.at_level(logging.WARNING):
        model.recommend_all(path, n=5, **settings)
    assert "made anew" in caplog.text
    assert pl.read_parquet(path).equals(model.recommend(model.users, n=5, **settings))


def test_parts_of_another_model_are_made_anew(model, tmp_path):
    path = tmp_path / "lists.parquet"
    interrupted(model, path, 120)
    other = evolved(model, user_vectors=-model.user_vectors)
    other.recommend_all(path, n=5)
    assert pl.read_parquet(path).equals(other.recommend(other.users, n=5))


def test_a_model_read_from_its_file_goes_on_where_the_one_in_memory_stopped(model, tmp_path, monkeypatch):
    path = tmp_path / "lists.parquet"
    interrupted(model, path, 280)
    worked_out = counting_ranges(monkeypatch)
    cf.load(model.save(tmp_path / "model.safetensors")).recommend_all(path, n=5)
    assert worked_out == [280]


def test_shares_of_the_users_are_the_rows_of_the_whole(model, tmp_path):
    whole = pl.read_parquet(model.recommend_all(tmp_path / "whole.parquet", n=5))
    shares = [model.recommend_all(tmp_path / f"{k}.parquet", n=5, users=model.users.ids[k : k + 100]) for k in (0, 100)]
    shares.append(model.recommend_all(tmp_path / "rest.parquet", n=5, users=range(200, 300)))
    assert pl.concat([pl.read_parquet(share) for share in shares]).equals(whole)
    nobody = pl.read_parquet(model.recommend_all(tmp_path / "nobody.parquet", n=5, users=[]))
    assert nobody.schema == whole.schema
    assert nobody.is_empty()


def test_other_users_are_another_question(model, tmp_path):
    path = tmp_path / "lists.parquet"
    interrupted(model, path, 80, users=range(100))
    model.recommend_all(path, n=5, users=range(100, 200))
    assert pl.read_parquet(path)["user"].unique().sort().to_list() == list(range(100, 200))


def test_a_folder_of_somebody_elses_files_is_left_alone(model, tmp_path):
    path = tmp_path / "lists.parquet"
    everyone.parts_folder(path).mkdir()
    diary = everyone.parts_folder(path) / "diary.txt"
    diary.write_text("mine")
    with pytest.raises(cf.SettingError, match=r"diary\.txt"):
        model.recommend_all(path)
    assert diary.read_text() == "mine"


def test_two_writers_of_one_file_do_not_meet(model, tmp_path):
    path = tmp_path / "lists.parquet"
    everyone.parts_folder(path).mkdir()
    with (
        FileLock(everyone.parts_folder(path) / "lock"),
        pytest.raises(cf.SettingError, match="another process is writing"),
    ):
        model.recommend_all(path)
    assert len(pl.read_parquet(model.recommend_all(path, n=1))) == 300


def test_a_folder_in_the_files_place_is_said_before_the_work(model, tmp_path):
    with pytest.raises(cf.SettingError, match="is a folder"):
        model.recommend_all(tmp_path)


def test_ranges_are_smaller_where_lists_or_vectors_are_longer():
    assert everyone._users_at_once(10, 10**6, 64) == 40
    assert everyone._users_at_once(everyone.ROWS_AT_ONCE // 2, 10**6, 64) == 2
    assert everyone._users_at_once(10**9, 10**9, 64) == 1
    assert everyone._users_at_once(10**9, 20, 64) == 40
    assert everyone._users_at_once(10, 10**6, everyone.NUMBERS_AT_ONCE // 3) == 3


SLOW = """
    import sys, time, cofactor as cf
    from cofactor.lists import everyone
    everyone.USERS_AT_ONCE = 40
    model = cf.load(sys.argv[1])
    model.recommend_all(sys.argv[2], n=5, progress=lambda done: (print(done, flush=True), time.sleep(0.1)))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no kill -9")
def test_a_killed_run_leaves_its_parts_and_the_next_one_ends_in_the_same_bytes(model, tmp_path, monkeypatch):
    saved = model.save(tmp_path / "model.safetensors")
    whole = model.recommend_all(tmp_path / "whole.parquet", n=5).read_bytes()
    path = tmp_path / "lists.parquet"
    command = [sys.executable, "-c", textwrap.dedent(SLOW), str(saved), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        while int(run.stdout.readline()) < 160:
            pass
        run.send_signal(signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL
    kept = parts(path)
    assert not path.exists()
    assert kept[:4] == [f"part-{first:012}.parquet" for first in (0, 40, 80, 120)]
    (everyone.parts_folder(path) / ".part-000000000160.parquet.1-a.part").write_text("half")  # as a kill may leave
    worked_out = counting_ranges(monkeypatch)
    model.recommend_all(path, n=5)
    assert len(worked_out) == 8 - len(kept)
    assert path.read_bytes() == whole
    assert not everyone.parts_folder(path).exists()


PEAK = """
    import resource, sys, tempfile, numpy as np, cofactor as cf
    from pathlib import Path
    from cofactor.lists import everyone
    from cofactor.model.factors import exact_of
    users, items, n = map(int, sys.argv[1:4])
    random = np.random.default_rng(0)
    model = cf.Factors.from_arrays(
        random.normal(size=(users, 8)), random.normal(size=(items, 8)),
        users=[f"user {k}" for k in range(users)], items=[f"item {k}" for k in range(items)])
    _ = exact_of(model).index
    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        model.recommend_all(Path(folder) / "one.parquet", n, users=["user 0"])  # loads kernels, polars's threads
        before = peak()
        model.recommend_all(Path(folder) / "lists.parquet", n)
    print((peak() - before) * 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss has other units elsewhere")
@pytest.mark.parametrize(("users", "items", "n"), [(60_000, 2_000, 20), (1_000, 20_000, 2_000)])
def test_everyones_lists_stay_within_the_budget(users, items, n):
    """The second case fills a range with as many rows as it may have, and multiplies, since its lists are long."""
    assert int(python(PEAK, users, items, n)) < everyone.BUDGET


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_the_name_of_the_file_says_its_format(tmp_path, ending):
    model = cf.Factors.from_arrays(
        np.random.default_rng(0).normal(size=(50, 4)), np.random.default_rng(1).normal(size=(30, 4))
    )
    written = model.recommend_all(tmp_path / f"lists{ending}", n=3)
    read = {".csv": pl.read_csv, ".jsonl": pl.read_ndjson, ".parquet": pl.read_parquet}[ending]
    lists, wanted = read(written), model.recommend(range(50), n=3)
    assert lists.columns == wanted.columns
    assert lists["item"].to_list() == wanted["item"].to_list()
    assert np.allclose(lists["score"], wanted["score"])
    assert [path.name for path in tmp_path.iterdir()] == [written.name]


@pytest.mark.parametrize("name", ["lists", "lists.txt", "lists.csv.gz"])
def test_a_name_that_says_no_format_is_refused(tmp_path, name):
    model = cf.Factors.from_arrays(np.eye(2), np.eye(2))
    with pytest.raises(SettingError, match=r"let its name end in \.parquet, \.csv or \.jsonl"):
        model.recommend_all(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
