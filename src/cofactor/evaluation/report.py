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
from cofactor.data.passes import rows_between, stored_where
from cofactor.data.times import shown_length
from cofactor.data.vocabulary import Id, id_series
from cofactor.errors import DataError, SettingError
from cofactor.evaluation import ranking
from cofactor.evaluation.beyond import BeyondHits
from cofactor.evaluation.held_out import Group, HeldOut, OnNewItems, OnUnknown, matched
from cofactor.evaluation.metrics import (
    CATALOG_METRICS,
    ERROR_METRICS,
    LIST_METRICS,
    REQUESTED_METRICS,
    SCORE_METRICS,
    ItemPopularity,
    Metric,
)
from cofactor.evaluation.per_user import Column, Pairs, PerUser, percentiles
from cofactor.model.factors import Factors, attributes_of

__all__ = [
    "FULL",
    "Comparison",
    "Report",
    "checked_requests",
    "compare",
    "evaluate",
    "label_of_solver",
    "list_columns",
    "measured_columns",
    "of_all_lists",
    "report_of",
    "unbeaten",
    "with_popular",
]

FULL = "full ranking"


@dataclass(frozen=True)
class Report:
    """How a model does on held-out ratings. `cofactor.evaluation.metrics` defines each figure.

    Parameters
    ----------
    metrics : mapping of str to float
        ``mse``, ``rmse`` and ``mae`` of a model for ratings; ``ndcg@10`` and the others if lists were measured; ``auc``
        if it was asked for. NaN if no user has a value.
    n_test : int
        How many held-out ratings were used.
    n_unknown : int
        How many were left out, because nothing was learnt of the user, the model does not know the item, or nobody had
        it in training and ``on_new_items`` is ``"skip"``.
    n_users : int
        How many users were measured.
    n_without_relevant : int
        How many of them have no relevant item among their held-out ones, and so are in no mean over lists.
    protocol : str
        What was ranked, such as ``"full ranking"`` or ``"99 sampled negatives a user"``; empty if no list was made.
        Figures of different protocols must not be compared.
    n_without_history : int
        How many users with held-out ratings had nothing in training, so that nothing was learnt of them. They are left
        out, or with ``on_unknown="popular"`` measured by the popular items.
    n_items_without_history : int
        How many of the held-out items nobody had in training.
    relevant_from : float, optional
        From which value on a held-out rating was relevant in lists; None if all but those of 0 were.
    on_new_items : {"miss", "skip"}
        Whether items that nobody had in training stayed relevant, so that lists that miss them are charged, or were
        left out.
    seconds_ahead : float
        How far the training data reach into the period of the held-out ratings, as with a random split; 0 if they end
        before it, or times are not known.
    users : PerUser, optional
        What was measured of each user, from which intervals are computed; a report from Spark has averages only.
    """

    metrics: Mapping[str, float]
    n_test: int
    n_unknown: int = 0
    n_users: int = 0
    n_without_relevant: int = 0
    protocol: str = ""
    n_without_history: int = 0
    n_items_without_history: int = 0
    relevant_from: float | None = None
    on_new_items: OnNewItems = "miss"
    seconds_ahead: float = 0.0
    users: PerUser | None = field(default=None, repr=False, compare=False)

    def __getitem__(self, name: str) -> float:
        if name not in self.metrics:
            raise SettingError(f"no {name!r} in this report; available: {', '.join(self.metrics)}")
        return self.metrics[name]

    def _repr_html_(self) -> str:
        held_out = f"{self.n_test:,} held-out ratings of {self.n_users:,} users"
        left_out = f", {self.n_unknown:,} left out as unknown" if self.n_unknown else ""
        without = f", {self.n_without_history:,} users without history" if self.n_without_history else ""
        title = f"Report: {self.protocol}" if self.protocol else "Report"
        below = "; ".join([held_out + left_out + without, *self.notes])
        return notebook.table(title, ("metric", "value"), self.metrics.items(), below)

    @property
    def counts(self) -> dict[str, int]:
        """The counts by their names; those that are only of interest if there are any are left out at 0."""
        always = {"n_test": self.n_test, "n_unknown": self.n_unknown, "n_users": self.n_users}
        sometimes = ("n_without_relevant", "n_without_history", "n_items_without_history")
        return always | {name: getattr(self, name) for name in sometimes if getattr(self, name)}

    @property
    def notes(self) -> list[str]:
        """What a reader must know before believing the figures, in sentences: that the model has seen the future."""
        if not self.seconds_ahead:
            return []
        return [
            f"the training data reach {shown_length(self.seconds_ahead)} into the test period: these are figures of a "
            "split that is not by date, so expect less tomorrow"
        ]

    def to_frame(self) -> pl.DataFrame:
        """Return one row with a column for each metric, the counts, and the protocol if lists were measured."""
        return pl.DataFrame([{**self.metrics, **self.counts, **self._marked()}])

    @property
    def per_user(self) -> pl.DataFrame:
        """One row per user: user, n_test and a column for each metric that has a value for each user."""
        return self.measured_users().to_frame()

    def interval(self, name: str, level: float = 0.95) -> tuple[float, float]:
        """Return the confidence interval of a metric over the choice of users.

        The users are drawn with replacement 1000 times, from a fixed seed, and the metric is computed over each draw;
        the bounds are percentiles of these figures (Efron and Tibshirani 1993, An Introduction to the Bootstrap,
        chapter 13). An error over all ratings is a ratio of sums over users, and is resampled as such.

        Parameters
        ----------
        name : str
            Of a metric that is an average over users.
        level : float
            The probability, between 0 and 1.

        Raises
        ------
        SettingError
            If there is no such metric, or users have no value of it, as of coverage and gini.
        """
        check_level(level)
        resampled = self.measured_users().resampled
        if name not in resampled:
            raise SettingError(f"no per-user {name!r}; available: {', '.join(resampled)}")
        return (np.nan, np.nan) if np.isnan(self.metrics[name]) else percentiles(resampled[name], level)

    def intervals(self, level: float = 0.95) -> pl.DataFrame:
        """Return every metric with its `interval`: metric, value, low, high; null if it has none.

        If lists were measured, a column says by which protocol.
        """
        averaged = self.measured_users().columns
        rows = []
        for name, value in self.metrics.items():
            low, high = self.interval(name, level) if name in averaged else (None, None)
            rows.append({"metric": name, "value": value, "low": low, "high": high, **self._marked()})
        floats = {"value": pl.Float64, "low": pl.Float64, "high": pl.Float64}
        return pl.DataFrame(rows, schema_overrides=floats, infer_schema_length=None)

    def by(self, people: Any, column: str, level: float = 0.95) -> pl.DataFrame:
        """Return every metric of each group of users, with its interval: are some of them served worse?

        Parameters
        ----------
        people : data frame
            With the columns user and ``column``.
        column : str
            What to group by, such as ``"gender"``; users it is not known of are a group of their own, null.
        level : float
            The probability of the intervals, which are made as in `interval`, within each group.

        Returns
        -------
        polars.DataFrame
            The column, n_users, metric, value, low, high: groups in their order, and in each the metrics in theirs.

        Raises
        ------
        DataError
            If the frame lacks a column, or says two things of a user.
        SettingError
            If the report has averages only, or ``level`` is not between 0 and 1.

        Examples
        --------
        >>> import cofactor as cf
        >>> from cofactor.solvers import ImplicitALS
        >>> train, test = cf.load_dataset("synthetic:60x40x600").split_random(test_fraction=0.2, seed=0)
        >>> report = evaluate(ImplicitALS(rank=4, seed=0).fit(train), test)
        >>> people = pl.DataFrame({"user": range(1, 61), "club": ["gold", "blue"] * 30})
        >>> report.by(people, "club").filter(pl.col("metric") == "ndcg@10")["club"].to_list()
        ['blue', 'gold']
        """
        from cofactor.evaluation.by_group import by_group

        check_level(level)
        return by_group(self.measured_users(), people, column, level)

    def measured_users(self) -> PerUser:
        """Return what was measured of each user.

        Raises
        ------
        SettingError
            If the report has averages only.
        """
        if self.users is None:
            raise SettingError("this report has averages only: cofactor.evaluation.evaluate() makes one with users")
        return self.users

    def _marked(self) -> dict[str, str]:
        return {"protocol": self.protocol} if self.protocol else {}


