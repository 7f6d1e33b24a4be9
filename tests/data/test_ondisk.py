"""Interactions in a folder of arrays: as they were, whole, and never pickled."""

import numpy as np
import pytest
from tablesupport import is_mapped

import cofactor as cf


def test_a_folder_holds_the_table_as_it_was(titled, tmp_path):
    again = cf.Interactions.open(titled.write(tmp_path / "deep" / "ratings"))
    assert again.to_frame().equals(titled.to_frame())
    assert repr(again) == repr(titled)
    assert again.name == titled.name
    assert all(is_mapped(array) for array in (again.matrix.indptr, again.matrix.indices, again.matrix.data))
    assert again.split_random(seed=1)[1].to_frame().equals(titled.split_random(seed=1)[1].to_frame())


def test_nothing_is_written_over(ratings, tmp_path):
    with pytest.raises(cf.DataError, match="exists already"):
        ratings.write(tmp_path)


def test_a_write_that_fails_leaves_nothing(ratings, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", fail)
    with pytest.raises(OSError, match="No space"):
        ratings.write(tmp_path / "ratings")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["interactions.json", "users.parquet", "indices.npy"])
def test_a_folder_that_is_not_whole_is_refused(ratings, tmp_path, missing):
    folder = ratings.write(tmp_path / "ratings")
    (folder / missing).unlink()
    with pytest.raises(cf.DataError, match="not a folder of interactions"):
        cf.Interactions.open(folder)


def test_arrays_that_do_not_fit_are_refused(ratings, tmp_path):
    folder = ratings.write(tmp_path / "ratings")
    np.save(folder / "values.npy", np.ones(3, np.float32))
    with pytest.raises(cf.DataError, match="is damaged"):
        cf.Interactions.open(folder)


def test_pickled_arrays_are_refused(ratings, tmp_path):
    folder = ratings.write(tmp_path / "ratings")
    np.save(folder / "values.npy", np.array([{"a": 1}] * 900, dtype=object), allow_pickle=True)
    with pytest.raises(cf.DataError, match=r"is damaged \(values.npy holds object"):
        cf.Interactions.open(folder)
