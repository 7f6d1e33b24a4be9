"""How the processes of a service tell each other to read the model's file again: a file that changes."""

import os
import secrets
from pathlib import Path

__all__ = ["ReloadSignal"]


class ReloadSignal:
    """A signal to all processes of a service; a single process needs none.

    Parameters
    ----------
    folder : Path, optional
        A folder that the processes share.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file = None if folder is None else folder / "reload"
        self._seen = self._state()

    def send(self) -> None:
        """Tell the other processes; the sender does not receive its own signal."""
        if self._file is not None:
            beside = self._file.with_name(f".reload-{secrets.token_hex(4)}")
            beside.write_text(str(os.getpid()))
            beside.replace(self._file)
            self._seen = self._state()

    def received(self) -> bool:
        """Tell whether a signal was sent since the last call."""
        state = self._state()
        fresh, self._seen = state != self._seen, state
        return fresh

    def _state(self) -> tuple[int, int]:
        try:
            status = os.stat(self._file or "")  # noqa: PTH116  (asked often)
        except OSError:
            return (0, 0)
        return (status.st_mtime_ns, status.st_ino)
