"""Rows shared out to threads so that no thread idles and no bit depends on how many there are.

The kernels release the interpreter's lock, so plain threads run them side by side. Unlike numba's own
parallel loops this needs no threading layer: a web service may call it from many threads at once, and a
process may fork after it.
"""

import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

TASKS = 256
RATINGS_IN_TASK = 4096


def task_bounds(indptr: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Cut rows into tasks of about equal work, taking a row to cost as much as a few of its ratings."""
    rows = len(indptr) - 1
    if rows == 1:
        return np.array((0, 1))
    work = indptr + 16 * np.arange(rows + 1)
    tasks = min(TASKS, 1 + int(work[-1]) // RATINGS_IN_TASK)
    if tasks == 1:
        return np.array((0, rows))
    cuts = np.searchsorted(work, np.arange(tasks) * (work[-1] / tasks))
    return np.unique(np.append(cuts, (0, rows)))


def share_out(kernel: Callable[..., None], bounds: npt.NDArray[np.int64], *arguments: Any) -> None:
    """Call ``kernel(bounds[task], bounds[task + 1], *arguments)`` for every task, on `numba.get_num_threads`
    threads.

    Each thread takes the next task when it has finished one; tasks must write to places of their own.
    """
    share_ranges(kernel, list(itertools.pairwise(bounds.tolist())), *arguments)


def share_ranges(kernel: Callable[..., None], ranges: Sequence[tuple[int, int]], *arguments: Any) -> None:
    """Call ``kernel(first, last, *arguments)`` for ranges that need not follow each other; see `share_out`."""
    if len(ranges) == 1:
        kernel(*ranges[0], *arguments)
        return
    tasks = itertools.count()  # drawing the next number is atomic

    def work() -> None:
        while (task := next(tasks)) < len(ranges):
            kernel(*ranges[task], *arguments)

    helpers = min(numba.get_num_threads(), len(ranges)) - 1
    if helpers < 1:
        work()
        return
    with ThreadPoolExecutor(helpers) as pool:
        others = [pool.submit(work) for _ in range(helpers)]
        work()
        for other in others:
            other.result()
