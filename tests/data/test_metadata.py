"""What is known of items and users: any columns, aligned by id, wherever the table goes."""

import copy
import datetime
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

import cofactor as cf
from cofactor.data.attribute_files import read_items, read_users
from cofactor.data.readers import read_movielens
from cofactor.solvers import ALS, ImplicitALS

DAY = datetime.date(2024, 5, 31)
COLUMNS = {
    "title": ["Alien (1979)", None],
    "year": [1979, None],
    "price": [9.5, None],
    "adult": [True, False],
    "since": [DAY, None],
    "shown": [datetime.datetime(2024, 5, 31, 12, tzinfo=datetime.UTC), None],
    "length": [datetime.timedelta(minutes=117), None],
    "at": [datetime.time(20, 15), None],
    "tags": [["space", None], []],
    "sizes": [[[1, 2], None, []], None],
    "^a.*$": ["odd", "name"],
    "": [1, 2],
}
GOODS = pl.DataFrame({"item": ["i3", "i1"], **COLUMNS})
PEOPLE = pl.DataFrame({"user": ["u5", "u2"], "age": [31, 44], "zip": ["02139", None]})


@pytest.fixture(scope="module")
def known(ratings):
    return ratings.with_items(GOODS).with_users(PEOPLE)


def told(table):
    """What a table says of the two items and the two users."""
    items = table.item_table.filter(pl.col("item").is_in(["i1", "i3"])).sort("item", descending=True)
    return items, table.user_table.filter(pl.col("user").is_in(["u5", "u2"])).sort("user", descending=True)


def check(table):
    items, users = told(table)
    assert_frame_equal(items, GOODS)
    assert_frame_equal(users, PEOPLE)


def test_any_columns_are_kept_in_row_order(known):
    check(known)
    assert known.item_table["item"].equals(known.items.ids, check_names=False)
    assert known.user_table["user"].to_list() == list(known.users)
    assert known.item_table.schema == GOODS.schema
    assert known.item_table["price"].null_count() == known.n_items - 1
    assert known.metadata.titles[int(known.items.rows(["i3"])[0])] == "Alien (1979)"


def test_nothing_known_is_a_table_of_ids_alone(ratings):
    assert ratings.item_table.columns == ["item"]
    assert ratings.user_table.height == ratings.n_users


def test_tables_go_wherever_the_ratings_go(known, tmp_path):
    check(known.filter(pl.col("value") > 2))
    check(known.binary())
    check(known.at_least(2))
    check(known.min_counts(per_user=2))
    for part in (*known.split_random(seed=1), *known.split_last(), *next(known.folds(3))):
        check(part)
    train, held_out = known.split_users(n_users=20, seed=0)
    ages = {**dict(told(train)[1].select("user", "age").rows()), **dict(told(held_out)[1].select("user", "age").rows())}
    assert ages == {"u5": 31, "u2": 44}
    check(pickle.loads(pickle.dumps(known)))
    check(copy.deepcopy(known))
    check(cf.Interactions.open(known.write(tmp_path / "ratings")))
    check(cf.Interactions.open(tmp_path / "ratings", memory="16MB").at_least(2))


def test_items_that_are_filtered_out_take_their_rows_with_them(known):
    left = known.min_counts(per_item=23)
    assert 0 < left.n_items < known.n_items
    assert left.item_table.height == left.n_items
    whole = known.item_table.filter(pl.col("item").is_in(left.items.ids.implode()))
    assert_frame_equal(left.item_table, whole)


def test_columns_are_added_and_those_of_the_same_name_replaced(known):
    again = known.with_items(pl.DataFrame({"item": ["i1"], "brand": ["Acme"], "price": [1.0]}))
    assert again.item_table.columns == [*GOODS.columns, "brand"]
    prices = dict(again.item_table.select("item", "price").rows())
    assert prices["i1"] == 1.0
    assert prices["i3"] is None
    assert again.metadata.titles.equals(known.metadata.titles)


def test_a_frame_of_any_library_is_taken_and_nan_is_missing(ratings):
    frame = pd.DataFrame({"item": ["i1", "i2"], "price": [np.nan, 2.0], "kind": pd.Categorical(["a", "b"])})
    table = ratings.with_items(frame).item_table
    assert table.filter(pl.col("item").is_in(["i1", "i2"])).rows() == [("i1", None, "a"), ("i2", 2.0, "b")]
    with_nan = ratings.with_items(pl.DataFrame({"item": ["i1"], "price": [float("nan")]})).item_table
    assert with_nan["price"].null_count() == ratings.n_items


