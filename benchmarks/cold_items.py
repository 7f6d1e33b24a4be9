"""Items that nobody has rated yet: how well are they ranked by what is known of them?

Claims: with genres and year, ImplicitALS, BPR, LogisticMF and KerasMF rank held-out films better than the best of the
peers; the more of their first ratings are known, the better.

How: a fifth of ml-100k's films is held out with all their ratings, and ranked among themselves for every user. Each
system's settings are the best of its grid on a sixth of the other films, held out in the same way: ours on the mean of
three such sixths, since which films are in one matters much. For the warm-up, each user's ratings of held-out films are
split in two halves at random; a share of the first half is shown, and the second is the test, whatever was shown.
"Ratings alone" is the same solver without attributes.

Run: ``python benchmarks/cold_items.py [--small] [--keep 1]``; with the last, peers' rows are those of the run before.
"""

import dataclasses
import itertools
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from peers import run_peer
from results import Results, arguments, short

import cofactor as cf
from cofactor.evaluation import evaluate
from cofactor.solvers import BPR, ImplicitALS, KerasMF, LogisticMF

FEATURES = ("genres", "year")
GRIDS: dict[str, tuple[Any, dict[str, tuple[float, ...]]]] = {
    "ImplicitALS": (
        ImplicitALS(epochs=10),
        {"rank": (32, 64), "regularization": (0.7, 1.0, 1.5), "unobserved_weight": (0.15, 0.3, 0.6)},
    ),
    "BPR": (BPR(epochs=30), {"rank": (32, 64), "regularization": (0.03, 0.05, 0.08)}),
    "LogisticMF": (
        LogisticMF(epochs=40, learning_rate=0.02),
        {"rank": (32, 64), "regularization": (0.0075, 0.015, 0.03)},
    ),
    "KerasMF": (KerasMF(loss="softmax"), {"rank": (32,), "regularization": (0.7, 1.5, 3.0)}),
}
SMALL: dict[str, dict[str, Any]] = {
    "ImplicitALS": {"rank": 4, "epochs": 2},
    "BPR": {"rank": 4, "epochs": 2},
    "LogisticMF": {"rank": 4, "epochs": 2},
    "KerasMF": {"rank": 4, "epochs": 1},
}
RESULTS = Path(__file__).parent / "results" / "cold_items.json"
SHARES = (0.0, 0.1, 0.25, 0.5, 1.0)


def main() -> None:
    args = arguments(__doc__, keep=0)
    results = Results("cold_items", args.small, peers=("irspack", "lightfm"))
    ratings = cf.load_dataset("synthetic:200x120x6000" if args.small else "ml-100k")
    if args.small:
        kinds = pl.Series([["war", "love"][row % 2] for row in range(ratings.n_items)])
        years = pl.Series([1950 + row % 50 for row in range(ratings.n_items)])
        ratings = ratings.with_items(pl.DataFrame({"item": ratings.items.ids, "genres": kinds, "year": years}))
    ratings = ratings.binary()
    known, cold = ratings.split_items(test_fraction=0.2, seed=0)
    tries = [known.split_items(test_fraction=1 / 6, seed=seed) for seed in range(1, 2 if args.small else 4)]
    part, held_out = tries[0]
    table = "New films by genres and year, nDCG@10 among themselves"
    chosen = {}
    for name in GRIDS:
        tried = grid(name, args.small)
        chosen[name] = max(tried, key=lambda one: sum(among_themselves(one, *parts)[0] for parts in tries))
        value, seconds = among_themselves(chosen[name], known, cold)
        results.add(
            table,
            system=f"cofactor {name}",
            **{"nDCG@10": short(value)},
            seconds=short(seconds, 2),
            settings=repr_of(name, chosen[name]),
        )
    if args.keep:
        for row in json.loads(RESULTS.read_text())["tables"][table]:
            if not row["system"].startswith("cofactor"):
                results.add(table, **row)
    else:
        for peer in ("irspack", "lightfm"):
            results.add(table, **theirs(peer, ratings, known, cold, part, held_out, args.small))
    warm_up(results, chosen["ImplicitALS"], known, cold)
    counts = ", ".join(f"{len(grid(name, False))} of {name}" for name in GRIDS)
    results.note(f"The best settings on other films, of {counts}; the peers' grids are in their scripts.")
    results.write()


