"""What responses share: the JSON writer, problem documents, items and lists, as the API's description shows them."""

from collections.abc import Mapping
from typing import Any, Literal

import orjson
from fastapi.responses import Response
from pydantic import BaseModel, Field
from pydantic_core import to_jsonable_python

from cofactor.apps.web.problems import MEDIA_TYPE

__all__ = [
    "PROBLEMS",
    "ItemDetails",
    "ItemList",
    "Labelled",
    "ListedItem",
    "ProblemDocument",
    "Reason",
    "json_response",
]


def json_response(document: dict[str, Any], status: int = 200) -> Response:
    """Return a document as JSON, without building its model; NaN and infinity become null."""
    return _JsonResponse(orjson.dumps(document, default=to_jsonable_python), status)


class _JsonResponse(Response):
    """A response whose headers need no work."""

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Set the headers."""
        self.raw_headers = [(b"content-length", b"%d" % len(self.body)), (b"content-type", b"application/json")]


class ProblemDocument(BaseModel):
    """What is wrong with a request, after RFC 9457."""

    type: str = Field(examples=["tag:cofactor,2026:unknown-item"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["the model has no item with this id: GET /v1/items?search= finds items"])
    errors: list[dict[str, str]] | None = Field(None, description="Where each error is, and what it is.")


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: _problem("The request is malformed."),
    401: _problem("This needs a token."),
    403: _problem("Pages of other sites may not use this service."),
    404: _problem("Nothing is at this address, or the model has no such item."),
    405: _problem("This address does not take this method."),
    408: _problem("The body did not arrive in time."),
    413: _problem("The body is too large."),
    414: {"description": "The address is too long. From 64 KB on the server says so itself, without a document."},
    415: _problem("The body is not JSON."),
    421: _problem("The request's Host is not a name of this service."),
    422: _problem("Some values of the request are not valid."),
    503: _problem("The ratings store does not answer; the change may not have been saved: retry."),
}
"""The errors that any request may get."""


class Labelled(BaseModel):
    """Which model answered."""

    model: str = Field(description="Digest of the model that answered.", examples=["687d6a06ae111185"])
    solver: str = Field(description="The solver that trained it.", examples=["ImplicitALS"])
    exact: bool = Field(description="Whether the list is exact, not approximate; always true here.", examples=[True])


class ItemDetails(BaseModel):
    """An item."""

    item: str = Field(examples=["50"])
    title: str | None = Field(examples=["Star Wars (1977)"])
    year: int | None = Field(examples=[1977])
    genres: list[str] = Field(examples=[["Action", "Sci-Fi"]])
    rated_by: int = Field(description="How many people rated it in the training data.", examples=[583])
    new: bool = Field(description="Whether it came after the training.", examples=[False])
    hue: int = Field(description="Of a cover for it, by its vector: similar items have similar hues.", examples=[212])
    image: str | None = Field(
        description="Where its picture is, by a column image, image_url, cover or poster: a path on this site.",
        examples=["/covers/50.jpg"],
    )


class Reason(BaseModel):
    """A rating that raised or lowered an item's score."""

    item: str = Field(examples=["172"])
    title: str | None = Field(examples=["Empire Strikes Back, The (1980)"])
    rating: float = Field(examples=[5.0])
    share: float = Field(description="Its share of the score.", examples=[0.31])


class ListedItem(ItemDetails):
    """An item in a list."""

    position: int = Field(description="From 1.", examples=[1])
    score: float | None = Field(description="None in a list of popular items.", examples=[0.93])
    was: int | None = Field(None, description="Its position before the change; none where it had none.", examples=[4])
    moved: int | None = Field(None, description="How many positions it rose.", examples=[3])
    pinned: bool | None = Field(None, description="True if whoever runs the service has put it in this place.")
    reasons: list[Reason] | None = Field(None, description="The ratings that raised it most.")
    team: Literal["A", "B"] | None = Field(None, description="Of an interleaved list: whose item it is.")


class ItemList(Labelled):
    """A list of items, the best first."""

    popular: bool = Field(
        description="Whether these are just the items that most people rated, since nothing is known of the user.",
        examples=[False],
    )
    items: list[ListedItem]
    user: str | None = Field(None, description="Whom the list is for.")
    current: bool | None = Field(
        None, description="Whether it counts all stored ratings; false while the ratings store does not answer."
    )
    unknown: list[str] | None = Field(None, description="Rated items that the model does not have.")
    list_id: str | None = Field(
        None, description="By which POST /v1/events takes what became of the list; none where that is not kept."
    )
    arm: Literal["A", "B", "AB"] | None = Field(
        None, description="Which of two models the list is of; AB is of both, interleaved. None with one model."
    )
