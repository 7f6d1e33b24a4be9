"""uvicorn with the connections of `connections`: a worker's loop, its signals, and what it looks after every second."""

import contextlib
import functools
import logging
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn

from cofactor.apps.web.connections import HEAD_SECONDS, MAX_CONNECTIONS, Connection, Connections
from cofactor.apps.web.proxies import Networks
from cofactor.apps.web.service import Service

__all__ = ["Worker"]

_OTHER_FILES = 500
"""Open files besides connections: the store's, the model's, the system's."""


class Worker(uvicorn.Server):
    """Answers requests until it is told to stop.

    Parameters
    ----------
    app : callable
        The ASGI application, with its ``service``.
    listening : socket.socket
    patience : int
        How many seconds open requests have to finish.
    """

    def __init__(self, app: Any, listening: socket.socket, patience: int) -> None:
        service: Service = app.service
        most = min(MAX_CONNECTIONS, max(_files() - _OTHER_FILES, 100))
        self.connections = Connections(
            Networks(service.settings.trusted_proxies),
            most,
            refused=functools.partial(service.metrics.count, "refused"),
        )
        self._listening = listening
        logger = logging.getLogger("uvicorn")  # it says little that our log does not, and not as JSON
        logger.handlers, logger.propagate = [logging.NullHandler()], False
        super().__init__(
            uvicorn.Config(
                app,
                http=functools.partial(Connection, self.connections),  # type: ignore[arg-type]
                interface="asgi3",
                ws="none",
                lifespan="on",
                backlog=2048,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=int(HEAD_SECONDS),
                timeout_graceful_shutdown=patience,
            )
        )

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer requests until told to stop."""
        super().run(sockets or [self._listening])

    async def on_tick(self, counter: int) -> bool:
        """Do what is due; uvicorn calls this ten times a second."""
        self.connections.cut_overdue()
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM; uvicorn would raise it again in the end, as if the worker had been killed."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handle_exit)
        yield


def _files() -> int:
    """Return how many files the process may open, after asking for as many as it is allowed."""
    try:
        import resource
    except ImportError:  # Windows
        return MAX_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + _OTHER_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
            soft = allowed
    return wanted if soft == resource.RLIM_INFINITY else soft
