"""The page "Running it": its commands, run one after the other as root of a server, do what it says."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import polars as pl
import pytest
import rootless
import yaml

import cofactor as cf
from cofactor.version import __version__

ROOT = Path(__file__).parents[3]
GUIDES = ROOT / "docs" / "guides"
PAGE = GUIDES / "running.md"
NAME = "films.example.org"
NEEDED = ("unshare", "setpriv", "ip", "curl", "openssl", "caddy", "useradd")


def sections(page):
    """Return the shell commands under each heading of a page, block by block."""
    found = {}
    for part in re.split(r"^##+ ", page, flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        found[heading] = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return found


THIS, NEXT = "0.1.0", "0.2.0"
"""The versions that the page speaks of."""

BLOCKS = sections(PAGE.read_text("utf-8"))


def test_every_command_of_the_page_is_run_by_a_test():
    of_docker = [heading for heading, blocks in BLOCKS.items() if not blocks]
    assert of_docker == ["In a container"]
    text = Path(__file__).read_text("utf-8")
    assert [heading for heading, blocks in BLOCKS.items() if blocks and f'"{heading}"' not in text] == []


class Server:
    """A shell of root's on a machine with this system's programs and its own /etc, /var, /opt and network."""

    def __init__(self, folder):
        root = folder / "root"
        shutil.copytree("/etc", root / "etc", symlinks=True, ignore=shutil.ignore_patterns("shadow-", "gshadow-"))
        for own in ("root", "opt", "var/lib", "var/log", "var/backups", "run", "shims"):
            (root / own).mkdir(parents=True)
        root.chmod(0o755)
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost {NAME}\n")
        self._shims(root / "shims")
        python = f"{sys.prefix}/bin/python"
        path = "/shims:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        environment = {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", "PYTHON": python, **rootless.OFFLINE}
        self.root = root
        self.image = rootless.Image(root, environment, folder="/root", is_machine=True)

    @staticmethod
    def _shims(folder):
        """Put programs before the system's: a python3 whose environments see this one's packages, and a systemctl."""
        site = "lib/python*/site-packages"
        kept = folder / "compiled"  # by other tests, which saves half a minute
        package = Path(cf.__file__).parent
        for file in package.rglob("__pycache__/*.nbc"):
            target = kept / "cofactor" / file.relative_to(package)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)
        (folder / "python3").write_text(
            '#!/bin/bash -e\n"$PYTHON" "$@"\n[ "$2" = venv ] || exit 0\n'
            f'for site in "$3"/{site}; do\n  echo {sysconfig.get_path("purelib")} > "$site/dependencies.pth"\n'
            '  [ ! -d /shims/compiled ] || cp -r /shims/compiled/. "$site"\ndone\n'
        )
        (folder / "systemctl").write_text('#!/bin/sh\nexec "$PYTHON" /shims/systemctl.py "$@"\n')
        shutil.copy(Path(__file__).with_name("systemctl.py"), folder)
        for script in ("python3", "systemctl"):
            (folder / script).chmod(0o755)

    def __enter__(self):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.shell = self.image.start(("bash", "-euo", "pipefail"), **pipes)
        self.run("ip link set lo up; echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start")
        return self

    def __exit__(self, *_):
        self.shell.kill()  # and everything in it
        self.shell.wait()

    def run(self, block):
        """Run a block in the shell, and return what it says."""
        self.shell.stdin.write(f"{block}\necho; echo it is done\n")
        self.shell.stdin.flush()
        lines = []
        for line in self.shell.stdout:
            if line == "it is done\n":
                return "".join(lines).strip()
            lines.append(line)
        raise AssertionError(f"{block}\n{''.join(lines)}\n{self.logs()}")

    def logs(self):
        return "\n".join(file.read_text() for file in self.root.glob("run/systemctl/*.log"))

    def section(self, heading, *changes):
        """Run the commands under a heading of the page; return what each block says."""
        said = []
        for block in BLOCKS[heading]:
            for old, new in changes:
                block = block.replace(old, new)
            said.append(self.run(block))
        return said

    def ask(self, path):
        return json.loads(self.run(f"curl --silent --fail http://127.0.0.1:8000{path}"))

    def ready(self):
        self.run(BLOCKS["The service"][0].splitlines()[-1])


def test_the_page_leads_from_a_wheel_to_a_service_and_back_again(tmp_path, ratings, long_form):
    if os.getuid() or rootless.refusal():
        pytest.skip(rootless.refusal() or "only root has a machine of its own")
    missing = [name for name in NEEDED if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    if sys.prefix.startswith("/tmp/"):
        pytest.skip("this Python lies in /tmp, which a unit with a /tmp of its own does not see: clone elsewhere")
    with Server(tmp_path) as server:
        bring(server, ratings, *([NEXT] if long_form else []))
        walk(server)
        if long_form:  # another installation takes as long as all the rest
            walk_to_the_next_version(server)


def walk(server):
    """Do what the page says, from top to bottom, and look after each section whether it came true."""
    installed = server.section("Install", (THIS, __version__))
    assert "Successfully installed cofactor" in "".join(installed)
    server.section("A model, tokens, settings")
    assert json.loads(server.section("The service")[-1].splitlines()[-1])["ready"] is True
    assert server.run("ps -o user= -C cofactor | sort -u").split() == ["cofactor"]

    lines = re.search(
        r"^```text\n(films\.example\.org \{.*?)^```", (GUIDES / "serve.md").read_text("utf-8"), re.M | re.S
    )
    caddyfile = lines[1].replace("reverse_proxy", "tls internal\n    reverse_proxy")
    (server.root / "etc/caddy/Caddyfile").write_text(caddyfile)
    server.run("install -d -o caddy -g caddy /var/lib/caddy; systemctl start caddy")
    authority = "/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt"
    server.run(
        f"for k in $(seq 100); do [ -e {authority} ] && break; sleep 0.1; done; export CURL_CA_BUNDLE={authority}"
    )
    assert '"ready":true' in server.section("TLS")[-1]

    assert '"changed":["50"]' in server.section("Tokens")[-1]
    assert len(server.run("cat /etc/cofactor/tokens").split()) == 1
    _, metrics = server.section("Health and alerts")[0].split("\n", 1)
    assert "cofactor_ready 1" in metrics
    assert alerts_of(metrics) == []

    back_up, restore = BLOCKS["Backup and restore"]
    server.run(back_up)
    kept = server.ask("/v1/users/ann/ratings")
    put = BLOCKS["Tokens"][0].split("sed -i")[0].split("\n", 1)[1].replace("ratings/50", "ratings/51")
    server.run(put)
    assert server.ask("/v1/users/ann/ratings") != kept
    server.run(restore)
    server.ready()
    assert server.ask("/v1/users/ann/ratings") == kept
    assert server.run("readlink /var/lib/cofactor/model.safetensors") == "model-restored.safetensors"

    first = server.ask("/v1/model")["model"]
    timer, back = BLOCKS["The next model, and back"]
    server.run(timer)
    server.run("systemctl start cofactor-refit")
    server.run(until("/v1/model", first, "!="))
    assert server.run("readlink /var/lib/cofactor/model.safetensors").startswith("model-2")
    assert "model-1.safetensors" in server.run(back)
    server.run(until("/v1/model", first, "=="))

    assert '"level": "error"' not in server.logs()


def walk_to_the_next_version(server):
    kept = server.ask("/v1/users/ann/ratings")
    server.section("Install", (THIS, NEXT), ("ln -sfn", ": not yet"))
    forth, back = BLOCKS["The next version, and back"]
    for block, expected in ((forth, NEXT), (back.replace(THIS, __version__), __version__)):
        server.run(block)
        server.ready()
        assert json.loads(server.run("curl -s http://127.0.0.1:8000/openapi.json"))["info"]["version"] == expected
        assert server.ask("/v1/users/ann/ratings") == kept
    assert "compiling" not in server.logs()


def until(path, label, sign):
    """Return commands that wait until the served model is another one, or a certain one."""
    found = f"$(curl --silent http://127.0.0.1:8000{path})"
    return f'for k in $(seq 300); do [[ "{found}" {sign} *\'"{label}"\'* ]] && break; sleep 0.1; done; [ $k -lt 300 ]'


def bring(server, ratings, *versions):
    """Put into root's home what the page takes for granted: deploy/, ratings, wheels of this version and of others."""
    home, source = server.root / "root", server.root / "root" / "source"
    shutil.copytree(ROOT / "deploy", home / "deploy")
    number = pl.col("item").str.strip_prefix("i").cast(int)  # the page's ids are numbers
    ratings.to_frame().select("user", number + 20, "value").write_csv(home / "ratings.csv")
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for version in (__version__, *versions):
        file = source / "src/cofactor/version.py"
        file.write_text(file.read_text().replace(__version__, version))
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(home)]
        subprocess.run(command, cwd=source, check=True, capture_output=True)


