"""Top n for everyone on Spark, ours against MLlib's recommendForAllUsers: seconds, and whether the lists are the same.

Claim: on the large stage, 60,000 users and 20,000 items at rank 64, ours takes at most a fifth of MLlib's seconds, and
gives the same lists up to near ties, which MLlib decides by sums in single precision.

How: ImplicitALS learns the vectors from synthetic data (3 epochs), which are written as a model folder. Both are one
job of one session on ``local[2]``, read the vectors from that folder, and write n = 10 items for everyone as Parquet;
MLlib has its default block size and the Java vector instructions that Spark turns on. It cannot leave out what users
have seen, so what is compared is without; *with the seen left out* is ours alone. Before the runs that count, which
alternate, both have ranked a twentieth of the users, so that neither is timed while it compiles.

*same* is the share of places at which both have the same item; *apart* the largest difference between both scores at
a place, as a share of the score: where that is a matter of rounding, the lists differ in the order of ties at most.

Run: ``python benchmarks/spark.py [--small] [--rounds 2] [--n 10] [--rank 64]``.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from results import Results, arguments, in_turn, short, versus

import cofactor as cf
from cofactor.model.factors import Factors
from cofactor.solvers import ImplicitALS
from cofactor.spark.distributed_lists import recommend_all

STAGE = "synthetic:60000x20000x3000000"
SMALL_STAGE = "synthetic:3000x2000x60000"
ASKED = 0.2


@dataclass(frozen=True)
class Stage:
    """A session, a model folder, and where lists go."""

    spark: Any
    folder: Path
    n: int

    def ours(self, name: str = "ours", *, exclude_seen: bool = False, model: str = "model") -> float:
        """Return the seconds of our lists."""
        return self._timed(
            name, lambda to: recommend_all(self.folder / model, to, self.n, exclude_seen=exclude_seen, spark=self.spark)
        )

    def mllib(self, name: str = "mllib", model: str = "model") -> float:
        """Return the seconds of MLlib's."""
        from pyspark.ml.recommendation import ALSModel

        users, items = (self._vectors(self.folder / model / side) for side in ("users", "items"))
        make = self.spark._jvm.org.apache.spark.ml.recommendation.ALSModel
        peer = ALSModel(make("als", self.rank, users._jdf, items._jdf).setUserCol("user").setItemCol("item"))
        return self._timed(name, lambda to: peer.recommendForAllUsers(self.n).write.parquet(to))

    @property
    def rank(self) -> int:
        return int(json.loads((self.folder / "model" / "model.json").read_text())["rank"])

    def _vectors(self, folder: Path) -> Any:
        return self.spark.read.parquet(f"file://{folder}").selectExpr("int(row) as id", "vector as features")

    def _timed(self, name: str, write: Callable[[str], object]) -> float:
        shutil.rmtree(self.folder / name, ignore_errors=True)
        start = time.perf_counter()
        write(f"file://{self.folder / name}")
        return time.perf_counter() - start

    def agreement(self) -> tuple[float, float]:
        """Return the share of places with the same item, and the largest difference of scores there."""
        mine = pl.read_parquet(self.folder / "ours" / "*.parquet").sort("user", "position")
        peer = pl.read_parquet(self.folder / "mllib" / "*.parquet").sort("user").explode("recommendations")
        theirs = peer.unnest("recommendations").select("item", "rating")
        scores, ratings = mine["score"].to_numpy().astype(np.float64), theirs["rating"].to_numpy()
        same = (mine["item"] == theirs["item"] + 1).mean()  # ids count from 1, rows from 0
        return float(same), float(np.max(np.abs(scores - ratings) / np.maximum(np.abs(scores), 1e-3)))


def session() -> Any:
    """Start Spark on two cores of this machine."""
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {"spark.driver.memory": "4g", "spark.ui.enabled": "false", "spark.log.level": "ERROR"}
    address = dict.fromkeys(("spark.driver.host", "spark.driver.bindAddress"), "127.0.0.1")
    return SparkSession.builder.master("local[2]").config(map=settings | address).getOrCreate()


def write(model: Factors, users: int, folder: Path) -> None:
    """Write the first users of a model as a model folder."""
    folder.mkdir()
    card = {
        "format": 1, "kind": "cofactor-factors", "rank": model.rank, "mean": model.mean,
        "objective": asdict(model.objective), "origin": {}, "n_users": users, "n_items": model.n_items,
        "user_bias": False, "item_bias": False,
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(card))
    for side, count in (("user", users), ("item", model.n_items)):
        vectors = pl.Series(getattr(model, f"{side}_vectors")[:count], dtype=pl.Array(pl.Float32, model.rank))
        ids, rows = getattr(model, f"{side}s").ids[:count], np.arange(count, dtype=np.int32)
        table = pl.DataFrame({"id": ids, "row": rows, "vector": vectors.cast(pl.List(pl.Float32))})
        _write_parts(table, folder / f"{side}s")
    seen = model.seen[:users].tocoo()
    _write_parts(pl.DataFrame({"user_row": seen.row, "item_row": seen.col, "value": seen.data}), folder / "seen")


def _write_parts(table: pl.DataFrame, folder: Path, parts: int = 8) -> None:
    folder.mkdir()
    for part in range(parts):
        table.gather_every(parts, part).write_parquet(folder / f"part-{part}.parquet")


def main() -> None:
    args = arguments(__doc__, rounds=2, n=10, rank=64)
    data = cf.load_dataset(SMALL_STAGE if args.small else STAGE).binary()
    model = ImplicitALS(rank=args.rank, epochs=3, seed=0).fit(data)
    settings = {"n": args.n, "rank": args.rank, "rounds": args.rounds, "pyspark": metadata.version("pyspark")}
    results = Results("spark", args.small, settings)
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(session(), Path(folder), args.n)
        write(model, model.n_users, stage.folder / "model")
        write(model, max(1, model.n_users // 20), stage.folder / "part")
        stage.ours(model="part")  # compiles, and so do the next two
        stage.ours(model="part", exclude_seen=True)
        stage.mllib(model="part")
        mine, theirs = in_turn(args.rounds, stage.ours, stage.mllib)
        filtered = stage.ours("filtered", exclude_seen=True)
        same, apart = stage.agreement()
        stage.spark.stop()
    results.add(
        "Seconds of everyone's lists on Spark",
        users=model.n_users,
        items=model.n_items,
        **versus(mine, theirs),
        asked=ASKED,
        with_the_seen_left_out=short(filtered),
        same=round(same, 6),
        apart=short(apart, 2),
    )
    results.note(
        f"Lists of {args.n}, rank {args.rank}, `local[2]`, pyspark {settings['pyspark']}; the peer is MLlib's "
        "recommendForAllUsers. `same` is the share of places with the same item, `apart` the largest relative "
        "difference of the scores at a place."
    )
    results.write()


if __name__ == "__main__":
    main()
