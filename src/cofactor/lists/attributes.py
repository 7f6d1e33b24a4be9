"""What is known of a model's items, column by column, in the form that rules and metrics read."""

import functools
from dataclasses import dataclass

import numpy as np
import polars as pl

from cofactor.errors import SettingError
from cofactor.lists.where_text import columns_of

__all__ = ["Groups", "ItemAttributes"]

SEPARATOR = "|"
"""Between several values of an item in a column of text, such as genres."""


@dataclass(frozen=True, eq=False)
class Groups:
    """Which groups each item is in by a column, as compressed rows: its genres, its brand, its year.

    Parameters
    ----------
    indptr : numpy.ndarray of int64, shape (items + 1,)
    codes : numpy.ndarray of int32, shape (memberships,)
        Each item's groups, by number, without repetition.
    labels : polars.Series
        What each group is called, sorted.
    """

    indptr: np.ndarray
    codes: np.ndarray
    labels: pl.Series

    @classmethod
    def of(cls, column: pl.Series) -> "Groups":
        """Make them of a column: lists of values, texts separated by ``|``, or one value an item."""
        values = _exploded(column)
        labels = values["group"].unique().sort()
        numbers = pl.DataFrame({"group": labels, "code": np.arange(len(labels), dtype=np.int32)})
        coded = values.join(numbers, on="group", how="left", maintain_order="left")
        counts = np.bincount(values["row"].to_numpy(), minlength=len(column))
        return cls(np.concatenate([[0], np.cumsum(counts)]), coded["code"].to_numpy(), labels)

    @property
    def count(self) -> int:
        """How many groups there are."""
        return len(self.labels)

    @functools.cached_property
    def sizes(self) -> np.ndarray:
        """In how many groups each item is."""
        return np.diff(self.indptr)

    def with_one_for_the_rest(self) -> "Groups":
        """Return the groups with one more, of the items that are in none: these are like each other, and no other."""
        rest = self.sizes == 0
        if not rest.any():
            return self
        at = self.indptr[:-1][rest]
        codes = np.insert(self.codes, at, self.count).astype(np.int32)
        indptr = np.concatenate([[0], np.cumsum(np.maximum(self.sizes, 1))])
        return Groups(indptr, codes, pl.Series([*map(str, self.labels), "(none)"], dtype=pl.String))


def _exploded(column: pl.Series) -> pl.DataFrame:
    """Return one row for each group of each item: row, group."""
    rows, column = np.arange(len(column), dtype=np.int64), column.alias("group")
    if column.dtype == pl.String:
        column = column.str.split(SEPARATOR)
    elif isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    frame = pl.DataFrame({"row": rows, "group": column})
    if isinstance(column.dtype, pl.List | pl.Array):
        frame = frame.explode("group")
    group = pl.col("group")
    kind = frame.schema["group"]
    if kind == pl.String:
        frame = frame.with_columns(group.str.strip_chars()).filter(group.str.strip_chars() != "")
    elif kind.is_float():
        frame = frame.with_columns(group.fill_nan(None))
    return frame.drop_nulls().unique(maintain_order=True)


class ItemAttributes:
    """The columns that are known of a model's items, and what rules made of them; it hangs on the model.

    Parameters
    ----------
    table : polars.DataFrame
        A row for each item, in row order, with the column item.
    """

    def __init__(self, table: pl.DataFrame) -> None:
        self.table = table
        self._groups: dict[tuple[str, bool], Groups] = {}

    def groups(self, name: str, *, complete: bool = False) -> Groups:
        """Return which groups each item is in by a column, made once.

        Parameters
        ----------
        name : str
        complete : bool
            Whether items in no group are put in one of their own.

        Raises
        ------
        SettingError
            If there is no column of this name, with those that there are.
        """
        if name not in self.table.columns:
            raise SettingError(f"there is no column {name!r}: {columns_of(self.table)}")
        key = name, complete
        if key not in self._groups:
            made = self.groups(name).with_one_for_the_rest() if complete else Groups.of(self.table[name])
            self._groups[key] = made
        return self._groups[key]
