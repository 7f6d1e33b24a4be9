"""cofactor tune, as people and programs use it."""

import json
import shlex

import numpy as np
import polars as pl
import pytest
from clisupport import as_json, run
from tablesupport import row_pairs

import cofactor as cf
from cofactor.solvers.als import ImplicitALS
from cofactor.solvers.baselines import PureSVD

DATA = "synthetic:80x50x1600:3"
QUICK = ["--trials", "5", "--space", "rank=2:5", "--space", "epochs=1:4"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tuned")


@pytest.fixture(scope="module")
def result(folder):
    return as_json("tune", DATA, *QUICK, "--seed", 2, "--fix", "nu=0.5", "-o", folder)


def test_the_result_holds_settings_figures_and_files(result, folder):
    assert result["solver"] == "ImplicitALS"
    assert result["settings"]["nu"] == 0.5
    assert 2 <= result["settings"]["rank"] <= 5
    assert 1 <= result["settings"]["epochs"] <= 4
    assert sum(result["trials"].values()) == 5
    assert 0 < result["validation"] < 1
    assert (result["n_train"], result["n_test"]) == (1280, 318)  # two are of users without history
    names = {"trials.csv", "best.json", "history.svg", "importances.svg"}
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} == names | {"study.log"}
    for name in ("history.svg", "importances.svg"):
        assert (folder / name).read_text().startswith("<svg ")
    assert pl.read_csv(folder / "trials.csv")["rank"].is_between(2, 5).all()
    assert json.loads((folder / "best.json").read_text())["settings"] == result["settings"]


def test_the_command_can_be_pasted_and_gives_the_same_model_and_figures(result, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(result["command"])
    assert words[0] == "cofactor"
    fitted = as_json(*words[1:])
    assert {name: fitted[name] for name in result["test"]} == result["test"]
    assert cf.load(tmp_path / "model.safetensors").origin.settings == result["settings"]


def test_options_of_data_and_split_are_in_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"u{k % 30},i{(k * 7 + k // 30) % 20},{k}" for k in range(600)]
    (tmp_path / "my plays.csv").write_text("\n".join(["listener,track,at", *rows]))
    columns = ["--user-column", "listener", "--item-column", "track", "--value-column", "none", "--time-column", "at"]
    options = [*columns, "--split", "time", "--test-fraction", 0.3, "--solver", "svd", "--space", "rank=1:3"]
    told = as_json("tune", "my plays.csv", *options, "--trials", 2, "--seed", 1)
    fitted = as_json(*shlex.split(told["command"])[1:])
    assert {name: fitted[name] for name in told["test"]} == told["test"]
    assert fitted["n_test"] == told["n_test"]


