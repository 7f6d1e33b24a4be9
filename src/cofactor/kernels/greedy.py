"""Compiled re-rankers: each walks through some users' candidates and takes one item after the other.

Candidates are rows sorted by user: those of list ``k`` are the rows from ``starts[k]`` to ``starts[k + 1]``. There are
``groups`` groups; those of item ``i`` are ``codes[indptr[i] : indptr[i + 1]]``, without repetition. A kernel writes the
rows that it takes to ``taken[k]``, in their order, and how many they are to ``counts[k]``. Of equal candidates it takes
the first.

Symbols: two items are similar by the cosine of their groups, sim = |A ∩ B| / √(|A| |B|). The relevance of a candidate
is its score, scaled so that the list's candidates reach from 0 to 1.

Relies on ``starts`` that rise to the number of candidates, on candidates that are items, and on codes below ``groups``:
`cofactor.lists` makes all of them.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from cofactor.kernels.compiling import inlined, kernel

__all__ = [
    "take_at_most",
    "take_calibrated",
    "take_far_apart",
    "take_pinned",
    "take_promoted",
    "take_unlike_the_nearest",
    "take_volume",
]

Array = npt.NDArray[Any]

SMOOTHED = 0.01
"""How much of the history's distribution is mixed into the list's, so that the divergence is finite (Steck 2018)."""

NOTHING_LEFT = 1e-9
"""The share of a candidate's own variance below which the chosen items explain all of it."""


@kernel
def take_at_most(
    first: int,
    last: int,
    starts: Array,
    items: Array,
    most: int,
    fills: bool,
    groups: int,
    indptr: Array,
    codes: Array,
    taken: Array,  # (lists, n)
    counts: Array,
) -> None:
    """Take candidates in order, but none of a group that has given as many as it may; then maybe the others."""
    used = np.zeros(groups, np.int64)
    for k in range(first, last):
        count = 0
        for row in range(starts[k], starts[k + 1]):
            if count == taken.shape[1]:
                break
            item, free = items[row], True
            for g in range(indptr[item], indptr[item + 1]):
                free &= used[codes[g]] < most
            if free:
                for g in range(indptr[item], indptr[item + 1]):
                    used[codes[g]] += 1
                taken[k, count] = row
                count += 1
        for at in range(count):
            item = items[taken[k, at]]
            for g in range(indptr[item], indptr[item + 1]):
                used[codes[g]] = 0
        if fills:
            kept, at = count, 0
            for row in range(starts[k], starts[k + 1]):
                if count == taken.shape[1]:
                    break
                if at < kept and taken[k, at] == row:
                    at += 1
                else:
                    taken[k, count] = row
                    count += 1
        counts[k] = count


@inlined
def scale(scores: Array, start: int, stop: int, relevance: Array) -> int:
    """Scale a list's scores to the range from 0 to 1 and return where the first best one is."""
    low, high, best = scores[start], scores[start], 0
    for row in range(start, stop):
        low = min(low, scores[row])
        if scores[row] > high:
            high, best = scores[row], row - start
    width = np.float64(high) - np.float64(low)
    for row in range(start, stop):
        relevance[row - start] = (np.float64(scores[row]) - np.float64(low)) / width if width > 0 else 0.0
    return best


@inlined
def gather(
    start: int, stop: int, items: Array, indptr: Array, codes: Array, edges: Array, own: Array, roots: Array
) -> None:
    """Copy the groups of a list's candidates, so that they follow each other: ``own[edges[c] : edges[c + 1]]``."""
    edges[0] = 0
    for row in range(start, stop):
        item, c = items[row], row - start
        size = indptr[item + 1] - indptr[item]
        for g in range(size):
            own[edges[c] + g] = codes[indptr[item] + g]
        edges[c + 1] = edges[c] + size
        roots[c] = 1.0 / math.sqrt(size) if size else 0.0


