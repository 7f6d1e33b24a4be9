"""Checks of the arguments of public functions: each raises SettingError with the value and what it must be."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cofactor.errors import SettingError
from cofactor.gate import unusable_path

__all__ = [
    "check_callable",
    "check_choice",
    "check_count",
    "check_flag",
    "check_fraction",
    "check_seed",
    "check_text",
    "path_of",
]


def check_choice(name: str, given: object, choices: Sequence[str]) -> None:
    """Raise where a setting is none of its choices."""
    if not isinstance(given, str) or given not in choices:
        raise SettingError(f"{name} is {given!r}: it must be {' or '.join(map(repr, choices))}")


def check_fraction(name: str, given: object) -> None:
    """Raise where a share is no number between 0 and 1, ends excluded."""
    number = isinstance(given, int | float | np.number) and not isinstance(given, bool)
    if not number or not 0 < given < 1:  # type: ignore[operator]
        raise SettingError(f"{name} is {given!r}: it must be a number between 0 and 1, such as 0.2")


def check_count(name: str, given: object, least: int = 1) -> None:
    """Raise where a number is not whole, or below its least value."""
    if not _is_whole(given) or not least <= given < 2**63:  # type: ignore[operator]
        raise SettingError(f"{name} is {given!r}: it must be a whole number of at least {least}")


def check_seed(given: object) -> None:
    """Raise where a seed is no whole number from 0 on."""
    check_count("seed", given, 0)


def check_text(name: str, given: object) -> None:
    """Raise where a text is something else."""
    if not isinstance(given, str):
        raise SettingError(f"{name} is {given!r}: give a text")


def check_flag(name: str, given: object) -> None:
    """Raise where something is neither True nor False."""
    if not isinstance(given, bool | np.bool_):
        raise SettingError(f"{name} is {given!r}: it must be True or False")


def check_callable(name: str, given: object) -> None:
    """Raise where something is given that is no function."""
    if given is not None and not callable(given):
        raise SettingError(f"{name} is {given!r}: give a function, or leave it out")


def _is_whole(given: object) -> bool:
    return isinstance(given, int | np.integer) and not isinstance(given, bool)


def path_of(given: object, what: str = "path") -> Path:
    """Return a path given as text or as a path object; anything else, and what no file can be named, is refused."""
    if isinstance(given, str | os.PathLike):
        if reason := unusable_path(given):
            raise SettingError(f"{what} {str(given)[:60]!r} {reason}: give the path of a file or folder")
        return Path(given)
    if hasattr(given, "read"):
        name = getattr(given, "name", None)
        hint = f": give its path, {name!r}" if isinstance(name, str) else ": write it to a file and give its path"
        raise SettingError(f"{what} is an open file{hint}")
    if isinstance(given, list | tuple):
        raise SettingError(f"{what} is a {type(given).__name__}: give one path, or a folder of Parquet files")
    raise SettingError(f"{what} is {given!r}: give the path of a file or folder")
