"""What a fit takes besides time: memory, and the wait for compilation before the first result.

Claims: a fit of ImplicitALS needs at most the ratings by user, their transpose, the vectors, and 10 % more; the first
use of all solvers on a machine compiles for less than 20 s in all; later processes wait less than 0.5 s.

How: memory is the resident set of a fresh process (Linux, ``/proc/self/status``). The process loads the matrix, fits a
tiny one so that everything is imported and compiled, resets the peak through ``/proc/self/clear_refs``, and fits.
*before* is what is resident then, the matrix included; *rise* is how far the peak lies above it; *needed* is the size
of transpose and vectors; *over* is what the rise exceeds them by, in percent of matrix, transpose and vectors.

Compilation: a process with an empty ``NUMBA_CACHE_DIR`` fits every solver to a little data, each twice; then another
process does so with the cache that the first has left. *wait* is what the first fit takes longer than the second.
Imports are in neither.

Run: ``python benchmarks/memory_and_compile.py [--small] [--rounds 3]``.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from results import Results, arguments, short
from scipy import sparse

import cofactor as cf
from cofactor.data.vocabulary import Vocabulary
from cofactor.solvers import ALS, NMF, ImplicitALS
from cofactor.solvers.bayes import BayesianMF

STAGE, SMALL_STAGE = "synthetic:138493x26744x20000000", "synthetic:20000x5000x1000000"
TINY = "synthetic:60x40x600"
MIB = 2**20
CHAIN: dict[str, Any] = {"sweeps": 8, "burn_in": 4, "kept": 4}
SOLVERS: dict[str, Any] = {
    "ALS": ALS(epochs=1),
    "ImplicitALS, cholesky": ImplicitALS(epochs=1),
    "ImplicitALS, cg": ImplicitALS(epochs=1, method="cg"),
    "ImplicitALS, block, rank 256": ImplicitALS(rank=256, epochs=1, method="block"),
    "NMF": NMF(epochs=1),
    "BayesianMF": BayesianMF(**CHAIN),
    "BayesianMF, implicit": BayesianMF(implicit=True, **CHAIN),
    "BayesianMF, probit": BayesianMF(likelihood="probit", **CHAIN),
}


def status(name: str) -> float:
    """Return a line of the process's status, in MiB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024 / MIB


def measure_memory(matrix_file: str, rank: int, method: str) -> dict[str, float]:
    """Fit in this process and return the sizes, in MiB."""
    matrix = sparse.csr_array(sparse.load_npz(matrix_file))
    sides = zip(("user", "item"), matrix.shape, strict=True)
    users, items = (Vocabulary(np.arange(n, dtype=np.int64), kind=kind) for kind, n in sides)
    train = cf.Interactions(users, items, matrix)
    solver = ImplicitALS(rank=rank, epochs=2, method=method)  # type: ignore[arg-type]
    solver.fit(cf.load_dataset(TINY).binary())
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is resident
    before = status("VmRSS")
    model = solver.fit(train)
    peak = status("VmHWM")
    ratings = sum(array.nbytes for array in (matrix.data, matrix.indices, matrix.indptr)) / MIB
    transposed = sum(array.nbytes for array in (train.by_item.data, train.by_item.indices, train.by_item.indptr)) / MIB
    vectors = (model.user_vectors.nbytes + model.item_vectors.nbytes) / MIB
    return {"csr": ratings, "transpose": transposed, "vectors": vectors, "before": before, "peak": peak}


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


def fresh(function: str, *settings: object, **variables: str) -> Any:
    """Call a function of this file in a process of its own."""
    call = f"import json, memory_and_compile as m; print(json.dumps(m.{function}(*{settings!r})))"
    environment = {**os.environ, **variables, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", call], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def memory(results: Results, stage: str, ranks: tuple[int, ...]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/matrix.npz"
        sparse.save_npz(file, sparse.csr_matrix(cf.load_dataset(stage).binary().matrix), compressed=False)
        for rank in ranks:
            for method in ("cg", "cholesky"):
                sizes = fresh("measure_memory", file, rank, method)
                needed, rise = sizes["transpose"] + sizes["vectors"], sizes["peak"] - sizes["before"]
                over = 100 * (rise - needed) / (needed + sizes["csr"])
                shown = {name: round(size, 1) for name, size in (sizes | {"rise": rise, "needed": needed}).items()}
                results.add("Memory of a fit, MiB", rank=rank, method=method, **shown, over=f"{over:.1f} %")


def compilation(results: Results, rounds: int) -> None:
    first, later = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            first.append(fresh("measure_compilation", NUMBA_CACHE_DIR=folder))
            later.append(fresh("measure_compilation", NUMBA_CACHE_DIR=folder))
    sums = np.zeros(2)
    for name in SOLVERS:
        waits = [short(float(np.median([run[name][0] - run[name][1] for run in runs]))) for runs in (first, later)]
        sums += waits
        results.add("Seconds of waiting for compilation", solver=name, first_ever=waits[0], later_process=waits[1])
    everything = {"first_ever": short(float(sums[0])), "later_process": short(float(sums[1]))}
    results.add("Seconds of waiting for compilation", solver="all, in this order, in one process", **everything)


def main() -> None:
    args = arguments(__doc__, rounds=3)
    stage, ranks = (SMALL_STAGE, (16,)) if args.small else (STAGE, (64, 128))
    results = Results("memory_and_compile", args.small, {"stage": stage, "rounds": args.rounds})
    memory(results, stage, ranks)
    compilation(results, 1 if args.small else args.rounds)
    results.note(f"Memory: two epochs on `{stage}`, made binary. Compilation: `{TINY}`; each kernel is paid for once.")
    results.write()


if __name__ == "__main__":
    main()
