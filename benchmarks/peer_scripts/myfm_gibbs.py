"""A run of myFM: seconds up to each sweep, and the test error of the running mean after the sweeps asked for.

usage: myfm_gibbs.py FOLDER RANK SWEEPS plain|implicit SEED BURN_IN [SWEEP ...]

What the callback takes to predict is not counted. With ``implicit`` the features are the flipped ones of the SVD++
family: each user's items and each item's users, scaled by 1 / root of their number, from the training rows only.
"""

import json
import sys
import time
from pathlib import Path

import myfm
import numpy as np
from scipy import sparse

folder, rank, sweeps = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
kind, seed, burn_in = sys.argv[4], int(sys.argv[5]), int(sys.argv[6])
shown = set(map(int, sys.argv[7:]))
data = np.load(folder / "rows.npz")
train, test = data["train"], data["test"]  # (ratings, 3): user, item, value
n_users, n_items = (int(n) for n in data["shape"])
users, items = train[:, 0].astype(int), train[:, 1].astype(int)
seen = sparse.csr_matrix((np.ones(len(train)), (users, items)), shape=(n_users, n_items))


def scaled(rows: sparse.csr_matrix) -> sparse.csr_matrix:
    """Divide each row by the root of its count."""
    return sparse.diags(1 / np.sqrt(np.maximum(rows.getnnz(1), 1))) @ rows


def one_hot(rows: np.ndarray) -> sparse.csr_matrix:
    """Return a row of two ones for each rating."""
    n, columns = len(rows), np.stack([rows[:, 0], n_users + rows[:, 1]], 1).astype(int).ravel()
    return sparse.csr_matrix((np.ones(2 * n), columns, np.arange(0, 2 * n + 1, 2)), shape=(n, n_users + n_items))


start = time.perf_counter()
if kind == "plain":
    of_train, of_test = {"X": one_hot(train), "X_rel": []}, {"X": one_hot(test), "X_rel": []}
    groups = [0] * n_users + [1] * n_items
else:
    of_users = sparse.hstack([sparse.eye(n_users), scaled(seen)]).tocsr()
    of_items = sparse.hstack([sparse.eye(n_items), scaled(seen.T.tocsr())]).tocsr()

    def blocks(rows: np.ndarray) -> list[myfm.RelationBlock]:
        """Return the two sides' features of each rating."""
        pairs = ((rows[:, 0], of_users), (rows[:, 1], of_items))
        return [myfm.RelationBlock(side.astype(int), features) for side, features in pairs]

    nothing = {"X": sparse.csr_matrix((len(test), 0))}
    of_train, of_test = {"X": None, "X_rel": blocks(train)}, nothing | {"X_rel": blocks(test)}
    groups = [0] * n_users + [1] * n_items + [2] * n_items + [3] * n_users

ends: list[float] = []
errors: dict[int, float] = {}
total, away = np.zeros(len(test)), 0.0


def after(number: int, model: myfm.gibbs.FM, *_: object) -> tuple[bool, None]:
    """Note the time, then predict with the clock stopped."""
    global total, away
    now = time.perf_counter()
    ends.append(now - start - away)
    if shown and number >= burn_in:
        total += model.predict_score(of_test["X"], of_test["X_rel"])
        if number + 1 in shown:
            predicted = np.clip(total / (number + 1 - burn_in), 1, 5)
            errors[number + 1] = float(np.mean((predicted - test[:, 2]) ** 2))
    away += time.perf_counter() - now
    return False, None


model = myfm.MyFMRegressor(rank=rank, random_seed=seed)
model.fit(
    of_train["X"], train[:, 2], of_train["X_rel"], n_iter=sweeps, n_kept_samples=1, grouping=groups, callback=after
)
print(json.dumps({"ends": ends, "errors": errors}))
