"""Conditions on items: the same as polars', whole lists, and a language that lets nothing else through."""

import datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import cofactor as cf
from cofactor.data.metadata import Metadata
from cofactor.lists.request import ListRequest
from cofactor.lists.where import rows_where
from cofactor.model.factors import Factors, evolved

DAY, MOMENT = datetime.date(2024, 5, 31), datetime.datetime(2024, 5, 31, 12, 30)
TABLE = pl.DataFrame(
    {
        "item": ["a", "b", "c", "d"],
        "price": [5.0, 20.0, None, 0.1],
        "small": pl.Series([5, 20, None, 1], dtype=pl.Float32),
        "year": [1990, 2001, 1984, None],
        "stock": pl.Series([0, 200, 255, None], dtype=pl.UInt8),
        "adult": [True, False, None, False],
        "brand": ["Acme", "O'Hara", None, "1990"],
        "genres": ["Comedy|War", "War", "", None],
        "tags": [["new", None], [], None, ["sale"]],
        "sizes": [[1, 2], [3], [], None],
        "since": [DAY, None, datetime.date(2020, 1, 1), DAY],
        "shown": [MOMENT, None, datetime.datetime(2020, 1, 1), MOMENT],
        "zoned": pl.Series([MOMENT, None, None, None]).dt.replace_time_zone("Europe/Berlin"),
        "opens": [datetime.time(8), None, datetime.time(12), datetime.time(23)],
        "unit price": [1, 2, 3, 4],
        "^.*$": [1, 2, 3, 4],
        "and": [1, 2, 3, 4],
        "größe": [1, 2, 3, 4],
        "tick`ed": [1, 2, 3, 4],
    }
)
HOLDS = {
    "price < 20": "ad",
    "price <= 20": "abd",
    "price<=2e1": "abd",
    "20 > price": "ad",
    "price > -1": "abd",
    "price = 0.1 or price == 5": "ad",
    "price != 5": "bd",
    "price <> 5": "bd",
    "small = 5": "a",
    "year >= 1990 and not adult": "b",
    "YEAR >= 1990": None,
    "year >= 1990 AND NOT adult": "b",
    "year = 1990.0": "a",
    "year > 1990.5": "b",
    "year < 99999999999999999999999": "abc",
    "stock > -1": "abc",
    "stock < 300": "abc",
    "stock in (255, 256, 0.5, -3, 200.0)": "bc",
    "stock in (256)": "",
    "adult": "a",
    "not adult": "bd",
    "adult = false": "bd",
    "adult is null": "c",
    "adult is not null and price is not null": "abd",
    "not (adult or price > 10)": "d",
    "adult or price > 10": "ab",
    "not not adult": "a",
    "adult or not adult and price > 10": "ab",
    "(adult or not adult) and price > 10": "b",
    "brand = 'Acme'": "a",
    "brand = 'O''Hara'": "b",
    'brand = "O\'Hara"': "b",
    "brand = '1990'": "d",
    "brand in ('Acme', '1990')": "ad",
    "brand in ['Acme']": "a",
    "brand not in ('Acme')": "bd",
    "brand > 'B'": "b",
    "'War' in genres": "ab",
    "'Wa' in genres": "",
    "'Comedy|War' in genres": "a",
    "not 'Comedy' in genres": "bc",
    "'Comedy' not in genres": "bc",
    "'new' in tags": "a",
    "3 in sizes": "b",
    "2.5 in sizes": "",
    "year between 1984 and 1990": "ac",
    "year not between 1984 and 1990": "b",
    "year between 1984 and 1990 and price > 1": "a",
    "since = '2024-05-31'": "ad",
    "since < '2024-05-31'": "c",
    "since in ('2020-01-01', '2024-05-31')": "acd",
    "shown >= '2024-05-31 12:30'": "ad",
    "shown >= '2024-05-31T12:30:00.000001'": "",
    "shown >= '2024-05-31T14:30:00+02:00'": "ad",
    "zoned = '2024-05-31 12:30'": "a",
    "zoned = '2024-05-31T10:30:00Z'": "a",
    "opens between '08:00' and '12:00:00'": "ac",
    "price > year": "",
    "stock > year": "",
    "small = price": "ab",
    "`unit price` > 2": "cd",
    "`^.*$` > 2": "cd",
    "`^.*$` in (1)": "a",
    "`and` > 2 and `größe` > 3": "d",
    "größe > 3": "d",
    "`tick``ed` = 1": "a",
    "item in ('a', 'd') and price < 1": "d",
    "  price<20  ": "ad",
    "price\n<\t20": "ad",
}


