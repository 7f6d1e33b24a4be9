"""What reading takes: processor seconds and peak memory, beside polars' plain read and a plain pipeline on it.

Claims: reading, with all checks, takes at most 0.8 of the plain pipeline's time, and at its highest no more than
40 bytes a rating beyond the table.

How: made-up ratings in random order, as csv and Parquet, with times: with integer ids, with texts, and with a tenth of
the pairs repeated. The plain pipeline is polars' read, dense ranks of both ids (texts: polars' categories, in no order)
and SciPy's csr with sorted indices: no checks, no times, no ids kept. *polars* is the read alone. Each figure is from a
process of its own that has imported everything and read a small file before; they take turns. *bytes beyond* is the
peak of resident memory, less what was there before, less the arrays of the table, over the number of ratings.

Run: ``python benchmarks/reading.py [--small] [--rounds 3] [--largest 10]`` (millions of ratings).
"""

import functools
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from results import Results, arguments, fresh, in_turn, short, status, versus
from scipy import sparse

import cofactor as cf

KINDS = ("integers", "texts", "integers, repeated")
FILES = "Files and frames, beside the plain pipeline"
DATABASE = "read_sql from SQLite, beside SQLAlchemy's rows as arrays"
MADE_UP = "load_dataset of a synthetic set"
DOORS = ("read_csv", "read_parquet", "from_frame")


