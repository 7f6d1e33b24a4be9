"""Other ways to measure lists: among sampled negatives, and for users who come after training.

A report says by which protocol it was made: figures of different protocols must not be compared.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.interactions import Interactions
from cofactor.data.passes import counts_of, rows_between, stored_where, stores
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import DataError, SettingError
from cofactor.evaluation import ranking
from cofactor.evaluation.held_out import (
    Group,
    HeldOut,
    OnUnknown,
    check_on_unknown,
    matched,
    popular_group,
    relevant_among,
    table_in_rows_of,
)
from cofactor.evaluation.metrics import ItemPopularity
from cofactor.evaluation.per_user import Column
from cofactor.evaluation.report import Report, list_columns, of_all_lists, report_of, with_popular
from cofactor.model.factors import Factors, prepared_for, retriever_of

__all__ = ["evaluate_by_fold_in", "evaluate_sampled"]

USERS_AT_ONCE = 8192
"""How many users are folded in at a time."""

CASES_AT_ONCE = 4096
"""How many users' held-out items are ranked among sampled ones at a time."""

Negatives = Callable[[int, int], sparse.csr_array]
"""From a range of the users of a group to the negatives of their held-out items, a row for each of these."""


def evaluate_sampled(
    model: Factors,
    test: Interactions,
    *,
    k: int | Sequence[int] = 10,
    negatives: int | Interactions = 99,
    on_unknown: OnUnknown = "skip",
    seed: int = 0,
) -> Report:
    """Rank each held-out item among a few that its user never had: leave-one-out as He et al. (2017) measure it.

    The figures say how the item does among those few, not in the catalog: they are far higher than those of a full
    ranking and can put models in another order (Krichene and Rendle 2020, On Sampled Metrics for Item Recommendation).
    They are here because many published figures were measured so.

    Parameters
    ----------
    model : Factors
    test : Interactions
        Held-out items, usually one per user, as `Interactions.split_last` makes them; each of several is ranked by
        itself, and a user's figures are the means over them. Those with a value of 0 are not ranked.
    k : int or several
        The lengths of the lists.
    negatives : int or Interactions
        How many to draw for each held-out item, uniformly and none twice, among those the user had neither in training
        nor in ``test``; where fewer are left, all of them. Or the negatives of each user, as in files of NCF's layout:
        what the model does not know is left out, and so is what its user had in training or in ``test``.
    on_unknown : {"skip", "popular"}
        What to do with users who had nothing in training: leave them out, or score their items by popularity; see
        `evaluate`.
    seed : int
        Of the draw.

    Returns
    -------
    Report
        With ``hit@k``, ``ndcg@k`` (1 / log2(position + 1)) and ``mrr@k``. A negative with an equal score counts as
        ranked before the held-out item, so that a model that scores all items the same gets nothing.

    Raises
    ------
    DataError
        If a test row was in the training data, none can be ranked, or given negatives leave a user without any.
    SettingError
        If ``k`` or the number of negatives is no whole number of 1 or more.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.solvers import ImplicitALS
    >>> train, test = cf.load_dataset("synthetic:60x40x600").split_last()
    >>> report = evaluate_sampled(ImplicitALS(rank=4, seed=0).fit(train), test, negatives=9, k=5)
    >>> report.protocol, sorted(report.metrics)
    ('9 sampled negatives a user', ['hit@5', 'mrr@5', 'ndcg@5'])
    """
    cut_offs = ranking.cut_offs_of(k)
    held_out = matched(model, test, on_unknown)
    groups = [replace(group, matrix=group.relevant(None)) for group in held_out.groups]
    if isinstance(negatives, Interactions):
        sources, many = _given(model, groups, negatives)
    else:
        if isinstance(negatives, bool) or not isinstance(negatives, int | np.integer) or negatives < 1:
            raise SettingError(f"negatives is {negatives}: rank a held-out item among at least one, such as 99")
        random = np.random.default_rng(seed)
        sources, many = [_drawn(group, negatives, random) for group in groups], f"{negatives}"
    columns: dict[str, Column] = {}
    for group, source in zip(groups, sources, strict=True):
        for name, column in _columns_of(_positions(group, source), group.matrix, cut_offs).items():
            columns[name] = columns[name].followed_by(column) if name in columns else column
    protocol = with_popular(f"{many} sampled negatives a user", on_unknown)
    return report_of(held_out, columns, protocol, {}, [group.matrix for group in groups], None)


