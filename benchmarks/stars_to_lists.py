"""I have star ratings and want a top-n list: which solver, and what to make of the stars?

Claims: a model of predicted ratings ranks far worse than one of what was chosen; among the ways to turn stars into
feedback, weights in proportion to the stars are at or near the best whether a list counts as good when it holds what
people went on to rate, or only what they went on to like; taking low ones as dislikes besides is the best for what
they like.

How: for each data set a quarter of each user's ratings is the test part, and a quarter of what is left is held out to
choose the settings of every row from the same grid; the row is then trained on all but the test part. What a user
rated in training is never listed, in every row, though a solver may have learnt from some of it alone. The two last
columns are nDCG@10 on the test part: with every rating relevant, and with those alone that are liked.

Run: ``python benchmarks/stars_to_lists.py [--small] [FOLDER ...]``; a folder holds ratings in a MovieLens layout.
"""

import argparse
import dataclasses
import itertools
from collections.abc import Callable, Iterable
from typing import Any

from results import Results, short

import cofactor as cf
from cofactor.apps.sources import open_data
from cofactor.data.preparation import Stars, Weights
from cofactor.evaluation import evaluate
from cofactor.solvers import ALS, BPR, BayesianMF, ImplicitALS, KerasMF, Popularity

GRID = {
    "rank": (32, 64, 128),
    "unobserved_weight": (0.05, 0.1, 0.2, 0.4),
    "regularization": (0.4, 0.7, 1.0),
}
LIKED = 4.0

Made = Callable[[cf.Interactions], cf.Interactions]


def over_mean(ratings: cf.Interactions) -> cf.Interactions:
    """Return weights around 1, in proportion to the stars."""
    return ratings.valued(Weights.of(ratings.matrix.data).apply)


WAYS: dict[str, Made] = {
    "every rating alike": lambda ratings: ratings.binary(),
    f"those of {LIKED:g} and more alike": lambda ratings: ratings.at_least(LIKED).binary(),
    "every rating, weighted by its stars": over_mean,
    "every rating, low ones as dislikes": lambda ratings: ratings.valued(Stars.of(ratings.matrix.data).apply),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a smoke run: one setting each, no claim")
    parser.add_argument("folders", nargs="*", help="further data sets; ml-100k is always there")
    args = parser.parse_args()
    results = Results("stars_to_lists", args.small)
    for data in ["ml-100k", *args.folders]:
        ratings = open_data(data)
        train, test = ratings.split_per_user(test_fraction=0.25, seed=0)
        part, held_out = train.split_per_user(test_fraction=0.25, seed=1)
        for way, made in WAYS.items():
            chosen = best(grid(args.small), part, held_out, made)
            row(results, ratings.name, chosen, way, made, train, test)
        for solver in others(args.small):
            way = WAYS["every rating alike"] if solver.goal == "ranking" else lambda ratings: ratings
            what = "every rating alike" if solver.goal == "ranking" else "as ratings to predict"
            row(results, ratings.name, solver, what, way, train, test)
    results.note(
        f"A rating of {LIKED:g} and more is one that was liked. ImplicitALS: the best of {len(grid(False))} on "
        "validation data; the other solvers: their defaults."
    )
    results.write()


def grid(small: bool) -> list[Any]:
    """Return the settings that are tried."""
    if small:
        return [ImplicitALS(rank=8, epochs=2, values="as given")]
    return [
        ImplicitALS(rank=rank, unobserved_weight=weight, regularization=penalty, epochs=12, values="as given")
        for rank, weight, penalty in itertools.product(*GRID.values())
    ]


def others(small: bool) -> list[Any]:
    """Return the solvers that stand beside it."""
    few = {"epochs": 2, "rank": 4, "sweeps": 20, "burn_in": 5, "n_samples": 5} if small else {}
    solvers = [Popularity(), BPR(), KerasMF(loss="softmax"), KerasMF(), ALS(), BayesianMF()]
    return [dataclasses.replace(s, **{k: v for k, v in few.items() if hasattr(s, k)}) for s in solvers]


def best(solvers: Iterable[Any], part: cf.Interactions, held_out: cf.Interactions, made: Made) -> Any:
    """Return the solver that ranks what is held out best, the mean of both measures deciding."""
    return max(solvers, key=lambda solver: sum(ndcg(solver, part, held_out, made)))


def ndcg(solver: Any, train: cf.Interactions, test: cf.Interactions, made: Made) -> tuple[float, float]:
    """Return nDCG@10 with every held-out rating relevant, and with those alone that are liked."""
    model = dataclasses.replace(solver.fit(made(train)), seen=train.matrix)
    every, liked = (evaluate(model, test, k=10, relevant_from=least)["ndcg@10"] for least in (None, LIKED))
    return every, liked


def row(
    results: Results, data: str, solver: Any, what: str, made: Made, train: cf.Interactions, test: cf.Interactions
) -> None:
    every, liked = ndcg(solver, train, test, made)
    shown = {"solver": repr(solver), "learns from": what}
    figures = {"every rating relevant": short(every), "liked ones relevant": short(liked)}
    results.add(f"nDCG@10 on {data}", **shown, **figures)


if __name__ == "__main__":
    main()
