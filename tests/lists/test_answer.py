"""From a request to a table: filters by ids and by pairs, users without history, re-rankers, what is refused."""

import logging

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

import cofactor as cf
from cofactor.lists import ListRequest, Ranked
from cofactor.solvers import ImplicitALS, PureSVD


@pytest.fixture(scope="module")
def model():
    random = np.random.default_rng(0)
    seen = sparse.csr_array((random.random((12, 30)) < 0.2).astype(np.float32))
    users, items = [f"u{k}" for k in range(12)], [f"i{k}" for k in range(30)]
    vectors = random.normal(size=(12, 4)), random.normal(size=(30, 4))
    return cf.Factors.from_arrays(*vectors, users=users, items=items, item_bias=random.normal(size=30), seen=seen)


@pytest.fixture(scope="module")
def sparse_ratings():
    """A table in which the user "h" and the item "i9" have nothing left once their ratings are held out."""
    rows = [(f"u{k}", f"i{(k + step) % 9}", 1.0) for k in range(20) for step in (0, 1, 3)]
    rows += [("h", "i1", 1.0), ("u3", "i9", 1.0)]
    table = cf.from_frame(pl.DataFrame(rows, schema=["user", "item", "value"], orient="row"))
    return table.filter((pl.col("user") != "h") & (pl.col("item") != "i9"))


def by_hand(model, user, n, allowed):
    """Rank a user's items one by one, by the scores of pairs."""
    seen = set(model.items.take(model.seen[[int(model.users.rows([user])[0])]].indices))
    left = [item for item in model.items if item not in seen and allowed(item)]
    scores = model.score([user] * len(left), left)
    return [left[k] for k in np.argsort(-scores, kind="stable")[:n]]


def listed(frame, user):
    return frame.filter(pl.col("user") == user)["item"].to_list()


FRAMES = [pl.DataFrame, lambda columns: pd.DataFrame(columns), lambda columns: pl.DataFrame(columns).lazy()]


@pytest.mark.parametrize("frame", FRAMES, ids=["polars", "pandas", "lazy"])
def test_pairs_are_excluded_for_their_own_user_alone(model, frame):
    best = {user: listed(model.recommend([user], n=4), user) for user in ("u1", "u2")}
    pairs = frame({"user": ["u1", "u1", "nobody"], "item": [*best["u1"][:2], "i3"]})
    lists = model.recommend(["u1", "u2"], n=4, exclude=pairs)
    assert listed(lists, "u1") == by_hand(model, "u1", 4, lambda item: item not in best["u1"][:2])
    assert listed(lists, "u2") == best["u2"]


def test_each_user_chooses_from_their_own_candidates(model):
    own = {"u1": ["i1", "i2", "i3", "i4"], "u2": ["i7", "i8", "i9"]}
    pairs = pl.DataFrame(
        [(user, item) for user, items in own.items() for item in items], ["user", "item"], orient="row"
    )
    lists = model.recommend(["u2", "u1", "u3"], n=3, candidates=pairs, exclude=["i4"])
    for user, items in own.items():
        assert listed(lists, user) == by_hand(model, user, 3, lambda item, items=items: item in items and item != "i4")
    assert listed(lists, "u3") == []


def test_ids_for_everyone_filter_before_ranking_so_that_n_stay_n(model):
    few = [f"i{k}" for k in range(0, 30, 2)]
    lists = model.recommend(model.users, n=5, candidates=few, exclude=["i4", "i6"])
    for user in model.users:
        assert listed(lists, user) == by_hand(model, user, 5, lambda item: item in few and item not in ("i4", "i6"))


def test_ids_that_the_model_does_not_have_are_ignored_and_counted_once(model, caplog):
    caplog.set_level(logging.INFO, logger="cofactor")
    stock = [*(f"i{k}" for k in range(10)), "new", "newer"]
    assert model.recommend(["u1"], candidates=stock).equals(model.recommend(["u1"], candidates=stock[:10]))
    assert model.recommend(["u1"], exclude=["new"]).equals(model.recommend(["u1"]))
    assert [record.getMessage() for record in caplog.records] == [
        "candidates: 2 of 12 items are not in the model and are ignored",
        "exclude: 1 of 1 items are not in the model and are ignored",
    ]


def test_ids_of_the_wrong_type_are_refused_since_none_can_be_meant(model):
    with pytest.raises(cf.UnknownIdError, match="candidates holds ids such as 3, and the model's item ids are strings"):
        model.recommend(["u1"], candidates=[3, 4])
    with pytest.raises(cf.UnknownIdError, match="the pairs name users such as 1, and lists are asked for users"):
        model.recommend(["u1"], exclude=pl.DataFrame({"user": [1], "item": ["i1"]}))


