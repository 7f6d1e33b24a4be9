"""The model being served, with what responses need of it; a new one is loaded and checked before it takes over."""

import contextlib
import copy
import datetime
import functools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cofactor.apps.web.erasures import Erasures
from cofactor.apps.web.house_rules import NO_HOUSE_RULES, HouseRules, house_rules
from cofactor.apps.web.item_index import ItemIndex
from cofactor.apps.web.names import row_named
from cofactor.apps.web.renewal import News, renewed
from cofactor.apps.web.scale import Scale, scale_of
from cofactor.apps.web.starters import starters
from cofactor.apps.web.versions import served_version, versions_of
from cofactor.errors import CofactorError, ModelFileError
from cofactor.evaluation.plane import item_plane
from cofactor.lists.attribute_values import Attribute, attributes_in
from cofactor.lists.attributes import ItemAttributes
from cofactor.lists.where import rows_where
from cofactor.model.factors import Factors, attributes_of, exact_of, needs_every_draw, ranked_rows
from cofactor.model.folder import is_model_folder
from cofactor.model.forgetting import users_in, write_without
from cofactor.model.storage import load, origin_in

__all__ = ["ModelHolder", "ServedModel", "load_served"]

log = logging.getLogger("cofactor.web")

MOST_STARTERS = 12
"""How many items newcomers are asked about."""


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model and what is derived from it. A request takes it once and uses nothing else, so it never mixes two models.

    Parameters
    ----------
    model : Factors
    digest : str
        A hash of the model's numbers.
    items : ItemIndex
    scale : Scale
    erasures : Erasures
        Whom it no longer knows, though it may have them.
    house : HouseRules
        The rules for all lists.
    latest : float, optional
        When the latest rating was that it has taken up since the training, in seconds since 1970.
    loaded_at : float
        Seconds since 1970.
    warmed : threading.Event
        Set once everything that requests need is loaded, compiled kernels above all. Until then scores are matrix
        products, which need no kernels.
    """

    model: Factors
    digest: str
    items: ItemIndex
    scale: Scale
    erasures: Erasures = field(default_factory=Erasures)
    house: HouseRules = NO_HOUSE_RULES
    latest: float | None = None
    loaded_at: float = field(default_factory=time.time)
    warmed: threading.Event = field(default_factory=threading.Event)

    @functools.cached_property
    def label(self) -> dict[str, object]:
        """Which model it is, as every response says."""
        return {"model": self.digest, "solver": self.model.origin.solver or "unknown", "exact": True}

    @functools.cached_property
    def has_spread(self) -> bool:
        """Whether the model knows how certain its scores are, so that lists may be cautious or optimistic."""
        return self.model.objective.draws > 1

    @functools.cached_property
    def is_slow(self) -> bool:
        """Whether a list takes so long that it is made in a thread."""
        return needs_every_draw(self.model) or self.model.n_items > 200_000

    @functools.cached_property
    def plane(self) -> np.ndarray:
        """The items' coordinates on the map, within -1 and 1: shape (items, 2)."""
        if self.model.item_vectors.shape[1] == 0:
            return np.zeros((self.model.n_items, 2))
        plane = item_plane(self.model)
        reach = np.abs(plane).max(axis=0, initial=0.0)
        scaled: np.ndarray = plane / np.where(reach > 0, reach, 1.0)
        return scaled

    @functools.cached_property
    def starters(self) -> list[int]:
        """The rows of the items to ask a newcomer about first."""
        known = self.items.raters if self.items.raters.any() else self.items.popularity
        return starters(self.model.item_vectors, known / max(self.model.n_users, 1), MOST_STARTERS).tolist()

    @functools.cached_property
    def wide_items(self) -> np.ndarray:
        """The item side of the product in double precision, for exact positions."""
        return exact_of(self.model).items.astype(np.float64)

    @property
    def attributes(self) -> ItemAttributes:
        """What is known of the items, as rules read it."""
        return attributes_of(self.model)

    @functools.cached_property
    def attribute_values(self) -> list[Attribute]:
        """What is known of the items, with the values of what has few."""
        return attributes_in(self.attributes.table)

    @functools.cached_property
    def rows_where(self) -> Callable[[str], np.ndarray]:
        """From a condition to a mask of the items that it holds for; the last few are kept."""
        return functools.lru_cache(maxsize=16)(lambda where: rows_where(where, self.attributes.table))

    def user_row(self, user: str) -> int:
        """Return the row of a user, or -1, also for one who was erased since the model was trained."""
        row = row_named(self.model.users, user)
        return -1 if row >= 0 and self.erasures.hold(user, self.model.origin) else row

    def card(self) -> dict[str, Any]:
        """Return a summary of the model."""
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
            "genres": self.items.all_genres,
            "years": _range(self.items.years),
            "raters": _twentieths(self.items.raters),
            "trend": self._trend,
            "rules": self.house.summary(),
        }

    @property
    def _trend(self) -> dict[str, Any] | None:
        """How fast what is rising ages, and the time of the latest rating that it counts."""
        timing = self.model.timing
        if timing is None or timing.trend is None:
            return None
        latest = datetime.datetime.fromtimestamp(max(timing.now, self.latest or 0.0), datetime.UTC)
        return {"half_life_seconds": timing.trend, "counted_to": latest.isoformat(timespec="seconds")}

    def warm(self) -> None:
        """Load compiled kernels, indices and the map ahead, so that the first requests need not wait."""
        if self.model.n_users and not self.is_slow:
            _ = exact_of(self.model).index
            ranked_rows(self.model, np.zeros(1, np.int64), 1)
        if self.model.seen.nnz:
            from cofactor.model.fold_in import place_rows  # imports numba

            somebody = int(np.searchsorted(self.model.seen.indptr, 0, side="right")) - 1
            with contextlib.suppress(CofactorError):  # where fold-in is impossible, each request that needs it says so
                place_rows(self.model, self.model.seen[somebody : somebody + 1], "user")
        _ = self.items.search, self.plane, self.attribute_values, self.starters
        self.warmed.set()


