"""Steps of BPR: what a user chose is to score above what they did not, one block of users and items at a time.

Every function works in one thread, in a fixed order, with random numbers that hang on a key and a count. Symbols, for
a user ``u`` with the vector ``x``, an item ``i`` that they chose and one, ``j``, that they did not:

    d  lead     bias_i + x.y_i - bias_j - x.y_j
    z  pull     1 / (1 + exp(d)), how far the pair is from being in order: minus the slope of log(1 + exp(-d))

``CHUNK`` pairs of one user are looked at together and then moved together, so that no pair waits for the vector that
the pair before it has moved. Vectors are padded to whole registers, as rows of C-contiguous arrays.

Relies on compressed rows that are sound (`cofactor.data.sound_rows`), on one row of ``users`` and ``items`` for each of
theirs, and on padded vectors, which `cofactor.model.pair_blocks` checks.
"""

import math

import numpy as np

from cofactor.kernels.compiling import Array, inlined, kernel
from cofactor.kernels.counter_random import child_key
from cofactor.kernels.lanes import WIDTH, load, multiply, multiply_add, prefetch, splat, store, total

CHUNK = 8
TRIES = 16
"""How often an item is drawn before the next one that the user did not choose is taken instead."""

_HALF, _LINE = np.uint64(32), 16


@kernel
def bucket(
    first: int,
    last: int,
    cuts: Array,
    indptr: Array,
    indices: Array,
    weights: Array,
    block_of: Array,
    place_of: Array,
    ends: Array,
    bases: Array,
    entries: Array,
    arranged: Array,
) -> None:
    """Put what the users of blocks ``first`` to ``last`` chose in order of item block, then user.

    ``entries`` (pairs,) are places within the item block, ``arranged`` their ``weights`` where there are any. What user
    ``u`` chose of block ``b`` ends at ``ends[b, u]``; it starts where that of ``u - 1`` ends, or at
    ``bases[block of users, b]`` for the first of their block.
    """
    for task in range(first, last):
        low, high = cuts[task], cuts[task + 1]
        for b in range(len(ends)):
            for u in range(low, high):
                ends[b, u] = 0
        for u in range(low, high):
            for k in range(indptr[u], indptr[u + 1]):
                ends[block_of[indices[k]], u] += 1
        place = indptr[low]
        for b in range(len(ends)):
            bases[task, b] = place
            for u in range(low, high):
                count = ends[b, u]
                ends[b, u] = place
                place += count
        for u in range(low, high):
            for k in range(indptr[u], indptr[u + 1]):
                b = block_of[indices[k]]
                entries[ends[b, u]] = place_of[indices[k]]
                if len(weights):
                    arranged[ends[b, u]] = weights[k]
                ends[b, u] += 1


@inlined
def below(stream: np.uint64, number: int, size: int) -> np.int64:
    """Return the stream's ``number``-th whole number from 0 to ``size - 1``; ``size`` is less than 2 to the 32."""
    return np.int64(((child_key(stream, number) >> _HALF) * np.uint64(size)) >> _HALF)


@inlined
def draw(stream: np.uint64, number: int, marks: Array) -> np.int64:
    """Draw a place that is not marked, of which there must be one."""
    place = np.int64(0)
    for attempt in range(TRIES):
        place = below(stream, number * TRIES + attempt, len(marks))
        if marks[place] == 0:
            return place
    while marks[place] != 0:
        place = (place + 1) % len(marks)
    return place


@inlined
def dot(one: Array, first: int, two: Array, second: int, length: int) -> float:
    """Product of two padded vectors, given by where they start."""
    sums = splat(np.float32(0))
    for f in range(0, length, WIDTH):
        sums = multiply_add(load(one, first + f), load(two, second + f), sums)
    return total(sums)


@inlined
def hardest(
    vectors: Array, place: int, items: Array, bias: Array, drawn: Array, first: int, stop: int
) -> tuple[int, float]:
    """Return which of ``drawn[first:stop]`` scores highest for the vector that starts at ``place``, and its score."""
    length = items.shape[1]
    best, highest = drawn[first], bias[drawn[first]] + dot(vectors, place, items, drawn[first] * length, length)
    for k in range(first + 1, stop):
        score = bias[drawn[k]] + dot(vectors, place, items, drawn[k] * length, length)
        if score > highest:
            best, highest = drawn[k], score
    return best, highest


