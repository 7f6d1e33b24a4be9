"""KerasMF on several devices: four that the processor plays, in a process of their own, do what one does."""

import json
import logging
import os

import keras
import numpy as np
import pytest
from processes import python

import cofactor as cf
from cofactor.solvers.epochs import Checkpoint, Progress
from cofactor.solvers.keras_mf import KerasMF, keras_model
from cofactor.solvers.keras_training import Keeper, all_devices

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="several devices are for JAX alone")

TABLE = "synthetic:60x45x603"  # with the spare rows 61 and 46: four devices cannot share them evenly
RESUMED = "mse, uneven batches, from the checkpoint of one device"
SETTINGS = {
    RESUMED: {"batch_size": 101, "validation_fraction": 0.15, "patience": 3},
    "softmax, one uneven batch": {"loss": "softmax", "batch_size": 1023, "negatives": 3},
    "bpr, even batches": {"loss": "bpr", "batch_size": 64, "sampling": "batch"},
}
INNER = """
    import json, sys
    import numpy as np
    import keras
    import cofactor as cf
    from cofactor.solvers.keras_mf import KerasMF

    folder, table, settings = sys.argv[1], cf.load_dataset(sys.argv[2]), json.loads(sys.argv[3])

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            variables = [*self.model.variables, *self.model.optimizer.variables]
            self.held = {v.path: (v.shape, v.value.addressable_shards[3].data.shape) for v in variables}
            looked_up = self.model.get_layer("user_vectors")(np.arange(8)[:, None])
            self.part = looked_up.addressable_shards[3].data.shape

    def keep(name, model):
        tables = {side: getattr(model, side) for side in ("user_vectors", "item_vectors", "item_bias")}
        np.savez(f"{folder}/{name}.npz", history=json.dumps(dict(model.history)), **tables)

    for name, given in settings.items():
        watch = Watch()
        solver = KerasMF(rank=4, epochs=3, **given)
        keep(name, solver.fit(table, keras_callbacks=[watch], checkpoint=f"{folder}/{name}.checkpoint"))
    print(json.dumps({"held": watch.held, "part": watch.part, "devices": keras.distribution.list_devices()}))
"""


@pytest.fixture(scope="module")
def table():
    return cf.load_dataset(TABLE)


@pytest.fixture(scope="module")
def four(table, tmp_path_factory):
    """Train on four devices, once from where one has stopped; a folder with the models, and what the process tells."""
    folder = tmp_path_factory.mktemp("four")
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: setattr(stop.model, "stop_training", True))
    begun = KerasMF(rank=4, epochs=3, **SETTINGS[RESUMED])
    model = begun.fit(table, keras_callbacks=[stop], checkpoint=folder / f"{RESUMED}.checkpoint")
    assert len(model.history["mse"]) == 1
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    told = python(INNER, folder, TABLE, json.dumps(SETTINGS), XLA_FLAGS=flags)
    return folder, json.loads(told.splitlines()[-1])


def assert_same(kept, model):
    for name in ("user_vectors", "item_vectors", "item_bias"):
        assert np.allclose(kept[name], getattr(model, name), rtol=1e-4, atol=1e-6), name
    history = json.loads(str(kept["history"]))
    assert history.keys() == model.history.keys()
    for name, figures in model.history.items():
        assert history[name] == pytest.approx(figures, rel=1e-5), name


@pytest.mark.parametrize("name", SETTINGS)
def test_four_devices_learn_what_one_learns(name, four, table):
    assert_same(np.load(four[0] / f"{name}.npz"), KerasMF(rank=4, epochs=3, **SETTINGS[name]).fit(table))


def test_each_device_holds_a_quarter_of_the_tables_and_of_the_batch(four):
    told = four[1]
    assert len(told["devices"]) == 4
    tables = {path: shapes for path, shapes in told["held"].items() if "_vectors" in path or "_bias" in path}
    assert {"user_vectors/embeddings", "item_vectors/embeddings", "item_bias/embeddings"} <= set(tables)
    assert len(tables) >= 9  # the optimizer's two for each, too
    for path, (whole, part) in tables.items():
        assert part[0] * 4 == whole[0], path
    assert {whole[0] for whole, _ in tables.values()} == {64, 48}
    assert told["part"] == [2, 1, 4]


def test_one_device_shares_nothing_out():
    with all_devices() as row_multiple:
        assert row_multiple == 1
        assert keras.distribution.distribution() is None


def test_a_distribution_of_ones_own_is_left_alone(monkeypatch):
    own = keras.distribution.DataParallel(devices=keras.distribution.list_devices())
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0", "gpu:1"])
    with own.scope(), all_devices() as row_multiple:
        assert row_multiple == 1
        assert keras.distribution.distribution() is own


def test_other_backends_say_that_they_use_one_device(monkeypatch, caplog):
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["gpu:0", "gpu:1"])
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    with caplog.at_level(logging.WARNING), all_devices() as row_multiple:
        assert row_multiple == 1
    assert "one of 2 devices: KERAS_BACKEND=jax" in caplog.text


def test_the_best_epoch_of_another_number_of_devices_is_put_back(table):
    networks = [keras_model(5, 3, rank=2, row_multiple=multiple, seed=multiple) for multiple in (4, 1)]
    for network in networks:
        network.compile("adam")
        network.optimizer.build(network.trainable_variables)
    taller, shorter = networks
    held = [*taller.trainable_variables, *taller.optimizer.variables]
    keeper = Keeper(Checkpoint(None, KerasMF(), table), None, None)
    keeper.progress = Progress({}, {}, {f"{k:03d}": np.array(variable) for k, variable in enumerate(held)}, 0)
    keeper.restore_best(shorter)
    for name, rows in (("user_vectors", 5), ("item_vectors", 3)):
        one, other = (network.get_layer(name).get_weights()[0][:rows] for network in networks)
        assert np.array_equal(one, other), name
