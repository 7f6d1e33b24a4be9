"""Environments apart from the one that the tests run in: made by uv, and filled from a package registry."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CALM = {"UV_CONCURRENT_DOWNLOADS": "4", "UV_CONCURRENT_INSTALLS": "2", "UV_CONCURRENT_BUILDS": "1"}
UNREACHABLE = ("error sending request", "Failed to fetch", "Network connectivity is disabled")


def clean():
    """Return the environment variables without those that lead Python past what is installed."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | CALM


def run(*command, folder, timeout=600):
    """Run a command, and show all that it said where it fails."""
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, cwd=folder, env=clean(), timeout=timeout
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def uv(*arguments):
    command = [sys.executable, "-m", "uv", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=clean())


def interpreter(version):
    """Return what uv is to look for: an interpreter that pyenv keeps, or the version, which uv finds or fetches."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return next(iter(sorted(kept.glob(f"{version}.*/bin/python"))), version)


def new_environment(folder, version):
    """Make an empty environment of a Python version, or skip where no such interpreter can be had."""
    done = uv("venv", "--python", interpreter(version), folder)
    if done.returncode:
        pytest.skip(f"Python {version} cannot be had here: {done.stderr.strip().splitlines()[-1].strip()}")
    return folder / "bin" / "python"


def install(python, *requirements):
    """Install into an environment, or skip where no package registry can be reached."""
    done = uv("pip", "install", "--python", python, *requirements)
    if any(sign in done.stderr for sign in UNREACHABLE):
        pytest.skip(f"no package registry can be reached: {done.stderr.strip().splitlines()[-1].strip()}")
    assert done.returncode == 0, done.stderr
