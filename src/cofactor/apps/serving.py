"""The commands around the service: ``serve`` starts it, ``refit`` retrains a model with the stored ratings."""

import contextlib
import dataclasses
import importlib.util
import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cofactor.apps import show
from cofactor.apps.options import DATA_OPTIONS, Json, ModelPath, data_options, taking
from cofactor.apps.outputs import check_output
from cofactor.errors import CofactorError, SettingError, missing_extra

if TYPE_CHECKING:
    from cofactor.apps.web.settings import ServiceSettings
    from cofactor.model.origin import Trial

__all__ = ["Ratings", "check_extra", "refit", "seconds_of", "serve"]

Ratings = Annotated[
    str | None,
    typer.Option(
        envvar="COFACTOR_RATINGS",
        help="Database of the ratings: sqlite:///FILE, postgresql+psycopg://… or mysql+pymysql://…",
        show_default="a file beside the model",
    ),
]


class WorseModelError(CofactorError):
    """A new model is significantly worse than the one that it was to replace."""


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def serve(
    model: Annotated[Path | None, typer.Argument(help="A model; without one, quickstart's model for lists.")] = None,
    challenger: Annotated[
        Path | None, typer.Argument(help="Another model, for a share of the users.", metavar="[CHALLENGER]")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; any but loopback needs --token-file.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.")] = 8000,
    ratings: Ratings = None,
    token_file: Annotated[
        Path | None, typer.Option(help="Bearer tokens, one per line: writing needs one of them.")
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="Another host name that it answers to; repeat for more.")
    ] = None,
    root_path: Annotated[str, typer.Option(help="Path that a proxy serves it under, such as /films.")] = "",
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(help="Address or network of a proxy whose X-Forwarded-* headers to believe; repeat for more."),
    ] = None,
    workers: Annotated[int, typer.Option(help="Number of worker processes.")] = 1,
    refit_every: Annotated[
        str | None,
        typer.Option(
            help="Retraining interval, such as 6h; the new model is then served unless it is significantly worse."
        ),
    ] = None,
    events: Annotated[
        bool, typer.Option("--events", help="Keep which lists were served, and what people did with them.")
    ] = False,
    events_days: Annotated[int, typer.Option(help="For how many days.")] = 90,
    share: Annotated[
        float | None, typer.Option(help="Share of the users who get the challenger's lists.", show_default="0.1")
    ] = None,
    interleave: Annotated[
        bool, typer.Option("--interleave", help="Give that share lists of both models' items instead.")
    ] = False,
    experiment: Annotated[
        str | None,
        typer.Option(help="A name that says who is in the share.", show_default="the names of both models"),
    ] = None,
    explore: Annotated[
        float, typer.Option(help="Share of lists drawn at random from the best items; needs --events.")
    ] = 0.0,
) -> None:
    """Serve a model: an HTTP API, and a page where people rate and get recommendations.

    With a challenger, a share of the users get its lists instead, always the same users.
    """
    check_extra("uvicorn", "httptools", "fastapi", "sqlalchemy", "alembic")
    from cofactor.apps.web.server import run
    from cofactor.apps.web.settings import ServiceSettings

    path = _quickstart_model() if model is None else model
    if challenger is None and (share is not None or experiment is not None):
        raise SettingError("--share and --experiment need two models: cofactor serve A B --share 0.1")
    settings = ServiceSettings(
        model=path.absolute(),  # not what a link points to now: it may be switched
        ratings=ratings or None,
        host=host,
        port=port,
        token_file=token_file,
        names=tuple(name or ()),
        root_path=root_path,
        trusted_proxies=tuple(trusted_proxy or ()),
        workers=workers,
        refit_every=None if refit_every is None else seconds_of(refit_every),
        events=events,
        events_days=events_days,
        explore=explore,
        challenger=None if challenger is None else challenger.absolute(),
        share=0.1 if share is None else share,
        interleave=interleave,
        experiment=experiment,
    )
    _check(settings)
    if not run(settings):
        raise typer.Exit(1)


