"""irspack's feature-aware iALS on new items; the grid is that of its authors' kind of settings."""

import itertools
import json
import logging
import sys
import time

from cold_tables import Tables, ndcg
from irspack import IALSRecommender

logging.disable(logging.CRITICAL)  # it writes to where the result goes
tables = Tables(sys.argv[1])
GRID = ((16, 64), (1e-3, 1e-2, 5e-2), (0.02, 0.1, 0.3), (1e-2, 1.0, 100.0))
if tables.small:
    GRID = ((4,), (1e-2,), (0.1,), (1.0,))


def fitted(name, rank, reg, alpha, features):
    model = IALSRecommender(
        tables.matrix(name), item_features=tables.attributes(name), n_components=rank, alpha0=alpha, reg=reg, nu=1.0,
        lambda_item_feature=features, train_epochs=16, random_seed=0, n_threads=2, solver_type="CHOLESKY",
    )  # fmt: skip
    model.learn()
    return model


def measured(model, train, test):
    items = model.compute_item_embedding_from_features(tables.attributes(test))
    return ndcg(model.get_user_embedding() @ items.T, tables.matrix(test), tables.matrix(train))


best = max(itertools.product(*GRID), key=lambda one: measured(fitted("part", *one), "part", "held_out"))
start = time.perf_counter()
model = fitted("known", *best)
seconds = time.perf_counter() - start
settings = dict(zip(("n_components", "reg", "alpha0", "lambda_item_feature"), best, strict=True))
found = {"system": "irspack iALS", "ndcg": measured(model, "known", "cold"), "seconds": seconds, "settings": settings}
print("\n" + json.dumps(found), flush=True)  # its progress bar ends without a line end
