"""Factors: what every solver makes and everything else uses."""

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.texts import ItemTexts
from cofactor.data.vocabulary import Id, Vocabulary
from cofactor.errors import SettingError
from cofactor.model import checks, lists, retrieval
from cofactor.model.everyone import write_everyone
from cofactor.model.objective import Objective

__all__ = ["Factors", "Origin"]

OnUnknown = Literal["raise", "skip"]


@dataclass(frozen=True)
class Origin:
    """Where a model comes from: solver and settings, data, time, library version, figures on held-out data."""

    solver: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""
    trained_at: str = ""
    version: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, repr=False)
class Factors:
    """User vectors and item vectors, and all that is needed to recommend from them.

    Solvers return it, `cofactor.load` reads it, and `Factors.from_arrays` makes it from vectors that were learnt
    elsewhere. It never changes. A score is ``mean + user_bias + item_bias + user_vector · item_vector``.

    Parameters
    ----------
    user_vectors, item_vectors : numpy.ndarray of float32, shapes (users, rank) and (items, rank)
    users, items : Vocabulary
        The raw ids, in row order.
    user_bias, item_bias : numpy.ndarray of float32, or None
        One number a row, where the model has biases.
    mean : float
        Added to every score.
    seen : scipy.sparse.csr_array, shape (users, items)
        What each user had in the training data, with its value.
    texts : ItemTexts
        Titles and genres, where known.
    objective : Objective
        What the vectors minimize; `fold_in` needs nothing more.
    origin : Origin
        Solver, settings, data.
    history : mapping of str to tuple of float
        The training's figures, epoch by epoch.
    extras : mapping of str to numpy.ndarray
        Whatever else a solver needs kept.

    Raises
    ------
    DataError
        If shapes do not fit each other or a number is not finite.
    """

    user_vectors: np.ndarray
    item_vectors: np.ndarray
    users: Vocabulary
    items: Vocabulary
    user_bias: np.ndarray | None = None
    item_bias: np.ndarray | None = None
    mean: float = 0.0
    seen: sparse.csr_array = None
    texts: ItemTexts = ItemTexts()
    objective: Objective = Objective()
    origin: Origin = Origin()
    history: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("user_vectors", "item_vectors", "user_bias", "item_bias"):
            array = getattr(self, name)
            object.__setattr__(self, name, None if array is None else checks.frozen(array, name))
        object.__setattr__(self, "mean", float(self.mean))
        if self.seen is None:
            object.__setattr__(self, "seen", sparse.csr_array((len(self.users), len(self.items)), dtype=np.float32))
        object.__setattr__(self, "history", MappingProxyType({k: tuple(v) for k, v in self.history.items()}))
        object.__setattr__(self, "extras", MappingProxyType(dict(self.extras)))
        checks.check_shapes(self)
        checks.check_size(self)

    @classmethod
    def from_arrays(
        cls,
        user_vectors: np.ndarray,
        item_vectors: np.ndarray,
        users: Iterable[Id] | None = None,
        items: Iterable[Id] | None = None,
        user_bias: np.ndarray | None = None,
        item_bias: np.ndarray | None = None,
        mean: float = 0.0,
        seen: Any = None,
        titles: Iterable[str | None] | None = None,
    ) -> "Factors":
        """Wrap vectors that were learnt elsewhere.

        Parameters
        ----------
        user_vectors, item_vectors : array of shape (users, rank) and (items, rank)
            Copied, as 32-bit floats.
        users, items : iterable of str or int, optional
            The raw ids in row order; row numbers if not given.
        user_bias, item_bias : array, optional
            One number a row.
        mean : float
            Added to every score.
        seen : scipy.sparse matrix of shape (users, items), optional
            What each user has already had.
        titles : iterable of str, optional
            A title for each item.

        Examples
        --------
        >>> model = Factors.from_arrays(np.eye(2), np.array([[3.0, 1.0], [2.0, 5.0]]), items=["tea", "rye"])
        >>> model.recommend([1], n=1)["item"].to_list()
        ['rye']
        """
        user_vectors, item_vectors = (np.array(vectors, dtype=np.float32) for vectors in (user_vectors, item_vectors))
        return cls(
            user_vectors,
            item_vectors,
            Vocabulary(range(len(user_vectors)) if users is None else users, kind="user"),
            Vocabulary(range(len(item_vectors)) if items is None else items, kind="item"),
            None if user_bias is None else np.array(user_bias, dtype=np.float32),
            None if item_bias is None else np.array(item_bias, dtype=np.float32),
            mean,
            None if seen is None else checks.canonical(seen),
            ItemTexts() if titles is None else ItemTexts(pl.Series(list(titles), dtype=pl.String)),
            origin=Origin(solver="from_arrays"),
        )

    @property
    def rank(self) -> int:
        """The length of a vector."""
        return int(self.user_vectors.shape[1])

    @property
    def n_users(self) -> int:
        """The number of users."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """The number of items."""
        return len(self.items)

    def __repr__(self) -> str:
        made = f" by {self.origin.solver}" if self.origin.solver else ""
        return f"Factors of rank {self.rank} for {self.n_users:,} users × {self.n_items:,} items{made}"

    def score(self, users: Iterable[Id], items: Iterable[Id], *, clip: bool = False) -> np.ndarray:
        """Score pairs: the k-th user with the k-th item.

        Parameters
        ----------
        users, items : iterable of str or int
            Raw ids, equally many.
        clip : bool
            Whether to keep the scores within the range of the ratings the model was trained on.

        Returns
        -------
        numpy.ndarray of float32, shape (pairs,)

        Raises
        ------
        UnknownIdError
            If a user or an item is not in the model.
        """
        user_rows, item_rows = self.users.rows(users), self.items.rows(items)
        if len(user_rows) != len(item_rows):
            raise SettingError(f"score() got {len(user_rows):,} users and {len(item_rows):,} items: give pairs")
        return self.score_rows(user_rows, item_rows, clip=clip)

    def score_rows(self, user_rows: np.ndarray, item_rows: np.ndarray, *, clip: bool = False) -> np.ndarray:
        """Score pairs of row numbers; see `score`."""
        scores = retrieval.pair_scores(self.queries(), self.keys(), self.offsets(), user_rows, item_rows)
        if not clip:
            return scores
        if self.objective.scale is None:
            raise SettingError("clip=True needs the rating scale, and this model was trained without ratings")
        return np.clip(scores, *self.objective.scale)

    def recommend(
        self,
        users: Iterable[Id],
        n: int = 10,
        *,
        exclude_seen: bool = True,
        candidates: Iterable[Id] | None = None,
        exclude: Iterable[Id] | None = None,
        on_unknown: OnUnknown = "raise",
    ) -> pl.DataFrame:
        """Return each user's ``n`` best items.

        Parameters
        ----------
        users : iterable of str or int
            Raw user ids.
        n : int
            The length of a list. A user with fewer items left gets fewer rows.
        exclude_seen : bool
            Whether to leave out what the user had in the training data.
        candidates : iterable of str or int, optional
            Choose from these items only.
        exclude : iterable of str or int, optional
            Never choose these items.
        on_unknown : {"raise", "skip"}
            What to do about a user who is not in the model.

        Returns
        -------
        polars.DataFrame
            Columns user, place (from 1), item, title (null where not known), score; in the order of ``users``,
            then by place. Equal scores are in item row order.

        Raises
        ------
        UnknownIdError
            If a user, a candidate or an exclusion is not in the model.
        """
        rows = self.users.find(users) if on_unknown == "skip" else self.users.rows(users)
        rows = rows[rows >= 0]
        return lists.recommended(self, rows, lists.checked(n), exclude_seen, candidates, exclude)

    def recommend_all(
        self,
        path: str | os.PathLike[str],
        n: int = 10,
        *,
        exclude_seen: bool = True,
        candidates: Iterable[Id] | None = None,
        exclude: Iterable[Id] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Path:
        """Write everyone's ``n`` best items to a Parquet file, in bounded memory.

        The file has the columns of `recommend`, in user row order. It appears whole or not at all.

        Parameters
        ----------
        path : path
            The file to write.
        n, exclude_seen, candidates, exclude
            As in `recommend`.
        progress : callable, optional
            Called with the number of users done so far.
        """
        lists.checked(n)
        candidates, exclude = (None if ids is None else list(ids) for ids in (candidates, exclude))
        block = functools.partial(
            lists.recommended, self, n=n, exclude_seen=exclude_seen, candidates=candidates, exclude=exclude
        )
        return write_everyone(Path(path), block, self.n_users, progress)

    def similar_items(self, item: Id, n: int = 10) -> pl.DataFrame:
        """Return the items whose vectors point most nearly the same way: item, title, score (the cosine).

        Raises
        ------
        UnknownIdError
            If the item is not in the model.
        """
        near = lists.nearest(self.item_vectors, self.items.rows([item]), lists.checked(n))
        titles = lists.titles(self, near.items)
        return pl.DataFrame({"item": self.items.take(near.items), "title": titles, "score": near.scores})

    def similar_users(self, user: Id, n: int = 10) -> pl.DataFrame:
        """Return the users whose vectors point most nearly the same way: user, score (the cosine).

        Raises
        ------
        UnknownIdError
            If the user is not in the model.
        """
        near = lists.nearest(self.user_vectors, self.users.rows([user]), lists.checked(n))
        return pl.DataFrame({"user": self.users.take(near.items), "score": near.scores})

    def describe(self) -> pl.DataFrame:
        """Describe both tables of vectors, factor by factor: count, mean, std, min, quartiles, max.

        Returns
        -------
        polars.DataFrame
            Columns vectors ("user" or "item"), statistic, and one for each factor: "0", "1", …
        """
        return pl.concat(
            [
                lists.described(vectors, side)
                for side, vectors in (("user", self.user_vectors), ("item", self.item_vectors))
            ]
        )

    def to_keras(self) -> Any:
        """Return the model as a ``keras.Model`` that takes (user row, item row) and gives the score.

        Raises
        ------
        MissingExtraError
            If Keras is not installed.
        """
        from cofactor.model.keras_network import network_from

        return network_from(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model to one safetensors file, whole or not at all; `cofactor.load` reads it."""
        from cofactor.model.storage import save

        return save(self, path)

    def queries(self) -> np.ndarray:
        """Return the user side of the product: biases are one more column."""
        if self.item_bias is None:
            return self.user_vectors
        return np.column_stack([self.user_vectors, np.ones(self.n_users, np.float32)])

    def keys(self) -> np.ndarray:
        """Return the item side of the product."""
        return self.item_vectors if self.item_bias is None else np.column_stack([self.item_vectors, self.item_bias])

    def offsets(self) -> np.ndarray:
        """Return what is added to every score of a user: it does not change the order."""
        bias = np.zeros(self.n_users) if self.user_bias is None else self.user_bias.astype(np.float64)
        return self.mean + bias
