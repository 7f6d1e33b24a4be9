"""A model as a folder of Parquet, which may be larger than memory: read whole if it fits, else a few users at a time.

::

    DIR/model.json            what the model is: format, rank, mean, objective, origin, sizes
    DIR/users/part-*.parquet  id, row, vector, and bias where the model has biases; in row order
    DIR/items/part-*.parquet  the same; title and genres where they are known
                              and of both sides, other attributes as ``attribute_NAME``
    DIR/seen/part-*.parquet   user_row, item_row, value; in this order
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.arguments import path_of
from cofactor.data.memory_limit import short_of
from cofactor.data.metadata import Metadata, can_be_kept
from cofactor.data.parquet_sizes import Sizes, parquet_sizes
from cofactor.data.passes import as_csr
from cofactor.data.preparation import preparation_from
from cofactor.data.sound_rows import check_rows
from cofactor.data.vocabulary import Id, Vocabulary, id_series
from cofactor.errors import ModelFileError
from cofactor.files import checked_version
from cofactor.gate import MOST_OF_A_CARD, ordinary, parsed, read_bytes
from cofactor.model.cards import UNSOUND, check_loaded, number_from, origin_from, reason_of
from cofactor.model.factors import Factors
from cofactor.model.objectives import Objective, objective_from
from cofactor.model.origin import Origin
from cofactor.model.upgrade import upgraded

__all__ = [
    "ATTRIBUTE",
    "CARD",
    "FOLDER_FORMAT",
    "KIND",
    "PLAIN_ATTRIBUTES",
    "FolderModel",
    "attributes_of_folder",
    "card_from",
    "is_model_folder",
    "load_folder",
    "open_folder",
]

CARD, FOLDER_FORMAT, KIND = "model.json", 2, "cofactor-factors"
ATTRIBUTE, PLAIN_ATTRIBUTES = "attribute_", ("title", "genres")
"""How the columns of attributes are told from others: by what stands before their names, or by their names."""

_REMEDY = "copy it whole or train it again"
_MOST = {"rank": 2**20, "n_users": 2**31, "n_items": 2**31, "n_seen": 2**40}
_IDS = (pl.String, *(getattr(pl, f"{sign}Int{bits}") for sign in ("", "U") for bits in (8, 16, 32, 64)))
_ROWS, _NUMBERS = _IDS[1:], (pl.Float32, pl.Float64)
_SIDE = {"id": _IDS, "row": _ROWS, "vector": (pl.List, pl.Array), "bias": _NUMBERS}
_COLUMNS: Mapping[str, Mapping[str, Any]] = {
    "users": _SIDE,
    "items": _SIDE,
    "seen": {"user_row": _ROWS, "item_row": _ROWS, "value": (*_NUMBERS, *_ROWS)},
}
"""Of which types the columns of each part may be."""

_MARGIN = 2.5  # vectors as they are read and as they are kept, side by side, and the index for lists


@dataclass(frozen=True)
class FolderModel:
    """A model in a folder, of which only what a question needs is read.

    Parameters
    ----------
    path : Path
        The folder.
    card : dict
        What ``model.json`` says.
    """

    path: Path
    card: dict[str, Any]

    @property
    def rank(self) -> int:
        """The length of a vector."""
        return int(self.card["rank"])

    @property
    def n_users(self) -> int:
        """The number of users."""
        return int(self.card["n_users"])

    @property
    def n_items(self) -> int:
        """The number of items."""
        return int(self.card["n_items"])

    @property
    def objective(self) -> Objective:
        """What the vectors minimize."""
        return objective_from(self.card["objective"])

    @property
    def origin(self) -> Origin:
        """Solver, settings, data."""
        return origin_from(self.card["origin"])

    def recommend(self, users: Iterable[Id], n: int = 10, **options: Any) -> pl.DataFrame:
        """Return each user's ``n`` best items; see `Factors.recommend`. Reads those users and all items.

        Raises
        ------
        UnknownIdError
            If a user is not in the model.
        """
        wanted = list(users)
        return self.of(wanted).recommend(wanted, n, **options)

    def score(self, users: Iterable[Id], items: Iterable[Id], *, clip: bool = False) -> np.ndarray:
        """Score pairs: the k-th user with the k-th item; see `Factors.score`.

        Raises
        ------
        UnknownIdError
            If a user or an item is not in the model.
        """
        wanted = list(users)
        return self.of(wanted).score(wanted, items, clip=clip)

    def of(self, users: Iterable[Id]) -> Factors:
        """Return the model of all items and those of some users that it knows, found by their ids in the files."""
        known = _sound(self.path, lambda: self._checked_scan("users").collect_schema()["id"])
        wanted = id_series(users, "user")
        same = wanted.dtype.is_integer() == known.is_integer()
        chosen = self._scan("users").filter(pl.col("id").is_in(wanted.unique().implode()) if same else pl.lit(False))
        return _sound(self.path, lambda: self._model(chosen.sort("row").collect(), self._items))

    def users(self) -> Vocabulary:
        """Return the ids of all users, in row order."""
        read = self._scan("users").select("id", "row")
        return _sound(self.path, lambda: Vocabulary(_checked(read, self.n_users)["id"], kind="user"))

    def whole(self) -> Factors:
        """Return the model of everyone, in memory."""
        return _sound(self.path, self._whole)

    def _whole(self) -> Factors:
        parts = [sizes for part in ("users", "items", "seen") for sizes in self._sizes(part)]
        self._fits(2 * sum(sizes.columns for sizes in parts))
        return self._model(_checked(self._checked_scan("users"), self.n_users), self._items)

    @functools.cached_property
    def _items(self) -> pl.DataFrame:
        return _sound(self.path, lambda: _checked(self._checked_scan("items"), self.n_items))

    def _scan(self, part: str) -> pl.LazyFrame:
        self._sizes(part)
        return pl.scan_parquet(self._files(part))

    def _files(self, part: str) -> list[Path]:
        files = sorted((self.path / part).glob("*.parquet"))
        if not files:
            raise ModelFileError(f"{self.path} has no {part} in it: copy it whole or train it again")
        for file in files:
            ordinary(file, ModelFileError, _REMEDY).close()
        return files

    def _sizes(self, part: str) -> list[Sizes]:
        """Return the sizes of the files of a part, which must be what the card says before any of them is read."""
        if part not in self._known:
            found = [parquet_sizes(file) for file in self._files(part)]
            rows, wanted = sum(sizes.rows for sizes in found), self.card[f"n_{part}"]
            if rows != wanted:
                raise ModelFileError(
                    f"{self.path} has {rows:,} rows of {part}, and its {CARD} says {wanted:,}: copy or train it again"
                )
            self._fits(max((sizes.group for sizes in found), default=0))
            self._known[part] = found
        return self._known[part]

    def _fits(self, needed: int) -> None:
        """Refuse files that hold more than there is memory for."""
        if (there := short_of(needed)) is not None:
            raise ModelFileError(
                f"{self.path} takes {needed / 1e9:,.1f} GB of memory or more, and {there / 1e9:,.1f} GB are available: "
                "it may not be sound; copy or train it again"
            )

    @functools.cached_property
    def _known(self) -> dict[str, list[Sizes]]:
        return {}

    def _checked_scan(self, part: str) -> pl.LazyFrame:
        """Return a part, once its rows are as many as the card says and its columns of their types; reads none."""
        table = self._scan(part)
        kinds = table.collect_schema()
        for name, allowed in _COLUMNS[part].items():
            if name not in kinds and name == "bias" and not self.card[f"{part[:-1]}_bias"]:
                continue
            if not isinstance(kinds[name], allowed):
                raise ValueError(f"the column {name} of {part} is of type {kinds[name]}")
        return table

    def _model(self, users: pl.DataFrame, items: pl.DataFrame) -> Factors:
        model = Factors(
            _vectors(users, self.rank),
            _vectors(items, self.rank),
            Vocabulary(users["id"], kind="user"),
            Vocabulary(items["id"], kind="item"),
            users["bias"].to_numpy() if self.card["user_bias"] else None,
            items["bias"].to_numpy() if self.card["item_bias"] else None,
            float(self.card["mean"]),
            self._seen(users["row"]),
            Metadata(attributes_of_folder(items), attributes_of_folder(users)),
            self.objective,
            self.origin,
            preparation=preparation_from(self.card["preparation"]),
        )
        check_loaded(model)
        return model

    def _seen(self, rows: pl.Series) -> sparse.csr_array:
        """Return what the users in some rows (ascending) had: (rows, items)."""
        seen = self._checked_scan("seen")
        if len(rows) < self.n_users:
            seen = seen.filter(pl.col("user_row").is_in(rows.implode()))
        frame = seen.sort("user_row", "item_row").collect()
        if sum(frame.null_count().row(0)) or not frame["user_row"].is_between(0, self.n_users - 1).all():
            raise ValueError("seen names a user that is not there")
        places = np.searchsorted(rows.to_numpy(), frame["user_row"].to_numpy())
        indptr = np.searchsorted(places, np.arange(len(rows) + 1)).astype(np.int64)
        values, indices = frame["value"].to_numpy().astype(np.float32), frame["item_row"].to_numpy().astype(np.int64)
        check_rows(indptr, indices, values, self.n_items)
        return as_csr(values, indices.astype(np.int32), indptr, (len(rows), self.n_items))


def open_folder(path: str | PathLike[str]) -> FolderModel:
    """Open a model folder without reading its vectors: for models that are larger than memory.

    Parameters
    ----------
    path : path

    Returns
    -------
    FolderModel
        It answers ``recommend`` and ``score`` for a few users at a time.

    Raises
    ------
    ModelFileError
        If there is no model folder, or it is of a newer version.
    """
    source = path_of(path)
    if not is_model_folder(source):
        raise ModelFileError(
            f"{source} is not a model folder, for there is no {CARD} in it: give one that SparkALS wrote"
        )
    return FolderModel(source, card_from(_sound(source, lambda: _card_of(source)), source))


def _card_of(folder: Path) -> str:
    return read_bytes(folder / CARD, MOST_OF_A_CARD, ModelFileError, _REMEDY).decode()


def card_from(text: str, source: str | PathLike[str]) -> dict[str, Any]:
    """Check what a ``model.json`` says, and return it in the newest format.

    Parameters
    ----------
    text : str
        The contents of the file.
    source : path or URL
        The folder, for errors.

    Raises
    ------
    ModelFileError
        If it is no sound card, or of a newer version.
    """
    card: dict[str, Any] = _sound(source, lambda: _parsed(text, source))
    return card


def load_folder(path: str | PathLike[str]) -> Factors:
    """Read a model folder whole.

    Raises
    ------
    ModelFileError
        If it is not sound, or does not fit the memory that is available; the text says what to do instead.
    """
    opened = open_folder(path)
    needed = bytes_of(opened.card)
    if (there := short_of(needed)) is not None:
        raise ModelFileError(
            f"{path} needs {needed / 1e9:,.1f} GB of memory, and {there / 1e9:,.1f} GB are available: for some users, "
            "cofactor.model.folder.open_folder() reads what they need; for everyone, recommend and evaluate on Spark"
        )
    return opened.whole()


def is_model_folder(path: Path) -> bool:
    """Return whether there is a model folder."""
    return (path / CARD).exists()


def bytes_of(card: dict[str, Any]) -> int:
    """Return how much memory a model takes while it is read, from what its card says."""
    vectors = (card["n_users"] + card["n_items"]) * (card["rank"] + 4) * 4
    return int(_MARGIN * (vectors + card["n_seen"] * 12))


def _parsed(text: str, source: str | PathLike[str]) -> dict[str, Any]:
    card = parsed(text)
    if card.get("kind") != KIND:
        raise ValueError(f"{CARD} says {str(card.get('kind'))[:40]!r}, not {KIND!r}")
    version = checked_version(
        card["format"], FOLDER_FORMAT, source, ModelFileError, remedy="copy it whole or train it again"
    )
    for name in ("rank", "n_users", "n_items", "n_seen"):
        if type(card[name]) is not int or not 0 <= card[name] < _MOST[name]:
            raise ValueError(f"{name} is {str(card[name])[:40]}")
    if not all(isinstance(card[f"{side}_bias"], bool) for side in ("user", "item")):
        raise TypeError("what has biases is not true or false")
    number_from(card["mean"], "mean")
    card = upgraded(card, version)
    objective_from(card["objective"])
    preparation_from(card["preparation"])
    origin_from(card["origin"])
    return card


def _checked(side: pl.LazyFrame, n: int) -> pl.DataFrame:
    frame = side.sort("row").collect()
    if frame["id"].null_count():
        raise ValueError("an id is missing")
    if len(frame) != n or not np.array_equal(frame["row"].to_numpy(), np.arange(n)):
        raise ValueError(f"there are {len(frame):,} rows where {n:,} should be, numbered from 0")
    return frame


def attributes_of_folder(side: pl.DataFrame) -> pl.DataFrame:
    """Return what is known of users or items besides their vectors."""
    names = {name: name.removeprefix(ATTRIBUTE) for name in side.columns if name.startswith(ATTRIBUTE)}
    names |= {name: name for name in PLAIN_ATTRIBUTES if name in side.columns}
    if unfit := [name for name in names if not can_be_kept(side.schema[name])]:
        raise ValueError(f"the column {unfit[0]} is of type {side.schema[unfit[0]]}, which no attribute has")
    return pl.DataFrame({plain: side[name] for name, plain in names.items()})


def _vectors(frame: pl.DataFrame, rank: int) -> np.ndarray:
    if not len(frame):
        return np.zeros((0, rank), np.float32)
    vectors = frame["vector"]
    vectors = vectors.list.to_array(rank) if isinstance(vectors.dtype, pl.List) else vectors
    return np.asarray(vectors.to_numpy(), np.float32).reshape(len(frame), rank)


def _sound(source: str | PathLike[str], read: Any) -> Any:
    try:
        return read()
    except ModelFileError:
        raise
    except OSError as error:
        raise ModelFileError(f"{source} cannot be read ({error}): check its permissions and the disk") from error
    except UNSOUND as error:
        raise ModelFileError(
            f"{source} is not a sound model folder ({reason_of(error)}): copy or train it again"
        ) from error
