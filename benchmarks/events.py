"""What an event stream costs the lists: their latency with 2,000 events a second and without, and what is kept.

Run: ``.venv/bin/python benchmarks/events.py [--small] [--rounds N]``. ``cofactor serve --events`` serves a model of
rank 64. Known users ask for their top 10 at 200 requests a second, in turn alone and while another generator sends
events, 100 requests a second of 20 events each. In the end the service is told to stop, and the events in its store are
counted.
"""

import json
import os
import signal
import sqlite3
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
from results import Results, arguments, short
from serve import SERVE, failures, free_port, get, load, loaded, post, running, trained

EVENTS_A_SECOND, IN_A_REQUEST, LISTS_A_SECOND = 2_000, 20, 200
KINDS = ("shown", "opened", "chosen", "dismissed")


def batches(port, users, seconds):
    """Return requests with events, no two of which are the same, of lists that are asked for now."""
    events, random = [], np.random.default_rng(1)
    while len(events) < seconds * EVENTS_A_SECOND:
        user = random.integers(1, users + 1)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/users/{user}/recommendations?n=10") as answer:
            found = json.load(answer)
        items = [item["item"] for item in found["items"]]
        events += [{"list_id": found["list_id"], "item": item, "kind": kind} for kind in KINDS for item in items]
    order = random.permutation(len(events))
    mixed = [events[k] for k in order]
    parts = [mixed[first : first + IN_A_REQUEST] for first in range(0, len(mixed), IN_A_REQUEST)]
    return [post("/v1/events", {"events": part}) for part in parts]


def latencies(run):
    return [short(one) for one in np.percentile(1000 * np.array(run["latencies"]), [50, 99, 99.9])]


def main():
    args = arguments(__doc__, rounds=3)
    data = "synthetic:2000x1000x100000" if args.small else "synthetic:138493x26744x20000000"
    users, seconds = (2000, 3) if args.small else (138493, 15)
    results = Results("events", small=args.small, settings={"data": data, "rank": 64, "rounds": args.rounds})
    cache = Path(tempfile.gettempdir()) / "cofactor-benchmarks"
    cache.mkdir(exist_ok=True)
    model = trained(data, cache)
    asked = [
        get(f"/v1/users/{user}/recommendations?n=10") for user in np.random.default_rng(0).integers(1, users, 5000)
    ]
    with tempfile.TemporaryDirectory() as name:
        folder, port, accepted = Path(name), free_port(), 0
        store = folder / "ratings.db"
        command = [sys.executable, "-c", SERVE, "serve", str(model), "--port", str(port), "--events"]
        command += ["--ratings", f"sqlite:///{store}"]
        with running(command, port, "/v1/users/1/recommendations", folder) as (_, process):
            time.sleep(5)  # kernels are loaded in the background
            for turn in range(args.rounds):
                alone = load(port, asked, seconds, rate=LISTS_A_SECOND)
                requests = batches(port, users, seconds)
                with loaded(port, requests, seconds, rate=EVENTS_A_SECOND / IN_A_REQUEST, connections=4) as told:
                    beside = load(port, asked, seconds, rate=LISTS_A_SECOND)
                    sent = told()
                accepted += IN_A_REQUEST * sent["statuses"].get("202", 0)
                for what, run in (("alone", alone), ("with 2,000 events a second", beside)):
                    p50, p99, p999 = latencies(run)
                    results.add(
                        "Lists beside an event stream", lists=what, turn=turn + 1, requests=len(run["latencies"]),
                        failed=failures(run), p50_ms=p50, p99_ms=p99, p999_ms=p999,
                    )  # fmt: skip
                p50, p99, _ = latencies(sent)
                rate = round(IN_A_REQUEST * len(sent["latencies"]) / sent["seconds"])
                results.add(
                    "The event stream", turn=turn + 1, events_a_second=rate,
                    refused=len(sent["latencies"]) - sent["statuses"].get("202", 0), p50_ms=p50, p99_ms=p99,
                )  # fmt: skip
            os.kill(process.pid, signal.SIGTERM)
            process.wait(60)
        with sqlite3.connect(store) as opened:
            kept = opened.execute("select count(*) from cofactor_events").fetchone()[0]
            lists = opened.execute("select count(*) from cofactor_lists").fetchone()[0]
        size = store.stat().st_size
        results.add("Kept", accepted=accepted, events=kept, lists=lists, store_mb=short(size / 1e6))
    results.note("Latencies count from when a request was due. The generators, two more processes, share the cores.")
    results.write()


if __name__ == "__main__":
    main()
