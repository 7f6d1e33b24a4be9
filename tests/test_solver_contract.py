"""What every solver must do, whatever it learns and however."""

import concurrent.futures
import dataclasses
import functools
import inspect
import os
import textwrap

import numpy as np
import pytest
from processes import python
from tablesupport import table_from

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.data.vocabulary import Vocabulary
from cofactor.evaluation import evaluate
from cofactor.model.factors import score_rows
from cofactor.solvers import SOLVERS, solver_class

SMALL = {
    "keras": {"rank": 4, "epochs": 40, "batch_size": 32, "learning_rate": 0.05, "regularization": 0.05},
    "als": {"rank": 4, "epochs": 30, "regularization": 0.1, "bias_regularization": 0.1},
    "implicit-als": {"rank": 4, "epochs": 30, "regularization": 0.01},
    "bpr": {"rank": 4, "epochs": 100, "learning_rate": 0.05, "regularization": 0.02, "negatives": 2},
    "logistic": {"rank": 4, "epochs": 150, "learning_rate": 0.1, "regularization": 0.02, "negatives": 4},
    "nmf": {"rank": 4, "epochs": 200, "regularization": 0.02},
    "bayesian": {"rank": 4, "sweeps": 200, "burn_in": 50, "n_samples": 50},
    "svd": {"rank": 4},
    "popularity": {},
    "bias": {},
    "spark-als": {"rank": 4, "epochs": 6, "partitions": 1},
}
"""Settings with which each solver learns a small table in a moment."""

TRAINING_TABLE = """
    import numpy as np
    from cofactor.data.interactions import Interactions
    random = np.random.default_rng(5)
    pairs = random.permutation(500 * 400)[:60_000]
    table = Interactions.from_columns(pairs // 400, pairs % 400, random.integers(1, 6, 60_000).astype(float))
"""
"""Enough ratings that the work is shared out among threads."""

BRIEF = {"epochs": 3, "batch_size": 1024, "sweeps": 12, "burn_in": 2, "n_samples": 5}


WITHOUT_TASTE = {"popularity", "bias"}
"""Solvers that see no difference between users: they can recover no pattern."""


def fields_of(name):
    return {field.name for field in dataclasses.fields(solver_class(name))}


def small_solver(name, **changes):
    known = {field: value for field, value in changes.items() if field in fields_of(name)}
    return solver_class(name)(**{**SMALL[name], **known})


def skip_without(name, parameter):
    """Skip where a solver's fit has no such parameter, as one without epochs has none to start from."""
    if parameter not in inspect.signature(solver_class(name).fit).parameters:
        pytest.skip(f"{name} has nothing to repeat, so fit() has no {parameter}")


def checkerboard(n=10):
    """Even users like even items, odd users odd ones; each pair on the diagonal is held out."""
    rows, columns = np.indices((n, n))
    dense = np.where((rows + columns) % 2 == 0, 5.0, 1.0)
    held_out = (rows == columns) | (rows == (columns + 1) % n)
    return table_from(np.where(held_out, 0, dense))


@pytest.fixture(scope="module")
def trained(ratings):
    """Return a solver's model of the small table, trained once for all tests that only look at it."""
    return functools.lru_cache(lambda name: small_solver(name, seed=3).fit(ratings))


pytestmark = pytest.mark.parametrize("name", SOLVERS)


@pytest.fixture(autouse=True)
def _only_where_it_can_run(name, request):
    if name == "spark-als":
        request.getfixturevalue("spark_can_run")


def test_every_solver_has_small_settings(name):
    assert SMALL[name].keys() <= fields_of(name)


def test_a_checkerboard_is_recovered(name):
    if name in WITHOUT_TASTE:
        pytest.skip(f"{name} knows no tastes")
    board, users = checkerboard(), np.arange(10)
    model = small_solver(name).fit(board)
    if model.objective.goal == "ranking":  # learns from what was chosen, not from how it was rated
        model = small_solver(name).fit(board.at_least(4).binary())
    likes, dislikes = model.score(users, users), model.score(users, (users - 1) % 10)
    assert (likes > dislikes + (1 if model.objective.goal == "rating" else 0.2)).all()
    assert model.recommend(users.tolist(), n=1)["item"].to_list() == users.tolist()


def test_the_same_seed_gives_the_same_bits(name, ratings, trained):
    one, two, other = trained(name), *(small_solver(name, seed=seed).fit(ratings) for seed in (3, 4))
    for side in ("user_vectors", "item_vectors", "user_bias", "item_bias"):
        first, second = getattr(one, side), getattr(two, side)
        assert (first is None and second is None) or np.array_equal(first, second)
    if {"seed", "epochs"} <= fields_of(name):
        assert not np.array_equal(one.user_vectors, other.user_vectors)


