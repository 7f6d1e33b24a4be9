"""What a list can be asked for, checked in one place."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np

from cofactor.data.arguments import check_choice
from cofactor.data.vocabulary import Id
from cofactor.errors import SettingError
from cofactor.lists.where import Where, check_where

if TYPE_CHECKING:
    from cofactor.lists.rerank import AnyReranker

__all__ = [
    "AudienceRequest",
    "By",
    "ItemChoice",
    "ListRequest",
    "OnUnknown",
    "UserChoice",
    "check_choice_of",
    "checked_n",
]

OnUnknown: TypeAlias = Literal["raise", "skip", "popular"]
By: TypeAlias = Literal["mean", "optimistic", "cautious"]
ItemChoice: TypeAlias = Iterable[Id] | Any
"""Item ids, which hold for every user, or a data frame with the columns user and item: pairs."""

UserChoice: TypeAlias = Iterable[Id] | Any
"""User ids, which hold for every item, or a data frame with the columns user and item: pairs."""


@dataclass(frozen=True, kw_only=True)
class ListRequest:
    """What each user's list should be.

    Parameters
    ----------
    n : int
        The length of a list. A user with fewer items left gets fewer.
    exclude_seen : bool
        Whether to leave out what the user had in the training data.
    candidates : iterable of ids, or data frame with the columns user and item, optional
        Choose from these items only; from a frame, each user from their own. Ids the model does not have are ignored.
    exclude : iterable of ids, or data frame with the columns user and item, optional
        Never choose these items, or these pairs. Ids the model does not have are ignored.
    where : polars.Expr or str, optional
        Choose from items that this holds for; see `cofactor.lists.where.rows_where`.
    on_unknown : {"raise", "skip", "popular"}
        What to do about users of whom nothing was learnt: raise `UnknownIdError`, leave them out, or list the popular
        items they have not seen.
    by : {"mean", "optimistic", "cautious"}
        What to order by in a model made of draws: the mean score, one standard deviation more, or one less.
    rerank : sequence of Reranker
        Applied in order to a list that is as deep as they need, before it is cut to ``n``.

    Raises
    ------
    SettingError
        If a value is none of what it may be.

    Examples
    --------
    >>> ListRequest(n=3).n
    3
    """

    n: int = 10
    exclude_seen: bool = True
    candidates: ItemChoice | None = None
    exclude: ItemChoice | None = None
    where: Where | None = None
    on_unknown: OnUnknown = "raise"
    by: By = "mean"
    rerank: "Sequence[AnyReranker]" = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", checked_n(self.n))
        check_choice("on_unknown", self.on_unknown, get_args(OnUnknown))
        check_choice("by", self.by, get_args(By))
        for name in ("candidates", "exclude"):
            check_choice_of(name, getattr(self, name), "item")
        check_where(self.where)
        object.__setattr__(self, "rerank", _checked_rerankers(self.rerank))


@dataclass(frozen=True, kw_only=True)
class AudienceRequest:
    """What each item's audience should be; `cofactor.Factors.recommend_users` says what the parameters mean."""

    n: int = 10
    exclude_seen: bool = True
    candidates: UserChoice | None = None
    exclude: UserChoice | None = None
    where: Where | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", checked_n(self.n))
        for name in ("candidates", "exclude"):
            check_choice_of(name, getattr(self, name), "user")
        check_where(self.where)


def checked_n(n: Any) -> int:
    """Return the length of a list, once it is known to be one."""
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
        raise SettingError(f"n is {n!r}: it must be a whole number of 0 or more")
    return int(n)


def _checked_rerankers(given: Any) -> tuple[Any, ...]:
    """Refuse what reranks nothing, and a re-ranker without its list."""
    if _reranks(given):
        raise SettingError(f"rerank is {given!r}: give a list, [{given!r}]")
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise SettingError(f"rerank is {given!r}: give a list of re-rankers, such as [AtMost(2, per='genres')]")
    rerankers = tuple(given)
    for one in rerankers:
        if not _reranks(one):
            raise SettingError(f"rerank holds {one!r}, which is no re-ranker, such as AtMost(2, per='genres')")
    return rerankers


def _reranks(given: Any) -> bool:
    return not isinstance(given, type) and (hasattr(given, "bound") or hasattr(given, "rerank"))


def check_choice_of(name: str, given: Any, kind: str) -> None:
    """Refuse what would be read as something else: the keys of a dict are no items, and one id is no list.

    Parameters
    ----------
    name : str
        Of the argument.
    given : object
    kind : {"item", "user"}
        What is chosen from.
    """
    if isinstance(given, Mapping):
        raise SettingError(
            f"{name} is a {type(given).__name__}: give a list of {kind} ids, or for {kind}s of each "
            f"{_OTHER[kind]}'s own a data frame with the columns user and item"
        )
    if isinstance(given, str | bytes | int | float):
        raise SettingError(f"{name} is {given!r}: give a list of {kind} ids, [{given!r}]")
    if given is not None and not isinstance(given, Iterable) and not hasattr(type(given), "columns"):
        raise SettingError(f"{name} cannot be a {type(given).__name__}: give a list of {kind} ids")


_OTHER = {"item": "user", "user": "item"}
