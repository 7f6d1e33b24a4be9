"""Metrics of predicted ratings, on arrays."""

import numpy as np

__all__ = ["mean_absolute_error", "mean_squared_error", "root_mean_squared_error"]


def mean_squared_error(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Return the mean of the squared differences, in squared units of the ratings."""
    difference = predicted.astype(np.float64) - actual
    return float(np.mean(difference * difference))


def root_mean_squared_error(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Return the root of the mean squared error, in units of the ratings."""
    return mean_squared_error(predicted, actual) ** 0.5


def mean_absolute_error(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Return the mean of the absolute differences, in units of the ratings."""
    return float(np.mean(np.abs(predicted.astype(np.float64) - actual)))
