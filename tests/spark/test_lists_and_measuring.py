"""Lists for everyone and evaluation on Spark: those of one machine, on the same vectors."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from clisupport import as_json, run
from scipy import sparse

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.data.metadata import Metadata
from cofactor.errors import DataError, ModelFileError, SettingError
from cofactor.evaluation.report import evaluate as evaluate_here
from cofactor.lists import AtMost, Boost, Calibrate, Diversify, Pin, Promote
from cofactor.model.factors import Factors, evolved
from cofactor.model.folder import FOLDER_FORMAT, KIND
from cofactor.solvers import ALS, ImplicitALS

STORED = Path(__file__).parents[1] / "stored"
OLDER = sorted(STORED.glob("*/model-folders/*/model.json"))


@pytest.fixture(scope="module", autouse=True)
def _few_partitions(spark):
    """Keep shuffles small: the data are."""
    before = spark.conf.get("spark.sql.shuffle.partitions")
    spark.conf.set("spark.sql.shuffle.partitions", "2")
    yield
    spark.conf.set("spark.sql.shuffle.partitions", before)


def write_folder(model: Factors, folder, parts: int = 3):
    """Write a model as a folder of Parquet files, rows scattered over the files and out of order."""
    card = {
        "format": FOLDER_FORMAT, "kind": KIND, "rank": model.rank, "mean": model.mean,
        "objective": model.objective.to_dict(), "preparation": model.preparation.to_dict(),
        "origin": asdict(model.origin), "n_users": model.n_users, "n_items": model.n_items, "n_seen": model.seen.nnz,
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
        if side == "item":
            plain = ("title", "genres")
            known = model.metadata.items.iter_columns()
            table = table.with_columns(
                one.alias(f"{'' if one.name in plain else 'attribute_'}{one.name}") for one in known
            )
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
    return pl.read_parquet(f"{output}/*.parquet").sort("user", "position")


def one_machine(model: Factors, n: int, **choices) -> pl.DataFrame:
    return model.recommend(model.users.ids, n, on_unknown="skip", **choices).sort("user", "position")


def made_up(n_users=300, n_items=120, rank=8, *, strings=False, biased=True, titles=None, seed=0) -> Factors:
    """A model of small whole numbers, so that many scores are equal; user 0 has seen everything."""
    random = np.random.default_rng(seed)
    seen = sparse.random_array((n_users, n_items), density=0.1, random_state=random, format="lil", dtype=np.float32)
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
    from cofactor.spark.distributed_lists import recommend_all

    model = made_up()
    folder = write_folder(model, tmp_path / "model", parts=partitions)
    written = recommend_all(folder, tmp_path / "lists", 10, partitions=partitions, spark=spark)
    assert written == f"file://{tmp_path}/lists"
    found = read_lists(tmp_path / "lists")
    assert found.equals(one_machine(model, 10))
    assert 0 not in found["user"]  # who has seen everything


def test_text_ids_titles_and_lists_longer_than_the_catalogue(spark, tmp_path):
    from cofactor.spark.distributed_lists import recommend_all

    titles = [None if row % 5 == 0 else f"film {row}" for row in range(40)]
    model = made_up(50, 40, strings=True, biased=False, titles=titles)
    recommend_all(write_folder(model, tmp_path / "model"), tmp_path / "lists", 1200, spark=spark)
    assert read_lists(tmp_path / "lists").equals(one_machine(model, 1200))


def with_goods(model: Factors) -> Factors:
    n = model.n_items
    goods = pl.DataFrame(
        {
            "genres": [["Comedy|War", "War", None][k % 3] for k in range(n)],
            "price": [None if k % 7 == 0 else float(k) for k in range(n)],
            "tags": pl.Series([["a", "b"][: k % 3] for k in range(n)], dtype=pl.List(pl.String)),
        }
    )
    return evolved(model, metadata=Metadata(goods))


CHOICES = {
    "where": {"where": "price < 40 and 'War' in genres"},
    "expression": {"where": pl.col("price").is_null() | pl.col("tags").list.contains("b")},
    "candidates": {"candidates": ["i0007", "i0014", "i0021", "no such"], "where": "price > 0"},
    "exclude": {"exclude": ["i0007", "i0014"]},
    "pairs to choose from": {
        "candidates": pl.DataFrame({"user": ["u0003", "u0003", "u0004"], "item": ["i0007", "i0014", "i0021"]})
    },
    "pairs left out": {"exclude": pl.DataFrame({"user": ["u0003"] * 60, "item": [f"i{k:04}" for k in range(60)]})},
    "rules": {"rerank": [AtMost(2, per="genres"), Diversify("tags", 0.4)], "where": "price > 3"},
    "more rules": {
        "rerank": [Boost("price > 80", 3.0), Calibrate("genres"), Promote(["i0007"], 0.2), Pin({1: "i0014"})]
    },
    "a condition that promotes": {"rerank": [Promote(pl.col("price") > 90, 0.3)], "exclude_seen": False},
}


def test_conditions_and_rules_give_the_lists_of_one_machine(spark, tmp_path):
    from cofactor.spark.distributed_lists import recommend_all

    model = with_goods(made_up(80, 120, strings=True))
    folder = write_folder(model, tmp_path / "model")
    for name, choices in CHOICES.items():
        recommend_all(folder, tmp_path / name, 10, spark=spark, partitions=2, **choices)
        expected = one_machine(model, 10, **choices)
        assert expected.height
        assert read_lists(tmp_path / name).equals(expected), name


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"where": "prise < 3"}, "did you mean 'price'"), ({"rerank": [AtMost(2, per="brand")]}, "no column 'brand'"),
        ({"rerank": [Boost("prise < 3", 1.0)]}, "did you mean 'price'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_items_is_refused_before_anything_is_made(spark, tmp_path, choices, said):
    from cofactor.spark.distributed_lists import recommend_all

    folder = write_folder(with_goods(made_up(20, 30)), tmp_path / "model")
    with pytest.raises(SettingError, match=said):
        recommend_all(folder, tmp_path / "lists", spark=spark, **choices)
    assert not (tmp_path / "lists").exists()


def test_the_command_takes_conditions_and_rules_to_the_cluster(spark, tmp_path):
    model = with_goods(made_up(40, 60, strings=True))
    folder = write_folder(model, tmp_path / "model")
    options = ("--where", "price > 5", "--at-most", "2", "--per", "genres")
    run("recommend", folder, "--all", "-o", tmp_path / "lists", "--master", spark.sparkContext.master, *options)
    expected = one_machine(model, 10, where="price > 5", rerank=[AtMost(2, per="genres")])
    assert read_lists(tmp_path / "lists").equals(expected)


def test_seen_items_come_back_where_they_may(spark, tmp_path):
    from cofactor.spark.distributed_lists import recommend_all

    model = made_up()
    recommend_all(write_folder(model, tmp_path / "model"), tmp_path / "lists", 5, exclude_seen=False, spark=spark)
    assert read_lists(tmp_path / "lists").equals(one_machine(model, 5, exclude_seen=False))


@pytest.mark.parametrize("exclude_seen", [True, False])
def test_users_without_history_get_no_list(spark, tmp_path, exclude_seen):
    from cofactor.spark.distributed_lists import recommend_all

    data = cf.load_dataset("synthetic:40x30x400").to_frame().select("user", "item", value=pl.lit(1.0, pl.Float32))
    nothing = pl.col("user").is_in([3, 17])
    train = table_of(data.with_columns(value=pl.when(nothing).then(0.0).otherwise(1.0)))
    model = ImplicitALS(rank=3, epochs=2, seed=0).fit(train)
    recommend_all(
        write_folder(model, tmp_path / "model"), tmp_path / "lists", 5, exclude_seen=exclude_seen, spark=spark
    )
    found = read_lists(tmp_path / "lists")
    assert found.equals(one_machine(model, 5, exclude_seen=exclude_seen))
    assert not {3, 17} & set(found["user"])


def test_finished_lists_are_not_written_over(spark, tmp_path):
    from cofactor.spark.distributed_lists import recommend_all

    folder = write_folder(made_up(20, 10), tmp_path / "model")
    (tmp_path / "lists" / "_temporary").mkdir(parents=True)  # of a job that was stopped
    recommend_all(folder, tmp_path / "lists", 3, spark=spark)
    before = read_lists(tmp_path / "lists")
    with pytest.raises(SettingError, match="already exists: give another folder"):
        recommend_all(folder, tmp_path / "lists", 4, spark=spark)
    assert read_lists(tmp_path / "lists").equals(before)


def test_a_folder_that_is_no_model_is_named(spark, tmp_path):
    from cofactor.spark.distributed_lists import recommend_all

    with pytest.raises(ModelFileError, match=r"holds no model\.json"):
        recommend_all(tmp_path, tmp_path / "lists", spark=spark)


@pytest.mark.parametrize("card", OLDER, ids=lambda card: f"{card.parts[-4]}-{card.parts[-2]}")
def test_folders_that_earlier_versions_wrote_give_the_lists_of_one_machine(spark, tmp_path, card):
    from cofactor.spark.distributed_lists import recommend_all

    recommend_all(card.parent, tmp_path / "lists", 4, spark=spark)
    found, expected = read_lists(tmp_path / "lists"), one_machine(cf.load(card.parent), 4)
    columns = ["user", "position", "item"]
    assert found.select(columns).equals(expected.select(columns).cast(found.select(columns).schema))
    assert found["score"].to_numpy() == pytest.approx(expected["score"].to_numpy(), abs=1e-6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format": FOLDER_FORMAT + 1}, "reads up to .*: pip install --upgrade cofactor"),
        ({"format": "one"}, "unknown format version, 'one': copy it whole or train it again"),
        ({"kind": "diary"}, "says 'diary'"),
    ],
)
def test_a_folder_that_cannot_be_read_is_refused_as_on_one_machine(spark, tmp_path, change, reason):
    from cofactor.spark.distributed_lists import recommend_all

    folder = write_folder(made_up(20, 10), tmp_path / "model")
    card = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**card, **change}))
    for read in (cf.load, lambda path: recommend_all(path, tmp_path / "lists", spark=spark)):
        with pytest.raises(ModelFileError, match=reason):
            read(folder)


def frame_of(spark, ratings):
    """Return interactions as a frame of Spark's."""
    return spark.createDataFrame(ratings.to_frame().select("user", "item", "value").to_arrow())


