"""Made-up ratings of any size, written to a folder of Parquet files block by block."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from cofactor.data import synthetic
from cofactor.data.arguments import check_callable, check_text, path_of
from cofactor.errors import DataError
from cofactor.files import new_folder

__all__ = ["write_synthetic"]

_BLOCKS_A_FILE = 4
_ROWS_A_GROUP = 1 << 20


def write_synthetic(
    name: str, folder: str | os.PathLike[str], *, progress: Callable[[int], None] | None = None
) -> Path:
    """Write a synthetic set to a new folder of Parquet files, in memory that does not grow with its ratings.

    Parameters
    ----------
    name : str
        ``synthetic:USERSxITEMSxRATINGS`` with an optional ``:SEED``; the same name gives the same ratings as
        `load_dataset` does.
    folder : path
        It appears when it is whole. Its columns are user, item, value and time.
    progress : callable, optional
        Called with the number of ratings so far.

    Returns
    -------
    path
        The folder.

    Raises
    ------
    DataError
        If the folder is there already.
    SettingError
        If no such set can exist.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as home:
    ...     folder = write_synthetic("synthetic:500x300x20000", Path(home) / "ratings")
    ...     pl.scan_parquet(folder).select(pl.len()).collect().item()
    20000
    """
    check_text("name", name)
    check_callable("progress", progress)
    spec, target = synthetic.parse(name), path_of(folder, "folder")
    if target.exists():
        raise DataError(f"{target} is there already: remove it or name another folder")
    done = 0
    with new_folder(target) as beside:
        for number, frame in enumerate(_frames(spec)):
            frame.write_parquet(beside / f"part-{number:05}.parquet", row_group_size=_ROWS_A_GROUP)
            done += len(frame)
            if progress is not None:
                progress(done)
    return target


def _frames(spec: synthetic.Spec) -> Iterator[pl.DataFrame]:
    """Yield the ratings as frames of several blocks, ids counted from 1."""
    waiting: list[pl.DataFrame] = []
    for block in synthetic.blocks(spec):
        columns = {
            "user": block.user_rows.astype(np.int64) + 1,
            "item": block.item_rows.astype(np.int64) + 1,
            "value": block.values.astype(np.float32),
            "time": block.timestamps,
        }
        waiting.append(pl.DataFrame(columns))
        if len(waiting) == _BLOCKS_A_FILE:
            yield pl.concat(waiting)
            waiting = []
    if waiting:
        yield pl.concat(waiting)
