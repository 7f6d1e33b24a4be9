"""Items: search by title, what is known of one, similar ones, the map; and the model that they belong to."""

import dataclasses
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from cofactor.apps.web.item_attributes import UnfitAttribute, fitting, told
from cofactor.apps.web.list_rules import FieldError
from cofactor.apps.web.problems import Problem
from cofactor.apps.web.recommendations import similar
from cofactor.apps.web.renewal import item_id
from cofactor.apps.web.requests import KNOWN_PARAMETERS_ONLY, ItemId, ItemPath, StrictBody, Where
from cofactor.apps.web.responses import PROBLEMS, ItemDetails, ItemList, Labelled, ListedItem, json_response
from cofactor.apps.web.served_model import ServedModel
from cofactor.apps.web.service import service_of

__all__ = ["router"]

router = APIRouter(prefix="/v1", responses=PROBLEMS, dependencies=KNOWN_PARAMETERS_ONLY)

_N = Annotated[int, Query(ge=1, le=100, description="Length of the list.")]


class SimilarItems(Labelled):
    """Items like one item, the most similar first; the score is the cosine."""

    item: str = Field(examples=["50"])
    title: str | None = Field(examples=["Star Wars (1977)"])
    items: list[ListedItem]


class ItemBody(StrictBody):
    """What an item is; an attribute that is null or left out is as in the training data, or not known."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"attributes": {"title": "Premiere", "genres": "Comedy|Drama", "year": 1998}}]}
    )

    attributes: Annotated[dict[str, Any], Field(max_length=200)]


class KnownItem(Labelled, ItemDetails):
    """An item, with all that is known of it."""

    attributes: dict[str, Any] = Field(examples=[{"title": "Star Wars (1977)", "year": 1977}])


class Withdrawn(BaseModel):
    """An item of which nothing is put any more."""

    item: str = Field(examples=["50"])
    known: bool = Field(description="Whether the model knows it all the same, by its training data.")


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


class Trend(BaseModel):
    """How lists count what is chosen a lot of late; made anew from the stored ratings, without training."""

    half_life_seconds: float = Field(description="The age at which a choice counts half as much.", examples=[604800.0])
    counted_to: str = Field(description="When the latest rating was that counts.")


class Rules(BaseModel):
    """The rules for all lists of the service."""

    hidden: int = Field(description="How many items are in no list.")
    pinned: int = Field(description="How many have a position of their own.")
    moved: int = Field(description="How many are moved up or down.")
    lists: dict[str, str | float | int] = Field(
        description="Rules that hold where a request says nothing of them.", examples=[{"at_most": 3, "per": "genres"}]
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
    trend: Trend | None = Field(description="What is rising, if the model heeds it.")
    rules: Rules = Field(description="What whoever runs the service has set for all lists.")
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


@router.get("/items/{item}", response_model=KnownItem, tags=["items"])
async def details(request: Request, item: ItemPath) -> Response:
    """What is known of an item."""
    service = service_of(request)
    served = service.models.current
    return json_response(_known(served, service.item_row(served, item)))


@router.put("/items/{item}", response_model=KnownItem, tags=["items"])
async def put(request: Request, item: ItemPath, body: ItemBody) -> Response:
    """Store what an item is: a new one, or changed attributes of a known one. They replace those put before.

    It is in lists at once: a new item by its attributes, marked as new, and then by its first ratings. What was put is
    part of every model from the next training on. A new item needs a model that has learnt from attributes.
    """
    service = service_of(request)
    served = service.models.current
    if item not in served.items.rows:
        _check_new(served, item)
    try:
        fitting(body.attributes, served.model.metadata.items)
    except UnfitAttribute as error:
        raise FieldError(f"attributes.{error.name[:100]}", str(error), part="body") from None
    await service.ratings.change(lambda: service.items.write(item, body.attributes))
    await service.renewal.take_up()
    served = service.models.current
    return json_response(_known(served, service.item_row(served, item)))


@router.delete("/items/{item}", response_model=Withdrawn, tags=["items"])
async def withdraw(request: Request, item: ItemPath) -> Response:
    """Delete what was put of an item: a new one is gone, and a known one is what it was in training.

    Its ratings stay in the store, where they can be deleted one by one.
    """
    service = service_of(request)
    await service.ratings.look()
    if item not in service.renewal.put:
        raise Problem(404, "nothing was put of an item with this id", "unknown-item")
    await service.ratings.change(lambda: service.items.write(item, None))
    await service.renewal.take_up()
    return json_response({"item": item, "known": item in service.models.current.items.rows})


def _known(served: ServedModel, row: int) -> dict[str, Any]:
    attributes = told(served.attributes.table, row)
    return {**served.label, **served.items.describe(row), "attributes": attributes}


def _check_new(served: ServedModel, item: str) -> None:
    """Refuse an item that could have no place in the model."""
    if "item" not in served.model.features:
        detail = (
            "the model has no such item, and has learnt nothing from attributes that would give it a place: train it "
            "with --item-features, or refit it with ratings of the item"
        )
        raise Problem(422, detail, "no-new-items")
    if item_id(served.model.items, item) is None:
        kind = "integers" if served.model.items.holds_integers else "texts, and not all of them numbers"
        raise Problem(422, f"the ids of the model's items are {kind}: give the item such an id", "bad-id")


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
        rows = list(dict.fromkeys(rows))
        places = np.round(served.plane[rows], 4).tolist()
        return [{**served.items.describe(row), "x": x, "y": y} for row, (x, y) in zip(rows, places, strict=True)]

    return json_response({**served.label, "items": await run_in_threadpool(task)})


@router.get("/model", response_model=ModelCard, tags=["model"])
async def model_card(request: Request) -> Response:
    """A summary of the model: its solver, its data, when it was trained, and how good it is."""
    service = service_of(request)
    return json_response({**service.models.current.card(), "needs_token": service.access.needs_token})
