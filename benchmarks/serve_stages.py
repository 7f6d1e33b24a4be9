"""Where the service's time for one request goes, measured in one process, without a server or a network.

Run: ``.venv/bin/python benchmarks/serve_stages.py [--small]``. The application answers the requests of `serve.py`, one
after the other, while some of its functions are timed; what is timed inside another is part of it. The empty endpoint
of FastAPI is called in the same way.
"""

import asyncio
import contextlib
import functools
import tempfile
import time
from pathlib import Path
from unittest import mock

from fastapi import FastAPI
from results import Results, arguments, short
from serve import questions, trained

from cofactor.apps.web import middleware, service
from cofactor.apps.web.app import create_app
from cofactor.apps.web.ratings_cache import RatingsCache
from cofactor.apps.web.routes import lists
from cofactor.apps.web.settings import ServiceSettings
from cofactor.lists import retriever
from cofactor.model import fold_in

STAGES = {
    "all": (middleware.Middleware, "__call__"),
    "ask the store whether anything is new": (RatingsCache, "of"),
    "wait for the body": (middleware, "read_body"),
    "parse and check the body": (lists, "parsed_body"),
    "fold the visitor in": (service, "visitor_profile"),
    "of it, solve for the vector": (fold_in, "place_rows"),
    "make the list": (lists, "recommended"),
    "make the list of a known user": (service, "recommended"),
    "of it, find the items": (retriever, "top_n"),
    "write the response": (lists, "json_response"),
}


def scope_of(text):
    """Return the ASGI scope and the body of a request as it goes over the wire."""
    head, _, body = text.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    method, target, _ = first.split(" ")
    path, _, query = target.partition("?")
    headers = [tuple(part.strip().lower().encode() for part in line.split(":", 1)) for line in lines]
    scope = {"type": "http", "http_version": "1.1", "method": method, "path": path, "raw_path": path.encode()}
    scope |= {"query_string": query.encode(), "headers": headers, "root_path": "", "scheme": "http", "asgi": {}}
    return scope | {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000)}, body.encode()


async def asked(app, requests):
    """Ask one after the other; return the seconds that each took on average."""
    ready = [scope_of(text) for text in requests]
    begun = time.perf_counter()
    for scope, body in ready:
        await app(dict(scope), functools.partial(_body, body), _nowhere)
    return (time.perf_counter() - begun) / len(ready)


async def _body(body):
    return {"type": "http.request", "body": body, "more_body": False}


async def _nowhere(message):
    assert message.get("status", 200) == 200, message


@contextlib.contextmanager
def timed(spent):
    """Add up the seconds of every stage in ``spent``."""

    def around(name, function):
        @functools.wraps(function)
        def plain(*args, **options):
            begun = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                spent[name] = spent.get(name, 0.0) + time.perf_counter() - begun

        @functools.wraps(function)
        async def awaited(*args, **options):
            begun = time.perf_counter()
            try:
                return await function(*args, **options)
            finally:
                spent[name] = spent.get(name, 0.0) + time.perf_counter() - begun

        return awaited if asyncio.iscoroutinefunction(function) else plain

    with contextlib.ExitStack() as stack:
        for name, (owner, attribute) in STAGES.items():
            replaced = around(name, getattr(owner, attribute))
            stack.enter_context(mock.patch.object(owner, attribute, replaced))
        yield


async def measure(results, model, everyone):
    """Fill the tables."""
    app = create_app(ServiceSettings(model, f"sqlite:///{model.parent}/stages.db"))
    await app.service.ratings.start()
    app.service.models.current.warm()
    empty = FastAPI()

    @empty.get("/")
    async def nothing():
        return {}

    get = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    best = min([await asked(empty, [get] * 2000) for _ in range(5)])
    results.add("A request", request="empty FastAPI endpoint", us=short(1e6 * best, 3))
    for what, requests in everyone.items():
        some = requests[:1500]
        best = min([await asked(app, some) for _ in range(6)])
        results.add("A request", request=what, us=short(1e6 * best, 3))
        spent = {}
        with timed(spent):
            await asked(app, some)
        for name, seconds in spent.items():
            results.add(f"Stages of a {what}", stage=name, us=short(1e6 * seconds / len(some), 3))
    await app.service.ratings.stop()


def main():
    args = arguments(__doc__)
    data = "synthetic:2000x1000x100000" if args.small else "synthetic:138493x26744x20000000"
    users, items = (2000, 1000) if args.small else (138493, 26744)
    results = Results("serve_stages", small=args.small, settings={"data": data, "rank": 64})
    cache = Path(tempfile.gettempdir()) / "cofactor-benchmarks"
    cache.mkdir(exist_ok=True)
    asyncio.run(measure(results, trained(data, cache), questions(users, items)))
    results.note(
        "A stage's figure holds the timing itself, and what is timed inside it. The server and the event loop "
        "come on top, for the empty endpoint too."
    )
    results.write()


if __name__ == "__main__":
    main()
