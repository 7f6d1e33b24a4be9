"""Rules for lists: each equals a naive twin that looks at everything, at every door, alone and one after the other."""

import math
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from scipy import sparse

import cofactor as cf
from cofactor.data.metadata import Metadata
from cofactor.lists import AtMost, Boost, Calibrate, Diversify, Pin, Promote, pipeline
from cofactor.model.factors import attributes_of, evolved

GENRES = ["Comedy", "Drama", "Horror", "War", "Western"]
N_ITEMS, N_USERS = 120, 40


def drawn_genres(random, n_items, names, most):
    """Draw some names for each item, in any order; every ninth item has none."""
    sizes = random.integers(1, most + 1, n_items)
    drawn = ["|".join(random.choice(names, size, replace=False)) for size in sizes]
    return [None if k % 9 == 8 else text for k, text in enumerate(drawn)]


def made(genres=GENRES, most=3, seed=0):
    random = np.random.default_rng(seed)
    seen = sparse.csr_array((random.random((N_USERS, N_ITEMS)) < 0.15).astype(np.float32))
    model = cf.Factors.from_arrays(
        random.normal(size=(N_USERS, 6)),
        random.normal(size=(N_ITEMS, 6)),
        users=[f"u{k}" for k in range(N_USERS)],
        items=[f"i{k}" for k in range(N_ITEMS)],
        seen=seen,
    )
    told = pl.Series(drawn_genres(random, N_ITEMS, genres, most), dtype=pl.String)
    films = pl.DataFrame({"title": [f"Film {k}" for k in range(N_ITEMS)], "genres": told})
    return evolved(model, metadata=Metadata(films.with_columns(year=1990 + pl.int_range(N_ITEMS) % 7)))


@pytest.fixture(scope="module")
def model():
    return made()


def sets_of(model):
    """Return the set of genres of each item id."""
    texts = zip(model.items, model.metadata.genres, strict=True)
    return {item: frozenset(text.split("|")) if text else frozenset() for item, text in texts}


def deep(model, user, n=N_ITEMS, **filters):
    """Return a user's whole list, or its best n: items and scores."""
    found = model.recommend([user], n=n, **filters)
    return found["item"].to_list(), found["score"].to_numpy().astype(np.float64)


def lists_of(frame):
    return {user: part["item"].to_list() for (user,), part in frame.group_by("user", maintain_order=True)}


def capped(items, sets, k, n):
    """Walk through a whole list, then fill."""
    kept, used = [], {}
    for item in items:
        if len(kept) < n and all(used.get(genre, 0) < k for genre in sets[item]):
            kept.append(item)
            for genre in sets[item]:
                used[genre] = used.get(genre, 0) + 1
    return kept + [item for item in items if item not in kept][: n - len(kept)], len(kept)


def similarity(a, b):
    a, b = a or frozenset({"(none)"}), b or frozenset({"(none)"})
    return len(a & b) / math.sqrt(len(a) * len(b))


def scaled(scores):
    return (scores - scores.min()) / (scores.max() - scores.min())


def farthest(items, scores, sets, strength, n):
    relevance, chosen = scaled(scores), [0]
    while len(chosen) < n:
        value = [
            (1 - strength) * relevance[c]
            + strength * sum(1 - similarity(sets[items[c]], sets[items[j]]) for j in chosen)
            for c in range(len(items))
        ]
        chosen.append(max((c for c in range(len(items)) if c not in chosen), key=value.__getitem__))
    return [items[c] for c in sorted(chosen)]


def marginal(items, scores, sets, strength, n):
    relevance, chosen = scaled(scores), [0]
    while len(chosen) < n:
        value = [
            (1 - strength) * relevance[c] - strength * max(similarity(sets[items[c]], sets[items[j]]) for j in chosen)
            for c in range(len(items))
        ]
        chosen.append(max((c for c in range(len(items)) if c not in chosen), key=value.__getitem__))
    return [items[c] for c in chosen]


def kernel_of(items, scores, sets, strength):
    weights = np.exp((1 - strength) * (scores - scores.mean()) / scores.std())
    similar = np.array([[similarity(sets[a], sets[b]) for b in items] for a in items])
    return weights[:, None] * similar * weights


def largest_volume(items, scores, sets, strength, n):
    kernel, chosen = kernel_of(items, scores, sets, strength), []
    while len(chosen) < n:
        rest = [c for c in range(len(items)) if c not in chosen]
        volume = {c: np.linalg.det(kernel[np.ix_([*chosen, c], [*chosen, c])]) for c in rest}
        chosen.append(max(rest, key=volume.__getitem__))
    return [items[c] for c in sorted(chosen)]


