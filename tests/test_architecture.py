"""What docs/architecture.md promises of the code: heavy packages in one module each, every module says what it is."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "cofactor"
MODULES = sorted(SOURCE.rglob("*.py"))

ALLOWED = {
    "faiss": {"lists/approximate.py", "model/export.py"},
    "onnx": {"model/export.py"},
    "usearch": {"model/export.py"},
    "keras": {"model/keras_network.py"},
    "narwhals": {"data/frames.py"},
    "optuna": {"evaluation/studies.py"},
    "sqlalchemy": {
        "apps/web/events_store.py",
        "apps/web/items_store.py",
        "apps/web/migrations/versions/erasures_table.py",
        "apps/web/migrations/versions/events_tables.py",
        "apps/web/migrations/versions/first_ratings.py",
        "apps/web/migrations/versions/put_items.py",
        "apps/web/migrations/versions/rules_table.py",
        "apps/web/operators.py",
        "apps/web/rising.py",
        "apps/web/rules_store.py",
        "apps/web/schema.py",
        "apps/web/store.py",
        "data/database.py",
    },
}
"""The only modules that may import what is heavy."""


FACADES = {"cofactor.data.interactions", "cofactor.model.factors"}
"""Modules whose methods load modules that build on them; docs/architecture.md names them."""


def modules():
    """Return the package's modules by name."""
    named = {}
    for path in MODULES:
        name = ".".join(("cofactor", *path.relative_to(SOURCE).with_suffix("").parts))
        named[name.removesuffix(".__init__")] = path
    return named


def imports_within(path, named):
    """Return the package's own modules that a file imports, at any place: in functions and for types alone too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            full = (f"{node.module}.{name.name}" for name in node.names)
            found |= {name if name in named else node.module for name in full}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found & named.keys()


def test_no_modules_import_each_other_in_a_circle_but_through_the_facades():
    named = modules()
    graph = {name: imports_within(path, named) - {name} - FACADES for name, path in named.items()}
    while leaves := [name for name, needs in graph.items() if not needs & graph.keys()]:
        for name in leaves:
            del graph[name]
    while roots := graph.keys() - set().union(*graph.values()):
        for name in roots:
            del graph[name]
    assert not {name: sorted(needs & graph.keys()) for name, needs in graph.items()}


def test_one_basename_has_one_meaning():
    names = [path.name for path in MODULES if path.name != "__init__.py"]
    assert not {name for name in names if names.count(name) > 1}


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