def _twentieths(raters: np.ndarray) -> list[int]:
    """Return the percentiles 0, 5, 10, … 100 of how many people rated an item."""
    return np.quantile(raters, np.linspace(0, 1, 21), method="lower").astype(int).tolist()


def _range(years: np.ndarray) -> dict[str, int] | None:
    known = years[years > 0]
    return {"from": int(known.min()), "to": int(known.max())} if len(known) else None


def load_served(path: Path, erasures: Erasures | None = None) -> ServedModel:
    """Load a model, take those out who were erased since it was trained, and check that it makes lists.

    Raises
    ------
    ModelFileError
        If the file is not a valid model, or has no items.
    """
    model = load(path.resolve())  # once: a link that is switched meanwhile does not mix the files of two models
    if not model.n_items:
        raise ModelFileError(f"{path} has no items to recommend: train a model on data with items")
    erasures = erasures or Erasures()
    model = erasures.taken_out_of(model)
    made = ServedModel(model, model.digest, ItemIndex(model), scale_of(model), erasures)
    if model.n_users:
        ranked_rows(model, np.zeros(1, np.int64), 1)
    return made


def taking_up(base: ServedModel, news: News) -> ServedModel:
    """Return what is served of a model and of what came since, rules too; the model itself where nothing did."""
    made = _with_news(base, news)
    if not news.rules:
        return made
    ruled = copy.copy(made)  # with all that is derived from the model, which rules do not change
    object.__setattr__(ruled, "house", house_rules(news.rules.values(), ruled.items.rows, ruled.attributes))
    return ruled


