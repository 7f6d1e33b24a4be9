"""granian, with a parent that brings back every worker that is killed, however often that happens.

granian's own ends the service if a worker is killed within 5.5 seconds of its birth, since it cannot tell that from one
that cannot start. Here a worker that ends by itself before any has served ends the service, with exit code 1; whatever
happens later, each is started again, ever more slowly while they do not last.
"""

import logging
import time
from typing import Any

from granian import Granian

from cofactor.apps.web.shared import Shared

__all__ = ["SupervisedServer", "pause_before"]

log = logging.getLogger("cofactor.web")

_LOOK_SECONDS = 0.5
_LASTING_SECONDS = 30.0
_MOST_SECONDS = 5.0


def pause_before(short_lives: int) -> float:
    """Return the seconds to wait before a worker is started again, after so many that did not last.

    Examples
    --------
    >>> [pause_before(count) for count in (0, 1, 2, 5, 100)]
    [0.0, 0.1, 0.2, 1.6, 5.0]
    """
    return min(0.1 * 2 ** min(short_lives - 1, 10), _MOST_SECONDS) if short_lives else 0.0


class SupervisedServer(Granian):  # type: ignore[misc, valid-type]
    """A granian server whose parent gives up only what never worked.

    Parameters
    ----------
    shared : Shared
        Says whether a worker has served.
    arguments
        Those of ``granian.Granian``.
    """

    def __init__(self, shared: Shared, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, respawn_failed_workers=True, **options)
        self._shared = shared

    def _serve_loop(self, spawn_target: Any, target_loader: Any) -> None:
        """Start workers again until told to stop; in place of granian's loop."""
        births = [time.monotonic()] * self.workers
        short_lives, due = [0] * self.workers, [0.0] * self.workers
        while True:
            self.main_loop_interrupt.wait(_LOOK_SECONDS)
            self.main_loop_interrupt.clear()
            if self.interrupt_signal:
                self.interrupt_children.clear()  # who was killed just now does not make the end a failure
                return
            now = time.monotonic()
            for place, worker in enumerate(self.wrks):
                code = worker.inner.exitcode
                if code is None:
                    continue
                if code > 0 and not self._shared.has_served.value:
                    self.interrupt_children.append(place)  # which makes the exit code 1
                    return
                if not due[place]:
                    short_lives[place] = short_lives[place] + 1 if now - births[place] < _LASTING_SECONDS else 0
                    due[place] = now + pause_before(short_lives[place])
                    log.error("a worker ended", extra={"event": "worker_ended", "worker": worker.inner.pid})
                if now >= due[place]:
                    self._respawn_workers([place], spawn_target, target_loader)
                    births[place], due[place] = time.monotonic(), 0.0
                else:
                    self.main_loop_interrupt.wait(due[place] - now)
            self.interrupt_children.clear()
