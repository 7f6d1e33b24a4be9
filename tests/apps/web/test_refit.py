"""The next model: stored ratings join what the old one was trained on."""

import contextlib
import dataclasses
import shutil
import sqlite3

import numpy as np
import polars as pl
import pytest
from clisupport import run

import cofactor as cf
from cofactor.apps.web.ratings_table import RatingsTable
from cofactor.apps.web.refit import Stored, merged, refit, stored_in
from cofactor.apps.web.refits import _locked, refit_once
from cofactor.apps.web.scale import scale_of
from cofactor.apps.web.store import RatingsStore
from cofactor.apps.web.versions import KEPT, new_version, prune, switch, versions_of
from cofactor.errors import SettingError
from cofactor.solvers import ALS, ImplicitALS
from cofactor.solvers.retrain import solver_of


def table_of(*rows):
    table = RatingsTable()
    table.add(rows)
    return table


def values(data):
    frame = data.to_frame()
    return {(str(row["user"]), str(row["item"])): row["value"] for row in frame.iter_rows(named=True)}


def test_nothing_new_gives_the_same_model(models, sqlite_url):
    for name in ("rating", "ranking", "stars"):
        model = cf.load(models[name])
        again = refit(model, stored_in(RatingsStore(sqlite_url)))
        assert np.array_equal(again.item_vectors, model.item_vectors)
        assert np.array_equal(again.user_vectors, model.user_vectors)
        assert again.metadata.titles.equals(model.metadata.titles)
        assert again.origin.settings == model.origin.settings


def test_new_ratings_join_changed_ones_change_and_those_gone_go(models):
    model = cf.load(models["rating"])
    old = values(merged(model, table_of()))
    (user, first), (_, second) = [pair for pair in old if pair[0] == "u3"][:2]
    rows = [("u3", first, 1.0), ("u3", second, None), ("ann", "i1", 5.0), ("ann", "gone", 2.0), ("u4", "i0", None)]
    new = merged(model, table_of(*rows))
    expected = {**old, ("u3", first): 1.0, ("ann", "i1"): 5.0}
    del expected[user, second]
    expected.pop(("u4", "i0"), None)
    assert values(new) == expected
    assert new.users.ids.to_list() == [*model.users.ids.to_list(), "ann"]


def test_the_last_word_counts(models):
    model = cf.load(models["rating"])
    rows = [("ann", "i1", 5.0), ("ann", "i1", None), ("bob", "i1", None), ("bob", "i1", 2.0)]
    assert {
        pair: value for pair, value in values(merged(model, table_of(*rows))).items() if pair[0] in ("ann", "bob")
    } == {("bob", "i1"): 2.0}


def test_in_a_model_of_likes_a_low_rating_is_seen_but_no_like(models):
    model = cf.load(models["ranking"])
    old = values(merged(model, table_of()))
    liked = next(iter(old))
    new = values(merged(model, table_of((*liked, 2.0), ("ann", "i1", 4.0), ("ann", "i2", 3.0))))
    assert new == {**old, liked: 0.0, ("ann", "i1"): 1.0, ("ann", "i2"): 0.0}


@pytest.mark.parametrize("kind", ["ranking", "stars"])
def test_after_a_refit_a_disliked_item_is_not_recommended(models, sqlite_url, tmp_path, kind):
    model = cf.load(models[kind])
    trained = next(item for user, item in values(merged(model, table_of())) if user == "u3")
    disliked = [trained, model.recommend(["u3"], 1)["item"][0]]
    RatingsStore(sqlite_url).write("u3", dict.fromkeys(disliked, 1.0))
    new = refit(model, stored_in(RatingsStore(sqlite_url)))
    new.save(tmp_path / "new.safetensors")
    everything = {"u3": new.recommend(["u3"], 500)["item"].to_list()}
    run("recommend", tmp_path / "new.safetensors", "--all", "-n", "500", "-o", tmp_path / "lists.parquet")
    whole = pl.read_parquet(tmp_path / "lists.parquet").filter(pl.col("user") == "u3")
    for listed in (everything["u3"], whole["item"].to_list()):
        assert listed
        assert not {*disliked} & {*listed}
    again = refit(new, stored_in(RatingsStore(sqlite_url)))
    assert not {*disliked} & {*again.recommend(["u3"], 500)["item"].to_list()}


def test_a_disliked_item_is_in_no_other_list_either_and_comes_back_with_the_dislike(models, sqlite_url):
    model, store = cf.load(models["ranking"]), RatingsStore(sqlite_url)
    disliked = model.recommend(["u5"], 1)["item"][0]
    store.write("u5", {disliked: 1.0})
    store.write("ann", {"i1": 5.0, "i2": 1.0})  # who is new
    new = refit(model, stored_in(store))
    assert disliked not in new.recommend_group(["u5", "ann"], 500)["item"].to_list()
    assert disliked not in new.recommend(["u5"], 500, candidates=[disliked, "i1", "i2"])["item"].to_list()
    assert not {"i1", "i2"} & {*new.recommend(["ann"], 500)["item"].to_list()}
    store.write("u5", {disliked: None})  # takes it back
    assert disliked in refit(new, stored_in(store)).recommend(["u5"], 500)["item"].to_list()


