"""What cannot start says why, and its exit code says so; what can, does, wherever it is installed."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from processes import free_port, python
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
if "granian" in sys.modules or "--multiprocessing-fork" in sys.argv:
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
