"""The console's view of the service and its models: what is served, how good it is, versions, refits.

Everything under ``/v1/admin`` needs a token, where the service has any: `AccessPolicy` sees to that.
"""

import dataclasses
import time
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from cofactor.apps.web.operators import ratings_a_day
from cofactor.apps.web.problems import Problem
from cofactor.apps.web.prometheus import resident_bytes, seconds_since, timestamp_of
from cofactor.apps.web.requests import KNOWN_PARAMETERS_ONLY
from cofactor.apps.web.responses import PROBLEMS, json_response
from cofactor.apps.web.service import Service, service_of
from cofactor.apps.web.store import StoreAway
from cofactor.apps.web.versions import served_version, versions_of
from cofactor.errors import ModelFileError
from cofactor.model.origin import Trial
from cofactor.model.storage import origin_in

__all__ = ["By", "router"]

DAYS = 28

router = APIRouter(prefix="/v1/admin", responses=PROBLEMS, tags=["admin"], dependencies=KNOWN_PARAMETERS_ONLY)

By = Annotated[
    str,
    Query(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$", description="Who asks.", examples=["ann"]),
]

_Name = Annotated[
    str, Path(max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$", description="A version's file name, as they are listed.")
]
_Figure = Annotated[list[float], Field(min_length=3, max_length=3)]


class TrialFigures(BaseModel):
    """How a model did on held-out ratings; each figure with the bounds of its 95 % interval: mean, low, high."""

    metric: str = Field(examples=["ndcg@10"])
    held_out: str = Field(description="The newest ratings, or random ones.", examples=["newest"])
    n_test: int
    n_users: int
    figure: _Figure
    baseline: _Figure | None = Field(description="Of popular items; of biases alone for predicted ratings.")
    before: _Figure | None = Field(description="Of the model before, with the same ratings taken up.")
    difference: _Figure | None = Field(description="To the model before, user by user.")
    p_value: float | None
    worse: bool = Field(description="Whether it is significantly worse than the model before.")


class ServedNow(BaseModel):
    """The model that is served."""

    model: str = Field(description="Its digest, with what it has taken up since.")
    version: str = Field(description="Its file.")
    solver: str
    goal: str
    users: int
    items: int
    ratings: int
    trained_at: str | None
    age_seconds: float | None
    loaded_seconds: float = Field(description="For how long it has been served.")
    trial: TrialFigures | None


class StoreNow(BaseModel):
    """The ratings store."""

    where: str = Field(description="Its address, without a password.")
    state: str
    stored_ratings: int
    away_seconds: float | None


class DayCount(BaseModel):
    """What was rated on a day."""

    day: int = Field(description="Its start, in seconds since 1970, UTC.")
    ratings: int
    people: int


class RouteFigures(BaseModel):
    """How a route was answered, by all processes together since the service started."""

    route: str
    requests: int
    refused: int = Field(description="With a status from 400 to 499.")
    failed: int = Field(description="With a status from 500.")
    p50_ms: float | None = Field(description="Estimated from a histogram, as the others; none beyond 5 seconds.")
    p95_ms: float | None
    p99_ms: float | None


class Job(BaseModel):
    """Background work of the process that answers, and refits."""

    name: str
    failing: str | None = Field(description="The kind of error where it failed the last time; the log says more.")
    ended_seconds: float | None = Field(description="How long ago it last ended well, if it has.")


class Overview(BaseModel):
    """The service at a glance."""

    served: ServedNow
    store: StoreNow
    days: list[DayCount] | None = Field(description="None while the store does not answer.")
    routes: list[RouteFigures]
    jobs: list[Job]
    workers: int
    memory_bytes: int = Field(description="Of the process that answers.")
    refitting: bool
    refit_every: float | None = Field(description="In seconds.")


class Version(BaseModel):
    """A version of the model: a file beside it."""

    model_config = ConfigDict(protected_namespaces=())

    name: str
    served: bool
    bytes: int
    solver: str | None
    settings: dict[str, Any] | None
    metrics: dict[str, float | None] | None
    trained_at: str | None
    asked_by: str | None = Field(description="Who asked for the training, where that is known.")
    trial: TrialFigures | None
    problem: str | None = Field(description="What is wrong with the file.")


class Versions(BaseModel):
    """The versions of the model, the one trained last first."""

    refitting: bool
    failing: bool = Field(description="Whether the last refit failed; the log says why.")
    refit_every: float | None
    versions: list[Version]


class Refitting(BaseModel):
    """A refit has begun."""

    refitting: bool


class Switched(BaseModel):
    """The model that is served from now on."""

    model: str
    version: str


@router.get("/overview", response_model=Overview)
async def overview(request: Request) -> Response:
    """The service at a glance: its model, how good that is, requests, the store, ratings a day, background work."""
    service = service_of(request)
    days = None
    if service.ratings.is_current:
        try:
            days = await run_in_threadpool(ratings_a_day, service.ratings.store, DAYS)
        except StoreAway:
            days = None
    away, every = service.ratings.away_since, service.settings.refit_every
    store = {
        "where": str(service.ratings.store),
        "state": service.ratings.state,
        "stored_ratings": len(service.ratings),
        "away_seconds": None if away is None else seconds_since(away),
    }
    return json_response(
        {
            "served": _served(service), "store": store, "days": days, "routes": service.metrics.by_route(),
            "jobs": _jobs(service), "workers": service.settings.workers, "memory_bytes": resident_bytes(),
            "refitting": service.refits.running, "refit_every": every,
        }
    )  # fmt: skip


@router.get("/models", response_model=Versions)
async def versions(request: Request) -> Response:
    """The versions of the model: files beside it, with how each did on the newest ratings before it was served."""
    service = service_of(request)
    found = await run_in_threadpool(lambda: _versions(service.settings.model))
    refits = service.refits
    return json_response(
        {
            "refitting": refits.running, "failing": refits.failing, "refit_every": service.settings.refit_every,
            "versions": found,
        }
    )  # fmt: skip


@router.post("/refits", response_model=Refitting, status_code=202, responses={409: PROBLEMS[422]})
async def refit(
    request: Request,
    by: By,
    even_if_worse: Annotated[
        bool, Query(description="Whether to serve the new model though it is significantly worse.")
    ] = False,
) -> Response:
    """Train the model again with what is stored, in the background; serve the new one unless it is significantly worse.

    A worse one is kept as a version, and can be switched to.
    """
    refits = service_of(request).refits
    if refits.running:
        raise Problem(409, "the model is being trained already: wait for that", "busy")
    refits.start(by, even_if_worse)
    return json_response({"refitting": True}, 202)


@router.post("/models/{name}/serve", response_model=Switched, responses={409: PROBLEMS[422]})
async def switch(request: Request, name: _Name) -> Response:
    """Serve a version of the model, an older one too. If it is not a sound model, nothing changes."""
    service = service_of(request)
    chosen = next((file for file in versions_of(service.settings.model) if file.name == name), None)
    if chosen is None:
        raise Problem(404, "no version has this name: GET /v1/admin/models lists them", "unknown-version")
    try:
        await run_in_threadpool(service.refits.switch, chosen)
    except ModelFileError:
        detail = "the file is not a valid model, so the old one goes on serving: the log says what is wrong with it"
        raise Problem(409, detail, "bad-model") from None
    except OSError:
        detail = "the model's folder cannot be written by the service: switch the link there by hand"
        raise Problem(409, detail, "read-only") from None
    service.metrics.count("reloads")
    return json_response({"model": service.models.current.digest, "version": name})


def _served(service: Service) -> dict[str, Any]:
    served = service.models.current
    model, origin = served.model, served.model.origin
    trained = timestamp_of(origin.trained_at)
    return {
        "model": served.digest,
        "version": served_version(service.settings.model).name,
        "solver": served.label["solver"],
        "goal": model.objective.goal,
        "users": model.n_users,
        "items": model.n_items,
        "ratings": int(model.seen.nnz),
        "trained_at": origin.trained_at or None,
        "age_seconds": None if trained is None else seconds_since(trained),
        "loaded_seconds": seconds_since(served.loaded_at),
        "trial": _trial(origin.trial),
    }


def _trial(trial: Trial | None) -> dict[str, Any] | None:
    return None if trial is None else dataclasses.asdict(trial)


def _jobs(service: Service) -> list[dict[str, Any]]:
    now = time.time()
    jobs = [
        {"name": name, "failing": problem, "ended_seconds": None if ended is None else max(now - ended, 0.0)}
        for name, (problem, ended) in service.health.jobs.items()
    ]
    origin = service.models.current.model.origin
    trained = timestamp_of(origin.trained_at) if origin.asked_by else None  # which only refits know
    failing = "see the log" if service.refits.failing else None
    refit = {"name": "refit", "failing": failing, "ended_seconds": None if trained is None else seconds_since(trained)}
    return [*jobs, refit]


def _versions(model: FilePath) -> list[dict[str, Any]]:
    served = served_version(model)
    return sorted((_version(file, file == served) for file in versions_of(model)), key=_recency, reverse=True)


def _recency(version: dict[str, Any]) -> tuple[str, str]:
    return version["trained_at"] or "", version["name"]


def _version(file: FilePath, served: bool) -> dict[str, Any]:
    found: dict[str, Any] = dict.fromkeys(
        ("solver", "settings", "metrics", "trained_at", "asked_by", "trial", "problem")
    )
    found |= {"name": file.name, "served": served, "bytes": file.stat().st_size}
    try:
        origin = origin_in(file)
    except ModelFileError as error:
        return {**found, "problem": str(error)[:300]}
    found |= {"solver": origin.solver, "settings": dict(origin.settings), "metrics": dict(origin.metrics)}
    return {
        **found,
        "trained_at": origin.trained_at or None,
        "asked_by": origin.asked_by or None,
        "trial": _trial(origin.trial),
    }
