"""What the tests of a release share: the files to be published, and the rule that most of them wait to be asked for."""

import os
import sys

import pytest
from environments import ROOT, run


def pytest_collection_modifyitems(items):
    if os.environ.get("COFACTOR_TEST_LONG") == "1":
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="installs for minutes: make release-check"))


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
