"""What may be asked: every value with its limits, as FastAPI checks and documents it."""

from typing import Annotated, Literal

from fastapi import Path, Query
from pydantic import BaseModel, ConfigDict, Field

from cofactor.apps.web.catalogue import Filters
from cofactor.apps.web.ranking import Wish

__all__ = [
    "Item",
    "ItemPath",
    "RatingBody",
    "RatingsBody",
    "UserPath",
    "VisitorExplanation",
    "VisitorList",
    "as_ratings",
    "wish_of_query",
]

MOST_RATINGS = 1000
MOST_IDS = 1000
LONGEST_LIST = 500
MOST_REASONS = 5

_ID = {"min_length": 1, "max_length": 200, "pattern": r"^[^\x00-\x1f\x7f]+$"}

Item = Annotated[str, Field(description="An item's id.", examples=["50"], **_ID)]
ItemPath = Annotated[str, Path(description="An item's id.", examples=["50"], **_ID)]
UserPath = Annotated[
    str,
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


class Rating(_Strict):
    """An item and what somebody gives it."""

    item: Item
    value: Value


class RatingBody(_Strict):
    """What somebody gives an item."""

    value: Value


Ratings = Annotated[list[Rating], Field(max_length=MOST_RATINGS)]


class RatingsBody(_Strict):
    """All that somebody rated; of an item that stands twice the last rating counts."""

    ratings: Ratings


class VisitorList(_Strict):
    """Ratings of somebody who is not known, and how the list is to be. Nothing of it is stored."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"ratings": [{"item": "50", "value": 5}, {"item": "172", "value": 4}], "n": 10, "reasons": 2}]
        },
    )

    ratings: Ratings = Field(description="Of an item that stands twice the last rating counts.")
    before: Ratings | None = Field(None, description="Ratings as they were before, to be told how each place moved.")
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
    return {rating.item: rating.value for rating in ratings}


def wish_of_query(
    n: Annotated[int, Query(ge=1, le=LONGEST_LIST, description="Length of the list.")] = 10,
    by: Annotated[By, Query(description="What to order by, where the model knows how sure it is.")] = "mean",
    reasons: Annotated[int, Query(ge=0, le=MOST_REASONS, description="How many reasons to give for each item.")] = 0,
    candidate: Annotated[list[Item] | None, Query(max_length=MOST_IDS, description="Choose from these only.")] = None,
    exclude: Annotated[list[Item] | None, Query(max_length=MOST_IDS, description="Never choose these items.")] = None,
    genre: Annotated[list[Genre] | None, Query(max_length=20, description="Only items of all of these.")] = None,
    year_from: Annotated[Year | None, Query(description="Only items of this year or later.")] = None,
    year_to: Annotated[Year | None, Query(description="Only items of this year or earlier.")] = None,
    raters_from: Annotated[Raters | None, Query(description="Only items that so many people rated, or more.")] = None,
    raters_to: Annotated[Raters | None, Query(description="Only items that so many people rated, or fewer.")] = None,
) -> Wish:
    """Read how a list is to be from a query."""
    filters = Filters(
        None if candidate is None else tuple(candidate),
        tuple(exclude or ()),
        tuple(genre or ()),
        year_from,
        year_to,
        raters_from,
        raters_to,
    )
    return Wish(n, filters, by, reasons)
