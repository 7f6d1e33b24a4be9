"""Try a training before its model is used: on the newest ratings, held out, beside a baseline and the model before.

**Protocol.** Where there is a model before, the newest half of what it does not have is held out, and it takes up the
other half by fold-in, as a service does; so both know the same ratings. The solver trains on all but what is held out.
Without one, or where it has everything, the newest tenth of the data is held out. "Newest" is by time; without times
it is a random part, which flatters every model alike. Both lists are compared user by user by `better`.
"""

import contextlib
import math
from typing import Any

import numpy as np

from cofactor.data.interactions import Interactions
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import CofactorError
from cofactor.evaluation.report import Report, evaluate
from cofactor.evaluation.significance import better
from cofactor.model.factors import Factors, evolved
from cofactor.model.origin import Figure, Trial

__all__ = ["Trial", "held_out_trial", "trial"]

LISTS, ERRORS = "ndcg@10", "rmse"
SHARE = 0.1
LEAST = 20
"""A stretch of fewer ratings says nothing."""

LEVEL = 0.05


def trial(solver: Any, data: Interactions, before: Factors | None = None, *, seed: int = 0) -> Trial | None:
    """Train a solver on all but the newest ratings, and compare it on these with a baseline and the model before.

    Models for lists are compared by nDCG at 10 with popular items, models that predict ratings by RMSE with biases.

    Parameters
    ----------
    solver : solver
        What the next model is to be trained by.
    data : Interactions
        What it is to be trained on.
    before : Factors, optional
        The model that it is to replace.
    seed : int
        Of the random part that is held out where the data have no times.

    Returns
    -------
    Trial or None
        None if fewer than 20 ratings can be held out, or nobody is left whom they could be measured on.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.evaluation import trial
    >>> from cofactor.solvers import ImplicitALS
    >>> data = cf.load_dataset("synthetic:200x80x4000")
    >>> found = trial(ImplicitALS(rank=4, seed=0), data)
    >>> found.metric, found.held_out, found.n_test, found.figure[0] > found.baseline[0]
    ('ndcg@10', 'newest', 73, True)
    """
    before = None if before is None else _with_ids_like(before, data)
    told = data.matrix.data != 0  # what is seen and no like is not to be found again
    new = np.ones(len(data), bool) if before is None else _is_new_to(before, data)
    fresh = told & new
    size = min(int(fresh.sum()) // 2, max(round(SHARE * len(data)), LEAST))
    if size < LEAST:
        fresh, size, before = told, min(round(SHARE * len(data)), int(told.sum())), None
    if size < LEAST:
        return None
    held_out, kind = _newest(data, fresh, size, seed)
    if before is not None:
        before = _taking_up(before, data.where(new & ~held_out))
    train, test = data.where(~held_out), data.where(held_out)
    test = _measurable(test, train, before)
    if len(test) < LEAST:
        return None
    return _measured(solver.fit(train), train, test, kind, before)


def held_out_trial(model: Factors, report: Report, train: Interactions, test: Interactions, kind: str) -> Trial | None:
    """Return the trial that a report on held-out ratings makes, beside a baseline on the same."""
    metric = LISTS if model.objective.goal == "ranking" else ERRORS
    figure = _figure(report, metric)
    if figure is None:
        return None
    with contextlib.suppress(CofactorError):  # data of which there is no baseline
        baseline = _figure(_report(_baseline(metric, train), test, metric), metric)
        return Trial(metric, kind, int(report.n_test), _users(report, metric), figure, baseline)
    return Trial(metric, kind, int(report.n_test), _users(report, metric), figure)


def _measured(
    model: Factors, train: Interactions, test: Interactions, kind: str, before: Factors | None
) -> Trial | None:
    metric = LISTS if model.objective.goal == "ranking" else ERRORS
    try:
        report = _report(model, test, metric)
    except CofactorError:  # nobody is left whom it could be measured on
        return None
    found = held_out_trial(model, report, train, test, kind)
    if found is None or before is None:
        return found
    with contextlib.suppress(CofactorError):  # a model before of another kind, which cannot be compared
        other = _report(before, test, metric)
        gap = better(report, other, metric)
        against = gap.mean > 0 if metric == ERRORS else gap.mean < 0
        return Trial(
            metric, kind, found.n_test, found.n_users, found.figure, found.baseline, _figure(other, metric),
            (gap.mean, gap.low, gap.high), float(gap.p_value), bool(against and gap.p_value < LEVEL),
        )  # fmt: skip
    return found


def _report(model: Factors, test: Interactions, metric: str) -> Report:
    return evaluate(model, test, k=10 if metric == LISTS else None, on_new_items="miss")


def _baseline(metric: str, train: Interactions) -> Factors:
    from cofactor.solvers.baselines import BiasOnly, Popularity

    solver = Popularity() if metric == LISTS else BiasOnly()
    return solver.fit(train)


def _figure(report: Report, metric: str) -> Figure | None:
    if metric not in report.metrics or math.isnan(report[metric]):
        return None
    return (report[metric], *report.interval(metric))


def _users(report: Report, metric: str) -> int:
    return int(np.count_nonzero(report.measured_users().columns[metric].weight))


def _with_ids_like(model: Factors, data: Interactions) -> Factors:
    """Return the model with user ids of the data's type: one new name turns integers into texts."""
    if model.users.holds_integers and not data.users.holds_integers:
        return evolved(model, users=Vocabulary([str(one) for one in model.users], kind="user"))
    return model


def _stored(data: Interactions) -> tuple[np.ndarray, np.ndarray]:
    """Return the user and item rows of all ratings, in the order of ``data.matrix``, as `where` takes them."""
    return np.repeat(np.arange(data.n_users), np.diff(data.matrix.indptr)), data.matrix.indices


def _is_new_to(model: Factors, data: Interactions) -> np.ndarray:
    """Return which of some ratings a model does not have, of items that it has."""
    user_rows, item_rows = _stored(data)
    users = model.users.find(data.users.ids)[user_rows].astype(np.int64)
    items = model.items.find(data.items.ids)[item_rows].astype(np.int64)
    seen = model.seen.tocoo()
    width = max(model.n_items, 1)
    had = np.isin(users * width + items, seen.row.astype(np.int64) * width + seen.col) & (users >= 0)
    fresh: np.ndarray = ~had & (items >= 0)
    return fresh


def _newest(data: Interactions, fresh: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, str]:
    """Return which ratings are held out, and whether they are the newest or random ones."""
    candidates = np.flatnonzero(fresh)
    order = np.random.default_rng(seed).permutation(len(candidates))  # those of one moment in random order
    times = data.timestamps
    if times is not None:
        moments = np.asarray(times)[candidates]
        order = order[np.argsort(moments[order], kind="stable")]
    held_out = np.zeros(len(data), bool)
    held_out[candidates[order[-size:]]] = True
    return held_out, "random" if times is None else "newest"


def _taking_up(model: Factors, news: Interactions) -> Factors:
    """Return a model with new ratings, as far as it takes any."""
    if len(news):
        with contextlib.suppress(CofactorError):
            return model.update(news)
    return model


def _measurable(test: Interactions, train: Interactions, before: Factors | None) -> Interactions:
    """Return the held-out ratings of users and items that all models know."""
    user_rows, item_rows = _stored(test)
    has_items = np.diff(train.by_item.indptr) > 0
    has_users = np.diff(train.matrix.indptr) > 0
    known = has_users[train.users.find(test.users.ids)[user_rows]]
    known &= has_items[train.items.find(test.items.ids)[item_rows]]
    if before is not None:
        rows = before.users.find(test.users.ids)[user_rows]
        known &= (rows >= 0) & (np.diff(before.seen.indptr)[rows] > 0)
        known &= before.items.find(test.items.ids)[item_rows] >= 0
    return test.where(known)