@inlined
def compare(chosen: int, count: int, edges: Array, own: Array, roots: Array, marks: Array, similar: Array) -> None:
    """Compute how similar each candidate of a list is to one of them, by marking that one's groups."""
    for g in range(edges[chosen], edges[chosen + 1]):
        marks[own[g]] = 1
    for c in range(count):
        common = 0
        for g in range(edges[c], edges[c + 1]):
            common += marks[own[g]]
        similar[c] = common * roots[c] * roots[chosen]
    for g in range(edges[chosen], edges[chosen + 1]):
        marks[own[g]] = 0


@inlined
def most_groups(first: int, last: int, starts: Array, items: Array, indptr: Array) -> int:
    """Return how many memberships the candidates of a list have at most."""
    most = 0
    for k in range(first, last):
        total = 0
        for row in range(starts[k], starts[k + 1]):
            total += indptr[items[row] + 1] - indptr[items[row]]
        most = max(most, total)
    return most


@inlined
def order(rows: Array, count: int, scores: Array) -> None:
    """Put the first of some rows in order by score, equal ones by row."""
    for at in range(1, count):
        row, place = rows[at], at
        while place > 0 and (
            scores[rows[place - 1]] < scores[row] or (scores[rows[place - 1]] == scores[row] and rows[place - 1] > row)
        ):
            rows[place] = rows[place - 1]
            place -= 1
        rows[place] = row


@inlined
def longest(starts: Array, first: int, last: int) -> int:
    """Return the length of the longest of some lists."""
    most = 0
    for k in range(first, last):
        most = max(most, starts[k + 1] - starts[k])
    return most


@kernel
def take_far_apart(
    first: int,
    last: int,
    starts: Array,
    items: Array,
    scores: Array,
    strength: float,
    groups: int,
    indptr: Array,
    codes: Array,
    taken: Array,
    counts: Array,
) -> None:
    """Take the candidate of largest (1 - strength) relevance + strength Σ (1 - sim), over those taken before.

    What is taken is a set: it is listed by score.
    """
    most = longest(starts, first, last)
    relevance, similar, apart = np.empty(most), np.empty(most), np.empty(most)
    marks = np.zeros(groups, np.int32)
    own = np.empty(most_groups(first, last, starts, items, indptr), np.int32)
    edges, roots = np.empty(most + 1, np.int64), np.empty(most)
    for k in range(first, last):
        start, stop = starts[k], starts[k + 1]
        size = stop - start
        gather(start, stop, items, indptr, codes, edges, own, roots)
        best = scale(scores, start, stop, relevance)
        count = min(size, taken.shape[1])
        apart[:size] = 0.0
        for at in range(count):
            taken[k, at] = start + best
            relevance[best] = -np.inf
            if at + 1 == count:
                break
            compare(best, size, edges, own, roots, marks, similar)
            top = -np.inf
            for c in range(size):
                apart[c] += 1.0 - similar[c]
                value = (1.0 - strength) * relevance[c] + strength * apart[c]
                if value > top:
                    top, best = value, c
        order(taken[k], count, scores)
        counts[k] = count


@kernel
def take_unlike_the_nearest(
    first: int,
    last: int,
    starts: Array,
    items: Array,
    scores: Array,
    strength: float,
    groups: int,
    indptr: Array,
    codes: Array,
    taken: Array,
    counts: Array,
) -> None:
    """Take the candidate of largest (1 - strength) relevance - strength max sim, over those taken before."""
    most = longest(starts, first, last)
    relevance, similar, nearest = np.empty(most), np.empty(most), np.empty(most)
    marks = np.zeros(groups, np.int32)
    own = np.empty(most_groups(first, last, starts, items, indptr), np.int32)
    edges, roots = np.empty(most + 1, np.int64), np.empty(most)
    for k in range(first, last):
        start, stop = starts[k], starts[k + 1]
        size = stop - start
        gather(start, stop, items, indptr, codes, edges, own, roots)
        best = scale(scores, start, stop, relevance)
        count = min(size, taken.shape[1])
        nearest[:size] = 0.0
        for at in range(count):
            taken[k, at] = start + best
            relevance[best] = -np.inf
            if at + 1 == count:
                break
            compare(best, size, edges, own, roots, marks, similar)
            top = -np.inf
            for c in range(size):
                nearest[c] = max(nearest[c], similar[c])
                value = (1.0 - strength) * relevance[c] - strength * nearest[c]
                if value > top:
                    top, best = value, c
        counts[k] = count


