"""Stored ratings: what somebody rated, given and deleted."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from cofactor.apps.web.problems import MAX_ERRORS, Problem
from cofactor.apps.web.profiles import trained_on, user_profile
from cofactor.apps.web.recommendations import ServiceListRequest, check
from cofactor.apps.web.requests import (
    KNOWN_PARAMETERS_ONLY,
    ItemPath,
    ListQuery,
    Ratings,
    StrictBody,
    UserPath,
    Value,
    as_ratings,
)
from cofactor.apps.web.responses import PROBLEMS, ItemList, json_response
from cofactor.apps.web.served_model import ServedModel
from cofactor.apps.web.service import Service, service_of
from cofactor.model.factors import needs_every_draw

__all__ = ["router"]

router = APIRouter(prefix="/v1/users/{user}/ratings", responses=PROBLEMS, tags=["ratings"])

_List = Annotated[ListQuery, Query()]


class RatingBody(StrictBody):
    """The rating of an item."""

    value: Value


class RatingsBody(StrictBody):
    """All ratings of somebody; if an item is there twice, its last rating counts."""

    ratings: Ratings


class KeptRating(BaseModel):
    """A rating, and where it is from."""

    item: str = Field(examples=["50"])
    title: str | None = Field(examples=["Star Wars (1977)"])
    rating: float = Field(examples=[5.0])
    source: Literal["stored", "trained"] = Field(description="Given here, or in the training data.")


class KeptRatings(BaseModel):
    """What somebody rated."""

    user: str = Field(examples=["196"])
    current: bool = Field(description="Whether these are all; false while the ratings store does not answer.")
    ratings: list[KeptRating]


class Changed(BaseModel):
    """What followed from a change of ratings: the new list, with how each item moved."""

    user: str = Field(examples=["196"])
    changed: list[str] = Field(description="The items whose ratings were given or deleted.", examples=[["50"]])
    list: ItemList | None = Field(description="None where the ratings are stored, but no list could be made.")


@router.get("", response_model=KeptRatings, dependencies=KNOWN_PARAMETERS_ONLY)
async def kept(request: Request, user: UserPath) -> Response:
    """What somebody rated: here, and in the training data where they have not changed it since."""
    service = service_of(request)
    stored = await service.ratings.of(user)
    ratings = _kept(service.served_for(user), user, stored)
    return json_response({"user": user, "current": service.ratings.is_current, "ratings": ratings})


@router.put("/{item}", response_model=Changed)
async def give(request: Request, user: UserPath, item: ItemPath, body: RatingBody, query: _List) -> Response:
    """Store a rating. The response has the new list, with how each item moved."""
    service = service_of(request)
    served = service.served_for(user)
    wanted = _wanted(served, query)
    service.item_row(served, item)
    service.check(served, {item: body.value})
    before = dict(await service.ratings.of(user))
    await service.ratings.write(user, {item: body.value})
    return await _changed(service, served, user, [item], before, wanted)


@router.put("", response_model=Changed)
async def give_all(request: Request, user: UserPath, body: RatingsBody, query: _List) -> Response:
    """Store these ratings and delete all others stored here before; those of the training data stay as they are.

    Ratings stored here before of items that the model has lost can be kept.
    """
    service, ratings = service_of(request), as_ratings(body.ratings)
    served = service.served_for(user)
    wanted = _wanted(served, query)
    service.check(served, ratings)
    before = dict(await service.ratings.of(user))
    gone = {item for item in service.unknown(served, ratings) if before.get(item) is None}
    if gone:
        at = [f"body.ratings.{place}.item" for place, rating in enumerate(body.ratings) if rating["item"] in gone]
        detail = "the model does not have all of these items: 'errors' lists those it lacks"
        raise Problem(
            422, detail, "unknown-item", errors=[{"where": one, "problem": "unknown item"} for one in at[:MAX_ERRORS]]
        )
    await service.ratings.replace(user, ratings)
    return await _changed(service, served, user, sorted({*before, *ratings}), before, wanted)


@router.delete("/{item}", response_model=Changed)
async def delete(request: Request, user: UserPath, item: ItemPath, query: _List) -> Response:
    """Delete a rating, one of the training data too. From the next response on it no longer counts."""
    service = service_of(request)
    served = service.served_for(user)
    wanted = _wanted(served, query)
    before = dict(await service.ratings.of(user))
    if before.get(item) is None:  # what is stored can be deleted even if the model has lost the item
        service.item_row(served, item)
    await service.ratings.write(user, {item: None})
    return await _changed(service, served, user, [item], before, wanted)


@router.delete("", response_model=Changed)
async def delete_all(request: Request, user: UserPath, query: _List) -> Response:
    """Delete all ratings, those of the training data too."""
    service = service_of(request)
    served = service.served_for(user)
    wanted = _wanted(served, query)
    before = dict(await service.ratings.of(user))
    trained = [served.items.ids[row] for row in trained_on(served, served.user_row(user)).rows]
    await service.ratings.replace(user, {}, tuple(trained))
    return await _changed(service, served, user, sorted({*before, *trained}), before, wanted)


async def _changed(
    service: Service,
    served: ServedModel,
    user: str,
    items: list[str],
    before: Mapping[str, float | None],
    wanted: ServiceListRequest,
) -> Response:
    """Answer with the items whose ratings changed, and the list that follows.

    They are stored by now, so whatever goes wrong with the list, the answer is not an error.
    """
    service.metrics.count("ratings_written", len(items))
    found = None
    with service.health.watching("list after a rating"):
        found = await service.list_for(served, user, wanted, before)
    return json_response({"user": user, "changed": items, "list": found})


def _wanted(served: ServedModel, query: ListQuery) -> ServiceListRequest:
    """Return how the list after a change should be; refuse what could not be answered before anything is stored.

    Raises
    ------
    SettingError, Problem
    """
    wanted = query.list_request()
    check(served, wanted)
    if needs_every_draw(served.model):
        detail = "this model has no fold-in, so it takes no ratings: serve another, such as ImplicitALS's"
        raise Problem(422, detail, "no-newcomers")
    return wanted


def _kept(served: ServedModel, user: str, stored: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """Return what somebody rated, by title."""
    items = served.items
    profile = user_profile(served, user, stored)
    known = [] if profile is None else zip(profile.rated.rows.tolist(), profile.rated.ratings.tolist(), strict=True)
    found = [
        {
            "item": items.ids[row],
            "title": items.titles[row],
            "rating": value,
            "source": "stored" if items.ids[row] in stored else "trained",
        }
        for row, value in known
    ]
    gone = [
        {"item": item, "title": None, "rating": value, "source": "stored"}
        for item, value in stored.items()
        if value is not None and item not in items.rows
    ]
    return sorted(found + gone, key=lambda entry: (str(entry["title"] or ""), str(entry["item"])))
