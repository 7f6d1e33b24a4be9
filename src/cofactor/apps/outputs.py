"""Where a command may write: asked before the work, so that no hour of it is lost and no file that was read."""

import importlib
import os
from pathlib import Path

from cofactor.errors import SettingError

__all__ = ["check_output", "check_pictures"]


def check_output(output: Path | None, *read: str | Path) -> None:
    """Refuse a place where no file can be written, or whose file is one of those the command reads.

    Raises
    ------
    SettingError
        Naming the place and what to give instead.
    """
    if output is None:
        return
    if output.is_dir():
        raise SettingError(f"{output} is a folder: give the name of the file to write")
    if output.exists() and any(Path(source).exists() and output.samefile(source) for source in read):
        raise SettingError(f"-o {output} is a file that is read, and would be lost: give another name")
    folder = next(place for place in output.absolute().parents if place.exists())
    if not folder.is_dir():
        raise SettingError(f"{output} cannot be written, because {folder} is a file: give a place in a folder")
    if not os.access(folder, os.W_OK):
        raise SettingError(f"{output} cannot be written, because {folder} is closed to you: give another place")


def check_pictures(folder: Path | None) -> None:
    """Refuse to draw into what is no folder, or where what draws is not installed.

    Raises
    ------
    SettingError
        If a file has the folder's name.
    MissingExtraError
        If matplotlib is not installed.
    """
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise SettingError(f"{folder} is a file: give the name of a folder, old or new")
    importlib.import_module("cofactor.evaluation.plots")
