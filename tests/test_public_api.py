"""The public names are what is visible, and importing the library loads nothing heavy."""

import difflib
import textwrap
from pathlib import Path

import pytest
from processes import python

import cofactor
import cofactor.evaluation
import cofactor.solvers

HEAVY = ("keras", "jax", "tensorflow", "numba", "pyspark", "fastapi", "sqlalchemy", "narwhals", "pooch")


def loaded_after(code):
    report = f"import sys\n{textwrap.dedent(code)}\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    return python(report).strip().splitlines()[-1]


def test_every_public_name_is_there():
    assert sorted(cofactor.__all__) == cofactor.__all__
    for name in cofactor.__all__:
        assert getattr(cofactor, name) is not None
    assert dir(cofactor) == cofactor.__all__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cofactor.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cofactor.solvers.nothing  # noqa: B018


def test_public_names_have_a_docstring():
    for module in (cofactor, cofactor.evaluation, cofactor.solvers):
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value):
                assert value.__doc__, name


def test_a_change_to_the_public_api_is_a_decision():
    pytest.importorskip("keras")
    pytest.importorskip("optuna")
    from public_api import public_api

    agreed = (Path(__file__).parent / "public_api.txt").read_text(encoding="utf-8")
    changes = difflib.unified_diff(agreed.splitlines(), public_api().splitlines(), "agreed", "now", lineterm="", n=0)
    told = "\n".join(changes)
    assert not told, (
        f"the public API has changed:\n{told}\n"
        "If this is meant: 'make public-api', a line in CHANGELOG.md, and the rules of docs/policy.md"
    )


@pytest.mark.parametrize(
    "code",
    [
        "import cofactor; cofactor.load, cofactor.load_dataset, cofactor.Factors, cofactor.read_csv",
        "from cofactor.evaluation import evaluate, compare",
        "from cofactor.apps.cli import build; build(['recommend', 'x', '1'])",
        "import cofactor; cofactor.load_dataset('synthetic:30x20x100')",
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(code):
    assert loaded_after(code) == "[]"


@pytest.mark.parametrize(
    ("arguments", "package", "extra"),
    [
        (["serve", "m.safetensors"], "uvicorn", "web"),
        (["serve", "m.safetensors"], "sqlalchemy", "web"),
        (["refit", "m.safetensors", "-o", "n.safetensors"], "sqlalchemy", "web"),
        (["refit", "m.safetensors", "-o", "n.safetensors"], "alembic", "web"),
        (["fit", "ml-100k", "--solver", "spark-als", "-o", "folder"], "pyarrow", "spark"),
    ],
)
def test_a_command_that_needs_an_extra_says_so_before_its_work(arguments, package, extra):
    code = f"""
        import sys
        sys.modules["{package}"] = None
        from cofactor.apps import sources
        from cofactor.model import storage
        sources.open_data = None  # nothing is read or trained
        storage.open_model = storage.load = lambda path: None
        from typer.testing import CliRunner
        from cofactor.apps.cli import build
        result = CliRunner().invoke(build({arguments}), {arguments})
        print(" ".join(result.stderr.split()))
    """
    assert python(code).strip() == f"error: {package} is not installed: pip install 'cofactor[{extra}]'"


def test_a_missing_extra_says_what_to_install():
    code = """
        import sys
        sys.modules["keras"] = None
        import cofactor
        try:
            from cofactor.solvers import KerasMF
        except cofactor.MissingExtraError as error:
            print(error)
    """
    assert python(code).strip() == "keras is not installed: pip install 'cofactor[keras]'"
