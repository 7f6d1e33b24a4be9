"""LightFM's WARP on new items: their features alone, without an identity column."""

import itertools
import json
import sys
import time

import numpy as np
from cold_tables import Tables, ndcg
from lightfm import LightFM
from scipy import sparse

tables = Tables(sys.argv[1])
GRID = ((16, 64), (0.02, 0.05), (20, 50), (0.0, 1e-5), (True, False))
if tables.small:
    GRID = ((4,), (0.05,), (3,), (0.0,), (True,))


def described(name, others, identity):
    """Return the features of a part's items; with ``identity`` a column for each item that is trained on, too."""
    own = sparse.csr_matrix(tables.attributes(name))
    if not identity:
        return own
    width = len(tables.data[others])
    block = sparse.identity(width, format="csr") if name == others else sparse.csr_matrix((own.shape[0], width))
    return sparse.hstack([own, block]).tocsr().astype(np.float32)


def fitted(name, rank, rate, epochs, alpha, identity):
    model = LightFM(no_components=rank, loss="warp", learning_rate=rate, item_alpha=alpha, random_state=0)
    model.fit(tables.matrix(name), item_features=described(name, name, identity), epochs=epochs, num_threads=1)
    return model


def measured(model, train, test, identity):
    bias, vectors = model.get_item_representations(described(test, train, identity))
    users = model.get_user_representations()[1]
    return ndcg(users @ vectors.T + bias[None, :], tables.matrix(test), tables.matrix(train))


best = max(itertools.product(*GRID), key=lambda one: measured(fitted("part", *one), "part", "held_out", one[-1]))
start = time.perf_counter()
model = fitted("known", *best)
seconds = time.perf_counter() - start
settings = dict(zip(("no_components", "learning_rate", "epochs", "item_alpha", "identity"), best, strict=True))
found = measured(model, "known", "cold", best[-1])
print(json.dumps({"system": "LightFM-next WARP", "ndcg": found, "seconds": seconds, "settings": settings}))
