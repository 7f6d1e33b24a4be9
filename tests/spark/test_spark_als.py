"""SparkALS on this machine: the same as the local solvers, whatever the partitions, the ids and the tasks that die."""

import datetime
import json
import os
import re
import shutil

import numpy as np
import polars as pl
import pytest
from clisupport import as_json
from polars.testing import assert_frame_equal

import cofactor as cf
from cofactor.apps.web.served_model import load_served
from cofactor.errors import DataError
from cofactor.model.factors import score_rows
from cofactor.model.folder import open_folder
from cofactor.model.least_squares import Rows, equations, gram, solve_rows
from cofactor.solvers import ImplicitALS, SparkALS
from cofactor.spark.distributed_lists import recommend_all
from cofactor.spark.measuring import evaluate
from cofactor.spark.reading import Layout

SMALL = {"rank": 3, "epochs": 4, "partitions": 2, "regularization": 0.1}
BOUND = 1e-4
"""Between vectors of length about 1 that are solved by MLlib and by us from the same other side, in 32-bit floats."""


@pytest.fixture(scope="module")
def table(ratings, tmp_path_factory):
    """Return the small ratings as one Parquet file."""
    path = tmp_path_factory.mktemp("ratings") / "ratings.parquet"
    ratings.to_frame().write_parquet(path)
    return path


@pytest.fixture(scope="module")
def folder(spark, table, tmp_path_factory):
    """Return a model folder learnt from it."""
    path = tmp_path_factory.mktemp("model") / "model"
    SparkALS(**SMALL).fit_table(table, path)
    return path


def lists_of(model):
    return model.recommend(model.users.ids, n=5).drop("score")


def furthest(one, other):
    sides = ("user_vectors", "item_vectors", "user_bias", "item_bias")
    return max(float(np.abs(getattr(one, side) - getattr(other, side)).max()) for side in sides)


@pytest.mark.parametrize("partitions", [2, 8])
def test_the_parts_of_a_table_change_no_list(spark, table, folder, tmp_path, partitions):
    shuffled = spark.read.parquet(str(table)).orderBy("timestamp").repartition(partitions)
    SparkALS(**SMALL).fit_table(shuffled, tmp_path / "model")
    one, other = cf.load(folder), cf.load(tmp_path / "model")
    assert lists_of(one).equals(lists_of(other))
    assert furthest(one, other) < BOUND


def test_another_file_system_of_hadoop_s_serves_as_well(spark, table, folder, tmp_path):
    """One that has no paths of this machine in its URLs, as s3a:// and hdfs:// have none."""
    (tmp_path / "shop").mkdir()
    shutil.copy(table, tmp_path / "shop" / "ratings.parquet")
    links = spark.sparkContext._jsc.hadoopConfiguration()
    links.set("fs.viewfs.mounttable.shop.link./data", (tmp_path / "shop").as_uri())
    SparkALS(**SMALL).fit_table("viewfs://shop/data/ratings.parquet", "viewfs://shop/data/model")
    assert sorted(path.name for path in (tmp_path / "shop").iterdir()) == ["model", "ratings.parquet"]
    assert furthest(cf.load(folder), cf.load(tmp_path / "shop" / "model")) < BOUND
    recommend_all("viewfs://shop/data/model", "viewfs://shop/data/lists", n=5)
    listed = pl.read_parquet(tmp_path / "shop" / "lists" / "*.parquet").sort("user", "position").drop("score", "title")
    wanted = lists_of(cf.load(folder)).sort("user", "position").select(listed.columns)
    assert listed.equals(wanted.cast(listed.schema))
    listed.select("user", "item", value=pl.lit(3.0)).write_parquet(tmp_path / "shop" / "held-out.parquet")
    assert evaluate("viewfs://shop/data/model", "viewfs://shop/data/held-out.parquet").n_test == len(listed)


def test_a_model_folder_can_be_served(folder):
    assert load_served(folder).digest == cf.load(folder).digest


