"""Lists whose items differ: what do they cost in nDCG, and what does choosing them take, beside pyversity?

Claims: diverse lists by the sum of distances cost less nDCG than pyversity's at the same distance, since what is chosen
is a set and is listed by score; they are chosen many times as fast.

How: a quarter of each user's ratings of ml-100k is the test part, and a quarter of what is left is held out to choose
each rule's strength: the least by which the lists reach a mean distance of genres (ild@10) of 0.812. A model is trained
on all but the test part, and its lists are measured with the rule. pyversity gets the same 100 best items of each user
with their genres and scores, scaled from 0 to 1, and its strengths are chosen in the same way. All lists are measured
by `cofactor.evaluation.evaluate_lists`. Re-ranking is timed by itself for both, in CPU seconds, and for ours also
whole lists.

Run: ``python benchmarks/rules.py [--small]``.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from peers import run_peer
from results import Results, arguments, short

import cofactor as cf
from cofactor.evaluation import Report, better, evaluate_lists
from cofactor.lists import AtMost, Calibrate, Diversify
from cofactor.lists.rerank import Ranked
from cofactor.model.factors import attributes_of, catalog_of
from cofactor.solvers import ImplicitALS

N, AMONG, TARGET = 10, 100, 0.812
STRENGTHS = (
    0.05,
    0.08,
    0.1,
    0.105,
    0.11,
    0.112,
    0.115,
    0.12,
    0.15,
    0.2,
    0.3,
    0.38,
    0.4,
    0.42,
    0.45,
    0.5,
    0.55,
    0.6,
    0.8,
)
SHOWN = (0.05, 0.08, 0.1, 0.105, 0.11, 0.12, 0.15, 0.2)
METHODS = ("msd", "mmr", "dpp")
REPEATED = 50
"""How many times the users' lists are re-ranked for a timing: a batch of some size."""

Lists = Callable[[cf.Factors, Sequence[float]], dict[float, pl.DataFrame]]


def main() -> None:
    args = arguments(__doc__, rounds=5)
    results = Results("rules", args.small, {"rounds": args.rounds, "target": TARGET}, ["pyversity"])
    ratings = cf.load_dataset("ml-100k")
    train, test = ratings.split_per_user(test_fraction=0.25, seed=0)
    part, held_out = train.split_per_user(test_fraction=0.25, seed=1)
    strengths = STRENGTHS[2::8] if args.small else STRENGTHS
    trial, model = (ImplicitALS().fit(table) for table in (part, train))
    add_rules(results, trial, model, (part, held_out), (train, test), strengths)
    add_frontier(results, model, (train, test))
    add_speeds(results, model, args.rounds)
    results.note("The model is ImplicitALS with its default settings.")
    results.note(
        f"Strengths: the least of {len(strengths)} by which lists of the validation part reach ild@10 {TARGET}, or the "
        "one that comes nearest. AtMost has no strength. Intervals: bootstrap over users, 95 %."
    )
    lists = f"the best of {args.rounds} rounds, with {REPEATED} times 943 lists for ours"
    results.note(
        f"Users in a second of one core: by CPU time, {lists}. Whole lists are from the model to the table, with the "
        "search for the 100 best items."
    )
    results.write()


def add_rules(
    results: Results,
    trial: cf.Factors,
    model: cf.Factors,
    validation: tuple[cf.Interactions, cf.Interactions],
    testing: tuple[cf.Interactions, cf.Interactions],
    strengths: Sequence[float],
) -> None:
    """Add a row for each rule; ``trial`` was trained without the validation part."""
    plain = measured(model.recommend(model.users, N), *testing)
    add(results, "none", "", plain, plain)
    found: dict[str, Report] = {}
    for method in METHODS:
        for label, lists in ((f"Diversify {method}", ours(method)), (f"pyversity {method}", theirs(method))):
            strength = chosen({s: measured(f, *validation) for s, f in lists(trial, strengths).items()})
            found[label] = measured(lists(model, [strength])[strength], *testing)
            add(results, label, strength, found[label], plain)
    for k in (2, 3, 4):
        report = measured(model.recommend(model.users, N, rerank=[AtMost(k, per="genres")]), *testing)
        add(results, f"AtMost {k}", "", report, plain)
    for method in METHODS:
        difference = better(found[f"Diversify {method}"], found[f"pyversity {method}"], f"ndcg@{N}")
        results.add(f"nDCG@{N}, ours less pyversity's", method=method, difference=str(difference))


def add_frontier(results: Results, model: cf.Factors, testing: tuple[cf.Interactions, cf.Interactions]) -> None:
    """Add what each strength costs and gains on the test part, for both; nothing is chosen by it."""
    for (strength, mine), other in zip(
        ours("msd")(model, SHOWN).items(), theirs("msd")(model, SHOWN).values(), strict=True
    ):
        one, two = measured(mine, *testing), measured(other, *testing)
        results.add(
            "Every strength on the test part, by the sum of distances",
            strength=strength,
            **{
                f"genre ild@{N}": short(one[f"ild@{N}"]),
                f"nDCG@{N}": short(one[f"ndcg@{N}"]),
                f"pyversity's nDCG@{N}": short(two[f"ndcg@{N}"]),
            },
        )


def measured(frame: pl.DataFrame, train: cf.Interactions, test: cf.Interactions) -> Report:
    return evaluate_lists(frame, test, train, k=N)


