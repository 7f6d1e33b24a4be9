"""Every error as a problem document (RFC 9457): what it is, what was wrong, and never a value that was sent."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from cofactor.apps.web.store import StoreAway
from cofactor.errors import CofactorError

__all__ = ["MEDIA_TYPE", "Problem", "body_of", "handle"]

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "2"
_MOST_ERRORS = 20


class Problem(Exception):
    """An answer other than what was asked for.

    Parameters
    ----------
    status : int
    detail : str
        For people; it names the remedy.
    kind : str
        For programs: the last part of the problem's type.
    headers : mapping of str, optional
    """

    def __init__(self, status: int, detail: str, kind: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.kind, self.headers = status, detail, kind, dict(headers or {})


def body_of(status: int, detail: str, kind: str = "", **more: object) -> bytes:
    """Return a problem document."""
    phrase = HTTPStatus(status).phrase
    kind = kind or phrase.lower().replace(" ", "-")
    return json.dumps(
        {"type": f"tag:cofactor,2026:{kind}", "title": phrase, "status": status, "detail": detail, **more}
    ).encode()


def _response(
    status: int, detail: str, kind: str = "", headers: Mapping[str, str] | None = None, **more: object
) -> Response:
    body = body_of(status, detail, kind, **more)
    return Response(body, status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def handle(app: FastAPI) -> None:
    """Let an application answer every error with a problem document."""

    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> Response:
        return _response(error.status, error.detail, error.kind, error.headers)

    @app.exception_handler(StoreAway)
    async def away(_: Request, error: StoreAway) -> Response:
        detail = "the ratings store cannot take this now, and nothing is promised to be kept: try again soon"
        return _response(503, detail, "store-away", {"retry-after": RETRY_AFTER})

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return _response(422, "some of what was sent cannot be used", "invalid", errors=_shown(error.errors()))

    @app.exception_handler(CofactorError)
    async def unusable(_: Request, error: CofactorError) -> Response:
        return _response(422, str(error)[:500], "unusable")

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        details = {404: "there is nothing here", 405: "this cannot be done here", 400: "the body is no sound JSON"}
        detail = details.get(error.status_code, "the request cannot be answered")
        return _response(error.status_code, detail, headers=error.headers)

    @app.exception_handler(Exception)
    async def failure(_: Request, error: Exception) -> Response:
        return _response(500, "something went wrong here; the log knows the request by its X-Request-ID")


def _shown(errors: Sequence[Any]) -> list[dict[str, str]]:
    """Return where each error is and what it is, without the value."""
    return [
        {"where": ".".join(str(part)[:40] for part in error["loc"])[:200], "problem": str(error["msg"])[:200]}
        for error in errors[:_MOST_ERRORS]
    ]