def check_level(level: float) -> None:
    """Refuse what is no probability of an interval."""
    if not 0 < level < 1:
        raise SettingError(f"level is {level}: it must lie between 0 and 1, such as 0.95")


def label_of_solver(solver: Any) -> str:
    """Return what tables call a solver: its name, or what it says of itself."""
    return str(getattr(solver, "label", type(solver).__name__))


@dataclass(frozen=True)
class Comparison:
    """Several solvers on one split: for each its settings, its model, its report and how many seconds its fit took."""

    solvers: Sequence[Any]
    models: Sequence[Factors]
    reports: Sequence[Report]
    seconds: Sequence[float]

    def _repr_html_(self) -> str:
        frame = self.to_frame()
        held_out = f"{self.reports[0].n_test:,} held-out ratings" if self.reports else ""
        return notebook.table("Comparison", frame.columns, frame.rows(), held_out)

    def to_frame(self) -> pl.DataFrame:
        """Return one row per solver: its name, its rank, its metrics, users without history, seconds of its fit."""
        any_without = any(report.n_without_history for report in self.reports)
        rows = [
            {
                "solver": label_of_solver(solver),
                "rank": model.rank,
                **report.metrics,
                **({"n_without_history": report.n_without_history} if any_without else {}),
                "fit_seconds": round(seconds, 3),
            }
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
    on_unknown: OnUnknown = "skip",
    on_new_items: OnNewItems | None = None,
    candidates: Iterable[Id] | None = None,
    also: Iterable[str] = (),
    by: str = "genres",
) -> Report:
    """Measure a model on ratings that were held out from its training.

    A model for ratings is measured by its errors, and with ``k`` by its lists too; a model for ranking by its lists.
    Every item that the user did not have in training is ranked. Every held-out item is relevant, whatever its value,
    unless that is 0 or ``relevant_from`` says otherwise.

    Parameters
    ----------
    model : Factors
    test : Interactions
        Held-out ratings. Ids are matched, so it may come from another file than the training data.
    k : int or several, optional
        The lengths of the lists to measure; 10 for a model that is trained for ranking.
    clip : bool
        Whether predictions are first clipped to the range of the training ratings, as is customary.
    relevant_from : float, optional
        Only held-out ratings of at least this value are relevant in lists. Users without any are left out of the
        means over lists, and counted.
    on_unknown : {"skip", "popular"}
        What to do with users of whom nothing was learnt, because they had nothing in training: leave them out, or
        measure the lists of popular items that they would be shown. They are counted either way. Errors of predicted
        ratings are always of the other users.
    on_new_items : {"miss", "skip"}, optional
        What to do with held-out items that nobody had in training: keep them, though no list is likely to have them, or
        leave them out. They are counted either way. By default, they are left out if all held-out ratings are later
        than the training data, as in a split by time: nobody could know of them before.
    candidates : iterable of str or int, optional
        Only these items are ranked, and only they are relevant: the new items of a catalogue among themselves, say.
    also : iterable of str
        What is measured on request only: ``"auc"``, since it takes the scores of all items for every user; of lists
        ``"ild"`` and ``"calibration"``, how far their items and their mix differ by an attribute, and
        ``"recall_popular"``, ``"recall_middle"`` and ``"recall_rare"``, recall by thirds of the training data.
    by : str
        The column of the items that ``"ild"`` and ``"calibration"`` are measured by.

    Returns
    -------
    Report

    Raises
    ------
    DataError
        If a test rating was in the training data, or no user can be measured.
    SettingError
        If a length is below 1, or ``also``, ``on_unknown`` or ``on_new_items`` is not one of the choices; if nothing is
        known of the items under ``by`` where that is needed.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.solvers import ImplicitALS
    >>> train, test = cf.load_dataset("synthetic:60x40x600").split_random(test_fraction=0.2, seed=0)
    >>> report = evaluate(ImplicitALS(rank=4, seed=0).fit(train), test, k=[5, 10])
    >>> report.n_test, report.protocol, report["recall@5"] < report["recall@10"]
    (118, 'full ranking', True)
    >>> low, high = report.interval("ndcg@10")
    >>> low < report["ndcg@10"] < high
    True
    """
    further = checked_requests(also, (*SCORE_METRICS, *REQUESTED_METRICS))
    held_out = matched(model, test, on_unknown, on_new_items)
    lists_too = k is not None or model.objective.goal == "ranking"
    cut_offs = ranking.cut_offs_of(10 if k is None else k) if lists_too else None
    relevant = [group.relevant(relevant_from) for group in held_out.groups]
    rows = None if candidates is None else _rows_of(model, candidates)
    if rows is not None:
        relevant = [stored_where(table, np.isin(table.indices, rows)) for table in relevant]
    popularity = ItemPopularity.of(held_out.counts, model.n_users)
    beyond = BeyondHits.of(further, attributes_of(model), by, held_out.counts)
    if beyond is not None and cut_offs is None:
        raise SettingError(f"also names {beyond.names[0]!r}, which is of lists: say how long they are by k")
    columns, counts = measured_columns(
        held_out.known, relevant[0], popularity, cut_offs, rows, clip=clip, beyond=beyond
    )
    if held_out.newcomers is not None:
        more, listed = measured_columns(
            held_out.newcomers, relevant[1], popularity, cut_offs, rows, lists_only=True, beyond=beyond
        )
        columns, counts = _joined(columns, more, len(held_out.newcomers.users)), counts + listed
    if "auc" in further:
        areas = [
            ranking.areas_under(g.model, g.users, wanted) for g, wanted in zip(held_out.groups, relevant, strict=True)
        ]
        columns["auc"] = Column.of(np.concatenate(areas))
    ranked = FULL if rows is None else f"{FULL} of {len(rows):,} items"
    protocol = with_popular(ranked, on_unknown) if lists_too or further else ""
    return report_of(held_out, columns, protocol, of_all_lists(counts, cut_offs), relevant, relevant_from)


