"""Background work that never ends in silence: a failure is logged, told by /readyz and /metrics, and tried again."""

import contextlib
import logging
from collections.abc import Iterator

__all__ = ["Health"]

log = logging.getLogger("cofactor.web")


class Health:
    """What is wrong with the background work of a process."""

    def __init__(self) -> None:
        self._failing: dict[str, str] = {}

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

    @property
    def failing(self) -> list[str]:
        """The names of the work that failed the last time it was tried."""
        return sorted(self._failing)
