"""What every solver that learns from attributes must do with them, whatever else it learns and however."""

import copy
import dataclasses
import functools
import itertools

import numpy as np
import polars as pl
import pytest
from tablesupport import table_from

import cofactor as cf
from cofactor.errors import DataError, SettingError
from cofactor.evaluation import evaluate
from cofactor.solvers import SOLVERS, solver_class
from cofactor.solvers.retrain import solver_of, trained_on

KINDS = ("jazz", "rock", "folk", "soul")
TOWNS = ("Ulm", "Bonn", "Kiel", "Jena")
BOTH = {"item_features": ("kind", "year"), "user_features": ("town",)}
NEW_ITEMS, NEW_USERS = (100, 101, 102, 103), (500, 501, 502, 503)

SMALL = {
    "als": {"rank": 4, "epochs": 12},
    "implicit-als": {"rank": 8, "epochs": 6},
    "bpr": {"rank": 8, "epochs": 40},
    "logistic": {"rank": 8, "epochs": 40, "learning_rate": 0.1},
    "keras": {"rank": 8, "epochs": 25, "batch_size": 256, "learning_rate": 0.03},
    "keras ranking": {"loss": "softmax", "rank": 8, "epochs": 25, "batch_size": 256, "learning_rate": 0.03},
    "bayesian": {"rank": 4, "sweeps": 120, "burn_in": 40, "n_samples": 40},
}
"""Settings with which each solver learns the plays in a moment."""


def featured() -> list[str]:
    """Return the solvers that take features: those with the setting."""
    return [
        name
        for name in SMALL
        if "item_features" in {field.name for field in dataclasses.fields(solver_class(name.split()[0]))}
    ]


def goods(items) -> pl.DataFrame:
    kinds = [KINDS[item % 4] for item in items]
    return pl.DataFrame({"item": list(items), "kind": kinds, "year": [1950 + item for item in items]})


def people(users) -> pl.DataFrame:
    return pl.DataFrame({"user": list(users), "town": [TOWNS[user % 4] for user in users]})


def plays(users: int = 120, items: int = 60) -> cf.Interactions:
    """Return ratings of people who prefer one kind of music, by their town: they choose and like it more."""
    random = np.random.default_rng(0)
    dense = np.zeros((users, items))
    for user in range(users):
        liked = np.arange(items) % 4 == user % 4
        likely = np.where(liked, 12.0, 1.0)
        met = random.choice(items, 14, replace=False, p=likely / likely.sum())
        dense[user, met] = np.clip(np.where(liked[met], 4.5, 2.0) + random.normal(0, 0.7, len(met)), 1, 5).round()
    return table_from(dense).with_items(goods(range(items))).with_users(people(range(users)))


def solver(name: str, **changes: object):
    return solver_class(name.split()[0])(**{**SMALL[name], "seed": 1, **BOTH, **changes})


@functools.cache
def trained(name: str) -> cf.Factors:
    return solver(name).fit(plays())


def of_their_kind(lists: pl.DataFrame) -> float:
    return float((lists["item"] % 4 == lists["user"] % 4).mean())


pytestmark = pytest.mark.parametrize("name", featured())


def test_every_solver_with_features_is_tried(name: str) -> None:
    kinds = {key for key in SOLVERS if key != "spark-als"}
    taking = {
        key for key in kinds if "item_features" in {field.name for field in dataclasses.fields(solver_class(key))}
    }
    assert taking == {one.split()[0] for one in featured()}


def test_items_that_nobody_has_rated_are_first_for_those_who_like_their_kind(name: str) -> None:
    model = trained(name).fold_in_items(goods(NEW_ITEMS))
    best = model.recommend(range(40), n=1, candidates=list(NEW_ITEMS))
    assert of_their_kind(best) >= 0.9


def test_users_of_whom_attributes_alone_are_known_get_lists(name: str) -> None:
    model = trained(name).fold_in_users(people(NEW_USERS))
    assert of_their_kind(model.recommend(list(NEW_USERS), n=5)) > 0.7


