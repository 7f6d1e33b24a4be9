"""How much attention lists give to each group of items, by an attribute."""

from typing import Any

import numpy as np
import polars as pl

from cofactor.data.interactions import Interactions
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import DataError, SettingError
from cofactor.lists.attributes import Groups
from cofactor.lists.where_text import columns_of

__all__ = ["exposure"]


def exposure(lists: Any, train: Interactions, by: str = "genres") -> pl.DataFrame:
    """Return what share of the attention in some lists each group of items gets, beside its shares in the data.

    **Model.** The item at position j of a list gets the attention 1 / log2(1 + j), as in nDCG; a group's exposure is
    the sum over its items in all lists, over the sum of all groups. An item in several groups counts in equal parts.

    **Reference.** Singh and Joachims (2018), Fairness of Exposure in Rankings.

    Parameters
    ----------
    lists : data frame
        With the columns item and position, of a model or of anybody.
    train : Interactions
        What the lists were made from, with what is known of its items; see `Interactions.with_items`.
    by : str
        The column of the items that says their groups. Lists and texts separated by ``|`` are several groups.

    Returns
    -------
    polars.DataFrame
        Columns group, exposure, chosen (its share of what was chosen in training), items (its share of the items), and
        ratio (exposure over chosen; above 1, lists show more of the group than people chose). The group of most
        exposure comes first; items in no group are the group null.

    Raises
    ------
    DataError
        If a column is missing, or a position is no number of at least 1.
    SettingError
        If nothing is known of the items under ``by``.

    Examples
    --------
    >>> import cofactor as cf
    >>> plays = cf.from_frame(pl.DataFrame({"user": [1, 1, 2], "item": ["a", "b", "c"]}), value=None)
    >>> plays = plays.with_items(pl.DataFrame({"item": ["a", "b", "c"], "kind": ["jazz", "jazz", "folk"]}))
    >>> lists = pl.DataFrame({"user": [1, 2], "item": ["c", "c"], "position": [1, 1]})
    >>> exposure(lists, plays, by="kind").select("group", "exposure", "ratio").rows()
    [('folk', 1.0, 3.0), ('jazz', 0.0, 0.0)]
    """
    from cofactor.data.frames import as_polars  # brings narwhals

    frame, table = as_polars(lists), train.item_table
    if missing := [name for name in ("item", "position") if name not in frame.columns]:
        raise DataError(f"the lists have no column {missing[0]!r}, but {', '.join(frame.columns)}")
    if by not in table.columns:
        raise SettingError(f"there is no column {by!r}: {columns_of(table)}")
    position = frame["position"]
    if not position.dtype.is_numeric() or position.null_count() or (len(position) and float(position.min()) < 1):  # type: ignore[arg-type]
        raise DataError("the positions of the lists must be numbers: 1 for the first item of each user, and so on")
    groups = Groups.of(table[by])
    rows = _rows(frame["item"], train.items)
    attention = 1 / np.log2(1 + position.to_numpy()[rows >= 0].astype(np.float64))
    shown = np.bincount(rows[rows >= 0], attention, minlength=train.n_items)
    chosen = np.bincount(train.matrix.indices, minlength=train.n_items).astype(np.float64)
    columns = {"exposure": shown, "chosen": chosen, "items": np.ones(train.n_items)}
    shares = {name: _shares(groups, weights) for name, weights in columns.items()}
    labels = pl.concat([groups.labels.alias("group"), pl.Series("group", [None], dtype=groups.labels.dtype)])
    found = pl.DataFrame({"group": labels, **shares}).filter(pl.sum_horizontal("exposure", "chosen", "items") > 0)
    ratio = pl.when(pl.col("chosen") > 0).then(pl.col("exposure") / pl.col("chosen"))
    return found.with_columns(ratio=ratio).sort("exposure", descending=True, maintain_order=True)


def _rows(items: pl.Series, known: Vocabulary) -> np.ndarray:
    rows = known.find(items)
    if len(rows) and (rows < 0).all():
        raise DataError(f"the lists name items such as {items[0]!r}, and none of them is in the training data")
    return rows


def _shares(groups: Groups, weights: np.ndarray) -> np.ndarray:
    """Return each group's share of what items weigh, the last for items in none."""
    parts = np.repeat(weights / np.maximum(groups.sizes, 1), groups.sizes)
    sums = np.append(np.bincount(groups.codes, parts, minlength=groups.count), weights[groups.sizes == 0].sum())
    total = sums.sum()
    return np.asarray(sums / total if total > 0 else sums)
