"""How the service answers under load, on the machine's cores with the load generator beside it.

Run: ``.venv/bin/python benchmarks/serve.py [--small] [--soak REQUESTS]``. A model of rank 64 learns a set of ML-20M's
shape; ``cofactor serve`` serves it, as anyone would start it. Measured are the latency of a known user's top 10 and of
a visitor's 20 ratings folded in and ranked, at 500 requests a second (from when each request was due, so that a stall
is charged to all who had to wait); the throughput of both beside an empty FastAPI endpoint on the same server, in
turn; reloads every second while known users ask 100 times a second; a minute of new visitors; a crowd of clients that
hold on to their connections; the time from the command to the first answer; and a soak.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from functools import partial
from pathlib import Path

import numpy as np
from results import Results, arguments, in_turn, short, versus

import cofactor as cf

HERE = Path(__file__).parent
EMPTY = """
import sys
import uvicorn
from fastapi import FastAPI

def app():
    empty = FastAPI()

    @empty.get("/")
    async def nothing():
        return {}

    return empty

if __name__ == "__main__":
    uvicorn.run("empty:app", factory=True, port=int(sys.argv[1]), access_log=False, log_level="warning")
"""
SERVE = "import sys; from cofactor.apps.cli import main; main(sys.argv[1:])"
DEADLINE_SECONDS = 60


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def running(command, port, path, folder):
    """Run a server, and yield the seconds until its first answer, and its process."""
    begun = time.perf_counter()
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                answer.read()
                break
            if process.poll() is not None or time.perf_counter() - begun > DEADLINE_SECONDS:
                raise SystemExit((folder / "log").read_text())
            time.sleep(0.005)
        yield time.perf_counter() - begun, process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def service(model, folder):
    port = free_port()
    ratings = f"sqlite:///{folder}/ratings.db"
    command = [sys.executable, "-c", SERVE, "serve", str(model), "--port", str(port), "--ratings", ratings]
    return port, running(command, port, "/v1/users/1/recommendations", folder)


@contextlib.contextmanager
def loaded(port, requests, seconds, rate=None, connections=8):
    """Run the load generator meanwhile; yield what returns what it measured, once it has ended."""
    asked = {"host": "127.0.0.1", "port": port, "requests": requests, "seconds": seconds}
    asked |= {"rate": rate, "connections": connections}
    command = [sys.executable, HERE / "load.py"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as generator:
        generator.stdin.write(json.dumps(asked))
        generator.stdin.close()
        yield lambda: json.loads(generator.stdout.read())


def load(*asked, **more):
    """Run the load generator and return what it measured."""
    with loaded(*asked, **more) as measured:
        return measured()


def throughput(port, requests):
    """Return the requests answered a second when each connection asks again as soon as it is answered."""
    run = load(port, requests, 2)
    assert not failures(run), run["statuses"]
    return run["answered"] / run["seconds"]


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def post(path, document):
    body = json.dumps(document)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}"


def questions(users, items):
    """Return requests of known users, and of visitors with 20 ratings of things that people rate."""
    random = np.random.default_rng(0)
    known = [get(f"/v1/users/{user}/recommendations?n=10") for user in random.integers(1, users + 1, 5000)]
    visitors = []
    for _ in range(2000):
        rated = np.unique((items * random.random(40) ** 3).astype(int) + 1)[:20]
        ratings = [{"item": str(item), "value": 5} for item in rated]
        visitors.append(post("/v1/recommendations", {"ratings": ratings, "n": 10}))
    return {"known user's top 10": known, "visitor's 20 ratings": visitors}


def trained(data, folder):
    """Return the file of a model, trained once for all runs on this machine."""
    path = folder / f"serve-{data.replace(':', '-')}.safetensors"
    if not path.exists():
        from cofactor.solvers import ImplicitALS

        likes = cf.load_dataset(data).at_least(4).binary()
        ImplicitALS(rank=64, epochs=4, seed=0).fit(likes).save(path)
    return path


def memory_of(process):
    """Return the resident bytes of a process and its children."""
    total = 0
    children = subprocess.run(["ps", "-o", "rss=", "--ppid", str(process.pid)], capture_output=True, text=True).stdout
    own = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
    total += int(own) * os.sysconf("SC_PAGE_SIZE")
    return total + 1024 * sum(map(int, children.split()))


def failures(run):
    return sum(count for status, count in run["statuses"].items() if status != "200")


def steady(results, port, asked, seconds, title):
    for name, requests in asked.items():
        run = load(port, requests, seconds, rate=500, connections=16)
        times = np.percentile(1000 * np.array(run["latencies"]), [50, 99, 99.9])
        results.add(
            title,
            request=name,
            requests=len(run["latencies"]),
            failed=failures(run),
            p50_ms=short(times[0]),
            p99_ms=short(times[1]),
            p999_ms=short(times[2]),
        )


def reloading(results, port, asked, seconds):
    """Reload every second while known users ask."""
    requests = next(iter(asked.values()))
    begun, reloads = time.perf_counter(), 0
    with loaded(port, requests, seconds, rate=100) as measured:
        while time.perf_counter() - begun < seconds:
            due = begun + reloads + 1
            asking = urllib.request.Request(f"http://127.0.0.1:{port}/v1/admin/reload", method="POST")
            with urllib.request.urlopen(asking) as answer:
                reloads += answer.status == 200
            time.sleep(max(0, due - time.perf_counter()))
        run = measured()
    p99 = short(1000 * float(np.percentile(run["latencies"], 99)))
    results.add(
        "Reloads under load", seconds=seconds, reloads=reloads, requests=len(run["latencies"]), failed=failures(run),
        p99_ms=p99,
    )  # fmt: skip


@contextlib.contextmanager
def crowd(port, unread, idle, slow):
    """Hold a crowd of clients that take without reading, say nothing, or send a byte a second."""
    asked = json.dumps({"port": port, "unread": unread, "idle": idle, "slow": slow})
    with subprocess.Popen(
        [sys.executable, HERE / "crowd.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdin.write(f"{asked}\n")
        process.stdin.flush()
        process.stdout.readline()
        yield
        process.kill()


def pressed(results, port, asked, process, seconds, small):
    """Measure what known users wait alone, beside a crowd as it comes, stays and leaves, and the service's memory."""
    requests, kinds = next(iter(asked.values())), (50, 300, 50) if small else (500, 5000, 500)
    with contextlib.ExitStack() as there:
        for when in ("before", "it has just come", "beside", "it has just left", "after"):
            if when == "it has just come":
                there.enter_context(crowd(port, *kinds))
            elif when == "it has just left":
                there.close()
            run = load(port, requests, 2.5 * seconds if when == "beside" else seconds, rate=100)
            times = np.percentile(1000 * np.array(run["latencies"]), [50, 99])
            results.add(
                "Beside clients that never read, idle ones, and slow ones: {} + {} + {}".format(*kinds),
                when=when, failed=failures(run), p50_ms=short(times[0]), p99_ms=short(times[1]),
                mb=round(memory_of(process) / 1e6),
            )  # fmt: skip


