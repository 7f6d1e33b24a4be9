"""Options that are derived from a solver's fields."""

import dataclasses
import inspect
from typing import Any, Literal, get_args

import pytest

from cofactor.apps.options import chosen, solver_options, taking
from cofactor.solvers import SOLVERS, Popularity, solver_class


@dataclasses.dataclass(frozen=True)
class Pretender:
    """Learn nothing.

    Parameters
    ----------
    rank : int
        Length of the vectors, e.g. 20. More follows.
    warm, cold : bool
        Two at once,
        over two lines.
    pattern : Any
        Something.

    Notes
    -----
    rank : not this one
        Nor this.
    """

    rank: int = 20
    warm: bool = True
    cold: bool = False
    pattern: Any = "x"
    kind: Literal["a", "b"] = "a"


def test_an_option_has_the_fields_type_default_and_help():
    options = {option.name: option for option in solver_options(Pretender)}
    assert {name: option.default for name, option in options.items()} == {
        "rank": 20, "warm": True, "cold": False, "pattern": "x", "kind": "a",
    }  # fmt: skip
    helps = {name: get_args(option.annotation)[1].help for name, option in options.items()}
    assert helps["warm"] == helps["cold"] == "Two at once, over two lines."[:-1]
    assert helps["rank"].startswith("Length of the vectors")
    assert get_args(options["pattern"].annotation)[0] is str


def test_a_length_of_time_is_read_as_text_and_may_be_left_out():
    options = {option.name: option for option in solver_options(Popularity)}
    for name in ("window", "half_life"):
        assert options[name].default is None
        assert get_args(get_args(options[name].annotation)[0]) == (str, type(None))


@pytest.mark.parametrize("name", SOLVERS)
def test_every_field_of_every_solver_has_a_help_text(name):
    for option in solver_options(solver_class(name)):
        assert get_args(option.annotation)[1].help, option.name


def test_a_command_keeps_its_own_parameters_first():
    @taking(solver_options(Pretender))
    def command(data: str, *, rank: int = 3, **options: Any) -> dict:
        return options

    assert list(inspect.signature(command).parameters) == ["data", "rank", "warm", "cold", "pattern", "kind"]
    assert command("x", warm=False) == {"warm": False}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["fit", "--solver", "als"], "als"),
        (["fit", "--solver=als", "x"], "als"),
        (["fit", "x"], "keras"),
        (["fit", "--solver"], "keras"),
    ],
)
def test_the_solver_is_known_before_parsing(arguments, expected):
    assert chosen(arguments, "--solver", "keras") == expected