def shares(items, sets):
    total = {}
    known = [item for item in items if sets[item]]
    for item in known:
        for genre in sets[item]:
            total[genre] = total.get(genre, 0.0) + 1 / len(sets[item]) / len(known)
    return total


def divergence(wanted, items, sets):
    held = shares(items, sets)
    return sum(p * math.log(p / (0.99 * held.get(genre, 0.0) + 0.01 * p)) for genre, p in wanted.items())


def calibrated(items, scores, sets, history, strength, n):
    relevance, wanted, chosen = scaled(scores), shares(history, sets), []
    while len(chosen) < n:
        value = [
            (1 - strength) * relevance[c] - strength * divergence(wanted, [*(items[j] for j in chosen), items[c]], sets)
            for c in range(len(items))
        ]
        chosen.append(max((c for c in range(len(items)) if c not in chosen), key=value.__getitem__))
    return [items[c] for c in chosen]


@pytest.mark.parametrize("k", [1, 2, 7])
@pytest.mark.parametrize("n", [1, 10, 40])
def test_no_genre_has_more_than_it_may_and_no_list_is_short(model, k, n):
    sets = sets_of(model)
    lists = lists_of(model.recommend(model.users, n=n, rerank=[AtMost(k, per="genres")]))
    kept_short = lists_of(model.recommend(model.users, n=n, rerank=[AtMost(k, per="genres", fill=False)]))
    for user in model.users:
        expected, keeping = capped(deep(model, user)[0], sets, k, n)
        assert lists[user] == expected
        assert kept_short[user] == expected[:keeping]


def test_a_cap_goes_through_the_whole_catalogue_in_blocks(model, monkeypatch):
    monkeypatch.setattr(pipeline, "ROWS_AT_ONCE", 100)
    sets = sets_of(model)
    rules = {"rerank": [AtMost(1, per="genres")], "exclude": ["i1", "i2"]}
    lists = lists_of(model.recommend(["u3", "u1", "u3", "u2"], n=9, **rules))
    assert list(lists) == ["u3", "u1", "u2"]
    assert lists["u1"] == capped(deep(model, "u1", exclude=["i1", "i2"])[0], sets, 1, 9)[0]


NAIVE = {"msd": farthest, "mmr": marginal, "dpp": largest_volume}


@pytest.mark.parametrize("strength", [0.0, 0.1, 0.6, 1.0])
@pytest.mark.parametrize("method", ["msd", "mmr"])
def test_diverse_lists_are_those_of_a_naive_greedy_search(model, method, strength):
    lists = lists_of(model.recommend(model.users, n=8, rerank=[Diversify("genres", strength, method, among=30)]))
    for user in model.users:
        items, scores = deep(model, user, n=30)
        found = NAIVE[method](items, scores, sets_of(model), strength, 8)
        if strength < 1:
            assert lists[user] == found
        else:  # many lists are equally diverse
            assert lists[user][0] == items[0]


@pytest.mark.parametrize("strength", [0.1, 0.6, 1.0])
def test_a_list_of_largest_volume_is_that_of_determinants(strength):
    model = made(genres=[f"g{k}" for k in range(60)], most=9, seed=1)
    rule = Diversify("genres", strength, "dpp", among=25)
    lists = lists_of(model.recommend(model.users, n=5, exclude=[f"i{k}" for k in range(8, 120, 9)], rerank=[rule]))
    for user in model.users:
        items, scores = deep(model, user, n=25, exclude=[f"i{k}" for k in range(8, 120, 9)])
        kernel = kernel_of(items, scores, sets_of(model), strength)
        ours, naive = (
            [items.index(item) for item in chosen]
            for chosen in (lists[user], largest_volume(items, scores, sets_of(model), strength, 5))
        )
        volumes = [np.linalg.det(kernel[np.ix_(rows, rows)]) for rows in (ours, naive)]
        assert ours == naive or volumes[0] == pytest.approx(volumes[1], rel=1e-6)


def test_once_every_genre_is_covered_the_volume_lists_the_most_relevant(model):
    found = lists_of(model.recommend(model.users, n=20, rerank=[Diversify("genres", 0.2, "dpp")]))
    assert all(len(items) == len(set(items)) == 20 for items in found.values())


