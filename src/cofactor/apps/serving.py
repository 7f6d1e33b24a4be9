"""The commands around the service: ``serve`` starts it, ``refit`` retrains a model with the stored ratings."""

import contextlib
import importlib.util
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cofactor.apps import show
from cofactor.apps.options import DATA_OPTIONS, Json, ModelPath, data_options, taking
from cofactor.apps.outputs import check_output
from cofactor.errors import SettingError, missing_extra

if TYPE_CHECKING:
    from cofactor.apps.web.settings import ServiceSettings

__all__ = ["Ratings", "check_extra", "refit", "seconds_of", "serve"]

Ratings = Annotated[
    str | None,
    typer.Option(
        envvar="COFACTOR_RATINGS",
        help="Database of the ratings: sqlite:///FILE, postgresql+psycopg://… or mysql+pymysql://…",
        show_default="a file beside the model",
    ),
]

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def serve(
    model: Annotated[Path | None, typer.Argument(help="A model; without one, quickstart's model for lists.")] = None,
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
        str | None, typer.Option(help="Retraining interval, such as 6h; the new model is then served.")
    ] = None,
) -> None:
    """Serve a model: an HTTP API, and a page where people rate and get recommendations."""
    check_extra("uvicorn", "httptools", "fastapi", "sqlalchemy", "alembic")
    from cofactor.apps.web.server import run
    from cofactor.apps.web.settings import ServiceSettings

    path = _quickstart_model() if model is None else model
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
        fitted = save_without_erased(retrain(loaded, stored, newer), store, output)
    except StoreAway as error:
        raise StoreAway(f"the ratings cannot be read: check --ratings, and that its database runs ({error})") from None
    counts = {"n_users": fitted.n_users, "n_train": int(fitted.seen.nnz), "n_stored": len(stored.ratings)}
    before = {"n_users_before": loaded.n_users, "n_train_before": int(loaded.seen.nnz)}
    if json_output:
        show.as_json({"model": str(output), "solver": fitted.origin.solver, **counts, **before})
        return
    show.say(f"{fitted!r}, trained on {counts['n_train']:,} ratings; before: {before['n_train_before']:,}")
    show.say(f"of {counts['n_stored']:,} stored ratings in {store}")
    show.say(f"saved to {output}; to serve it, reload the service: kill -HUP PID, or POST /v1/admin/reload")


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

    model = settings.model
    if not model.exists():
        raise SettingError(
            f"{model} is not there: train a model with 'cofactor fit DATA -o MODEL', or leave it out for quickstart's"
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
