"""What is known of each item, laid out for answers: id, title, year, genres, how many rated it."""

import functools
import re
from dataclasses import dataclass

import numpy as np

from cofactor.apps.item_search import ItemSearch
from cofactor.model.factors import Factors

__all__ = ["Catalogue", "Filters"]

_YEAR = re.compile(r"\((\d{4})\)\s*$")
_NO_GENRES = ("", "(no genres listed)")


@dataclass(frozen=True)
class Filters:
    """Which items a list may hold: those that pass every one that is set.

    ``candidates`` and ``exclude`` are ids; unknown ones name nothing. Years and numbers of raters are inclusive; an
    item without a year passes none.
    """

    candidates: tuple[str, ...] | None = None
    exclude: tuple[str, ...] = ()
    genres: tuple[str, ...] = ()
    year_from: int | None = None
    year_to: int | None = None
    raters_from: int | None = None
    raters_to: int | None = None


class Catalogue:
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
        self.raters = np.bincount(model.seen.indices, minlength=count)
        self.by_popularity = np.argsort(-self.raters, kind="stable")
        self.years = np.array([_year(title) for title in self.titles], dtype=np.int16)
        self._described: list[dict[str, object] | None] = [None] * count

    @functools.cached_property
    def search(self) -> ItemSearch:
        """The index of titles, ids standing for missing ones."""
        names = [title or name for title, name in zip(self.titles, self.ids, strict=True)]
        return ItemSearch(names, self.raters)

    @functools.cached_property
    def all_genres(self) -> list[str]:
        """The genres that there are."""
        return sorted({genre for genres in self.genres for genre in genres})

    @functools.cached_property
    def _with_genre(self) -> dict[str, np.ndarray]:
        masks = {genre.casefold(): np.zeros(len(self.ids), bool) for genre in self.all_genres}
        for row, genres in enumerate(self.genres):
            for genre in genres:
                masks[genre.casefold()][row] = True
        return masks

    def describe(self, row: int) -> dict[str, object]:
        """Return what an answer says of an item; it is made once, and not to be changed."""
        if (known := self._described[row]) is None:
            known = self._described[row] = {
                "item": self.ids[row],
                "title": self.titles[row],
                "year": int(self.years[row]) or None,
                "genres": self.genres[row],
                "rated_by": int(self.raters[row]),
            }
        return known

    def known(self, ids: tuple[str, ...]) -> list[int]:
        """Return the rows of those ids that there are."""
        return [row for identifier in ids if (row := self.rows.get(identifier)) is not None]

    def allowed(self, filters: Filters) -> np.ndarray | None:
        """Return the sorted rows that pass the filters; None where all do."""
        if filters == _ALL:
            return None
        mask = np.full(len(self.ids), filters.candidates is None)
        if filters.candidates is not None:
            mask[self.known(filters.candidates)] = True
        mask[self.known(filters.exclude)] = False
        for genre in filters.genres:
            mask &= self._with_genre.get(genre.casefold(), False)
        for numbers, least, most in (
            (self.years, filters.year_from, filters.year_to),
            (self.raters, filters.raters_from, filters.raters_to),
        ):
            if least is not None or most is not None:
                mask &= (numbers >= (1 if least is None else least)) & (numbers <= (2**62 if most is None else most))
                if numbers is self.years:
                    mask &= self.years > 0
        return np.flatnonzero(mask)


_ALL = Filters()


def _year(title: str | None) -> int:
    found = _YEAR.search(title or "")
    return int(found[1]) if found else 0


def _genres(model: Factors) -> list[list[str]]:
    if model.metadata.genres is None:
        return [[]] * model.n_items
    apart: dict[str | None, list[str]] = {None: []}
    for text in model.metadata.genres.unique().to_list():
        apart[text] = [] if text is None else [genre for genre in text.split("|") if genre not in _NO_GENRES]
    return [apart[text] for text in model.metadata.genres.to_list()]