def digest(name, cpus, threads):
    """Train in a process of its own, on some processors and threads, and return a digest of the vectors."""
    settings = {**SMALL[name], **{field: value for field, value in BRIEF.items() if field in fields_of(name)}}
    code = f"""
        import hashlib, os
        os.sched_setaffinity(0, {cpus})
        from cofactor.solvers import solver_class
        {textwrap.indent(textwrap.dedent(TRAINING_TABLE), "        ").strip()}
        model = solver_class({name!r})(**{settings!r}).fit(table)
        print(hashlib.sha256(model.user_vectors.tobytes() + model.item_vectors.tobytes()).hexdigest())
    """
    return python(code, NUMBA_NUM_THREADS=str(threads)).strip()


@pytest.mark.skipif(os.environ.get("COFACTOR_INNER") == "1", reason="the outer process has tried it")
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to processors")
def test_processors_and_threads_do_not_matter(name):
    if name == "spark-als":
        pytest.skip("each process would wait for a Java of its own; tests/spark tries partitions instead")
    available = set(os.sched_getaffinity(0))
    settings = [({min(available)}, 1), (available, 2), (available, 4)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        digests = list(pool.map(lambda setting: digest(name, *setting), settings))
    assert len(set(digests)) == 1


def test_a_trained_model_survives_its_file(name, ratings, trained, tmp_path):
    model = trained(name)
    again = cf.load(model.save(tmp_path / "model.safetensors"))
    assert again.recommend(ratings.users, n=5).equals(model.recommend(ratings.users, n=5))
    assert again.origin == model.origin
    assert again.objective == model.objective
    assert again.history == model.history


def test_the_origin_tells_how_the_model_was_made(name, ratings, trained):
    solver, origin = small_solver(name, seed=3), trained(name).origin
    assert origin.solver == type(solver).__name__
    assert solver.goal == trained(name).objective.goal
    assert origin.data == ratings.name
    settings = {field.name: getattr(solver, field.name) for field in dataclasses.fields(solver)}
    as_json = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    assert origin.settings == as_json


def test_lists_longer_than_the_catalogue_hold_what_is_left(name, ratings, trained):
    lists = trained(name).recommend(ratings.users, n=10_000)
    assert len(lists) == ratings.n_users * ratings.n_items - len(ratings)


@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (1, 1)])
def test_one_user_or_one_item_is_enough(name, shape):
    random = np.random.default_rng(0)
    model = small_solver(name).fit(table_from(random.integers(1, 6, shape).astype(float)))
    assert np.isfinite(model.score([0], [0])).all()
    assert model.recommend([0]).is_empty()


def test_users_and_items_without_ratings_have_no_opinion(name):
    dense = np.random.default_rng(0).integers(1, 6, (8, 9)).astype(float)
    dense[3], dense[:, 5] = 0, 0
    model = small_solver(name).fit(table_from(dense))
    assert not model.user_vectors[3].any()
    assert not model.item_vectors[5].any()
    with pytest.raises(cf.UnknownIdError, match="user 3 has no history in this model"):
        model.recommend([3], n=20)
    assert len(model.recommend([3], n=20, on_unknown="popular")) == model.n_items == 9


def test_constant_ratings_are_learnt(name):
    model = small_solver(name).fit(table_from(np.full((7, 8), 4.0)))
    if model.objective.goal == "ranking":
        pytest.skip(f"{name} does not predict ratings")
    assert model.score(range(7), range(7)) == pytest.approx(np.full(7, 4.0), abs=0.3)


@pytest.mark.parametrize("scale", [0.2, 2.0, 20.0])  # of one to five stars: 0 to 1, ten points, per cent
def test_the_same_ratings_on_another_scale_give_the_same_model_up_to_scale(name, scale, ratings):
    if small_solver(name).goal == "ranking":
        pytest.skip(f"{name} does not predict ratings")
    scaled = dataclasses.replace(ratings, matrix=ratings.matrix * np.float32(scale))
    solver = dataclasses.replace(
        small_solver(name), **{"regularization": 1.0} if SMALL[name].get("regularization") else {}
    )
    errors = []
    for table, unit in ((ratings, 1.0), (scaled, scale)):
        train, test = table.split_random(test_fraction=0.2, seed=0)
        errors.append(evaluate(solver.fit(train), test)["rmse"] / unit)
    assert errors[1] == pytest.approx(errors[0], rel=0.005)


