"""What is answered: the documents of the API, for its description and for whoever reads it."""

from typing import Any, Literal

from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from cofactor.apps.web.problems import MEDIA_TYPE

__all__ = [
    "PROBLEMS",
    "Card",
    "Changed",
    "Explanation",
    "Health",
    "ItemDetails",
    "ItemList",
    "ItemMap",
    "KeptRatings",
    "ProblemDocument",
    "Readiness",
    "Reloaded",
    "SimilarItems",
    "answer",
]


def answer(document: dict[str, Any]) -> Response:
    """Return a document as JSON, without a detour through models of it; a figure that is no number is null."""
    return Response(to_json(document, inf_nan_mode="null"), media_type="application/json")


class ProblemDocument(BaseModel):
    """What went wrong, after RFC 9457."""

    type: str = Field(examples=["tag:cofactor,2026:unknown-item"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["the model has no item of that id"])
    errors: list[dict[str, str]] | None = Field(None, description="Where each error is, and what it is.")


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: _problem("The request cannot be read."),
    401: _problem("This needs a token."),
    403: _problem("Another site's page may not use this service."),
    404: _problem("There is no such thing."),
    405: _problem("This cannot be done here."),
    408: _problem("The body was not here in time."),
    413: _problem("The body is too large."),
    414: {"description": "The address is too long. From 64 KB on the server says so itself, without a document."},
    415: _problem("The body is not JSON."),
    421: _problem("The service does not go by that name."),
    422: _problem("Some of what was sent cannot be used."),
    503: _problem("The ratings store is away; try again soon."),
}
"""What any request may end in, as the API's description says it."""


class _Labelled(BaseModel):
    model: str = Field(description="Digest of the model that answered.", examples=["687d6a06ae111185"])
    solver: str = Field(description="What learnt it.", examples=["ImplicitALS"])
    exact: bool = Field(description="Whether the list is the exact one; always, here.", examples=[True])


class ItemDetails(BaseModel):
    """An item."""

    item: str = Field(examples=["50"])
    title: str | None = Field(examples=["Star Wars (1977)"])
    year: int | None = Field(examples=[1977])
    genres: list[str] = Field(examples=[["Action", "Sci-Fi"]])
    rated_by: int = Field(description="How many people rated it in the training data.", examples=[583])


class Reason(BaseModel):
    """A rating that raised a suggestion's score, or lowered it."""

    item: str = Field(examples=["172"])
    title: str | None = Field(examples=["Empire Strikes Back, The (1980)"])
    rating: float = Field(examples=[5.0])
    share: float = Field(description="Its share of the score.", examples=[0.31])


class ListedItem(ItemDetails):
    """An item in a list."""

    position: int = Field(description="From 1.", examples=[1])
    score: float | None = Field(description="None in a list of popular items.", examples=[0.93])
    was: int | None = Field(None, description="Its position before; none where it had none.", examples=[4])
    moved: int | None = Field(None, description="How many places it rose.", examples=[3])
    reasons: list[Reason] | None = Field(None, description="What raised it most.")


class ItemList(_Labelled):
    """A list of items, the best first."""

    popular: bool = Field(description="Whether these are merely the items that most people rated.", examples=[False])
    items: list[ListedItem]
    user: str | None = Field(None, description="Whom it is for.")
    current: bool | None = Field(None, description="Whether it counts all that is stored; not while the store is away.")
    unknown: list[str] | None = Field(None, description="Rated items that the model does not have.")


class SimilarItems(_Labelled):
    """Items like one item, the most alike first; the score is the cosine."""

    item: str = Field(examples=["50"])
    title: str | None = Field(examples=["Star Wars (1977)"])
    items: list[ListedItem]


class ReasonWithPlace(Reason):
    """A rating's share of a score, and what it does to the place."""

    position_without: int | None = Field(
        description="Where the item would stand without this rating; worked out for the strongest ones.", examples=[7]
    )


class Explanation(_Labelled, ItemDetails):
    """Why an item stands where it does. The shares and the rest add up to the score."""

    popular: bool = Field(description="Whether nothing is known to explain it by.")
    position: int | None = Field(description="In the whole list; none where it is rated already.", examples=[1])
    score: float | None = Field(examples=[0.93])
    rest: float | None = Field(description="What is not due to a rating.", examples=[0.02])
    reasons: list[ReasonWithPlace]


class KeptRating(BaseModel):
    """A rating, and where it is from."""

    item: str = Field(examples=["50"])
    title: str | None = Field(examples=["Star Wars (1977)"])
    rating: float = Field(examples=[5.0])
    source: Literal["stored", "trained"] = Field(description="Given here, or in the training data.")


class KeptRatings(BaseModel):
    """What somebody rated."""

    user: str = Field(examples=["196"])
    current: bool = Field(description="Whether that is all; not while the store is away.")
    ratings: list[KeptRating]


class Changed(BaseModel):
    """What a change of ratings led to: the new list, with how each place moved."""

    user: str = Field(examples=["196"])
    changed: list[str] = Field(description="The items whose ratings were given or taken back.", examples=[["50"]])
    list: ItemList


class MapItem(ItemDetails):
    """An item's place on the map."""

    x: float = Field(examples=[-0.25])
    y: float = Field(examples=[0.5])


class ItemMap(_Labelled):
    """Two directions of the item vectors, each within -1 and 1."""

    items: list[MapItem]


class RatingScale(BaseModel):
    """The ratings that may be given."""

    low: float = Field(examples=[1.0])
    high: float = Field(examples=[5.0])
    step: float = Field(examples=[1.0])
    liked_from: float | None = Field(
        description="Where the model knows likes alone: from which rating on one is a like. One below keeps the item "
        "out of the lists and says nothing else.",
        examples=[4.0],
    )


class Card(_Labelled):
    """What the model is."""

    model_config = ConfigDict(protected_namespaces=())

    goal: Literal["rating", "ranking"] = Field(description="Whether scores are predicted ratings or mere order.")
    rank: int
    users: int
    items: int
    ratings: int
    data: str
    settings: dict[str, Any]
    metrics: dict[str, float]
    trained_at: str | None
    trained_by: str | None
    scale: RatingScale
    has_spread: bool = Field(description="Whether lists may be cautious or optimistic.")
    genres: list[str]
    years: dict[str, int] | None
    raters: list[int] = Field(
        description="How many people rated the item that 0, 5, 10, … 100 % of all items do not surpass: what "
        "raters_from and raters_to may usefully be.",
        examples=[[1, 1, 2, 3, 4, 5, 7, 10, 13, 18, 27, 38, 51, 69, 92, 121, 150, 184, 232, 300, 583]],
    )
    needs_token: bool = Field(description="Whether who stores ratings needs a token.")


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Readiness(BaseModel):
    """What the service can do just now. It is ready without its store too: then it reads and does not write."""

    ready: bool
    model: str
    store: Literal["current", "away"]
    writes: bool
    away_seconds: float | None = Field(None, description="For how long the store has been away.")


class Reloaded(BaseModel):
    """The model that is served from now on."""

    model: str
    solver: str
    changed: bool = Field(description="Whether it is another than before.")
