"""A newcomer's row by the steps of BPR, all other rows held: the same pairs, drawn anew in each pass.

One row in one thread in a fixed order, with random numbers that hang on the pass and the place within the row alone: a
newcomer gets the same vector whoever is placed beside them. Symbols as in `cofactor.kernels.pairs`.

Relies on compressed rows that are sound (`cofactor.data.sound_rows`), on padded vectors, and on a bias for every item,
which `Pairwise.check_parameters` sees to.
"""

import numpy as np

from cofactor.kernels.compiling import Array, inlined, kernel
from cofactor.kernels.counter_random import child_key
from cofactor.kernels.lanes import WIDTH, load, multiply, multiply_add, splat, store
from cofactor.kernels.pairs import CHUNK, TRIES, below, dot, draw, hardest, pull_of


@kernel
def place_users(
    first: int,
    last: int,
    key: np.uint64,
    indptr: Array,
    indices: Array,
    weights: Array,
    fixed: tuple[Array, Array],
    settings: tuple[Array, float, int],
    means: Array,
    out: Array,
    parts: Array,
) -> None:
    """Move each row of ``out``, which enters as ``means``, by one pass over its pairs for each of the rates.

    Pairs pull by their ``weights`` (pairs,). Penalties draw rows to ``means`` (rows, padded rank), or to zero if empty.
    Where ``parts`` has room (pairs, padded rank), it becomes what each pair has added: their sum is the row.
    """
    items, bias = fixed
    rates, regularization, drawing = settings
    length = items.shape[1]
    marks = np.zeros(len(items), np.uint8)
    drawn = np.empty(CHUNK * drawing, np.int64)
    other, pulls = np.empty(CHUNK, np.int64), np.empty(CHUNK, np.float32)
    for u in range(first, last):
        start, stop = indptr[u], indptr[u + 1]
        if stop - start >= len(items):
            continue  # there is nothing that they did not choose
        for k in range(start, stop):
            marks[indices[k]] = 1
        for number in range(len(rates)):
            stream, decay = child_key(key, number), np.float32(1 - rates[number] * regularization)
            left = 1.0
            for k in range(start, stop, CHUNK):
                count = min(CHUNK, stop - k)
                for c in range(count * drawing):
                    drawn[c] = draw(stream, (k - start) * drawing + c, marks)
                for c in range(count):
                    i = np.int64(indices[k + c])
                    own = bias[i] + dot(out, u * length, items, i * length, length)
                    other[c], rival = hardest(out, u * length, items, bias, drawn, c * drawing, (c + 1) * drawing)
                    pulls[c] = weights[k + c] * rates[number] * pull_of(own - rival)[0]
                lean(out, u, items, indices, k, other, pulls, count, decay)
                if len(means):
                    restore(out, means, u, count, decay)
                if len(parts):
                    left = keep(parts, k, items, indices, other, pulls, count, decay, left)
            if len(parts):
                for k in range(start, stop):
                    for f in range(length):
                        parts[k, f] *= left
        for k in range(start, stop):
            marks[indices[k]] = 0


@kernel
def keep(
    parts: Array,
    k: int,
    items: Array,
    indices: Array,
    other: Array,
    pulls: Array,
    count: int,
    decay: float,
    left: float,
) -> float:
    """Note what ``count`` pairs add, in units of what of it a pass will leave, and return what is left so far."""
    for _ in range(count):
        left *= decay
    for c in range(count):
        for f in range(items.shape[1]):
            parts[k + c, f] += pulls[c] / left * (items[indices[k + c], f] - items[other[c], f])
    return left


@inlined
def lean(
    vectors: Array,
    u: int,
    items: Array,
    indices: Array,
    k: int,
    other: Array,
    pulls: Array,
    count: int,
    decay: float,
) -> None:
    """Move a user towards ``indices[k : k + count]`` and away from ``other[:count]``."""
    length = items.shape[1]
    whole = np.float32(1)
    for _ in range(count):
        whole *= decay
    for f in range(0, length, WIDTH):
        sums = multiply(splat(whole), load(vectors, u * length + f))
        for c in range(count):
            sums = multiply_add(splat(pulls[c]), load(items, np.int64(indices[k + c]) * length + f), sums)
            sums = multiply_add(splat(-pulls[c]), load(items, other[c] * length + f), sums)
        store(vectors, u * length + f, sums)


