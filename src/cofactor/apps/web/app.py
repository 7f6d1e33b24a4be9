"""The application: one worker's model, ratings and addresses, put together."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import FastAPI

from cofactor.apps.web import problems
from cofactor.apps.web.answers import ProblemDocument
from cofactor.apps.web.guard import Guard
from cofactor.apps.web.memory import Remembered
from cofactor.apps.web.metrics import Metrics
from cofactor.apps.web.notice import Notice
from cofactor.apps.web.operating import operating
from cofactor.apps.web.page import page
from cofactor.apps.web.questions import schemas
from cofactor.apps.web.rating import rating
from cofactor.apps.web.reading import reading
from cofactor.apps.web.security import Doorkeeper
from cofactor.apps.web.served import Current
from cofactor.apps.web.service import Service
from cofactor.apps.web.settings import ServiceSettings
from cofactor.apps.web.shortcut import Shortcut
from cofactor.apps.web.store import RatingsStore
from cofactor.errors import ModelFileError
from cofactor.version import __version__

__all__ = ["create_app"]

LOOK_SECONDS = 0.2
"""How often a worker looks whether another one was told to read the model again."""


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
    notice = Notice(settings.shared)
    current, remembered = Current(settings.model), Remembered(RatingsStore(settings.ratings))
    doorkeeper = Doorkeeper(settings)
    app = FastAPI(
        title="cofactor", version=__version__, summary="Recommendations that answer while people rate.",
        docs_url=None, redoc_url=None, lifespan=lambda _: _running(current, remembered, notice),
        openapi_url="/openapi.json", redirect_slashes=False,
    )  # fmt: skip
    service = Service(settings, current, remembered, Metrics(settings.shared), doorkeeper, notice.give)
    for part in (reading, rating, operating):
        app.include_router(part(service))
    app.include_router(page(service))
    problems.handle(app)
    _describe(app)
    return Guard(Shortcut(app, service), service)


@contextlib.asynccontextmanager
async def _running(current: Current, remembered: Remembered, notice: Notice) -> AsyncIterator[None]:
    """Read the ratings, warm up, and heed notices for as long as the worker runs."""
    await remembered.start()
    threading.Thread(target=current.served.warm, name="warm", daemon=True).start()
    heeding = asyncio.create_task(_heed(current, notice))
    yield
    heeding.cancel()
    await remembered.stop()


async def _heed(current: Current, notice: Notice) -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if notice.taken():
            with contextlib.suppress(ModelFileError):  # it is in the log
                await asyncio.to_thread(current.reload)


def _describe(app: FastAPI) -> None:
    """Add to the API's description what all addresses share: the problem document, and the bearer token."""
    original: Callable[[], dict[str, Any]] = app.openapi

    def openapi() -> dict[str, Any]:
        document = original()
        parts = document.setdefault("components", {})
        parts.setdefault("schemas", {}).update(schemas(), ProblemDocument=ProblemDocument.model_json_schema())
        parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if method in ("put", "delete") or path.startswith("/v1/admin"):
                    operation["security"] = [{"token": []}, {}]
        return document

    app.openapi = openapi  # type: ignore[method-assign]
