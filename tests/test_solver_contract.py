"""What every solver must do, whatever it learns and however."""

import concurrent.futures
import dataclasses
import functools
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.data.vocabulary import Vocabulary
from cofactor.solvers import SOLVERS, solver_class

SMALL = {
    "keras": {"rank": 4, "epochs": 40, "batch_size": 32, "learning_rate": 0.05, "regularization": 0.05},
}
"""Settings with which each solver learns a small table in a moment."""

TRAINING_TABLE = """
    import numpy as np
    from cofactor.data.interactions import Interactions
    random = np.random.default_rng(5)
    pairs = random.permutation(40 * 30)[:500]
    table = Interactions.from_columns(pairs // 30, pairs % 30, random.integers(1, 6, 500).astype(float))
"""


def small_solver(name, **changes):
    return solver_class(name)(**{**SMALL[name], **changes})


def table_from(dense):
    rows, columns = np.nonzero(dense)
    users, items = (Vocabulary(range(n), kind=kind) for n, kind in zip(dense.shape, ("user", "item"), strict=True))
    return Interactions.from_rows(users, items, rows, columns, dense[rows, columns])


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


def test_every_solver_has_small_settings(name):
    assert set(SOLVERS) == set(SMALL)


def test_a_checkerboard_is_recovered(name):
    model = small_solver(name).fit(checkerboard())
    users = np.arange(10)
    likes, dislikes = model.score(users, users), model.score(users, (users - 1) % 10)
    assert (likes > dislikes + 1).all()
    assert model.recommend(users.tolist(), n=1)["item"].to_list() == users.tolist()


def test_the_same_seed_gives_the_same_bits(name, ratings, trained):
    one, two, other = trained(name), *(small_solver(name, seed=seed).fit(ratings) for seed in (3, 4))
    for side in ("user_vectors", "item_vectors", "user_bias", "item_bias"):
        first, second = getattr(one, side), getattr(two, side)
        assert (first is None and second is None) or np.array_equal(first, second)
    assert not np.array_equal(one.user_vectors, other.user_vectors)


def digest(name, cpus):
    """Train in a process of its own that may use some processors, and return a digest of the vectors."""
    code = f"""
        import hashlib, os
        os.sched_setaffinity(0, {cpus})
        from cofactor.solvers import solver_class
        {textwrap.indent(textwrap.dedent(TRAINING_TABLE), "        ").strip()}
        model = solver_class({name!r})(**{SMALL[name]!r}).fit(table)
        print(hashlib.sha256(model.user_vectors.tobytes() + model.item_vectors.tobytes()).hexdigest())
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.mark.skipif(os.environ.get("COFACTOR_INNER") == "1", reason="the outer process has tried it")
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to processors")
def test_the_number_of_processors_does_not_matter(name):
    available = sorted(os.sched_getaffinity(0))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        one, all_of_them = pool.map(digest, [name] * 2, [{available[0]}, set(available)])
    assert one == all_of_them


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
    assert origin.data == ratings.name
    assert origin.settings == {field.name: getattr(solver, field.name) for field in dataclasses.fields(solver)}


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
    assert len(model.recommend([3], n=20)) == 9


def test_constant_ratings_are_learnt(name):
    model = small_solver(name).fit(table_from(np.full((7, 8), 4.0)))
    assert model.score(range(7), range(7)) == pytest.approx(np.full(7, 4.0), abs=0.3)


def test_an_unknown_id_is_loud(name, trained):
    with pytest.raises(cf.UnknownIdError, match="unknown user 'nobody'"):
        trained(name).recommend(["nobody"])


def test_nothing_to_learn_from_is_an_error(name, ratings):
    with pytest.raises(cf.DataError, match="no interactions to learn from"):
        small_solver(name).fit(ratings.at_least(99))


def test_every_epoch_is_reported(name, ratings):
    reports = []
    small_solver(name).fit(ratings, callback=reports.append)
    assert [report.number for report in reports] == list(range(1, len(reports) + 1))
    assert all(np.isfinite(list(report.metrics.values())).all() for report in reports)


def test_a_callback_that_raises_ends_the_fit(name, ratings):
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


@pytest.mark.parametrize(("field", "value"), [("rank", 0), ("rank", 2.5), ("seed", -1), ("rank", True)])
def test_settings_out_of_range_are_named(name, field, value):
    if field not in {f.name for f in dataclasses.fields(solver_class(name))}:
        pytest.skip(f"{name} has no {field}")
    with pytest.raises(cf.SettingError, match=f"{field}={value}"):
        small_solver(name, **{field: value})