@pytest.mark.parametrize("values", [np.full((4, 5), 4), np.full((4, 5), 0.1), np.full((4, 5), -2.5), np.eye(4, 5) * 7])
def test_ratings_without_any_spread_train(name, values):
    if small_solver(name).goal == "ranking":
        pytest.skip(f"{name} does not predict ratings")
    rows, columns = np.nonzero(values)
    model = small_solver(name).fit(Interactions.from_columns(rows, columns, values[rows, columns]))
    assert model.score(rows, columns) == pytest.approx(values[rows, columns], rel=0.1)


def test_an_unknown_id_is_loud(name, trained):
    with pytest.raises(cf.UnknownIdError, match="unknown user 'nobody'"):
        trained(name).recommend(["nobody"])


def test_nothing_to_learn_from_is_an_error(name, ratings):
    with pytest.raises(cf.DataError, match="no interactions to learn from"):
        small_solver(name).fit(ratings.at_least(99))


def test_every_epoch_is_reported(name, ratings):
    if "epochs" not in fields_of(name) and "sweeps" not in fields_of(name):
        pytest.skip(f"{name} has no epochs")
    reports = []
    small_solver(name).fit(ratings, callback=reports.append)
    assert [report.number for report in reports] == list(range(1, reports[-1].planned + 1))
    assert all(np.isfinite(list(report.metrics.values())).all() for report in reports)


def test_a_callback_that_raises_ends_the_fit(name, ratings):
    if "epochs" not in fields_of(name) and "sweeps" not in fields_of(name):
        pytest.skip(f"{name} has no epochs")

    class Enough(Exception):
        pass

    def stop(_):
        raise Enough

    with pytest.raises(Enough):
        small_solver(name).fit(ratings, callback=stop)


def test_a_solver_is_frozen_and_compares_by_its_settings(name):
    solver = small_solver(name)
    assert solver == small_solver(name)
    with pytest.raises(dataclasses.FrozenInstanceError):
        solver.seed = 9
    assert dataclasses.is_dataclass(solver)


def own_ratings(ratings, user):
    history = ratings.user_history(user)
    return dict(zip(history["item"], history["value"].to_list(), strict=True))


def test_a_training_user_folded_in_gets_nearly_the_same_scores(name, ratings, trained):
    model = trained(name)
    folded = model.fold_in({user: own_ratings(ratings, user) for user in ratings.users})
    users = np.repeat(np.arange(ratings.n_users), ratings.n_items)
    items = np.tile(np.arange(ratings.n_items), ratings.n_users)
    before, after = score_rows(model, users, items), score_rows(folded, users, items)
    assert np.abs(after - before).mean() < 0.12 * before.std() + 1e-6
    assert folded.users == model.users


def test_a_stranger_gets_a_list_from_a_few_ratings(name, ratings, trained, tmp_path):
    met = {"i1": 5.0, "i2": 4.0, "i3": 1.0}
    model = cf.load(trained(name).save(tmp_path / "model.safetensors"))  # the file alone is enough
    with_stranger = model.fold_in({"stranger": met})
    lists = with_stranger.recommend(["stranger"], n=100)
    assert len(lists) == ratings.n_items - 3
    assert not set(met) & set(lists["item"])
    assert model.place({"stranger": met}).recommend(["stranger"], n=100).equals(lists)
    others = list(ratings.users)
    assert with_stranger.recommend(others, n=3).equals(model.recommend(others, n=3))
    with pytest.raises(cf.UnknownIdError, match="unknown item 'nothing'"):
        model.fold_in({"stranger": {"nothing": 5.0}})


def test_a_new_item_is_placed_by_who_met_it(name, ratings, trained):
    model = trained(name).fold_in_items({"new": dict.fromkeys(list(ratings.users)[:20], 5.0)})
    assert model.n_items == ratings.n_items + 1
    assert model.similar_items("i1", n=100).height == ratings.n_items
    stranger_to_it = ratings.users[30]
    assert "new" in model.recommend([stranger_to_it], n=100)["item"].to_list()
    assert "new" not in model.recommend([ratings.users[0]], n=100)["item"].to_list()


def test_the_shares_of_an_explanation_add_up_to_the_score(name, ratings, trained):
    model = trained(name)
    explained = model.explain("u3", "i7")
    assert explained["share"].sum() == pytest.approx(float(model.score(["u3"], ["i7"])[0]), abs=1e-4)
    assert set(explained["item"][:-1]) == set(ratings.user_history("u3")["item"])
    assert explained["item"][-1] is None


