"""What requests share: ids, ratings, how a list should be; every value with its limits, as checked and documented."""

import dataclasses
import functools
from collections.abc import Callable, Container, Coroutine, Iterable
from typing import Annotated, Any, Literal, TypeVar

from fastapi import Depends, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from starlette.datastructures import QueryParams
from typing_extensions import TypedDict

from cofactor.apps.web.item_index import ItemFilters
from cofactor.apps.web.list_rules import ListRules
from cofactor.apps.web.recommendations import ServiceListRequest

__all__ = [
    "KNOWN_PARAMETERS_ONLY",
    "MAX_IDS",
    "MAX_N",
    "SLASH",
    "Column",
    "DirectRoute",
    "DirectRoutes",
    "ItemId",
    "ItemPath",
    "ListChoice",
    "ListQuery",
    "Rating",
    "Ratings",
    "StrictBody",
    "UserPath",
    "Value",
    "Where",
    "as_ratings",
    "list_request_in",
    "parsed_body",
    "refuse_parameters",
    "user_in",
]

MAX_RATINGS = 1000
MAX_IDS = 1000
MAX_N = 500
MAX_REASONS = 5
MAX_WHERE = 2000

_ID = {"min_length": 1, "max_length": 200, "pattern": r"^[^\x00-\x1f\x7f]+$"}

SLASH = "\x1f"
"""Stands in a path for a slash that belongs to an id, so that it does not split the path; no id can have it."""


def with_slashes(part: str) -> str:
    """Return the id that a part of a path stands for."""
    return part.replace(SLASH, "/")


ItemId = Annotated[str, Field(description="An item's id.", examples=["50"], **_ID)]
ItemPath = Annotated[str, BeforeValidator(with_slashes), Path(description="An item's id.", examples=["50"], **_ID)]
UserPath = Annotated[
    str,
    BeforeValidator(with_slashes),
    Path(description="A user's id, or a name that somebody chose.", examples=["196"], **_ID),
]
Value = Annotated[
    float,
    Field(allow_inf_nan=False, ge=-1e9, le=1e9, description="On the model's scale; see /v1/model.", examples=[5]),
]
_Year = Annotated[int, Field(ge=1, le=9999)]
_Raters = Annotated[int, Field(ge=0, le=2**53)]
_Genre = Annotated[str, Field(min_length=1, max_length=60)]
Where = Annotated[str, Field(min_length=1, max_length=MAX_WHERE, examples=["year >= 1990 and 'Comedy' in genres"])]
Column = Annotated[str, Field(min_length=1, max_length=200, examples=["genres"])]


