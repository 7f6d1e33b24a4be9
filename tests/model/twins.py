"""What twins of kernels share: random numbers and the order of training, in plain Python; top n by brute force."""

import numpy as np
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
