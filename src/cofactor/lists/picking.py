"""The way into the compiled re-rankers: lists as rows go in, in parts on all threads, and shorter lists come out."""

from collections.abc import Callable
from typing import Any

import numpy as np

from cofactor.kernels.compiling import readable
from cofactor.kernels.threads import share_out
from cofactor.lists.attributes import Groups
from cofactor.lists.rerank import Ranked, starts_of

__all__ = ["arrays_of", "picked", "scores_of"]

LISTS_IN_TASK = 128


def picked(kernel: Callable[..., None], candidates: Ranked, n: int, *arguments: Any) -> Ranked:
    """Return the rows that a kernel of `cofactor.kernels.greedy` takes: at most ``n`` of each list.

    Parameters
    ----------
    kernel : callable
    candidates : Ranked
    n : int
    arguments
        What the kernel takes between the candidates' items and what it writes.
    """
    users, starts = starts_of(candidates)
    if not len(users):
        return candidates
    n = min(n, int(np.diff(starts).max()))
    taken, counts = np.empty((len(users), n), np.int64), np.empty(len(users), np.int64)
    bounds = np.append(np.arange(0, len(users), LISTS_IN_TASK), len(users))
    share_out(kernel, bounds, readable(starts), readable(candidates.items, np.int64), *arguments, taken, counts)
    rows = taken[np.arange(n) < counts[:, None]]
    return Ranked(np.repeat(users, counts), candidates.items[rows], candidates.scores[rows])


def scores_of(candidates: Ranked) -> np.ndarray:
    """Return the scores in the form that kernels take."""
    return readable(candidates.scores, np.float32)


def arrays_of(groups: Groups) -> tuple[int, np.ndarray, np.ndarray]:
    """Return groups in the form that kernels take: how many, where each item's start, and their numbers."""
    return groups.count, readable(groups.indptr, np.int64), readable(groups.codes, np.int32)
