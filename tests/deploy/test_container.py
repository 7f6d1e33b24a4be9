"""The image: built from its Dockerfile in a root of its own, then run by a stranger who may write nothing."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import time
from pathlib import Path

import llvmlite.binding as llvm
import pytest
import rootless
from numba.core.codegen import get_host_cpu_features
from processes import free_port

import cofactor as cf
from cofactor.solvers import ALS, ImplicitALS

ROOT = Path(__file__).parents[2]
PACKAGE = Path(cf.__file__).parent
TOKEN = "0123456789abcdef0123456789abcdef"
LONG = os.environ.get("COFACTOR_TEST_LONG") == "1"
READ_ONLY = ("/model", "/run/secrets/tokens")

pytestmark = pytest.mark.skipif(rootless.refusal() is not None, reason=str(rootless.refusal()))


def bring_compiled_code(command, root):
    """Put the code that other tests compiled where 'cofactor compile' finds it, which saves half a minute."""
    if "cofactor compile" not in command:
        return
    (site,) = root.glob("opt/cofactor/lib/python3*/site-packages")
    for file in PACKAGE.rglob("__pycache__/*.nbc"):
        target = site / "cofactor" / file.relative_to(PACKAGE)
        target.parent.mkdir(exist_ok=True)
        shutil.copy2(file, target)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """What the Dockerfile makes; in the short form for this processor alone, whose code other tests compiled."""
    folder = tmp_path_factory.mktemp("image")
    if LONG:
        return rootless.build(ROOT / "Dockerfile", ROOT, folder)
    processor = {"CPU_NAME": llvm.get_host_cpu_name(), "CPU_FEATURES": get_host_cpu_features()}
    return rootless.build(ROOT / "Dockerfile", ROOT, folder, processor, bring_compiled_code)


class Container:
    """A service in a container, with a volume for ratings and a model to read."""

    def __init__(self, image, folder, models, command=None):
        self.image, self.port, self.log_file = image, free_port(), folder / "log"
        (folder / "data").mkdir(exist_ok=True)
        (folder / "tokens").write_text(f"{TOKEN}\n")
        self.volumes = {"/model": models, "/data": folder / "data", "/run/secrets/tokens": folder / "tokens"}
        self.command = (*image.entrypoint, *(command or image.command), "--port", str(self.port))

    def __enter__(self):
        with self.log_file.open("w") as log:
            self.process = self.image.start(
                self.command, volumes=self.volumes, read_only=READ_ONLY, stdout=log, stderr=log, start_new_session=True
            )
        end = time.monotonic() + 120
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError):
                if self.ask("GET", "/readyz")[0] == 200:
                    return self
            time.sleep(0.02)
        raise AssertionError(self.log_file.read_text())

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    def run(self, *command):
        return self.image.run(command, volumes=self.volumes, read_only=READ_ONLY)

    @property
    def log(self):
        return [json.loads(line) for line in self.log_file.read_text().splitlines()]


@pytest.fixture(scope="module")
def models(tmp_path_factory, titled):
    folder = tmp_path_factory.mktemp("model")
    ImplicitALS(rank=4, epochs=2).fit(titled).save(folder / "model.safetensors")
    ALS(rank=4, epochs=2).fit(titled).save(folder / "stars.safetensors")
    return folder


@pytest.fixture(scope="module")
def container(image, models, tmp_path_factory):
    with Container(image, tmp_path_factory.mktemp("container"), models) as running:
        yield running


def test_it_serves_and_stores_as_nobody_and_compiles_nothing(container):
    status, listed = container.ask(
        "POST", "/v1/recommendations", {"ratings": [{"item": "i1", "value": 5}], "reasons": 2}
    )
    assert (status, listed["popular"]) == (200, False)
    path, token = "/v1/users/ann/ratings/i1", {"authorization": f"Bearer {TOKEN}"}
    assert container.ask("PUT", path, {"value": 5})[0] == 401
    assert container.ask("PUT", path, {"value": 5}, **token)[0] == 200
    assert container.ask("GET", "/v1/users/ann/recommendations?reasons=2")[1]["popular"] is False
    assert container.volumes["/data"].joinpath("ratings.db").exists()
    status = Path(f"/proc/{container.process.pid}/status").read_text()
    assert "CapEff:\t0000000000000000\n" in status
    assert "compiling" not in container.log_file.read_text()
    assert {line["level"] for line in container.log} <= {"info", "warning"}  # and every line is JSON


def test_it_keeps_ratings_when_it_is_stopped_and_started(image, models, tmp_path):
    token = {"authorization": f"Bearer {TOKEN}"}
    with Container(image, tmp_path, models) as first:
        assert first.ask("PUT", "/v1/users/ann/ratings/i1", {"value": 4}, **token)[0] == 200
        first.process.terminate()
        assert first.process.wait(30) == 0
    with Container(image, tmp_path, models) as second:
        assert second.ask("GET", "/v1/users/ann/ratings")[1]["ratings"][0]["rating"] == 4


def test_nothing_can_be_written_but_the_volume_and_tmp(container):
    places = "/ /opt/cofactor /usr /etc /model /data /tmp"
    trials = f"for place in {places}; do touch $place/x 2>/dev/null && echo $place; done; id -u"
    assert container.run("sh", "-c", trials).split() == ["/data", "/tmp", "10001"]


def test_its_health_check_says_whether_it_is_ready(container):
    def checked(port):
        return container.run(*(word.replace("8000", str(port)) for word in container.image.health))

    assert checked(container.port) == ""
    with pytest.raises(RuntimeError, match="Connection refused"):
        checked(free_port())


def test_a_model_is_trained_and_retrained_in_it(container, ratings, tmp_path):
    ratings.to_frame().select("user", "item", "value").write_csv(container.volumes["/data"] / "ratings.csv")
    fitted = container.run("cofactor", "fit", "ratings.csv", "-o", "/data/new.safetensors")
    assert "compiling" not in fitted
    for model in ("model", "stars"):
        said = container.run("cofactor", "refit", f"/model/{model}.safetensors", "-o", "/data/next.safetensors")
        assert "saved to /data/next.safetensors" in said
        assert "compiling" not in said


def test_without_tokens_it_says_what_is_missing_and_ends(image, models, tmp_path):
    container = Container(image, tmp_path, models)
    command = [*container.command[:-4], "--port", str(container.port)]
    with pytest.raises(RuntimeError, match="give --token-file FILE"):
        container.run(*command)


def test_what_needs_more_than_a_dockerfile_s_own_steps_is_not_needed(image):
    """A change of the Dockerfile that the tests would not run is seen: every instruction of it is done."""
    done = {keyword for keyword, _ in rootless.instructions((ROOT / "Dockerfile").read_text())}
    assert {"RUN", "COPY", "USER", "HEALTHCHECK", "ENTRYPOINT", "CMD"} <= done
    assert image.user >= 1000
