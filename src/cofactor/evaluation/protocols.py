"""Other ways to measure lists: against sampled negatives, and for users who come after training.

Reports say by which protocol they were made: figures of different protocols must not be compared.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse

from cofactor.data.interactions import Interactions
from cofactor.data.passes import counts_of
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import DataError, SettingError
from cofactor.evaluation import metrics, negative_items, ranking
from cofactor.evaluation.held_out import (
    HeldOut,
    among,
    matched,
    relevant_among,
    rows_between,
    stored_where,
    table_in_rows_of,
)
from cofactor.evaluation.per_user import Column, PerUser
from cofactor.evaluation.report import Report, list_columns, of_all_lists
from cofactor.model.factors import Factors, retriever_of

__all__ = ["evaluate_by_fold_in", "evaluate_sampled"]

USERS_AT_ONCE = 8192
"""Users placed at a time."""

CASES_AT_ONCE = 4096
"""Users whose held-out items are ranked among sampled ones at a time."""

Negatives = Callable[[int, int], sparse.csr_array]
"""From a range of the measured users to the negatives of their held-out items, a row for each of these."""


def evaluate_sampled(
    model: Factors,
    test: Interactions,
    *,
    k: int | Sequence[int] = 10,
    negatives: int | Interactions = 99,
    seed: int = 0,
) -> Report:
    """Rank each held-out item among a few that its user never met: leave-one-out as He et al. (2017) measure it.

    The figures say how the item does among those few, not in the catalogue: they are far higher than those of a full
    ranking and can put models in another order (Krichene and Rendle 2020, On Sampled Metrics for Item Recommendation).
    They are here since much that is published was measured so.

    Parameters
    ----------
    model : Factors
    test : Interactions
        Held-out items, usually one a user, as `Interactions.split_last` makes them; each of several is ranked by
        itself, and a user's figures are the means over them.
    k : int or several
        The lengths of the lists.
    negatives : int or Interactions
        How many to draw for each held-out item, uniformly and none twice, among those the user had neither in training
        nor in ``test``; where fewer are left, all of them. Or the negatives of each user, as in files of NCF's layout:
        what the model does not know is left out, and so is what its user had in training or in ``test``.
    seed : int
        Of the draw.

    Returns
    -------
    Report
        With ``hit@k``, ``ndcg@k`` (1 / log2(place + 1)) and ``mrr@k``. A negative with an equal score counts as placed
        before the held-out item, so that a model to which all items are equal gets nothing.

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
    held_out = matched(model, test)
    if isinstance(negatives, Interactions):
        source, many = _given(model, held_out, negatives)
    else:
        if isinstance(negatives, bool) or not isinstance(negatives, int | np.integer) or negatives < 1:
            raise SettingError(f"negatives is {negatives}: rank a held-out item among at least one, such as 99")
        source, many = _drawn(model, held_out, negatives, seed), f"{negatives}"
    columns = _columns_of(_places(model, held_out, source), held_out, cut_offs)
    n_test = np.diff(held_out.matrix.indptr).astype(np.int64)
    users = PerUser(model.users.take(held_out.users), n_test, columns)
    protocol = f"{many} sampled negatives a user"
    return Report(users.averages(), int(n_test.sum()), held_out.n_unknown, len(n_test), 0, protocol, users)


def _drawn(model: Factors, held_out: HeldOut, n: int, seed: int) -> Negatives:
    random = np.random.default_rng(seed)

    def draw(first: int, last: int) -> sparse.csr_array:
        part = rows_between(held_out.matrix, first, last)
        taken = negative_items.either(model.seen[held_out.users[first:last]], part)
        return negative_items.drawn(taken, _cases(part), n, random)

    return draw


def _given(model: Factors, held_out: HeldOut, negatives: Interactions) -> tuple[Negatives, str]:
    """Return the negatives that were given and may be ranked, and how many they are."""
    table = table_in_rows_of(model.users, model.items, negatives)[held_out.users]
    who = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
    taken = among(held_out.matrix, who, table.indices) | among(model.seen, held_out.users[who], table.indices)
    table = stored_where(table, ~taken)
    counts = np.diff(table.indptr)
    if without := int((counts == 0).sum()):
        name = model.users[int(held_out.users[np.argmin(counts)])]
        raise DataError(f"{without:,} users, such as {name!r}, have no negative that may be ranked: give some for each")
    many = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    return lambda first, last: table[first + _cases(rows_between(held_out.matrix, first, last))], f"{many} given,"


def _cases(part: sparse.csr_array) -> np.ndarray:
    """Return whose row each held-out item is in."""
    return np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))


