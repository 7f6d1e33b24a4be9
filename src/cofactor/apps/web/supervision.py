"""The parent of the workers: starts them, brings back every one that is killed, and ends them in the end.

A worker that ends by itself before any has served ends the service, with exit code 1: it cannot start. Whatever happens
later, each is started again, ever more slowly while they do not last.
"""

import contextlib
import logging
import multiprocessing
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Any

from cofactor.apps.web.shared import Shared

__all__ = ["Supervisor", "pause_before"]

log = logging.getLogger("cofactor.web")

_LOOK_SECONDS = 0.5
_LASTING_SECONDS = 30.0
_MOST_SECONDS = 5.0
_SPAWN = multiprocessing.get_context("spawn")  # polars' threads do not survive a fork


def pause_before(short_lives: int) -> float:
    """Return the seconds to wait before a worker is started again, after so many that did not last.

    Examples
    --------
    >>> [pause_before(count) for count in (0, 1, 2, 5, 100)]
    [0.0, 0.1, 0.2, 1.6, 5.0]
    """
    return min(0.1 * 2 ** min(short_lives - 1, 10), _MOST_SECONDS) if short_lives else 0.0


@dataclass
class _Place:
    """The place of a worker: its process, and how long those before it lasted."""

    process: SpawnProcess
    born: float = field(default_factory=time.monotonic)
    short_lives: int = 0
    due: float = 0.0


class Supervisor:
    """Keeps some worker processes running until it is told to stop.

    Parameters
    ----------
    shared : Shared
        Says whether a worker has served.
    count : int
    work : callable
        What each does; it can be pickled.
    patience : float
        How many seconds a worker has to end.
    """

    def __init__(self, shared: Shared, count: int, work: Callable[[], Any], patience: float) -> None:
        self._shared, self._count, self._work, self._patience = shared, count, work, patience
        self._stopping = False

    def run(self) -> bool:
        """Start workers, and again those that end, until SIGTERM or SIGINT; tell whether any could serve."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        places = [_Place(self._started()) for _ in range(self._count)]
        try:
            return self._watch(places)
        finally:
            self._end([place.process for place in places])

    def _watch(self, places: list[_Place]) -> bool:
        while not self._stopping:
            living = [place.process.sentinel for place in places if not place.due]
            wait(living, self._pause(places))
            for place in places:
                if place.process.is_alive() or self._stopping:
                    continue
                if (place.process.exitcode or 0) > 0 and not self._shared.has_served.value:
                    return False
                now = time.monotonic()
                if not place.due:
                    place.short_lives = place.short_lives + 1 if now - place.born < _LASTING_SECONDS else 0
                    place.due = now + pause_before(place.short_lives)
                    log.error("a worker ended", extra={"event": "worker_ended", "worker": place.process.pid})
                if now >= place.due:
                    place.process, place.born, place.due = self._started(), time.monotonic(), 0.0
        return True

    def _pause(self, places: list[_Place]) -> float:
        """Return the seconds until the next worker is due; not long, since a signal does not end the waiting."""
        due = min((place.due for place in places if place.due), default=time.monotonic() + _LOOK_SECONDS)
        return min(max(due - time.monotonic(), 0.0), _LOOK_SECONDS)

    def _started(self) -> SpawnProcess:
        process = _SPAWN.Process(target=self._work, name="cofactor worker")
        process.start()
        return process

    def _end(self, processes: list[SpawnProcess]) -> None:
        """Ask all to end, and kill those that take too long."""
        for process in processes:
            process.terminate()
        end = time.monotonic() + self._patience
        for process in processes:
            process.join(max(end - time.monotonic(), 0.0))
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.join()

    def _stop(self, *_: object) -> None:
        self._stopping = True
