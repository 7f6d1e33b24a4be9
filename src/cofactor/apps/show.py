"""What the command line says: tables and progress for people, one JSON object for programs, errors for both."""

import contextlib
import functools
import json
import math
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from cofactor.errors import CofactorError, CollapseWarning, GoalWarning, SettingError

if TYPE_CHECKING:
    import polars as pl

    from cofactor.data.interactions import Interactions
    from cofactor.model.factors import Factors
    from cofactor.solvers.base import Epoch

__all__ = [
    "Progress",
    "as_json",
    "embeddings",
    "figures",
    "fitted",
    "fitted_folder",
    "headline",
    "json_text",
    "note",
    "progress_bar",
    "reporting_errors",
    "rows_of",
    "say",
    "table",
]

Progress = Callable[[float, str], None]
"""Told how much is done, from 0 to 1, and a word on it."""


def reporting_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn what goes wrong in a command into a line on stderr and an exit code: 2 for bad usage, 130 on Ctrl-C, else 1.

    Warnings of ours become remarks on stderr.
    """

    @functools.wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        try:
            with _told_as_remarks():
                return command(*arguments, **options)
        except SettingError as error:
            _fail(str(error), 2, options)
        except CofactorError as error:
            _fail(str(error), 1, options)
        except BrokenPipeError:  # the reader, such as `head`, has had enough
            _stop_writing()
            raise typer.Exit(1) from None
        except OSError as error:
            _fail(f"{error.filename or 'the system'}: {error.strerror or error}", 1, options)
        except MemoryError as error:
            _fail(
                f"too little memory ({error}): a smaller --rank, or --memory on a Parquet folder, needs less",
                1,
                options,
            )
        except KeyboardInterrupt as error:
            _fail(str(error) or "stopped; nothing was left half-written", 130, options)
        return None

    return wrapped


@contextlib.contextmanager
def _told_as_remarks() -> Iterator[None]:
    """Show our own warnings as one line each, without the place in the code that nobody here has written."""
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show_warning(message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
            ours = issubclass(category, GoalWarning | CollapseWarning)
            note(str(message)) if ours else shown(message, category, *place, **more)

        warnings.showwarning = show_warning
        yield


def _stop_writing() -> None:
    """Send what is still buffered nowhere, so that Python does not complain about it at its end."""
    with contextlib.suppress(OSError, ValueError):  # a stand-in for stdout has no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(text: str, code: int, options: Mapping[str, Any]) -> None:
    if options.get("json_output"):
        with contextlib.suppress(OSError):  # stdout itself may be what went wrong
            as_json({"error": text})
    typer.secho("error: ", fg="red", bold=True, err=True, nl=False)
    typer.echo(text, err=True)
    raise typer.Exit(code)


def as_json(result: Mapping[str, Any]) -> None:
    """Print one JSON object to stdout."""
    typer.echo(json_text(result))


def json_text(result: Mapping[str, Any], indent: int | None = None) -> str:
    """Return JSON, in which a figure that is no number is null."""
    return json.dumps(_without_nan(result), ensure_ascii=False, default=str, indent=indent)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _without_nan(one) for name, one in value.items()}
    return [_without_nan(one) for one in value] if isinstance(value, list | tuple) else value


def say(text: str = "") -> None:
    """Print a line for people as it is, however long, so that a command in it can be pasted."""
    typer.echo(text)


def headline(text: str) -> None:
    """Print a line for people that what follows belongs to."""
    typer.secho(text, bold=True)


def note(text: str) -> None:
    """Print a remark to stderr, out of the way of what a program may read."""
    typer.secho(text, fg="bright_black", err=True)


def table(rows: "pl.DataFrame", *, title: str = "", right: tuple[str, ...] = (), decimals: int = 3) -> None:
    """Print a frame as a table for people.

    Parameters
    ----------
    rows : polars.DataFrame
    title : str
        A line above it.
    right : tuple of str
        Columns of text that are to stand at the right.
    decimals : int
        Digits after the point of a float.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # every text as Text: brackets in a title or a name are no markup
    shown = Table(title=Text(title, "bold") if title else None, title_justify="left", box=box.SIMPLE_HEAD)
    for name, dtype in rows.schema.items():
        shown.add_column(Text(name), justify="right" if dtype.is_numeric() or name in right else "left")
    for row in rows.iter_rows():
        shown.add_row(*(Text(_cell(value, decimals)) for value in row))
    Console(width=None if sys.stdout.isatty() else 140).print(shown)  # a file or a pipe has no width to fit into


def _cell(value: Any, decimals: int) -> str:
    if value is None:
        return "–"
    return f"{value:,.{decimals}f}" if isinstance(value, float) else str(value)


def figures(epoch: "Epoch") -> str:
    """Return an epoch's figures in a few words, for a progress bar."""
    shown = " ".join(f"{name} {value:.4f}" for name, value in epoch.metrics.items() if name != "loss")
    return f"epoch {epoch.number}/{epoch.planned} {shown}"


def fitted(ratings: "Interactions", result: Mapping[str, Any]) -> None:
    """Say how a fit went."""
    say(f"{ratings!r}")
    say(f"trained {result['solver']} on {result['n_train']:,} of them in {result['fit_seconds']:.2f} s")
    told = ("mse", "rmse", "mae", "ndcg@", "recall@", "hit@")
    measured = {name: value for name, value in result.items() if name.startswith(told)}
    if result["n_test"]:
        figures = ", ".join(f"{name.upper()} {value:.4f}" for name, value in measured.items() if value is not None)
        say(f"on {result['n_test']:,} held-out ratings: {figures}")
    if result["model"] is None:
        say("not saved: give -o MODEL.safetensors to keep it")
    else:
        following = shlex.join(["cofactor", "recommend", result["model"], str(ratings.users[0]), "-n", "5"])
        if result["n_test"]:
            say("the model has not seen those held out, and may recommend them; --test-fraction 0 trains on all")
        say(f"saved to {result['model']}; next: {following}")


def fitted_folder(result: Mapping[str, Any]) -> None:
    """Say how a fit on Spark went."""
    say(f"trained {result['solver']} in {result['fit_seconds']:.2f} s")
    say(f"saved to {result['model']}; next: {shlex.join(['cofactor', 'recommend', result['model']])} USER -n 5")


def embeddings(model: "Factors", factors: int = 8) -> None:
    """Print the description of both tables of vectors, for the first few factors."""
    import polars as pl

    described = model.describe()
    for side in ("item", "user"):
        rows = described.filter(pl.col("vectors") == side).drop("vectors")
        more = f", first {factors} of {model.rank} factors" if model.rank > factors else ""
        table(rows.select(rows.columns[: factors + 1]), title=f"{side} vectors{more}")


def rows_of(frame: "pl.DataFrame") -> list[dict[str, Any]]:
    """Return a frame's rows as JSON can hold them."""
    return frame.to_dicts()


@contextlib.contextmanager
def progress_bar(label: str, *, hidden: bool) -> Iterator[Progress]:
    """Show a bar on stderr while the block runs; where nobody watches, show nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("{task.fields[word]}"))
    with Bars(*columns, console=console, transient=True, disable=hidden or not console.is_terminal) as bars:
        bar = bars.add_task(label, total=1.0, word="")
        yield lambda done, word: bars.update(bar, completed=done, word=word)