class StrictBody(BaseModel):
    """A body: unknown names and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


@with_config(ConfigDict(extra="forbid", strict=True))
class Rating(TypedDict):
    """An item and its rating; a plain dictionary, since many come at once."""

    item: ItemId
    value: Value


Ratings = Annotated[list[Rating], Field(max_length=MAX_RATINGS)]


def as_ratings(ratings: list[Rating]) -> dict[str, float]:
    """Return ratings by item; if an item is there twice, its last rating counts."""
    return {rating["item"]: rating["value"] for rating in ratings}


class ListChoice(BaseModel):
    """Which items a list holds and in which order; in a query string, parameters that are lists may be repeated."""

    model_config = ConfigDict(extra="forbid")

    n: int = Field(10, ge=1, le=MAX_N, description="Length of the list.")
    by: Literal["mean", "optimistic", "cautious"] = Field(
        "mean", description="What to order by, where the model knows how certain its scores are."
    )
    candidates: list[ItemId] | None = Field(None, max_length=MAX_IDS, description="Choose from these items only.")
    exclude: list[ItemId] = Field([], max_length=MAX_IDS, description="Never choose these items.")
    genres: list[_Genre] = Field([], max_length=20, description="Only items that have all of these genres.")
    year_from: _Year | None = Field(None, description="Only items of this year or later.")
    year_to: _Year | None = Field(None, description="Only items of this year or earlier.")
    raters_from: _Raters | None = Field(None, description="Only items that at least this many people rated.")
    raters_to: _Raters | None = Field(None, description="Only items that at most this many people rated.")
    where: Where | None = Field(
        None,
        description="Only items for which this condition on their attributes holds; GET /v1/attributes has the columns "
        "and values. It takes =, !=, <, <=, >, >=, between, in, is null, and, or, not, and brackets.",
    )
    at_most: int | None = Field(None, ge=1, le=MAX_N, description="At most so many items of a group; see per.")
    per: Column | None = Field(None, description="The attribute that says the groups of at_most; genres if not given.")
    diversify: Column | None = Field(None, description="Choose items that differ in this attribute.")
    calibrate: Column | None = Field(
        None, description="Choose items with the mix of this attribute that the user's own have."
    )
    strength: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="Of diversify (0.1 if not given) or calibrate (0.5): from 0, the order by score, to 1."
    )
    boost: Where | None = Field(None, description="A condition as in where: such items get weight more.")
    weight: Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)] | None = Field(
        None, description="What boost adds, in units of scores.", examples=[0.05]
    )

    def list_request(self) -> ServiceListRequest:
        """Return what is asked for.

        Raises
        ------
        FieldError
            If a rule is set by half.
        """
        return ServiceListRequest(
            n=self.n,
            candidates=None if self.candidates is None else tuple(self.candidates),
            exclude=tuple(self.exclude),
            filters=ItemFilters(tuple(self.genres), self.year_from, self.year_to, self.raters_from, self.raters_to),
            by=self.by,
            rules=ListRules(**{name: getattr(self, name) for name in _RULES}),
        )


_RULES = tuple(entry.name for entry in dataclasses.fields(ListRules))


class ListQuery(ListChoice):
    """How a list should be; in a query string, parameters that are lists may be repeated."""

    reasons: int = Field(0, ge=0, le=MAX_REASONS, description="How many reasons to give for each item.")

    def list_request(self) -> ServiceListRequest:
        """Return what is asked for.

        Raises
        ------
        FieldError
            If a rule is set by half.
        """
        return dataclasses.replace(super().list_request(), reasons=self.reasons)


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request alone, and reads it in one step by the functions below.

    FastAPI reads and checks each parameter by itself, which takes longer than to find a list. The dependencies of such
    a route are not run: they only tell the API's description what the endpoint reads. The middleware calls the endpoint
    itself (`DirectRoutes`), since FastAPI's way to it takes as long again.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler


class DirectRoutes:
    """The direct routes among some, found without asking one after the other.

    Parameters
    ----------
    routes : iterable of starlette routes
    """

    def __init__(self, routes: Iterable[Any]) -> None:
        self._by_address: dict[tuple[str, str], DirectRoute] = {}
        self._patterns: list[DirectRoute] = []
        for route in routes:
            if isinstance(route, DirectRoute):
                if "{" in route.path:
                    self._patterns.append(route)
                else:
                    self._by_address.update({(method, route.path): route for method in route.methods or ()})

    def find(self, scope: Any) -> DirectRoute | None:
        """Return the route of a request, and note the parts of the path in its scope; None for any other route."""
        method, path = scope["method"], scope["path"]
        for route in self._patterns:
            found = route.path_regex.match(path) if method in (route.methods or ()) else None
            if found is not None:
                scope["path_params"] = found.groupdict()
                return route
        return self._by_address.get((method, path))


_SHORT_QUERY = 200  # bytes of a query string that is worth caching
_LISTS = {"candidates", "exclude", "genres"}


def list_request_in(request: Request) -> ServiceListRequest:
    """Read from the query string how a list should be.

    Raises
    ------
    RequestValidationError
        If a parameter is unknown or its value is not valid.
    """
    query = request.scope["query_string"]
    return _cached_list_request(query) if len(query) < _SHORT_QUERY else _list_request(query)


def _list_request(query: bytes) -> ServiceListRequest:
    given = QueryParams(query)
    values = {name: given.getlist(name) if name in _LISTS else given[name] for name in given}
    try:
        return ListQuery.model_validate(values).list_request()
    except ValidationError as error:
        raise _refused("query", error) from None


_cached_list_request = functools.lru_cache(maxsize=1000)(_list_request)

_USER_ID: TypeAdapter[str] = TypeAdapter(Annotated[str, BeforeValidator(with_slashes), Field(**_ID)])


def user_in(request: Request) -> str:
    """Read a user's id from the path.

    Raises
    ------
    RequestValidationError
        If it cannot be one.
    """
    try:
        return _USER_ID.validate_python(request.path_params["user"])
    except ValidationError as error:
        raise _refused("path", error, "user") from None


Body = TypeVar("Body", bound=BaseModel)


async def parsed_body(request: Request, model: type[Body]) -> Body:
    """Read a body, in one step from bytes to checked values.

    Raises
    ------
    RequestValidationError
        If it is not valid.
    """
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise _refused("body", error) from None


def _refused(part: str, error: ValidationError, *name: str) -> RequestValidationError:
    """Return an error that says in which part of the request it is."""
    found = error.errors(include_input=False, include_url=False)
    return RequestValidationError([{**one, "loc": (part, *name, *one["loc"])} for one in found])


def refuse_parameters(request: Request, known: Container[str] = ()) -> None:
    """Refuse a query string with parameters other than those known: a misspelt one would be ignored unnoticed.

    Raises
    ------
    RequestValidationError
    """
    if not request.scope["query_string"]:
        return
    unknown = [name for name in request.query_params if name not in known]
    if unknown:
        raise RequestValidationError(
            [{"loc": ("query", name), "msg": "unknown parameter", "type": "extra_forbidden"} for name in unknown]
        )


async def _known_parameters_only(request: Request) -> None:
    refuse_parameters(request, {known.alias for known in request.scope["route"].dependant.query_params})


KNOWN_PARAMETERS_ONLY = [Depends(_known_parameters_only)]
"""Dependencies of routes whose query FastAPI reads; `ListQuery` refuses unknown parameters itself."""


def documents_list_query(query: Annotated[ListQuery, Query()]) -> None:
    """Say in the API's description that a `DirectRoute` reads `list_request_in`."""


def documents_user(user: UserPath) -> None:
    """Say in the API's description that a `DirectRoute` reads `user_in`."""
