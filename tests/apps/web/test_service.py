"""The service as it runs: started, reloaded under load, killed, its store taken away and brought back."""

import contextlib
import dataclasses
import http.client
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from processes import free_port, python
from websupport import SERVE, Load, Service, until

import cofactor as cf
from cofactor.apps.web.store import RatingsStore


def test_it_starts_answers_drains_and_ends(serve):
    service = serve()
    status, document = service.ask("GET", "/v1/users/u3/recommendations?n=3")
    assert (status, len(document["items"])) == (200, 3)
    assert service.ask("GET", "/readyz")[1]["ready"] is True
    slow = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    slow.putrequest("POST", "/v1/recommendations")
    body = b'{"ratings": [{"item": "i1", "value": 5}]}'
    for name, value in (("content-type", "application/json"), ("content-length", str(len(body)))):
        slow.putheader(name, value)
    slow.endheaders()
    slow.send(body[:10])
    time.sleep(0.5)
    service.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    slow.send(body[10:])
    answer = slow.getresponse()
    assert answer.status == 200
    assert json.loads(answer.read())["popular"] is False
    slow.close()
    assert service.process.wait(timeout=30) == 0


def test_it_refuses_what_cannot_work(models, tmp_path):
    model = str(models["ranking"])

    def refused(*arguments, code=2):
        done = subprocess.run([*SERVE, *arguments], capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stderr
        return done.stderr

    assert "--token-file" in refused(model, "--host", "0.0.0.0")
    assert "is not there" in refused(str(tmp_path / "none.safetensors"))
    assert "is a folder, but not a model folder" in refused(str(tmp_path))
    (tmp_path / "ratings.csv").write_text("user,item\nann,lamp\n")
    told = refused(str(tmp_path / "ratings.csv"), code=1)
    assert "is not a whole safetensors file" in told
    assert "Traceback" not in told
    (tmp_path / "model.json").touch()
    assert "sqlite:///FILE" in refused(str(tmp_path), "--ratings", "sqlite://")  # the folder itself is taken
    assert "--ratings" in refused(model, "--ratings", "oracle://x/y")
    assert "--refit-every" in refused(model, "--refit-every", "often")
    assert "token" in refused(model, "--token-file", str(tmp_path / "none"))
    RatingsStore(f"sqlite:///{tmp_path}/newer.db").write("ann", {"tea": 1.0})
    with contextlib.closing(sqlite3.connect(tmp_path / "newer.db")) as newer, newer:
        newer.execute("update cofactor_version set version_num = '9999'")
    assert "schema version 9999" in refused(model, "--ratings", f"sqlite:///{tmp_path}/newer.db")


def test_two_services_do_not_share_an_address(serve):
    service = serve()
    done = subprocess.run(service.command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "another --port" in done.stderr


def test_workers_agree_and_a_reload_reaches_all(serve, models, tmp_path):
    path = tmp_path / "served.safetensors"
    path.write_bytes(models["ranking"].read_bytes())
    service = serve(path, "--workers", "2")
    for value in (5, 4, 3, 2, 1):
        assert service.put("ann", "i1", value)[0] == 200
        assert [service.ratings("ann") for _ in range(8)] == [{"i1": float(value)}] * 8
    assert service.ask("DELETE", "/v1/users/ann/ratings/i1")[0] == 200
    assert [service.ratings("ann") for _ in range(8)] == [{}] * 8
    old = service.ask("GET", "/v1/model")[1]["model"]
    path.write_bytes(models["other"].read_bytes())
    service.process.send_signal(signal.SIGHUP)
    digests = lambda: {service.ask("GET", "/v1/model")[1]["model"] for _ in range(16)}  # noqa: E731
    until(lambda: old not in digests())
    assert len(digests()) == 1
    path.write_bytes(models["ranking"].read_bytes())
    assert service.ask("POST", "/v1/admin/reload")[1]["model"] == old
    until(lambda: digests() == {old})
    counted = service.ask("GET", "/metrics")[1]
    asked = int(re.search(r'requests_total\{route="/v1/model",status="2xx"\} (\d+)', counted)[1])
    assert asked % 16 == 1  # the first, and sixteens: those of both workers


def test_reloads_under_load_fail_no_request_and_mix_no_models(serve, models, tmp_path, long_form):
    path = tmp_path / "served.safetensors"
    path.write_bytes(models["ranking"].read_bytes())
    expected = {}
    for name in ("ranking", "other"):
        model = cf.load(models[name])
        expected[name] = {user: model.recommend([user], 10)["item"].to_list() for user in ("u1", "u2", "u5")}
    service = serve(path)
    digests, found = {}, []

    def read(number, turn):
        user = ("u1", "u2", "u5")[(number + turn) % 3]
        status, document = service.ask("GET", f"/v1/users/{user}/recommendations")
        assert status == 200
        found.append((document["model"], user, [entry["item"] for entry in document["items"]]))

    load = Load(read)
    for turn in range(60 if long_form else 6):
        name = ("other", "ranking")[turn % 2]
        beside = tmp_path / "beside"
        beside.write_bytes(models[name].read_bytes())
        beside.replace(path)
        status, document = service.ask("POST", "/v1/admin/reload")
        assert status == 200
        digests[document["model"]] = name
        path.write_bytes(b"garbage")
        assert service.ask("POST", "/v1/admin/reload")[0] == 409
        time.sleep(0.3)
    assert load.stop() == []
    assert len(digests) == 2
    assert {digest for digest, _, _ in found} == set(digests)
    for digest, user, items in found:
        assert items == expected[digests[digest]][user]


@pytest.mark.long
def test_a_successor_on_the_same_address_is_found(serve, postgres):
    """As after a failover: another server, with what the old one had stored."""
    first = dataclasses.replace(postgres, folder=Path(tempfile.mkdtemp(prefix="cofactor-first-")), port=free_port())
    second = dataclasses.replace(first, folder=Path(tempfile.mkdtemp(prefix="cofactor-second-")))
    for one in (first, second):
        shutil.chown(one.folder, one.user or os.getuid())
    first.run("initdb", "-D", str(first.folder / "data"), "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync")
    first.start()
    try:
        service = serve(ratings=first.new_database())
        assert service.put("ann", "i1", 5)[0] == 200
        first.stop("immediate")
        subprocess.run(["cp", "-a", first.folder / "data", second.folder / "data"], check=True)
        (second.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        until(lambda: service.put("ann", "i2", 5)[0] == 503)
        second.start()
        until(lambda: service.ask("GET", "/readyz")[1]["writes"])
        assert service.put("ann", "i3", 4)[0] == 200
        found = service.ratings("ann")
        assert (found["i1"], found["i3"]) == (5.0, 4.0)
    finally:
        for one in (first, second):
            one.stop("immediate")
            shutil.rmtree(one.folder, ignore_errors=True)


def test_without_its_store_it_says_when_to_try_again(serve, postgres):
    service = serve(ratings=postgres.new_database())
    assert service.put("ann", "i1", 5)[0] == 200
    before = service.ask("GET", "/v1/users/ann/recommendations")[1]
    postgres.stop()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
        connection.request("PUT", "/v1/users/ann/ratings/i2", '{"value": 5}', {"content-type": "application/json"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json")
        assert int(answer.headers["retry-after"]) > 0
        during = service.ask("GET", "/v1/users/ann/recommendations")[1]
        assert (during["current"], during["items"]) == (False, before["items"])
        assert "cofactor_store_up 0" in service.ask("GET", "/metrics")[1]
    finally:
        postgres.start()


def test_two_services_on_one_store_see_each_other_s_ratings_at_once(models, store_url, tmp_path):
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    one, two = (Service(models["ranking"], folder, ratings=store_url) for folder in folders)
    try:
        for k in range(10):
            writer, reader = (one, two) if k % 2 else (two, one)
            assert writer.put("ann", f"i{k}", 4)[0] == 200
            assert reader.ratings("ann") == {f"i{j}": 4.0 for j in range(k + 1)}
        load = Load(lambda number, turn: (one, two)[number % 2].put(f"v{number}", f"i{turn % 40}", 3), threads=8)
        time.sleep(3)
        assert load.stop() == []
    finally:
        one.close()
        two.close()


def test_a_refit_now_and_then_is_served(serve, models, tmp_path):
    path = tmp_path / "served.safetensors"
    path.write_bytes(models["ranking"].read_bytes())
    service = serve(path, "--refit-every", "1s")
    old = service.ask("GET", "/v1/model")[1]
    assert service.ask("PUT", "/v1/users/ann/ratings", {"ratings": [{"item": "i1", "value": 5}]})[0] == 200
    until(lambda: service.ask("GET", "/v1/model")[1]["users"] > old["users"])
    new = service.ask("GET", "/v1/model")[1]
    assert (new["users"], new["ratings"]) == (old["users"] + 1, old["ratings"] + 1)
    assert service.ask("GET", "/v1/users/ann/recommendations")[1]["popular"] is False


def runs(pid):
    """Return whether a process is there, and not one that has ended and waits to be asked how."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked at in Linux's /proc")
def test_workers_end_with_the_process_that_started_them(serve):
    service = serve()
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(service.process.pid)], capture_output=True, text=True)
    workers = [int(pid) for pid in children.stdout.split()]
    assert workers
    os.kill(service.process.pid, signal.SIGKILL)
    service.process.wait()
    until(lambda: not any(map(runs, workers)), seconds=10)


@pytest.mark.parametrize("ok", [True, False])
def test_no_rating_token_name_or_query_is_ever_logged(serve, tmp_path, ok):
    token = "secret-token-0123456789"
    (tmp_path / "tokens").write_text(token + "\n")
    service = serve(None, "--token-file", str(tmp_path / "tokens"))
    given = token if ok else token + "-wrong"
    status = service.put("secret-person", "i1", 4.625, authorization=f"Bearer {given}")[0]
    assert status == (200 if ok else 401)
    body = {"ratings": [{"item": "secret-item", "value": 4.625}]}
    service.ask("POST", "/v1/recommendations", body)
    service.ask("POST", "/v1/recommendations", {**body, "secret-key": 4.625})
    service.ask("GET", "/v1/users/secret-person/recommendations?n=secret-query")
    service.ask("GET", "/v1/items?search=secret-search")
    service.ask("GET", "/secret-path")
    service.ask("POST", "/v1/admin/reload", authorization=f"Bearer {token}")
    service.stop()
    log = service.log()
    assert "secret" not in log.replace(str(tmp_path), "")
    assert "4.625" not in log
    lines = [json.loads(line) for line in log.splitlines()]
    assert {"serving", "worker_ready", "request", "reloaded"} <= {line.get("event") for line in lines}


def test_what_the_library_warns_of_is_a_line_of_the_log_too():
    code = """
        import logging, sys
        sys.stderr = sys.stdout
        from cofactor.apps.web import logs
        logs.set_up()
        logging.getLogger("cofactor.model").warning("compiling")
        logging.getLogger("cofactor.model").info("nothing for a log")
        logging.getLogger("cofactor.web").info("serving")
    """
    lines = [json.loads(line) for line in python(code).splitlines()]
    assert [(line["level"], line["message"]) for line in lines] == [("warning", "compiling"), ("info", "serving")]
