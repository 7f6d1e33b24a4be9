"""Processes beside the tests' own: Python that runs in one, and a port for one that listens."""

import os
import socket
import subprocess
import sys
import textwrap
import time

__all__ = ["free_port", "python", "until_listening"]


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


def until_listening(port, seconds=30):
    """Wait until somebody listens on a port of this machine's."""
    end = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            assert time.monotonic() < end, f"nobody listens on {port}"
            time.sleep(0.05)
