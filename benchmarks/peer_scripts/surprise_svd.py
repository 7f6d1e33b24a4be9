"""A fit of Surprise's SVD from raw ids: seconds of a fit, and predictions for the test pairs.

usage: surprise_svd.py FOLDER RANK
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import surprise

folder, rank = Path(sys.argv[1]), int(sys.argv[2])
train = pd.read_csv(folder / "train.csv", dtype={"user": str, "item": str})
test = pd.read_csv(folder / "test.csv", dtype={"user": str, "item": str})
start = time.perf_counter()
reader = surprise.Reader(rating_scale=(1, 5))
table = surprise.Dataset.load_from_df(train[["user", "item", "value"]], reader).build_full_trainset()
model = surprise.SVD(n_factors=rank, random_state=0).fit(table)
seconds = time.perf_counter() - start
predicted = [model.predict(user, item, clip=False).est for user, item in zip(test.user, test.item, strict=True)]
np.save(folder / "predicted.npy", np.array(predicted))
print(json.dumps({"fit": seconds}))
