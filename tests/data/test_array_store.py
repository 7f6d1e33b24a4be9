"""Arrays in memory or in files, and what is done to tables part by part: the same bits either way."""

import os
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from tablesupport import in_files, is_mapped, same_matrix

import cofactor as cf
from cofactor.data import array_store, passes
from cofactor.data.array_store import MEMORY, Disk, bytes_of, edges_of
from cofactor.data.buckets import Buckets


@pytest.fixture(scope="module", autouse=True)
def in_small_parts():
    """Let a limit of 16 MB mean 40 entries at a time, and every array go to a file."""
    with in_files(40):
        yield


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    return Disk(tmp_path_factory.mktemp("arrays"), 16_000_000)


def test_a_large_array_lies_in_a_file_that_has_no_name(disk):
    array = disk.zeros((300, 7), np.float32)
    assert is_mapped(array)
    assert not array.any()
    array[299, 6] = 5
    assert array.sum() == 5
    assert list(disk.folder.iterdir()) == []


def test_a_small_array_stays_in_memory(disk, monkeypatch):
    monkeypatch.setattr(array_store, "SHARE_OF_AN_ARRAY", 8)
    assert not is_mapped(disk.zeros(1000, np.int64))
    assert is_mapped(disk.zeros(250_001, np.int64))


def test_a_full_disk_is_one_clear_error(disk, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    says = r"cannot hold 2 GB more \(No space left on device\): make room, or give cache"
    with pytest.raises(cf.DataError, match=says):
        disk.zeros(2 * 10**9, np.int8)


def test_a_full_disk_is_the_same_error_while_a_table_is_transposed(disk, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Buckets, "add", full)
    with pytest.raises(
        cf.DataError, match=r"cannot be written to \(No space left on device\): make room, or give cache"
    ):
        passes.transposed(table(0)[0], disk)


def test_a_room_that_cannot_be_a_folder_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(cf.DataError, match=r"cannot hold 2 GB more \(.+\): make room, or give cache"):
            Disk(folder, 16_000_000).zeros(2 * 10**9, np.int8)


def test_what_must_be_in_memory_is_refused_with_the_amount_needed(disk):
    disk.require(16_000_000, "the tables")
    with pytest.raises(cf.SettingError, match=r"the tables must be in memory and take 3.5 GB, .* give memory='4GB'"):
        disk.require(3_500_000_000, "the tables")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GB", 4 * 10**9), ("4 gb", 4 * 10**9), ("512MiB", 512 * 2**20), ("1.5G", 1_500_000_000),
        ("2TB", 2 * 10**12), (20_000_000, 20_000_000), ("20000000", 20_000_000), ("16000K", 16_000_000),
    ],
)  # fmt: skip
def test_amounts_of_memory_are_read(text, size):
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-4GB", "4XB", "4GBs", "many", None, True, "1e9", "nan", 4.5e9j])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(cf.SettingError, match=r"memory is .*: give an amount such as '4GB'"):
        bytes_of(text)


@pytest.mark.parametrize("text", ["0GB", "15MB", 0, 100])
def test_too_little_is_refused(text):
    with pytest.raises(cf.SettingError, match="16MB at least"):
        bytes_of(text)


@given(st.lists(st.integers(0, 12), max_size=30), st.integers(1, 12))
def test_ranges_of_rows_hold_no_more_than_they_may(counts, most):
    edges = edges_of(np.array(counts, np.int64), most)
    assert edges[0] == 0
    assert edges[-1] == len(counts)
    assert (np.diff(edges) > 0).all()
    for first, last in pairwise(edges):
        assert sum(counts[first:last]) <= most or last == first + 1
        assert last == len(counts) or sum(counts[first : last + 1]) > most  # and no fewer than they can


