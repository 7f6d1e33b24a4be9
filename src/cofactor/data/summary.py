"""What a table of interactions looks like in a few numbers."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from cofactor.data.interactions import Interactions

__all__ = ["described", "percent"]


def described(ratings: "Interactions") -> pl.DataFrame:
    """Describe the values, and how many interactions users and items have: count, mean, std, min, … max."""
    columns = {
        "value": ratings.matrix.data,
        "per user": np.diff(ratings.matrix.indptr),
        "per item": np.bincount(ratings.matrix.indices, minlength=ratings.n_items),
    }
    parts = {name: pl.Series(column).cast(pl.Float64).describe() for name, column in columns.items()}
    statistics = parts["value"]["statistic"]
    frame = pl.DataFrame({"statistic": statistics, **{name: part["value"] for name, part in parts.items()}})
    return frame.filter(pl.col("statistic") != "null_count")


def percent(share: float) -> str:
    """Return a share in percent, with two significant digits."""
    return f"{100 * share:.0f}" if share >= 0.1 else f"{100 * share:.2g}"