def _drawn(group: Group, n: int, random: np.random.Generator) -> Negatives:
    def draw(first: int, last: int) -> sparse.csr_array:
        part = rows_between(group.matrix, first, last)
        taken = either(group.model.seen[group.users[first:last]], part)
        return drawn(taken, _cases(part), n, random)

    return draw


def _given(model: Factors, groups: Sequence[Group], negatives: Interactions) -> tuple[list[Negatives], str]:
    """Return the negatives that were given and may be ranked, and how many they are."""
    tables = [_rankable(model, group, negatives) for group in groups]
    counts = np.concatenate([np.diff(table.indptr) for table in tables])
    if without := int((counts == 0).sum()):
        ids = [identifier for group in groups for identifier in group.model.users.take(group.users)]
        name = ids[int(np.argmin(counts))]
        raise DataError(f"{without:,} users, such as {name!r}, have no negative that may be ranked: give some for each")
    many = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    return [_rows_of(table, group) for table, group in zip(tables, groups, strict=True)], f"{many} given,"


def _rankable(model: Factors, group: Group, negatives: Interactions) -> sparse.csr_array:
    """Return those of the given negatives that a group's users had neither in training nor in the test."""
    table = table_in_rows_of(group.model.users, model.items, negatives)[group.users]
    who = _cases(table)
    seen = stores(group.model.seen, group.users[who], table.indices)
    return stored_where(table, ~(stores(group.matrix, who, table.indices) | seen))


def _rows_of(table: sparse.csr_array, group: Group) -> Negatives:
    return lambda first, last: table[first + _cases(rows_between(group.matrix, first, last))]


def _cases(part: sparse.csr_array) -> np.ndarray:
    """Return whose row each held-out item is in."""
    return np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))


def _positions(group: Group, negatives: Negatives) -> np.ndarray:
    """Return the position of each held-out item among its negatives, from 0; an equal score is ranked before it."""
    positions = [np.zeros(0, np.int64)]
    for first in range(0, len(group.users), CASES_AT_ONCE):
        last = min(first + CASES_AT_ONCE, len(group.users))
        part, users = rows_between(group.matrix, first, last), group.users[first:last]
        beside = negatives(first, last)
        own = ranking.scores_of(group.model, users, part)
        theirs = ranking.scores_of(group.model, users[_cases(part)], beside)
        case = _cases(beside)
        positions.append(np.bincount(case[theirs >= own[case]], minlength=part.nnz))
    return np.concatenate(positions)


def _columns_of(positions: np.ndarray, matrix: sparse.csr_array, cut_offs: np.ndarray) -> dict[str, Column]:
    """Average each user's figures over their held-out items."""
    who, counts = _cases(matrix), np.diff(matrix.indptr)
    columns = {}
    for k in cut_offs:
        inside = positions < k
        gains = {"hit": inside * 1.0, "ndcg": inside / np.log2(positions + 2), "mrr": inside / (positions + 1)}
        for name, gain in gains.items():
            sums = np.bincount(who, weights=gain, minlength=len(counts))
            columns[f"{name}@{k}"] = Column.of(
                np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)
            )
    return columns


def either(one: sparse.csr_array, other: sparse.csr_array) -> sparse.csr_array:
    """Return a table of the pairs that one of two tables stores, sorted; its values mean nothing."""
    ones = (sparse.csr_array((np.ones(t.nnz, np.int8), t.indices, t.indptr), shape=t.shape) for t in (one, other))
    both: sparse.csr_array = sum(ones, start=sparse.csr_array(one.shape, dtype=np.int8))
    both.sort_indices()
    return both


