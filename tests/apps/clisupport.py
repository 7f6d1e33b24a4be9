"""The command line run within the tests' own process."""

import json

from typer.testing import CliRunner

from cofactor.apps.cli import build

__all__ = ["as_json", "run"]


def run(*arguments, code=0):
    """Run cofactor with some arguments; it must end with the code."""
    arguments = [str(argument) for argument in arguments]
    result = CliRunner().invoke(build(arguments), arguments, prog_name="cofactor")
    assert result.exit_code == code, result.output + str(result.exception)
    return result


def as_json(*arguments, code=0):
    """Run cofactor with some arguments and --json; return what it prints."""
    return json.loads(run(*arguments, "--json", code=code).stdout)
