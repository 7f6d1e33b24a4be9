"""Top n by faiss's exact index of inner products: users per second for everyone, seconds for one user.

usage: faiss_topn.py FOLDER N USERS
"""

import json
import sys
import time
from pathlib import Path

import faiss
import numpy as np

folder, n, most = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
faiss.omp_set_num_threads(2)
users, items = (np.ascontiguousarray(np.load(folder / f"{name}.npy"), np.float32) for name in ("users", "items"))
index = faiss.IndexFlatIP(items.shape[1])
index.add(items)
asked = users[:most]
index.search(asked[:100], n)
start = time.perf_counter()
index.search(asked, n)
seconds = time.perf_counter() - start
single = []
for row in range(min(300, len(users))):
    start = time.perf_counter()
    index.search(users[row : row + 1], n)
    single.append(time.perf_counter() - start)
print(json.dumps({"everyone": len(asked) / seconds, "one": float(np.median(single))}))
