"""Decay, latest first and what is rising: what time makes of a model for lists."""

import copy
import dataclasses
import datetime
import functools

import numpy as np
import polars as pl
import pytest

import cofactor as cf
from cofactor.data.splits import random_mask
from cofactor.data.timing import FLOOR, Timing, latest_first, timing_from
from cofactor.errors import DataError, SettingError
from cofactor.model.factors import score_rows
from cofactor.model.trend import LEVELS
from cofactor.solvers import ALS, BPR, NMF, ImplicitALS, LogisticMF, PureSVD, solver_class

DAY = 86_400
NOW = 1_700_000_000


def plays(seed: int = 0, users: int = 80, items: int = 40, each: int = 12) -> cf.Interactions:
    """Return plays over 100 days; in the last ten, everybody also plays items 0 to 3."""
    random = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        taste = user % 4
        likely = np.where(np.arange(items) % 4 == taste, 6.0, 1.0)
        likely[:4] = 0
        chosen = random.choice(items, each, replace=False, p=likely / likely.sum())
        rows += [(user, int(item), NOW - int(random.integers(10, 100) * DAY)) for item in chosen]
        rows += [(user, int(item), NOW - int(random.integers(0, 10) * DAY)) for item in random.choice(4, 2, False)]
    users_, items_, times = zip(*rows, strict=True)
    return cf.from_frame(
        pl.DataFrame({"user": users_, "item": items_, "time": times}), user="user", item="item", value=None, time="time"
    )


SETTINGS = [
    {"half_life": "30d"},
    {"recency": 0.7},
    {"trend": "5d"},
    {"half_life": "30d", "recency": 0.8, "trend": "5d"},
]


def keras_mf(**settings: object) -> cf.solvers.Solver:
    """Return KerasMF, which takes seconds to import, with settings that learn in a moment."""
    small = {"loss": "softmax", "rank": 4, "epochs": 15, "batch_size": 128, "learning_rate": 0.05}
    return solver_class("keras")(**small | settings)


SOLVERS = {
    "keras": keras_mf,
    "implicit-als": functools.partial(ImplicitALS, rank=8, epochs=4),
    "nmf": functools.partial(NMF, goal="ranking", rank=8, epochs=20, regularization=0.1),
    "bpr": functools.partial(BPR, rank=8, epochs=60, regularization=0.15, negatives=1),
    "logistic": functools.partial(LogisticMF, rank=8, epochs=60, learning_rate=0.1),
}
"""Each solver that heeds time, with settings that learn the plays in a moment."""

each_solver = pytest.mark.parametrize("name", SOLVERS)
each_setting = pytest.mark.parametrize("settings", SETTINGS)


@functools.cache
def _trained(name: str, *settings: tuple[str, object]) -> cf.Factors:
    return SOLVERS[name](**dict(settings)).fit(plays())


def trained(name: str, **settings: object) -> cf.Factors:
    """Return a solver's model of the plays, trained once for all tests that only look at it."""
    return _trained(name, *settings.items())


def test_decay_halves_with_each_half_life_down_to_a_floor_and_has_a_mean_of_one() -> None:
    times = NOW - DAY * np.array([0, 10, 20, 1000])
    timing = Timing(now=NOW, half_life=10 * DAY).measured(times)
    weights = timing.decay(times)
    assert np.allclose(weights / weights[0], [1, 0.5, 0.25, FLOOR])
    assert weights.mean() == pytest.approx(1)


def test_what_comes_after_now_is_as_fresh_as_can_be() -> None:
    timing = Timing(now=NOW, half_life=DAY)
    assert timing.decay(np.array([NOW, NOW + DAY])).tolist() == [1, 1]


def test_the_latest_choice_of_a_row_weighs_most_and_rows_have_a_mean_of_one() -> None:
    weights = latest_first(np.array([0, 3, 3, 5]), np.array([5, 9, 7, 2, 1]), 0.5)
    assert np.argmax(weights[:3]) == 1
    assert weights[0] / weights[1] == pytest.approx(0.25)
    assert weights[:3].mean() == pytest.approx(1)
    assert weights[3] == pytest.approx(2 * weights[4])


