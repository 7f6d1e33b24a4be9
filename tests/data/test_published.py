"""The splits that papers publish, in the layouts of their files."""

import numpy as np
import pytest

from cofactor.data.published import read_lightgcn, read_ncf
from cofactor.errors import DataError

TRAIN, TEST = "0\t5\t4\t978\n0\t3\t5\t979\n1\t5\t1\t980\n", "0\t9\t3\t990\n1\t3\t2\t991\n"
NEGATIVES = "(0,9)\t7\t8\n(1,3)\t7\t11\n"


def write_ncf(folder, name="ml-1m.", train=TRAIN, test=TEST, negatives=NEGATIVES):
    for ending, text in (("train.rating", train), ("test.rating", test), ("test.negative", negatives)):
        (folder / f"{name}{ending}").write_text(text)
    return folder


def pairs(table):
    rows, columns = table.matrix.nonzero()
    return sorted(zip(table.users.take(rows).to_list(), table.items.take(columns).to_list(), strict=True))


@pytest.mark.parametrize("name", ["ml-1m.", ""])
def test_the_ncf_layout_is_read_from_its_folder_with_and_without_a_name(tmp_path, name):
    split = read_ncf(write_ncf(tmp_path, name))
    assert pairs(split.train) == [(0, 3), (0, 5), (1, 5)]
    assert pairs(split.test) == [(0, 9), (1, 3)]
    assert pairs(split.negatives) == [(0, 7), (0, 8), (1, 7), (1, 11)]
    assert split.train.is_binary
    assert split.train.items == split.test.items == split.negatives.items


def test_the_fourth_column_is_the_time_where_all_lines_have_it(tmp_path):
    split = read_ncf(
        write_ncf(tmp_path, train="0\t5\t4\t978\n0\t3\t5\t979\n1\t5\t1\t970\n", test="0\t9\n1\t3\t2\t991\n")
    )
    train, last = split.train.split_last()
    assert pairs(last) == [(0, 3)]
    assert pairs(train) == [(0, 5), (1, 5)]
    assert split.test.timestamps is None


def test_the_ncf_layout_is_read_from_its_common_beginning(tmp_path):
    write_ncf(tmp_path, "ml-1m.")
    write_ncf(tmp_path, "pinterest-20.", train="4\t2\t1\t0\n")
    assert pairs(read_ncf(tmp_path / "pinterest-20").train) == [(4, 2)]
    with pytest.raises(DataError, match="more than one"):
        read_ncf(tmp_path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"train": "0\t5\n0\tfive\n"}, r"train.rating, line 2: 'five' is not the whole number"),
        ({"train": "0\n"}, "line 1: expected a user and an item"),
        ({"train": "\n"}, "has no rows"),
        ({"test": "0\t-1\t3\n"}, "line 1: -1 is negative"),
        ({"negatives": "0\t9\t7\n"}, r"line 1: expected \(user,item\)"),
        ({"negatives": "\n"}, "nothing to rank among"),
    ],
)
def test_a_line_that_is_not_as_the_layout_asks_is_named(tmp_path, changes, told):
    with pytest.raises(DataError, match=told):
        read_ncf(write_ncf(tmp_path, **changes))


def test_a_missing_file_is_named(tmp_path):
    (tmp_path / "ml-1m.train.rating").write_text(TRAIN)
    with pytest.raises(DataError, match=r"test\.rating"):
        read_ncf(tmp_path)
    with pytest.raises(DataError, match=r"no \*train.rating"):
        read_ncf(write_ncf(tmp_path) / "..")


def test_the_lightgcn_layout_keeps_users_without_items_and_items_of_the_test_part_alone(tmp_path):
    (tmp_path / "train.txt").write_text("0 4 2 9\n2 4\n7\n")
    (tmp_path / "test.txt").write_text("0 5\n7 4 2\n")
    split = read_lightgcn(tmp_path)
    assert split.negatives is None
    assert split.train.users.ids.to_list() == [0, 2, 7]
    assert split.train.items.ids.to_list() == [2, 4, 5, 9]
    assert pairs(split.train) == [(0, 2), (0, 4), (0, 9), (2, 4)]
    assert pairs(split.test) == [(0, 5), (7, 2), (7, 4)]


@pytest.mark.parametrize(("line", "told"), [("0 1 x", "'x'"), ("0 1.5", "'1.5'"), (f"0 {2**70}", "whole number")])
def test_a_bad_line_of_the_lightgcn_layout_is_named(tmp_path, line, told):
    (tmp_path / "train.txt").write_text(f"0 1\n{line}\n")
    (tmp_path / "test.txt").write_text("0 2\n")
    with pytest.raises(DataError, match=rf"train.txt, line 2.*{told}"):
        read_lightgcn(tmp_path)


def test_a_written_layout_comes_back_as_it_was(tmp_path):
    random = np.random.default_rng(0)
    table = {user: random.choice(50, size=random.integers(1, 9), replace=False).tolist() for user in range(20)}
    text = "".join(f"{user} {' '.join(map(str, items))}\n" for user, items in table.items())
    for name in ("train.txt", "test.txt"):
        (tmp_path / name).write_text(text)
    assert pairs(read_lightgcn(tmp_path).train) == sorted((u, i) for u, items in table.items() for i in items)
