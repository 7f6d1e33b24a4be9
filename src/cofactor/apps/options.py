"""Command-line options: those that several commands share, those of the data, and every field of a solver."""

import dataclasses
import functools
import inspect
import re
import shlex
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

__all__ = [
    "DATA_OPTIONS",
    "Data",
    "Fraction",
    "Horizon",
    "How",
    "Json",
    "K",
    "Master",
    "ModelPath",
    "RelevantFrom",
    "Seed",
    "chosen",
    "data_options",
    "flag",
    "foreign_options",
    "in_options",
    "solver_options",
    "taking",
]

K = Annotated[list[int] | None, typer.Option("-k", help="Measure lists of this length too; repeat for more.")]
RelevantFrom = Annotated[
    float | None,
    typer.Option(help="From which rating on a held-out item is relevant in lists", show_default="whatever its rating"),
]
Master = Annotated[
    str | None, typer.Option(help="Do it on this Spark cluster, such as spark://host:7077; MODEL is a folder.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
Data = Annotated[str, typer.Argument(help="A data set's name, a file or folder, or a database URL.")]
ModelPath = Annotated[Path, typer.Argument(help="A model that 'fit -o' wrote.")]
Fraction = Annotated[float, typer.Option(help="Share of the ratings held out for testing; 0 trains on all.")]
Seed = Annotated[int, typer.Option(help="Seed of the split and of the solver.")]
How = Annotated[
    str, typer.Option(help="How to hold out: random, per-user, last (of each user), time or rolling (by date).")
]
Horizon = Annotated[
    str | None,
    typer.Option(
        help="With rolling: how long a test part lasts, such as 14d", show_default="as long as the share takes"
    ),
]


def _option(name: str, kind: Any, default: Any, help_text: str, shown: bool | str = True) -> inspect.Parameter:
    """Return an option; ``shown`` says in its help what holds where the default is None."""
    annotation = Annotated[kind, typer.Option(help=help_text, show_default=shown)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


DATA_OPTIONS = [
    _option("user_column", str | None, None, "Column of the users", "user or userId"),
    _option("item_column", str | None, None, "Column of the items", "item or movieId"),
    _option(
        "value_column", str | None, None, "Column of ratings or counts; none: implicit feedback", "value or rating"
    ),
    _option("time_column", str | None, None, "Column of times; none: without", "time or timestamp"),
    _option("separator", str | None, None, "Text between two columns", "by the file's name"),
    _option(
        "header",
        bool | None,
        None,
        "Whether a text file's first row names the columns; else user, item, value, time come in this order",
        "header",
    ),
    _option("encoding", str | None, None, "Encoding of a text file, such as latin-1", "utf-8"),
    _option("ids", Literal["str", "int"] | None, None, "Type of the ids in a text file", "str"),
    _option("weights", str | None, None, "What each text in the column of values counts, such as view=1,purchase=5"),
    _option(
        "duplicates",
        Literal["last", "first", "sum", "mean", "error"] | None,
        None,
        "How to treat repeated pairs",
        "last",
    ),
    _option("on_bad_rows", Literal["error", "skip"] | None, None, "How to treat rows that cannot be read", "error"),
    _option(
        "memory",
        str | None,
        None,
        "What may be in memory, such as 4GB: of Parquet, which is sorted on disk; of other files, while they are read",
        "half of what is there",
    ),
    _option("query", str | None, None, "SQL query, where DATA is a database URL"),
    _option("items", str | None, None, "File of what is known of the items: .csv, .parquet, u.item", "beside DATA"),
    _option("users", str | None, None, "File of what is known of the users, likewise", "beside DATA"),
    _option("items_query", str | None, None, "SQL query of what is known of the items, from --items URL", "DATA's URL"),
    _option("users_query", str | None, None, "SQL query of what is known of the users, likewise", "DATA's URL"),
]
"""How to read DATA where it is a file or a database."""


_COLUMNS = ("user", "item", "value", "time")
_LENGTHS = ("window", "half_life", "trend", "horizon")
_TIME = ("recency", "trend_weight")
_PLAIN = ("test_fraction", "trials", "examples", "relevant_from", "negatives", "seed", "timeout", "folds")
_NAMES = "encoding|ids|separator|duplicates|on_bad_rows|memory|values|on_unknown|goal|loss"


def flag(name: str, value: object = None) -> str:
    """Return how an option is written: ``--no-header`` for ``header`` where it is False."""
    return f"--{'no-' * (value is False)}{name.replace('_', '-')}"


def in_options(text: str) -> str:
    """Return an error's text with the options of the command line where it names Python's arguments.

    Examples
    --------
    >>> in_options("a.csv has no column 'value': name it with value=… (value=None where there is none)")
    "a.csv has no column 'value': name it with --value-column … (--value-column none where there is none)"
    >>> in_options("give encoding='latin-1', or leave them out with on_bad_rows='skip'")
    'give --encoding latin-1, or leave them out with --on-bad-rows skip'
    """
    text = text.replace("has_header=False", "--no-header").replace("ratings.binary()", "--value-column none")
    text = text.replace("with served=True", "with --served").replace("weights={…}", "--weights")
    text = re.sub(r"^weights (?=is|says)", "--weights ", text)
    text = text.replace("and fold_in() places users by ratings", "and 'cofactor serve' takes the ratings of new users")
    text = text.replace("or give cache= a folder on another disk, or set", "or set")
    text = re.sub(r"open_parquet\((?:path, )?memory='4GB'\)", "memory='4GB'", text)
    for side in ("item", "user"):
        text = re.sub(rf"^{side}_features\b", f"--{side}-features", text)
        text = text.replace(f"add some with ratings.with_{side}s(frame)", f"add some with --{side}s FILE")
    text = re.sub(r"^([kn]) is ", r"-\1 is ", text)
    text = re.sub(rf"^({'|'.join(_LENGTHS + _TIME + _PLAIN)}) is ", lambda found: f"{flag(found[1])} is ", text)
    text = re.sub(rf"\b({'|'.join(_LENGTHS)})='?([^ ,):']+)'?", lambda found: f"{flag(found[1])} {found[2]}", text)
    text = re.sub(r"^(where|by) (?=is|has|names|gives|does)", r"--\1 ", text)
    text = text.replace(", a timedelta, or a number of seconds", "")
    text = re.sub(rf"\b({'|'.join(_COLUMNS)})=None\b", r"--\1-column none", text)
    text = re.sub(rf"\b({'|'.join(_COLUMNS)})=…", r"--\1-column …", text)
    text = re.sub(rf"\b({_NAMES})='([^']*)'", lambda found: f"{flag(found[1])} {shlex.quote(found[2])}", text)
    setting = r"^[A-Z]\w+\((\w+)=(.+?)\): it must"
    return re.sub(setting, lambda found: f"{flag(found[1])} {found[2]}: it must", text)


def data_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a command's options that say how to read DATA."""
    return {parameter.name: options.get(parameter.name) for parameter in DATA_OPTIONS}


def taking(*groups: Iterable[inspect.Parameter]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command that takes ``**options`` the options of several groups, as if it had listed them."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        own = [p for p in inspect.signature(command).parameters.values() if p.kind is not p.VAR_KEYWORD]
        taken = {parameter.name for parameter in own}
        more = [parameter for group in groups for parameter in group if parameter.name not in taken]

        @functools.wraps(command)
        def with_options(*arguments: Any, **options: Any) -> Any:
            return command(*arguments, **options)

        with_options.__signature__ = inspect.Signature(own + more)  # type: ignore[attr-defined]
        with_options.__annotations__ = {p.name: p.annotation for p in own + more}
        return with_options

    return decorate


def solver_options(solver: type[Any]) -> list[inspect.Parameter]:
    """Return an option for every field of a solver, its help taken from the docstring."""
    help_texts: dict[str, str] = {}
    for kind in reversed(solver.__mro__):
        help_texts |= _described_parameters(inspect.cleandoc(kind.__doc__ or ""))
    hints = typing.get_type_hints(solver)
    own_first = sorted(dataclasses.fields(solver), key=lambda field: field.kw_only is True)
    return [
        _option(field.name, _option_type(hints[field.name]), _written(field.default), help_texts.get(field.name, ""))
        for field in own_first
    ]


def foreign_options(arguments: list[str], options: list[inspect.Parameter]) -> list[inspect.Parameter]:
    """Return hidden options for settings that are given by another library's names: each says what it is called here.

    Parameters
    ----------
    arguments : list of str
        Those of the command line.
    options : list of inspect.Parameter
        The settings that there are.
    """
    from cofactor.solvers.solver_settings import ours_for

    fields, found = [option.name for option in options], {}
    for argument in arguments:
        name = argument.partition("=")[0].removeprefix("--").replace("-", "_")
        own = ours_for(name, fields) if argument.startswith("--") and name not in fields else None
        if own is not None:
            found[name] = _refused(argument.partition("=")[0], name, own)
    return list(found.values())


def _refused(written: str, name: str, own: str) -> inspect.Parameter:
    def refuse(value: str | None) -> None:
        if value is not None:
            raise typer.BadParameter(f"it is called {flag(own)} here")

    annotation = Annotated[str | None, typer.Option(written, hidden=True, callback=refuse)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def chosen(arguments: list[str], flag: str, default: str) -> str:
    """Return the value given to a flag, before the command line is parsed in earnest."""
    for place, argument in enumerate(arguments):
        if argument == flag and place + 1 < len(arguments):
            return arguments[place + 1]
        if argument.startswith(f"{flag}="):
            return argument.removeprefix(f"{flag}=")
    return default


def _option_type(hint: Any) -> Any:
    """Return what a field is read as: as text where that is one of several types, such as a length of time."""
    parts = typing.get_args(hint)
    if str in parts:
        return str | None if type(None) in parts else str
    return str if hint is Any else hint


def _written(default: Any) -> Any:
    """Return a default as an option has it: names of columns as one text with commas."""
    return ",".join(default) if isinstance(default, tuple) else default


def _described_parameters(doc: str) -> dict[str, str]:
    """Read the first sentence of each parameter from a numpydoc docstring."""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+\n|\Z)", doc, re.DOTALL | re.MULTILINE)
    texts: dict[str, str] = {}
    for entry in re.finditer(r"^(\w[\w, ]*) : .*\n((?:[ ]+.*\n?|\n)*)", section[1] if section else "", re.MULTILINE):
        text = " ".join(entry[2].split())
        texts |= dict.fromkeys(re.split(r", ", entry[1]), re.split(r"(?<=[^.])\.(?: |$)", text)[0])
    return texts
