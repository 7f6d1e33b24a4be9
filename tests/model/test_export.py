"""Exported vectors, read back by what they are for: lists from them are the model's own."""

import json
import re

import numpy as np
import polars as pl
import pytest
from clisupport import run

import cofactor as cf
from cofactor.errors import SettingError
from cofactor.model import export
from cofactor.solvers import ALS, BayesianMF, ImplicitALS

RATINGS = cf.load_dataset("synthetic:60x40x900")
MODELS = {"lists": ImplicitALS(rank=5, epochs=3), "ratings": ALS(rank=3, epochs=3)}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param].fit(RATINGS)


def items_of(model, users, n=5):
    """Return the items of each user's list, seen ones included, and their scores."""
    lists = model.recommend(users, n, exclude_seen=False)
    return lists["item"].to_numpy().reshape(-1, n), lists["score"].to_numpy().reshape(-1, n)


def by_product(users, items, offsets, item_ids, n=5):
    scores = users.astype(np.float64) @ items.astype(np.float64).T + offsets[:, None]
    best = np.argsort(-scores, axis=1, kind="stable")[:, :n]
    return np.asarray(item_ids)[best], np.take_along_axis(scores, best, axis=1)


def assert_same(found, model, users):
    items, scores = items_of(model, users)
    assert np.array_equal(found[0], items)
    assert np.allclose(found[1], scores, atol=1e-5)


@pytest.mark.filterwarnings("ignore::cofactor.errors.GoalWarning")
def test_parquet_holds_ids_and_vectors(model, tmp_path):
    folder = model.export(tmp_path / "out", "parquet")
    users, items = (pl.read_parquet(folder / f"{side}s.parquet") for side in ("user", "item"))
    assert items["title"].equals(model.metadata.titles)
    found = by_product(
        users["vector"].to_numpy(), items["vector"].to_numpy(), users["offset"].to_numpy(), items["item"]
    )
    assert_same(found, model, users["user"])
    assert json.loads((folder / "card.json").read_text())["model"] == model.digest


@pytest.mark.filterwarnings("ignore::cofactor.errors.GoalWarning")
def test_arrays_are_read_by_numpy(model, tmp_path):
    folder = model.export(tmp_path / "out", "numpy")
    users, items, offsets, user_ids, item_ids = (
        np.load(folder / f"{name}.npy") for name in ("users", "items", "user_offsets", "user_ids", "item_ids")
    )
    assert_same(by_product(users, items, offsets, item_ids), model, user_ids)


@pytest.mark.filterwarnings("ignore::cofactor.errors.GoalWarning")
def test_faiss_reads_its_index(model, tmp_path):
    faiss = pytest.importorskip("faiss", reason="faiss is not installed")
    folder = model.export(tmp_path / "out", "faiss")
    scores, rows = faiss.read_index(str(folder / "items.faiss")).search(np.load(folder / "users.npy"), 5)
    items, offsets = pl.read_parquet(folder / "items.parquet"), np.load(folder / "user_offsets.npy")
    assert_same((items["item"].to_numpy()[rows], scores + offsets[:, None]), model, model.users.ids)


@pytest.mark.filterwarnings("ignore::cofactor.errors.GoalWarning")
def test_usearch_reads_its_index(model, tmp_path):
    usearch = pytest.importorskip("usearch.index", reason="usearch is not installed")
    folder = model.export(tmp_path / "out", "usearch")
    found = usearch.Index.restore(str(folder / "items.usearch")).search(np.load(folder / "users.npy"), 5, exact=True)
    items, offsets = pl.read_parquet(folder / "items.parquet"), np.load(folder / "user_offsets.npy")
    scores = 1 - found.distances + offsets[:, None]  # its inner product is a distance: one less it
    assert_same((items["item"].to_numpy()[found.keys.astype(int)], scores), model, model.users.ids)


@pytest.mark.filterwarnings("ignore::cofactor.errors.GoalWarning")
@pytest.mark.parametrize("apart", [False, True])
def test_an_onnx_runtime_makes_the_lists(model, tmp_path, monkeypatch, apart):
    reference = pytest.importorskip("onnx.reference", reason="onnx is not installed")
    if apart:
        monkeypatch.setattr(export, "_LARGEST_ONNX", 0)
    folder = model.export(tmp_path / "out", "onnx", n=5)
    assert (folder / "lists.onnx.data").exists() == apart
    network = reference.ReferenceEvaluator(str(folder / "lists.onnx"))
    scores, rows = network.run(None, {"user_rows": np.arange(model.n_users)})
    items = pl.read_parquet(folder / "items.parquet")
    assert_same((items["item"].to_numpy()[rows], scores), model, model.users.ids)


def test_postgresql_reads_what_its_copy_command_writes(tmp_path):
    ids = ["plain", "tab\there", "line\nend", "back\\slash", "quo\"te's"]
    vectors = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    model = cf.Factors.from_arrays(vectors, vectors, users=ids, items=ids, titles=["Ä", None, "\\N", "", "e\r"])
    text = (model.export(tmp_path / "out", "pgvector") / "items.sql").read_text(encoding="utf-8")
    assert "vector vector(3)" in text
    body = text.split("from stdin;\n")[1]
    assert body.endswith("\\.\n")
    rows = [line.split("\t") for line in body.split("\n")[:-2]]
    undo = {r"\\": "\\", r"\t": "\t", r"\n": "\n", r"\r": "\r"}

    def read(cell):
        return None if cell == r"\N" else re.sub(r"\\[\\tnr]", lambda found: undo[found[0]], cell)

    assert [read(row[0]) for row in rows] == ids
    assert [read(row[1]) for row in rows] == ["Ä", None, "\\N", "", "e\r"]
    assert np.array_equal(np.array([json.loads(row[2]) for row in rows], np.float32), vectors)


def test_what_is_rising_is_in_the_vectors(tmp_path):
    model = ImplicitALS(rank=4, epochs=2, trend="7d").fit(RATINGS)
    folder = model.export(tmp_path / "out", "numpy")
    users, items, offsets, ids = (
        np.load(folder / f"{name}.npy") for name in ("users", "items", "user_offsets", "item_ids")
    )
    assert_same(by_product(users, items, offsets, ids), model, model.users.ids)


def test_what_cannot_be_exported_is_refused(tmp_path):
    model = cf.Factors.from_arrays(np.eye(2), np.eye(2))
    with pytest.raises(SettingError, match="format"):
        model.export(tmp_path / "a", "csv")
    (tmp_path / "there").mkdir()
    with pytest.raises(SettingError, match="give the name of a new folder"):
        model.export(tmp_path / "there", "numpy")
    levels = BayesianMF(rank=2, sweeps=4, burn_in=1, n_samples=2, likelihood="probit").fit(RATINGS)
    with pytest.raises(SettingError, match="no products of vectors: train BayesianMF with likelihood='gaussian'"):
        levels.export(tmp_path / "b", "numpy")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_the_command_line_exports_too(tmp_path):
    path = MODELS["lists"].fit(RATINGS).save(tmp_path / "m.safetensors")
    told = run("export", path, tmp_path / "out", "--format", "numpy").stdout
    assert "items.npy" in told
    assert run("export", path, tmp_path / "out", code=2).stderr.count("\n") == 1