def assert_same(found, expected) -> None:
    metrics = {name: value for name, value in found.metrics.items() if name != "known_share"}
    assert metrics == pytest.approx(dict(expected.metrics), rel=1e-12, nan_ok=True)
    names = (
        "n_test",
        "n_unknown",
        "n_users",
        "n_without_relevant",
        "n_without_history",
        "n_items_without_history",
        "protocol",
    )
    assert [getattr(found, name) for name in names] == [getattr(expected, name) for name in names]


@pytest.fixture(scope="module")
def rated():
    """Training and held-out ratings, and a model of the former with biases."""
    train, test = cf.load_dataset("synthetic:120x60x2400").split_random(test_fraction=0.25, seed=0)
    return train, test, ALS(rank=4, epochs=2, seed=0).fit(train)


@pytest.mark.parametrize("partitions", [1, 2, 8])
def test_figures_are_those_of_one_machine_however_ratings_are_divided(spark, tmp_path, rated, partitions):
    from cofactor.spark.measuring import evaluate

    _, test, model = rated
    folder = write_folder(model, tmp_path / "model", parts=partitions)
    found = evaluate(folder, frame_of(spark, test).repartition(partitions), k=[1, 10], relevant_from=4, spark=spark)
    assert_same(found, evaluate_here(model, test, k=[1, 10], relevant_from=4))
    assert found["known_share"] == found.n_test / len(test) > 0.9


