"""Erasure: everything of a person is deleted, here and in the model."""

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from cofactor.apps.web.requests import KNOWN_PARAMETERS_ONLY, UserPath
from cofactor.apps.web.responses import PROBLEMS, json_response
from cofactor.apps.web.served_model import ModelHolder
from cofactor.apps.web.service import Service, service_of

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
    """Erase somebody: all their ratings, lists and events, and what models know of them. No later model has them.

    It can be repeated, and must be after an error. Whoever rates under the name later is somebody new.
    """
    service = service_of(request)
    count = await service.ratings.erase(user)
    cleaned = False
    with service.health.watching("erasure"):
        cleaned = all([await _erased_from(service, models) for models in service.holders])
    return json_response({"user": user, "ratings": count, "in_model_file": not cleaned})


async def _erased_from(service: Service, models: ModelHolder) -> bool:
    """Take those who were erased out of a model's file, and serve that; tell whether it could be written."""
    before = models.current.model
    cleaned = await asyncio.to_thread(models.erase)
    if cleaned and service.ratings.erasures.rows_in(before.users, before.origin).size:
        await asyncio.to_thread(models.reload)
        service.announce_reload()
    return cleaned
