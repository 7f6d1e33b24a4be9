"""The generated pages of the site are complete, and their generators report what is missing."""

import doctest
import importlib
import json
import re
from pathlib import Path

import pytest

from cofactor.solvers import SOLVERS

pytest.importorskip("sphinx", reason="sphinx is not installed")
pytest.importorskip("myst_parser", reason="myst-parser is not installed")

import api_pages
import command_pages
import result_pages
import tutorial_pages
from mathml import to_mathml
from result_tables import card_of, table

DOCS = Path(__file__).parents[2] / "docs"
EXTENSIONS = sorted(path.stem for path in (DOCS / "extensions").glob("*.py"))


@pytest.mark.parametrize("name", EXTENSIONS)
def test_the_examples_of_the_extensions_run(name):
    assert doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0


def test_every_command_and_every_option_of_a_solver_is_in_the_reference():
    pages = command_pages.pages()
    assert {"cli/serve.md", "cli/fit.md", "cli/tune.md"} <= set(pages)
    for solver in SOLVERS:
        assert f"### --solver {solver}\n" in pages["cli/fit.md"]
    assert "`--unobserved-weight" in pages["cli/fit.md"]


def test_the_reference_names_every_public_name():
    index = api_pages.pages()["api/index.md"]
    for module in ("cofactor", "cofactor.solvers", "cofactor.evaluation"):
        for name in importlib.import_module(module).__all__:
            if callable(getattr(importlib.import_module(module), name)):
                assert f"`~{module}.{name}`" in index


def test_result_pages_carry_command_machine_and_date():
    pages = result_pages.pages()
    card = card_of("topn")
    page = pages["results/topn.md"]
    for told in (card["command"], card["date"][:10], card["machine"]["cpu"], *card["tables"]):
        assert told in page
    assert set(pages) == {f"results/{path.stem}.md" for path in result_pages.RESULTS.glob("*.json")} | {
        "results/index.md"
    }


def test_the_tutorial_shows_all_that_the_notebook_holds():
    cells = json.loads(tutorial_pages.NOTEBOOK.read_text("utf-8"))["cells"]
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    made = tutorial_pages.pages()
    page = made.pop("tutorial.md")
    for cell in cells:
        assert "".join(cell["source"]).replace("  # fmt: skip", "") in page
    frames = sum('class="dataframe"' in "".join(data.get("text/html", "")) for data in outputs)
    assert len(re.findall(r"^\|(?: -{3}:? \|)+$", page, re.M)) == frames > 8
    assert len(made) == sum("image/svg+xml" in data for data in outputs) == page.count("{image} tutorial/") > 2
    assert all(picture.startswith("<svg ") for picture in made.values())
    assert len(re.findall(r"^:alt: .{20,}$", page, re.M)) == len(made)
    assert "\x1b" not in page
    assert "<style" not in page


def test_a_picture_that_nobody_describes_ends_the_build(tmp_path, monkeypatch):
    picture = {"output_type": "display_data", "data": {"image/svg+xml": "<svg></svg>"}}
    cells = [
        {"cell_type": "markdown", "source": ["# Title"]},
        {"cell_type": "code", "source": ["draw()"], "outputs": [picture]},
    ]
    (tmp_path / "tutorial.ipynb").write_text(json.dumps({"cells": cells}))
    monkeypatch.setattr(tutorial_pages, "NOTEBOOK", tmp_path / "tutorial.ipynb")
    with pytest.raises(Exception, match=r"has a picture that none of cofactor's functions drew: 'draw\(\)'"):
        tutorial_pages.pages()


def test_a_solver_in_a_table_shows_what_is_not_its_default():
    rows = [{"solver": "ALS(rank=20, epochs=5)", "mse": 0.5}]
    assert "`ALS(epochs=5)`" in table(rows)
    assert "os.system(1)" in table([{"solver": "os.system(1)"}])


def test_a_subscript_of_an_accented_letter_stands_beside_it():
    assert "munderover" not in to_mathml(r"\hat r_{ui} = \mu", block=True)


@pytest.mark.parametrize("path", sorted((DOCS / "drawings").glob("*.svg")), ids=lambda path: path.stem)
def test_drawings_take_their_colours_from_the_page_and_say_what_they_show(path):
    text = path.read_text("utf-8")
    assert re.search(r'role="img" aria-label="[^"]{20,}"', text)
    assert not re.search(r"#[0-9a-fA-F]{3,6}\b|(fill|stroke)=", text)


def test_every_result_that_is_kept_has_its_command_in_the_list_of_benchmarks():
    benchmarks = DOCS.parent / "benchmarks"
    listed = (benchmarks / "README.md").read_text("utf-8")
    for path in (benchmarks / "results").glob("*.json"):
        program = Path(card_of(path.stem)["command"].split()[1]).name
        assert program in listed
        assert f"[results/{path.stem}.md](results/{path.stem}.md)" in listed
