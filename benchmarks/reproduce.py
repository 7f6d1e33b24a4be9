"""Published results of matrix factorization, run anew: the figure as printed, ours, its interval, settings, seconds.

    python benchmarks/reproduce.py ml-100k                       lists; settings by tune, on the training part alone
    python benchmarks/reproduce.py ncf DATA                      leave-last-out with 99 sampled negatives
    python benchmarks/reproduce.py ratings ml-10m                error on a random tenth
    python benchmarks/reproduce.py strong ml-20m                 lists for users who come after training
    python benchmarks/reproduce.py lightgcn FOLDER               train.txt and test.txt as LightGCN published them

DATA is a file, a folder or a data set's name; `ncf` takes a folder (or common beginning) of ``train.rating``,
``test.rating`` and ``test.negative``, or ratings, of which it holds out each user's last one, or those of ``--test``;
its solvers have the papers' settings or some near them, among which each training user's last item decides, as it does
on the sum of two models, which is a factorization too. Every option has the paper's setting as its default; `--trials`
finds settings on held-out parts of the training data instead, as `ml-100k` and `lightgcn` do unless told otherwise.
Figures go to ``results/reproduce-….json`` and ``.md``; those of `--small` to ``results/small``.
"""

import argparse
import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from results import Results, short

import cofactor as cf
from cofactor.apps.sources import open_data
from cofactor.evaluation import Report, evaluate, evaluate_by_fold_in, evaluate_sampled, tune
from cofactor.solvers import BayesianMF, ImplicitALS, LogisticMF, Popularity

Published = Mapping[str, Mapping[str, float]]

ML_100K: Published = {
    "BiVAE (Microsoft Recommenders)": {"ndcg@10": 0.475},
    "BPR (Microsoft Recommenders)": {"ndcg@10": 0.442},
    "SAR (Microsoft Recommenders)": {"ndcg@10": 0.382},
    "EASE, λ 500 (measured on this very split)": {"ndcg@10": 0.4920},
}
NCF: Published = {
    "MF, ml-1m (Rendle, Krichene, Zhang, Anderson 2020)": {"hit@10": 0.7294, "ndcg@10": 0.4523},
}
RATINGS: Published = {
    "ml-10m: ALS-WR (Rendle, Zhang, Koren 2019)": {"rmse": 0.7830},
    "ml-10m: SGD MF, d 512 (the same)": {"rmse": 0.7720},
    "ml-10m: Bayesian MF (the same)": {"rmse": 0.7633},
    "ml-10m: Bayesian SVD++ (the same)": {"rmse": 0.7563},
}
STRONG: Published = {
    "ml-20m: Mult-VAE (Liang et al. 2018)": {"capped_recall@20": 0.395, "capped_recall@50": 0.537, "ndcg@100": 0.426},
    "ml-20m: EASE (Steck 2019)": {"capped_recall@20": 0.391, "capped_recall@50": 0.521, "ndcg@100": 0.420},
    "ml-20m: iALS (Rendle et al. 2021)": {"capped_recall@20": 0.395, "capped_recall@50": 0.532, "ndcg@100": 0.425},
}
LIGHTGCN: Published = {
    "gowalla: LightGCN (He et al. 2020)": {"recall@20": 0.1830, "ndcg@20": 0.1554},
    "yelp2018: LightGCN (the same)": {"recall@20": 0.0649, "ndcg@20": 0.0530},
    "amazon-book: LightGCN (the same)": {"recall@20": 0.0411, "ndcg@20": 0.0315},
}
STEPS = ((0.002, 0.005), (0.003, 0.005), (0.003, 0.0065))
"""Learning rates and penalties of LogisticMF that validation chooses from: the paper's, and since our steps shorten in
the second half, longer ones that go as far."""

WEIGHTS = (2.0, 4.0, 8.0, 16.0, 32.0)
"""Of ImplicitALS beside LogisticMF in their sum."""

DRAWS = 5
"""Validation is measured among so many samples of negatives, and averaged."""


@dataclass(frozen=True)
class Run:
    """A solver's report, with the seconds that its fit and its measuring took."""

    solver: Any
    report: Report
    fit_seconds: float
    seconds: float
    note: str = ""


