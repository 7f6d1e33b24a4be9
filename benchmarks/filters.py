"""Lists of some items only: what does a condition cost, for everyone's lists and for a single one?

Claims: with a condition that keeps a tenth of 26,744 items, as many as ML-20M has, everyone's lists take at most half
as long again as without. A condition that was never asked before takes a fraction of a millisecond of a single list,
and about one where it looks for a part of a text.

How: a model of made-up choices with ML-20M's number of items, a share of its users, and made-up attributes. Everyone's
lists are timed in CPU seconds, in turns with lists without a condition. For a single list, the condition differs from
call to call, and the time is that of the condition alone, by the clock.

Run: ``python benchmarks/filters.py [--small]``.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
from results import Results, arguments, short

import cofactor as cf
from cofactor.lists.where import rows_where
from cofactor.solvers import ImplicitALS

N = 10
GENRES = ["Action", "Comedy", "Drama", "War", "Horror", "Sci-Fi", "Romance", "Crime", "Documentary", "Musical"]
TENTHS = ("tenth = 3", "price < 0.1", "'War' in genres and tenth < 5")
EACH_NEW = {
    "tenth = {}": "a number",
    "year between {} and 2010 and price < 0.5": "two conditions",
    "tenth in ({}, 101, 102) and not price > 0.5": "one of several",
    "'War' in genres and year > {}": "a part of a text",
}


def main() -> None:
    args = arguments(__doc__, rounds=5)
    shape = "2000x26744x200000" if args.small else "20000x26744x2000000"
    results = Results("filters", args.small, {"rounds": args.rounds, "data": f"synthetic:{shape}"}, [])
    data = cf.load_dataset(f"synthetic:{shape}")
    model = ImplicitALS(rank=64, epochs=2, seed=0).fit(data.with_items(attributes(data.items.ids)))
    add_everyone(results, model, args.rounds)
    add_single(results, model, 9 if args.small else 60)
    results.note("The model is ImplicitALS of rank 64 after two epochs, which is enough for its lists to differ.")
    results.write()


def attributes(ids: pl.Series) -> pl.DataFrame:
    """Return made-up attributes of items."""
    random, n = np.random.default_rng(0), len(ids)
    genres = ["|".join(random.choice(GENRES, random.integers(1, 4), replace=False)) for _ in range(n)]
    return pl.DataFrame(
        {
            "item": ids, "genres": genres, "year": random.integers(1930, 2016, n),
            "tenth": random.integers(0, 10, n), "price": random.random(n),
        }
    )  # fmt: skip


def add_everyone(results: Results, model: cf.Factors, rounds: int) -> None:
    """Time everyone's lists with and without a condition, in turns."""
    for where in TENTHS:
        plain, filtered = [], []
        for turn in range(rounds + 1):
            pair = [seconds_of(lambda: model.recommend(model.users, N))]
            pair.append(seconds_of(lambda where=where: model.recommend(model.users, N, where=where)))
            if turn:  # the first compiles and lays out
                plain.append(pair[0])
                filtered.append(pair[1])
        results.add(
            "Everyone's lists, CPU seconds",
            condition=where,
            items=int(rows_where(where, model.item_table).sum()),
            without=short(min(plain)),
            **{"with": short(min(filtered)), "ratio": round(min(filtered) / min(plain), 2)},
        )


def add_single(results: Results, model: cf.Factors, calls: int) -> None:
    """Time conditions that were never asked before."""
    table = model.item_table
    for text, what in EACH_NEW.items():
        times = []
        for call in range(calls):
            start = time.perf_counter()
            rows_where(text.format(call), table)
            times.append(time.perf_counter() - start)
        results.add(
            "A new condition, milliseconds",
            condition=text,
            kind=what,
            least=short(1000 * min(times), 3),
            median=short(1000 * statistics.median(times), 3),
        )


def seconds_of(work: Callable[[], Any]) -> float:
    """Return the CPU seconds of some work, those of all threads together."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
