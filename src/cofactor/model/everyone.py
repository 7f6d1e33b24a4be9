"""Top n for everyone: blocks of users, streamed to one Parquet file."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from cofactor.files import replacing

__all__ = ["USERS_AT_ONCE", "write_everyone"]

USERS_AT_ONCE = 8192


def write_everyone(
    path: Path, block: Callable[[np.ndarray], pl.DataFrame], n_users: int, progress: Callable[[int], None] | None
) -> Path:
    """Write ``block(user rows)`` for all users, one block after the other, to a Parquet file.

    Only one block is in memory at a time; the file takes its place when it is whole.
    """
    empty = block(np.empty(0, dtype=np.int32))

    def batches(*_: object) -> Iterator[pl.DataFrame]:
        for start in range(0, n_users, USERS_AT_ONCE):
            end = min(start + USERS_AT_ONCE, n_users)
            yield block(np.arange(start, end, dtype=np.int32))
            if progress is not None:
                progress(end)
        yield empty

    with replacing(path) as beside:
        register_io_source(io_source=batches, schema=empty.schema, is_pure=True).sink_parquet(
            beside, maintain_order=True, row_group_size=1_000_000
        )
    return path
