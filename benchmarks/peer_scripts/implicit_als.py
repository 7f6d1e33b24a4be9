"""A fit of implicit's ALS from given vectors: seconds of each iteration and of the whole; the vectors after each.

usage: implicit_als.py FOLDER RANK cg|cholesky ITERATIONS ALPHA REGULARIZATION keep|time
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from implicit.als import AlternatingLeastSquares
from scipy import sparse

folder, rank, method, iterations = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
alpha, regularization, keep = float(sys.argv[5]), float(sys.argv[6]), sys.argv[7] == "keep"
matrix = sparse.csr_matrix(sparse.load_npz(folder / "matrix.npz"))
model = AlternatingLeastSquares(
    factors=rank,
    alpha=alpha,
    regularization=regularization,
    iterations=iterations,
    use_cg=method == "cg",
    num_threads=2,
)
model.user_factors = np.load(folder / f"users{rank}.npy")
model.item_factors = np.load(folder / f"items{rank}.npy")
seconds: list[float] = []


def after(iteration: int, elapsed: float, loss: object = None) -> None:
    """Keep an iteration's seconds, which implicit takes before it calls this."""
    seconds.append(elapsed)
    if keep:
        np.save(folder / f"peer_users{iteration}.npy", model.user_factors)
        np.save(folder / f"peer_items{iteration}.npy", model.item_factors)


start = time.perf_counter()
model.fit(matrix, show_progress=False, callback=after)
print(json.dumps({"iterations": seconds, "fit": time.perf_counter() - start}))
