"""Every block of Python on the site that is ours runs, page by page from top to bottom.

Where a page asks for ml-100k it gets a small made-up table with ml-100k's kind of ids, so that nothing is fetched.
"""

import importlib.util
import warnings
from pathlib import Path

import blocks
import polars as pl
import pytest

import cofactor as cf

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    path
    for path in DOCS.rglob("*.md")
    if not {"_build", "generated"} & set(path.relative_to(DOCS).parts) and list(blocks.ours(path.read_text("utf-8")))
)
NEEDS = {
    "concepts/exact-top-n.md": "faiss",
    "guides/database.md": "sqlalchemy",
    "guides/from-keras-rs.md": "keras",
    "guides/spark.md": "pyspark",
    "guides/tune.md": "optuna",
}
"""The package of an extra without which a page cannot run."""


@pytest.fixture(scope="module")
def small():
    """300 users and 200 items whose ids are strings, with timestamps and titles; 196, 186, 50, 172, 242 … are there."""
    table = cf.load_dataset("synthetic:300x250x9000")
    frame = table.to_frame().with_columns(pl.col("user", "item").cast(pl.String))
    titles = frame.select("item", "title").unique("item")
    columns = {"value": "value", "time": "timestamp"}
    return cf.from_frame(frame, **columns, titles=titles, name="ml-100k")


@pytest.fixture
def at_hand(small, monkeypatch, tmp_path):
    """A folder with a ratings.csv, and the small table in place of ml-100k."""
    real = cf.load_dataset
    monkeypatch.setattr(
        cf, "load_dataset", lambda name, **options: small if name == "ml-100k" else real(name, **options)
    )
    monkeypatch.chdir(tmp_path)
    small.to_frame().select("user", "item", "value").write_csv("ratings.csv")


@pytest.mark.usefixtures("at_hand")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_the_python_of_a_page_runs(page, request):
    needed = NEEDS.get(str(page.relative_to(DOCS)))
    if needed and importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    if needed == "pyspark":
        request.getfixturevalue("spark_can_run")
    names = {}
    for line, code in blocks.ours(page.read_text("utf-8")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", cf.GoalWarning)  # the page on stars makes the list it warns of
            blocks.output_of(code, names, f"{page.relative_to(ROOT)} from line {line}")


def test_a_page_that_fails_is_seen():
    other = "```{code-block} python\n:class: theirs other\nraise\n```\n"
    page = f"Text\n\n```python\nx = 1\n```\n\n{other}\n```python\n1 / 0\n```\n"
    (_, first), (line, second) = blocks.ours(page)
    assert (first, line) == ("x = 1\n", 13)
    with pytest.raises(ZeroDivisionError):
        blocks.output_of(second, {})
