"""The model that is being served, with all that answers need of it; loaded beside the old one, checked, and swapped."""

import contextlib
import functools
import logging
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from cofactor.apps.web.catalogue import Catalogue
from cofactor.apps.web.scale import Scale, scale_of
from cofactor.errors import CofactorError, ModelFileError
from cofactor.evaluation.plane import item_plane
from cofactor.model.factors import Factors, exact_of, needs_every_draw, ranked_rows
from cofactor.model.storage import load

__all__ = ["Current", "Served", "served"]

log = logging.getLogger("cofactor.web")


@dataclass(frozen=True, eq=False)
class Served:
    """A model and what follows from it. A request takes it once and uses nothing else, so it never mixes two models.

    Parameters
    ----------
    model : Factors
    digest : str
        A short name for exactly these numbers.
    catalogue : Catalogue
    scale : Scale
    loaded_at : float
        Seconds since 1970.
    warmed : threading.Event
        Set once the compiled kernels are loaded. Until then lists are multiplied, which needs none of them.
    """

    model: Factors
    digest: str
    catalogue: Catalogue
    scale: Scale
    loaded_at: float = field(default_factory=time.time)
    warmed: threading.Event = field(default_factory=threading.Event)

    @functools.cached_property
    def label(self) -> dict[str, object]:
        """What every list says of where it comes from."""
        return {"model": self.digest, "solver": self.model.origin.solver or "unknown", "exact": True}

    @functools.cached_property
    def has_spread(self) -> bool:
        """Whether the model knows how sure it is, so that lists may be cautious or optimistic."""
        return self.model.objective.draws > 1

    @functools.cached_property
    def is_slow(self) -> bool:
        """Whether a list takes so long that it must not keep other requests waiting."""
        return needs_every_draw(self.model) or self.model.n_items > 200_000

    @functools.cached_property
    def plane(self) -> np.ndarray:
        """The items' places on the map, within -1 and 1: shape (items, 2)."""
        if self.model.item_vectors.shape[1] == 0:
            return np.zeros((self.model.n_items, 2))
        plane = item_plane(self.model)
        reach = np.abs(plane).max(axis=0, initial=0.0)
        scaled: np.ndarray = plane / np.where(reach > 0, reach, 1.0)
        return scaled

    @functools.cached_property
    def blank(self) -> sparse.csr_array:
        """A table of one user and no ratings, to be copied and filled."""
        return sparse.csr_array((1, self.model.n_items), dtype=np.float32)

    @functools.cached_property
    def wide_keys(self) -> np.ndarray:
        """The item side of the product in double precision, for counting places."""
        return exact_of(self.model).items.astype(np.float64)

    def user_row(self, user: str) -> int:
        """Return the row of a user, or -1."""
        identifier = self.model.users.parse(user)
        return self.model.users.row(identifier) if str(identifier) == user else -1  # "007" is somebody else than 7

    def card(self) -> dict[str, Any]:
        """Return what the model is, for people."""
        origin, scale = self.model.origin, self.scale
        return {
            **self.label,
            "goal": self.model.objective.goal,
            "rank": self.model.rank,
            "users": self.model.n_users,
            "items": self.model.n_items,
            "ratings": int(self.model.seen.nnz),
            "data": origin.data,
            "settings": dict(origin.settings),
            "metrics": dict(origin.metrics),
            "trained_at": origin.trained_at or None,
            "trained_by": f"cofactor {origin.version}" if origin.version else None,
            "scale": {"low": scale.low, "high": scale.high, "step": scale.step, "liked_from": scale.liked_from},
            "has_spread": self.has_spread,
            "genres": self.catalogue.all_genres,
            "years": _range(self.catalogue.years),
            "raters": _twentieths(self.catalogue.raters),
        }

    def warm(self) -> None:
        """Do once what would keep the first visitors waiting: compiled kernels, the indices, the map."""
        if self.model.n_users and not self.is_slow:
            _ = exact_of(self.model).index
            ranked_rows(self.model, np.zeros(1, np.int64), 1)
        if self.model.seen.nnz:
            from cofactor.model.fold_in import place_rows  # brings numba

            somebody = int(np.searchsorted(self.model.seen.indptr, 0, side="right")) - 1
            with contextlib.suppress(CofactorError):  # a model that cannot place newcomers says so to each of them
                place_rows(self.model, self.model.seen[somebody : somebody + 1], "user")
        self.warmed.set()
        _ = self.catalogue.search, self.plane


def _twentieths(raters: np.ndarray) -> list[int]:
    """Return how many people rated the item that 0, 5, 10, … 100 per cent of all items do not surpass."""
    return np.quantile(raters, np.linspace(0, 1, 21), method="lower").astype(int).tolist()


def _range(years: np.ndarray) -> dict[str, int] | None:
    known = years[years > 0]
    return {"from": int(known.min()), "to": int(known.max())} if len(known) else None


def served(path: Path) -> Served:
    """Load a model and see that it answers.

    Raises
    ------
    ModelFileError
        If the file is no sound model, or one without items.
    """
    model = load(path)
    if not model.n_items:
        raise ModelFileError(f"{path} has no items: there is nothing to recommend")
    made = Served(model, model.digest, Catalogue(model), scale_of(model))
    if model.n_users:
        ranked_rows(model, np.zeros(1, np.int64), 1)
    return made


class Current:
    """Holds the model that is being served.

    Parameters
    ----------
    path : Path
        Where it is read from, again at each `reload`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.served = served(path)
        self._turn = threading.Lock()

    def reload(self) -> Served:
        """Load the file beside the model that is served, check it, and let it take over.

        Raises
        ------
        ModelFileError
            If the file is no sound model; the old one goes on serving.
        """
        with self._turn:
            try:
                fresh = served(self.path)
                fresh.warm()
            except ModelFileError as error:
                log.error("model not reloaded: %s", error, extra={"event": "reload_failed"})
                raise
            self.served = fresh
        log.info("model reloaded", extra={"event": "reloaded", "model": fresh.digest})
        return fresh
