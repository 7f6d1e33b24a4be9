"""What a fit takes besides time: memory, and the wait for compilation before the first result.

Claims: a fit needs at most the ratings by user, their transpose, the vectors, and 10 % more; the first use of ALS,
ImplicitALS, NMF and BayesianMF on a machine compiles for about 20 s in all; later processes wait less than 0.5 s.

How: memory is the resident set of a fresh process (Linux, ``/proc/self/status``). The process loads the matrix, fits a
tiny one so that everything is imported and compiled, resets the peak through ``/proc/self/clear_refs``, and fits.
*before* is what is resident then, the matrix included; *rise* is how far the peak lies above it; *needed* is the size
of transpose and vectors; *over* is what the rise exceeds them by, in percent of matrix, transpose and vectors. Biases
count as vectors, and so does all that a model of draws keeps of each row: BayesianMF with its default of 64 draws is
measured on a quarter of the ratings, as each draw takes a sweep.

Compilation: a process with an empty ``NUMBA_CACHE_DIR`` fits those solvers to a little data, each twice; then another
process does so with the cache that the first has left. *wait* is what the first fit takes longer than the second.
Imports are in neither.

Run: ``python benchmarks/memory_and_compile.py [--small] [--rounds 3]``.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from results import Results, arguments, fresh, short, status
from scipy import sparse

import cofactor as cf
from cofactor.data.vocabulary import Vocabulary
from cofactor.solvers import ALS, NMF, ImplicitALS
from cofactor.solvers.bayes import BayesianMF

STAGE, SMALL_STAGE = "synthetic:138493x26744x20000000", "synthetic:20000x5000x1000000"
DRAWS_STAGE = "synthetic:138493x26744x5000000"
TINY = "synthetic:60x40x600"
MIB = 2**20
CHAIN: dict[str, Any] = {"sweeps": 8, "burn_in": 4, "n_samples": 4}
SOLVERS: dict[str, Any] = {
    "ALS": ALS(epochs=1),
    "ImplicitALS, cholesky": ImplicitALS(epochs=1),
    "ImplicitALS, cg": ImplicitALS(epochs=1, method="cg"),
    "ImplicitALS, block, rank 256": ImplicitALS(rank=256, epochs=1, method="block"),
    "NMF": NMF(epochs=1),
    "BayesianMF": BayesianMF(**CHAIN),
    "BayesianMF, implicit": BayesianMF(svdpp=True, **CHAIN),
    "BayesianMF, probit": BayesianMF(likelihood="probit", **CHAIN),
}


def memory_solvers(small: bool) -> dict[str, Any]:
    """Return the solvers whose memory is measured, by what their rows of the table are called."""
    ranks = (16,) if small else (64, 128)
    solvers: dict[str, Any] = {}
    for rank in ranks:
        solvers[f"ImplicitALS, cg, rank {rank}"] = ImplicitALS(rank=rank, epochs=2, method="cg")
        solvers[f"ImplicitALS, cholesky, rank {rank}"] = ImplicitALS(rank=rank, epochs=2)
    solvers[f"ALS, rank {ranks[0]}"] = ALS(rank=ranks[0], epochs=2)
    solvers[f"NMF, rank {ranks[0]}"] = NMF(rank=ranks[0], epochs=2)
    solvers["BayesianMF, rank 24, 64 draws"] = BayesianMF(sweeps=65, burn_in=1)
    return solvers


def size(*arrays: np.ndarray | None) -> float:
    """Return the size of arrays, in MiB."""
    return sum(array.nbytes for array in arrays if array is not None) / MIB


def measure_memory(matrix_file: str, name: str, small: bool) -> dict[str, float]:
    """Fit in this process and return the sizes, in MiB."""
    matrix = sparse.csr_array(sparse.load_npz(matrix_file))
    sides = zip(("user", "item"), matrix.shape, strict=True)
    users, items = (Vocabulary(np.arange(n, dtype=np.int64), kind=kind) for kind, n in sides)
    train = cf.Interactions(users, items, matrix)
    solver = memory_solvers(small)[name]
    tiny = cf.load_dataset(TINY)
    solver.fit(tiny.binary() if isinstance(solver, ImplicitALS) else tiny)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is resident
    before = status("VmRSS")
    model = solver.fit(train)
    peak = status("VmHWM")
    by_item = train.by_item
    kept = [array for part, array in model.extras.items() if part.endswith((".bias", ".weights"))]
    vectors = model.user_vectors, model.item_vectors, model.user_bias, model.item_bias
    return {
        "csr": size(matrix.data, matrix.indices, matrix.indptr),
        "transpose": size(by_item.data, by_item.indices, by_item.indptr),
        "vectors": size(*vectors, *kept),
        "before": before,
        "peak": peak,
    }


def measure_compilation() -> dict[str, tuple[float, float]]:
    """Return the seconds of each solver's first and second fit in this process."""
    ratings = cf.load_dataset(TINY)
    binary = ratings.binary()
    found = {}
    for name, solver in SOLVERS.items():
        train = binary if isinstance(solver, ImplicitALS) else ratings
        moments = [time.perf_counter()]
        for _ in range(2):
            solver.fit(train)
            moments.append(time.perf_counter())
        found[name] = (moments[1] - moments[0], moments[2] - moments[1])
    return found


