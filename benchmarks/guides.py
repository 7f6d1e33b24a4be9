"""The code that the guides show of other libraries, run as it stands there, and what it says beside ours.

Claim: for implicit and Surprise, the code in docs/guides runs with the versions that are pinned in `peers`, and gives
what our code beside it gives: much the same list, and no smaller an error.

How: ml-100k as a file of user, item, value; each library's code in an environment of its own, ours in this one; both
end with the names that are compared. The rmse are of random fifths, each program's own.

Run: ``python benchmarks/guides.py [--small]``.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peers
from results import Results, arguments, short

import cofactor as cf

DOCS = Path(__file__).parents[1] / "docs"
sys.path.append(str(DOCS / "extensions"))

from blocks import ours, output_of, theirs  # noqa: E402


@dataclass(frozen=True)
class Comparison:
    """What is compared of a guide: a Python expression for theirs, and how ours is taken from our names."""

    asked: str
    expression: str
    compare: Callable[[Any, dict[str, Any]], dict[str, Any]]


def _shared_items(their_list: list[float], names: dict[str, Any]) -> dict[str, Any]:
    mine = set(names["films"]["item"])
    return {"theirs": len(their_list), "ours": len(mine), "in both": len(mine & {int(item) for item in their_list})}


def _errors(their_error: float, names: dict[str, Any]) -> dict[str, Any]:
    return {"theirs": short(their_error), "ours": short(names["rmse"])}


COMPARED = {
    "implicit": Comparison("the 10 films of user 196", "films.tolist()", _shared_items),
    "surprise": Comparison("rmse on a held-out fifth", "rmse", _errors),
}


def main() -> None:
    args = arguments(__doc__)
    ratings = cf.load_dataset("ml-100k", ids="int")
    results = Results("guides", args.small, peers=tuple(COMPARED))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        ratings.to_frame().select("user", "item", "value").write_csv("ratings.csv")
        for library, comparison in COMPARED.items():
            page = (DOCS / "guides" / f"from-{library}.md").read_text(encoding="utf-8")
            found = _peer(library, page, comparison.expression)
            results.add(
                "Their program and ours",
                library=library,
                asked=comparison.asked,
                **comparison.compare(found, _ours(page)),
            )
    results.write()


def _peer(library: str, page: str, expression: str) -> Any:
    """Run a page's code of a library in its environment, and return what an expression then is."""
    code = "\n".join(code for name, code in theirs(page) if name == library)
    told = f"{code}\nimport json\nprint(json.dumps({expression}))\n"
    command = [str(peers.python_of(library)), "-W", "ignore", "-c", told]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{library}'s code in the guide failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _ours(page: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for _, code in ours(page):
        output_of(code, names)
    return names


if __name__ == "__main__":
    main()
