"""Two hundred million ratings within a limit of memory: what a fit holds, and what that costs in time.

Claims: made on disk, opened with ``memory="4GB"`` and trained on, 200 million ratings of 2 million users and 200,000
items never take 6 GB of resident memory: neither for one iteration of ImplicitALS at rank 64 nor for one epoch of
KerasMF. The time per rating is at most 1.5 times that of the same training in memory.

How: each step is a process of its own that imports, compiles on a tiny set, resets its peak, and then watches
``/proc/self/status`` every 20 ms. *anonymous* is the peak of RssAnon: what the process made and the system could only
swap out. *mapped* is the peak of RssFile, pages of files that the system drops when it needs room; Python's libraries
are in it. *resident* is VmHWM, the peak of both together, which is held against 6 GB. All in MiB. Saving, lists and an
evaluation of the model that was saved are steps, too. Pages of files that are written or read, but not mapped, belong
to no process and are counted nowhere.

Before each training the files' pages are dropped (``posix_fadvise``), so that it starts from disk. ImplicitALS in
memory is the same set, its arrays copied into memory first; KerasMF in memory is a set of as many users and items, and
so of as large tables, with a tenth of the ratings. KerasMF's seconds are those between its first step and its last,
which leaves compilation out.

Run: ``python benchmarks/out_of_core.py [--small]``. It puts up to 17 GB where TMPDIR says, and removes them at the end;
stopped before, the next run of the same commit goes on after the last step that was done.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from results import Results, arguments, fresh, short, status
from scipy import sparse

import cofactor as cf
from cofactor.data.array_store import MEMORY
from cofactor.evaluation import evaluate
from cofactor.evaluation.held_out import without_training_rows
from cofactor.solvers import ImplicitALS

STAGE, SMALL_STAGE = "synthetic:2000000x200000x200000000", "synthetic:40000x4000x2000000"
FITS, SMALL_FITS = "synthetic:2000000x200000x20000000", "synthetic:40000x4000x400000"
TESTED, SMALL_TESTED = "synthetic:2000000x200000x300000:7", "synthetic:40000x4000x40000:7"
MOST_RESIDENT, MOST_TIMES = 6e9 / 2**20, 1.5
LIMIT, SMALL_LIMIT = "4GB", "64MB"
RANK, BATCH, SMALL_BATCH, LISTED = 64, 1 << 20, 1 << 16, 100_000
MIB, NANO = 2**20, 1e9
TINY = "synthetic:60x40x600"


def watched(step: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Run a step; return what it returns, its seconds, and the peaks of memory meanwhile, in MiB."""
    peaks, over = {"RssAnon": 0.0, "RssFile": 0.0}, threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            for name in peaks:
                peaks[name] = max(peaks[name], status(name))

    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what is resident
    before = status("RssAnon")
    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        result = step()
    finally:
        seconds = time.perf_counter() - start
        over.set()
        watcher.join()
    resident = status("VmHWM")
    return result, {
        "seconds": seconds,
        "before": before,
        "anonymous": peaks["RssAnon"],
        "mapped": peaks["RssFile"],
        "resident": resident,
    }


def write(stage: str, folder: str) -> dict[str, float]:
    return watched(lambda: cf.write_synthetic(stage, folder))[1]


def build(folder: str, cache: str, limit: str) -> dict[str, float]:
    return watched(lambda: cf.open_parquet(folder, time="time", memory=limit, cache=cache))[1]