def _rows_of(model: Factors, candidates: Iterable[Id]) -> np.ndarray:
    """Return the sorted rows of items among which lists are made."""
    found = model.items.find(id_series(candidates, "item"))
    rows = np.unique(found[found >= 0])
    if not len(rows):
        raise DataError("candidates names no item of the model: give ids as the model has them, in model.items")
    return rows


def checked_requests(also: Iterable[str], possible: Sequence[Metric]) -> set[str]:
    """Return the names of what is to be measured on request, or raise SettingError."""
    asked, names = ({also} if isinstance(also, str) else set(also)), [metric.name for metric in possible]
    if unknown := sorted(asked - set(names)):
        raise SettingError(f"also names {unknown[0]!r}: it can be {', '.join(map(repr, names))}")
    return asked


def unbeaten(report: Report, label: str, baseline: Report, k: int = 10) -> list[str]:
    """Return what is to be said of lists that are no better than those of a baseline; nothing if they are."""
    metric = f"ndcg@{k}"
    if not (metric in report.metrics and metric in baseline.metrics and report[metric] <= baseline[metric]):
        return []
    values = f"{report[metric]:.4f} against {baseline[metric]:.4f}"
    return [f"these lists do not beat {label[:1].lower()}{label[1:]}: {metric} {values}"]