def drawn(taken: sparse.csr_array, cases: np.ndarray, n: int, random: np.random.Generator) -> sparse.csr_array:
    """Draw items for each case, uniformly and none twice.

    Parameters
    ----------
    taken : scipy.sparse.csr_array, shape (users, items)
        What it stores is never drawn.
    cases : numpy.ndarray of int, shape (cases,)
        Which user's row each case has.
    n : int
        How many to draw for each; where fewer are left, all of them.
    random : numpy.random.Generator

    Returns
    -------
    scipy.sparse.csr_array, shape (cases, items)
        What was drawn.
    """
    n_items = taken.shape[1]
    if n >= n_items:
        return _all_left(taken)[cases]
    tries = random.integers(0, n_items, (len(cases), 2 * n + 16))
    free = ~stores(taken, np.repeat(cases, tries.shape[1]), tries.ravel()).reshape(tries.shape)
    free &= _first_of_value(tries)
    found = np.cumsum(free, axis=1)
    chosen = free & (found <= n)
    for case in np.flatnonzero(found[:, -1] < n):  # many items are taken: choose among those left
        row = taken.indices[slice(*taken.indptr[cases[case] : cases[case] + 2])]
        left = np.setdiff1d(np.arange(n_items), row)
        few = random.choice(left, min(n, len(left)), replace=False)
        chosen[case] = np.arange(tries.shape[1]) < len(few)
        tries[case, : len(few)] = few
    indptr = np.concatenate([[0], np.cumsum(chosen.sum(axis=1))])
    return sparse.csr_array((np.ones(indptr[-1], np.int8), tries[chosen], indptr), shape=(len(cases), n_items))


def _all_left(taken: sparse.csr_array) -> sparse.csr_array:
    left = np.ones(taken.shape, np.int8)
    left[np.repeat(np.arange(taken.shape[0]), np.diff(taken.indptr)), taken.indices] = 0
    return sparse.csr_array(left)


def _first_of_value(tries: np.ndarray) -> np.ndarray:
    """Return for each entry whether it is the first of its value in its row."""
    order = np.argsort(tries, axis=1, kind="stable")
    in_order = np.take_along_axis(tries, order, axis=1)
    first = np.ones(tries.shape, bool)
    np.put_along_axis(first, order[:, 1:], in_order[:, 1:] != in_order[:, :-1], axis=1)
    return first


