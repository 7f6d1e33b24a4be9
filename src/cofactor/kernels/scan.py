"""Top n by a scan that ends early: items by falling norm, a chunk at a time, until no later one can matter.

Model: a score is the product of a user's and an item's vector, which is at most the product of their norms.

Algorithm: items are sorted by norm and stored in chunks. A block of users reads chunk after chunk, four users at a
time, so that one load of an item serves four users and one load of a user's number a whole chunk. Each user keeps what
is within the rounding margin of the n-th best so far and leaves once the norms that follow cannot reach that. What was
kept is scored by the definition of `cofactor.lists.exact` and put in order: approximate scores decide nothing. A
user for whom more is left than the buffer holds, say because everything ties, is given up: matrix multiplication can
serve them. What a user gets depends on no other, so neither blocks nor threads change a bit.

Reference: Teflioudi and Gemulla (2016), Exact and Approximate Maximum Inner Product Search with LEMP.

Relies on exclusions within ``indices`` that are rows of items (`cofactor.data.sound_rows` of tables from files), and on
an `Index` that was made of the same vectors.
"""

from typing import NamedTuple

import numpy as np

from cofactor.kernels.compiling import Array, kernel
from cofactor.kernels.lanes import WIDTH, store_tile, zero_tile
from cofactor.kernels.rounding import LOST_BELOW
from cofactor.kernels.scores import CHUNK, TOGETHER, add_scores, first_bit, reached

BLOCK = 32
"""Users who go through the items side by side, so that a chunk is read from the nearest cache."""

BLOCK_CHUNKS = 2**18
"""The most bits of closed places in a block, counted in chunks: 2 MiB, which leaves large catalogues smaller blocks."""

GIVEN_UP, ALL_SCORES_EQUAL = -1, -2
"""Counts that are no counts."""

LARGEST = 1e37
"""Scores that might be larger are left to matrix multiplication, since single precision ends at 3e38."""


class Index(NamedTuple):
    """The items of one model in the order of the scan.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (items, columns)
        As the model has them, for the final scores.
    tiles : numpy.ndarray of float32, shape (chunks * columns * CHUNK,)
        The same, by falling norm: CHUNK first numbers, CHUNK second numbers and so on, chunk after chunk.
    longest : numpy.ndarray of float32, shape (chunks,)
        The largest norm of each chunk, rounded up.
    rows : numpy.ndarray of int64, shape (chunks * CHUNK,)
        From places in the scan to item rows.
    places : numpy.ndarray of int32, shape (items,)
        From item rows to places in the scan.
    closed : numpy.ndarray of int64, shape (chunks,)
        One bit for each place, set where there is no item to choose.
    reach : float
        How far approximate scores may be off, for a user vector of norm one.
    """

    vectors: Array
    tiles: Array
    longest: Array
    rows: Array
    places: Array
    closed: Array
    reach: float


class Asked(NamedTuple):
    """The users of one search: their vectors, what is added to their scores, where in ``indices`` their exclusions
    start and stop."""

    vectors: Array
    offsets: Array
    starts: Array
    stops: Array
    indices: Array


class Found(NamedTuple):
    """Each user's item rows and scores, (users, n), and how many they are, or GIVEN_UP."""

    items: Array
    scores: Array
    counts: Array


class Block(NamedTuple):
    """What the users of a block have in hand, a row each; ``best`` is a heap, the n-th best score first."""

    best: Array  # (block, n)
    near: Array  # (block, buffer)
    places: Array  # (block, buffer)
    closed: Array  # (block, chunks)
    counts: Array  # (block,), of near and places
    lengths: Array
    margins: Array
    active: Array  # who is still scanning
    starts: Array  # of their vectors
    scores: Array  # (4 * CHUNK,)


@kernel
def new_block(size: int, n: int, closed: Array) -> Block:
    """Make the arrays of a block, with a buffer for a few times ``n``."""
    buffer = 4 * n + 192
    marks = np.empty((size, len(closed)), np.int64)
    for u in range(size):
        marks[u] = closed
    return Block(
        np.empty((size, n), np.float32),
        np.empty((size, buffer), np.float32),
        np.empty((size, buffer), np.int64),
        marks,
        np.empty(size, np.int64),
        np.empty(size),
        np.empty(size, np.float32),
        np.empty(size, np.int64),
        np.empty(size + TOGETHER, np.int64),
        np.empty(WIDTH * WIDTH, np.float32),
    )