def main() -> None:
    args = parsed()
    results = Results(
        f"reproduce-{args.what}",
        args.small,
        {name: str(value) for name, value in vars(args).items() if value is not None},
    )
    protocols = {"ml-100k": ml_100k, "ncf": ncf, "ratings": ratings, "strong": strong, "lightgcn": lightgcn}
    protocols[args.what](args, results)
    results.write()


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    made = {}
    for name in ("ml-100k", "ncf", "ratings", "strong", "lightgcn"):
        made[name] = command = commands.add_parser(name)
        command.add_argument("--small", action="store_true", help="a smoke run: short fits, no claim")
        seeds = 5 if name == "ml-100k" else 1
        command.add_argument("--seeds", type=int, default=seeds, help="repetitions (%(default)s)")
        if name != "ml-100k":
            command.add_argument("data", help="a file, a folder, or a data set's name")
    for name, trials in (("ml-100k", 60), ("lightgcn", 20), ("strong", 0), ("ncf", 0)):
        made[name].add_argument("--trials", type=int, default=trials, help="of tune; 0 takes the paper's (%(default)s)")
    for name, rank in (("ncf", 192), ("ratings", 512), ("strong", 2048), ("lightgcn", 256)):
        made[name].add_argument("--rank", type=int, default=rank, help="(%(default)s)")
    made["ncf"].add_argument("--test", help="a file of the held-out pairs, where DATA is ratings")
    made["ncf"].add_argument("--epochs", type=int, default=256, help="of LogisticMF (%(default)s)")
    made["ratings"].add_argument("--sweeps", type=int, default=512, help="(%(default)s)")
    made["strong"].add_argument("--held-out", type=int, default=10_000, help="users to test on (%(default)s)")
    return parser.parse_args()


def ml_100k(args: argparse.Namespace, results: Results) -> None:
    """Lists for a per-user random quarter of the ratings, every one of which is relevant."""
    train, test = protocol_r(cf.load_dataset("ml-100k").binary())
    solver = tuned(ImplicitALS(), train, args, "ndcg@10", space={"rank": (32, 256)})
    compare(results, "ml-100k, per-user random 75/25, k = 10", ML_100K, ["ndcg@10"], [
        run(candidate, train, test, lambda model, held_out: evaluate(model, held_out, k=10))
        for candidate in [Popularity(), *seeded(solver, args.seeds)]
    ])  # fmt: skip


