"""What training costs: seconds and memory against ratings, users, items and rank, fitted to what was measured.

Claim: a sum of terms that can be read gives what is measured from 1 to 100 million ratings and at ranks from 32 to
128: the memory of a fit within an eighth, the seconds of an epoch within a factor of 1.6; and it does so for a set of
200 million, which is not among the points. *median_times* and *most_times* say by how many times it is off, up or
down.

How: *Points* are fits of two epochs, each in a process of its own, as in ``growth.py``; *lists* are the seconds of
everyone's top 10 by ImplicitALS. Most stages have 150 ratings a user and 4 √ratings items; one has five times the
users, one ten times the items, so that the terms can be told apart. The terms' factors are the least squares of the
relative errors, none below zero.

*Held out* sets the model beside ``results/out_of_core.json``, which has other users, items and ratings. What is
measured there is a whole fit of one iteration, with what comes before and after it.

*Predicted* goes far beyond what was measured, and is an answer of the model, not a measurement: for a machine like this
one, whose disk and memory would hold it all. How many of the items a search need not look at hangs on the vectors, so
what it says of lists is the roughest.

Run: ``python benchmarks/cost_model.py [--small] [--largest 100] [--refit 0]``, ``--largest`` in millions. ``--refit 1``
measures nothing, and fits anew to the points that are kept.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from growth import TINY, WARM, in_memory, measured, resident, sides, threads
from results import FOLDER, Results, arguments, fresh, short
from scipy.optimize import nnls

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.solvers import solver_class

SOLVERS = {"ALS": "als", "ImplicitALS": "implicit-als", "BPR": "bpr"}
RANKS, SMALL_RANKS = (32, 64, 128), (8, 16, 32)
SIZES, SMALL_SIZES = (1_000_000, 10_000_000, 100_000_000), (20_000, 60_000)
HOUR = 3_600
LISTED = "ImplicitALS"  # whose vectors are made for lists
FARTHER = (1_000_000_000, 10_000_000_000, 100_000_000_000)


@dataclass(frozen=True)
class Case:
    """What a cost depends on."""

    ratings: int
    users: int
    items: int
    rank: int = 64

    @property
    def stage(self) -> str:
        return f"synthetic:{self.users}x{self.items}x{self.ratings}"


Terms = dict[str, Callable[[Case], float]]
EPOCH: Terms = {
    "ratings": lambda case: case.ratings,
    "ratings · rank": lambda case: case.ratings * case.rank,
    "ratings · rank²": lambda case: case.ratings * case.rank**2,
    "(users + items) · rank³": lambda case: (case.users + case.items) * case.rank**3,
}
MEMORY: Terms = {
    "ratings": lambda case: case.ratings,
    "(users + items) · rank": lambda case: (case.users + case.items) * case.rank,
    "1": lambda case: 1,
}
LISTS: Terms = {
    "users": lambda case: case.users,
    "users · rank": lambda case: case.users * case.rank,
    "users · items · rank": lambda case: case.users * case.items * case.rank,
}
FIGURES: dict[str, tuple[Terms, str]] = {
    "epoch": (EPOCH, "seconds"),
    "memory": (MEMORY, "MiB"),
    "lists": (LISTS, "seconds"),
}


def usual(ratings: int, rank: int = 64) -> Case:
    """Return a case with as many users and items as the growing stages have."""
    return Case(ratings, *sides(ratings), rank)


def stages(small: bool, largest: int) -> list[list[Case]]:
    """Return what is measured, by sets of ratings."""
    sizes, ranks = (SMALL_SIZES, SMALL_RANKS) if small else (SIZES, RANKS)
    cases = [[usual(ratings, rank) for rank in ranks] for ratings in sizes if ratings <= largest]
    middle = usual(sizes[1], ranks[1])
    cases.append([Case(middle.ratings, 5 * middle.users, middle.items, middle.rank)])
    cases.append([Case(middle.ratings, middle.users, 10 * middle.items, middle.rank)])
    return cases


# In a process of its own.


def make(stage: str, folder: str) -> None:
    """Write a set of ratings."""
    cf.load_dataset(stage).write(f"{folder}/train")


def measure(name: str, rank: int, folder: str) -> dict[str, float]:
    """Return the seconds of an epoch and the memory of a fit, and leave the model behind."""
    solver = solver_class(SOLVERS[name])(rank=rank, epochs=2, seed=0)
    solver.fit(cf.load_dataset(TINY))  # loads the kernels
    held = resident()
    train = in_memory(f"{folder}/train")
    train = train.binary() if solver.goal == "ranking" else train
    ends: list[float] = []
    keep: dict[str, Any] = {}

    def work() -> None:
        anew = Interactions(train.users, train.items, train.matrix)  # which has no transpose yet
        keep["model"] = solver.fit(anew, callback=lambda epoch: ends.append(time.perf_counter()))

    _, peak = measured(work)
    epochs = [after - before for before, after in zip(ends[::2], ends[1::2], strict=True)]
    keep["model"].save(f"{folder}/model")
    return {"epoch": min(epochs), "memory": peak - held}


def measure_lists(folder: str) -> dict[str, float]:
    """Return the seconds of everyone's lists."""
    with tempfile.TemporaryDirectory() as warm:
        ratings = cf.load_dataset(WARM)
        solver_class("als")(rank=32, epochs=1).fit(ratings).recommend_all(f"{warm}/lists.parquet", n=10)
    model, path = cf.load(f"{folder}/model"), Path(f"{folder}/lists.parquet")

    def work() -> None:
        path.unlink(missing_ok=True)
        model.recommend_all(path, n=10)

    return {"lists": measured(work)[0]}


# In the process that starts them.