@pytest.mark.parametrize("name", ["candidates", "exclude"])
@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"u1": ["i1"]}, r"is a dict: give a list of item ids, or .* a data frame with the columns user and item"),
        ("i1", r"is 'i1': give a list of item ids, \['i1'\]"),
        (5, r"is 5: give a list of item ids, \[5\]"),
        (object(), "cannot be a object: give a list of item ids"),
    ],
)
def test_what_is_no_list_of_items_is_refused_by_name(model, name, given, says):
    with pytest.raises(cf.SettingError, match=f"{name} {says}"):
        model.recommend(["u1"], **{name: given})


def test_a_frame_without_users_is_refused_with_its_columns(model):
    with pytest.raises(cf.DataError, match="user"):
        model.recommend(["u1"], exclude=pl.DataFrame({"item": ["i1"]}))


def test_users_and_items_of_whom_nothing_was_learnt_are_unknown(sparse_ratings):
    model = ImplicitALS(rank=2).fit(sparse_ratings)
    assert "h" in model.users
    with pytest.raises(cf.UnknownIdError, match=r"user 'h' has no history in this model.*on_unknown='popular'"):
        model.recommend(["u3", "h"])
    assert set(model.recommend(["u3", "h"], on_unknown="skip")["user"]) == {"u3"}
    with pytest.raises(cf.UnknownIdError, match=r"item 'i9' has no history in this model.*fold_in_items\(\)"):
        model.similar_items("i9")
    with pytest.raises(cf.UnknownIdError, match="user 'h' has no history"):
        model.similar_users("h")
    nobody = model.fold_in({"v": []})
    with pytest.raises(cf.UnknownIdError, match="user 'v' has no history"):
        nobody.recommend(["v"])
    with pytest.raises(cf.UnknownIdError, match="unknown user 'nobody'"):
        model.recommend(["nobody", "h"])


def test_unknown_users_get_the_popular_items_marked_as_such(sparse_ratings):
    model = ImplicitALS(rank=2).fit(sparse_ratings)
    lists = model.recommend(["nobody", "u3", "h"], n=3, on_unknown="popular", exclude=["i2"])
    assert lists["user"].to_list() == ["nobody"] * 3 + ["u3"] * 3 + ["h"] * 3
    assert lists["popular"].to_list() == [True] * 3 + [False] * 3 + [True] * 3
    counts = np.bincount(sparse_ratings.matrix.indices, minlength=sparse_ratings.n_items)
    popular = [item for item in model.items.take(np.argsort(-counts, kind="stable")) if item != "i2"][:3]
    assert listed(lists, "nobody") == listed(lists, "h") == popular
    assert lists.filter("popular")["score"].null_count() == 6
    alone = model.recommend(["u3"], n=3, exclude=["i2"])
    assert lists.filter(~pl.col("popular")).drop("popular").equals(alone)


def test_a_value_of_zero_was_seen_but_nothing_was_learnt_from_it(sparse_ratings):
    frame = sparse_ratings.to_frame().with_columns(value=pl.when(pl.col("user") == "u3").then(0.0).otherwise(1.0))
    model = PureSVD(rank=2).fit(cf.from_frame(frame))
    with pytest.raises(cf.UnknownIdError, match="user 'u3' has no history"):
        model.recommend(["u3"])
    seen = set(frame.filter(pl.col("user") == "u3")["item"])
    assert seen.isdisjoint(model.recommend(["u3"], n=9, on_unknown="popular")["item"])


def test_everyones_lists_leave_out_users_without_history_unless_told_otherwise(sparse_ratings, tmp_path):
    model = ImplicitALS(rank=2).fit(sparse_ratings)
    everyone = pl.read_parquet(model.recommend_all(tmp_path / "lists.parquet", n=3))
    assert "h" not in everyone["user"]
    whole = pl.read_parquet(model.recommend_all(tmp_path / "lists.parquet", n=3, on_unknown="popular"))
    assert whole.equals(model.recommend(model.users, n=3, on_unknown="popular"))
    with pytest.raises(cf.UnknownIdError, match="user 'h'"):
        model.recommend_all(tmp_path / "lists.parquet", n=3, on_unknown="raise")


class Upside:
    """Turns each list upside down, after it was given twice as deep."""

    def depth(self, n):
        return 2 * n

    def rerank(self, ranked, n):
        parts = [np.flatnonzero(ranked.users == user)[::-1][:n] for user in np.unique(ranked.users)]
        order = np.concatenate(parts)
        return Ranked(ranked.users[order], ranked.items[order], ranked.scores[order])


def test_a_reranker_gets_lists_as_deep_as_it_needs_and_decides_the_order(model):
    deep, lists = model.recommend(["u1", "u2"], n=6), model.recommend(["u1", "u2"], n=3, rerank=[Upside()])
    for user in ("u1", "u2"):
        assert listed(lists, user) == listed(deep, user)[::-1][:3]
    assert lists["position"].to_list() == [1, 2, 3] * 2


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"n": -1}, "n is -1"), ({"n": True}, "n is True"), ({"by": "best"}, "by is 'best'"), ({"on_unknown": 3}, "is 3")],
)
def test_a_request_is_checked_in_one_place(settings, says):
    with pytest.raises(cf.SettingError, match=says):
        ListRequest(**settings)
