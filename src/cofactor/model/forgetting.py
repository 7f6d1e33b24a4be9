"""Take people out of a model: nothing of their own is left in it; what was learnt from everybody stays.

Of a user a model holds the id, the vector, the bias, draws from their posterior, what they had and when, and their
attributes. All of it goes, and so do values of attributes that only they had, among those that vectors are learnt from.
The items' vectors, the mean, the priors and the trend are sums over everybody, from which nobody can be told apart;
only training again without the users' data frees those of their influence.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from cofactor.data.vocabulary import Id, Vocabulary
from cofactor.files import exchanged_folder
from cofactor.model.factors import Factors, evolved, parameters_of
from cofactor.model.folder import CARD, is_model_folder, open_folder
from cofactor.model.origin import Origin
from cofactor.model.seen import Seen
from cofactor.model.storage import open_model

__all__ = ["forget", "users_in", "without_rows", "write_without"]


def forget(model: Factors, users: Iterable[Id]) -> Factors:
    """Return the model without some users; see `Factors.forget`.

    Raises
    ------
    UnknownIdError
        If the model does not have one of them.
    """
    return without_rows(model, model.users.rows(users))


def without_rows(model: Factors, rows: Sequence[int] | np.ndarray) -> Factors:
    """Return the model without the users in some rows."""
    kept = np.setdiff1d(np.arange(model.n_users), np.asarray(rows, np.int64))
    metadata = model.metadata.take(users=kept)
    seen = Seen(model.seen, model.seen_times).take(kept)
    features = dict(model.features)
    if "user" in features:
        features["user"] = features["user"].only_used(metadata.users)
    return evolved(
        model,
        checked=True,
        users=Vocabulary(model.users.take(kept), kind="user"),
        user_vectors=model.user_vectors[kept],
        user_bias=None if model.user_bias is None else model.user_bias[kept],
        seen=seen.table,
        seen_times=seen.times,
        metadata=metadata,
        features=features,
        extras=dict(model.objective.shrunk(parameters_of(model), kept)),
    )


def users_in(path: Path) -> tuple[Vocabulary, Origin]:
    """Return the users of a stored model, in row order, and where it comes from.

    Raises
    ------
    ModelFileError
        If it is not a sound model.
    """
    if is_model_folder(path):
        opened = open_folder(path)
        return opened.users(), opened.origin
    model = open_model(path)
    return model.users, model.origin


def write_without(source: Path, target: Path, rows: Sequence[int] | np.ndarray) -> None:
    """Write a stored model without the users in some rows; ``target`` may be the model itself.

    A folder is written part by part. Where it exists, ``target`` is exchanged in two renames, between which there is no
    folder of that name.

    Parameters
    ----------
    source, target : Path
        Of a file, or of a folder.
    rows : sequence of int
        As they are numbered in the model.

    Raises
    ------
    ModelFileError
        If there is no sound model.
    """
    if is_model_folder(source):
        _write_folder_without(source, target, rows)
    else:
        without_rows(open_model(source), rows).save(target)


def _write_folder_without(source: Path, target: Path, rows: Sequence[int] | np.ndarray) -> None:
    gone = np.unique(np.asarray(rows, np.int64))
    card = open_folder(source).card
    with exchanged_folder(target) as beside:
        counts = {part: _write_part(source, beside, part, gone) for part in ("users", "items", "seen")}
        card |= {"n_users": counts["users"], "n_seen": counts["seen"]}
        (beside / CARD).write_text(json.dumps(card, allow_nan=False), encoding="utf-8")


def _write_part(source: Path, beside: Path, part: str, gone: np.ndarray) -> int:
    """Write the files of one part without some users, whose later rows move up; return how many rows it has."""
    column, count = {"users": "row", "items": None, "seen": "user_row"}[part], 0
    (beside / part).mkdir()
    for file in sorted((source / part).glob("*.parquet")):
        frame = pl.read_parquet(file)
        if column is not None:
            frame = frame.filter(~pl.col(column).is_in(gone))
            old = frame[column]
            frame = frame.with_columns((old - pl.Series(np.searchsorted(gone, old.to_numpy()))).cast(old.dtype))
        frame.write_parquet(beside / part / file.name)
        count += frame.height
    return count
