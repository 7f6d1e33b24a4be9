"""evaluate: a model, ratings it has not seen, and one report of how well it does on them."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data import notebook
from cofactor.data.interactions import Interactions
from cofactor.errors import SettingError
from cofactor.evaluation import metrics, ranking
from cofactor.evaluation.held_out import HeldOut, matched, rows_between
from cofactor.evaluation.per_user import Column, PerUser, percentiles
from cofactor.model.factors import Factors

__all__ = [
    "FULL",
    "Comparison",
    "Report",
    "compare",
    "evaluate",
    "list_columns",
    "measured_columns",
    "of_all_lists",
]

FULL = "full ranking"
FURTHER = ("auc",)
"""What is measured only on request."""


@dataclass(frozen=True)
class Report:
    """How a model does on held-out ratings. `cofactor.evaluation.metrics` defines what each figure means.

    Parameters
    ----------
    metrics : mapping of str to float
        ``mse``, ``rmse`` and ``mae`` of a model for ratings; ``ndcg@10`` and the others where lists were measured;
        ``auc`` where it was asked for. NaN where no user has a value.
    n_test : int
        How many held-out ratings were used.
    n_unknown : int
        How many were left out because the model knows the user or the item not.
    n_users : int
        How many users the ratings are of.
    n_without_relevant : int
        How many of them have nothing relevant among theirs, and so are in no mean over lists.
    protocol : str
        What was ranked, such as ``"full ranking"`` or ``"99 sampled negatives a user"``; empty where no list was made.
        Figures of different protocols must not be compared.
    users : PerUser, optional
        What was measured of each user, from which intervals come; a report from Spark holds averages alone.
    """

    metrics: Mapping[str, float]
    n_test: int
    n_unknown: int = 0
    n_users: int = 0
    n_without_relevant: int = 0
    protocol: str = ""
    users: PerUser | None = field(default=None, repr=False, compare=False)

    def __getitem__(self, name: str) -> float:
        if name not in self.metrics:
            raise SettingError(f"{name!r} was not measured here: {', '.join(self.metrics)}")
        return self.metrics[name]

    def _repr_html_(self) -> str:
        held_out = f"{self.n_test:,} held-out ratings of {self.n_users:,} users"
        left_out = f", {self.n_unknown:,} left out as unknown" if self.n_unknown else ""
        title = f"Report: {self.protocol}" if self.protocol else "Report"
        return notebook.table(title, ("metric", "value"), self.metrics.items(), held_out + left_out)

    def to_frame(self) -> pl.DataFrame:
        """Return one row with a column for each metric, the counts, and the protocol where lists were measured."""
        counts = {"n_test": self.n_test, "n_unknown": self.n_unknown, "n_users": self.n_users}
        if self.n_without_relevant:
            counts["n_without_relevant"] = self.n_without_relevant
        return pl.DataFrame([{**self.metrics, **counts, **self._marked()}])

    @property
    def per_user(self) -> pl.DataFrame:
        """One row a user: user, n_test and a column for each metric that has a value for each user."""
        return self.measured_users().to_frame()

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """Return between what bounds a metric lies, as far as the choice of users decides it.

        The users are drawn with replacement 1000 times, from a fixed seed, and the metric is taken over each draw; the
        bounds are percentiles of that (Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 13). An
        error over all ratings is a ratio of sums over users, and is resampled as such.

        Parameters
        ----------
        name : str
            Of a metric that is an average over users.
        level : float
            The probability, between 0 and 1.

        Raises
        ------
        SettingError
            If there is no such metric, or it belongs to all lists together, as coverage and gini do.
        """
        if not 0 < level < 1:
            raise SettingError(f"level is {level}: it must lie between 0 and 1, such as 0.95")
        resampled = self.measured_users().resampled
        if name not in resampled:
            known = f"belongs to all lists together, so drawing users anew says nothing of it: {', '.join(resampled)}"
            raise SettingError(
                f"{name!r} {known if name in self.metrics else 'was not measured here: ' + ', '.join(resampled)}"
            )
        return (np.nan, np.nan) if np.isnan(self.metrics[name]) else percentiles(resampled[name], level)

    def intervals(self, level: float = 0.95) -> pl.DataFrame:
        """Return every metric with its `interval`: metric, value, low, high; null where there is none.

        Where lists were measured, a column says by which protocol.
        """
        averaged = self.measured_users().columns
        rows = []
        for name, value in self.metrics.items():
            low, high = self.interval(name, level) if name in averaged else (None, None)
            rows.append({"metric": name, "value": value, "low": low, "high": high, **self._marked()})
        floats = {"value": pl.Float64, "low": pl.Float64, "high": pl.Float64}
        return pl.DataFrame(rows, schema_overrides=floats, infer_schema_length=None)

    def measured_users(self) -> PerUser:
        """Return what was measured of each user.

        Raises
        ------
        SettingError
            If the report was made of figures alone.
        """
        if self.users is None:
            raise SettingError("this report holds no users, only their averages: evaluate() makes one that does")
        return self.users

    def _marked(self) -> dict[str, str]:
        return {"protocol": self.protocol} if self.protocol else {}


@dataclass(frozen=True)
class Comparison:
    """Several solvers on one split: for each its settings, its model, its report and its seconds of training."""

    solvers: Sequence[Any]
    models: Sequence[Factors]
    reports: Sequence[Report]
    seconds: Sequence[float]

    def _repr_html_(self) -> str:
        frame = self.to_frame()
        held_out = f"{self.reports[0].n_test:,} held-out ratings" if self.reports else ""
        return notebook.table("Comparison", frame.columns, frame.rows(), held_out)

    def to_frame(self) -> pl.DataFrame:
        """Return one row a solver: its name, its rank, its metrics, the seconds its fit took."""
        rows = [
            {"solver": type(solver).__name__, "rank": model.rank, **report.metrics, "fit_seconds": round(seconds, 3)}
            for solver, model, report, seconds in zip(
                self.solvers, self.models, self.reports, self.seconds, strict=True
            )
        ]
        return pl.DataFrame(rows, infer_schema_length=None)


def evaluate(
    model: Factors,
    test: Interactions,
    *,
    k: int | Sequence[int] | None = None,
    clip: bool = True,
    relevant_from: float | None = None,
    also: Iterable[str] = (),
) -> Report:
    """Measure a model on ratings that were held out from its training.

    A model for ratings is measured by its errors, and with ``k`` by its lists too; a model for ranking by its lists
    alone. Every item that was not seen in training is ranked, and every held-out one is relevant, whatever its value,
    unless ``relevant_from`` says otherwise.

    Parameters
    ----------
    model : Factors
    test : Interactions
        Held-out ratings. Ids are matched, so it may come from another file than the training data.
    k : int or several, optional
        The lengths of the lists to measure; 10 for a model that is trained for ranking.
    clip : bool
        Whether predictions are kept within the range of the training ratings first, as is customary.
    relevant_from : float, optional
        Only held-out ratings of at least this value are relevant in lists. Users without any are left out of the
        means over lists, and counted.
    also : iterable of str
        What is measured only on request: ``"auc"``, since it takes the scores of all items for every user.

    Returns
    -------
    Report

    Raises
    ------
    DataError
        If a test rating was in the training data, or none can be predicted.
    SettingError
        If a length is below 1, or ``also`` names what there is not.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.solvers import ImplicitALS
    >>> train, test = cf.load_dataset("synthetic:60x40x600").split_random(test_fraction=0.2, seed=0)
    >>> report = evaluate(ImplicitALS(rank=4, seed=0).fit(train), test, k=[5, 10])
    >>> report.n_test, report.protocol, report["recall@5"] < report["recall@10"]
    (120, 'full ranking', True)
    >>> low, high = report.interval("ndcg@10")
    >>> low < report["ndcg@10"] < high
    True
    """
    further = {also} if isinstance(also, str) else set(also)
    if unknown := sorted(further - set(FURTHER)):
        raise SettingError(f"also names {unknown[0]!r}: it can be {', '.join(map(repr, FURTHER))}")
    held_out = matched(model, test)
    lists_too = k is not None or model.objective.goal == "ranking"
    cut_offs = ranking.cut_offs_of(10 if k is None else k)
    relevant = held_out.relevant(relevant_from)
    audience = metrics.Audience.of(held_out.counts, model.n_users)
    columns, counts = measured_columns(model, held_out, relevant, audience, cut_offs if lists_too else None, clip=clip)
    catalogue = of_all_lists(counts, cut_offs) if lists_too else {}
    if "auc" in further:
        columns["auc"] = Column.of(ranking.areas_under(model, held_out.users, relevant))
    n_test = np.diff(held_out.matrix.indptr).astype(np.int64)
    users = PerUser(model.users.take(held_out.users), n_test, columns)
    return Report(
        {**users.averages(), **catalogue},
        int(n_test.sum()),
        held_out.n_unknown,
        len(n_test),
        int((np.diff(relevant.indptr) == 0).sum()),
        FULL if lists_too or further else "",
        users,
    )


def measured_columns(
    model: Factors,
    held_out: HeldOut,
    relevant: sparse.csr_array,
    audience: metrics.Audience,
    cut_offs: np.ndarray | None,
    *,
    clip: bool,
) -> tuple[dict[str, Column], np.ndarray]:
    """Measure each user's errors, where ratings are predicted, and each user's lists, where lengths are given.

    Returns
    -------
    dict of str to Column, numpy.ndarray of int64
        The figures of each user, and how often each item is listed: shape (cut-offs, items).
    """
    columns: dict[str, Column] = {}
    counts = np.zeros((0, model.n_items), np.int64)
    if model.objective.goal == "rating":
        columns |= _errors(model, held_out, clip and model.objective.scale is not None)
    if cut_offs is not None:
        of_lists = ranking.measured_lists(model, held_out.users, relevant, cut_offs, audience)
        columns |= list_columns(of_lists.values, cut_offs)
        counts = of_lists.counts
    return columns, counts


def _errors(model: Factors, held_out: HeldOut, clip: bool) -> dict[str, Column]:
    """Sum each user's squared and absolute errors."""
    lengths, table = np.diff(held_out.matrix.indptr), held_out.matrix
    squares, sizes = np.zeros(len(lengths)), np.zeros(len(lengths))
    for part in held_out.array_store.row_parts(lengths):
        some, users = rows_between(table, part.start, part.stop), held_out.users[part]
        predicted = ranking.scores_of(model, users, some).astype(np.float64)
        if clip:
            np.clip(predicted, *model.objective.scale, out=predicted)  # type: ignore[misc]
        difference = predicted - some.data
        who = np.repeat(np.arange(len(users)), lengths[part])
        squares[part], sizes[part] = (
            np.bincount(who, weights=of, minlength=len(users)) for of in (difference * difference, np.abs(difference))
        )
    counts = lengths.astype(np.float64)
    return {"mse": Column(squares, counts), "rmse": Column(squares, counts), "mae": Column(sizes, counts)}


