"""Exact top n against implicit 0.7.3's recommend, faiss's exact index and a NumPy product: users a second, one user.

Claims, for n = 10 of vectors of rank 64 with the seen items left out: at least 25 times implicit on ML-20M's shape, 15
times on Gowalla's, 6 times on ml-1m's, and never slower on ml-100k; one user in a tenth of implicit's time.

How: implicit trains the vectors (15 iterations, regularization 0.1; 2 iterations on the largest set), so that both
search the same ones. Runs alternate, ours in this process and the peer's in its own, two threads each. What is timed
is `Factors.recommend`, which looks ids up and makes a table, and implicit's ``recommend`` on row numbers. Ours is
asked for everyone in one call, implicit for up to 20,000 users in one call; for one user at a time it is the median of
300 calls, implicit given that user's row of the matrix, as its documentation shows. *faiss* is faiss-cpu's exact
index, IndexFlatIP; it cannot leave out what each user has seen, so it is asked for the best n of all items, which is
less than the others do. *NumPy* multiplies, masks, partitions and sorts a thousand users at a time. What the index
costs, the first call of a process, and how far the lists agree with the peer's, which decides near ties in single
precision, are in a table of their own.

Run: ``python benchmarks/topn.py [--small] [--rounds 5] [--n 10] [--rank 64]``.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
import polars as pl
from peers import run_peer
from results import Results, arguments, in_turn, short, versus
from scipy import sparse

import cofactor as cf
from cofactor.model.factors import Factors

SHAPES = {
    "ML-20M's shape": ("synthetic:138493x26744x20000000", 2, 25),
    "Gowalla's shape": ("synthetic:29858x40981x1030000", 15, 15),
    "ml-1m's shape": ("synthetic:6040x3706x1000000", 15, 6),
    "ml-100k": ("ml-100k", 15, 1),
}
SMALL_SHAPES = {"small": ("synthetic:3000x1000x100000", 3, 1)}
PEER_USERS = 20_000
FIRST_CALL = """
import sys, time, numpy as np
users, items = (np.load(name) for name in sys.argv[1:])
start = time.perf_counter()
from cofactor.model.factors import Factors
from cofactor.model.index import build
retrieval.top_n(users[:64], items, 10, index=lambda: build(items))
print(time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Stage:
    """Vectors, what was seen, and the folder that the peer reads both from."""

    folder: Path
    users: np.ndarray
    items: np.ndarray
    seen: sparse.csr_array
    iterations: int

    def peers(self, n: int) -> tuple[dict[str, float], dict[str, float]]:
        """Return what implicit and faiss need."""
        rank = self.items.shape[1]
        implicit = run_peer(
            "implicit", "implicit_topn.py", self.folder, "recommend", rank, self.iterations, n, PEER_USERS
        )
        return implicit, run_peer("faiss", "faiss_topn.py", self.folder, n, PEER_USERS)


def load(name: str, iterations: int, rank: int, folder: Path) -> Stage:
    """Make the data and let the peer train on them."""
    seen = cf.load_dataset(name).binary().matrix
    sparse.save_npz(folder / "matrix.npz", sparse.csr_matrix(seen), compressed=False)
    run_peer("implicit", "implicit_topn.py", folder, "fit", rank, iterations, 0, 0)
    users, items = np.load(folder / "users.npy"), np.load(folder / "items.npy")
    return Stage(folder, users, items, sparse.csr_array(seen), iterations)


def ours(model: Factors, n: int) -> dict[str, float]:
    """Ask for everyone's list, then for one user's at a time."""

    def ask(users: Sequence[int]) -> float:
        start = time.perf_counter()
        model.recommend(users, n)
        return time.perf_counter() - start

    everyone = model.n_users / ask(range(model.n_users))
    return {"everyone": everyone, "one": float(np.median([ask([row]) for row in range(min(300, model.n_users))]))}


def by_product(stage: Stage, n: int) -> float:
    """Return the users per second of a plain product, a thousand users at a time."""
    users = min(len(stage.users), 4000)
    start = time.perf_counter()
    for first in range(0, users, 1000):
        part = slice(first, min(first + 1000, users))
        scores = stage.users[part] @ stage.items.T
        own = stage.seen[part]
        scores[np.repeat(np.arange(own.shape[0]), np.diff(own.indptr)), own.indices] = -np.inf
        best = np.argpartition(scores, -n, axis=1)[:, -n:]
        np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1), axis=1)
    return users / (time.perf_counter() - start)