def alerts_of(metrics):
    """Return the names in the rules for Prometheus that the service does not have."""
    rules = [
        rule
        for group in yaml.safe_load((ROOT / "deploy/alerts.yaml").read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]
    assert all(re.fullmatch(r"\d+[smh]", rule.get("for", "1m")) for rule in rules)
    named = {name for rule in rules for name in re.findall(r"\bcofactor_\w+", rule["expr"])}
    assert len(named) >= 5
    return sorted(named - set(re.findall(r"^(cofactor_\w+)", metrics, re.MULTILINE)))


def test_ratings_in_postgresql_are_backed_up_and_restored(postgres, tmp_path):
    from cofactor.apps.web.store import RatingsStore

    if shutil.which("pg_dump") is None:
        pytest.skip("pg_dump is not installed: apt-get install postgresql-client")
    url = postgres.new_database()
    store = RatingsStore(url)
    store.write("ann", {"tea": 5.0})
    before = store.since(-1).rows
    dump, restore = BLOCKS["With PostgreSQL"]
    address = re.search(r"postgresql://\S+", dump)[0]
    shell = {"cwd": tmp_path, "check": True, "capture_output": True, "text": True}
    dump = dump.replace(address, url.replace("+psycopg", ""))
    subprocess.run(["bash", "-euo", "pipefail", "-c", dump], **shell)
    store.write("ann", {"tea": 1.0, "rye": 2.0})
    store.close()
    subprocess.run(["bash", "-euo", "pipefail", "-c", dump.splitlines()[0] + "\n" + restore], **shell)
    assert RatingsStore(url).since(-1).rows == before
