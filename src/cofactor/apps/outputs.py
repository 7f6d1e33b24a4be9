"""Check output paths first, so that a bad one fails before the work; write files whole or not at all."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cofactor.apps.show import json_text
from cofactor.errors import SettingError
from cofactor.files import replacing

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "check_folder",
    "check_output",
    "write_json",
    "write_table",
    "write_text",
]


def check_output(output: Path | None, *read: str | Path) -> None:
    """Refuse a path where no file can be written, or that is one of the files the command reads.

    Raises
    ------
    SettingError
        Naming the path and what to give instead.
    """
    if output is None:
        return
    if output.is_dir():
        raise SettingError(f"{output} is a folder: give the name of the file to write")
    if output.exists() and any(Path(source).exists() and output.samefile(source) for source in read):
        raise SettingError(f"-o {output} is also an input and would be overwritten: give another name")
    _check_parents(output, output.absolute().parents)


def _check_parents(output: Path, parents: Iterable[Path]) -> None:
    """Refuse an output whose nearest existing parent is not a folder that can be written to."""
    nearest = next(parent for parent in parents if parent.exists())
    if not nearest.is_dir():
        raise SettingError(f"{output} cannot be written, because {nearest} is a file: give a path inside a folder")
    if not os.access(nearest, os.W_OK):
        raise SettingError(f"{output} cannot be written: no permission to write to {nearest}; give another path")


def check_folder(folder: Path | None) -> None:
    """Refuse a path that is not a folder, or a folder that cannot be written to.

    Raises
    ------
    SettingError
        Naming the path and what to give instead.
    """
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise SettingError(f"{folder} is a file: give the name of a folder")
    _check_parents(folder, [folder.absolute(), *folder.absolute().parents])


def write_text(text: str, path: Path) -> Path:
    """Write a text file."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")
    return path


def write_json(content: Mapping[str, Any], path: Path) -> Path:
    """Write a JSON file for people to read."""
    return write_text(json_text(content, indent=2) + "\n", path)


def write_table(table: "pl.DataFrame", path: Path) -> Path:
    """Write a table in the format that the file's name says."""
    with replacing(path) as beside:
        if path.suffix == ".csv":
            table.write_csv(beside)
        elif path.suffix == ".jsonl":
            table.write_ndjson(beside)
        else:
            table.write_parquet(beside)
    return path
