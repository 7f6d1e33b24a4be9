"""Synthetic sets: exactly the size asked for, long tails, a truth that can be found, the same every time."""

import numpy as np
import pytest

from cofactor.data import synthetic
from cofactor.data.catalog import load_dataset
from cofactor.data.synthetic import Spec, blocks, generate, parse
from cofactor.errors import SettingError

SIZES = [
    "500x300x20000:7",
    "1x1x1",
    "10x10x100",
    "10x10x99",
    "3x1000x2999",
    "1000x2x1500",
    "100x50x60",
    "20000x30x40000",
]


def pairs(spec: Spec) -> np.ndarray:
    return np.concatenate([block.user_rows.astype(np.int64) * spec.items + block.item_rows for block in blocks(spec)])


@pytest.mark.parametrize("size", SIZES)
def test_there_are_exactly_as_many_distinct_pairs_as_asked_for(size: str) -> None:
    spec = parse(f"synthetic:{size}")
    found = pairs(spec)
    assert len(found) == spec.ratings
    assert np.all(np.diff(found) > 0)
    assert found[0] >= 0
    assert found[-1] < spec.users * spec.items


@pytest.mark.parametrize("size", SIZES)
def test_every_user_rates_where_there_are_enough_ratings(size: str) -> None:
    spec = parse(f"synthetic:{size}")
    counts = np.bincount(pairs(spec) // spec.items, minlength=spec.users)
    assert counts.min() >= min(spec.ratings // spec.users, 1)
    assert counts.max() <= spec.items


def test_a_name_gives_the_same_ratings_every_time_and_a_seed_gives_others() -> None:
    name = "synthetic:300x200x6000"
    one, two, other = (load_dataset(each) for each in (name, name, f"{name}:1"))
    assert one.to_frame().equals(two.to_frame())
    assert not one.to_frame().equals(other.to_frame())
    assert (one.name, other.name) == (name, f"{name}:1")


def test_the_ratings_of_a_seed_never_change() -> None:
    block = next(blocks(Spec(50, 40, 500, seed=3)))
    sums = [int(column.sum()) for column in (block.user_rows, block.item_rows, block.values, block.timestamps)]
    assert sums == [12253, 7293, 1643, 614813946484]


def test_ids_are_integers_from_one_with_titles_and_times() -> None:
    table = generate(Spec(30, 20, 200))
    assert list(table.users)[:3] == [1, 2, 3]
    assert table.metadata.titles is not None
    assert table.metadata.titles[16] == "Film 17"
    assert table.items[16] == 17
    assert table.timestamps is not None
    assert table.timestamps.min() > 900_000_000
    _, test = table.split_last()
    assert len(test) > 20


def test_items_follow_zipf_and_users_are_log_normal() -> None:
    spec = Spec(20_000, 2_000, 400_000)
    found = pairs(spec)
    popularity = np.bincount(found % spec.items, minlength=spec.items)
    assert np.argmax(popularity) == 0
    places = np.arange(20, 2_000)  # nobody rates twice, which bends the head
    slope = np.polyfit(np.log(places + 1), np.log(popularity[20:]), 1)[0]
    assert slope == pytest.approx(-0.9, abs=0.05)
    counts = np.bincount(found // spec.items)
    assert np.log(counts[counts > 3]).std() == pytest.approx(1.0, abs=0.2)
    assert np.median(counts) < counts.mean() * 0.6


def test_draws_and_exponential_clocks_choose_alike() -> None:
    weights = np.arange(1, 41, dtype=np.float64) ** -0.9
    weights /= weights.sum()
    counts = np.full(4_000, 6)
    drawn = synthetic._by_draws(np.random.default_rng(0), counts, np.cumsum(weights))
    rung = np.concatenate(list(synthetic._by_exponentials(np.random.default_rng(1), np.arange(4_000), counts, weights)))
    assert len(drawn) == len(rung) == 24_000
    shares = [np.bincount(chosen & (synthetic._MOST_ITEMS - 1), minlength=40) / 4_000 for chosen in (drawn, rung)]
    assert shares[0] == pytest.approx(shares[1], abs=0.04)


def test_ratings_are_whole_numbers_from_1_to_5_that_hold_a_low_rank_truth() -> None:
    table = generate(Spec(400, 100, 30_000))
    assert set(np.unique(table.matrix.data)) == {1.0, 2.0, 3.0, 4.0, 5.0}
    full = table.matrix.toarray()
    known = full > 0
    centred = np.where(known, full - full.sum(1, keepdims=True) / known.sum(1, keepdims=True), 0)
    centred = np.where(known, centred - centred.sum(0) / np.maximum(known.sum(0), 1), 0)
    strengths = np.linalg.svd(centred, compute_uv=False)
    assert strengths[7] > 1.1 * strengths[9]
    assert strengths[8] < 1.1 * strengths[9]


def test_what_is_rated_says_nothing_of_taste() -> None:
    table = generate(Spec(3_000, 300, 60_000))
    popularity = np.diff(table.by_item.indptr)
    means = np.asarray(table.by_item.sum(axis=1)).ravel() / np.maximum(popularity, 1)
    assert abs(np.corrcoef(popularity, means)[0, 1]) < 0.25


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("synthetic:", "is not the name of a synthetic set: write"),
        ("synthetic:10x10", "is not the name of a synthetic set"),
        ("synthetic:axbxc", "is not the name of a synthetic set"),
        ("synthetic:10x10x10:", "is not the name of a synthetic set"),
        ("synthetic:10x10x-5", "is not the name of a synthetic set"),
        ("synthetic:10x10x5.5", "is not the name of a synthetic set"),
        ("synthetic:١x10x5", "is not the name of a synthetic set"),
        ("synthetic:" + "9" * 500 + "x1x1", "…"),
        ("synthetic:0x10x5", "has 0 users: ask for 1 to"),
        ("synthetic:10x0x5", "has 0 items"),
        ("synthetic:10x10x0", "has 0 ratings"),
        ("synthetic:10x10x101", "make only 100 pairs: ask for fewer ratings"),
        ("synthetic:10x999999999999x5", "items: ask for 1 to 67,108,864"),
        ("synthetic:999999999999x10x5", "users: ask for 1 to"),
        ("synthetic:100000000x10000000x999999999999", "ratings: ask for 1 to"),
    ],
)
def test_impossible_sets_are_refused_with_the_reason(name: str, says: str) -> None:
    with pytest.raises(SettingError) as caught:
        load_dataset(name)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 300


def test_blocks_are_bounded() -> None:
    sizes = [len(block.values) for block in blocks(Spec(30_000, 500, 1_500_000))]
    assert sum(sizes) == 1_500_000
    assert max(sizes) <= synthetic._BLOCK_RATINGS
