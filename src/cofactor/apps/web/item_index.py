"""What is known of each item, in the form of responses: id, title, year, genres, how many people rated it."""

import copy
import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cofactor.apps.item_search import ItemSearch
from cofactor.apps.web.looks import hues, images
from cofactor.data.passes import counts_of
from cofactor.model.factors import Factors, new_items_of, popularity_of

__all__ = ["ItemFilters", "ItemIndex"]

_YEAR = re.compile(r"\((\d{4})\)\s*$")
_NO_GENRES = ("", "(no genres listed)")


@dataclass(frozen=True)
class ItemFilters:
    """Which items a list may hold, by what is known of them: those that pass every filter that is set.

    Years and numbers of raters are inclusive; an item without a year passes no filter by year.
    """

    genres: tuple[str, ...] = ()
    year_from: int | None = None
    year_to: int | None = None
    raters_from: int | None = None
    raters_to: int | None = None


class ItemIndex:
    """The items of a model, in row order.

    Parameters
    ----------
    model : Factors
    """

    def __init__(self, model: Factors) -> None:
        count = model.n_items
        self.ids = [str(identifier) for identifier in model.items.ids.to_list()]
        self.rows = {identifier: row for row, identifier in enumerate(self.ids)}
        self.titles = [None] * count if model.metadata.titles is None else model.metadata.titles.to_list()
        self.genres = _genres(model)
        self.raters = counts_of(model.seen.indices, count)
        self._rank(model)
        self.years = np.array([_year(title) for title in self.titles], dtype=np.int16)
        self.new = new_items_of(model)
        self.hues, self.images = hues(model), images(model)
        self._described: list[dict[str, object] | None] = [None] * count

    def _rank(self, model: Factors) -> None:
        self.popularity = popularity_of(model, lately=True)
        self.by_popularity = np.argsort(-self.popularity, kind="stable")

    def with_popularity_of(self, model: Factors) -> "ItemIndex":
        """Return the same for a model that differs in what is chosen of late alone."""
        new = copy.copy(self)
        new._rank(model)
        return new

    @functools.cached_property
    def search(self) -> ItemSearch:
        """The search by title; an item without one is found by its id."""
        names = [title or name for title, name in zip(self.titles, self.ids, strict=True)]
        return ItemSearch(names, self.raters)

    @functools.cached_property
    def all_genres(self) -> list[str]:
        """All genres, sorted."""
        return sorted({genre for genres in self.genres for genre in genres})

    @functools.cached_property
    def _with_genre(self) -> dict[str, np.ndarray]:
        masks = {genre.casefold(): np.zeros(len(self.ids), bool) for genre in self.all_genres}
        for row, genres in enumerate(self.genres):
            for genre in genres:
                masks[genre.casefold()][row] = True
        return masks

    def describe(self, row: int) -> dict[str, object]:
        """Return what responses say of an item; it is cached, so do not change it."""
        if (known := self._described[row]) is None:
            known = self._described[row] = {
                "item": self.ids[row],
                "title": self.titles[row],
                "year": int(self.years[row]) or None,
                "genres": self.genres[row],
                "rated_by": int(self.raters[row]),
                "new": self.new is not None and bool(self.new[row]),
                "hue": int(self.hues[row]),
                "image": self.images[row],
            }
        return known

    def known(self, ids: Iterable[str]) -> list[int]:
        """Return the rows of the ids that the model has."""
        return [row for identifier in ids if (row := self.rows.get(identifier)) is not None]

    def rows_passing(self, filters: ItemFilters) -> np.ndarray | None:
        """Return the sorted rows of the items that pass the filters; None if there is no filter."""
        if filters == _NO_FILTERS:
            return None
        mask = np.ones(len(self.ids), bool)
        for genre in filters.genres:
            mask &= self._with_genre.get(genre.casefold(), False)
        for numbers, least, most in (
            (self.years, filters.year_from, filters.year_to),
            (self.raters, filters.raters_from, filters.raters_to),
        ):
            if least is not None:
                mask &= numbers >= least
            if most is not None:
                mask &= numbers <= most
        if filters.year_from is not None or filters.year_to is not None:
            mask &= self.years > 0
        return np.flatnonzero(mask)


_NO_FILTERS = ItemFilters()


def _year(title: str | None) -> int:
    found = _YEAR.search(title or "")
    return int(found[1]) if found else 0


def _genres(model: Factors) -> list[list[str]]:
    if model.metadata.genres is None:
        return [[]] * model.n_items
    split: dict[str | None, list[str]] = {None: []}
    for text in model.metadata.genres.unique().to_list():
        split[text] = [] if text is None else [genre for genre in text.split("|") if genre not in _NO_GENRES]
    return [split[text] for text in model.metadata.genres.to_list()]
