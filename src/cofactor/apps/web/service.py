"""What the routes of a running service share: the model, the ratings, the counters, the access policy."""

import dataclasses
import functools
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from cofactor.apps.web.access import AccessPolicy
from cofactor.apps.web.event_log import EventLog, NewList
from cofactor.apps.web.experiment import POOL, Experiment, chance_for, explored, interleaved
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
    """A running service; every request begins by taking ``models.current``, or a user's ``served_for``, once."""

    settings: ServiceSettings
    models: ModelHolder
    ratings: RatingsCache
    metrics: Metrics
    access: AccessPolicy
    health: Health
    renewal: Renewal
    announce_reload: Callable[[], None]
    events: EventLog | None = None
    challenger: ModelHolder | None = None
    experiment: Experiment | None = None

    @property
    def holders(self) -> list[ModelHolder]:
        """The holders of all models: the usual one, and its challenger's."""
        return [self.models] if self.challenger is None else [self.models, self.challenger]

    def arm_of(self, user: str) -> str:
        """Return whose lists a user gets: ``"A"``, ``"B"``, or ``"AB"`` for interleaved ones."""
        if self.experiment is None or not self.experiment.treats(user):
            return "A"
        return "AB" if self.settings.interleave else "B"

    def served_for(self, user: str) -> ServedModel:
        """Return the model for a user; of interleaved lists, the usual one."""
        if self.challenger is not None and self.arm_of(user) == "B":
            return self.challenger.current
        return self.models.current

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
        arm, likely = self.arm_of(user), None
        explore = 0.0 if arm == "AB" or request.ranking.rerank else self.settings.explore
        wanted = dataclasses.replace(request, n=POOL * request.n) if explore else request

        def task() -> dict[str, Any]:
            if arm == "AB" and self.challenger is not None:
                other = self.challenger.current
                lists = [recommended(one, self.user(one, user, stored), request) for one in (served, other)]
                return interleaved(lists[0], lists[1], request.n, self._chance(user, "interleave"))
            earlier = None if before is None else self.user(served, user, before)
            return recommended(served, self.user(served, user, stored), wanted, earlier)

        found = await self.work(served, wanted if before is None else None, task)
        if explore:
            found, likely = explored(found, request.n, explore, self._chance(user, "explore"))
        return self.noted({"user": user, "current": self.ratings.is_current, **found}, request, user, arm, likely)

    def _chance(self, user: str, purpose: str) -> random.Random:
        name = "" if self.experiment is None else self.experiment.name
        return chance_for(user, f"{purpose} {name}")

    def noted(
        self,
        found: dict[str, Any],
        request: ServiceListRequest,
        user: str | None = None,
        arm: str = "A",
        likely: tuple[float, ...] | None = None,
    ) -> dict[str, Any]:
        """Return a list with its arm, if there are two models, and with its id, if lists are kept."""
        if self.experiment is not None:
            found["arm"] = arm
        if self.events is not None:
            items = found["items"]
            teams = "".join(item["team"] for item in items) if arm == "AB" else ""
            name = "" if self.experiment is None else self.experiment.name
            names = tuple(item["item"] for item in items)
            found["list_id"] = self.events.keep(
                NewList(user, name, arm, found["model"], request.noted, names, teams, likely)
            )
        return found


def service_of(request: Request) -> Service:
    """Return the service that a request came to."""
    service: Service = request.app.state.service
    return service
