"""ImplicitALS against implicit 0.7.3: seconds of an iteration, what it reaches, and seconds to a given objective.

Claims: an iteration of both halves with ``cg`` takes at most 0.4 of implicit's (three steps of conjugate gradients, its
default) at an objective no worse; the objective that implicit has after 15 iterations is reached in at most 0.35 of its
time; ``cholesky`` is at least 2.5 times as fast as implicit's Cholesky.

How: on ML-20M's shape, both libraries start from the same vectors and minimize implicit's loss, unseen pairs weighing
1 and seen ones ALPHA,

    sum_all c (p - s)^2 + LAMBDA (|X|^2 + |Y|^2),  p = 1 and c = ALPHA where seen, p = 0 and c = 1 elsewhere,

which for our normal equations is a weight of ALPHA - 1 and a target of ALPHA / (ALPHA - 1) of the seen pairs. Fits run
in turn, ours in this process and the peer's in its own, two threads each; compilation, loading and transposing are not
in an iteration's seconds. The objective after each iteration is summed over all pairs in float64 by a function of this
file that neither library knows. *Whole fits* call ``fit`` as a user does: transposing, the first vectors, our objective
after each epoch and the making of the model are all in its seconds.

Run: ``python benchmarks/implicit_als.py [--small] [--rounds 3] [--iterations 15]``.
"""

import dataclasses
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np
from peers import run_peer
from results import Results, arguments, in_turn, short, versus
from scipy import sparse

import cofactor as cf
from cofactor.model.least_squares import Equations, Rows, equations, gram, improve_blocks, improve_rows, solve_rows
from cofactor.solvers import ImplicitALS

ALPHA, LAMBDA = 2.0, 10.0
STAGE, SMALL_STAGE = "synthetic:138493x26744x20000000", "synthetic:3000x1000x100000"
TOLERANCE = 1e-6  # the same steps in another order of float32 additions differ by a tenth of this
SHORT = 3  # iterations of the fits that only the seconds are taken of
Vectors = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Stage:
    """The data, by user and by item, and a folder that the peer reads them from."""

    train: cf.Interactions
    by_user: Rows
    by_item: Rows
    folder: Path

    def start(self, rank: int) -> Vectors:
        """Return first vectors such as implicit draws."""
        random = np.random.default_rng(rank)
        users, items = (0.01 * random.random((n, rank), dtype=np.float32) for n in self.train.matrix.shape)
        np.save(self.folder / f"users{rank}.npy", users)
        np.save(self.folder / f"items{rank}.npy", items)
        return users, items


@numba.njit(cache=True)
def _sum_over_seen(
    indptr: np.ndarray, indices: np.ndarray, users: np.ndarray, items: np.ndarray, alpha: float
) -> float:
    total = 0.0
    for user in range(len(indptr) - 1):
        for place in range(indptr[user], indptr[user + 1]):
            score = 0.0
            for f in range(users.shape[1]):
                score += np.float64(users[user, f]) * np.float64(items[indices[place], f])
            total += alpha * (1 - score) ** 2 - score**2
    return total


def objective(stage: Stage, vectors: Vectors) -> float:
    """Return implicit's loss over all pairs, in float64."""
    users, items = vectors
    matrix, (x, y) = stage.train.matrix, (side.astype(np.float64) for side in vectors)
    unseen = float(np.sum((x.T @ x) * (y.T @ y)))
    penalty = LAMBDA * (float(np.sum(x * x)) + float(np.sum(y * y)))
    seen: float = _sum_over_seen(matrix.indptr, matrix.indices, users, items, ALPHA)
    return seen + unseen + penalty


def system(fixed: np.ndarray) -> Equations:
    """Return implicit's normal equations: Y'Y + sum (c - 1) y y' + lambda I, and sum c y."""
    target = ALPHA / (ALPHA - 1)
    return equations(fixed, LAMBDA, gram=gram(fixed), weight=(ALPHA - 1, 0.0), target=(target, 0.0))