def test_an_item_chosen_today_is_more_on_the_rise_than_one_chosen_as_often_long_ago() -> None:
    levels = Timing(now=NOW, trend=5 * DAY).levels(
        np.array([0, 0, 1, 1]), np.array([NOW, NOW, NOW - 50 * DAY, NOW - 50 * DAY]), 3
    )
    assert levels[0] == pytest.approx(np.log(3))
    assert levels[0] > levels[1] > levels[2] == 0


@pytest.mark.parametrize("name", ["implicit-als", "nmf"])
def test_training_on_decayed_plays_is_training_on_those_weights(name: str) -> None:
    train = plays()
    timing = Timing(now=float(train.timestamps.max()), half_life=30 * DAY).measured(train.timestamps)
    weighted = dataclasses.replace(train, matrix=train.matrix.copy())
    weighted.matrix.data = timing.decay(train.timestamps)
    expected = SOLVERS[name](values="as given").fit(weighted)
    assert np.array_equal(trained(name, half_life="30d").item_vectors, expected.item_vectors)


def moved_tastes(users: int = 80, items: int = 20) -> cf.Interactions:
    """Return plays of two periods, as many: users of one kind liked what those of the other came to like later."""
    random = np.random.default_rng(1)
    rows = []
    for user in range(users):
        for period, first in enumerate((NOW - 365 * DAY, NOW - 5 * DAY)):
            liked = np.flatnonzero(np.arange(items) % 2 == (user + period) % 2)
            chosen = random.choice(liked, 6, replace=False)
            rows += [(user, int(item), first + int(random.integers(0, 5 * DAY))) for item in chosen]
    users_, items_, times = zip(*rows, strict=True)
    return cf.from_frame(
        pl.DataFrame({"user": users_, "item": items_, "time": times}), user="user", item="item", value=None, time="time"
    )


@each_solver
def test_with_decay_lists_are_of_what_is_liked_now(name: str) -> None:
    train = moved_tastes()
    shares = {}
    for half_life in (None, "30d"):
        lists = SOLVERS[name](half_life=half_life).fit(train).recommend(train.users.ids, n=3)
        shares[half_life] = float(((lists["item"] + lists["user"]) % 2 == 1).mean())
    assert shares[None] < 0.7
    assert shares["30d"] > 0.9


@pytest.mark.parametrize("loss", ["bpr", "bce", "ccl"])
def test_so_are_they_with_each_loss_of_keras(loss: str) -> None:
    train = moved_tastes()
    shares = []
    for half_life in (None, "30d"):
        lists = keras_mf(loss=loss, epochs=20, half_life=half_life).fit(train).recommend(train.users.ids, n=3)
        shares.append(float(((lists["item"] + lists["user"]) % 2 == 1).mean()))
    assert shares[1] > shares[0] + 0.15


@each_solver
def test_recency_leaves_item_vectors_as_they_were_and_moves_users(name: str) -> None:
    plain, recent = trained(name), trained(name, recency=0.5)
    assert np.array_equal(plain.item_vectors, recent.item_vectors)
    assert not np.allclose(plain.user_vectors, recent.user_vectors)


@each_solver
def test_what_is_rising_leads_lists_of_a_model_with_a_trend(name: str) -> None:
    users = np.arange(80)
    rising = {0, 1, 2, 3}
    with_trend, without = (trained(name, **settings).recommend(users, n=2) for settings in ({"trend": "5d"}, {}))
    hits = [sum(item in rising for item in lists["item"]) for lists in (with_trend, without)]
    assert hits[0] > hits[1]


@each_solver
def test_scores_are_the_formula_of_the_docstring(name: str) -> None:
    train, plain, model = plays(), trained(name), trained(name, trend="5d", trend_weight=2.0)
    products = plain.user_vectors.astype(np.float64) @ plain.item_vectors.T
    levels = np.log1p(
        np.bincount(
            train.matrix.indices,
            weights=0.5 ** ((train.timestamps.max() - train.timestamps) / (5 * DAY)),
            minlength=train.n_items,
        )
    )
    expected = (products - products.mean(axis=0)) / products.std(axis=0) + 2.0 * levels
    users = np.repeat(np.arange(train.n_users), train.n_items)
    items = np.tile(np.arange(train.n_items), train.n_users)
    found = model.score(train.users.take(users), train.items.take(items)).reshape(expected.shape)
    assert np.allclose(found, expected, atol=2e-3)


