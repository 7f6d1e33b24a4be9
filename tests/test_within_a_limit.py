"""Training, evaluation, lists and files within a limit of memory: the same bits as without one, and no more memory."""

import dataclasses
from pathlib import Path

import polars as pl
import pytest
from clisupport import as_json, run
from processes import python
from tablesupport import in_files, is_mapped

import cofactor as cf
from cofactor.data import array_store
from cofactor.evaluation import evaluate, held_out
from cofactor.evaluation.held_out import without_training_rows
from cofactor.solvers import ALS, BPR, NMF, ImplicitALS, LogisticMF
from cofactor.solvers.epochs import Checkpoint

STAGE = "synthetic:300x80x6000:1"


@pytest.fixture(autouse=True, scope="module")
def in_small_parts():
    """Let a limit of 16 MB mean 1000 entries at a time, and every array go to a file."""
    with in_files(1000):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ratings as Parquet, in no particular order."""
    home = tmp_path_factory.mktemp("ratings")
    cf.load_dataset(STAGE).to_frame().drop("title").rename({"timestamp": "time"}).sample(
        fraction=1.0, shuffle=True, seed=1
    ).write_parquet(home / "part-0.parquet")
    return home


@pytest.fixture(scope="module")
def tables(folder, tmp_path_factory):
    """The same ratings twice: in memory, and within a limit."""
    return cf.read_parquet(folder), cf.open_parquet(folder, memory="16MB", cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def halves(tables):
    """Both split in the same way: (train, test) in memory, (train, test) within a limit."""
    return [table.split_random(test_fraction=0.2, seed=3) for table in tables]


def keras_mf(**settings):
    from cofactor.solvers.keras_mf import KerasMF

    return KerasMF(rank=4, epochs=2, batch_size=256, seed=0, **settings)


SOLVERS = {
    "als": lambda: ALS(rank=5, epochs=2, seed=0),
    "als, validated": lambda: ALS(rank=3, epochs=2, validation_fraction=0.1, seed=0),
    "implicit-als": lambda: ImplicitALS(rank=5, epochs=2, seed=0),
    "implicit-als, cg": lambda: ImplicitALS(rank=5, epochs=2, method="cg", seed=0),
    "nmf": lambda: NMF(rank=5, epochs=2, seed=0),
    "nmf, ranking": lambda: NMF(rank=5, epochs=2, goal="ranking", seed=0),
    "logistic": lambda: LogisticMF(rank=5, epochs=3, seed=0),
    "bpr": lambda: BPR(rank=5, epochs=3, seed=0),
    "keras, validated": lambda: keras_mf(validation_fraction=0.1),
    "keras, ranking": lambda: keras_mf(loss="softmax"),
}


@pytest.mark.parametrize("name", SOLVERS)
def test_a_model_is_the_same_bit_by_bit(halves, name):
    made = SOLVERS[name]()
    (in_memory, _), (on_disk, _) = halves
    one, other = made.fit(in_memory), made.fit(on_disk)
    assert one.digest == other.digest
    assert one.history == other.history
    assert is_mapped(other.seen.indices)
    if not name.startswith("keras"):
        assert is_mapped(other.user_vectors)
        assert not is_mapped(one.user_vectors)


class Killed(Exception):
    pass


@pytest.mark.parametrize("name", ["als, validated", "logistic"])
def test_a_resumed_training_keeps_to_files_too(halves, name, tmp_path):
    made, ((in_memory, _), (on_disk, _)) = SOLVERS[name](), halves

    def kill(report):
        raise Killed

    with pytest.raises(Killed):
        made.fit(on_disk, checkpoint=tmp_path / "checkpoint", callback=kill)
    loaded = Checkpoint(tmp_path / "checkpoint", made, on_disk).load(lambda arrays: arrays)
    assert loaded.epochs == 1
    assert all(is_mapped(array) for array in loaded.arrays.values() if array.size > 1)
    resumed = made.fit(on_disk, checkpoint=tmp_path / "checkpoint")
    assert resumed.digest == made.fit(in_memory).digest
    assert is_mapped(resumed.user_vectors)


@pytest.mark.parametrize("name", ["als", "nmf", "logistic", "bpr"])
def test_a_model_shown_between_epochs_lies_in_files_too(halves, name):
    shown = []
    SOLVERS[name]().fit(halves[1][0], callback=lambda report: shown.append(report.model()))
    assert all(is_mapped(model.user_vectors) for model in shown)
    assert shown[0].digest != shown[-1].digest


@pytest.fixture(scope="module")
def models(halves):
    (in_memory, _), (on_disk, _) = halves
    return [(ALS(rank=3, epochs=2), ImplicitALS(rank=3, epochs=2))[goal].fit(train) for goal in (0, 1)
            for train in (in_memory, on_disk)]  # fmt: skip


@pytest.mark.parametrize("compiled", [False, True])
def test_a_report_is_the_same(halves, models, monkeypatch, compiled):
    if compiled:
        monkeypatch.setattr(held_out, "COMPILED_FROM", dict.fromkeys(held_out.COMPILED_FROM, 0))
    (_, in_memory), (_, on_disk) = halves
    for one, other in (models[:2], models[2:]):
        wanted = evaluate(one, in_memory, k=5, relevant_from=3)
        found = evaluate(other, on_disk, k=5, relevant_from=3)
        assert wanted.metrics == found.metrics
        assert wanted.per_user.equals(found.per_user)


def test_ratings_of_other_people_are_matched_the_same(tables, models, tmp_path, folder):
    frame = pl.read_parquet(folder).with_columns(pl.col("user") - 40, pl.when(pl.col("item") < 70).then("item") * 1)
    frame.drop_nulls().write_parquet(tmp_path / "others.parquet")
    in_memory = cf.read_parquet(tmp_path / "others.parquet")
    on_disk = cf.open_parquet(tmp_path / "others.parquet", memory="16MB", cache=tmp_path / "cache")
    wanted, found = (without_training_rows(models[0], ratings) for ratings in (in_memory, on_disk))
    assert 0 < len(wanted) < len(in_memory)
    assert wanted.to_frame().equals(found.to_frame())
    one, other = evaluate(models[0], wanted, k=5), evaluate(models[1], found, k=5)
    assert one.n_unknown == other.n_unknown > 0
    assert one.metrics == other.metrics


def test_a_model_is_saved_opened_and_lists_for_all_of_it_are_the_same(models, tmp_path):
    for number, model in enumerate(models):
        path = model.save(tmp_path / f"{number}.safetensors")
        for read in (cf.load, cf.open_model):
            again = read(path)
            assert again.digest == model.digest
            again.recommend_all(tmp_path / f"{number}-{read.__name__}.parquet", n=5)
    for first in (0, 2):
        lists = [
            (tmp_path / f"{k}-{how}.parquet").read_bytes() for k in (first, first + 1) for how in ("load", "open_model")
        ]
        assert len(set(lists)) == 1


def test_tables_that_do_not_fit_say_how_much_they_need(tables, monkeypatch):
    monkeypatch.setattr("cofactor.solvers.keras_mf.TABLES_HELD", {"rating": 1e6, "ranking": 1e6})
    large_tables = (
        r"KerasMF\(rank=4\)'s tables .* take 7.64 GB, but memory is 16 MB: give memory='8GB' or more, or a smaller rank"
    )
    with pytest.raises(cf.SettingError, match=large_tables):
        keras_mf().fit(tables[1])


def test_columns_that_do_not_fit_say_how_much_they_need(tables):
    large_table = dataclasses.replace(tables[1], array_store=array_store.Disk(tables[1].array_store.folder, 300_000))
    large_table.split_random()
    says = r"the ratings as columns .* take 0.384 MB, but memory is 0.3 MB: give memory='1GB' or more"
    for columns, otherwise in (
        (large_table.to_frame, "$"),
        (large_table.triplets, "$"),
        (lambda: large_table.filter(pl.col("value") > 3), r", or keep some by their value with at_least\(\)"),
        (large_table.split_per_user, ", or split them at random"),
    ):
        with pytest.raises(cf.SettingError, match=says + otherwise):
            columns()


def test_the_command_line_keeps_to_a_limit_and_says_the_same(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("COFACTOR_DATA", str(tmp_path / "cache"))
    fit = ("fit", folder, "--solver", "implicit-als", "--rank", 3, "--epochs", 2)
    outputs = []
    for limit in ([], ["--memory", "16MB"]):
        path = tmp_path / f"{len(limit)}.safetensors"
        fitted = as_json(*fit, "-o", path, *limit)
        measured = as_json("evaluate", path, folder, *limit)
        outputs.append([{k: v for k, v in fitted.items() if k not in ("fit_seconds", "model")}, measured])
    assert outputs[0] == outputs[1]
    assert len(list((tmp_path / "cache").glob("interactions/*/*/interactions.json"))) == 1


def test_a_limit_that_is_no_amount_is_refused(tmp_path):
    (tmp_path / "plays.csv").write_text("user,item\na,b\n")
    for data in (tmp_path, tmp_path / "plays.csv"):
        assert "give an amount such as" in said("fit", data, "--memory", "much", code=2)


def said(*arguments, code):
    return " ".join(run(*arguments, code=code).output.split())


def test_a_limit_does_not_change_what_the_data_may_be(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("COFACTOR_DATA", str(tmp_path / "cache"))
    written = cf.read_parquet(folder).write(tmp_path / "written")
    fit = ("fit", written, "--rank", 2, "--epochs", 1, "--test-fraction", 0, "-o")
    for limit in ([], ["--memory", "16MB"]):
        path = tmp_path / f"{len(limit)}.safetensors"
        run(*fit, path, *limit)
        for named in (["--time-column", "time"], ["--separator", ";"]):
            refused = said(*fit, path, *limit, *named, code=2)
            assert "a folder of interactions: leave it out" in refused
        wrong = said("fit", tmp_path / "writen", *limit, code=1)
        assert "neither a file nor a named data set: did you mean" in wrong
        assert wrong.replace(" ", "").endswith("written?")
    assert cf.load(tmp_path / "0.safetensors").digest == cf.load(tmp_path / "2.safetensors").digest


def test_a_limit_for_a_name_is_refused():
    assert "--memory needs a file, a folder or a database" in said("fit", STAGE, "--memory", "1GB", code=2)


def test_a_synthetic_set_can_be_written_and_trained_on(tmp_path, monkeypatch):
    monkeypatch.setenv("COFACTOR_DATA", str(tmp_path / "cache"))
    assert as_json("synthesize", STAGE, "-o", tmp_path / "set")["n_ratings"] == 6000
    fit = ("fit", tmp_path / "set", "--memory", "16MB", "--time-column", "time", "--test-fraction", 0)
    run(*fit, "--rank", 2, "--epochs", 1)
    assert "exists already: remove it or name another folder" in " ".join(
        run("synthesize", STAGE, "-o", tmp_path / "set", code=1).output.split()
    )


MEASURED = """
    import sys, threading, time
    from pathlib import Path
    import cofactor as cf
    from cofactor.evaluation import evaluate
    from cofactor.solvers import ImplicitALS

    def held():
        return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon")) / 1024

    def work(ratings, home):
        train, test = ratings.split_random(test_fraction=0.2, seed=0)
        model = ImplicitALS(rank=8, epochs=1).fit(train)
        model.save(home / "m.safetensors")
        model = cf.open_model(home / "m.safetensors")
        evaluate(model, test)
        model.recommend_all(home / "lists.parquet", n=5)

    folder, how, home = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    work(cf.load_dataset("synthetic:600x200x20000"), home)
    before, peak, over = held(), 0.0, False
    def watch():
        global peak
        while not over:
            peak = max(peak, held())
            time.sleep(0.002)
    watcher = threading.Thread(target=watch)
    watcher.start()
    if how == "limit":
        work(cf.open_parquet(folder, time="time", memory="16MB", cache=home / "cache"), home)
    else:
        work(cf.read_parquet(folder, time="time"), home)
    over = True
    watcher.join()
    print(peak - before)
