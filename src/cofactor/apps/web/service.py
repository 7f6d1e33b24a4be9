"""What the routes of a running service share: the model, the ratings, the counters, the access policy."""

import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from cofactor.apps.web.access import AccessPolicy
from cofactor.apps.web.health import Health
from cofactor.apps.web.items_store import ItemsStore
from cofactor.apps.web.news_cache import Renewal
from cofactor.apps.web.problems import Problem
from cofactor.apps.web.profiles import NOBODY, Profile, user_profile, visitor_profile
from cofactor.apps.web.prometheus import Metrics
from cofactor.apps.web.ratings_cache import RatingsCache
from cofactor.apps.web.recommendations import ServiceListRequest, recommended
from cofactor.apps.web.refits import Refits
from cofactor.apps.web.rules_store import RulesStore
from cofactor.apps.web.served_model import ModelHolder, ServedModel
from cofactor.apps.web.settings import ServiceSettings

__all__ = ["Service", "service_of"]

Result = TypeVar("Result")

log = logging.getLogger("cofactor.web")

_MAX_QUICK_N = 100  # a longer list, or one with reasons, is made in a thread


@dataclass(frozen=True)
class Service:
    """A running service; every request begins by taking ``models.current`` once."""

    settings: ServiceSettings
    models: ModelHolder
    ratings: RatingsCache
    metrics: Metrics
    access: AccessPolicy
    health: Health
    renewal: Renewal
    announce_reload: Callable[[], None]

    @property
    def failing(self) -> list[str]:
        """The background work that failed the last time it was tried, in this process and of retraining."""
        return [*self.health.failing, *(["refit"] if self.refits.failing else [])]

    @functools.cached_property
    def items(self) -> ItemsStore:
        """The items that were put."""
        return ItemsStore(self.ratings.store)

    @functools.cached_property
    def rules(self) -> RulesStore:
        """The rules for all lists."""
        return RulesStore(self.ratings.store)

    @functools.cached_property
    def refits(self) -> Refits:
        """The refits that people ask for."""
        return Refits(self.settings, self.models, self.announce_reload)

    def item_row(self, served: ServedModel, item: str) -> int:
        """Return an item's row, or end the request."""
        row = served.items.rows.get(item)
        if row is None:
            raise Problem(404, "the model has no item with this id: GET /v1/items?search= finds items", "unknown-item")
        return row

    def check(self, served: ServedModel, ratings: Mapping[str, float]) -> None:
        """End the request where a rating is off the model's scale."""
        scale = served.scale
        values = ratings.values()
        if values and not (scale.holds(min(values)) and scale.holds(max(values))):
            raise Problem(422, f"a rating must be from {scale.low:g} to {scale.high:g} for this model", "off-the-scale")

    def unknown(self, served: ServedModel, ratings: Mapping[str, float]) -> list[str]:
        """Return the items among some ratings that the model does not have."""
        return [item for item in ratings if item not in served.items.rows]

    def visitor(self, served: ServedModel, ratings: Mapping[str, float]) -> Profile:
        """Fold in somebody without a name."""
        self.metrics.count("fold_ins")
        return visitor_profile(served, ratings)

    def user(self, served: ServedModel, user: str, stored: Mapping[str, float | None]) -> Profile:
        """Return a user's profile; an empty one for a name that neither model nor store has."""
        if stored:
            self.metrics.count("fold_ins")
        return user_profile(served, user, stored) or NOBODY

    async def work(self, served: ServedModel, request: ServiceListRequest | None, task: Callable[[], Result]) -> Result:
        """Run a quick task at once, and any other (None: not known to be quick) in a thread."""
        request = None if request is None else served.house.applied(request)
        quick = (
            request is not None
            and request.n <= _MAX_QUICK_N
            and not (request.reasons or request.ranking.rerank)
            and not served.is_slow
        )
        return task() if quick else await run_in_threadpool(task)

    async def list_for(
        self,
        served: ServedModel,
        user: str,
        request: ServiceListRequest,
        before: Mapping[str, float | None] | None = None,
    ) -> dict[str, Any]:
        """Return a user's list with their stored ratings, and how it moved if ``before`` are those of earlier."""
        stored = await self.ratings.of(user)

        def task() -> dict[str, Any]:
            earlier = None if before is None else self.user(served, user, before)
            return recommended(served, self.user(served, user, stored), request, earlier)

        found = await self.work(served, request if before is None else None, task)
        return {"user": user, "current": self.ratings.is_current, **found}


def service_of(request: Request) -> Service:
    """Return the service that a request came to."""
    service: Service = request.app.state.service
    return service
