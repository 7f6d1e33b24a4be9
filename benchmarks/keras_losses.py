"""How good the lists of KerasMF are with each of its losses, on ml-100k, and how long the fits take.

Claims: with its own settings every ranking loss reaches an nDCG@10 of 0.42, and softmax with the popularity
correction 0.46; without the correction, negatives from the batch do worse. All settings were chosen on a held-out part
of the training data.

How: protocol R, `split_per_user(test_fraction=0.25, seed=42)`, every rating relevant, all unseen items ranked, k = 10,
mean over users; the solver's seeds are 0, 1 and so on. `ndcg_placed` is the nDCG@10 where every user is placed anew by
what they had in training, as fold-in places strangers, in place of the vector they were trained to. Seconds are of the
whole fit, the compiling of the network included.

Run: ``python benchmarks/keras_losses.py [--small] [--seeds 3]``.
"""

import dataclasses
import time

import numpy as np
from results import Results, arguments, short

import cofactor as cf
from cofactor.evaluation import evaluate
from cofactor.model.factors import evolved
from cofactor.model.fold_in import place_rows
from cofactor.solvers.keras_mf import KerasMF

SOLVERS = [
    KerasMF(),
    *(
        KerasMF(loss=loss, sampling=sampling, rank=rank)
        for loss in ("bpr", "bce", "softmax", "ccl")
        for sampling, rank in (("uniform", 20), ("uniform", 64), ("batch", 20))
    ),
    KerasMF(loss="softmax", sampling="batch", popularity_correction=0.0),
]


def measure(solver: KerasMF, train: cf.Interactions, test: cf.Interactions) -> dict[str, float]:
    """Fit a solver; return the nDCG@10 of its lists, of its lists where users are placed anew, and the seconds."""
    began = time.perf_counter()
    model = solver.fit(train)
    seconds = time.perf_counter() - began
    placed = place_rows(model, model.seen, "user")
    anew = evolved(model, user_vectors=placed.vectors, **({} if placed.bias is None else {"user_bias": placed.bias}))
    figures = {name: evaluate(m, test, k=10)["ndcg@10"] for name, m in (("ndcg", model), ("ndcg_placed", anew))}
    return figures | {"fit_seconds": seconds}


def main() -> None:
    args = arguments(__doc__, seeds=3)
    solvers, seeds = SOLVERS, 1 if args.small else args.seeds
    if args.small:
        solvers = [dataclasses.replace(solver, epochs=1, rank=8) for solver in SOLVERS]
    results = Results("keras_losses", args.small, {"seeds": seeds})
    train, test = cf.load_dataset("ml-100k").split_per_user(test_fraction=0.25, seed=42)
    for solver in solvers:
        runs = [measure(dataclasses.replace(solver, seed=seed), train, test) for seed in range(seeds)]
        means = {key: short(float(np.mean([run[key] for run in runs]))) for key in runs[0]}
        each = " ".join(f"{run['ndcg']:.4f}" for run in runs)
        row = {"loss": solver.loss, "sampling": solver.sampling if solver.loss != "mse" else "", "rank": solver.rank}
        correction = solver.popularity_correction if solver.loss != "mse" else None
        results.add(
            "nDCG@10 on protocol R, mean of the seeds", **row, correction=correction, **means, ndcg_of_each_seed=each
        )
    results.write()


if __name__ == "__main__":
    main()
