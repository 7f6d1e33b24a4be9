"""Limits of a request: how long its address and body may be, how long the body may take, and that both are well formed.

Those of connections and of a request's head are in `connections`.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from cofactor.apps.web.problems import BUSY, Problem
from cofactor.apps.web.proxies import neighbourhood
from cofactor.apps.web.requests import SLASH

__all__ = ["MAX_BODY_BYTES", "Load", "check_address", "read_body"]

MAX_BODY_BYTES = 1_000_000
LARGE_BYTES = 65_536
BODY_SECONDS = 10.0
MAX_PATH_BYTES = 2_000
MAX_QUERY_BYTES = 100_000

_SLASH = quote(SLASH).encode()


def check_address(scope: Any) -> None:
    """Refuse a request whose address is too long or malformed, and replace encoded slashes in its path by `SLASH`.

    Raises
    ------
    Problem
    """
    if len(scope["path"]) > MAX_PATH_BYTES or len(scope.get("query_string", b"")) > MAX_QUERY_BYTES:
        raise Problem(414, "the address is too long: send long lists in the body of POST /v1/recommendations")
    if "\ufffd" in scope["path"]:  # what the server makes of bytes that are no character
        raise Problem(400, "the address is not valid UTF-8")
    if SLASH in scope["path"]:
        raise Problem(400, "the address has a control character in it")
    raw: bytes = scope.get("raw_path") or b""
    if b"%2f" in raw or b"%2F" in raw:
        scope["path"] = unquote(raw.replace(b"%2f", _SLASH).replace(b"%2F", _SLASH).decode("latin-1"))


class Load:
    """What a worker has to do at the moment, within bounds.

    Parameters
    ----------
    most_per_address : int
        How many requests may be under way from one address, which matters where a trusted proxy tells it: the proxy's
        own connections are not bounded.
    most_large : int
        How many large bodies may be in memory.
    """

    def __init__(self, most_per_address: int = 500, most_large: int = 32) -> None:
        self._most_per_address, self._most_large, self._large = most_per_address, most_large, 0
        self._per_address: dict[str, int] = {}

    def begin(self, address: str) -> str:
        """Count a request that begins, and return what `end` is to be told.

        Raises
        ------
        Problem
            If there are too many.
        """
        key = neighbourhood(address)
        own = self._per_address.get(key, 0) + 1
        if own > self._most_per_address:
            detail = "too many requests from one address are under way: try again soon"
            raise Problem(503, detail, "too-many-requests", BUSY)
        self._per_address[key] = own
        return key

    def end(self, key: str) -> None:
        """Count a request no more."""
        left = self._per_address.pop(key) - 1
        if left:
            self._per_address[key] = left

    @contextlib.contextmanager
    def large_body(self) -> Iterator[None]:
        """Count a large body while it arrives.

        Raises
        ------
        Problem
            If there are too many.
        """
        if self._large >= self._most_large:
            raise Problem(503, "too many large bodies are arriving: try again soon", "too-many-requests", BUSY)
        self._large += 1
        try:
            yield
        finally:
            self._large -= 1


async def read_body(headers: dict[bytes, bytes], receive: Any, load: Load) -> bytes:
    """Return the whole body of a request; empty where it has none.

    Raises
    ------
    Problem
        If it is too long, takes too long, is compressed, or is not declared as JSON.
    ConnectionResetError
        If the client has left.
    """
    length = headers.get(b"content-length", b"0")
    if b"transfer-encoding" not in headers and length in (b"0", b""):
        return b""
    if not length.isdigit() or int(length[:12]) > MAX_BODY_BYTES:
        raise _closing(413, f"the body is larger than {MAX_BODY_BYTES:,} bytes")
    if int(length):
        _check_kind(headers)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read(headers, receive, load)
    except TimeoutError:
        raise _closing(408, f"the body did not arrive within {BODY_SECONDS:g} seconds") from None


async def _read(headers: dict[bytes, bytes], receive: Any, load: Load) -> bytes:
    parts, size, more = [], 0, True
    with contextlib.ExitStack() as stack:
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError
            part = message.get("body", b"")
            if part and not size:  # a body in chunks may turn out to be empty
                _check_kind(headers)
            if size <= LARGE_BYTES < size + len(part):
                stack.enter_context(load.large_body())
            size += len(part)
            if size > MAX_BODY_BYTES:
                raise _closing(413, f"the body is larger than {MAX_BODY_BYTES:,} bytes")
            parts.append(part)
            more = message.get("more_body")
    return b"".join(parts)


def _check_kind(headers: dict[bytes, bytes]) -> None:
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise _closing(415, "the body must not be compressed", {"accept-encoding": "identity"})
    kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if kind != b"application/json":
        raise _closing(415, "the body must have the content type application/json")


def _closing(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Problem:
    """Return a problem after which the connection is closed, since the rest of the body is not read."""
    return Problem(status, detail, headers={"connection": "close", **(headers or {})})