@kernel
def place_items(
    first: int,
    last: int,
    key: np.uint64,
    indptr: Array,
    indices: Array,
    weights: Array,
    seen: tuple[Array, Array, Array],
    fixed: tuple[Array, Array, Array],
    settings: tuple[Array, float, int],
    turns: Array,
    means: tuple[Array, Array],
    out: Array,
    out_bias: Array,
) -> None:
    """Move each row of ``out`` and its bias: up for those who met it, down for as many pairs as an item is drawn in.

    Each pass compares it ``turns[row]`` times with what someone else has met, an item that all or none have met, say.
    Pairs pull by their ``weights`` (pairs,), those that were ``seen`` by its third array.
    Rows enter as ``means``, vectors and biases, and penalties draw them there, or to zero if these are empty.
    """
    users, items, bias = fixed
    rates, regularization, drawing = settings
    length = items.shape[1]
    met = np.zeros(len(users), np.uint8)
    drawn = np.empty(drawing, np.int64)
    for row in range(first, last):
        start, stop = indptr[row], indptr[row + 1]
        for k in range(start, stop):
            met[indices[k]] = 1
        for number in range(len(rates)):
            stream, rate = child_key(key, number), rates[number]
            decay = np.float32(1 - rate * regularization)
            for k in range(start, stop):
                u = np.int64(indices[k])
                if draw_unseen(child_key(stream, k - start), seen, u, len(items), drawn, drawing):
                    own = out_bias[row] + dot(users, u * length, out, row * length, length)
                    _, rival = hardest(users, u * length, items, bias, drawn, 0, drawing)
                    shift(out, out_bias, row, users, u, weights[k] * rate * pull_of(own - rival)[0], decay, means)
            for turn in range(turns[row]):
                branch = child_key(stream, -2 - turn)
                e = below(branch, -1, len(seen[1]))
                u = place_of(seen[0], 0, len(seen[0]), e + 1) - 1
                if met[u] or not draw_unseen(branch, seen, u, len(items), drawn, drawing - 1):
                    continue
                i = np.int64(seen[1][e])
                own = bias[i] + dot(users, u * length, items, i * length, length)
                rival = out_bias[row] + dot(users, u * length, out, row * length, length)
                if drawing > 1 and hardest(users, u * length, items, bias, drawn, 0, drawing - 1)[1] > rival:
                    continue  # another one would have been taken
                shift(out, out_bias, row, users, u, -seen[2][e] * rate * pull_of(own - rival)[0], decay, means)
        for k in range(start, stop):
            met[indices[k]] = 0


@kernel
def place_of(numbers: Array, start: int, stop: int, number: int) -> int:
    """Return the first place from ``start`` on where a number is not smaller, in numbers that are in order."""
    while start < stop:
        middle = (start + stop) >> 1
        if numbers[middle] < number:
            start = middle + 1
        else:
            stop = middle
    return start


@kernel
def draw_unseen(
    stream: np.uint64, seen: tuple[Array, Array, Array], u: int, n_items: int, drawn: Array, count: int
) -> bool:
    """Draw ``count`` items that a user has not seen, and return whether there was one for each within the tries."""
    start, stop = seen[0][u], seen[0][u + 1]
    for c in range(count):
        found = False
        for attempt in range(TRIES):
            drawn[c] = below(stream, c * TRIES + attempt, n_items)
            place = place_of(seen[1], start, stop, drawn[c])
            if place == stop or seen[1][place] != drawn[c]:
                found = True
                break
        if not found:
            return False
    return True


@kernel
def shift(
    out: Array,
    bias: Array,
    row: int,
    users: Array,
    u: int,
    step: float,
    decay: float,
    means: tuple[Array, Array],
) -> None:
    """Move an item by a step along a user's vector."""
    length = users.shape[1]
    for f in range(0, length, WIDTH):
        moved = multiply_add(
            splat(decay), load(out, row * length + f), multiply(splat(step), load(users, u * length + f))
        )
        store(out, row * length + f, moved)
    bias[row] = decay * bias[row] + step
    if len(means[0]):
        restore(out, means[0], row, 1, decay)
        bias[row] += (np.float32(1) - decay) * means[1][row]


@kernel
def restore(out: Array, means: Array, row: int, count: int, decay: float) -> None:
    """Give a row back what ``count`` steps have taken from where it is drawn to."""
    whole = np.float32(1)
    for _ in range(count):
        whole *= decay
    for f in range(out.shape[1]):
        out[row, f] += (np.float32(1) - whole) * means[row, f]
