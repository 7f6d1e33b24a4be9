"""Warnings about what a model is used for."""

import functools
import warnings

from cofactor.errors import GoalWarning

__all__ = ["warn_of_rating_model"]


@functools.cache
def warn_of_rating_model(solver: str) -> None:
    """Warn once of lists by predicted rating: they favour obscure items that few people rated, and rated highly."""
    warnings.warn(
        f"this list is ordered by predicted ratings: {solver} learnt how people rate what they chose, not what they "
        "choose, so it favours obscure items; for a top-n list train ImplicitALS().fit(ratings), or on the command "
        "line: cofactor fit DATA --goal ranking",
        GoalWarning,
        stacklevel=4,
    )