def opened(folder: str, cache: str, limit: str) -> cf.Interactions:
    """Open what was built, with none of its pages in memory."""
    for file in Path(cache).rglob("*.npy"):
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
            os.posix_fadvise(handle.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return cf.open_parquet(folder, time="time", memory=limit, cache=cache)


def in_memory(table: cf.Interactions) -> cf.Interactions:
    """Copy the arrays of a table into memory, but for the times, which no solver reads."""
    copies = []
    for matrix in (table.matrix, table.by_item):
        arrays = (np.array(array) for array in (matrix.data, matrix.indices, matrix.indptr))
        copies.append(sparse.csr_array(tuple(arrays), shape=matrix.shape, copy=False))
        copies[-1].has_canonical_format = True
    new = cf.Interactions(table.users, table.items, copies[0], name=table.name, array_store=MEMORY)
    new.__dict__["by_item"] = copies[1]
    return new


def iterate(folder: str, cache: str, limit: str, where: str, model: str) -> dict[str, float]:
    """Take one iteration of ImplicitALS, from disk or from memory; from disk, save the model too."""
    solver = ImplicitALS(rank=RANK, epochs=1, seed=0)
    solver.fit(cf.load_dataset(TINY).binary())
    table = opened(folder, cache, limit)
    table = in_memory(table) if where == "memory" else table
    fitted, figures = watched(lambda: solver.fit(table))
    figures |= {"ratings": len(table), "objective": fitted.history["objective"][0]}
    if where == "disk":
        figures["save"] = watched(lambda: fitted.save(model))[1]
    return figures


def answer(folder: str, cache: str, limit: str, model: str, lists: str) -> dict[str, float]:
    """Open the model and write lists as everyone's are written, for as many users as say what it holds."""
    loaded = cf.open_model(model)
    loaded.recommend([loaded.users[0]], n=10)
    some = loaded.users.ids[:LISTED]
    return watched(lambda: loaded.recommend_all(lists, n=10, users=some))[1] | {"ratings": len(some)}


def assess(model: str, tested: str) -> dict[str, float]:
    """Open the model, and measure its lists on those of other ratings that it was not trained on."""
    loaded, ratings = cf.open_model(model), cf.load_dataset(tested)
    tiny = cf.load_dataset(TINY).binary()
    warm = ImplicitALS(rank=RANK, epochs=1).fit(tiny)
    evaluate(warm, without_training_rows(warm, cf.load_dataset(f"{TINY}:2")), k=10)
    held_out, found = watched(lambda: without_training_rows(loaded, ratings))
    _, figures = watched(lambda: evaluate(loaded, held_out, k=10))
    worst = {name: max(found[name], figures[name]) for name in figures}
    return worst | {"seconds": found["seconds"] + figures["seconds"], "ratings": len(held_out)}


def descend(folder: str, cache: str, limit: str, where: str, stage: str, batch: int) -> dict[str, float]:
    """Take one epoch of KerasMF, from disk, or from memory on a set that fits."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    from cofactor.solvers.keras_mf import KerasMF

    KerasMF(epochs=1, batch_size=64).fit(cf.load_dataset(TINY))
    table = cf.load_dataset(stage) if where == "memory" else opened(folder, cache, limit)
    moments: list[float] = []
    clock = keras.callbacks.LambdaCallback(on_train_batch_end=lambda _, logs: moments.append(time.perf_counter()))
    solver = KerasMF(epochs=1, batch_size=batch, seed=0)
    fitted, figures = watched(lambda: solver.fit(table, keras_callbacks=[clock]))
    tables = 4 * (table.n_users + table.n_items + 2) * (solver.rank + 1) / MIB
    figures |= {"seconds": moments[-1] - moments[0], "tables": tables, "loss": fitted.history["loss"][0]}
    return figures | {"ratings": len(table) * (len(moments) - 1) / len(moments)}


def add(results: Results, step: str, ratings: float, figures: dict[str, float]) -> None:
    shown = {name: round(figures[name]) for name in ("before", "anonymous", "mapped", "resident")}
    results.add("Memory, MiB", step=step, ratings=f"{ratings:,.0f}", seconds=short(figures["seconds"]), **shown)


def compare(results: Results, solver: str, disk: dict[str, float], memory: dict[str, float]) -> None:
    """Add a row; ``asked`` is the most that the ratio is claimed to be."""
    of_disk, of_memory = (NANO * run["seconds"] / run["ratings"] for run in (disk, memory))
    results.add(
        "Nanoseconds a rating",
        solver=solver,
        from_disk=short(of_disk),
        in_memory=short(of_memory),
        ratio=round(of_disk / of_memory, 3),
        asked=MOST_TIMES,
    )


@dataclass(frozen=True)
class Steps:
    """The steps of a run, each done once: what one has measured lies in a file, where the next run finds it."""

    home: Path

    def measured(self, name: str, function: str, *settings: object) -> Any:
        """Return what a step measured, now or in a run that was stopped."""
        file = self.home / f"{name}.json"
        if not file.exists():
            file.with_suffix(".part").write_text(json.dumps(fresh(__file__, function, *settings)))
            file.with_suffix(".part").rename(file)
        return json.loads(file.read_text())


def main() -> None:
    args = arguments(__doc__)
    stage, fits, limit, batch = (
        (SMALL_STAGE, SMALL_FITS, SMALL_LIMIT, SMALL_BATCH) if args.small else (STAGE, FITS, LIMIT, BATCH)
    )
    results = Results("out_of_core", args.small, {"stage": stage, "fits": fits, "memory": limit, "batch": batch})
    tested = SMALL_TESTED if args.small else TESTED
    about = json.dumps([stage, fits, tested, limit, batch, code()]).encode()
    home = Path(tempfile.gettempdir()) / f"cofactor-out-of-core-{hashlib.blake2b(about, digest_size=6).hexdigest()}"
    home.mkdir(exist_ok=True)
    measure(results, Steps(home), stage, fits, tested, limit, batch)
    results.write()
    shutil.rmtree(home.resolve())


def code() -> str:
    """Return what the code is, so that no step of another is taken for one of this."""
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True
    ).stdout


def measure(results: Results, steps: Steps, stage: str, fits: str, tested: str, limit: str, batch: int) -> None:
    n, files = int(stage.split("x")[-1]), ("ratings", "cache", "m.safetensors", "l.parquet")
    folder, cache, model, lists = (str(steps.home / name) for name in files)
    where = folder, cache, limit
    add(results, "write the set as Parquet", n, steps.measured("write", "write", stage, folder))
    add(results, f"open_parquet, memory={limit}", n, steps.measured("build", "build", *where))
    disk = steps.measured("als-disk", "iterate", *where, "disk", model)
    add(results, f"ImplicitALS, rank {RANK}, from disk", n, disk)
    add(results, "save its model", n, disk["save"])
    memory = steps.measured("als-memory", "iterate", *where, "memory", model)
    add(results, f"ImplicitALS, rank {RANK}, in memory", n, memory)
    if disk["objective"] != memory["objective"]:
        raise SystemExit(f"the objectives differ: {disk['objective']!r} and {memory['objective']!r}")
    compare(results, "ImplicitALS", disk, memory)
    disk = steps.measured("keras-disk", "descend", *where, "disk", stage, batch)
    add(results, "KerasMF, rank 20, from disk", n, disk)
    memory = steps.measured("keras-memory", "descend", *where, "memory", fits, batch)
    add(results, "KerasMF, rank 20, in memory", int(fits.split("x")[-1]), memory)
    compare(results, "KerasMF", disk, memory)
    held = (disk["anonymous"] - disk["before"]) / disk["tables"]
    results.note(f"KerasMF held {held:.1f} times the size of its tables beyond what was there before.")
    listed = steps.measured("lists", "answer", *where, model, lists)
    users = listed["ratings"]
    add(results, f"open the model, top 10 for {users:,} users", n, listed)
    assessed = steps.measured("evaluation", "assess", model, tested)
    add(results, f"open the model, evaluate it on {assessed['ratings']:,} ratings", n, assessed)
    within = [row for row in results.tables["Memory, MiB"] if "in memory" not in row["step"]]
    most = max(row["resident"] for row in within)
    results.note(f"The most resident memory of a step within the limit: {most:,} MiB; asked {MOST_RESIDENT:,.0f}.")


if __name__ == "__main__":
    main()
