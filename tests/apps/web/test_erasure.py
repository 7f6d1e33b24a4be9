"""Whoever is erased is nowhere any more: not in the store, the model, the log, another worker or a later refit."""

import multiprocessing
import shutil
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest
from clisupport import as_json, run
from websupport import erase_one

import cofactor as cf
from cofactor.apps.web import sqlite
from cofactor.apps.web.erasures import Erasures, digest_of
from cofactor.apps.web.ratings_table import RatingsTable
from cofactor.apps.web.refit import refit, save_without_erased, stored_in
from cofactor.apps.web.served_model import ModelHolder
from cofactor.apps.web.store import RatingsStore
from cofactor.apps.web.versions import new_version
from cofactor.model.origin import Origin
from cofactor.solvers.retrain import trained_on

GONE = "zq-erased-ann"


def holds(folder, text):
    """Return the files in a folder that have a text in them."""
    return [file for file in Path(folder).rglob("*") if file.is_file() and text.encode() in file.read_bytes()]


@pytest.fixture
def served(models, tmp_path):
    """A model that has the one who is to be erased, alone in a folder."""
    folder = tmp_path / "model"
    folder.mkdir()
    model = cf.load(models["stars"]).fold_in({GONE: {"i1": 5.0, "i2": 1.0}})
    return model.save(folder / "served.safetensors")


@pytest.fixture(params=["WAL", "DELETE"])
def journal(request, monkeypatch):
    monkeypatch.setattr(sqlite, "journal_mode", lambda _: request.param)
    return request.param


def test_no_byte_of_the_erased_is_left_in_a_sqlite_store(journal, sqlite_url, tmp_path):
    store, other = RatingsStore(sqlite_url), RatingsStore(sqlite_url)
    for k in range(60):
        store.write(f"user-{k:02d}", {f"i{n}": float(n % 5) for n in range(30)})
        store.write(GONE, {f"i{k}": 5.0, f"i{k - 1}": None})
        other.since(-1)
        other.peek()
    assert holds(tmp_path, GONE)
    assert store.erase(GONE) == 61
    assert holds(tmp_path, GONE) == []
    assert not [row for row in store.since(-1).rows if row[0] == GONE]
    assert len(store.since(-1).rows) == 60 * 30
    assert store.erase(GONE) == 0
    store.close()
    other.close()


def test_a_reader_in_the_way_is_waited_for(sqlite_url, tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite, "journal_mode", lambda _: "WAL")
    store = RatingsStore(sqlite_url)
    store.write(GONE, {"tea": 5.0})
    reader = sqlite3.connect(tmp_path / "ratings.db", isolation_level=None, check_same_thread=False)
    reader.execute("begin")
    reader.execute("select count(*) from cofactor_ratings").fetchone()
    ending = threading.Timer(0.5, lambda: reader.execute("commit"))
    ending.start()
    store.erase(GONE)
    ending.join()
    assert holds(tmp_path, GONE) == []
    reader.close()
    store.close()


def test_a_store_of_the_version_before_is_cleaned_when_it_is_opened(sqlite_url, tmp_path):
    store = RatingsStore(sqlite_url)
    store.write("bob", {"tea": 1.0})
    store.close()
    with sqlite3.connect(tmp_path / "ratings.db") as old:
        old.execute("pragma secure_delete = off")  # as it usually is
        old.execute("drop table cofactor_erasures")
        for newer in ("cofactor_items", "cofactor_rules", "cofactor_lists", "cofactor_events"):
            old.execute(f"drop table {newer}")
        old.execute("update cofactor_version set version_num = '0001'")
        old.execute("insert into cofactor_ratings values (?, 'tea', 5.0, 1, 2)", (GONE,))
        old.commit()
        old.execute("delete from cofactor_ratings where user_id = ?", (GONE,))
    old.close()
    assert holds(tmp_path, GONE), "an old store leaves what it deletes in its file"
    store = RatingsStore(sqlite_url)
    assert store.since(-1).rows == [("bob", "tea", 1.0)]
    assert holds(tmp_path, GONE) == []
    store.close()


def test_the_erased_are_told_to_who_reads_on_and_can_begin_anew(store):
    store.write(GONE, {"tea": 5.0, "rye": None})
    store.write("bob", {"tea": 1.0})
    first = store.since(-1)
    assert store.knows(GONE)
    assert store.erase(GONE) == 2
    assert not store.knows(GONE)
    store.write(GONE, {"oat": 3.0})
    news = store.since(first.revision)
    assert [tuple(row) for row in news.rows] == [(GONE, "oat", 3.0)]
    assert [tuple(one) for one in news.erased] == [(digest_of(GONE, first.born), first.revision + 1)]
    table = RatingsTable()
    table.put(first.rows)
    table.forget([GONE])
    table.put(news.rows)
    assert dict(table.of(GONE)) == {"oat": 3.0}
    assert dict(table.of("bob")) == {"tea": 1.0}