def write(folder: Path, name: str, kind: str) -> None:
    """Write the ratings of one kind as csv and Parquet."""
    frame = cf.load_dataset(name).to_frame().select("user", "item", "value", "timestamp")
    if kind.endswith("repeated"):
        again = frame.sample(len(frame) // 10, seed=2).with_columns(pl.col("timestamp") + 60)
        frame = pl.concat([frame.sample(len(frame) - len(again), seed=3), again])
    frame = frame.sample(fraction=1.0, shuffle=True, seed=1)
    if kind == "texts":
        frame = frame.with_columns(pl.format("user-{}", "user").alias("user"), pl.format("B{}X", "item").alias("item"))
    frame.write_csv(folder / "ratings.csv")
    frame.write_parquet(folder / "ratings.parquet")


def source(folder: str, door: str) -> Callable[[], pl.DataFrame]:
    """Return polars' plain read of the file that a call of ours reads."""
    if door == "read_csv":
        return functools.partial(pl.read_csv, Path(folder) / "ratings.csv")
    return functools.partial(pl.read_parquet, Path(folder) / "ratings.parquet")


def ours(folder: str, door: str, small: str) -> dict[str, float]:
    """Read with one of our calls."""
    held = {at: source(at, door)() for at in (small, folder)} if door == "from_frame" else {}

    def read(at: str) -> cf.Interactions:
        if door == "from_frame":
            return cf.from_frame(held[at])
        return getattr(cf, door)(Path(at) / f"ratings.{door.removeprefix('read_')}")

    return measured(lambda: read(small), lambda: read(folder), size_of)


def plain(folder: str, door: str, small: str) -> dict[str, float]:
    """Read with polars, rank the ids, and assemble SciPy's matrix."""
    held = {at: source(at, door)() for at in (small, folder)} if door == "from_frame" else {}

    def read(at: str) -> sparse.csr_array:
        frame = held[at] if held else source(at, door)()
        rows, columns = (places(frame[side]) for side in ("user", "item"))
        matrix = sparse.coo_array((frame["value"].to_numpy().astype(np.float32), (rows, columns))).tocsr()
        matrix.sort_indices()
        return matrix

    return measured(lambda: read(small), lambda: read(folder), _matrix_size)


def places(ids: pl.Series) -> np.ndarray:
    """Number ids: integers by dense ranks, texts as categories, which is ten times as fast."""
    if ids.dtype == pl.String:
        return ids.cast(pl.Categorical(pl.Categories.random())).to_physical().to_numpy()
    return ids.rank("dense").to_numpy() - 1


def bare(folder: str, door: str, small: str) -> dict[str, float]:
    """Read with polars and do nothing."""
    return measured(source(small, door), source(folder, door), lambda frame: (frame.estimated_size(), len(frame)))


def synthetic(name: str, small: str) -> dict[str, float]:
    """Make up a table."""
    return measured(lambda: cf.load_dataset(small), lambda: cf.load_dataset(name), size_of)


def from_sql(folder: str, small: str) -> dict[str, float]:
    """Read a table of SQLite."""
    query = "select user, item, value, timestamp from ratings"
    urls = [f"sqlite:///{at}/ratings.db" for at in (small, folder)]
    return measured(lambda: cf.read_sql(query, urls[0]), lambda: cf.read_sql(query, urls[1]), size_of)


def cursor(folder: str, small: str) -> dict[str, float]:
    """Fetch the same rows as SQLAlchemy gives them, and make columns of them."""
    import sqlalchemy

    def read(at: str) -> list[np.ndarray]:
        engine = sqlalchemy.create_engine(f"sqlite:///{at}/ratings.db")
        with engine.connect() as connection:
            rows = connection.execute(sqlalchemy.text("select user, item, value, timestamp from ratings")).fetchall()
        return [np.array(column) for column in zip(*rows, strict=True)]

    return measured(lambda: read(small), lambda: read(folder), lambda found: (sum(map(_bytes, found)), len(found[0])))


def write_sql(folder: Path) -> None:
    """Write the ratings of a folder as a table of SQLite, too."""
    import sqlite3

    frame = pl.read_parquet(folder / "ratings.parquet")
    with sqlite3.connect(folder / "ratings.db") as database:
        database.execute("create table ratings (user integer, item integer, value real, timestamp integer)")
        database.executemany("insert into ratings values (?, ?, ?, ?)", frame.iter_rows())


def measured(
    first: Callable[[], Any], call: Callable[[], Any], size: Callable[[Any], tuple[int, int]]
) -> dict[str, float]:
    """Run a call after a small one; return its processor seconds and its peak of memory, in bytes a rating."""
    first()
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten (Linux)
    before, start = status("VmRSS"), time.process_time()
    found = call()
    seconds = time.process_time() - start
    held, count = size(found)
    return {"seconds": seconds, "beyond": ((status("VmHWM") - before) * 2**20 - held) / count}


def size_of(table: cf.Interactions) -> tuple[int, int]:
    """Return the bytes of a table's arrays, and its number of ratings."""
    arrays = (table.matrix.data, table.matrix.indices, table.matrix.indptr, table.timestamps, table.order)
    return sum(map(_bytes, arrays)), len(table)


def _matrix_size(matrix: sparse.csr_array) -> tuple[int, int]:
    return matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes, matrix.nnz


def _bytes(array: np.ndarray | None) -> int:
    return 0 if array is None else array.nbytes


def row(first: dict[str, Any], mine: Any, theirs: Any) -> dict[str, Any]:
    """Compare the runs of two calls."""
    seconds = versus([run["seconds"] for run in mine], [run["seconds"] for run in theirs])
    beyond = [round(float(np.median([run["beyond"] for run in runs]))) for runs in (mine, theirs)]
    return first | seconds | {"bytes beyond": beyond[0], "peer's": beyond[1]}


def main() -> None:
    settings = arguments(__doc__, rounds=3, largest=10)
    results = Results("reading", settings.small, {"rounds": settings.rounds})
    sizes = [100_000] if settings.small else [n * 10**6 for n in (1, 10, 100) if n <= settings.largest]
    run = functools.partial(fresh, __file__)
    with tempfile.TemporaryDirectory() as home:
        little = Path(home) / "little"
        for kind in KINDS:
            at = little / kind
            at.mkdir(parents=True)
            write(at, "synthetic:200x100x5000", kind)
        write_sql(little / KINDS[0])
        for n in sizes:
            name = f"synthetic:{n // 100}x{max(n // 500, 1000)}x{n}"
            for kind in KINDS:
                at = Path(home) / f"{n} {kind}"
                at.mkdir()
                write(at, name, kind)
                for door in DOORS:
                    call = (str(at), door, str(little / kind))
                    mine, theirs = in_turn(
                        settings.rounds, lambda c=call: run("ours", *c), lambda c=call: run("plain", *c)
                    )
                    polars = np.median([run("bare", *call)["seconds"] for _ in range(settings.rounds)])
                    what = {"ratings": f"{n:,}", "call": door, "ids": kind}
                    results.add(FILES, **row(what, mine, theirs), polars=short(float(polars)))
                if kind == KINDS[0] and n <= 10**6:
                    write_sql(at)
                    ends = str(at), str(little / kind)
                    mine, theirs = in_turn(
                        settings.rounds, lambda c=ends: run("from_sql", *c), lambda c=ends: run("cursor", *c)
                    )
                    results.add(DATABASE, **row({"ratings": f"{n:,}"}, mine, theirs))
                for file in at.iterdir():
                    file.unlink()
            made = [run("synthetic", name, "synthetic:200x100x5000") for _ in range(settings.rounds)]
            seconds, beyond = (float(np.median([one[what] for one in made])) for what in ("seconds", "beyond"))
            results.add(MADE_UP, ratings=f"{n:,}", seconds=short(seconds), **{"bytes beyond": round(beyond)})
    results.write()


if __name__ == "__main__":
    main()