def improve(method: str, rows: Rows, fixed: np.ndarray, vectors: np.ndarray) -> None:
    """Do one half of an iteration, in place."""
    if method == "cg":
        improve_rows(rows, system(fixed), vectors, steps=3)
    elif method == "block":
        improve_blocks(rows, system(fixed), vectors)
    else:
        solve_rows(rows, system(fixed), out=vectors)


def iterate(stage: Stage, start: Vectors, method: str, iterations: int) -> Iterator[tuple[float, Vectors]]:
    """Yield the seconds of each iteration, and the vectors after it (overwritten by the next)."""
    users, items = start[0].copy(), start[1].copy()
    for _ in range(iterations):
        began = time.perf_counter()
        improve(method, stage.by_user, items, users)
        improve(method, stage.by_item, users, items)
        yield time.perf_counter() - began, (users, items)


def iterate_peer(stage: Stage, rank: int, method: str, iterations: int, keep: bool = False) -> dict[str, Any]:
    """Return what implicit's script says: seconds of the iterations and of the fit."""
    keeping = "keep" if keep else "time"
    return run_peer("implicit", "implicit_als.py", stage.folder, rank, method, iterations, ALPHA, LAMBDA, keeping)


def seconds_of_iterations(stage: Stage, results: Results, rank: int, method: str, rounds: int) -> None:
    start = stage.start(rank)
    ours, theirs = in_turn(
        rounds,
        lambda: float(np.median([seconds for seconds, _ in iterate(stage, start, method, SHORT)])),
        lambda: float(np.median(iterate_peer(stage, rank, method, SHORT)["iterations"])),
    )
    results.add("Seconds of an iteration", rank=rank, method=method, **versus(ours, theirs))


def objectives(stage: Stage, results: Results, rank: int, method: str, iterations: int) -> float:
    """Compare what both reach after each iteration, and return the peer's last; a positive excess: ours is worse."""
    ours = [objective(stage, vectors) for _, vectors in iterate(stage, stage.start(rank), method, iterations)]
    theirs = peer_objectives(stage, rank, method, iterations)
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=True), start=1):
        figures = {"ours": short(mine, 8), "peer": short(other, 8), "excess": f"{mine / other - 1:+.1e}"}
        results.add("Objective after each iteration", rank=rank, method=method, iteration=number, **figures)
    return theirs[-1]


def peer_objectives(stage: Stage, rank: int, method: str, iterations: int) -> list[float]:
    """Return the objective of implicit's vectors after each iteration."""
    iterate_peer(stage, rank, method, iterations, keep=True)
    reached = []
    for number in range(iterations):
        users, items = (stage.folder / f"peer_{side}{number}.npy" for side in ("users", "items"))
        reached.append(objective(stage, (np.load(users), np.load(items))))
        users.unlink()
        items.unlink()
    return reached


def seconds_to_objective(
    stage: Stage, results: Results, rank: int, method: str, goal: float, iterations: int, rounds: int
) -> None:
    """Time the iterations that ours needs to get as low as implicit's CG, within the tolerance, against all of CG's."""
    start, table = stage.start(rank), "Seconds to the objective that implicit with CG ends at"
    trials = enumerate(iterate(stage, start, method, 2 * iterations), start=1)
    needed = next(
        (number for number, (_, vectors) in trials if objective(stage, vectors) <= goal * (1 + TOLERANCE)), None
    )
    counts = {"rank": rank, "our_method": method, "our_iterations": needed, "peer_iterations": iterations}
    if needed is None:
        results.add(table, **counts, ours=f"not reached in {2 * iterations} iterations")
        return
    ours, theirs = in_turn(
        rounds,
        lambda: sum(seconds for seconds, _ in iterate(stage, start, method, needed)),
        lambda: sum(iterate_peer(stage, rank, "cg", iterations)["iterations"]),
    )
    results.add(table, **counts, **versus(ours, theirs))