def list_columns(values: np.ndarray, cut_offs: np.ndarray) -> dict[str, Column]:
    """Name what was measured of each user's lists: values of shape (cut-offs, metrics, users)."""
    names = [f"{name}@{k}" for k in cut_offs for name in metrics.LIST_METRICS]
    rows = values.reshape(len(names), -1)
    ones = np.ones(rows.shape[1])
    complete = not np.isnan(rows).any()
    return {name: Column(row, ones) if complete else Column.of(row) for name, row in zip(names, rows, strict=True)}


def of_all_lists(counts: np.ndarray, cut_offs: np.ndarray) -> dict[str, float]:
    """Return what is measured of all lists together, from how often each item is listed: (cut-offs, items)."""
    measured = {}
    for k, listed in zip(cut_offs, counts, strict=True):
        measured[f"coverage@{k}"] = float(np.count_nonzero(listed) / max(len(listed), 1))
        measured[f"gini@{k}"] = metrics.gini(listed)
    return measured


def compare(
    solvers: Iterable[Any],
    train: Interactions,
    test: Interactions,
    *,
    k: int | Sequence[int] | None = None,
    relevant_from: float | None = None,
    learns_from: Callable[[Any, Interactions], Interactions] | None = None,
    done: Callable[[Any, Report], None] | None = None,
) -> Comparison:
    """Train several solvers on the same data and measure each on the same held-out ratings.

    Parameters
    ----------
    solvers : iterable of solvers
    train, test : Interactions
    k : int or several, optional
        The lengths of the lists to measure; see `evaluate`.
    relevant_from : float, optional
        From which value on a held-out rating is relevant in lists; see `evaluate`.
    learns_from : callable, optional
        From a solver and ``train`` to what it learns from, such as weights for one that ranks. Its users, items and
        pairs must be those of ``train``, so that no solver lists what another may not.
    done : callable, optional
        Called with each solver and its report as soon as it is there.
    """
    tried, models, reports, seconds = [], [], [], []
    for solver in solvers:
        material = train if learns_from is None else learns_from(solver, train)
        start = time.perf_counter()
        model = solver.fit(material)
        seconds.append(time.perf_counter() - start)
        reports.append(evaluate(model, test, k=k, relevant_from=relevant_from))
        tried.append(solver)
        models.append(model)
        if done is not None:
            done(solver, reports[-1])
    return Comparison(tried, models, reports, seconds)
