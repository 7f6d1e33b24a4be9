"""The page: the files of the folder ``page``, held in memory, so that no address can name any other file."""

import hashlib
import mimetypes
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

__all__ = ["FOLDER", "page"]

FOLDER = Path(__file__).parent / "page"

_TYPES = {".js": "text/javascript", ".html": "text/html", ".css": "text/css", ".svg": "image/svg+xml"}


def page(folder: Path = FOLDER) -> APIRouter:
    """Return an address for each file of a folder; ``index.html`` is at ``/``."""
    router = APIRouter(include_in_schema=False)
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.name.startswith("."):
            address = file.relative_to(folder).as_posix()
            _add(router, "/" if address == "index.html" else f"/{address}", file)
    return router


def _add(router: APIRouter, address: str, file: Path) -> None:
    content = file.read_bytes()
    kind = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    headers = {"etag": tag, "cache-control": "no-cache"}  # asked about each time, sent once

    async def send(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind, headers=headers)

    router.add_api_route(address, send, methods=["GET", "HEAD"], name=address)
