"""implicit's calls for one user or item, from vectors made elsewhere: processor milliseconds of each.

usage: implicit_interactive.py FOLDER ROUNDS
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from implicit.als import AlternatingLeastSquares
from scipy import sparse

folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
matrix = sparse.csr_matrix(sparse.load_npz(folder / "matrix.npz"))
users, items, user, item = (
    np.load(folder / f"{name}.npy") for name in ("users", "items", "asked_users", "asked_items")
)
model = AlternatingLeastSquares(factors=users.shape[1], regularization=0.1, num_threads=2, random_state=0)
model.user_factors, model.item_factors = users, items
model._YtY = model._XtX = None
calls = {
    "recommend": lambda k: model.recommend(user[k], matrix[user[k]], N=10),
    "similar_items": lambda k: model.similar_items(item[k], N=10),
    "similar_users": lambda k: model.similar_users(user[k], N=10),
    "explain": lambda k: model.explain(user[k], matrix, item[k], N=10),
}
found = {}
for name, call in calls.items():
    call(0)
    times = []
    for k in range(min(rounds, len(user))):
        start = time.process_time()
        call(k)
        times.append(time.process_time() - start)
    found[name] = 1e3 * float(np.median(times))
print(json.dumps(found))
