"""A fit of cmfrec's ALS from raw ids: seconds of a fit, and predictions for the test pairs.

usage: cmfrec_als.py FOLDER RANK EPOCHS
"""

import json
import sys
import time
from pathlib import Path

import cmfrec
import numpy as np
import pandas as pd

folder, rank, epochs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
names = {"user": "UserId", "item": "ItemId", "value": "Rating"}
train = pd.read_csv(folder / "train.csv", dtype={"user": str, "item": str}).rename(columns=names)
test = pd.read_csv(folder / "test.csv", dtype={"user": str, "item": str})
settings = {"k": rank, "lambda_": 10.0, "niter": epochs, "nthreads": 2, "use_float": True, "verbose": False}
cmfrec.CMF(**settings).fit(train.iloc[:1000])  # whatever is done only once is done now
start = time.perf_counter()
model = cmfrec.CMF(**settings).fit(train)
seconds = time.perf_counter() - start
predicted = model.predict(test.user.to_numpy(), test.item.to_numpy()).astype(float)
np.save(folder / "predicted.npy", predicted)
print(json.dumps({"fit": seconds}))