"""


def in_parts_of_its_own(stage, folder):
    """Write a synthetic set in row groups that fit the limit, in the order of time."""
    cf.write_synthetic(stage, folder)
    for number, part in enumerate(sorted(folder.iterdir())):
        table = pl.read_parquet(part).sort("time")
        part.unlink()
        table.write_parquet(folder / f"sorted-{number}.parquet", row_group_size=50_000)
    return folder


def rise(folder, how):
    """Return by how many MiB a process grows while it works on the ratings of a folder.

    It is the highest of three runs: a peak of a moment may fall between two looks.
    """
    found = []
    for run_number in range(3):
        home = folder.with_name(f"{folder.name}-{how}-{run_number}")
        home.mkdir()
        found.append(float(python(MEASURED, folder, how, home).splitlines()[-1]))
    return max(found)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_memory_does_not_grow_with_the_ratings(tmp_path):
    less, more = (in_parts_of_its_own(f"synthetic:10000x2000x{n}", tmp_path / str(n)) for n in (700_000, 2_100_000))
    once, thrice, in_memory = rise(less, "limit"), rise(more, "limit"), rise(more, "memory")
    assert thrice < once + 8, (once, thrice)  # MiB: six bytes for each of the ratings that came to it
    assert max(once, thrice) < 16 + 70 < in_memory, (once, thrice, in_memory)  # the limit, and what allocators hold
