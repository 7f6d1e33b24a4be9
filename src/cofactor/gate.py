"""The gate that every stored file passes before it is read: an ordinary file, no longer than it may be, undamaged.

Nothing is read to find out what a path is, and nothing waits: a pipe in a file's place would block for ever.
"""

import errno
import json
import os
import stat
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

__all__ = ["MOST_OF_A_CARD", "checksum", "checksum_of_file", "ordinary", "parsed", "read_bytes", "unusable_path"]

MOST_OF_A_CARD = 2_000_000
"""Bytes of a description in JSON; those that are written have a few thousand."""

_DEEPEST = 50
_TOO_LONG = {errno.ENAMETOOLONG, getattr(errno, "WSAENAMETOOLONG", errno.ENAMETOOLONG)}
_AT_ONCE = 2**24


def unusable_path(path: str | os.PathLike[str]) -> str | None:
    """Return what is wrong with a path that no system call takes: a NUL in it, or too many bytes; None if nothing is.

    Examples
    --------
    >>> unusable_path("films\\0.csv"), unusable_path("films.csv")
    ('has a NUL character in it', None)
    """
    try:
        os.stat(path)  # noqa: PTH116  (Path hides the reason)
    except OSError as error:
        return "is too long" if error.errno in _TOO_LONG else None
    except ValueError:
        return "has a NUL character in it" if "\0" in os.fspath(path) else "is not text that a file name can hold"
    return None


def ordinary(path: Path, error: type[Exception], remedy: str) -> BinaryIO:
    """Open an ordinary file for reading; whatever else bears its name is refused, without waiting for it.

    Parameters
    ----------
    path : path
    error : type
        What is raised where it is something else; the system's own errors, such as a missing file, pass.
    remedy : str
        What to do then, for the error's text.
    """
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise error(f"{path} is not an ordinary file: {remedy}")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_bytes(path: Path, most: int, error: type[Exception], remedy: str) -> bytes:
    """Return the content of an ordinary file of at most ``most`` bytes; anything else raises ``error``."""
    with ordinary(path, error, remedy) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise error(f"{path} is longer than the {most:,} bytes that it may have: {remedy}")
    return content


def parsed(text: str | bytes) -> Any:
    """Read JSON without infinite numbers, of bounded length and depth.

    Raises
    ------
    ValueError
        If it is none.
    """
    if len(text) > MOST_OF_A_CARD:
        raise ValueError(f"a description of more than {MOST_OF_A_CARD:,} bytes")
    try:
        found = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("a description with lists in lists without end") from None
    _check_depth(found, _DEEPEST)
    return found


def checksum(array: np.ndarray) -> int:
    """Return the CRC-32 of an array's bytes, read part by part: against damage, not against a forger."""
    flat, found = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, 0
    for first in range(0, len(flat), _AT_ONCE):
        found = zlib.crc32(flat[first : first + _AT_ONCE], found)
    return found


def checksum_of_file(path: Path) -> int:
    """Return the CRC-32 of a file's bytes."""
    found = 0
    with path.open("rb") as file:
        while part := file.read(_AT_ONCE):
            found = zlib.crc32(part, found)
    return found


def _check_depth(value: Any, left: int) -> None:
    if not left:
        raise ValueError("a description with lists in lists without end")
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return
    for one in value:
        _check_depth(one, left - 1)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} stands where a number should")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"{text[:20]} stands where a number should")
    return number