def test_lists_of_a_model_for_ranking_with_text_ids(spark, tmp_path):
    from cofactor.spark.measuring import evaluate
    from cofactor.spark.reading import Layout

    data = (
        cf.load_dataset("synthetic:80x50x1200")
        .to_frame()
        .select(user="u" + pl.col("user").cast(pl.String), item=pl.col("item").cast(pl.String))
    )
    train, test = Interactions.from_columns(data["user"], data["item"]).split_random(test_fraction=0.25, seed=0)
    model = ImplicitALS(rank=4, epochs=2, seed=0).fit(train)
    test.to_frame().select(reader="user", book="item").write_csv(tmp_path / "test.csv")
    layout = Layout(user="reader", item="book", value=None)
    found = evaluate(write_folder(model, tmp_path / "model"), tmp_path / "test.csv", layout=layout, spark=spark)
    assert_same(found, evaluate_here(model, test))


def test_newcomers_are_placed_by_what_is_given_and_the_rest_is_counted(spark, tmp_path, rated):
    from cofactor.spark.measuring import evaluate

    train, test, _ = rated
    later = pl.col("user") > 100
    known = pl.col("item") != 7
    everything = train.to_frame().select("user", "item", "value")
    model = ALS(rank=4, epochs=2, seed=0).fit(table_of(everything.filter(~later & known)))
    news = everything.filter((later | (pl.col("user") < 5)) & (pl.col("user") != 110) & known)
    given = pl.concat([news.filter(later), news.filter(~later).with_columns(pl.lit(1.0, pl.Float32).alias("value"))])
    tested = test.to_frame().select("user", "item", "value")
    strangers = pl.concat([given, pl.DataFrame({"user": [110], "item": [7], "value": [3.0]}, schema=given.schema)])

    found = evaluate(
        write_folder(model, tmp_path / "model"),
        spark.createDataFrame(tested.to_arrow()),
        given=spark.createDataFrame(strangers.to_arrow()),
        k=5,
        spark=spark,
    )
    expected = evaluate_here(model.fold_in(table_of(given)), table_of(tested), k=5)
    assert_same(found, expected)
    assert expected.n_unknown > 0
    assert found["known_share"] == expected.n_test / (expected.n_test + expected.n_unknown)


