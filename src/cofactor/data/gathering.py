"""Hold the columns of a table that is read part by part, in a few bytes a row."""

import polars as pl

from cofactor.errors import DataError

__all__ = ["Gathered", "IdParts"]

_MOST_DIGITS = 18
_SAMPLE = 100  # ids that are looked at before all of them are


class Gathered:
    """The valid rows of a table, added part by part."""

    def __init__(self) -> None:
        self._ids = {"user": IdParts(), "item": IdParts()}
        self._others: dict[str, list[pl.Series]] = {}

    def add(self, frame: pl.DataFrame) -> None:
        """Add rows: user, item and, where there are some, value and time."""
        for column in frame:
            if column.name in self._ids:
                self._ids[column.name].add(column)
            else:
                self._others.setdefault(column.name, []).append(column)

    @property
    def spelled(self) -> frozenset[str]:
        """The columns of ids that are texts, held as the integers they spell."""
        return frozenset(role for role, parts in self._ids.items() if parts.are_spelled)

    def together(self, place: object, remedy: str) -> pl.DataFrame:
        """Join the parts, one column after the other; times with fractions in all if in one.

        Raises
        ------
        DataError
            With the remedy, if ids below 0 and of 2^63 or more are in one column.
        """
        try:
            whole = [parts.together().alias(role) for role, parts in self._ids.items()]
        except pl.exceptions.PolarsError as error:
            raise DataError(f"{place} has ids below 0 and ids of 2^63 or more: {remedy}") from error
        for role in tuple(self._others):
            parts = self._others.pop(role)
            alike = len({part.dtype for part in parts}) == 1
            whole.append(pl.concat(parts if alike else [part.cast(pl.Float64) for part in parts], rechunk=True))
        return pl.DataFrame(whole)


class IdParts:
    """The ids of a column, added part by part: integers in as few bytes as they need, texts as numbers of categories.

    Texts are held as integers as long as each of them is how an integer of up to 18 digits is spelled.

    Examples
    --------
    >>> ids = IdParts()
    >>> ids.add(pl.Series(["7", "10"]))
    >>> ids.together().to_list(), ids.are_spelled
    ([7, 10], True)
    >>> ids.add(pl.Series(["07"]))
    >>> ids.together().to_list(), ids.are_spelled
    (['7', '10', '07'], False)
    """

    def __init__(self) -> None:
        self._parts: list[pl.Series] = []
        self._categories = pl.Categorical(pl.Categories.random())
        self._spells = True

    def add(self, column: pl.Series) -> None:
        """Add integers or texts; all parts must be of one kind."""
        if not len(column):
            return
        if column.dtype != pl.String:
            self._spells = False
            self._parts.append(_narrow(column))
            return
        numbers = _spelled(column) if self._spells else None
        if numbers is None and self._spells:
            self._spells = False
            self._parts = [part.cast(pl.String).cast(self._categories) for part in self._parts]
        self._parts.append(column.cast(self._categories) if numbers is None else _narrow(numbers))

    @property
    def are_spelled(self) -> bool:
        """Whether the ids are texts that are held as the integers they spell."""
        return self._spells

    def together(self) -> pl.Series:
        """Return all ids, and forget the parts.

        Raises
        ------
        polars.exceptions.PolarsError
            If integers below 0 and of 2^63 or more are among them.
        """
        if not self._parts:
            return pl.Series(dtype=pl.String)
        kinds = {part.dtype for part in self._parts}
        kind = next((kind for kind in (pl.UInt64, pl.Int64) if kind in kinds), None)
        whole = pl.concat(self._parts if kind is None else [part.cast(kind) for part in self._parts], rechunk=True)
        self._parts = [whole]
        return whole


def _narrow(numbers: pl.Series) -> pl.Series:
    """Return integers in 32 bits where they fit."""
    low, high = numbers.min(), numbers.max()
    fits = low >= -(2**31) and high < 2**31  # type: ignore[operator]
    return numbers.cast(pl.Int32) if fits else numbers


def _spelled(column: pl.Series) -> pl.Series | None:
    """Return the integers that texts spell, or None if one of the texts is not how its integer is spelled.

    "7" is, and "07", "+7" and " 7" are not: no text is shorter than how its integer is spelled, so it is enough to
    compare the lengths of all.
    """
    if column.head(_SAMPLE).cast(pl.Int64, strict=False).null_count():
        return None
    numbers = column.cast(pl.Int64, strict=False)
    low, high = numbers.min(), numbers.max()
    if numbers.null_count() or low < 0 or high >= 10**_MOST_DIGITS:  # type: ignore[operator]
        return None
    digits = len(numbers) + sum(int((numbers >= 10**power).sum()) for power in range(1, len(str(high))))
    return numbers if int(column.str.len_bytes().cast(pl.Int64).sum()) == digits else None
