"""How the processes of a service tell each other that the model's file is to be read again: a file that changes."""

import os
import secrets
from pathlib import Path

__all__ = ["Notice"]


class Notice:
    """A word to all processes of a service; one process alone needs none.

    Parameters
    ----------
    folder : Path, optional
        What the processes have in common.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file = None if folder is None else folder / "reload"
        self._seen = self._state()

    def give(self) -> None:
        """Tell the others; who gives notice has no need to heed it."""
        if self._file is not None:
            beside = self._file.with_name(f".reload-{secrets.token_hex(4)}")
            beside.write_text(str(os.getpid()))
            beside.replace(self._file)
            self._seen = self._state()

    def taken(self) -> bool:
        """Tell whether there is a notice that was not yet heeded, and take it as heeded."""
        state = self._state()
        fresh, self._seen = state != self._seen, state
        return fresh

    def _state(self) -> tuple[int, int]:
        try:
            status = os.stat(self._file or "")  # noqa: PTH116  (asked often)
        except OSError:
            return (0, 0)
        return (status.st_mtime_ns, status.st_ino)
