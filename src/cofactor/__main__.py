"""The command ``cofactor``, also ``python -m cofactor``; Ctrl-C prints one line, even while it is still loading."""

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
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
