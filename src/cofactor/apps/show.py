"""What the command line prints: tables and progress for people, one JSON object for programs, errors for both."""

import contextlib
import functools
import json
import math
import os
import shlex
import shutil
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from cofactor.apps.options import in_options
from cofactor.errors import CofactorError, CollapseWarning, GoalWarning, SettingError

if TYPE_CHECKING:
    import polars as pl

    from cofactor.model.factors import Factors

__all__ = [
    "Progress",
    "as_json",
    "command_line",
    "headline",
    "is_terminal",
    "json_text",
    "note",
    "progress_bar",
    "prose",
    "reporting_errors",
    "rows_of",
    "say",
    "table",
    "vectors",
]

FACTORS = 6
"""How many factors are shown: these fit on a narrow terminal."""

Progress = Callable[[float | None, str], None]
"""A function that takes the share that is done, from 0 to 1 or None if that is not known, and a few words."""


def reporting_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn an error into one line on stderr and an exit code: 2 for bad usage, 130 for Ctrl-C, else 1.

    Our own warnings become one line each on stderr.
    """

    @functools.wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        try:
            with _warnings_as_notes():
                return command(*arguments, **options)
        except SettingError as error:
            _fail(in_options(str(error)), 2, options)
        except CofactorError as error:
            _fail(in_options(str(error)), 1, options)
        except BrokenPipeError:  # the reader, such as `head`, has stopped reading
            _stop_writing()
            raise typer.Exit(1) from None
        except OSError as error:
            _fail(f"{error.filename or 'the system'}: {error.strerror or error}", 1, options)
        except MemoryError as error:
            _fail(
                f"out of memory ({error}): a smaller --rank, or --memory with a Parquet folder, needs less",
                1,
                options,
            )
        except KeyboardInterrupt as error:
            _fail(str(error) or "stopped; no file was left half-written", 130, options)
        return None

    return wrapped


@contextlib.contextmanager
def _warnings_as_notes() -> Iterator[None]:
    """Show our own warnings as one line each, without a file and line of our code."""
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show_warning(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
            ours = issubclass(category, GoalWarning | CollapseWarning)
            note(str(message)) if ours else shown(message, category, *place, **more)

        warnings.showwarning = show_warning
        yield


def _stop_writing() -> None:
    """Discard what is still buffered, so that Python does not report an error when it exits."""
    with contextlib.suppress(OSError, ValueError):  # a replaced stdout may have no file descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(text: str, code: int, options: Mapping[str, Any]) -> None:
    if options.get("json_output"):
        with contextlib.suppress(OSError):  # writing to stdout may be what failed
            as_json({"error": text})
    typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
    typer.echo(text, err=True)
    raise typer.Exit(code)


def as_json(result: Mapping[str, Any]) -> None:
    """Print one JSON object to stdout."""
    typer.echo(json_text(result))


def json_text(result: Mapping[str, Any], indent: int | None = None) -> str:
    """Return JSON, with null in place of NaN and infinity."""
    return json.dumps(_without_nan(result), ensure_ascii=False, default=str, indent=indent)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _without_nan(one) for name, one in value.items()}
    return [_without_nan(one) for one in value] if isinstance(value, list | tuple) else value


def say(text: str = "") -> None:
    """Print a line for people, never wrapped, so that a command in it can be pasted."""
    typer.echo(text)


def is_terminal() -> bool:
    """Return whether a person reads what is printed."""
    return sys.stdout.isatty()


def headline(text: str) -> None:
    """Print a heading for people."""
    typer.secho(_wrapped(text), bold=True)


def prose(text: str) -> None:
    """Print sentences for people, broken between words on a terminal."""
    typer.echo(_wrapped(text))


def _wrapped(text: str) -> str:
    if not is_terminal():
        return text
    width = shutil.get_terminal_size().columns
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def note(text: str) -> None:
    """Print a note to stderr, so that stdout holds results only."""
    typer.secho(text, fg="bright_black", err=True)


def table(
    rows: "pl.DataFrame", *, title: str = "", right: tuple[str, ...] = (), decimals: int = 3, least: int = 2
) -> None:
    """Print a frame as a table for people. Numbers are never cut: columns for which there is no room are named below.

    Parameters
    ----------
    rows : polars.DataFrame
    title : str
        A heading above the table.
    right : tuple of str
        Text columns to align at the right, and to keep in one line as numbers are.
    decimals : int
        Decimals of a float.
    least : int
        How many columns are shown in any case.
    """
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(width=None if is_terminal() else 140)  # a file or a pipe has no width
    kept = rows
    while kept.width > least:
        measured = Measurement.get(console, console.options.update(max_width=10_000), _drawn(kept, right, decimals))
        if measured.minimum <= console.width:
            break
        kept = kept.drop(kept.columns[-1])
    if title:
        console.print(title, style="bold", markup=False, highlight=False)
    console.print(_drawn(kept, right, decimals))
    if left_out := rows.columns[kept.width :]:
        say(f"not shown, for lack of room: {', '.join(left_out)}")


def _drawn(rows: "pl.DataFrame", right: tuple[str, ...], decimals: int) -> Any:
    """Return a frame as rich draws it."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD)  # cells are Text, since brackets in a title or a name are not markup
    cells = {name: [_cell(value, decimals) for value in rows[name]] for name in rows.columns}
    for name, dtype in rows.schema.items():
        if dtype.is_numeric() or name in right:
            width = max(cell_len(line) for text in (name, *cells[name]) for line in text.split("\n"))
            shown.add_column(Text(name), justify="right", no_wrap=True, min_width=width)
        else:
            shown.add_column(Text(name), overflow="fold")
    for row in zip(*cells.values(), strict=True):
        shown.add_row(*map(Text, row))
    return shown


