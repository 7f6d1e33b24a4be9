"""Do the defaults of ImplicitALS make good lists of sparse and of dense tables alike, and keep disliked items out?

Claims: on sparse tables the lists are not the same few items for everybody, and on real ones their nDCG@10 is higher
than with the penalty of Rendle et al. (2021), which grows with the size of the other side; on dense ones it is no
lower. Low ratings taken as confident zeros lower the share of disliked items in the lists and raise the nDCG@10 of
liked items; that of all ratings, the disliked ones included, falls by less than half a per cent on real tables.

How: of each data set a quarter of every user's ratings is the test part, for three seeds, and figures are the means
over them. What a user rated in training is never listed. The second row of each set has the penalty and the settings
that were the default before, ``0.03 (n + N / 10) |x|^2`` with N the size of the other side. A rating of at least 0.8 of
the highest is liked, one of at most 0.4 is disliked: 4 and 2 of 5 stars. *Disliked in lists* is the share of the listed
items that their user went on to dislike.

Run: ``python benchmarks/implicit_defaults.py [--small] [FOLDER ...]``; a folder holds ratings in a MovieLens layout, of
which users with fewer than five are left out.
"""

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
from results import Results, short

import cofactor as cf
from cofactor.apps.sources import open_data
from cofactor.data.preparation import Weights
from cofactor.evaluation import evaluate
from cofactor.model.least_squares import Rows, equations, gram, solve_rows
from cofactor.solvers import ImplicitALS, Popularity

DATA, SMALL_DATA = ("ml-100k", "synthetic:3000x20000x90000"), ("synthetic:300x200x6000",)
SEEDS = range(3)
K = 10


def before(train: cf.Interactions) -> cf.Factors:
    """Return a model of the published penalty, which our solver no longer has, with the settings of that time."""
    by_user, by_item = Rows.of(train.matrix), Rows.of(train.by_item)
    random, rank = np.random.default_rng(0), 64
    users, items = (0.1 / rank**0.5 * random.standard_normal((n, rank)) for n in train.matrix.shape)
    users, items = users.astype(np.float32), items.astype(np.float32)

    def solve(rows: Rows, fixed: np.ndarray, out: np.ndarray) -> None:
        settings: dict[str, Any] = {"weight": (0.0, 1.0), "target": (1.0, 0.0), "nu": 1.0}
        solve_rows(
            rows, equations(fixed, 0.03, gram=0.1 * gram(fixed), count_offset=0.1 * len(fixed), **settings), out=out
        )

    for _ in range(16):
        solve(by_user, items, users)
        solve(by_item, users, items)
    return cf.Factors(users, items, train.users, train.items, seen=train.matrix, objective=_RANKING)


_RANKING = ImplicitALS(rank=1, epochs=1).fit(cf.load_dataset("synthetic:60x40x600")).objective


def over_mean(train: cf.Interactions) -> cf.Interactions:
    """Return ratings as weights around 1."""
    return train.valued(Weights.of(train.matrix.data).apply)


WAYS: Mapping[tuple[str, str], Callable[[cf.Interactions], cf.Factors]] = {
    ("Popularity", "every rating alike"): lambda train: Popularity().fit(train),
    ("penalty as before", "stars over their mean"): lambda train: before(over_mean(train)),
    ("defaults", "every rating alike"): lambda train: ImplicitALS(values="alike").fit(train),
    ("defaults", "stars over their mean"): lambda train: ImplicitALS(values="as given").fit(over_mean(train)),
    ("defaults", "stars, low ones as dislikes"): lambda train: ImplicitALS().fit(train),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a smoke run: one small set, no claim")
    parser.add_argument("folders", nargs="*", help="further data sets")
    args = parser.parse_args()
    results = Results("implicit_defaults", args.small)
    for data in [*(SMALL_DATA if args.small else DATA), *args.folders]:
        ratings = open_data(data).min_counts(per_user=5)
        for (solver, learns_from), fit in WAYS.items():
            runs = [measured(fit, ratings, seed) for seed in SEEDS]
            figures = {name: short(float(np.mean([run[name] for run in runs]))) for name in runs[0]}
            results.add(f"{ratings.name}: {ratings}", solver=solver, **{"learns from": learns_from}, **figures)
    results.note(
        "In a synthetic set, who rated what depends on popularity alone: no list can beat the popular items there."
    )
    results.note(f"`defaults` are those of {ImplicitALS()!r}.")
    results.write()


def measured(fit: Callable[[cf.Interactions], cf.Factors], ratings: cf.Interactions, seed: int) -> dict[str, float]:
    """Return what the lists of a model are worth, by one split of the ratings."""
    train, test = ratings.split_per_user(test_fraction=0.25, seed=seed)
    model, top = fit(train), ratings.value_range[1]
    every, liked = (evaluate(model, test, k=K, relevant_from=least)[f"ndcg@{K}"] for least in (None, 0.8 * top))
    users = test.users.take(np.flatnonzero(np.diff(test.matrix.indptr) * np.diff(train.matrix.indptr)))
    lists = model.recommend(users, n=K)
    disliked = test.to_frame().filter(pl.col("value") <= 0.4 * top)
    return {
        f"nDCG@{K}": every,
        f"nDCG@{K} of liked": liked,
        "disliked in lists": len(lists.join(disliked, on=["user", "item"])) / len(lists),
        "items listed": lists["item"].n_unique(),
    }


if __name__ == "__main__":
    main()
