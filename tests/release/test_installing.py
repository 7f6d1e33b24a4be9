"""The wheel installs into an empty environment of each Python with each extra in turn, and the extra does its work."""

from pathlib import Path

import pytest
from environments import install, new_environment, run
from smoke import EXTRAS
from test_package import PROJECT

SMOKE = Path(__file__).with_name("smoke.py")
SUPPORTED = [entry.rsplit(" ", 1)[1] for entry in PROJECT["classifiers"] if "Python :: 3." in entry]


def test_every_extra_has_a_smoke_run():
    assert {*EXTRAS, "all"} == set(PROJECT["optional-dependencies"])


@pytest.mark.long
@pytest.mark.network
@pytest.mark.parametrize("extra", ["nothing", *EXTRAS, "all"])
@pytest.mark.parametrize("version", SUPPORTED)
def test_an_extra_does_its_work_in_an_empty_environment(wheel, tmp_path, version, extra):
    python = new_environment(tmp_path / "environment", version)
    wanted = "" if extra == "nothing" else f"[{extra}]"
    install(python, f"cofactor{wanted} @ {wheel.as_uri()}")
    run(python, SMOKE, extra, folder=tmp_path, timeout=1800)


@pytest.mark.long
@pytest.mark.network
def test_the_sdist_installs_and_runs(sdist, tmp_path):
    python = new_environment(tmp_path / "environment", SUPPORTED[0])
    install(python, sdist)
    run(python, SMOKE, "nothing", folder=tmp_path, timeout=1800)
