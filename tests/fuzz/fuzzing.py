"""Runs mutants through victims: processes that are watched, so that one that crashes, hangs or swells is seen.

``python tests/fuzz/fuzzing.py FORMAT NUMBER SEED`` runs some and says what did harm, with the seed that makes it again.
"""

import collections
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import mutations
import numpy as np

STORED = Path(__file__).parents[1] / "stored" / "format-3"
TOOLS = Path(__file__).parents[2] / "tools"
SECONDS = 10
FIRST_SECONDS = 120  # kernels are compiled
BYTES = 200_000_000
LEAST = 10  # mutants that are run even where time is up

SOURCES = {
    "models": (mutations.tensors, "models/*.safetensors"),
    "model-folders": (mutations.folder, "model-folders/*/"),
    "interactions": (mutations.folder, "interactions/*/"),
    "cache": (mutations.folder, "cache/*/"),
    "checkpoints": (mutations.tensors, "checkpoints/*.safetensors"),
    "studies": (mutations.lines, "studies/*.study"),
    "ratings-stores": (mutations.database, "ratings-stores/*.db"),
    "tokens": (mutations.text, None),
}


@dataclass
class Findings:
    """What happened to the mutants of a format: how many of each outcome, and the seeds of those that did harm."""

    counts: collections.Counter = field(default_factory=collections.Counter)
    harm: list = field(default_factory=list)


class Victim:
    """A process that opens files of a format."""

    def __init__(self, name):
        self.name, self.process = name, None

    def outcome(self, path):
        """Return what happened to the file that it was given; a process that did not survive it is replaced."""
        self.start()
        return self._told(path, SECONDS)

    def start(self):
        """Begin with the sound files, for which kernels are compiled where this is the first time."""
        if self.process is not None:
            return
        command = [sys.executable, Path(__file__).with_name("victims.py"), self.name]
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self.scratch = tempfile.TemporaryDirectory()
        found = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(TOOLS)]), "TMPDIR": self.scratch.name}
        piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.errors}
        self.process = subprocess.Popen(command, env=found, **piped)
        with tempfile.TemporaryDirectory() as folder:
            for source in sources(self.name, Path(folder)):
                copy = Path(folder) / f"sound.{source.name}"
                shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
                found = self._told(copy, FIRST_SECONDS)
                assert found["outcome"] == "works", (source, found)

    def _told(self, path, seconds):
        self.process.stdin.write(f"{path}\n".encode())
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else b""
        if line:
            found = json.loads(line)
            if found["memory"] > BYTES and found["outcome"] == "refused":
                found["outcome"] = "swelled"
            return found
        self.errors.seek(0)
        last = self.errors.read()[-1500:].decode("utf-8", "replace")
        self.close()
        return {"outcome": "crashed" if ready else "hung", "error": last}

    def close(self):
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
            self.errors.close()
            self.scratch.cleanup()
            self.process = None


def sources(name, folder):
    """Return the sound files of a format; those that are not stored are written to the folder."""
    pattern = SOURCES[name][1]
    if pattern is not None:
        return sorted(STORED.glob(pattern))
    (folder / "sound").write_text("# tokens\n" + "\n".join("0123456789abcdef" * 2 for _ in range(3)))
    return [folder / "sound"]


def mutant(name, seed, folder):
    """Write the mutant of a format that a seed stands for; return its path."""
    mutate, _ = SOURCES[name]
    random = np.random.default_rng([seed, list(SOURCES).index(name)])
    found = sources(name, folder)
    source = found[random.integers(len(found))]
    target = folder / f"{seed}.{source.stem}{source.suffix}"
    mutate(random, source, target)
    return target


def run(name, seeds, seconds=None):
    """Run the mutants of some seeds; stop after some seconds, but for the first few."""
    findings, victim = Findings(), Victim(name)
    try:
        victim.start()
        end = time.monotonic() + (seconds or 1e9)
        for seed in seeds:
            if time.monotonic() > end and findings.counts.total() >= LEAST:
                break
            with tempfile.TemporaryDirectory() as folder:
                path = mutant(name, seed, Path(folder))
                found = victim.outcome(path)
                findings.counts[found["outcome"]] += 1
                if found["outcome"] not in ("works", "refused"):
                    findings.harm.append((seed, found))
    finally:
        victim.close()
    return findings


def report(findings):
    """Return what happened as text: how often, and one example of each kind of harm."""
    lines, met = [str(dict(findings.counts))], collections.Counter()
    for seed, found in findings.harm:
        told = found.get("trace") or found["error"]
        kind = f"{found['outcome']}: {found['error'][:90]} | {' '.join(told.strip().splitlines()[-4:-1])[-200:]}"
        met[kind] += 1
        if met[kind] == 1:
            lines += [f"---- seed {seed}, {found['outcome']}", told[-1400:]]
    return "\n".join([*lines, *(f"{count} {kind}" for kind, count in met.most_common())])


if __name__ == "__main__":
    of_format, number, first = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    begun = time.monotonic()
    text = report(run(of_format, range(first, first + number)))
    sys.stdout.write(f"{of_format}, {time.monotonic() - begun:.0f} s: {text}\n")