@each_solver
@each_setting
def test_shares_and_what_is_rising_add_up_to_the_score(name: str, settings: dict[str, object]) -> None:
    model = trained(name, **settings)
    listed = model.recommend([3], n=1)
    shares = model.explain(3, listed["item"][0])
    assert shares["share"].sum() == pytest.approx(listed["score"][0], abs=1e-3)
    assert ("trend" in settings) == ("how much it is chosen of late" in shares["title"].to_list())


@each_solver
@each_setting
def test_a_user_placed_by_their_own_plays_is_the_user_of_training(name: str, settings: dict[str, object]) -> None:
    train, model = plays(), trained(name, **settings)
    if model.timing.recency == 1:  # else training ends with a half-step that users are placed by
        model = dataclasses.replace(model, user_vectors=model.place(train).user_vectors)
    again = model.place(train)
    assert np.allclose(again.user_vectors, model.user_vectors, atol=1e-5)
    assert np.allclose(model.fold_in(train).user_vectors, model.user_vectors, atol=1e-5)


@each_solver
def test_a_visitor_gets_other_lists_when_their_latest_choices_count_most(name: str) -> None:
    model = trained(name)
    taste_0, taste_1 = [4, 8, 12, 16, 20], [5, 9, 13, 17, 21]
    rest = {taste: [item for item in range(24, 40) if item % 4 == taste] for taste in (0, 1)}
    leaning = []
    for history in (taste_0 + taste_1, taste_1 + taste_0):
        placed = model.place({"visitor": history}, recency=0.5)
        mean_0, mean_1 = (placed.score(["visitor"] * len(items), items).mean() for items in rest.values())
        leaning.append(mean_1 - mean_0)
    assert leaning[0] > leaning[1]


@each_solver
def test_recency_of_one_places_a_visitor_as_without_it(name: str) -> None:
    model = trained(name)
    one, other = model.place({"v": [4, 9]}, recency=1.0), model.place({"v": [4, 9]})
    assert np.array_equal(one.user_vectors, other.user_vectors)


@each_solver
@each_setting
def test_a_saved_copied_or_pickled_model_answers_the_same(name: str, settings: dict[str, object], tmp_path) -> None:
    model = trained(name, **settings)
    users = model.users.ids[:5]
    loaded = cf.load(model.save(tmp_path / "m.safetensors"))
    for other in (loaded, copy.deepcopy(model)):
        assert other.recommend(users).equals(model.recommend(users))
        assert other.digest == model.digest
        assert other.timing == model.timing
        visitor = {"v": [4, 9, 13]}
        assert other.place(visitor).recommend(["v"]).equals(model.place(visitor).recommend(["v"]))


@each_solver
@each_setting
def test_training_again_on_the_same_plays_gives_the_same_model(name: str, settings: dict[str, object]) -> None:
    from cofactor.solvers.retrain import solver_of, trained_on

    model = trained(name, **settings)
    again = solver_of(model).fit(trained_on(model))
    assert again.digest == model.digest


@each_solver
def test_news_move_the_present_on(name: str) -> None:
    model = trained(name, half_life="30d", trend="5d", recency=0.8)
    later = float(model.timing.now) + 5 * DAY
    news = cf.from_frame(
        pl.DataFrame({"user": [1, 2, 900], "item": [39, 39, 39], "time": [later] * 3}),
        user="user", item="item", value=None, time="time",
    )  # fmt: skip
    updated = model.update(news)
    assert updated.timing.now == updated.origin.period[1] == later
    row = int(model.items.rows([39])[0])
    assert updated.extras[LEVELS][row] > model.extras[LEVELS][row]
    others = np.delete(np.arange(model.n_items), row)
    assert (updated.extras[LEVELS][others] <= model.extras[LEVELS][others]).all()
    assert len(updated.seen_times) == updated.seen.nnz
    assert 39 not in updated.recommend([1], n=40)["item"].to_list()


