"""What cannot start says why, and its exit code says so; what can, does, wherever it is installed."""

import contextlib
import functools
import http.client
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sql
from clisupport import run
from processes import free_port, python
from sqlalchemy.engine import make_url
from websupport import SERVE

import cofactor
from cofactor.apps.web.store import RatingsStore

BREAKING = {
    "the ratings": ("cofactor.apps.web.ratings_cache", "RatingsCache.start"),
    "the model": ("cofactor.apps.web.app", "ModelHolder"),
    "the routes": ("cofactor.apps.web.app", "problems.handle"),
    "the access policy": ("cofactor.apps.web.app", "AccessPolicy"),
    "an import": ("cofactor.apps.web.app", "create_app"),
}
SITE = """
import sys
if "uvicorn" in sys.modules or "--multiprocessing-fork" in sys.argv:
    import importlib

    def broken(*_, **__):
        raise ZeroDivisionError("what nobody expected")

    owner = importlib.import_module("{0}")
    *outer, name = "{1}".split(".")
    for part in outer:
        owner = getattr(owner, part)
    setattr(owner, name, broken)
"""


@pytest.mark.parametrize("what", BREAKING)
def test_an_unexpected_error_at_the_start_is_logged_and_ends_the_service(models, tmp_path, what):
    (tmp_path / "sitecustomize.py").write_text(SITE.format(*BREAKING[what]))
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [*SERVE, str(models["ranking"]), "--port", str(free_port()), "--ratings", f"sqlite:///{tmp_path}/r.db"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    told = [line for line in lines if line.get("event") == "start_failed"]
    assert told
    assert told[0]["message"] == "the service cannot start: ZeroDivisionError: what nobody expected"
    assert told[0]["level"] == "critical"
    assert "broken" in told[0]["trace"]


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_name_is_refused_at_the_start(postgres, models, encoding):
    url = postgres.new_database("-E", encoding, "-T", "template0", "--locale=C")
    command = [*SERVE, str(models["ranking"]), "--port", str(free_port()), "--ratings", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert f"has the encoding {encoding}" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize("folder", ["50%2F50", "%(here)s", "100% $HOME", "a b;c"])
def test_it_works_wherever_it_is_installed(tmp_path, folder):
    site = tmp_path / folder
    shutil.copytree(Path(cofactor.__file__).parent, site / "cofactor", ignore=shutil.ignore_patterns("*.nbc"))
    code = """
        import sys
        from cofactor.apps.web.store import RatingsStore
        import cofactor
        assert cofactor.__file__.startswith(sys.argv[1])
        RatingsStore(f"sqlite:///{sys.argv[2]}").write("ann", {"tea": 5.0})
    """
    python(code, site, tmp_path / "r.db", PYTHONPATH=str(site))
    assert RatingsStore(f"sqlite:///{tmp_path}/r.db").since(-1).rows == [("ann", "tea", 5.0)]


@pytest.mark.parametrize("how", ["no folder can be written to", "every file of it is broken"])
def test_it_serves_visitors_and_stores_ratings_without_compiled_code_on_disk(serve, tmp_path, how):
    site, cache = tmp_path / "site", tmp_path / "cache"
    shutil.copytree(Path(cofactor.__file__).parent, site / "cofactor", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [site / "cofactor", *(site / "cofactor").rglob("*/")]:
        (folder / "__pycache__").touch()
    environment = {"PYTHONPATH": str(site), "HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null"}
    broken = how != "no folder can be written to"
    environment["NUMBA_CACHE_DIR"] = str(cache) if broken else "/dev/null"
    for _ in range(1 + broken):
        service = serve(None, environment=environment)
        body = {"ratings": [{"item": "i1", "value": 5}]}
        assert service.ask("POST", "/v1/recommendations", body)[1]["popular"] is False
        assert service.put("ann", "i1", 5)[0] == 200
        assert service.ask("GET", "/v1/users/ann/recommendations")[1]["popular"] is False
        assert ("cannot be kept on disk" in service.log()) is not broken
        assert service.stop() == 0
        for file in cache.rglob("*.nbc"):
            file.write_bytes(b"")


def refused(models, url):
    """Start a service on a store that refuses it; return what it says."""
    said = run("serve", models["ranking"], "--port", free_port(), "--ratings", url, code=2).output
    assert "secret" not in said
    return " ".join(said.split())


def test_a_schema_without_rights_is_refused_at_the_start(postgres, models):
    url = make_url(postgres.new_database())
    owner = sql.create_engine(url, isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        connection.exec_driver_sql(f"create role r{url.database} login")
    owner.dispose()
    said = refused(models, url.set(username=f"r{url.database}").render_as_string(hide_password=False))
    assert "permission denied for schema public" in said
    assert "give it the right to" in said


def test_a_standby_is_refused_at_the_start(postgres, models):
    url = make_url(postgres.new_database())
    with contextlib.closing(RatingsStore(url)) as store:
        store.write("ann", {"i1": 5.0})
    owner = sql.create_engine(url, isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        connection.exec_driver_sql(f'alter database "{url.database}" set default_transaction_read_only = on')
    owner.dispose()
    said = refused(models, url.render_as_string(hide_password=False))
    assert "the server is a read-only standby, or set to read-only: give --ratings the address of the primary" in said


@pytest.mark.parametrize("behind", ["postgres", "pooler", "mariadb"])
def test_a_database_that_is_not_there_is_refused_at_the_start(request, models, behind):
    server = request.getfixturevalue(behind)
    if behind == "pooler":
        url = make_url(request.getfixturevalue("postgres").url("nowhere")).set(port=server)
        url = url.render_as_string(hide_password=False)
    else:
        url = server.url("nowhere")
    assert "the database is not there: make it, or check its name in --ratings" in refused(models, url)


@pytest.mark.parametrize("what", ["no rights", "wrong password", "read-only"])
def test_a_mariadb_that_refuses_is_refused_at_the_start(mariadb, models, what):
    url = make_url(mariadb.new_database())
    name, rights = f"u{url.database}", "select" if what == "no rights" else "all"
    mariadb.run(f"create user {name}@'%' identified by 'secret'; grant {rights} on {url.database}.* to {name}@'%'")
    url = url.set(username=name, password="other-secret" if what == "wrong password" else "secret")
    remedies = {
        "no rights": "give it the right to",
        "wrong password": "check user, password",
        "read-only": "the primary",
    }
    mariadb.run(f"set global read_only = {int(what == 'read-only')}")
    try:
        assert remedies[what] in refused(models, url.render_as_string(hide_password=False))
    finally:
        mariadb.run("set global read_only = 0")


def test_a_sqlite_file_that_cannot_be_written_is_refused_at_the_start(models, tmp_path):
    folder = tmp_path / "folder"
    (folder / "ratings.db").mkdir(parents=True)
    assert "which is not an ordinary file: give another" in refused(models, f"sqlite:///{folder}/ratings.db")


def test_a_server_that_does_not_answer_yet_is_waited_for(serve, postgres):
    url = make_url(postgres.new_database()).set(port=free_port()).render_as_string(hide_password=False)
    service = serve(ratings=url)
    assert service.ask("GET", "/readyz")[1]["store"] == "away"
    assert service.ask("GET", "/v1/users/u1/recommendations")[0] == 200


@pytest.mark.parametrize("host", ["LocalHost", "::1", "127.0.0.2"])
def test_it_listens_at_every_form_of_this_machine_s_address(serve, monkeypatch, host):
    address = "127.0.0.1" if host == "LocalHost" else host
    try:
        socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET).close()
    except OSError:
        pytest.skip(f"this machine has no address {address}")
    connect = functools.partial(http.client.HTTPConnection, address)
    monkeypatch.setattr(http.client, "HTTPConnection", lambda _, port, **more: connect(port, **more))
    service = serve(None, "--host", host)
    shown = f"[{host}]" if ":" in host else host
    assert f"http://{shown}:{service.port}" in service.log()
    assert service.stop() == 0
