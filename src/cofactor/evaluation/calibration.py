"""Whether a model knows how sure it may be: the share of held-out ratings that lie inside its intervals."""

from collections.abc import Iterable

import numpy as np
import polars as pl

from cofactor.data.interactions import Interactions
from cofactor.evaluation.held_out import matched
from cofactor.model.factors import Factors, draws_needed

__all__ = ["calibration"]


def calibration(
    model: Factors, test: Interactions, levels: Iterable[float] = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
) -> pl.DataFrame:
    """Count how many held-out ratings lie inside a model's intervals of each level.

    Parameters
    ----------
    model : Factors
        Of draws, as `BayesianMF` makes them.
    test : Interactions
        Held-out ratings. Ids are matched; ratings whose user or item the model does not know are left out.
    levels : iterable of float
        The probabilities that the intervals are made for.

    Returns
    -------
    polars.DataFrame
        Columns level, share (of the ratings inside) and width (of the intervals on average, in units of the ratings).
        In a calibrated model the share is the level.

    Raises
    ------
    DataError
        If a test rating was in the training data, or none can be predicted.
    SettingError
        If the model is not made of draws.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.solvers.bayes import BayesianMF
    >>> train, test = cf.load_dataset("synthetic:60x40x600").split_random(test_fraction=0.2, seed=0)
    >>> frame = calibration(BayesianMF(rank=2, sweeps=60, burn_in=20, n_samples=20).fit(train), test, levels=[0.5, 0.9])
    >>> frame.columns, bool(frame["share"][1] > frame["share"][0])
    (['level', 'share', 'width'], True)
    """
    from cofactor.model.uncertainty import interval  # loads the sampler's kernels

    held_out = matched(model, test).known
    user_rows = np.repeat(held_out.users, held_out.n_test)
    item_rows, actual = held_out.matrix.indices.astype(np.int64), held_out.matrix.data
    rows = []
    for level in levels:
        low, high = interval(draws_needed(model), user_rows, item_rows, level)
        share = float(np.mean((low <= actual) & (actual <= high)))
        rows.append({"level": float(level), "share": share, "width": float(np.mean(high - low, dtype=np.float64))})
    return pl.DataFrame(rows)
