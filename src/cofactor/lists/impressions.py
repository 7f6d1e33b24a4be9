"""What was shown often and not taken: pairs to leave out of the next lists."""

from typing import Any

import polars as pl

from cofactor.data.arguments import check_count
from cofactor.data.interactions import Interactions
from cofactor.data.vocabulary import id_series
from cofactor.errors import DataError

__all__ = ["shown_in_vain"]


def shown_in_vain(impressions: Any, k: int = 3, taken: Any = None) -> pl.DataFrame:
    """Return the pairs that were shown at least ``k`` times and not taken, for ``exclude=`` of `recommend` and others.

    **Model.** Each time that somebody is shown an item and leaves it, it is less likely that they ever take it; after
    ``k`` times its place goes to another item.

    **Reference.** Lee, Lakshmanan, Tiwari and Shah (2014), Modeling Impression Discounting in Large-scale Recommender
    Systems.

    Parameters
    ----------
    impressions : data frame
        With the columns user and item: a row each time that an item was shown, or a column times says how often.
        Lists as `recommend` makes them will do.
    k : int
    taken : Interactions, or data frame with the columns user and item, optional
        What people chose, whenever that was: such pairs were not shown in vain.

    Returns
    -------
    polars.DataFrame
        Columns user and item, each pair once.

    Raises
    ------
    DataError
        If a column is missing, or times are not whole numbers of at least 0.
    SettingError
        If ``k`` is not a whole number of at least 1.

    Examples
    --------
    >>> shown = pl.DataFrame({"user": ["ann", "ann", "bob", "ann"], "item": ["tea", "tea", "tea", "rye"]})
    >>> shown_in_vain(shown, 2).rows()
    [('ann', 'tea')]
    >>> shown_in_vain(shown, 2, taken=pl.DataFrame({"user": ["ann"], "item": ["tea"]})).rows()
    []
    """
    from cofactor.data.frames import as_polars, chosen_columns  # brings narwhals

    check_count("k", k)
    frame = as_polars(impressions)
    given = chosen_columns(frame, {"user": "user", "item": "item"})
    pairs = pl.DataFrame({side: id_series(given[side], side) for side in ("user", "item")})
    times = _times(frame)
    counted = pairs.with_columns(times=times).group_by("user", "item", maintain_order=True).agg(pl.col("times").sum())
    found = counted.filter(pl.col("times") >= k).select("user", "item")
    if taken is None:
        return found
    chosen = taken.to_frame() if isinstance(taken, Interactions) else taken
    had = chosen_columns(chosen, {"user": "user", "item": "item"})
    for side in ("user", "item"):
        if len(had) and len(found) and (had[side].dtype == pl.String) != (found[side].dtype == pl.String):
            raise DataError(
                f"the impressions name {side}s such as {found[side][0]!r}, and what was taken such as "
                f"{had[side][0]!r}: give ids of one type"
            )
    return found.join(had, on=["user", "item"], how="anti", maintain_order="left") if len(had) else found


def _times(frame: pl.DataFrame) -> pl.Series:
    """Return how often each row was shown."""
    if "times" not in frame.columns:
        return pl.Series("times", [1], dtype=pl.Int64).new_from_index(0, frame.height)
    times = frame["times"]
    sound = times.dtype.is_integer() and not times.null_count() and (not len(times) or int(times.min()) >= 0)  # type: ignore[arg-type]
    if not sound:
        raise DataError("the column times must hold whole numbers of at least 0: how often each pair was shown")
    return times.cast(pl.Int64)
