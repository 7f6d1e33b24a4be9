"""What a table of interactions looks like in a few numbers."""

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from cofactor.data import notebook
from cofactor.data.passes import counts_of

if TYPE_CHECKING:
    from cofactor.data.interactions import Interactions

__all__ = ["card", "described", "percent"]


def described(ratings: "Interactions") -> pl.DataFrame:
    """Describe the values, and how many interactions users and items have: count, mean, std, min, … max."""
    columns = {
        "value": ratings.matrix.data,
        "per user": np.diff(ratings.matrix.indptr),
        "per item": counts_of(ratings.matrix.indices, ratings.n_items),
    }
    parts = {name: pl.Series(column).cast(pl.Float64).describe() for name, column in columns.items()}
    statistics = parts["value"]["statistic"]
    frame = pl.DataFrame({"statistic": statistics, **{name: part["value"] for name, part in parts.items()}})
    return frame.filter(pl.col("statistic") != "null_count")


def card(ratings: "Interactions") -> str:
    """Return what a notebook shows of a table: how much there is of what."""
    (low, high), counts = ratings.value_range, np.diff(ratings.matrix.indptr)
    each = "" if not len(counts) else f"{np.median(counts):g} in the middle, at most {counts.max():,}"
    known = {"times": ratings.timestamps, "titles": ratings.metadata.titles, "genres": ratings.metadata.genres}
    return notebook.facts(
        ratings.name or "interactions",
        {
            "users": ratings.n_users,
            "items": ratings.n_items,
            "interactions" if ratings.is_binary else "ratings": len(ratings),
            "values": "" if ratings.is_binary else f"{low:g} to {high:g}",
            "density": f"{percent(ratings.density)} %",
            "per user": each,
            "also known": ", ".join(name for name, column in known.items() if column is not None),
        },
    )


def percent(share: float) -> str:
    """Return a share in percent, with two significant digits."""
    return f"{100 * share:.0f}" if share >= 0.1 else f"{100 * share:.2g}"