def test_rows_of_the_training_without_ratings_are_placed_by_their_attributes(name: str) -> None:
    train = plays()
    dense = train.matrix.toarray()
    dense[[8, 9]], dense[:, [12, 13]] = 0, 0
    bare = table_from(dense).with_items(goods(range(60))).with_users(people(range(120)))
    model = solver(name).fit(bare)
    best = model.recommend(list(range(8)), n=1, candidates=[12, 13, 50, 51])
    assert np.isfinite(best["score"].to_numpy()).all()
    chosen = model.recommend([0, 1, 4, 5], n=1, candidates=[12, 13])
    assert of_their_kind(chosen) >= 0.75
    assert of_their_kind(model.recommend([8, 9], n=5)) > 0.7


def test_known_items_are_ranked_about_as_well_as_without_features(name: str) -> None:
    train, test = plays().split_random(test_fraction=0.2, seed=0)
    with_, without = (solver(name, **more).fit(train) for more in ({}, {"item_features": (), "user_features": ()}))
    if with_.objective.goal == "rating":
        assert evaluate(with_, test)["rmse"] < 1.02 * evaluate(without, test)["rmse"]
    else:
        assert evaluate(with_, test, k=10)["ndcg@10"] > 0.95 * evaluate(without, test, k=10)["ndcg@10"]


def test_a_saved_or_copied_model_answers_the_same(name: str, tmp_path) -> None:
    model = trained(name)
    for other in (cf.load(model.save(tmp_path / "m.safetensors")), copy.deepcopy(model)):
        assert other.digest == model.digest
        one, two = (m.fold_in_items(goods([100])).recommend([3], n=61) for m in (other, model))
        assert one.equals(two)
        one, two = (m.fold_in_users(people([500])).recommend([500], n=60) for m in (other, model))
        assert one.equals(two)


def test_training_again_on_the_same_ratings_gives_the_same_model(name: str) -> None:
    model = trained(name)
    again = solver_of(model).fit(trained_on(model))
    assert again.digest == model.digest


def test_shares_name_attributes_and_add_up(name: str) -> None:
    train, model = plays(), trained(name)
    placed = model.fold_in({1: dict(zip(*train.user_history(1).select("item", "value"), strict=True))})
    item = int(placed.recommend([1], n=1)["item"][0])
    shares = placed.explain(1, item)
    assert "town: Bonn" in shares["title"].to_list()
    assert shares["share"].sum() == pytest.approx(float(placed.score([1], [item])[0]), abs=1e-4)


def test_a_training_user_folded_in_keeps_about_their_scores(name: str) -> None:
    train, model = plays(), trained(name)
    histories = {user: train.user_history(user) for user in range(30)}
    folded = model.fold_in({user: dict(zip(one["item"], one["value"], strict=True)) for user, one in histories.items()})
    users, items = np.repeat(np.arange(30), 60), np.tile(np.arange(60), 30)
    before, after = model.score(users, items), folded.score(users, items)
    assert np.corrcoef(before, after)[0, 1] > 0.9


def test_an_update_draws_new_items_to_their_attributes_and_leaves_others(name: str) -> None:
    model = trained(name)
    news = cf.from_frame(pl.DataFrame({"user": [2], "item": [102], "value": [5.0]})).with_items(goods([102]))
    updated = model.update(news)
    assert updated.n_items == 61
    best = updated.fold_in_items(goods([101])).recommend([6, 10, 14], n=1, candidates=[101, 102])
    assert best["item"].to_list() == [102] * 3
    assert np.array_equal(updated.score([5] * 3, [2, 3, 4]), model.score([5] * 3, [2, 3, 4]))


def test_a_run_that_was_stopped_ends_in_the_same_bits(name: str, tmp_path) -> None:
    class Killed(Exception):
        pass

    def kill(report) -> None:
        if report.number == report.planned // 2:
            raise Killed

    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Killed):
        solver(name).fit(plays(), checkpoint=path, callback=kill)
    resumed = solver(name).fit(plays(), checkpoint=path)
    assert resumed.digest == trained(name).digest


