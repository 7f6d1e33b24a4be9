"""Models in MLflow: saved, logged, loaded by both, and asked as its servers ask."""

import numpy as np
import pytest

import cofactor as cf
from cofactor.errors import DataError, ModelFileError, SettingError
from cofactor.solvers import ImplicitALS

mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed")
pd = pytest.importorskip("pandas", reason="pandas is not installed")
flavor = pytest.importorskip("cofactor.mlflow")


@pytest.fixture(scope="module")
def model():
    ratings = cf.load_dataset("synthetic:60x40x600")
    return ImplicitALS(rank=4, epochs=3, seed=0).fit(ratings)


@pytest.fixture
def saved(model, tmp_path):
    flavor.save_model(model, tmp_path / "saved")
    return tmp_path / "saved"


def test_a_saved_model_is_the_same_when_loaded(model, saved):
    assert flavor.load_model(saved) == model


def test_mlflow_asks_it_as_its_servers_do(model, saved):
    asked = mlflow.pyfunc.load_model(str(saved))
    lists = asked.predict(pd.DataFrame({"user": [3, 5]}), params={"n": 4})
    wanted = model.recommend([3, 5], n=4)
    assert lists["item"].tolist() == wanted["item"].to_list()
    assert np.allclose(lists["score"].astype(float), wanted["score"])
    assert not lists["popular"].any()


def test_strangers_get_popular_items_and_seen_ones_if_asked(model, saved):
    asked = mlflow.pyfunc.load_model(str(saved))
    assert asked.predict(pd.DataFrame({"user": [10**6]}))["popular"].all()
    every = asked.predict(pd.DataFrame({"user": [3]}), params={"exclude_seen": False, "n": 40})
    assert len(every) == 40


def test_what_is_sent_wrongly_is_refused(saved):
    served = flavor._load_pyfunc(str(saved / "data"))
    with pytest.raises(DataError, match="no column 'user'"):
        served.predict(pd.DataFrame({"person": [1]}))
    with pytest.raises(SettingError, match="no parameter 'length': there are n, exclude_seen, where"):
        served.predict(pd.DataFrame({"user": [1]}), {"length": 3})


def test_a_run_keeps_settings_figures_and_the_model(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/runs.db" if _has_sqlalchemy() else f"file:{tmp_path}/runs")
    with mlflow.start_run() as run:
        info = flavor.log_model(model, "films")
    kept = mlflow.get_run(run.info.run_id).data
    assert kept.params["rank"] == "4"
    assert kept.metrics["objective"] == pytest.approx(model.history["objective"][-1])
    assert flavor.load_model(info.model_uri) == model


def _has_sqlalchemy():
    try:
        import alembic  # noqa: F401
        import sqlalchemy  # noqa: F401
    except ImportError:
        return False
    return True


def test_a_folder_of_another_flavor_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    with pytest.raises((ModelFileError, FileNotFoundError)):
        flavor.load_model(tmp_path)
