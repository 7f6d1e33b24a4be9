"""Limits of a request: how long its address and body may be, how long the body may take, and that both are well formed.

The deadline for a request's head is the server's own.
"""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from cofactor.apps.web.problems import Problem
from cofactor.apps.web.requests import SLASH

__all__ = ["MAX_BODY_BYTES", "check_address", "read_body"]

MAX_BODY_BYTES = 1_000_000
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


async def read_body(headers: dict[bytes, bytes], receive: Any) -> bytes:
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
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ConnectionResetError
                parts.append(message.get("body", b""))
                if parts[-1] and not size:  # a body in chunks may turn out to be empty
                    _check_kind(headers)
                size += len(parts[-1])
                if size > MAX_BODY_BYTES:
                    raise _closing(413, f"the body is larger than {MAX_BODY_BYTES:,} bytes")
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError:
        raise _closing(408, f"the body did not arrive within {BODY_SECONDS:g} seconds") from None


def _check_kind(headers: dict[bytes, bytes]) -> None:
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise _closing(415, "the body must not be compressed", {"accept-encoding": "identity"})
    kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if kind != b"application/json":
        raise _closing(415, "the body must have the content type application/json")


def _closing(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Problem:
    """Return a problem after which the connection is closed, since the rest of the body is not read."""
    return Problem(status, detail, headers={"connection": "close", **(headers or {})})
