"""How fast newcomers are placed in a trained model: a batch of them, and one visitor with 20 ratings.

Run: ``.venv/bin/python benchmarks/fold_in.py [--small]``. Each solver learns ml-100k; then all its users are folded in
again by their own ratings, and one visitor many times over (`Factors.fold_in`, which gives the whole model with the
visitor in it, and `Factors.place`, which gives the visitor alone). Medians of several rounds, once warm.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

from results import Results, arguments, short

import cofactor as cf
from cofactor.solvers import ALS, NMF, BayesianMF, ImplicitALS, KerasMF, PureSVD


def median_seconds(work: Callable[[], Any], rounds: int) -> float:
    """Return the median time of a piece of work, once it has been done twice."""
    times = []
    for _ in range(rounds + 2):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def main() -> None:
    args = arguments(__doc__, rounds=50)
    results = Results("fold_in", small=args.small, settings={"rounds": args.rounds})
    ratings = cf.load_dataset("ml-100k")
    everyone: dict[Any, dict[Any, float]] = {user: {} for user in ratings.users}
    visitor = {"visitor": {item: 1.0 + k % 5 for k, item in enumerate(ratings.items.ids[:20].to_list())}}
    solvers = [KerasMF(), ALS(), ImplicitALS(), NMF(), PureSVD(), BayesianMF(), BayesianMF(svdpp=True)]
    for solver in solvers[1:3] if args.small else solvers:
        model = solver.fit(ratings)
        batch = median_seconds(lambda model=model: model.fold_in(everyone), 3)
        whole = median_seconds(lambda model=model: model.fold_in(visitor), args.rounds)
        alone = median_seconds(lambda model=model: model.place(visitor), args.rounds)
        results.add(
            "Placing newcomers, ml-100k",
            solver=type(solver).__name__ + (", implicit part" if getattr(solver, "svdpp", False) else ""),
            rank=model.rank,
            users_a_second=round(len(everyone) / batch),
            visitor_fold_in_ms=short(1e3 * whole),
            visitor_place_ms=short(1e3 * alone),
        )
    results.write()


if __name__ == "__main__":
    main()