@each_solver
def test_a_new_item_has_its_place_among_what_is_rising(name: str) -> None:
    model = trained(name, trend="5d")
    news = cf.from_frame(
        pl.DataFrame({"user": list(range(30)), "item": [777] * 30, "time": [NOW] * 30}),
        user="user", item="item", value=None, time="time",
    )  # fmt: skip
    grown = model.fold_in_items(news)
    assert grown.extras[LEVELS][-1] > np.median(grown.extras[LEVELS])
    assert len(grown.seen_times) == grown.seen.nnz
    assert 777 in grown.recommend([79], n=10)["item"].to_list()


@each_solver
def test_somebody_without_history_is_shown_what_is_popular_of_late(name: str) -> None:
    model = trained(name, trend="3d")
    shown = model.recommend(["nobody"] if not model.users.holds_integers else [10_000], n=4, on_unknown="popular")
    assert set(shown["item"]) == {0, 1, 2, 3}


@each_solver
def test_data_without_times_are_refused_by_name(name: str) -> None:
    train = dataclasses.replace(plays(), timestamps=None)
    for setting, value in {"half_life": "3d", "recency": 0.9, "trend": 9}.items():
        with pytest.raises(DataError, match=f"^{setting} needs the times"):
            SOLVERS[name](**{setting: value}).fit(train)


@pytest.mark.parametrize(
    "settings",
    [
        {"half_life": "soon"},
        {"trend": "-3d"},
        {"recency": 0},
        {"recency": 1.5},
        {"recency": "0.8"},
        {"trend_weight": -1},
    ],
)
@each_solver
def test_settings_of_time_that_are_none_are_refused_by_name(name: str, settings: dict[str, object]) -> None:
    with pytest.raises(SettingError, match=next(iter(settings))):
        SOLVERS[name](**settings)


@pytest.mark.parametrize("settings", [*SETTINGS, {"trend_weight": 2.0}])
def test_where_ratings_are_predicted_settings_of_time_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(SettingError, match=f"^{next(iter(settings))} is for lists, and NMF .* or set goal='ranking'$"):
        NMF(**settings)
    assert NMF(**settings, goal="ranking").goal == "ranking"


@pytest.mark.parametrize("settings", [{"recency": 0.7}, {"trend": "5d"}, {"trend_weight": 2.0}])
def test_keras_takes_half_life_alone_to_predict_ratings(settings: dict[str, object]) -> None:
    with pytest.raises(SettingError, match=f"^{next(iter(settings))} is for lists, and KerasMF .* set loss='softmax'$"):
        keras_mf(**settings, loss="mse")
    assert keras_mf(**settings, loss="softmax").goal == "ranking"
    assert keras_mf(half_life="30d", loss="mse").goal == "rating"


def changed_minds() -> cf.Interactions:
    """Return ratings of two years: in the first all are 2 or so, in the second 4 or so."""
    random = np.random.default_rng(2)
    users, items = np.indices((60, 30)).reshape(2, -1)
    late = random.random(len(users)) < 0.5
    frame = pl.DataFrame(
        {
            "user": users,
            "item": items,
            "value": np.where(late, 4.0, 2.0) + random.normal(0, 0.1, len(users)),
            "time": NOW - DAY * np.where(late, random.integers(0, 9, len(users)), 365),
        }
    )
    return cf.from_frame(frame, user="user", item="item", value="value", time="time")


OF_RATINGS = {
    "keras": functools.partial(keras_mf, loss="mse"),
    "als": functools.partial(ALS, rank=4, regularization=0.1, bias_regularization=0.1),
}
"""Each solver for ratings that heeds time, with settings that learn changed minds in a moment."""

each_of_ratings = pytest.mark.parametrize("name", OF_RATINGS)


@each_of_ratings
def test_with_decay_errors_of_late_ratings_count_most(name: str) -> None:
    train = changed_minds()
    pairs = train.users.take(np.arange(60) % 60), train.items.take(np.arange(60) % 30)
    plain, decayed = (
        OF_RATINGS[name](half_life=half_life).fit(train).score(*pairs).mean() for half_life in (None, "30d")
    )
    assert plain == pytest.approx(3.0, abs=0.2)
    assert decayed > 3.6


