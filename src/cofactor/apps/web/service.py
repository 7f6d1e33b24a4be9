"""What the parts of a running service share: the model, the ratings, the counters, who may come in."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool

from cofactor.apps.web.memory import Remembered
from cofactor.apps.web.metrics import Metrics
from cofactor.apps.web.people import Person, known_person, rated_by, visitor
from cofactor.apps.web.problems import Problem
from cofactor.apps.web.ranking import Wish, recommended
from cofactor.apps.web.security import Doorkeeper
from cofactor.apps.web.served import Current, Served
from cofactor.apps.web.settings import ServiceSettings

__all__ = ["Service"]

Result = TypeVar("Result")

log = logging.getLogger("cofactor.web")

_LONG = 100  # a longer list, or one with reasons, is worked out beside the event loop


@dataclass(frozen=True)
class Service:
    """A running service; every request begins by taking ``current.served`` once."""

    settings: ServiceSettings
    current: Current
    remembered: Remembered
    metrics: Metrics
    doorkeeper: Doorkeeper
    announce: Callable[[], None]

    def item_row(self, served: Served, item: str) -> int:
        """Return an item's row, or end the request."""
        row = served.catalogue.rows.get(item)
        if row is None:
            raise Problem(404, "the model has no item of that id: GET /v1/items?search= finds items", "unknown-item")
        return row

    def check(self, served: Served, ratings: Mapping[str, float]) -> None:
        """End the request where a rating is off the model's scale."""
        scale = served.scale
        values = ratings.values()
        if values and not (scale.holds(min(values)) and scale.holds(max(values))):
            raise Problem(422, f"a rating here is a number from {scale.low:g} to {scale.high:g}", "off-the-scale")

    def unknown(self, served: Served, ratings: Mapping[str, float]) -> list[str]:
        """Return the items among some ratings that the model does not have."""
        return [item for item in ratings if item not in served.catalogue.rows]

    def visitor(self, served: Served, ratings: Mapping[str, float]) -> Person:
        """Place somebody who is not known."""
        self.metrics.count("fold_ins")
        return visitor(served, ratings)

    def person(self, served: Served, user: str, stored: Mapping[str, float | None]) -> Person:
        """Return somebody by name; nothing is known of a name that neither model nor store have."""
        if stored:
            self.metrics.count("fold_ins")
        return known_person(served, user, stored) or Person(None, -1, rated_by(served, -1))

    async def work(self, served: Served, wish: Wish | None, task: Callable[[], Result]) -> Result:
        """Do what takes no time at once, and the rest where it keeps nobody waiting."""
        quick = wish is not None and wish.n <= _LONG and not wish.reasons and not served.is_slow
        return task() if quick else await run_in_threadpool(task)

    async def list_for(
        self, served: Served, user: str, wish: Wish, before: Mapping[str, float | None] | None = None
    ) -> dict[str, Any]:
        """Return a user's list, with what they have stored; and how it moved since what they had stored before."""
        stored = await self.remembered.of(user)

        def task() -> dict[str, Any]:
            was = None if before is None else self.person(served, user, before)
            return recommended(served, self.person(served, user, stored), wish, was)

        found = await self.work(served, wish if before is None else None, task)
        return {"user": user, "current": self.remembered.is_current, **found}
