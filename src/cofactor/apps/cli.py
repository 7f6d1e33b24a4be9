"""The command line: every command of ``cofactor``, each in a module of its own.

These modules import nothing heavy at their top, so that ``cofactor --help`` answers at once.
"""

import sys
from typing import Annotated, Any

import typer

from cofactor.apps import show
from cofactor.apps.compare import compare
from cofactor.apps.compile import compile
from cofactor.apps.datasets import datasets, synthesize
from cofactor.apps.evaluate import evaluate
from cofactor.apps.fit import fit
from cofactor.apps.forget import forget
from cofactor.apps.online import online
from cofactor.apps.options import DATA_OPTIONS, chosen, foreign_options, solver_options, taking
from cofactor.apps.plot import plot, report
from cofactor.apps.quickstart import quickstart
from cofactor.apps.recommend import audience, describe, export, recommend, similar
from cofactor.apps.serving import refit, serve
from cofactor.apps.tune import tune
from cofactor.errors import CofactorError
from cofactor.version import __version__

__all__ = ["build", "main"]


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        build(arguments)(args=arguments, prog_name="cofactor")
    except SystemExit as end:
        if isinstance(getattr(end.__context__, "__cause__", None), KeyboardInterrupt):  # which typer says nothing about
            raise KeyboardInterrupt from None
        raise


def build(arguments: list[str]) -> typer.Typer:
    """Return the application; ``fit`` has the options of the solver that the arguments choose."""
    app = typer.Typer(
        name="cofactor",
        help="Recommend the top n items for anyone by matrix factorization.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.callback()(_version)
    for command in (
        datasets,
        synthesize,
        taking(_fields_for(arguments), DATA_OPTIONS)(fit),
        evaluate,
        recommend,
        audience,
        similar,
        describe,
        export,
        compare,
        tune,
        plot,
        report,
        quickstart,
        serve,
        refit,
        compile,
        forget,
        online,
    ):
        app.command()(show.reporting_errors(command))
    return app


def _fields_for(arguments: list[str]) -> list[Any]:
    if "fit" not in arguments:
        return []
    from cofactor.solvers import SOLVER_FOR, solver_class

    try:
        by_goal = SOLVER_FOR.get(chosen(arguments, "--goal", "ranking"), "")
        options = solver_options(solver_class(chosen(arguments, "--solver", by_goal)))
        return options + foreign_options(arguments, options)
    except CofactorError:  # `fit` itself raises and reports it
        return []


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cofactor {__version__}")
        raise typer.Exit


def _version(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass
