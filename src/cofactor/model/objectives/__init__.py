"""What models minimize: a class each, with its hyperparameters, that trains, places rows and splits scores.

`objective_from` is the one place where a stored name decides which class it is.
"""

from collections.abc import Mapping
from typing import Any

from cofactor.model.objectives.objective import Goal, Objective, Parameters, Placed, Side

__all__ = ["Goal", "Objective", "Parameters", "Placed", "Side", "objective_from"]

_HOMES = {
    "complete": ("complete", "Complete"),
    "confidence": ("confidence", "Confidence"),
    "logistic": ("logistic", "Logistic"),
    "pairwise": ("pairwise", "Pairwise"),
    "posterior": ("posterior", "Posterior"),
    "squared": ("squared", "SquaredError"),
}


def objective_from(stored: Mapping[str, Any]) -> Objective:
    """Read what `Objective.to_dict` wrote; raises KeyError, TypeError or ValueError where it does not fit."""
    import importlib

    values = dict(stored)
    kind = values.pop("kind")
    if kind not in _HOMES:
        raise ValueError(f"unknown objective {str(kind)[:40]!r}")
    module, name = _HOMES[kind]
    found: type[Objective] = getattr(importlib.import_module(f"cofactor.model.objectives.{module}"), name)
    return found.from_dict(values)
