"""What may be asked: every value with its limits, as it is checked and documented."""

import contextlib
import functools
import re
from collections.abc import Container, Iterator
from typing import Annotated, Any, Literal

from fastapi import Depends, Path, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, with_config
from starlette.datastructures import QueryParams
from typing_extensions import TypedDict

from cofactor.apps.web.catalogue import Filters
from cofactor.apps.web.ranking import Wish

__all__ = [
    "SLASH",
    "STRICT",
    "USER_AND_WISH",
    "VISITOR_BODY",
    "WISH",
    "Item",
    "ItemPath",
    "RatingBody",
    "RatingsBody",
    "UserPath",
    "VisitorExplanation",
    "VisitorList",
    "as_ratings",
    "checked_user",
    "schemas",
    "visitor_list_in",
    "wish_in",
]

MOST_RATINGS = 1000
MOST_IDS = 1000
LONGEST_LIST = 500
MOST_REASONS = 5

_ID = {"min_length": 1, "max_length": 200, "pattern": r"^[^\x00-\x1f\x7f]+$"}

Item = Annotated[str, Field(description="An item's id.", examples=["50"], **_ID)]

SLASH = "\x1f"
"""Stands in a path for a slash that belongs to an id, so that it does not part the path; no id has it otherwise."""


def with_slashes(part: str) -> str:
    """Return the id that stands in a path."""
    return part.replace(SLASH, "/")


ItemPath = Annotated[str, BeforeValidator(with_slashes), Path(description="An item's id.", examples=["50"], **_ID)]
UserPath = Annotated[
    str,
    BeforeValidator(with_slashes),
    Path(description="A user's id, or a name that somebody chose.", examples=["196"], **_ID),
]
By = Literal["mean", "optimistic", "cautious"]
Year = Annotated[int, Field(ge=1, le=9999)]
Raters = Annotated[int, Field(ge=0, le=2**53)]
Genre = Annotated[str, Field(min_length=1, max_length=60)]


Value = Annotated[
    float,
    Field(allow_inf_nan=False, ge=-1e9, le=1e9, description="On the model's scale; see /v1/model.", examples=[5]),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


@with_config(ConfigDict(extra="forbid", strict=True))
class Rating(TypedDict):
    """An item and what somebody gives it; a plain dictionary, since many come at once."""

    item: Item
    value: Value


class RatingBody(_Strict):
    """What somebody gives an item."""

    value: Value


Ratings = Annotated[list[Rating], Field(max_length=MOST_RATINGS)]


class RatingsBody(_Strict):
    """All that somebody rated; of an item that stands twice the last rating counts."""

    ratings: Ratings


class Wanted(_Strict):
    """How a list is to be; in a query the names of lists may be repeated."""

    n: int = Field(10, ge=1, le=LONGEST_LIST, description="Length of the list.")
    by: By = Field("mean", description="What to order by, where the model knows how sure it is.")
    reasons: int = Field(0, ge=0, le=MOST_REASONS, description="How many reasons to give for each item.")
    candidates: list[Item] | None = Field(None, max_length=MOST_IDS, description="Choose from these items only.")
    exclude: list[Item] = Field([], max_length=MOST_IDS, description="Never choose these items.")
    genres: list[Genre] = Field([], max_length=20, description="Only items of all of these genres.")
    year_from: Year | None = Field(None, description="Only items of this year or later.")
    year_to: Year | None = Field(None, description="Only items of this year or earlier.")
    raters_from: Raters | None = Field(None, description="Only items that so many people rated, or more.")
    raters_to: Raters | None = Field(None, description="Only items that so many people rated, or fewer.")

    def wish(self) -> Wish:
        """Return how the list is to be."""
        filters = Filters(
            None if self.candidates is None else tuple(self.candidates),
            tuple(self.exclude),
            tuple(self.genres),
            self.year_from,
            self.year_to,
            self.raters_from,
            self.raters_to,
        )
        return Wish(self.n, filters, self.by, self.reasons)


class VisitorList(Wanted):
    """Ratings of somebody who is not known, and how the list is to be. Nothing of it is stored."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"ratings": [{"item": "50", "value": 5}, {"item": "172", "value": 4}], "n": 10, "reasons": 2}]
        },
    )

    ratings: Ratings = Field(description="Of an item that stands twice the last rating counts.")
    before: Ratings | None = Field(None, description="Ratings as they were before, to be told how each place moved.")


class VisitorExplanation(_Strict):
    """Ratings of somebody who is not known, and the item that they ask about."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"ratings": [{"item": "50", "value": 5}], "item": "181"}]},
    )

    ratings: Ratings
    item: Item


