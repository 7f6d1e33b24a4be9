"""Whom to tell about an item, and one list for several people: both equal to scoring every pair."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from scipy import sparse

import cofactor as cf
from cofactor.data.metadata import Metadata
from cofactor.lists import index
from cofactor.solvers import BayesianMF, ImplicitALS


def made(user_bias=True, item_bias=True, n_users=300, n_items=40, step=None):
    """Make a model from random vectors; with a step, numbers are so coarse that many scores are equal."""
    random = np.random.default_rng(3)
    draw = random.normal if step is None else lambda size: np.round(random.normal(size=size) / step) * step
    seen = sparse.csr_array((random.random((n_users, n_items)) < 0.2).astype(np.float32))
    return cf.Factors.from_arrays(
        draw(size=(n_users, 5)),
        draw(size=(n_items, 5)),
        users=[f"u{k}" for k in range(n_users)],
        items=[f"i{k}" for k in range(n_items)],
        user_bias=draw(size=n_users) if user_bias else None,
        item_bias=draw(size=n_items) if item_bias else None,
        mean=3.3,
        seen=seen,
    )


def by_hand(model, item, n, allowed=lambda user: True, exclude_seen=True):
    """Score every user and keep the best, equal scores in row order."""
    column = model.seen[:, [int(model.items.rows([item])[0])]].toarray().ravel() > 0
    left = [user for user, had in zip(model.users, column, strict=True) if allowed(user) and not (exclude_seen and had)]
    scores = model.score(left, [item] * len(left))
    best = np.argsort(-scores, kind="stable")[:n]
    return [left[k] for k in best], scores[best]


def check(found, model, n, **rules):
    for item in found["item"].unique():
        part = found.filter(pl.col("item") == item)
        users, scores = by_hand(model, item, n, **rules)
        assert part["user"].to_list() == users
        assert np.array_equal(part["score"].to_numpy(), scores)
        assert part["position"].to_list() == list(range(1, len(users) + 1))


@pytest.mark.parametrize("biases", [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("step", [None, 0.5], ids=["all scores differ", "many scores are equal"])
def test_an_audience_is_that_of_scoring_every_user(biases, step):
    model = made(*biases, step=step)
    found = model.recommend_users(model.items, n=7)
    assert found.columns == ["item", "position", "user", "score"]
    assert found["item"].unique(maintain_order=True).to_list() == list(model.items)
    check(found, model, 7)
    check(model.recommend_users(["i3"], n=400, exclude_seen=False), model, 400, exclude_seen=False)


def test_the_scan_and_the_product_name_the_same_users():
    assert index  # which is loaded, so that the scan is used from now on
    model = made(n_users=3000)
    check(model.recommend_users(["i1", "i39", "i1"], n=20)[:40], model, 20)


def test_users_are_chosen_and_excluded_for_all_items_or_by_pairs():
    model = made()
    few = [f"u{k}" for k in range(0, 300, 3)]
    found = model.recommend_users(["i1", "i2"], n=5, candidates=few, exclude=["u3", "u6"])
    check(found, model, 5, allowed=lambda user: user in few and user not in ("u3", "u6"))
    best = model.recommend_users(["i1", "i2"], n=2)
    without = model.recommend_users(["i1", "i2"], n=2, exclude=best.filter(pl.col("item") == "i1"))
    assert not set(best["user"][:2]) & set(without.filter(pl.col("item") == "i1")["user"])
    assert without.filter(pl.col("item") == "i2").equals(best.filter(pl.col("item") == "i2"))
    own = pl.DataFrame({"item": ["i1", "i1", "i2"], "user": ["u8", "u9", "u10"]})
    mine = model.recommend_users(["i2", "i1", "i3"], n=5, candidates=own, exclude_seen=False)
    assert set(mine.rows_by_key("item", named=True)) == {"i1", "i2"}
    assert set(mine.filter(pl.col("item") == "i1")["user"]) == {"u8", "u9"}


def test_users_are_chosen_by_a_condition_on_what_is_known_of_them():
    model = made()
    people = Metadata(users=pl.DataFrame({"age": [20 + k % 50 for k in range(300)]}))
    model = dataclasses.replace(model, metadata=people)
    young = set(model.users.ids.filter(model.user_table["age"] < 30))
    for where in ("age < 30", pl.col("age") < 30):
        found = model.recommend_users(["i1", "i2"], n=5, exclude=["u3"], where=where)
        check(found, model, 5, allowed=lambda user: user in young and user != "u3")
    with pytest.raises(cf.SettingError, match=r"there is no column 'aged': .*what is known of the users is user, age"):
        model.recommend_users(["i1"], where="aged < 30")
    with pytest.raises(cf.SettingError, match="where is of type int"):
        model.recommend_users(["i1"], where=30)


def test_what_is_refused_names_users_and_items_the_right_way_round(caplog):
    caplog.set_level("INFO", logger="cofactor")
    model = made()
    with pytest.raises(cf.SettingError, match=r"exclude is 'u1': give a list of user ids, \['u1'\]"):
        model.recommend_users(["i1"], exclude="u1")
    with pytest.raises(cf.SettingError, match="for users of each item's own a data frame"):
        model.recommend_users(["i1"], candidates={"i1": ["u1"]})
    with pytest.raises(cf.UnknownIdError, match="candidates holds ids such as 3, and the model's user ids are strings"):
        model.recommend_users(["i1"], candidates=[3])
    with pytest.raises(cf.UnknownIdError, match="the pairs name items such as 1, and lists are asked for items such"):
        model.recommend_users(["i1"], exclude=pl.DataFrame({"user": ["u1"], "item": [1]}))
    with pytest.raises(cf.UnknownIdError, match="unknown item 'nothing'"):
        model.recommend_users(["i1", "nothing"])
    model.recommend_users(["i1"], exclude=["u1", "nobody"])
    assert caplog.messages == ["exclude: 1 of 2 users are not in the model and are ignored"]
    assert model.recommend_users([], n=3).is_empty()


def test_users_and_items_of_whom_nothing_was_learnt_are_in_no_audience():
    rows = [(f"u{k}", f"i{(k + step) % 9}", 1.0) for k in range(20) for step in (0, 1, 3)]
    rows += [("h", "i1", 1.0), ("u3", "i9", 1.0)]
    table = cf.from_frame(pl.DataFrame(rows, schema=["user", "item", "value"], orient="row"))
    model = ImplicitALS(rank=2).fit(table.filter((pl.col("user") != "h") & (pl.col("item") != "i9")))
    assert "h" not in model.recommend_users(["i2"], n=99, exclude_seen=False)["user"]
    with pytest.raises(cf.UnknownIdError, match=r"item 'i9' has no history in this model.*fold_in_items\(\)"):
        model.recommend_users(["i9"])
    with pytest.raises(cf.UnknownIdError, match=r"user 'h' has no history in this model.*leave such users out"):
        model.recommend_group(["u3", "h"])


def test_the_audience_of_what_rises_is_by_score(ratings):
    table = dataclasses.replace(ratings, timestamps=ratings.timestamps * 86_400)
    model = ImplicitALS(rank=3, trend="7d", seed=0).fit(table)
    check(model.recommend_users(model.items, n=5), model, 5)


def test_the_audience_by_ordered_levels_is_by_expected_rating(ratings):
    model = BayesianMF(rank=2, sweeps=6, burn_in=2, n_samples=3, likelihood="probit").fit(ratings)
    check(model.recommend_users(["i1", "i7"], n=5), model, 5)


@pytest.mark.parametrize(("how", "join"), [("mean", np.mean), ("min", np.min), ("max", np.max)])
def test_a_groups_list_is_that_of_its_joint_scores(how, join):
    model = made()
    members = ["u4", "u250", "u7"]
    had = model.seen[model.users.rows(members)].toarray().any(axis=0)
    left = [item for item, seen in zip(model.items, had, strict=True) if not seen and item not in ("i0", "i1")]
    scores = np.stack([model.score([user] * len(left), left) for user in members]).astype(np.float64)
    joint = join(scores, axis=0).astype(np.float32)
    best = np.argsort(-joint, kind="stable")[:6]
    found = model.recommend_group(members, n=6, how=how, exclude=["i0", "i1"])
    assert found.columns == ["position", "item", "title", "score"]
    assert found["item"].to_list() == [left[k] for k in best]
    assert np.array_equal(found["score"].to_numpy(), joint[best])


def test_a_group_of_one_gets_that_persons_list():
    model = made()
    for how in ("mean", "min", "max"):
        assert model.recommend_group(["u9"], how=how).equals(model.recommend(["u9"]).drop("user"))


def test_pairs_of_a_group_exclude_for_any_member_and_admit_for_all():
    model = made(n_items=12)
    pairs = pl.DataFrame({"user": ["u1", "u1", "u2", "u2"], "item": ["i1", "i2", "i2", "i3"]})
    kept = {"exclude_seen": False, "n": 12}
    assert model.recommend_group(["u1", "u2"], candidates=pairs, **kept)["item"].to_list() == ["i2"]
    left = set(model.recommend_group(["u1", "u2"], exclude=pairs, **kept)["item"])
    assert left == set(model.items) - {"i1", "i2", "i3"}


def test_a_group_must_be_somebody_and_joined_in_a_known_way():
    model = made()
    with pytest.raises(cf.SettingError, match="users is empty: name the members of the group"):
        model.recommend_group([])
    with pytest.raises(cf.SettingError, match="how is 'product': it must be 'mean' or 'min' or 'max'"):
        model.recommend_group(["u1"], how="product")