@kernel
def take_volume(
    first: int,
    last: int,
    starts: Array,
    items: Array,
    scores: Array,
    strength: float,
    groups: int,
    indptr: Array,
    codes: Array,
    taken: Array,
    counts: Array,
) -> None:
    """Take the candidate that adds most to log det of w sim w, with w = exp((1 - strength) z) of the scores' z values.

    ``left`` is what the taken items leave of each candidate's variance: a row of Cholesky factors is added with each
    (Chen, Zhang and Zhou 2018). Where nothing is left of any candidate, the most relevant one is taken. What is
    taken is a set: it is listed by score.
    """
    most = longest(starts, first, last)
    weights, similar, left = np.empty(most), np.empty(most), np.empty(most)
    factors = np.empty((most, taken.shape[1]))
    free, marks = np.empty(most, np.bool_), np.zeros(groups, np.int32)
    own = np.empty(most_groups(first, last, starts, items, indptr), np.int32)
    edges, roots = np.empty(most + 1, np.int64), np.empty(most)
    for k in range(first, last):
        start, stop = starts[k], starts[k + 1]
        size = stop - start
        gather(start, stop, items, indptr, codes, edges, own, roots)
        mean, squares = 0.0, 0.0
        for row in range(start, stop):
            mean += np.float64(scores[row]) / size
        for row in range(start, stop):
            squares += (np.float64(scores[row]) - mean) ** 2 / size
        deviation = math.sqrt(squares)
        for c in range(size):
            z = (np.float64(scores[start + c]) - mean) / deviation if deviation > 0 else 0.0
            weights[c] = math.exp((1.0 - strength) * z)
            left[c] = weights[c] * weights[c]
            free[c] = True
        count = min(size, taken.shape[1])
        for at in range(count):
            best, top = -1, 0.0
            for c in range(size):
                if free[c] and left[c] > top:
                    top, best = left[c], c
            if best < 0:
                for c in range(size):
                    if free[c] and (best < 0 or weights[c] > weights[best]):
                        best = c
            taken[k, at] = start + best
            free[best] = False
            if at + 1 == count:
                break
            root = math.sqrt(left[best])
            compare(best, size, edges, own, roots, marks, similar)
            for c in range(size):
                factors[c, at] = 0.0
                if free[c] and root > 0.0 and left[c] > 0.0:
                    product = weights[c] * similar[c] * weights[best]
                    for j in range(at):
                        product -= factors[c, j] * factors[best, j]
                    factors[c, at] = product / root
                    left[c] -= factors[c, at] * factors[c, at]
                    if left[c] <= NOTHING_LEFT * weights[c] * weights[c]:
                        left[c] = 0.0
        order(taken[k], count, scores)
        counts[k] = count


