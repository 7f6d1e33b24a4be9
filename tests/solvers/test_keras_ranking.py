"""KerasMF for lists: four losses, two ways to draw negatives, and what the contract asks of them."""

import dataclasses
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from processes import python
from scipy import sparse
from tablesupport import table_from

import cofactor as cf
from cofactor.evaluation import evaluate
from cofactor.kernels.unmet import kth_unmet
from cofactor.model.factors import evolved, score_rows
from cofactor.model.fold_in import place_rows
from cofactor.model.objectives.squared import SquaredError
from cofactor.model.surrogate_fold_in import agreement, with_placement
from cofactor.solvers import keras_training
from cofactor.solvers.keras_losses import ranking_loss
from cofactor.solvers.keras_mf import DEFAULTS, KerasMF
from cofactor.solvers.keras_training import (
    Batches,
    FixedBatches,
    InBatchNegatives,
    RankingBatches,
    UniformNegatives,
)

LOSSES = ("bpr", "bce", "softmax", "ccl")
SMALL = {"rank": 4, "epochs": 12, "batch_size": 64, "learning_rate": 0.05, "regularization": 0.02, "negatives": 4}

each_loss = pytest.mark.parametrize("loss", LOSSES)
each_pair = pytest.mark.parametrize(
    ("loss", "sampling"), [("bpr", "batch"), ("bce", "uniform"), ("softmax", "batch"), ("ccl", "uniform")]
)
each_sampling = pytest.mark.parametrize("sampling", ["uniform", "batch"])


@pytest.fixture(scope="module")
def tastes():
    """People and things of two kinds, in turn: two thirds of what people choose is of their own kind."""
    random = np.random.default_rng(0)
    rows, columns = np.indices((60, 40))
    return table_from((random.random((60, 40)) < np.where((rows + columns) % 2 == 0, 0.5, 0.12)).astype(float))


def small(loss, **changes):
    return KerasMF(loss=loss, **{**SMALL, **changes})


def tables_of(model):
    return [model.user_vectors, model.item_vectors, *([] if model.item_bias is None else [model.item_bias])]


def same_bits(one, other):
    return all(np.array_equal(a, b) for a, b in zip(tables_of(one), tables_of(other), strict=True))


# What the contract asks


@each_sampling
@each_loss
def test_a_checkerboard_is_recovered(loss, sampling):
    rows, columns = np.indices((10, 10))
    board = table_from(((rows + columns) % 2 == 0) & (rows != columns))
    model = small(loss, sampling=sampling, epochs=40, batch_size=16, regularization=0.3).fit(board)
    users = np.arange(10)
    likes, dislikes = model.score(users, users), model.score(users, (users - 1) % 10)
    assert (likes > dislikes + 0.2).all()
    assert model.recommend(users.tolist(), n=1)["item"].to_list() == users.tolist()


@each_pair
def test_the_same_seed_gives_the_same_bits(loss, sampling, ratings):
    one, two, other = (small(loss, sampling=sampling, epochs=3, seed=seed).fit(ratings) for seed in (3, 3, 4))
    assert same_bits(one, two)
    assert one.history == two.history
    assert one.objective == two.objective
    assert not same_bits(one, other)


@pytest.mark.skipif(os.environ.get("COFACTOR_INNER") == "1", reason="the outer process has tried it")
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to processors")
def test_processors_do_not_matter():
    """A product over a whole batch would be summed in another order on more processors."""
    available = set(os.sched_getaffinity(0))
    digests = [digest(cpus) for cpus in ({min(available)}, available)]
    assert digests[0] == digests[1]
    assert len(digests[0].split()) == 3


def digest(cpus):
    code = f"""
        import hashlib, os
        os.sched_setaffinity(0, {cpus})
        import numpy as np
        from cofactor.data.interactions import Interactions
        from cofactor.solvers.keras_mf import KerasMF
        pairs = np.random.default_rng(5).permutation(500 * 400)[:30_000]
        table = Interactions.from_columns(pairs // 400, pairs % 400)
        for loss, sampling in (("softmax", "batch"), ("bpr", "batch"), ("ccl", "uniform")):
            model = KerasMF(rank=16, loss=loss, sampling=sampling, epochs=1).fit(table)
            print(hashlib.sha256(model.user_vectors.tobytes() + model.item_vectors.tobytes()).hexdigest())
    """
    return python(code)


@each_loss
def test_a_run_that_was_stopped_ends_in_the_same_bits(loss, ratings, tmp_path):
    class Killed(Exception):
        pass

    def kill(report):
        if report.number == 3:
            raise Killed

    solver, path = small(loss, epochs=6, validation_fraction=0.2, patience=6), tmp_path / "checkpoint.safetensors"
    with pytest.raises(Killed):
        solver.fit(ratings, checkpoint=path, callback=kill)
    resumed, whole = solver.fit(ratings, checkpoint=path), solver.fit(ratings)
    assert same_bits(resumed, whole)
    assert resumed.history == whole.history


