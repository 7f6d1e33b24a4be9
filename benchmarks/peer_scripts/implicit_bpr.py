"""A fit of implicit's BPR: seconds of each epoch, and the vectors at the end, whose last column is the bias.

usage: implicit_bpr.py FOLDER RANK EPOCHS LEARNING_RATE REGULARIZATION SEED keep|time
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from implicit.cpu.bpr import BayesianPersonalizedRanking
from scipy import sparse

folder, rank, epochs, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[6])
learning_rate, regularization, keep = float(sys.argv[4]), float(sys.argv[5]), sys.argv[7] == "keep"
matrix = sparse.csr_matrix(sparse.load_npz(folder / "matrix.npz"))
model = BayesianPersonalizedRanking(
    factors=rank,
    learning_rate=learning_rate,
    regularization=regularization,
    iterations=epochs,
    num_threads=2,
    random_state=seed,
)
seconds: list[float] = []


def after(epoch: int, elapsed: float, *rest: object) -> None:
    """Keep an epoch's seconds, which implicit takes before it calls this."""
    seconds.append(elapsed)


start = time.perf_counter()
model.fit(matrix, show_progress=False, callback=after)
fit = time.perf_counter() - start
if keep:
    np.save(folder / "peer_users.npy", model.user_factors)
    np.save(folder / "peer_items.npy", model.item_factors)
print(json.dumps({"epochs": seconds, "fit": fit}))