def test_pyversity_chooses_the_same_items():
    pyversity = pytest.importorskip("pyversity", reason="another implementation of the same methods")
    model = made(genres=[f"g{k}" for k in range(60)], most=9, seed=1)
    groups = attributes_of(model).groups("genres", complete=True)
    vectors = np.zeros((N_ITEMS, groups.count))
    vectors[np.repeat(np.arange(N_ITEMS), groups.sizes), groups.codes] = 1
    for method in ("msd", "mmr", "dpp"):
        lists = lists_of(model.recommend(model.users, n=8, rerank=[Diversify("genres", 0.3, method)]))
        for user in model.users:
            items, scores = deep(model, user, n=100)
            rows = model.items.rows(items)
            found = pyversity.diversify(vectors[rows], scaled(scores), 8, pyversity.Strategy(method), diversity=0.3)
            theirs = [items[at] for at in found.indices]
            assert lists[user] == (theirs if method == "mmr" else sorted(theirs, key=items.index))


@pytest.mark.parametrize("strength", [0.0, 0.3, 0.9])
def test_calibrated_lists_have_the_mix_of_the_history(model, strength):
    lists = lists_of(model.recommend(model.users, n=8, rerank=[Calibrate("genres", strength, among=30)]))
    for user in model.users:
        had = model.items.take(model.seen[[int(user[1:])]].indices).to_list()
        items, scores = deep(model, user, n=30)
        assert lists[user] == calibrated(items, scores, sets_of(model), had, strength, 8)


def test_who_has_no_history_gets_no_mix(model):
    nobody = evolved(model, seen=sparse.csr_array((N_USERS, N_ITEMS), dtype=np.float32))
    assert nobody.recommend(["u1"], rerank=[Calibrate(strength=0.9)]).equals(nobody.recommend(["u1"]))
    popular = model.recommend(["new"], n=5, on_unknown="popular", rerank=[Calibrate(strength=0.9)])
    assert popular["popular"].all()
    assert len(popular) == 5


@pytest.mark.parametrize("weight", [0.7, -0.7, 30.0, -30.0])
def test_a_boost_is_a_higher_score_however_far_down_the_items_are(model, weight):
    chosen = {f"i{k}" for k in range(0, N_ITEMS, 7)}
    told = ", ".join(repr(f"Film {item[1:]}") for item in chosen)
    titles = pl.col("title").is_in([f"Film {item[1:]}" for item in chosen])
    for items in ([*sorted(chosen), "new"], titles, f"title in ({told})"):
        found = model.recommend(model.users, n=5, rerank=[Boost(items, weight)])
        for user in model.users:
            ids, scores = deep(model, user)
            added = (scores + weight * np.isin(ids, list(chosen))).astype(np.float32)
            best = np.lexsort((model.items.rows(ids), -added))[:5]
            part = found.filter(pl.col("user") == user)
            assert part["item"].to_list() == [ids[k] for k in best]
            assert np.array_equal(part["score"].to_numpy(), added[best])


@pytest.mark.parametrize(("n", "share"), [(10, 0.2), (10, 0.25), (7, 0.5), (5, 1.0), (10, 0.01)])
def test_promoted_items_have_their_share_of_every_list_spread_from_the_top(model, n, share):
    promoted = [f"i{k}" for k in range(0, N_ITEMS, 5)]
    lists = lists_of(model.recommend(model.users, n=n, rerank=[Promote(promoted, share)]))
    for user, items in lists.items():
        whole = deep(model, user)[0]
        inside = [item in promoted for item in items]
        assert sum(inside) >= math.ceil(share * n)
        for j in range(1, math.ceil(share * n) + 1):
            assert sum(inside[: min(math.floor(j / share), n)]) >= j
        best = [item for item in whole if item in promoted][: sum(inside)]
        assert [item for item in items if item in promoted] == best
        others = [item for item in whole if item not in promoted]
        assert [item for item in items if item not in promoted] == others[: n - sum(inside)]
        if sum(item in promoted for item in whole[:n]) >= math.ceil(share * n) and share < 0.1:
            assert items == whole[:n]


def test_pinned_items_stand_at_their_places_where_they_may_be_shown(model):
    lists = lists_of(model.recommend(model.users, n=6, rerank=[Pin({1: "i5", 4: "i9", 9: "i11", 2: "new"})]))
    for user, items in lists.items():
        whole = deep(model, user)[0]
        pinned = {0: "i5", 3: "i9"}
        expected = [item for item in whole if item not in pinned.values()]
        for place, item in pinned.items():
            if item in whole:
                expected.insert(place, item)
        assert items == expected[:6]
    few = model.recommend(["u1"], candidates=["i3", "i5"], exclude_seen=False, rerank=[Pin({2: "i5", 1: "i3"})])
    assert few["item"].to_list() == ["i3", "i5"]


