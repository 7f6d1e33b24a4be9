"""Lists re-ranked by pyversity, one user after the other: which candidates it takes, and the CPU seconds of its
calls.

usage: pyversity_lists.py FOLDER N METHOD STRENGTH [METHOD STRENGTH ...]

FOLDER holds vectors.npy (items, groups), rows.npy and scores.npy (users, candidates); taken-METHOD-STRENGTH.npy is
written to it, the positions of the candidates taken (users, N).
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from pyversity import Strategy, diversify

folder, n = Path(sys.argv[1]), int(sys.argv[2])
vectors, rows, scores = (np.load(folder / f"{name}.npy") for name in ("vectors", "rows", "scores"))
seconds = {}
for method, strength in zip(sys.argv[3::2], sys.argv[4::2], strict=True):
    taken = np.empty((len(rows), n), np.int64)
    start = time.process_time()
    for user in range(len(rows)):
        chosen = diversify(
            embeddings=vectors[rows[user]],
            scores=scores[user],
            k=n,
            strategy=Strategy(method),
            diversity=float(strength),
        )
        taken[user] = chosen.indices
    seconds[f"{method} {strength}"] = time.process_time() - start
    np.save(folder / f"taken-{method}-{strength}.npy", taken)
print(json.dumps(seconds))
