"""Settings found by trying: the same ones again, after a kill too, and never from the test part."""

import dataclasses
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
from processes import python
from tablesupport import row_pairs

import cofactor as cf
from cofactor.evaluation import evaluate, plots, tune, tuning
from cofactor.evaluation.tuning import Target, Tuned
from cofactor.model.factors import evolved
from cofactor.solvers import NMF, SOLVERS, solver_class
from cofactor.solvers.als import ALS, ImplicitALS
from cofactor.solvers.baselines import Popularity, PureSVD

QUICK = {
    "rank": (2, 6),
    "epochs": (1, 4),
    "regularization": (0.07, 7.0),
    "unobserved_weight": (0.015, 1.0),
    "nu": (0.0, 1.0),
}


def test_what_is_given_is_all_that_is_searched(likes):
    tuned = tune(ImplicitALS, likes, metric="ndcg@5", trials=2, space={"rank": (3, 4)}, fixed={"epochs": 2}, folds=1)
    settings = set(tuned.trials_frame().columns) - {"trial", "state", "value", "seconds", "error"}
    assert settings == {"rank"}
    assert tuned.solver == ImplicitALS(rank=tuned.solver.rank, epochs=2)


def test_a_search_ends_in_time_with_a_result(likes, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("cofactor.evaluation.tuning.time.monotonic", lambda: now[0])
    ended = []

    def after(tried):
        ended.append(tried)
        now[0] += 45

    same = {"metric": "ndcg@5", "space": QUICK, "folds": 1, "seed": 3}
    tuned = tune(ImplicitALS, likes, trials=50, timeout="1m", done=after, **same)
    assert len(ended) == 2
    assert tuned.value > 0
    monkeypatch.undo()
    assert len(tune(ImplicitALS, likes, trials=50, timeout=1e-6, **same).trials_frame()) == 1


def test_a_trial_that_is_running_when_the_time_is_up_is_stopped(likes, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("cofactor.evaluation.tuning.time.monotonic", lambda: now[0])
    real = Target.measure

    def slow(self, *given):
        now[0] += 10
        return real(self, *given)

    monkeypatch.setattr(Target, "measure", slow)
    tuned = tune(ImplicitALS, likes, metric="ndcg@5", trials=50, timeout=50, space={"epochs": (1, 4)}, folds=1, seed=3)
    assert tuned.trials_frame()["state"].to_list() == ["complete", "pruned"]


def outcome(tuned):
    """Return all of a search but its times."""
    return tuned.trials_frame().drop("seconds").to_dicts()


@pytest.fixture(scope="module")
def likes():
    return cf.load_dataset("synthetic:80x60x2000:1").at_least(3).binary()


@pytest.fixture(scope="module")
def tuned(likes):
    return tune(ImplicitALS, likes, metric="ndcg@5", trials=14, space=QUICK, folds=2, seed=3)


class Killed(BaseException):
    pass


def killed_after(number):
    def kill(tried):
        if tried.done == number:
            raise Killed

    return kill


def test_the_best_of_the_trials_is_what_comes_back(tuned, likes):
    frame = tuned.trials_frame()
    assert frame.height == 14
    complete = frame.filter(state="complete")
    assert tuned.value == complete["value"].max()
    best = complete.sort("value", descending=True, maintain_order=True).row(0, named=True)
    for name in ("rank", "regularization", "unobserved_weight", "nu", "epochs"):
        assert getattr(tuned.solver, name) == best[name]
    parts = tuning.validation_parts(likes, "per-user", 0.1, 2, 3)
    again = np.mean([evaluate(tuned.solver.fit(rest), held_out, k=5)["ndcg@5"] for rest, held_out in parts])
    assert again == pytest.approx(tuned.value, abs=1e-12)


def test_the_first_trial_is_of_the_defaults(likes):
    tuned = tune(PureSVD, likes, metric="recall@5", trials=2, seed=1)
    assert tuned.trials_frame()["rank"][0] == PureSVD().rank


def test_the_same_seed_gives_the_same_search(tuned, likes):
    again = tune(ImplicitALS, likes, metric="ndcg@5", trials=14, space=QUICK, folds=2, seed=3)
    assert outcome(again) == outcome(tuned)
    assert again.solver == tuned.solver
    other = tune(ImplicitALS, likes, metric="ndcg@5", trials=14, space=QUICK, folds=2, seed=4)
    assert outcome(other) != outcome(tuned)


def test_errors_are_made_small(ratings):
    tuned = tune(ALS, ratings, metric="rmse", trials=6, fixed={"rank": 3, "nu": 0.5}, seed=0)
    frame = tuned.trials_frame().filter(state="complete")
    assert not tuned.maximize
    assert tuned.value == frame["value"].min()
    assert (tuned.solver.rank, tuned.solver.nu) == (3, 0.5)


def test_an_instance_fixes_what_differs_from_the_defaults(likes):
    tuned = tune(
        ImplicitALS(rank=5, method="cg", seed=9), likes, metric="ndcg@5", trials=2,
        space={"epochs": (1, 3), "regularization": (0.07, 7.0)},
    )  # fmt: skip
    assert (tuned.solver.rank, tuned.solver.method, tuned.solver.seed) == (5, "cg", 9)
    assert "rank" not in tuned.trials_frame().columns
    assert tuned.trials_frame()["regularization"].n_unique() == 2


def test_a_search_that_was_killed_goes_on_as_if_it_had_not(tuned, likes, tmp_path):
    arguments = {"metric": "ndcg@5", "space": QUICK, "folds": 2, "seed": 3, "study": tmp_path / "study.log"}
    for stop in (1, 6, 12):
        with pytest.raises(Killed):
            tune(ImplicitALS, likes, trials=14, done=killed_after(stop), **arguments)
    resumed = tune(ImplicitALS, likes, trials=14, **arguments)
    assert outcome(resumed) == outcome(tuned)
    done = []
    tune(ImplicitALS, likes, trials=14, done=done.append, **arguments)
    assert not done, "finished trials are not repeated"


def test_a_trial_that_was_killed_half_way_is_tried_again(tuned, likes, tmp_path):
    """The process is killed in the middle of a trial, and its last line is only half written."""
    path = tmp_path / "study.log"
    code = f"""
        import os, signal
        import cofactor as cf
        from cofactor.evaluation import tune, tuning
        from cofactor.solvers.als import ImplicitALS
        measure, calls = tuning.Target.measure, []
        def counted(self, *arguments):
            calls.append(1)
            if len(calls) == 40:
                os.kill(os.getpid(), signal.SIGKILL)
            return measure(self, *arguments)
        tuning.Target.measure = counted
        likes = cf.load_dataset("synthetic:80x60x2000:1").at_least(3).binary()
        tune(ImplicitALS, likes, metric="ndcg@5", trials=14, space={QUICK}, folds=2, seed=3, study={str(path)!r})
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)
    assert done.returncode == -9
    before = path.read_bytes()
    path.write_bytes(before + b'{"op_code":6,"worker')
    (tmp_path / "study.log.lock").symlink_to("study.log")  # what Optuna leaves behind
    tried = []
    arguments = {"metric": "ndcg@5", "space": QUICK, "folds": 2, "seed": 3, "study": path}
    resumed = tune(ImplicitALS, likes, trials=14, done=tried.append, **arguments)
    assert outcome(resumed) == outcome(tuned)
    assert 0 < len(tried) < 14
    assert resumed.study.get_trials()[-1].number == 14, "one more than are counted: the killed one"


def test_the_study_of_another_search_is_refused(likes, tmp_path):
    path = tmp_path / "study.log"
    same = {"trials": 1, "fixed": {"rank": 3, "epochs": 2}, "study": path}
    tune(ImplicitALS, likes, metric="ndcg@5", **same)
    with pytest.raises(cf.SettingError, match=r"study of another search \(metric ndcg@5, not ndcg@6\)"):
        tune(ImplicitALS, likes, metric="ndcg@6", **same)
    with pytest.raises(cf.SettingError, match=r"another search \(other data\)"):
        tune(ImplicitALS, likes.split_rows([0])[0], metric="ndcg@5", **same)
    with pytest.raises(cf.SettingError, match=r"another search \(other settings\)"):
        tune(ImplicitALS, likes, metric="ndcg@5", seed=1, **same)
    with pytest.raises(cf.SettingError, match=r"another search \(solver ImplicitALS, not ALS\)"):
        tune(ALS, likes, metric="ndcg@5", **same)
    path = tmp_path / "other" / "notes.txt"
    path.parent.mkdir()
    same["study"] = path
    path.write_text("my notes")
    with pytest.raises(cf.ModelFileError, match="is not a study"):
        tune(ImplicitALS, likes, metric="ndcg@5", **same)
    assert path.read_text() == "my notes"
    assert [entry.name for entry in path.parent.iterdir()] == ["notes.txt"]  # nothing was put beside it
    path.write_text('{"op_code": "nonsense"}\n')
    with pytest.raises(cf.ModelFileError, match="not a"):
        tune(ImplicitALS, likes, metric="ndcg@5", **same)


def test_two_searches_do_not_share_a_file(likes, tmp_path):
    import filelock

    with (
        filelock.FileLock(tmp_path / ".study.log.held"),
        pytest.raises(cf.SettingError, match="in use by another search"),
    ):
        tune(PureSVD, likes, metric="ndcg@5", trials=1, study=tmp_path / "study.log")


def test_only_the_training_part_is_ever_seen(ratings, monkeypatch):
    train, test = ratings.split_per_user(test_fraction=0.25, seed=0)
    hidden = row_pairs(test)
    fitted, measured = [], []
    fit, measure = ALS.fit, tuning.evaluate
    monkeypatch.setattr(ALS, "fit", lambda self, table, **more: fitted.append(table) or fit(self, table, **more))
    monkeypatch.setattr(
        tuning, "evaluate", lambda model, table, **more: measured.append(table) or measure(model, table, **more)
    )
    tune(ALS, train, metric="mae", trials=3, fixed={"rank": 2}, folds=2)
    assert len(fitted) >= 3
    for table in [*fitted, *measured]:
        assert not hidden & row_pairs(table)
    for table in fitted:
        assert len(table) < len(train)


@dataclass(frozen=True)
class Fragile:
    """A solver whose every setting but one does badly: what it makes is popularity, or popularity upside down."""

    strength: float = 1.0
    epochs: int = 16
    seed: int = 0

    looked: ClassVar[list] = []

    def __post_init__(self):
        if self.strength > 9:
            raise cf.SettingError("too strong")

    def fit(self, train, *, callback=None):
        sign = 1.0 if self.strength <= 4.5 else -1.0
        popular = Popularity().fit(train)
        model = evolved(popular, item_bias=sign * popular.item_bias)
        for number in range(1, self.epochs + 1):
            callback(cf.solvers.base.Epoch(number, self.epochs, {}, lambda: model))
            self.looked.append((self.strength, number))
        return model


def test_hopeless_trials_are_stopped(likes):
    Fragile.looked.clear()
    tuned = tune(Fragile, likes, metric="ndcg@5", trials=24, space={"strength": (0.0, 9.0)}, fixed={"epochs": 16})
    frame = tuned.trials_frame()
    stopped = frame.filter(state="pruned")
    assert stopped.height
    assert (stopped["strength"] > 4.5).all()
    for strength in stopped["strength"]:
        assert max(number for tried, number in Fragile.looked if tried == strength) < 16
    assert tuned.solver.strength <= 4.5
    assert frame.head(5)["state"].to_list() == ["complete"] * 5, "there is nothing to compare with yet"


def test_settings_that_do_not_work_do_not_end_the_search(likes):
    tuned = tune(Fragile, likes, metric="ndcg@5", trials=8, space={"strength": (0.0, 20.0)}, fixed={"epochs": 1})
    failed = tuned.trials_frame().filter(state="failed")
    assert failed.height
    assert set(failed["error"]) == {"too strong"}
    with pytest.raises(cf.SettingError, match="none of the 3 trials could be completed; the last: too strong"):
        tune(Fragile, likes, metric="ndcg@5", trials=3, space={"strength": (10.0, 20.0)})


def test_a_metric_that_does_not_fit_ends_it_at_once_and_leaves_the_file_free(likes, tmp_path):
    same = {"trials": 2, "fixed": {"epochs": 1}, "study": tmp_path / "study.log"}
    with pytest.raises(cf.SettingError, match="'rmse' does not measure those"):
        tune(ImplicitALS, likes, metric="rmse", **same)
    assert not (tmp_path / "study.log").exists()
    with pytest.raises(cf.SettingError, match="choose one of ndcg@10"):
        tune(Fragile, likes, metric="rmse", **same, space={"strength": (1.0, 2.0)})  # does not say its goal
    assert tune(ImplicitALS, likes, metric="hit@5", **same).maximize


@pytest.mark.parametrize(
    ("solver", "more", "message"),
    [
        (ALS, {"trials": 0}, "trials is 0"),
        (Popularity, {"metric": "ndcg@5"}, "Popularity has no settings to search"),
        (PureSVD(rank=3), {"metric": "ndcg@5"}, "PureSVD has no settings to search"),
        (ALS, {"fixed": {"ranks": 3}}, "ALS has no setting 'ranks'"),
        (ALS, {"fixed": {"rank": 0}}, "rank=0"),
        ("als", {}, "'als' is not a solver"),
    ],
)
def test_what_cannot_be_tuned_is_named(ratings, solver, more, message):
    with pytest.raises(cf.SettingError, match=message):
        tune(solver, ratings, **{"metric": "mae", **more})


def test_epochs_are_searched_by_number_where_the_learning_rate_hangs_on_them():
    """With a schedule, the tenth of ten epochs is not the tenth of twenty."""
    from cofactor.evaluation.search_space import search_space
    from cofactor.evaluation.tuning import Target, _Search

    keras = solver_class("keras")
    for base, asked, seen, searched in (
        (keras(), {}, False, False),
        (keras(), {"epochs": (2, 9)}, False, True),
        (keras(schedule="constant"), {}, True, False),
        (keras(schedule="constant", validation_fraction=0.1, patience=2), {}, False, False),
    ):
        search = _Search.of(base, search_space(keras, asked), Target.of("rmse"), set(asked))
        assert bool(search.epochs) is seen
        assert ("epochs" in search.space) is searched


def test_a_penalty_is_as_heavy_whatever_the_exponent():
    from cofactor.evaluation.search_space import search_space
    from cofactor.evaluation.tuning import Target, _Search

    base = ImplicitALS(regularization=0.2, nu=1.0, unobserved_weight=0.1)
    search = _Search.of(base, search_space(ImplicitALS), Target.of("ndcg@10"), set())
    suggested = {"rank": 9, "regularization": 0.2, "nu": 0.5, "unobserved_weight": 0.4}
    settings = search.settings(suggested, average_row=70.0)
    row = 70 + ImplicitALS.count_offset
    assert settings["regularization"] * row**0.5 == pytest.approx(0.2 * row, rel=0.005)
    assert {**settings, "regularization": 0.2} == suggested
    assert search.settings({**suggested, "nu": 1.0}, average_row=70.0)["regularization"] == 0.2
    literal = search_space(ImplicitALS, {"regularization": (0.01, 0.1)})
    search = _Search.of(base, literal, Target.of("ndcg@10"), {"regularization"})
    assert search.settings(suggested, 70.0) == suggested, "a range that is given means what it says"


def test_given_choices_of_epochs_are_what_is_chosen_from(likes):
    tuned = tune(ImplicitALS, likes, metric="ndcg@5", trials=6, space={"epochs": [2, 5, 7]}, fixed={"rank": 3})
    assert set(tuned.trials_frame()["epochs"].drop_nulls()) <= {2, 5, 7}


@pytest.mark.parametrize("name", sorted(set(SOLVERS) - {"popularity", "spark-als"}))  # the latter starts a Java
def test_every_solver_can_be_tuned(name, ratings, likes):
    kind = solver_class(name)
    fields = {field.name for field in dataclasses.fields(kind)}
    small = {"rank": (2, 3), "epochs": (1, 2), "sweeps": (12, 14) if name == "bayesian" else (1, 2)}
    fixed = {"burn_in": 2, "n_samples": 3, "batch_size": 256}
    metric = "ndcg@5" if kind().goal == "ranking" else "rmse"
    tuned = tune(
        kind,
        likes if metric == "ndcg@5" else ratings,
        metric=metric,
        trials=2,
        space={field: given for field, given in small.items() if field in fields},
        fixed={field: given for field, given in fixed.items() if field in fields},
        folds=1,
    )
    assert type(tuned.solver) is kind
    assert tuned.command("data.csv").startswith(f"cofactor fit data.csv --solver {name} ")


def test_a_solver_of_ones_own_has_no_command():
    with pytest.raises(cf.SettingError, match="Fragile has no name on the command line"):
        Tuned(Fragile(), 0.1, "ndcg@5", None).command("data.csv")


def test_flags_and_odd_names_are_written_as_a_shell_reads_them():
    keras = solver_class("keras")
    command = Tuned(keras(biases=False, non_negative=True, seed=2), 0.1, "rmse", None).command("my data.csv", "-o", "m")
    assert command == "cofactor fit 'my data.csv' --solver keras --no-biases --non-negative --seed 2 -o m"


def test_importances_add_up_to_one(tuned, likes):
    shares = tuned.importances()
    assert set(shares) == {"rank", "regularization", "unobserved_weight", "nu"}
    assert sum(shares.values()) == pytest.approx(1)
    assert tune(PureSVD, likes, metric="ndcg@5", trials=2).importances() == {}


def test_the_history_shows_every_trial_and_the_best_so_far(tuned):
    frame = tuned.trials_frame()
    chart = plots.tuning_history(frame, "ndcg@5", maximize=True)
    drawn = re.findall(r"<title>trial (\d+): ", chart.picture)
    assert f">{tuned.value:.4f}</text>" in chart.picture
    assert set(map(int, drawn)) <= set(frame["trial"])
    assert frame.filter(state="complete").sort("value")["trial"][-1] in set(map(int, drawn))
    with pytest.raises(cf.DataError, match="no trial was completed"):
        plots.tuning_history(frame.filter(pl.col("state") == "none"), "ndcg@5", maximize=True)


def test_the_importances_are_drawn_with_the_greatest_on_top():
    chart = plots.importance_plot({"rank": 0.2, "nu": 0.7, "epochs": 0.1})
    assert re.findall(r"<title>(\w+): ", chart.picture) == ["nu", "rank", "epochs"]
    with pytest.raises(cf.DataError, match="four are needed"):
        plots.importance_plot({})


def test_without_optuna_the_error_says_what_to_install():
    code = """
        import sys
        sys.modules["optuna"] = None
        from cofactor.evaluation import evaluate
        try:
            from cofactor.evaluation import tune
        except ImportError as error:
            print(error)
    """
    assert python(code).strip() == "optuna is not installed: pip install 'cofactor[tune]'"


def test_a_search_in_which_all_failed_does_not_stand_in_the_way_of_the_corrected_one(likes, tmp_path):
    same = {"metric": "ndcg@5", "trials": 1, "study": tmp_path / "study.log"}
    with pytest.raises(cf.SettingError, match=r"none of the 1 trials could be completed; the last: .*rank"):
        tune(ImplicitALS, likes, **same, space={"rank": (-3, 0)}, fixed={"epochs": 1})
    tuned = tune(ImplicitALS, likes, **same, space={"rank": (3, 4)}, fixed={"epochs": 1})
    assert tuned.trials_frame()["state"].to_list() == ["complete"]


@pytest.fixture(scope="module")
def arriving():
    """Plays of a hundred days, in which users and items appear one after the other."""
    random = np.random.default_rng(0)
    users, items = random.integers(0, 60, 1500), random.integers(0, 40, 1500)
    born = np.maximum(users * 1.6, items * 2.4)
    times = 86_400 * (born + random.random(1500) * (100 - born))
    return cf.Interactions.from_columns(users, items, timestamps=times)


@pytest.mark.parametrize(("how", "parts"), [({"split": "time"}, 1), ({"split": "rolling", "horizon": "9d"}, 3)])
def test_by_date_what_is_measured_is_later_and_could_be_known(arriving, how, parts, monkeypatch):
    fitted, measured = [], []
    fit, measure = PureSVD.fit, tuning.evaluate
    monkeypatch.setattr(PureSVD, "fit", lambda self, table, **more: fitted.append(table) or fit(self, table, **more))
    monkeypatch.setattr(
        tuning, "evaluate", lambda model, table, **more: measured.append(table) or measure(model, table, **more)
    )
    tuned = tune(PureSVD, arriving, metric="ndcg@5", trials=1, space={"rank": (2, 4)}, validation_fraction=0.3, **how)
    assert len(fitted) == len(measured) == parts
    whole = tuning.validation_parts(arriving, how["split"], 0.3, horizon=how.get("horizon"))
    for train, test, (rest, held_out) in zip(fitted, measured, whole, strict=True):
        assert row_pairs(train) == row_pairs(rest)
        assert train.timestamps.max() < test.timestamps.min()
        before, after = rest.to_frame(), held_out.to_frame()
        known = pl.col("user").is_in(before["user"].implode()) & pl.col("item").is_in(before["item"].implode())
        assert test.to_frame().equals(after.filter(known))
    assert tuned.n_unknown == sum(len(held_out) for _, held_out in whole) - sum(map(len, measured)) > 0


def test_a_study_of_other_stretches_of_time_is_another_search(arriving, tmp_path):
    same = {"metric": "ndcg@5", "trials": 1, "space": {"rank": (2, 4)}, "study": tmp_path / "study.log"}
    tune(PureSVD, arriving, split="rolling", horizon="9d", **same)
    tune(PureSVD, arriving, split="rolling", horizon=9 * 86_400, **same)
    with pytest.raises(cf.SettingError, match="another search"):
        tune(PureSVD, arriving, split="rolling", horizon="8d", **same)


def test_where_all_that_is_held_out_comes_after_the_cut_the_error_says_so():
    late = cf.Interactions.from_columns(range(20), range(20), timestamps=np.arange(20))
    with pytest.raises(cf.DataError, match="validation part 1 of 1 has only users and items that come after"):
        tune(PureSVD, late, metric="ndcg@5", trials=1, split="time", space={"rank": (2, 4)})


def test_by_date_the_first_trial_heeds_time_and_others_search_its_settings() -> None:
    ratings = cf.load_dataset("synthetic:60x40x600")
    times = np.random.default_rng(0).integers(0, 60 * 86_400, len(ratings))
    dated = dataclasses.replace(ratings, timestamps=times)
    best = tune(ImplicitALS(rank=2, epochs=2), dated, metric="ndcg@5", trials=3, split="time")
    tried = best.trials_frame()
    assert tried["trend"][0] == "3d"
    assert tried["recency"][0] == 0.8
    assert {"half_life", "trend", "recency", "trend_weight"} <= set(tried.columns)
    assert "trend" not in tune(ImplicitALS(rank=2, epochs=2), dated, metric="ndcg@5", trials=1).trials_frame().columns
    for_ratings = tune(NMF(rank=2, epochs=2), dated, metric="mse", trials=3, split="time").trials_frame()
    assert not {"half_life", "trend", "recency", "trend_weight"} & set(for_ratings.columns)
    assert for_ratings["state"].to_list() == ["complete"] * 3
