"""Solvers: each is a frozen dataclass of settings whose ``fit`` returns `Factors`.

Names are imported on first use, so that importing one solver does not import what only another needs.
"""

import importlib
from typing import TYPE_CHECKING, Any

from cofactor.errors import SettingError, nearest

if TYPE_CHECKING:
    from cofactor.solvers.als import ALS, ImplicitALS
    from cofactor.solvers.base import Solver
    from cofactor.solvers.baselines import BiasOnly, Popularity, PureSVD
    from cofactor.solvers.bayes import BayesianMF
    from cofactor.solvers.bpr import BPR
    from cofactor.solvers.keras_mf import KerasMF
    from cofactor.solvers.logistic_mf import LogisticMF
    from cofactor.solvers.nmf import NMF
    from cofactor.spark.solver import SparkALS

__all__ = [
    "ALS",
    "BPR",
    "NMF",
    "SOLVERS",
    "SOLVER_FOR",
    "BayesianMF",
    "BiasOnly",
    "ImplicitALS",
    "KerasMF",
    "LogisticMF",
    "Popularity",
    "PureSVD",
    "Solver",
    "SparkALS",
    "solver_class",
]

SOLVERS = {
    "keras": ("cofactor.solvers.keras_mf", "KerasMF"),
    "als": ("cofactor.solvers.als", "ALS"),
    "implicit-als": ("cofactor.solvers.als", "ImplicitALS"),
    "bpr": ("cofactor.solvers.bpr", "BPR"),
    "logistic": ("cofactor.solvers.logistic_mf", "LogisticMF"),
    "nmf": ("cofactor.solvers.nmf", "NMF"),
    "bayesian": ("cofactor.solvers.bayes", "BayesianMF"),
    "svd": ("cofactor.solvers.baselines", "PureSVD"),
    "popularity": ("cofactor.solvers.baselines", "Popularity"),
    "bias": ("cofactor.solvers.baselines", "BiasOnly"),
    "spark-als": ("cofactor.spark.solver", "SparkALS"),
}
"""Command-line names of the solvers, with the module and class of each."""

SOLVER_FOR = {"ranking": "implicit-als", "rating": "als"}
"""The default solver of each goal; it needs no extra."""

_HOMES = {name: module for module, name in SOLVERS.values()} | {"Solver": "cofactor.solvers.base"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


def solver_class(name: str) -> type[Any]:
    """Return the solver of a command-line name.

    Raises
    ------
    SettingError
        If there is no solver of that name.
    """
    if name not in SOLVERS:
        raise SettingError(f"unknown solver {name!r}: {nearest(name, SOLVERS)}choose one of {', '.join(SOLVERS)}")
    module, attribute = SOLVERS[name]
    found: type[Any] = getattr(importlib.import_module(module), attribute)
    return found
