"""What a list of the service must keep to: a condition on what is known of the items, and rules by name.

A request names columns and writes conditions; only `cofactor.lists.where_text` reads them, and nothing of them is run.
"""

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cofactor.errors import SettingError
from cofactor.lists import AtMost, Boost, Calibrate, Diversify
from cofactor.lists.attributes import ItemAttributes
from cofactor.lists.rerank import Rule
from cofactor.lists.where import rows_where

__all__ = ["NO_RULES", "FieldError", "ListRules", "naming"]

_GROUPS = "genres"
_DIVERSE, _CALIBRATED = 0.1, 0.5


class FieldError(SettingError):
    """A field of a request that cannot be used.

    Parameters
    ----------
    field : str
        Its name.
    problem : str
    part : str, optional
        Of the request; if not given, where fields of its kind are.
    """

    def __init__(self, field: str, problem: str, part: str = "") -> None:
        super().__init__(problem)
        self.field, self.part = field, part


@contextlib.contextmanager
def naming(field: str) -> Iterator[None]:
    """Say of what the block refuses in which field it is."""
    try:
        yield
    except SettingError as error:
        raise FieldError(field, str(error)) from error


@dataclass(frozen=True, kw_only=True)
class ListRules:
    """A condition, and the settings of rules; what is not set does not apply.

    Parameters
    ----------
    where : str, optional
    at_most : int, optional
        How many items a group of the column ``per`` may have.
    per : str, optional
    diversify, calibrate : str, optional
        The column of `Diversify` or `Calibrate`; one of them.
    strength : float, optional
        Of either.
    boost : str, optional
        A condition: which items get ``weight`` more.
    weight : float, optional

    Raises
    ------
    FieldError
        If one is set that says nothing without another.
    """

    where: str | None = None
    at_most: int | None = None
    per: str | None = None
    diversify: str | None = None
    calibrate: str | None = None
    strength: float | None = None
    boost: str | None = None
    weight: float | None = None

    def __post_init__(self) -> None:
        if self.per is not None and self.at_most is None:
            raise FieldError("per", "it says which groups at_most counts: give at_most too")
        if self.calibrate is not None and self.diversify is not None:
            raise FieldError("calibrate", "a list is either diversified or calibrated: leave one of the two out")
        if self.strength is not None and self.calibrate is None and self.diversify is None:
            raise FieldError("strength", "it is that of diversify or calibrate: give one of them too")
        if (self.boost is None) != (self.weight is None):
            lacking, given = ("weight", "boost") if self.weight is None else ("boost", "weight")
            raise FieldError(lacking, f"{given} says nothing without it: give both, or neither")

    @functools.cached_property
    def rerankers(self) -> tuple[Rule, ...]:
        """The rules, in the order in which they make sense."""
        rules: list[Rule] = []
        if self.boost is not None and self.weight is not None:
            rules.append(Boost(self.boost, self.weight))
        if self.at_most is not None:
            rules.append(AtMost(self.at_most, self.per or _GROUPS))
        if self.diversify is not None:
            rules.append(Diversify(self.diversify, _DIVERSE if self.strength is None else self.strength))
        if self.calibrate is not None:
            rules.append(Calibrate(self.calibrate, _CALIBRATED if self.strength is None else self.strength))
        return tuple(rules)

    def check(self, attributes: ItemAttributes) -> None:
        """Refuse rules that do not fit what is known of the items.

        Raises
        ------
        FieldError
        """
        self.boosted(attributes)
        columns = {
            "per" if self.per else "at_most": None if self.at_most is None else self.per or _GROUPS,
            "diversify": self.diversify,
            "calibrate": self.calibrate,
        }
        for field, column in columns.items():
            if column is not None:
                with naming(field):
                    attributes.groups(column)

    def boosted(self, attributes: ItemAttributes) -> np.ndarray | None:
        """Return what is added to each item's score: shape (items,); None if nothing is."""
        if self.boost is None or self.weight is None:
            return None
        with naming("boost"):
            added: np.ndarray = self.weight * rows_where(self.boost, attributes.table, "boost")
        return added


NO_RULES = ListRules()
"""Nothing is left out, and the order is that by score."""
