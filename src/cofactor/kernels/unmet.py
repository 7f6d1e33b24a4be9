"""Items that a user has not met, by their place among them.

Relies on compressed rows that are sound (`cofactor.data.sound_rows`), and on places below the number of unmet items.
"""

import numpy as np

from cofactor.kernels.compiling import Array, kernel


@kernel
def kth_unmet(indptr: Array, indices: Array, users: Array, places: Array, rows: Array) -> None:
    """Write to ``rows[n, c]`` the item with ``places[n, c]`` items before it that ``users[n]`` has not met.

    The j-th item that a user met, counting from 0, has ``item - j`` unmet ones before it. That grows with j, so
    halving finds how many met items stand before the one that is asked for. No item need ever be drawn twice, as
    rejecting what was met would.
    """
    for n in range(len(users)):
        start, end = np.int64(indptr[users[n]]), np.int64(indptr[users[n] + 1])
        for c in range(places.shape[1]):
            place, low, left = places[n, c], start, end - start
            while left > 1:  # no branch within, for each way would be as likely
                half = left >> 1
                last = low + half - 1
                low += half * (indices[last] - (last - start) <= place)
                left -= half
            if left == 1:
                low += indices[low] - (low - start) <= place
            rows[n, c] = place + (low - start)
