"""What the tests of the service share: ports, models, a running service."""

import socket
import time

from cofactor.apps.web.store import RatingsStore

__all__ = ["free_port", "open_at_once", "write_for"]


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def open_at_once(url, ready, go, results):
    store = RatingsStore(url)
    ready.release()
    go.wait()
    try:
        store.write("ann", {"tea": 5.0})
        results.put("ok")
    except Exception as error:
        results.put(repr(error))


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
