"""Erasure: everything of a person is deleted, here and in the model."""

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from cofactor.apps.web.requests import KNOWN_PARAMETERS_ONLY, UserPath
from cofactor.apps.web.responses import PROBLEMS, json_response
from cofactor.apps.web.service import service_of

__all__ = ["router"]

router = APIRouter(prefix="/v1/users/{user}", responses=PROBLEMS, tags=["ratings"])


class Erased(BaseModel):
    """What was erased."""

    user: str = Field(examples=["196"])
    ratings: int = Field(description="How many ratings were stored, deleted ones too.", examples=[20])
    in_model_file: bool = Field(
        description="Whether the model's file may still have them, since it cannot be written: 'cofactor forget' makes "
        "another. They are in no response either way.",
        examples=[False],
    )


@router.delete("", response_model=Erased, dependencies=KNOWN_PARAMETERS_ONLY)
async def erase(request: Request, user: UserPath) -> Response:
    """Erase somebody: all their ratings, and what the model knows of them. They are not in later models either.

    It can be repeated, and must be after an error. Whoever rates under the name later is somebody new.
    """
    service = service_of(request)
    count = await service.ratings.erase(user)
    cleaned = False
    with service.health.watching("erasure"):
        before = service.models.current.model
        cleaned = await asyncio.to_thread(service.models.erase)
        if cleaned and service.ratings.erasures.rows_in(before.users, before.origin).size:
            await asyncio.to_thread(service.models.reload)
            service.announce_reload()
    return json_response({"user": user, "ratings": count, "in_model_file": not cleaned})
