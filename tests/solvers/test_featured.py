"""Vectors drawn to what attributes say: items and users without ratings have a place."""

import copy
import dataclasses
import itertools

import numpy as np
import polars as pl
import pytest

import cofactor as cf
from cofactor.data.features import Encoder
from cofactor.errors import DataError, SettingError
from cofactor.evaluation import evaluate
from cofactor.solvers import ImplicitALS
from cofactor.solvers.retrain import solver_of, trained_on

KINDS = ["jazz", "rock", "folk", "soul"]


def goods(items: list[int]) -> pl.DataFrame:
    return pl.DataFrame({"item": items, "kind": [KINDS[item % 4] for item in items], "year": [1950 + i for i in items]})


def people(users: list[int]) -> pl.DataFrame:
    return pl.DataFrame({"user": users, "town": [["Ulm", "Bonn", "Kiel", "Jena"][user % 4] for user in users]})


def plays(users: int = 120, items: int = 60, each: int = 12, seed: int = 0) -> cf.Interactions:
    """Return plays of people each of whom prefers one kind of music, by their town."""
    random = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        likely = np.where(np.arange(items) % 4 == user % 4, 12.0, 1.0)
        rows += [(user, int(item)) for item in random.choice(items, each, replace=False, p=likely / likely.sum())]
    table = cf.from_frame(
        pl.DataFrame(rows, schema=["user", "item"], orient="row"), user="user", item="item", value=None
    )
    return table.with_items(goods(list(range(items)))).with_users(people(list(range(users))))


def solver(**settings: object) -> ImplicitALS:
    return ImplicitALS(**{"rank": 8, "epochs": 6, "seed": 0, "item_features": ("kind", "year"), **settings})


def test_items_that_nobody_has_rated_are_listed_for_those_who_like_their_kind() -> None:
    model = solver().fit(plays()).fold_in_items(goods([100, 101, 102, 103]))
    best = model.recommend(range(40), n=1, candidates=[100, 101, 102, 103])
    right = best.filter(pl.col("item") % 4 == pl.col("user") % 4).height
    assert right >= 36


def test_items_held_out_whole_are_ranked_better_than_by_chance_or_without_attributes() -> None:
    train, new = plays(users=200).split_items(n_items=16, seed=0)
    model = solver().fit(train)
    placed = model.fold_in_items(new.item_table)
    reports = evaluate(placed, new, k=5, candidates=new.items.ids)
    by_chance = 5 / 16
    assert reports["recall@5"] > 1.5 * by_chance


def test_a_model_with_attributes_lists_known_items_about_as_well_as_one_without() -> None:
    train, test = plays(users=200).split_random(test_fraction=0.2, seed=0)
    with_, without = (
        evaluate(solver(**more).fit(train), test, k=10)["ndcg@10"] for more in ({}, {"item_features": ()})
    )
    assert with_ > 0.95 * without


def test_the_objective_never_rises() -> None:
    history = solver(user_features=("town",), epochs=8).fit(plays()).history["objective"]
    assert all(after <= before * (1 + 1e-6) for before, after in itertools.pairwise(history))


@pytest.mark.parametrize("method", ["cholesky", "cg", "block"])
def test_every_method_draws_to_the_attributes(method: str) -> None:
    model = solver(method=method).fit(plays())
    best = model.fold_in_items(goods([100, 101])).recommend([0, 1], n=1, candidates=[100, 101])
    assert best["item"].to_list() == [100, 101]


def test_the_vectors_of_a_row_solve_its_equation_with_the_pull_of_its_attributes() -> None:
    """A row of the last half-step against NumPy's solution of the loss in the docstring of model/side_features.py."""
    train = plays()
    model = solver(epochs=3).fit(train)
    again = model.fold_in_items(train)  # placed anew: users held, and B as it is
    users = model.user_vectors.astype(np.float64)
    row = 7
    met = train.by_item[[row]].indices
    mean = model.features["item"].means(train.item_table)[row].astype(np.float64)
    strength = 0.7 * (len(met) + 50) ** 0.5
    matrix = 0.15 * users.T @ users + users[met].T @ users[met] + strength * np.eye(8)
    expected = np.linalg.solve(matrix, users[met].sum(axis=0) + strength * mean)
    assert np.allclose(again.item_vectors[row], expected, atol=1e-4)


