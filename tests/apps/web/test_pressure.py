"""Clients that take without reading, say nothing, or come in crowds: each wait ends,
and others are served as ever."""

import asyncio
import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from websupport import raw, until

from cofactor.apps.web import connections, server
from cofactor.apps.web.app import create_app
from cofactor.apps.web.connections import MAX_CUT, Connections
from cofactor.apps.web.limits import Load
from cofactor.apps.web.proxies import Networks
from cofactor.apps.web.settings import ServiceSettings
from cofactor.apps.web.worker import Worker

JSON_HEAD = b"POST /v1/recommendations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
CROWD = Path(__file__).parents[3] / "benchmarks" / "crowd.py"
BIG = "/app.js"  # a few kilobytes, for whoever asks


class Running:
    """A worker in a thread of this process, so that its limits can be set."""

    def __init__(self, app, **limits):
        listening = socket.create_server(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        self.worker = Worker(app, listening, 1)
        if limits:
            proxies = Networks(app.service.settings.trusted_proxies)
            self.worker.connections.__init__(proxies, **limits)
        self.thread = threading.Thread(target=self.worker.run)
        self.thread.start()
        until(lambda: self.worker.started)

    def __len__(self):
        return len(self.worker.connections)

    def connect(self, address="127.0.0.1"):
        return socket.create_connection(("127.0.0.1", self.port), timeout=10, source_address=(address, 0))

    def asks(self, address="127.0.0.1", **headers):
        """Return the status of a request from an address, its headers and its document."""
        one = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10, source_address=(address, 0))
        with contextlib.closing(one):
            one.request("GET", "/v1/popular?n=1", headers=headers)
            answer = one.getresponse()
            return answer.status, answer.headers, json.loads(answer.read())

    def stop(self):
        self.worker.should_exit = True
        self.thread.join(30)


@pytest.fixture
def running(models, tmp_path):
    """Return what starts a worker with some limits."""
    with contextlib.ExitStack() as stack:

        def start(trusted=(), load=None, **limits):
            settings = ServiceSettings(models["ranking"], f"sqlite:///{tmp_path}/r.db", trusted_proxies=trusted)
            app = create_app(settings)
            app._load = load or app._load
            one = Running(app, **limits)
            stack.callback(one.stop)
            return one

        yield start


