"""Factors: what every solver makes and everything else uses. Plain data with thin methods."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, overload

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data import notebook
from cofactor.data.arguments import path_of
from cofactor.data.interactions import Interactions
from cofactor.data.metadata import Metadata
from cofactor.data.passes import as_csr, counts_of
from cofactor.data.preparation import AsGiven, Preparation, prepared
from cofactor.data.timing import Timing, latest_first
from cofactor.data.vocabulary import Id, Vocabulary, id_series
from cofactor.errors import SettingError, UnknownIdError
from cofactor.lists.answer import Catalog, answer, check_history, marked_new, named_items
from cofactor.lists.attributes import ItemAttributes
from cofactor.lists.audience import Audience, ProductAudience, ScoringAudience, audience
from cofactor.lists.pipeline import rank
from cofactor.lists.request import AudienceRequest, By, ItemChoice, ListRequest, OnUnknown, UserChoice, checked_n
from cofactor.lists.rerank import Ranked
from cofactor.lists.retriever import ExactRetriever, Filter, Retriever, Users
from cofactor.lists.together import Together, group_list
from cofactor.lists.where import Where, rows_where
from cofactor.model import checks, trend
from cofactor.model.neighbours import nearest
from cofactor.model.objectives.objective import Objective, Parameters, Side
from cofactor.model.objectives.squared import SquaredError
from cofactor.model.origin import Origin
from cofactor.model.packed_tables import packed_tables
from cofactor.model.side_features import NEW_ITEMS, Features
from cofactor.model.warnings import warn_of_rating_model

if TYPE_CHECKING:
    from cofactor.lists.rerank import AnyReranker
    from cofactor.model.fold_in import Newcomers

__all__ = ["Factors", "Origin"]

_PAIRS_AT_ONCE = 2**20
_SCORES_AT_ONCE = 2**22
_FEW = 256  # up to so many users, what was learnt of everyone need not be known
_ARRAYS = ("user_vectors", "item_vectors", "user_bias", "item_bias")
_OTHERS = {
    "user_factors": "user_vectors", "item_factors": "item_vectors", "user_embeddings": "user_vectors",
    "item_embeddings": "item_vectors", "pu": "user_vectors", "qi": "item_vectors", "bu": "user_bias", "bi": "item_bias",
    "global_mean": "mean", "factors": "rank", "predict": "score(users, items)",
    "predict_top_n": "recommend(users, n)", "recommend_all_users": "recommend_all(path, n)", "fit": "a solver's fit()",
}  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Factors:
    """User vectors and item vectors, and all that is needed to recommend from them.

    Solvers return it, `cofactor.load` reads it, and `Factors.from_arrays` makes it from vectors that were learnt
    elsewhere. It never changes; it can be copied and pickled. A score is
    ``mean + user_bias + item_bias + user_vector · item_vector``.

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
        What each user must not be shown again, with the raw value: what was learnt from, and more.
    metadata : Metadata
        What is known of the items and the users: titles, genres and all that the training data came with.
    objective : Objective
        What the vectors minimize; `fold_in` needs nothing more.
    origin : Origin
        Solver, settings, data.
    history : mapping of str to tuple of float
        The training's figures, epoch by epoch.
    extras : mapping of str to numpy.ndarray
        Whatever else a solver needs kept.
    preparation : Preparation
        What was made of the raw values before the solver learnt from them.
    timing : Timing, optional
        How the model heeds time, if it does.
    seen_times : numpy.ndarray, shape (seen pairs,), optional
        When each pair of ``seen`` was, in seconds since 1970; kept where there is a ``timing``.
    features : mapping of side to SideFeatures
        What attributes say of vectors, where they were learnt from.
    retriever : Retriever, optional
        What finds lists, if not the exact search; `approximate` sets it, and a saved file does not hold it.

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
    metadata: Metadata = Metadata()
    objective: Objective = SquaredError()
    origin: Origin = Origin()
    history: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)
    preparation: Preparation = AsGiven()
    timing: Timing | None = None
    seen_times: np.ndarray | None = None
    features: Features = field(default_factory=dict)
    retriever: Retriever | None = None

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            array = getattr(self, name)
            object.__setattr__(self, name, None if array is None else checks.frozen(array, name))
        object.__setattr__(self, "mean", float(self.mean))
        if self.seen is None:
            object.__setattr__(self, "seen", sparse.csr_array((len(self.users), len(self.items)), dtype=np.float32))
        object.__setattr__(self, "history", MappingProxyType({k: tuple(v) for k, v in self.history.items()}))
        for name in ("extras", "features"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        _check_shapes(self)

    def __getstate__(self) -> dict[str, Any]:
        state = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)}
        return {**state, **{name: dict(getattr(self, name)) for name in ("history", "extras", "features")}}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        for name in ("history", "extras", "features"):
            self.__dict__[name] = MappingProxyType(self.__dict__[name])

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
            Metadata()
            if titles is None
            else Metadata(pl.DataFrame({"title": pl.Series(list(titles), dtype=pl.String)})),
            origin=Origin(solver="from_arrays"),
        )

    if not TYPE_CHECKING:  # or every name would pass

        def __getattr__(self, name: str) -> Any:
            """Say what is called otherwise elsewhere."""
            hint = f": here it is {_OTHERS[name]}" if name in _OTHERS else ""
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}", name=name, obj=self)

    def __eq__(self, other: object) -> bool:
        """Return whether two models give the same answers; see `digest`."""
        if not isinstance(other, Factors):
            return NotImplemented
        return self is other or (hash(self) == hash(other) and self.digest == other.digest)

    def __hash__(self) -> int:
        return hash((self.n_users, self.n_items, *self.user_vectors.shape, self.seen.nnz))

    def __repr__(self) -> str:
        made = f" by {self.origin.solver}" if self.origin.solver else ""
        return f"Factors of rank {self.rank} for {self.n_users:,} users × {self.n_items:,} items{made}"

    def _repr_html_(self) -> str:
        made, settings = self.origin, self.origin.settings.items()
        return notebook.facts(
            repr(self),
            {
                "trained for": {"rating": "ratings", "ranking": "lists"}[self.objective.goal],
                "learnt from": made.data,
                "at": made.trained_at,
                "settings": ", ".join(f"{name}={value}" for name, value in settings if value is not None),
                "known pairs": int(self.seen.nnz),
                **{f"{name} at the end": values[-1] for name, values in self.history.items() if values},
                **{f"{name}, held out": value for name, value in made.metrics.items()},
            },
        )

    @property
    def rank(self) -> int:
        """The length of a vector; of one draw, where several stand side by side."""
        return int(self.user_vectors.shape[1]) // self.objective.draws

    @property
    def n_users(self) -> int:
        """The number of users."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """The number of items."""
        return len(self.items)

    @property
    def item_table(self) -> pl.DataFrame:
        """What is known of the items, in row order: the column item, and those that the training data came with."""
        return self.metadata.table(self.items)

    @property
    def user_table(self) -> pl.DataFrame:
        """What is known of the users, in row order: the column user, and those that the training data came with."""
        return self.metadata.table(self.users)

    @property
    def digest(self) -> str:
        """A short name for the model, in hexadecimal: the same for the same model, saved or not, else another."""
        return self._once("digest", lambda: digest_of(self))

    @property
    def recall(self) -> float:
        """The share of the exact lists that the model's lists hold: measured if `approximate` made it, else 1."""
        return float(getattr(self.retriever, "recall", 1.0))

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
            Whether to return the standard deviation of the scores over a posterior's draws as well.

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
        user_rows, item_rows = self._pairs("score", users, items)
        if not spread:
            scores = score_rows(self, user_rows, item_rows)
            return self._clipped(scores) if clip else scores
        from cofactor.model.uncertainty import score_with_spread  # loads the sampler's kernels

        scores, deviations = score_with_spread(draws_needed(self), user_rows, item_rows)
        return self._clipped(scores) if clip else scores, deviations

    def score_matrix(self, users: Iterable[Id] | None = None, items: Iterable[Id] | None = None) -> np.ndarray:
        """Score every user with every item.

        Parameters
        ----------
        users, items : iterable of str or int, optional
            Raw ids; all of the model, in row order, if not given.

        Returns
        -------
        numpy.ndarray of float32, shape (users, items)

        Raises
        ------
        UnknownIdError
            If a user or an item is not in the model.

        Examples
        --------
        >>> Factors.from_arrays(np.eye(2), np.array([[3.0, 1.0], [2.0, 5.0]])).score_matrix([1])
        array([[1., 5.]], dtype=float32)
        """
        user_rows = np.arange(self.n_users) if users is None else self.users.rows(users)
        item_rows = np.arange(self.n_items) if items is None else self.items.rows(items)
        scoring = scoring_of(self)
        scores = np.empty((len(user_rows), len(item_rows)), np.float32)
        step = max(1, _SCORES_AT_ONCE // max(self.n_items, 1))
        for first in range(0, len(user_rows), step):
            scores[first : first + step] = scoring(user_rows[first : first + step])[:, item_rows]
        return scores

    def interval(self, users: Iterable[Id], items: Iterable[Id], level: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
        """Return the bounds that new ratings of pairs lie between with some probability.

        Parameters
        ----------
        users, items : iterable of str or int
            Raw ids, equally many.
        level : float
            The probability, between 0 and 1. With the probit likelihood the bounds are levels of the ratings.

        Returns
        -------
        two numpy.ndarray of float32, shape (pairs,)
            The lower and the upper bounds: what is not known of the vectors, and the noise of a rating.

        Raises
        ------
        UnknownIdError
            If a user or an item is not in the model.
        SettingError
            If they are not equally many, ``level`` is not a probability, or the model is not made of draws, as those
            of `BayesianMF` are.
        """
        user_rows, item_rows = self._pairs("interval", users, items)
        from cofactor.model.uncertainty import interval  # loads the sampler's kernels

        return interval(draws_needed(self), user_rows, item_rows, level)

    def _pairs(self, name: str, users: Iterable[Id], items: Iterable[Id]) -> tuple[np.ndarray, np.ndarray]:
        user_rows, item_rows = self.users.rows(users), self.items.rows(items)
        if len(user_rows) != len(item_rows):
            raise SettingError(f"{name}() got {len(user_rows):,} users and {len(item_rows):,} items: give pairs")
        return user_rows, item_rows

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
        candidates: ItemChoice | None = None,
        exclude: ItemChoice | None = None,
        where: Where | None = None,
        on_unknown: OnUnknown = "raise",
        by: By = "mean",
        rerank: "Sequence[AnyReranker]" = (),
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
        candidates : iterable of str or int, or data frame with the columns user and item, optional
            Choose from these items only; with a frame, each user from their own pairs. Items that are not in the model
            are ignored, and counted in the log.
        exclude : iterable of str or int, or data frame with the columns user and item, optional
            Never choose these items, or these pairs; unknown items as above.
        where : polars.Expr or str, optional
            Choose from the items for which this holds, of the columns of ``item_table``: ``pl.col("price") < 20``, or a
            text such as ``"year >= 1990 and 'Comedy' in genres"``; see `cofactor.lists.where.rows_where`. It is applied
            before ranking, so lists stay as long.
        on_unknown : {"raise", "skip", "popular"}
            What to do about users of whom nothing was learnt, be they not in the model or without history in it: raise,
            leave them out, or list the popular items.
        by : {"mean", "optimistic", "cautious"}
            What to order by, in a model made of draws: the mean score, one standard deviation more (items that might
            be loved), or one less (items that are surely liked).
        rerank : sequence of re-rankers
            Applied in order to the exact list, as deep as they need, before it is cut to ``n``.

        Returns
        -------
        polars.DataFrame
            Columns user, position (from 1), item, title (null where not known), score; in the order of ``users``, then
            by position. Equal scores are in item row order. With ``on_unknown="popular"`` there is one more column,
            popular: whether the row is from the popular list, whose rows have no score. In a model with items that came
            after training there is one more, new: whether the item did.

        Raises
        ------
        UnknownIdError
            If nothing was learnt of a user, and ``on_unknown`` is "raise".
        SettingError
            If an argument is none of what it may be, with this model.
        """
        request = ListRequest(
            n=n, exclude_seen=exclude_seen, candidates=candidates, exclude=exclude, where=where, on_unknown=on_unknown,
            by=by, rerank=rerank,
        )  # fmt: skip
        self._warn_of_goal()
        return answer(catalog_of(self), retriever_of(self, by), users_of(self), users, request)

    def recommend_users(
        self,
        items: Iterable[Id],
        n: int = 10,
        *,
        exclude_seen: bool = True,
        candidates: UserChoice | None = None,
        exclude: UserChoice | None = None,
        where: Where | None = None,
    ) -> pl.DataFrame:
        """Return whom to tell about an item: the ``n`` users with the highest scores for it.

        The search is exact, by the scan that makes lists. Users of whom nothing was learnt are in no audience.

        Parameters
        ----------
        items : iterable of str or int
            Raw item ids.
        n : int
            How many users. An item with fewer left gets fewer rows.
        exclude_seen : bool
            Whether to leave out who had the item in the training data.
        candidates : iterable of str or int, or data frame with the columns user and item, optional
            Choose from these users only; with a frame, for each item from those of its own pairs. Users who are not in
            the model are ignored, and counted in the log.
        exclude : iterable of str or int, or data frame with the columns user and item, optional
            Never choose these users, or these pairs; unknown users as above.
        where : polars.Expr or str, optional
            Choose from the users for whom this holds, of the columns of ``user_table``: ``"age < 30"``; see
            `recommend`.

        Returns
        -------
        polars.DataFrame
            Columns item, position (from 1), user, score; in the order of ``items``, then by position. Equal scores are
            in user row order.

        Raises
        ------
        UnknownIdError
            If an item is not in the model, or nothing was learnt of it.
        SettingError
            If an argument is none of what it may be.

        Examples
        --------
        >>> model = Factors.from_arrays(np.array([[1.0], [3.0], [2.0]]), np.eye(1), users=["ann", "bob", "eve"])
        >>> model.recommend_users([0], n=2)["user"].to_list()
        ['bob', 'eve']
        """
        request = AudienceRequest(n=n, exclude_seen=exclude_seen, candidates=candidates, exclude=exclude, where=where)
        ids = id_series(items, "item")
        for identifier, row in zip(ids, self.items.rows(ids), strict=True):
            self._check_learnt("item", identifier, int(row))
        known = has_history(self, np.arange(self.n_users))
        return audience(
            audience_of(self), self.users, self.items, ids, request, self.metadata, seen=self.seen, known=known
        )

    def recommend_group(
        self,
        users: Iterable[Id],
        n: int = 10,
        how: Together = "mean",
        *,
        exclude_seen: bool = True,
        candidates: ItemChoice | None = None,
        exclude: ItemChoice | None = None,
        where: Where | None = None,
        rerank: "Sequence[AnyReranker]" = (),
    ) -> pl.DataFrame:
        """Return one list for several people who will share it.

        Parameters
        ----------
        users : iterable of str or int
            Raw ids of the members.
        n : int
            The length of the list; it is shorter if fewer items are left.
        how : {"mean", "min", "max"}
            What the group's score of an item is: the mean of the members' scores, the least of them, so that nobody
            dislikes it, or the largest, so that somebody loves it (Masthoff 2004, Group Modeling).
        exclude_seen : bool
            Whether to leave out what any member had in the training data.
        candidates : iterable of str or int, or data frame with the columns user and item, optional
            Choose from these items only; with a frame, from those that every member has a pair of.
        exclude : iterable of str or int, or data frame with the columns user and item, optional
            Never choose these items, or with a frame those that any member has a pair of.
        where : polars.Expr or str, optional
        rerank : sequence of re-rankers
            As in `recommend`.

        Returns
        -------
        polars.DataFrame
            Columns position (from 1), item, title (null where not known), score. Equal scores are in item row order.

        Raises
        ------
        UnknownIdError
            If nothing was learnt of a user.
        SettingError
            If there is no user, or an argument is none of what it may be.

        Examples
        --------
        >>> tastes, items = np.array([[4.0, 0.0], [0.0, 3.0]]), np.array([[1.0, 0.0], [0.6, 0.6]])
        >>> model = Factors.from_arrays(tastes, items, items=["opera", "film"])
        >>> model.recommend_group([0, 1], n=1, how="min")["item"].to_list()
        ['film']
        """
        request = ListRequest(
            n=n, exclude_seen=exclude_seen, candidates=candidates, exclude=exclude, where=where, rerank=rerank
        )
        self._warn_of_goal()
        ids = id_series(users, "user")
        catalog, rows = catalog_of(self), self.users.rows(ids)
        check_history(catalog, ids, rows)
        return group_list(catalog, scoring_of(self), ids, rows, request, how)

    def recommend_all(
        self,
        path: str | os.PathLike[str],
        n: int = 10,
        *,
        users: Iterable[Id] | None = None,
        exclude_seen: bool = True,
        candidates: ItemChoice | None = None,
        exclude: ItemChoice | None = None,
        where: Where | None = None,
        on_unknown: OnUnknown = "skip",
        rerank: "Sequence[AnyReranker]" = (),
        progress: Callable[[int], None] | None = None,
    ) -> Path:
        """Write everyone's ``n`` best items to a file, in bounded memory: ``.parquet``, ``.csv`` or ``.jsonl``.

        The file has the columns of `recommend`, in user row order, and appears whole or not at all. It takes less than
        512 MiB beyond the model and its index, however many users and items there are. Interrupted or killed, it
        leaves what is done in the folder ``PATH.parts``; the same call resumes from there and ends in the same file.
        What another model or other settings have left there is thrown away.

        Parameters
        ----------
        path : path
            The file to write.
        n, exclude_seen, candidates, exclude, where, on_unknown, rerank
            As in `recommend`; users without history are left out unless ``on_unknown`` says otherwise.
        users : iterable of str or int, optional
            The users to write, in this order, such as one machine's share ``model.users.ids[:100_000]``.
        progress : callable, optional
            Called with the number of users done so far.

        Raises
        ------
        SettingError
            If the path's name says no such format or is a folder's, or another process is writing the same file.
        """
        from cofactor.lists.everyone import write_everyone

        request = ListRequest(
            n=n, exclude_seen=exclude_seen, candidates=candidates, exclude=exclude, where=where, on_unknown=on_unknown,
            rerank=rerank,
        )  # fmt: skip
        self._warn_of_goal()
        ids = None
        if users is not None:
            ids = id_series(users, "user")
            self.users.rows(ids)
        card = {"model": self.digest, "read": getattr(self.retriever, "name", "everything"), "recall": self.recall}
        return write_everyone(
            catalog_of(self), retriever_of(self), users_of(self), path_of(path), request, ids=ids, card=card,
            progress=progress,
        )  # fmt: skip

    def _warn_of_goal(self) -> None:
        if self.objective.goal == "rating" and self.objective.scale is not None:
            warn_of_rating_model(self.origin.solver)

    def approximate(self, recall: float = 0.95, n: int = 10) -> "Factors":
        """Return the model with an approximate index, for catalogues of millions of items.

        Its lists may miss items of the exact lists, except with ``candidates``; scores are exact. The share that they
        hold is measured: see ``recall`` of the returned model. A saved file does not contain the index.

        Parameters
        ----------
        recall : float
            The share of the exact lists to reach, between 0 and 1, with seen items left out.
        n : int
            The length of the lists that recall is measured on.

        Raises
        ------
        SettingError
            If ``recall`` is not between 0 and 1, or scores are not products of vectors.
        MissingExtraError
            If faiss is not installed.

        Examples
        --------
        >>> vectors = np.random.default_rng(0).normal(size=(2000, 8))
        >>> quick = Factors.from_arrays(vectors[:50], vectors).approximate(recall=0.9)
        >>> quick.recall > 0.8
        True
        """
        from cofactor.lists.approximate import approximated

        if needs_every_draw(self):
            raise SettingError("this model's scores are no products of vectors: it has no approximate index")
        made = approximated(exact_of(self), users_of(self), self.seen, recall, n)
        return evolved(self, retriever=made)

    def fold_in(self, newcomers: "Newcomers") -> "Factors":
        """Return the model with new users in it, by their ratings; nothing is retrained, and no solver is needed.

        A user who is in the model already gets a new vector, by the old ratings and those given now.

        Parameters
        ----------
        newcomers : Interactions, or mapping of ids
            For each user their items with raw values, as in the training data:
            ``{"visitor": {"50": 5, "172": 4}}``. In a model for lists ids alone will do: in
            ``{"visitor": ["50", "172"]}`` each counts as an average choice.

        Returns
        -------
        Factors
            This model with the new users in it.

        Raises
        ------
        UnknownIdError
            If an item is not in the model.
        DataError, SettingError
            If a value is not a finite number, or missing where the model predicts ratings; if the model cannot fold in
            anyone, for example because it has no regularization.

        Examples
        --------
        >>> import cofactor as cf
        >>> from cofactor.solvers import ImplicitALS
        >>> model = ImplicitALS(rank=4, epochs=2).fit(cf.load_dataset("synthetic:60x40x600").binary())
        >>> model.fold_in({61: [1, 2, 3]}).recommend([61], n=2)["position"].to_list()
        [1, 2]
        """
        from cofactor.model.fold_in import fold_in  # brings numba

        return fold_in(self, newcomers, "user", alone=False)

    def fold_in_items(self, newcomers: "Newcomers") -> "Factors":
        """Return the model with new items in it, by who rated them or by what they are.

        Parameters
        ----------
        newcomers : Interactions, mapping of ids, or data frame
            Ratings: ``{"new film": {"196": 5}}``; see `fold_in`. Or a frame of attributes with the column ``item``:
            items that nobody has rated yet get the vector that their attributes say, if the model was trained with
            ``item_features``. Interactions may bring both.

        Raises
        ------
        UnknownIdError, DataError, SettingError
            As in `fold_in`, and if the model has learnt nothing from attributes of items.

        Examples
        --------
        >>> import cofactor as cf
        >>> from cofactor.solvers import ImplicitALS
        >>> plays = cf.load_dataset("synthetic:60x40x600").binary()
        >>> kinds = pl.DataFrame({"item": plays.items.ids, "kind": ["jazz", "rock"] * 20})
        >>> model = ImplicitALS(rank=4, epochs=2, item_features=("kind",)).fit(plays.with_items(kinds))
        >>> model.fold_in_items(pl.DataFrame({"item": [900], "kind": ["jazz"]})).n_items
        41
        """
        from cofactor.model.fold_in import fold_in  # brings numba

        return fold_in(self, newcomers, "item", alone=False)

    def fold_in_users(self, people: Any) -> "Factors":
        """Return the model with users in it of whom attributes are known, and no rating.

        Parameters
        ----------
        people : data frame
            With the column ``user``, and attributes.

        Raises
        ------
        DataError, SettingError
            If there is no such column, or the model was trained without ``user_features``.
        """
        from cofactor.model.fold_in import fold_in  # brings numba

        return fold_in(self, people, "user", alone=False)

    def place(self, newcomers: "Newcomers", *, recency: float | None = None) -> "Factors":
        """Return a model of the new users alone; unlike `fold_in`, its time does not depend on the number of users.

        Parameters
        ----------
        newcomers : Interactions, or mapping of ids
            As in `fold_in`. Their order is that of the times, or in a mapping that in which items are listed.
        recency : float, optional
            What each choice weighs against the next later one, from 0 to 1: with 0.8 the latest choice counts 1, the
            one before it 0.8, then 0.64, and so on, over their mean. As the model was trained, if not given.

        Raises
        ------
        SettingError
            If ``recency`` is not above 0 and at most 1, or the model was trained by a solver that lets all choices of
            a user count alike; otherwise as `fold_in`.

        Examples
        --------
        >>> import cofactor as cf
        >>> from cofactor.solvers import ImplicitALS
        >>> model = ImplicitALS(rank=4, epochs=2).fit(cf.load_dataset("synthetic:60x40x600").binary())
        >>> model.place({"visitor": [1, 2, 3]}, recency=0.8).n_users
        1
        """
        from cofactor.model.fold_in import fold_in  # brings numba

        return fold_in(self, newcomers, "user", alone=True, recency=recency)

    def update(self, news: Interactions) -> "Factors":
        """Return the model with new users, new items and new ratings in it, instead of a retrain.

        New items are solved first, then all users with new data, then all items with new data; other rows stay as they
        are. New values replace old ones of the same pair. Ids of another type than the model's are a DataError.
        """
        from cofactor.model.fold_in import update  # brings numba

        return update(self, news)

    def forget(self, users: Iterable[Id]) -> "Factors":
        """Return the model without some users: nothing of their own is left in it, nor in a file that it is saved to.

        Ids, vectors, biases, draws, what they had and when, and their attributes go. The vectors of items stay as they
        were learnt from everybody; train again without the users' data to free these from their influence.

        Parameters
        ----------
        users : iterable of str or int
            Raw ids.

        Raises
        ------
        UnknownIdError
            If a user is not in the model.

        Examples
        --------
        >>> model = Factors.from_arrays(np.eye(2), np.eye(2), users=["ann", "bob"])
        >>> model.forget(["ann"]).users.ids.to_list()
        ['bob']
        """
        from cofactor.model.forgetting import forget  # which needs this module

        return forget(self, users)

    def explain(self, user: Id, item: Id) -> pl.DataFrame:
        """Split a score into shares of the user's ratings.

        A vector that minimizes squared error is a sum over the user's ratings, and so is every score.

        Returns
        -------
        polars.DataFrame
            Columns item, title, value (as it was given), share: the user's items, those of largest effect first, and a
            last row for everything else: mean, the item's bias, remaining training error. The shares add up to the
            score.

        Raises
        ------
        UnknownIdError
            If the user or the item is not in the model.
        """
        from cofactor.model.fold_in import explain  # brings numba

        return explain(self, user, item)

    def similar_items(self, item: Id, n: int = 10, *, where: Where | None = None) -> pl.DataFrame:
        """Return the items with the largest cosine to an item's vector: position, item, title, score (the cosine).

        Parameters
        ----------
        item : str or int
        n : int
        where : polars.Expr or str, optional
            Choose from the items for which this holds; see `recommend`.

        Raises
        ------
        UnknownIdError
            If the item is not in the model, or nothing was learnt of it.
        SettingError
            If ``where`` does not fit what is known of the items.
        """
        candidates = None if where is None else np.flatnonzero(rows_where(where, self.item_table))
        near = self._nearest("item", item, n, candidates)
        found = _as_neighbours(named_items(self.items, self.metadata, near.items), near.scores)
        return found.with_columns(*marked_new(new_items_of(self), near.items))

    def similar_users(self, user: Id, n: int = 10) -> pl.DataFrame:
        """Return the users with the largest cosine to a user's vector: position, user, score (the cosine).

        Raises
        ------
        UnknownIdError
            If the user is not in the model, or nothing was learnt of them.
        """
        near = self._nearest("user", user, n)
        return _as_neighbours([self.users.take(near.items).alias("user")], near.scores)

    def _nearest(self, side: Side, identifier: Id, n: int, candidates: np.ndarray | None = None) -> Any:
        ids: Vocabulary = self.users if side == "user" else self.items
        row = ids.known_row(identifier)
        self._check_learnt(side, identifier, row)
        return nearest(parameters_of(self), side, row, checked_n(n), candidates)

    def _check_learnt(self, side: Side, identifier: Id, row: int) -> None:
        vectors = self.user_vectors if side == "user" else self.item_vectors
        if not vectors[row].any() and not self._learnt_of(side, row):
            raise UnknownIdError(
                f"{side} {identifier!r} has no history in this model, so nothing was learnt of it: "
                f"fold_in{'' if side == 'user' else '_items'}() places it by ratings"
            )

    def _learnt_of(self, side: Side, row: int) -> bool:
        counts = learnt_counts(self)
        return bool((counts.by_user if side == "user" else counts.by_item)[row])

    def describe(self) -> pl.DataFrame:
        """Describe both tables of vectors, factor by factor: count, mean, std, min, quartiles, max.

        Returns
        -------
        polars.DataFrame
            Columns vectors ("user" or "item"), statistic, and one for each factor: "0", "1", …
        """
        sides = (("user", self.user_vectors), ("item", self.item_vectors))
        return pl.concat([_described(vectors, side) for side, vectors in sides])

    def to_keras(self) -> Any:
        """Return the model as a ``keras.Model`` that takes (user row, item row) and gives the score.

        Raises
        ------
        MissingExtraError
            If Keras is not installed.
        SettingError
            If scores are not products of vectors, as with ordered levels.
        """
        from cofactor.model.keras_network import network_from

        return network_from(self)

    def export(self, path: str | os.PathLike[str], n: int = 10) -> Path:
        """Write the vectors to one file for another system; the inner product of a user's and an item's is the score.

        Parameters
        ----------
        path : path
            Its ending says the format: ``.parquet``, a table of both sides with the columns side, id, title and vector;
            ``.npz``, arrays of ids and vectors; ``.faiss`` or ``.usearch``, an index of the items by their ids, or by
            their rows where ids are texts; ``.sql``, what ``psql -f`` loads into PostgreSQL with pgvector; ``.onnx``, a
            network from rows of users to the ids and scores of their best ``n`` items.
        n : int
            The length of the network's lists.

        Returns
        -------
        pathlib.Path
            The file. What users have seen is not in it: leave it out where lists are made.

        Raises
        ------
        SettingError
            If the name says no format, or scores are not products of vectors.
        MissingExtraError
            If the format's library is not installed.

        Examples
        --------
        >>> model = Factors.from_arrays(np.eye(2), np.array([[3.0, 1.0], [2.0, 5.0]]))
        >>> written = model.export("vectors.parquet")
        >>> pl.read_parquet(written)["vector"].to_list()[3]
        [2.0, 5.0]
        """
        from cofactor.model.export import export

        return export(self, path, n)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model to one safetensors file, whole or not at all; `cofactor.load` reads it."""
        from cofactor.model.storage import save

        return save(self, path)

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return what ``make`` makes of the whole model, made once; copies and files do not hold it."""
        made = self.__dict__.setdefault("_made_of_all", {})
        if name not in made:
            made[name] = make()
        return made[name]


def evolved(model: Factors, *, checked: bool = False, **changes: Any) -> Factors:
    """Return a copy with some fields changed; only what changes is checked, so it is cheap in a large model.

    What objectives and searches make of one side's vectors, the copies share where these do not change. Numbers that
    are known to be sound, such as rows of a model, are not looked at again where ``checked`` is true.
    """
    if not checked:
        changes |= {name: checks.frozen(changes[name], name) for name in _ARRAYS if changes.get(name) is not None}
    new: Factors = object.__new__(type(model))
    new.__dict__.update({entry.name: model.__dict__[entry.name] for entry in dataclasses.fields(model)})
    new.__dict__.update(changes)
    touched = {side for side in ("user", "item") if {f"{side}_vectors", f"{side}_bias"} & set(changes)}
    other_form = any(
        name in changes and (changes[name] is None) != (getattr(model, name) is None)
        for name in ("user_bias", "item_bias")
    )
    if trend.differs(model.extras, new.__dict__["extras"]):
        touched.add("item")
    if "item" in touched and "retriever" not in changes:
        new.__dict__["retriever"] = None
    if not other_form and not {"objective", "mean"} & set(changes):
        new.__dict__["_made"] = {side: {} if side in touched else made for side, made in _made_of(model).items()}
    _check_shapes(new)
    return new


def _made_of(model: Factors) -> dict[Side, dict[str, Any]]:
    made: dict[Side, dict[str, Any]] = model.__dict__.setdefault("_made", {"user": {}, "item": {}})
    return made


def parameters_of(model: Factors) -> Parameters:
    """Return the numbers of a model as objectives take them."""
    return Parameters(
        model.user_vectors, model.item_vectors, model.user_bias, model.item_bias, model.mean, model.extras,
        lambda: learnt_by(model), model.objective.draws, _made_of(model),
    )  # fmt: skip


def prepared_for(
    model: Factors, table: sparse.csr_array, times: np.ndarray | None = None, *, recency: float = 1.0
) -> sparse.csr_array:
    """Return a table of raw values as the model's solver would learn from it.

    Parameters
    ----------
    model : Factors
    table : scipy.sparse.csr_array
    times : numpy.ndarray, shape (values,), optional
        When each value was; without them, all are as old as the average.
    recency : float
        What each value of a row weighs against the one after it.
    """
    learnt = prepared(table, model.preparation, zeros_count=model.objective.goal == "rating")
    timing = model.timing if model.objective.goal == "ranking" else None  # ratings are no weights
    decays = timing is not None and timing.half_life is not None
    if times is None or not (decays or recency < 1):
        return learnt
    if learnt.nnz < table.nnz:
        times = times[model.preparation.apply(table.data) != 0]
    weights = np.ones(learnt.nnz, np.float32) if timing is None else timing.decay(times)
    if recency < 1:
        weights *= latest_first(learnt.indptr, times, recency)
    return as_csr(learnt.data * weights, learnt.indices, learnt.indptr, learnt.shape)


def learnt_by(model: Factors) -> sparse.csr_array:
    """Return what a model was trained on, as prepared values: shape (users, items)."""
    learnt: sparse.csr_array = model._once("learnt", lambda: prepared_for(model, model.seen, model.seen_times))
    return learnt


class LearntCounts(NamedTuple):
    """How many pairs of each user and each item a model learnt from, and how many users chose each item."""

    by_user: np.ndarray
    by_item: np.ndarray
    chosen: np.ndarray


def learnt_counts(model: Factors) -> LearntCounts:
    """Count what a model learnt from, part by part: no table is made beside the one of what was seen."""
    counts: LearntCounts = model._once("learnt counts", lambda: _counted(model))
    return counts


def _counted(model: Factors) -> LearntCounts:
    indptr, indices = model.seen.indptr, model.seen.indices
    if model.objective.goal == "rating":  # a rating of 0 is a rating
        by_item = counts_of(indices, model.n_items)
        return LearntCounts(np.diff(indptr), by_item, by_item)
    by_user, by_item, chosen = (np.zeros(n, np.int64) for n in (model.n_users, model.n_items, model.n_items))
    first = 0
    while first < model.n_users:
        last = max(first + 1, int(np.searchsorted(indptr, indptr[first] + _PAIRS_AT_ONCE, side="right")) - 1)
        part = slice(int(indptr[first]), int(indptr[last]))
        values = model.preparation.apply(model.seen.data[part])
        before = np.concatenate([[0], np.cumsum(values != 0)])
        by_user[first:last] = np.diff(before[indptr[first : last + 1] - indptr[first]])
        by_item += counts_of(indices[part][values != 0], model.n_items)
        chosen += counts_of(indices[part][values > 0], model.n_items)
        first = last
    return LearntCounts(by_user, by_item, chosen)


def has_history(model: Factors, user_rows: np.ndarray) -> np.ndarray:
    """Return of which users something was learnt: a mask.

    Vectors that attributes say, or that came from elsewhere, are something; those that a solver drew at random and
    never trained are nothing.
    """
    if len(user_rows) > _FEW:
        known: np.ndarray = learnt_counts(model).by_user[user_rows] > 0
    else:
        starts, ends = model.seen.indptr[user_rows], model.seen.indptr[user_rows + 1]
        known = ends > starts
        if model.objective.goal != "rating":  # a rating of 0 is a rating
            parts = (
                model.preparation.apply(model.seen.data[start:end]) for start, end in zip(starts, ends, strict=True)
            )
            known &= np.fromiter((part.any() for part in parts), bool, len(known))
    if not known.all() and ("user" in model.features or model.origin.solver in ("", "from_arrays")):
        known[~known] = model.user_vectors[user_rows[~known]].any(axis=1)
    return known


def popularity_of(model: Factors, *, lately: bool = False) -> np.ndarray:
    """Return how many users chose each item, shape (items,); how many of late, if the model knows what is rising."""
    chosen = learnt_counts(model).chosen
    if lately and model.timing is not None and model.timing.trend is not None:
        late: np.ndarray = np.expm1(model.extras[trend.LEVELS].astype(np.float64)) + 1e-9 * chosen
        return late
    return chosen


def users_of(model: Factors) -> Users:
    """Return the user side of a search."""
    return ranked_users(model, model.user_vectors, model.user_bias)


def ranked_users(model: Factors, vectors: np.ndarray, bias: np.ndarray | None) -> Users:
    """Return users whose products with `ranked_items` are scores; what is rising leaves no room for their biases."""
    if model.timing is None or model.timing.trend is None:
        return Users(vectors, bias, model.mean)
    return Users(vectors)


def catalog_of(model: Factors) -> Catalog:
    """Return whom and what a model's lists are about."""
    return Catalog(
        model.users, model.items, model.metadata, model.seen,
        lambda rows: has_history(model, rows), lambda: popularity_of(model, lately=True), attributes_of(model),
        new_items_of(model),
    )  # fmt: skip


def new_items_of(model: Factors) -> np.ndarray | None:
    """Return which items came after training, as a mask; None if none did."""
    flags = model.extras.get(NEW_ITEMS)
    return flags.astype(bool) if flags is not None and flags.any() else None


def attributes_of(model: Factors) -> ItemAttributes:
    """Return what is known of a model's items, for rules and metrics."""
    attributes: ItemAttributes = model._once("attributes", lambda: ItemAttributes(model.item_table))
    return attributes


def retriever_of(model: Factors, by: By = "mean") -> Retriever:
    """Return what finds a model's lists."""
    if by == "mean" and not needs_every_draw(model):
        return model.retriever or exact_of(model)
    from cofactor.model.uncertainty import DrawsRetriever  # loads the sampler's kernels

    return DrawsRetriever(draws_needed(model), by)


def exact_of(model: Factors) -> ExactRetriever:
    """Return the exact search through a model's items, made once for as long as these do not change."""
    return parameters_of(model).once("retriever", "item", lambda: ExactRetriever(*ranked_items(model)))


def audience_of(model: Factors) -> Audience:
    """Return what finds the users with the highest scores, made once for as long as the vectors do not change."""
    if needs_every_draw(model):
        return ScoringAudience(lambda users, items: score_rows(model, users, items), model.n_users)
    return cast(Audience, model._once("audience", lambda: ProductAudience(exact_of(model), users_of(model))))


def scoring_of(model: Factors) -> Callable[[np.ndarray], np.ndarray]:
    """Return what scores every item for some user rows, by the one definition of a score."""
    if needs_every_draw(model):
        from cofactor.model.uncertainty import score_block  # loads the sampler's kernels

        return lambda rows: score_block(draws_needed(model), rows)
    exact, users = exact_of(model), users_of(model)
    return lambda rows: exact.every_score(users, rows)


def ranked_items(model: Factors) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the items' vectors and biases whose products with users are scores, what is rising included."""
    if model.timing is None or model.timing.trend is None:
        return model.item_vectors, model.item_bias
    return trend.ranked_items(model.item_vectors, model.extras, model.timing.trend_weight)


def ranked_rows(
    model: Factors,
    user_rows: np.ndarray,
    n: int,
    *,
    candidates: np.ndarray | None = None,
    by: By = "mean",
) -> Ranked:
    """Return the lists of some user rows, without what they have seen, as rows of items.

    ``candidates`` are the sorted item rows to choose from.
    """
    chosen = Filter(candidates, None, model.seen, user_rows)
    return rank(retriever_of(model, by), users_of(model), user_rows, ListRequest(n=n, by=by), chosen)


def needs_every_draw(model: Factors) -> bool:
    """Return whether a score is no plain product: with ordered levels it is an expectation over every draw."""
    return "draws.levels" in model.extras


def draws_needed(model: Factors) -> Parameters:
    """Return the numbers of a model that is made of draws.

    Raises
    ------
    SettingError
        If it is not.
    """
    if "draws.noise" not in model.extras:
        raise SettingError(f"this model ({model!r}) holds no draws from a posterior: train it with BayesianMF")
    return parameters_of(model)


def score_rows(model: Factors, user_rows: np.ndarray, item_rows: np.ndarray) -> np.ndarray:
    """Score pairs of rows: float32, shape (pairs,)."""
    if needs_every_draw(model):
        from cofactor.model.uncertainty import score_with_spread  # loads the sampler's kernels

        return score_with_spread(draws_needed(model), user_rows, item_rows)[0]
    return exact_of(model).scores(users_of(model), user_rows, item_rows)


def _check_shapes(model: Factors) -> None:
    lengths = {"users": len(model.users), "items": len(model.items)}
    arrays = {name: getattr(model, name) for name in (*_ARRAYS, "seen")}
    checks.check_shapes(arrays, lengths, model.mean)
    checks.check_metadata(model.metadata, lengths)
    checks.check_times(model.seen_times, model.seen)


def _as_neighbours(names: list[pl.Series], scores: np.ndarray) -> pl.DataFrame:
    positions = pl.Series("position", np.arange(1, len(scores) + 1, dtype=np.int32))
    return pl.DataFrame([positions, *names, pl.Series("score", scores)])


def _described(vectors: np.ndarray, side: str) -> pl.DataFrame:
    """Return count, mean, std, min, quartiles and max of each column, labelled with the side they are of."""
    count, rank = vectors.shape
    ordered = np.sort(vectors.T, axis=1)
    mean = ordered.mean(axis=1, dtype=np.float64)
    spread = (
        np.array([np.std(column.astype(np.float64), ddof=1) for column in ordered]) if count > 1 else [np.nan] * rank
    )
    least, *quartiles, largest = (_quantile(ordered, share) for share in (0, 0.25, 0.5, 0.75, 1))
    statistics = {
        "count": np.full(rank, float(count)),
        "mean": mean,
        "std": spread,
        "min": least,
        "25%": quartiles[0],
        "50%": quartiles[1],
        "75%": quartiles[2],
        "max": largest,
    }
    columns = {str(k): [values[k] for values in statistics.values()] for k in range(rank)}
    return pl.DataFrame({"vectors": [side] * len(statistics), "statistic": list(statistics), **columns})


def _quantile(ordered: np.ndarray, share: float) -> np.ndarray:
    """Return a quantile of each row of numbers in order, between two of them as `numpy.percentile` does."""
    place = share * (ordered.shape[1] - 1)
    below, above = (ordered[:, int(end)].astype(np.float64) for end in (np.floor(place), np.ceil(place)))
    found: np.ndarray = below + (place - np.floor(place)) * (above - below)
    return found


def digest_of(model: Factors) -> str:
    """Return a short name for what a model is: 32 hexadecimal digits, equal for equal models on any machine.

    It covers all that answers depend on: vectors, biases, mean, ids, metadata, what was seen, and the objective and
    preparation that place newcomers. When and from what the model was trained, and the figures of its training, it
    leaves out.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, array in _digested(model):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _digested(model: Factors) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays of a model, each of one type whatever made it."""
    settings = {"mean": model.mean, "objective": model.objective.to_dict(), "preparation": model.preparation.to_dict()}
    if model.timing is not None:
        settings["timing"] = model.timing.to_dict()
    tables = packed_tables(model.metadata)
    settings["tables"] = tables.schema
    yield "settings", np.frombuffer(json.dumps(settings, sort_keys=True).encode(), np.uint8)
    for name in ("user_vectors", "item_vectors", "user_bias", "item_bias"):
        if (array := getattr(model, name)) is not None:
            yield name, array
    yield "seen.indptr", model.seen.indptr.astype(np.int64, copy=False)
    yield "seen.indices", model.seen.indices.astype(np.int32, copy=False)
    yield "seen.values", model.seen.data.astype(np.float32, copy=False)
    if model.seen_times is not None:
        yield "seen.times", model.seen_times.astype(np.float64, copy=False)
    for name, values in {"users": model.users.ids, "items": model.items.ids}.items():
        yield from _of_series(name, values)
    yield from tables.tensors.items()
    for name in sorted(model.extras):
        yield f"extras.{name}", np.asarray(model.extras[name])
    for side in sorted(model.features):
        yield f"features.{side}", model.features[side].weights


def _of_series(name: str, values: pl.Series) -> Iterator[tuple[str, np.ndarray]]:
    if values.dtype != pl.String:
        yield name, values.to_numpy()
        return
    yield f"{name}.lengths", values.str.len_bytes().cast(pl.Int64).fill_null(-1).to_numpy()
    yield name, np.frombuffer("".join(values.fill_null("").to_list()).encode(), np.uint8)
