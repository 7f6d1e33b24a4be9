"""Events: what became of a list that was served."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, with_config
from typing_extensions import TypedDict

from cofactor.apps.web.problems import MAX_ERRORS, RETRY_AFTER, Problem
from cofactor.apps.web.requests import DirectRoute, ItemId, StrictBody, parsed_body, refuse_parameters
from cofactor.apps.web.responses import PROBLEMS, json_response
from cofactor.apps.web.service import service_of

__all__ = ["router"]

MAX_EVENTS = 1000

router = APIRouter(prefix="/v1", responses=PROBLEMS, tags=["events"], route_class=DirectRoute)


@with_config(ConfigDict(extra="forbid", strict=True))
class _RequiredParts(TypedDict):
    list_id: Annotated[str, Field(min_length=1, max_length=40, description="As the list says.")]
    kind: Annotated[
        Literal["shown", "opened", "chosen", "dismissed"],
        Field(description="What happened: the item was on somebody's screen, looked at, taken, or waved off."),
    ]


class ListEvent(_RequiredParts, total=False):
    """What somebody did with an item of a list; without an item, that the whole list was shown."""

    item: ItemId


class Events(StrictBody):
    """Events in any order. Sending one again changes nothing: of a list, an item and a kind, one is kept."""

    events: Annotated[list[ListEvent], Field(min_length=1, max_length=MAX_EVENTS)]


class Accepted(BaseModel):
    """The events were taken, and are stored within seconds."""

    accepted: int = Field(description="How many events, those that were known already too.", examples=[3])


def _documents_events(body: Events) -> None:
    """Say in the API's description what `take` reads."""


@router.post(
    "/events",
    response_model=Accepted,
    status_code=202,
    dependencies=[Depends(_documents_events)],
)
async def take(request: Request) -> Response:
    """Take what became of lists that were served here: shown, opened, chosen, dismissed. All of it, or nothing.

    Whoever has a list's id may tell. Items that were not in their list are left out later.
    """
    refuse_parameters(request)
    log = service_of(request).events
    if log is None:
        raise Problem(404, "this service keeps no events: start it with --events", "no-events")
    events = (await parsed_body(request, Events)).events
    if not log.is_open:
        detail = "the store does not answer, and there is no more room for events in memory: retry"
        raise Problem(503, detail, "store-away", {"retry-after": RETRY_AFTER})
    known = {one: log.knows(one) for one in {event["list_id"] for event in events}}
    wrong = [
        (place, "list_id", "unknown list") for place, event in enumerate(events) if not known[event["list_id"]]
    ] or [
        (place, "item", "needed for all kinds but shown")
        for place, event in enumerate(events)
        if event["kind"] != "shown" and "item" not in event
    ]
    if wrong:
        detail = "some events cannot be taken, so none was: 'errors' lists them; lists are known for --events-days"
        errors = [{"where": f"body.events.{place}.{name}", "problem": what} for place, name, what in wrong]
        raise Problem(
            422, detail, "unknown-list" if wrong[0][1] == "list_id" else "invalid", errors=errors[:MAX_ERRORS]
        )
    log.take([(event["list_id"], event.get("item", ""), event["kind"]) for event in events])
    return json_response({"accepted": len(events)}, 202)
