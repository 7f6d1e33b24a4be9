"""Lists for tomorrow: what are decay, latest choices and what is rising worth, when the test comes after the training?

Claims: split by date, a factorization that does not heed time ranks worse than what was chosen most in the last seven
days; one whose settings of time were chosen by `tune` alone ranks better. A user's next item is found more often when
their latest choices count most. Heeding time costs next to nothing. A model grows old within days, and so do popular
lists.

How: the last tenth of each data set by time is the test part, with the users and items that are known by then.
Settings are chosen by ``tune(split="time")`` on the last tenth of what is left, and the model is trained on all of it.
For a user's next item, each one's last is the test, and ``tune(split="last")`` chooses on the one before. For the
ageing, models of the same settings are trained before each stretch of the last third, or once before all of them.

Run: ``python benchmarks/by_date.py [--small] [FOLDER ...]``; a folder holds ratings in a MovieLens layout.
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from results import FOLDER, Results, in_turn, short, versus
from scipy import sparse

import cofactor as cf
from cofactor.apps.sources import open_data
from cofactor.evaluation import evaluate, tune
from cofactor.solvers import ImplicitALS, Popularity

TIMELESS = {"half_life": None, "recency": 1.0, "trend": None, "trend_weight": 3.0}
LATE = Popularity(window="7d")
STRETCHES, DAYS = 6, 5
AGEING = "Days since training on "


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a smoke run: little data, short runs, no claim")
    parser.add_argument("--trials", type=int, default=40, help="how many settings tune tries (%(default)s)")
    parser.add_argument("--costs", action="store_true", help="measure the costs alone, and keep the other tables")
    parser.add_argument("data", nargs="*", default=[], help="folders of ratings, besides ml-100k")
    return parser.parse_args()


def ndcg(solver: Any, train: cf.Interactions, test: cf.Interactions) -> float:
    return float(evaluate(solver.fit(train), test, k=10)["ndcg@10"])


def chosen(train: cf.Interactions, split: str, trials: int, **fixed: Any) -> tuple[Any, float]:
    """Return the solver that tune finds, and its figure on the validation part."""
    base = ImplicitALS(rank=16, epochs=4) if trials < 5 else ImplicitALS()
    tuned = tune(base, train, metric="ndcg@10", split=split, trials=trials, fixed=fixed)
    return tuned.solver, tuned.value


def tomorrow(results: Results, ratings: cf.Interactions, trials: int) -> Any:
    """Compare on the last tenth by time; return the tuned solver that heeds time."""
    train, test = ratings.split_by_time(test_fraction=0.1)
    rows: list[tuple[str, Any, float | None]] = [("popularity", Popularity(), None), ("the last 7 days", LATE, None)]
    rows.append(("factorization without time, tuned", *chosen(train, "time", trials, **TIMELESS)))
    rows.append(("factorization with time, tuned", *chosen(train, "time", trials)))
    table = f"nDCG@10 by date on {ratings.name}"
    for what, solver, value in rows:
        add(results, table, what, solver, value, ndcg(solver, train, test))
    foretold = dataclasses.replace(
        Popularity().fit(train), item_bias=np.bincount(test.matrix.indices, minlength=train.n_items) / train.n_users
    )
    best = short(float(evaluate(foretold, test, k=10)["ndcg@10"]))
    results.add(
        table, ranked_by="most chosen in the test part, which nobody can know", validation="", test=best, settings=""
    )
    return rows[-1][1]


def next_item(results: Results, ratings: cf.Interactions, trials: int) -> None:
    """Compare on each user's last item."""
    train, test = ratings.split_last(1)
    for what, fixed in (("all choices count alike, tuned", {"recency": 1.0}), ("latest count most, tuned", {})):
        solver, value = chosen(train, "last", trials, **fixed)
        add(
            results,
            f"nDCG@10 of each user's last item on {ratings.name}",
            what,
            solver,
            value,
            ndcg(solver, train, test),
        )


def add(results: Results, table: str, what: str, solver: Any, value: float | None, found: float) -> None:
    shown = {} if value is None else {"validation": short(value)}
    results.add(table, ranked_by=what, **{"validation": "", **shown}, test=short(found), settings=settings_of(solver))


def settings_of(solver: Any) -> str:
    """Return a solver with the settings that are not its defaults."""
    own = [
        f"{field.name}={getattr(solver, field.name)!r}"
        for field in dataclasses.fields(solver)
        if getattr(solver, field.name) != field.default
    ]
    return f"{type(solver).__name__}({', '.join(own)})"