@pytest.mark.parametrize("layer", ["sorted", "recent", "pending", "merging"])
def test_a_table_forgets_whatever_it_has_done_with_the_ratings(layer):
    table, ratings = RatingsTable(), [(user, item, 3.0) for user in ("ann", GONE, "bob") for item in ("tea", "rye")]
    if layer in ("sorted", "pending"):
        table.add(ratings)
        if layer == "sorted":
            table.merge()
    else:
        table.put(ratings)
        if layer == "merging":
            table.freeze()
    assert GONE in table.known_users()
    table.forget([GONE, "nobody"])
    table.merge()
    assert GONE not in table.known_users()
    assert not table.of(GONE)
    for user in ("ann", "bob"):
        assert dict(table.of(user)) == {"tea": 3.0, "rye": 3.0}
    assert len(table.columns().items) == 4


def test_a_model_that_learnt_later_may_have_who_came_back():
    erased = Erasures.of("shop", 9, [(digest_of("ann", "shop"), 7)])
    origins = {
        "never refitted": Origin(), "refitted before": Origin(store=("shop", 6)),
        "refitted since": Origin(store=("shop", 7)), "of another store": Origin(store=("other", 99)),
    }  # fmt: skip
    assert [name for name, origin in origins.items() if erased.hold("ann", origin)] == [
        "never refitted", "refitted before", "of another store",
    ]  # fmt: skip
    model = cf.Factors.from_arrays(np.eye(2), np.eye(2), users=["ann", "bob"])
    assert erased.taken_out_of(model).users.ids.to_list() == ["bob"]
    assert Erasures().taken_out_of(model) is model


def test_the_service_erases_in_every_worker(serve, served, tmp_path):
    service = serve(served, "--workers", "2")
    assert service.put(GONE, "i3", 5)[0] == 200
    assert service.ask("DELETE", f"/v1/users/{GONE}/ratings/i1")[0] == 200
    assert len(service.ratings(GONE)) == 2
    assert service.put("bob", "i3", 4)[0] == 200
    status, told = service.ask("DELETE", f"/v1/users/{GONE}")
    assert (status, told) == (200, {"user": GONE, "ratings": 2, "in_model_file": False})

    def is_nowhere():
        for _ in range(12):  # whichever worker answers
            assert service.ratings(GONE) == {}
            assert service.ask("GET", f"/v1/users/{GONE}/recommendations")[1]["popular"] is True
        assert service.ratings("bob") == {"i3": 4.0}

    is_nowhere()
    assert holds(tmp_path, GONE) == []
    assert GONE not in cf.load(served).users
    assert service.put(GONE, "i5", 5)[0] == 200  # somebody new under the old name
    assert {len(service.ratings(GONE)) for _ in range(12)} == {1}


def test_who_was_erased_does_not_come_back_with_an_older_model_a_restart_or_a_refit(make_client, served, tmp_path):
    older = shutil.copy(served, tmp_path / "older.safetensors")
    client = make_client(served)
    assert client.delete(f"/v1/users/{GONE}").json() == {"user": GONE, "ratings": 0, "in_model_file": False}
    shutil.copy(older, served)
    assert client.post("/v1/admin/reload").status_code == 200
    assert client.get(f"/v1/users/{GONE}/ratings").json()["ratings"] == []
    assert client.app.service.models.current.model.users.row(GONE) == -1
    started_again = make_client(older)
    assert started_again.app.service.models.current.model.users.row(GONE) >= 0
    assert started_again.get(f"/v1/users/{GONE}/ratings").json()["ratings"] == []
    assert started_again.get(f"/v1/users/{GONE}/recommendations").json()["popular"] is True
    store = RatingsStore(f"sqlite:///{tmp_path}/ratings.db")
    for data in (None, trained_on(cf.load(older))):
        again = refit(cf.load(older), stored_in(store), data)
        assert GONE not in again.users
    store.write(GONE, {"i4": 5.0})
    anew = refit(again, stored_in(store))
    assert anew.seen[[anew.users.row(GONE)]].nnz == 1
    assert stored_in(store).erasures.taken_out_of(anew) is anew


def test_where_the_file_cannot_be_written_it_says_so_and_the_person_is_gone_all_the_same(
    make_client, served, tmp_path, monkeypatch
):
    client = make_client(served)

    def refused(*_):
        raise PermissionError(13, "Permission denied", str(served))

    monkeypatch.setattr("cofactor.apps.web.served_model.write_without", refused)
    assert client.delete(f"/v1/users/{GONE}").json()["in_model_file"] is True
    assert client.get(f"/v1/users/{GONE}/ratings").json()["ratings"] == []
    assert client.get(f"/v1/users/{GONE}/recommendations").json()["popular"] is True
    assert GONE in cf.load(served).users
    spare = tmp_path / "spare.safetensors"
    holder = ModelHolder(served, spare, client.app.service.ratings.erasures)
    holder.keep()
    assert holds(tmp_path, GONE) == [served]
    monkeypatch.undo()
    assert client.delete(f"/v1/users/{GONE}").json()["in_model_file"] is False
    assert holds(tmp_path, GONE) == []