def test_the_folder_holds_the_ratings_and_rows_in_the_order_of_ids(ratings, folder):
    model = cf.load(folder)
    assert list(model.users) == sorted(ratings.users)
    order = ratings.users.rows(model.users.ids)
    columns = ratings.items.rows(model.items.ids)
    assert np.array_equal(model.seen.toarray(), ratings.matrix.toarray()[order][:, columns])
    assert model.mean == pytest.approx(ratings.matrix.data.mean())


def test_the_vectors_of_explicit_ratings_are_those_of_our_own_equations(folder):
    """MLlib solves users last: with its items held, our normal equations at nu=1 must give its users."""
    model = cf.load(folder)
    left = model.seen.copy()
    users = np.repeat(np.arange(model.n_users), np.diff(left.indptr))
    left.data = (left.data - model.mean - model.user_bias[users] - model.item_bias[left.indices]).astype(np.float32)
    assert model.objective.regularization == pytest.approx(SMALL["regularization"] * model.seen.data.std())
    ours = solve_rows(Rows.of(left), equations(model.item_vectors, model.objective.regularization, nu=1.0))
    assert np.abs(ours - model.user_vectors).max() < BOUND


def test_the_biases_explain_the_ratings_best_before_the_vectors(folder):
    model = cf.load(folder)
    row = 3
    met = slice(*model.seen.indptr[row : row + 2])
    left = model.seen.data[met] - model.mean - model.item_bias[model.seen.indices[met]]
    assert model.user_bias[row] == pytest.approx(left.mean() / 1.05, abs=1e-5)


def test_the_vectors_of_implicit_feedback_are_those_of_the_equations_of_2008(spark, ratings):
    weight, penalty = 0.2, 0.05
    solver = SparkALS(rank=3, epochs=3, partitions=2, goal="ranking", unobserved_weight=weight, regularization=penalty)
    model = solver.fit(ratings)
    items, dense = model.item_vectors.astype(float), ratings.matrix.toarray().astype(float)
    for row in range(0, ratings.n_users, 7):
        met, values = items[dense[row] > 0], dense[row][dense[row] > 0]
        matrix = weight * gram(model.item_vectors) + (met.T * values) @ met + penalty * len(values) * np.eye(3)
        expected = np.linalg.solve(matrix, met.T @ (weight + values))
        assert np.abs(expected - model.user_vectors[row]).max() < BOUND
    own = dict(zip(*ratings.user_history("u3").select("item", "value"), strict=True))
    placed = model.place({"u3": own})
    assert np.abs(placed.user_vectors[0] - model.user_vectors[ratings.users.row("u3")]).max() < BOUND
    assert model.explain("u3", "i7")["share"].sum() == pytest.approx(float(model.score(["u3"], ["i7"])[0]), abs=1e-4)


@pytest.mark.long
def test_lists_of_implicit_feedback_are_near_the_local_solvers(spark, ratings):
    likes = ratings.at_least(4).binary()
    ours = ImplicitALS(rank=3, epochs=15, unobserved_weight=0.1, regularization=0.02, nu=1.0).fit(likes)
    spark_als = SparkALS(rank=3, epochs=8, partitions=2, goal="ranking", unobserved_weight=0.1, regularization=0.02)
    theirs = spark_als.fit(likes)
    users = np.repeat(np.arange(ratings.n_users), ratings.n_items)
    items = np.tile(np.arange(ratings.n_items), ratings.n_users)
    agreement = np.corrcoef(score_rows(ours, users, items), score_rows(theirs, users, items))[0, 1]
    assert agreement > 0.8