@taking(DATA_OPTIONS)
def refit(
    model: ModelPath,
    data: Annotated[str | None, typer.Argument(help="Newer training data", show_default="the model's own")] = None,
    *,
    ratings: Ratings = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where to save the new model.")] = None,
    if_better: Annotated[
        bool, typer.Option("--if-better", help="Save no model that is significantly worse on the newest ratings.")
    ] = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure it on the newest ratings, held out, and note that in the model.")
    ] = False,
    asked_by: Annotated[str, typer.Option(help="Who asks for it; noted in the model.")] = "",
    json_output: Json = False,
    **options: Any,
) -> None:
    """Train a model again, on its training data and the ratings stored by the service."""
    if output is None:
        raise SettingError("give -o NEW.safetensors, where to save the new model; it may be MODEL itself")
    check_extra("sqlalchemy", "alembic")
    from cofactor.apps.sources import open_data
    from cofactor.apps.web.refit import refit as retrain
    from cofactor.apps.web.refit import save_without_erased, stored_in
    from cofactor.apps.web.store import RatingsStore, StoreAway, beside
    from cofactor.model.storage import load

    check_output(output, *([] if data is None else [data]))
    loaded = load(model)
    store = RatingsStore(ratings or beside(model))
    try:
        if store.version() is None and ratings:
            raise SettingError(f"--ratings names {store}, where no ratings are stored: check it, or leave it out")
        stored = stored_in(store, timed=loaded.timing is not None)
        newer = None
        if data is not None:
            newer = open_data(data, progress=not json_output, notify=show.note, **data_options(options))
        watch = partial(_watch, output, if_better, json_output) if if_better or measure else None
        fitted = save_without_erased(retrain(loaded, stored, newer, asked_by=asked_by, watch=watch), store, output)
    except StoreAway as error:
        raise StoreAway(f"the ratings cannot be read: check --ratings, and that its database runs ({error})") from None
    counts = {"n_users": fitted.n_users, "n_train": int(fitted.seen.nnz), "n_stored": len(stored.ratings)}
    before = {"n_users_before": loaded.n_users, "n_train_before": int(loaded.seen.nnz)}
    if json_output:
        tried = fitted.origin.trial
        trial = {} if watch is None else {"trial": None if tried is None else dataclasses.asdict(tried)}
        show.as_json({"model": str(output), "solver": fitted.origin.solver, **counts, **before, **trial})
        return
    show.say(f"{fitted!r}, trained on {counts['n_train']:,} ratings; before: {before['n_train_before']:,}")
    show.say(f"of {counts['n_stored']:,} stored ratings in {store}")
    show.say(f"saved to {output}; to serve it, reload the service: kill -HUP PID, or POST /v1/admin/reload")


def _watch(output: Path, if_better: bool, quiet: bool, trial: "Trial | None") -> None:
    """Say how a training did on the newest ratings, and end the work there if it is worse and must not be."""
    if not quiet:
        for line in _in_words(trial):
            show.say(line)
    if trial is not None and trial.worse and if_better:
        raise WorseModelError(
            f"the new model is significantly worse on the newest ratings, so {output} is not written: "
            f"{_gap(trial)}; leave --if-better out to save it all the same"
        )


def _in_words(trial: "Trial | None") -> list[str]:
    if trial is None:
        return ["too few ratings to hold out: nothing was measured"]
    stretch = "the newest" if trial.held_out == "newest" else "random, since the data have no times"
    known = f"{trial.metric} {_figure(trial.figure)}"
    if trial.baseline is not None:
        known += f", {'popular items' if trial.metric != 'rmse' else 'biases alone'} {_figure(trial.baseline)}"
    lines = [f"on {trial.n_test:,} ratings held out, {stretch}: {known}"]
    return lines if trial.difference is None else [*lines, f"against the model before: {_gap(trial)}"]


def _figure(figure: tuple[float, float, float]) -> str:
    mean, low, high = figure
    return f"{mean:.4f} ({low:.4f} to {high:.4f})"


def _gap(trial: "Trial") -> str:
    assert trial.difference is not None
    mean, low, high = trial.difference
    return f"{trial.metric} {mean:+.4f} ({low:+.4f} to {high:+.4f}), p = {trial.p_value:.4f}, {trial.n_users:,} users"


def seconds_of(text: str) -> float:
    """Return the seconds of a duration such as ``90s``, ``15m``, ``6h`` or ``1d``.

    Raises
    ------
    SettingError
        If it is not a duration.

    Examples
    --------
    >>> seconds_of("6h")
    21600.0
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if not found:
        raise SettingError(f"--refit-every {text!r} is not a duration: write a number and s, m, h or d, such as 6h")
    return float(found[1]) * _UNITS[found[2]]


def check_extra(*packages: str) -> None:
    """Refuse to go on where a package of the extra ``web`` is not installed."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise missing_extra(package, "web")


def _check(settings: "ServiceSettings") -> None:
    """Check now what would otherwise end every worker."""
    from cofactor.apps.web.access import Tokens
    from cofactor.apps.web.store import StoreAway, store_of
    from cofactor.model.folder import is_model_folder
    from cofactor.model.storage import open_model

    for model in filter(None, (settings.model, settings.challenger)):
        if not model.exists():
            instead = " for quickstart's" if model is settings.model else ""
            raise SettingError(
                f"{model} is not there: train a model with 'cofactor fit DATA -o MODEL', or leave it out{instead}"
            )
        if model.is_dir() and not is_model_folder(model):
            raise SettingError(f"{model} is a folder, but not a model folder: name the model's file in it")
        if not os.access(model, os.R_OK):
            raise SettingError(f"{model}: permission denied: give your account the right to read it")
        if model.is_file():
            open_model(model)
    with contextlib.suppress(StoreAway):  # it may come later
        store_of(settings).check()
    if settings.token_file is not None:
        Tokens(settings.token_file)


def _quickstart_model() -> Path:
    """Return the model for lists that quickstart saved in this folder, trained first if there is none."""
    model = Path("quickstart") / "ranking.safetensors"
    if not model.exists():
        from cofactor.apps.quickstart import quickstart

        quickstart(model.parent)
    return model