@each_sampling
def test_ratings_on_disk_train_to_the_same_bits(sampling, ratings, tmp_path, monkeypatch):
    monkeypatch.setattr(keras_training, "_BLOCK", 10)
    monkeypatch.setattr(keras_training, "_SHARD", 130)
    on_disk = cf.Interactions.open(ratings.write(tmp_path / "ratings"))
    solver = small("softmax", sampling=sampling, epochs=3)
    assert same_bits(solver.fit(ratings), solver.fit(on_disk))


@each_loss
def test_a_model_survives_its_file_and_keras_gives_its_scores(loss, ratings, tmp_path):
    solver = small(loss)
    model = solver.fit(ratings)
    again = cf.load(model.save(tmp_path / "model.safetensors"))
    assert again.recommend(ratings.users, n=5).equals(model.recommend(ratings.users, n=5))
    assert (again.objective, again.history, again.origin) == (model.objective, model.history, model.origin)
    assert model.origin.settings["loss"] == loss
    rows = np.arange(20)
    scores = model.to_keras().predict([rows, rows], verbose=0)[:, 0]
    assert scores == pytest.approx(score_rows(model, rows, rows), abs=1e-5)
    assert model.objective.goal == "ranking"
    assert model.user_bias is None
    assert (model.item_bias is None) == (loss == "ccl")


@each_loss
def test_each_epochs_report_shows_the_model_as_it_is_then(loss, ratings):
    models = []
    last = small(loss, epochs=3).fit(ratings, callback=lambda epoch: models.append((epoch, epoch.model())))
    assert [epoch.number for epoch, _ in models] == [1, 2, 3]
    assert [len(model.history["loss"]) for _, model in models] == [1, 2, 3]
    assert same_bits(models[-1][1], last)
    assert not same_bits(models[0][1], last)
    assert set(models[0][0].metrics) == {"loss", loss}


def test_the_model_of_an_epoch_for_ratings_too(ratings):
    models = []
    last = KerasMF(rank=3, epochs=2).fit(ratings, callback=lambda epoch: models.append(epoch.model()))
    assert np.array_equal(models[1].user_bias, last.user_bias)
    assert not np.array_equal(models[0].user_bias, last.user_bias)


@each_loss
def test_training_goes_on_from_a_model(loss, ratings):
    model = small(loss).fit(ratings)
    one_more = small(loss, epochs=1, learning_rate=1e-5).fit(ratings, start=model)
    assert np.abs(one_more.item_vectors - model.item_vectors).max() < 0.01
    with pytest.raises(cf.SettingError, match="rank 4"):
        small(loss, rank=5).fit(ratings, start=model)


@each_loss
def test_users_and_items_without_ratings_have_no_opinion(loss):
    dense = np.random.default_rng(0).integers(0, 2, (8, 9)).astype(float)
    dense[3], dense[:, 5], dense[0, 0] = 0, 0, 1
    model = small(loss).fit(table_from(dense))
    assert not model.user_vectors[3].any()
    assert not model.item_vectors[5].any()
    assert loss == "ccl" or model.item_bias[5] == model.item_bias.min()
    assert loss == "ccl" or (np.delete(model.item_bias, 5) > model.item_bias[5]).sum() == 7
    with pytest.raises(cf.UnknownIdError, match="user 3 has no history in this model"):
        model.recommend([3], n=20)
    assert len(model.recommend([3], n=20, on_unknown="popular")) == model.n_items == 9


@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (1, 1)])
@pytest.mark.parametrize(("loss", "sampling"), [("softmax", "batch"), ("bpr", "uniform")])
def test_one_user_or_one_item_is_enough(loss, sampling, shape):
    model = small(loss, sampling=sampling).fit(table_from(np.ones(shape)))
    assert np.isfinite(model.score([0], [0])).all()


# Placing people


@each_loss
def test_a_training_user_folded_in_gets_nearly_the_same_list(loss, tastes):
    model = small(loss).fit(tastes)
    folded = model.fold_in({user: tastes.user_history(user)["item"].to_list() for user in tastes.users})
    before, after = (
        m.recommend(tastes.users, n=5).group_by("user", maintain_order=True).all() for m in (model, folded)
    )
    common = [len(set(a) & set(b)) / 5 for a, b in zip(before["item"], after["item"], strict=True)]
    assert np.mean(common) > 0.5
    assert model.objective.heeds_weights
    rows = np.arange(tastes.n_users)
    assert agreement(model, rows) > agreement(evolved(model, mean=5.0), rows) + 0.2  # that aims below all scores


