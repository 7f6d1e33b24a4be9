"""What the tests of a release share: the files to be published."""

import sys

import pytest
from environments import ROOT, run


@pytest.fixture(scope="session")
def dist(tmp_path_factory):
    """The folder of the wheel and the sdist, made from this checkout."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "--directory", folder, folder=ROOT)
    return folder


@pytest.fixture(scope="session")
def wheel(dist):
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def sdist(dist):
    (found,) = dist.glob("*.tar.gz")
    return found