def memory(results: Results, small: bool) -> None:
    stages = (SMALL_STAGE, SMALL_STAGE) if small else (STAGE, DRAWS_STAGE)
    with tempfile.TemporaryDirectory() as folder:
        files = {stage: f"{folder}/{number}.npz" for number, stage in enumerate(stages)}
        for stage, file in files.items():
            sparse.save_npz(file, sparse.csr_matrix(cf.load_dataset(stage).matrix), compressed=False)
        for name in memory_solvers(small):
            stage = stages[name.startswith("BayesianMF")]
            sizes = fresh(__file__, "measure_memory", files[stage], name, small)
            needed, rise = sizes["transpose"] + sizes["vectors"], sizes["peak"] - sizes["before"]
            over = 100 * (rise - needed) / (needed + sizes["csr"])
            shown = {part: round(figure, 1) for part, figure in (sizes | {"rise": rise, "needed": needed}).items()}
            ratings = f"{int(stage.split('x')[-1]):,}"
            results.add("Memory of a fit, MiB", solver=name, ratings=ratings, **shown, over=f"{over:.1f} %")


def compilation(results: Results, rounds: int) -> None:
    first, later = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            first.append(fresh(__file__, "measure_compilation", NUMBA_CACHE_DIR=folder))
            later.append(fresh(__file__, "measure_compilation", NUMBA_CACHE_DIR=folder))
    sums = np.zeros(2)
    for name in SOLVERS:
        waits = [short(float(np.median([run[name][0] - run[name][1] for run in runs]))) for runs in (first, later)]
        sums += waits
        results.add("Seconds of waiting for compilation", solver=name, first_ever=waits[0], later_process=waits[1])
    everything = {"first_ever": short(float(sums[0])), "later_process": short(float(sums[1]))}
    results.add("Seconds of waiting for compilation", solver="all, in this order, in one process", **everything)


def main() -> None:
    args = arguments(__doc__, rounds=3)
    stage = SMALL_STAGE if args.small else STAGE
    results = Results("memory_and_compile", args.small, {"stage": stage, "rounds": args.rounds})
    memory(results, args.small)
    compilation(results, 1 if args.small else args.rounds)
    results.note(
        f"Memory: two epochs on `{stage}`, BayesianMF 65 sweeps on `{SMALL_STAGE if args.small else DRAWS_STAGE}`; the "
        f"kept draws are its vectors. Compilation: `{TINY}`; each kernel is paid for once."
    )
    results.write()


if __name__ == "__main__":
    main()
