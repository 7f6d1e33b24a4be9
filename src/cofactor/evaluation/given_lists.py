"""evaluate_lists: anybody's lists, from another library or a running service, through the same metrics."""

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.interactions import Interactions
from cofactor.data.passes import stores
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import DataError
from cofactor.evaluation import ranking
from cofactor.evaluation.beyond import BeyondHits
from cofactor.evaluation.held_out import HeldOut, OnNewItems, matched
from cofactor.evaluation.metrics import REQUESTED_METRICS, ItemPopularity
from cofactor.evaluation.per_user import Column
from cofactor.evaluation.report import FULL, Report, checked_requests, list_columns, of_all_lists, report_of
from cofactor.lists.rerank import Ranked
from cofactor.model.checks import check_interactions
from cofactor.model.factors import Factors, attributes_of
from cofactor.model.objectives.complete import Complete
from cofactor.model.origin import Origin

__all__ = ["evaluate_lists"]

log = logging.getLogger("cofactor")

OF_TRAINING = ("novelty", "popularity_share")
"""What cannot be told without the training data."""


def evaluate_lists(
    lists: Any,
    test: Interactions,
    train: Interactions | None = None,
    *,
    k: int | Sequence[int] = 10,
    relevant_from: float | None = None,
    on_new_items: OnNewItems | None = None,
    also: Iterable[str] | None = None,
    by: str = "genres",
) -> Report:
    """Measure lists that anybody made, as `evaluate` measures those of a model.

    The metrics, intervals and `better` are the same, so that another library, or what is in production, can be compared
    with a model on the same users and held-out ratings. The lists count as rankings of all items.

    Parameters
    ----------
    lists : data frame
        With the columns user, item and position; for each user, the items in the order of their positions. Lists of
        users without held-out ratings are not looked at. Users without a list, and lists that are shorter than ``k``,
        miss what they do not list.
    test : Interactions
        Held-out ratings.
    train : Interactions, optional
        What the lists were made from. It says which users and items can be measured, as in `evaluate`, and what
        novelty, popularity_share and calibration are. Without it, every held-out rating is measured, and these are not.
    k : int or several
        The lengths to measure.
    relevant_from : float, optional
        Only held-out ratings of at least this value are relevant; see `evaluate`.
    on_new_items : {"miss", "skip"}, optional
        What to do with held-out items that nobody had in training; see `evaluate`.
    also : iterable of str, optional
        What to measure beyond the hits; see `evaluate`. By default all that can be: ``"ild"`` where ``by`` is known of
        the items, with ``train`` also ``"calibration"`` and recall by thirds of the training data.
    by : str
        The column of the items that ``"ild"`` and ``"calibration"`` are measured by.

    Returns
    -------
    Report

    Raises
    ------
    DataError
        If the frame lacks a column, lists an item twice for a user, or has two items at one position; if a test rating
        was in the training data, or no user can be measured.
    SettingError
        If a length is below 1, or ``also`` or ``on_new_items`` is not one of the choices.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.evaluation import better, evaluate, evaluate_lists
    >>> from cofactor.solvers import ImplicitALS, Popularity
    >>> train, test = cf.load_dataset("synthetic:200x80x4000").split_random(test_fraction=0.2, seed=0)
    >>> model = ImplicitALS(rank=4, seed=0).fit(train)
    >>> report = evaluate_lists(model.recommend(train.users, on_unknown="skip"), test, train)
    >>> report["ndcg@10"] == evaluate(model, test)["ndcg@10"]
    True
    >>> better(report, evaluate(Popularity().fit(train), test), "ndcg@10").n_users
    168
    """
    cut_offs = ranking.cut_offs_of(k)
    check_interactions(test)
    frame = _checked(lists)
    stand_in = _without_training(test) if train is None else _trained_on(train)
    names = _possible(stand_in, train, by) if also is None else checked_requests(also, REQUESTED_METRICS)
    held_out = matched(stand_in, test, "skip", on_new_items)
    beyond = BeyondHits.of(names, attributes_of(stand_in), by, held_out.counts)
    relevant = held_out.known.relevant(relevant_from)
    ranked, n_listed = _ranked(frame, held_out, stand_in, int(cut_offs[-1]))
    counts = np.concatenate([held_out.counts, np.zeros(n_listed - stand_in.n_items, np.int64)])
    popularity = ItemPopularity.of(counts, stand_in.n_users)
    history = stand_in.seen[held_out.known.users]
    _tell(ranked, held_out, history)
    measured = ranking.measured_given(ranked, relevant, cut_offs, popularity, beyond, history)
    columns = list_columns(measured.values, cut_offs)
    columns |= {name: Column.of(values) for name, values in measured.beyond.items()}
    if train is None:
        columns = {name: column for name, column in columns.items() if name.partition("@")[0] not in OF_TRAINING}
    return report_of(held_out, columns, FULL, of_all_lists(measured.counts, cut_offs), [relevant], relevant_from)


