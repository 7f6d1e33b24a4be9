"""From how many items on an approximate index pays: users a second against the exact scan, and the recall it reaches.

Claim: none but the table. The exact scan leaves out most items where their vectors' lengths differ, as trained ones
do, and none where all are equally long, as after training on cosines; both are measured.

How: ImplicitALS's vectors of ml-100k (rank 64) are grown to the wanted number of items: each new item is one of the
trained items and noise of half its length, with the spread of the trained vectors in each direction; users likewise.
So lengths, spectrum and fit of users to items are those of a trained model. Each user has seen 100 items drawn at
random. *build* is all of ``model.approximate(recall=0.95)``: gathering, choosing how much to read, measuring the
recall; *exact build* is what the first exact lists take longer than the next. Speeds are the median of rounds in turn,
two threads. *pays after* is the number of users from whom on building and searching take less time than the exact
scan.

Run: ``python benchmarks/approximate.py [--small] [--rounds 3] [--n 10] [--most 1000000]``.
"""

import time

import faiss
import numba
import numpy as np
from results import Results, arguments, in_turn, short
from scipy import sparse

import cofactor as cf
from cofactor.model.factors import Factors
from cofactor.solvers import ImplicitALS

SIZES = (30_000, 100_000, 300_000, 1_000_000, 3_000_000)
USERS, SEEN, RECALL = 20_000, 100, 0.95
SECONDS = 1.0
"""How long one timed search may take, more or less."""


def grown(vectors: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Return so many vectors like the given ones."""
    chosen = vectors[random.integers(len(vectors), size=count)]
    spread = 0.5 * vectors.std(axis=0) / np.sqrt(np.mean(np.sum(vectors**2, axis=1)))
    lengths = np.linalg.norm(chosen, axis=1, keepdims=True)
    return chosen + random.standard_normal(chosen.shape, dtype=np.float32) * (spread * lengths).astype(np.float32)


def catalogue(trained: Factors, count: int, alike: bool) -> Factors:
    """Return a model of so many items, their vectors equally long or as they are."""
    random = np.random.default_rng(0)
    users, items = grown(trained.user_vectors, USERS, random), grown(trained.item_vectors, count, random)
    if alike:
        items /= np.linalg.norm(items, axis=1, keepdims=True)
    rows = np.repeat(np.arange(USERS), SEEN)
    pairs = (np.ones(len(rows), np.float32), (rows, random.integers(count, size=len(rows))))
    return Factors.from_arrays(users, items, seen=sparse.csr_array(pairs, shape=(USERS, count)))


def seconds_for(model: Factors, users: int, n: int) -> float:
    start = time.perf_counter()
    model.recommend(np.arange(users), n)
    return time.perf_counter() - start


def speed(model: Factors, n: int) -> float:
    """Return the users per second of one search."""
    trial = 100 / seconds_for(model, 100, n)
    users = int(np.clip(trial * SECONDS, 100, USERS))
    return users / seconds_for(model, users, n)


def one_user(model: Factors, n: int) -> float:
    """Return the median milliseconds of a search for one user."""
    times = []
    for row in range(50):
        start = time.perf_counter()
        model.recommend([row], n)
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))


def measure(lengths: str, model: Factors, n: int, rounds: int, results: Results) -> None:
    """Add one catalogue's row."""
    first = seconds_for(model, 1000, n)  # lays the items out
    exact_build = first - seconds_for(model, 1000, n)
    start = time.perf_counter()
    quick = model.approximate(recall=RECALL, n=n)
    build = time.perf_counter() - start
    exact, near = (float(np.median(runs)) for runs in in_turn(rounds, lambda: speed(model, n), lambda: speed(quick, n)))
    pays = build / (1 / exact - 1 / near) if near > exact else None
    results.add(
        f"Lengths {lengths}",
        items=model.n_items,
        exact=short(exact),
        approximate=short(near),
        ratio=round(near / exact, 2),
        recall=round(quick.recall, 4),
        reads=getattr(quick.retriever, "name", ""),
        one_exact_ms=short(one_user(model, n), 3),
        one_approximate_ms=short(one_user(quick, n), 3),
        exact_build_s=short(exact_build, 3),
        build_s=short(build, 3),
        pays_after_users="never" if pays is None else f"{short(pays, 2):,.0f}",
    )


def main() -> None:
    args = arguments(__doc__, rounds=3, n=10, most=1_000_000)
    numba.set_num_threads(min(2, numba.config.NUMBA_NUM_THREADS))
    faiss.omp_set_num_threads(2)
    settings = {"n": args.n, "recall": RECALL, "rounds": args.rounds}
    results = Results("approximate", args.small, settings)
    trained = ImplicitALS(rank=64).fit(cf.load_dataset("ml-100k").binary())
    seconds_for(trained, trained.n_users, args.n)  # compiles
    for count in SIZES[:1] if args.small else [size for size in SIZES if size <= args.most]:
        for lengths in ("as trained", "all alike"):
            model = catalogue(trained, count, lengths == "all alike")
            measure(lengths, model, args.n, args.rounds, results)
    results.note(
        f"Lists of {args.n}, rank 64, {SEEN} seen items of each user left out, two threads, a recall of {RECALL} asked "
        f"for; `exact` and `approximate` are users per second, `reads` how much of the index a search looks at. "
        f"faiss-cpu {faiss.__version__}."
    )
    results.write()


if __name__ == "__main__":
    main()