@inlined
def pull_of(lead: np.float32) -> tuple[np.float32, np.float32]:
    """Return ``1 / (1 + exp(lead))`` and ``1 + exp(-lead)``, whose logarithm is the pair's loss."""
    odds = np.float32(math.exp(min(-lead, np.float32(80))))
    factor = np.float32(1) + odds
    return odds / factor, factor


@inlined
def ask_for(items: Array, item: int) -> None:
    """Prefetch an item's vector."""
    length = items.shape[1]
    for f in range(0, length, _LINE):
        prefetch(items, item * length + f)


@kernel
def descend(
    first: int,
    last: int,
    turn: int,
    key: np.uint64,
    cuts: Array,
    blocks: tuple[Array, Array, Array, Array, Array, Array],
    users: Array,
    items: Array,
    bias: Array,
    settings: tuple[float, float, int],
    sums: Array,
) -> None:
    """Train users of blocks ``first`` to ``last`` on the pairs of the item block whose turn it is for each.

    ``sums[task]`` grows by the pairs' losses, by how many are in the right order, and by how many there are. Where
    pairs have weights, these multiply their pulls, but not what is summed: a logarithm for each would take too long.
    """
    ends, bases, entries, weights, members, edges = blocks
    rate, decay, drawing = settings
    length = items.shape[1]
    drawn = np.empty(CHUNK * drawing, np.int64)
    mine, other, pulls = np.empty(CHUNK, np.int64), np.empty(CHUNK, np.int64), np.empty(CHUNK, np.float32)
    for task in range(first, last):
        b = (task + turn) % len(ends)
        low, size = edges[b], edges[b + 1] - edges[b]
        stream = child_key(key, task * len(ends) + b)
        marks = np.zeros(size, np.uint8)
        losses, right, pairs = 0.0, 0, 0
        start = bases[task, b]
        for u in range(cuts[task], cuts[task + 1]):
            stop = ends[b, u]
            if stop - start < size:  # else there is nothing that they did not choose
                for k in range(start, stop):
                    marks[entries[k]] = 1
                for k in range(start, stop, CHUNK):
                    count = min(CHUNK, stop - k)
                    for c in range(count * drawing):
                        drawn[c] = members[low + draw(stream, k * drawing + c, marks)]
                        ask_for(items, drawn[c])
                    product = 1.0
                    for c in range(count):
                        i = members[low + entries[k + c]]
                        own = bias[i] + dot(users, u * length, items, i * length, length)
                        j, rival = hardest(users, u * length, items, bias, drawn, c * drawing, (c + 1) * drawing)
                        mine[c], other[c] = i, j
                        pulls[c], factor = pull_of(own - rival)
                        product *= factor
                        right += own > rival
                    losses += math.log(product)
                    if len(weights):
                        for c in range(count):
                            pulls[c] *= weights[k + c]
                    move(users, u, items, bias, mine, other, pulls, count, rate, decay)
                for k in range(start, stop):
                    marks[entries[k]] = 0
                pairs += stop - start
            start = stop
        sums[task, 0] += losses
        sums[task, 1] += right
        sums[task, 2] += pairs


@inlined
def move(
    users: Array,
    u: int,
    items: Array,
    bias: Array,
    mine: Array,
    other: Array,
    pulls: Array,
    count: int,
    rate: float,
    decay: float,
) -> None:
    """Move a user, the items they chose, ``mine[:count]``, and those they did not, ``other[:count]``."""
    length = items.shape[1]
    whole = np.float32(1)
    for _ in range(count):
        whole *= decay
    shrink, all_shrink = splat(decay), splat(whole)
    for f in range(0, length, WIDTH):
        x = load(users, u * length + f)
        sums = multiply(all_shrink, x)
        for c in range(count):
            i, j = mine[c] * length + f, other[c] * length + f
            up, down = splat(rate * pulls[c]), splat(-rate * pulls[c])
            chosen, rival = load(items, i), load(items, j)
            sums = multiply_add(down, rival, multiply_add(up, chosen, sums))
            store(items, i, multiply_add(shrink, chosen, multiply(up, x)))
            store(items, j, multiply_add(shrink, rival, multiply(down, x)))
        store(users, u * length + f, sums)
    for c in range(count):
        i, j = mine[c], other[c]
        bias[i] = decay * bias[i] + rate * pulls[c]
        bias[j] = decay * bias[j] - rate * pulls[c]