def agreement(stage: Stage, model: Factors, n: int) -> float:
    """Return the share of the peer's items that ours have too."""
    theirs = np.load(stage.folder / "peer_items.npy")
    lists = model.recommend(range(len(theirs)), n)
    counts = np.bincount(lists["user"], minlength=len(theirs))
    mine = np.split(lists["item"].to_numpy(), np.cumsum(counts)[:-1])
    return float(np.mean([len(np.intersect1d(a, b)) / max(len(a), 1) for a, b in zip(mine, theirs, strict=True)]))


def share_scanned(stage: Stage, model: Factors, n: int) -> float:
    """Return how much of the catalogue has a norm that can matter, over a sample of users."""
    rows = np.random.default_rng(0).choice(len(stage.users), min(len(stage.users), 2000), replace=False)
    last = model.recommend(rows, n).filter(pl.col("position") == n)
    least = np.full(len(stage.users), -np.inf)
    least[last["user"].to_numpy()] = last["score"].to_numpy()
    norms = np.sort(np.linalg.norm(stage.items.astype(np.float64), axis=1))
    needed = np.divide(least[rows], np.linalg.norm(stage.users[rows], axis=1))
    return float(1 - np.searchsorted(norms, needed).mean() / len(norms))


def measure(title: str, stage: Stage, target: int, n: int, rounds: int, results: Results) -> None:
    """Add one shape's rows to the tables."""
    Factors.from_arrays(stage.users, stage.items).recommend(range(2000))  # compiles
    model = Factors.from_arrays(stage.users, stage.items, seen=stage.seen)
    start = time.perf_counter()
    model.recommend(range(1000), n)
    first_lists = time.perf_counter() - start
    start = time.perf_counter()
    model.recommend(range(1000), n)
    to_build = first_lists - (time.perf_counter() - start)
    mine, theirs = in_turn(rounds, lambda: ours(model, n), lambda: stage.peers(n))
    row = versus([run["everyone"] for run in mine], [implicit["everyone"] for implicit, _ in theirs])
    plain = {
        "faiss": short(float(np.median([faiss["everyone"] for _, faiss in theirs]))),
        "numpy": short(by_product(stage, n)),
    }
    scanned, same = share_scanned(stage, model, n), agreement(stage, model, n)
    results.add("Users per second, everyone", data=title, **row, target=target, **plain)
    one = versus([1e3 * run["one"] for run in mine], [1e3 * implicit["one"] for implicit, _ in theirs])
    exact = short(float(np.median([1e3 * faiss["one"] for _, faiss in theirs])))
    results.add("Milliseconds for one user", data=title, **one, faiss=exact)
    command = [sys.executable, "-c", FIRST_CALL, stage.folder / "users.npy", stage.folder / "items.npy"]
    first = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    results.add(
        "What the scan needs",
        data=title,
        users=len(stage.users),
        items=len(stage.items),
        scanned=short(scanned, 3),
        agrees=round(same, 6),
        seconds_to_build=short(to_build, 3),
        seconds_of_first_call=short(first, 3),
    )


def main() -> None:
    args = arguments(__doc__, rounds=5, n=10, rank=64)
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    settings = {"n": args.n, "rank": args.rank, "rounds": args.rounds}
    results = Results("topn", args.small, settings, ["implicit", "faiss"])
    for title, (name, iterations, target) in (SMALL_SHAPES if args.small else SHAPES).items():
        with tempfile.TemporaryDirectory() as folder:
            stage = load(name, iterations, args.rank, Path(folder))
            measure(title, stage, target, args.n, args.rounds, results)
    results.note(
        f"Lists of {args.n}, rank {args.rank}, seen items left out (not by faiss), two threads. `scanned` is the share "
        "of the items whose norm can still matter to a user, `agrees` the share of the peer's items that are in our "
        "lists, `seconds_of_first_call` a process's first search, with the loading of numba and of compiled kernels."
    )
    results.write()


if __name__ == "__main__":
    main()
