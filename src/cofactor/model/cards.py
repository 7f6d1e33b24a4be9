"""What a model's description means: each number within its range, each combination of parts one that can be used.

A file passes here after the shapes of its arrays have been checked. What is left is a model that can recommend, place
newcomers, explain, be trained again, saved and served, or say in one sentence why it cannot.
"""

import dataclasses
from typing import Any

import numpy as np
import polars as pl

from cofactor.data.preparation import Alike, AsGiven
from cofactor.errors import CofactorError
from cofactor.model import trend
from cofactor.model.factors import Factors, needs_every_draw, parameters_of
from cofactor.model.objectives.objective import need
from cofactor.model.origin import Origin, Trial
from cofactor.model.side_features import NEW_ITEMS

__all__ = ["UNSOUND", "check_loaded", "history_from", "number_from", "origin_from", "reason_of"]

UNSOUND = (
    *(CofactorError, pl.exceptions.PolarsError, pl.exceptions.PanicException),
    *(ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError),
)
"""What reading a file that lies about its contents can end in."""

_LONGEST_TEXT = 10_000
_LARGEST = 1e30


def reason_of(error: BaseException) -> str:
    """Return what is wrong, in a sentence's part."""
    if isinstance(error, KeyError) and not isinstance(error, CofactorError):
        return f"{error} is missing"
    return str(error) if isinstance(error, CofactorError | TypeError | ValueError) else type(error).__name__


def number_from(value: Any, what: str) -> float:
    """Return a finite number of a description; raises TypeError or ValueError where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{str(value)[:40]!r} stands where a number should, as {what}")
    if not abs(value) <= _LARGEST:
        raise ValueError(f"{what} is {str(value)[:40]}: a number that large cannot be used")
    return float(value)


def history_from(stored: Any) -> dict[str, tuple[float, ...]]:
    """Return a training's figures; raises AttributeError or TypeError where they are none."""
    return {str(name): tuple(_figure(value) for value in values) for name, values in stored.items()}


def origin_from(stored: Any) -> Origin:
    """Return where a model comes from; raises TypeError or ValueError where that is not made of texts and settings."""
    origin = Origin(**stored)
    texts = (origin.solver, origin.data, origin.trained_at, origin.version, origin.asked_by)
    if not all(isinstance(text, str) and len(text) <= _LONGEST_TEXT for text in texts):
        raise TypeError("the model's origin is not made of texts")
    if not isinstance(origin.trial, Trial | None):
        raise TypeError("the trial of the model is none")
    if not isinstance(origin.settings, dict) or not all(map(_is_setting, origin.settings.values())):
        raise TypeError("the settings of the model's solver are no settings")
    return dataclasses.replace(origin, metrics={name: _figure(value) for name, value in origin.metrics.items()})


def check_loaded(model: Factors) -> None:
    """Check that a model's parts belong together: its objective, its arrays, its time, its features and its values.

    Raises
    ------
    CofactorError, TypeError, ValueError
        Naming what does not fit.
    """
    if needs_every_draw(model) and model.objective.kind != "posterior":
        raise ValueError("the model has levels of ratings, and its objective is not of draws")
    model.objective.check_parameters(parameters_of(model))
    _check_timing(model)
    _check_features(model)
    _check_values(model)


def _figure(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{str(value)[:40]!r} stands where a number should")
    return float(value)


def _is_setting(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(one, str) for one in value)
    return value is None or isinstance(value, bool | int | float | str)


def _check_timing(model: Factors) -> None:
    timing = model.timing
    if timing is None or timing.trend is None:
        return
    rank = model.item_vectors.shape[1]
    for name, shape in ((trend.LEVELS, (model.n_items,)), (trend.CENTER, (rank,)), (trend.COVARIANCE, (rank, rank))):
        need(model.extras, name, np.float32, shape)


def _check_features(model: Factors) -> None:
    if not model.features:
        return
    if model.objective.kind == "complete":  # all others can draw rows to what attributes say
        raise ValueError(f"a model of the kind {model.objective.kind!r} learns from no features")
    if NEW_ITEMS in model.extras:
        need(model.extras, NEW_ITEMS, np.uint8, (model.n_items,))


def _check_values(model: Factors) -> None:
    """Check that what becomes of the raw values, which are finite, is so too."""
    values = model.seen.data
    if len(values) and not isinstance(model.preparation, AsGiven | Alike):
        ends = np.array([values.min(), values.max()], np.float32)
        with np.errstate(all="ignore"):
            if not np.isfinite(model.preparation.apply(ends)).all():
                raise ValueError("the values of seen items are out of the range of their preparation")
