"""Exported vectors, read back by what they are for: lists from them are the model's own."""

import json
import re

import numpy as np
import polars as pl
import pytest
from clisupport import run

import cofactor as cf
from cofactor.errors import SettingError
from cofactor.solvers import ALS, BayesianMF, ImplicitALS

RATINGS = cf.load_dataset("synthetic:60x40x900")
MODELS = {"lists": ImplicitALS(rank=5, epochs=3), "ratings": ALS(rank=3, epochs=3)}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return MODELS[request.param].fit(RATINGS)


N = 5
pytestmark = pytest.mark.filterwarnings("ignore::cofactor.errors.GoalWarning")


def check(items, scores, model, users):
    """Compare lists with the model's own, seen items included."""
    lists = model.recommend(users, N, exclude_seen=False)
    assert np.array_equal(np.asarray(items).ravel(), lists["item"].to_numpy())
    assert np.allclose(np.asarray(scores).ravel(), lists["score"], atol=1e-5)


def check_products(users, items, user_ids, item_ids, model):
    scores = users.astype(np.float64) @ items.astype(np.float64).T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :N]
    check(np.asarray(item_ids)[best], np.take_along_axis(scores, best, axis=1), model, user_ids)


def queries_of(model, folder):
    table = pl.read_parquet(model.export(folder / "vectors.parquet")).filter(side="user")
    assert table["id"].equals(model.users.ids, check_names=False)
    return table["vector"].to_numpy()


def test_parquet_holds_ids_titles_and_vectors(model, tmp_path):
    table = pl.read_parquet(model.export(tmp_path / "vectors.parquet"))
    users, items = table.filter(side="user"), table.filter(side="item")
    assert items["title"].to_list() == model.metadata.titles.to_list()
    assert users["title"].null_count() == len(users)
    check_products(users["vector"].to_numpy(), items["vector"].to_numpy(), users["id"], items["id"], model)


def test_arrays_are_read_by_numpy(model, tmp_path):
    with np.load(model.export(tmp_path / "vectors.npz"), allow_pickle=False) as arrays:
        names = ("user_vectors", "item_vectors", "user_ids", "item_ids")
        check_products(*(arrays[name] for name in names), model)


def test_faiss_reads_its_index(model, tmp_path):
    faiss = pytest.importorskip("faiss", reason="faiss is not installed")
    index = faiss.read_index(str(model.export(tmp_path / "items.faiss")))
    scores, items = index.search(queries_of(model, tmp_path), N)
    check(items, scores, model, model.users.ids)


def test_usearch_reads_its_index(model, tmp_path):
    usearch = pytest.importorskip("usearch.index", reason="usearch is not installed")
    index = usearch.Index.restore(str(model.export(tmp_path / "items.usearch")))
    found = index.search(queries_of(model, tmp_path), N, exact=True)
    check(found.keys, 1 - found.distances, model, model.users.ids)  # its distance is one less the product


@pytest.mark.parametrize("text", [False, True])
def test_an_onnx_runtime_makes_the_lists(model, tmp_path, text):
    reference = pytest.importorskip("onnx.reference", reason="onnx is not installed")
    if text:
        ids = [f"film {number}" for number in model.items.ids]
        arrays = model.user_vectors, model.item_vectors, None, ids, model.user_bias, model.item_bias, model.mean
        model = cf.Factors.from_arrays(*arrays)
    network = reference.ReferenceEvaluator(str(model.export(tmp_path / "lists.onnx", n=N)))
    items, scores = network.run(["items", "scores"], {"user_rows": np.arange(model.n_users)})
    check(items, scores, model, model.users.ids)


def test_postgresql_reads_what_its_copy_command_writes(tmp_path):
    ids = ["plain", "tab\there", "line\nend", "back\\slash", "quo\"te's"]
    vectors = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    model = cf.Factors.from_arrays(vectors, vectors, users=ids, items=ids, titles=["Ä", None, "\\N", "", "e\r"])
    text = model.export(tmp_path / "vectors.sql").read_text(encoding="utf-8")
    assert text.count('"vector" vector(3)') == 2
    body = text.split("from stdin;\n")[2]
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
    with np.load(model.export(tmp_path / "vectors.npz")) as arrays:
        names = ("user_vectors", "item_vectors", "user_ids", "item_ids")
        check_products(*(arrays[name] for name in names), model)


def test_ids_of_two_types_are_texts_in_one_table(tmp_path):
    model = cf.Factors.from_arrays(np.eye(2), np.eye(2), items=["a", "b"])
    assert pl.read_parquet(model.export(tmp_path / "v.parquet"))["id"].to_list() == ["0", "1", "a", "b"]


def test_what_cannot_be_exported_is_refused(tmp_path):
    model = cf.Factors.from_arrays(np.eye(2), np.eye(2))
    with pytest.raises(SettingError, match=r"let its name end in \.parquet, .* or \.onnx"):
        model.export(tmp_path / "vectors.csv")
    levels = BayesianMF(rank=2, sweeps=4, burn_in=1, n_samples=2, likelihood="probit").fit(RATINGS)
    with pytest.raises(SettingError, match="no products of vectors: train BayesianMF with likelihood='gaussian'"):
        levels.export(tmp_path / "vectors.npz")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(SettingError, match="is a folder"):
        model.export(tmp_path / "folder.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.npz"]


def test_the_command_line_exports_too(tmp_path):
    path = MODELS["lists"].fit(RATINGS).save(tmp_path / "m.safetensors")
    assert "vectors.npz" in run("export", path, tmp_path / "vectors.npz").stdout
    assert "let its name end in" in run("export", path, tmp_path / "vectors.txt", code=2).stderr
    assert "is also an input" in run("export", path, path, code=2).stderr
