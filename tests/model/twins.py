"""What twins of kernels share: random numbers and the order of training, in plain Python; top n by brute force."""

import numpy as np
from hypothesis import strategies as st
from scipy import sparse

from cofactor.kernels import pairs

MASK = 2**64 - 1


def child(key, number):
    """Return the SplitMix64 hash, in Python's own numbers."""
    z = (key + ((number + 1) & MASK) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def below(stream, number, size):
    return ((child(stream, number) >> 32) * size) >> 32


def unmarked(stream, number, marked):
    """Return the first place of the stream that is not marked; the next free one after so many tries."""
    for attempt in range(pairs.TRIES):
        place = below(stream, number * pairs.TRIES + attempt, len(marked))
        if not marked[place]:
            return place
    while marked[place]:
        place = (place + 1) % len(marked)
    return place


def parts_of(dense, members, edges, cuts):
    """Yield, in the order of training, (task, block, user, where their part of the block stands, its items)."""
    starts, place = {}, 0
    for task in range(len(cuts) - 1):
        for block in range(len(edges) - 1):
            for u in range(cuts[task], cuts[task + 1]):
                inside = np.intersect1d(np.flatnonzero(dense[u]), members[edges[block] : edges[block + 1]])
                starts[task, block, u] = place, inside
                place += len(inside)
    blocks = len(edges) - 1
    for turn in range(blocks):
        for task in range(blocks):
            block = (task + turn) % blocks
            for u in range(cuts[task], cuts[task + 1]):
                yield task, block, u, *starts[task, block, u]


def table_of(random, n_users, n_items, share):
    return sparse.csr_array((random.random((n_users, n_items)) < share).astype(np.float32))


def with_weights(random, table):
    """Return a table with the same pairs, some of which weigh many times as much as others."""
    weights = random.exponential(1, table.nnz).astype(np.float32) + np.float32(0.05)
    return sparse.csr_array((weights, table.indices, table.indptr), table.shape)


def brute_force(users, items, n, offsets, excluded, candidates):
    """Score every pair by the definition, sort each user's by (-score, row)."""
    lists = []
    for user in range(len(users)):
        total = np.zeros(len(items))
        for column in range(users.shape[1]):
            total += users[user, column].astype(np.float64) * items[:, column]
        scores = (total + offsets[user]).astype(np.float32)
        rows = np.setdiff1d(np.arange(len(items)) if candidates is None else candidates, np.flatnonzero(excluded[user]))
        best = rows[np.lexsort((rows, -scores[rows]))][:n]
        lists.append([(int(row), scores[row]) for row in best])
    return lists


def as_lists(ranked, n_users):
    lists = [[] for _ in range(n_users)]
    for user, item, score in zip(ranked.users, ranked.items, ranked.scores, strict=True):
        lists[user].append((int(item), score))
    return lists


def drawn(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


VECTORS = {
    "few values": lambda random, shape: random.integers(-2, 3, size=shape),
    "normal": lambda random, shape: random.normal(size=shape),
    "long tail": lambda random, shape: random.normal(size=shape) * random.pareto(1.0, size=(shape[0], 1)),
    "all negative": lambda random, shape: -random.random(size=shape),
    "tiny": lambda random, shape: random.normal(size=shape) * 1e-21,
    "nearly nothing": lambda random, shape: random.normal(size=shape) * 1e-30,
    "large": lambda random, shape: random.normal(size=shape) * 1e15,
    "too large for a scan": lambda random, shape: random.random(size=shape) * 2e18,
    "mostly zero": lambda random, shape: random.normal(size=shape) * (random.random((shape[0], 1)) < 0.3),
    "a bias": lambda random, shape: np.column_stack([random.normal(size=(shape[0], shape[1] - 1)), np.ones(shape[0])]),
}


@st.composite
def problems(draw):
    n_users, n_items, columns = draw(st.integers(1, 70)), draw(st.integers(1, 3 * 64 + 5)), draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    users = VECTORS[draw(st.sampled_from(sorted(VECTORS)))](random, (n_users, columns))
    kind = draw(st.sampled_from(sorted(VECTORS)))
    items = (
        -VECTORS["all negative"](random, (n_items, columns))
        if kind == "a bias"
        else VECTORS[kind](random, (n_items, columns))
    )
    offsets = random.normal(size=n_users) * draw(st.sampled_from([0.0, 1.0, 1e5]))
    excluded = random.random((n_users, n_items)) < draw(st.sampled_from([0.0, 0.4, 0.98, 1.0]))
    share = draw(st.sampled_from([0.1, 0.6]))
    candidates = np.flatnonzero(random.random(n_items) < share) if draw(st.booleans()) else None
    return users.astype(np.float32), items.astype(np.float32), offsets, excluded, candidates
