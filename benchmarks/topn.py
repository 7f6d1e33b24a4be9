"""Exact top n against implicit 0.7.3's recommend, faiss's exact index and a NumPy product: users a second, one user.

Claims, for n = 10 of vectors of rank 64 with the seen items left out: at least 25 times implicit on ML-20M's shape, 15
times on Gowalla's, 6 times on ml-1m's, and never slower on ml-100k; one user in a tenth of implicit's time.

How: implicit trains the vectors (15 iterations, regularization 0.1; 2 iterations on the largest set), so that both
search the same ones. Runs alternate, ours in this process and the peer's in its own, two threads each; what is timed
is the search. Ours is asked for everyone in one call, implicit for up to 20,000 users in one call; for one user at a
time it is the median of 300 calls, ours told the user's row among the exclusions and implicit given that row of the
matrix, as its documentation shows. *faiss* is faiss-cpu's exact index, IndexFlatIP; it cannot leave out what each
user has seen, so it is asked for the best n of all items, which is less than the others do. *NumPy* multiplies,
masks, partitions and sorts a thousand users at a time. What the index costs, the first call of a process, and how far
the lists agree with the peer's, which decides near ties in single precision, are in a table of their own.

Run: ``python benchmarks/topn.py [--small] [--rounds 5] [--n 10] [--rank 64]``.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
from cofactor.model.index import Index, build, search
from peers import run_peer
from results import Results, arguments, in_turn, short, versus
from scipy import sparse

import cofactor as cf
from cofactor.model import retrieval

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
from cofactor.model import retrieval
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


def ours(stage: Stage, index: Index, n: int) -> dict[str, float]:
    """Search for everyone, then for one user at a time."""

    def ask(rows: np.ndarray) -> float:
        start = time.perf_counter()
        retrieval.top_n(stage.users[rows], stage.items, n, excluded=stage.seen, excluded_rows=rows, index=lambda: index)
        return time.perf_counter() - start

    everyone = len(stage.users) / ask(np.arange(len(stage.users)))
    return {"everyone": everyone, "one": float(np.median([ask(np.array([row])) for row in range(300)]))}


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


def agreement(stage: Stage, index: Index, n: int) -> float:
    """Return the share of the peer's items that ours have too."""
    theirs = np.load(stage.folder / "peer_items.npy")
    rows = np.arange(len(theirs))
    found = search(index, stage.users[rows], n, np.zeros(len(rows)), stage.seen, rows, None)
    same = [
        len(np.intersect1d(a[:c], b)) / max(c, 1) for a, b, c in zip(found.items, theirs, found.counts, strict=True)
    ]
    return float(np.mean(same))


def share_scanned(stage: Stage, index: Index, n: int) -> float:
    """Return how much of the catalogue has a norm that can matter, over a sample of users."""
    rows = np.random.default_rng(0).choice(len(stage.users), min(len(stage.users), 2000), replace=False)
    found = search(index, stage.users[rows], n, np.zeros(len(rows)), stage.seen, rows, None)
    least = np.where(found.counts == n, found.scores[:, -1], -np.inf)
    norms = np.sort(np.linalg.norm(stage.items.astype(np.float64), axis=1))
    needed = np.divide(least, np.linalg.norm(stage.users[rows], axis=1))
    return float(1 - np.searchsorted(norms, needed).mean() / len(norms))


def best_of(times: int, work: Callable[[], object]) -> float:
    """Return the least seconds of some runs."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def measure(title: str, stage: Stage, target: int, n: int, rounds: int, results: Results) -> None:
    """Add one shape's rows to the tables."""
    index = build(stage.items)
    search(index, stage.users[:64], n, np.zeros(64), stage.seen, np.arange(64), None)  # compiles
    mine, theirs = in_turn(rounds, lambda: ours(stage, index, n), lambda: stage.peers(n))
    row = versus([run["everyone"] for run in mine], [implicit["everyone"] for implicit, _ in theirs])
    plain = {
        "faiss": short(float(np.median([faiss["everyone"] for _, faiss in theirs]))),
        "numpy": short(by_product(stage, n)),
    }
    scanned, same = share_scanned(stage, index, n), agreement(stage, index, n)
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
        seconds_to_build=short(best_of(3, lambda: build(stage.items)), 3),
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
