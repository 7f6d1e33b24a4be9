"""Calibrate: a list with the same mix of genres as what the user has had."""

from dataclasses import dataclass

import numpy as np

from cofactor.data.arguments import check_count, check_text
from cofactor.lists.attributes import Groups
from cofactor.lists.rerank import BoundReranker, ListContext, Ranked, check_strength, starts_of

__all__ = ["Calibrate"]


@dataclass(frozen=True)
class Calibrate:
    """Give a list the mix of groups that the user's history has; a re-ranker for ``recommend``.

    Somebody who has seen seven dramas and three comedies gets about that, instead of ten dramas.

    **Model.** p are the shares of groups, such as genres, in what the user has had, and q those in the list; an item in
    several groups counts in equal parts. With the relevance r scaled to the range from 0 to 1 among the user's
    ``among`` best items, a list maximizes (1 - s) Σ r - s KL(p || q), where a hundredth of p is mixed into q.

    **Algorithm.** Greedy, item by item. Users of whom no item is in a group keep the order by score.

    **Reference.** Steck (2018), Calibrated Recommendations.

    Parameters
    ----------
    by : str
        The column of the items that says their groups. Lists and texts separated by ``|`` are several groups.
    strength : float
        From 0, the order by score, to 1, the mix alone.
    among : int
        How many of the best items a list is chosen from; at least twice as many as its length.

    Raises
    ------
    SettingError
        If a setting is none of what it may be; in ``recommend``, if nothing is known of the items under ``by``.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.lists import Calibrate
    >>> from cofactor.solvers import ImplicitALS
    >>> model = ImplicitALS(rank=4, seed=0).fit(cf.load_dataset("synthetic:60x40x600"))
    >>> len(model.recommend([1], n=3, rerank=[Calibrate("title")]))
    3
    """

    by: str = "genres"
    strength: float = 0.5
    among: int = 100

    def __post_init__(self) -> None:
        check_text("by", self.by)
        check_strength(self.strength)
        check_count("among", self.among)

    def bound(self, context: ListContext) -> BoundReranker:
        """Return the re-ranker for some items and users."""
        return _Calibrated(self, context.attributes.groups(self.by), context)


class _Calibrated(BoundReranker):
    def __init__(self, rule: Calibrate, groups: Groups, context: ListContext) -> None:
        self._rule, self._groups, self._context = rule, groups, context

    def depth(self, n: int) -> int:
        """Return how many candidates a list is chosen from."""
        return max(self._rule.among, 2 * n)

    def rerank(self, candidates: Ranked, n: int) -> Ranked:
        """Choose a list of the wanted mix."""
        from cofactor.kernels.compiling import readable  # brings numba
        from cofactor.kernels.greedy import take_calibrated
        from cofactor.lists.picking import arrays_of, picked, scores_of

        users, _ = starts_of(candidates)
        history, rows = self._context.history, self._context.rows[users]
        there = rows >= 0
        ends = [np.where(there, history.indptr[rows + step], 0).astype(np.int64) for step in (0, 1)]
        return picked(
            take_calibrated,
            candidates,
            n,
            scores_of(candidates),
            float(self._rule.strength),
            *arrays_of(self._groups),
            *map(readable, ends),
            readable(history.indices, np.int32),
        )