def test_the_more_is_known_of_a_new_item_the_less_its_attributes_count() -> None:
    model = solver().fit(plays())
    means = model.features["item"].means(goods([100]))[0]
    distances = []
    for raters in (0, 2, 20, 60):
        fans_of_another_kind = [user for user in range(120) if user % 4 == 1][:raters] + list(range(raters - 30))
        table = cf.from_frame(
            pl.DataFrame({"user": fans_of_another_kind or [0], "item": [100] * max(len(fans_of_another_kind), 1)}),
            user="user", item="item", value=None,
        ).with_items(goods([100]))  # fmt: skip
        placed = model.fold_in_items(goods([100]) if not raters else table)
        distances.append(float(np.linalg.norm(placed.item_vectors[-1] - means)))
    assert distances[0] == pytest.approx(0, abs=1e-6)
    assert distances[1] < distances[2]


def test_the_first_who_choose_a_new_item_move_it_up() -> None:
    model = solver().fit(plays()).fold_in_items(goods([100, 104]))  # of the same kind
    chosen = model.fold_in_items({104: [4, 8]})
    before, after = (m.score([0, 0], [100, 104]) for m in (model, chosen))
    assert after[1] > before[1]
    assert after[1] > after[0]


def test_users_of_whom_only_attributes_are_known_get_lists() -> None:
    model = solver(user_features=("town",)).fit(plays()).fold_in_users(people([500, 501]))
    lists = model.recommend([500, 501], n=5)
    assert (lists["item"] % 4 == lists["user"] % 4).mean() > 0.7


def test_shares_name_attributes_and_add_up() -> None:
    model = solver(user_features=("town",)).fit(plays())
    placed = dataclasses.replace(model, user_vectors=model.fold_in(plays()).user_vectors)
    item = placed.recommend([1], n=1)
    shares = placed.explain(1, item["item"][0])
    assert "town: Bonn" in shares["title"].to_list()
    assert shares["share"].sum() == pytest.approx(item["score"][0], abs=1e-5)
    assert shares.filter(pl.col("title") == "everything else")["share"].abs().item() < 1e-4


@pytest.mark.parametrize("more", [{}, {"user_features": ("town",)}])
def test_a_saved_or_copied_model_answers_the_same(more: dict[str, object], tmp_path) -> None:
    model = solver(**more).fit(plays())
    for other in (cf.load(model.save(tmp_path / "m.safetensors")), copy.deepcopy(model)):
        assert other.digest == model.digest
        assert other.recommend([3]).equals(model.recommend([3]))
        one, two = (m.fold_in_items(goods([100])).recommend([3], n=61) for m in (other, model))
        assert one.equals(two)


def test_training_again_on_the_same_plays_gives_the_same_model() -> None:
    model = solver(user_features=("town",)).fit(plays())
    again = solver_of(model).fit(trained_on(model))
    assert again.digest == model.digest


def test_an_update_draws_new_items_to_their_attributes() -> None:
    model = solver().fit(plays())
    news = cf.from_frame(pl.DataFrame({"user": [2], "item": [100]}), user="user", item="item", value=None)
    updated = model.update(news.with_items(goods([100])))
    mean = model.features["item"].means(goods([100]))[0]
    assert np.linalg.norm(updated.item_vectors[-1] - mean) < 0.5 * np.linalg.norm(mean)


@pytest.mark.parametrize(
    ("table", "column", "match"),
    [
        ({"kind": ["a"] * 60}, "kind", "no two items share"),
        ({"kind": [None] * 60}, "kind", "missing for every item"),
        ({"year": [1990] * 60}, "year", "same for every item"),
        ({"code": [str(i) for i in range(60)]}, "code", "no two items share"),
        ({"kind": ["a", "b"] * 30}, "colour", "no such column: they have .*kind"),
    ],
)
def test_attributes_that_say_nothing_are_refused_by_name(table: dict[str, list], column: str, match: str) -> None:
    ratings = plays()
    bare = dataclasses.replace(ratings, metadata=type(ratings.metadata)())
    described = bare.with_items(pl.DataFrame({"item": list(range(60)), **table}))
    with pytest.raises(DataError, match=match):
        ImplicitALS(rank=4, epochs=1, item_features=(column,)).fit(described)


