"""What newcomers begin with: titles to say something about, and all titles, to match ratings from elsewhere."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from cofactor.apps.web.requests import KNOWN_PARAMETERS_ONLY
from cofactor.apps.web.responses import PROBLEMS, ItemList, Labelled, json_response
from cofactor.apps.web.served_model import MOST_STARTERS
from cofactor.apps.web.service import service_of

__all__ = ["router"]

router = APIRouter(prefix="/v1", responses=PROBLEMS, dependencies=KNOWN_PARAMETERS_ONLY, tags=["items"])


class AllTitles(Labelled):
    """All items, each in the same place of every list."""

    items: list[str] = Field(description="Ids.", examples=[["50"]])
    titles: list[str | None] = Field(examples=[["Star Wars (1977)"]])
    years: list[int] = Field(description="0 where the year is not known.", examples=[[1977]])


@router.get("/starters", response_model=ItemList, response_model_exclude_none=True)
async def starters(request: Request, n: Annotated[int, Query(ge=1, le=MOST_STARTERS)] = MOST_STARTERS) -> Response:
    """The items to ask a newcomer about first: well known ones, so chosen that each answer says as much as it can.

    They are the same for everybody as long as the model is.
    """
    served = service_of(request).models.current
    rows = (await run_in_threadpool(lambda: served.starters))[:n]
    items = [
        {"position": position, **served.items.describe(row), "score": None} for position, row in enumerate(rows, 1)
    ]
    return json_response({**served.label, "popular": False, "items": items})


@router.get("/titles", response_model=AllTitles)
async def titles(request: Request) -> Response:
    """All items by title and year, to match a file of ratings with, without sending it."""
    served = service_of(request).models.current
    items = served.items
    return json_response({**served.label, "items": items.ids, "titles": items.titles, "years": items.years.tolist()})
