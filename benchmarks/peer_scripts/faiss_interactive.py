"""faiss's exact index of inner products asked for one query at a time: processor milliseconds of each kind.

usage: faiss_interactive.py FOLDER ROUNDS
"""

import json
import sys
import time
from pathlib import Path

import faiss
import numpy as np

folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
faiss.omp_set_num_threads(2)
users, items, user, item = (
    np.load(folder / f"{name}.npy") for name in ("users", "items", "asked_users", "asked_items")
)


def milliseconds(vectors: np.ndarray, queries: np.ndarray, n: int) -> float:
    """Return the median of single searches."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(np.ascontiguousarray(vectors, np.float32))
    index.search(queries[:1], n)
    times = []
    for k in range(min(rounds, len(queries))):
        start = time.process_time()
        index.search(queries[k : k + 1], n)
        times.append(time.process_time() - start)
    return 1e3 * float(np.median(times))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length one."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-30)


print(
    json.dumps(
        {
            "recommend": milliseconds(items, users[user], 10),
            "similar_items": milliseconds(unit(items), unit(items[item]), 11),
            "similar_users": milliseconds(unit(users), unit(users[user]), 11),
        }
    )
)
