"""The published files hold the library and what it needs, and nothing else; installed, they run."""

import email
import json
import re
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile

import pytest
from environments import ROOT, install, run

from cofactor.version import __version__

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CODE = {".py", ".typed", ".toml", ".html", ".css", ".js", ".svg", ".mako"}


@pytest.fixture(scope="module")
def packed(wheel):
    """The wheel's files with their bytes."""
    archive = zipfile.ZipFile(wheel)
    return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def metadata(packed):
    return email.message_from_bytes(packed[f"cofactor-{__version__}.dist-info/METADATA"])


@pytest.fixture(scope="module")
def unpacked(sdist, tmp_path_factory):
    """The sdist's files in a folder."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return folder / f"cofactor-{__version__}"


def test_the_wheel_is_the_library_and_nothing_else(packed):
    source = ROOT / "src"
    files = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    library = {name for name in files if "__pycache__" not in name and ".egg-info" not in name}
    assert {name for name in packed if ".dist-info/" not in name} == library


@pytest.mark.parametrize(
    "needed",
    [
        "cofactor/py.typed",
        "cofactor/data/catalog.toml",
        "cofactor/apps/web/page/index.html",
        "cofactor/apps/web/page/app.js",
        "cofactor/apps/web/page/style.css",
        "cofactor/apps/web/migrations/env.py",
        "cofactor/apps/web/migrations/versions/erasures_table.py",
        "cofactor/apps/web/migrations/versions/first_ratings.py",
    ],
)
def test_what_the_library_reads_at_run_time_is_in_the_wheel(packed, needed):
    assert needed in packed


def test_no_tests_and_no_data_are_in_the_wheel(packed):
    library = [name for name in packed if ".dist-info/" not in name]
    assert {name.split("/")[0] for name in library} == {"cofactor"}
    assert not [name for name in library if "test" in name.split("/")[-1]]
    assert {"." + name.rsplit(".", 1)[1] for name in library} <= CODE
    assert max(map(len, packed.values())) < 100_000


def test_the_wheel_runs_on_every_machine(packed, wheel):
    assert wheel.name == f"cofactor-{__version__}-py3-none-any.whl"
    assert b"Root-Is-Purelib: true" in packed[f"cofactor-{__version__}.dist-info/WHEEL"]


def test_the_metadata_say_what_pyproject_says(metadata):
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == PROJECT["license"]
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert metadata["Requires-Python"] == PROJECT["requires-python"]
    assert set(metadata.get_all("Provides-Extra")) == set(PROJECT["optional-dependencies"])
    classified = re.findall(r"Python :: (3\.\d+)", "\n".join(metadata.get_all("Classifier")))
    assert f">={classified[0]}" == PROJECT["requires-python"]


def test_the_wheel_made_from_the_sdist_has_the_same_bytes(unpacked, wheel, tmp_path):
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path, folder=unpacked)
    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()


def test_the_sdist_can_be_tested_and_carries_no_data(unpacked):
    top = {path.name for path in unpacked.iterdir()}
    assert {"src", "tests", "tools", "docs", "deploy"} <= top
    assert {"Dockerfile", "Makefile", "pyproject.toml", "LICENSE", "CHANGELOG.md"} <= top
    files = [path for path in unpacked.rglob("*") if path.is_file()]
    made_up = unpacked / "tests" / "stored"  # a small file of each format, as each version wrote it
    others = [path for path in files if not path.is_relative_to(made_up)]
    assert not [path for path in others if path.suffix in {".csv", ".data", ".zip", ".gz", ".parquet", ".safetensors"}]
    assert sum(path.stat().st_size for path in files if path.is_relative_to(made_up)) < 1_000_000
    assert max(path.stat().st_size for path in files) < 1_000_000
    run(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/docs/test_extensions.py", folder=unpacked
    )


def test_the_installed_wheel_runs(wheel, tmp_path):
    """In an environment of its own, which finds the dependencies where the tests find them."""
    pytest.importorskip("uv")
    venv.create(tmp_path / "empty", symlinks=True)
    python = tmp_path / "empty" / "bin" / "python"
    install(python, "--no-deps", "--offline", wheel)
    (site,) = (tmp_path / "empty").glob("lib/python3*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    assert run(python.parent / "cofactor", "--version", folder=tmp_path) == f"cofactor {__version__}\n"
    where = run(python, "-c", "import cofactor.data.catalog as c; print(c.__file__)", folder=tmp_path)
    assert where.startswith(str(site))
    listed = json.loads(run(python.parent / "cofactor", "datasets", "--json", folder=tmp_path))
    assert "ml-100k" in {entry["name"] for entry in listed["datasets"]}


def test_a_citation_names_this_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", citation, re.MULTILINE)[1] == __version__
    assert re.search(r"^license: (.*)$", citation, re.MULTILINE)[1] == PROJECT["license"]
