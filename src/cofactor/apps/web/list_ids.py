"""Ids of lists, which say by themselves that this service made them, and when.

So an event about a list that was never served is refused at once, by any worker, without asking the store. An id has
the time in milliseconds (6 bytes), chance (6 bytes), and a keyed digest of both (8 bytes), as 32 characters whose order
is that of time.
"""

import base64
import hashlib
import hmac
import secrets
import time

__all__ = ["first_id_of", "made_at", "new_id"]

_HEAD = 12


def new_id(born: str, at: float | None = None) -> str:
    """Return a new list's id, in the store of a name; made now, or at a time in seconds since 1970.

    Examples
    --------
    >>> one = new_id("shop")
    >>> len(one), abs(made_at(one, "shop") - time.time()) < 5, made_at(one, "another shop")
    (32, True, None)
    """
    head = int(1000 * (time.time() if at is None else at)).to_bytes(6, "big") + secrets.token_bytes(_HEAD - 6)
    return _text(head + _digest(head, born))


def made_at(list_id: str, born: str) -> float | None:
    """Return when a list was made, in seconds since 1970; None for an id that is not of this store."""
    try:
        parts = base64.b32hexdecode(list_id.upper())
    except ValueError:
        return None
    head = parts[:_HEAD]
    if list_id != list_id.lower() or not hmac.compare_digest(parts[_HEAD:], _digest(head, born)):
        return None
    return int.from_bytes(head[:6], "big") / 1000


def first_id_of(day: int) -> str:
    """Return what all ids of a day and later ones, and no earlier ones, are at least; days count from 1970."""
    return _text((86_400_000 * day).to_bytes(6, "big") + bytes(14))


def _digest(head: bytes, born: str) -> bytes:
    return hashlib.blake2b(head, digest_size=8, key=born.encode()[:64], person=b"cofactor lists").digest()


def _text(parts: bytes) -> str:
    return base64.b32hexencode(parts).decode().lower()
