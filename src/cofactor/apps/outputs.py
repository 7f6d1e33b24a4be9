"""Where a command may write: asked before the work, so that no hour of it is lost and no file that was read."""

import os
from collections.abc import Iterable
from pathlib import Path

from cofactor.errors import SettingError

__all__ = ["check_folder", "check_output"]


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
    _check_place(output, output.absolute().parents)


def _check_place(output: Path, places: Iterable[Path]) -> None:
    """Refuse an output where the nearest of its places that is there is no folder to write to."""
    nearest = next(place for place in places if place.exists())
    if not nearest.is_dir():
        raise SettingError(f"{output} cannot be written, because {nearest} is a file: give a place in a folder")
    if not os.access(nearest, os.W_OK):
        raise SettingError(f"{output} cannot be written, because {nearest} is closed to you: give another place")


def check_folder(folder: Path | None) -> None:
    """Refuse to write into what is no folder, or into one where nothing can be written.

    Raises
    ------
    SettingError
        Naming the place and what to give instead.
    """
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise SettingError(f"{folder} is a file: give the name of a folder, old or new")
    _check_place(folder, [folder.absolute(), *folder.absolute().parents])
