"""What every objective can do with arrays: place rows, split scores into shares, write itself down."""

import abc
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, TypeVar

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.errors import DataError

__all__ = [
    "Goal",
    "Objective",
    "Parameters",
    "Placed",
    "Side",
    "Toward",
    "need",
    "need_biases",
    "other_side",
    "refuse_negative",
]

Goal = Literal["rating", "ranking"]
Side = Literal["user", "item"]

_Made = TypeVar("_Made")
_LARGEST_RATING = 3.5e38
_LARGEST = 1e16


def other_side(side: Side) -> Side:
    """Return the side that is held while rows of ``side`` are placed."""
    return "item" if side == "user" else "user"


@dataclass(frozen=True, eq=False)
class Parameters:
    """The numbers of a trained model, as objectives take them.

    Parameters
    ----------
    user_vectors, item_vectors : numpy.ndarray of float32, shapes (users, columns) and (items, columns)
    user_bias, item_bias : numpy.ndarray of float32, or None
    mean : float
    extras : mapping of str to numpy.ndarray
    learnt : callable
        Returns what the model was trained on as prepared values: a scipy.sparse.csr_array of shape (users, items).
    draws : int
        How many draws of a posterior are side by side in a vector.
    made : dict
        What was made of each side's numbers before; `once` fills it.
    """

    user_vectors: np.ndarray
    item_vectors: np.ndarray
    user_bias: np.ndarray | None
    item_bias: np.ndarray | None
    mean: float
    extras: Mapping[str, np.ndarray]
    learnt: Callable[[], sparse.csr_array]
    draws: int = 1
    made: dict[Side, dict[str, Any]] = field(default_factory=lambda: {"user": {}, "item": {}})

    def vectors(self, side: Side) -> np.ndarray:
        """Return the vectors of one side."""
        return self.user_vectors if side == "user" else self.item_vectors

    def bias(self, side: Side) -> np.ndarray | None:
        """Return the biases of one side, if it has them."""
        return self.user_bias if side == "user" else self.item_bias

    def once(self, name: str, side: Side, make: Callable[[], _Made]) -> _Made:
        """Return what ``make`` makes of the vectors and biases of ``side``, made once for as long as these last."""
        if name not in self.made[side]:
            self.made[side][name] = make()
        made: _Made = self.made[side][name]
        return made


@dataclass(frozen=True, eq=False)
class Toward:
    """Where the vectors of rows are drawn to, instead of to zero, where a model has learnt from attributes.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (rows, columns of a vector [+ draws])
        What the attributes of each row say, and where rows have biases, what they say of these: one for each draw of a
        posterior.
    fresh : numpy.ndarray of bool, shape (rows,)
        Which rows are so new that nobody could have chosen them yet: that somebody did not says nothing.
    """

    vectors: np.ndarray
    fresh: np.ndarray