def grid(name: str, small: bool) -> list[Any]:
    start, settings = GRIDS[name]
    start = dataclasses.replace(start, item_features=FEATURES)
    if small:
        return [dataclasses.replace(start, **SMALL[name])]
    values = itertools.product(*settings.values())
    return [dataclasses.replace(start, **dict(zip(settings, chosen, strict=True))) for chosen in values]


def among_themselves(solver: Any, train: cf.Interactions, new: cf.Interactions) -> tuple[float, float]:
    """Return nDCG@10 of new items ranked among themselves, and the seconds of the fit."""
    start = time.perf_counter()
    model = solver.fit(train)
    seconds = time.perf_counter() - start
    placed = model.fold_in_items(new.item_table)
    return ndcg(placed, new), seconds


def ndcg(model: cf.Factors, test: cf.Interactions) -> float:
    return float(evaluate(model, test, k=10, candidates=test.items.ids, on_new_items="miss")["ndcg@10"])


def repr_of(name: str, solver: Any) -> str:
    return ", ".join(f"{setting}={getattr(solver, setting)}" for setting in (*GRIDS[name][1], "epochs"))


def theirs(peer: str, ratings: cf.Interactions, *parts: Any) -> dict[str, Any]:
    """Run a peer on the same tables; it chooses its settings on the validation part."""
    known, cold, part, held_out, small = parts
    features = encoded(ratings)
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "data.npz"
        rows = {
            name: ratings.items.find(one.items.ids)
            for name, one in zip(NAMES, (known, cold, part, held_out), strict=True)
        }
        pairs = {
            f"{name}.{what}": column
            for name, one in zip(NAMES, (known, cold, part, held_out), strict=True)
            for what, column in (("users", one.triplets().user_rows), ("items", rows[name][one.triplets().item_rows]))
        }
        np.savez(path, features=features, n_users=ratings.n_users, small=small, **rows, **pairs)
        found = run_peer(peer, f"{peer}_cold.py", path)
    return {
        "system": found["system"],
        "nDCG@10": short(found["ndcg"]),
        "seconds": short(found["seconds"], 2),
        "settings": json.dumps(found["settings"]),
    }


NAMES = ("known", "cold", "part", "held_out")


def encoded(ratings: cf.Interactions) -> np.ndarray:
    """Return what the peers get: genres, and the year in the bins of our encoder, without the column of ones."""
    from cofactor.data.features import Encoder

    return Encoder.of(ratings.item_table, FEATURES, "item").encode(ratings.item_table).toarray()[:, :-1]


def warm_up(results: Results, solver: ImplicitALS, known: cf.Interactions, cold: cf.Interactions) -> None:
    """Show more and more of the first ratings of new items."""
    first, second = cold.split_random(test_fraction=0.5, seed=0)
    order = np.random.default_rng(0).permutation(len(first))
    plain = dataclasses.replace(solver, item_features=()).fit(known)
    model = solver.fit(known)
    for share in SHARES:
        mask = np.zeros(len(first), bool)
        mask[order[: round(share * len(first))]] = True
        shown = first.where(mask)
        described = model.fold_in_items(cold.item_table)
        both = described.fold_in_items(shown) if len(shown) else described
        alone = plain.fold_in_items(raters_of(shown))
        row: dict[str, Any] = {"ratings known": len(shown)}
        row["attributes alone"] = short(ndcg(dataclasses.replace(described, seen=both.seen), second))
        row["both"], row["ratings alone"] = short(ndcg(both, second)), short(ndcg(alone, second))
        results.add("New films as ratings come in, nDCG@10 among themselves", **row)


def raters_of(shown: cf.Interactions) -> dict[Any, list[Any]]:
    """Return who rated each item, items that nobody rated among them."""
    columns = shown.triplets()
    raters: dict[Any, list[Any]] = {item: [] for item in shown.items.ids}
    for user, item in zip(shown.users.take(columns.user_rows), shown.items.take(columns.item_rows), strict=True):
        raters[item].append(user)
    return raters


if __name__ == "__main__":
    main()
