"""The application: one worker's model, ratings and routes, put together."""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from anyio import to_thread
from fastapi import FastAPI

from cofactor.apps.web import logs, problems
from cofactor.apps.web.access import AccessPolicy
from cofactor.apps.web.event_log import EventLog
from cofactor.apps.web.experiment import Experiment
from cofactor.apps.web.health import Health
from cofactor.apps.web.middleware import Middleware
from cofactor.apps.web.news_cache import NewsCache, Renewal
from cofactor.apps.web.prometheus import Metrics
from cofactor.apps.web.ratings_cache import RatingsCache
from cofactor.apps.web.recommendations import warm_rules
from cofactor.apps.web.responses import ProblemDocument
from cofactor.apps.web.routes import (
    admin,
    admin_lists,
    erasure,
    events,
    explanations,
    items,
    lists,
    newcomers,
    operations,
    page,
    ratings,
)
from cofactor.apps.web.served_model import ModelHolder
from cofactor.apps.web.service import Service
from cofactor.apps.web.settings import ServiceSettings
from cofactor.apps.web.shared import Shared, Signal
from cofactor.apps.web.store import store_of
from cofactor.errors import ModelFileError
from cofactor.version import __version__

__all__ = ["ROUTERS", "create_app"]

ROUTERS = (
    lists.router,
    items.router,
    explanations.router,
    ratings.router,
    erasure.router,
    events.router,
    operations.router,
    admin.router,
    admin_lists.router,
    newcomers.router,
)
"""All routes but the page's, the most used first."""

SIGNAL_SECONDS = 0.2
"""How often a worker checks whether another one was told to reload the model."""

ASKING_SECONDS = 1.0
"""How often a worker asks a store that must be asked whether anything was written."""

REQUEST_THREADS = min(max(os.cpu_count() or 1, 2), 4)
"""How many requests are answered in threads at a time; each more would let the others wait longer for Python's lock."""

WARM_SECONDS = 5.0
"""How long a worker waits before it tries again to warm up a model."""


def create_app(settings: ServiceSettings) -> Any:
    """Return the ASGI application of one worker.

    Parameters
    ----------
    settings : ServiceSettings

    Raises
    ------
    ModelFileError
        If the model cannot be loaded.
    SettingError
        If the tokens or the store's URL cannot be used.
    """
    shared, health = settings.shared, Health()
    reload, keep = (Signal(None), Signal(None)) if shared is None else (Signal(shared.reload), Signal(shared.keep))
    store = store_of(settings)
    news = NewsCache(store)
    stored = RatingsCache(store, health, news)
    models = ModelHolder(settings.model, None if shared is None else shared.spare, stored.erasures, lambda: news.news)
    challenger = None
    if settings.challenger is not None:
        challenger = ModelHolder(settings.challenger, None, stored.erasures, lambda: news.news)
    holders = [models] if challenger is None else [models, challenger]
    renewal = Renewal(news, holders, health)
    metrics = Metrics(settings.shared, ["/", *(route.path for router in ROUTERS for route in router.routes)])  # type: ignore[attr-defined]
    service = Service(
        settings, models, stored, metrics, AccessPolicy(settings), health, renewal, reload.send,
        None if not settings.events else EventLog(store, lambda: stored.moment, settings.events_days, health, metrics),
        challenger, Experiment.of(settings),
    )  # fmt: skip
    app = FastAPI(
        title="cofactor", version=__version__, summary="Recommendations that answer while people rate.",
        docs_url=None, redoc_url=None, lifespan=lambda _: _running(service, reload, keep, shared),
        openapi_url="/openapi.json", redirect_slashes=False,
    )  # fmt: skip
    app.state.service = service
    for router in (*ROUTERS, page.router):  # include_router() would cost 10 µs a request more
        app.router.routes.extend(router.routes)
    problems.handle(app)
    _describe(app)
    return Middleware(app, service)


@contextlib.asynccontextmanager
async def _running(service: Service, reload: Signal, keep: Signal, shared: Shared | None) -> AsyncIterator[None]:
    """Read the ratings, warm up, and heed what others do for as long as the worker runs."""
    to_thread.current_default_thread_limiter().total_tokens = REQUEST_THREADS
    with logs.told():
        await service.ratings.start()
        await service.renewal.follow()
        threading.Thread(target=_warm, args=(service.holders, service.health), name="warm", daemon=True).start()
        if service.events is not None:
            service.events.start()
        tasks = [
            asyncio.create_task(_heed(service.holders, service.health, reload, keep)),
            asyncio.create_task(_follow(service)),
        ]
    if shared is not None:
        shared.has_served.value = True
    yield
    for task in tasks:
        task.cancel()
    if service.events is not None:
        await asyncio.to_thread(service.events.stop)
    await service.ratings.stop()


def _warm(holders: Sequence[ModelHolder], health: Health) -> None:
    """Warm the models up, again until it works: the service is not ready before."""
    for models in holders:
        while not models.current.warmed.is_set():
            with health.watching("warm-up"):
                models.current.warm()
            if health.failing:
                time.sleep(WARM_SECONDS)
        with health.watching("warm-up of rules"):
            warm_rules(models.current)


async def _heed(holders: Sequence[ModelHolder], health: Health, reload: Signal, keep: Signal) -> None:
    """Do what other processes ask for."""
    while True:
        await asyncio.sleep(SIGNAL_SECONDS)
        if keep.received():
            await asyncio.to_thread(holders[0].keep)
        if reload.received():
            with health.watching("reload"), contextlib.suppress(ModelFileError):  # it is logged
                for models in holders:
                    await asyncio.to_thread(models.reload)


async def _follow(service: Service) -> None:
    """Take up what others write, when nobody asks for a user's list meanwhile."""
    pause = SIGNAL_SECONDS if service.ratings.store.file is not None else ASKING_SECONDS
    while True:
        await asyncio.sleep(pause)
        with service.health.watching("following the store"):
            await service.ratings.look()
        await service.renewal.follow()


def _describe(app: FastAPI) -> None:
    """Add to the API's description what all routes share: the problem document, and the bearer token."""
    original: Callable[[], dict[str, Any]] = app.openapi

    def openapi() -> dict[str, Any]:
        document = original()
        parts = document.setdefault("components", {})
        parts.setdefault("schemas", {}).update(ProblemDocument=ProblemDocument.model_json_schema())
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if method in ("put", "delete") or path.startswith("/v1/admin"):
                    operation["security"] = [{"token": []}, {}]
        return document

    app.openapi = openapi  # type: ignore[method-assign]
