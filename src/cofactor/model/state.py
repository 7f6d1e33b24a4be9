"""The numbers of a model, what must hold between them, and what follows from them: the ground under `Factors`."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import sparse

from cofactor.data import notebook
from cofactor.data.metadata import ItemMetadata
from cofactor.data.vocabulary import Vocabulary
from cofactor.model import checks
from cofactor.model.objective import Objective, Side

if TYPE_CHECKING:
    from cofactor.model.approximate import Approximation
    from cofactor.model.index import Index
    from cofactor.model.least_squares import Equations

__all__ = ["FactorState", "Origin"]

_ARRAYS = ("user_vectors", "item_vectors", "user_bias", "item_bias")


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
class FactorState:
    """All that a model is. It never changes; `evolve` makes another.

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
    metadata : ItemMetadata
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
    metadata: ItemMetadata = ItemMetadata()
    objective: Objective = Objective()
    origin: Origin = Origin()
    history: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    extras: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _ARRAYS:
            array = getattr(self, name)
            object.__setattr__(self, name, None if array is None else checks.frozen(array, name))
        object.__setattr__(self, "mean", float(self.mean))
        if self.seen is None:
            object.__setattr__(self, "seen", sparse.csr_array((len(self.users), len(self.items)), dtype=np.float32))
        object.__setattr__(self, "history", MappingProxyType({k: tuple(v) for k, v in self.history.items()}))
        object.__setattr__(self, "extras", MappingProxyType(dict(self.extras)))
        checks.check_shapes(self)

    def evolve(self, **changes: Any) -> Self:
        """Return a copy with some fields changed; only what changes is checked, so it is cheap in a large model."""
        checked = {name: checks.frozen(changes[name], name) for name in _ARRAYS if changes.get(name) is not None}
        return self.with_checked(**changes | checked)

    def with_checked(self, **changes: Any) -> Self:
        """`evolve`, but for numbers: those must have been checked, such as rows of a model and rows beside them."""
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.__dict__.pop("digest", None)
        new.__dict__.update(changes)
        keeps = {
            "user": not {"item_vectors", "item_bias"} & set(changes),
            "item": not {"user_vectors", "user_bias"} & set(changes),
        }
        known = self.__dict__.get("_prepared", {})
        biases = [name for name in ("user_bias", "item_bias") if name in changes]
        other_form = any((changes[name] is None) != (getattr(self, name) is None) for name in biases)
        outdated = "equations" if other_form or {"objective", "mean"} & set(changes) else None
        new.__dict__["_prepared"] = {key: value for key, value in known.items() if keeps[key[1]] and key[0] != outdated}
        checks.check_shapes(new)
        return new

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

    @functools.cached_property
    def digest(self) -> str:
        """A short name for the model, in hexadecimal: the same for the same model, saved or not, else another."""
        from cofactor.model.digest import digest_of

        return digest_of(self)

    def queries(self, user_rows: np.ndarray) -> np.ndarray:
        """Return the user side of the product for some rows: biases are one more column."""
        return self.query_columns(self.user_vectors[user_rows])

    def query_columns(self, vectors: np.ndarray) -> np.ndarray:
        """Return the user side of the product for some vectors, of users here or of newcomers."""
        return vectors if self.item_bias is None else np.column_stack([vectors, np.ones(len(vectors), np.float32)])

    def keys(self) -> np.ndarray:
        """Return the item side of the product."""
        return self._prepare(("keys", "user"), self._item_columns)

    def index(self) -> "Index":
        """Return the item side laid out for the fast search; who calls this early spares the first list the wait."""
        return self._prepare(("index", "user"), self._build_index)

    @property
    def approximation(self) -> "Approximation | None":
        """What lists are answered through if not exactly; a change of the items ends it."""
        return self.__dict__.get("_prepared", {}).get(("approximation", "user"))

    @property
    def recall(self) -> float:
        """The share of the exact lists that the model's lists hold: measured if `approximate` made it, else 1."""
        return 1.0 if self.approximation is None else self.approximation.recall

    def approximating(self, approximation: "Approximation") -> Self:
        """Return a copy that answers through an approximate index."""
        new = self.evolve()
        new.__dict__["_prepared"][("approximation", "user")] = approximation
        return new

    def offsets(self, user_rows: np.ndarray) -> np.ndarray:
        """Return what is added to every score of some users; it does not change the order."""
        bias = np.zeros(len(user_rows)) if self.user_bias is None else self.user_bias[user_rows].astype(np.float64)
        return self.mean + bias

    def equations_of(self, side: Side) -> "Equations":
        """Return the normal equations that place a user, or an item, against the other side."""
        return self._prepare(("equations", side), lambda: self._make_equations(side))

    def lanes_of(self, side: Side) -> np.ndarray:
        """Return a side's vectors with zeros up to whole registers, as the steps of BPR take them."""
        from cofactor.model.blocks import pad  # brings numba

        other = "item" if side == "user" else "user"
        return self._prepare((f"{side} lanes", other), lambda: pad(getattr(self, f"{side}_vectors")))

    def _build_index(self) -> "Index":
        from cofactor.model.index import build  # brings numba, which a list of recommendations need not wait for

        return build(self.keys())

    def _make_equations(self, side: Side) -> "Equations":
        from cofactor.model.losses import equations_of  # brings numba, too

        return equations_of(self, side)

    def _item_columns(self) -> np.ndarray:
        return self.item_vectors if self.item_bias is None else np.column_stack([self.item_vectors, self.item_bias])

    def _prepare(self, key: tuple[str, str], make: Callable[[], Any]) -> Any:
        """Make once what many calls need; the key's second part says whose rows it serves, given the other side."""
        prepared = self.__dict__.setdefault("_prepared", {})
        if key not in prepared:
            prepared[key] = make()
        return prepared[key]