def _with_news(base: ServedModel, news: News) -> ServedModel:
    model = renewed(base.model, news, base.scale)
    if model is base.model:
        return base
    same = model.items is base.model.items and model.metadata is base.model.metadata
    items = base.items.with_popularity_of(model) if same else ItemIndex(model)
    made = ServedModel(
        model, news.digest(base.digest, model), items, base.scale, base.erasures, latest=news.latest,
        loaded_at=base.loaded_at,
    )  # fmt: skip
    if same and model.item_vectors is base.model.item_vectors:
        made.__dict__["plane"] = base.plane  # which takes a while
    return made


class ModelHolder:
    """Holds the model that is being served.

    Parameters
    ----------
    path : Path
        Where it is read from, again at each `reload`.
    spare : Path, optional
        Where the last sound model is kept, once the file at ``path`` is not sound any more.
    erasures : Erasures, optional
        Who was erased.
    news : callable, optional
        Returns what came since the training.

    Raises
    ------
    ModelFileError
        If neither file is a valid model.
    """

    def __init__(
        self,
        path: Path,
        spare: Path | None = None,
        erasures: Erasures | None = None,
        news: Callable[[], News] = News,
    ) -> None:
        self.path, self._spare, self._erasures, self._news = path, spare, erasures or Erasures(), news
        self.current = self._base = self._first()
        self._turn = threading.Lock()
        self._kept = ""

    def _first(self) -> ServedModel:
        try:
            return load_served(self.path, self._erasures)
        except ModelFileError as error:
            if self._spare is None or not self._spare.exists():
                raise
            log.error("the last sound model is served: %s", error, extra={"event": "spare_model"})
            return load_served(self._spare, self._erasures)

    def keep(self) -> None:
        """Save the model for workers that start while the file is not sound; without a place for it, they wait."""
        served = self._base
        if self._spare is None or (self._kept == served.digest and self._spare.exists()):
            return
        try:
            self._spare.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._erasures.taken_out_of(served.model).save(self._spare)
            self._kept = served.digest
        except OSError as error:
            log.warning("the last sound model cannot be kept: %s", error, extra={"event": "spare_model"})

    def reload(self) -> ServedModel:
        """Load the file while the old model serves, check it, and let it take over.

        Raises
        ------
        ModelFileError
            If the file is not a valid model; the old one goes on serving.
        """
        with self._turn:
            try:
                base = load_served(self.path, self._erasures)
                fresh = taking_up(base, self._news())
                fresh.warm()
            except ModelFileError as error:
                log.error("model not reloaded: %s", error, extra={"event": "reload_failed"})
                self.keep()
                raise
            self.current, self._base = fresh, base
        log.info("model reloaded", extra={"event": "reloaded", "model": fresh.digest})
        return fresh

    def renew(self) -> None:
        """Make what is served anew, of the loaded model and of what came since."""
        with self._turn:
            fresh = taking_up(self._base, self._news())
            if fresh is not self.current:  # which is warm, or is being warmed up
                fresh.warm()
                self.current = fresh

    def _older(self) -> list[Path]:
        served = served_version(self.path)
        if is_model_folder(self.path):
            return []
        return [one for one in versions_of(self.path) if one != served and _is_model(one)]

    def erase(self) -> bool:
        """Take those who were erased out of the model's file, its older versions and the one that is kept.

        Return whether that worked.

        A file is read again after it was written, since another process may have written it too, for somebody else.
        """
        try:
            for path in (self.path, self._spare, *self._older()):
                if path is not None and path.exists():
                    while _cleaned(path, self._erasures):
                        pass
        except (OSError, ModelFileError) as error:
            log.warning("a model still has people who were erased: %s", error, extra={"event": "erasure_incomplete"})
            return False
        return True


def _is_model(file: Path) -> bool:
    """Tell whether a file whose name could be a version's is a model at all."""
    try:
        origin_in(file)
    except ModelFileError:
        return False
    return True


def _cleaned(path: Path, erasures: Erasures) -> bool:
    """Write a model's file again without those who were erased; tell whether there were any."""
    target = path.resolve()  # a link stays
    rows = erasures.rows_in(*users_in(target))
    if len(rows):
        write_without(target, target, rows)
    return bool(len(rows))
