"""BayesianMF against myFM on ml-100k: milliseconds of a sweep, and the test error after so many seconds.

Claims: a sweep at rank 10 takes less than a third of myFM's on the same data, and the error is lower at each second of
the run, without and with the implicit part (myFM's flipped features of the SVD++ family).

How: protocol S, seed 0. The seconds of a sweep are the median distance between two calls of the callback; runs are in
turn, ours in this process after compilation, on two threads, and myFM's, which has one, in its own. The error of a run
is that of the mean of all draws after the first BURN_IN, clipped to 1–5, and it is the mean over the seeds. myFM shows
it from its callback, with the clock stopped. Ours keeps the draws, so a fit is run for each length that is shown (with
one seed they all draw the same), and its seconds are those from the call of ``fit`` to the last callback.

Run: ``python benchmarks/bayesian.py [--small] [--rounds 5]``.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numba
import numpy as np
from peers import run_peer
from results import Results, arguments, in_turn, short, versus

import cofactor as cf
from cofactor.evaluation import evaluate
from cofactor.solvers.bayes import BayesianMF

KINDS = {"plain": False, "implicit": True}
BURN_IN = 20
LENGTHS, SMALL_LENGTHS = (22, 25, 30, 40, 60, 80, 120, 160, 240, 320, 480, 640), (22, 25, 30)
GRID = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # seconds


def write_rows(train: cf.Interactions, test: cf.Interactions, folder: Path) -> None:
    """Write both parts as user rows, item rows and values, for the peer."""
    parts: dict[str, Any] = {}
    for name, part in (("train", train), ("test", test)):
        columns = part.triplets()
        parts[name] = np.stack([columns.user_rows, columns.item_rows, columns.values], axis=1).astype(np.float64)
    np.savez(folder / "rows.npz", shape=np.array(train.matrix.shape), **parts)


def run(
    train: cf.Interactions, rank: int, sweeps: int, kind: str, seed: int, kept: int = 1
) -> tuple[list[float], cf.Factors]:
    """Return the seconds from the call of ``fit`` to the end of each sweep, and the model."""
    ends: list[float] = []
    solver = BayesianMF(rank=rank, sweeps=sweeps, burn_in=sweeps - kept, n_samples=kept, svdpp=KINDS[kind], seed=seed)
    began = time.perf_counter()
    model = solver.fit(train, callback=lambda _: ends.append(time.perf_counter() - began))
    return ends, model


def milliseconds(ends: list[float]) -> float:
    """Return the median time of a sweep, the first few left out, in which less is drawn."""
    return 1000 * float(np.median(np.diff(ends)[5:]))


def compare_sweeps(
    train: cf.Interactions, folder: Path, results: Results, rank: int, kind: str, rounds: int, n: int
) -> None:
    def theirs() -> float:
        return milliseconds(run_peer("myfm", "myfm_gibbs.py", folder, rank, n, kind, 0, 0)["ends"])

    figures = versus(*in_turn(rounds, lambda: milliseconds(run(train, rank, n, kind, 0)[0]), theirs))
    results.add("Milliseconds of a sweep", rank=rank, kind=kind, **figures)


def our_curve(
    train: cf.Interactions, test: cf.Interactions, rank: int, kind: str, seed: int, lengths: tuple[int, ...]
) -> list[tuple[float, float]]:
    """Return seconds and error after each of the lengths."""
    points = []
    for sweeps in lengths:
        ends, model = run(train, rank, sweeps, kind, seed, kept=sweeps - BURN_IN)
        points.append((ends[-1], evaluate(model, test)["mse"]))
    return points


def peer_curve(folder: Path, rank: int, kind: str, seed: int, lengths: tuple[int, ...]) -> list[tuple[float, float]]:
    """Return seconds and error after each of the lengths."""
    found = run_peer("myfm", "myfm_gibbs.py", folder, rank, max(lengths), kind, seed, BURN_IN, *lengths)
    return [(found["ends"][sweeps - 1], found["errors"][str(sweeps)]) for sweeps in lengths]


def compare_errors(
    train: cf.Interactions,
    test: cf.Interactions,
    folder: Path,
    results: Results,
    rank: int,
    kind: str,
    lengths: tuple[int, ...],
    seeds: int,
) -> None:
    """Show the error after so many sweeps, and after so many seconds: that of the last length done by then."""
    curves = [
        (our_curve(train, test, rank, kind, seed, lengths), peer_curve(folder, rank, kind, seed, lengths))
        for seed in range(seeds)
    ]
    ours, theirs = np.array(curves).mean(axis=0)  # (lengths, 2): seconds, error
    for sweeps, (mine, my_error), (other, their_error) in zip(lengths, ours, theirs, strict=True):
        row = {"seconds": short(mine), "mse": short(my_error), "myfm_seconds": short(other)}
        title = "Test error after so many sweeps"
        results.add(title, rank=rank, kind=kind, sweeps=sweeps, **row, myfm_mse=short(their_error))
    for seconds in GRID:
        mine, other = (last_by(seconds, curve) for curve in (ours, theirs))
        if mine is not None and seconds <= theirs[-1][0]:
            title = "Test error after so many seconds"
            results.add(title, rank=rank, kind=kind, seconds=seconds, mse=mine, myfm_mse=other)


def last_by(seconds: float, curve: np.ndarray) -> float | None:
    """Return the error of the longest run that was done by then."""
    return next((short(error) for end, error in reversed(curve.tolist()) if end <= seconds), None)


def main() -> None:
    args = arguments(__doc__, rounds=5)
    ranks, kinds = ((4,), ("plain", "implicit")) if args.small else ((10, 20), tuple(KINDS))
    lengths, seeds, timed = (SMALL_LENGTHS, 1, 15) if args.small else (LENGTHS, 3, 100)
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    settings = {"rounds": args.rounds, "seeds": seeds, "timed_sweeps": timed, "burn_in": BURN_IN}
    results = Results("bayesian", args.small, settings, ["myfm"])
    train, test = cf.load_dataset("ml-100k").split_random(test_fraction=0.2, seed=0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(train, test, folder)
        for rank in ranks:
            for kind in kinds:
                run(train, rank, 8, kind, 0)  # compiles
                compare_sweeps(train, folder, results, rank, kind, args.rounds, timed)
        for kind in kinds:
            compare_errors(train, test, folder, results, ranks[0], kind, lengths, seeds)
    results.note(f"Seeds of the sampler whose mean is shown: {seeds}; the first {BURN_IN} sweeps are not averaged.")
    results.write()


if __name__ == "__main__":
    main()