def protocol_r(table: cf.Interactions) -> tuple[cf.Interactions, cf.Interactions]:
    """Split by a random number for each row: a user's rows up to the third quartile of theirs are for training."""
    numbers, users = np.random.default_rng(42).random(len(table)), table.triplets().user_rows
    order = np.lexsort((numbers, users))
    counts = np.bincount(users, minlength=table.n_users)
    place = np.empty(len(table))
    place[order] = np.arange(len(table)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    return table.split_rows(np.flatnonzero(place / counts[users] > 0.75))


def ncf(args: argparse.Namespace, results: Results) -> None:
    """One held-out item a user among 99 that were not met; settings by each training user's last item."""
    train, test, negatives = ncf_split(args)
    paper = LogisticMF(rank=args.rank, negatives=8, epochs=args.epochs)
    candidates = [
        Popularity(),
        ImplicitALS(rank=args.rank, regularization=0.7, unobserved_weight=0.3, epochs=12),
        *(dataclasses.replace(paper, learning_rate=rate, regularization=penalty) for rate, penalty in STEPS),
    ]
    if args.trials:
        candidates.append(tuned(ImplicitALS(rank=args.rank), train, args, "ndcg@10", split="per-user"))
    best, chosen = on_validation(results, quickened(candidates, args.small), train)
    runs = [
        dataclasses.replace(
            run(one, train, test, lambda model, held_out: evaluate_sampled(model, held_out, negatives=negatives)),
            note=", chosen on validation" if solver == chosen else "",
        )
        for solver in best
        for one in seeded(solver, args.seeds)
    ]
    compare(results, f"{args.data}, leave-last-out, 99 sampled negatives", NCF, ["hit@10", "ndcg@10"], runs)


def on_validation(results: Results, candidates: Sequence[Any], train: cf.Interactions) -> tuple[list[Any], Any]:
    """Measure candidates on each training user's last item; return the best of each kind, and the best of all."""
    if train.timestamps is None:
        raise SystemExit("the training data has no times, so that no user's last item can be held out")
    part, held_out = train.split_last()
    best: dict[str, Candidate] = {}

    def consider(solver: Any, model: cf.Factors) -> None:
        reports = [evaluate_sampled(model, held_out, negatives=99, seed=seed) for seed in range(DRAWS)]
        means = {name: float(np.mean([report[name] for report in reports])) for name in ("hit@10", "ndcg@10")}
        row = {name: short(mean) for name, mean in means.items()}
        results.add("Validation: each training user's last item", solver=repr(solver), **row)
        kind = type(solver).__name__
        if kind not in best or means["ndcg@10"] > best[kind].ndcg:
            best[kind] = Candidate(solver, model, means["ndcg@10"])

    for solver in candidates:
        consider(solver, solver.fit(part))
    one, other = best["LogisticMF"], best["ImplicitALS"]
    for weight in WEIGHTS:
        consider(Sum(one.solver, other.solver, weight), side_by_side(one.model, other.model, weight))
    return [candidate.solver for candidate in best.values()], max(best.values(), key=lambda c: c.ndcg).solver


@dataclass(frozen=True)
class Candidate:
    """A solver, its model of the rest of the training data, and how well that ranks what was held out of it."""

    solver: Any
    model: cf.Factors
    ndcg: float


@dataclass(frozen=True)
class Sum:
    """Two factorizations as one: the score is the first one's plus so many times the second one's."""

    first: LogisticMF
    second: ImplicitALS
    weight: float
    seed: int = 0

    def fit(self, train: cf.Interactions) -> cf.Factors:
        """Train both."""
        models = [dataclasses.replace(solver, seed=self.seed).fit(train) for solver in (self.first, self.second)]
        return side_by_side(*models, self.weight)


def side_by_side(first: cf.Factors, second: cf.Factors, weight: float) -> cf.Factors:
    """Return a model whose vectors are those of both, the second one's users' times a weight."""
    users = np.hstack([first.user_vectors, np.float32(weight) * second.user_vectors])
    items = np.hstack([first.item_vectors, second.item_vectors])
    biases = {"user_bias": first.user_bias, "item_bias": first.item_bias, "mean": first.mean}
    return cf.Factors.from_arrays(users, items, first.users.ids, first.items.ids, seen=first.seen, **biases)


def ncf_split(args: argparse.Namespace) -> tuple[cf.Interactions, cf.Interactions, int | cf.Interactions]:
    """Read the published files, or hold out of ratings each user's last one or what a test file names."""
    path = Path(args.data)
    if list(path.parent.glob(f"{path.name}.train.rating")) or (path.is_dir() and list(path.glob("*train.rating"))):
        split = cf.read_ncf(path)
        assert split.negatives is not None
        return split.train, split.test, split.negatives
    table = open_data(args.data).binary()
    if args.test is None:
        return (*table.split_last(), 99)
    named = cf.read_csv(args.test, has_header=False, ids="int" if isinstance(table.items[0], int) else "str")
    pairs = named.triplets()
    places = table.users.rows(named.users.take(pairs.user_rows)).astype(np.int64) * table.n_items
    places += table.items.rows(named.items.take(pairs.item_rows))
    all_pairs = table.triplets()
    held_out = np.isin(all_pairs.user_rows.astype(np.int64) * table.n_items + all_pairs.item_rows, places)
    return (*table.split_rows(np.flatnonzero(held_out)), 99)


def ratings(args: argparse.Namespace, results: Results) -> None:
    """The error on a random tenth of star ratings."""
    train, test = open_data(args.data).split_random(test_fraction=0.1, seed=0)
    solvers = [
        BayesianMF(rank=args.rank, sweeps=args.sweeps, burn_in=args.sweeps // 8, svdpp=implicit)
        for implicit in (False, True)
    ]
    runs = [
        run(candidate, train, test, evaluate)
        for solver in quickened(solvers, args.small)
        for candidate in seeded(solver, args.seeds)
    ]
    compare(results, f"{args.data}, random 90/10", RATINGS, ["rmse"], runs)


def strong(args: argparse.Namespace, results: Results) -> None:
    """Train on some users, and for others hold out a fifth of what they liked."""
    likes = open_data(args.data).at_least(4).binary().min_counts(per_user=5)
    rest, visitors = likes.split_users(n_users=args.held_out, seed=0)
    train, _ = rest.split_users(n_users=args.held_out, seed=1)  # the validation users of the paper
    train = train.min_counts()
    known, test = visitors.split_per_user(test_fraction=0.2, seed=0)
    method = "block" if args.rank >= 256 else "cholesky"
    # the paper's penalty, 0.003 times a row's pairs and a tenth of the other side, is as heavy on an average row
    solver = ImplicitALS(rank=args.rank, regularization=1.0, unobserved_weight=0.1, epochs=16, method=method)
    if args.trials:
        solver = tuned(ImplicitALS(rank=args.rank, method=method), train, args, "ndcg@100")
    measured = ["capped_recall@20", "capped_recall@50", "ndcg@100"]

    def measure(model: cf.Factors, held_out: cf.Interactions) -> Report:
        return evaluate_by_fold_in(model, known, held_out, k=[20, 50, 100])

    [solver] = quickened([solver], args.small)
    runs = [run(candidate, train, test, measure) for candidate in seeded(solver, args.seeds)]
    compare(results, f"{args.data}, {args.held_out:,} users who were not trained on", STRONG, measured, runs)


def lightgcn(args: argparse.Namespace, results: Results) -> None:
    """Lists of 20 on the splits of LightGCN's repository."""
    split = cf.read_lightgcn(args.data)
    solver = tuned(ImplicitALS(rank=args.rank), split.train, args, "ndcg@20")
    runs = [
        run(candidate, split.train, split.test, lambda model, held_out: evaluate(model, held_out, k=20))
        for candidate in [Popularity(), *seeded(solver, args.seeds)]
    ]
    compare(results, f"{split.train.name}, full ranking", LIGHTGCN, ["recall@20", "ndcg@20"], runs)


def tuned(solver: Any, train: cf.Interactions, args: argparse.Namespace, metric: str, **options: Any) -> Any:
    """Return the solver with the settings that did best on held-out parts of the training data."""
    if not args.trials:
        return quickened([solver], args.small)[0]
    trials = 2 if args.small else args.trials
    fixed = {"epochs": 2} if args.small else None
    return tune(solver, train, metric=metric, trials=trials, fixed=fixed, **options).solver


def quickened(solvers: Sequence[Any], small: bool) -> list[Any]:
    """Return solvers that are done in a moment, for a smoke run."""
    few = {"rank": 8, "epochs": 2, "sweeps": 20, "burn_in": 5, "n_samples": 5}
    return [dataclasses.replace(s, **{k: v for k, v in few.items() if small and hasattr(s, k)}) for s in solvers]


def seeded(solver: Any, seeds: int) -> list[Any]:
    """Return the solver with each seed, or as it is where it has none."""
    return [dataclasses.replace(solver, seed=seed) for seed in range(seeds)] if hasattr(solver, "seed") else [solver]


def run(solver: Any, train: cf.Interactions, test: cf.Interactions, measure: Any) -> Run:
    """Fit and measure."""
    began = time.perf_counter()
    model = solver.fit(train)
    fitted = time.perf_counter()
    report = measure(model, test)
    return Run(solver, report, fitted - began, time.perf_counter() - began)


def compare(results: Results, title: str, published: Published, names: Sequence[str], runs: Sequence[Run]) -> None:
    """Add the published figures, ours with their intervals, and the means over the seeds."""
    for system, figures in published.items():
        results.add(title, system=f"published: {system}", **{name: figures.get(name) for name in names})
    for one in runs:
        row: dict[str, Any] = {}
        for name in names:
            low, high = one.report.interval(name)
            row |= {name: short(one.report[name]), f"95 % of {name}": f"{low:.4f}–{high:.4f}"}
        times = {"fit seconds": short(one.fit_seconds, 3), "all seconds": short(one.seconds, 3)}
        results.add(title, system=f"ours: {one.solver!r}{one.note}", **row, **times)
    kinds = {type(one.solver).__name__ for one in runs}
    for kind in sorted(kinds):
        same = [one for one in runs if type(one.solver).__name__ == kind]
        if len(same) > 1:
            means = {name: short(float(np.mean([one.report[name] for one in same]))) for name in names}
            results.add(title, system=f"ours: {kind}, mean of {len(same)}", **means)
    last = runs[-1].report
    results.note(f"Protocol: {last.protocol or 'errors of predicted ratings'}; {last.n_users:,} users.")


if __name__ == "__main__":
    main()
