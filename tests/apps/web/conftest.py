"""A real PostgreSQL and a MariaDB, started for these tests alone, and a store on one of them or on SQLite."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from processes import free_port, until_listening
from sqlalchemy.engine import make_url
from starlette.testclient import TestClient
from websupport import Service

from cofactor.apps.web.app import create_app
from cofactor.apps.web.settings import ServiceSettings
from cofactor.apps.web.store import RatingsStore


@dataclass
class Postgres:
    """A server whose files are its own, so that it may be killed."""

    binaries: Path
    folder: Path
    port: int
    user: str | None

    def run(self, *command, check=True):
        """Run one of PostgreSQL's programs as a user that it accepts."""
        return subprocess.run(
            [str(self.binaries / command[0]), *command[1:]],
            user=self.user, group=self.user, extra_groups=[] if self.user else None,
            cwd=self.folder, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            check=check, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def start(self):
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=60"
        log = str(self.folder / "log")
        command = ("pg_ctl", "-D", str(self.folder / "data"), "-o", options, "-l", log, "-w", "-t", "30", "start")
        for _ in range(120):  # what is left of one that was killed goes by itself, but takes a moment
            if self.run(*command, check=False).returncode == 0:
                return
            time.sleep(0.25)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self, mode="fast"):
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-m", mode, "-w", "stop", check=False)

    def kill(self):
        """End it as a power cut would: no goodbye, nothing written that was not written already."""
        self.signal(signal.SIGKILL)

    def pause(self):
        """Stop all its processes, as a machine does that hangs."""
        self.signal(signal.SIGSTOP)

    def signal(self, what):
        master = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        asked = subprocess.run(["ps", "-o", "pid=", "--ppid", str(master)], capture_output=True, text=True, check=False)
        for pid in [master, *map(int, asked.stdout.split())]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, what)

    def url(self, database="postgres"):
        return f"postgresql+psycopg://tester:secret@127.0.0.1:{self.port}/{database}"

    def new_database(self, *options):
        name = f"d{uuid.uuid4().hex[:12]}"
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "tester", *options, name)
        return self.url(name)


def _binaries():
    found = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))] or [shutil.which("initdb")]
    return Path(found[-1]).parent if found[-1] else None


@pytest.fixture(scope="session")
def postgres():
    """A running PostgreSQL."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL's server is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="cofactor-postgres-"))  # pytest closes its own folders to other users
    user = None
    if os.getuid() == 0:  # it refuses to run as root
        user = _account("postgres")
        shutil.chown(folder, user)
    server = Postgres(binaries, folder, free_port(), user)
    server.run("initdb", "-D", str(folder / "data"), "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync")
    server.start()
    yield server
    server.stop("immediate")
    shutil.rmtree(folder, ignore_errors=True)


@dataclass
class MariaDB:
    """A server whose files are its own, so that it may be killed."""

    program: str
    folder: Path
    port: int
    user: str | None
    process: subprocess.Popen | None = None

    def start(self):
        where = [f"--datadir={self.folder}/data", f"--port={self.port}", f"--socket={self.folder}/socket"]
        more = [
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            f"--pid-file={self.folder}/pid",
            "--innodb-buffer-pool-size=32M",
        ]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [self.program, "--no-defaults", *where, *more], stdout=log, stderr=log,
                user=self.user, group=self.user, extra_groups=[] if self.user else None, cwd=self.folder,
            )  # fmt: skip
        until_listening(self.port)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)

    def kill(self):
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def pause(self):
        """Stop it, as a machine does that hangs."""
        self.process.send_signal(signal.SIGSTOP)

    def run(self, statement):
        """Run a statement as the one who may do everything, and return what it prints."""
        return subprocess.run(
            ["mariadb", "--no-defaults", f"--socket={self.folder}/socket", "-uroot", "-e", statement],
            check=True, capture_output=True, text=True, timeout=60,
        ).stdout  # fmt: skip

    def url(self, database):
        return f"mariadb+pymysql://tester:secret@127.0.0.1:{self.port}/{database}"

    def new_database(self, options=""):
        name = f"d{uuid.uuid4().hex[:12]}"
        self.run(f"create database {name} {options}")
        return self.url(name)


@pytest.fixture(scope="session")
def mariadb():
    """A running MariaDB."""
    program = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("MariaDB's server is not installed: apt-get install mariadb-server")
    folder, user = Path(tempfile.mkdtemp(prefix="cofactor-mariadb-")), _account("mysql") if os.getuid() == 0 else None
    shutil.chown(folder, user or os.getuid())
    folder.chmod(0o755)
    made = [
        "mariadb-install-db",
        "--no-defaults",
        f"--datadir={folder}/data",
        "--auth-root-authentication-method=normal",
    ]
    subprocess.run([*made, *([f"--user={user}"] if user else [])], check=True, capture_output=True, timeout=120)
    server = MariaDB(program, folder, free_port(), user)
    server.start()
    server.run("create user tester@'%' identified by 'secret'; grant all on *.* to tester@'%'")
    yield server
    server.kill()
    shutil.rmtree(folder, ignore_errors=True)


def _account(name):
    import pwd

    names = {entry.pw_name for entry in pwd.getpwall()}
    return next((one for one in (name, "nobody") if one in names), None)


POOLER = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 3
max_client_conn = 500
server_idle_timeout = 2
"""
"""Few connections for many clients, and whatever one leaves on a connection meets the others."""


