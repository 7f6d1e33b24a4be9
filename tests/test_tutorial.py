"""The tutorial runs from top to bottom, its text fits its output, and the notebook is made from it."""

import importlib.util
import resource
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
STEPS = [
    "The data",
    "Re-indexing, and why you need not do it",
    "Training and test part",
    "The model",
    "Training, and the curve",
    "Errors at 5, 10 and 20 factors",
    "The embeddings",
    "The top five, and what is wrong with them",
    "Without negative numbers: tastes that can be read",
    "A new user",
    "Save it, serve it",
]
"""The article's steps in its order, then what the article leaves out."""


@pytest.fixture(scope="module")
def build():
    pytest.importorskip("nbclient", reason="nbclient is not installed: pip install nbclient")
    spec = importlib.util.spec_from_file_location("build", EXAMPLES / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def done(build, ml100k, tmp_path_factory):
    """The tutorial as it ran here, and the seconds of work that it took."""
    for package in ("keras", "uvicorn"):
        pytest.importorskip(package, reason=f"the tutorial needs {package}")
    folder = tmp_path_factory.mktemp("tutorial")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    notebook = build.run(build.notebook_of(EXAMPLES / "tutorial.py"), folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return notebook, folder, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def printed(notebook, start):
    """Return what the cell that begins so showed, as text."""
    cell = next(cell for cell in notebook.cells if cell.source.startswith(start))
    return "".join(output.get("text") or output["data"]["text/plain"] for output in cell.outputs)


def test_it_takes_less_than_three_minutes(done):
    assert done[2] < 180


def test_what_it_says_is_what_it_shows(done):
    notebook, folder, _ = done
    rows = [line.split("┆") for line in printed(notebook, "printed = ").splitlines() if "┆" in line][3:]
    articles, ours = ([float(row[place]) for row in rows] for place in (1, 2))
    assert all(mine < theirs for mine, theirs in zip(ours, articles, strict=True))
    assert ours == sorted(ours, reverse=True)  # more factors are no worse
    lists = [line.split("┆") for line in printed(notebook, "contenders = ").splitlines() if "0." in line]
    ndcg = [float(row[1]) for row in lists]
    assert ndcg[0] < ndcg[1] < ndcg[2] < ndcg[3]  # the article's, ours for ratings, popularity, ours for ranking
    scores, people = zip(
        *((float(row[2]), int(row[3].strip(" │"))) for row in _rows(printed(notebook, "top_five(article"))), strict=True
    )
    assert max(scores) > 5
    ranked = [int(row[3].strip(" │")) for row in _rows(printed(notebook, "ranker = "))]
    assert sum(people) < sum(ranked)
    assert "unknown user '9999'" in printed(notebook, "try:")
    assert "Empire Strikes Back" in printed(notebook, "ours.similar_items")
    assert (folder / "report.html").read_text().startswith("<!doctype html>")


def _rows(text):
    return [line.split("┆") for line in text.splitlines() if line.startswith("│") and "(" in line]


def test_it_goes_the_articles_way(build):
    text = "\n".join(cell.source for cell in build.cells_of((EXAMPLES / "tutorial.py").read_text()))
    heads = [line.partition(" · ")[2] for line in text.splitlines() if line.startswith("## ")]
    assert heads == STEPS
    assert "**Why re-index?**" in text
    assert "**Why a dot product?**" in text


def test_the_notebook_is_the_file_after_a_run(build):
    nbformat = pytest.importorskip("nbformat")
    kept = nbformat.read(EXAMPLES / "tutorial.ipynb", as_version=4)
    made = build.cells_of((EXAMPLES / "tutorial.py").read_text(encoding="utf-8"))
    assert [(cell.cell_type, cell.source) for cell in kept.cells] == [(cell.cell_type, cell.source) for cell in made]
    assert sum(bool(cell.get("outputs")) for cell in kept.cells) > 15
    assert not [o for cell in kept.cells for o in cell.get("outputs", []) if o.output_type == "error"]
