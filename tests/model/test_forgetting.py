"""Whoever is forgotten has left no byte in a model, its file or its folder; everybody else's answers stay."""

import dataclasses

import numpy as np
import polars as pl
import pytest

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.data.vocabulary import Vocabulary
from cofactor.model.forgetting import users_in, write_without
from cofactor.model.storage import open_model
from cofactor.solvers import ALS, NMF, BayesianMF, ImplicitALS

GONE = "zq-forgotten"
TRACES = (GONE.encode(), b"zip-of-one", b"surname-of-one", np.float64(1_234_567_890).tobytes())


@pytest.fixture(scope="module")
def data(ratings):
    """Ratings with one who has an id, a time and attributes like nobody else's."""
    triplets = ratings.triplets()
    ids = [GONE if k == 7 else f"u{k:02d}" for k in range(ratings.n_users)]
    times = triplets.timestamps.copy()
    times[triplets.user_rows == 7] = 1_234_567_890
    users = Vocabulary(ids, kind="user")
    made = Interactions.from_rows(users, ratings.items, triplets.user_rows, triplets.item_rows, triplets.values, times)
    who = np.arange(ratings.n_users)
    table = {
        "user": ids,
        "name": ["surname-of-one" if k == 7 else f"name {k % 5}" for k in who],
        "zip": [["zip-of-one", "shared"] if k == 7 else ["shared", "zip-of-two"][: 1 + k % 2] for k in who],
        "age": who % 30,
    }
    return made.with_users(pl.DataFrame(table))


SOLVERS = {
    "als": ALS(rank=3, epochs=2),
    "lists": ImplicitALS(rank=3, epochs=2),
    "time": ImplicitALS(rank=3, epochs=2, half_life="90d", trend="30d", recency=0.9),
    "features": ImplicitALS(rank=3, epochs=2, user_features=("zip", "age")),
    "draws": BayesianMF(rank=2, sweeps=5, burn_in=2, n_samples=3),
    "linked draws": BayesianMF(rank=2, sweeps=5, burn_in=2, n_samples=3, svdpp=True),
    "nmf": NMF(rank=3, epochs=2),
}


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.filterwarnings("ignore::cofactor.GoalWarning", "ignore::cofactor.CollapseWarning")
def test_nothing_of_a_forgotten_user_is_left_and_the_others_lists_stay(data, tmp_path, name):
    model = SOLVERS[name].fit(data)
    before, row = model.save(tmp_path / "before.safetensors").read_bytes(), model.users.row(GONE)
    vector = model.user_vectors[row].tobytes()
    assert GONE.encode() in before
    assert vector in before
    less = model.forget([GONE])
    after = less.save(tmp_path / "after.safetensors").read_bytes()
    assert not [trace for trace in (*TRACES, vector) if trace in after]
    for one in (less, cf.load(tmp_path / "after.safetensors"), open_model(tmp_path / "after.safetensors")):
        assert one.n_users == model.n_users - 1
        assert GONE not in one.users
        assert np.array_equal(one.item_vectors, model.item_vectors)
        others = [user for user in model.users if user != GONE]
        assert np.array_equal(one.score(others, ["i3"] * len(others)), model.score(others, ["i3"] * len(others)))
        assert one.user_table.equals(model.user_table.filter(pl.col("user") != GONE))
        if "draws" not in name:
            assert one.recommend(others, n=3).equals(model.recommend(others, n=3))
    assert less.fold_in({GONE: {"i1": 5.0}}).recommend([GONE], n=1).height == 1


def test_values_that_a_model_learnt_of_are_forgotten_with_the_last_who_had_them(data):
    model = ImplicitALS(rank=3, epochs=2, user_features=("zip",)).fit(data)
    assert "zip: zip-of-two" in model.features["user"].encoder.labels
    theirs = [f"u{k:02d}" for k in range(data.n_users) if k % 2 and k != 7]
    one_left = model.forget(theirs[1:])
    assert one_left.features["user"].encoder.labels == model.features["user"].encoder.labels
    rest = one_left.forget(theirs[:1])
    assert rest.features["user"].encoder.labels == ["zip: shared", "everything"]
    assert rest.features["user"].weights.shape == (2, 3)
    assert rest.fold_in_users(pl.DataFrame({"user": ["new"], "zip": [["shared"]]})).n_users == rest.n_users + 1


