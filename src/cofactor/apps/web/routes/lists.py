"""Lists of recommendations: for a user, for a visitor by the ratings they send, and what is popular."""

from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import ConfigDict, Field

from cofactor.apps.web.profiles import NOBODY
from cofactor.apps.web.recommendations import recommended
from cofactor.apps.web.requests import (
    DirectRoute,
    ListQuery,
    Ratings,
    as_ratings,
    documents_list_query,
    documents_user,
    list_request_in,
    parsed_body,
    refuse_parameters,
    user_in,
)
from cofactor.apps.web.responses import PROBLEMS, ItemList, json_response
from cofactor.apps.web.service import service_of

__all__ = ["router"]

_MAX_QUICK_RATINGS = 200

router = APIRouter(prefix="/v1", responses=PROBLEMS, tags=["lists"], route_class=DirectRoute)


class VisitorList(ListQuery):
    """Ratings of somebody without a name, and how their list should be. Nothing of it is stored."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"ratings": [{"item": "50", "value": 5}, {"item": "172", "value": 4}], "n": 10, "reasons": 2}]
        },
    )

    ratings: Ratings = Field(description="If an item is there twice, its last rating counts.")
    before: Ratings | None = Field(None, description="Earlier ratings, to be told how each item moved since.")


def _documents_visitor_list(body: VisitorList) -> None:
    """Say in the API's description what `for_visitor` reads."""


@router.get(
    "/users/{user}/recommendations",
    response_model=ItemList,
    dependencies=[Depends(documents_user), Depends(documents_list_query)],
)
async def for_user(request: Request) -> Response:
    """The best items for a user, by what the model was trained on and what they have rated here since.

    A name that is not known gets the popular items, marked as such.
    """
    service = service_of(request)
    user = user_in(request)
    return json_response(await service.list_for(service.served_for(user), user, list_request_in(request)))


@router.post("/recommendations", response_model=ItemList, dependencies=[Depends(_documents_visitor_list)])
async def for_visitor(request: Request) -> Response:
    """The best items for somebody without a name, by the ratings they send along. Nothing is stored."""
    refuse_parameters(request)
    body = await parsed_body(request, VisitorList)
    service = service_of(request)
    served, wanted, ratings = service.models.current, body.list_request(), as_ratings(body.ratings)
    before = None if body.before is None else as_ratings(body.before)
    service.check(served, ratings)
    service.check(served, before or {})

    def task() -> dict[str, Any]:
        earlier = None if before is None else service.visitor(served, before)
        return recommended(served, service.visitor(served, ratings), wanted, earlier)

    is_quick = before is None and len(ratings) <= _MAX_QUICK_RATINGS
    found = await service.work(served, wanted if is_quick else None, task)
    return json_response(service.noted({**found, "unknown": service.unknown(served, ratings)}, wanted))


@router.get("/popular", response_model=ItemList, dependencies=[Depends(documents_list_query)])
async def popular(request: Request) -> Response:
    """The items that most people rated; of late, if the model knows what is rising."""
    service, wanted = service_of(request), list_request_in(request)
    served = service.models.current
    found = await service.work(served, wanted, lambda: recommended(served, NOBODY, wanted))
    return json_response(service.noted(found, wanted))