def test_rules_work_one_after_the_other(model):
    sets = sets_of(model)
    rules = [Boost(["i3"], 0.5), AtMost(2), Diversify(strength=0.3), Promote(["i8", "i17"], 0.25), Pin({1: "i40"})]
    lists = lists_of(model.recommend(model.users, n=8, rerank=rules))
    before = lists_of(model.recommend(model.users, n=8, rerank=rules[:3]))
    for user in model.users:
        whole = deep(model, user)[0]
        assert len(lists[user]) == len(set(lists[user])) == 8
        assert lists[user][0] == "i40" or "i40" not in whole
        assert {"i8", "i17"} & set(lists[user][:5]) or not {"i8", "i17"} & set(whole)
        counts = pl.Series([genre for item in before[user] for genre in sets[item]]).value_counts()["count"]
        assert counts.max() <= 2 or capped(whole, sets, 2, 8)[1] < 8


def test_everyone_and_a_group_of_one_get_the_same_lists(model, tmp_path):
    rules = [AtMost(2), Diversify(strength=0.2), Calibrate(strength=0.2)]
    lists = model.recommend(model.users, n=6, rerank=rules)
    whole = pl.read_parquet(model.recommend_all(tmp_path / "lists.parquet", n=6, rerank=rules))
    assert whole.equals(lists)
    for user in ("u0", "u7"):
        alone = model.recommend_group([user], n=6, rerank=rules)
        assert alone["item"].to_list() == lists_of(lists)[user]


def test_rules_go_by_any_column_and_keep_to_the_condition_of_a_list(model, tmp_path):
    years = dict(model.item_table.select("item", "year").iter_rows())
    rules = {"n": 4, "where": "year != 1993 and 'Drama' in genres", "rerank": [AtMost(1, per="year")]}
    lists = lists_of(model.recommend(model.users, **rules))
    for user, items in lists.items():
        whole = [item for item in deep(model, user)[0] if years[item] != 1993 and "Drama" in sets_of(model)[item]]
        assert items == capped(whole, {item: {year} for item, year in years.items()}, 1, 4)[0]
    assert lists_of(pl.read_parquet(model.recommend_all(tmp_path / "lists.parquet", **rules))) == lists
    assert model.recommend_group(["u7"], **rules)["item"].to_list() == lists["u7"]


def test_own_candidates_and_exclusions_hold_in_every_search(model):
    own = pl.DataFrame({"user": ["u1"] * 30 + ["u2"] * 30, "item": [f"i{k}" for k in (*range(30), *range(20, 50))]})
    lists = lists_of(
        model.recommend(["u2", "u1"], n=12, candidates=own, rerank=[AtMost(1), Promote(["i1", "i41"], 0.1)])
    )
    for user, items in lists.items():
        assert len(items) == 12
        assert set(items) <= set(own.filter(pl.col("user") == user)["item"])
    assert "i41" not in lists["u1"]


