"""What the processes of a service share: counters, signals, and what is wrong with their background work.

All of it is in memory, since files in a temporary folder are cleaned away on some machines.
"""

import ctypes
import multiprocessing
import os
import time
from multiprocessing.sharedctypes import RawArray, RawValue
from pathlib import Path

import numpy as np

__all__ = ["COUNTERS", "Shared", "Signal"]

COUNTERS = 4096
"""How many counters each process has."""

_CLAIM_SECONDS = 5


class Shared:
    """Memory that the first process makes and hands to those that it starts.

    Parameters
    ----------
    workers : int
        How many processes answer requests at a time.
    spare : Path, optional
        Where a worker keeps its model if the file is not sound any more.
    """

    def __init__(self, workers: int, spare: Path | None = None) -> None:
        self.spare = spare
        self._claiming = multiprocessing.get_context("spawn").Lock()
        self._owners = RawArray(ctypes.c_int64, workers)
        self._counters = RawArray(ctypes.c_double, workers * COUNTERS)
        self.reload, self.keep = RawValue(ctypes.c_int64), RawValue(ctypes.c_int64)
        self.has_served = RawValue(ctypes.c_bool)
        self.refit_failing = RawValue(ctypes.c_bool)

    def own_counters(self) -> np.ndarray:
        """Return the counters of this process; a worker that takes the place of another goes on with its counters."""
        claimed = self._claiming.acquire(timeout=_CLAIM_SECONDS)  # one that was killed here never gives it back
        try:
            for place, owner in enumerate(self._owners):
                if not owner or not _runs(owner):
                    self._owners[place] = os.getpid()
                    return self.counters()[place]
        finally:
            if claimed:
                self._claiming.release()
        return np.zeros(COUNTERS)

    def counters(self) -> np.ndarray:
        """Return the counters of all processes, one row each."""
        return np.ctypeslib.as_array(self._counters).reshape(-1, COUNTERS)


class Signal:
    """A signal to all processes of a service.

    Parameters
    ----------
    value : ctypes.c_int64, optional
        In shared memory; None for a single process, which has nobody to tell.
    """

    def __init__(self, value: "ctypes.c_int64 | None") -> None:
        self._value = value
        self._seen = self._sent()

    def send(self) -> None:
        """Tell the other processes; the sender does not receive its own signal."""
        if self._value is not None:
            self._value.value = self._seen = time.monotonic_ns()

    def received(self) -> bool:
        """Tell whether a signal was sent since the last call."""
        sent = self._sent()
        fresh, self._seen = sent != self._seen, sent
        return fresh

    def _sent(self) -> int:
        return 0 if self._value is None else self._value.value


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