def write(path, rows, header="user,item,value"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_ids_in_a_text_file_stay_as_they_are_spelt(spark, tmp_path):
    rows = ["007,b,5", "7,b,3", "ann,9223372036854775808,4", '"a,b",x,1', "7,x,2"]
    url = SparkALS(rank=2, epochs=1, partitions=1).fit_table(write(tmp_path / "r.csv", rows), tmp_path / "model")
    assert url == f"file://{tmp_path}/model"
    model = cf.load(tmp_path / "model")
    assert list(model.users) == ["007", "7", "a,b", "ann"]
    assert list(model.items) == ["9223372036854775808", "b", "x"]
    assert model.recommend(["ann"])["item"].to_list().count("9223372036854775808") == 0


def test_integers_beyond_32_bits_are_fine_and_in_numeric_order(spark, tmp_path):
    ids = [5, 2**31 + 7, 2**62, -3]
    frame = spark.createDataFrame(
        [(user, item, 1.0) for user in ids for item in ids[:3]], "user long, item long, value double"
    )
    SparkALS(rank=2, epochs=1, partitions=1).fit_table(frame, tmp_path / "model")
    model = cf.load(tmp_path / "model")
    assert list(model.users) == sorted(ids)


@pytest.mark.long
def test_texts_that_spell_integers_are_in_numeric_order_and_a_model_is_replaced(spark, tmp_path):
    for rows in (["x,a,1"], ["10,a,1", "9,a,1", "9,b,1"]):
        texts = write(tmp_path / "r.csv", rows)
        SparkALS(rank=2, epochs=1, partitions=1).fit_table(texts, tmp_path / "model")
    assert list(cf.load(tmp_path / "model").users) == ["9", "10"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "r.csv"]


def test_a_task_that_dies_is_repeated_and_changes_nothing(spark, table, folder, tmp_path):
    once = tmp_path / "died"

    def die_once(batches):
        if not once.exists():
            once.touch()
            os._exit(1)
        yield from batches

    frame = spark.read.parquet(str(table)).select("user", "item", "value")
    SparkALS(**SMALL).fit_table(frame.mapInArrow(die_once, frame.schema), tmp_path / "model")
    assert once.exists()
    one, other = cf.load(folder), cf.load(tmp_path / "model")
    assert lists_of(one).equals(lists_of(other))
    assert furthest(one, other) < BOUND


def test_a_folder_answers_for_a_few_users_without_reading_the_rest(folder):
    whole, lazy = cf.load(folder), open_folder(folder)
    assert (lazy.n_users, lazy.n_items, lazy.rank) == (whole.n_users, whole.n_items, whole.rank)
    assert lazy.recommend(["u5", "u3"], n=4).equals(whole.recommend(["u5", "u3"], n=4))
    assert np.array_equal(lazy.score(["u5", "u5"], ["i1", "i2"]), whole.score(["u5", "u5"], ["i1", "i2"]))
    assert lazy.of(["u3"]).n_users == 1
    with pytest.raises(cf.UnknownIdError, match="unknown user 'nobody'"):
        lazy.recommend(["nobody"])
    with pytest.raises(cf.UnknownIdError, match="unknown user 3"):
        lazy.recommend([3])


def test_a_folder_larger_than_memory_says_how_it_can_be_used(folder, monkeypatch):
    monkeypatch.setattr("cofactor.model.folder.short_of", lambda _: 1000)
    with pytest.raises(cf.ModelFileError, match=r"needs .* GB of memory.*open_folder"):
        cf.load(folder)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kind": "diary"}, "says 'diary'"),
        ({"format": 9}, "format version 9"),
        ({"n_users": 61}, "60 rows of users, and its model.json says 61"),
        ({"rank": "three"}, "rank is three"),
        ({"objective": {"kind": "none"}}, "unknown objective"),
        ({"format": 1, "objective": {"loss": "none"}}, "unknown loss"),
    ],
)
def test_a_folder_that_lies_is_refused(folder, tmp_path, change, reason):
    import shutil

    copy = shutil.copytree(folder, tmp_path / "copy")
    card = json.loads((copy / "model.json").read_text())
    (copy / "model.json").write_text(json.dumps({**card, **change}))
    with pytest.raises(cf.ModelFileError, match=reason):
        cf.load(copy)


