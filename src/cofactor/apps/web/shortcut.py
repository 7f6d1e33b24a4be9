"""The two addresses that are asked most, answered without FastAPI's machinery, which takes as long as the answer.

They do what the same addresses in `cofactor.apps.web.reading` do, by the same functions. Whatever is out of the
ordinary goes the long way, where every error has its problem document; nothing has been done by then.
"""

import re
from typing import Any

from starlette.responses import Response

from cofactor.apps.web.reading import list_of_user, list_of_visitor
from cofactor.apps.web.service import Service

__all__ = ["Shortcut"]

_USER = re.compile(r"/v1/users/([^/]+)/recommendations")
USER_ROUTE, VISITOR_ROUTE = "/v1/users/{user}/recommendations", "/v1/recommendations"


class Shortcut:
    """An ASGI application before another.

    Parameters
    ----------
    app : callable
        The ASGI application that answers everything.
    service : Service
    """

    def __init__(self, app: Any, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer at once, or let the application answer."""
        if scope["type"] == "http":
            answer, receive = await self._answer(scope, receive)
            if answer is not None:
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _answer(self, scope: Any, receive: Any) -> tuple[Response | None, Any]:
        """Return an answer, or None, and what gives the next one the body that was read."""
        if scope["method"] == "GET" and (found := _USER.fullmatch(scope["path"])):
            scope["short_route"] = USER_ROUTE
            return await self._tried(list_of_user, found[1], scope["query_string"]), receive
        if scope["method"] == "POST" and scope["path"] == VISITOR_ROUTE and not scope["query_string"]:
            scope["short_route"] = VISITOR_ROUTE
            message = await receive()  # the whole body, since the guard has waited for it

            async def again() -> Any:
                return message

            return await self._tried(list_of_visitor, message["body"]), again
        return None, receive

    async def _tried(self, work: Any, *asked: Any) -> Response | None:
        try:
            answer: Response = await work(self._service, *asked)
            return answer
        except Exception:  # it will come again, and be told from others, on the long way
            return None
