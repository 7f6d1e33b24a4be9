"""Every error as a problem document (RFC 9457): its kind and what to do about it.

No value that was sent is in it, but of a condition the part that cannot be read.
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from cofactor.apps.web.list_rules import FieldError
from cofactor.apps.web.store import StoreAway
from cofactor.errors import CofactorError

__all__ = ["FAILURE", "MAX_ERRORS", "MEDIA_TYPE", "Problem", "handle", "problem_response"]

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = "2"
MAX_ERRORS = 20
_INVALID = "some values of the request are not valid: 'errors' lists them"
_LONGEST_PROBLEM = 1000
_UNKNOWN_PARAMETER = "unknown parameter"


class Problem(Exception):
    """A request that cannot be answered as asked.

    Parameters
    ----------
    status : int
    detail : str
        For people: what is wrong, and what to do.
    kind : str
        For programs: the last part of the problem's type.
    headers : mapping of str, optional
    more : object
        Further members of the document.
    """

    def __init__(
        self, status: int, detail: str, kind: str = "", headers: Mapping[str, str] | None = None, **more: object
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.kind, self.headers = status, detail, kind, dict(headers or {})
        self.more = more


FAILURE = Problem(500, "the service failed to answer: its log has the cause under this response's X-Request-ID")


def problem_response(problem: Problem) -> Response:
    """Return a problem as a response."""
    phrase = HTTPStatus(problem.status).phrase
    kind = problem.kind or phrase.lower().replace(" ", "-")
    document = {"type": f"tag:cofactor,2026:{kind}", "title": phrase, "status": problem.status}
    body = json.dumps({**document, "detail": problem.detail, **problem.more}).encode()
    return Response(body, problem.status, media_type=MEDIA_TYPE, headers=problem.headers)


def handle(app: FastAPI) -> None:
    """Let an application answer every error with a problem document."""

    @app.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> Response:
        return problem_response(error)

    @app.exception_handler(StoreAway)
    async def away(_: Request, error: StoreAway) -> Response:
        detail = "the ratings store does not answer, and the change may not have been saved: retry"
        return problem_response(Problem(503, detail, "store-away", {"retry-after": RETRY_AFTER}))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        return problem_response(Problem(422, _INVALID, "invalid", errors=_errors(error.errors())))

    @app.exception_handler(FieldError)
    async def unfit(request: Request, error: FieldError) -> Response:
        part = error.part or ("body" if request.method == "POST" else "query")
        errors = [{"where": f"{part}.{error.field}", "problem": str(error)[:_LONGEST_PROBLEM]}]
        return problem_response(Problem(422, _INVALID, "invalid", errors=errors))

    @app.exception_handler(CofactorError)
    async def unusable(_: Request, error: CofactorError) -> Response:
        return problem_response(Problem(422, str(error)[:500], "unusable"))

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        details = {
            404: "nothing is at this address: GET /openapi.json lists what there is",
            405: "this address does not take that method: GET /openapi.json lists what it takes",
            400: "the body is not valid JSON",
        }
        detail = details.get(error.status_code, "the request cannot be answered")
        return problem_response(Problem(error.status_code, detail, headers=error.headers))

    @app.exception_handler(Exception)
    async def failure(_: Request, error: Exception) -> Response:
        return problem_response(FAILURE)


def _errors(errors: Sequence[Any]) -> list[dict[str, str]]:
    """Return where each error is and what it is, without the value."""
    return [
        {"where": ".".join(str(part)[:40] for part in error["loc"])[:200], "problem": _message(error)[:200]}
        for error in errors[:MAX_ERRORS]
    ]


def _message(error: Any) -> str:
    is_parameter = error["loc"][:1] == ("query",) and error["type"] == "extra_forbidden"
    return _UNKNOWN_PARAMETER if is_parameter else str(error["msg"])
