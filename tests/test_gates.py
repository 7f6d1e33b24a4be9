"""Whatever is opened is checked first: what is not a sound file is refused at once, in one sentence, at little cost."""

import json
import os
import re
import shutil
import struct
import time
from pathlib import Path

import fuzzing
import numpy as np
import polars as pl
import pytest
import stored_files
from processes import python

import cofactor as cf
from cofactor.data import ondisk
from cofactor.gate import MOST_OF_A_CARD, checksum, parsed, unusable_path
from cofactor.kernels.counter_random import gamma

STORED = fuzzing.STORED
KINDS = {path.stem: path for path in sorted((STORED / "models").glob("*.safetensors"))}


def header_of(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def rewritten(source, target, change_card=None, change_arrays=None, name="cofactor"):
    """Write a safetensors file anew with another description or other arrays."""
    from safetensors.numpy import load_file, save_file

    header, _ = header_of(source)
    card, arrays = json.loads(header["__metadata__"][name]), load_file(source)
    if change_card is not None:
        change_card(card)
    if change_arrays is not None:
        change_arrays(arrays)
    save_file(arrays, target, {name: json.dumps(card)})
    return target


def opened_model(path):
    return cf.load(path)


def opened_checkpoint(path):
    return stored_files.solver_of("als").fit(stored_files.tables()["ratings"], checkpoint=path)


def opened_study(path):
    pytest.importorskip("optuna")
    return stored_files.searched("als", path, trials=3)


def opened_store(path):
    pytest.importorskip("sqlalchemy")
    from cofactor.apps.web.store import RatingsStore

    return RatingsStore(f"sqlite:///{path}").since(-1)


def opened_tokens(path):
    pytest.importorskip("fastapi")
    from cofactor.apps.web.access import Tokens

    return Tokens(path)


FILES = {
    "a model": opened_model, "a checkpoint": opened_checkpoint, "a study": opened_study,
    "a ratings store": opened_store, "a token file": opened_tokens,
}  # fmt: skip
IN_FOLDERS = [
    ("model-folders/explicit", "model.json", cf.load),
    ("model-folders/explicit", "users/*.parquet", cf.load),
    ("model-folders/explicit", "seen/*.parquet", cf.load),
    ("interactions/ratings", "interactions.json", cf.Interactions.open),
    ("interactions/ratings", "indices.npy", cf.Interactions.open),
    ("interactions/ratings", "users.parquet", cf.Interactions.open),
]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no pipes among its files")
@pytest.mark.parametrize("what", FILES)
def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(what, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(cf.CofactorError, match=r"ordinary file"):
        FILES[what](tmp_path / "pipe")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no pipes among its files")
@pytest.mark.parametrize(("folder", "file", "read"), IN_FOLDERS)
def test_a_pipe_in_a_folder_is_refused_and_not_waited_for(folder, file, read, tmp_path):
    copy = shutil.copytree(STORED / folder, tmp_path / "copy")
    replaced = next(copy.glob(file))
    replaced.unlink()
    os.mkfifo(replaced)
    with pytest.raises(cf.CofactorError, match="is not an ordinary file"):
        read(copy)


UNUSABLE = {"a" * 300: "is too long", "a\0b": "has a NUL character in it", "a\ud800": "is not text that a file name"}


@pytest.mark.parametrize("path", UNUSABLE)
@pytest.mark.parametrize(
    "use",
    [
        cf.load, cf.open_model, cf.read_csv, cf.read_parquet, cf.open_parquet, cf.Interactions.open,
        lambda path: cf.load(KINDS["als"]).save(path),
        lambda path: cf.load(KINDS["als"]).recommend_all(path),
        lambda path: stored_files.tables()["ratings"].write(path),
        opened_checkpoint, opened_study, opened_store,
    ],
)  # fmt: skip
def test_a_path_that_no_file_can_have_is_one_sentence(path, use):
    with pytest.raises(cf.SettingError, match=UNUSABLE[path]):
        use(path)


@pytest.mark.parametrize("arguments", [["describe"], ["compare"], ["fit"], ["recommend", "--all", "-o", "x.parquet"]])
def test_a_path_that_is_too_long_is_one_line_on_the_command_line(arguments, capsys):
    from cofactor.apps.cli import main

    with pytest.raises(SystemExit):
        main([arguments[0], "a" * 300, *arguments[1:]])
    told = capsys.readouterr().err
    assert "is too long: give the path of a file or folder" in told.replace("\n", " ")
    assert "Traceback" not in told


def test_a_usable_path_has_nothing_wrong_with_it(tmp_path):
    assert unusable_path(tmp_path) is None
    assert unusable_path(tmp_path / "not" / "there") is None


@pytest.mark.parametrize(
    "text", ["1e999", '{"a": [1, -1e999]}', "NaN", "[Infinity]", "[" * 60 + "]" * 60, "[" * 10**5, "1" * 5000, ""]
)
def test_a_description_is_finite_and_not_too_deep(text):
    with pytest.raises(ValueError, match=r".+"):
        parsed(text)


@pytest.mark.parametrize("spoil", ["a list of 90 MB", "lists in a list, 88 MB", "a sparse file of 6 GB"])
def test_a_file_is_refused_at_little_cost(spoil, tmp_path):
    header, body = header_of(KINDS["als"])
    card = json.loads(header["__metadata__"]["cofactor"])
    text = json.dumps(card)
    if spoil == "a sparse file of 6 GB":
        header["nobody needs it"] = {
            "dtype": "U8",
            "shape": [6 * 10**9],
            "data_offsets": [len(body), len(body) + 6 * 10**9],
        }
        header["user_vectors"]["shape"] = header["user_vectors"]["shape"][::-1]
    else:
        filler = "0" if spoil == "a list of 90 MB" else "[]"
        text = text[:-1] + ', "more": [' + ",".join([filler] * (90_000_000 // (len(filler) + 1))) + "]}"
    header["__metadata__"]["cofactor"] = text
    packed = json.dumps(header).encode()
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(packed)) + packed + body)
        file.truncate(8 + len(packed) + max(entry["data_offsets"][1] for n, entry in header.items() if n[0] != "_"))
    code = """
        import resource, sys, time, cofactor
        before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
        for read in (cofactor.load, cofactor.open_model):
            try:
                read(sys.argv[1])
            except cofactor.ModelFileError as error:
                grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
                print(grown // 1000, round(time.monotonic() - begun))
    """
    answers = [line.split() for line in python(code, path).splitlines()]
    assert len(answers) == 2
    assert max(int(megabytes) for megabytes, _ in answers) < 200
    assert max(int(seconds) for _, seconds in answers) < 10


def changed(name, **changes):
    """Return a change of one entry of a card's objective, preparation, timing or origin."""

    def change(card):
        for key, value in changes.items():
            card[name][key] = value

    return name, changes, change


MEANINGLESS = [
    *(("als", *changed("objective", regularization=value)) for value in (1e308, -1e308, -1.0, 1e21, None, "1", True)),
    *(("als", *changed("objective", nu=value)) for value in (-0.5, 1e19, 3.0)),
    ("als", *changed("objective", scale=[5.0, 1.0])),
    ("als", *changed("objective", scale=[1e39, 1e40])),
    ("als", *changed("objective", kind="posterior", n_samples=1)),
    ("als", *changed("origin", settings={"rank": {"a": 1}})),
    ("als", *changed("origin", metrics={"rmse": "low"})),
    ("implicit-als", *changed("objective", unobserved_weight=1e308)),
    ("implicit-als", *changed("objective", count_offset=-60.0)),
    ("implicit-als", *changed("objective", kind="magic")),
    ("implicit-als-timed", *changed("timing", half_life=0.0)),
    ("implicit-als-timed", *changed("timing", half_life=1e-300)),
    ("implicit-als-timed", *changed("timing", trend_weight=-1.0)),
    ("implicit-als-timed", *changed("timing", recency=1.5)),
    ("implicit-als-timed", *changed("timing", mean=1e-9)),
    ("implicit-als-timed", *changed("timing", now=1e300)),
    ("bpr", *changed("objective", learning_rate=1e308)),
    ("bpr", *changed("objective", negatives=10**19)),
    ("bpr", *changed("objective", negatives=0)),
    ("bpr", *changed("objective", negatives=1.5)),
    ("logistic", *changed("objective", negatives=10**9)),
    ("logistic", *changed("objective", regularization=1e308)),
    ("bayesian", *changed("objective", n_samples=10**19)),
    ("bayesian", *changed("objective", n_samples=3)),
    ("keras", *changed("objective", regularization=1e308)),
    ("keras", *changed("objective", regularization=-1e308)),
    ("svd", *changed("preparation", kind="weights", mean=0.0)),
    ("svd", *changed("preparation", kind="stars", low=1, high=1, mean=0.5, disliked_below=1)),
    ("svd", *changed("preparation", kind="stars", low=1, high=5, mean=1e-31, disliked_below=2)),
]


@pytest.mark.parametrize(("name", "part", "values", "change"), MEANINGLESS)
def test_a_description_that_means_nothing_is_refused(name, part, values, change, tmp_path):
    if "kind" in values:
        change = lambda card: card.update({part: dict(values)})  # noqa: E731
    path = rewritten(KINDS[name], tmp_path / "model.safetensors", change)
    for read in (cf.load, cf.open_model):
        with pytest.raises(cf.ModelFileError, match="is not a sound model"):
            read(path)


def without(*names):
    def change(arrays):
        for name in names:
            arrays.pop(name)

    return change


def with_array(name, array):
    def change(arrays):
        arrays[name] = np.ascontiguousarray(array(arrays[name]))

    return change


APART = [
    ("bpr", without("item_bias"), "no item_bias"),
    ("logistic", without("user_bias"), "no user_bias"),
    ("bayesian", without("item_bias"), "no item_bias"),
    ("bayesian", without("extras.draws.noise"), "draws.noise is missing"),
    ("bayesian", with_array("extras.draws.noise", lambda noise: -noise), "not above 0"),
    ("bayesian", with_array("extras.draws.users.precision", np.negative), "not positive definite"),
    ("bayesian", with_array("extras.draws.users.bias", lambda bias: bias[:-1]), "draws.users.bias"),
    ("bayesian-implicit", with_array("extras.draws.users.loadings.0", lambda one: one[:0]), "loadings.0"),
    ("bayesian-probit", without("extras.draws.levels"), "draws.levels is missing"),
    ("bayesian-probit", with_array("extras.draws.levels", lambda one: one[:0]), "draws.levels"),
    ("bayesian-probit", with_array("extras.draws.levels", lambda one: np.array(one[0])), "draws.levels"),
    ("bayesian-probit", with_array("extras.draws.cuts", lambda one: one[:, ::-1]), "not in order"),
    ("als", lambda arrays: arrays.update({"extras.draws.levels": np.arange(3.0)}), "levels of ratings"),
    ("implicit-als-timed", without("extras.trend.levels"), "trend.levels is missing"),
    ("implicit-als-timed", with_array("extras.trend.center", lambda one: one[:1]), "trend.center"),
    ("implicit-als-timed", with_array("extras.trend.covariance", lambda one: one * np.nan), "not finite"),
    ("implicit-als-timed", with_array("seen.times", lambda one: one[:-1]), "times"),
    ("implicit-als-described", without("features.item"), "features.item is missing"),
    ("implicit-als-described", with_array("features.item", lambda one: one[:, :1]), "do not fit their columns"),
]


@pytest.mark.parametrize(("name", "change", "text"), APART)
def test_arrays_that_do_not_belong_to_the_objective_are_refused(name, change, text, tmp_path):
    path = rewritten(KINDS[name], tmp_path / "model.safetensors", change_arrays=change)
    for read in (cf.load, cf.open_model):
        with pytest.raises(cf.ModelFileError, match=text):
            read(path)


def test_a_single_flipped_bit_of_an_array_is_seen(tmp_path):
    path = cf.load(KINDS["als"]).save(tmp_path / "model.safetensors")
    header, body = header_of(path)
    data = path.read_bytes()
    for name, entry in header.items():
        first, last = entry.get("data_offsets", (0, 0))
        if first == last:
            continue
        flipped = bytearray(data)
        flipped[len(data) - len(body) + last - 4] ^= 1
        (tmp_path / "flipped.safetensors").write_bytes(flipped)
        with pytest.raises(cf.ModelFileError):
            cf.load(tmp_path / "flipped.safetensors")
        assert name


def test_a_checksum_does_not_depend_on_how_an_array_lies():
    array = np.arange(12.0).reshape(3, 4)
    assert checksum(array) == checksum(np.asfortranarray(array)) != checksum(array + 1)


@pytest.fixture
def folder(tmp_path):
    return stored_files.tables()["ratings"].write(tmp_path / "ratings")


def put(folder, name, change):
    array = np.load(folder / f"{name}.npy")
    np.save(folder / f"{name}.npy", change(array))
    manifest = json.loads((folder / "interactions.json").read_text())
    manifest.pop("checksums")
    (folder / "interactions.json").write_text(json.dumps(manifest))


def at(place, value):
    def change(array):
        array[place] = value
        return array

    return change


TAMPERED = [
    ("indptr", at(3, 10**6), "overlap"),
    ("indptr", at(3, -1), "overlap"),
    ("indptr", at(-1, 10**6), "do not fit"),
    ("indptr", at(0, 1), "overlap"),
    ("indices", at(3, 10**6), "not there"),
    ("indices", at(3, -1), "not there"),
    ("indices", at(1, 0), "not in order"),
    ("values", at(3, np.nan), "not finite"),
    ("values", at(3, -np.inf), "not finite"),
    ("values", lambda array: array[:-1], "do not fit"),
    ("values", lambda array: array.astype(np.float64), "holds float64"),
    ("values", lambda array: array.reshape(-1, 1), "of the shape"),
    ("timestamps", lambda array: array[:-1], "do not fit"),
    ("timestamps", lambda array: array * np.nan, "times are not finite"),
    ("order", at(3, 10**6), "not there"),
    ("order", at(3, 0), "leaves ratings out"),
]


@pytest.mark.parametrize(("name", "change", "text"), TAMPERED)
def test_stored_interactions_that_are_not_sound_are_refused(folder, name, change, text):
    put(folder, name, change)
    for memory in (None, "16MB"):
        with pytest.raises(cf.DataError, match=text) as caught:
            cf.Interactions.open(folder, memory=memory)
        assert "write it again" in str(caught.value)


@pytest.mark.parametrize("file", ["values.npy", "timestamps.npy", "items.parquet"])
def test_a_flipped_bit_of_stored_interactions_is_seen(folder, file):
    data = bytearray((folder / file).read_bytes())
    data[-9 if file.endswith("npy") else len(data) // 3] ^= 1
    (folder / file).write_bytes(data)
    with pytest.raises(cf.DataError, match=r"is not what was written|is damaged"):
        cf.Interactions.open(folder)


def test_stored_interactions_are_checked_once_for_each_state_of_the_files(folder, monkeypatch):
    checked = []
    check = ondisk._check
    monkeypatch.setattr(ondisk, "_check", lambda *what: checked.append(check(*what)))
    for _ in range(3):
        cf.Interactions.open(folder)
    assert len(checked) == 1
    time.sleep(0.01)
    (folder / "values.npy").touch()
    cf.Interactions.open(folder)
    assert len(checked) == 2


def test_stored_interactions_can_be_opened_where_nothing_can_be_noted(folder, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refuse)
    assert len(cf.Interactions.open(folder)) == 62
    assert not (folder / ".checked.json").exists()


def test_a_damaged_cache_is_sorted_again(tmp_path):
    source, cache, told = tmp_path / "plays.parquet", tmp_path / "cache", []
    stored_files.tables()["ratings"].to_frame().write_parquet(source)
    wanted = cf.open_parquet(source, cache=cache).to_frame()
    home = next(cache.rglob("interactions.json")).parent
    for damage in (lambda: put(home, "indices", at(3, 10**6)), lambda: (home / "values.npy").write_bytes(b"x")):
        damage()
        assert cf.open_parquet(source, cache=cache, notify=told.append).to_frame().equals(wanted)
    assert sum("it is sorted again" in one for one in told) == 2


CHECKPOINTS = [
    (lambda card: card.update(best_epoch=10**19), None, "do not belong together"),
    (lambda card: card.update(history={"mse": [1.0], "objective": []}), None, "do not belong together"),
    (lambda card: card.update(history={"mse": "x"}), None, "where a number should"),
    (None, without("now.users"), "its arrays are"),
    (None, with_array("now.users", lambda one: one[:-1]), "users is float32 of shape"),
    (None, with_array("now.users", lambda one: one.astype(np.float64)), "users is float64"),
    (None, with_array("now.items", lambda one: one * np.nan), "no number"),
]


@pytest.mark.parametrize(("card", "arrays", "text"), CHECKPOINTS)
def test_a_checkpoint_that_is_not_sound_is_refused(card, arrays, text, tmp_path):
    source = STORED / "checkpoints" / "als.safetensors"
    path = rewritten(source, tmp_path / "als.safetensors", card, arrays, name="checkpoint")
    with pytest.raises(cf.ModelFileError, match=text) as caught:
        opened_checkpoint(path)
    assert "remove it to start again" in str(caught.value)


def test_a_model_folder_with_other_rows_or_types_is_refused(tmp_path):
    spoils = {
        "users": [
            ("id", pl.lit(None, pl.String)),
            ("row", pl.lit(0)),
            ("vector", pl.lit("x")),
            ("title", pl.struct("id")),
        ],
        "seen": [("item_row", pl.lit(-1)), ("user_row", pl.lit(10**6)), ("value", pl.lit("x"))],
    }
    for part, changes in spoils.items():
        for number, (column, value) in enumerate(changes):
            copy = shutil.copytree(STORED / "model-folders" / "explicit", tmp_path / f"{part}{number}")
            file = next((copy / part).glob("*.parquet"))
            pl.read_parquet(file).with_columns(value.alias(column)).write_parquet(file)
            with pytest.raises(cf.ModelFileError, match="is not a sound model folder"):
                cf.load(copy)
    copy = shutil.copytree(STORED / "model-folders" / "explicit", tmp_path / "twice")
    file = next((copy / "seen").glob("*.parquet"))
    pl.concat([pl.read_parquet(file)] * 2).write_parquet(file)
    with pytest.raises(cf.ModelFileError, match="rows of seen"):
        cf.load(copy)


def test_a_study_whose_trials_lack_what_is_kept_of_them_is_refused(tmp_path):
    pytest.importorskip("optuna")
    source = (STORED / "studies" / "als.study").read_text()
    for old, new in (('"settings"', '"other"'), ('"seconds":', '"minutes":'), ('"regularization":', '"no setting":')):
        path = tmp_path / f"{old[1:5]}.study"
        path.write_text(
            "\n".join(line.replace(old, new) if '"user_attr"' in line else line for line in source.split("\n"))
        )
        with pytest.raises((cf.ModelFileError, cf.SettingError), match=r"not a whole study|another search"):
            stored_files.searched("als", path, trials=3)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"directions":[1]', '"directions":[]'), ('"directions":[1]', '"directions":[2]'),
        ('"user_attr":{"search":{', '"user_attr":{"search":3,"was":{'),
        ('"system_attrs":{"fixed_params":{', '"system_attrs":3,"was":{"fixed_params":{'),
        ('"param_name":"nu"', '"param_name":3'), ('"step":1,', '"step":-1,'), ('"step":1,', f'"step":{10**30},'),
        ('"seconds":0.013', '"seconds":1e999'), ('"nu":0.4}}', f'"nu":{10**400}}}}}'),
    ],
)  # fmt: skip
def test_a_study_that_says_what_none_says_is_refused(tmp_path, old, new):
    pytest.importorskip("optuna")
    source = (STORED / "studies" / "als.study").read_text()
    assert old in source
    (tmp_path / "als.study").write_text(source.replace(old, new))
    with pytest.raises(cf.ModelFileError, match=r"not a whole study .*: remove it to start anew"):
        stored_files.searched("als", tmp_path / "als.study", trials=3)


@pytest.mark.parametrize("queued", ['{"nu":5000}', '{"nu":"x"}', '{"nu":null}', '{"nu":[1]}', "3", None])
def test_a_study_that_was_killed_before_its_first_trial_begins_with_the_defaults(tmp_path, queued):
    pytest.importorskip("optuna")
    lines = (STORED / "studies" / "als.study").read_text().splitlines()
    last = next(place for place, line in enumerate(lines) if '"fixed_params"' in line)
    begun = "\n".join(lines[: last + 1]) + "\n"
    path, sound = tmp_path / "als.study", '{"regularization":2.1,"bias_regularization":0.97,"nu":0.4}'
    assert sound in begun
    path.write_text(begun if queued is None else begun.replace(sound, queued))
    if queued is None:
        assert len(stored_files.searched("als", path, trials=3).trials_frame()) == 3
        return
    with pytest.raises(cf.ModelFileError, match=r"not a whole study .*: remove it to start anew"):
        stored_files.searched("als", path, trials=3)


def test_trials_with_settings_of_several_kinds_have_a_table(tmp_path):
    pytest.importorskip("optuna")
    source = (STORED / "studies" / "als.study").read_text()
    worst = re.sub(r'("settings":.*"nu":)0.98\d*', r"\1[4]", source)
    assert worst != source
    (tmp_path / "als.study").write_text(worst)
    frame = stored_files.searched("als", tmp_path / "als.study", trials=3).trials_frame()
    assert frame["nu"].dtype == pl.String
    assert "[4]" in frame["nu"].to_list()


def test_a_store_whose_version_cannot_be_told_is_refused(tmp_path):
    pytest.importorskip("sqlalchemy")
    from cofactor.apps.web.store import RatingsStore

    seed = 1001579  # of the fuzzer: the index of the version's table is damaged
    path = fuzzing.mutant("ratings-stores", seed, tmp_path)
    with pytest.raises(cf.SettingError, match=r"damaged where its version is kept \(.*\): restore it from a copy"):
        RatingsStore(f"sqlite:///{path}").since(-1)


@pytest.mark.parametrize("change", ["value = 'x'", "value = 9e999", "user_id = x'00ff'", "revision = 'x'"])
def test_a_store_with_what_is_no_rating_says_so(change, tmp_path):
    pytest.importorskip("sqlalchemy")
    import contextlib
    import sqlite3

    from cofactor.apps.web.store import RatingsStore, StoreAway

    path = shutil.copy(STORED / "ratings-stores" / "ratings.db", tmp_path)
    table = "cofactor_state" if "revision" in change else "cofactor_ratings"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"update {table} set {change} where rowid = 1")
    store = RatingsStore(f"sqlite:///{path}")
    with pytest.raises(StoreAway, match="restore it from a copy"):
        store.since(-1)
    store.close()


