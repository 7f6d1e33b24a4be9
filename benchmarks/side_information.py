"""What it is worth to know more of users and films than their ratings, on ml-100k.

Claims: with users' age, gender and occupation and films' genres and years, ALS and BayesianMF predict the ratings of
the official split u1 better than without, and BayesianMF better than myFM does with the same attributes; lists of
ImplicitALS, which know nearly every film from its ratings, are about as good with them as without.

How: u1, `split_rows(range(20_000))`, predictions clipped to 1–5. Of each solver, which attributes and which settings
are used is chosen on a fifth of the training part, drawn at random; then it is trained on the whole training part,
once with the attributes chosen and once without any. The others' figures were published by their authors. For lists,
protocol R of `reproduce.py`: a random quarter of each user's ratings is held out, all are relevant; settings and
attributes are chosen on a quarter of what is left, and figures are means of five seeds.

Run: ``python benchmarks/side_information.py [--small]``.
"""

import dataclasses
import itertools
import time
from typing import Any

import numpy as np
from reproduce import protocol_r
from results import Results, arguments, short

import cofactor as cf
from cofactor.evaluation import evaluate
from cofactor.solvers import ALS, ImplicitALS
from cofactor.solvers.bayes import BayesianMF

FILMS, PEOPLE = ("genres", "year"), ("age", "gender", "occupation")
ATTRIBUTES: tuple[dict[str, Any], ...] = (
    {},
    {"item_features": FILMS},
    {"user_features": PEOPLE},
    {"item_features": FILMS, "user_features": PEOPLE},
)
GRIDS: dict[str, tuple[Any, dict[str, tuple[Any, ...]]]] = {
    "ALS": (ALS(), {"regularization": (1.87, 2.5), "rank": (10, 20)}),
    "BayesianMF": (BayesianMF(svdpp=True), {"rank": (16,)}),
}
LISTS: tuple[Any, dict[str, tuple[Any, ...]]] = (
    ImplicitALS(rank=128),
    {"regularization": (0.4, 0.6, 0.9), "unobserved_weight": (0.15, 0.25), "epochs": (6, 10)},
)
SMALL: dict[str, tuple[Any, dict[str, tuple[Any, ...]]]] = {
    "ALS": (ALS(epochs=2), {"rank": (4,)}),
    "BayesianMF": (BayesianMF(rank=2, sweeps=20, burn_in=5, n_samples=5, svdpp=True), {"rank": (2,)}),
}
PEERS = (
    ("myFM with flipped implicit features, without attributes", 0.8889, "measured"),
    ("myFM with flipped implicit features and these attributes", 0.8833, "published by its author"),
    ("the same with an ordered probit", 0.8808, "published by its author"),
)


def candidates(start: Any, grid: dict[str, tuple[Any, ...]], attributes: dict[str, Any]) -> list[Any]:
    """Return solvers with all settings of a grid."""
    return [
        dataclasses.replace(start, **attributes, **dict(zip(grid, values, strict=True)))
        for values in itertools.product(*grid.values())
    ]


def error(solver: Any, train: cf.Interactions, test: cf.Interactions) -> tuple[float, float]:
    """Return the root mean squared error, and the seconds of the fit."""
    began = time.perf_counter()
    model = solver.fit(train)
    seconds = time.perf_counter() - began
    return float(evaluate(model, test)["rmse"]), seconds


def lists(results: Results, ratings: cf.Interactions, small: bool) -> None:
    """Add a row for each choice of attributes, with the settings that did best with it."""
    train, test = protocol_r(ratings)
    part, held_out = train.split_per_user(test_fraction=0.25, seed=1)
    start, grid = (ImplicitALS(epochs=1), {"rank": (4,)}) if small else LISTS
    for attributes in ATTRIBUTES:
        tried = [
            (float(evaluate(one.fit(part), held_out, k=10)["ndcg@10"]), one)
            for one in candidates(start, grid, attributes)
        ]
        validated, solver = max(tried, key=lambda pair: pair[0])
        seeds = [dataclasses.replace(solver, seed=seed) for seed in range(5)]
        found = [float(evaluate(one.fit(train), test, k=10)["ndcg@10"]) for one in seeds]
        results.add(
            "Lists with side information, ml-100k, nDCG@10",
            attributes=", ".join((*solver.item_features, *solver.user_features)) or "none",
            settings=", ".join(f"{key}={getattr(solver, key):g}" for key in grid),
            **{"validation": short(validated), "nDCG@10": short(float(np.mean(found)))},
        )


def main() -> None:
    args = arguments(__doc__)
    results = Results("side_information", args.small)
    ratings = cf.load_dataset("ml-100k")
    train, test = ratings.split_rows(range(20_000))
    part, held_out = train.split_random(test_fraction=0.2, seed=1)
    table = "Error of ratings with side information, ml-100k u1"
    for name, (start, grid) in (SMALL if args.small else GRIDS).items():
        start.fit(cf.load_dataset("synthetic:60x40x600"))  # compiles
        tried = {
            tuple(attributes): min(
                ((error(solver, part, held_out)[0], solver) for solver in candidates(start, grid, attributes)),
                key=lambda pair: pair[0],
            )
            for attributes in ATTRIBUTES
        }
        best = min((one for one in tried.values()), key=lambda pair: pair[0])
        for validated, solver in {id(one): one for one in (tried[()], best)}.values():
            rmse, seconds = error(solver, train, test)
            results.add(
                table,
                system=f"cofactor {name}{', implicit' if name == 'BayesianMF' else ''}",
                attributes=", ".join((*solver.item_features, *solver.user_features)) or "none",
                settings=", ".join(f"{key}={getattr(solver, key):g}" for key in grid),
                validation=short(validated),
                rmse=short(rmse),
                seconds=short(seconds, 2),
            )
        for attributes, (validated, solver) in tried.items():
            results.add(
                "The choice of attributes, RMSE on a fifth of u1's training part",
                system=f"cofactor {name}",
                attributes=" and ".join(attributes).replace("_features", "s'") or "none",
                settings=", ".join(f"{key}={getattr(solver, key):g}" for key in grid),
                rmse=short(validated),
            )
    lists(results, ratings.binary(), args.small)
    for system, rmse, source in PEERS:
        results.add(table, system=system, attributes="", settings=source, rmse=rmse)
    results.write()


if __name__ == "__main__":
    main()
