"""The results pages: one for every file that the benchmarks wrote."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from result_tables import RESULTS, card_of, made, table

__all__ = ["pages"]

BENCHMARKS = RESULTS.parent


def pages() -> dict[str, str]:
    """Return the text of each page by its name below the folder of generated pages."""
    names = sorted(path.stem for path in RESULTS.glob("*.json"))
    written = {f"results/{name}.md": _page(name, card_of(name)) for name in names}
    return {"results/index.md": _index(names), **written}


def _index(names: list[str]) -> str:
    rows = [f"| [{_title(name)}]({name}.md) | {_about(name)} | {_day(card_of(name))} |" for name in names]
    machines = sorted({_machine(card_of(name)) for name in names})
    return "\n".join(
        [
            "# Benchmarks and reproduced results",
            "",
            _INTRODUCTION,
            "",
            f"Measured on: {'; '.join(machines)}.",
            "",
            "| page | what it shows | date |",
            "| --- | --- | --- |",
            *rows,
            "",
            "```{toctree}",
            ":hidden:",
            "",
            *names,
            "```",
            "",
        ]
    )


def _page(name: str, card: Mapping[str, Any]) -> str:
    packages = ", ".join(f"{package} {version}" for package, version in card["packages"].items())
    peers = [_peer(peer, versions) for peer, versions in card["peers"].items()]
    lines = [f"# {_title(name)}", "", _about(name), "", f"Made by {made(card)}; {packages}.", ""]
    lines += [f"Peers, each in an environment of its own: {'; '.join(peers)}.", ""] if peers else []
    for title, rows in card["tables"].items():
        lines += [f"## {title}", "", table(rows), ""]
    return "\n".join([*lines, *(f"{note}\n" for note in card["notes"])])


_PACKAGES = {
    "faiss": "faiss-cpu",
    "keras_rs": "keras-rs",
    "lightfm": "lightfm-next",
    "spark": "pyspark",
    "surprise": "scikit-surprise",
}
"""What a peer's package is called, where it is not the peer's own name."""


def _peer(name: str, versions: Mapping[str, str]) -> str:
    spelt = _PACKAGES.get(name, name)
    return f"{spelt} {versions[spelt]} with numpy {versions['numpy']} on Python {versions['python']}"


_SPELT = {"als": "ALS", "bpr": "BPR", "topn": "top n", "mf": "MF"}


def _title(name: str) -> str:
    """Write the name of a file as a title: ``implicit_als`` as Implicit ALS."""
    words = [_SPELT.get(word, word) for word in name.replace("reproduce-", "reproduce_").split("_")]
    title = " ".join(words)
    return title[0].upper() + title[1:]


def _about(name: str) -> str:
    """Return the first sentence of the program that wrote the results."""
    program = BENCHMARKS / Path(card_of(name)["command"].split()[1]).name
    text = ast.get_docstring(ast.parse(program.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def _day(card: Mapping[str, Any]) -> str:
    """Write the date so that no line breaks in it."""
    return str(card["date"][:10]).replace("-", "\N{NON-BREAKING HYPHEN}")


def _machine(card: Mapping[str, Any]) -> str:
    host = card["machine"]
    return f"{host['cpu']}, {host['cores']} cores, {host['memory_gib']:.0f} GiB, {host['system']}"


_INTRODUCTION = """All numbers on this site come from the programs in `benchmarks/`, which record the machine, the
versions, the date and the command. Settings and stopping points are chosen on a part of the training data, never on the
test part.

A *ratio* is our value divided by the peer's; each is the median of alternating runs. For seconds, a ratio below 1 means
that ours is faster. *pairs* is the range of the ratios of neighbouring runs. Trust the ratios more than the seconds,
which depend on the machine."""