def with_popular(protocol: str, on_unknown: OnUnknown) -> str:
    """Return the name of a protocol, with what users without history were shown if they were measured."""
    return f"{protocol}, popular items for users without history" if on_unknown == "popular" else protocol


def report_of(
    held_out: HeldOut,
    columns: Mapping[str, Column],
    protocol: str,
    of_all: Mapping[str, float],
    relevant: Sequence[sparse.csr_array],
    relevant_from: float | None,
) -> Report:
    """Return the report of what was measured of the users of each group."""
    n_test = np.concatenate([group.n_test for group in held_out.groups])
    users = PerUser(held_out.users, n_test, columns, Pairs(held_out.known.model.items, held_out.matrix))
    return Report(
        {**users.averages(), **of_all},
        n_test=int(n_test.sum()),
        n_unknown=held_out.n_unknown,
        n_users=len(n_test),
        n_without_relevant=sum(int((np.diff(table.indptr) == 0).sum()) for table in relevant),
        protocol=protocol,
        n_without_history=held_out.n_without_history,
        n_items_without_history=held_out.n_items_without_history,
        relevant_from=relevant_from,
        on_new_items=held_out.on_new_items,
        seconds_ahead=held_out.seconds_ahead,
        users=users,
    )


def _joined(known: Mapping[str, Column], more: Mapping[str, Column], n: int) -> dict[str, Column]:
    """Put the columns of ``n`` more users below those of the others; they have no value of what is missing there."""
    nothing = Column(np.zeros(n), np.zeros(n))
    return {name: column.followed_by(more.get(name, nothing)) for name, column in known.items()}


