"""Operations: health, readiness, metrics for Prometheus, reloading the model."""

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from cofactor.apps.web.problems import Problem
from cofactor.apps.web.prometheus import resident_bytes, seconds_since, timestamp_of
from cofactor.apps.web.responses import PROBLEMS, json_response
from cofactor.apps.web.service import Service, service_of
from cofactor.errors import ModelFileError

__all__ = ["router"]

router = APIRouter(responses=PROBLEMS, tags=["operations"])


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """What the service can do now.

    It is ready (status 200, otherwise 503) once it can make a visitor's list and has read the stored ratings. If the
    store does not answer, it only reads.
    """

    ready: bool
    model: str
    store: Literal["current", "loading", "away"]
    stored_ratings: int = Field(description="How many stored ratings are in memory, about.")
    writes: bool
    away_seconds: float | None = Field(None, description="For how long the store has not answered.")
    failing: list[str] = Field(description="Background work that failed the last time it was tried; the log says why.")


class Reloaded(BaseModel):
    """The model that is served from now on."""

    model: str
    solver: str
    changed: bool = Field(description="Whether it differs from the one before.")


@router.get("/healthz", response_model=Health)
async def health() -> Response:
    """The process answers."""
    return json_response({"status": "ok"})


@router.get("/readyz", response_model=Readiness, responses={503: {"model": Readiness}})
async def readiness(request: Request) -> Response:
    """What the service can do: whether it makes lists, whether the ratings store answers, what fails."""
    service = service_of(request)
    away = service.ratings.away_since
    served = service.models.current
    document: dict[str, Any] = {
        "ready": _is_ready(service),
        "model": served.digest,
        "store": service.ratings.state,
        "stored_ratings": len(service.ratings),
        "writes": away is None,
        "failing": service.failing,
    }
    if away is not None:
        document["away_seconds"] = round(seconds_since(away), 1)
    return json_response(document, 200 if document["ready"] else 503)


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(request: Request) -> Response:
    """Counters of all processes, for Prometheus."""
    service = service_of(request)
    return Response(service.metrics.text(_gauges(service)), media_type="text/plain; version=0.0.4")


@router.post("/v1/admin/reload", response_model=Reloaded, responses={409: PROBLEMS[422]})
async def reload(request: Request) -> Response:
    """Read the model's file again. If it is not a valid model, the old one goes on serving."""
    service = service_of(request)
    before = service.models.current.digest
    try:
        for models in reversed(service.holders):
            served = await asyncio.to_thread(models.reload)  # not one of the few threads for requests
    except ModelFileError:
        service.metrics.count("reload_failures")
        detail = "the file is not a valid model, so the old one goes on serving: the log says what is wrong with it"
        raise Problem(409, detail, "bad-model") from None
    service.metrics.count("reloads")
    service.announce_reload()
    label = {"model": served.digest, "solver": served.label["solver"]}
    return json_response({**label, "changed": served.digest != before})


def _is_ready(service: Service) -> bool:
    return all(models.current.warmed.is_set() for models in service.holders) and not service.ratings.is_opening


def _gauges(service: Service) -> Iterator[tuple[str, Mapping[str, str], float]]:
    served = service.models.current
    yield "ready", {}, float(_is_ready(service))
    yield "stored_ratings", {}, float(len(service.ratings))
    yield "background_failures", {}, float(len(service.failing))
    yield "store_up", {}, float(service.ratings.is_current)
    yield "model_loaded_seconds", {}, seconds_since(served.loaded_at)
    if (trained := timestamp_of(served.model.origin.trained_at)) is not None:
        yield "model_age_seconds", {}, seconds_since(trained)
    yield "model_info", {"digest": served.digest, "solver": str(served.label["solver"])}, 1.0
    yield "process_resident_bytes", {}, float(resident_bytes())