def test_an_update_brings_in_users_items_and_ratings(name, ratings, trained):
    news = Interactions.from_columns(["u1", "new", "new"], ["fresh", "i1", "fresh"], np.array([4.0, 5.0, 3.0]))
    model = trained(name).update(news)
    assert (model.n_users, model.n_items) == (ratings.n_users + 1, ratings.n_items + 1)
    assert set(model.recommend(["new"], n=100)["item"]) == set(ratings.items) - {"i1"}
    assert "fresh" not in model.recommend(["u1"], n=100)["item"].to_list()
    untouched = model.score(["u5"] * 3, ["i2", "i3", "i4"])
    assert np.array_equal(untouched, trained(name).score(["u5"] * 3, ["i2", "i3", "i4"]))
    assert model.seen.nnz == len(ratings) + 3


def test_training_goes_on_from_a_model(name, ratings, trained):
    skip_without(name, "start")
    few = {"epochs": 1, "learning_rate": 1e-4, "sweeps": 60, "burn_in": 5}
    one_more = small_solver(name, **few).fit(ratings, start=trained(name))
    columns = ratings.triplets()
    before, after = (score_rows(m, columns.user_rows, columns.item_rows) for m in (trained(name), one_more))
    assert np.abs(after - before).mean() < 0.1 * before.std()
    with pytest.raises(cf.SettingError, match="start is str, not a model: open its file"):
        small_solver(name).fit(ratings, start="model.safetensors")
    with pytest.raises(cf.SettingError, match="the model to start from has rank 4"):
        small_solver(name, rank=7).fit(ratings, start=trained(name))
    numbered = dataclasses.replace(ratings, users=Vocabulary(range(ratings.n_users), kind="user"))
    with pytest.raises(cf.SettingError, match="has user ids that are strings, and the data's are integers: read"):
        small_solver(name).fit(numbered, start=trained(name))


def test_a_run_that_was_stopped_ends_in_the_same_bits(name, ratings, tmp_path):
    skip_without(name, "checkpoint")

    class Killed(Exception):
        pass

    def kill(report):
        if report.number == report.planned // 2:
            raise Killed

    solver, path = small_solver(name), tmp_path / "checkpoint.safetensors"
    with pytest.raises(Killed):
        solver.fit(ratings, checkpoint=path, callback=kill)
    resumed, whole = solver.fit(ratings, checkpoint=path), solver.fit(ratings)
    assert np.array_equal(resumed.user_vectors, whole.user_vectors)
    assert np.array_equal(resumed.item_vectors, whole.item_vectors)
    assert resumed.history == whole.history
    with pytest.raises(cf.SettingError, match="checkpoint of another training"):
        small_solver(name, seed=9).fit(ratings, checkpoint=path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(cf.ModelFileError, match="not a whole checkpoint"):
        solver.fit(ratings, checkpoint=path)


@pytest.mark.parametrize(("field", "value"), [("rank", 0), ("rank", 2.5), ("seed", -1), ("rank", True)])
def test_settings_out_of_range_are_named(name, field, value):
    if field not in fields_of(name):
        pytest.skip(f"{name} has no {field}")
    with pytest.raises(cf.SettingError, match=f"{field}={value}"):
        small_solver(name, **{field: value})


@pytest.mark.parametrize("data", ["ratings.csv", None, {"ann": ["lamp"]}])
def test_what_was_not_read_yet_is_refused_with_what_reads_it(name, data):
    with pytest.raises(cf.DataError, match=f"{type(data).__name__} where Interactions are needed: make them with"):
        small_solver(name).fit(data)


def test_a_model_shown_after_an_epoch_stays_as_it_was(name, ratings):
    skip_without(name, "start")
    if name == "bayesian":
        pytest.skip("bayesian has no model to show before its draws are put together")
    shown, pairs = [], ([ratings.users[k] for k in range(5)], [ratings.items[k] for k in range(5)])

    def keep(epoch):
        model = epoch.model()
        shown.append((model, model.item_vectors.copy(), model.score(*pairs)))

    final = small_solver(name, seed=1, epochs=3).fit(ratings, callback=keep)
    for model, vectors, scores in shown:
        np.testing.assert_array_equal(model.item_vectors, vectors)
        np.testing.assert_array_equal(model.score(*pairs), scores)
    np.testing.assert_array_equal(shown[-1][0].item_vectors, final.item_vectors)
    assert not np.array_equal(shown[0][1], shown[-1][1])
