"""Diversify: a list whose items differ from each other, at a small price in relevance."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from cofactor.data.arguments import check_choice, check_count, check_text
from cofactor.lists.attributes import Groups
from cofactor.lists.rerank import BoundReranker, ListContext, Ranked, check_strength

__all__ = ["Diversify", "Method"]

Method: TypeAlias = Literal["msd", "mmr", "dpp"]


@dataclass(frozen=True)
class Diversify:
    """Trade some relevance for lists whose items differ in their groups, such as genres; a re-ranker for ``recommend``.

    **Model.** The distance of two items is 1 minus the cosine of their groups: 1 - c / √(a b) if one is in a groups,
    the other in b, and both in c of them; items in no group share one of their own. The relevance r of a candidate is
    its score, scaled to the range from 0 to 1 among the user's ``among`` best items. With s for the strength, a list is

    - ``"msd"``, maximal sum of distances: (1 - s) Σ r + s Σ distance over all pairs;
    - ``"mmr"``, maximal marginal relevance: each item maximizes (1 - s) r - s times its cosine with the nearest of
      those before it;
    - ``"dpp"``, a determinantal point process: log det of w cosine w, with w = exp((1 - s) z) for the scores' z values.

    **Algorithm.** Greedy: the most relevant item, and then the candidate that adds most, n times. What the first and
    the last choose is a set, and is listed by score. The time is that of n passes over the candidates.

    **Reference.** Borodin, Lee and Ye (2012), Max-Sum Diversification, Monotone Submodular Functions and Dynamic
    Updates; Carbonell and Goldstein (1998), The Use of MMR, Diversity-Based Reranking; Chen, Zhang and Zhou (2018),
    Fast Greedy MAP Inference for Determinantal Point Process to Improve Recommendation Diversity.

    Parameters
    ----------
    by : str
        The column of the items that says their groups. Lists and texts separated by ``|`` are several groups.
    strength : float
        From 0, the order by score, to 1, differences alone. What a number means depends on the method.
    method : {"msd", "mmr", "dpp"}
    among : int
        How many of the best items a list is chosen from; at least twice as many as its length.

    Raises
    ------
    SettingError
        If a setting is none of what it may be; in ``recommend``, if nothing is known of the items under ``by``.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.lists import Diversify
    >>> from cofactor.solvers import ImplicitALS
    >>> model = ImplicitALS(rank=4, seed=0).fit(cf.load_dataset("synthetic:60x40x600"))
    >>> model.recommend([1], n=3, rerank=[Diversify("title", strength=0.3)])["position"].to_list()
    [1, 2, 3]
    """

    by: str = "genres"
    strength: float = 0.1
    method: Method = "msd"
    among: int = 100

    def __post_init__(self) -> None:
        check_text("by", self.by)
        check_strength(self.strength)
        check_choice("method", self.method, get_args(Method))
        check_count("among", self.among)

    def bound(self, context: ListContext) -> BoundReranker:
        """Return the re-ranker for some items."""
        return _Diversified(self, context.attributes.groups(self.by, complete=True))


class _Diversified(BoundReranker):
    def __init__(self, rule: Diversify, groups: Groups) -> None:
        self._rule, self._groups = rule, groups

    def depth(self, n: int) -> int:
        """Return how many candidates a list is chosen from."""
        return max(self._rule.among, 2 * n)

    def rerank(self, candidates: Ranked, n: int) -> Ranked:
        """Choose a list of items that differ."""
        from cofactor.kernels import greedy  # brings numba
        from cofactor.lists.picking import arrays_of, picked, scores_of

        kernels = {
            "msd": greedy.take_far_apart,
            "mmr": greedy.take_unlike_the_nearest,
            "dpp": greedy.take_volume,
        }
        strength = float(self._rule.strength)
        return picked(
            kernels[self._rule.method], candidates, n, scores_of(candidates), strength, *arrays_of(self._groups)
        )