def evaluate_by_fold_in(
    model: Factors,
    known: Interactions,
    test: Interactions,
    *,
    k: int | Sequence[int] = 10,
    relevant_from: float | None = None,
    on_unknown: OnUnknown = "skip",
) -> Report:
    """Measure lists for users who come after training: strong generalization (Liang et al. 2018; Marlin 2004).

    Users whom the model was not trained on are folded in by what is known of them, everything else is ranked for them,
    and the lists are measured against what was held out. Both parts come from `Interactions.split_users`, whose second
    part is split per user.

    Parameters
    ----------
    model : Factors
    known : Interactions
        What the users are folded in by; it is never ranked for them. Items that the model does not know are left out.
    test : Interactions
        What was held out of the same users.
    k : int or several
        The lengths of the lists. Liang et al. take ``capped_recall`` at 20 and 50, and ``ndcg`` at 100.
    relevant_from : float, optional
        See `cofactor.evaluation.evaluate`.
    on_unknown : {"skip", "popular"}
        What to do with users of whom nothing is known that says something: leave them out, or measure the lists of
        popular items that they would be shown. They are counted either way.

    Returns
    -------
    Report
        With the metrics of lists.

    Raises
    ------
    DataError
        If the model was trained on one of the users, a rating is both known and held out, or none can be measured.
    SettingError
        If a length is below 1.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.solvers import ImplicitALS
    >>> train, visitors = cf.load_dataset("synthetic:90x40x900").split_users(n_users=20, seed=0)
    >>> known, test = visitors.split_per_user(test_fraction=0.2, seed=0)
    >>> report = evaluate_by_fold_in(ImplicitALS(rank=4, seed=0).fit(train), known, test, k=20)
    >>> report.protocol
    'full ranking for held-out users placed by fold-in'
    """
    cut_offs = ranking.cut_offs_of(k)
    check_on_unknown(on_unknown)
    given, held_out = _strangers(model, known, test, on_unknown)
    relevant = [relevant_among(group.matrix, relevant_from) for group in held_out.groups]
    retriever_of(model).prepare(len(held_out.known.users))  # all batches use it
    popularity = ItemPopularity.of(held_out.counts, model.n_users)
    values, counts = [], np.zeros((len(cut_offs), model.n_items), np.int64)
    ids = held_out.known.model.users.ids
    for first in range(0, len(ids), USERS_AT_ONCE):
        last = min(first + USERS_AT_ONCE, len(ids))
        batch = Interactions(Vocabulary(ids[first:last], kind="user"), model.items, given[first:last])
        placed, part = model.place(batch), rows_between(relevant[0], first, last)
        measured = ranking.measured_lists(placed, np.arange(last - first), part, cut_offs, popularity)
        values.append(measured.values)
        counts += measured.counts
    if (others := held_out.newcomers) is not None:
        measured = ranking.measured_lists(others.model, others.users, relevant[1], cut_offs, popularity)
        values.append(measured.values)
        counts += measured.counts
    columns = list_columns(np.concatenate(values, axis=-1), cut_offs)
    protocol = with_popular("full ranking for held-out users placed by fold-in", on_unknown)
    return report_of(held_out, columns, protocol, of_all_lists(counts, cut_offs), relevant, relevant_from)


def _strangers(
    model: Factors, known: Interactions, test: Interactions, on_unknown: OnUnknown
) -> tuple[sparse.csr_array, HeldOut]:
    """Return what is known of the users to fold in, and the held-out ratings of all who can be measured."""
    everybody = known.users if test.users == known.users else known.users.extended(test.users.ids)
    given = table_in_rows_of(everybody, model.items, known)
    table = table_in_rows_of(everybody, model.items, test)
    tested = np.diff(table.indptr) > 0
    history = np.diff(prepared_for(model, given).indptr) > 0
    rows, without = np.flatnonzero(tested & history), np.flatnonzero(tested & ~history)
    measured = np.concatenate([rows, without]) if on_unknown == "popular" else rows
    if not len(measured):
        raise DataError("no user has both something known and something held out: nothing can be measured")
    ids = everybody.take(measured)
    if trained := np.flatnonzero(model.users.find(ids) >= 0).tolist():
        raise DataError(
            f"{len(trained):,} of the users, such as {ids[trained[0]]!r}, are in the model already: hold users out "
            "with split_users(), or measure users of the model with evaluate()"
        )
    if overlap := int(stores(given, _cases(table), table.indices).sum()):
        raise DataError(
            f"{overlap:,} of the {table.nnz:,} test ratings are among the known ones, so the result would be "
            "flattering: split what is known of the users, such as with split_per_user()"
        )
    counts = counts_of(model.seen.indices, model.n_items)
    newcomers = None
    if on_unknown == "popular" and len(without):
        newcomers = popular_group(model, everybody.take(without), table[without], given[without])
    users = _named(everybody.take(rows), model)
    n_items = int(np.count_nonzero(counts[np.unique(table.indices)] == 0)) if model.seen.nnz else 0
    n_unknown = len(test) - int(np.diff(table.indptr)[measured].sum())
    group = Group(users, np.arange(len(rows)), table[rows])
    return given[rows], HeldOut(group, newcomers, n_unknown, len(without), n_items, counts)


def _named(ids: pl.Series, model: Factors) -> Factors:
    """Return a stand-in for the model of users who are folded in batch by batch: their ids, and the model's items."""
    return Factors(np.zeros((len(ids), 0)), np.zeros((model.n_items, 0)), Vocabulary(ids, kind="user"), model.items)
