"""Factors: what every solver makes and everything else uses."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

import numpy as np
import polars as pl

from cofactor.data.columns import check_choice
from cofactor.data.interactions import Interactions
from cofactor.data.metadata import ItemMetadata
from cofactor.data.vocabulary import Id, Vocabulary
from cofactor.errors import SettingError
from cofactor.model import checks, lists
from cofactor.model.everyone import write_everyone
from cofactor.model.state import FactorState, Origin

if TYPE_CHECKING:
    from cofactor.model.placing import Newcomers
    from cofactor.model.uncertainty import By

__all__ = ["Factors", "Origin"]

OnUnknown = Literal["raise", "skip"]


class Factors(FactorState):
    """User vectors and item vectors, and all that is needed to recommend from them.

    Solvers return it, `cofactor.load` reads it, and `Factors.from_arrays` makes it from vectors that were learnt
    elsewhere. It never changes. A score is ``mean + user_bias + item_bias + user_vector · item_vector``.
    """

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

        Raises
        ------
        DataError
            If shapes do not fit each other, a number is not finite, or an id is missing or repeated.

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
            ItemMetadata() if titles is None else ItemMetadata(pl.Series(list(titles), dtype=pl.String)),
            origin=Origin(solver="from_arrays"),
        )

    def __repr__(self) -> str:
        made = f" by {self.origin.solver}" if self.origin.solver else ""
        return f"Factors of rank {self.rank} for {self.n_users:,} users × {self.n_items:,} items{made}"

    @overload
    def score(
        self, users: Iterable[Id], items: Iterable[Id], *, clip: bool = ..., spread: Literal[False] = ...
    ) -> np.ndarray: ...
    @overload
    def score(
        self, users: Iterable[Id], items: Iterable[Id], *, clip: bool = ..., spread: Literal[True]
    ) -> tuple[np.ndarray, np.ndarray]: ...
    def score(
        self, users: Iterable[Id], items: Iterable[Id], *, clip: bool = False, spread: bool = False
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Score pairs: the k-th user with the k-th item.

        Parameters
        ----------
        users, items : iterable of str or int
            Raw ids, equally many.
        clip : bool
            Whether to keep the scores within the range of the ratings the model was trained on.
        spread : bool
            Whether to return as well how sure the scores are: their standard deviation over a posterior's draws.

        Returns
        -------
        numpy.ndarray of float32, shape (pairs,), or two of them
            The scores, and with ``spread`` their standard deviations.

        Raises
        ------
        UnknownIdError
            If a user or an item is not in the model.
        SettingError
            If they are not equally many; if ``spread`` is asked of a model that is not made of draws, as those of
            `BayesianMF` are, or ``clip`` of one that was not trained on ratings.
        """
        user_rows, item_rows = self.users.rows(users), self.items.rows(items)
        if len(user_rows) != len(item_rows):
            raise SettingError(f"score() got {len(user_rows):,} users and {len(item_rows):,} items: give pairs")
        if not spread:
            return self.score_rows(user_rows, item_rows, clip=clip)
        from cofactor.model.uncertainty import score_with_spread  # loads the sampler's kernels

        scores, deviations = score_with_spread(self, user_rows, item_rows)
        return self._clipped(scores) if clip else scores, deviations

    def score_rows(self, user_rows: np.ndarray, item_rows: np.ndarray, *, clip: bool = False) -> np.ndarray:
        """Score pairs of row numbers; see `score`."""
        scores = lists.scored(self, user_rows, item_rows)
        return self._clipped(scores) if clip else scores

    def _clipped(self, scores: np.ndarray) -> np.ndarray:
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
        by: "By" = "mean",
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
        by : {"mean", "optimistic", "cautious"}
            What to order by, in a model made of draws: the mean score, one standard deviation more (items that might
            be loved), or one less (items that are surely liked).

        Returns
        -------
        polars.DataFrame
            Columns user, position (from 1), item, title (null where not known), score; in the order of ``users``,
            then by position. Equal scores are in item row order.

        Raises
        ------
        UnknownIdError
            If a user, a candidate or an exclusion is not in the model.
        SettingError
            If ``n``, ``on_unknown`` or ``by`` is none of what it may be, with this model.
        """
        check_choice("on_unknown", on_unknown, get_args(OnUnknown))
        rows = self.users.find(users) if on_unknown == "skip" else self.users.rows(users)
        rows = rows[rows >= 0]
        chosen = lists.allowed(self, candidates, exclude)
        return lists.recommended(self, rows, lists.checked(n), exclude_seen, chosen, by)

    def recommend_all(
        self,
        path: str | os.PathLike[str],
        n: int = 10,
        *,
        users: Iterable[Id] | None = None,
        exclude_seen: bool = True,
        candidates: Iterable[Id] | None = None,
        exclude: Iterable[Id] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Path:
        """Write everyone's ``n`` best items to a Parquet file, in bounded memory.

        The file has the columns of `recommend`, in user row order, and appears whole or not at all. It takes less than
        512 MiB beyond the model and its index, however many users and items there are. Interrupted or killed, it
        leaves what is done in the folder ``PATH.parts``; the same call goes on from there and ends in the same file.
        What another model or other settings have left there is thrown away.

        Parameters
        ----------
        path : path
            The file to write.
        n, exclude_seen, candidates, exclude
            As in `recommend`.
        users : iterable of str or int, optional
            The users to write, in this order, such as one machine's share ``model.users.ids[:100_000]``.
        progress : callable, optional
            Called with the number of users done so far.

        Raises
        ------
        SettingError
            If another process is writing the same file, or the path is a folder.
        """
        return write_everyone(
            self, Path(path), lists.checked(n), users=users, exclude_seen=exclude_seen, candidates=candidates,
            exclude=exclude, progress=progress,
        )  # fmt: skip

    def approximate(self, recall: float = 0.95, n: int = 10) -> "Factors":
        """Return the model with an index that looks at a part of the items, for catalogues of millions.

        Its lists may miss items of the exact ones, those with ``candidates`` or ``exclude`` excepted; scores are exact.
        How much they miss is measured: see ``recall`` of what is returned. A saved file does not hold the index.

        Parameters
        ----------
        recall : float
            The share of the exact lists to aim at, between 0 and 1, with seen items left out.
        n : int
            The length of the lists that it is measured on.

        Raises
        ------
        SettingError
            If ``recall`` is not between 0 and 1, or if scores are no products of vectors.
        MissingExtraError
            If faiss is not installed.

        Examples
        --------
        >>> vectors = np.random.default_rng(0).normal(size=(2000, 8))
        >>> quick = Factors.from_arrays(vectors[:50], vectors).approximate(recall=0.9)
        >>> quick.recall > 0.8
        True
        """
        from cofactor.model.approximate import approximated

        return approximated(self, recall, n)

    def fold_in(self, newcomers: "Newcomers") -> "Factors":
        """Place new users by their ratings; nothing is retrained, and no solver is needed.

        A user whom the model knows already is placed anew by what they had and what is given now.

        Parameters
        ----------
        newcomers : Interactions, or mapping of ids
            For each user the items they met: ``{"visitor": {"50": 5, "172": 4}}``, or ``{"visitor": ["50", "172"]}``
            where values do not matter.

        Returns
        -------
        Factors
            This model with the newcomers in it.

        Raises
        ------
        UnknownIdError
            If an item is not in the model.
        DataError, SettingError
            If a value is no finite number; if the model cannot place anyone, for want of regularization say.

        Examples
        --------
        >>> import cofactor as cf
        >>> from cofactor.solvers import ImplicitALS
        >>> model = ImplicitALS(rank=4, epochs=2).fit(cf.load_dataset("synthetic:60x40x600").binary())
        >>> model.fold_in({61: [1, 2, 3]}).recommend([61], n=2)["position"].to_list()
        [1, 2]
        """
        from cofactor.model.placing import fold_in  # brings numba

        return fold_in(self, newcomers, "user", alone=False)

    def fold_in_items(self, newcomers: "Newcomers") -> "Factors":
        """Place new items by who met them: ``{"new film": {"196": 5, "186": 3}}``; see `fold_in`."""
        from cofactor.model.placing import fold_in  # brings numba

        return fold_in(self, newcomers, "item", alone=False)

    def place(self, newcomers: "Newcomers") -> "Factors":
        """Return a model of the newcomers alone; unlike `fold_in` it costs the same however many users there are."""
        from cofactor.model.placing import fold_in  # brings numba

        return fold_in(self, newcomers, "user", alone=True)

    def update(self, news: Interactions) -> "Factors":
        """Return the model with new users, new items and new ratings in it, in place of a retrain.

        New items, then every user with news, then every item with news are solved anew, all others held as they are.
        New values replace old ones of the same user and item. News with ids of another type are a DataError.
        """
        from cofactor.model.placing import update  # brings numba

        return update(self, news)

    def explain(self, user: Id, item: Id) -> pl.DataFrame:
        """Say what a score comes from.

        A vector that minimizes squared error is a sum over the user's ratings, and so is every score.

        Returns
        -------
        polars.DataFrame
            Columns item, title, value, share: the user's items, those of largest effect first, and a last row for
            everything else (mean, the item's own bias, what training left undone). The shares add up to the score.

        Raises
        ------
        UnknownIdError
            If the user or the item is not in the model.
        """
        from cofactor.model.placing import explain  # brings numba

        return explain(self, user, item)

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
        sides = (("user", self.user_vectors), ("item", self.item_vectors))
        return pl.concat([lists.described(vectors, side) for side, vectors in sides])

    def to_keras(self) -> Any:
        """Return the model as a ``keras.Model`` that takes (user row, item row) and gives the score.

        Raises
        ------
        MissingExtraError
            If Keras is not installed.
        SettingError
            If scores are no products of vectors: with ordered levels.
        """
        from cofactor.model.keras_network import network_from

        return network_from(self)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model to one safetensors file, whole or not at all; `cofactor.load` reads it."""
        from cofactor.model.storage import save

        return save(self, path)
