"""With the oldest dependencies that pyproject.toml allows, the library does what it does with the newest."""

import pytest
from environments import ROOT, UNREACHABLE, install, new_environment, run, uv
from smoke import EXTRAS
from test_installing import SMOKE, SUPPORTED

FAST = [f"tests/{name}" for name in ("data", "model", "evaluation", "solvers/test_als.py")]
FAST += [f"tests/apps/{name}.py" for name in ("test_cli", "web/test_api", "web/test_hostile")]


def oldest(python, target):
    """Resolve every direct dependency, those of all extras too, to the oldest version that is allowed."""
    wanted = ("--resolution", "lowest-direct", "--all-extras", "--output-file", target, "pyproject.toml")
    done = uv("pip", "compile", "--quiet", "--python", python, *wanted)
    if any(sign in done.stderr for sign in UNREACHABLE):
        pytest.skip("no package registry can be reached")
    assert done.returncode == 0, done.stderr
    return target


@pytest.mark.long
@pytest.mark.network
@pytest.mark.parametrize("version", SUPPORTED)
def test_the_oldest_dependencies_suffice(wheel, tmp_path, version):
    python = new_environment(tmp_path / "environment", version)
    pins = oldest(python, tmp_path / "oldest.txt")
    install(python, "--requirements", pins, "--group", "test", "httpx")
    install(python, "--no-deps", wheel)
    for extra in EXTRAS:
        run(python, SMOKE, extra, folder=tmp_path, timeout=1800)
    run(python, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *FAST, folder=ROOT, timeout=3600)