def measured_columns(
    group: Group,
    relevant: sparse.csr_array,
    popularity: ItemPopularity,
    cut_offs: np.ndarray | None,
    candidates: np.ndarray | None = None,
    *,
    clip: bool = False,
    lists_only: bool = False,
    beyond: BeyondHits | None = None,
) -> tuple[dict[str, Column], np.ndarray]:
    """Measure each user's errors, if ratings are predicted, and each user's lists, if lengths are given.

    Returns
    -------
    dict of str to Column, numpy.ndarray of int64
        The figures of each user, and how often each item is listed: shape (cut-offs, items).
    """
    columns: dict[str, Column] = {}
    model, counts = group.model, np.zeros((0, group.model.n_items), np.int64)
    if model.objective.goal == "rating" and not lists_only:
        columns |= _errors(group, clip and model.objective.scale is not None)
    if cut_offs is not None:
        of_lists = ranking.measured_lists(model, group.users, relevant, cut_offs, popularity, candidates, beyond)
        columns |= list_columns(of_lists.values, cut_offs)
        columns |= {name: Column.of(values) for name, values in of_lists.beyond.items()}
        counts = of_lists.counts
    return columns, counts


def _errors(group: Group, clip: bool) -> dict[str, Column]:
    """Sum each user's losses."""
    lengths, table = np.diff(group.matrix.indptr), group.matrix
    losses = {metric.loss: np.zeros(len(lengths)) for metric in ERROR_METRICS}
    for part in group.array_store.row_parts(lengths):
        some, users = rows_between(table, part.start, part.stop), group.users[part]
        predicted = ranking.scores_of(group.model, users, some).astype(np.float64)
        if clip:
            np.clip(predicted, *group.model.objective.scale, out=predicted)  # type: ignore[misc]
        difference = predicted - some.data
        who = np.repeat(np.arange(len(users)), lengths[part])
        for loss, sums in losses.items():
            sums[part] = np.bincount(who, weights=loss(difference), minlength=len(users))
    counts = lengths.astype(np.float64)
    return {metric.name: Column(losses[metric.loss], counts) for metric in ERROR_METRICS}


def list_columns(values: np.ndarray, cut_offs: np.ndarray) -> dict[str, Column]:
    """Name what was measured of each user's lists: values of shape (cut-offs, metrics, users)."""
    names = [f"{metric.name}@{k}" for k in cut_offs for metric in LIST_METRICS]
    rows = values.reshape(len(names), -1)
    ones = np.ones(rows.shape[1])
    complete = not np.isnan(rows).any()
    return {name: Column(row, ones) if complete else Column.of(row) for name, row in zip(names, rows, strict=True)}


def of_all_lists(counts: np.ndarray, cut_offs: np.ndarray | None) -> dict[str, float]:
    """Return what is measured of all lists together, from how often each item is listed: (cut-offs, items)."""
    if cut_offs is None:
        return {}
    return {
        f"{metric.name}@{k}": metric.value(listed)
        for k, listed in zip(cut_offs, counts, strict=True)
        for metric in CATALOG_METRICS
    }


def compare(
    solvers: Iterable[Any],
    train: Interactions,
    test: Interactions,
    *,
    k: int | Sequence[int] | None = None,
    relevant_from: float | None = None,
    on_unknown: OnUnknown = "skip",
    on_new_items: OnNewItems | None = None,
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
    on_unknown : {"skip", "popular"}
        What to do with users who had nothing in training; see `evaluate`.
    on_new_items : {"miss", "skip"}, optional
        What to do with held-out items that nobody had in training; see `evaluate`.
    done : callable, optional
        Called with each solver and its report when it is finished.
    """
    tried, models, reports, seconds = [], [], [], []
    for solver in solvers:
        start = time.perf_counter()
        model = solver.fit(train)
        seconds.append(time.perf_counter() - start)
        report = evaluate(
            model, test, k=k, relevant_from=relevant_from, on_unknown=on_unknown, on_new_items=on_new_items
        )
        reports.append(report)
        tried.append(solver)
        models.append(model)
        if done is not None:
            done(solver, report)
    return Comparison(tried, models, reports, seconds)
