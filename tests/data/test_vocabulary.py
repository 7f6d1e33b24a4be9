"""Raw ids and rows: each id comes back, whatever its type and the order of the input."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import DataError, UnknownIdError

texts = st.text(max_size=12)
integers = st.integers(-(2**63), 2**63 - 1)
large = st.integers(0, 2**64 - 1)
columns = st.one_of(st.lists(texts, min_size=1), st.lists(integers, min_size=1), st.lists(large, min_size=1))


@given(columns)
def test_every_id_comes_back_from_its_row(ids):
    vocabulary, rows = Vocabulary.of(ids, kind="user")
    assert [vocabulary[row] for row in rows] == ids
    assert vocabulary.take(rows).to_list() == ids
    assert len(vocabulary) == len(set(ids))


@given(columns, st.randoms())
def test_rows_do_not_depend_on_the_order_of_the_input(ids, random):
    shuffled = random.sample(ids, len(ids))
    assert Vocabulary.of(ids, kind="user")[0] == Vocabulary.of(shuffled, kind="user")[0]


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_strings_that_spell_integers_are_in_numeric_order(numbers):
    vocabulary, _ = Vocabulary.of([str(number) for number in numbers], kind="item")
    assert list(vocabulary) == [str(number) for number in sorted(set(numbers))]


@given(st.lists(texts, min_size=1, unique=True), st.lists(texts, unique=True))
def test_extending_keeps_the_known_rows(known, more):
    vocabulary = Vocabulary(known, kind="user")
    extended = vocabulary.extended(more)
    assert list(extended)[: len(known)] == known
    assert set(extended) == {*known, *more}


@pytest.mark.parametrize("n", [3, 300])
def test_few_and_many_ids_are_found_alike(n):
    vocabulary = Vocabulary([f"u{k}" for k in range(500)], kind="user")
    asked = [f"u{k * 7 % 600}" for k in range(n)]
    expected = [k * 7 % 600 if k * 7 % 600 < 500 else -1 for k in range(n)]
    assert vocabulary.find(asked).tolist() == expected


def test_an_unknown_id_is_named_with_the_remedy():
    vocabulary = Vocabulary(["u1", "u2"], kind="user")
    with pytest.raises(UnknownIdError, match=r"unknown user 'u9': fold_in\(\) places new users"):
        vocabulary.rows(["u1", "u9"])
    with pytest.raises(UnknownIdError, match=r"'u9' \(and 1 more\)"):
        vocabulary.rows(["u9", "u8"])


def test_an_id_of_the_other_type_is_told_so():
    with pytest.raises(UnknownIdError, match="unknown user 1: the user ids here are strings, such as '1'"):
        Vocabulary(["1", "2"], kind="user").rows([1])
    with pytest.raises(
        UnknownIdError, match=r"unknown item '1' \(and 99 more\): the item ids here are integers, such as 1"
    ):
        Vocabulary([1, 2], kind="item").rows(["1"] * 100)


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        (["a", "b", "a"], "'a' is duplicated"),
        ([1.5, 2.5], "type float"),
        (["a", 1], "type int and str"),
        ([True, False], "type bool"),
        (["a", None], "row 1 is missing"),
        (pl.Series(["a", None]), "row 1 is missing"),
        (pl.Series([1.0, 2.0]), "Float64"),
        ([2**64], "more than 64 bits"),
        ([-1, 2**63], "more than 64 bits"),
        ("u1", "are one id, 'u1'"),
    ],
)
def test_ids_that_cannot_be_used_are_refused(ids, text):
    with pytest.raises(DataError, match=text):
        Vocabulary(ids, kind="user")


def test_ids_of_another_type_cannot_be_added():
    with pytest.raises(DataError, match="the user ids here are strings, such as 'a', the new ones such as 3 are not"):
        Vocabulary(["a"], kind="user").extended([3])


def test_larger_integers_can_be_added():
    extended = Vocabulary([1, 2], kind="user").extended([2**64 - 1])
    assert list(extended) == [1, 2, 2**64 - 1]
    assert extended.rows([2**64 - 1]).tolist() == [2]


def test_ids_of_numpy_and_polars_are_taken():
    assert list(Vocabulary(np.array([3, 1]), kind="user")) == [3, 1]
    assert list(Vocabulary(np.array(["a", "b"]), kind="user")) == ["a", "b"]
    assert list(Vocabulary(pl.Series(["x", "y"], dtype=pl.Categorical), kind="user")) == ["x", "y"]


def test_text_from_outside_is_read_by_the_type_of_the_ids():
    assert Vocabulary([1, 2], kind="user").parse("2") == 2
    assert Vocabulary([1, 2], kind="user").parse("two") == "two"
    assert Vocabulary(["1", "2"], kind="user").parse("2") == "2"


def test_membership_and_display():
    vocabulary = Vocabulary(["a", "b", "c", "d"], kind="item")
    assert "a" in vocabulary
    assert "z" not in vocabulary
    assert 1 not in vocabulary
    assert repr(vocabulary) == "Vocabulary of 4 items: 'a', 'b', 'c', …"
    assert len({vocabulary, Vocabulary(["a", "b", "c", "d"], kind="item")}) == 1


def test_a_long_unknown_id_is_shortened():
    with pytest.raises(UnknownIdError, match=r"… \(1,000,000 characters\)"):
        Vocabulary(["a"], kind="user").rows(["x" * 10**6])
