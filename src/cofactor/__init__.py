"""Recommend the top n items for anyone by matrix factorization.

>>> import cofactor as cf
>>> cf.load_dataset("synthetic:300x200x6000")
300 users × 200 items, 6,000 ratings from 1 to 5, 10 %
"""

import importlib
from typing import TYPE_CHECKING, Any

from cofactor.version import __version__

if TYPE_CHECKING:
    from cofactor.data.catalog import datasets, load_dataset
    from cofactor.data.interactions import Interactions
    from cofactor.data.joining import concat
    from cofactor.data.outofcore import open_parquet
    from cofactor.data.published import read_lightgcn, read_ncf
    from cofactor.data.readers import from_frame, read_csv, read_parquet, read_sql, read_sql_table
    from cofactor.data.synthetic import write_synthetic
    from cofactor.errors import (
        ClusterError,
        CofactorError,
        CollapseWarning,
        DataError,
        DownloadError,
        GoalWarning,
        MissingExtraError,
        ModelFileError,
        SettingError,
        UnknownIdError,
    )
    from cofactor.model.factors import Factors
    from cofactor.model.storage import load, open_model

__all__ = [
    "ClusterError",
    "CofactorError",
    "CollapseWarning",
    "DataError",
    "DownloadError",
    "Factors",
    "GoalWarning",
    "Interactions",
    "MissingExtraError",
    "ModelFileError",
    "SettingError",
    "UnknownIdError",
    "__version__",
    "concat",
    "datasets",
    "from_frame",
    "load",
    "load_dataset",
    "open_model",
    "open_parquet",
    "read_csv",
    "read_lightgcn",
    "read_ncf",
    "read_parquet",
    "read_sql",
    "read_sql_table",
    "write_synthetic",
]

_HOMES = {
    "Factors": "cofactor.model.factors",
    "Interactions": "cofactor.data.interactions",
    "concat": "cofactor.data.joining",
    "datasets": "cofactor.data.catalog",
    "from_frame": "cofactor.data.readers",
    "load": "cofactor.model.storage",
    "load_dataset": "cofactor.data.catalog",
    "open_model": "cofactor.model.storage",
    "open_parquet": "cofactor.data.outofcore",
    "read_csv": "cofactor.data.readers",
    "read_lightgcn": "cofactor.data.published",
    "read_ncf": "cofactor.data.published",
    "read_parquet": "cofactor.data.readers",
    "read_sql": "cofactor.data.readers",
    "read_sql_table": "cofactor.data.readers",
    "write_synthetic": "cofactor.data.synthetic",
}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: the command line need not wait for polars to say what it can do."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES.get(name, "cofactor.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
