"""What it is worth to know more of users and films than their ratings: error on ml-100k's official split u1.

Claims: with users' age, gender and occupation and films' genres and years, ALS and BayesianMF predict ratings better
than without, and BayesianMF better than myFM does with the same attributes.

How: u1, `split_rows(range(20_000))`, predictions clipped to 1–5. Of each solver, which attributes and which settings
are used is chosen on a fifth of the training part, drawn at random; then it is trained on the whole training part,
once with the attributes chosen and once without any. The others' figures were published by their authors.

Run: ``python benchmarks/side_information.py [--small]``.
"""

import dataclasses
import itertools
import time
from typing import Any

from results import Results, arguments, short

import cofactor as cf
from cofactor.evaluation import evaluate
from cofactor.solvers import ALS
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
    "BayesianMF": (BayesianMF(svdpp=True), {"rank": (16, 24)}),
}
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
    for system, rmse, source in PEERS:
        results.add(table, system=system, attributes="", settings=source, rmse=rmse)
    results.write()


if __name__ == "__main__":
    main()
