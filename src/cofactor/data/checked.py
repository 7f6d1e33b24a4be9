"""Remembers which state of some files was found sound, so that large files are read through once, not at each opening.

A state is each file's size, time of change and number on its file system. The note lies among the files. Whoever can
write there can forge it: they could as well change the arrays while they are in use.
"""

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path

from cofactor.gate import MOST_OF_A_CARD, parsed, read_bytes

__all__ = ["remember_checked", "was_checked"]

NOTE = ".checked.json"

RULES = 1
"""What is checked; with new rules, all is checked again."""


def was_checked(folder: Path, files: Iterable[Path]) -> bool:
    """Return whether these files are as they were when `remember_checked` was called."""
    try:
        return bool(parsed(read_bytes(folder / NOTE, MOST_OF_A_CARD, ValueError, "")) == _state(files))
    except (OSError, ValueError):
        return False


def remember_checked(folder: Path, files: Iterable[Path]) -> None:
    """Note that files are sound; where nothing can be written, they are checked at each opening."""
    with contextlib.suppress(OSError):
        (folder / NOTE).write_text(json.dumps(_state(files)))


def _state(files: Iterable[Path]) -> dict[str, object]:
    known = {file.name: file.stat() for file in files}
    return {"rules": RULES, "files": {n: [one.st_size, one.st_mtime_ns, one.st_ino] for n, one in known.items()}}
