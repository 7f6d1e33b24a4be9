"""The service's processes: a parent that watches, workers that answer; signals, and regular retraining."""

import dataclasses
import functools
import gc
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from cofactor.apps.web import logs
from cofactor.apps.web.settings import ServiceSettings, is_loopback
from cofactor.apps.web.shared import Shared, Signal
from cofactor.apps.web.store import store_of
from cofactor.apps.web.supervision import Supervisor
from cofactor.errors import ModelFileError, SettingError, first_line

__all__ = ["DRAIN_SECONDS", "run"]

log = logging.getLogger("cofactor.web")

DRAIN_SECONDS = 15
"""How long open requests may take to finish once the service is told to stop."""

UNREAD_BYTES = 131_072
"""How much of its responses the system keeps for a client that does not read them; by default it is megabytes, and who
sends one request after the other without reading would have dozens of them worked out.
"""

SWITCH_SECONDS = 0.0005
"""After how long a thread that computes lets the one go on that answers requests; Python's 5 ms are long for a list."""

_PARENT_SECONDS = 0.5
_WAIT_SECONDS = 0.5


def run(settings: ServiceSettings) -> bool:
    """Serve until told to stop: SIGTERM and SIGINT let open requests finish, SIGHUP reloads the model.

    Parameters
    ----------
    settings : ServiceSettings

    Returns
    -------
    bool
        Whether it could serve; if not, the log says why.

    Raises
    ------
    SettingError
        If it cannot listen at the address.
    """
    address = resolved(settings.host, settings.port)
    _check_address(address, settings.port)
    logs.set_up()
    spare = _private_folder()
    shared = Shared(settings.workers, spare and spare / "last-sound.safetensors")
    settings = dataclasses.replace(settings, shared=shared)
    work = functools.partial(worker, settings, shared, os.getpid(), address)
    try:
        _on_startup(settings, shared)
        return Supervisor(shared, settings.workers, work, DRAIN_SECONDS + 1).run()
    finally:
        if spare is not None:
            shutil.rmtree(spare, ignore_errors=True)


def _private_folder() -> Path | None:
    """Return a folder for what workers must hand on; None where there is no place for one."""
    try:
        return Path(tempfile.mkdtemp(prefix="cofactor-"))
    except OSError:
        return None


def worker(settings: ServiceSettings, shared: Shared, parent: int, address: str) -> None:
    """Answer requests, in a process of its own."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the parent passes it on
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes: the parent ends the others
    logs.set_up()
    threading.Thread(target=_end_with, args=(parent,), name="end-with-parent", daemon=True).start()
    try:
        with logs.told():
            from cofactor.apps.web.worker import Worker

            server = Worker(_created(settings, shared), _listening(address, settings.port), DRAIN_SECONDS)
    except Exception:
        sys.exit(1)  # it is logged
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(50_000)  # a request leaves hardly any cycles
    gc.freeze()  # what lives as long as the process: looking through it again and again halved the speed of bulk reads
    log.info("worker ready", extra={"event": "worker_ready", "worker": os.getpid()})
    server.run()


def _listening(address: str, port: int) -> socket.socket:
    """Return a socket at an address that all workers share; the system deals new connections out among them."""
    one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "SO_REUSEPORT"):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, UNREAD_BYTES)  # its connections have it from here
    one.bind((address, port))
    return one


def _created(settings: ServiceSettings, shared: Shared) -> Any:
    """Return the application.

    A worker that takes the place of another one waits for as long as the model's file is not sound, and asks the others
    for theirs meanwhile: ending again and again would end the service.
    """
    from cofactor.apps.web.app import create_app

    waits = False
    while True:
        try:
            return create_app(settings)
        except ModelFileError as error:
            if not shared.has_served.value:
                raise
            if not waits:
                log.error("waiting for a sound model: %s", error, extra={"event": "model_awaited"})
        waits = True
        Signal(shared.keep).send()
        time.sleep(_WAIT_SECONDS)


def _end_with(parent: int) -> None:
    """End this process when the one that started it is gone, even if it was killed."""
    while os.getppid() == parent:
        time.sleep(_PARENT_SECONDS)
    os._exit(1)


def _on_startup(settings: ServiceSettings, shared: Shared) -> None:
    """Log the address, handle SIGHUP, and start regular retraining."""
    address = f"http://{_bracketed(settings.host)}:{settings.port}"
    more = {"event": "serving", "address": address, "ratings": str(store_of(settings))}
    log.info("serving %s at %s", settings.model.name, address, extra=more)
    signal.signal(signal.SIGHUP, lambda *_: Signal(shared.reload).send())
    if settings.refit_every is not None:
        from cofactor.apps.web.refits import refit_regularly

        threading.Thread(target=refit_regularly, args=(settings, shared), name="refit", daemon=True).start()


def resolved(host: str, port: int) -> str:
    """Return the IP address of a host name, since names may have several.

    Raises
    ------
    SettingError
        If it has none, or if ``localhost`` is an address that other machines can reach.

    Examples
    --------
    >>> resolved("127.0.0.1", 8000)
    '127.0.0.1'
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise SettingError(f"--host {host}: {first_line(error)}: give an IP address of this machine") from None
    addresses = sorted((str(one[4][0]) for one in found), key=lambda address: ":" in address)  # IPv4 before IPv6
    if is_loopback(host) and not is_loopback(addresses[0]):
        raise SettingError(f"--host {host} is {addresses[0]} here, which others may reach: give --host 127.0.0.1")
    return addresses[0]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _check_address(host: str, port: int) -> None:
    """Refuse an address in use: the workers share theirs, so they would also share it with another service."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            raise SettingError(f"cannot listen at {host}:{port}: {error.strerror}: choose another --port") from None