def test_integer_ids_stay_integers_unless_a_name_is_none():
    data = cf.load_dataset("synthetic:30x20x300")
    model = ALS(rank=2, epochs=1).fit(data)
    old = values(merged(model, table_of()))
    gone = next(iter(old))
    more = merged(model, table_of(("7", "3", 5.0), ("100", "3", 4.0), (*gone, None)))
    assert more.users.holds_integers
    assert 100 in more.users
    assert values(more)["100", "3"] == 4.0
    assert gone not in values(more)
    named = merged(model, table_of(("ann", "3", 4.0), ("7", "3", 5.0)))
    assert not named.users.holds_integers
    assert values(named) == {**old, ("ann", "3"): 4.0, ("7", "3"): 5.0}


def test_a_model_that_does_not_say_how_it_was_made_is_refused():
    model = cf.Factors.from_arrays(np.eye(2), np.eye(2))
    with pytest.raises(SettingError, match="cofactor fit"):
        solver_of(model)


def test_the_solver_is_the_one_of_the_file(models):
    assert solver_of(cf.load(models["rating"])) == ALS(rank=3, epochs=5)


def test_refit_in_a_process_of_its_own(models, sqlite_url, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(models["ranking"].read_bytes())
    store = RatingsStore(sqlite_url)
    store.write("ann", {"i1": 5.0, "i2": 4.0})
    assert refit_once(path, sqlite_url, "ann of the shop") == "served"
    new = cf.load(path)
    assert "ann" in new.users
    assert new.origin.asked_by == "ann of the shop"
    assert path.is_symlink()
    assert len(versions_of(path)) == 2
    path.write_bytes(b"garbage")
    assert refit_once(path, sqlite_url) == "failed"
    assert path.read_bytes() == b"garbage"


def test_the_command_says_what_to_look_at_where_the_store_is_away(models, tmp_path):
    nobody = "postgresql+psycopg://somebody:secret@127.0.0.1:1/ratings"
    said = run("refit", models["rating"], "--ratings", nobody, "-o", tmp_path / "new", code=1).stderr
    assert "error: the ratings cannot be read: check --ratings, and that its database runs" in said
    assert "secret" not in said


def test_the_command_refuses_a_folder_in_place_of_a_store(models, tmp_path):
    said = run("refit", models["rating"], "--ratings", f"sqlite:///{tmp_path}", "-o", tmp_path / "new", code=2).stderr
    assert f"--ratings names {tmp_path}, which is not an ordinary file" in said


def test_stored_ratings_are_read_in_pages(models, store, store_url, monkeypatch):
    monkeypatch.setattr("cofactor.apps.web.store.PAGE", 10)
    for k in range(60):
        RatingsStore(store_url).write(f"new {k}", {"i1": 5.0, "i2": 4.0})
    sizes, whole = [], RatingsStore.pages

    def pages(one, revision):
        for page in whole(one, revision):
            sizes.append(len(page.rows))
            yield page

    monkeypatch.setattr(RatingsStore, "pages", pages)
    model = cf.load(models["rating"])
    new = refit(model, stored_in(store))
    assert max(sizes) <= 10
    assert new.seen.nnz == model.seen.nnz + 120


@pytest.mark.parametrize("data", [(), ("synthetic:60x40x900",)])
def test_a_store_that_is_not_there_is_refused_and_not_made(models, tmp_path, data):
    missing = tmp_path / "typo" / "ratings.db"
    told = run("refit", models["ranking"], *data, "--ratings", f"sqlite:///{missing}", "-o", tmp_path / "n", code=2)
    assert "no ratings are stored" in told.stderr
    assert str(missing) in told.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_is_refused_and_left_empty(models, tmp_path, postgres):
    url = postgres.new_database()
    told = run("refit", models["ranking"], "--ratings", url, "-o", tmp_path / "n", code=2)
    assert "no ratings are stored" in told.stderr
    assert "secret" not in told.stderr
    assert RatingsStore(url).version() is None


def test_a_database_of_something_else_is_refused(models, tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as other, other:
        other.execute("create table films (id)")
    told = run("refit", models["ranking"], "--ratings", f"sqlite:///{tmp_path}/other.db", "-o", tmp_path / "n", code=2)
    assert "no ratings are stored" in told.stderr


def test_without_a_store_beside_it_a_model_is_refitted_to_its_data_and_says_so(models, tmp_path):
    model = shutil.copy(models["ranking"], tmp_path / "m.safetensors")
    told = run("refit", model, "-o", tmp_path / "new.safetensors").stdout
    assert "of 0 stored ratings" in told
    assert {file.name for file in tmp_path.iterdir()} == {"m.safetensors", "new.safetensors"}
    RatingsStore(f"sqlite:///{tmp_path}/m.ratings.db").write("ann", {"i1": 5.0, "i2": 4.0})
    assert "of 2 stored ratings" in run("refit", model, "-o", tmp_path / "new.safetensors").stdout


@pytest.mark.parametrize("kind", ["rating", "ranking", "stars"])
@pytest.mark.parametrize("value", [10.0, 0.0, -3.0, 5.5])
def test_a_rating_off_the_scale_is_left_out_and_does_not_change_the_scale(models, caplog, kind, value):
    model = cf.load(models[kind])
    pair = next(iter(values(merged(model, table_of()))))
    found = merged(model, table_of(("ann", "i1", value), ("bob", "i1", 5.0), (*pair, value)))
    assert values(found) == {**values(merged(model, table_of())), ("bob", "i1"): 1.0 if kind == "ranking" else 5.0}
    assert "2 stored ratings are off the model's scale, 1 to 5" in caplog.text
    again = refit(model, Stored(table_of(("ann", "i1", value), ("bob", "i1", 5.0))))
    assert (scale_of(again).low, scale_of(again).high) == (1.0, 5.0)


def spoilt(path, source):
    """Save a good model whose next training will be bad; return its store, with ratings that it does not have."""
    data = dataclasses.replace(cf.load_dataset("synthetic:200x80x4000"), timestamps=None)
    old, news = data.split_random(test_fraction=0.1)
    model = ImplicitALS(rank=4, seed=0).fit(old.binary())
    settings = {**model.origin.settings, "unobserved_weight": 1e-6, "regularization": 1e-4}
    origin = dataclasses.replace(model.origin, settings=settings)
    dataclasses.replace(model, origin=origin).save(path)
    for row in news.to_frame().iter_rows(named=True):
        source.setdefault(str(row["user"]), {})[str(row["item"])] = 5.0
    store = RatingsStore(f"sqlite:///{path.parent}/ratings.db")
    for user, ratings in source.items():
        store.write(user, ratings)
    return f"sqlite:///{path.parent}/ratings.db"


def test_a_model_that_is_worse_on_the_newest_ratings_is_not_switched_to_unless_told_so(tmp_path):
    path = tmp_path / "m.safetensors"
    url = spoilt(path, {})
    before = path.read_bytes()
    told = run("refit", path, "-o", tmp_path / "n.safetensors", "--ratings", url, "--if-better", code=1).stderr
    assert "significantly worse on the newest ratings" in told
    assert "ndcg@10 -0." in told
    assert not (tmp_path / "n.safetensors").exists()
    assert refit_once(path, url, "ann") == "worse"
    assert path.read_bytes() == before
    (kept,) = [file for file in versions_of(path) if file != path]
    assert cf.load(kept).origin.trial.worse
    assert refit_once(path, url, "ann", even_if_worse=True) == "served"
    assert cf.load(path).origin.trial.worse
    assert cf.load(path).origin.settings["regularization"] == 1e-4
    remedy = run("refit", path, "-o", tmp_path / "n.safetensors", "--ratings", url).stdout  # as the error says
    assert "saved to" in remedy


def test_versions_are_kept_switched_and_pruned(models, tmp_path):
    path = tmp_path / "served [1].safetensors"
    shutil.copy(models["ranking"], path)
    shutil.copy(models["other"], tmp_path / "served [1]-by hand.safetensors")
    shutil.copy(models["other"], tmp_path / "served 1-other.safetensors")
    for day in range(1, 13):
        version = new_version(path, 86_400.0 * day)
        shutil.copy(models["other"], version)
    oldest = tmp_path / "served [1]-19700102-000000.safetensors"
    switch(path, oldest)
    assert path.resolve() == oldest
    assert cf.load(path).digest == cf.load(models["other"]).digest
    first = next(file for file in versions_of(path) if file.read_bytes() == models["ranking"].read_bytes())
    prune(path)
    left = versions_of(path)
    assert len(left) == KEPT + 2  # and the one by hand, and the one that is served
    assert oldest in left
    switch(path, first)
    assert cf.load(path).digest == cf.load(models["ranking"]).digest
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_one_refit_runs_at_a_time(models, tmp_path, sqlite_url):
    path = shutil.copy(models["ranking"], tmp_path / "m.safetensors")
    with _locked(path) as lock:
        assert lock is not None
        assert refit_once(path, sqlite_url) == "busy"
    assert len(versions_of(path)) == 1