def _places(model: Factors, held_out: HeldOut, negatives: Negatives) -> np.ndarray:
    """Return the place of each held-out item among its negatives, from 0; an equal score stands before it."""
    places = []
    for first in range(0, len(held_out.users), CASES_AT_ONCE):
        last = min(first + CASES_AT_ONCE, len(held_out.users))
        part, users = rows_between(held_out.matrix, first, last), held_out.users[first:last]
        beside = negatives(first, last)
        own = ranking.scores_of(model, users, part)
        theirs = ranking.scores_of(model, users[_cases(part)], beside)
        case = _cases(beside)
        places.append(np.bincount(case[theirs >= own[case]], minlength=part.nnz))
    return np.concatenate(places)


def _columns_of(places: np.ndarray, held_out: HeldOut, cut_offs: np.ndarray) -> dict[str, Column]:
    """Average each user's figures over their held-out items."""
    who, counts = _cases(held_out.matrix), np.diff(held_out.matrix.indptr)
    columns = {}
    for k in cut_offs:
        inside = places < k
        gains = {"hit": inside * 1.0, "ndcg": inside / np.log2(places + 2), "mrr": inside / (places + 1)}
        for name, gain in gains.items():
            columns[f"{name}@{k}"] = Column.of(np.bincount(who, weights=gain) / counts)
    return columns


def evaluate_by_fold_in(
    model: Factors,
    known: Interactions,
    test: Interactions,
    *,
    k: int | Sequence[int] = 10,
    relevant_from: float | None = None,
) -> Report:
    """Measure lists for users who come after training: strong generalization (Liang et al. 2018; Marlin 2004).

    Users whom the model was not trained on are placed by what is known of them, everything else is ranked for them,
    and the lists are measured against what was held out of theirs. What is known may be one part of
    `Interactions.split_users`' second part, split per user.

    Parameters
    ----------
    model : Factors
    known : Interactions
        What the users are placed by; it is never ranked for them. Items that the model does not know are left out.
    test : Interactions
        What was held out of the same users.
    k : int or several
        The lengths of the lists. Liang et al. take ``capped_recall`` at 20 and 50, and ``ndcg`` at 100.
    relevant_from : float, optional
        See `cofactor.evaluation.evaluate`.

    Returns
    -------
    Report
        With the metrics of lists. Held-out ratings of users of whom nothing is known count as unknown.

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
    given, users, table = _strangers(model, known, test)
    relevant = relevant_among(table, relevant_from)
    retriever_of(model).prepare(len(users))  # all batches use it
    audience = metrics.Audience.of(counts_of(model.seen.indices, model.n_items), model.n_users)
    values, counts = [], np.zeros((len(cut_offs), model.n_items), np.int64)
    for first in range(0, len(users), USERS_AT_ONCE):
        last = min(first + USERS_AT_ONCE, len(users))
        batch = Interactions(Vocabulary(users.ids[first:last], kind="user"), model.items, given[first:last])
        placed, part = model.place(batch), rows_between(relevant, first, last)
        measured = ranking.measured_lists(placed, np.arange(last - first), part, cut_offs, audience)
        values.append(measured.values)
        counts += measured.counts
    n_test = np.diff(table.indptr).astype(np.int64)
    per_user = PerUser(users.ids, n_test, list_columns(np.concatenate(values, axis=-1), cut_offs))
    return Report(
        {**per_user.averages(), **of_all_lists(counts, cut_offs)},
        int(n_test.sum()),
        len(test) - int(n_test.sum()),
        len(users),
        int((np.diff(relevant.indptr) == 0).sum()),
        "full ranking for held-out users placed by fold-in",
        per_user,
    )


def _strangers(
    model: Factors, known: Interactions, test: Interactions
) -> tuple[sparse.csr_array, Vocabulary, sparse.csr_array]:
    """Return what is known of the users who can be measured, their ids, and their held-out ratings."""
    given = table_in_rows_of(known.users, model.items, known)
    table = table_in_rows_of(known.users, model.items, test)
    rows = np.flatnonzero((np.diff(given.indptr) > 0) & (np.diff(table.indptr) > 0))
    if not len(rows):
        raise DataError("no user has both something known and something held out: nothing can be measured")
    given, table = given[rows], table[rows]
    users = Vocabulary(known.users.take(rows), kind="user")
    if trained := np.flatnonzero(model.users.find(users.ids) >= 0).tolist():
        raise DataError(
            f"{len(trained):,} of the users, such as {users[trained[0]]!r}, are in the model already: hold users out "
            "with split_users(), or measure users of the model with evaluate()"
        )
    if overlap := int(among(given, _cases(table), table.indices).sum()):
        raise DataError(
            f"{overlap:,} of the {table.nnz:,} test ratings are among the known ones, so the result would be "
            "flattering: split what is known of the users, such as with split_per_user()"
        )
    return given, users, table
