"""The command ``cofactor``, also ``python -m cofactor``; Ctrl-C prints one line, even while it is still loading."""

import contextlib
import os
import sys

__all__ = ["main"]


def main() -> None:
    """Load the command line and run it."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started us, as in 'cofactor … >&-'
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: PTH123, SIM115
    try:
        from cofactor.apps.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("error: stopped; no file was left half-written\n")
        _end(130)
    except SystemExit as end:
        if end.code == 130:  # stopped, and told so
            _end(130)
        raise


def _end(code: int) -> None:
    """End at once: threads of compiled code may still compute, and crash Python while it clears up."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
