"""Describe a table of vectors, factor by factor."""

import numpy as np
import polars as pl

__all__ = ["described"]


def described(vectors: np.ndarray, side: str) -> pl.DataFrame:
    """Return count, mean, std, min, quartiles and max of each column, labelled with the side they are of."""
    numbers = vectors.astype(np.float64)
    quartiles = np.percentile(numbers, [25, 50, 75], axis=0)
    spread = numbers.std(axis=0, ddof=1) if len(numbers) > 1 else np.full(numbers.shape[1], np.nan)
    statistics = {
        "count": np.full(numbers.shape[1], float(len(numbers))),
        "mean": numbers.mean(axis=0),
        "std": spread,
        "min": numbers.min(axis=0),
        "25%": quartiles[0],
        "50%": quartiles[1],
        "75%": quartiles[2],
        "max": numbers.max(axis=0),
    }
    columns = {str(k): [values[k] for values in statistics.values()] for k in range(numbers.shape[1])}
    return pl.DataFrame({"vectors": [side] * len(statistics), "statistic": list(statistics), **columns})