def visitors(results, port, items, process, seconds):
    """Let visitors come who have never been here, 10,000 a minute; memory after a second and in the end."""
    random = np.random.default_rng(1)
    requests = [
        post("/v1/recommendations", {"ratings": [{"item": str(k), "value": 5} for k in rated], "n": 10})
        for rated in (random.choice(items, 20, replace=False) + 1 for _ in range(int(170 * seconds)))
    ]
    load(port, requests[:170], 1, rate=167)
    early = memory_of(process)
    run = load(port, requests, seconds, rate=167)
    results.add(
        "10,000 new visitors a minute", visitors=len(run["latencies"]), failed=failures(run),
        p99_ms=short(1000 * float(np.percentile(run["latencies"], 99))), mb_before=round(early / 1e6),
        mb_after=round(memory_of(process) / 1e6),
    )  # fmt: skip


def soak(results, port, asked, process, wanted):
    """Ask as fast as it answers until so many requests are answered; memory before, after a tenth, and after all."""
    mixed = [request for pair in zip(*asked.values(), strict=False) for request in pair]
    answered = failed = 0
    sizes = []
    while answered < wanted:
        run = load(port, mixed, 5)
        answered, failed = answered + len(run["latencies"]), failed + failures(run)
        sizes.append((answered, memory_of(process)))
    early = next(size for done, size in sizes if done >= wanted / 10)
    results.add(
        "Soak",
        requests=answered,
        failed=failed,
        mb_after_a_tenth=round(early / 1e6),
        mb_at_the_end=round(sizes[-1][1] / 1e6),
    )


def main():
    args = arguments(__doc__, rounds=5, soak=20_000)
    data = "synthetic:2000x1000x100000" if args.small else "synthetic:138493x26744x20000000"
    users, items = (2000, 1000) if args.small else (138493, 26744)
    seconds = 2 if args.small else 10
    results = Results("serve", small=args.small, settings={"data": data, "rank": 64, "rounds": args.rounds})
    cache = Path(tempfile.gettempdir()) / "cofactor-benchmarks"
    cache.mkdir(exist_ok=True)
    model, asked = trained(data, cache), questions(users, items)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "empty.py").write_text(EMPTY)
        for _ in range(2 if args.small else 5):
            _, start = service(model, folder)
            with start as (first, _):
                results.add("Start to first answer", seconds=short(first))
        empty = free_port()
        port, start = service(model, folder)
        other = running([sys.executable, "empty.py", str(empty)], empty, "/", folder)
        with start as (_, process), other:
            time.sleep(5)  # kernels are loaded in the background
            steady(results, port, asked, seconds, "500 requests a second")
            for what, requests in asked.items():
                ours, theirs = partial(throughput, port, requests), partial(throughput, empty, [get("/")])
                row = versus(*in_turn(args.rounds, ours, theirs))
                results.add("Requests a second, beside an empty FastAPI endpoint", request=what, **row)
            reloading(results, port, asked, 3 if args.small else 20)
            visitors(results, port, items, process, 2 if args.small else 60)
            pressed(results, port, asked, process, seconds, args.small)
            soak(results, port, asked, process, 2000 if args.small else args.soak)
    results.note(
        "`peer` is an endpoint that answers `{}`, on uvicorn with its defaults; both have one worker, and the "
        "load generator, another process, shares the cores. Latencies count from when a request was due."
    )
    results.write()


if __name__ == "__main__":
    main()