def test_a_token_file_of_any_length_is_bounded(tmp_path):
    pytest.importorskip("fastapi")
    (tmp_path / "tokens").write_text("0123456789abcdef0123\n" * 60_000)
    with pytest.raises(cf.SettingError, match="longer than the 1,000,000 bytes"):
        opened_tokens(tmp_path / "tokens")


def test_labels_of_metrics_are_escaped():
    pytest.importorskip("fastapi")
    from cofactor.apps.web.prometheus import Metrics

    told = 'ALS"} 1\nforged_metric{x="\\'
    text = Metrics(None, ["/a"]).text([("model_info", {"solver": told}, 1.0)])
    assert "\nforged_metric" not in text
    assert 'cofactor_model_info{solver="ALS\\"} 1\\nforged_metric{x=\\"\\\\"} 1\n' in text


@pytest.mark.parametrize("shape", [np.nan, -5.0, -np.inf])
def test_a_gamma_variate_of_no_shape_ends(shape):
    assert np.isnan(gamma(np.uint64(1), shape))


def test_settings_that_no_fit_ends_with_are_refused():
    from cofactor.solvers import ALS, BPR

    for make in (lambda: ALS(regularization=1e308), lambda: ALS(nu=1e19), lambda: BPR(negatives=10**9)):
        with pytest.raises(cf.SettingError, match="of at most"):
            make()
    with pytest.raises(cf.SettingError, match="seed=None"):
        ALS(seed=None)
    assert ALS(patience=None).patience is None


def test_a_description_that_no_reader_takes_is_not_written(tmp_path):
    model = cf.load(KINDS["als"])
    import dataclasses

    long = dataclasses.replace(model, origin=dataclasses.replace(model.origin, settings={"x": "y" * MOST_OF_A_CARD}))
    with pytest.raises(cf.DataError, match="description takes"):
        long.save(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())