def whole_fits(stage: Stage, results: Results, rank: int, method: str, rounds: int, iterations: int) -> None:
    """Time `ImplicitALS.fit` and implicit's ``fit``, all included, from the first vectors that each draws or is given.

    Our loss has the target 1: with an unseen weight of 1 / (ALPHA - 1), a regularization of LAMBDA / ALPHA and the
    vectors multiplied by the root of the target, it is implicit's.
    """
    solver = ImplicitALS(
        rank=rank,
        regularization=LAMBDA / ALPHA,
        unobserved_weight=1 / (ALPHA - 1),
        nu=0.0,
        epochs=iterations,
        method=method,  # type: ignore[arg-type]
    )
    scale = np.float32(np.sqrt(ALPHA / (ALPHA - 1)))
    stage.start(rank)

    def ours() -> tuple[float, float, float]:
        train = dataclasses.replace(stage.train)  # without the transpose that an earlier fit has kept
        began = time.perf_counter()
        model = solver.fit(train)
        seconds = time.perf_counter() - began
        reached = objective(stage, (model.user_vectors * scale, model.item_vectors * scale))
        factor = ALPHA**2 / (ALPHA - 1)
        reported = factor * model.history["objective"][-1] + (ALPHA - factor) * len(train)
        return seconds / iterations, reached, reported

    mine, theirs = in_turn(rounds, ours, lambda: iterate_peer(stage, rank, method, iterations)["fit"] / iterations)
    results.add(
        "Whole fits: seconds for each epoch, all included",
        rank=rank,
        method=method,
        epochs=iterations,
        **versus([run[0] for run in mine], theirs),
        objective=short(mine[-1][1], 8),
        reported=short(mine[-1][2], 8),
    )


def load(name: str, folder: Path) -> Stage:
    """Make the data and write them for the peer."""
    train = cf.load_dataset(name).binary()
    matrix = train.matrix
    sparse.save_npz(folder / "matrix.npz", sparse.csr_matrix(matrix), compressed=False)
    return Stage(train, Rows.of(matrix), Rows.of(train.by_item), folder)


def compile_kernels(ranks: Sequence[int]) -> None:
    """Run everything once on a few rows."""
    with tempfile.TemporaryDirectory() as folder:
        tiny = load("synthetic:60x40x600", Path(folder))
        for rank in ranks:
            for method in ("cg", "cholesky"):
                for _, vectors in iterate(tiny, tiny.start(rank), method, 1):
                    objective(tiny, vectors)
                ImplicitALS(rank=rank, epochs=1, method=method).fit(tiny.train)


def main() -> None:
    args = arguments(__doc__, rounds=3, iterations=15)
    ranks, iterations = ((8, 16), min(args.iterations, 4)) if args.small else ((64, 128), args.iterations)
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    compile_kernels(ranks)
    name = SMALL_STAGE if args.small else STAGE
    settings = {"stage": name, "alpha": ALPHA, "lambda": LAMBDA, "rounds": args.rounds, "iterations": iterations}
    results = Results("implicit_als", args.small, settings, ["implicit"])
    with tempfile.TemporaryDirectory() as folder:
        stage = load(name, Path(folder))
        for rank in ranks:
            for method in ("cg", "cholesky"):
                seconds_of_iterations(stage, results, rank, method, args.rounds)
        goal = objectives(stage, results, ranks[0], "cg", iterations)
        for rank, method in ((ranks[0], "cholesky"), (ranks[1], "cg"), (ranks[1], "cholesky")):
            objectives(stage, results, rank, method, SHORT)
        for method in ("cg", "cholesky"):
            seconds_to_objective(stage, results, ranks[0], method, goal, iterations, args.rounds)
        for method in ("cg", "cholesky"):
            whole_fits(stage, results, ranks[0], method, args.rounds, SHORT)
    results.note(f"The stage is `{name}`, made binary; ALPHA is {ALPHA:g} and LAMBDA {LAMBDA:g}; two threads.")
    results.note(
        f"An objective counts as reached within a relative {TOLERANCE:g}. Of the whole fits, `objective` is what this "
        "benchmark sums up and `reported` what the fit itself reported, in the same units."
    )
    results.write()


if __name__ == "__main__":
    main()