def test_that_a_file_has_no_header_is_in_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plays.csv").write_text("".join(f"u{k % 30},i{(k * 7 + k // 30) % 20},{k % 3}\n" for k in range(600)))
    told = as_json("tune", "plays.csv", "--no-header", "--solver", "svd", "--space", "rank=1:3", "--trials", 2)
    assert " --no-header" in told["command"]
    assert as_json(*shlex.split(told["command"])[1:])["n_test"] == told["n_test"]


def test_the_test_part_is_never_trained_on(tmp_path, monkeypatch):
    ratings = cf.load_dataset(DATA)
    _, test = ratings.split_random(test_fraction=0.2, seed=0)
    hidden = row_pairs(test)
    fitted, fit = [], ImplicitALS.fit
    monkeypatch.setattr(
        ImplicitALS, "fit", lambda self, table, **more: fitted.append(table) or fit(self, table, **more)
    )
    run("tune", DATA, *QUICK, "-o", tmp_path)
    assert len(fitted) > 5
    for table in fitted:
        assert not hidden & row_pairs(table)
    assert [len(table) for table in fitted].count(1280) == 1, "all of the training part, once"


def test_people_are_told_the_best_trials_and_the_command(result, folder, tmp_path):
    told = run("tune", DATA, *QUICK, "--seed", 2, "--fix", "nu=0.5", "-o", tmp_path, "--study", folder / "study.log")
    lines = told.stdout.splitlines()
    assert "ndcg@10 on validation parts of 1,280 training ratings" in " ".join(told.stdout.split())
    assert "on 318 test ratings" in told.stdout
    assert lines[-1].strip() == result["command"], "in one line, the same after going on from the study"


def test_without_a_test_part_there_are_no_test_figures(tmp_path):
    arguments = ["tune", DATA, "--solver", "svd", "--trials", 1, "--test-fraction", 0, "-o", tmp_path]
    told = as_json(*arguments)
    assert (told["test"], told["n_train"], told["n_test"]) == (None, 1600, 0)
    assert "there is no test part" in run(*arguments).stdout


def test_ratings_are_tuned_by_their_error(tmp_path):
    arguments = ["--solver", "als", "--metric", "rmse", "--fix", "rank=2", "--space", "epochs=1,3", "--trials", 3]
    told = as_json("tune", DATA, *arguments, "-o", tmp_path)
    assert told["settings"]["epochs"] in (1, 3)
    assert pl.read_csv(tmp_path / "trials.csv").filter(state="complete")["value"].min() == told["validation"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "ndgc@10"], "unknown metric 'ndgc@10'"),
        (["--metric", "rmse"], "ImplicitALS makes models for ranking, and 'rmse' does not measure those"),
        (["--solver", "alss"], "unknown solver 'alss'"),
        (["--space", "rank"], "write name=value"),
        (["--space", "rank=9:3"], "is no range to search"),
        (["--space", "ranks=3:9"], "ImplicitALS has no setting 'ranks'"),
        (["--fix", "rank=many"], "rank=many: it must be a whole number"),
        (["--fix", "nu=high"], "nu=high: it must be a number"),
        (["--fix", "rank=3", "--space", "rank=2:4"], "both fixed and to be searched"),
        (["--split", "weekly"], "unknown split 'weekly'"),
        (["--trials", "0"], "trials is 0"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(arguments, message, tmp_path):
    failed = run("tune", DATA, "--fix", "epochs=1", *arguments, "-o", tmp_path, code=2)
    assert message in failed.stderr
    assert "Traceback" not in failed.output


def test_choices_and_flags_are_read_as_what_they_are():
    from cofactor.apps.tune import _fixed, _ranges
    from cofactor.solvers import solver_class

    keras = solver_class("keras")
    assert _fixed(keras, ["biases=false", "non-negative=True", "optimizer=sgd", "patience=3"]) == {
        "biases": False, "non_negative": True, "optimizer": "sgd", "patience": 3,
    }  # fmt: skip
    assert _ranges(keras, ["schedule=cosine,constant", "learning_rate=0.001:0.1"]) == {
        "schedule": ["cosine", "constant"], "learning_rate": (0.001, 0.1),
    }  # fmt: skip


def test_ctrl_c_says_where_the_trials_are_and_the_same_command_goes_on(tmp_path, monkeypatch):
    command = ["tune", DATA, *QUICK, "-o", tmp_path]
    fits, fit = [], ImplicitALS.fit

    def stopping(*arguments, **options):
        fits.append(0)
        if len(fits) == 8:  # three fits make a trial
            raise KeyboardInterrupt
        return fit(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(ImplicitALS, "fit", stopping)
        stopped = "".join(run(*command, code=130).stderr.split())
    assert f"stopped:thesamecommandresumesafterthetrialsin{tmp_path / 'study.log'}" in stopped
    assert as_json(*command)["trials"]["complete"] >= 2


@pytest.fixture(scope="module")
def dated(tmp_path_factory):
    """A file of plays over a hundred days."""
    random = np.random.default_rng(0)
    rows = {"user": random.integers(0, 30, 900), "item": random.integers(0, 40, 900), "time": np.arange(900) * 9600}
    path = tmp_path_factory.mktemp("dated") / "plays.csv"
    pl.DataFrame(rows).unique(["user", "item"], keep="last", maintain_order=True).write_csv(path)
    return path


def test_tuned_by_date_all_parts_are_by_date_and_the_command_has_the_same_test_part(dated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fitted, fit = [], PureSVD.fit
    monkeypatch.setattr(PureSVD, "fit", lambda self, table, **more: fitted.append(table) or fit(self, table, **more))
    options = ["--solver", "svd", "--space", "rank=2:4", "--trials", 1]
    told = as_json("tune", dated, *options, "--split", "rolling", "--horizon", "14d", "--folds", 2)
    latest, day = 899 * 9600, 86_400
    ends = [table.timestamps.max() for table in fitted]
    for end, days in zip(ends, (42, 28, 14), strict=True):
        assert end == pytest.approx(latest - days * day, abs=9600)
    assert "--split rolling --horizon 14d" in told["command"]
    again = as_json(*shlex.split(told["command"])[1:])
    assert again["n_test"] == told["n_test"]
    assert {name: again[name] for name in told["test"]} == told["test"]


def test_tuned_by_one_cut_there_is_one_validation_part_by_date(dated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fitted, fit = [], PureSVD.fit
    monkeypatch.setattr(PureSVD, "fit", lambda self, table, **more: fitted.append(table) or fit(self, table, **more))
    told = as_json("tune", dated, "--solver", "svd", "--space", "rank=2:4", "--trials", 1, "--split", "time")
    part, whole = fitted
    assert len(part) == pytest.approx(0.9 * len(whole), abs=1)
    assert set(part.timestamps.tolist()) == set(np.sort(whole.timestamps)[: len(part)].tolist())
    assert told["n_unknown"] == 0


@pytest.mark.parametrize("split", ["time", "random"])
def test_a_horizon_is_for_rolling_splits_only(dated, split):
    for command in ("tune", "fit", "compare"):
        failed = run(command, dated, "--split", split, "--horizon", "9d", code=2)
        assert f"--horizon 9d: it is for --split rolling, not for --split {split}" in failed.stderr


def test_ratings_of_one_moment_stay_together_and_the_share_is_said(tmp_path):
    rows = [(f"u{k % 9}", f"i{k // 9}", (k // 9 + k % 9) % 10) for k in range(90)]
    pl.DataFrame(rows, ["user", "item", "time"], orient="row").write_csv(tmp_path / "plays.csv")
    words = ["fit", tmp_path / "plays.csv", "--solver", "popularity", "--split", "time", "--test-fraction", 0.15]
    assert "the test part holds 0.2 of the ratings, not 0.15: those of one moment stay" in run(*words).stderr