@dataclass
class Pooler:
    """A PgBouncer that may be killed."""

    program: str
    folder: Path
    port: int
    user: str | None
    process: subprocess.Popen | None = None

    def start(self):
        groups = [] if self.user else None
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [self.program, str(self.folder / "pooler.ini")], user=self.user, group=self.user, extra_groups=groups,
                stdout=log, stderr=log,
            )  # fmt: skip
        until_listening(self.port)

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="session")
def pgbouncer(postgres):
    """A PgBouncer in transaction mode before PostgreSQL."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed: apt-get install pgbouncer")
    folder, port = Path(tempfile.mkdtemp(prefix="cofactor-pooler-")), free_port()
    (folder / "users").write_text('"tester" "secret"\n')
    (folder / "pooler.ini").write_text(POOLER.format(server=postgres.port, port=port, folder=folder))
    folder.chmod(0o755)
    made = Pooler(program, folder, port, postgres.user)
    made.start()
    yield made
    made.kill()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def pooler(pgbouncer):
    """The port of a PgBouncer in transaction mode before PostgreSQL."""
    return pgbouncer.port


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path}/ratings.db"


@pytest.fixture(params=["sqlite", "postgresql", "pgbouncer", "mariadb"])
def store_url(request):
    """The URL of an empty database of each kind, and of one behind a pooler."""
    if request.param == "sqlite":
        return request.getfixturevalue("sqlite_url")
    if request.param == "mariadb":
        return request.getfixturevalue("mariadb").new_database()
    url = request.getfixturevalue("postgres").new_database()
    if request.param == "postgresql":
        return url
    return make_url(url).set(port=request.getfixturevalue("pooler")).render_as_string(hide_password=False)


@pytest.fixture
def store(store_url):
    opened = RatingsStore(store_url)
    yield opened
    opened.close()


@pytest.fixture
def long_form():
    """Whether the long form of a test was asked for."""
    return os.environ.get("COFACTOR_TEST_LONG") == "1"


@pytest.fixture(scope="session")
def trained_models(tmp_path_factory, titled):
    """Model files by name, which no test may change.

    One predicts ratings, two were trained on likes for lists, one for lists on stars.
    """
    import polars as pl

    from cofactor.solvers import ALS, ImplicitALS

    genres = pl.Series(["Drama|War" if k % 2 else "Comedy" for k in range(titled.n_items)])
    data = titled.with_items(titled.item_table.with_columns(genres=genres))
    likes = data.at_least(4).binary()
    folder = tmp_path_factory.mktemp("models")
    made = {
        "rating": ALS(rank=3, epochs=5).fit(data),
        "ranking": ImplicitALS(rank=4, epochs=4).fit(likes),
        "other": ImplicitALS(rank=4, epochs=2).fit(likes),
        "stars": ImplicitALS(rank=4, epochs=4).fit(data),
    }
    return {name: model.save(folder / f"{name}.safetensors") for name, model in made.items()}


@pytest.fixture
def models(tmp_path_factory, trained_models):
    """Copies of the model files, by name: a service may change what it serves, as where a person is erased."""
    folder = tmp_path_factory.mktemp("models")
    return {name: Path(shutil.copy(path, folder)) for name, path in trained_models.items()}


@pytest.fixture
def make_client(tmp_path):
    """Return what makes a client of a service in this process."""
    with contextlib.ExitStack() as stack:

        def make(model, **settings):
            settings = {"ratings": f"sqlite:///{tmp_path}/ratings.db", **settings}
            app = create_app(ServiceSettings(model=Path(model), **settings))
            return stack.enter_context(TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False))

        yield make


@pytest.fixture(params=["rating", "ranking"])
def client(request, make_client, models):
    return make_client(models[request.param])


@pytest.fixture
def ranking(make_client, models):
    return make_client(models["ranking"])


@pytest.fixture
def serve(tmp_path, models):
    """Return what starts a service, as people do."""
    with contextlib.ExitStack() as stack:

        def start(model=None, *options, **more):
            service = Service(model or models["ranking"], tmp_path, *options, **more)
            stack.callback(service.close)
            return service

        yield start


@pytest.fixture(scope="module")
def shared_service(tmp_path_factory, trained_models):
    """One running service for tests that leave it as it was; in the end it has logged no failure of ours."""
    service = Service(trained_models["ranking"], tmp_path_factory.mktemp("service"))
    yield service
    lines = [json.loads(line) for line in service.log().splitlines()]
    service.close()
    assert lines
    assert not [line for line in lines if line["level"] == "error"]
