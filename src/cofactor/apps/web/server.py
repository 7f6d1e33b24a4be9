"""The server: granian's processes around the application, signals, and the trainings in between.

granian was chosen because it drops a connection whose request's head is not there in time, while slow ones cost it
nothing; uvicorn waits for ever. For a body, and for its size, `cofactor.apps.web.guard` sets the deadline.
"""

import dataclasses
import functools
import logging
import multiprocessing
import os
import signal
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from cofactor.apps.web import logs
from cofactor.apps.web.notice import Notice
from cofactor.apps.web.settings import ServiceSettings
from cofactor.errors import SettingError, missing_extra

__all__ = ["HEAD_SECONDS", "run"]

log = logging.getLogger("cofactor.web")

HEAD_SECONDS = 10
"""A request's head must be there within so long; a connection may be silent for so long, too."""

DRAIN_SECONDS = 15
_PARENT_SECONDS = 0.5


def run(settings: ServiceSettings) -> None:
    """Serve until told to stop: SIGTERM and SIGINT let open requests finish, SIGHUP reads the model again.

    Parameters
    ----------
    settings : ServiceSettings

    Raises
    ------
    MissingExtraError
        If granian is not installed.
    SettingError
        If the address is taken.
    """
    try:
        from granian import Granian
        from granian.constants import HTTPModes, Interfaces, Loops
        from granian.http import HTTP1Settings
    except ImportError:
        raise missing_extra("granian", "web") from None
    _check_address(settings.host, settings.port)
    logs.set_up()
    multiprocessing.set_start_method("spawn", force=True)  # polars' threads do not survive a fork
    with tempfile.TemporaryDirectory(prefix="cofactor-") as shared:
        settings = dataclasses.replace(settings, shared=Path(shared))
        server = Granian(
            "cofactor", address=settings.host, port=settings.port, interface=Interfaces.ASGI, http=HTTPModes.http1,
            workers=settings.workers, loop=Loops.asyncio, websockets=False, backlog=2048, backpressure=2048,
            http1_settings=HTTP1Settings(header_read_timeout=1000 * HEAD_SECONDS, max_buffer_size=131_072),
            workers_kill_timeout=DRAIN_SECONDS, respawn_failed_workers=True, log_dictconfig=_LOGS,
        )  # fmt: skip
        notice = Notice(Path(shared))
        server.on_startup(functools.partial(_begin, settings, notice))
        server.serve(target_loader=functools.partial(worker, settings, os.getpid()), wrap_loader=False)


_LOGS: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"nowhere": {"class": "logging.NullHandler"}},
    "loggers": {"_granian": {"handlers": ["nowhere"], "propagate": False}, "granian.access": {"propagate": False}},
}
"""granian says little that our own log does not, and not as JSON."""


def worker(settings: ServiceSettings, parent: int) -> Any:
    """Return the application of one worker process."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the parent passes it on
    logs.set_up()
    threading.Thread(target=_follow, args=(parent,), name="follow", daemon=True).start()
    from cofactor.apps.web.app import create_app

    app = create_app(settings)
    log.info("worker ready", extra={"event": "worker_ready", "worker": os.getpid()})
    return app


def _follow(parent: int) -> None:
    """End this process when the one that started it is gone without a word."""
    while os.getppid() == parent:
        time.sleep(_PARENT_SECONDS)
    os._exit(1)


def _begin(settings: ServiceSettings, notice: Notice) -> None:
    """Say where, take SIGHUP for ourselves, and begin to train now and then."""
    address = f"http://{_bracketed(settings.host)}:{settings.port}"
    log.info("serving %s at %s", settings.model.name, address, extra={"event": "serving", "address": address})
    signal.signal(signal.SIGHUP, lambda *_: notice.give())
    if settings.refit_every is not None:
        from cofactor.apps.web.refitting import refit_for_ever

        threading.Thread(target=refit_for_ever, args=(settings, notice), name="refit", daemon=True).start()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _check_address(host: str, port: int) -> None:
    """Refuse an address that another service has: the workers share it, so they would share it with strangers too."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise SettingError(f"cannot listen at {host}:{port}: {error.strerror}; choose another --port") from None
