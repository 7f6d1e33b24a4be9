"""The programs in benchmarks/ and examples/ fit the package as it is: what they import of it is there."""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAMS = sorted(path for folder in ("benchmarks", "examples") for path in (ROOT / folder).glob("*.py"))


@pytest.mark.skipif(not PROGRAMS, reason="there are no benchmarks beside these tests")
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_a_program_finds_what_it_imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "cofactor":
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "cofactor":
                    importlib.import_module(alias.name)
