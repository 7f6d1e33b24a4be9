"""Refits of a running service: each in a process of its own, tried on the newest ratings before it is served.

What a refit makes is a version beside the model. It takes the model's place unless it is significantly worse on the
newest ratings, or that does not matter to who asked. A lock on the model's file lets one refit run at a time, whichever
process asked for it.
"""

import contextlib
import fcntl
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

from cofactor.apps.web.health import Health
from cofactor.apps.web.served_model import ModelHolder
from cofactor.apps.web.settings import ServiceSettings
from cofactor.apps.web.shared import Shared, Signal
from cofactor.apps.web.versions import new_version, prune, switch
from cofactor.errors import CofactorError
from cofactor.model.storage import open_model

__all__ = ["Outcome", "Refits", "refit_once", "refit_regularly"]

log = logging.getLogger("cofactor.web")

Outcome: TypeAlias = Literal["served", "worse", "busy", "failed"]
"""How a refit ended: the new model took the old one's place, or was significantly worse; another was running."""

TIMER = "timer"
"""Who asks where ``--refit-every`` does."""


class Refits:
    """The refits that people ask a service for.

    Parameters
    ----------
    settings : ServiceSettings
    models : ModelHolder
    announce : callable
        Tells the other workers to load the model.
    """

    def __init__(self, settings: ServiceSettings, models: ModelHolder, announce: Callable[[], None]) -> None:
        self._settings, self._models, self._announce = settings, models, announce
        self._alone = Shared(1) if settings.shared is None else settings.shared
        self.thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Whether any process trains the model again."""
        with _locked(self._settings.model) as lock:
            return lock is None

    @property
    def failing(self) -> bool:
        """Whether the last refit failed."""
        return bool(self._alone.refit_failing.value)

    def start(self, asked_by: str, even_if_worse: bool = False) -> None:
        """Train the model again in the background, and serve what comes of it.

        Raises
        ------
        SettingError
            If the model is a folder.
        """
        new_version(self._settings.model)
        work = threading.Thread(target=self._work, args=(asked_by, even_if_worse), name="refit-now", daemon=True)
        self.thread = work
        work.start()

    def _work(self, asked_by: str, even_if_worse: bool) -> None:
        outcome: Outcome = "failed"
        try:
            outcome = refit_once(self._settings.model, self._settings.ratings, asked_by, even_if_worse)
            if outcome == "served":
                self._models.reload()
                self._announce()
        except Exception:
            outcome = "failed"
            log.exception("a refit failed", extra={"event": "background_failure"})
        if outcome != "busy":
            self._alone.refit_failing.value = outcome == "failed"

    def switch(self, version: Path) -> None:
        """Serve a version of the model.

        Raises
        ------
        ModelFileError
            If it is not a sound model; what was served goes on being served.
        OSError
            If the model's folder cannot be written.
        """
        open_model(version)
        switch(self._settings.model, version)
        self._models.reload()
        self._announce()


def refit_regularly(settings: ServiceSettings, shared: Shared) -> None:
    """Retrain at the interval of the settings, and have the new model served unless it is significantly worse."""
    pause, health, signal = threading.Event(), Health(), Signal(shared.reload)
    while not pause.wait(settings.refit_every):
        outcome: Outcome = "failed"
        with health.watching("refit"):
            outcome = refit_once(settings.model, settings.ratings, TIMER)
        if outcome != "busy":
            shared.refit_failing.value = outcome == "failed"
        if outcome == "served":
            signal.send()


def refit_once(model: Path, ratings: str | None, asked_by: str = "", even_if_worse: bool = False) -> Outcome:
    """Retrain a model in a process of low priority, and let what comes of it take its place.

    Raises
    ------
    SettingError
        If the model is a folder.
    """
    version = new_version(model)
    with _locked(model) as lock:
        if lock is None:
            return "busy"
        said = _trained(model, ratings, version, asked_by, lock)
    if said is None:
        version.unlink(missing_ok=True)
        return "failed"
    worse = bool((said.get("trial") or {}).get("worse"))
    if worse and not even_if_worse:
        log.warning(
            "the new model is significantly worse on the newest ratings, and is not served",
            extra={"event": "refit_worse", "version": version.name},
        )
        return "worse"
    switch(model, version)
    with contextlib.suppress(CofactorError, OSError):
        prune(model)
    log.info("retrained", extra={"event": "refitted", "version": version.name})
    return "served"


def _trained(model: Path, ratings: str | None, version: Path, asked_by: str, lock: int) -> dict[str, Any] | None:
    """Run ``cofactor refit``, and return what it says; None where it failed."""
    environment = {**os.environ, "COFACTOR_RATINGS": ratings or ""}  # not an argument, which everybody could read
    code = "import os, sys; os.nice(10); from cofactor.apps.cli import main; main(sys.argv[1:])"
    options = ["-o", str(version), "--measure", "--asked-by", asked_by, "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code, "refit", str(model), *options], env=environment, capture_output=True, text=True,
        check=False, pass_fds=[lock] if lock >= 0 else [],
    )  # fmt: skip
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        log.error("retraining failed: %s", reason[:500], extra={"event": "refit_failed"})
        return None
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@contextlib.contextmanager
def _locked(model: Path) -> Iterator[int | None]:
    """Yield a lock of a model's file, to be held by who trains it; None if somebody has it.

    A file system without locks gives -1, and everybody may train.
    """
    try:
        opened = os.open(model, os.O_RDONLY)
    except OSError:
        yield -1
        return
    held: int | None = opened
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held = None
    except OSError:
        held = -1
    try:
        yield held
    finally:
        os.close(opened)
