"""Processes beside the tests' own: Python that runs in one, and a port for one that listens."""

import os
import socket
import subprocess
import sys
import textwrap

__all__ = ["free_port", "python"]


def python(code, *arguments, **variables):
    """Run Python in a process of its own; return what it prints. ``variables`` are its environment's.

    Where it fails, all that it said is shown.
    """
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def free_port():
    """Return a port of this machine's that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
