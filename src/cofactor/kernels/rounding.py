"""How far single-precision scores may be off: what a search has to allow for."""

import numpy as np

__all__ = ["LOST_BELOW", "rounding_reach"]

LOST_BELOW = 2e-38
"""Single precision drops digits, or everything, of products smaller than this."""


def rounding_reach(items: np.ndarray) -> float:
    """Bound how far single-precision products may be off, for a user vector of norm one (twice, to be safe)."""
    longest = float(np.sqrt(np.max(np.einsum("ij,ij->i", items, items, dtype=np.float64))))
    return 2 * float(np.finfo(np.float32).eps) * (items.shape[1] + 2) * longest
