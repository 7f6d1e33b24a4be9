"""Compiled code on disk is optional: where it cannot be kept or is broken, that costs time and never the work."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import pytest
from processes import python

import cofactor
from cofactor.kernels import machine_code
from cofactor.kernels.compiling import kernel

SOURCE = "def twice(x):\n    return 2 * x\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def compiled(tmp_path):
    """Return what makes a kernel as a new process does, from a source that may have changed."""
    file = tmp_path / "source" / "numbers.py"

    def make(source=SOURCE):
        file.parent.mkdir(exist_ok=True)
        file.write_text(source)
        names = {"__name__": "cofactor_test"}
        exec(compile(source, str(file), "exec"), names)
        machine_code._stamp.cache_clear()
        return kernel(names["twice"])

    return make


def hits(function):
    return sum(function.stats.cache_hits.values())


def stored(folder):
    return sorted(folder.rglob("*.nbc"))


def test_a_later_process_finds_what_an_earlier_one_compiled(folder, compiled):
    assert compiled()(3) == 6
    later = compiled()
    assert (later(4), hits(later)) == (8, 1)


BROKEN = {
    "empty": lambda whole: b"",
    "cut off": lambda whole: whole[: len(whole) // 2],
    "zeros in the middle": lambda whole: whole[:2000] + bytes(2000) + whole[4000:],
    "another format": lambda whole: b"\x80\x04K\x01.",
    "one bit": lambda whole: whole[:-1000] + bytes([whole[-1000] ^ 1]) + whole[-999:],
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_compiled_and_written_again(folder, compiled, how):
    compiled()(3)
    (file,) = stored(folder)
    file.write_bytes(BROKEN[how](file.read_bytes()))
    again, later = compiled(), compiled()
    assert (again(4), hits(again)) == (8, 0)
    assert (later(4), hits(later)) == (8, 1)
    assert stored(folder) == [file]


def test_a_folder_in_the_place_of_a_file_is_no_obstacle(folder, compiled, caplog):
    compiled()(3)
    (file,) = stored(folder)
    file.unlink()
    file.mkdir()
    assert compiled()(4) == 8


def test_code_of_other_sources_is_not_used(folder, compiled):
    assert compiled()(3) == 6
    assert compiled(SOURCE.replace("2", "5"))(3) == 15
    (folder.parent / "source" / "called.py").write_text("other = 1\n")  # one that a kernel beside it may call
    assert hits(compiled(SOURCE.replace("2", "5"))) == 0
    assert len(stored(folder)) == 1


def test_processes_that_compile_at_once_do_not_mix_up_their_code(folder, compiled):
    one, other = compiled(), compiled()
    assert (one(3), other(1.5)) == (6, 3.0)
    later = compiled()
    assert (later(4), later(2.5), hits(later)) == (8, 5.0, 2)


def test_a_folder_that_can_only_be_read_is_read(folder, compiled, monkeypatch):
    compiled()(3)

    def refused(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(machine_code, "replacing", refused)
    later = compiled()
    assert (later(4), hits(later)) == (8, 1)


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EACCES, errno.EDQUOT])
def test_what_cannot_be_written_is_said_once(folder, compiled, monkeypatch, caplog, code):
    def refused(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(machine_code, "replacing", refused)
    monkeypatch.setattr(machine_code.MachineCode, "refused", "")
    function = compiled()
    assert (function(3), function(1.5)) == (6, 3.0)
    (record,) = [record for record in caplog.records if "cannot be kept" in record.getMessage()]
    assert os.strerror(code) in record.getMessage()
    assert "NUMBA_CACHE_DIR" in record.getMessage()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits of a file's size")
def test_a_full_disk_leaves_no_part_of_a_file(tmp_path):
    code = """
        import pathlib, resource, sys
        import numpy as np
        from cofactor.kernels import machine_code
        machine_code._folders = lambda source: [pathlib.Path(sys.argv[1])]
        from cofactor.kernels.compiling import readable
        from cofactor.kernels.assembly import finite
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        assert finite(readable(np.ones(64, np.float32)))
        print(list(pathlib.Path(sys.argv[1]).iterdir()))
    """
    assert python(code, tmp_path).strip() == "[]"


@pytest.fixture
def installed(tmp_path):
    """A package in which nothing can be written, for a user without a home; it holds for the superuser too."""
    site = tmp_path / "site"
    shutil.copytree(Path(cofactor.__file__).parent, site / "cofactor", ignore=shutil.ignore_patterns("__pycache__"))
    for each in [site / "cofactor", *(site / "cofactor").rglob("*")]:
        if each.is_dir():
            (each / "__pycache__").touch()
    return {"PYTHONPATH": str(site), "HOME": "/dev/null", "XDG_CACHE_HOME": "/dev/null", "NUMBA_CACHE_DIR": "/dev/null"}


def test_the_commands_work_where_no_folder_can_be_written(installed, tmp_path):
    data, model = "synthetic:60x40x900", tmp_path / "model.safetensors"
    digests = []
    for variables in (installed, {}):
        command = [sys.executable, "-m", "cofactor", "fit", data, "-o", str(model)]
        done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.count("cannot be kept on disk") == len(variables) // 4
        digests.append(cofactor.load(model).digest)
    assert digests[0] == digests[1]
    command = [sys.executable, "-m", "cofactor", "refit", str(model), data, "-o", str(model), "--json"]
    done = subprocess.run(
        command, env={**os.environ, **installed}, capture_output=True, text=True, timeout=300, check=True
    )
    assert json.loads(done.stdout)["n_users"] == 60