@dataclass(frozen=True)
class Placed:
    """The rows of newcomers: vectors (rows, columns), biases (rows,) or None, and rows of a model's extras."""

    vectors: np.ndarray
    bias: np.ndarray | None = None
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Objective(abc.ABC):
    """What the vectors of a model minimize, row by row.

    Parameters
    ----------
    goal : {"rating", "ranking"}
        Whether the scores predict ratings or only put items in order.
    scale : tuple of float, or None
        The least and the greatest rating in the training data: predictions are clipped to it on request.
    """

    kind: ClassVar[str]
    """Its name in files."""

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}
    """The least and the greatest that each of its numbers may be; where both are integers, it is a whole number."""

    goal: Goal = "rating"
    scale: tuple[float, float] | None = None

    @property
    def draws(self) -> int:
        """How many draws of a posterior are side by side in a vector; a score is their average."""
        return 1

    @property
    def heeds_weights(self) -> bool:
        """Whether some choices of a user can count more than others when the user is placed."""
        return False

    @abc.abstractmethod
    def place(self, parameters: Parameters, rows: sparse.csr_array, side: Side, toward: Toward | None = None) -> Placed:
        """Return the vectors that rows of prepared values get while the other side is held.

        Parameters
        ----------
        parameters : Parameters
        rows : scipy.sparse.csr_array, shape (newcomers, items) for users, (newcomers, users) for items
        side : {"user", "item"}
            What the newcomers are.
        toward : Toward, optional
            What vectors are drawn to instead of to zero, where a model has learnt from attributes.

        Raises
        ------
        SettingError
            If a row's equation is singular, for want of regularization.
        """

    def attribute_shares(
        self,
        parameters: Parameters,
        met: np.ndarray,
        values: np.ndarray,
        user_row: int,
        item_rows: np.ndarray,
        parts: np.ndarray,
    ) -> np.ndarray:
        """Split off what a user's attributes add to scores: float64, shape (attributes, items).

        Here it is what they add to the user's vector and bias, as where a user's steps begin.

        Parameters
        ----------
        parameters, met, values, user_row, item_rows
            As in `shares`.
        parts : numpy.ndarray, shape (attributes, rank [+ 1])
            What each attribute adds to where the user is drawn to, and to their bias.
        """
        items = parameters.item_vectors[item_rows].astype(np.float64)
        found: np.ndarray = parts[:, : items.shape[1]] @ items.T
        return found + parts[:, items.shape[1] :].sum(axis=1, keepdims=True)

    @abc.abstractmethod
    def shares(
        self,
        parameters: Parameters,
        met: np.ndarray,
        values: np.ndarray,
        user_row: int,
        item_rows: np.ndarray,
        toward: Toward | None = None,
    ) -> np.ndarray:
        """Split scores over the ratings they come from.

        Parameters
        ----------
        parameters : Parameters
        met, values : numpy.ndarray, shape (ratings,)
            Which items a user rated, and the prepared values.
        user_row : int
        item_rows : numpy.ndarray of int, shape (items,)
            Whose scores are split.
        toward : Toward, optional
            Where the user is drawn to: one row.

        Returns
        -------
        numpy.ndarray of float64, shape (ratings, items)
        """

    def check_values(self, ids: pl.Series, rows: sparse.csr_array) -> None:  # noqa: B027 - most take any value
        """Refuse prepared values that it cannot place anyone by.

        Raises
        ------
        DataError
            Naming the newcomer.
        """

    def check_parameters(self, parameters: Parameters) -> None:  # noqa: B027 - most need vectors alone
        """Check that a model from a file has the arrays that this objective needs, each as it needs it.

        Raises
        ------
        CofactorError, ValueError
            Naming the array.
        """

    def grown(self, parameters: Parameters, n_users: int, n_items: int) -> Mapping[str, np.ndarray]:
        """Return a model's extras, lengthened for more users and items."""
        return parameters.extras

    def shrunk(self, parameters: Parameters, users: np.ndarray) -> Mapping[str, np.ndarray]:
        """Return a model's extras with only some rows of its users."""
        return parameters.extras

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {"kind": self.kind, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote, without its kind; raises TypeError or ValueError where that does not fit."""
        values = dict(stored)
        known = {entry.name: entry for entry in dataclasses.fields(cls)}
        if unknown := set(values) - set(known):
            raise ValueError(f"unknown entries {sorted(unknown)}")
        if values.get("scale") is not None:
            values["scale"] = _scale_from(values["scale"])
        objective = cls(**values)
        if objective.goal not in ("rating", "ranking"):
            raise ValueError(f"unknown goal {str(objective.goal)[:40]!r}")
        for name, entry in known.items():
            if isinstance(entry.default, bool) and not isinstance(getattr(objective, name), bool):
                raise TypeError(f"{name} is not true or false")
        for name, (least, most) in cls.ranges.items():
            _check_number(name, getattr(objective, name), least, most)
        return objective


def need(
    arrays: Mapping[str, np.ndarray], name: str, kind: type, shape: tuple[int, ...], *, finite: bool = True
) -> np.ndarray:
    """Return an array of a model, once it is known to be there, of its type and of its shape, and not too large.

    Raises
    ------
    DataError
        Naming the array, what it is, and what it should be.
    """
    array = arrays.get(name)
    if array is None or array.shape != shape or array.dtype != kind:
        found = "missing" if array is None else f"{array.dtype} of shape {array.shape}"
        raise DataError(f"the model's {name} is {found}, where {np.dtype(kind)} of shape {shape} is needed")
    if finite and kind in (np.float32, np.float64) and array.size:
        least, most = array.min(), array.max()  # NaN where there is one
        if not (least >= -_LARGEST and most <= _LARGEST):
            raise DataError(f"the model's {name} has a value that is not finite, or too large to be used")
    return array


def need_biases(parameters: Parameters, *sides: Side) -> None:
    """Raise DataError where a side of a model has no biases."""
    for side in sides:
        if parameters.bias(side) is None:
            raise DataError(f"the model has no {side}_bias, which its objective needs")


def _scale_from(stored: Any) -> tuple[float, float]:
    low, high = stored
    for end in (low, high):
        _check_number("scale", end, -_LARGEST_RATING, _LARGEST_RATING)
    if low > high:
        raise ValueError(f"scale goes from {low} down to {high}")
    return float(low), float(high)


def _check_number(name: str, value: Any, least: float, most: float) -> None:
    whole = isinstance(least, int) and isinstance(most, int)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} should be a number")
    if not least <= value <= most or (whole and not isinstance(value, int)):
        number = "a whole number" if whole else "a number"
        raise ValueError(f"{name} is {str(value)[:40]}: it must be {number} from {least:g} to {most:g}")


def refuse_negative(ids: pl.Series, rows: sparse.csr_array, advice: str) -> None:
    """Refuse negative values, naming the newcomer who has one.

    Raises
    ------
    DataError
        With the advice at its end.
    """
    negative = np.flatnonzero(rows.data < 0)
    if len(negative):
        row = int(np.searchsorted(rows.indptr, negative[0], side="right")) - 1
        raise DataError(f"{ids[row]!r} has a negative value: {advice}")
