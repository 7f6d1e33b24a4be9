"""Train again as a model was trained: its solver with its settings, and the data it learnt from."""

import dataclasses
from typing import Any

from cofactor.data.interactions import Interactions
from cofactor.errors import SettingError
from cofactor.model.factors import Factors
from cofactor.solvers import SOLVERS, solver_class
from cofactor.solvers.base import mean_and_spread

__all__ = ["solver_of", "trained_on"]

_STANDARDIZED = ("ALS", "KerasMF", "NMF", "SparkALS")
"""Solvers whose regularization was in units of the ratings, and is in units of their standard deviation."""


def solver_of(model: Factors) -> Any:
    """Return the solver that a model was trained by, with the same settings.

    Raises
    ------
    SettingError
        If the model does not say, or the solver is not one of ours.
    """
    origin = model.origin
    name = next((name for name, (_, kind) in SOLVERS.items() if kind == origin.solver), None)
    if name is None:
        raise SettingError(
            f"the model was made by {origin.solver or 'an unknown solver'}: train it with 'cofactor fit'"
        )
    kind = solver_class(name)
    fields = {field.name for field in dataclasses.fields(kind)}
    settings = {key: _plain(value) for key, value in _settings_of(model).items() if key in fields}
    return kind(**settings)


def _settings_of(model: Factors) -> dict[str, Any]:
    """Return a model's settings in the units that they have now."""
    settings = dict(model.origin.settings)
    if _is_in_units_of_ratings(model) and settings.get("regularization") is not None:
        settings["regularization"] /= mean_and_spread(trained_on(model))[1]
    return settings


def _is_in_units_of_ratings(model: Factors) -> bool:
    """Return whether a model of ratings is older than today's unit; newer ones hold the setting times the spread."""
    standardized = model.origin.solver in _STANDARDIZED and model.objective.goal == "rating"
    used = getattr(model.objective, "regularization", None)
    return bool(standardized and used == model.origin.settings.get("regularization") and model.seen.nnz)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value  # JSON has no tuples


def trained_on(model: Factors) -> Interactions:
    """Return what a model learnt from, its values as the solver was given them; times where the model heeds them."""
    return Interactions(
        model.users, model.items, model.seen, model.seen_times, metadata=model.metadata, name=model.origin.data
    )
