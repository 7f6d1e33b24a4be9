"""What docs/architecture.md promises of the code: heavy packages in one module each, every module says what it is."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "cofactor"
MODULES = sorted(SOURCE.rglob("*.py"))

ALLOWED = {
    "faiss": {"lists/approximate.py"},
    "keras": {"model/keras_network.py"},
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
