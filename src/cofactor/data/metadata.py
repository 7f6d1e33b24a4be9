"""Item metadata: titles and genres."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from cofactor.errors import DataError

__all__ = ["ItemMetadata"]


@dataclass(frozen=True)
class ItemMetadata:
    """Titles and genres of the items, in item row order.

    Parameters
    ----------
    titles : polars.Series of str, or None
        A title for each item, null where it is not known.
    genres : polars.Series of str, or None
        The genres of each item, separated by ``|``.
    """

    titles: pl.Series | None = None
    genres: pl.Series | None = None

    @classmethod
    def of(cls, table: pl.DataFrame, ids: pl.Series) -> "ItemMetadata":
        """Look up the metadata of some items in a frame with the columns item, title and perhaps genres.

        Raises
        ------
        DataError
            If one of the first two columns is missing.
        """
        if not {"item", "title"} <= set(table.columns):
            raise DataError(f"the titles have the columns {', '.join(table.columns)}: they must have item and title")
        known = table.with_columns(pl.col("item").cast(ids.dtype, strict=False)).unique("item", keep="first")
        joined = pl.DataFrame({"item": ids}).join(known, on="item", how="left", maintain_order="left")
        return cls(joined["title"], joined["genres"] if "genres" in joined.columns else None)

    def take(self, rows: np.ndarray) -> "ItemMetadata":
        """Return the metadata of the given rows; -1 gives null."""
        where = pl.Series(rows.astype(np.int64)).replace(-1, None)
        return ItemMetadata(*(text if text is None else text.gather(where) for text in (self.titles, self.genres)))
