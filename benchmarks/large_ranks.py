"""Which method of ImplicitALS is the best at large ranks: ``cholesky``, ``cg`` or ``block`` (iALS++).

How: the loss, the first vectors and the objective of ``implicit_als.py``, without a peer. Each method runs from the
same vectors, two threads, and its seconds count without the summing of objectives. *Seconds to the goal* are those
after which a method is within a relative 1e-3 of the objective that three iterations of ``cholesky`` end at.

Run: ``python benchmarks/large_ranks.py [--small]``.
"""

import tempfile
from pathlib import Path

import numba
import numpy as np
from implicit_als import Stage, iterate, load, objective
from results import Results, arguments, short

NAME, SMALL_NAME = "synthetic:12000x5000x1000000", "synthetic:1000x400x20000"
ITERATIONS = {"cholesky": 3, "cg": 8, "block": 8}
NEAR = 1e-3


def course(stage: Stage, rank: int, method: str) -> list[tuple[float, float]]:
    """Return the seconds passed and the objective after each iteration."""
    passed, found = 0.0, []
    for seconds, vectors in iterate(stage, stage.start(rank), method, ITERATIONS[method]):
        passed += seconds
        found.append((passed, objective(stage, vectors)))
    return found


def compare(stage: Stage, results: Results, rank: int) -> None:
    courses = {method: course(stage, rank, method) for method in ITERATIONS}
    goal = courses["cholesky"][-1][1] * (1 + NEAR)
    for method, reached in courses.items():
        near = [(seconds, number) for number, (seconds, value) in enumerate(reached, start=1) if value <= goal]
        seconds = np.diff([0.0, *(passed for passed, _ in reached)])
        results.add(
            "Our methods at large ranks",
            rank=rank,
            method=method,
            seconds_an_iteration=short(float(np.median(seconds))),
            objective_after_1=short(reached[0][1], 8),
            objective_after_3=short(reached[2][1], 8),
            seconds_to_the_goal=short(near[0][0]) if near else None,
            iterations_to_the_goal=near[0][1] if near else None,
        )


def main() -> None:
    args = arguments(__doc__)
    name, ranks = (SMALL_NAME, (64,)) if args.small else (NAME, (128, 256, 512))
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    results = Results("large_ranks", args.small, {"stage": name, "iterations": ITERATIONS})
    with tempfile.TemporaryDirectory() as folder:
        tiny = load("synthetic:60x40x600", Path(folder))
        for method in ITERATIONS:
            course(tiny, ranks[0], method)  # compiles
        stage = load(name, Path(folder))
        for rank in ranks:
            compare(stage, results, rank)
    results.note(
        f"The stage is `{name}`, made binary; two threads; iterations: "
        f"{', '.join(f'{method} {number}' for method, number in ITERATIONS.items())}."
    )
    results.write()


if __name__ == "__main__":
    main()