@pytest.mark.parametrize(
    "solver", [ALS(rank=3, epochs=2), ImplicitALS(rank=3, epochs=2)], ids=lambda s: type(s).__name__
)
def test_users_and_items_without_history_are_counted(spark, tmp_path, solver):
    from cofactor.spark.measuring import evaluate

    train, test = cf.load_dataset("synthetic:60x40x900").split_random(test_fraction=0.4, seed=0)
    zero = pl.col("user").is_in([3, 17]) | (pl.col("item") == 9)
    rows = train.to_frame().select("user", "item", value=pl.when(zero).then(0.0).otherwise(1.0))
    held_out = test.to_frame().select("user", "item", value=pl.lit(1.0))
    model = solver.fit(table_of(rows))
    found = evaluate(write_folder(model, tmp_path / "model"), spark.createDataFrame(held_out.to_arrow()), spark=spark)
    assert_same(found, evaluate_here(model, table_of(held_out)))
    if isinstance(solver, ImplicitALS):
        assert found.n_without_history >= 2
        assert found.n_items_without_history >= 1


def table_of(frame: pl.DataFrame) -> Interactions:
    return Interactions.from_columns(frame["user"], frame["item"], frame["value"].to_numpy())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda test, train: test.unionAll(train.limit(3)), "3 of the test ratings were in the training data"),
        (lambda test, train: test.unionAll(test.limit(2)), "2 of the ratings repeat a user and an item"),
        (lambda test, train: test.unionAll(test.limit(1).selectExpr("user", "null", "value")), "1 of the ratings lack"),
        (lambda test, train: test.selectExpr("user + 9999 as user", "item", "value"), "none of the test ratings has"),
        (
            lambda test, train: test.selectExpr("string(user) as user", "item", "value"),
            "user ids of the ratings are",
        ),
        (lambda test, train: test.drop("item"), "has no column 'item', but"),
    ],
)
def test_ratings_that_would_make_figures_meaningless_are_refused(spark, tmp_path, rated, change, text):
    from cofactor.spark.measuring import evaluate

    train, test, model = rated
    wrong = change(frame_of(spark, test), frame_of(spark, train))
    with pytest.raises(DataError, match=text):
        evaluate(write_folder(model, tmp_path / "model", parts=1), wrong, spark=spark)


def master_of(spark):
    return "--master", spark.sparkContext.master


def test_the_command_line_writes_lists_and_prints_figures(spark, tmp_path, rated):
    _, test, model = rated
    folder = write_folder(model, tmp_path / "model")
    said = as_json("recommend", folder, "--all", "-n", 3, "-o", tmp_path / "lists", *master_of(spark))
    assert said == {"output": f"{tmp_path}/lists", "n_users": 120}
    assert read_lists(tmp_path / "lists").equals(one_machine(model, 3))
    test.to_frame().select("user", "item", "value").write_csv(tmp_path / "test.csv")
    figures = as_json("evaluate", folder, tmp_path / "test.csv", "--ids", "int", *master_of(spark))
    assert figures["rmse"] == pytest.approx(evaluate_here(model, test)["rmse"])
    assert figures["n_test"] == evaluate_here(model, test).n_test


def test_ids_of_a_parquet_file_are_read_as_asked(spark, tmp_path):
    from cofactor.spark.reading import Layout, open_table

    pl.DataFrame({"user": ["7"], "item": [3], "value": [1.0]}).write_parquet(tmp_path / "r.parquet")
    for ids, user in (("str", "7"), ("int", 7)):
        row = open_table(spark, tmp_path / "r.parquet", Layout(ids=ids)).first()
        assert (row["user"], row["item"]) == (user, 3)


def test_the_command_line_says_what_a_cluster_is_for(spark, tmp_path):
    def refusal(*arguments):
        return " ".join(run(*arguments, *master_of(spark), code=2).output.replace("│", " ").split())

    assert "give --all and -o FOLDER" in refusal("recommend", tmp_path, "1")
    assert "leave out --negatives" in refusal("evaluate", tmp_path, "x.csv", "--negatives", 9)