def as_ratings(ratings: list[Rating]) -> dict[str, float]:
    """Return ratings by item; of an item that stands twice the last rating counts."""
    return {rating["item"]: rating["value"] for rating in ratings}


_LISTS = {"candidates", "exclude", "genres"}
_SHORT = 200  # bytes of a query that is worth remembering


def wish_in(query: bytes) -> Wish:
    """Read how a list is to be from a query.

    FastAPI could do so, but looks at each of ten parameters of each request for longer than it takes to find the list.

    Raises
    ------
    RequestValidationError
        If the query asks for something else.
    """
    return _remembered(query) if len(query) < _SHORT else _read(query)


def _read(query: bytes) -> Wish:
    given = QueryParams(query)
    _refuse_others(given, Wanted.model_fields)
    values = {name: given.getlist(name) if name in _LISTS else given[name] for name in given}
    with _saying("query"):
        return Wanted.model_validate(values, strict=False).wish()


async def _refuse_unknown(request: Request) -> None:
    """Refuse a query with a name that its address does not know."""
    _refuse_others(request.query_params, {known.alias for known in request.scope["route"].dependant.query_params})


def _refuse_others(given: QueryParams, known: Container[str]) -> None:
    """Refuse a query with other names than those known: misspelt, one would change nothing unnoticed.

    Raises
    ------
    RequestValidationError
        Naming them.
    """
    unknown = [name for name in given if name not in known]
    if unknown:
        raise RequestValidationError([{"loc": ("query", name), "msg": "it is not known here"} for name in unknown])


STRICT = [Depends(_refuse_unknown)]
"""For addresses whose query FastAPI reads; `wish_in` is strict itself."""

_remembered = functools.lru_cache(maxsize=1000)(_read)


def checked_user(user: str) -> str:
    """Return a user's id out of a path, checked as `UserPath` does it, but at once.

    Raises
    ------
    RequestValidationError
        If it cannot be a user's id.
    """
    user = with_slashes(user)
    if _USER.fullmatch(user) is None:
        raise RequestValidationError([{"loc": ("path", "user"), "msg": "an id has 1 to 200 printable characters"}])
    return user


_USER = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


def visitor_list_in(body: bytes) -> VisitorList:
    """Read what a visitor asks for, in one step from bytes to checked values.

    Raises
    ------
    RequestValidationError
        If the body asks for something else.
    """
    with _saying("body"):
        return VisitorList.model_validate_json(body)


@contextlib.contextmanager
def _saying(part: str) -> Iterator[None]:
    """Let errors say in which part of the request they are."""
    try:
        yield
    except ValidationError as error:
        found = [{"loc": (part, *one["loc"]), "msg": one["msg"]} for one in error.errors(include_input=False)]
        raise RequestValidationError(found) from None


def _parameters() -> list[dict[str, Any]]:
    """Describe for OpenAPI what `wish_in` reads; in a query there is no null, what is not wanted is left out."""
    found = []
    for name, part in Wanted.model_json_schema()["properties"].items():
        about = part.pop("description")
        kinds = [kind for kind in part.pop("anyOf", []) if kind != {"type": "null"}]
        schema = {key: value for key, value in {**part, **(kinds[0] if kinds else {})}.items() if value is not None}
        found.append({"name": name, "in": "query", "required": False, "description": about, "schema": schema})
    return found


def _of_user() -> dict[str, Any]:
    schema = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": _ID["pattern"], "examples": ["196"]}
    about = "A user's id, or a name that somebody chose."
    return {"name": "user", "in": "path", "required": True, "description": about, "schema": schema}


WISH = {"parameters": _parameters()}
"""What addresses that take a wish in their query say of it in the API's description."""

USER_AND_WISH = {"parameters": [_of_user(), *_parameters()]}

VISITOR_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/VisitorList"}}},
    }
}
"""Where `VisitorList` stands in the API's description; its parts are `schemas`."""


def schemas() -> dict[str, Any]:
    """Return the parts of the API's description that FastAPI does not know of."""
    schema = VisitorList.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), "VisitorList": schema}
