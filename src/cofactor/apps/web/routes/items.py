"""Items: search by title, what is known of one, similar ones, the map; and the model that they belong to."""

import dataclasses
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from cofactor.apps.web.recommendations import similar
from cofactor.apps.web.requests import KNOWN_PARAMETERS_ONLY, ItemId, ItemPath, Where
from cofactor.apps.web.responses import PROBLEMS, ItemDetails, ItemList, Labelled, ListedItem, json_response
from cofactor.apps.web.service import service_of

__all__ = ["router"]

router = APIRouter(prefix="/v1", responses=PROBLEMS, dependencies=KNOWN_PARAMETERS_ONLY)

_N = Annotated[int, Query(ge=1, le=100, description="Length of the list.")]


class SimilarItems(Labelled):
    """Items like one item, the most similar first; the score is the cosine."""

    item: str = Field(examples=["50"])
    title: str | None = Field(examples=["Star Wars (1977)"])
    items: list[ListedItem]


class ValueOfAttribute(BaseModel):
    """A value that items have."""

    value: bool | int | float | str = Field(examples=["Comedy"])
    count: int = Field(description="How many items have it.", examples=[505])
    where: str = Field(description="The condition that finds them.", examples=["'Comedy' in genres"])


class ItemAttribute(BaseModel):
    """A column of what is known of the items."""

    name: str = Field(examples=["genres"])
    type: Literal["text", "number", "boolean", "date", "time", "list", "other"]
    known: int = Field(description="Of how many items it is known.", examples=[1682])
    values: list[ValueOfAttribute] | None = Field(description="None where there are more than 50.")
    low: bool | int | float | str | None = Field(description="Where the range of numbers and dates begins.")
    high: bool | int | float | str | None


class AttributeList(Labelled):
    """What is known of the items."""

    attributes: list[ItemAttribute]


class MapItem(ItemDetails):
    """An item and its coordinates on the map."""

    x: float = Field(examples=[-0.25])
    y: float = Field(examples=[0.5])


class ItemMap(Labelled):
    """Two directions of the item vectors, each within -1 and 1."""

    items: list[MapItem]


class RatingScale(BaseModel):
    """The ratings that people may give."""

    low: float = Field(examples=[1.0])
    high: float = Field(examples=[5.0])
    step: float = Field(examples=[1.0])
    liked_from: float | None = Field(
        description="For a model trained on likes: the lowest rating that counts as a like. A lower one only keeps the "
        "item out of the lists.",
        examples=[4.0],
    )


class ModelCard(Labelled):
    """A summary of the model."""

    model_config = ConfigDict(protected_namespaces=())

    goal: Literal["rating", "ranking"] = Field(description="Whether scores are predicted ratings, or only an order.")
    rank: int
    users: int
    items: int
    ratings: int
    data: str
    settings: dict[str, Any]
    metrics: dict[str, float]
    trained_at: str | None
    trained_by: str | None
    scale: RatingScale
    has_spread: bool = Field(description="Whether lists may be cautious or optimistic.")
    genres: list[str]
    years: dict[str, int] | None
    raters: list[int] = Field(
        description="Percentiles 0, 5, 10, … 100 of how many people rated an item: useful values of raters_from and "
        "raters_to.",
        examples=[[1, 1, 2, 3, 4, 5, 7, 10, 13, 18, 27, 38, 51, 69, 92, 121, 150, 184, 232, 300, 583]],
    )
    needs_token: bool = Field(description="Whether storing ratings needs a token.")


@router.get("/items", response_model=ItemList, response_model_exclude_none=True, tags=["items"])
async def search(request: Request, search: Annotated[str, Query(min_length=1, max_length=200)], n: _N = 10) -> Response:
    """Items by title: by its words, the last perhaps unfinished. Accents, case and a few typos do not matter."""
    served = service_of(request).models.current
    rows = await run_in_threadpool(lambda: served.items.search.find(search, n))
    items = [
        {"position": position, **served.items.describe(row), "score": None} for position, row in enumerate(rows, 1)
    ]
    return json_response({**served.label, "popular": False, "items": items})


@router.get("/items/{item}", response_model=ItemDetails, tags=["items"])
async def details(request: Request, item: ItemPath) -> Response:
    """What is known of an item."""
    service = service_of(request)
    served = service.models.current
    return json_response(served.items.describe(service.item_row(served, item)))


@router.get("/items/{item}/similar", response_model=SimilarItems, tags=["items"])
async def like_an_item(
    request: Request,
    item: ItemPath,
    n: _N = 10,
    where: Annotated[Where | None, Query(description="Only items for which this holds, as in a list.")] = None,
) -> Response:
    """The items that the same people like."""
    service = service_of(request)
    served = service.models.current
    row = service.item_row(served, item)
    return json_response(await run_in_threadpool(lambda: similar(served, row, n, where)))


@router.get("/attributes", response_model=AttributeList, tags=["items"])
async def attributes(request: Request) -> Response:
    """What is known of the items: the columns that conditions and rules can name, with their values where few."""
    served = service_of(request).models.current
    found = await run_in_threadpool(lambda: served.attribute_values)
    return json_response({**served.label, "attributes": [dataclasses.asdict(one) for one in found]})


@router.get("/map", response_model=ItemMap, tags=["items"])
async def item_map(
    request: Request,
    n: Annotated[int, Query(ge=0, le=2000, description="How many of the most rated items to show.")] = 500,
    item: Annotated[list[ItemId], Query(max_length=1000, description="Show these as well.")] = [],  # noqa: B006
) -> Response:
    """The items in the plane of the two strongest directions of their vectors."""
    served = service_of(request).models.current

    def task() -> list[dict[str, Any]]:
        rows = [*served.items.by_popularity[:n].tolist(), *served.items.known(item)]
        plane = np.round(served.plane, 4)
        return [
            {**served.items.describe(row), "x": float(plane[row, 0]), "y": float(plane[row, 1])}
            for row in dict.fromkeys(rows)
        ]

    return json_response({**served.label, "items": await run_in_threadpool(task)})


@router.get("/model", response_model=ModelCard, tags=["model"])
async def model_card(request: Request) -> Response:
    """A summary of the model: its solver, its data, when it was trained, and how good it is."""
    service = service_of(request)
    return json_response({**service.models.current.card(), "needs_token": service.access.needs_token})
