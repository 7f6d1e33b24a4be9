"""Models in MLflow: our own file in MLflow's folder, so that its registry and servers can hold and ask them.

MLflow's servers send a table with the column ``user`` and get the table of `Factors.recommend`. No code is pickled:
MLflow calls this module by its name, which loads the file.

Reference: MLflow's pyfunc format, https://mlflow.org/docs/latest/ml/traditional-ml/tutorials/creating-custom-pyfunc.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cofactor.errors import DataError, SettingError, missing_extra
from cofactor.model.factors import Factors
from cofactor.model.storage import load
from cofactor.version import __version__

try:
    import mlflow
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
except ImportError as error:
    raise missing_extra("mlflow", "mlflow") from error

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load_model", "log_model", "save_model"]

_FILE = "model.safetensors"
_PARAMS: Mapping[str, tuple[str, Any]] = {"n": ("long", 10), "exclude_seen": ("boolean", True), "where": ("string", "")}
"""What can be sent beside the users: the parameter's type and default."""


def save_model(model: Factors, path: str | os.PathLike[str], **settings: Any) -> None:
    """Write a model as an MLflow model.

    Parameters
    ----------
    model : Factors
    path : path
        The folder to make.
    **settings
        Further arguments of ``mlflow.pyfunc.save_model``, such as ``metadata``.
    """
    with tempfile.TemporaryDirectory() as folder:
        mlflow.pyfunc.save_model(path=str(path), **_described(model, Path(folder)), **settings)


def log_model(model: Factors, name: str = "model", **settings: Any) -> Any:
    """Log a model to the active run, and its settings and figures with it.

    Parameters
    ----------
    model : Factors
    name : str
        The model's name in the run.
    **settings
        Further arguments of ``mlflow.pyfunc.log_model``, such as ``registered_model_name``.

    Returns
    -------
    mlflow.models.model.ModelInfo
    """
    mlflow.log_params({name: value for name, value in model.origin.settings.items() if value is not None})
    for figure, values in model.history.items():
        for epoch, value in enumerate(values, 1):
            mlflow.log_metric(figure, value, step=epoch)
    mlflow.log_metrics({figure.replace("@", "_at_"): float(value) for figure, value in model.origin.metrics.items()})
    with tempfile.TemporaryDirectory() as folder:
        return mlflow.pyfunc.log_model(name=name, **_described(model, Path(folder)), **settings)


def load_model(uri: str | os.PathLike[str]) -> Factors:
    """Return the `Factors` of an MLflow model, by its folder or a URI such as ``models:/films/3``.

    Raises
    ------
    ModelFileError
        If it is not one of cofactor's.
    """
    folder = Path(mlflow.artifacts.download_artifacts(str(uri)))
    return load(folder / "data" / _FILE)


class _Served:
    """What MLflow asks."""

    def __init__(self, model: Factors) -> None:
        self._model = model

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> "pd.DataFrame":
        """Return the lists of the users of a table with the column ``user``.

        Users without history get popular items, marked so in the column ``popular``.
        """
        if "user" not in getattr(model_input, "columns", ()):
            raise DataError("the table has no column 'user': send the users whose lists you want in one")
        asked = {name: default for name, (_, default) in _PARAMS.items()} | dict(params or {})
        if unknown := sorted(set(asked) - set(_PARAMS)):
            raise SettingError(f"there is no parameter {unknown[0]!r}: there are {', '.join(_PARAMS)}")
        users = model_input["user"].tolist()
        if not self._model.users.holds_integers:
            users = [str(user) for user in users]
        lists = self._model.recommend(
            users, int(asked["n"]), exclude_seen=bool(asked["exclude_seen"]), where=asked["where"] or None,
            on_unknown="popular",
        )  # fmt: skip
        import pandas as pd

        return pd.DataFrame(lists.to_dict(as_series=False))


def _load_pyfunc(path: str) -> _Served:
    """Load what MLflow saved, by the name that its format calls."""
    found = Path(path)
    return _Served(load(found / _FILE if found.is_dir() else found))


def _described(model: Factors, folder: Path) -> dict[str, Any]:
    """Return what MLflow writes of a model."""
    kind = "long" if model.users.holds_integers else "string"
    inputs = Schema([ColSpec(kind, "user")])
    params = ParamSchema([ParamSpec(name, kind, default) for name, (kind, default) in _PARAMS.items()])
    return {
        "loader_module": __name__,
        "data_path": str(model.save(folder / _FILE)),
        "signature": ModelSignature(inputs=inputs, params=params),
        "pip_requirements": [f"cofactor=={__version__}", "pandas"],
    }
