"""Explanations: each rating's share of an item's score, and the item's position without that rating."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from cofactor.apps.web.profiles import Profile
from cofactor.apps.web.reasons import profiles_without
from cofactor.apps.web.recommendations import ServiceListRequest, check, positions_of
from cofactor.apps.web.requests import (
    KNOWN_PARAMETERS_ONLY,
    ItemId,
    ItemPath,
    ListChoice,
    Ratings,
    UserPath,
    as_ratings,
)
from cofactor.apps.web.responses import PROBLEMS, ItemDetails, Labelled, Reason, json_response
from cofactor.apps.web.scoring import score_of, shares_of
from cofactor.apps.web.served_model import ServedModel
from cofactor.apps.web.service import service_of

__all__ = ["router"]

MAX_POSITIONS = 50
"""For this many of the largest shares the position without the rating is found: each takes a fold-in and all scores."""

router = APIRouter(prefix="/v1", responses=PROBLEMS, tags=["explanations"])


class VisitorExplanation(ListChoice):
    """Ratings of somebody without a name, the item that they ask about, and how the list is that it is in."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"ratings": [{"item": "50", "value": 5}], "item": "181"}]},
    )

    ratings: Ratings
    item: ItemId


class ReasonWithPosition(Reason):
    """A rating's share of a score, and its effect on the item's position."""

    position_without: int | None = Field(
        description="The item's position without this rating; only for the largest shares.", examples=[7]
    )


class Explanation(Labelled, ItemDetails):
    """Why an item has its position. The shares and the rest add up to the score."""

    popular: bool = Field(description="Whether nothing is known to explain it by.")
    position: int | None = Field(
        description="In the list; none if it is not in it, or already rated. Without rules such as diversify it is the "
        "whole list, however large n is.",
        examples=[1],
    )
    score: float | None = Field(examples=[0.93])
    rest: float | None = Field(description="What is not due to a rating.", examples=[0.02])
    reasons: list[ReasonWithPosition]


@router.post("/explanations", response_model=Explanation, dependencies=KNOWN_PARAMETERS_ONLY)
async def for_visitor(request: Request, body: VisitorExplanation) -> Response:
    """Why an item has its position for somebody without a name. Nothing is stored."""
    service, ratings, wanted = service_of(request), as_ratings(body.ratings), body.list_request()
    served = service.models.current
    service.check(served, ratings)
    row = service.item_row(served, body.item)
    return json_response(
        await run_in_threadpool(lambda: explained(served, service.visitor(served, ratings), row, wanted))
    )


@router.get("/users/{user}/explanations/{item}", response_model=Explanation)
async def for_user(request: Request, user: UserPath, item: ItemPath, query: Annotated[ListChoice, Query()]) -> Response:
    """Why an item has its position for a user."""
    service, wanted = service_of(request), query.list_request()
    served = service.served_for(user)
    row = service.item_row(served, item)
    stored = await service.ratings.of(user)
    return json_response(
        await run_in_threadpool(lambda: explained(served, service.user(served, user, stored), row, wanted))
    )


def explained(served: ServedModel, profile: Profile, item: int, request: ServiceListRequest) -> dict[str, Any]:
    """Return the explanation of one item's score, and its position in the list that a request asks for.

    The shares and ``rest`` (the mean, the item's own bias, a boost, the remaining training error) add up to the score.

    Raises
    ------
    SettingError
        If the model cannot make such a list.
    """
    check(served, request)
    position = positions_of(served, [profile], item, request)[0]
    described = {**served.label, "popular": not profile.is_known, **served.items.describe(item), "position": position}
    if not profile.is_known:
        return {**described, "score": None, "rest": None, "reasons": []}
    boosted = request.rules.boosted(served.attributes)
    score = score_of(served, profile, item) + (0.0 if boosted is None else float(boosted[item]))
    found = shares_of(served, profile, np.array([item]))
    shares = found.shares[:, 0]
    order = np.argsort(-np.abs(shares), kind="stable")
    tried = np.flatnonzero(profile.rated.learnt)[order[:MAX_POSITIONS]]
    without = positions_of(served, profiles_without(served, profile.rated, tried), item, request) if position else []
    items = served.items
    reasons = [
        {
            "item": items.ids[found.rated[k]],
            "title": items.titles[found.rated[k]],
            "rating": float(found.ratings[k]),
            "share": float(shares[k]),
            "position_without": without[at] if at < len(without) else None,
        }
        for at, k in enumerate(order.tolist())
    ]
    return {**described, "score": score, "rest": score - float(shares.sum()), "reasons": reasons}
