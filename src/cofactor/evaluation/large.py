"""From which size on compiled loops are worth loading: below it NumPy gives the same figures sooner."""

import sys
from typing import Any

__all__ = ["kernels_for"]

COMPILED_FROM = {"nothing": 8_000_000, "numba": 2_000_000, "loaded": 200_000}
"""From how many numbers to be read on, by what this process has loaded already."""


def kernels_for(numbers: int) -> Any:
    """Return the module `cofactor.evaluation.kernels` where so many numbers are to be read that it pays, or None."""
    loaded = "cofactor.evaluation.kernels" in sys.modules
    state = "loaded" if loaded else "numba" if "numba" in sys.modules else "nothing"
    if numbers < COMPILED_FROM[state]:
        return None
    from cofactor.evaluation import kernels

    return kernels
