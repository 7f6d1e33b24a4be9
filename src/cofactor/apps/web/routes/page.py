"""The page: the files of a folder, held in memory, and a plain HTML list for browsers that run no scripts."""

import hashlib
import mimetypes
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from cofactor.apps.web.profiles import NOBODY
from cofactor.apps.web.recommendations import ServiceListRequest, recommended
from cofactor.apps.web.service import service_of

__all__ = ["FILES", "FOLDER", "PLACEHOLDER", "list_html", "router"]

FOLDER = Path(__file__).parents[1] / "page"
PLACEHOLDER = "<!-- the list for browsers without scripts -->"
"""Where in ``index.html`` the plain list goes."""

_TYPES = {".js": "text/javascript", ".html": "text/html", ".css": "text/css", ".svg": "image/svg+xml"}
_PLAIN_LIST = ServiceListRequest(n=20, reasons=2)

router = APIRouter(include_in_schema=False)


@router.get("/")
async def start(request: Request, user: Annotated[str, Query(max_length=200)] = "") -> Response:
    """The page itself, with a list in it that browsers show if they run no scripts."""
    service, name = service_of(request), user.strip()
    if name:
        found = await service.list_for(service.served_for(name), name, _PLAIN_LIST)
    else:
        found = recommended(service.models.current, NOBODY, _PLAIN_LIST)
    html = _TEMPLATE.replace(PLACEHOLDER, list_html(found, name))
    return _file_response(request, html.encode("utf-8", "replace"), "text/html")


def _add(file: Path) -> None:
    """Add a route for a file of the page."""
    content, address = file.read_bytes(), f"/{file.relative_to(FOLDER).as_posix()}"
    kind = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"

    async def send(request: Request) -> Response:
        return _file_response(request, content, kind)

    FILES.add(address)
    router.add_api_route(address, send, methods=["GET"], name=address)


@router.get("/admin")
async def console(request: Request) -> Response:
    """The console: a page that is the same for everybody, and asks for a token before it asks for anything else."""
    return _file_response(request, _CONSOLE, "text/html")


_CONSOLE = (FOLDER / "admin.html").read_bytes()
_TEMPLATE = (FOLDER / "index.html").read_text(encoding="utf-8")
FILES: set[str] = {"/admin"}
"""The addresses of files, which are the same for everybody."""

for _file in sorted(FOLDER.rglob("*")):
    if _file.is_file() and _file.name != "index.html" and not _file.name.startswith("."):
        _add(_file)


def _file_response(request: Request, content: bytes, kind: str) -> Response:
    tag = f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'
    headers = {"etag": tag, "cache-control": "no-cache", "vary": "accept-encoding"}  # browsers ask whether it changed
    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    if known & {tag, "*"}:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=kind, headers=headers)


def list_html(found: Mapping[str, Any], user: str) -> str:
    """Return a form that asks for a user's list, and a list, with every text escaped.

    Parameters
    ----------
    found : mapping
        A list, as `cofactor.apps.web.recommendations.recommended` returns it.
    user : str
        Whose it is; empty for nobody's.

    Examples
    --------
    >>> item = {"position": 1, "item": "7", "title": "<b>Tea</b>", "year": None, "genres": [], "rated_by": 3, "new": 0}
    >>> "&lt;b&gt;Tea&lt;/b&gt;" in list_html({"popular": True, "items": [item]}, "")
    True
    """
    rows = "".join(_row(item) for item in found["items"])
    body = f'<ol class="rows">{rows}</ol>' if rows else '<p class="quiet">Nothing is left to suggest.</p>'
    return (
        '<form class="plain-form" action="./" method="get"><label for="plain-user">Somebody\'s list</label>'
        f'<input id="plain-user" name="user" maxlength="200" value="{escape(user)}" autocomplete="off">'
        '<button type="submit">Show</button></form>'
        f"<h2>{escape(_heading(found, user))}</h2>{body}"
    )


def _heading(found: Mapping[str, Any], user: str) -> str:
    if not user:
        return "Popular: what most people rated"
    if found["popular"]:
        return f"Nothing is known of {user} yet: what most people rated"
    return f"For {user}"


def _row(item: Mapping[str, Any]) -> str:
    title = escape(item["title"] or item["item"])
    known = [*(["new"] if item["new"] else []), *map(escape, item["genres"][:3]), _people(item["rated_by"])]
    reasons = _because(item.get("reasons") or [])
    return (
        f'<li class="row"><span class="position">{item["position"]}</span><div class="what">'
        f'<h3 class="title"><bdi>{title}</bdi></h3><p class="known">{" · ".join(known)}</p>{reasons}</div></li>'
    )


def _people(count: int) -> str:
    return "rated by 1 person" if count == 1 else f"rated by {count:,} people"


def _because(reasons: Sequence[Mapping[str, Any]]) -> str:
    if not reasons:
        return ""
    named = " and ".join(f"<bdi>{escape(reason['title'] or reason['item'])}</bdi>" for reason in reasons)
    return f'<p class="because">Because of {named}</p>'
