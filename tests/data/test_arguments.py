"""Whatever is given to a public function of the data, an error is one of ours."""

import datetime
import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

import cofactor as cf

FRAME = pl.DataFrame({"user": ["a", "a", "b"], "item": ["x", "y", "x"], "value": [5.0, 1.0, 2.0], "time": [1, 2, 3]})
RATINGS = cf.from_frame(FRAME)
WRONG = [
    *(None, True, 1, -1, 1.5, float("nan"), float("inf"), 10**30, "x", "", b"x", "0.2", "2024", [], [1], ["a"], [True]),
    *({}, {"a": 1}, (), object(), np.array(1), np.array([1.0]), np.array([[1, 2]]), np.array(["a"]), np.array([True])),
    *(pl.Series(["a"]), pd.Series([1]), pl.DataFrame(), FRAME, range(3), int, Path("nope"), datetime.timedelta(1)),
    *(datetime.datetime(2024, 1, 1), datetime.date(2024, 1, 1), np.datetime64("2024-01-01"), pl.col("nope") > 1),
]
READERS = {
    "read_csv": ("r.csv", {}),
    "read_parquet": ("r.parquet", {}),
    "open_parquet": ("r.parquet", {"memory": "16MB", "cache": "cache"}),
    "from_frame": (FRAME, {}),
    "read_sql": ("select 'a', 'b'", {"url": "sqlite://"}),
    "read_ncf": ("nope", {}),
    "read_lightgcn": ("nope", {}),
    "load_dataset": ("synthetic:5x5x5", {}),
}
METHODS = {
    "filter": (pl.col("value") > 1,),
    "min_counts": (),
    "at_least": (2,),
    "with_items": (pl.DataFrame({"item": ["x"], "title": ["X"]}),),
    "with_users": (pl.DataFrame({"user": ["a"], "age": [7]}),),
    "split_rows": ([0],),
    "split_random": (),
    "split_per_user": (),
    "split_last": (),
    "split_by_time": (),
    "split_rolling": (),
    "split_users": (),
    "folds": (2,),
    "contiguous_folds": (2,),
    "user_history": ("a",),
    "where": (np.array([True, False, True]),),
}


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    FRAME.write_csv("r.csv")
    FRAME.write_parquet("r.parquet")


def tried(function, first, options):
    """Call a function once for each wrong value of each of its parameters."""
    names = list(inspect.signature(function).parameters)
    for name in names:
        for wrong in WRONG:
            arguments = list(first)
            if names.index(name) < len(arguments):
                arguments[names.index(name)], given = wrong, options
            else:
                given = {**options, name: wrong}
            try:
                found = function(*arguments, **given)
                if inspect.isgenerator(found):
                    list(found)
            except cf.CofactorError:
                pass
            except Exception as error:
                pytest.fail(f"{function.__name__}({name}={wrong!r}): {type(error).__name__}: {error}")


@pytest.mark.parametrize("name", READERS)
def test_a_reader_given_the_wrong_type_says_so(name):
    first, options = READERS[name]
    tried(getattr(cf, name), [first], options)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_given_the_wrong_type_says_so(name):
    tried(getattr(RATINGS, name), METHODS[name], {})


def test_columns_of_the_wrong_type_say_so():
    tried(cf.Interactions.from_columns, [["a"], ["x"], [1.0], [1]], {})
    rows = np.array([0])
    tried(cf.Interactions.from_rows, [RATINGS.users, RATINGS.items, rows, rows, [1.0], [1]], {})


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: cf.read_csv(Path("r.csv").open()), "path is an open file: give its path, 'r.csv'"),  # noqa: SIM115
        (lambda: cf.read_csv([]), "path is an empty list: give at least one file"),
        (lambda: cf.open_parquet(["r.parquet"]), "path is a list: give one path"),
        (lambda: RATINGS.split_rows([True, False, True]), "test_rows is a mask: give row numbers"),
        (lambda: RATINGS.split_random(test_fraction="0.2"), "test_fraction is '0.2': it must be a number"),
        (lambda: RATINGS.split_random(seed=-1), "seed is -1: it must be a whole number of at least 0"),
        (lambda: RATINGS.filter(pl.col("nope") > 1), "the conditions do not fit the table"),
        (lambda: RATINGS.users.rows(5), r"the user ids are one id, 5: give a list, \[5\]"),
    ],
)
def test_what_is_wrong_is_named_with_its_value_and_a_remedy(call, says):
    with pytest.raises(cf.CofactorError, match=says):
        call()


def test_columns_that_nobody_asks_for_may_share_a_name():
    rows = [["a", "x", "t", "t"]]
    frame = pd.DataFrame(rows, columns=["user", "item", "title", "title"])
    assert cf.from_frame(frame).to_frame().rows() == [("a", "x", 1.0)]
    arrow = pl.DataFrame(rows, schema=["user", "item", "p", "q"], orient="row").to_arrow()
    assert len(cf.from_frame(arrow.rename_columns(["user", "item", "other", "other"]))) == 1
    with pytest.raises(cf.DataError, match="has 2 columns named 'item'"):
        cf.from_frame(frame.set_axis(["user", "item", "item", "title"], axis=1))


def test_titles_may_be_a_frame_of_any_library():
    for frame in (pd.DataFrame({"item": ["x"], "title": ["The X"]}), {"item": ["x"]}):
        if isinstance(frame, dict):
            with pytest.raises(cf.DataError, match="dict is not a data frame"):
                cf.from_frame(FRAME, items=frame)
        else:
            assert cf.from_frame(FRAME, items=frame).metadata.titles.to_list() == ["The X", None]


def test_a_sparse_column_of_pandas_is_read():
    frame = pd.DataFrame({"user": [1, 2], "item": [2, 3], "value": pd.arrays.SparseArray([1.0, 0.0])})
    assert cf.from_frame(frame).to_frame()["value"].to_list() == [1.0, 0.0]
