"""Every write, sync and removal of a store fails in turn, and no rating is ever half there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def preloaded(tmp_path_factory):
    """A library that lets a chosen system call fail."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("system calls are made to fail by a small C library, and there is no compiler (or no Linux) here")
    library = tmp_path_factory.mktemp("failing") / "failing.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "failing.c", "-ldl"], check=True)
    return library


def test_whichever_write_fails_the_store_holds_the_old_or_the_new_and_never_a_mixture(preloaded, tmp_path):
    done = subprocess.run(
        [sys.executable, HERE / "failing_writes.py", str(tmp_path)],
        env={**os.environ, "LD_PRELOAD": str(preloaded)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    tried = json.loads(done.stdout)
    assert len(tried) > 5
    assert tried[-1] == {"n": len(tried), "acknowledged": True, "state": "new", "failed": 0}
    for one in tried:
        assert one["state"] in ("old", "new"), one
        assert one["state"] == "new" or not one["acknowledged"], one
    assert any(not one["acknowledged"] and one["state"] == "old" for one in tried)
