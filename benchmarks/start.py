"""How long the service takes to start where services run: in an image's read-only root, with nothing left to compile.

Run: ``.venv/bin/python benchmarks/start.py [--small]``. The Dockerfile's steps are done in a root of its own (see
``tools/rootless.py``), with code for any x86-64 processor with AVX2. Measured are the seconds from the command until a
visitor's ratings are answered with a list, and until it is ready; beside it, in turn, an empty FastAPI endpoint on the
same server until its first answer, on this machine as it is.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
from results import Results, arguments, in_turn, short, versus
from serve import EMPTY, free_port, running

import cofactor as cf
from cofactor.solvers import ALS, BayesianMF, ImplicitALS

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import rootless  # noqa: E402

VISITOR = json.dumps({"ratings": [{"item": "50", "value": 5}, {"item": "172", "value": 4}], "n": 10}).encode()


@contextlib.contextmanager
def container(image, model, folder):
    """Run the image with a model in a read-only root; yield its port."""
    (folder / "tokens").write_text("0123456789abcdef0123456789abcdef\n")
    (folder / "data").mkdir(exist_ok=True)
    volumes = {"/model/model.safetensors": model, "/data": folder / "data", "/run/secrets/tokens": folder / "tokens"}
    port = free_port()
    command = (*image.entrypoint, *image.command, "--port", str(port))
    with (folder / "log").open("a") as log:
        read_only = ("/model/model.safetensors", "/run/secrets/tokens")
        process = image.start(
            command, volumes=volumes, read_only=read_only, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield port
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def answered(port, path, body=None):
    """Wait until a request is answered with 200."""
    asking = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"content-type": "application/json"})
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError), urllib.request.urlopen(asking) as answer:
            return answer.read()
        time.sleep(0.005)
    raise SystemExit(f"{path} was not answered")


def first_list(image, model, folder):
    """Return the seconds until a visitor's list, and until the service is ready."""
    begun = time.perf_counter()
    with container(image, model, folder) as port:
        assert not json.loads(answered(port, "/v1/recommendations", VISITOR))["popular"]
        listed = time.perf_counter() - begun
        answered(port, "/readyz")
        return listed, time.perf_counter() - begun


def first_answer(folder):
    """Return the seconds until an empty endpoint answers."""
    port = free_port()
    with running([sys.executable, "empty.py", str(port)], port, "/", folder) as (seconds, _):
        return seconds


def main():
    args = arguments(__doc__, rounds=9)
    if why := rootless.refusal():
        raise SystemExit(why)
    data = "synthetic:300x250x9000" if args.small else "ml-100k"
    results = Results("start", small=args.small, settings={"data": data, "rounds": args.rounds})
    solvers = [ImplicitALS(seed=0), ALS(seed=0), BayesianMF(sweeps=200, seed=0)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "empty.py").write_text(EMPTY)
        image = rootless.build(ROOT / "Dockerfile", ROOT, folder)
        for solver in solvers[: 1 if args.small else None]:
            model = solver.fit(cf.load_dataset(data)).save(folder / f"{type(solver).__name__}.safetensors")
            first_list(image, model, folder)  # files are read from the disk once
            ours, empty = in_turn(
                args.rounds, lambda model=model: first_list(image, model, folder), lambda: first_answer(folder)
            )
            listed, ready = zip(*ours, strict=True)
            results.add(
                "From the command to the first visitor's list, in a read-only root",
                model=type(solver).__name__,
                seconds=short(float(np.median(listed))),
                least=short(min(listed)),
                most=short(max(listed)),
                until_ready=short(float(np.median(ready))),
                empty_endpoint=short(float(np.median(empty))),
                ratio=versus(listed, empty)["ratio"],
            )
        log = (folder / "log").read_text()
    assert "compiling" not in log, log
    results.note(
        f"Medians of {args.rounds} starts; no kernel was compiled in any of them. `empty_endpoint` is FastAPI with one "
        "route on the same server until its first answer."
    )
    results.write()


if __name__ == "__main__":
    main()