def ended(one, seconds=10):
    """Tell whether the other side ends a connection in time, reading nothing before."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            one.sendall(b"x")
        except OSError:
            return True
        time.sleep(0.1)
    return False


def test_a_client_that_never_reads_is_cut_off(running, monkeypatch):
    monkeypatch.setattr(connections, "SEND_SECONDS", 1.0)
    service = running()
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.connect(("127.0.0.1", service.port))
        one.settimeout(5)
        with contextlib.suppress(OSError):  # of more than the system keeps for it
            for _ in range(40):
                one.sendall(f"GET {BIG} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() * 90)
        assert service.asks()[0] == 200
        until(lambda: len(service) == 0, 15)
        assert ended(one)


def test_a_client_that_reads_slowly_gets_everything(running, monkeypatch):
    monkeypatch.setattr(connections, "SEND_SECONDS", 2.0)
    service = running()
    with service.connect() as one:
        one.sendall(f"GET {BIG} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() * 50)
        seen = b""
        while seen.count(b"HTTP/1.1 200 OK") < 50:
            seen += one.recv(4096)
            time.sleep(0.001)


def test_beyond_the_bound_clients_are_told_to_come_back(running):
    service = running(most=5)
    held = [service.connect() for _ in range(5)]
    until(lambda: len(service) == 5)
    status, headers, document = service.asks()
    assert (status, headers["retry-after"]) == (503, "2")
    assert document["type"] == "tag:cofactor,2026:too-many-connections"
    for one in held:
        one.close()
    until(lambda: len(service) == 0)
    assert service.asks()[0] == 200


def test_one_address_does_not_take_the_place_of_others(running):
    service = running(most_per_address=3, trusted=("127.0.0.3",))
    with contextlib.ExitStack() as stack:
        for address in ["127.0.0.2"] * 3 + ["127.0.0.3"] * 6:
            stack.enter_context(service.connect(address))
        until(lambda: len(service) == 9)
        status, headers, document = service.asks("127.0.0.2")
        assert (status, headers["retry-after"]) == (503, "2")
        assert "--trusted-proxy ADDRESS" in document["detail"]
        assert service.asks("127.0.0.4")[0] == 200
        assert service.asks("127.0.0.3")[0] == 200  # a proxy's connections are other people's


def test_a_crowd_far_beyond_the_bound_is_not_even_answered():
    full = Connections(Networks(()), most=2)
    for k in range(1003):
        full.add(k, f"10.0.{k // 250}.{k % 250}")
    assert full.is_swamped


def test_of_many_that_are_overdue_only_some_are_cut_off_at_a_time():
    class Overdue:
        transport = None

        def __init__(self):
            self.transport, self.cut = self, False

        def abort(self):
            self.cut = True

        def is_overdue(self, _):
            return not self.cut

    book, there = Connections(Networks(())), [Overdue() for _ in range(20 * MAX_CUT)]
    for one in there:
        book.add(one, "10.0.0.1")

    async def cut():
        book.cut_overdue()

    for turn in range(20):
        assert sum(one.cut for one in there) == MAX_CUT * turn
        asyncio.run(cut())
    assert all(one.cut for one in there)
    few = [Overdue() for _ in range(39)]
    for one in few:
        book.add(one, "10.0.0.1")
    for _ in range(20):
        asyncio.run(cut())
    assert all(one.cut for one in few)


def test_the_system_keeps_little_for_those_who_do_not_read():
    with server._listening("127.0.0.1", 0) as listening:
        listening.listen()
        with socket.create_connection(listening.getsockname()) as client, listening.accept()[0] as accepted:
            kept, usual = (one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) for one in (accepted, client))
    assert kept <= 2 * server.UNREAD_BYTES < usual  # Linux tells twice what was asked for


def test_a_network_of_ipv6_counts_as_one_address():
    book = Connections(Networks(()), most_per_address=2)
    refused = [book.add(k, f"2001:db8::{k}") is not None for k in range(3)]
    assert refused == [False, False, True]
    assert book.add(9, "2001:db8:0:1::9") is None


def test_behind_a_proxy_the_address_is_the_one_that_it_tells(running):
    service = running(trusted=("127.0.0.1",), load=Load(most_per_address=2))
    started = JSON_HEAD + b"X-Forwarded-For: 192.0.2.7\r\nContent-Length: 100\r\n\r\n"
    with service.connect() as one, service.connect() as other:
        one.sendall(started)
        other.sendall(started)
        time.sleep(0.2)
        status, headers, _ = service.asks(**{"X-Forwarded-For": "1.1.1.1, 192.0.2.7"})
        assert (status, headers["retry-after"]) == (503, "2")
        assert service.asks(**{"X-Forwarded-For": "192.0.2.7, 192.0.2.8"})[0] == 200
        assert service.asks()[0] == 200


MALFORMED = {
    "no number": b"ZZ\r\nab\r\n", "no line end": b"2\r\nabcd\r\n", "a sign": b"-1\r\nab\r\n",
    "huge": b"f" * 20 + b"\r\n",    "a space before": b" 2\r\nab\r\n", "no size": b"\r\nab\r\n", "0x": b"0x2\r\nab\r\n",
    "after a sound part": b"2\r\n{ \r\nX\r\n", "a bare line feed": b"2\nab\n",
}  # fmt: skip


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_chunks_are_the_senders_mistake(shared_service, what):
    answer = raw(shared_service.port, JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + MALFORMED[what], 5)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n"), answer
    assert b"application/problem+json" in answer


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 200_000, 431),
        (b"GET /" + b"a" * 200_000, 431),
        (JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: a\r\n" * 50_000, 431),
        (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
    ],
    ids=["a header without an end", "an address without an end", "trailers without an end", "two lengths", "no header",
         "CONNECT"],
)  # fmt: skip
def test_a_head_that_is_too_large_or_malformed_is_refused(shared_service, sent, status):
    assert raw(shared_service.port, sent, 5).startswith(f"HTTP/1.1 {status} ".encode())


def test_of_many_requests_sent_ahead_the_first_hundred_are_answered(running):
    service = running()
    sent = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 5000
    with service.connect() as one:
        with contextlib.suppress(OSError):
            one.sendall(sent)
        seen = b""
        with contextlib.suppress(OSError):
            while part := one.recv(65536):
                seen += part
    assert 100 <= seen.count(b"HTTP/1.1 200 OK") <= 102


def test_large_bodies_wait_in_a_bounded_amount_of_memory(running):
    service = running()
    before = resident()
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(service.connect()) for _ in range(120)]
        for one in held:
            one.sendall(JSON_HEAD + b"Content-Length: 950000\r\n\r\n")
            with contextlib.suppress(OSError):
                one.sendall(b" " * 900_000)
        refused = 0
        for one in held:
            one.settimeout(0.05)
            with contextlib.suppress(OSError):
                refused += one.recv(100).startswith(b"HTTP/1.1 503 ")
        assert refused >= 60  # the others' answers were lost, or they are among the 32 that may wait
        assert service.asks()[0] == 200
        assert resident() - before < 80e6
    until(lambda: len(service) == 0)


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def crowd(port, unread, idle, slow):
    """Hold a crowd of clients of three kinds, in a process of its own."""
    asked = json.dumps({"port": port, "unread": unread, "idle": idle, "slow": slow})
    process = subprocess.Popen([sys.executable, CROWD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        process.stdin.write(f"{asked}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "ready\n"
        yield
        process.kill()


def p99(service, seconds):
    """Return the 99th percentile of what known users wait who ask a hundred times a second, in seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    times, end = [], time.perf_counter() + seconds
    while (begun := time.perf_counter()) < end:
        path = f"/v1/users/u{len(times) % 50}/recommendations"
        assert service.ask("GET", path, connection=connection)[0] == 200
        times.append(time.perf_counter() - begun)
        time.sleep(0.01)
    connection.close()
    return float(np.percentile(times, 99))


def test_a_crowd_at_most_doubles_what_others_wait(serve, long_form):
    counts, seconds, turns = ((500, 5000, 500), 10, 4) if long_form else ((50, 300, 50), 1, 3)
    service = serve()
    p99(service, 0.5)
    alone, beside = [], []
    for _ in range(turns):  # in turns, so that what else the machine does meets both
        alone.append(p99(service, seconds))
        with crowd(service.port, *counts):
            time.sleep(1)
            beside.append(p99(service, seconds))
    assert min(beside) <= 2 * max(alone) + 0.002, (alone, beside)
