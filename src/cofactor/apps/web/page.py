"""The page: the files of the folder ``page``, held in memory, so that no address can name any other file."""

import hashlib
import mimetypes
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from cofactor.apps.web import page_html
from cofactor.apps.web.people import Person, rated_by
from cofactor.apps.web.ranking import Wish, recommended
from cofactor.apps.web.service import Service

__all__ = ["FOLDER", "page"]

FOLDER = Path(__file__).parent / "page"

_TYPES = {".js": "text/javascript", ".html": "text/html", ".css": "text/css", ".svg": "image/svg+xml"}
_WITHOUT_SCRIPTS = Wish(n=20, reasons=2)
_FRESH = "no-cache"  # asked about each time, sent once

User = Annotated[str, Query(max_length=200)]


def page(service: Service, folder: Path = FOLDER) -> APIRouter:
    """Return an address for each file of a folder; ``index.html`` is at ``/``, with a list for who runs no scripts."""
    router = APIRouter(include_in_schema=False)
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.name.startswith("."):
            address = file.relative_to(folder).as_posix()
            if address == "index.html":
                _add_start(router, service, file.read_text(encoding="utf-8"))
            else:
                _add(router, f"/{address}", file)
    return router


def _add(router: APIRouter, address: str, file: Path) -> None:
    content = file.read_bytes()
    kind = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"

    async def send(request: Request) -> Response:
        return _sent(request, content, kind)

    router.add_api_route(address, send, methods=["GET", "HEAD"], name=address)


def _add_start(router: APIRouter, service: Service, template: str) -> None:
    """Add the page itself: the template with a list in it, which browsers show where they run no scripts."""

    async def send(request: Request, user: User = "") -> Response:
        served, name = service.current.served, user.strip()
        if name:
            found = await service.list_for(served, name, _WITHOUT_SCRIPTS)
        else:
            nobody = Person(None, -1, rated_by(served, -1))
            found = recommended(served, nobody, _WITHOUT_SCRIPTS)
        filled = template.replace(page_html.PLACE, page_html.lists(found, name))
        return _sent(request, filled.encode("utf-8", "replace"), "text/html")

    router.add_api_route("/", send, methods=["GET", "HEAD"], name="/")


def _sent(request: Request, content: bytes, kind: str) -> Response:
    tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    headers = {"etag": tag, "cache-control": _FRESH}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)