@each_loss
def test_placing_people_leaves_every_list_as_it_was(loss, tastes):
    vectors = np.random.default_rng(0).normal(size=(tastes.n_users + tastes.n_items, 3)).astype(np.float32)
    bias = None if loss == "ccl" else vectors[tastes.n_users :, 0] * 2
    bare = cf.Factors(
        vectors[: tastes.n_users], vectors[tastes.n_users :], tastes.users, tastes.items, None, bias,
        seen=tastes.matrix, objective=SquaredError(goal="ranking"),
    )  # fmt: skip
    placed = with_placement(bare)
    lists = [model.recommend(tastes.users, n=40)["item"].to_list() for model in (bare, placed)]
    assert lists[0] == lists[1]


@each_loss
def test_a_stranger_and_a_new_item_find_their_place(loss, tastes):
    model = small(loss).fit(tastes)
    likes = tastes.user_history(tastes.users[0])["item"].to_list()
    placed = model.place({1000: likes})
    assert set(placed.recommend([1000], n=5)["item"]).isdisjoint(likes)
    fans = list(tastes.users)[0:40:2]  # of the first kind
    grown = model.fold_in_items({1000: fans[5:]})
    others = list(tastes.users)[1:40:2]
    assert grown.score(fans[:5], [1000] * 5).mean() > grown.score(others, [1000] * len(others)).mean()
    explained = model.explain(tastes.users[0], tastes.items[0])
    assert explained["share"].sum() == pytest.approx(
        float(model.score([tastes.users[0]], [tastes.items[0]])[0]), abs=1e-3
    )


def test_values_do_not_matter(ratings):
    rated, chosen = (small("softmax", epochs=3).fit(table) for table in (ratings, ratings.binary()))
    assert same_bits(rated, chosen)


# Stopping early


@each_pair
def test_stopping_early_gives_back_the_best_epoch(loss, sampling, ratings):
    changes = {"epochs": 60, "regularization": 0, "schedule": "constant", "validation_fraction": 0.25, "patience": 3}
    seen = []
    model = small(loss, sampling=sampling, **changes).fit(ratings, callback=lambda epoch: seen.append(epoch.model()))
    losses = model.history[f"val_{loss}"]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 3 < 60
    assert same_bits(seen[best], model)


# Negatives


@each_sampling
def test_no_training_positive_is_ever_a_negative(sampling, ratings):
    met = ratings.matrix.toarray() > 0
    batches = RankingBatches(Batches(ratings, 50, seed=1), sampler(ratings, sampling), seed=1)
    drawn = 0
    for _ in range(3):
        for index in range(len(batches)):
            inputs, weights = batches[index]
            items = inputs[2] if sampling == "uniform" else np.repeat(inputs[1].reshape(2, 25), 25, axis=0)
            users = np.broadcast_to(inputs[0], items.shape)
            counted = weights[:, 1:] > 0
            assert not met[users[counted], items[counted]].any()
            drawn += counted.sum()
            if sampling == "batch":  # and all others are
                assert met[users[~counted], items[~counted]].all()
        batches.on_epoch_end()
    assert drawn > 5000


def sampler(ratings, sampling, each=4, correction=1.0):
    if sampling == "uniform":
        return UniformNegatives(ratings.matrix, each, correction)
    chances = np.bincount(ratings.matrix.indices, minlength=ratings.n_items) / len(ratings)
    return InBatchNegatives(ratings.matrix, chances, 25, correction)


def test_negatives_are_new_in_each_epoch_and_hang_on_seed_and_epoch_alone(ratings):
    one, two, other = (
        RankingBatches(Batches(ratings, 100, seed=1), sampler(ratings, "uniform"), seed) for seed in (1, 1, 2)
    )
    first = one[4][0][2]
    assert not np.array_equal(first, other[4][0][2])
    one.on_epoch_end()
    two.skip_to(1)
    assert np.array_equal(one[4][0][2], two[4][0][2])
    assert not np.array_equal(one[4][0][2], first)
    fixed = FixedBatches(Batches(ratings, 100, seed=1), sampler(ratings, "uniform"), 1)
    fixed.on_epoch_end()
    assert np.array_equal(fixed[4][0][2], first)


def test_every_unmet_item_is_as_likely():
    met = sparse.csr_array(np.array([[1, 0, 0, 1, 0, 1], [0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]]))
    found = np.empty((2, 3), int)
    kth_unmet(met.indptr, met.indices, np.array([0, 1]), np.array([[0, 1, 2], [0, 3, 5]]), found)
    assert found.tolist() == [[1, 2, 4], [0, 3, 5]]
    rows, weights = UniformNegatives(met, 3000, 1.0).draw(
        np.array([0, 1, 2]), np.array([0, 0, 0]), np.random.default_rng(0)
    )
    counts = np.bincount(rows[0], minlength=6) / 3000
    assert counts == pytest.approx([0, 1 / 3, 1 / 3, 0, 1 / 3, 0], abs=0.04)
    assert weights.sum(axis=1) == pytest.approx([3, 6, 0])  # they stand for all that the user has not met


