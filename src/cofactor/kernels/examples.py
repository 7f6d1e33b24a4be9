"""Steps of logistic factorization: chance tells who chose what, one block of users and items at a time.

Every function works in one thread, in a fixed order, with random numbers that hang on a key and a count. Symbols, for
a user ``u`` with the vector ``x`` and an item ``i``:

    s  logit    mean + bias_u + bias_i + x.y_i; the user chose the item with the probability 1 / (1 + exp(-s))
    g  pull     how far the probability is from the truth, 1 for what was chosen and 0 for what was drawn beside it

A pair that was chosen and the items drawn beside it are looked at together and then moved together, so that none waits
for the vector that the one before it has moved. Vectors are padded to whole registers, as rows of C-contiguous arrays.

Relies on what `cofactor.kernels.pairs` relies on, and on biases for every row.
"""

import math

import numpy as np

from cofactor.kernels.compiling import Array, inlined, kernel
from cofactor.kernels.counter_random import child_key
from cofactor.kernels.lanes import WIDTH, load, multiply, multiply_add, splat, store
from cofactor.kernels.pairs import ask_for, below, dot, pull_of

_FACTORS = 8
"""So many of `pull_of`'s factors may be multiplied before the product leaves the range of a double."""


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
    biases: tuple[Array, Array],
    settings: tuple[float, float, float, int],
    sums: Array,
) -> None:
    """Train users of blocks ``first`` to ``last`` on the pairs of the item block whose turn it is for each.

    ``sums[task]`` grows by the examples' losses, and by how many there are. Where pairs have weights, these multiply
    the pulls of what was chosen, but not what is summed.
    """
    ends, bases, entries, weights, members, edges = blocks
    user_bias, item_bias = biases
    rate, decay, mean, drawing = settings
    length = items.shape[1]
    met, pulls = np.empty(1 + drawing, np.int64), np.empty(1 + drawing, np.float32)
    for task in range(first, last):
        b = (task + turn) % len(ends)
        low, size = edges[b], edges[b + 1] - edges[b]
        stream = child_key(key, task * len(ends) + b)
        losses = 0.0
        start = bases[task, b]
        for u in range(cuts[task], cuts[task + 1]):
            stop = ends[b, u]
            for k in range(start, stop):
                met[0] = members[low + entries[k]]
                for c in range(drawing):
                    met[1 + c] = members[low + below(stream, k * drawing + c, size)]
                    ask_for(items, met[1 + c])
                product, offset = 1.0, mean + user_bias[u]
                for c in range(1 + drawing):
                    sign = np.float32(1 if c == 0 else -1)
                    logit = offset + item_bias[met[c]] + dot(users, u * length, items, met[c] * length, length)
                    found, factor = pull_of(sign * logit)
                    pulls[c] = rate * sign * found
                    product *= factor
                    if c % _FACTORS == _FACTORS - 1:
                        losses += math.log(product)
                        product = 1.0
                losses += math.log(product)
                if len(weights):
                    pulls[0] *= weights[k]
                move(users, u, items, user_bias, item_bias, met, pulls, decay)
            start = stop
        sums[task, 0] += losses
        sums[task, 1] += (start - bases[task, b]) * (1 + drawing)


@inlined
def move(
    users: Array,
    u: int,
    items: Array,
    user_bias: Array,
    item_bias: Array,
    met: Array,
    pulls: Array,
    decay: float,
) -> None:
    """Move a user and the items of their examples by the steps ``pulls``."""
    length = items.shape[1]
    whole = np.float32(1)
    for _ in range(len(met)):
        whole *= decay
    shrink, all_shrink = splat(decay), splat(whole)
    for f in range(0, length, WIDTH):
        x = load(users, u * length + f)
        sums = multiply(all_shrink, x)
        for c in range(len(met)):
            step, y = splat(pulls[c]), load(items, met[c] * length + f)
            sums = multiply_add(step, y, sums)
            store(items, met[c] * length + f, multiply_add(shrink, y, multiply(step, x)))
        store(users, u * length + f, sums)
    user_bias[u] *= whole
    for c in range(len(met)):
        user_bias[u] += pulls[c]
        item_bias[met[c]] = decay * item_bias[met[c]] + pulls[c]
