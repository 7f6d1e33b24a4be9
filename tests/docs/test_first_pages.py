"""The README and getting started: they show a list that beats popularity, and run from their own install line."""

import importlib.metadata
import importlib.util
import re
import shlex
import sys
import tomllib
from pathlib import Path

import blocks
import polars as pl
import pytest

import cofactor as cf
from cofactor.evaluation import better

ROOT = Path(__file__).parents[2]
README, STARTED = ROOT / "README.md", ROOT / "docs" / "getting-started.md"
WITH_OUTPUT = re.compile(r"^```python\n(?P<code>.*?)^```\n\n```text\n(?P<output>.*?)^```$", re.M | re.S)
COMMANDS = re.compile(r"^```(?:text)?\n(?P<lines>cofactor .*?)^```$", re.M | re.S)
SLOW = {"quickstart", "serve"}
"""Commands with tests of their own: the one takes a minute, the other does not end."""


def commands(page):
    lines = [line for block in COMMANDS.finditer(page.read_text("utf-8")) for line in block["lines"].splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def installed_by(page):
    """Return the extras of the page's first install line."""
    extras = re.search(r"pip install '\.\[([\w,]*)\]'", page.read_text("utf-8"))[1]
    return set(extras.split(","))


@pytest.fixture
def only_with(monkeypatch):
    """Return what hides the packages of all extras but some, as if they had not been installed."""

    def hide(extras):
        known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        named = lambda lines: {re.match(r"[\w-]+", line)[0].lower() for line in lines}  # noqa: E731
        all_extras = {extra: named(lines) for extra, lines in known["optional-dependencies"].items() if extra != "all"}
        kept = named(known["dependencies"]).union(*(all_extras[extra] for extra in extras))
        hidden = set().union(*all_extras.values()) - kept
        packages = importlib.metadata.packages_distributions()
        modules = {name for name, owners in packages.items() if {owner.lower() for owner in owners} <= hidden}
        for name in list(sys.modules):
            if name.partition(".")[0] in modules:
                monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "meta_path", [_Hiding(modules), *sys.meta_path])
        return modules

    return hide


class _Hiding:
    def __init__(self, modules):
        self.modules = modules

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.modules:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.fixture
def small_films(monkeypatch, tmp_path):
    """A small table in place of ml-100k, plays.csv, and an empty folder to run in."""
    frame = cf.load_dataset("synthetic:300x250x9000").to_frame().with_columns(pl.col("user", "item").cast(pl.String))
    year = 1950 + pl.col("item").cast(pl.Int64) % 50
    title = pl.when(pl.col("item") == "50").then(pl.lit("Star Wars (1977)")).otherwise("title")
    films = frame.select("item", title=title, genres=pl.lit("Comedy|War"), year=year).unique("item")
    small = cf.from_frame(frame, value="value", time="timestamp", items=films, name="ml-100k")
    real = cf.load_dataset
    for place in ("cofactor.load_dataset", "cofactor.data.catalog.load_dataset"):
        monkeypatch.setattr(place, lambda name, **options: small if name == "ml-100k" else real(name, **options))
    monkeypatch.setattr("cofactor.data.catalog.dataset_files", lambda *_, **__: None)
    monkeypatch.chdir(tmp_path)
    frame.select(listener="user", track="item", plays="value").write_csv("plays.csv")


@pytest.mark.parametrize("page", [README, STARTED], ids=lambda page: page.name)
@pytest.mark.usefixtures("small_films")
def test_every_block_of_python_runs_with_what_the_page_installs(page, only_with):
    hidden = only_with(installed_by(page) & {"keras", "web", "tune"})
    assert {"faiss", "pyspark"} <= hidden | {"faiss", "pyspark"} - set(importlib.metadata.packages_distributions())
    names = {}
    for line, code in blocks.ours(page.read_text("utf-8")):
        blocks.output_of(code, names, f"{page.name} from line {line}")


@pytest.mark.usefixtures("small_films")
def test_the_commands_of_the_readme_run_one_after_the_other(only_with):
    from cofactor.apps.cli import build

    only_with(installed_by(README))
    ran = []
    for _, *arguments in commands(README):
        if arguments[0] in SLOW:
            continue
        shorter = ["2" if before == "--trials" else word for before, word in zip(["", *arguments], arguments)]  # noqa: B905
        assert _code_of(build(shorter), shorter) == 0, shorter
        ran.append(arguments[0])
    assert {"fit", "recommend", "similar", "report", "compare", "tune"} <= set(ran)
    assert Path("report.html").is_file()


def _code_of(app, arguments):
    from typer.testing import CliRunner

    result = CliRunner().invoke(app, arguments, prog_name="cofactor")
    return result.exit_code or result.exception or 0


@pytest.mark.usefixtures("small_films")
def test_the_commands_of_getting_started_make_the_lists_of_its_python():
    from cofactor.apps.cli import build

    names = {}
    for line, code in blocks.ours(STARTED.read_text("utf-8")):
        blocks.output_of(code, names, f"getting-started.md from line {line}")
    python = names["model"].recommend(["ann", "eve"], n=2)
    assert cf.load("drinks.safetensors").recommend(["ann", "eve"], n=2).equals(python)
    Path("drinks.safetensors").unlink()
    for _, *arguments in commands(STARTED):
        if arguments[0] not in SLOW:
            assert _code_of(build(arguments), arguments) == 0, arguments
    assert cf.load("drinks.safetensors").recommend(["ann", "eve"], n=2).equals(python)


def test_the_readmes_figures_are_those_that_its_code_prints(ml100k):
    shown = WITH_OUTPUT.search(README.read_text("utf-8"))
    assert "ImplicitALS(seed=0)" in shown["code"]  # the defaults
    names = {}
    printed = blocks.output_of(shown["code"], names)
    number = re.compile(r"[+-]?\d+\.\d+|\d+")
    assert number.sub("0", printed) == number.sub("0", shown["output"])
    for ours, theirs in zip(number.findall(printed), number.findall(shown["output"]), strict=True):
        assert float(ours) == pytest.approx(float(theirs), abs=0.002)
    assert better(names["report"], names["popular"], "ndcg@10").low > 0.2


def test_the_lists_of_getting_started_beat_popularity_by_a_clear_margin(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = {}
    for line, code in blocks.ours(STARTED.read_text("utf-8")):
        blocks.output_of(code, names, f"getting-started.md from line {line}")
    assert better(names["personal"], names["popular"], "ndcg@10").low > 0.1