def add(results: Results, rule: str, strength: float | str, report: Report, plain: Report) -> None:
    low, high = report.interval(f"ndcg@{N}")
    results.add(
        "ml-100k",
        rule=rule,
        strength=strength,
        **{
            f"nDCG@{N}": short(report[f"ndcg@{N}"]),
            "interval": f"{low:.3f}–{high:.3f}",
            "cost": round(plain[f"ndcg@{N}"] - report[f"ndcg@{N}"], 4),
            f"genre ild@{N}": short(report[f"ild@{N}"]),
            f"calibration@{N}": short(report[f"calibration@{N}"]),
            f"coverage@{N}": short(report[f"coverage@{N}"]),
        },
    )


def chosen(reports: dict[float, Report]) -> float:
    """Return the least strength that reaches the distance, or the one that comes nearest."""
    reached = [strength for strength, report in reports.items() if report[f"ild@{N}"] >= TARGET]
    return min(reached) if reached else max(reports, key=lambda strength: reports[strength][f"ild@{N}"])


def ours(method: Any) -> Lists:
    def lists(model: cf.Factors, strengths: Sequence[float]) -> dict[float, pl.DataFrame]:
        return {
            strength: model.recommend(model.users, N, rerank=[Diversify("genres", strength, method, AMONG)])
            for strength in strengths
        }

    return lists


def theirs(method: str) -> Lists:
    def lists(model: cf.Factors, strengths: Sequence[float]) -> dict[float, pl.DataFrame]:
        with tempfile.TemporaryDirectory() as folder:
            rows = written(model, Path(folder))
            pairs = [argument for strength in strengths for argument in (method, strength)]
            run_peer("pyversity", "pyversity_lists.py", folder, N, *pairs)
            taken = {strength: np.load(Path(folder) / f"taken-{method}-{strength}.npy") for strength in strengths}
        users, positions = np.repeat(model.users.ids.to_numpy(), N), np.tile(np.arange(1, N + 1), model.n_users)
        return {
            strength: pl.DataFrame(
                {
                    "user": users,
                    "item": model.items.take(np.take_along_axis(rows, places, axis=1).ravel()),
                    "position": positions,
                }
            )
            for strength, places in taken.items()
        }

    return lists


def written(model: cf.Factors, folder: Path) -> np.ndarray:
    """Write what the peer reads, and return the candidates' rows."""
    best = model.recommend(model.users, AMONG)
    rows = model.items.rows(best["item"]).reshape(-1, AMONG).astype(np.int64)
    scores = best["score"].to_numpy().reshape(-1, AMONG).astype(np.float64)
    low, high = scores.min(axis=1, keepdims=True), scores.max(axis=1, keepdims=True)
    groups = attributes_of(model).groups("genres", complete=True)
    vectors = np.zeros((model.n_items, groups.count))
    vectors[np.repeat(np.arange(model.n_items), groups.sizes), groups.codes] = 1
    for name, array in (("vectors", vectors), ("rows", rows), ("scores", (scores - low) / (high - low))):
        np.save(folder / f"{name}.npy", array)
    return rows


def add_speeds(results: Results, model: cf.Factors, rounds: int) -> None:
    """Time the re-ranking of lists that are there, and lists from the model to the table."""
    users = np.tile(model.users.ids.to_numpy(), REPEATED)
    best = model.recommend(model.users, AMONG)
    rows = np.tile(model.items.rows(best["item"]).astype(np.int64), REPEATED)
    candidates = Ranked(np.repeat(np.arange(len(users)), AMONG), rows, np.tile(best["score"].to_numpy(), REPEATED))
    context = catalog_of(model).context(np.tile(np.arange(model.n_users), REPEATED))
    rules = [Diversify("genres", 0.1, method, AMONG) for method in METHODS]
    peer = peer_seconds(model, rounds)
    for rule in [*rules, AtMost(3, per="genres"), Calibrate("genres", among=AMONG)]:
        bound = rule.bound(context)  # the seam of the pipeline: the public way in times the search besides
        alone = seconds_of(lambda bound=bound: bound.rerank(candidates, N), rounds)
        whole = seconds_of(lambda rule=rule: model.recommend(users, N, rerank=[rule]), rounds)
        method = getattr(rule, "method", None)
        results.add(
            "Users in a second of one core",
            rule=f"Diversify {method}" if method else type(rule).__name__,
            **{
                "re-ranking": round(len(users) / alone),
                "pyversity's": round(model.n_users / peer[method]) if method else None,
                "whole lists": round(len(users) / whole),
            },
        )
    plain = seconds_of(lambda: model.recommend(users, N), rounds)
    results.add("Users in a second of one core", rule="none", **{"whole lists": round(len(users) / plain)})


def peer_seconds(model: cf.Factors, rounds: int) -> dict[str, float]:
    """Return the best of the peer's times by method."""
    with tempfile.TemporaryDirectory() as folder:
        written(model, Path(folder))
        pairs = [argument for method in METHODS for argument in (method, 0.1)]
        runs = [run_peer("pyversity", "pyversity_lists.py", folder, N, *pairs) for _ in range(rounds)]
    return {method: min(run[f"{method} 0.1"] for run in runs) for method in METHODS}


def seconds_of(work: Callable[[], Any], rounds: int) -> float:
    """Return the least CPU time of some rounds, after one that counts for nothing."""
    work()
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