def test_weights_in_a_batch_make_up_for_popularity(ratings):
    """Over many batches each item's weights come to the number of users that it is a negative of."""
    batches = RankingBatches(Batches(ratings, 50, seed=1), sampler(ratings, "batch"), seed=1)
    whole = RankingBatches(Batches(ratings, 50, seed=1), sampler(ratings, "batch", correction=0.0), seed=1)
    sums, counts, chances = np.zeros(ratings.n_items), np.zeros(ratings.n_items), np.zeros(ratings.n_items)
    met = ratings.matrix.toarray() > 0
    for _ in range(60):
        for index in range(len(batches)):
            (users, items), weights = batches[index]
            for total, these in ((sums, weights), (counts, whole[index][1])):
                np.add.at(total, items.reshape(2, 25), these[:, 1:].reshape(2, 25, 25).sum(axis=1))
            chances += (~met[users[:, 0]]).sum(axis=0)
        batches.on_epoch_end()
        whole.on_epoch_end()
    corrected, bare = sums / chances, counts / chances
    assert corrected.std() / corrected.mean() < 0.35 * bare.std() / bare.mean()
    assert corrected.mean() == pytest.approx(1, abs=0.1)


# The losses themselves


def test_the_losses_are_what_they_say():
    weights = np.array([[1, 2, 0, 1], [1, 0, 0, 0]], np.float32)
    scores = np.array([[0.5, 0.2, 9, -0.3], [0.7, 0.1, 0.1, 0.1]], np.float32)
    softplus = lambda x: np.log1p(np.exp(x))  # noqa: E731
    mean = lambda a, b: (2 * a + b) / 3  # noqa: E731
    expected = {
        "bpr": [mean(softplus(-0.3), softplus(-0.8)), 0],
        "bce": [softplus(-0.5) + 5 * mean(softplus(0.2), softplus(-0.3)), softplus(-0.7)],
        "softmax": [-np.log(np.exp(0.5) / (np.exp(0.5) + 2 * np.exp(0.2) + np.exp(-0.3))), 0],
        "ccl": [0.5 + 5 * mean(0.1, 0), 0.3],
    }
    for name, values in expected.items():
        loss = ranking_loss(name, {"negative_weight": 5.0, "margin": 0.1})
        assert np.asarray(loss(keras.ops.array(weights), keras.ops.array(scores))) == pytest.approx(values, abs=1e-6)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"loss": "hinge"}, "loss='hinge'"),
        ({"sampling": "some"}, "sampling='some'"),
        ({"negatives": 0}, "negatives=0"),
        ({"popularity_correction": -1.0}, "popularity_correction=-1"),
        ({"negative_weight": -1.0}, "negative_weight=-1"),
        ({"margin": float("nan")}, "margin=nan"),
    ],
)
def test_settings_that_make_no_sense_are_named(settings, text):
    with pytest.raises(cf.SettingError, match=text):
        KerasMF(**settings)


def test_a_loss_brings_its_own_settings_where_none_are_given():
    assert KerasMF().strengths.regularization == 1.1
    assert KerasMF(loss="bpr").strengths.regularization < 1
    assert KerasMF(loss="bpr", regularization=3.0).strengths.regularization == 3.0


def test_the_table_of_defaults_is_true():
    table = inspect.getdoc(KerasMF).split("take a default of the loss:")[1]
    names = re.search(r"^setting +(.*)$", table, re.MULTILINE)[1].split()
    assert names == list(DEFAULTS)
    for field in dataclasses.fields(DEFAULTS["mse"]):
        shown = re.search(rf"^{field.name} +(.*)$", table, re.MULTILINE)[1].split()
        assert [float(number) for number in shown] == [getattr(own, field.name) for own in DEFAULTS.values()]


@each_loss
def test_the_defaults_make_good_lists_of_real_ratings(loss, ml100k):
    train, test = ml100k.split_per_user(test_fraction=0.25, seed=42)
    model = KerasMF(loss=loss).fit(train)
    trained = evaluate(model, test)["ndcg@10"]
    assert trained > {"softmax": 0.46}.get(loss, 0.42)
    anew = evolved(model, user_vectors=place_rows(model, model.seen, "user").vectors)
    assert evaluate(anew, test)["ndcg@10"] > 0.93 * trained


def test_all_of_this_holds_on_tensorflow_too():
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    if os.environ.get("COFACTOR_INNER") == "1":
        pytest.skip("this is the inner process")
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "COFACTOR_INNER": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-cov", __file__,
         "-k", "(checkerboard and batch) or (same_seed and uniform) or (early and softmax) or losses_are"],
        env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout
