"""How many of a model's items would be chosen, learnt from lists that another model made and chance had a part in."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from cofactor.errors import DataError, SettingError

__all__ = ["OffPolicy", "off_policy"]


@dataclass(frozen=True)
class OffPolicy:
    """What another model's lists would have been chosen of.

    Parameters
    ----------
    mean, low, high : float
        The share of the items shown that would be chosen, with its 95 % interval over users for a single look.
    logged : float
        The same share in the lists that were shown.
    variance : float
        Of ``mean``.
    effective : float
        To how many shown items, drawn from the other model's lists, the evidence is worth: Kish's effective sample size
        of the weights. Below a few hundred, trust neither the mean nor the interval.
    supported : float
        The mean weight of a position, which is 1 if all items of the other lists could have been shown where they
        would be. Well below 1, the mean is of the rest.
    n_lists, n_positions : int
        With known chances.
    n_matched : int
        Positions at which the other list has the same item.
    """

    mean: float
    low: float
    high: float
    logged: float
    variance: float
    effective: float
    supported: float
    n_lists: int
    n_positions: int
    n_matched: int

    def __str__(self) -> str:
        return (
            f"{self.mean:.4f} ({self.low:.4f} to {self.high:.4f}) of the items shown would be chosen; "
            f"{self.logged:.4f} were. Evidence of {self.effective:,.0f} items, support {self.supported:.2f}"
        )


def off_policy(lists: Any, target: Any) -> OffPolicy:
    """Estimate how many items of other lists would be chosen, from lists that were shown with known chances.

    **Model.** Whether an item is chosen depends on the user, the item and its position, and not on the items beside it.

    **Algorithm.** An item that was shown at a position where the other list has it, too, counts as often as it was
    unlikely to be shown there: the self-normalized estimator, a ratio of two weighted sums. Its variance is that of the
    users' deviations, by the delta method. The interval is Student's, with as many degrees of freedom as those users
    are worth who carry the weight.

    **Reference.** Swaminathan and Joachims (2015), The Self-Normalized Estimator for Counterfactual Learning. Yang et
    al. (2018), Unbiased Offline Recommender Evaluation for Missing-Not-at-Random Implicit Feedback, apply it to
    implicit feedback with chances estimated from popularity; here they are known, since the service drew the lists.
    Li et al. (2018), Offline Evaluation of Ranking Policies with Click Models, for the model.

    Parameters
    ----------
    lists : data frame
        A row for each position of each list that was shown: list_id, user, position, item, propensity (how likely the
        item was there; null where chance had no part), shown, chosen. As ``cofactor online --output`` writes them.
    target : data frame
        The other model's lists for the same occasions: list_id, position, item, and optionally probability, where
        chance has a part in these, too. It must know nothing of what was chosen from the lists.

    Raises
    ------
    DataError
        If a column is missing, or a propensity is not above 0 and at most 1.
    SettingError
        If chance had no part in any list, or no item of the other lists was shown at its position.

    Examples
    --------
    >>> import polars as pl
    >>> shown = pl.DataFrame({
    ...     "list_id": ["a", "b", "c", "d"], "user": ["1", "2", "3", "4"], "position": [1] * 4,
    ...     "item": ["tea", "rye", "tea", "rye"], "propensity": [0.75, 0.25, 0.75, 0.25],
    ...     "shown": [True] * 4, "chosen": [True, True, False, True],
    ... })
    >>> other = pl.DataFrame({"list_id": ["a", "b", "c", "d"], "position": [1] * 4, "item": ["rye"] * 4})
    >>> found = off_policy(shown, other)
    >>> found.mean, found.logged, found.n_matched, found.effective, found.supported
    (1.0, 0.75, 2, 2.0, 2.0)
    """
    shown, wanted = _checked(lists, target)
    rows = shown.join(wanted, on=["list_id", "position", "item"], how="left").with_columns(
        weight=pl.col("probability").fill_null(0.0) / pl.col("propensity"), unit=pl.coalesce("user", "list_id")
    )
    weights, chosen = rows["weight"].to_numpy(), rows["chosen"].to_numpy().astype(np.float64)
    total = float(weights.sum())
    if not total:
        raise SettingError(
            "no item of the target's lists was shown at its position, so nothing can be said of them: collect more "
            "lists, or a larger share of them with chance"
        )
    mean = float(weights @ chosen) / total
    by_user = rows.select("unit", part=weights * (chosen - mean) / total).group_by("unit").agg(pl.col("part").sum())
    parts = by_user["part"].to_numpy()
    variance, fourth = float((parts**2).sum()), float((parts**4).sum())
    freedom = variance**2 / fourth if fourth else 1.0  # few users may carry most of the weight
    reach = float(stats.t.ppf(0.975, freedom)) * variance**0.5
    return OffPolicy(
        mean, mean - reach, mean + reach, float(chosen.mean()), variance, total**2 / float((weights**2).sum()),
        total / len(rows), rows["list_id"].n_unique(), len(rows), int(np.count_nonzero(weights)),
    )  # fmt: skip


def _checked(lists: Any, target: Any) -> tuple[pl.DataFrame, pl.DataFrame]:
    from cofactor.data.frames import as_polars  # brings narwhals

    shown, wanted = as_polars(lists), as_polars(target)
    for frame, name, needed in (
        (shown, "lists", ("list_id", "user", "position", "item", "propensity", "shown", "chosen")),
        (wanted, "target", ("list_id", "position", "item")),
    ):
        if missing := [column for column in needed if column not in frame.columns]:
            raise DataError(f"{name} lacks the column {missing[0]!r}: it needs {', '.join(needed)}")
    shown = shown.filter(pl.col("shown") | pl.col("chosen"), pl.col("propensity").is_not_null())
    if shown.is_empty():
        raise SettingError(
            "no list has chances: lists without chance say nothing of items that they do not hold, so another model "
            "cannot be judged by them; serve with --explore 0.1, and collect lists"
        )
    if not shown.select(pl.col("propensity").is_between(0, 1, closed="right").all()).item():
        raise DataError("a propensity is not above 0 and at most 1: it is how likely an item was at its position")
    if shown.select((pl.col("propensity") == 1).all()).item():
        raise SettingError(
            "every item was certain to be at its position: lists without chance say nothing of items that they do not "
            "hold, so another model cannot be judged by them; serve with --explore 0.1, and collect lists"
        )
    keys = ["list_id", "position", "item"]
    probability = pl.col("probability") if "probability" in wanted.columns else pl.lit(1.0)
    likely = wanted.group_by(keys).agg(probability.cast(pl.Float64).first().alias("probability"))
    return shown, likely.with_columns(pl.col(key).cast(shown.schema[key]) for key in keys)