def _checked(lists: Any) -> pl.DataFrame:
    """Return the lists' rows in order: user, item, position."""
    from cofactor.data.frames import as_polars  # brings narwhals

    frame = as_polars(lists)
    if missing := [name for name in ("user", "item", "position") if name not in frame.columns]:
        raise DataError(
            f"the lists have no column {missing[0]!r}, but {', '.join(frame.columns)}: they must have user, item and "
            "position"
        )
    frame = frame.select("user", "item", "position")
    if not frame["position"].dtype.is_numeric() or frame["position"].null_count():
        raise DataError("the positions of the lists must be numbers: 1 for the first item of each user, and so on")
    for second, says in (("item", "lists item {!r} twice"), ("position", "has two items at position {!r}")):
        if len(twice := frame.filter(pl.struct("user", second).is_duplicated())):
            raise DataError(f"the list of user {twice['user'][0]!r} {says.format(twice[second][0])}")
    return frame.sort("user", "position", maintain_order=True)


def _trained_on(train: Interactions) -> Factors:
    """Return a model that knows what a table says, and recommends nothing."""
    check_interactions(train)
    return Factors(
        np.zeros((train.n_users, 0)),
        np.zeros((train.n_items, 0)),
        train.users,
        train.items,
        seen=train.matrix,
        metadata=train.metadata,
        objective=Complete(goal="ranking"),
        origin=Origin("lists", period=train.period),
    )


def _without_training(test: Interactions) -> Factors:
    """Return a model to which all users and items of some ratings are known, by what nobody knows."""
    vectors = np.ones((test.n_users, 1)), np.ones((test.n_items, 1))
    return Factors(*vectors, test.users, test.items, metadata=test.metadata)


def _possible(stand_in: Factors, train: Interactions | None, by: str) -> list[str]:
    """Return what can be measured beyond the hits."""
    known = by in stand_in.item_table.columns
    of_training = {metric.name for metric in REQUESTED_METRICS} - {"ild"}
    names = ({"ild"} if known else set()) | (of_training if train is not None else set())
    return sorted(names - (set() if known else {"calibration"}))


def _ranked(frame: pl.DataFrame, held_out: HeldOut, stand_in: Factors, longest: int) -> tuple[Ranked, int]:
    """Return the measured users' lists as rows, and how many items there are with those that are listed alone."""
    users = Vocabulary(held_out.users, kind="user")
    _check_kinds(frame, users, stand_in.items)
    items = stand_in.items.extended(frame["item"])
    rows = users.find(frame["user"]).astype(np.int64)
    frame = frame.with_columns(row=pl.Series(rows)).filter(pl.col("row") >= 0).sort("row", maintain_order=True)
    place = pl.int_range(pl.len()).over("row")
    frame = frame.filter(place < longest)
    columns = frame["row"].to_numpy(), items.find(frame["item"]).astype(np.int64)
    return Ranked(*columns, np.zeros(len(frame), np.float32)), len(items)


def _check_kinds(frame: pl.DataFrame, users: Vocabulary, items: Vocabulary) -> None:
    for name, known in (("user", users), ("item", items)):
        if len(frame) and (frame[name].dtype == pl.String) == known.holds_integers:
            raise DataError(
                f"the lists name {name}s such as {frame[name][0]!r}, and the ratings such as {known[0]!r}: give ids of "
                "one type"
            )


def _tell(ranked: Ranked, held_out: HeldOut, history: sparse.csr_array) -> None:
    """Say what makes figures low without being the ranking's fault."""
    n_users = len(held_out.known.users)
    without = n_users - len(np.unique(ranked.users))
    if without:
        log.info("%s of %s users have no list: they count as misses", f"{without:,}", f"{n_users:,}")
    inside = ranked.items < history.shape[1]
    had = int(stores(history, ranked.users[inside], ranked.items[inside]).sum())
    if had:
        log.info("%s of %s listed items were in training: they cannot be hits", f"{had:,}", f"{len(ranked.items):,}")
