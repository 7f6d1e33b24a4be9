"""The addresses that keep ratings: what somebody rated, given and taken back."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from cofactor.apps.web.answers import PROBLEMS, Changed, KeptRatings, answer
from cofactor.apps.web.people import known_person, rated_by
from cofactor.apps.web.problems import Problem
from cofactor.apps.web.questions import STRICT, WISH, ItemPath, RatingBody, RatingsBody, UserPath, as_ratings, wish_in
from cofactor.apps.web.ranking import Wish, check
from cofactor.apps.web.served import Served
from cofactor.apps.web.service import Service
from cofactor.model.factors import needs_every_draw

__all__ = ["rating"]


def rating(service: Service) -> APIRouter:
    """Return the addresses that keep ratings. All of them may be repeated without harm."""
    router = APIRouter(prefix="/v1/users/{user}/ratings", responses=PROBLEMS, tags=["ratings"])

    @router.get("", response_model=KeptRatings, dependencies=STRICT)
    async def kept(user: UserPath) -> Response:
        """What somebody rated: here, and in the training data where they did not change it since."""
        stored = await service.remembered.of(user)
        ratings = _kept(service.current.served, user, stored)
        return answer({"user": user, "current": service.remembered.is_current, "ratings": ratings})

    _add_given(router, service)
    _add_taken_back(router, service)
    return router


def _add_given(router: APIRouter, service: Service) -> None:
    @router.put("/{item}", response_model=Changed, openapi_extra=WISH)
    async def give(user: UserPath, item: ItemPath, given: RatingBody, request: Request) -> Response:
        """Keep a rating. The answer is the new list, with how each place moved."""
        served = service.current.served
        wish = _wish(served, request)
        service.item_row(served, item)
        service.check(served, {item: given.value})
        before = dict(await service.remembered.of(user))
        await service.remembered.write(user, {item: given.value})
        return await _changed(service, served, user, [item], before, wish)

    @router.put("", response_model=Changed, openapi_extra=WISH)
    async def give_all(user: UserPath, given: RatingsBody, request: Request) -> Response:
        """Keep these ratings and none that were kept here before; those of the training data stay as they are."""
        served, ratings = service.current.served, as_ratings(given.ratings)
        wish = _wish(served, request)
        service.check(served, ratings)
        if service.unknown(served, ratings):
            raise Problem(422, "the model does not have all of these items", "unknown-item")
        before = dict(await service.remembered.of(user))
        await service.remembered.replace(user, ratings)
        return await _changed(service, served, user, sorted({*before, *ratings}), before, wish)


def _add_taken_back(router: APIRouter, service: Service) -> None:
    @router.delete("/{item}", response_model=Changed, openapi_extra=WISH)
    async def take_back(user: UserPath, item: ItemPath, request: Request) -> Response:
        """Take a rating back, one of the training data too. It counts no more from the next answer on."""
        served = service.current.served
        wish = _wish(served, request)
        service.item_row(served, item)
        before = dict(await service.remembered.of(user))
        await service.remembered.write(user, {item: None})
        return await _changed(service, served, user, [item], before, wish)

    @router.delete("", response_model=Changed, openapi_extra=WISH)
    async def take_all_back(user: UserPath, request: Request) -> Response:
        """Take all ratings back, those of the training data too."""
        served = service.current.served
        wish = _wish(served, request)
        before = dict(await service.remembered.of(user))
        trained = [served.catalogue.ids[row] for row in rated_by(served, served.user_row(user)).rows]
        await service.remembered.replace(user, {}, tuple(trained))
        return await _changed(service, served, user, sorted({*before, *trained}), before, wish)


async def _changed(
    service: Service, served: Served, user: str, items: list[str], before: Mapping[str, float | None], wish: Wish
) -> Response:
    """Answer with the items that a change was about, and the list that follows from it."""
    service.metrics.count("ratings_written", len(items))
    return answer({"user": user, "changed": items, "list": await service.list_for(served, user, wish, before)})


def _wish(served: Served, request: Request) -> Wish:
    """Return how the list is to be that follows a change; refuse what could not be answered, before anything is kept.

    Raises
    ------
    RequestValidationError, SettingError, Problem
    """
    wish = wish_in(request.scope["query_string"])
    check(served, wish)
    if needs_every_draw(served.model):
        raise Problem(422, "this model cannot place newcomers, so it takes no ratings: serve another", "no-newcomers")
    return wish


def _kept(served: Served, user: str, stored: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """Return what somebody rated, by title."""
    catalogue = served.catalogue
    person = known_person(served, user, stored)
    known = {} if person is None else dict(zip(person.rated.rows.tolist(), person.rated.given.tolist(), strict=True))
    found = [
        {
            "item": catalogue.ids[row],
            "title": catalogue.titles[row],
            "rating": value,
            "source": "stored" if catalogue.ids[row] in stored else "trained",
        }
        for row, value in known.items()
    ]
    gone = [
        {"item": item, "title": None, "rating": value, "source": "stored"}
        for item, value in stored.items()
        if value is not None and item not in catalogue.rows
    ]
    return sorted(found + gone, key=lambda entry: (str(entry["title"] or ""), str(entry["item"])))
