"""Columns read part by part are the same, in fewer bytes; and the table is what a dictionary makes of the rows."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cofactor as cf
from cofactor.data import building
from cofactor.data.gathering import IdParts
from cofactor.data.vocabulary import Vocabulary

SPELLED = st.integers(0, 10**18 - 1).map(str)
TEXTS = st.one_of(SPELLED, st.sampled_from(["07", "+7", "-0", " 7", "1e3", "", "ü", str(10**18), "-5"]))


@given(parts=st.lists(st.lists(st.one_of(SPELLED, TEXTS), max_size=5), min_size=1, max_size=4))
@settings(deadline=None, max_examples=200)
def test_texts_are_the_same_however_they_are_held(parts):
    ids, whole = IdParts(), [text for part in parts for text in part]
    for part in parts:
        ids.add(pl.Series(part, dtype=pl.String))
    assert ids.together().cast(pl.String).to_list() == whole
    assert ids.are_spelled == all(text.isdecimal() and text == str(int(text)) and int(text) < 10**18 for text in whole)
    wanted, rows = Vocabulary.of(pl.Series(whole, dtype=pl.String), kind="item")
    found, again = Vocabulary.of(ids.together(), kind="item", spelled=ids.are_spelled)
    assert found == wanted
    assert again.tolist() == rows.tolist()


@pytest.mark.parametrize("text", ["07", "+7", "-7", " 7", "7 ", "7.0", "1e3", str(10**18), ""])
def test_a_text_that_only_looks_like_an_integer_stays_a_text(text):
    ids = IdParts()
    ids.add(pl.Series(["1", "200"]))
    ids.add(pl.Series(["3", text]))
    assert not ids.are_spelled
    assert ids.together().cast(pl.String).to_list() == ["1", "200", "3", text]


def test_integers_take_four_bytes_where_they_fit():
    ids = IdParts()
    ids.add(pl.Series([1, 2]))
    assert ids.together().dtype == pl.Int32
    ids.add(pl.Series([2**40]))
    assert ids.together().dtype == pl.Int64


ROWS = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(1, 5), st.integers(0, 3)), min_size=1, max_size=40
)


@given(rows=ROWS, timed=st.booleans(), duplicates=st.sampled_from(["last", "first", "sum", "mean"]), far=st.booleans())
@settings(deadline=None, max_examples=300)
def test_the_table_is_what_a_dictionary_makes_of_the_rows(rows, timed, duplicates, far):
    if far:  # pairs are sorted otherwise where the sides are longer than the table
        rows = [(user * 1000, item * 1000, *rest) for user, item, *rest in rows]
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for at, (user, item, _, _) in enumerate(rows):
        groups.setdefault((user, item), []).append((rows[at][3] if timed else at, at))
    wanted = {}
    for pair, group in groups.items():
        values = [float(rows[at][2]) for _, at in group]
        latest = max(range(len(group)), key=lambda k: group[k])
        earliest = min(range(len(group)), key=lambda k: group[k])
        value, kept = {
            "last": (values[latest], group[latest][1]),
            "first": (values[earliest], group[earliest][1]),
            "sum": (sum(values), group[-1][1]),
            "mean": (sum(values) / len(values), group[-1][1]),
        }[duplicates]
        wanted[pair] = (kept, value)
    vocabularies = [Vocabulary(range(4001 if far else 5), kind=kind) for kind in ("user", "item")]
    columns = [pl.Series(column).to_numpy() for column in zip(*rows, strict=True)]
    times = columns[3] if timed else None
    table = cf.Interactions.from_rows(
        *vocabularies, *columns[:2], columns[2].astype(float), times, duplicates=duplicates
    )
    found = list(zip(*(column.tolist() for column in (table.triplets().user_rows, table.triplets().item_rows,
                                                      table.triplets().values)), strict=True))  # fmt: skip
    in_reading_order = sorted((kept, pair, value) for pair, (kept, value) in wanted.items())
    assert found == [(*pair, pytest.approx(value, rel=1e-6)) for _, pair, value in in_reading_order]
    assert table.matrix.has_sorted_indices


def test_both_ways_of_sorting_pairs_give_the_same():
    users, items = (pl.Series(column).to_numpy() for column in ([3, 1, 3, 3, 1, 0], [1, 2, 1, 0, 2, 5]))
    counted = building._Pairs.sorted(
        pl.concat([pl.Series(users)] * 3).to_numpy(), pl.concat([pl.Series(items)] * 3).to_numpy()
    )
    assert counted.positions.tolist() == [5, 11, 17, 1, 4, 7, 10, 13, 16, 3, 9, 15, 0, 2, 6, 8, 12, 14]
    few = building._Pairs.sorted(users * 100, items * 100)
    assert few.positions.tolist() == [5, 1, 4, 3, 0, 2]
    assert few.item_rows.tolist() == [500, 200, 200, 0, 100, 100]