def test_who_is_erased_while_a_refit_runs_is_not_in_its_model(served, sqlite_url, tmp_path, monkeypatch):
    store = RatingsStore(sqlite_url)
    store.write("bob", {"i1": 5.0})
    fitted = refit(cf.load(served), stored_in(store))
    assert GONE in fitted.users
    store.erase(GONE)
    saved = save_without_erased(fitted, store, served)
    assert GONE not in saved.users
    assert GONE not in cf.load(served).users
    original = cf.Factors.save

    def save(model, path):
        store.erase("bob")  # just as the file is written
        return original(model, path)

    monkeypatch.setattr(cf.Factors, "save", save)
    assert "bob" not in save_without_erased(saved, store, served).users
    assert "bob" not in cf.load(served).users


def test_many_are_erased_at_once_and_none_is_left(served, sqlite_url):
    users = cf.load(served).users.ids.to_list()[:4]
    RatingsStore(sqlite_url).write("bob", {"i1": 5.0})
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    erasers = [spawn.Process(target=erase_one, args=(str(served), sqlite_url, user, results)) for user in users]
    for one in erasers:
        one.start()
    assert [results.get(timeout=60) for _ in erasers] == [True] * 4
    for one in erasers:
        one.join()
    assert not set(users) & set(cf.load(served).users.ids.to_list())


def test_writing_needs_a_token_and_so_does_erasing(make_client, served, tmp_path):
    (tmp_path / "tokens").write_text("0123456789abcdef\n")
    client = make_client(served, token_file=tmp_path / "tokens")
    assert client.delete(f"/v1/users/{GONE}").status_code == 401
    assert (
        client.delete(f"/v1/users/{GONE}?force=1", headers={"authorization": "Bearer 0123456789abcdef"}).status_code
        == 422
    )
    assert client.delete(f"/v1/users/{GONE}", headers={"authorization": "Bearer 0123456789abcdef"}).status_code == 200


def test_the_command_erases_in_model_and_store(served, tmp_path):
    url = f"sqlite:///{tmp_path}/ratings.db"
    store = RatingsStore(url)
    store.write(GONE, {"i1": 5.0, "i2": None})
    store.write("only-stored", {"i1": 5.0})
    told = as_json("forget", served, GONE, "only-stored", "--ratings", url, "-o", served)
    assert told == {"model": str(served), "n_users": 60, "n_erased": 1, "n_stored": 3}
    assert not holds(tmp_path, GONE) + holds(tmp_path, "only-stored")
    other = tmp_path / "other.safetensors"
    done = run("forget", served, "u3", "--ratings", url, "-o", other)
    assert f"{served} still has them: delete it" in done.output.replace("\n", "")
    assert "u3" in cf.load(served).users
    assert "u3" not in cf.load(other).users


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nobody", "-o", "new.safetensors"], 1, "unknown user 'nobody': no such id is in"),
        (["u3"], 2, "give -o NEW.safetensors"),
        (["u3", "-o", "new.safetensors", "--ratings", "sqlite:///missing.db"], 2, "where no ratings are stored"),
        (["u3", "-o", "."], 2, "is a folder: give the name of the file"),
    ],
)
def test_the_command_refuses_what_it_cannot_do_before_anything_is_erased(
    served, tmp_path, monkeypatch, arguments, code, said
):
    monkeypatch.chdir(tmp_path)
    before = served.read_bytes()
    assert said in run("forget", served, *arguments, code=code).output
    assert served.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("layout", ["a link", "a volume of Kubernetes", "a relative path with points"])
def test_the_file_that_the_path_says_now_is_cleaned_and_the_path_stays(
    served, sqlite_url, tmp_path, monkeypatch, layout
):
    (tmp_path / "v1").mkdir()
    real = Path(shutil.copy(served, tmp_path / "v1" / "m.safetensors"))
    path, links = tmp_path / "m.safetensors", []
    if layout == "a relative path with points":
        monkeypatch.chdir(tmp_path / "model")
        path = Path("../v1/m.safetensors")
    elif layout == "a link":
        path.symlink_to("v1/m.safetensors")
        links = [path]
    else:
        (tmp_path / "..data").symlink_to("v1")
        path.symlink_to("..data/m.safetensors")
        links = [path, tmp_path / "..data"]
    store = RatingsStore(sqlite_url)
    store.write("bob", {"i1": 5.0})
    store.erase(GONE)
    assert ModelHolder(path, None, store.erasures()).erase()
    assert GONE not in cf.load(real).users
    assert all(link.is_symlink() for link in links)
    assert GONE in cf.load(served).users
    store.close()


def test_who_is_erased_is_in_no_older_version_either(make_client, served, tmp_path):
    older = new_version(served)
    shutil.copy(served, older)
    (tmp_path / f"{served.stem}-notes.safetensors").write_bytes(b"no model")
    answer = make_client(served).delete(f"/v1/users/{GONE}").json()
    assert answer["in_model_file"] is False
    assert GONE not in {str(user) for user in cf.load(older).users}