@kernel
def norm(vectors: Array, row: int) -> float:
    """The length of a vector, in double precision."""
    squares = 0.0
    for column in range(vectors.shape[1]):
        squares += np.float64(vectors[row, column]) ** 2
    return np.sqrt(squares)


@kernel
def close(indices: Array, start: int, stop: int, places: Array, closed: Array, u: int) -> None:
    """Set the bits of some item rows."""
    for k in range(start, stop):
        place = np.uint32(places[indices[k]])  # unsigned: dividing it is a shift
        closed[u, place // np.uint32(CHUNK)] |= np.int64(1) << np.int64(place % np.uint32(CHUNK))


@kernel
def enter(block: Block, u: int, user: int, asked: Asked, index: Index) -> None:
    """Let a user into the block: norm, margin, closed places."""
    columns = asked.vectors.shape[1]
    length = norm(asked.vectors, user)
    block.lengths[u] = length
    block.margins[u] = index.reach * length + 1e-6 * abs(asked.offsets[user]) + columns * LOST_BELOW
    block.best[u] = -np.inf
    block.active[u] = u
    block.counts[u] = 0
    if length == 0:
        block.counts[u] = ALL_SCORES_EQUAL
    elif not length * index.longest[0] < LARGEST:
        block.counts[u] = GIVEN_UP
    close(asked.indices, asked.starts[user], asked.stops[user], index.places, block.closed, u)


@kernel
def reopen(block: Block, u: int, user: int, asked: Asked, index: Index) -> None:
    """Undo what `enter` did to the closed places."""
    indices, places, closed, before = asked.indices, index.places, block.closed, index.closed
    for k in range(asked.starts[user], asked.stops[user]):
        chunk = np.uint32(places[indices[k]]) // np.uint32(CHUNK)
        closed[u, chunk] = before[chunk]


@kernel
def raise_best(best: Array, u: int, score: float) -> None:
    """Replace the least of the best scores."""
    place, child = 0, 1
    held = best.shape[1]
    while child < held:
        if child + 1 < held and best[u, child + 1] < best[u, child]:
            child += 1
        if best[u, child] >= score:
            break
        best[u, place] = best[u, child]
        place, child = child, 2 * child + 1
    best[u, place] = score


@kernel
def compact(near: Array, places: Array, u: int, count: int, cut: float) -> int:
    """Drop what has fallen below the cut and return how many are left."""
    kept = 0
    for k in range(count):
        if near[u, k] >= cut:
            near[u, kept] = near[u, k]
            places[u, kept] = places[u, k]
            kept += 1
    return kept


@kernel
def collect(
    scores: Array,
    first: int,
    still: int,
    chunk: int,
    u: int,
    best: Array,
    near: Array,
    places: Array,
    count: int,
    margin: float,
) -> int:
    """Keep what is near a user's best and return how many are kept now, or GIVEN_UP.

    The chunk's scores start at ``first``; ``still`` has a bit for each that reaches the cut.
    """
    while still != 0:
        lane = first_bit(still)
        still &= still - 1
        if count == near.shape[1]:
            count = compact(near, places, u, count, best[u, 0] - margin)
            if count == near.shape[1]:
                return GIVEN_UP
        near[u, count] = scores[first + lane]
        places[u, count] = chunk * CHUNK + lane
        count += 1
        if scores[first + lane] > best[u, 0]:
            raise_best(best, u, scores[first + lane])
            still &= reached(scores, first, best[u, 0] - margin)
    return count


@kernel
def stay(active: Array, left: int, longest: float, lengths: Array, best: Array, margins: Array, counts: Array) -> int:
    """Keep among the active whom items of this norm can still matter to, and return how many they are."""
    kept = 0
    for k in range(left):
        u = active[k]
        if counts[u] >= 0 and longest * lengths[u] >= best[u, 0] - margins[u]:
            active[kept] = u
            kept += 1
    return kept


@kernel
def scan(block: Block, begin: int, left: int, users: Array, index: Index) -> None:
    """Take the users of a block, who are ``users[begin : begin + left]``, through the items."""
    best, near, places, closed, counts, lengths, margins, active, starts, scores = block
    tiles, longest = index.tiles, index.longest
    columns = users.shape[1]
    for chunk in range(len(longest)):
        left = stay(active, left, longest[chunk], lengths, best, margins, counts)
        if left == 0:
            return
        for k in range(left + TOGETHER - 1):  # the last four are filled up with the last user
            starts[k] = (begin + active[min(k, left - 1)]) * columns
        for first in range(0, left, TOGETHER):
            sums = zero_tile()
            for column in range(columns):
                sums = add_scores(sums, users, starts, first, column, tiles, (chunk * columns + column) * CHUNK)
            store_tile(scores, 0, WIDTH, sums)  # (4, CHUNK)
            for k in range(first, min(first + TOGETHER, left)):
                u = active[k]
                place = (k - first) * CHUNK
                still = reached(scores, place, best[u, 0] - margins[u]) & ~closed[u, chunk]
                if still != 0:
                    counts[u] = collect(scores, place, still, chunk, u, best, near, places, counts[u], margins[u])


@kernel
def first_open(block: Block, u: int, n: int, places: Array) -> None:
    """Choose the first ``n`` item rows that are open: the best where all scores are equal."""
    count = 0
    for row in range(len(places)):
        place = places[row]
        if count < n and not block.closed[u, place // CHUNK] >> np.int64(place % CHUNK) & 1:
            block.places[u, count] = place
            count += 1
    block.counts[u] = count


@kernel
def rescore(query: Array, offset: float, vectors: Array, rows: Array, scores: Array) -> None:
    """Score items by the definition, four sums side by side since each waits for its last addition."""
    last = len(rows) - 1
    for k in range(0, len(rows), 4):
        b, c, d = min(k + 1, last), min(k + 2, last), min(k + 3, last)
        item_a, item_b, item_c, item_d = rows[k], rows[b], rows[c], rows[d]
        sum_a, sum_b, sum_c, sum_d = 0.0, 0.0, 0.0, 0.0
        for column in range(len(query)):
            number = np.float64(query[column])
            sum_a += number * np.float64(vectors[item_a, column])
            sum_b += number * np.float64(vectors[item_b, column])
            sum_c += number * np.float64(vectors[item_c, column])
            sum_d += number * np.float64(vectors[item_d, column])
        scores[k], scores[b] = np.float32(sum_a + offset), np.float32(sum_b + offset)
        scores[c], scores[d] = np.float32(sum_c + offset), np.float32(sum_d + offset)


@kernel
def put_in_order(scores: Array, rows: Array) -> None:
    """Sort by falling score, equal scores by row: Shell's sort, in place."""
    count = len(rows)
    gap = 1
    while gap < count // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, count):
            score, row = scores[i], rows[i]
            k = i
            while k >= gap and (scores[k - gap] < score or (scores[k - gap] == score and rows[k - gap] > row)):
                scores[k], rows[k] = scores[k - gap], rows[k - gap]
                k -= gap
            scores[k], rows[k] = score, row
        gap //= 3


@kernel
def write(block: Block, u: int, user: int, asked: Asked, index: Index, found: Found) -> None:
    """Score by the definition what a user has kept, and write the best of it down."""
    if block.counts[u] == ALL_SCORES_EQUAL:
        first_open(block, u, found.items.shape[1], index.places)
    elif block.counts[u] > 0:
        cut = block.best[u, 0] - block.margins[u]
        block.counts[u] = compact(block.near, block.places, u, block.counts[u], cut)
    count = block.counts[u]
    found.counts[user] = min(count, found.items.shape[1])
    if count < 1:
        return
    rows, scores = block.places[u, :count], block.near[u, :count]
    for k in range(count):
        rows[k] = index.rows[rows[k]]
    rescore(asked.vectors[user], asked.offsets[user], index.vectors, rows, scores)
    put_in_order(scores, rows)
    for k in range(found.counts[user]):
        found.items[user, k] = rows[k]
        found.scores[user, k] = scores[k]


@kernel
def scan_users(first: int, last: int, asked: Asked, index: Index, found: Found) -> None:
    """Find the best of the users ``first`` to ``last``."""
    room = max(TOGETHER, BLOCK_CHUNKS // max(1, len(index.closed)))
    size = max(1, min(BLOCK, room, last - first))
    block = new_block(size, found.items.shape[1], index.closed)
    for begin in range(first, last, size):
        users = min(size, last - begin)
        for u in range(users):
            enter(block, u, begin + u, asked, index)
        scan(block, begin, users, asked.vectors, index)
        for u in range(users):
            write(block, u, begin + u, asked, index, found)
            reopen(block, u, begin + u, asked, index)
