"""How time and memory grow with the ratings: every solver at 1, 3, 10, 30 and 100 million of them.

Claims: the seconds of an epoch grow with the ratings to a power of at most 1.1, but for KerasMF with softmax, whose
steps leave the processor's cache on the way (the table of its parts shows it); the memory of a fit by no more than the
data do (power 1).

How: the stages are synthetic, with 150 ratings for each user and 4 √ratings items, which is about how MovieLens grew
from 1 to 20 million and what Netflix's 100 million are like. One rating in fifty is held out. Every measurement runs in
a process of its own, which loads what it needs first and repeats what is done within 0.7 seconds (the least counts), so
that hardly a wait for imports and kernels is in the figure:

- *fit*: two epochs of rank 32 (BayesianMF three sweeps), from `Interactions` in memory to `Factors`; for KerasMF with
  the compilation of its network. *epoch*: what the epochs after the first took.
- *evaluation*: lists of 10 for all users with held-out ratings, and the errors of a model for ratings.
- *top n*: `Factors.recommend_all`, lists of 10 for everyone, written as Parquet.
- *save*, *load*: of the model with all that its users have seen, to a file that is synced, and back.
- *memory*, *evaluation_memory*, *topn_memory*: the peak of resident memory over what the process held before it loaded
  the data, or the model (Linux).
- *batches*, *steps*: of KerasMF, making batches (reading ratings in a new order, drawing negatives) and the network's
  steps on them, each alone.
- *reading*: a tab-separated file of the training ratings, to `Interactions`.

KerasMF's batches grow with the ratings, 1024 for a million: an optimizer's step costs the whole tables, however few the
batch's ratings. Where a measurement at the next stage would pass the limit of seconds or of memory if it grew as the
ratings do, the solver (or that one figure) stops, and the table says so.

Run: ``python benchmarks/growth.py [--small] [--largest 100] [--limit 60] [--keras 0]``, ``--largest`` in millions.
``--keras 1`` measures KerasMF alone anew, which may need a higher limit, and keeps what was measured of the others.
"""

import importlib
import json
import math
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import polars as pl
from results import FOLDER, Results, arguments, fresh, short, status

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.evaluation import evaluate
from cofactor.solvers import solver_class

warnings.simplefilter("ignore", cf.GoalWarning)  # models for ratings make lists here, too
SIZES = (1_000_000, 3_000_000, 10_000_000, 30_000_000, 100_000_000)
SMALL_SIZES = (20_000, 60_000)
EPOCHS = 2
REPEATED_BELOW = 0.7  # seconds, all runs together
MEMORY_SHARE = 0.75  # of the machine's
TINY, WARM = "synthetic:60x40x600", "synthetic:10000x4000x500000"
MIB = 2**20
ITERATIVE: dict[str, Any] = {"rank": 32, "epochs": EPOCHS}
SOLVERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ALS": ("als", ITERATIVE),
    "ImplicitALS": ("implicit-als", ITERATIVE),
    "NMF": ("nmf", ITERATIVE),
    "BPR": ("bpr", ITERATIVE),
    "LogisticMF": ("logistic", ITERATIVE),
    "BayesianMF": ("bayesian", {"rank": 32, "sweeps": 3, "burn_in": 1, "n_samples": 2}),
    "KerasMF": ("keras", ITERATIVE),
    "KerasMF, softmax": ("keras", {**ITERATIVE, "loss": "softmax"}),
    "PureSVD": ("svd", {"rank": 32}),
    "Popularity": ("popularity", {}),
    "BiasOnly": ("bias", {}),
}
FIGURES = ("fit", "epoch", "evaluation", "topn", "save", "load", "memory", "evaluation_memory", "topn_memory")
TABLE = "Seconds, and MiB of memory"
PARTS = "Where KerasMF's epoch goes, nanoseconds a rating"
LOOKED_AT, STEPS_LOOKED_AT = 4_000_000, 400_000  # ratings; the former is about what its batches read at once
READING = "reading a file"
COLUMNS = (*FIGURES, "reading")
PARTS_SHOWN = ("batches", "steps")
USES = ("evaluation", "topn", "save", "load")
Figures = Mapping[str, float]


@dataclass(frozen=True)
class Stage:
    """So many ratings, and where they lie."""

    ratings: int
    folder: Path

    @property
    def name(self) -> str:
        users, items = sides(self.ratings)
        return f"synthetic:{users}x{items}x{self.ratings}"


def sides(ratings: int) -> tuple[int, int]:
    """Return how many users and items go with so many ratings."""
    return ratings // 150, 4 * math.isqrt(ratings)


