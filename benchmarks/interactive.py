"""What a person waits for who asks about one user or item: processor milliseconds of public calls, and their growth.

Claims, on ML-20M's shape at rank 64: a known user's list and the nearest items in 0.1 ms, the nearest users in 0.5 ms,
none of them above implicit 0.7.3's.

How: ImplicitALS learns made-up tables (3 epochs, rank 64; 20 pairs a user where the table shows growth). Each call is
made for a hundred users or items drawn at random, once it has been made before; the median of the processor time of all
threads is shown, which what else the machine does troubles little. implicit and faiss search the same vectors in
processes of their own; *faiss* is its exact index, which leaves out nothing that was seen. What each call takes the
first time, when what it needs of the whole model is made, is in a table of its own, in seconds of the clock.

Run: ``python benchmarks/interactive.py [--small] [--rounds 100]``.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from peers import run_peer
from results import Results, arguments, short
from scipy import sparse

import cofactor as cf
from cofactor.solvers import ImplicitALS

LARGE = ("ML-20M's shape", "synthetic:138493x26744x20000000")
GROWTH = {
    1_000: "synthetic:1000x1000x20000",
    30_000: "synthetic:30000x30000x600000",
    1_000_000: "synthetic:1000000x1000000x20000000",
}
SMALL = ("small", "synthetic:3000x1000x60000")
TARGETS = {
    "recommend": 0.1, "similar_items": 0.1, "similar_users": 0.5, "fold_in, recommend": 0.5, "explain": 0.2,
    "score, 1,000 pairs": 0.5, "recommend, 1,000 candidates": 0.3, "recommend, 1,000 exclusions": 0.3, "describe": 50.0,
}  # fmt: skip
VISITOR = 10**9


def calls_of(model: cf.Factors, users: pl.Series, items: pl.Series) -> dict[str, Callable[[int], object]]:
    """Return the calls; each takes the number of the round."""
    random = np.random.default_rng(1)
    user, item = users.to_list(), items.to_list()
    met = model.items.take(random.choice(model.n_items, 20, replace=False)).to_list()
    thousand = model.items.take(random.integers(model.n_items, size=1000)).to_list()
    pairs = model.users.take(random.integers(model.n_users, size=1000)).to_list(), thousand
    return {
        "recommend": lambda k: model.recommend([user[k]]),
        "similar_items": lambda k: model.similar_items(item[k]),
        "similar_users": lambda k: model.similar_users(user[k]),
        "place, recommend": lambda _: model.place({VISITOR: met}).recommend([VISITOR]),
        "fold_in, recommend": lambda _: model.fold_in({VISITOR: met}).recommend([VISITOR]),
        "explain": lambda k: model.explain(user[k], item[k]),
        "score, 1,000 pairs": lambda _: model.score(*pairs),
        "recommend, 1,000 candidates": lambda k: model.recommend([user[k]], candidates=thousand),
        "recommend, 1,000 exclusions": lambda k: model.recommend([user[k]], exclude=thousand),
        "describe": lambda _: model.describe(),
    }


def milliseconds(call: Callable[[int], object], rounds: int) -> tuple[float, float]:
    """Return the median processor milliseconds of a call, and the seconds of the first one."""
    began = time.perf_counter()
    call(0)
    first = time.perf_counter() - began
    times: list[float] = []
    while len(times) < rounds and sum(times) < 5:
        start = time.process_time()
        call(len(times))
        times.append(time.process_time() - start)
    return 1e3 * float(np.median(times)), first


def measured(name: str, rounds: int, folder: Path) -> dict[str, dict[str, Any]]:
    """Train on one table; return ours and the peers' figures by call."""
    table = cf.load_dataset(name).binary()
    model = ImplicitALS(rank=64, epochs=3, regularization=0.1, seed=0).fit(table)
    random = np.random.default_rng(0)
    rows = random.integers(model.n_users, size=rounds), random.integers(model.n_items, size=rounds)
    for file, array in zip(
        ("users", "items", "asked_users", "asked_items"), (model.user_vectors, model.item_vectors, *rows), strict=True
    ):
        np.save(folder / f"{file}.npy", array)
    sparse.save_npz(folder / "matrix.npz", sparse.csr_matrix(table.matrix), compressed=False)
    theirs = {peer: run_peer(peer, f"{peer}_interactive.py", folder, rounds) for peer in ("implicit", "faiss")}
    found = {}
    for call, ask in calls_of(model, model.users.take(rows[0]), model.items.take(rows[1])).items():
        ours, first = milliseconds(ask, rounds)
        found[call] = {"ours": ours, "first": first, **{peer: theirs[peer].get(call) for peer in theirs}}
    return found


def main() -> None:
    args = arguments(__doc__, rounds=100)
    results = Results("interactive", args.small, {"rounds": args.rounds}, ["implicit", "faiss"])
    title, name = SMALL if args.small else LARGE
    with tempfile.TemporaryDirectory() as folder:
        for call, found in measured(name, args.rounds, Path(folder)).items():
            others = {peer: short(value) if (value := found[peer]) else "" for peer in ("implicit", "faiss")}
            results.add(title, call=call, ours=short(found["ours"]), **others, target=TARGETS.get(call, ""))
            results.add("The first time, seconds", call=call, ours=short(found["first"], 3))
    grown: dict[str, dict[str, Any]] = {}
    for size, shape in ({} if args.small else GROWTH).items():
        with tempfile.TemporaryDirectory() as folder:
            for call, found in measured(shape, args.rounds, Path(folder)).items():
                row = grown.setdefault(call, {"call": call})
                row[f"{size:,}"] = short(found["ours"])
                if found["implicit"]:
                    row[f"implicit, {size:,}"] = short(found["implicit"])
    for row in grown.values():
        results.add("Growth with the number of users, and of as many items", **row)
    results.note(
        "Rank 64, lists of 10, what was seen left out. `explain` of implicit returns the ten largest shares, ours all. "
        "`place` gives a model of the visitor alone, `fold_in` one of everybody and the visitor."
    )
    results.write()


if __name__ == "__main__":
    main()
