"""The console's view of lists: rules for all of them, and what is known of one person or one item."""

import dataclasses
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, model_validator
from starlette.concurrency import run_in_threadpool

from cofactor.apps.web.list_rules import FieldError, ListRules
from cofactor.apps.web.operators import list_shares, person, raters
from cofactor.apps.web.problems import Problem
from cofactor.apps.web.profiles import Profile, fold_in, trained_on
from cofactor.apps.web.recommendations import ServiceListRequest, recommended
from cofactor.apps.web.requests import (
    KNOWN_PARAMETERS_ONLY,
    MAX_IDS,
    MAX_N,
    Column,
    ItemId,
    ItemPath,
    StrictBody,
    UserPath,
)
from cofactor.apps.web.responses import PROBLEMS, ItemDetails, ItemList, json_response
from cofactor.apps.web.routes.admin import By
from cofactor.apps.web.rules_store import LISTS, SetRule
from cofactor.apps.web.served_model import ServedModel
from cofactor.apps.web.service import Service, service_of

__all__ = ["router"]

MAX_RATERS = 50
MAX_PLACES = 100

router = APIRouter(prefix="/v1/admin", responses=PROBLEMS, tags=["admin"], dependencies=KNOWN_PARAMETERS_ONLY)


class ItemRule(StrictBody):
    """What holds for an item in every list: one of the three."""

    hide: Literal[True] | None = Field(None, description="It is in no list.")
    pin: Annotated[int, Field(ge=1, le=MAX_N)] | None = Field(
        None, description="Its position in every list that may hold it; not for whom it is nothing new."
    )
    boost: Annotated[int, Field(ge=-MAX_PLACES, le=MAX_PLACES)] | None = Field(
        None, description="By how many places it moves up; down, where negative."
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> "ItemRule":
        if len(self.model_dump(exclude_none=True)) != 1 or self.boost == 0:
            raise ValueError("give one of hide, pin and boost, and no boost of 0")
        return self


class ListsRule(StrictBody):
    """Rules that hold in every list where a request says nothing of them."""

    at_most: Annotated[int, Field(ge=1, le=MAX_N)] | None = Field(None, description="As in a list's request.")
    per: Column | None = None
    diversify: Column | None = None
    calibrate: Column | None = None
    strength: Annotated[float, Field(ge=0, le=1)] | None = None


class KeptRule(BaseModel):
    """A rule, and who set it when."""

    item: str | None = Field(description="None for the rule of all lists.")
    title: str | None
    rule: dict[str, str | int | float | bool]
    by: str
    at: int = Field(description="In seconds since 1970.")
    fits: bool = Field(description="False where the model lacks what the rule is about, so that it does nothing.")


class KeptRules(BaseModel):
    """All rules, the newest first."""

    rules: list[KeptRule]


class GivenRating(BaseModel):
    """A rating of somebody."""

    user: str
    rating: float
    rated_at: int | None = Field(description="In seconds since 1970, where it was given here.")


class ItemView(ItemDetails):
    """What is known of an item, and where it comes up."""

    rule: KeptRule | None
    stored: list[GivenRating] = Field(description="Who rated it here, the last first.")
    trained: list[GivenRating] = Field(description="Who had it in the training data: some of them.")
    share: float = Field(description="The share of lists of 10 that it is in, rules included.", examples=[0.07])
    people: int = Field(description="Of how many people's lists.", examples=[500])


class OwnRating(BaseModel):
    """A rating of a person: stored, deleted here, or in the training data."""

    item: str
    title: str | None
    rating: float | None = Field(description="None for a deleted one.")
    rated_at: int | None
    source: Literal["stored", "trained"]


class WhatIf(StrictBody):
    """Which ratings of a person are not to count."""

    without: list[ItemId] = Field(max_length=MAX_IDS, examples=[["50"]])
    n: Annotated[int, Field(ge=1, le=MAX_N)] = 10


class PersonView(BaseModel):
    """All that the service has of somebody, as it can be handed to them."""

    user: str
    in_model: bool = Field(description="Whether the model has learnt from them.")
    ratings: list[OwnRating]


@router.get("/rules", response_model=KeptRules)
async def rules(request: Request) -> Response:
    """The rules for all lists, with who set them and when."""
    service = service_of(request)
    await service.ratings.look()
    return json_response({"rules": _kept(service)})


@router.put("/rules/lists", response_model=KeptRules)
async def set_lists(request: Request, by: By, body: ListsRule) -> Response:
    """Say what holds in every list where a request says nothing of it."""
    service, rule = service_of(request), body.model_dump(exclude_none=True)
    if not rule:
        raise FieldError("at_most", "no rule is given: give at_most, diversify or calibrate", part="body")
    try:
        ListRules(**rule).check(service.models.current.attributes)
    except FieldError as error:
        raise FieldError(error.field, str(error), part="body") from None
    return await _written(service, LISTS, rule, by)


@router.delete("/rules/lists", response_model=KeptRules)
async def unset_lists(request: Request, by: By) -> Response:
    """Take the rule of all lists back."""
    return await _written(service_of(request), LISTS, None, by)


@router.put("/rules/items/{item}", response_model=KeptRules)
async def set_item(request: Request, item: ItemPath, by: By, body: ItemRule) -> Response:
    """Hide an item, pin it to a position, or move it by some places, in every list of everybody."""
    service = service_of(request)
    service.item_row(service.models.current, item)
    return await _written(service, item, body.model_dump(exclude_none=True), by)


@router.delete("/rules/items/{item}", response_model=KeptRules)
async def unset_item(request: Request, item: ItemPath, by: By) -> Response:
    """Take an item's rule back."""
    service = service_of(request)
    await service.ratings.look()
    if not any(one.item == item and one.rule is not None for one in service.renewal.rules):
        raise Problem(404, "no rule is set for an item with this id", "unknown-rule")
    return await _written(service, item, None, by)


@router.get("/items/{item}", response_model=ItemView)
async def item(request: Request, item: ItemPath) -> Response:
    """Who rated an item, how many lists it is in, and its rule."""
    service = service_of(request)
    served = service.models.current
    row = service.item_row(served, item)
    rule = next((one for one in _kept(service) if one["item"] == item), None)

    def task() -> dict[str, Any]:
        shares = list_shares(served)
        return {
            **served.items.describe(row),
            "rule": rule,
            "stored": raters(service.ratings.store, item, MAX_RATERS),
            "trained": _trained_raters(served, row),
            "share": float(shares.shares[row]),
            "people": shares.people,
        }

    return json_response(await run_in_threadpool(task))


@router.get("/users/{user}", response_model=PersonView)
async def user(request: Request, user: UserPath) -> Response:
    """All that the service has of somebody: stored ratings, deleted ones too, and those of the training data.

    Somebody nobody knows of has none.
    """
    service = service_of(request)
    served = service.models.current
    stored = await run_in_threadpool(person, service.ratings.store, user)
    row = served.user_row(user)
    rated, there = trained_on(served, row), {one["item"] for one in stored}
    items = served.items
    titles = {items.ids[k]: items.titles[k] for k in items.known([one["item"] for one in stored])}
    known = [{**one, "title": titles.get(one["item"]), "source": "stored"} for one in stored]
    trained = [
        {"item": items.ids[k], "title": items.titles[k], "rating": value, "rated_at": None, "source": "trained"}
        for k, value in zip(rated.rows.tolist(), rated.ratings.tolist(), strict=True)
        if items.ids[k] not in there
    ]
    return json_response({"user": user, "in_model": row >= 0, "ratings": known + trained})


@router.post("/users/{user}/what-if", response_model=ItemList)
async def what_if(request: Request, user: UserPath, body: WhatIf) -> Response:
    """The list that somebody would get if some of their ratings did not count, with how each item moved by that.

    Nothing is stored. The items of these ratings may be in the list.
    """
    service = service_of(request)
    served, stored = service.models.current, await service.ratings.of(user)
    wanted = ServiceListRequest(n=body.n, reasons=2)

    def task() -> dict[str, Any]:
        full = service.user(served, user, stored)
        fewer = full.rated.only(~np.isin(full.rated.rows, served.items.known(body.without)))
        if len(fewer.rows) == len(full.rated.rows):
            return recommended(served, full, wanted, full)
        learnt = bool(fewer.learnt.any())
        other = Profile(fewer, 0, True, fold_in(served, [fewer])) if learnt else Profile(fewer)
        return recommended(served, other, wanted, full)

    found = await run_in_threadpool(task)
    return json_response({"user": user, "current": service.ratings.is_current, **found})


async def _written(service: Service, item: str, rule: dict[str, Any] | None, by: str) -> Response:
    """Store a rule, serve by it, and answer with all rules."""
    await service.ratings.change(lambda: service.rules.write(item, rule, by))
    await service.renewal.take_up()
    return json_response({"rules": _kept(service)})


def _kept(service: Service) -> list[dict[str, Any]]:
    served = service.models.current
    found = sorted((one for one in service.renewal.rules if one.rule is not None), key=lambda one: -one.revision)
    return [_told(served, one) for one in found]


def _told(served: ServedModel, one: SetRule) -> dict[str, Any]:
    row = served.items.rows.get(one.item)
    name = "lists" if one.item == LISTS else one.item
    return {
        **{key: value for key, value in dataclasses.asdict(one).items() if key in ("rule", "by", "at")},
        "item": None if one.item == LISTS else one.item,
        "title": None if row is None else served.items.titles[row],
        "fits": name not in served.house.unfit,
    }


def _trained_raters(served: ServedModel, row: int) -> list[dict[str, Any]]:
    """Return some of those who had an item in the training data, but for whom has been erased since."""
    table = served.model.seen
    places = np.flatnonzero(table.indices == row)[: 2 * MAX_RATERS]
    users = np.searchsorted(table.indptr, places, side="right") - 1
    names = [
        (str(served.model.users[int(user)]), float(table.data[place]))
        for user, place in zip(users.tolist(), places.tolist(), strict=True)
    ]
    found = [(name, value) for name, value in names if served.user_row(name) >= 0]
    return [{"user": name, "rating": value, "rated_at": None} for name, value in found[:MAX_RATERS]]
