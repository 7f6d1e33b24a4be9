"""The code that the guides show of other libraries, run as it stands there, and what it says beside ours.

Claim: the code in docs/guides runs with the versions that are pinned in `peers`. implicit's and Surprise's gives what
our code beside it gives: much the same list, and no smaller an error. The others learn something else than ours beside
them, or by another loss; how much of the two lists is the same is told, and claims nothing.

How: ml-100k as a file of user, item, value; each library's code in an environment of its own, ours in this one; both
end with the names that are compared. Where a library recommends what a user has had, ours does too. The rmse are of
random fifths, each program's own.

Run: ``python benchmarks/guides.py [--small]``.
"""

import contextlib
import json
import os
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
    """What is compared of a guide: a Python expression over their names, and one over ours."""

    page: str
    asked: str
    theirs: str
    ours: str
    compare: Callable[[Any, Any], dict[str, Any]]


def _shared_items(theirs: list[Any], ours: list[Any]) -> dict[str, Any]:
    mine = set(map(int, ours))
    return {"theirs": len(theirs), "ours": len(ours), "in both": len(mine.intersection(map(int, theirs)))}


def _errors(theirs: float, ours: float) -> dict[str, Any]:
    return {"theirs": short(theirs), "ours": short(ours)}


_FILMS = "the 10 films of user 196"
_WITH_SEEN = f"{_FILMS}, those already seen among them"
_BEST = "model.recommend([{user}], 10, exclude_seen=False)['item'].to_list()"

COMPARED = {
    "implicit": Comparison("implicit", _FILMS, "films.tolist()", "films['item'].to_list()", _shared_items),
    "surprise": Comparison("surprise", "rmse on a held-out fifth", "rmse", "rmse", _errors),
    "lightfm": Comparison(
        "lightfm", _WITH_SEEN, "[list(items)[row] for row in best]", _BEST.format(user="'196'"), _shared_items
    ),
    "spark": Comparison(
        "spark-als",
        _WITH_SEEN,
        "[row.item for row in best.where('user = 196').first().recommendations]",
        _BEST.format(user=196),
        _shared_items,
    ),
    "keras_rs": Comparison("keras-rs", _WITH_SEEN, "films.tolist()", _BEST.format(user=196), _shared_items),
}


def main() -> None:
    args = arguments(__doc__)
    ratings = cf.load_dataset("ml-100k", ids="int")
    results = Results("guides", args.small, peers=tuple(COMPARED))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for side in ("ours", "theirs"):  # both may write files of the same name
            Path(side).mkdir()
            ratings.to_frame().select("user", "item", "value").write_csv(f"{side}/ratings.csv")
        for library, comparison in COMPARED.items():
            page = (DOCS / "guides" / f"from-{comparison.page}.md").read_text(encoding="utf-8")
            with contextlib.chdir("theirs"):
                found = _peer(library, page, comparison.theirs)
            with contextlib.chdir("ours"):
                mine = eval(comparison.ours, _ours(page))
            figures = comparison.compare(found, mine)
            results.add("Their program and ours", library=library, asked=comparison.asked, **figures)
    results.write()


def _peer(library: str, page: str, expression: str) -> Any:
    """Run a page's code of a library in its environment, and return what an expression then is."""
    code = "\n".join(code for name, code in theirs(page) if name == library)
    told = f"{code}\nimport json\nprint(json.dumps({expression}))\n"
    command = [str(peers.python_of(library)), "-W", "ignore", "-c", told]
    environment = {**os.environ, **peers.PEERS[library].variables}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
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