def test_types_that_files_do_not_have_are_kept_as_the_nearest(ratings):
    frame = pl.DataFrame({"item": ["i1"], "price": ["1.25"], "kind": ["a"], "pair": [[1, 2]], "nothing": [None]})
    kinds = {"price": pl.Decimal(10, 2), "kind": pl.Enum(["a"]), "pair": pl.Array(pl.Int64, 2)}
    table = ratings.with_items(frame.cast(kinds)).item_table
    assert list(table.schema.values())[1:] == [pl.Float64, pl.String, pl.List(pl.Int64), pl.String]
    assert table.filter(item="i1").row(0)[1:] == (1.25, "a", [1, 2], None)


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        (GOODS.rename({"item": "id"}), r"the table of items has the columns 'id', 'title', .*name the one .* 'item'"),
        (pl.DataFrame(), "the table of items has no columns"),
        (pl.concat([GOODS, GOODS]), r"item 'i\d' has several rows .*unique\('item', keep='last'\)"),
        (pl.DataFrame({"item": [1, 3]}), r"ids such as 1, and those of the data are strings, such as 'i0': convert"),
        (pl.DataFrame({"item": ["i1", None]}), "the item id at row 1 is missing"),
        (pl.DataFrame({"item": [1.5]}), "item ids of type Float64 cannot be used"),
        (pl.DataFrame({"item": ["i1"], "box": [{"x": 1}]}), r"the column 'box' is of type Struct.*unnest\(\) it"),
        (pl.DataFrame({"item": ["i1"], "box": [b"x"]}), "the column 'box' is of type Binary.*convert it"),
        ({"item": ["i1"]}, "dict is not a data frame"),
        (None, "NoneType is not a data frame"),
    ],
)
def test_a_frame_that_does_not_fit_is_one_clear_error(ratings, frame, says):
    with pytest.raises(cf.DataError, match=says):
        ratings.with_items(frame)


def test_the_remedies_work(ratings):
    twice = pl.concat([GOODS, GOODS.with_columns(year=pl.lit(1980, pl.Int64))])
    assert told(ratings.with_items(twice.unique("item", keep="last")))[0]["year"].to_list() == [1980, 1980]
    ratings.with_items(GOODS.rename({"item": "id"}).rename({"id": "item"}))
    boxed = pl.DataFrame({"item": ["i1"], "box": [{"x": 1}]})
    assert ratings.with_items(boxed.unnest("box")).item_table.columns == ["item", "x"]


def test_rows_of_unknown_items_are_counted_in_the_log(ratings, caplog):
    ratings.with_items(pl.DataFrame({"item": ["i1", "new"], "price": [1, 2]}))
    assert "1 of 2 items in the table are not in the data" in caplog.text