def solver_for(name: str, ratings: int) -> Any:
    """Return a solver as it is measured."""
    kind, settings = SOLVERS[name]
    if kind == "keras":
        settings = {**settings, "batch_size": max(1024 * ratings // 1_000_000, 64)}
    return solver_class(kind)(**settings)


# In a process of its own.


def make(name: str, folder: str) -> None:
    """Write a stage's training part, twice, and its test part."""
    train, test = cf.load_dataset(name).split_random(test_fraction=0.02, seed=0)
    train.write(f"{folder}/train")
    test.write(f"{folder}/test")
    rows = train.triplets()
    columns = {"user": rows.user_rows, "item": rows.item_rows, "rating": rows.values}
    pl.DataFrame(columns).write_csv(f"{folder}/train.tsv", separator="\t")


def compile_all(folder: str) -> None:
    """Have every kernel compiled, which happens once on a machine, and leave a model for `load_kernels`."""
    ratings, (train, test) = cf.load_dataset(TINY), cf.load_dataset(WARM).split_random(test_fraction=0.2, seed=0)
    for name, (kind, _) in SOLVERS.items():
        if kind != "keras":
            solver_for(name, len(ratings)).fit(ratings)
    solver_for("ALS", len(train)).fit(train).save(f"{folder}/model")
    test.write(f"{folder}/test")
    load_kernels(folder)


def load_kernels(folder: str) -> None:
    """Do once, on little data, what is measured afterwards, by the compiled loops that suit much data."""
    importlib.import_module("cofactor.evaluation.kernels")  # once loaded, they serve little data too
    model = cf.load(f"{folder}/model")
    evaluate(model, Interactions.open(f"{folder}/test"), k=10)
    with tempfile.TemporaryDirectory() as lists:
        model.recommend_all(f"{lists}/lists.parquet", n=10)


def measure_fit(name: str, ratings: int, folder: str) -> dict[str, float]:
    """Fit a solver, and leave the model behind."""
    solver = solver_for(name, ratings)
    if SOLVERS[name][0] != "keras":  # whose code is compiled anew for each fit
        solver.fit(cf.load_dataset(TINY))  # loads the kernels
    held = resident()
    train = in_memory(f"{folder}/train")
    if solver.goal == "ranking":
        train = train.binary()
    epochs: list[float] = []
    keep: dict[str, Any] = {}

    def work() -> None:
        ends: list[float] = []
        keep.clear()
        anew = Interactions(train.users, train.items, train.matrix)  # which has no transpose yet
        keep["model"] = solver.fit(anew, callback=lambda epoch: ends.append(time.perf_counter()))
        if len(ends) > 1:
            epochs.append((ends[-1] - ends[0]) / (len(ends) - 1))

    seconds, peak = measured(work)
    keep["model"].save(f"{folder}/model")
    epoch = {"epoch": min(epochs)} if epochs else {}
    return {"fit": seconds, **epoch, "memory": peak - held}


def measure_parts(name: str, ratings: int, folder: str) -> dict[str, float]:
    """Return what the two parts of an epoch of KerasMF take, each alone."""
    from cofactor.model.keras_network import keras

    class Made(keras.utils.PyDataset):
        def __len__(self) -> int:
            return len(made)

        def __getitem__(self, number: int) -> Any:
            return made[number]

    class Watch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            self.begun = time.perf_counter()

    train = in_memory(f"{folder}/train")
    solver = solver_for(name, ratings)
    task = task_of(solver, train.binary() if solver.goal == "ranking" else train)
    made = [task.batches[0]]  # loads the kernels
    task.batches.on_epoch_end()
    count = min(max(LOOKED_AT // solver.batch_size, 1), len(task.batches))
    start = time.perf_counter()
    for number in range(count):
        if len(made) * solver.batch_size < STEPS_LOOKED_AT:
            made.append(task.batches[number])
        else:
            task.batches[number]
    batches, watch = time.perf_counter() - start, Watch()
    task.network.fit(Made(), epochs=2, verbose=0, callbacks=[watch])  # the first compiles
    steps = time.perf_counter() - watch.begun
    size = solver.batch_size
    return {"batches": batches / (size * count) * 1e9, "steps": steps / (size * len(made)) * 1e9}


def task_of(solver: Any, train: Interactions) -> Any:
    """Return what KerasMF trains, ready for its first step."""
    from cofactor.solvers.keras_mf import RankingTask, RatingTask

    task = (RankingTask if solver.goal == "ranking" else RatingTask)(solver, train)
    task.compile("adam")
    return task


def measure_evaluation(folder: str) -> dict[str, float]:
    """Evaluate the model that is there."""
    load_kernels(f"{folder}/../warm")
    held = resident()
    model, test = cf.load(f"{folder}/model"), Interactions.open(f"{folder}/test")
    seconds, peak = measured(lambda: evaluate(model, test, k=10))
    return {"evaluation": seconds, "evaluation_memory": peak - held}


def measure_topn(folder: str) -> dict[str, float]:
    """Recommend to everyone."""
    load_kernels(f"{folder}/../warm")
    held = resident()
    model, path = cf.load(f"{folder}/model"), Path(f"{folder}/lists.parquet")

    def work() -> None:
        path.unlink(missing_ok=True)
        model.recommend_all(path, n=10)

    seconds, peak = measured(work)
    return {"topn": seconds, "topn_memory": peak - held}


def measure_save(folder: str) -> dict[str, float]:
    """Save the model once more."""
    model = cf.load(f"{folder}/model")
    return {"save": measured(lambda: model.save(f"{folder}/again"))[0]}


def measure_load(folder: str) -> dict[str, float]:
    """Load the model."""
    return {"load": measured(lambda: cf.load(f"{folder}/model"))[0]}


def measure_reading(folder: str) -> dict[str, float]:
    """Read the text file."""
    held = resident()
    seconds, peak = measured(lambda: cf.read_csv(f"{folder}/train.tsv", separator="\t", value="rating"))
    return {"reading": seconds, "memory": peak - held}


def measured(work: Callable[[], object]) -> tuple[float, float]:
    """Return the seconds of some work, the least of some runs where it is short, and the peak of memory in MiB."""
    found = [seconds_of(work)]
    while sum(found) < REPEATED_BELOW and len(found) < 7:
        found.append(seconds_of(work))
    return min(found), status("VmHWM")


def seconds_of(work: Callable[[], object]) -> float:
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is resident
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_memory(folder: str) -> Interactions:
    """Open a folder and read all of it."""
    ratings = Interactions.open(folder)
    matrix = ratings.matrix.copy()
    matrix.has_canonical_format = True
    return Interactions(ratings.users, ratings.items, matrix)


def resident() -> float:
    return status("VmRSS")


# In the process that starts them.


def alone(function: str, *settings: object) -> dict[str, float]:
    """Call a function of this file in a process of its own."""
    return fresh(__file__, function, *settings, NUMBA_NUM_THREADS=str(threads())) or {}


def threads() -> int:
    return min(2, numba.config.NUMBA_NUM_THREADS)


def too_much(before: Figures, growth: float, limit: float, *names: str) -> str:
    """Say what would pass a limit if figures grew as the ratings do; an empty text where nothing would."""
    for name in names:
        expected = before.get(name, 0.0) * growth
        is_memory = name.endswith("memory")
        if expected > (MEMORY_SHARE * memory_of_machine() if is_memory else limit):
            return f"{name} would take {expected:,.0f} {'MiB' if is_memory else 's'}"
    return ""


def memory_of_machine() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / MIB


def measure(
    name: str, stage: Stage, before: Figures, growth: float, limit: float, stopped: set[tuple[str, str]]
) -> tuple[dict[str, float], list[str]]:
    """Return all figures of a solver at a stage but those that would pass the limit, or did; and why they stop."""
    folder = str(stage.folder)
    if name == READING:
        return alone("measure_reading", folder), []
    figures, reasons = alone("measure_fit", name, stage.ratings, folder), []
    for use in USES:
        if why := too_much(before, growth, limit, use, f"{use}_memory"):
            stopped.add((name, use))
            reasons.append(why)
        if (name, use) not in stopped:
            figures |= alone(f"measure_{use}", folder)
    return figures, reasons


def run(
    results: Results, names: tuple[str, ...], sizes: tuple[int, ...], limit: float, folder: Path
) -> dict[str, dict[int, Figures]]:
    """Measure solvers, and reading, at all stages; by name and number of ratings."""
    found: dict[str, dict[int, Figures]] = {name: {} for name in names}
    going, stopped = set(found), set[tuple[str, str]]()
    (folder / "warm").mkdir()
    alone("compile_all", str(folder / "warm"))
    for previous, ratings in zip((1, *sizes), sizes, strict=False):
        stage = Stage(ratings, folder / "stage")
        stage.folder.mkdir()
        alone("make", stage.name, str(stage.folder))
        for name in [name for name in found if name in going]:
            before, growth = found[name].get(previous, {}), ratings / previous
            if why := too_much(before, growth, limit, "fit", "reading", "memory"):
                results.add(TABLE, solver=name, ratings=ratings, stops=why)
                going.remove(name)
                continue
            found[name][ratings], reasons = measure(name, stage, before, growth, limit, stopped)
            shown = {figure: short(value, 3) for figure, value in found[name][ratings].items()}
            results.add(
                TABLE,
                solver=name,
                ratings=ratings,
                **{figure: shown.get(figure) for figure in COLUMNS},
                stops="; ".join(reasons) or None,
            )
            if name.startswith("KerasMF"):
                parts = alone("measure_parts", name, ratings, str(stage.folder))
                results.add(PARTS, solver=name, ratings=ratings, **{part: round(parts[part]) for part in PARTS_SHOWN})
        shutil.rmtree(stage.folder)
    return found


def kept(results: Results) -> dict[str, dict[int, Figures]]:
    """Take over what an earlier run measured of all but KerasMF, and say when."""
    card = json.loads((FOLDER / "growth.json").read_text())
    found: dict[str, dict[int, Figures]] = {}
    for row in card["tables"][TABLE]:
        if not row["solver"].startswith("KerasMF"):
            results.tables.setdefault(TABLE, []).append(row)
            figures = {name: row[name] for name in COLUMNS if row.get(name) is not None}
            found.setdefault(row["solver"], {})[row["ratings"]] = figures
    machine = f"{card['machine']['cpu']}, {card['machine']['cores']} cores"
    results.note(f"All but KerasMF was measured by `{card['command']}` on {card['date'][:10]}: {machine}.")
    return found


def points_of(rows: Mapping[int, Figures], figure: str) -> list[tuple[int, float]]:
    """Return the numbers of ratings for which a figure is known, and what it is."""
    return [(ratings, figures[figure]) for ratings, figures in rows.items() if figures.get(figure, 0) > 0]


def slope(rows: Mapping[int, Figures], figure: str) -> float | None:
    """Return the power of the ratings that a figure grows with: least squares of its logarithm."""
    known = points_of(rows, figure)
    if len(known) < 2:
        return None
    ratings, values = np.log(np.array(known)).T
    return round(float(np.polyfit(ratings, values, 1)[0]), 2)


def add_slopes(results: Results, found: Mapping[str, Mapping[int, Figures]]) -> None:
    for name, rows in found.items():
        last = dict(sorted(rows.items())[-2:])
        results.add(
            "Powers of the ratings that they grow with",
            solver=name,
            up_to=max(rows),
            **{figure: slope(rows, figure) for figure in COLUMNS},
            epoch_last_step=slope(last, "epoch"),
            memory_last_step=slope(last, "memory"),
        )


def draw(found: Mapping[str, Mapping[int, Figures]], path: Path) -> None:
    """Write one picture: four figures against the ratings, both on logarithmic axes."""
    from cofactor.evaluation.charts import Chart, Series, lines, logarithmic, panels

    titles = {
        "epoch": "An epoch (a fit where there are none), seconds",
        "memory": "Memory of a fit, MiB",
        "topn": "Lists of 10 for everyone, seconds",
        "evaluation": "Evaluation, seconds",
    }
    low, high = min(found["ALS"]), max(max(rows) for rows in found.values())
    charts = []
    for key, title in titles.items():
        known = {
            name: points_of(found[name], key) or (points_of(found[name], "fit") if key == "epoch" else [])
            for name in SOLVERS
        }
        least = min(value for points in known.values() for _, value in points)
        known["in proportion"] = [(low, least), (high, least * high / low)]
        series = [Series(name, [x for x, _ in points], [y for _, y in points]) for name, points in known.items()]
        image = lines(series, across="ratings", up="", scales=(logarithmic, logarithmic), words=title)
        charts.append(Chart(title, "", image, list(known)))
    path.parent.mkdir(parents=True, exist_ok=True)
    panels("What grows with the number of ratings", "All axes are logarithmic.", charts).save(path)


def main() -> None:
    args = arguments(__doc__, largest=100, limit=60, keras=0)
    sizes = SMALL_SIZES if args.small else tuple(size for size in SIZES if size <= args.largest * 1_000_000)
    everything = (*SOLVERS, READING)
    results = Results("growth", args.small, {"largest": sizes[-1], "limit": args.limit, "epochs": EPOCHS})
    started = time.perf_counter()
    found = kept(results) if args.keras else {}
    with tempfile.TemporaryDirectory() as folder:
        names = tuple(name for name in everything if name not in found)
        found |= run(results, names, sizes, args.limit, Path(folder))
    found = {name: found[name] for name in everything}
    for title in (TABLE, PARTS):
        results.tables[title].sort(key=lambda row: everything.index(row["solver"]))
    add_slopes(results, found)
    pictures = FOLDER / "small" if args.small else FOLDER.parents[1] / "docs" / "pictures"
    draw(found, pictures / "growth.svg")
    results.note(
        f"Rank 32, {EPOCHS} epochs (BayesianMF 3 sweeps), {threads()} threads; 150 ratings a user, 4 √ratings items; "
        f"one rating in fifty held out. A solver stops where a figure would pass {args.limit} s or {MEMORY_SHARE:.0%} "
        f"of the memory. All of it took {time.perf_counter() - started:,.0f} s."
    )
    results.write()


if __name__ == "__main__":
    main()
