"""The command ``cofactor forget``: erase people from a model and from the stored ratings."""

from pathlib import Path
from typing import Annotated

import typer

from cofactor.apps import show
from cofactor.apps.options import Json, ModelPath
from cofactor.apps.outputs import check_output
from cofactor.apps.serving import Ratings, check_extra
from cofactor.errors import SettingError, UnknownIdError

__all__ = ["forget"]


def forget(
    model: ModelPath,
    users: Annotated[list[str], typer.Argument(help="Ids of the users to erase.")],
    *,
    ratings: Ratings = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Where to save the model without them; it may be MODEL itself."),
    ] = None,
    json_output: Json = False,
) -> None:
    """Erase users from a model, and from the ratings that the service stored."""
    if output is None:
        raise SettingError("give -o NEW.safetensors, where to save the model without them; it may be MODEL itself")
    check_extra("sqlalchemy", "alembic")
    from cofactor.apps.web.store import RatingsStore, StoreAway, beside
    from cofactor.model.folder import is_model_folder
    from cofactor.model.forgetting import users_in, write_without

    if not is_model_folder(model):
        check_output(output)
    known, store = users_in(model)[0], RatingsStore(ratings or beside(model))
    ids = {user: known.parse(user) for user in users}
    rows = {user: known.row(identifier) for user, identifier in ids.items() if str(identifier) == user}
    try:
        is_stored = store.version() is not None
        if not is_stored and ratings:
            raise SettingError(f"--ratings names {store}, where no ratings are stored: check it, or leave it out")
        unknown = [user for user in users if rows.get(user, -1) < 0 and not (is_stored and store.knows(user))]
        if unknown:
            raise UnknownIdError(f"unknown user {unknown[0]!r}: no such id is in {model} or stored; nothing was erased")
        erased = sum(store.erase(user) for user in users) if is_stored else 0
    except StoreAway as error:
        raise StoreAway(f"users cannot be erased: check --ratings, and that its database runs ({error})") from None
    finally:
        store.close()
    gone = sorted({row for row in rows.values() if row >= 0})
    write_without(model, output, gone)
    if json_output:
        show.as_json(
            {"model": str(output), "n_users": len(known) - len(gone), "n_erased": len(gone), "n_stored": erased}
        )
        return
    show.say(f"{len(gone):,} of {len(known):,} users erased from the model, and {erased:,} stored ratings")
    if not (model.exists() and output.exists() and model.samefile(output)):
        show.say(f"{model} still has them: delete it, its copies and backups")
    show.say(f"saved to {output}; to serve it, reload the service: kill -HUP PID, or POST /v1/admin/reload")
