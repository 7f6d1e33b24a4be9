"""Where a model is better: segments of users and of items, against averages taken one user at a time."""

import numpy as np
import polars as pl
import pytest

import cofactor as cf
from cofactor.evaluation import better, evaluate
from cofactor.evaluation.segments import segments
from cofactor.solvers import ALS, ImplicitALS, Popularity

K = 5


@pytest.fixture(scope="module")
def parts():
    ratings = cf.load_dataset("synthetic:300x80x6000:1")
    items = pl.DataFrame(
        {
            "item": range(1, 81),
            "genres": [["tea"], ["rye", "tea"], ["rye"], []] * 20,
            "price": [float(n) for n in range(80)],
            "title": [f"item {n}" for n in range(80)],
            "code": [f"c{n}" for n in range(80)],
        }
    )
    people = pl.DataFrame({"user": range(1, 301), "club": ["gold", "blue", "gold"] * 100})
    return ratings.with_items(items).with_users(people).split_random(test_fraction=0.25, seed=0)


@pytest.fixture(scope="module")
def both(parts):
    models = ImplicitALS(rank=6, seed=0).fit(parts[0]), Popularity().fit(parts[0])
    return models, [evaluate(model, parts[1], k=K) for model in models]


@pytest.fixture(scope="module")
def found(both):
    (one, two), (ours, theirs) = both
    compared = segments(one, ours, two, theirs, metric=f"ndcg@{K}", k=K)
    return {(segment.side, segment.by): segment for segment in compared}


def test_every_column_that_makes_groups_has_a_table(found):
    assert set(found) == {
        ("user", "how much they had in training"),
        ("user", "club"),
        ("item", "how well known they are"),
        ("item", "genres"),
        ("item", "price"),
    }


def test_groups_of_users_have_the_means_of_their_users(both, found, parts):
    _, reports = both
    club = dict(parts[0].user_table.iter_rows())
    people = [report.per_user.select("user", f"ndcg@{K}") for report in reports]
    for part in found["user", "club"].parts:
        wanted = [user for user, name in club.items() if name == part.label]
        means = [frame.filter(pl.col("user").is_in(wanted))[f"ndcg@{K}"].mean() for frame in people]
        assert [part.value, part.other] == pytest.approx(means)
        assert part.mean == pytest.approx(means[0] - means[1])
        assert part.low < part.mean < part.high


def test_new_light_and_heavy_users_are_told_apart_by_what_they_had(both, found):
    (model, _), (report, _) = both
    had = np.diff(model.seen.indptr)[model.users.rows(report.per_user["user"])]
    shown = found["user", "how much they had in training"].parts
    assert [part.label.partition(":")[0] for part in shown] == ["new", "light", "heavy"]
    assert shown[0].n == np.count_nonzero(had <= 10)
    assert sum(part.n for part in shown) == len(had)


def test_groups_of_items_have_the_recall_of_their_items(both, found, parts):
    models, reports = both
    test = parts[1].to_frame().select("user", "item")
    genres = dict(models[0].item_table.select("item", "genres").iter_rows())
    for part in found["item", "genres"].parts:
        inside = [item for item, names in genres.items() if part.label in names]
        for model, figure in zip(models, (part.value, part.other), strict=True):
            lists = model.recommend(test["user"].unique().to_list(), n=K, on_unknown="skip").select("user", "item")
            measured = pl.col("user").is_in(reports[0].per_user["user"].to_list())
            wanted = test.filter(measured & pl.col("item").is_in(inside))
            hits = wanted.join(lists, on=["user", "item"]).group_by("user").len("found")
            shares = wanted.group_by("user").len("wanted").join(hits, on="user", how="left")
            assert figure == pytest.approx((shares["found"].fill_null(0) / shares["wanted"]).mean())


def test_head_and_tail_are_the_thirds_that_metrics_know(both, found, parts):
    models, _ = both
    names = ("recall_popular", "recall_middle", "recall_rare")
    measured = [evaluate(model, parts[1], k=K, also=names) for model in models]
    shown = found["item", "how well known they are"].parts
    assert [part.label.partition(":")[0] for part in shown] == ["head", "middle", "tail"]
    for part, name in zip(shown, names, strict=True):
        assert [part.value, part.other] == pytest.approx([report[f"{name}@{K}"] for report in measured])


def test_numbers_are_divided_into_parts_of_like_size(found):
    prices = found["item", "price"]
    assert [part.label for part in prices.parts] == ["0 to 19", "20 to 39", "40 to 59", "60 to 79"]
    assert [part.n for part in prices.parts] == [20] * 4


def test_segments_add_up_to_the_whole(both, found):
    (_, _), (ours, theirs) = both
    whole = better(ours, theirs, f"ndcg@{K}")
    for by in ("club", "how much they had in training"):
        parts = found["user", by].parts
        assert sum(part.n_users for part in parts) == whole.n_users
        assert sum(part.mean * part.n_users for part in parts) / whole.n_users == pytest.approx(whole.mean)


def test_only_the_columns_asked_for_are_shown_and_few_of_their_values(both):
    (one, two), (ours, theirs) = both
    shown = segments(one, ours, two, theirs, metric=f"ndcg@{K}", k=K, by=["code", "club"])
    assert {segment.by for segment in shown} >= {"code", "club"}
    assert not {segment.by for segment in shown} & {"genres", "price"}
    codes = next(segment for segment in shown if segment.by == "code")
    assert 0 < len(codes.parts) <= 12
    assert codes.left_out == 80 - len(codes.parts)
    assert all(part.n_users >= 20 for part in codes.parts)
    with pytest.raises(cf.SettingError, match="by names 'colour', which is no column"):
        segments(one, ours, two, theirs, metric=f"ndcg@{K}", k=K, by=["colour"])


def test_errors_of_ratings_are_compared_within_groups_too(parts):
    one, two = ALS(rank=2, epochs=3).fit(parts[0]), ALS(rank=1, epochs=1).fit(parts[0])
    ours, theirs = evaluate(one, parts[1]), evaluate(two, parts[1])
    shown = segments(one, ours, two, theirs, metric="rmse", k=K, by=["club"])
    assert {segment.metric for segment in shown if segment.side == "user"} == {"rmse"}
    assert not [segment for segment in shown if segment.side == "item"]  # no lists were measured
