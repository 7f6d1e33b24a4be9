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

__all__ = ["BUSY", "FAILURE", "MAX_ERRORS", "MEDIA_TYPE", "Problem", "handle", "problem_of", "problem_response"]

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

    @property
    def phrase(self) -> str:
        """The status in words."""
        return HTTPStatus(self.status).phrase


BUSY = {"connection": "close", "retry-after": RETRY_AFTER}
"""Headers for whom there is no room now."""

FAILURE = Problem(500, "the service failed to answer: its log has the cause under this response's X-Request-ID")


def problem_response(problem: Problem) -> Response:
    """Return a problem as a response."""
    kind = problem.kind or problem.phrase.lower().replace(" ", "-")
    document = {"type": f"tag:cofactor,2026:{kind}", "title": problem.phrase, "status": problem.status}
    body = json.dumps({**document, "detail": problem.detail, **problem.more}).encode()
    return Response(body, problem.status, media_type=MEDIA_TYPE, headers=problem.headers)


def problem_of(error: Exception, method: str) -> Problem:
    """Return the problem that an error is to whoever sent the request; `FAILURE` if nobody expected it."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, StoreAway):
        detail = "the ratings store does not answer, and the change may not have been saved: retry"
        return Problem(503, detail, "store-away", {"retry-after": RETRY_AFTER})
    if isinstance(error, RequestValidationError):
        return Problem(422, _INVALID, "invalid", errors=_errors(error.errors()))
    if isinstance(error, FieldError):
        part = error.part or ("body" if method == "POST" else "query")
        errors = [{"where": f"{part}.{error.field}", "problem": str(error)[:_LONGEST_PROBLEM]}]
        return Problem(422, _INVALID, "invalid", errors=errors)
    if isinstance(error, CofactorError):
        return Problem(422, str(error)[:500], "unusable")
    if isinstance(error, HTTPException):
        detail = _DETAILS.get(error.status_code, "the request cannot be answered")
        return Problem(error.status_code, detail, headers=error.headers)
    return FAILURE


_DETAILS = {
    404: "nothing is at this address: GET /openapi.json lists what there is",
    405: "this address does not take that method: GET /openapi.json lists what it takes",
    400: "the body is not valid JSON",
}


def handle(app: FastAPI) -> None:
    """Let an application answer every error with a problem document."""

    async def answer(request: Request, error: Exception) -> Response:
        return problem_response(problem_of(error, request.method))

    for kind in (Problem, RequestValidationError, CofactorError, HTTPException, Exception):
        app.add_exception_handler(kind, answer)


def _errors(errors: Sequence[Any]) -> list[dict[str, str]]:
    """Return where each error is and what it is, without the value."""
    return [
        {"where": ".".join(str(part)[:40] for part in error["loc"])[:200], "problem": _message(error)[:200]}
        for error in errors[:MAX_ERRORS]
    ]


def _message(error: Any) -> str:
    is_parameter = error["loc"][:1] == ("query",) and error["type"] == "extra_forbidden"
    return _UNKNOWN_PARAMETER if is_parameter else str(error["msg"])
