"""How long people wait before anything happens: imports and command-line starts, each beside its yardstick.

Run: ``.venv/bin/python benchmarks/startup.py``. Every pair is run in turn, and the ratio of the medians is printed.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 7
EMPTY_APP = "import typer\napp = typer.Typer()\n@app.command()\ndef one(): ...\n@app.command()\ndef two(): ...\napp()"
LIBRARIES = "import numpy, scipy.sparse, polars"
COFACTOR = "import cofactor; cofactor.Factors, cofactor.load, cofactor.load_dataset, cofactor.read_csv"


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def main() -> None:
    python, cofactor = sys.executable, str(Path(sys.executable).with_name("cofactor"))
    with tempfile.TemporaryDirectory() as folder:
        model = str(Path(folder) / "model.safetensors")
        subprocess.run([cofactor, "fit", "ml-100k", "-o", model], check=True, capture_output=True)
        pairs = {
            "import cofactor / numpy, scipy.sparse and polars": ([python, "-c", COFACTOR], [python, "-c", LIBRARIES]),
            "cofactor --help / an empty typer app": ([cofactor, "--help"], [python, "-c", EMPTY_APP, "--help"]),
            "cofactor recommend / numpy, scipy.sparse and polars": (
                [cofactor, "recommend", model, "1"],
                [python, "-c", LIBRARIES],
            ),
        }
        for name, (ours, yardstick) in pairs.items():
            times = [(seconds(ours), seconds(yardstick)) for _ in range(ROUNDS)]
            mine, theirs = (statistics.median(column) for column in zip(*times, strict=True))
            print(f"{name}: {mine:.2f} s / {theirs:.2f} s = {mine / theirs:.2f}")


if __name__ == "__main__":
    main()
