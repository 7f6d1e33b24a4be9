"""Lists for everyone and evaluation on Spark: those of one machine, on the same vectors."""

import json
import os
import shutil
import sys
from dataclasses import asdict
from importlib.util import find_spec

import numpy as np
import polars as pl
import pytest
from scipy import sparse

import cofactor as cf
from cofactor.errors import SettingError
from cofactor.model.factors import Factors

pytestmark = [
    pytest.mark.skipif(find_spec("pyspark") is None, reason="pyspark is not installed: cofactor[spark] brings it"),
    pytest.mark.skipif(
        shutil.which("java") is None and "JAVA_HOME" not in os.environ,
        reason="Java is not installed, and Spark needs it",
    ),
]


@pytest.fixture(scope="module")
def spark():
    from pyspark.sql import SparkSession

    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "4",
        "spark.driver.host": "127.0.0.1",
        "spark.executorEnv.PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "spark.log.level": "ERROR",
    }
    session = SparkSession.builder.master("local[2]").appName("tests").config(map=settings).getOrCreate()
    yield session
    session.stop()


def write_folder(model: Factors, folder, parts: int = 3):
    """Write a model as a folder of Parquet files, rows scattered over the files and out of order."""
    card = {
        "format": 1, "kind": "cofactor-factors", "rank": model.rank, "mean": model.mean,
        "objective": asdict(model.objective), "origin": {}, "n_users": model.n_users, "n_items": model.n_items,
        "user_bias": model.user_bias is not None, "item_bias": model.item_bias is not None,
    }  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps(card))
    for side in ("user", "item"):
        table = pl.DataFrame(
            {
                "id": getattr(model, f"{side}s").ids,
                "row": np.arange(len(getattr(model, f"{side}s")), dtype=np.int32),
                "vector": pl.Series(list(getattr(model, f"{side}_vectors")), dtype=pl.List(pl.Float32)),
            }
        )
        if (bias := getattr(model, f"{side}_bias")) is not None:
            table = table.with_columns(bias=pl.Series(bias))
        if side == "item" and model.texts.titles is not None:
            table = table.with_columns(title=model.texts.titles)
        _write_parts(table, folder / f"{side}s", parts)
    seen = model.seen.tocoo()
    pairs = pl.DataFrame({"user_row": seen.row, "item_row": seen.col, "value": seen.data.astype(np.float32)})
    _write_parts(pairs, folder / "seen", parts)
    return folder


def _write_parts(table: pl.DataFrame, folder, parts: int) -> None:
    folder.mkdir()
    scattered = table.sample(fraction=1, shuffle=True, seed=0)
    for part in range(parts):
        scattered.gather_every(parts, part).write_parquet(folder / f"part-{part:05}.parquet")


def read_lists(output) -> pl.DataFrame:
    return pl.read_parquet(f"{output}/*.parquet").sort("user", "place")


def one_machine(model: Factors, n: int, **choices) -> pl.DataFrame:
    return model.recommend(model.users.ids, n, **choices).sort("user", "place")


def made_up(n_users=300, n_items=120, rank=8, *, strings=False, biased=True, titles=None, seed=0) -> Factors:
    """A model of small whole numbers, so that many scores are equal; user 0 has seen everything."""
    random = np.random.default_rng(seed)
    seen = sparse.random_array((n_users, n_items), density=0.1, rng=random, format="lil", dtype=np.float32)
    seen[0] = 1
    return Factors.from_arrays(
        random.integers(-2, 3, (n_users, rank)),
        random.integers(-2, 3, (n_items, rank)),
        users=[f"u{row:04}" for row in range(n_users)] if strings else None,
        items=[f"i{row * 7 % n_items:04}" for row in range(n_items)] if strings else None,
        user_bias=random.integers(-2, 3, n_users) if biased else None,
        item_bias=random.integers(-2, 3, n_items) if biased else None,
        mean=3.5 if biased else 0.0,
        seen=seen.tocsr(),
        titles=titles,
    )


@pytest.mark.parametrize("partitions", [1, 2, 8])
def test_lists_are_those_of_one_machine_however_users_are_divided(spark, tmp_path, partitions):
    from cofactor.spark.lists import recommend_all

    model = made_up()
    folder = write_folder(model, tmp_path / "model", parts=partitions)
    written = recommend_all(folder, tmp_path / "lists", 10, partitions=partitions, spark=spark)
    assert written == f"file://{tmp_path}/lists"
    found = read_lists(tmp_path / "lists")
    assert found.equals(one_machine(model, 10))
    assert 0 not in found["user"]  # who has seen everything


def test_text_ids_titles_and_lists_longer_than_the_catalogue(spark, tmp_path):
    from cofactor.spark.lists import recommend_all

    titles = [None if row % 5 == 0 else f"film {row}" for row in range(40)]
    model = made_up(50, 40, strings=True, biased=False, titles=titles)
    recommend_all(write_folder(model, tmp_path / "model"), tmp_path / "lists", 1200, spark=spark)
    assert read_lists(tmp_path / "lists").equals(one_machine(model, 1200))


def test_seen_items_come_back_where_they_may(spark, tmp_path):
    from cofactor.spark.lists import recommend_all

    model = made_up()
    recommend_all(write_folder(model, tmp_path / "model"), tmp_path / "lists", 5, exclude_seen=False, spark=spark)
    assert read_lists(tmp_path / "lists").equals(one_machine(model, 5, exclude_seen=False))


def test_finished_lists_are_not_written_over(spark, tmp_path):
    from cofactor.spark.lists import recommend_all

    folder = write_folder(made_up(20, 10), tmp_path / "model")
    (tmp_path / "lists" / "_temporary").mkdir(parents=True)  # of a job that was stopped
    recommend_all(folder, tmp_path / "lists", 3, spark=spark)
    before = read_lists(tmp_path / "lists")
    with pytest.raises(SettingError, match="is there already: give the name of another folder"):
        recommend_all(folder, tmp_path / "lists", 4, spark=spark)
    assert read_lists(tmp_path / "lists").equals(before)


def test_a_folder_that_is_no_model_is_named(spark, tmp_path):
    from cofactor.spark.lists import recommend_all

    with pytest.raises(cf.errors.ModelFileError, match=r"holds no model\.json"):
        recommend_all(tmp_path, tmp_path / "lists", spark=spark)