def test_nothing_is_left_beside_a_model_and_nothing_else_is_overwritten(spark, folder, table, tmp_path):
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(cf.ModelFileError, match="is not a model folder: give another name"):
        SparkALS(**SMALL).fit_table(table, tmp_path / "thesis")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis"]


@pytest.mark.parametrize(
    ("rows", "layout", "reason"),
    [
        ([",b,5", "a,b,nan", "a,c,many"], {}, "3 rows have no id or no finite number"),
        (["a,b,5", "a,b,4"], {}, "1 pairs .* no time says which is the last"),
        pytest.param(["a,b,5", "a,b,5"], {"duplicates": "error"}, "1 pairs .* are repeated", marks=pytest.mark.long),
        ([], {}, "no interactions to learn from"),
        (
            ["a,b,5"],
            {"user": "listener"},
            r"has no column 'listener', but 'user', 'item', 'value': name it with Layout\(user=…\) or --user-column$",
        ),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_and_leaves_nothing(spark, tmp_path, rows, layout, reason):
    path = write(tmp_path / "r.csv", rows)
    with pytest.raises(cf.DataError, match=reason):
        SparkALS(rank=2, epochs=1).fit_table(path, tmp_path / "model", layout=Layout(**layout))
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.csv"]


def test_an_empty_file_is_called_empty(spark, tmp_path):
    (tmp_path / "r.csv").touch()
    with pytest.raises(cf.DataError, match=r"r\.csv is empty: it needs at least one row"):
        SparkALS().fit_table(tmp_path / "r.csv", tmp_path / "model")


def test_a_table_that_is_not_there_is_named(spark, tmp_path):
    with pytest.raises(cf.DataError, match=r"nowhere\.parquet does not exist"):
        SparkALS().fit_table(tmp_path / "nowhere.parquet", tmp_path / "model")


@pytest.mark.parametrize(
    ("duplicates", "value"),
    [
        ("last", 2.0),
        *(pytest.param(*each, marks=pytest.mark.long) for each in (("first", 4.0), ("sum", 6.0), ("mean", 3.0))),
    ],
)
def test_repeated_pairs_become_one(spark, tmp_path, duplicates, value):
    rows = ["a,b,4,2020-01-01", "a,b,2,2021-01-01", "c,b,1,2020-05-05", "c,b,oops,2020-05-05"]
    path = write(tmp_path / "r.csv", rows, "user,item,value,day")
    layout = Layout(time="day", duplicates=duplicates, on_bad_rows="skip")
    SparkALS(rank=1, epochs=1, partitions=1).fit_table(path, tmp_path / "model", layout=layout)
    assert cf.load(tmp_path / "model").seen.toarray().tolist() == [[value], [1.0]]


@pytest.mark.long
def test_negative_confidences_are_refused(spark, tmp_path):
    path = write(tmp_path / "r.csv", ["a,b,-1", "a,c,2"])
    with pytest.raises(cf.DataError, match="a value is negative"):
        SparkALS(rank=1, epochs=1, goal="ranking").fit_table(path, tmp_path / "model")


def test_the_command_line_writes_a_folder(spark, table, tmp_path):
    quick = ("--solver", "spark-als", "--rank", 2, "--epochs", 1, "--partitions", 1)
    said = as_json("fit", table, *quick, "--goal", "ranking", "-o", tmp_path / "model")
    assert said["model"] == str(tmp_path / "model")
    assert cf.load(tmp_path / "model").objective.goal == "ranking"


@pytest.mark.long
def test_a_table_in_memory_keeps_its_titles(spark, titled, tmp_path):
    SparkALS(rank=1, epochs=1, partitions=1).fit_named(titled, tmp_path / "model")
    model, lazy = cf.load(tmp_path / "model"), open_folder(tmp_path / "model")
    assert model.origin.data == titled.name
    shown = lazy.recommend(["u3"], n=40)
    known = dict(zip(titled.items, titled.metadata.titles, strict=True))
    assert shown["title"].to_list() == [known[item] for item in shown["item"]]


@pytest.mark.long
def test_a_folder_keeps_what_is_known_of_items_and_users(spark, titled, tmp_path):
    goods = titled.item_table.select("item").with_columns(
        price=pl.int_range(pl.len(), dtype=pl.UInt16) / 2,
        row=pl.lit("a shelf"),
        tags=pl.lit(["a", "b"], pl.List(pl.String)),
    )
    people = pl.DataFrame({"user": ["u3"], "vector": [datetime.date(2024, 5, 31)]})
    known = titled.with_items(goods).with_users(people)
    SparkALS(rank=1, epochs=1, partitions=1).fit_named(known, tmp_path / "model")
    model = cf.load(tmp_path / "model")
    there = known.item_table.filter(pl.col("item").is_in(model.items.ids.implode()))
    assert_frame_equal(model.item_table, there, check_row_order=False, check_column_order=False)
    assert model.user_table.filter(user="u3")["vector"].to_list() == [datetime.date(2024, 5, 31)]


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(cf.SettingError, match="unobserved_weight=0"):
        SparkALS(goal="ranking", unobserved_weight=0.0)
    with pytest.raises(cf.SettingError, match="partitions=0"):
        SparkALS(partitions=0)


def test_frames_of_a_folder_have_the_columns_that_are_promised(folder):
    users, seen = (pl.read_parquet(folder / part / "*.parquet") for part in ("users", "seen"))
    assert dict(users.schema) == {"id": pl.String, "row": pl.Int32, "vector": pl.List(pl.Float32), "bias": pl.Float32}
    assert dict(seen.schema) == {"user_row": pl.Int32, "item_row": pl.Int32, "value": pl.Float32}


def test_what_is_known_of_items_and_users_comes_from_tables(spark, tmp_path):
    rows = ["007,b,5", "7,b,3", "ann,c,4", "ann,b,1", "7,c,2"]
    data = write(tmp_path / "r.csv", rows)
    goods = write(tmp_path / "my goods.csv", ["b,Tea,4.5,true,2024-05-31", "x,Rye,2,false,2024-06-01"],
                  "item,title,unit price,organic,since")  # fmt: skip
    people = spark.createDataFrame([("007", 30, ["a", "b"], float("nan")), ("ann", None, None, 2.5)],
                                   "user string, age int, tags array<string>, size double")  # fmt: skip
    SparkALS(rank=1, epochs=1, partitions=1).fit_table(data, tmp_path / "my model", items=goods, users=people)
    model = cf.load(tmp_path / "my model")
    known = {one["item"]: one for one in model.item_table.iter_rows(named=True)}
    since = datetime.date(2024, 5, 31)
    assert known["b"] == {"item": "b", "title": "Tea", "unit price": 4.5, "organic": True, "since": since}
    assert known["c"]["title"] is None
    ages = {one["user"]: one for one in model.user_table.iter_rows(named=True)}
    assert ages["007"] == {"user": "007", "age": 30, "tags": ["a", "b"], "size": None}
    assert ages["ann"]["size"] == 2.5


@pytest.mark.parametrize(
    ("rows", "schema", "said"),
    [
        ([("b", 1), ("b", 2)], "item string, year int", "item 'b' has several rows"),
        ([("b", 1)], "id string, year int", "no column 'item', but 'id', 'year'"),
        ([("b", {"x": 1})], "item string, parts map<string,int>", "'parts' is of type map<string,int>"),
        ([(3, 1)], "item int, year int", "ids of type int"),
    ],
)
def test_a_table_of_items_that_cannot_be_used_is_refused(spark, tmp_path, rows, schema, said):
    items = spark.createDataFrame(rows, schema)
    data = write(tmp_path / "r.csv", ["ann,b,4", "bob,b,1"])
    with pytest.raises(DataError, match=re.escape(said)):
        SparkALS(rank=1, epochs=1, partitions=1).fit_table(data, tmp_path / "model", items=items)
    assert not (tmp_path / "model").exists()
