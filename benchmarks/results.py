"""What every benchmark shares: runs in turn, medians and their ratios, and the files that the tables go to.

`in_turn` runs ours, the peer's, ours, the peer's and so on, so that whatever else the machine does falls on both.
`versus` makes a row of two lists of figures: both medians, the ratio of the medians, and the least and greatest ratio
among the pairs of neighbouring runs. `Results.write` prints the tables and writes them as
``benchmarks/results/NAME.json`` and ``NAME.md``; runs with ``--small`` go to ``results/small`` and prove nothing.
"""

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import peers

FOLDER = Path(__file__).parent / "results"
PACKAGES = ("cofactor", "numpy", "scipy", "numba", "keras", "jax", "polars")
Ours = TypeVar("Ours")
Theirs = TypeVar("Theirs")
Row: TypeAlias = Mapping[str, Any]


def arguments(description: str | None, *, rounds: int = 0, **whole_numbers: int) -> argparse.Namespace:
    """Parse ``--small``, ``--rounds`` where the benchmark has rounds, and further whole numbers with their defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a smoke run: little data, short runs, no claim")
    if rounds:
        parser.add_argument("--rounds", type=int, default=rounds, help="how often both are run (%(default)s)")
    for name, default in whole_numbers.items():
        parser.add_argument(f"--{name}", type=int, default=default, help="(%(default)s)")
    parsed = parser.parse_args()
    if parsed.small and rounds:
        parsed.rounds = min(parsed.rounds, 2)
    return parsed


def in_turn(
    rounds: int, ours: Callable[[], Ours], theirs: Callable[[], Theirs]
) -> tuple[tuple[Ours, ...], tuple[Theirs, ...]]:
    """Run both alternately and return what each run gave."""
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    return tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)


def versus(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Return the medians of two lists of figures taken in turn, their ratio, and the range of the pairs' ratios."""
    mine, others = float(np.median(ours)), float(np.median(theirs))
    pairs = np.asarray(ours) / np.asarray(theirs)
    return {
        "ours": short(mine),
        "peer": short(others),
        "ratio": round(mine / others, 3),
        "pairs": f"{pairs.min():.3f}–{pairs.max():.3f}",
    }


def short(number: float, digits: int = 4) -> float:
    """Round to so many significant digits."""
    return float(f"{number:.{digits}g}")


def status(name: str) -> float:
    """Return a line of this process's status, such as VmHWM, in MiB (Linux)."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


def fresh(program: str, function: str, *settings: object, **variables: str) -> Any:
    """Call a function of the benchmark at a path in a process of its own; ``variables`` are its environment's."""
    call = f"import json, {Path(program).stem} as m; print(json.dumps(m.{function}(*{settings!r})))"
    paths = [str(Path(program).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, **variables, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-c", call], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@dataclass
class Results:
    """The tables of one benchmark.

    Parameters
    ----------
    name : str
        Of the files.
    small : bool
        Whether it was a smoke run.
    settings : mapping
        What else the tables depend on, such as the number of rounds.
    peers : sequence of str
        Whose versions are recorded.
    command : str
        What made the tables; that of this process, if not given.
    """

    name: str
    small: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    peers: Sequence[str] = ()
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    command: str = field(
        default_factory=lambda: " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    )

    def add(self, table: str, **row: object) -> None:
        """Append a row to a table, and print it."""
        self.tables.setdefault(table, []).append(row)
        print(f"{table}: " + ", ".join(f"{name} {_shown(value)}" for name, value in row.items()), flush=True)

    def note(self, text: str) -> None:
        """Say something below the tables."""
        self.notes.append(text)

    def write(self) -> None:
        """Write the JSON and the Markdown, and print the latter."""
        folder = FOLDER / "small" if self.small else FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        card = {
            "benchmark": self.name,
            "command": self.command,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "packages": {name: version for name in PACKAGES if (version := _version(name))},
            "peers": {name: peers.versions(name) for name in self.peers},
            "settings": dict(self.settings),
            "notes": self.notes,
            "tables": self.tables,
        }
        (folder / f"{self.name}.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")
        text = markdown(card)
        (folder / f"{self.name}.md").write_text(text)
        print(f"\n{text}")


def machine() -> dict[str, Any]:
    """Return the processor, the cores that may be used, the memory and the system."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def markdown(card: Mapping[str, Any]) -> str:
    """Write the tables of a benchmark as Markdown, with how they were made."""
    host = card["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in card["packages"].items())
    made = f"`{card['command']}` on {card['date'][:10]}: {host['cpu']}, {host['cores']} cores, Python {host['python']}"
    parts = [f"<!-- Generated by {card['command']}: do not edit. -->", f"Made by {made}; {packages}."]
    for name, versions in card["peers"].items():
        package = peers.PEERS[name].requirements[0].split("==")[0]
        parts.append(f"Peer: {package} {versions[package]}, numpy {versions['numpy']}, Python {versions['python']}.")
    for title, rows in card["tables"].items():
        parts += [f"**{title}**", _table(rows)]
    return "\n\n".join(parts + card["notes"]) + "\n"


def _table(rows: Sequence[Row]) -> str:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    body = [[_shown(row.get(name, "")) for name in columns] for row in rows]
    lines = [columns, ["---"] * len(columns), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.8g}"
    return "" if value is None else str(value)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