def test_a_model_has_the_tables_and_so_has_its_file(known, tmp_path):
    model = ALS(rank=2, epochs=2).fit(known)
    check(model)
    path = model.save(tmp_path / "model.safetensors")
    for again in (cf.load(path), cf.open_model(path), pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        check(again)
        assert again.digest == model.digest
    assert cf.load(path).save(tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    other = ALS(rank=2, epochs=2).fit(known.with_users(PEOPLE.with_columns(age=pl.Series([31, 45]))))
    assert other.digest != model.digest


def test_titles_and_genres_alone_are_written_as_ever(titled, tmp_path):
    from safetensors import safe_open

    model = ALS(rank=2, epochs=1).fit(titled)
    with safe_open(model.save(tmp_path / "model.safetensors"), framework="numpy") as file:
        assert "tables" not in file.metadata()["cofactor"]
        assert "titles.bytes" in set(file.keys())


def test_newcomers_come_with_their_tables(known):
    model = ImplicitALS(rank=2, epochs=2).fit(known.at_least(4).binary())
    grown = model.fold_in({"new": ["i1"]})
    check(grown)
    assert grown.user_table.row(-1) == ("new", None, None)
    assert model.place({"new": ["i1"]}).user_table.rows() == [("new", None, None)]
    new = cf.Interactions.from_columns(["new", "new"], ["i1", "i2"])
    new = new.with_users(pl.DataFrame({"user": ["new"], "age": [20], "town": ["Ulm"]}))
    grown = model.fold_in(new)
    assert grown.user_table.row(-1) == ("new", 20, None, "Ulm")
    placed = model.place(new)
    assert placed.user_table.rows() == [("new", 20, None, "Ulm")]
    assert_frame_equal(told(placed)[0], GOODS)
    by_users = cf.Interactions.from_columns(["u1", "u2"], ["film", "film"])
    by_users = by_users.with_items(pl.DataFrame({"item": ["film"], "price": [3]}))
    assert model.fold_in_items(by_users).item_table.select("item", "price").row(-1) == ("film", 3.0)


def test_an_update_brings_new_rows_and_what_is_newly_known(known):
    model = ImplicitALS(rank=2, epochs=2).fit(known.at_least(4).binary())
    news = cf.Interactions.from_columns(["u5", "new"], ["i3", "film"])
    news = news.with_items(pl.DataFrame({"item": ["film", "i3"], "price": [3.0, 1.0], "stock": [7, None]}))
    updated = model.update(news.with_users(pl.DataFrame({"user": ["new", "u5"], "age": [20, None]})))
    prices = {item: (price, stock) for item, price, stock in updated.item_table.select("item", "price", "stock").rows()}
    assert prices["film"] == (3.0, 7)
    assert prices["i3"] == (1.0, None)
    assert updated.item_table.filter(item="i3")["title"].to_list() == ["Alien (1979)"]
    ages = dict(updated.user_table.select("user", "age").rows())
    assert (ages["new"], ages["u5"], ages["u2"]) == (20, 31, 44)
    wrong = news.with_items(pl.DataFrame({"item": ["film"], "price": ["dear"]}))
    with pytest.raises(cf.DataError, match="the new column 'price' is of type String, and what is known already is"):
        model.update(wrong)


def test_a_refit_keeps_the_tables(known):
    from cofactor.solvers.retrain import trained_on

    model = ALS(rank=2, epochs=1).fit(known)
    check(ALS(rank=2, epochs=1).fit(trained_on(model)))


def test_users_are_read_from_the_layouts_of_movielens_and_from_tables(tmp_path):
    (tmp_path / "u.user").write_text("1|24|M|technician|85711\n2|53|F|other|94043\n")
    (tmp_path / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072\n")
    (tmp_path / "people.csv").write_text("userId,age,member,joined\n007,24,true,2024-05-31\n8,,false,\n")
    PEOPLE.write_parquet(tmp_path / "people.parquet")
    assert read_users(tmp_path / "u.user").rows()[1] == ("2", 53, "F", "other", "94043")
    assert read_users(tmp_path / "users.dat").row(0) == ("1", 1, "F", "K-12 student", "48067")
    assert read_users(tmp_path / "people.csv").rows() == [("007", 24, True, DAY), ("8", None, False, None)]
    assert_frame_equal(read_users(tmp_path / "people.parquet"), PEOPLE)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("u.user", "1|old|M|other|1\n", r"u\.user has an age that is no whole number"),
        ("u.user", "1|24\n", "line 1: only 2 of 5 fields"),
        ("people.csv", "name,age\na,1\n", "has the columns name, age: it needs user or userId"),
        ("people.csv", "user,age\na,1,2\n", "row 2: 3 fields instead of 2"),
        ("people.csv", "user,id\na,1\n", None),
        ("people.parquet", "not Parquet", "cannot be read as Parquet"),
    ],
)
def test_files_that_do_not_fit_say_where(tmp_path, name, content, says):
    (tmp_path / name).write_text(content)
    if says is None:
        assert read_users(tmp_path / name).rows() == [("a", "1")]
        return
    with pytest.raises(cf.DataError, match=says):
        read_users(tmp_path / name)


def test_ids_in_files_take_the_type_of_the_datas(tmp_path):
    (tmp_path / "goods.csv").write_text("item,price\n7,1.5\nseven,2\n")
    numbered = pl.DataFrame({"user": [1, 2], "item": [7, 8]})
    table = cf.from_frame(numbered, items=tmp_path / "goods.csv").item_table
    assert table.rows() == [(7, 1.5), (8, None)]
    assert read_items(tmp_path / "goods.csv")["item"].to_list() == ["7", "seven"]


def test_movielens_brings_what_lies_beside_the_ratings(tmp_path):
    (tmp_path / "u.data").write_text("1\t7\t3\t50\n2\t7\t4\t51\n")
    (tmp_path / "u.item").write_text("7|Alien (1979)||||" + "|".join("0" * 11 + "1" + "0" * 7) + "\n")
    (tmp_path / "u.user").write_text("1|24|M|technician|85711\n")
    table = read_movielens(tmp_path)
    assert table.item_table.rows() == [("7", "Alien (1979)", "Horror", 1979)]
    assert table.user_table.rows() == [("1", 24, "M", "technician", "85711"), ("2", None, None, None, None)]