@kernel
def take_calibrated(
    first: int,
    last: int,
    starts: Array,
    items: Array,
    scores: Array,
    strength: float,
    groups: int,
    indptr: Array,
    codes: Array,
    had_starts: Array,  # (lists,)
    had_stops: Array,
    had: Array,  # item rows of histories
    taken: Array,
    counts: Array,
) -> None:
    """Take the candidate of largest (1 - strength) relevance - strength KL(p || q), with q of the list that it makes.

    ``p`` are the shares of groups in the history, ``q`` those in the list, an item's membership shared out evenly among
    its groups. Taking a candidate changes the shares of its own groups alone, once all are scaled to the new length.
    """
    most = longest(starts, first, last)
    relevance, free = np.empty(most), np.empty(most, np.bool_)
    wanted, held, parts, active = np.zeros(groups), np.zeros(groups), np.zeros(groups), np.empty(groups, np.int64)
    for k in range(first, last):
        start, stop = starts[k], starts[k + 1]
        scale(scores, start, stop, relevance)
        count = min(stop - start, taken.shape[1])
        free[: stop - start] = True
        n_active, known = 0, 0
        for h in range(had_starts[k], had_stops[k]):
            item = had[h]
            size = indptr[item + 1] - indptr[item]
            known += size > 0
            for g in range(indptr[item], indptr[item + 1]):
                if wanted[codes[g]] == 0.0:
                    active[n_active] = codes[g]
                    n_active += 1
                wanted[codes[g]] += 1.0 / size
        for a in range(n_active):
            wanted[active[a]] /= known
        length = 0  # of the taken items that are in a group
        for at in range(count):
            same, longer = 0.0, 0.0  # the divergence without another group, and what is left of it in a longer list
            for a in range(n_active):
                p, h = wanted[active[a]], held[active[a]]
                same += divergence(p, h / length if length else 0.0)
                parts[active[a]] = divergence(p, h / (length + 1))
                longer += parts[active[a]]
            best, top = -1, -np.inf
            for c in range(stop - start):
                if not free[c]:
                    continue
                item = items[start + c]
                size = indptr[item + 1] - indptr[item]
                changed = longer if size else same
                for g in range(indptr[item], indptr[item + 1]):
                    p, h = wanted[codes[g]], held[codes[g]]
                    if p > 0.0:
                        changed += divergence(p, (h + 1.0 / size) / (length + 1)) - parts[codes[g]]
                value = (1.0 - strength) * relevance[c] - strength * changed
                if value > top:
                    top, best = value, c
            taken[k, at] = start + best
            free[best] = False
            item = items[start + best]
            size = indptr[item + 1] - indptr[item]
            length += size > 0
            for g in range(indptr[item], indptr[item + 1]):
                held[codes[g]] += 1.0 / size
        for at in range(count):
            item = items[taken[k, at]]
            for g in range(indptr[item], indptr[item + 1]):
                held[codes[g]] = 0.0
        for a in range(n_active):
            wanted[active[a]] = 0.0
        counts[k] = count


@inlined
def divergence(p: float, q: float) -> float:
    """Return a group's part of the divergence."""
    return p * math.log(p / ((1.0 - SMOOTHED) * q + SMOOTHED * p))


@kernel
def take_promoted(
    first: int,
    last: int,
    starts: Array,
    items: Array,
    due: Array,  # (promoted places,), rising: by which place, from 0, the next promoted item is in the list
    promoted: Array,  # (items,), bool
    taken: Array,
    counts: Array,
) -> None:
    """Take candidates in order, and a promoted one at the latest where it is due."""
    for k in range(first, last):
        stop, count, given = starts[k + 1], 0, 0
        plain, special = starts[k], starts[k]  # the next row that is not promoted, and the next that is
        while count < taken.shape[1]:
            while plain < stop and promoted[items[plain]]:
                plain += 1
            while special < stop and not promoted[items[special]]:
                special += 1
            if special < stop and (special < plain or plain == stop or (given < len(due) and count >= due[given])):
                taken[k, count] = special
                special += 1
                given += 1
            elif plain < stop:
                taken[k, count] = plain
                plain += 1
            else:
                break
            count += 1
        counts[k] = count


@kernel
def take_pinned(
    first: int,
    last: int,
    starts: Array,
    items: Array,
    places: Array,  # (items,): the place of each pinned item, from 0; -1 for the others
    taken: Array,
    counts: Array,
) -> None:
    """Take pinned items at their places, or at the end of a list that is too short for that, and others in order."""
    at = np.full(taken.shape[1], -1, np.int64)
    for k in range(first, last):
        at[:] = -1
        for row in range(starts[k], starts[k + 1]):
            place = places[items[row]]
            if 0 <= place < taken.shape[1]:
                at[place] = row
        count, row = 0, starts[k]
        for place in range(taken.shape[1]):
            if at[place] >= 0:
                taken[k, count] = at[place]
                count += 1
                continue
            while row < starts[k + 1] and 0 <= places[items[row]] < taken.shape[1]:
                row += 1
            if row < starts[k + 1]:
                taken[k, count] = row
                row += 1
                count += 1
        counts[k] = count