def test_a_frame_of_new_items_is_refused_by_a_model_that_knows_ratings_alone() -> None:
    model = ImplicitALS(rank=4, epochs=1).fit(plays())
    with pytest.raises(SettingError, match="learnt nothing from attributes of items"):
        model.fold_in_items(goods([100]))


@pytest.mark.parametrize("wrong", [("kind", "kind"), (1,), 3])
def test_names_of_features_are_checked(wrong: object) -> None:
    with pytest.raises(SettingError, match="item_features"):
        ImplicitALS(item_features=wrong)


def test_names_may_be_one_text_with_commas() -> None:
    assert ImplicitALS(item_features="kind, year").item_features == ("kind", "year")


def test_values_that_were_not_met_and_missing_ones_have_no_column() -> None:
    encoder = Encoder.of(goods(list(range(60))), ["kind", "year"], "item")
    strange = pl.DataFrame({"item": [1], "kind": ["polka"], "year": [None]}, schema_overrides={"year": pl.Int64})
    assert encoder.encode(strange).toarray().sum() == 1
    assert encoder.encode(strange.select("item")).toarray().sum() == 1


def test_every_number_is_in_one_bin_of_each_resolution() -> None:
    table = goods(list(range(60)))
    encoder = Encoder.of(table, ["year"], "item")
    encoded = encoder.encode(table).toarray()
    resolutions = len(encoder.columns)
    assert (encoded.sum(axis=1) == resolutions + 1).all()
    assert encoded.shape[1] == encoder.size == len(encoder.labels)


def test_words_dates_lists_and_booleans_are_encoded() -> None:
    import datetime

    days = [datetime.date(2020, 1, 1) + datetime.timedelta(days=i) for i in range(20)]
    table = pl.DataFrame(
        {
            "item": range(20),
            "plot": [f"the {'cat' if i % 2 else 'dog'} number {i} runs {i * 7}" for i in range(20)],
            "out": days,
            "tags": [["a", "b"] if i % 2 else ["b", "c"] for i in range(20)],
            "adult": [i % 3 == 0 for i in range(20)],
        }
    )
    encoded = {
        name: Encoder.of(table, [name], "item").encode(table).toarray() for name in ("plot", "tags", "adult", "out")
    }
    assert encoded["tags"].sum() == 20 * 3
    assert encoded["adult"].sum() == 20 * 2
    assert (encoded["plot"][1] != encoded["plot"][0]).any()
    assert (encoded["out"][0] != encoded["out"][19]).any()


def test_new_items_are_marked_in_every_list_and_only_where_there_are_any(tmp_path) -> None:
    model = solver().fit(plays())
    assert "new" not in model.recommend([0], n=80).columns
    assert "new" not in model.similar_items(3).columns
    grown = model.fold_in_items(goods([100, 101]))
    rated = grown.fold_in_items({102: [0, 1, 2]})
    for made, fresh in ((grown, {100, 101}), (rated, {100, 101, 102})):
        for lists in (
            made.recommend([3, 4], n=80), made.recommend([3, -5], n=80, on_unknown="popular"),
            made.recommend_group([3, 4], n=80), made.similar_items(3, n=80),
            pl.read_parquet(made.recommend_all(tmp_path / "all.parquet", n=80)),
            cf.load(made.save(tmp_path / "m.safetensors")).recommend([5], n=80),
        ):  # fmt: skip
            assert set(lists.filter(pl.col("new"))["item"]) == fresh
    updated = model.update(cf.from_frame(pl.DataFrame({"user": [0, 1], "item": [7, 200]}), value=None))
    assert set(updated.recommend([3], n=70).filter(pl.col("new"))["item"]) == {200}
    plain = solver(item_features=()).fit(plays()).fold_in_items({102: [0, 1, 2]})
    assert plain.recommend([5], n=70).filter(pl.col("new"))["item"].to_list() == [102]


def test_items_without_ratings_are_added_without_copying_what_was_seen() -> None:
    model = solver().fit(plays())
    grown = model.fold_in_items(goods([100, 101]))
    assert grown.seen.shape == (model.n_users, model.n_items + 2)
    assert np.shares_memory(grown.seen.data, model.seen.data)
    assert (grown.seen[:, : model.n_items] != model.seen).nnz == 0
