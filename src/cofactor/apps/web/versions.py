"""The versions of a served model: files beside it, and a link that is switched from one to the other in one step.

A model ``films.safetensors`` has its versions in ``films-….safetensors``; a refit writes ``films-20261130-213000``, the
time in UTC. The first switch makes the model's file a version, and a link of its name. It is as the unit
``deploy/cofactor-refit.service`` does, so both may be used in turns.
"""

import contextlib
import datetime
import os
import re
import secrets
from pathlib import Path

from cofactor.errors import SettingError
from cofactor.model.folder import is_model_folder

__all__ = ["new_version", "prune", "served_version", "switch", "versions_of"]

KEPT = 7
"""How many versions that refits made are kept."""

_SUFFIX = ".safetensors"
_STAMP = re.compile(r"-\d{8}-\d{6}(-\d+)?\.safetensors")


def versions_of(model: Path) -> list[Path]:
    """Return the files of a model's versions, the latest name first; the served one too."""
    stem, served = model.name.removesuffix(_SUFFIX), served_version(model)
    found = {file for file in model.absolute().parent.glob(f"{_glob(stem)}-*{_SUFFIX}") if file.is_file()}
    found = {file for file in found if not file.is_symlink()}
    if served.is_file():
        found.add(served)
    return sorted(found, key=lambda file: file.name, reverse=True)


def served_version(model: Path) -> Path:
    """Return the file that is a model's now, where the model is a link; the model's own otherwise."""
    target = model.resolve()
    return model.absolute() if target == model.absolute().parent.resolve() / model.name else target


def new_version(model: Path, moment: float | None = None) -> Path:
    """Return the path of a version that is to be written, named after a time; now, if none is given.

    Raises
    ------
    SettingError
        If the model is a folder, which has no versions.
    """
    if is_model_folder(model):
        raise SettingError(f"{model} is a model folder, which cannot be trained or switched here: train it with Spark")
    when = (
        datetime.datetime.now(datetime.UTC) if moment is None else datetime.datetime.fromtimestamp(moment, datetime.UTC)
    )
    stem = f"{model.name.removesuffix(_SUFFIX)}-{when:%Y%m%d-%H%M%S}"
    names = (f"{stem}{_SUFFIX}", *(f"{stem}-{number}{_SUFFIX}" for number in range(2, 1000)))
    return next(path for name in names if not (path := model.absolute().parent / name).exists())


def switch(model: Path, version: Path) -> None:
    """Let the model be another version from now on, in one step; its file, if it is no link yet, becomes a version.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    model = model.absolute()
    if not model.is_symlink() and model.exists():
        os.link(model, new_version(model, model.stat().st_mtime))
    beside = model.with_name(f".{model.name}.{secrets.token_hex(6)}")
    same = version.absolute().parent.resolve() == model.parent.resolve()
    try:
        beside.symlink_to(version.name if same else version.absolute())
        beside.replace(model)
    finally:
        beside.unlink(missing_ok=True)


def prune(model: Path) -> None:
    """Delete the oldest versions that refits made, but never the one that is served."""
    served = served_version(model).resolve()
    made = [file for file in versions_of(model) if _STAMP.fullmatch(file.name.removeprefix(_stem(model)))]
    for file in made[KEPT:]:
        if file.resolve() != served:
            with contextlib.suppress(OSError):  # the next refit tries again
                file.unlink()


def _stem(model: Path) -> str:
    return model.name.removesuffix(_SUFFIX)


def _glob(text: str) -> str:
    """Return a pattern that only a text itself matches."""
    return re.sub(r"([*?[])", r"[\1]", text)