@given(st.lists(st.lists(st.integers(0, 9), max_size=20), max_size=5), st.sampled_from([[0, 10], [0, 3, 4, 10]]))
@settings(max_examples=40, deadline=None)
def test_buckets_give_back_what_was_added_in_order(disk, batches, edges):
    everything = [key for batch in batches for key in batch]
    counts = [sum(first <= key < last for key in everything) for first, last in pairwise(edges)]
    record = np.dtype([("key", np.int32), ("number", np.int64)])
    buckets, number = Buckets(disk.folder, np.array(edges), np.array(counts), record), 0
    for batch in batches:
        records = np.empty(len(batch), record)
        records["key"], records["number"] = batch, np.arange(number, number + len(batch))
        buckets.add(records["key"], records)
        number += len(batch)
    for first, last, section in buckets:
        wanted = [(key, place) for place, key in enumerate(everything) if first <= key < last]
        assert [tuple(pair) for pair in section[:].tolist()] == wanted
        assert [tuple(pair) for part in section.parts(3) for pair in part.tolist()] == wanted


def table(seed, n_users=37, n_items=23, density=0.3):
    random = np.random.default_rng(seed)
    met = random.random((n_users, n_items)) < density
    matrix = sparse.csr_array(np.where(met, 1 - random.random(met.shape), 0), dtype=np.float32)
    order = random.permutation(matrix.nnz).astype(np.int32)
    return matrix, random.integers(0, 1000, matrix.nnz), order


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.02, 0.3, 1.0]))
@settings(max_examples=30, deadline=None)
def test_tables_come_out_the_same_part_by_part(disk, seed, density):
    matrix, times, order = table(seed, density=density)
    kept = np.random.default_rng(seed + 1).random(matrix.nnz) > 0.4
    same_matrix(passes.transposed(matrix, disk), matrix.T.tocsr())
    same_matrix(passes.valued(matrix, lambda values: values / 3, disk), passes.valued(matrix, lambda v: v / 3, MEMORY))
    in_memory, in_files = (passes.kept_where(matrix, times, order, kept, store) for store in (MEMORY, disk))
    same_matrix(in_memory[0], in_files[0])
    for mine, theirs in zip(in_memory[1:], in_files[1:], strict=True):
        assert mine.dtype == theirs.dtype
        assert np.array_equal(mine, theirs)
    assert np.array_equal(passes.places_of(kept, disk), np.flatnonzero(kept))
    assert np.array_equal(passes.scattered(kept, order, disk), passes.scattered(kept, order, MEMORY))


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_what_is_kept_is_what_the_mask_says_in_the_order_of_reading(disk, seed):
    matrix, times, order = table(seed)
    kept = np.random.default_rng(seed + 1).random(matrix.nnz) > 0.4
    new, new_times, new_order = passes.kept_where(matrix, times, order, kept, disk)
    entries = list(zip(*matrix.nonzero(), matrix.data, times, strict=True))
    wanted = [entries[place] for place in order if kept[place]]
    stored = list(zip(*new.nonzero(), new.data, new_times, strict=True))
    assert [stored[place] for place in new_order] == wanted


def test_a_random_split_is_the_permutations_first_part_in_files_too(disk):
    from cofactor.data.splits import random_mask

    wanted = np.zeros(1001, bool)
    wanted[np.random.default_rng(5).permutation(1001)[:200]] = True
    for store in (MEMORY, disk):
        assert np.array_equal(random_mask(1001, 0.2, 5, store), wanted)


def test_counting_in_parts_counts_all(monkeypatch):
    monkeypatch.setattr(passes, "_ROWS_AT_ONCE", 7)
    rows = np.random.default_rng(0).integers(0, 9, 100)
    assert np.array_equal(passes.counts_of(rows, 12), np.bincount(rows, minlength=12))


def test_sums_of_parts_are_those_of_the_whole(monkeypatch):
    rows, values = np.array([2, 0, 2, 2, 0, 3]), np.array([1, 2, 4, 8, 16, 32], np.float32)
    monkeypatch.setattr(passes, "_ROWS_AT_ONCE", 4)
    assert passes.sums_of(rows, values, 5).tolist() == [18, 0, 13, 32, 0]