@pytest.mark.parametrize("rule", [AtMost(2, per="brand"), Diversify("brand"), Calibrate("brand")])
def test_an_attribute_that_the_items_lack_is_refused_with_those_they_have(model, rule):
    with pytest.raises(
        cf.SettingError, match="there is no column 'brand': what is known of the items is item, title, ge"
    ):
        model.recommend(["u1"], rerank=[rule])
    bare = evolved(model, metadata=Metadata())
    with pytest.raises(cf.SettingError, match=r"there is no column 'brand': what is known of the items is item$"):
        bare.recommend(["u1"], rerank=[rule])


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        (pl.col("price") < 20, "items names a column that is not there.*what is known of the items is item, title"),
        (pl.col("title"), "items gives String, not true or false"),
        (pl.col("title").is_null().any(), "items gives 1 values for 120 rows"),
        (pl.col("title") + 1.5 > pl.col("genres"), "items does not fit the columns"),
        (
            "yeer > 1990",
            "items is 'yeer > 1990', and from character 1 on: there is no column 'yeer': did you mean 'year'",
        ),
        ("i1", r"items is 'i1': give a list of item ids, \['i1'\]"),
    ],
)
def test_a_condition_must_be_one_on_the_items_columns(model, expression, says):
    for rule in (Boost(expression, 1.0), Promote(expression, 0.1)):
        with pytest.raises(cf.SettingError, match=says):
            model.recommend(["u1"], rerank=[rule])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: AtMost(0), "k is 0"),
        (lambda: AtMost(2, per=3), "per is 3"),
        (lambda: AtMost(2, fill="no"), "fill is 'no'"),
        (lambda: Diversify(strength=1.5), "strength is 1.5: it must be a number from 0 to 1"),
        (lambda: Diversify(method="max"), "method is 'max': it must be 'msd' or 'mmr' or 'dpp'"),
        (lambda: Diversify(among=0), "among is 0"),
        (lambda: Calibrate(strength=True), "strength is True"),
        (lambda: Boost(7, 1.0), r"items is 7: give a list of item ids, \[7\]"),
        (lambda: Boost(["i1"], math.nan), "weight is nan"),
        (lambda: Boost(None, 1.0), "items must be a list of item ids, or a condition such as 'year >= 1990'"),
        (lambda: Promote(["i1"], 0), "share is 0: it must be a number above 0 and at most 1"),
        (lambda: Pin({0: "i1"}), "a position in places is 0"),
        (lambda: Pin(["i1"]), "places is"),
        (lambda: Pin({1: "i1", 2: "i1"}), "give every item one position"),
        (lambda: made().recommend(["u1"], rerank=AtMost(2)), r"rerank is AtMost\(k=2.*give a list, \[AtMost"),
        (lambda: made().recommend(["u1"], rerank=[AtMost]), "which is no re-ranker"),
        (lambda: made().recommend(["u1"], rerank="genres"), "give a list of re-rankers"),
    ],
)
def test_what_is_no_rule_is_refused(make, says):
    with pytest.raises(cf.SettingError, match=says):
        make()


def test_rules_are_told_apart_by_what_they_say(model):
    assert repr(Boost(["i1"], 1.0)) == repr(Boost(("i1",), 1.0)) != repr(Boost(["i2"], 1.0))
    condition = pl.col("title") == "x"
    assert repr(Promote(condition, 0.1)) == repr(Promote(pl.col("title") == "x", 0.1))
    assert "0x" not in repr(Promote(condition, 0.1))
    assert repr(Boost("year > 1990", 1.0)) != repr(Boost("year > 1991", 1.0))
    some, others = ([f"Film {k}" for k in range(100) if k != left_out] for left_out in (50, 51))
    assert repr(Boost(pl.col("title").is_in(some), 1.0)) != repr(Boost(pl.col("title").is_in(others), 1.0))
    assert AtMost(2) == AtMost(2)
    assert Pin({2: "b", 1: "a"}) == Pin({1: "a", 2: "b"})


@pytest.mark.parametrize(
    ("column", "labels", "sizes"),
    [
        (pl.Series([["b", "a"], ["a", "a"], [], None]), ["a", "b"], [2, 1, 0, 0]),
        (pl.Series(["b|a", " a ", "", None]), ["a", "b"], [2, 1, 0, 0]),
        (pl.Series([1990, 1991, 1990, None]), [1990, 1991], [1, 1, 1, 0]),
        (pl.Series([True, False, None, True]), [False, True], [1, 1, 0, 1]),
        (pl.Series([0.5, math.nan, None, 1.5]), [0.5, 1.5], [1, 0, 0, 1]),
        (pl.Series(["x", "y", "x", None], dtype=pl.Categorical), ["x", "y"], [1, 1, 1, 0]),
        (pl.Series([timedelta(2), timedelta(1), None, None]), [timedelta(1), timedelta(2)], [1, 1, 0, 0]),
        (pl.Series([[["a"], ["b"]], [["a"]], [], None]), [["a"], ["b"]], [2, 1, 0, 0]),
    ],
)
def test_a_column_of_any_type_says_the_groups_of_the_items(column, labels, sizes):
    from cofactor.lists.attributes import ItemAttributes

    attributes = ItemAttributes(pl.DataFrame({"it": column}))
    groups = attributes.groups("it")
    assert groups.labels.to_list() == labels
    assert groups.sizes.tolist() == sizes
    whole = attributes.groups("it", complete=True)
    assert whole.sizes.tolist() == [max(size, 1) for size in sizes]
    assert whole.codes[whole.indptr[:-1]][np.array(sizes) == 0].tolist() == [len(labels)] * sizes.count(0)
