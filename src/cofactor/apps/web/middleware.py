"""Around every request: access and limits are checked, security headers added, requests counted and logged."""

import itertools
import logging
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request

from cofactor.apps.web.compression import Compression
from cofactor.apps.web.limits import Load, check_address, read_body
from cofactor.apps.web.problems import FAILURE, Problem, problem_of, problem_response
from cofactor.apps.web.proxies import Networks, asked_host, asked_scheme, asking_address, prefix_of, strip_prefix
from cofactor.apps.web.requests import DirectRoutes
from cofactor.apps.web.routes.page import FILES
from cofactor.apps.web.service import Service

__all__ = ["Middleware"]

log = logging.getLogger("cofactor.web")

SECURITY_HEADERS: Mapping[str, str] = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
}
"""In every response: nothing is loaded from other sites, and no other page may frame or read this one."""

_HEADERS = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
HEALTH = frozenset({"/healthz", "/readyz"})
"""Load balancers ask for these by address, or without any Host."""

_LEVELS = {500: logging.ERROR, 503: logging.WARNING}  # not ready yet, or without its store, is no fault in a request
_PROCESS, _COUNT = secrets.token_hex(6).encode(), itertools.count(1)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_\-.]{1,64}")


class Middleware:
    """An ASGI application around another.

    Parameters
    ----------
    app : FastAPI
        The application inside. Requests of its `DirectRoute` go to the endpoint from here.
    service : Service
        Has the access policy and the counters; tests reach it here, too.
    """

    def __init__(self, app: FastAPI, service: Service) -> None:
        self._app, self._direct = app, DirectRoutes(app.routes)
        self.service, self._access, self._metrics = service, service.access, service.metrics
        self._proxies, self._root_path = Networks(service.settings.trusted_proxies), service.settings.root_path
        self._load = Load()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        scope, headers = dict(scope), dict(scope["headers"])
        given_id = headers.get(b"x-request-id", b"")
        request_id = given_id if _REQUEST_ID.fullmatch(given_id) else b"%b-%x" % (_PROCESS, next(_COUNT))
        compression = Compression(headers.get(b"accept-encoding", b""), scope["path"] in FILES)
        method, status, started = scope["method"], 500, False
        if method == "HEAD":  # as GET, but without the body
            scope["method"] = "GET"

        async def respond(message: Any) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
            for one in compression.messages(message):
                if one["type"] == "http.response.start":
                    one["headers"] = [*one["headers"], *_HEADERS, (b"x-request-id", request_id)]
                elif method == "HEAD":
                    one = {**one, "body": b""}
                await send(one)

        try:
            await self._answer(scope, headers, receive, respond)
        except ConnectionError:  # the client has left
            status = 499
        except Exception as error:
            problem = problem_of(error, method)
            if problem is FAILURE:
                log.exception("a request failed", extra={"event": "failure", "request_id": request_id.decode()})
            elif "route" not in scope:
                self._metrics.count("refused")
            if not started:
                await problem_response(problem)(scope, receive, respond)
        self._record(scope, status, time.perf_counter() - start, request_id)

    async def _answer(self, scope: Any, headers: dict[bytes, bytes], receive: Any, respond: Any) -> None:
        """Check a request, and let its endpoint answer it."""
        given, client = scope["headers"], (scope.get("client") or ("",))[0]
        trusted = self._proxies.hold(client)
        host, scheme = asked_host(given, trusted), asked_scheme(given, trusted)
        scope["scheme"] = scheme or scope["scheme"]
        prefix = prefix_of(given, trusted, self._root_path)
        if strip_prefix(scope, prefix):
            raise Problem(308, "the page's address ends with a slash", headers={"location": f"{prefix}/"})
        check_address(scope)
        self._check_access(scope, headers, host, scheme)
        address = asking_address(given, self._proxies, client) if trusted else client
        under_way = None if scope["path"] in HEALTH else self._load.begin(address)
        try:
            body = await read_body(headers, receive, self._load)
            route = self._direct.find(scope)
            if route is None:
                await self._app(scope, _once(body, receive), respond)
            else:
                scope.update(app=self._app, route=route)
                response = await route.endpoint(Request(scope, _once(body, receive)))
                await response(scope, receive, respond)
        finally:
            if under_way is not None:
                self._load.end(under_way)

    def _check_access(self, scope: Any, headers: dict[bytes, bytes], host: str, scheme: str) -> None:
        if scope["path"] not in HEALTH and not self._access.knows_host(host):
            detail = (
                "the request's Host is not a name of this service: start it with --name HOST to add one, or let the "
                "proxy in front of it pass on the Host that it was asked for"
            )
            raise Problem(421, detail, "unknown-host")
        origin = headers.get(b"origin")
        if origin is not None and not self._access.same_origin(origin.decode("latin-1"), host, scheme):
            detail = (
                "pages of other sites may not use this service; if this is its own page, let the proxy in front of it "
                "pass on Host and port (in nginx: proxy_set_header Host $http_host), or start it with --name HOST"
            )
            raise Problem(403, detail, "foreign-origin")
        authorization = headers.get(b"authorization", b"").decode("latin-1")
        if not self._access.allows(scope["method"], scope["path"], authorization):
            detail = "this needs the header 'Authorization: Bearer TOKEN'"
            raise Problem(401, detail, "token-needed", {"www-authenticate": "Bearer"})

    def _record(self, scope: Any, status: int, seconds: float, request_id: bytes) -> None:
        """Count a request, and log it unless it is a read that went well."""
        route = getattr(scope.get("route"), "path", None)
        self._metrics.request(route, status, seconds)
        if status >= 400 or scope["method"] not in ("GET", "HEAD", "POST") or seconds > 1:
            known = {"method": scope["method"][:10], "route": route or "other", "status": status}
            more = {"event": "request", "request_id": request_id.decode(), "ms": round(1000 * seconds, 1)}
            log.log(_LEVELS.get(status, logging.INFO), "request", extra={**known, **more})


def _once(body: bytes, receive: Any) -> Any:
    """Return a `receive` that gives the application the body, and after it what the server says."""
    given = False

    async def next_message() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message
