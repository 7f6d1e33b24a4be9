"""A model comes back from its file as it was; no file can do harm."""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import textwrap

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from processes import python
from safetensors.numpy import save_file
from scipy import sparse
from tablesupport import is_mapped

import cofactor as cf
from cofactor.data.metadata import Metadata
from cofactor.data.sound_rows import check_rows
from cofactor.model.factors import Factors
from cofactor.model.objectives.squared import SquaredError
from cofactor.model.origin import Origin


def small(**changes):
    random = np.random.default_rng(0)
    model = Factors.from_arrays(
        random.normal(size=(5, 3)),
        random.normal(size=(4, 3)),
        users=["a", "b", "ç", "", "e\n"],
        items=[2**63, 1, 7, 2**64 - 1],
        item_bias=random.normal(size=4),
        mean=3.25,
        seen=sparse.csr_array(np.array([[0, 2, 0, 5], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 3, 0], [1, 1, 1, 1.0]])),
        titles=["Wallace & Gromit", None, "Amélie", "七人の侍"],
    )
    objective = SquaredError(goal="ranking", regularization=0.1, nu=0.5, scale=(1.0, 5.0))
    origin = Origin("KerasMF", {"rank": 3, "patience": None}, "made-up", "2024-01-01", "0.1.0", {"mse": 0.5})
    return dataclasses.replace(
        model,
        objective=objective,
        origin=origin,
        history={"mse": (1.0, 0.1 + 0.2)},
        extras={"draws": np.arange(6.0).reshape(2, 3)},
        **changes,
    )