def alone(function: str, *settings: object) -> Any:
    """Call a function of this file in a process of its own, of as many threads as in growth.py."""
    return fresh(__file__, function, *settings, NUMBA_NUM_THREADS=str(threads()))


def points(results: Results, cases: Sequence[Sequence[Case]], folder: Path) -> dict[str, list[tuple[Case, Any]]]:
    """Measure everything; by solver."""
    found: dict[str, list[tuple[Case, Any]]] = {name: [] for name in SOLVERS}
    for of_stage in cases:
        home = folder / "stage"
        home.mkdir()
        alone("make", of_stage[0].stage, str(home))
        for case in of_stage:
            for name in SOLVERS:
                figures = alone("measure", name, case.rank, str(home))
                if name == LISTED:
                    figures |= alone("measure_lists", str(home))
                found[name].append((case, figures))
                shown = {figure: short(figures[figure], 3) if figure in figures else None for figure in FIGURES}
                row = {"users": case.users, "items": case.items, "ratings": case.ratings, "rank": case.rank}
                results.add("Points", solver=name, **row, **shown)
        shutil.rmtree(home)
    return found


def kept_points(results: Results) -> dict[str, list[tuple[Case, Any]]]:
    """Return what an earlier run measured."""
    card = json.loads((FOLDER / "cost_model.json").read_text())
    found: dict[str, list[tuple[Case, Any]]] = {name: [] for name in SOLVERS}
    for row in card["tables"]["Points"]:
        shown = row | ({} if row["solver"] == LISTED else {"lists": None})
        results.add("Points", **shown)
        case = Case(row["ratings"], row["users"], row["items"], row["rank"])
        found[row["solver"]].append((case, {figure: shown[figure] for figure in FIGURES if shown[figure] is not None}))
    results.note(f"The points are those that `{card['command']}` measured on {card['date'][:10]}.")
    return found


@dataclass(frozen=True)
class Law:
    """A sum of terms, each with its factor."""

    terms: Terms
    factors: Sequence[float]

    @classmethod
    def fitted(cls, terms: Terms, known: Sequence[tuple[Case, float]]) -> "Law":
        """Return the law with the least squares of the relative errors."""
        rows = np.array([[term(case) / value for term in terms.values()] for case, value in known])
        scale = rows.max(axis=0)
        factors, _ = nnls(rows / scale, np.ones(len(known)))
        return cls(terms, [float(factor) for factor in factors / scale])

    def __call__(self, case: Case) -> float:
        return sum(factor * term(case) for factor, term in zip(self.factors, self.terms.values(), strict=True))


def laws(results: Results, found: dict[str, list[tuple[Case, Any]]]) -> dict[tuple[str, str], Law]:
    """Fit and show every law, with by how many times it is off at the points."""
    fitted = {}
    for name, known in found.items():
        for figure, (terms, unit) in FIGURES.items():
            values = [(case, figures[figure]) for case, figures in known if figure in figures]
            if not values:
                continue
            law = fitted[name, figure] = Law.fitted(terms, values)
            times = sorted(max(law(case) / value, value / law(case)) for case, value in values)
            parts = [f"{factor:.3g} · {term}" for factor, term in zip(law.factors, terms, strict=True) if factor > 0]
            results.add(
                "The cost model",
                solver=name,
                figure=figure,
                unit=unit,
                law=" + ".join(parts),
                median_times=round(float(np.median(times)), 2),
                most_times=round(times[-1], 2),
            )
    return fitted


def held_out(results: Results, fitted: dict[tuple[str, str], Law]) -> None:
    """Set the model beside a larger set that was measured elsewhere."""
    path = FOLDER / "out_of_core.json"
    if not path.exists():
        return
    card = json.loads(path.read_text())
    users, items, ratings = (int(part) for part in card["settings"]["stage"].removeprefix("synthetic:").split("x"))
    case = Case(ratings, users, items, 64)
    rows = {row["step"]: row for row in card["tables"]["Memory, MiB"]}
    for where in ("in memory", "from disk"):
        took = rows[f"ImplicitALS, rank 64, {where}"]["seconds"]
        expected = fitted["ImplicitALS", "epoch"](case)
        shown = {"measured": short(took, 3), "predicted": short(expected, 3), "ratio": round(took / expected, 2)}
        results.add("Held out: an iteration of ImplicitALS, seconds", stage=case.stage, where=where, **shown)


def predictions(results: Results, fitted: dict[tuple[str, str], Law]) -> None:
    """Ask the model about what nobody measured here."""
    for name in ("ALS", "ImplicitALS"):
        for ratings in FARTHER:
            case = usual(ratings)
            vectors = 4 * case.rank * (case.users + case.items)
            results.add(
                "Predicted, at rank 64",
                solver=name,
                ratings=f"{ratings:,}",
                users=f"{case.users:,}",
                items=f"{case.items:,}",
                epoch_minutes=short(fitted[name, "epoch"](case) / 60, 2),
                memory_gib=short(fitted[name, "memory"](case) / 1024, 2),
                vectors_gib=short(vectors / 2**30, 2),
                lists_hours=short(fitted[name, "lists"](case) / HOUR, 2) if name == LISTED else None,
            )


def main() -> None:
    args = arguments(__doc__, largest=100, refit=0)
    results = Results(
        "cost_model", args.small, {"largest": args.largest, "ranks": SMALL_RANKS if args.small else RANKS}
    )
    if args.refit:
        found = kept_points(results)
    else:
        with tempfile.TemporaryDirectory() as folder:
            found = points(results, stages(args.small, args.largest * 1_000_000), Path(folder))
    fitted = laws(results, found)
    held_out(results, fitted)
    predictions(results, fitted)
    results.note("Seconds of an epoch, of everyone's top 10, and MiB of a fit beyond what the process held before.")
    results.write()


if __name__ == "__main__":
    main()