def test_training_goes_on_from_a_model_with_features(name: str) -> None:
    few = {"epochs": 1, "learning_rate": 1e-4, "sweeps": 60, "burn_in": 5}
    known = {field.name for field in dataclasses.fields(solver(name))}
    more = solver(name, **{key: value for key, value in few.items() if key in known})
    model = trained(name)
    again = more.fit(plays(), start=model)
    users, items = np.repeat(np.arange(40), 60), np.tile(np.arange(60), 40)
    assert np.corrcoef(model.score(users, items), again.score(users, items))[0, 1] > 0.95


BAD = {
    "missing for everybody": ({"kind": [None] * 60}, "kind", "missing for every item"),
    "NaN for everybody": ({"price": [float("nan")] * 60}, "price", "missing for every item"),
    "a constant": ({"year": [1990] * 60}, "year", "same for every item"),
    "a constant text": ({"kind": ["a"] * 60}, "kind", "no two items share"),
    "a value for each": ({"code": [str(i) for i in range(60)]}, "code", "no two items share"),
    "no such column": ({"kind": ["a", "b"] * 30}, "colour", "no such column: they have .*kind"),
}


@pytest.mark.parametrize("what", BAD)
def test_attributes_that_say_nothing_are_refused_by_name(name: str, what: str) -> None:
    table, column, match = BAD[what]
    ratings = plays()
    bare = dataclasses.replace(ratings, metadata=type(ratings.metadata)())
    described = bare.with_items(pl.DataFrame({"item": list(range(60)), **table}))
    with pytest.raises(DataError, match=match):
        solver(name, item_features=(column,), user_features=()).fit(described)


def test_some_missing_numbers_and_dates_as_text_are_taken(name: str) -> None:
    ratings = plays()
    table = goods(range(60)).with_columns(
        price=pl.Series([float("nan") if i % 5 == 0 else float(i) for i in range(60)]),
        out=pl.Series([f"199{i % 4}-0{1 + i % 3}-01" for i in range(60)]),
    )
    model = solver(name, item_features=("price", "out"), user_features=()).fit(ratings.with_items(table))
    placed = model.fold_in_items(pl.DataFrame({"item": [100], "price": [None], "out": ["not a date"]}))
    assert np.isfinite(placed.score([1], [100])).all()


def test_too_many_categories_are_refused_before_training(name: str) -> None:
    from cofactor.data.features import MOST

    count = 2 * (MOST + 10)
    ids = np.arange(count)
    table = cf.Interactions.from_columns(ids % 50, ids, np.ones(count))
    codes = [[str(item // 2), f"x{item // 2}"] for item in ids]  # two rows share each of ten thousand tags
    described = table.with_items(pl.DataFrame({"item": ids, "tags": codes}))
    with pytest.raises(DataError, match=f"make .* columns, and {MOST:,} are the most"):
        solver(name, item_features=("tags",), user_features=()).fit(described)


def test_a_frame_of_new_items_is_refused_by_a_model_that_knows_ratings_alone(name: str) -> None:
    model = solver(name, item_features=(), user_features=("town",)).fit(plays())
    with pytest.raises(SettingError, match="learnt nothing from attributes of items"):
        model.fold_in_items(goods([100]))


@pytest.mark.parametrize("wrong", [("kind", "kind"), (1,), 3])
def test_names_of_features_are_checked(name: str, wrong: object) -> None:
    with pytest.raises(SettingError, match="item_features"):
        solver(name, item_features=wrong)


def test_an_objective_that_is_reported_never_rises(name: str) -> None:
    history = trained(name).history.get("objective")
    if history is None:
        pytest.skip(f"{name} reports no objective")
    assert all(after <= before * (1 + 1e-6) for before, after in itertools.pairwise(history))
