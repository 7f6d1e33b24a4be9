"""Background work that never ends in silence: a failure is logged, told by /readyz and /metrics, and tried again."""

import contextlib
import logging
import time
from collections.abc import Iterator

__all__ = ["Health"]

log = logging.getLogger("cofactor.web")


class Health:
    """What is wrong with the background work of a process."""

    def __init__(self) -> None:
        self._failing: dict[str, str] = {}
        self._ended: dict[str, float] = {}

    @contextlib.contextmanager
    def watching(self, work: str) -> Iterator[None]:
        """Log whatever the block raises, and remember that this work fails until it has ended well again."""
        try:
            yield
        except Exception as error:
            if self._failing.get(work) != type(error).__name__:  # said once, not at every try
                log.exception("%s failed", work, extra={"event": "background_failure"})
            self._failing[work] = type(error).__name__
        else:
            self._failing.pop(work, None)
            self._ended[work] = time.time()

    @property
    def failing(self) -> list[str]:
        """The names of the work that failed the last time it was tried."""
        return sorted(self._failing)

    @property
    def jobs(self) -> dict[str, tuple[str | None, float | None]]:
        """All work so far: the kind of error that it failed with the last time, and when it last ended well."""
        names = sorted({*self._failing, *self._ended})
        return {name: (self._failing.get(name), self._ended.get(name)) for name in names}