def _cell(value: Any, decimals: int) -> str:
    if value is None:
        return "–"
    return f"{value:,.{decimals}f}" if isinstance(value, float) else str(value)


def command_line(command: str, *arguments: object, options: tuple[object, ...] = ()) -> str:
    """Return a command to paste into a shell; arguments that begin with a dash follow ``--``.

    Examples
    --------
    >>> command_line("recommend", "my model.safetensors", "u1", options=("-n", 5))
    "cofactor recommend 'my model.safetensors' u1 -n 5"
    >>> command_line("recommend", "m.safetensors", -5, options=("-n", 5))
    'cofactor recommend -n 5 -- m.safetensors -5'
    """
    given, more = [str(argument) for argument in arguments], [str(option) for option in options]
    if any(argument.startswith("-") for argument in given):
        return shlex.join(["cofactor", command, *more, "--", *given])
    return shlex.join(["cofactor", command, *given, *more])


def vectors(model: "Factors") -> None:
    """Print statistics of the item and user vectors, for the first few factors."""
    import polars as pl

    described = model.describe()
    for side, n in (("item", model.n_items), ("user", model.n_users)):
        rows = described.filter(pl.col("vectors") == side, pl.col("statistic") != "count").drop("vectors")
        if rows.width > FACTORS + 1:
            rows = rows.select(rows.columns[: FACTORS + 1])
        more = f"; the first {FACTORS} of {model.rank} factors" if model.rank > FACTORS else ""
        table(rows, title=f"{n:,} {side} vectors{more}")


def rows_of(frame: "pl.DataFrame") -> list[dict[str, Any]]:
    """Return a frame's rows as JSON can hold them."""
    return frame.to_dicts()


@contextlib.contextmanager
def progress_bar(label: str, *, hidden: bool) -> Iterator[Progress]:
    """Show a bar on stderr while the block runs, moving from the first moment; nothing if stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn(), TextColumn("{task.fields[word]}"))
    with Bars(*columns, console=console, transient=True, disable=hidden or not console.is_terminal) as bars:
        bar = bars.add_task(label, total=None, word="")

        def tell(done: float | None, word: str) -> None:
            bars.update(bar, total=None if done is None else 1.0, completed=done or 0.0, word=word)

        yield tell
