"""AtMost: no more than a few items of one genre, brand or maker in a list."""

from dataclasses import dataclass

from cofactor.data.arguments import check_count, check_flag, check_text
from cofactor.lists.attributes import Groups
from cofactor.lists.rerank import BoundReranker, ListContext, Ranked

__all__ = ["AtMost"]


@dataclass(frozen=True)
class AtMost:
    """Let a list hold at most ``k`` items of each group, such as two of a genre; a re-ranker for ``recommend``.

    **Model.** The best list among those that keep to the rule, item by item: each position has the best item that does
    not give a group its (k + 1)-th. An item counts in every group that it is in; one in none is always allowed.

    **Algorithm.** The exact list is walked through from the top, and made again four times as deep wherever it does
    not suffice, so a list is never short while the catalogue holds items that keep to the rule.

    **Reference.** Ziegler, McNee, Konstan and Lausen (2005), Improving Recommendation Lists Through Topic
    Diversification, state the problem; such caps are the usual rule of shops.

    Parameters
    ----------
    k : int
        How many items of a group a list may hold.
    per : str
        The column of the items that says their groups. Lists and texts separated by ``|`` are several groups.
    fill : bool
        Whether a list is filled with the best other items where no item is left that keeps to the rule. They come
        last. Without it the list stays short.

    Raises
    ------
    SettingError
        If ``k`` is not a whole number of at least 1; in ``recommend``, if nothing is known of the items under ``per``.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.lists import AtMost
    >>> from cofactor.solvers import ImplicitALS
    >>> model = ImplicitALS(rank=4, seed=0).fit(cf.load_dataset("synthetic:60x40x600"))
    >>> len(model.recommend([1], n=5, rerank=[AtMost(1, per="title")]))
    5
    """

    k: int
    per: str = "genres"
    fill: bool = True

    def __post_init__(self) -> None:
        check_count("k", self.k)
        check_text("per", self.per)
        check_flag("fill", self.fill)

    def bound(self, context: ListContext) -> BoundReranker:
        """Return the re-ranker for some items."""
        return _Capped(self, context.attributes.groups(self.per))


class _Capped(BoundReranker):
    deepens = True

    def __init__(self, rule: AtMost, groups: Groups) -> None:
        self._rule, self._groups = rule, groups

    def depth(self, n: int) -> int:
        """Return how many candidates suffice for most lists."""
        return 3 * n

    def rerank(self, candidates: Ranked, n: int) -> Ranked:
        """Leave out what is too much of a group; where there is nothing more to come, put it below the others."""
        from cofactor.kernels.greedy import take_at_most  # brings numba
        from cofactor.lists.picking import arrays_of, picked

        fills = self._rule.fill and candidates.whole
        return picked(take_at_most, candidates, n, self._rule.k, fills, *arrays_of(self._groups))
