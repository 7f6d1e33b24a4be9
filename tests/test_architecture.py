"""The layout that docs/architecture.md promises is the layout on disk."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "cofactor"
MODULES = sorted(SOURCE.rglob("*.py"))

ALLOWED = {
    "faiss": {"model/approximate.py"},
    "keras": {"model/keras_network.py"},
    "matplotlib": {"evaluation/plots.py"},
    "narwhals": {"data/frames.py"},
    "optuna": {"evaluation/studies.py"},
    "sqlalchemy": {
        "data/database.py",
        "apps/web/schema.py",
        "apps/web/store.py",
        "apps/web/migrations/versions/first_ratings.py",
    },
}
"""The only modules that may import what is heavy."""


def imports_of(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("package", ALLOWED)
def test_heavy_packages_are_imported_in_one_place(package):
    users = {str(path.relative_to(SOURCE)) for path in MODULES if package in imports_of(path)}
    assert users == ALLOWED[package]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_module_says_in_one_sentence_what_it_is(path):
    doc = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert " ".join(doc.split("\n\n")[0].split()).endswith((".", ":"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_stay_within_four_hundred_lines(path):
    assert len(path.read_text().splitlines()) <= 400


def files_in(tree):
    """Yield the files of a drawn tree as paths: a line names a folder, files, or both, and then says what they are."""
    folders = []
    for line in tree.splitlines():
        indent, rest = re.fullmatch(r"((?:[│ ]   )*)[├└]── (.*)", line).groups()
        here = folders = folders[: len(indent) // 4]
        for name in re.match(r"(?:[\w/]+(?:/|\.py|\.toml),? +)*", f"{rest} ")[0].replace(",", " ").split():
            if name.endswith("/"):
                here = folders = [*here, name.removesuffix("/")]
            else:
                yield "/".join([*here, name])


def test_the_documented_layout_is_the_layout_on_disk():
    text = (ROOT / "docs" / "architecture.md").read_text()
    documented = list(files_in(re.search(r"```\nsrc/cofactor/\n(.*?)```", text, re.DOTALL)[1]))
    on_disk = [path.relative_to(SOURCE).as_posix() for path in (*MODULES, *SOURCE.rglob("*.toml"))]
    apart = [name for name in on_disk if not name.endswith("/__init__.py")]  # every folder has one
    assert sorted(documented) == sorted(apart)
