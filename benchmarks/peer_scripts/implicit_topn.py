"""Vectors trained by implicit's ALS, or its top n from them: users per second for everyone, seconds for one user.

usage: implicit_topn.py FOLDER fit|recommend RANK ITERATIONS N USERS
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from implicit.als import AlternatingLeastSquares
from scipy import sparse

folder, what = Path(sys.argv[1]), sys.argv[2]
rank, iterations, n, most = map(int, sys.argv[3:])
matrix = sparse.csr_matrix(sparse.load_npz(folder / "matrix.npz"))
model = AlternatingLeastSquares(factors=rank, iterations=iterations, regularization=0.1, num_threads=2, random_state=0)
if what == "fit":
    model.fit(matrix, show_progress=False)
    np.save(folder / "users.npy", model.user_factors)
    np.save(folder / "items.npy", model.item_factors)
    print("{}")
    sys.exit()
model.user_factors, model.item_factors = np.load(folder / "users.npy"), np.load(folder / "items.npy")
rows = np.arange(min(most, matrix.shape[0]))
seen = matrix[: len(rows)]
model.recommend(rows[:100], seen[:100], N=n)
start = time.perf_counter()
items, _ = model.recommend(rows, seen, N=n)
seconds = time.perf_counter() - start
single = []
for row in rows[:300]:
    start = time.perf_counter()
    model.recommend(row, matrix[row], N=n)
    single.append(time.perf_counter() - start)
np.save(folder / "peer_items.npy", items)
print(json.dumps({"everyone": len(rows) / seconds, "one": float(np.median(single))}))
