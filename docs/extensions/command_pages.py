"""The command-line reference: a page for each command, from the application that the command line itself runs."""

import re
from typing import Any

import typer
import typer.main

from cofactor.apps.cli import build
from cofactor.solvers import SOLVER_FOR, SOLVERS, solver_class

__all__ = ["pages"]

_ERRORS = """## Errors

An error is one line on stderr: what is wrong with which value, and what to do. With `--json`, stdout also gets an
object with the key `error`. Warnings are lines on stderr too, and the command continues.

| exit code | |
| --- | --- |
| 0 | success |
| 1 | an error in the data, the model or the machine |
| 2 | a wrong option or setting |
| 130 | stopped by Ctrl-C |"""

_RECORD = re.compile(r"^(?P<text>.*?)\s*(?P<marks>(?:\[[^\]]*\]\s*)*)$", re.S)


def pages() -> dict[str, str]:
    """Return the text of each page by its name below the folder of generated pages."""
    application: Any = typer.main.get_command(build([]))
    commands = dict(sorted(application.commands.items()))
    written = {"cli/index.md": _index(commands)}
    for name, command in commands.items():
        written[f"cli/{name}.md"] = _page(name, command) + (_solver_options() if name == "fit" else "")
    return written


def _index(commands: dict[str, Any]) -> str:
    rows = [f"| [`cofactor {name}`]({name}.md) | {command.help} |" for name, command in commands.items()]
    about = (
        "Every command takes `--help`, and almost every one `--json`, which prints one JSON object and nothing else. "
        "`DATA` is the name of a data set, a file, a folder of Parquet files, or the URL of a database with `--query`."
    )
    toctree = ["```{toctree}", ":hidden:", "", *commands, "```"]
    table = ["| command | |", "| --- | --- |", *rows]
    return "\n".join(["# Command line", "", about, "", *table, "", _ERRORS, "", *toctree, ""])


def _page(name: str, command: Any) -> str:
    context = typer.Context(command, info_name=name)
    usage = " ".join(["cofactor", name, *command.collect_usage_pieces(context)])
    lines = [f"# cofactor {name}", "", str(command.help), "", "```text", usage, "```", ""]
    for title, kind in (("Arguments", "argument"), ("Options", "option")):
        parameters = [p for p in command.params if p.param_type_name == kind]
        if parameters:
            lines += [f"## {title}", "", *_table([p.get_help_record(context) for p in parameters]), ""]
    return "\n".join(lines)


def _table(records: list[Any]) -> list[str]:
    """Write names and what they do as two columns; what typer puts in brackets stands below the text."""
    rows = []
    for name, text in records:
        found = _RECORD.match(str(text).replace("|", "\\|"))
        marks = re.findall(r"\[([^\]]*)\]", found["marks"]) if found else []
        said = (found["text"] if found else text).strip()
        if marks:
            said = f"{said} *{'; '.join(marks)}*".strip()
        rows.append(f"| {' '.join(f'`{part}`' for part in _names(str(name)))} | {said} |")
    return ["| name | |", "| --- | --- |", *rows]


def _names(record: str) -> list[str]:
    return [part.strip().replace("|", " or ") for part in re.split(r", | / ", record)]


def _solver_options() -> str:
    """Write the options that ``fit`` has for each solver: they are its fields."""
    default = " and ".join(f"`{solver}` for `--goal {goal}`" for goal, solver in SOLVER_FOR.items())
    lines = ["", "## Options of each solver", ""]
    lines += [f"Without `--solver` the goal chooses: {default}. A solver's options are its settings in Python."]
    common = {p.name for p in _fit_with("popularity").params}
    for solver in SOLVERS:
        command = _fit_with(solver)
        context = typer.Context(command, info_name="fit")
        own = [p.get_help_record(context) for p in command.params if p.name not in common]
        shown = solver_class(solver)
        link = f"{{py:class}}`~cofactor.solvers.{shown.__name__}`"
        lines += ["", f"### --solver {solver}", "", f"{link}: {_first_sentence(shown)}", ""]
        lines += _table(own) if own else ["It has no options of its own."]
    return "\n".join([*lines, ""])


def _fit_with(solver: str) -> Any:
    application: Any = typer.main.get_command(build(["fit", "--solver", solver]))
    return application.commands["fit"]


def _first_sentence(solver: type[Any]) -> str:
    return " ".join((solver.__doc__ or "").split("\n\n")[0].split())
