"""Responses compressed with brotli or gzip, whichever the client prefers; the small ones as they are."""

import functools
import gzip
from collections.abc import Callable, Mapping
from typing import Any

import brotli

__all__ = ["COMPRESSED_FROM", "Compression", "preferred_coding"]

COMPRESSED_FROM = 1_000
"""Responses of this many bytes are compressed for clients that ask for it."""

_QUICK: Mapping[str, Callable[[bytes], bytes]] = {
    "br": functools.partial(brotli.compress, quality=4),
    "gzip": functools.partial(gzip.compress, compresslevel=5, mtime=0),
}
_SMALL: Mapping[str, Callable[[bytes], bytes]] = {
    "br": functools.partial(brotli.compress, quality=9),
    "gzip": functools.partial(gzip.compress, compresslevel=9, mtime=0),
}
"""For what is sent again and again; it takes ten times as long."""

_KINDS = (b"text/", b"application/json", b"application/problem+json", b"image/svg+xml")


@functools.lru_cache(maxsize=500)
def preferred_coding(accepted: bytes) -> str | None:
    """Return the coding that an ``Accept-Encoding`` header prefers, of those that we write; None for none of them.

    Examples
    --------
    >>> [preferred_coding(text) for text in (b"gzip, br", b"gzip;q=1.0, br;q=0.5", b"br;q=0, *", b"deflate", b"")]
    ['br', 'gzip', 'gzip', None, None]
    """
    weights: dict[str, float] = {}
    for part in accepted.decode("latin-1").lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weights[name] = _weight(parameters)
    known = {coding: weights.get(coding, weights.get("*", 0.0)) for coding in _QUICK}
    if "x-gzip" in weights:
        known["gzip"] = max(known["gzip"], weights["x-gzip"])
    best = max(known, key=known.__getitem__)  # brotli, if both weigh the same
    return best if known[best] > 0 else None


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return float(parameter[2:])
            except ValueError:
                return 0.0
    return 1.0


@functools.lru_cache(maxsize=256)
def _compressed_once(body: bytes, coding: str) -> bytes:
    return _SMALL[coding](body)


class Compression:
    """What compresses the messages of one response, which must come with its whole body at once.

    Parameters
    ----------
    accepted : bytes
        The request's ``Accept-Encoding``.
    is_file : bool
        Whether it is the same for everybody, so that it is compressed once, and well.
    """

    def __init__(self, accepted: bytes, is_file: bool = False) -> None:
        self._coding, self._is_file = preferred_coding(accepted), is_file
        self._start: dict[str, Any] | None = None

    def messages(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the messages to send in place of one: the start waits for the body, whose length it tells."""
        if message["type"] == "http.response.start":
            self._start = message
            return []
        start, self._start = self._start, None
        if start is None:
            return [message]
        if message.get("more_body") or len(message.get("body", b"")) < COMPRESSED_FROM:
            return [start, message]
        headers = dict(start["headers"])
        if b"content-encoding" in headers or not headers.get(b"content-type", b"").startswith(_KINDS):
            return [start, message]
        headers[b"vary"] = b"accept-encoding"
        if self._coding is not None:
            tag, body = headers.get(b"etag"), message["body"]
            body = _compressed_once(body, self._coding) if self._is_file else _QUICK[self._coding](body)
            headers |= {b"content-encoding": self._coding.encode(), b"content-length": str(len(body)).encode()}
            if tag is not None and not tag.startswith(b"W/"):  # the same page, though not byte for byte
                headers[b"etag"] = b"W/" + tag
            message = {**message, "body": body}
        return [{**start, "headers": list(headers.items())}, message]