def items_where(where, table=TABLE):
    return "".join(table["item"].filter(pl.Series(rows_where(where, table))))


@pytest.mark.parametrize("text", [text for text, expected in HOLDS.items() if expected is not None])
def test_a_condition_holds_for_the_items_it_names(text):
    assert items_where(text) == HOLDS[text]


def test_a_table_without_rows_has_none_that_obey():
    for text in (text for text, expected in HOLDS.items() if expected is not None):
        assert rows_where(text, TABLE.clear()).tolist() == []


def test_an_expression_holds_where_polars_says_so():
    assert items_where(pl.col("price") < 20) == "ad"
    assert items_where((pl.col("year") >= 1990) & ~pl.col("adult")) == "b"
    assert items_where(pl.col("tags").list.contains("sale")) == "d"
    assert items_where(pl.col("price") > pl.col("price").mean()) == "b"


WRONG = {
    "": "it is empty",
    "   ": "it is empty",
    "prise < 20": r"there is no column 'prise': did you mean 'price'\? what is known of the items is item, price,",
    "brand = Acme": "there is no column 'Acme'.*put texts in quotes",
    "price": "price alone is no condition, since it is a number: compare it",
    "genres": "genres alone is no condition, since it is a text",
    "20": "a value alone is no condition",
    "true": "a value alone is no condition",
    "1 = 1": "it compares two values: one side must be a column",
    "price < 20 or 1 = 1": "from character 15 on: it compares two values",
    "price < 'dear'": "price is a number, and 'dear' is a text",
    "price = true": "price is a number, and 'True' is true or false",
    "adult = 1": "adult is true or false, and '1' is a number",
    "brand = 1990": "brand is a text, and '1990' is a number",
    "brand > price": "brand is a text and price is a number",
    "since > '31.5.2024'": "'31.5.2024' is not a date such as 2024-05-31",
    "since > 2024": "since is a date, and '2024' is a number",
    "shown > 'never'": "'never' is not a date and time such as 2024-05-31 12:30",
    "opens > '25:00'": "'25:00' is not a time of day such as 12:30",
    "tags = 'new'": "tags is a list, and 'new' is a text: write 'x' in tags",
    "tags = tags": "tags is a list: write 'x' in tags",
    "7 in tags": "tags is a text|tags is a list|tags is a text, and",
    "7 in genres": "genres holds texts: put 7 in quotes",
    "5 in price": "price is a number and no list: write price = …",
    "brand in genres": "before 'in' and a column stands a value: write 'x' in genres",
    "price in 5": r"the values of a list stand in brackets: write in \(1, 2\)",
    "price in ()": r"'\)' where a column or a value is needed",
    "price in (year)": "a list holds values, and year is a column",
    "price in (1, 2": r"the end where '\)' is needed",
    "price in (1, 2]": r"'\]' where '\)' is needed",
    "price in (1 2)": r"'2' where '\)' is needed",
    "1 in (1, 2)": "before 'in' and a list stands a column",
    "price = null": "nothing is equal to null: write 'price is null'",
    "price is 5": "'5' where 'null' is needed after 'is'",
    "5 is null": "'is null' needs a column",
    "price between 1": "the end where 'and' is needed",
    "price not 5": "'5' where 'in' or 'between' is needed after 'not'",
    "price <": "the end where a column or a value is needed",
    "< 5": "'<' where a column or a value is needed",
    "price < 20 and": "the end where a column or a value is needed",
    "price < 20, year": "after the condition comes ',': join conditions with 'and' or 'or'",
    "1 < price < 20": "after the condition comes '<'",
    "(price < 20": r"the end where '\)' is needed",
    "price < 20)": r"after the condition comes '\)'",
    "price < 1e999": "'1e999' is too large a number",
    "price < 0x20": "'0x20' is no part of a condition",
    "brand = 'open": '"\'open" is no part of a condition',
    "price < 20; drop table": "'; drop table' is no part of a condition",
    "price + 1 < 20": r"'\+ 1 < 20' is no part of a condition",
    "__import__('os').system('true')": "is no part of a condition",
    "price.sum() > 1": "is no part of a condition",
    "pl.col('price') < 20": "is no part of a condition",
    "select(price) < 20": "there is no column 'select'",
    "price < (select 1)": r"'\(' where a column or a value is needed",
    "read_csv('/etc/passwd') is null": "there is no column 'read_csv'",
    "price < 20 -- and adult": "is no part of a condition",
    "price < 20 /* */": "is no part of a condition",
    "price < $1": "is no part of a condition",
    "* < 20": "is no part of a condition",
    "`*` < 20": r"there is no column '\*'",
    "`^price$` < 20": r"there is no column '\^price\$'",
    "(" * 60 + "adult" + ")" * 60: "more than 50 brackets",
    "not " * 60 + "adult": "more than 50 brackets or 'not'",
    "adult or " * 5000 + "adult": "has 45,005 characters",
    "price < 20\x00": "is no part of a condition",
    "YEAR >= 1990": "there is no column 'YEAR'",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_text_that_is_no_condition_is_one_clear_error(text):
    with pytest.raises(cf.SettingError, match=f"(?s)^where .*?{WRONG[text]}"):
        rows_where(text, TABLE)


@pytest.mark.parametrize(
    ("where", "says"),
    [
        (pl.col("prise") < 20, "where names a column that is not there.*what is known of the items is item, price"),
        (pl.col("price"), "where gives Float64, not true or false: compare it"),
        (pl.lit(True), "which names no column"),
        (pl.lit(1) < 2, "which names no column"),
        (pl.col("price", "year") < 20, "where gives 2 columns: combine them"),
        (pl.col("adult").any(), "where gives 1 values for 4 rows"),
        (pl.col("adult").drop_nulls(), "where gives 3 values for 4 rows"),
        (pl.col("brand") < 20, "where does not fit the columns"),
        (True, "where is of type bool: give a polars expression"),
        ([True, False], "where is of type list"),
        (pl.Series([True]), "where is of type Series"),
    ],
)
def test_an_expression_that_is_no_condition_is_one_clear_error(where, says):
    with pytest.raises(cf.SettingError, match=f"(?s){says}"):
        rows_where(where, TABLE)


SIGNS = (
    "and or not in is null between ( ) [ ] , < = 1 2.5 -3 1e400 99999999999999999999 'Acme' '' '2024-05-31' true false"
)
WORDS = st.sampled_from([*TABLE.columns, *SIGNS.split(), "`and`", "`^.*$`", ";", "*", "'", "`"])


@settings(max_examples=400)
@given(st.one_of(st.lists(WORDS, max_size=12).map(" ".join), st.text(max_size=30)))
def test_whatever_the_text_it_is_a_condition_or_one_error(text):
    try:
        found = rows_where(text, TABLE)
    except cf.SettingError:
        return
    assert found.shape == (4,)
    assert found.dtype == bool


LEAVES = {
    "price < 20": pl.col("price") < 20,
    "year between 1985 and 2000": pl.col("year").is_between(1985, 2000),
    "adult": pl.col("adult"),
    "brand is null": pl.col("brand").is_null(),
    "stock in (200, 255)": pl.col("stock").is_in([200, 255]),
    "since = '2024-05-31'": pl.col("since") == DAY,
}
CONDITIONS = st.recursive(
    st.sampled_from(list(LEAVES.items())),
    lambda inner: st.one_of(
        inner.map(lambda one: (f"not ({one[0]})", ~one[1])),
        st.tuples(inner, inner).map(lambda two: (f"({two[0][0]}) and ({two[1][0]})", two[0][1] & two[1][1])),
        st.tuples(inner, inner).map(lambda two: (f"({two[0][0]}) or ({two[1][0]})", two[0][1] | two[1][1])),
    ),
    max_leaves=8,
)


@given(CONDITIONS)
def test_a_text_means_what_the_expression_means(condition):
    text, expression = condition
    assert rows_where(text, TABLE).tolist() == rows_where(expression, TABLE).tolist()
    assert rows_where(text, TABLE).tolist() == TABLE.select(expression.fill_null(False)).to_series().to_list()


@pytest.fixture(scope="module")
def model():
    random = np.random.default_rng(0)
    items = [f"i{k}" for k in range(200)]
    seen = sparse.random_array((30, 200), density=0.1, rng=random, dtype=np.float32).tocsr()
    vectors = random.normal(size=(30, 6)), random.normal(size=(200, 6))
    users = [f"u{k}" for k in range(30)]
    made = Factors.from_arrays(*vectors, users, items, item_bias=random.normal(size=200), seen=seen)
    table = pl.DataFrame(
        {
            "price": random.integers(1, 100, 200).astype(float),
            "adult": random.random(200) < 0.5,
            "genres": random.choice(["Comedy", "War", "Comedy|War"], 200),
        }
    ).with_columns(pl.when(pl.int_range(pl.len()) % 10 > 0).then("price").alias("price"))
    return evolved(made, metadata=Metadata(table))


def by_brute_force(model, user, n, keep):
    """The best items of one user among those that ``keep`` holds for, each scored alone."""
    scores = model.score([user] * model.n_items, model.items.ids)
    seen = set(model.seen[[model.users.row(user)]].indices)
    rows = [row for row in np.argsort(-scores, kind="stable") if keep[row] and row not in seen]
    return [model.items[row] for row in rows[:n]]


WHERES = [
    "price < 20 and not adult",
    "'War' in genres",
    (pl.col("price") > 90) | pl.col("price").is_null(),
    "price < 2",
]


@pytest.mark.parametrize("where", WHERES, ids=str)
def test_lists_are_whole_and_equal_to_brute_force(model, where):
    keep = rows_where(where, model.item_table)
    lists = model.recommend(model.users.ids, n=10, where=where)
    for user in model.users:
        expected = by_brute_force(model, user, 10, keep)
        assert lists.filter(user=user)["item"].to_list() == expected
    assert len(lists) == 10 * model.n_users or keep.sum() < 40


def test_a_condition_goes_with_candidates_exclusions_and_pairs(model):
    keep = rows_where("not adult", model.item_table)
    some, never = model.items.ids[:120], ["i3", "i5", "i8"]
    allowed = keep & (np.arange(200) < 120) & ~np.isin(np.arange(200), [3, 5, 8])
    found = model.recommend(["u1"], n=8, where="not adult", candidates=some, exclude=never)
    assert found["item"].to_list() == by_brute_force(model, "u1", 8, allowed)
    pairs = pl.DataFrame({"user": "u1", "item": some})
    assert model.recommend(["u1"], n=8, where="not adult", candidates=pairs, exclude=never).equals(found)
    without = model.recommend(
        ["u1"], n=8, where="not adult", candidates=some, exclude=pl.DataFrame({"user": "u1", "item": never})
    )
    assert without.equals(found)
    popular = model.recommend(["nobody"], n=5, where="not adult", on_unknown="popular")
    assert len(popular) == 5
    assert keep[model.items.rows(popular["item"])].all()


def test_everyones_lists_obey_and_another_condition_is_another_question(model, tmp_path):
    for where in ("price < 20", pl.col("price") >= 20):
        path = model.recommend_all(tmp_path / "lists.parquet", n=4, where=where)
        expected = model.recommend(model.users.ids, n=4, where=where, on_unknown="skip")
        assert pl.read_parquet(path).equals(expected)


def test_similar_items_obey(model):
    near = model.similar_items("i5", n=200)
    keep = set(model.items.ids.filter(pl.Series(rows_where("price < 20", model.item_table))))
    expected = near.filter(pl.col("item").is_in(keep)).head(6).with_columns(position=pl.int_range(1, 7, dtype=pl.Int32))
    assert model.similar_items("i5", n=6, where="price < 20").equals(expected)
    assert model.similar_items("i5", n=6, where=pl.col("price") < 20).equals(expected)


def test_a_condition_that_nothing_obeys_gives_no_list(model):
    assert len(model.recommend(["u1"], where="price > 1000")) == 0
    assert len(model.similar_items("i1", where="price > 1000")) == 0


def test_a_condition_is_checked_before_the_work():
    with pytest.raises(cf.SettingError, match="where is of type int"):
        ListRequest(where=7)
    plain = Factors.from_arrays(np.eye(2), np.eye(2))
    with pytest.raises(cf.SettingError, match=r"there is no column 'price'.*what is known of the items is item; put"):
        plain.recommend([0], where="price < 20")
    assert plain.recommend([0], where="item = 1")["item"].to_list() == [1]
