"""The addresses that only read: lists, items, explanations, the model."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from cofactor.apps.web.answers import (
    PROBLEMS,
    Card,
    Explanation,
    ItemDetails,
    ItemList,
    ItemMap,
    SimilarItems,
    answer,
)
from cofactor.apps.web.people import Person, rated_by
from cofactor.apps.web.questions import (
    STRICT,
    USER_AND_WISH,
    VISITOR_BODY,
    WISH,
    Item,
    ItemPath,
    UserPath,
    VisitorExplanation,
    as_ratings,
    checked_user,
    visitor_list_in,
    wish_in,
)
from cofactor.apps.web.ranking import recommended, similar
from cofactor.apps.web.reasons import explained
from cofactor.apps.web.service import Service

__all__ = ["list_of_user", "list_of_visitor", "reading"]

Few = Annotated[int, Query(ge=1, le=100, description="Length of the list.")]


def reading(service: Service) -> APIRouter:
    """Return the addresses that read."""
    router = APIRouter(prefix="/v1", responses=PROBLEMS)
    _add_lists(router, service)
    _add_items(router, service)
    _add_explanations(router, service)
    return router


async def list_of_user(service: Service, user: str, query: bytes) -> Response:
    """Answer with a user's list."""
    return answer(await service.list_for(service.current.served, checked_user(user), wish_in(query)))


async def list_of_visitor(service: Service, body: bytes) -> Response:
    """Answer with a visitor's list."""
    asked = visitor_list_in(body)
    served, wish, ratings = service.current.served, asked.wish(), as_ratings(asked.ratings)
    before = None if asked.before is None else as_ratings(asked.before)
    service.check(served, ratings)
    service.check(served, before or {})

    def task() -> dict[str, Any]:
        was = None if before is None else service.visitor(served, before)
        return recommended(served, service.visitor(served, ratings), wish, was)

    few = wish if before is None and len(ratings) <= 200 else None
    found = await service.work(served, few, task)
    return answer({**found, "unknown": service.unknown(served, ratings)})


def _add_lists(router: APIRouter, service: Service) -> None:
    @router.get("/users/{user}/recommendations", response_model=ItemList, openapi_extra=USER_AND_WISH, tags=["lists"])
    async def for_a_user(request: Request) -> Response:
        """The best items for somebody by name: by what the model was trained on, and by what they rated here since.

        For a name that is not known the popular items, marked as such.
        """
        return await list_of_user(service, request.path_params["user"], request.scope["query_string"])

    @router.post(
        "/recommendations", response_model=ItemList, openapi_extra=VISITOR_BODY, dependencies=STRICT, tags=["lists"]
    )
    async def for_a_visitor(request: Request) -> Response:
        """The best items for somebody who is not known, by the ratings they send along. Nothing is stored."""
        return await list_of_visitor(service, await request.body())

    @router.get("/popular", response_model=ItemList, openapi_extra=WISH, tags=["lists"])
    async def popular(request: Request) -> Response:
        """The items that most people rated."""
        served, wish = service.current.served, wish_in(request.scope["query_string"])
        nobody = Person(None, -1, rated_by(served, -1))
        return answer(await service.work(served, wish, lambda: recommended(served, nobody, wish)))


def _add_items(router: APIRouter, service: Service) -> None:
    @router.get(
        "/items", response_model=ItemList, response_model_exclude_none=True, dependencies=STRICT, tags=["items"]
    )
    async def search(search: Annotated[str, Query(min_length=1, max_length=200)], n: Few = 10) -> Response:
        """Items by title: its beginning or any of its words, accents and case ignored, a typo in a word forgiven."""
        served = service.current.served
        rows = await run_in_threadpool(lambda: served.catalogue.search.find(search, n))
        items = [
            {"position": position, **served.catalogue.describe(row), "score": None}
            for position, row in enumerate(rows, 1)
        ]
        return answer({**served.label, "popular": False, "items": items})

    @router.get("/items/{item}", response_model=ItemDetails, dependencies=STRICT, tags=["items"])
    async def details(item: ItemPath) -> Response:
        """What is known of an item."""
        served = service.current.served
        return answer(served.catalogue.describe(service.item_row(served, item)))

    @router.get("/items/{item}/similar", response_model=SimilarItems, dependencies=STRICT, tags=["items"])
    async def like_an_item(item: ItemPath, n: Few = 10) -> Response:
        """The items that the same people like."""
        served = service.current.served
        row = service.item_row(served, item)
        return answer(await run_in_threadpool(lambda: similar(served, row, n)))

    @router.get("/map", response_model=ItemMap, dependencies=STRICT, tags=["items"])
    async def item_map(
        n: Annotated[int, Query(ge=0, le=2000, description="How many of the most rated items to show.")] = 500,
        item: Annotated[list[Item], Query(max_length=1000, description="And these.")] = [],  # noqa: B006
    ) -> Response:
        """Where items lie in the plane of the two strongest directions of their vectors."""
        served = service.current.served

        def task() -> list[dict[str, Any]]:
            rows = [*served.catalogue.by_popularity[:n].tolist(), *served.catalogue.known(tuple(item))]
            plane = np.round(served.plane, 4)
            return [
                {**served.catalogue.describe(row), "x": float(plane[row, 0]), "y": float(plane[row, 1])}
                for row in dict.fromkeys(rows)
            ]

        return answer({**served.label, "items": await run_in_threadpool(task)})

    @router.get("/model", response_model=Card, dependencies=STRICT, tags=["model"])
    async def card() -> Response:
        """What the model is: who learnt it from what, when, and how good it is."""
        return answer({**service.current.served.card(), "needs_token": service.doorkeeper.needs_token})


def _add_explanations(router: APIRouter, service: Service) -> None:
    @router.post("/explanations", response_model=Explanation, dependencies=STRICT, tags=["explanations"])
    async def for_a_visitor(asked: VisitorExplanation) -> Response:
        """Why an item stands where it does for somebody who is not known. Nothing is stored."""
        served, ratings = service.current.served, as_ratings(asked.ratings)
        service.check(served, ratings)
        row = service.item_row(served, asked.item)
        return answer(await run_in_threadpool(lambda: explained(served, service.visitor(served, ratings), row)))

    @router.get(
        "/users/{user}/explanations/{item}", response_model=Explanation, dependencies=STRICT, tags=["explanations"]
    )
    async def for_a_user(user: UserPath, item: ItemPath) -> Response:
        """Why an item stands where it does for somebody by name."""
        served = service.current.served
        row = service.item_row(served, item)
        stored = await service.remembered.of(user)
        return answer(await run_in_threadpool(lambda: explained(served, service.person(served, user, stored), row)))
