"""The addresses for who runs the service: is it alive, what can it do, its counters, another model."""

import datetime
from collections.abc import Iterator

from fastapi import APIRouter
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from cofactor.apps.web.answers import PROBLEMS, Health, Readiness, Reloaded, answer
from cofactor.apps.web.metrics import resident_bytes, seconds_since
from cofactor.apps.web.problems import Problem
from cofactor.apps.web.service import Service
from cofactor.errors import ModelFileError

__all__ = ["operating"]


def operating(service: Service) -> APIRouter:
    """Return the addresses for who runs the service."""
    router = APIRouter(responses=PROBLEMS, tags=["operating"])

    @router.get("/healthz", response_model=Health)
    async def health() -> Response:
        """The process answers."""
        return answer({"status": "ok"})

    @router.get("/readyz", response_model=Readiness)
    async def readiness() -> Response:
        """What the service can do: it is ready as soon as there is a model, and says whether the store is away."""
        away = service.remembered.away_since
        document = {
            "ready": True,
            "model": service.current.served.digest,
            "store": "current" if away is None else "away",
            "writes": away is None,
        }
        return answer(document if away is None else {**document, "away_seconds": round(seconds_since(away), 1)})

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Counters of all processes, for Prometheus."""
        return Response(service.metrics.text(_gauges(service)), media_type="text/plain; version=0.0.4")

    @router.post("/v1/admin/reload", response_model=Reloaded, responses={409: PROBLEMS[422]})
    async def reload() -> Response:
        """Read the model's file again. A file that is no sound model changes nothing."""
        before = service.current.served.digest
        try:
            served = await run_in_threadpool(service.current.reload)
        except ModelFileError:
            service.metrics.count("reload_failures")
            raise Problem(
                409, "the file is no sound model, so the old one goes on serving; the log says why", "bad-model"
            ) from None
        service.metrics.count("reloads")
        service.announce()
        label = {"model": served.digest, "solver": served.label["solver"]}
        return answer({**label, "changed": served.digest != before})

    return router


def _gauges(service: Service) -> Iterator[tuple[str, str, float]]:
    served = service.current.served
    yield "store_up", "", float(service.remembered.is_current)
    yield "model_loaded_seconds", "", seconds_since(served.loaded_at)
    if (trained := _moment(served.model.origin.trained_at)) is not None:
        yield "model_age_seconds", "", seconds_since(trained)
    yield "model_info", f'{{digest="{served.digest}",solver="{served.label["solver"]}"}}', 1.0
    yield "process_resident_bytes", "", float(resident_bytes())


def _moment(text: str) -> float | None:
    """Return the seconds since 1970 of an ISO time stamp; None where it is none."""
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