def ageing(results: Results, ratings: cf.Interactions, solver: Any) -> None:
    """Measure lists of models trained once, and of models trained anew, by the days since the first training."""
    parts = list(ratings.split_rolling(n=STRETCHES, horizon=f"{DAYS}d"))
    first = parts[0][0]
    kinds = {
        "trained anew, with time": (solver, True),
        "trained once, with time": (solver, False),
        "last 7 days, counted anew": (LATE, True),
        "last 7 days, counted once": (LATE, False),
    }
    found: dict[str, list[float]] = {name: [] for name in kinds}
    for before, after in parts:
        for name, (made, anew) in kinds.items():
            model = made.fit(before if anew else first)
            seen = model if anew else with_seen(model, before)
            found[name].append(float(evaluate(seen, after, k=10)["ndcg@10"]))
    for place in range(STRETCHES):
        figures = {name: short(values[place]) for name, values in found.items()}
        results.add(f"{AGEING}{ratings.name}", days=f"{DAYS * place} to {DAYS * (place + 1)}", **figures)


def with_seen(model: cf.Factors, before: cf.Interactions) -> cf.Factors:
    """Return an old model that knows what its users have had since, so that it does not list that again."""
    rows, columns = model.users.find(before.users.ids), model.items.find(before.items.ids)
    had = before.matrix.tocoo()
    kept = (rows[had.row] >= 0) & (columns[had.col] >= 0)
    pairs = rows[had.row[kept]], columns[had.col[kept]]
    seen = sparse.csr_array((had.data[kept], pairs), shape=(model.n_users, model.n_items))
    return dataclasses.replace(model, seen=seen, seen_times=None)


def costs(results: Results, small: bool) -> None:
    """Time an epoch and a visitor's list with and without time, in turn; an epoch begins where the last one ended."""
    size = "synthetic:600x400x6000" if small else "synthetic:20000x8000x2000000"
    ratings = cf.load_dataset(size)
    ratings = dataclasses.replace(ratings, timestamps=np.random.default_rng(0).integers(0, 10**7, len(ratings)))
    plain, timed = (ImplicitALS(epochs=6, values="alike", **more) for more in ({}, WITH_TIME))
    models = [solver.fit(ratings) for solver in (plain, timed)]

    def epoch(solver: ImplicitALS) -> Callable[[], float]:
        def run() -> float:
            ends: list[float] = []
            solver.fit(ratings, callback=lambda _: ends.append(time.perf_counter()))
            return float(np.median(np.diff(ends)))

        return run

    rounds = 2 if small else 7
    results.add("Costs", work="an epoch", unit="s", **versus(*in_turn(rounds, epoch(timed), epoch(plain))))
    history = {"visitor": ratings.items.ids[:20].to_list()}

    def lists(model: cf.Factors) -> Callable[[], float]:
        def run() -> float:
            start = time.perf_counter()
            for _ in range(50):
                model.place(history).recommend(["visitor"], n=10)
            return time.perf_counter() - start

        return run

    results.add(
        "Costs", work="50 visitors' lists", unit="s", **versus(*in_turn(rounds, lists(models[1]), lists(models[0])))
    )


WITH_TIME = {"half_life": "30d", "trend": "7d", "recency": 0.8}


def draw(results: Results, small: bool) -> None:
    """Draw the last of the tables of ageing."""
    from cofactor.evaluation.charts import Chart, Series, linear, linear_from_zero, lines, panels

    table = next(name for name in reversed(results.tables) if name.startswith(AGEING))
    rows = results.tables[table]
    days = [DAYS * (place + 0.5) for place in range(len(rows))]
    series = [Series(name, days, [row[name] for row in rows]) for name in rows[0] if name != "days"]
    words = f"nDCG@10 by the days since the first training, {table.removeprefix(AGEING)}"
    axes = {"across": "days since the first training", "up": "nDCG@10", "scales": (linear, linear_from_zero)}
    image = lines(series, **axes, words=words)
    folder = FOLDER / "small" if small else FOLDER.parents[1] / "docs" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    chart = Chart("nDCG@10", "", image, [one.label for one in series])
    panels("How lists grow old", table.removeprefix(AGEING), [chart], columns=1).save(folder / "ageing.svg")


def data_of(args: argparse.Namespace) -> Iterator[cf.Interactions]:
    for data in ["ml-100k", *args.data]:
        yield open_data(data)


def main() -> None:
    args = arguments()
    trials = 2 if args.small else args.trials
    results = Results("by_date", args.small, {"trials": trials})
    if args.costs:
        kept = json.loads((FOLDER / "by_date.json").read_text(encoding="utf-8"))
        results.tables = {name: rows for name, rows in kept["tables"].items() if name != "Costs"}
        draw(results, args.small)
        costs(results, args.small)
        results.notes, results.settings, results.command = kept["notes"], kept["settings"], kept["command"]
        results.write()
        return
    for ratings in data_of(args):
        if ratings.period is not None and ratings.period[1] - ratings.period[0] < 400 * 86_400:
            solver = tomorrow(results, ratings, trials)
            ageing(results, ratings, solver)
        next_item(results, ratings, trials)
    draw(results, args.small)
    costs(results, args.small)
    results.note(f"Settings by the best of {trials} trials of tune on the stretch before the test, or the item before.")
    results.write()


if __name__ == "__main__":
    main()
