"""The other libraries that ours is measured against, each in a virtual environment of its own.

Run: ``.venv/bin/python benchmarks/peers.py [NAME ...]`` installs them (all, without a name) under
``benchmarks/.venvs``. The benchmarks do so by themselves when they first need one. A peer's part of a benchmark is a
script in ``benchmarks/peer_scripts``, which prints its findings as one line of JSON, the last of its output.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FREEZE = (
    "import importlib.metadata as m, json, sys;"
    "print(json.dumps({d.name.lower(): d.version for d in m.distributions()} | {'python': sys.version.split()[0]}))"
)


@dataclass(frozen=True)
class Peer:
    """What pip installs, the package that is measured first, and the variables that its documentation advises."""

    requirements: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


PEERS = {
    "implicit": Peer(("implicit==0.7.3",), {"OPENBLAS_NUM_THREADS": "1"}),  # it warns of BLAS threads inside its own
    "faiss": Peer(("faiss-cpu==1.15.1",)),
    "cmfrec": Peer(("cmfrec==3.5.1.post14", "pandas", "threadpoolctl")),  # it does not name the last
    "surprise": Peer(("scikit-surprise==1.1.5", "pandas")),
    "spark": Peer(("pyspark==4.3.0", "numpy")),
    "keras_rs": Peer(("keras-rs==0.4.0", "jax==0.10.2"), {"KERAS_BACKEND": "jax"}),
    "irspack": Peer(("irspack==0.5.2",)),
    "lightfm": Peer(("lightfm-next==1.19.0",)),  # a fork, since LightFM itself no longer builds
    "pyversity": Peer(("pyversity==0.2.0",)),
    "myfm": Peer(("myfm==0.4.0", "setuptools<80", "scikit-learn", "pandas")),  # it imports pkg_resources
}


def python_of(name: str) -> Path:
    """Return the interpreter of a peer's environment, which is made first where it is not there."""
    folder = HERE / ".venvs" / name
    python = folder / "bin" / "python"
    wanted = "\n".join(PEERS[name].requirements)
    done = folder / "installed.txt"
    if not done.exists() or done.read_text() != wanted:
        print(f"installing {name} in {folder.relative_to(HERE.parent)} …", file=sys.stderr, flush=True)
        venv.create(folder, clear=True, with_pip=True)
        command = [str(python), "-m", "pip", "install", "--quiet", *PEERS[name].requirements]
        subprocess.run(command, check=True, stdout=sys.stderr)
        done.write_text(wanted)
    return python


def run_peer(name: str, script: str, *arguments: object) -> dict[str, Any]:
    """Run a script of ``peer_scripts`` in a peer's environment and return the JSON of its last line."""
    command = [str(python_of(name)), str(HERE / "peer_scripts" / script), *map(str, arguments)]
    environment = {**os.environ, **PEERS[name].variables, "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{name}'s {script} failed:\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@functools.cache
def versions(name: str) -> dict[str, str]:
    """Return the version of Python and of every package in a peer's environment."""
    output = subprocess.run([python_of(name), "-c", FREEZE], capture_output=True, text=True, check=True).stdout
    return dict(sorted(json.loads(output).items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PEERS))
    for name in parser.parse_args().names or PEERS:
        package = PEERS[name].requirements[0].split("==")[0]
        print(f"{name}: {package} {versions(name)[package]}")


if __name__ == "__main__":
    main()
