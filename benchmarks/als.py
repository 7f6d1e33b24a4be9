"""ALS against cmfrec 3.5 on ml-100k: seconds from raw ids to a trained model, and the error on held-out ratings.

Claims: 15 epochs at rank 20 take at most a third of the time of cmfrec's 15 iterations (k = 20, lambda = 10, two
threads, float32) at a mean squared error no worse. Surprise's SVD is shown for reference.

How: protocol S (`split_random(test_fraction=0.2, seed=…)`), seed 0 for the times and seeds 0 to 4 for the errors. Each
library starts from columns of raw ids (strings) in memory; coding them, building its tables and the fit are all timed,
after one warming fit in the same process, but for Surprise, which does nothing only once. Fits run in turn, one a
round. Predictions are clipped to 1–5; a test pair that a library cannot predict, its user or item not being in the
training part, gets the training mean.

Run: ``python benchmarks/als.py [--small] [--rounds 9]``.
"""

import functools
import tempfile
import time
from pathlib import Path

import numba
import numpy as np
import polars as pl
from peers import run_peer
from results import Results, arguments, in_turn, short, versus

import cofactor as cf
from cofactor.model.factors import score_rows
from cofactor.solvers import ALS

RANK, EPOCHS, SEEDS = 20, 15, 5
PEERS: dict[str, tuple[str, tuple[int, ...]]] = {
    "cmfrec": ("cmfrec_als.py", (RANK, EPOCHS)),
    "surprise": ("surprise_svd.py", (RANK,)),
}


def write_parts(ratings: cf.Interactions, seed: int, folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split the ratings, write both parts for the peers, and return them as columns of raw ids."""
    train, test = (part.to_frame().select("user", "item", "value") for part in ratings.split_random(seed=seed))
    train.write_csv(folder / "train.csv")
    test.write_csv(folder / "test.csv")
    return train, test


def fit(train: pl.DataFrame) -> tuple[float, cf.Factors]:
    """Return the seconds from raw ids to a model, and the model."""
    began = time.perf_counter()
    table = cf.Interactions.from_columns(train["user"], train["item"], train["value"].to_numpy())
    model = ALS(rank=RANK, epochs=EPOCHS).fit(table)
    return time.perf_counter() - began, model


def fit_peer(name: str, folder: Path) -> float:
    """Return the seconds of a peer's fit, and leave its predictions in the folder."""
    script, settings = PEERS[name]
    return float(run_peer(name, script, folder, *settings)["fit"])


def predict(model: cf.Factors, test: pl.DataFrame) -> np.ndarray:
    """Return a score for each test pair, NaN where the model does not know its user or item."""
    users, items = model.users.find(test["user"]), model.items.find(test["item"])
    scores = score_rows(model, users.clip(0), items.clip(0)).astype(np.float64)
    return np.where((users >= 0) & (items >= 0), scores, np.nan)


def error(predicted: np.ndarray, train: pl.DataFrame, test: pl.DataFrame) -> float:
    """Return the mean squared error of clipped predictions, the training mean standing in for NaN."""
    filled = np.where(np.isnan(predicted), train["value"].to_numpy().mean(), predicted)
    return float(np.mean((filled.clip(1, 5) - test["value"].to_numpy()) ** 2))


def main() -> None:
    args = arguments(__doc__, rounds=9)
    seeds = 1 if args.small else SEEDS
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    results = Results("als", args.small, {"rounds": args.rounds, "rank": RANK, "epochs": EPOCHS}, list(PEERS))
    ratings = cf.load_dataset("ml-100k")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train, _ = write_parts(ratings, 0, folder)
        fit(train)
        for peer in PEERS:
            ours, theirs = in_turn(args.rounds, lambda: fit(train)[0], functools.partial(fit_peer, peer, folder))
            results.add("Seconds from raw ids to a model", against=peer, **versus(ours, theirs))
        errors: dict[str, list[float]] = {"ours": [], **{peer: [] for peer in PEERS}}
        for seed in range(seeds):
            train, test = write_parts(ratings, seed, folder)
            errors["ours"].append(error(predict(fit(train)[1], test), train, test))
            for peer in PEERS:
                fit_peer(peer, folder)
                errors[peer].append(error(np.load(folder / "predicted.npy"), train, test))
    for system, values in errors.items():
        each = " ".join(f"{value:.4f}" for value in values)
        results.add("Mean squared error, clipped", system=system, mean=short(float(np.mean(values))), seeds=each)
    results.note(f"Rank {RANK}, {EPOCHS} epochs; cmfrec with lambda 10 and float32, Surprise's SVD with its defaults.")
    results.write()


if __name__ == "__main__":
    main()