def test_everybody_can_be_forgotten(data, tmp_path):
    empty = ImplicitALS(rank=3, epochs=2).fit(data).forget(data.users.ids)
    assert cf.load(empty.save(tmp_path / "m.safetensors")).n_users == 0
    assert empty.place({"new": ["i1"]}).recommend(["new"], n=1).height == 1


def test_a_user_who_is_not_there_cannot_be_forgotten(data):
    model = ImplicitALS(rank=3, epochs=2).fit(data)
    with pytest.raises(cf.UnknownIdError, match="unknown user 'nobody'"):
        model.forget(["nobody"])
    with pytest.raises(cf.UnknownIdError, match="unknown user 'nobody'"):
        data.forget(["nobody"])


def test_data_forget_too_and_keep_their_items(data):
    less = data.forget([GONE, "u00"])
    assert less.n_users == data.n_users - 2
    assert less.items == data.items
    gone = pl.col("user").is_in([GONE, "u00"])
    assert less.to_frame().equals(data.to_frame().filter(~gone))
    assert less.user_table.equals(data.user_table.filter(~gone))
    assert data.forget([]) is data


@pytest.mark.parametrize("in_place", [True, False])
def test_a_folder_forgets_part_by_part(data, tmp_path, in_place):
    model = ALS(rank=3, epochs=2).fit(data.forget(["u00"]))
    source = folder_of(model, tmp_path / "model")
    target = source if in_place else tmp_path / "new"
    users, _ = users_in(source)
    write_without(source, target, [users.row(GONE)])
    assert not [file for file in target.rglob("*") if file.is_file() and GONE.encode() in file.read_bytes()]
    expected, found = model.forget([GONE]), cf.load(target)
    assert found.users == expected.users
    assert np.array_equal(found.user_vectors, expected.user_vectors)
    assert (found.seen != expected.seen).nnz == 0
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]


def test_a_folder_that_cannot_be_written_stays_as_it_was(data, tmp_path, monkeypatch):
    source = folder_of(ALS(rank=3, epochs=2).fit(data), tmp_path / "model")
    before = {file: file.read_bytes() for file in source.rglob("*.parquet")}

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(OSError, match="No space left"):
        write_without(source, source, [3])
    assert {file: file.read_bytes() for file in source.rglob("*.parquet")} == before
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def folder_of(model, folder):
    """Write a model as Spark would, each part in two files."""
    import json

    seen = model.seen.tocoo()
    parts = {
        "users": {"id": model.users.ids, "row": np.arange(model.n_users), "vector": model.user_vectors.tolist()},
        "items": {"id": model.items.ids, "row": np.arange(model.n_items), "vector": model.item_vectors.tolist()},
        "seen": {"user_row": seen.row, "item_row": seen.col, "value": seen.data},
    }
    parts["users"]["bias"], parts["items"]["bias"] = model.user_bias, model.item_bias
    for name, columns in parts.items():
        (folder / name).mkdir(parents=True)
        frame = pl.DataFrame(columns)
        for number, part in enumerate((frame[: len(frame) // 2], frame[len(frame) // 2 :])):
            part.write_parquet(folder / name / f"part-{number}.parquet")
    card = {
        "format": 2, "kind": "cofactor-factors", "rank": model.rank, "mean": model.mean,
        "objective": model.objective.to_dict(), "preparation": model.preparation.to_dict(),
        "origin": dataclasses.asdict(model.origin), "n_users": model.n_users, "n_items": model.n_items,
        "n_seen": int(model.seen.nnz), "user_bias": True, "item_bias": True,
    }  # fmt: skip
    (folder / "model.json").write_text(json.dumps(card))
    return folder
