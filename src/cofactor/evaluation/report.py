"""evaluate: a model, ratings it has not seen, and one report of how well it does on them."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.interactions import Interactions
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import DataError, SettingError
from cofactor.evaluation import metrics
from cofactor.model import lists
from cofactor.model.factors import Factors

__all__ = ["Comparison", "Report", "compare", "evaluate", "without_training_rows"]


@dataclass(frozen=True)
class Report:
    """How a model does on held-out ratings.

    Parameters
    ----------
    metrics : mapping of str to float
        ``mse``, ``rmse`` and ``mae`` of a model for ratings; ``ndcg@k``, ``recall@k``, ``precision@k`` and ``hit@k``
        where lists were measured.
    n_test : int
        How many ratings were predicted.
    n_unknown : int
        How many were left out because the model knows the user or the item not.
    """

    metrics: Mapping[str, float]
    n_test: int
    n_unknown: int = 0

    def __getitem__(self, name: str) -> float:
        return self.metrics[name]

    def to_frame(self) -> pl.DataFrame:
        """Return one row with a column for each metric."""
        return pl.DataFrame([{**self.metrics, "n_test": self.n_test, "n_unknown": self.n_unknown}])


@dataclass(frozen=True)
class Comparison:
    """Several solvers on one split: for each its settings, its model, its report and its seconds of training."""

    solvers: Sequence[Any]
    models: Sequence[Factors]
    reports: Sequence[Report]
    seconds: Sequence[float]

    def to_frame(self) -> pl.DataFrame:
        """Return one row a solver: its name, its rank, its metrics, the seconds its fit took."""
        rows = [
            {"solver": type(solver).__name__, "rank": model.rank, **report.metrics, "fit_seconds": round(seconds, 3)}
            for solver, model, report, seconds in zip(
                self.solvers, self.models, self.reports, self.seconds, strict=True
            )
        ]
        return pl.DataFrame(rows, infer_schema_length=None)


def evaluate(model: Factors, test: Interactions, *, k: int | None = None, clip: bool = True) -> Report:
    """Measure a model on ratings that were held out from its training.

    A model for ratings is measured by its errors, and with ``k`` by its lists too; a model for ranking by its lists
    alone, every held-out item being relevant and every item that was not seen in training being ranked.

    Parameters
    ----------
    model : Factors
    test : Interactions
        Held-out ratings. Ids are matched, so it may come from another file than the training data.
    k : int, optional
        The length of the lists; 10 for a model that is trained for ranking.
    clip : bool
        Whether predictions are kept within the range of the training ratings first, as is customary.

    Returns
    -------
    Report

    Raises
    ------
    DataError
        If a test rating was in the training data, or none can be predicted.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.solvers.keras_mf import KerasMF
    >>> train, test = cf.load_dataset("synthetic:60x40x600").split_random(test_fraction=0.2, seed=0)
    >>> report = evaluate(KerasMF(rank=2, epochs=1).fit(train), test)
    >>> sorted(report.metrics), report.n_test
    (['mae', 'mse', 'rmse'], 120)
    """
    columns = test.triplets()
    user_rows = _matched(test.users, model.users)[columns.user_rows]
    item_rows = _matched(test.items, model.items)[columns.item_rows]
    known = (user_rows >= 0) & (item_rows >= 0)
    user_rows, item_rows, actual = user_rows[known], item_rows[known], columns.values[known]
    if not len(actual):
        raise DataError("none of the test ratings has both its user and its item in the model: nothing can be measured")
    if overlap := int(_in_training(model, user_rows, item_rows).sum()):
        raise DataError(
            f"{overlap:,} of the {len(actual):,} test ratings were in the training data, so the result would be "
            "flattering: evaluate on held-out ratings, or leave those out with without_training_rows(model, test)"
        )
    measured: dict[str, float] = {}
    if model.objective.goal == "rating":
        measured |= _errors(
            model.score_rows(user_rows, item_rows, clip=clip and model.objective.scale is not None), actual
        )
    if k is not None or model.objective.goal == "ranking":
        measured |= _lists(model, user_rows, item_rows, 10 if k is None else k)
    return Report(measured, len(actual), int(len(known) - known.sum()))


def _errors(predicted: np.ndarray, actual: np.ndarray) -> dict[str, float]:
    return {
        "mse": metrics.mean_squared_error(predicted, actual),
        "rmse": metrics.root_mean_squared_error(predicted, actual),
        "mae": metrics.mean_absolute_error(predicted, actual),
    }


def _lists(model: Factors, user_rows: np.ndarray, item_rows: np.ndarray, k: int) -> dict[str, float]:
    """Rank all that was not seen for every user with a held-out item, and average over those users."""
    if k < 1:
        raise SettingError(f"k is {k}: a list has at least one item")
    users, places = np.unique(user_rows, return_inverse=True)
    relevant = sparse.csr_array((np.ones(len(places)), (places, item_rows)), shape=(len(users), model.n_items))
    ranked = lists.ranked(model, users, k)
    per_user = metrics.ranking_metrics(ranked, relevant, k)
    return {f"{name}@{k}": float(np.nanmean(values)) for name, values in per_user.items()}


def compare(
    solvers: Iterable[Any],
    train: Interactions,
    test: Interactions,
    *,
    k: int | None = None,
    done: Callable[[Any, Report], None] | None = None,
) -> Comparison:
    """Train several solvers on the same data and measure each on the same held-out ratings.

    Parameters
    ----------
    solvers : iterable of solvers
    train, test : Interactions
    k : int, optional
        The length of the lists to measure; see `evaluate`.
    done : callable, optional
        Called with each solver and its report as soon as it is there.
    """
    tried, models, reports, seconds = [], [], [], []
    for solver in solvers:
        start = time.perf_counter()
        model = solver.fit(train)
        seconds.append(time.perf_counter() - start)
        reports.append(evaluate(model, test, k=k))
        tried.append(solver)
        models.append(model)
        if done is not None:
            done(solver, reports[-1])
    return Comparison(tried, models, reports, seconds)


def without_training_rows(model: Factors, ratings: Interactions) -> Interactions:
    """Leave out the ratings that the model was trained on."""
    columns = ratings.triplets()
    user_rows = _matched(ratings.users, model.users)[columns.user_rows]
    item_rows = _matched(ratings.items, model.items)[columns.item_rows]
    known = (user_rows >= 0) & (item_rows >= 0)
    trained = np.zeros(len(ratings), dtype=bool)
    trained[known] = _in_training(model, user_rows[known], item_rows[known])
    return ratings.split_rows(np.flatnonzero(trained))[0]


def _matched(theirs: Vocabulary, ours: Vocabulary) -> np.ndarray:
    return np.arange(len(ours)) if theirs == ours else ours.find(theirs.ids).astype(np.int64)


def _in_training(model: Factors, user_rows: np.ndarray, item_rows: np.ndarray) -> np.ndarray:
    """Return whether each pair is among the seen ones."""
    seen = model.seen
    width = max(model.n_items, 1)
    trained = np.repeat(np.arange(model.n_users), np.diff(seen.indptr)) * width + seen.indices
    asked = user_rows.astype(np.int64) * width + item_rows
    place = np.searchsorted(trained, asked)
    found = np.zeros(len(asked), dtype=bool)
    inside = place < len(trained)
    found[inside] = trained[place[inside]] == asked[inside]
    return found
