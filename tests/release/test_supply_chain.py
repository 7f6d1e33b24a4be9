"""What is installed beside cofactor has no vulnerability that is known, and is listed in a bill of materials."""

import json
import re
import subprocess
import sys
import tomllib

import pytest
from environments import ROOT, UNREACHABLE, clean, install, new_environment, run

NO_ANSWER = (
    *UNREACHABLE,
    "ConnectionError",
    "Max retries exceeded",
    "Could not resolve",
    "HTTPSConnectionPool",
    "timed out",
)


@pytest.fixture(scope="module", params=["", "[all]"], ids=["alone", "with all extras"])
def environment(wheel, tmp_path_factory, request):
    """Return the Python of an environment with the newest of everything that cofactor needs."""
    python = new_environment(
        tmp_path_factory.mktemp("supply") / "environment", f"{sys.version_info[0]}.{sys.version_info[1]}"
    )
    install(python, f"cofactor{request.param} @ {wheel.as_uri()}")
    return python


@pytest.mark.long
@pytest.mark.network
def test_no_dependency_has_a_known_vulnerability(environment):
    pytest.importorskip("pip_audit")
    packages = run(environment, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=ROOT).strip()
    command = [sys.executable, "-m", "pip_audit", "--path", packages, "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, env=clean(), timeout=1800)
    if not done.stdout and any(sign in done.stderr for sign in NO_ANSWER):
        pytest.skip(f"what is known of packages cannot be asked for: {done.stderr.strip().splitlines()[-1]}")
    assert done.stdout, done.stderr
    audited = json.loads(done.stdout)["dependencies"]
    assert {"numpy", "polars", "safetensors"} <= {one["name"] for one in audited}
    assert not [one for one in audited if one.get("vulns")]


@pytest.mark.long
@pytest.mark.network
def test_a_bill_of_materials_lists_every_dependency(environment, tmp_path):
    pytest.importorskip("cyclonedx_py")
    target = tmp_path / "cofactor.cdx.json"
    options = ("--output-format", "JSON", "--output-file", target, "--pyproject", ROOT / "pyproject.toml")
    run(sys.executable, "-m", "cyclonedx_py", "environment", *options, environment, folder=tmp_path)
    bill = json.loads(target.read_text(encoding="utf-8"))
    listed = {re.sub(r"[-_.]+", "-", one["name"]).lower(): one["version"] for one in bill["components"]}
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "cofactor"
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert {re.match(r"[\w-]+", one)[0] for one in needed} <= listed.keys()
