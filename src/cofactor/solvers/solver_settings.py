"""What all solvers' settings share: hints for the names that other libraries use, and scikit-learn's way with them."""

import dataclasses
import difflib
from typing import Any, ClassVar, Self

from cofactor.errors import SettingError

__all__ = ["Settings", "ours_for"]

_OURS = {
    "rank": (
        "components", "dimension", "dimensions", "dim", "embedding_dim", "embedding_size", "factors", "k", "latent_dim",
        "n_components", "n_factors", "no_components", "num_factors",
    ),
    "epochs": (
        "epoch", "iterations", "iter", "max_iter", "maxIter", "n_epochs", "n_iter", "niter", "num_epochs",
        "num_iterations",
    ),
    "sweeps": ("epochs", "iterations", "max_iter", "n_epochs", "n_iter"),
    "regularization": ("l2", "lambda_", "reg", "reg_all", "reg_param", "regParam", "user_alpha", "weight_decay"),
    "learning_rate": ("lr", "lr_all", "lr0", "step_size"),
    "unobserved_weight": ("alpha", "alpha0", "c0", "unseen_weight"),
    "seed": ("random_seed", "random_state"),
    "negatives": ("n_neg", "neg_sampling", "neg_samples", "num_neg", "num_negatives"),
    "non_negative": ("nonneg", "nonnegative"),
}  # fmt: skip
"""Our name of a setting, and what others call it."""


class Settings:
    """The parent of every solver, which is a frozen dataclass of settings."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]

    def __new__(cls, *args: Any, **settings: Any) -> Self:
        """Refuse a setting that there is not, by the name that it has here."""
        fields = [entry.name for entry in dataclasses.fields(cls)]
        for name in settings:
            if name not in fields:
                raise SettingError(f"{cls.__name__} has no setting {name!r}: {_instead(name, fields)}")
        return super().__new__(cls)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name, as scikit-learn asks for them.

        Parameters
        ----------
        deep : bool
            Of no effect: a setting has no settings of its own.
        """
        return {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)}

    def set_params(self, **settings: Any) -> Self:
        """Return a solver with some settings changed; this one stays as it is, since solvers never change.

        Raises
        ------
        SettingError
            If there is no such setting, or it cannot have the value.
        """
        return type(self)(**{**self.get_params(), **settings})


def ours_for(name: str, fields: list[str]) -> str | None:
    """Return which of some settings another library calls by a name; None if none is known."""
    return next((own for own, others in _OURS.items() if name in others and own in fields), None)


def _instead(name: str, fields: list[str]) -> str:
    ours = ours_for(name, fields)
    near = [ours] if ours else difflib.get_close_matches(name, fields, n=1, cutoff=0.7)
    return f"use {near[0]!r}" if near else f"there are {', '.join(fields)}"