def test_the_vectors_of_als_solve_equations_in_which_ratings_weigh_by_their_age() -> None:
    """The last half-step against NumPy's solution of the loss in the docstring of `ALS`."""
    train = changed_minds()
    steps: list[cf.Factors] = []
    model = ALS(rank=3, epochs=4, half_life="30d").fit(train, callback=lambda epoch: steps.append(epoch.model()))
    weights = model.timing.decay(train.timestamps)
    assert weights.mean() == pytest.approx(1, rel=1e-5)
    users = np.column_stack([model.user_vectors, np.ones(train.n_users)]).astype(np.float64)
    of_item = train.matrix.tocoo()
    row = 7
    chosen = of_item.col == row
    met, own, values = of_item.row[chosen], weights[chosen].astype(np.float64), of_item.data[chosen]
    penalty = np.diag([model.objective.regularization] * 3 + [0.97]) * len(met) ** 0.4
    left = values - steps[-2].mean - model.user_bias[met]
    expected = np.linalg.solve(penalty + (users[met].T * own) @ users[met], users[met].T @ (own * left))
    assert np.allclose(model.item_vectors[row], expected[:-1], atol=1e-3)
    assert model.item_bias[row] == pytest.approx(expected[-1], abs=1e-3)


@each_of_ratings
def test_figures_of_validation_weigh_as_the_training_does(name: str) -> None:
    train = changed_minds()
    model = OF_RATINGS[name](half_life="30d", epochs=2, validation_fraction=0.3).fit(train)
    held_out = random_mask(len(train), 0.3, 0)
    table = train.matrix.tocoo()
    errors = table.data - score_rows(model, table.row.astype(np.int64), table.col.astype(np.int64))
    weights = model.timing.decay(train.timestamps)
    expected = np.average(np.square(errors)[held_out], weights=weights[held_out])
    assert model.history["val_mse"][-1] == pytest.approx(expected, rel=1e-3)


@each_of_ratings
def test_ratings_of_newcomers_count_alike_whatever_their_age(name: str) -> None:
    train = changed_minds()
    model = OF_RATINGS[name](half_life="30d", epochs=2).fit(train)
    timeless = dataclasses.replace(model, timing=None, seen_times=None)
    assert np.array_equal(model.place(train).user_vectors, timeless.place(train).user_vectors)


@each_of_ratings
def test_a_model_of_ratings_with_decay_can_be_stored_updated_and_trained_again(name: str, tmp_path) -> None:
    from cofactor.solvers.retrain import solver_of, trained_on

    train = changed_minds()
    model = OF_RATINGS[name](half_life="30d", epochs=2).fit(train)
    assert solver_of(model).fit(trained_on(model)).digest == model.digest
    assert cf.load(model.save(tmp_path / "model.safetensors")).timing == model.timing
    tomorrow = cf.from_frame(
        pl.DataFrame({"user": [0], "item": [3], "value": [5.0], "time": [NOW + DAY]}),
        user="user", item="item", value="value", time="time",
    )  # fmt: skip
    assert model.update(tomorrow).timing.now == NOW + DAY


def test_lengths_of_time_may_be_objects() -> None:
    assert ImplicitALS(half_life=datetime.timedelta(days=2)).half_life == 2 * DAY


def test_recency_is_refused_where_a_model_lets_all_choices_count_alike() -> None:
    with pytest.raises(SettingError, match=r"recency is 0\.5, and PureSVD"):
        PureSVD(rank=4).fit(plays()).place({"v": [4]}, recency=0.5)


@pytest.mark.parametrize(
    "wrong", [{"recency": 2.0}, {"half_life": -1.0}, {"now": "today"}, {"now": float("nan")}, {"mean": 0.0}]
)
def test_a_stored_timing_out_of_its_range_is_refused(wrong: dict[str, object]) -> None:
    stored = Timing(now=1.0, half_life=2.0).to_dict() | wrong
    with pytest.raises((TypeError, ValueError)):
        timing_from(stored)
