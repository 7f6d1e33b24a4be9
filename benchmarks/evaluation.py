"""What a full-ranking evaluation costs beside the retrieval it rests on: seconds of both, and their ratio.

Claim, for all users of ML-20M's shape with a fifth of the ratings held out: at most 1.3 times the retrieval's own time.

How: a model of rank 64 is trained (2 epochs; what it learnt does not matter here). Then, in turn and in one process,
the lists of 10 for the evaluated users are asked for (`Factors.recommend`), and the model is evaluated:
overlap refused, ids matched, hits found, eleven metrics of every list, means and counts. The index of the items is
there for both, as after a first list. What is made on request, such as the intervals over users, is timed apart, once.

Run: ``python benchmarks/evaluation.py [--small] [--rounds 9] [--n 10] [--rank 64]``.
"""

import time
from collections.abc import Callable

import numba
import numpy as np
from results import Results, arguments, in_turn, short

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.evaluation import evaluate
from cofactor.model.factors import Factors
from cofactor.solvers import ImplicitALS

SHAPES = {
    "ML-20M's shape": "synthetic:138493x26744x20000000",
    "Gowalla's shape": "synthetic:29858x40981x1030000",
    "ml-1m's shape": "synthetic:6040x3706x1000000",
}
SMALL_SHAPES = {"small": "synthetic:3000x1000x100000"}
TARGETS = {"ML-20M's shape": 1.3}


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long it takes."""
    return times_of(work)[0]


def times_of(work: Callable[[], object]) -> tuple[float, float]:
    """Return how long it takes, and how much of the processors, which other programs hardly change."""
    start, used = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - used


def add_rows(title: str, model: Factors, test: Interactions, n: int, rounds: int, results: Results) -> None:
    """Time one shape."""
    users = test.users.take(np.flatnonzero(np.diff(test.matrix.indptr)))
    report = evaluate(model, test, k=n)  # loads, compiles, makes the index
    whole, retrieval = in_turn(
        rounds,
        lambda: times_of(lambda: evaluate(model, test, k=n)),
        lambda: times_of(lambda: model.recommend(users, n, on_unknown="skip")),
    )
    ours, theirs = np.array(whole), np.array(retrieval)  # (rounds, 2)
    pairs = ours[:, 0] / theirs[:, 0]
    medians, of_retrieval = np.median(ours, axis=0), np.median(theirs, axis=0)
    results.add(
        "Seconds of an evaluation and of the retrieval in it",
        data=title,
        users=len(users),
        held_out=report.n_test,
        retrieval=short(float(of_retrieval[0])),
        evaluation=short(float(medians[0])),
        ratio=round(float(medians[0] / of_retrieval[0]), 3),
        pairs=f"{pairs.min():.3f}–{pairs.max():.3f}",
        processor_ratio=round(float(medians[1] / of_retrieval[1]), 3),
        target=TARGETS.get(title, ""),
    )
    results.add(
        "Seconds of what is made on request",
        data=title,
        intervals=short(seconds_of(report.intervals), 3),
        three_lengths=short(seconds_of(lambda: evaluate(model, test, k=[5, 20, 100])), 3),
        per_user_frame=short(seconds_of(lambda: report.per_user), 3),
    )


def main() -> None:
    args = arguments(__doc__, rounds=9, n=10, rank=64)
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    results = Results("evaluation", args.small, {"n": args.n, "rank": args.rank, "rounds": args.rounds})
    for title, name in (SMALL_SHAPES if args.small else SHAPES).items():
        train, test = cf.load_dataset(name).split_random(test_fraction=0.2, seed=0)
        model = ImplicitALS(rank=args.rank, epochs=2, seed=0).fit(train.binary())
        add_rows(title, model, test, args.n, args.rounds, results)
    results.note(
        f"Lists of {args.n}, rank {args.rank}, a fifth held out at random, two threads. `pairs` is the range of the "
        "ratios of neighbouring runs, `processor_ratio` the ratio of the processor seconds of all threads, which what "
        "else the machine does troubles less."
    )
    results.write()


if __name__ == "__main__":
    main()
