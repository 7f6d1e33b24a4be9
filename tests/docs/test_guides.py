"""Our Python code on every page of the site runs, from top to bottom; `test_first_pages` has the first two pages.

A page that loads ml-100k gets a small synthetic table with the same kind of ids, so that nothing is downloaded.
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
    if not {"_build", "generated"} & set(path.relative_to(DOCS).parts)
    and path.name != "getting-started.md"
    and list(blocks.ours(path.read_text("utf-8")))
)
NEEDS = {
    "docs/concepts/exact-top-n.md": "faiss",
    "docs/guides/database.md": "sqlalchemy",
    "docs/guides/from-keras-rs.md": "keras",
    "docs/guides/spark.md": "pyspark",
    "docs/guides/time.md": "optuna",
    "docs/guides/tune.md": "optuna",
}
"""The package of an extra that a page needs."""


@pytest.fixture(scope="module")
def small():
    """300 users, 200 items with string ids (196, 186, 50, 172, 242 … among them), times, and a few attributes."""
    table = cf.load_dataset("synthetic:300x250x9000")
    frame = table.to_frame().with_columns(pl.col("user", "item").cast(pl.String))
    number = pl.col("item").cast(pl.Int64)
    genres = pl.format(
        "{}|genre {}", pl.when(number % 2 == 0).then(pl.lit("Comedy")).otherwise(pl.lit("War")), number % 7
    )
    films = frame.select("item", "title", genres=genres, year=1950 + number % 50).unique("item", maintain_order=True)
    people = frame.select("user", age=18 + pl.col("user").cast(pl.Int64) % 50).unique("user")
    columns = {"value": "value", "time": "timestamp"}
    return cf.from_frame(frame, **columns, items=films, users=people, name="ml-100k")


@pytest.fixture
def at_hand(small, monkeypatch, tmp_path):
    """Run in a folder with a ratings.csv, and load the small table in place of ml-100k."""
    real = cf.load_dataset
    monkeypatch.setattr(
        cf, "load_dataset", lambda name, **options: small if name == "ml-100k" else real(name, **options)
    )
    monkeypatch.chdir(tmp_path)
    small.to_frame().select("user", "item", "value").write_csv("ratings.csv")


@pytest.mark.usefixtures("at_hand")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_of_a_page_runs(page, request):
    needed = NEEDS.get(str(page.relative_to(ROOT)))
    if needed and importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")
    if needed == "pyspark":
        request.getfixturevalue("spark_can_run")
    names = {}
    for line, code in blocks.ours(page.read_text("utf-8")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", cf.GoalWarning)  # the page on stars makes the list that it warns about
            blocks.output_of(code, names, f"{page.relative_to(ROOT)} from line {line}")


def test_every_executed_block_of_a_page_is_found():
    page = "```{executed}\n:quiet:\nx = 1\n```\n\nText\n\n```{executed}\nx + 1\n```\n\n```text\nno code\n```\n"
    assert [code for _, code in blocks.ours(page)] == ["\nx = 1\n", "x + 1\n"]


def test_a_page_that_fails_is_seen():
    other = "```{code-block} python\n:class: theirs other\nraise\n```\n"
    page = f"Text\n\n```python\nx = 1\n```\n\n{other}\n```python\n1 / 0\n```\n"
    (_, first), (line, second) = blocks.ours(page)
    assert (first, line) == ("x = 1\n", 13)
    with pytest.raises(ZeroDivisionError):
        blocks.output_of(second, {})
