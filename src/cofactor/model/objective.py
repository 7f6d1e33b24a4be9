"""What a model was trained to do: all that is needed to place one more user or item without the solver."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

__all__ = ["Goal", "Loss", "Objective", "Side"]

Goal = Literal["rating", "ranking"]
Side = Literal["user", "item"]
Loss = Literal[
    "squared", "residual", "weighted", "confident", "matched", "complete", "posterior", "pairwise", "logistic"
]


@dataclass(frozen=True)
class Objective:
    """The loss that the vectors of a model minimize, row by row.

    Parameters
    ----------
    loss : {"squared", "residual", "weighted", "confident", "matched", "complete", "posterior", "pairwise", "logistic"}
        What is minimized:

        - ``"squared"``: the squared error over the observed values alone.
        - ``"residual"``: the same, but a row's bias comes first, as if there were no vectors, and is held while they
          are found.
        - ``"weighted"``: observed pairs count by their value and aim at 1, all pairs together aim at 0 with the
          weight ``unobserved_weight`` (Hu, Koren and Volinsky 2008, in the form of Rendle et al. 2021).
        - ``"confident"``: the same in the form of 2008, where an observed pair aims at 1 with the weight
          ``unobserved_weight`` plus its value, and a row's penalty grows with its observed pairs alone.
        - ``"matched"``: a loss without equations; what comes nearest to it is ``"weighted"`` with every observed pair
          counting 1, whatever its value.
        - ``"complete"``: the squared error over all pairs, those that were not observed counting as 0. A bias, where
          there is one, is the share of a row's pairs that were observed.
        - ``"posterior"``: none; the vectors are draws from a posterior.
        - ``"pairwise"``: an observed pair is to score above one of the same user that was not observed (Rendle et al.
          2009); a row is placed by the steps of the training.
        - ``"logistic"``: a score is the logit of being observed, which each pair that is not is asked in its share of
          ``negatives`` draws beside each that is (Rendle et al. 2020).
    goal : {"rating", "ranking"}
        Whether the scores are meant as predicted ratings or only to put items in order.
    regularization, bias_regularization : float
        Weight of the squared norm of a row's vector, and of its bias.
    nu : float
        The penalty of a row grows with its number of observations to this power.
    unobserved_weight : float
        Weight of the pairs that were not observed; with ``"weighted"``, ``"confident"`` and ``"matched"``.
    count_offset : float, optional
        Added to a row's number of observations before it is raised to ``nu``; with ``"weighted"`` and ``"matched"``.
        None stands for ``unobserved_weight`` times the rows of the other side, as in files that do not name it.
    learning_rate : float
        Length of the first steps; only with ``loss="pairwise"``.
    negatives : int
        How many items that were not observed are drawn beside each that was: with ``loss="pairwise"`` the one of
        highest score is taken, with ``loss="logistic"`` all are.
    non_negative : bool
        Whether the vectors have no negative entry.
    draws : int
        How many draws stand side by side in a vector; a score is their average.
    scale : tuple of float, or None
        The least and the greatest value in the training data: ratings are clipped to it on request.
    """

    loss: Loss = "squared"
    goal: Goal = "rating"
    regularization: float = 0.0
    bias_regularization: float = 0.0
    nu: float = 1.0
    unobserved_weight: float = 0.0
    count_offset: float | None = None
    learning_rate: float = 0.0
    negatives: int = 1
    non_negative: bool = False
    draws: int = 1
    scale: tuple[float, float] | None = None

    @classmethod
    def from_mapping(cls, stored: Mapping[str, Any]) -> "Objective":
        """Build it from what a file holds; raises TypeError or ValueError where that does not fit."""
        known = {field.name for field in dataclasses.fields(cls)}
        if unknown := set(stored) - known:
            raise ValueError(f"unknown entries {sorted(unknown)}")
        values = dict(stored)
        if values.get("scale") is not None:
            low, high = values["scale"]
            values["scale"] = (float(low), float(high))
        objective = cls(**values)
        names = ("regularization", "bias_regularization", "nu", "unobserved_weight", "learning_rate")
        if not all(isinstance(getattr(objective, name), int | float) for name in names):
            raise TypeError("an entry that should be a number is not")
        if not isinstance(objective.count_offset, int | float | None):
            raise TypeError(f"count_offset is {objective.count_offset!r}")
        for name in ("draws", "negatives"):
            if not isinstance(getattr(objective, name), int) or getattr(objective, name) < 1:
                raise ValueError(f"{name} is {getattr(objective, name)!r}")
        if objective.loss not in get_args(Loss) or objective.goal not in get_args(Goal):
            raise ValueError(f"unknown loss {objective.loss!r} or goal {objective.goal!r}")
        return objective
