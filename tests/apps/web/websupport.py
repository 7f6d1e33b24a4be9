"""What the tests of the service share: writers of a store, a running service, a load on it."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from processes import free_port

from cofactor.apps.web.served_model import ModelHolder
from cofactor.apps.web.store import RatingsStore

__all__ = ["SERVE", "Load", "Service", "erase_one", "open_at_once", "raw", "until", "workers", "write_for"]

SERVE = [sys.executable, "-c", "import sys; from cofactor.apps.cli import main; main(sys.argv[1:])", "serve"]


def open_at_once(url, ready, go, results):
    store = RatingsStore(url)
    ready.release()
    go.wait()
    try:
        store.write("ann", {"tea": 5.0})
        results.put("ok")
    except Exception as error:
        results.put(repr(error))


def erase_one(model, url, user, results):
    store = RatingsStore(url)
    store.erase(user)
    holder = ModelHolder(Path(model), None, store.erasures())
    results.put(holder.erase())


def write_for(url, name, seconds, results):
    store = RatingsStore(url)
    written, end = [], time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            item = str(len(written))
            store.write(name, {item: 3.0})
            written.append((name, item))
    except Exception as error:
        results.put(repr(error))
        return
    results.put(written)


class Service:
    """A service in processes of its own, as ``cofactor serve`` starts it."""

    def __init__(self, model, folder, *options, ratings=None, environment=None):
        self.environment = {**os.environ, **(environment or {})}
        self.port, self.log_file = free_port(), folder / "service.log"
        ratings = f"sqlite:///{folder}/ratings.db" if ratings is None else ratings
        stored = ["--ratings", ratings] if ratings else []  # without, they are beside the model
        self.command = [*SERVE, str(model), "--port", str(self.port), *stored, *options]
        self.start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        """Start it, and wait until it answers."""
        with self.log_file.open("a") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, start_new_session=True, env=self.environment
            )
        for _ in range(1200):
            with contextlib.suppress(OSError):
                if self.ask("GET", "/readyz")[0] == 200:
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(self.log())

    def ask(self, method, path, body=None, connection=None, **headers):
        """Return status and document of one request."""
        one = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = None if body is None else json.dumps(body)
        headers = {"content-type": "application/json", **headers} if sent else headers
        try:
            one.request(method, path, sent, headers)
            answer = one.getresponse()
            text = answer.read()
        finally:
            if connection is None:
                one.close()
        if "json" in answer.headers.get("content-type", ""):
            return answer.status, json.loads(text)
        return answer.status, text.decode()

    def put(self, user, item, value, **more):
        return self.ask("PUT", f"/v1/users/{user}/ratings/{item}", {"value": value}, **more)

    def ratings(self, user):
        return {one["item"]: one["rating"] for one in self.ask("GET", f"/v1/users/{user}/ratings")[1]["ratings"]}

    def log(self):
        return self.log_file.read_text()

    def kill(self):
        """End all its processes as a power cut would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """Ask it to end, and return how it did."""
        self.process.terminate()
        return self.process.wait(timeout=60)

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Load:
    """Threads that do something over and over until told to stop, and keep what went wrong."""

    def __init__(self, work, threads=4):
        self.stopped, self.errors, self.done = threading.Event(), [], 0
        self.threads = [threading.Thread(target=self._run, args=(work, k), daemon=True) for k in range(threads)]
        for one in self.threads:
            one.start()

    def _run(self, work, number):
        turn = 0
        while not self.stopped.is_set():
            try:
                work(number, turn)
                self.done += 1
            except Exception as error:
                self.errors.append(repr(error))
            turn += 1

    def stop(self):
        self.stopped.set()
        for one in self.threads:
            one.join(60)
        return self.errors


def workers(service):
    """Return the ids of a service's worker processes."""
    # -ww, or ps cuts its lines where $COLUMNS says; beside the workers runs the tracker of shared memory
    listed = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(service.process.pid)], capture_output=True, text=True
    )
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "resource_tracker" not in line]


def raw(port, sent, seconds=15):
    """Send bytes as they are and return all that comes back until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as one:
        with contextlib.suppress(OSError):
            one.sendall(sent)
        parts = []
        with contextlib.suppress(OSError):
            while part := one.recv(65536):
                parts.append(part)
                if b"\r\n\r\n" in b"".join(parts) and b"connection: close" not in sent.lower():
                    break
    return b"".join(parts)


def until(true, seconds=60):
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.1)
