"""How kernels are compiled, and the form of array that each of them is compiled for."""

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit
from numba.core.event import Listener, register

from cofactor.kernels.machine_code import MachineCode

__all__ = ["Array", "fast_kernel", "inlined", "kernel", "readable"]

logger = logging.getLogger(__name__)

Array = npt.NDArray[Any]


class _Announcer(Listener):
    """Say once that kernels are being compiled, since it makes people wait; from the disk they come in silence."""

    said = False

    def on_start(self, event: Any) -> None:
        """Called by numba when it begins to compile a function."""
        if not self.said and str(event.data["dispatcher"].py_func.__module__).startswith("cofactor."):
            logger.warning("compiling for this machine: it takes some seconds, and is kept on disk where that can be")
            self.said = True

    def on_end(self, event: Any) -> None:
        """Called by numba when it has compiled a function."""


register("numba:compile", _Announcer())


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile on first use, keep the machine code on disk, and let other Python threads run meanwhile."""
    return _compiled(function)


def fast_kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile as `kernel` does, and let sums be taken in the order that suits the registers."""
    return _compiled(function, fastmath=True)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile into whatever kernel calls it: arrays handed over for one pair would cost as much as the arithmetic."""
    return _compiled(function, forceinline=True)


def _compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    made: Callable[..., Any] = njit(nogil=True, error_model="numpy", **options)(function)
    if made is not function:  # as it is where NUMBA_DISABLE_JIT is set
        made._cache = MachineCode(function)  # type: ignore[attr-defined]
    return made


def readable(array: Array, kind: npt.DTypeLike | None = None) -> Array:
    """Return rows that follow each other and cannot be written to: kernels would be compiled for each form anew.

    It is a view where that will do, of arrays in memory and on disk alike; ``kind`` is the type of its entries, the
    array's own if not given.
    """
    view = np.ascontiguousarray(array, kind).view(np.ndarray)
    view.flags.writeable = False
    return view
