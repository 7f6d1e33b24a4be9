"""A report's metrics by groups of users, such as by gender or country."""

from typing import Any

import numpy as np
import polars as pl

from cofactor.data.vocabulary import id_series
from cofactor.errors import DataError
from cofactor.evaluation.per_user import Column, PerUser, percentiles

__all__ = ["by_group"]


def by_group(users: PerUser, people: Any, column: str, level: float) -> pl.DataFrame:
    """Return every metric of each group of users; see `cofactor.evaluation.Report.by`."""
    groups = _groups(users.users, people, column)
    rows = []
    for value in groups.unique().sort():
        here = np.flatnonzero((groups.is_null() if value is None else groups == value).fill_null(False).to_numpy())
        part = PerUser(users.users.gather(here), users.n_test[here], _taken(users, here))
        for name, average in part.averages().items():
            bounds = (np.nan, np.nan) if np.isnan(average) else percentiles(part.resampled[name], level)
            rows.append((value, len(here), name, average, *bounds))
    kinds = {"n_users": pl.Int64, "metric": pl.String, "value": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    found = pl.DataFrame(rows, schema={column: groups.dtype, **kinds}, orient="row")
    return found.with_columns(pl.col("value", "low", "high").fill_nan(None))


def _groups(users: pl.Series, people: Any, column: str) -> pl.Series:
    """Return the group of each user, null where it is not known."""
    from cofactor.data.frames import as_polars  # brings narwhals

    frame = as_polars(people)
    if missing := [name for name in ("user", column) if name not in frame.columns]:
        raise DataError(f"the frame has no column {missing[0]!r}: it has {', '.join(frame.columns)}")
    table = pl.DataFrame({"user": id_series(frame["user"], "user"), "group": frame[column]}).unique()
    if (table["user"].dtype == pl.String) != (users.dtype == pl.String):
        raise DataError(
            f"the frame names users such as {table['user'][0]!r}, and the report such as {users[0]!r}: give ids of one "
            "type"
        )
    if table["user"].is_duplicated().any():
        twice = table["user"].filter(table["user"].is_duplicated())[0]
        raise DataError(f"the frame says two things of user {twice!r}: give each user once")
    asked = pl.DataFrame({"user": users})
    return asked.join(table.cast({"user": users.dtype}), on="user", how="left", maintain_order="left")["group"]


def _taken(users: PerUser, rows: np.ndarray) -> dict[str, Column]:
    return {name: Column(*(part[rows] for part in column)) for name, column in users.columns.items()}