def assert_same(one, other):
    for name in ("user_vectors", "item_vectors", "user_bias", "item_bias"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert one.users == other.users
    assert one.items == other.items
    assert (one.seen != other.seen).nnz == 0
    for name in ("item_table", "user_table"):
        assert_frame_equal(getattr(one, name), getattr(other, name))
    for name in ("mean", "objective", "origin", "history"):
        assert getattr(one, name) == getattr(other, name), name
    assert {name: array.tolist() for name, array in one.extras.items()} == {
        name: array.tolist() for name, array in other.extras.items()
    }


def test_a_model_comes_back_as_it_was(tmp_path):
    model = small()
    path = model.save(tmp_path / "deep" / "model.safetensors")
    again = cf.load(path)
    assert_same(model, again)
    assert again.recommend(["a"]).equals(model.recommend(["a"]))
    first = path.read_bytes()
    again.save(path)
    assert path.read_bytes() == first


@given(st.lists(st.text(), min_size=1, unique=True), st.integers(0, 3))
@settings(max_examples=50, deadline=None)
def test_any_ids_survive(tmp_path_factory, ids, rank):
    model = Factors.from_arrays(np.ones((len(ids), rank)), np.ones((2, rank)), users=ids)
    path = tmp_path_factory.mktemp("ids") / "model.safetensors"
    assert list(cf.load(model.save(path)).users) == ids


def changed_header(path, change):
    """Rewrite the JSON header of a safetensors file."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    change(header)
    packed = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(packed)) + packed + data[8 + length :])


def changed_card(path, change):
    def apply(header):
        card = json.loads(header["__metadata__"]["cofactor"])
        change(card)
        header["__metadata__"]["cofactor"] = json.dumps(card)

    changed_header(path, apply)


def changed_tensors(path, **changes):
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    tensors |= {name.replace("__", "."): array for name, array in changes.items()}
    save_file({name: array for name, array in tensors.items() if array is not None}, path, metadata)


def nested(depth):
    return "[" * depth + "]" * depth


HOSTILE = {
    "empty": (lambda p: p.write_bytes(b""), "not a whole safetensors file"),
    "text": (lambda p: p.write_text("hello, I am a model" * 100), "not a whole safetensors file"),
    "pickle": (lambda p: p.write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR." * 9), "not a whole safetensors file"),
    "zip": (lambda p: p.write_bytes(b"PK\x03\x04" + b"\0" * 200), "not a whole safetensors file"),
    "header of terabytes": (lambda p: p.write_bytes(struct.pack("<Q", 2**42) + b"{}"), "not a whole safetensors"),
    "header of 2^64": (lambda p: p.write_bytes(struct.pack("<Q", 2**64 - 1) + b"{}"), "not a whole safetensors"),
    "truncated": (lambda p: p.write_bytes(p.read_bytes()[:-5]), "not a whole safetensors file"),
    "cut in the header": (lambda p: p.write_bytes(p.read_bytes()[:100]), "not a whole safetensors file"),
    "trailing bytes": (lambda p: p.write_bytes(p.read_bytes() + b"x" * 9), "not a whole safetensors file"),
    "tensor of terabytes": (
        lambda p: changed_header(p, lambda h: h["user_vectors"].update(shape=[2**40, 3])),
        "not a whole safetensors file",
    ),
    "foreign": (lambda p: save_file({"w": np.ones(3)}, p), "not a cofactor model"),
    "newer": (
        lambda p: changed_card(p, lambda c: c.update(format_version=99)),
        "pip install --upgrade cofactor",
    ),
    "older": (lambda p: changed_card(p, lambda c: c.update(format_version=0)), "train the model"),
    "version of letters": (
        lambda p: changed_card(p, lambda c: c.update(format_version="one")),
        "unknown format version",
    ),
    "no card": (lambda p: changed_header(p, lambda h: h["__metadata__"].pop("cofactor")), "not a cofactor model"),
    "no mean": (lambda p: changed_card(p, lambda c: c.pop("mean")), "not a sound model"),
    "card of junk": (
        lambda p: changed_header(p, lambda h: h["__metadata__"].update(cofactor="{")),
        "not a sound model",
    ),
    "card of a list": (lambda p: changed_header(p, lambda h: h["__metadata__"].update(cofactor="[]")), "not an object"),
    "card too deep": (
        lambda p: changed_header(p, lambda h: h["__metadata__"].update(cofactor=nested(10**5))),
        "not a sound model",
    ),
    "card with a huge number": (
        lambda p: changed_header(p, lambda h: h["__metadata__"].update(cofactor='{"mean": ' + "9" * 5000 + "}")),
        "not a sound model",
    ),
    "mean not a number": (lambda p: changed_card(p, lambda c: c.update(mean="3")), "where a number should"),
    "mean NaN": (lambda p: changed_card(p, lambda c: c.update(mean=float("nan"))), "where a number should"),
    "mean infinite": (lambda p: changed_card(p, lambda c: c.update(mean=1e999)), "where a number should"),
    "unknown objective": (lambda p: changed_card(p, lambda c: c["objective"].update(kind="magic")), "not a sound"),
    "objective with more": (lambda p: changed_card(p, lambda c: c["objective"].update(more=1)), "unknown entries"),
    "objective of text": (lambda p: changed_card(p, lambda c: c["objective"].update(nu="x")), "not a sound model"),
    "origin with more": (lambda p: changed_card(p, lambda c: c["origin"].update(more=1)), "not a sound model"),
    "origin of numbers": (lambda p: changed_card(p, lambda c: c["origin"].update(solver=3)), "not a sound model"),
    "history of text": (lambda p: changed_card(p, lambda c: c["history"].update(mse=["x"])), "where a number should"),
    "history of lists": (lambda p: changed_card(p, lambda c: c.update(history=[1])), "not a sound model"),
    "NaN vectors": (
        lambda p: changed_tensors(p, user_vectors=np.full((5, 3), np.nan, np.float32)),
        "user_vectors has a value that is not finite",
    ),
    "infinite bias": (lambda p: changed_tensors(p, item_bias=np.full(4, np.inf, np.float32)), "item_bias has a value"),
    "huge vectors": (
        lambda p: changed_tensors(
            p, user_vectors=np.full((5, 3), 1e38, np.float32), item_vectors=np.full((4, 3), 1e38, np.float32)
        ),
        "overflow",
    ),
    "vectors of integers": (lambda p: changed_tensors(p, user_vectors=np.ones((5, 3), np.int64)), "of type int64"),
    "vectors missing": (lambda p: changed_tensors(p, user_vectors=None), "user_vectors is missing"),
    "wrong rank": (lambda p: changed_tensors(p, user_vectors=np.ones((5, 2), np.float32)), "shape"),
    "vectors in one dimension": (lambda p: changed_tensors(p, user_vectors=np.ones(5, np.float32)), "two-dimensional"),
    "too few users": (lambda p: changed_tensors(p, user_vectors=np.ones((4, 3), np.float32)), "shape"),
    "ids missing": (lambda p: changed_tensors(p, users__bytes=None), "users.bytes is missing"),
    "ids not unicode": (
        lambda p: changed_tensors(p, users__bytes=np.full(7, 255, np.uint8)),
        "not a sound model",
    ),
    "offsets that go back": (
        lambda p: changed_tensors(p, users__offsets=np.array([0, 9, 1, 1, 1, 6])),
        "offsets outside",
    ),
    "offsets too far": (lambda p: changed_tensors(p, users__offsets=np.array([0, 1, 2, 4, 4, 999])), "offsets outside"),
    "offsets empty": (lambda p: changed_tensors(p, users__offsets=np.array([], np.int64)), "wrong shape"),
    "ids repeated": (lambda p: changed_tensors(p, items=np.array([1, 1, 2, 3], np.int64)), "is duplicated"),
    "ids of floats": (lambda p: changed_tensors(p, items=np.array([1.0, 2, 3, 4])), "items are of type float64"),
    "too many titles": (
        lambda p: changed_tensors(
            p, titles__offsets=np.array([0, 1, 2]), titles__bytes=np.full(2, 65, np.uint8), titles__missing=None
        ),
        "2 titles for 4 rows",
    ),
    "missing titles of the wrong shape": (
        lambda p: changed_tensors(p, titles__missing=np.ones(9, np.uint8)),
        "titles have the wrong shape",
    ),
    "seen items out of range": (
        lambda p: changed_tensors(p, seen__indices=np.array([1, 3, 0, 2, 0, 1, 2, 99], np.int32)),
        "names an item that is not there",
    ),
    "seen items negative": (
        lambda p: changed_tensors(p, seen__indices=np.array([-1, 3, 0, 2, 0, 1, 2, 3], np.int32)),
        "names an item that is not there",
    ),
    "seen items twice": (
        lambda p: changed_tensors(p, seen__indices=np.array([1, 1, 0, 2, 0, 1, 2, 3], np.int32)),
        "not in order",
    ),
    "seen values NaN": (
        lambda p: changed_tensors(p, seen__values=np.full(8, np.nan, np.float32)),
        "not in order or not finite",
    ),
    "seen rows overlap": (
        lambda p: changed_tensors(p, seen__indptr=np.array([0, 5, 2, 3, 4, 8])),
        "rows that overlap",
    ),
    "seen rows too few": (lambda p: changed_tensors(p, seen__indptr=np.array([0, 8])), "does not fit the users"),
    "seen rows past the end": (
        lambda p: changed_tensors(p, seen__indptr=np.array([0, 2, 2, 3, 4, 2**40])),
        "rows that overlap",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_bad_file_gives_one_clear_error(tmp_path, name):
    spoil, text = HOSTILE[name]
    path = small().save(tmp_path / "model.safetensors")
    spoil(path)
    for read in (cf.load, cf.open_model):
        with pytest.raises(cf.ModelFileError, match=text) as caught:
            read(path)
        assert str(path) in str(caught.value)


def test_promised_terabytes_are_never_allocated(tmp_path):
    code = """
        import resource, struct, sys, cofactor
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        try:
            cofactor.load(sys.argv[1])
        except cofactor.ModelFileError as error:
            print("refused")
    """
    path = tmp_path / "model.safetensors"
    header = json.dumps({"user_vectors": {"dtype": "F32", "shape": [2**39, 2], "data_offsets": [0, 2**42]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    assert python(code, path).strip() == "refused"


def test_a_path_that_is_no_file_is_told_so(tmp_path):
    with pytest.raises(cf.ModelFileError, match="is a folder, not a file"):
        cf.load(tmp_path)
    with pytest.raises(cf.ModelFileError, match="is not there"):
        cf.load(tmp_path / "none")


def test_every_cut_of_a_file_is_refused(tmp_path):
    data = small().save(tmp_path / "model.safetensors").read_bytes()
    cut = tmp_path / "cut.safetensors"
    for length in range(0, len(data), 37):
        cut.write_bytes(data[:length])
        for read in (cf.load, cf.open_model):
            with pytest.raises(cf.ModelFileError):
                read(cut)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_flipped_byte_never_crashes(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("flip")
    content = bytearray(small().save(folder / "model.safetensors").read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    (folder / "flipped.safetensors").write_bytes(content)
    for read in (cf.load, cf.open_model):
        with contextlib.suppress(cf.CofactorError):
            read(folder / "flipped.safetensors").recommend(["a"], on_unknown="skip")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no umask")
@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_a_saved_model_may_be_read_by_whom_new_files_may(tmp_path, umask):
    before = os.umask(umask)
    try:
        path = small().save(tmp_path / "model.safetensors")
        small().save(path)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_save_that_fails_leaves_the_old_model(tmp_path, monkeypatch):
    path = small().save(tmp_path / "model.safetensors")
    before = path.read_bytes()
    for owner, step in ((os, "fsync"), (pathlib.Path, "replace")):

        def fail(*_):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(owner, step, fail)
            with pytest.raises(OSError, match="No space left"):
                small(mean=9.0).save(path)
        assert path.read_bytes() == before
        assert [file.name for file in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_kill_during_a_save_leaves_a_whole_model(tmp_path):
    code = """
        import itertools, sys, numpy as np, cofactor
        users = np.random.default_rng(0).normal(size=(20_000, 64))
        print("ready", flush=True)
        for round in itertools.count():
            cofactor.Factors.from_arrays(users, users[:100], mean=float(round)).save(sys.argv[1])
    """
    path = tmp_path / "model.safetensors"
    small().save(path)
    for wait in (0.02, 0.05, 0.09, 0.13):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), path], stdout=subprocess.PIPE, text=True
        )
        process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(wait)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        cf.load(path)  # whole, whichever of them it is


def test_nothing_in_the_library_unpickles():
    """But for machine code, which is code whatever its form, in folders that only this user writes to."""
    import cofactor

    sources = pathlib.Path(cofactor.__file__).parent.rglob("*.py")
    source = "\n".join(file.read_text() for file in sources if file.name != "machine_code.py")
    for word in ("import pickle", "pickle.load", ".load_model(", "allow_pickle=True", "eval(", "exec("):
        assert word not in source


def test_values_of_one_are_not_stored(tmp_path):
    from safetensors import safe_open

    ones = small(seen=sparse.csr_array(np.eye(5, 4, dtype=np.float32)))
    path = ones.save(tmp_path / "ones.safetensors")
    with safe_open(path, framework="numpy") as file:
        assert "seen.values" not in file.keys()  # noqa: SIM118
    assert_same(ones, cf.load(path))


def test_many_values_of_one_are_stored_so_that_nobody_has_to_make_them(tmp_path, monkeypatch):
    monkeypatch.setattr("cofactor.model.storage.LARGE", 4)
    ones = small(seen=sparse.csr_array(np.eye(5, 4, dtype=np.float32)))
    again = cf.open_model(ones.save(tmp_path / "ones.safetensors"))
    assert_same(ones, again)
    assert is_mapped(again.seen.data)


def test_an_opened_model_stays_in_its_file_and_says_the_same(tmp_path):
    model = small()
    path = model.save(tmp_path / "model.safetensors")
    opened = cf.open_model(path)
    assert_same(model, opened)
    assert opened.digest == cf.load(path).digest
    assert all(is_mapped(array) for array in (opened.user_vectors, opened.item_bias, opened.seen.indices))
    small(mean=1.0).save(path)  # by another file of that name
    assert_same(model, opened)


def test_every_type_that_can_be_saved_can_be_opened(tmp_path):
    kinds = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64 complex64"
    extras = {kind: np.array([1, 0, 1]).astype(kind) for kind in kinds.split()}
    path = dataclasses.replace(small(), extras=extras).save(tmp_path / "model.safetensors")
    for read in (cf.load, cf.open_model):
        found = read(path).extras
        assert {name: array.dtype.name for name, array in found.items()} == {kind: kind for kind in extras}
        assert all(found[name].tolist() == array.tolist() for name, array in extras.items())


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_rows_are_checked_part_by_part(monkeypatch, at_once):
    monkeypatch.setattr("cofactor.data.sound_rows._AT_ONCE", at_once)
    indptr, indices = np.array([0, 2, 2, 3, 6, 6]), np.array([1, 3, 0, 0, 2, 3], np.int32)
    values = np.ones(6, np.float32)
    check_rows(indptr, indices, values, 4)
    for place, item in ((0, 3), (0, 4), (1, 1), (4, 0), (5, 2), (2, -1)):
        wrong = indices.copy()
        wrong[place] = item
        with pytest.raises(ValueError, match="the table of seen items"):
            check_rows(indptr, wrong, values, 4)
    values[5] = np.inf
    with pytest.raises(ValueError, match="not finite"):
        check_rows(indptr, indices, values, 4)


def test_titles_and_genres_both_survive(tmp_path):
    genres = pl.Series(["Comedy|Short", None, "", "Drama"])
    model = small()
    model = dataclasses.replace(model, metadata=Metadata(model.metadata.items.with_columns(genres=genres)))
    assert_same(model, cf.load(model.save(tmp_path / "model.safetensors")))


def with_tables():
    goods = pl.DataFrame({"price": [1.5, None, 2.0, 3.0], "tags": [["a"], [], None, ["b", None]], "at": [1, 2, 3, 4]})
    goods = goods.with_columns(pl.col("at").cast(pl.Time), title=pl.Series(["A", "B", None, "D"]))
    people = pl.DataFrame({"seen": [0, 1, None, 3, 4]}).cast(pl.Datetime("ms", "Europe/Berlin"))
    return small(metadata=Metadata(goods, people))


def test_tables_survive(tmp_path):
    path = with_tables().save(tmp_path / "model.safetensors")
    for read in (cf.load, cf.open_model):
        assert_same(with_tables(), read(path))


def schema(side, columns):
    return lambda path: changed_card(path, lambda card: card["tables"].update({side: columns}))


HOSTILE_TABLES = {
    "no schema of users": lambda p: changed_card(p, lambda card: card["tables"].pop("users")),
    "a schema that is text": lambda p: changed_card(p, lambda card: card.update(tables="items")),
    "a column that is not there": schema("items", [["price", "float64"]] * 9),
    "the same name twice": schema("users", [["seen", ["datetime", "ms", None]], ["seen", "int64"]]),
    "a name that is a number": schema("users", [[7, ["datetime", "ms", None]]]),
    "a type that is none": schema("users", [["seen", "object"]]),
    "a type of another width": schema("users", [["seen", "int32"]]),
    "a unit that is none": schema("users", [["seen", ["datetime", "years", None]]]),
    "a zone that is none": schema("users", [["seen", ["datetime", "ms", "../../etc/passwd"]]]),
    "a type without a unit": schema("users", [["seen", ["datetime"]]]),
    "lists of lists without end": schema("users", [["seen", json.loads('["list",' * 900 + '"int64"' + "]" * 900)]]),
    "lists without offsets": schema("users", [["seen", ["list", "int64"]]]),
    "too few rows": lambda p: changed_tensors(p, users__column__0=np.arange(4)),
    "offsets beyond the entries": lambda p: changed_tensors(p, items__column__1__offsets=np.array([0, 1, 1, 1, 2**60])),
    "offsets that fall": lambda p: changed_tensors(p, items__column__1__offsets=np.array([0, 3, 1, 1, 3])),
    "too few offsets": lambda p: changed_tensors(p, items__column__1__offsets=np.array([0, 3])),
    "times that no day has": lambda p: changed_tensors(p, items__column__2=np.array([0, 1, -5, 2**62])),
    "missing of another length": lambda p: changed_tensors(p, items__column__0__missing=np.ones(2, np.uint8)),
    "missing of another type": lambda p: changed_tensors(p, items__column__0__missing=np.ones(4)),
}


@pytest.mark.parametrize("name", HOSTILE_TABLES)
def test_a_table_that_lies_gives_one_clear_error(tmp_path, name):
    path = with_tables().save(tmp_path / "model.safetensors")
    HOSTILE_TABLES[name](path)
    for read in (cf.load, cf.open_model):
        with pytest.raises(cf.ModelFileError, match="is not a sound model"):
            read(path)
