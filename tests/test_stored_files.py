"""Files of every version of the formats open with today's code and give the answers they gave then."""

import contextlib
import json
import shutil
import sqlite3
from pathlib import Path

import pytest
import stored_files
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import cofactor as cf

STORED = Path(__file__).parent / "stored"
VERSIONS = sorted(folder.name for folder in STORED.iterdir() if folder.is_dir())

pytestmark = [pytest.mark.parametrize("version", VERSIONS), pytest.mark.filterwarnings("ignore::cofactor.GoalWarning")]


def close(found, expected, within=2e-3):
    """Compare answers: numbers within rounding and the last bits of a training, all else exactly."""
    if isinstance(expected, float):
        return found == pytest.approx(expected, abs=within)
    if isinstance(expected, list):
        return len(found) == len(expected) and all(close(*pair) for pair in zip(found, expected, strict=True))
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(close(found[name], expected[name]) for name in expected)
    return found == expected


def check(found, answers):
    expected = json.loads(answers.read_text(encoding="utf-8"))
    wrong = {name for name in expected if not close(found[name], expected[name])}
    assert not wrong, {name: (found[name], expected[name]) for name in wrong}


@pytest.mark.parametrize("opened", [cf.load, cf.open_model], ids=["load", "open_model"])
@pytest.mark.parametrize("name", stored_files.MODELS)
def test_a_stored_model_gives_the_answers_it_gave(version, name, opened):
    folder = STORED / version / "models"
    if name in stored_files.SINCE_3 and version in ("format-1", "format-2"):
        pytest.skip("format 3 is the first that holds such models")
    check(stored_files.model_answers(opened(folder / f"{name}.safetensors")), folder / f"{name}.json")


@pytest.mark.parametrize("name", ["explicit", "implicit"])
def test_a_stored_model_folder_gives_the_answers_it_gave(version, name):
    folder = STORED / version / "model-folders"
    check(stored_files.model_answers(cf.load(folder / name)), folder / f"{name}.json")


@pytest.mark.parametrize("path", ["interactions/ratings", "cache/arrays"])
def test_stored_interactions_hold_what_they_held(version, path, tmp_path):
    stored = STORED / version / path
    folder = shutil.copytree(stored, tmp_path / "copy")  # beside which it is noted that they are sound
    check(stored_files.table_answers(cf.Interactions.open(folder)), stored.with_name(f"{stored.name}.json"))


TRAINED_OTHERWISE = {("format-1", "implicit-als")}
"""Of which folder and solver no training goes on: today's takes other steps."""


@pytest.mark.parametrize("name", stored_files.CHECKPOINTS)
def test_a_fit_goes_on_from_a_stored_checkpoint(version, name, tmp_path):
    folder = STORED / version / "checkpoints"
    path = shutil.copy(folder / f"{name}.safetensors", tmp_path)
    if (version, name) in TRAINED_OTHERWISE:
        pytest.skip("today's solver takes other steps: see the next test")
    epochs = []
    table = stored_files.tables()[stored_files.MODELS[name][1]]
    model = stored_files.solver_of(name).fit(table, checkpoint=path, callback=lambda epoch: epochs.append(epoch.number))
    assert epochs[0] == 3
    check(stored_files.model_answers(model), folder / f"{name}.json")


def test_a_fit_does_not_go_on_from_a_checkpoint_of_other_steps(version, tmp_path):
    for name in stored_files.CHECKPOINTS:
        if (version, name) in TRAINED_OTHERWISE:
            path = shutil.copy(STORED / version / "checkpoints" / f"{name}.safetensors", tmp_path)
            table = stored_files.tables()[stored_files.MODELS[name][1]]
            with pytest.raises(cf.SettingError, match="a version of cofactor that trained this solver in another way"):
                stored_files.solver_of(name).fit(table, checkpoint=path)


@pytest.mark.parametrize("name", stored_files.STUDIES)
def test_a_search_goes_on_from_a_stored_study(version, name, tmp_path):
    pytest.importorskip("optuna")
    folder = STORED / version / "studies"
    path = Path(shutil.copy(folder / f"{name}.study", tmp_path))
    check(stored_files.study_answers(stored_files.searched(name, path, trials=3)), folder / f"{name}.json")
    assert len(stored_files.searched(name, path, trials=4).trials_frame()) == 4


def test_a_stored_ratings_store_holds_what_it_held(version, tmp_path):
    pytest.importorskip("sqlalchemy")
    from cofactor.apps.web.store import RatingsStore

    folder = STORED / version / "ratings-stores"
    path = shutil.copy(folder / "ratings.db", tmp_path)
    store = RatingsStore(f"sqlite:///{path}")
    check(stored_files.store_answers(store), folder / "ratings.json")
    store.write("u2", {"1": 3.0})
    assert store.since(3).rows == [("u2", "1", 3.0)]
    store.close()


NEWER_AND_UNKNOWN = [(99, "pip install --upgrade cofactor"), (0, "again")]


@pytest.mark.parametrize(("found", "remedy"), NEWER_AND_UNKNOWN)
@pytest.mark.parametrize("path", ["interactions/ratings", "cache/arrays"])
def test_interactions_of_a_newer_or_unknown_version_are_refused(version, path, found, remedy, tmp_path):
    folder = shutil.copytree(STORED / version / path, tmp_path / "copy")
    manifest = json.loads((folder / "interactions.json").read_text())
    (folder / "interactions.json").write_text(json.dumps({**manifest, "format": found}))
    with pytest.raises(cf.DataError, match=f"format version.*{found}.*{remedy}"):
        cf.Interactions.open(folder)


@pytest.mark.parametrize(("found", "remedy"), NEWER_AND_UNKNOWN)
def test_a_checkpoint_of_a_newer_or_unknown_version_is_refused(version, found, remedy, tmp_path):
    stored, path = STORED / version / "checkpoints" / "als.safetensors", tmp_path / "als.safetensors"
    with safe_open(stored, framework="numpy") as file:
        card = json.loads(file.metadata()["checkpoint"])
    save_file(load_file(stored), path, {"checkpoint": json.dumps({**card, "format_version": found})})
    with pytest.raises(cf.ModelFileError, match=f"format version.*{found}.*{remedy}"):
        stored_files.solver_of("als").fit(stored_files.tables()["ratings"], checkpoint=path)


@pytest.mark.parametrize(("found", "remedy"), NEWER_AND_UNKNOWN)
def test_a_study_of_a_newer_or_unknown_version_is_refused(version, found, remedy, tmp_path):
    pytest.importorskip("optuna")
    path = Path(shutil.copy(STORED / version / "studies" / "als.study", tmp_path))
    line = {"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {"format_version": found}}
    path.write_text(path.read_text() + json.dumps(line) + "\n")
    with pytest.raises(cf.ModelFileError, match=f"format version.*{found}.*{remedy}"):
        stored_files.searched("als", path, trials=3)


@pytest.mark.parametrize(
    ("found", "remedy"), [("0999", "pip install --upgrade cofactor"), ("abcd", "give --ratings another database")]
)
def test_a_ratings_store_of_a_newer_or_unknown_version_is_refused(version, found, remedy, tmp_path):
    pytest.importorskip("sqlalchemy")
    from cofactor.apps.web.store import RatingsStore

    path = shutil.copy(STORED / version / "ratings-stores" / "ratings.db", tmp_path)
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("update cofactor_version set version_num = ?", [found])
    with pytest.raises(cf.SettingError, match=remedy):
        RatingsStore(f"sqlite:///{path}").since(-1)
