"""What was compiled ahead suffices: afterwards nothing is compiled, whatever is trained, served and recommended."""

import json
from pathlib import Path

import pytest
from clisupport import as_json, run
from processes import python

from cofactor.apps import compile as compiling
from cofactor.kernels.machine_code import MachineCode

PROGRAM = Path(__file__).with_name("compiled_ahead.py")


@pytest.fixture(scope="module")
def afterwards(tmp_path_factory):
    """What a process finds that first compiled everything ahead."""
    return json.loads(python(PROGRAM.read_text(encoding="utf-8"), tmp_path_factory.mktemp("compiled")).splitlines()[-1])


def test_every_kernel_of_training_and_lists_is_compiled(afterwards):
    assert afterwards["unused"] == ["cofactor.kernels.unmet.kth_unmet"]  # it draws negatives for Keras alone


def test_nothing_is_compiled_in_training_and_serving_afterwards(afterwards):
    assert afterwards["late"] == {}
    assert set(afterwards["statuses"]) <= {200, 422}


def test_it_says_how_much_was_compiled_and_where(tmp_path, monkeypatch):
    monkeypatch.setattr(compiling, "VARIANTS", ())
    monkeypatch.setattr(MachineCode, "kept", [tmp_path / "a.nbc", tmp_path / "b.nbc"])
    assert as_json("compile") == {"compiled": 2, "folders": [str(tmp_path)]}
    assert run("compile").stdout == f"compiled 2 kernels into {tmp_path}\n"


def test_where_compiled_code_cannot_be_kept_it_fails_and_names_the_remedy(monkeypatch):
    monkeypatch.setattr(compiling, "VARIANTS", ())
    monkeypatch.setattr(MachineCode, "refused", "/srv: Read-only file system")
    said = run("compile", code=1).stderr
    assert "cannot be kept on disk (/srv: Read-only file system)" in said
    assert "NUMBA_CACHE_DIR" in said
