"""KerasMF: the article's model, early stopping, decay by count, batches from memory and from disk."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import polars as pl
import pytest

import cofactor as cf
from cofactor.data.timing import Timing
from cofactor.evaluation import evaluate
from cofactor.model.factors import score_rows
from cofactor.model.keras_network import RowDecay
from cofactor.solvers import BayesianMF, keras_training
from cofactor.solvers.keras_mf import KerasMF, RatingTask, keras_model
from cofactor.solvers.keras_training import Batches


def test_the_articles_model_has_the_articles_parameters():
    network = keras_model(n_users=943, n_items=1682, rank=20, biases=False)
    assert network.count_params() == 52_540
    assert isinstance(network, keras.Model)
    assert keras_model(943, 1682, 20, biases=False, spare_rows=0).count_params() == 52_500


def test_the_network_trains_in_ones_own_fit(ratings):
    network = keras_model(ratings.n_users, ratings.n_items, rank=3)
    network.compile(optimizer="adam", loss="mean_squared_error", metrics=["mae", "mse"])
    columns = ratings.triplets()
    history = network.fit([columns.user_rows, columns.item_rows], columns.values, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]


def test_the_network_can_be_rebuilt_from_its_configuration():
    network = keras_model(5, 7, 3, regularization=0.1, bias_regularization=0.2, mean=3.5, non_negative=True)
    again = keras.Model.from_config(network.get_config())
    again.set_weights(network.get_weights())
    rows = [np.arange(5), np.arange(5)]
    assert np.array_equal(again.predict(rows, verbose=0), network.predict(rows, verbose=0))


@pytest.mark.parametrize("sizes", [(0, 5, 3), (5, 0, 3), (5, 5, 0)])
def test_sizes_must_be_at_least_one(sizes):
    with pytest.raises(cf.SettingError, match="at least 1"):
        keras_model(*sizes)


def test_decay_counts_each_row_of_the_batch_by_its_weight():
    layer = RowDecay(rows=4, strength=0.5)
    layer.row_weights.assign(np.array([1.0, 2.0, 3.0, 4.0], np.float32))
    vectors = np.array([[1.0, 2.0], [0.0, 3.0]], np.float32)
    assert np.array_equal(layer(np.array([[1], [3]]), vectors), vectors)
    assert float(layer.losses[0]) == pytest.approx(0.5 * (2.0 * 5.0 + 4.0 * 9.0) / 2)


def test_a_keras_model_of_the_factors_gives_their_scores(ratings):
    model = KerasMF(rank=3, epochs=2).fit(ratings)
    rows = np.arange(20)
    assert model.to_keras().predict([rows, rows], verbose=0)[:, 0] == pytest.approx(score_rows(model, rows, rows))
    bare = cf.Factors.from_arrays(np.eye(3), np.eye(3))
    assert bare.to_keras().predict([rows[:3], rows[:3]], verbose=0)[:, 0].tolist() == [1, 1, 1]


def test_a_keras_model_of_draws_gives_their_average_if_that_is_a_product(ratings):
    solver, rows = BayesianMF(rank=2, sweeps=12, burn_in=2, n_samples=5), np.arange(20)
    model = solver.fit(ratings)
    scores = model.to_keras().predict([rows, rows], verbose=0)[:, 0]
    assert scores == pytest.approx(score_rows(model, rows, rows), abs=1e-5)
    with pytest.raises(cf.SettingError, match=r"likelihood='probit' are no products of vectors.*: train with"):
        dataclasses.replace(solver, likelihood="probit").fit(ratings).to_keras()


def test_history_holds_the_errors_of_every_epoch(ratings):
    history = KerasMF(rank=3, epochs=4, biases=False, regularization=0).fit(ratings).history
    assert {name: len(values) for name, values in history.items()} == {"loss": 4, "mae": 4, "mse": 4}
    assert history["mse"] == pytest.approx(history["loss"], rel=1e-5)


def test_stopping_early_gives_back_the_best_epoch(ratings):
    solver = KerasMF(
        rank=8, regularization=0, epochs=60, learning_rate=0.05, batch_size=64, validation_fraction=0.25, patience=4
    )
    model = solver.fit(ratings)
    errors = model.history["val_mse"]
    best = int(np.argmin(errors))
    assert len(errors) == best + 1 + 4 < 60
    _, held_out = ratings.split_random(test_fraction=0.25, seed=0)
    columns = held_out.triplets()
    error = float(np.mean((score_rows(model, columns.user_rows, columns.item_rows) - columns.values) ** 2))
    assert abs(error - errors[best]) < abs(error - errors[-1])
    assert len(held_out) == 225


def test_validation_ratings_are_not_trained_on(ratings):
    solver = KerasMF(rank=2, validation_fraction=0.25, seed=5)
    task = RatingTask(solver, ratings)
    seen = [
        tuple(pair) for part in (task.batches, task.validation) for k in range(len(part)) for pair in pairs_of(part[k])
    ]
    assert len(seen) == len(set(seen)) == len(ratings)


def pairs_of(batch):
    (users, items), _ = batch
    return np.column_stack([users, items]).tolist()


def test_vectors_without_a_negative_entry(ratings):
    model = KerasMF(rank=3, non_negative=True, epochs=10, batch_size=64).fit(ratings)
    assert model.user_vectors.min() >= 0
    assert model.item_vectors.min() >= 0
    assert model.user_vectors.max() > 0
    assert model.objective.non_negative


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", keras.optimizers.Adam(learning_rate=0.02)])
def test_any_keras_optimizer_serves(ratings, optimizer):
    model = KerasMF(rank=2, epochs=2, optimizer=optimizer).fit(ratings)
    assert model.origin.settings["optimizer"] in ("sgd", "rmsprop", "Adam")


def test_a_run_with_a_pattern_optimizer_goes_on_from_its_checkpoint(ratings, tmp_path):
    def fit(epochs, rate=0.02):
        solver = KerasMF(rank=2, epochs=epochs, optimizer=keras.optimizers.Adam(learning_rate=rate))
        return solver.fit(ratings, checkpoint=tmp_path / "checkpoint")

    assert fit(1).history["mse"] == fit(2).history["mse"][:1]
    with pytest.raises(cf.SettingError, match="checkpoint of another training"):
        fit(3, rate=0.03)


def test_a_pattern_optimizer_stays_as_it_was(ratings):
    pattern = keras.optimizers.Adam()
    solver = KerasMF(rank=2, epochs=2, optimizer=pattern)
    assert np.array_equal(solver.fit(ratings).user_vectors, solver.fit(ratings).user_vectors)
    assert keras.ops.convert_to_numpy(pattern.iterations) == 0


def test_keras_callbacks_are_called(ratings):
    epochs = []
    watcher = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(epoch))
    KerasMF(rank=2, epochs=3).fit(ratings, keras_callbacks=[watcher])
    assert epochs == [0, 1, 2]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"optimizer": "magic"}, "optimizer='magic'"),
        ({"schedule": "steps"}, "schedule='steps'"),
        ({"patience": 3}, "needs a validation_fraction"),
        ({"validation_fraction": 1.0}, "less than 1"),
        ({"validation_fraction": 1e-9}, "too few to hold out"),
        ({"regularization": -1}, "regularization=-1"),
        ({"learning_rate": 0}, "learning_rate=0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
    ],
)
def test_settings_that_make_no_sense_are_named(ratings, settings, text):
    with pytest.raises(cf.CofactorError, match=text):
        KerasMF(**settings).fit(ratings)


def test_a_diverged_training_is_an_error(ratings):
    with pytest.raises(cf.DataError, match="diverged"):
        KerasMF(rank=2, epochs=30, optimizer="sgd", learning_rate=1e3, schedule="constant").fit(ratings)


def test_each_epoch_has_the_ratings_in_a_new_order(ratings):
    batches = Batches(ratings, 64, seed=1)
    first = [pair for k in range(len(batches)) for pair in pairs_of(batches[k])]
    batches.on_epoch_end()
    second = [pair for k in range(len(batches)) for pair in pairs_of(batches[k])]
    assert first != second
    assert len({tuple(pair) for pair in first}) == len(first) == 900


def test_the_sizes_of_batches_are_one(ratings):
    batches = Batches(ratings, 128, seed=1)
    assert len(batches) == 8
    assert {len(batches[k][1]) for k in range(8)} == {900 // 8}


def test_many_shards_hold_every_rating_once(ratings, monkeypatch):
    monkeypatch.setattr(keras_training, "_BLOCK", 10)
    monkeypatch.setattr(keras_training, "_SHARD", 130)
    batches = Batches(ratings, 60, seed=2)
    taken = [tuple(pair) for k in range(len(batches)) for pair in pairs_of(batches[k])]
    assert len(taken) == len(set(taken)) == 900
    in_order = Batches(ratings, 60, seed=None)
    assert sorted(taken) == sorted(tuple(pair) for k in range(len(in_order)) for pair in pairs_of(in_order[k]))


def test_each_rating_has_its_own_weight(ratings, monkeypatch):
    monkeypatch.setattr(keras_training, "_BLOCK", 10)
    monkeypatch.setattr(keras_training, "_SHARD", 130)
    times = np.random.default_rng(0).integers(0, 100, len(ratings)).astype(float)
    timing = Timing(now=100.0, half_life=20.0).measured(times)
    dated = dataclasses.replace(ratings, timestamps=times)
    expected = dict(zip(zip(*ratings.matrix.nonzero(), strict=True), timing.decay(times), strict=True))
    batches = Batches(dated, 60, positions=np.arange(0, len(ratings), 2), timing=timing, seed=2)
    for number in range(len(batches)):
        (users, items), _, weights = batches[number]
        pairs = zip(users[:, 0], items[:, 0], strict=True)
        assert weights.tolist() == [expected[pair] for pair in pairs]


def test_ratings_on_disk_train_to_the_same_bits(ratings, tmp_path, monkeypatch):
    monkeypatch.setattr(keras_training, "_BLOCK", 10)
    monkeypatch.setattr(keras_training, "_SHARD", 130)
    on_disk = cf.Interactions.open(ratings.write(tmp_path / "ratings"))
    solver = KerasMF(rank=3, epochs=3, batch_size=60)
    from_memory, from_disk = solver.fit(ratings), solver.fit(on_disk)
    assert np.array_equal(from_memory.user_vectors, from_disk.user_vectors)
    assert from_memory.history == from_disk.history


def test_the_defaults_do_well_on_real_ratings(ml100k):
    errors = []
    for seed in range(2):
        train, test = ml100k.split_random(test_fraction=0.2, seed=seed)
        errors.append(evaluate(KerasMF(seed=seed).fit(train), test))
    assert np.mean([report["mse"] for report in errors]) <= 0.822
    assert np.mean([report["mae"] for report in errors]) <= 0.715


def test_the_contract_holds_on_tensorflow_too():
    """The long form tries all of the contract, the short one what depends on the backend."""
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    chosen = (
        "keras" if os.environ.get("COFACTOR_TEST_LONG") == "1" else "keras and (same_seed or stopped or checkerboard)"
    )
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "COFACTOR_INNER": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-k", chosen, "-p", "no:cacheprovider", "--no-cov",
         str(tests / "test_solver_contract.py")],
        env=environment, capture_output=True, text=True, cwd=tests.parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


def test_vectors_stay_from_below_zero_where_attributes_place_rows(ratings):
    kinds = pl.DataFrame({"item": ratings.items.ids, "kind": ["jazz", "rock"] * (ratings.n_items // 2)})
    model = KerasMF(rank=3, epochs=2, non_negative=True, item_features=("kind",)).fit(ratings.with_items(kinds))
    placed = model.fold_in_items(pl.DataFrame({"item": ["new"], "kind": ["jazz"]}))
    assert placed.item_vectors.min() >= 0
