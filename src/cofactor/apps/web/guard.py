"""What stands before the application: limits, deadlines, names and tokens, headers, counts and the log."""

import asyncio
import logging
import re
import secrets
import time
from typing import Any
from urllib.parse import quote, unquote

from cofactor.apps.web.problems import MEDIA_TYPE, body_of
from cofactor.apps.web.questions import SLASH
from cofactor.apps.web.security import HEADERS
from cofactor.apps.web.service import Service

__all__ = ["MOST_BODY_BYTES", "Guard"]

log = logging.getLogger("cofactor.web")

MOST_BODY_BYTES = 1_000_000
BODY_SECONDS = 10.0
"""A request's body must be there within so long; its head within the server's own deadline."""

MOST_PATH_BYTES = 2_000
MOST_QUERY_BYTES = 100_000

_SLASH = quote(SLASH).encode()
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_\-.]{1,64}")
_FIXED = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


class Refused(Exception):
    """A request that goes no further: status, what is said of it, and its kind."""

    def __init__(self, status: int, detail: str, kind: str = "", close: bool = False) -> None:
        super().__init__(detail)
        self.status, self.detail, self.kind, self.close = status, detail, kind, close


class Guard:
    """An ASGI application around another.

    Parameters
    ----------
    app : callable
        The ASGI application inside.
    service : Service
        What is known of who may come in, and where requests are counted; tests reach it here, too.
    """

    def __init__(self, app: Any, service: Service) -> None:
        self._app, self.service = app, service
        self._doorkeeper, self._metrics = service.doorkeeper, service.metrics

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        headers = dict(scope["headers"])
        asked = headers.get(b"x-request-id", b"")
        request_id = asked if _REQUEST_ID.fullmatch(asked) else secrets.token_hex(8).encode()
        status = 500
        started = False

        async def respond(message: Any) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                message["headers"] = [*message["headers"], *_FIXED, (b"x-request-id", request_id)]
            await send(message)

        try:
            self._check(scope, headers)
            body = await _whole_body(scope, headers, receive)
            await self._app(scope, _once(body, receive), respond)
        except Refused as refusal:
            self._metrics.count("refused")
            await _refuse(refusal, respond)
        except ConnectionError:  # who asked has left
            status = 499
        except Exception:
            log.exception("a request failed", extra={"event": "failure", "request_id": request_id.decode()})
            if not started:
                await _refuse(
                    Refused(500, "something went wrong here; the log knows the request by its X-Request-ID"), respond
                )
        self._note(scope, status, time.perf_counter() - begun, request_id)

    def _check(self, scope: Any, headers: dict[bytes, bytes]) -> None:
        if len(scope["path"]) > MOST_PATH_BYTES or len(scope.get("query_string", b"")) > MOST_QUERY_BYTES:
            raise Refused(414, "the address is too long: send long lists in a body")
        if "\ufffd" in scope["path"]:  # what the server makes of bytes that mean no letter
            raise Refused(400, "the address is no sound UTF-8")
        if SLASH in scope["path"]:
            raise Refused(400, "the address has a control character in it")
        raw: bytes = scope.get("raw_path") or b""
        if b"%2f" in raw or b"%2F" in raw:
            scope["path"] = unquote(raw.replace(b"%2f", _SLASH).replace(b"%2F", _SLASH).decode("latin-1"))
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        host = hosts[0].decode("latin-1") if len(hosts) == 1 else ""
        if not self._doorkeeper.knows_host(host):
            detail = "this service does not go by that name: start it with --name to add one"
            raise Refused(421, detail, "unknown-host")
        origin = headers.get(b"origin")
        if origin is not None and not self._doorkeeper.same_origin(origin.decode("latin-1"), host):
            raise Refused(403, "another site's page may not use this service", "foreign-origin")
        if not self._doorkeeper.may(
            scope["method"], scope["path"], headers.get(b"authorization", b"").decode("latin-1")
        ):
            raise Refused(401, "this needs the header 'Authorization: Bearer TOKEN'", "token-needed")

    def _note(self, scope: Any, status: int, seconds: float, request_id: bytes) -> None:
        route = scope.get("short_route") or getattr(scope.get("route"), "path", None)
        self._metrics.request(route, status, seconds)
        if status >= 400 or scope["method"] not in ("GET", "HEAD", "POST") or seconds > 1:
            known = {"method": scope["method"][:10], "route": route or "other", "status": status}
            more = {"event": "request", "request_id": request_id.decode(), "ms": round(1000 * seconds, 1)}
            log.log(logging.ERROR if status >= 500 else logging.INFO, "request", extra={**known, **more})


async def _whole_body(scope: Any, headers: dict[bytes, bytes], receive: Any) -> bytes:
    """Return the body, once all of it is there; in time, not too long, and JSON where there is one."""
    length = headers.get(b"content-length", b"0")
    if b"transfer-encoding" not in headers and length in (b"0", b""):
        return b""
    if not length.isdigit() or int(length[:12]) > MOST_BODY_BYTES:
        raise Refused(413, f"the body is larger than {MOST_BODY_BYTES:,} bytes", close=True)
    kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if kind != b"application/json":
        raise Refused(415, "the body must be of the type application/json", close=True)
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionResetError
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > MOST_BODY_BYTES:
                    raise Refused(413, f"the body is larger than {MOST_BODY_BYTES:,} bytes", close=True)
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError:
        raise Refused(408, f"the body was not here within {BODY_SECONDS:g} seconds", close=True) from None


def _once(body: bytes, receive: Any) -> Any:
    """Return what gives the application the body, and after it what the server says."""
    given = False

    async def next_message() -> Any:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message


async def _refuse(refusal: Refused, send: Any) -> None:
    body = body_of(refusal.status, refusal.detail, refusal.kind)
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refusal.close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
