"""Reasons: which ratings to name for each item of a list.

A rating is named only if the item would stand lower without it, so that no list contradicts an explanation. Of those
that count about as much, the ones are named that the rows above have not named yet.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from cofactor.apps.web.profiles import Profile, RatedItems, fold_in
from cofactor.apps.web.scoring import shares_of
from cofactor.apps.web.served_model import ServedModel

__all__ = ["Positions", "profiles_without", "reasons_of"]

Positions = Callable[[Profile, Sequence[int]], Sequence[int]]
"""From a profile and item rows to their positions in that profile's list, 0 for an item that is not in it."""

MOST_TRIED = 8
"""So many ratings are left out in turn, those with the largest shares; each takes a fold-in and all scores."""

MORE = 2
"""For each row so many more ratings are considered than named."""

LEAST_SHARE = 0.25
"""Of a row's largest share: what counts less is no reason."""

REPEATED = 0.6
"""What a share counts, each time that its rating was named before."""


def profiles_without(served: ServedModel, rated: RatedItems, tried: Iterable[int]) -> list[Profile]:
    """Return the profiles that there would be without each of some ratings; unknown ones where one leaves nothing."""
    others = [rated.without(int(k)) for k in tried]
    if not all(other.learnt.any() for other in others):  # it was the only one: the list is the popular one
        return [Profile(other) for other in others]
    folded = fold_in(served, others)
    return [Profile(other, row, True, folded) for row, other in enumerate(others)]


def reasons_of(
    served: ServedModel, profile: Profile, rows: Sequence[int], n: int, positions: Positions
) -> list[list[dict[str, Any]]]:
    """Return for each item of a profile's list up to ``n`` ratings that keep it where it is.

    Parameters
    ----------
    served : ServedModel
    profile : Profile
    rows : sequence of int
        The list, the best first.
    n : int
    positions : Positions
        Of the kind of list that it is.
    """
    if not profile.is_known or not rows:
        return [[] for _ in rows]
    found = shares_of(served, profile, np.array(rows))
    tried = _likeliest(found.shares, n)
    if not tried.size:  # no rating raises any score
        return [[] for _ in rows]
    learnt = np.flatnonzero(profile.rated.learnt)
    without = profiles_without(served, profile.rated, learnt[tried])
    worse = {k: _worse(positions(other, rows)) for k, other in zip(tried.tolist(), without, strict=True)}
    items, named = served.items, Counter[int]()
    reasons = []
    for at, shares in enumerate(found.shares.T):
        fit = [k for k, stands in worse.items() if stands[at] and _counts(shares, k)]
        fit.sort(key=lambda k: (-shares[k] * REPEATED ** named[k], k))
        chosen = sorted(fit[:n], key=lambda k: -shares[k])
        named.update(chosen)
        reasons.append(
            [
                {
                    "item": items.ids[found.rated[k]],
                    "title": items.titles[found.rated[k]],
                    "rating": float(found.ratings[k]),
                    "share": float(shares[k]),
                }
                for k in chosen
            ]
        )
    return reasons


def _likeliest(shares: np.ndarray, n: int) -> np.ndarray:
    """Return the ratings that may be named, of those that raise a row's score most: shape (up to MOST_TRIED,)."""
    top = np.argsort(-shares, axis=0, kind="stable")[: n + MORE]
    weight = np.zeros(len(shares))
    np.add.at(weight, top, np.maximum(np.take_along_axis(shares, top, axis=0), 0))
    order = np.argsort(-weight, kind="stable")[:MOST_TRIED]
    return order[weight[order] > 0]


def _counts(shares: np.ndarray, k: int) -> bool:
    return bool(shares[k] > 0 and shares[k] >= LEAST_SHARE * shares.max())


def _worse(positions: Sequence[int]) -> list[bool]:
    """Tell of each item of a list whether it would stand lower without a rating; of the first, whether it may stay."""
    return [without == 0 or without > now or without == now == 1 for now, without in enumerate(positions, 1)]
