"""Logistic factorization's steps against a twin in plain Python, and newcomers against a general minimizer."""

import math

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize
from twins import below, child, parts_of, table_of, with_weights

from cofactor.data.vocabulary import Vocabulary
from cofactor.kernels.lanes import WIDTH
from cofactor.model import pair_blocks as parting
from cofactor.model.factors import Factors, parameters_of
from cofactor.model.objectives import logistic
from cofactor.model.objectives.logistic import Logistic
from cofactor.model.objectives.objective import Toward
from cofactor.model.pair_blocks import Blocks, pad

MEAN = -1.5


def steps_of(regularization, negatives):
    return Logistic(goal="ranking", regularization=regularization, negatives=negatives)


def twin_epoch(table, cuts, steps, rate, users, items, user_bias, item_bias, seed, epoch):
    """Do what `Logistic.train` does, in place and in float64; return the examples' losses.

    The values of the table are the weights of its pairs.
    """
    weights = table.toarray()
    dense = weights > 0
    blocks = len(cuts) - 1
    members = np.random.default_rng([seed, epoch]).permutation(np.flatnonzero(dense.any(axis=0)))
    edges = np.arange(blocks + 1) * len(members) // blocks
    key, decay = child(child(seed, epoch), 0), 1 - rate * steps.regularization
    losses = []
    for task, block, u, start, inside in parts_of(dense, members, edges, cuts):
        near = members[edges[block] : edges[block + 1]]
        stream = child(key, task * blocks + block)
        for place, i in enumerate(inside, start=start):
            numbers = range(place * steps.negatives, (place + 1) * steps.negatives)
            drawn = [near[below(stream, number, len(near))] for number in numbers]
            met, x, pulls = [i, *drawn], users[u].copy(), []
            for item, truth in zip(met, [1] + [0] * steps.negatives, strict=True):
                found = 1 / (1 + math.exp(-(MEAN + user_bias[u] + item_bias[item] + items[item] @ x)))
                losses.append(-math.log(found if truth else 1 - found))
                pulls.append(rate * (truth - found) * (weights[u, i] if truth else 1))
            users[u] *= decay ** len(met)
            user_bias[u] *= decay ** len(met)
            for item, step in zip(met, pulls, strict=True):
                users[u] += step * items[item]
                items[item] = decay * items[item] + step * x
                user_bias[u] += step
                item_bias[item] = decay * item_bias[item] + step
    return losses


def drawn_arrays(random, n_users, n_items, rank):
    shapes = (n_users, rank), (n_items, rank), (n_users,), (n_items,)
    return [random.normal(size=shape).astype(np.float32) for shape in shapes]


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 30), st.integers(1, 40)),
    rank=st.integers(1, 20),
    share=st.sampled_from([0.0, 0.1, 0.5, 0.95, 1.0]),
    drawn=st.integers(1, 11),
    blocks=st.integers(1, 5),
    weighed=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_an_epoch_does_what_the_twin_does(shape, rank, share, drawn, blocks, weighed, seed):
    random = np.random.default_rng(seed)
    table, steps = table_of(random, *shape, share), steps_of(0.3, drawn)
    if weighed:
        table = with_weights(random, table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parting, "PAIRS_IN_TASK", max(1, table.nnz // blocks**2))
        patch.setattr(parting, "ITEMS_IN_BLOCK", 1)
        trained = Blocks(table, weights=table.data if weighed else None)
    users, items, user_bias, item_bias = drawn_arrays(random, *shape, rank)
    twins = [array.astype(np.float64) for array in (users, items, user_bias, item_bias)]
    padded_users, padded_items = pad(users), pad(items)
    for epoch in range(2):
        loss = steps.train(trained, 0.05, padded_users, padded_items, (user_bias, item_bias), MEAN, seed, epoch)
        losses = twin_epoch(table, trained.cuts, steps, 0.05, *twins, seed, epoch)
        assert loss == pytest.approx(np.mean(losses) if losses else 0, rel=1e-4, abs=1e-6)
    assert padded_users[:, :rank] == pytest.approx(twins[0], abs=1e-4)
    assert padded_items[:, :rank] == pytest.approx(twins[1], abs=1e-4)
    assert user_bias == pytest.approx(twins[2], abs=1e-4)
    assert item_bias == pytest.approx(twins[3], abs=1e-4)
    assert not padded_users[:, rank:].any()
    assert not padded_items[:, rank:].any()


@pytest.mark.parametrize("threads", [2, 4])
def test_threads_do_not_change_a_bit(threads, monkeypatch):
    monkeypatch.setattr(parting, "PAIRS_IN_TASK", 5)
    monkeypatch.setattr(parting, "ITEMS_IN_BLOCK", 2)
    random = np.random.default_rng(1)
    table, steps = with_weights(random, table_of(random, 200, 150, 0.2)), steps_of(0.02, 3)
    start, results = drawn_arrays(random, 200, 150, 9), []
    for count in (1, threads):
        monkeypatch.setattr(numba, "get_num_threads", lambda count=count: count)
        users, items, biases = pad(start[0]), pad(start[1]), (start[2].copy(), start[3].copy())
        blocks = Blocks(table, weights=table.data)
        told = [steps.train(blocks, 0.1, users, items, biases, MEAN, 5, epoch) for epoch in range(3)]
        results.append((users.tobytes(), items.tobytes(), biases[0].tobytes(), biases[1].tobytes(), told))
    assert results[0] == results[1]


def test_vectors_that_end_within_a_register_are_refused():
    table = table_of(np.random.default_rng(0), 4, 30, 0.3)
    users, items, *biases = drawn_arrays(np.random.default_rng(0), 4, 30, WIDTH - 1)
    with pytest.raises(ValueError, match="pad them with zeros"):
        steps_of(0.0, 1).train(Blocks(table), 0.1, users, pad(items), tuple(biases), MEAN, 0, 0)


def test_a_loss_is_finite_however_long_the_vectors_and_however_many_are_drawn():
    table = table_of(np.random.default_rng(0), 4, 30, 0.3)
    users, items = (np.full((n, WIDTH), 1e10, np.float32) for n in (4, 30))
    biases = np.zeros(4, np.float32), np.zeros(30, np.float32)
    assert math.isfinite(steps_of(0.0, 25).train(Blocks(table), 1e-9, users, items, biases, MEAN, 0, 0))


def model_of(random, n_users, n_items, rank, share=0.3, regularization=0.05):
    users, items, user_bias, item_bias = drawn_arrays(random, n_users, n_items, rank)
    vocabularies = Vocabulary(range(n_users), kind="user"), Vocabulary(range(n_items), kind="item")
    objective = Logistic(goal="ranking", regularization=regularization, negatives=3)
    return Factors(
        users, items, *vocabularies, user_bias=user_bias, item_bias=item_bias, mean=MEAN, objective=objective,
        seen=table_of(random, n_users, n_items, share),
    )  # fmt: skip


def placed(model, table, side):
    found = model.objective.place(parameters_of(model), table, side)
    return found.vectors, found.bias


def shares(model, met, values, target):
    return model.objective.shares(parameters_of(model), met, values, 0, np.array([target]))[:, 0]


def best_row(vectors, bias, chosen, drawn, regularization):
    """Minimize the loss of one row by a method that knows nothing of it; return vector and bias."""

    def loss(row):
        logits = MEAN + vectors @ row[:-1] + row[-1] + bias
        penalty = regularization * (np.count_nonzero(chosen) + drawn.sum()) / 2 * row @ row
        return chosen @ np.logaddexp(0, -logits) + drawn @ np.logaddexp(0, logits) + penalty

    return optimize.minimize(loss, np.zeros(vectors.shape[1] + 1), method="BFGS", options={"gtol": 1e-7}).x


@pytest.mark.parametrize("seed", range(5))
def test_newcomers_get_the_row_of_least_loss(seed):
    random = np.random.default_rng(seed)
    model = model_of(random, 20, 30, 4)
    visitors = with_weights(random, table_of(random, 3, 30, 0.4))
    vectors, bias = placed(model, visitors, "user")
    for row in range(3):
        chosen = visitors.toarray()[row]
        drawn = np.full(30, 3 * np.count_nonzero(chosen) / 30)
        best = best_row(model.item_vectors, model.item_bias, chosen, drawn, 0.05)
        assert np.append(vectors[row], bias[row]) == pytest.approx(best, abs=1e-4)


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_new_items_get_the_row_of_least_loss(share):
    random = np.random.default_rng(7)
    model = model_of(random, 20, 30, 4, share)
    met_by = with_weights(random, table_of(random, 3, 20, 0.4))
    vectors, bias = placed(model, met_by, "item")
    drawn = 3 * np.diff(model.seen.indptr) / 30
    for row in range(3):
        chosen = met_by.toarray()[row]
        best = best_row(model.user_vectors, model.user_bias, chosen, drawn, 0.05)
        assert np.append(vectors[row], bias[row]) == pytest.approx(best, abs=1e-4)


def test_who_met_nothing_gets_no_vector():
    random = np.random.default_rng(0)
    model = model_of(random, 5, 6, 2)
    vectors, bias = placed(model, table_of(random, 1, 6, 0.0), "user")
    assert not vectors.any()
    assert not bias.any()
    assert not shares(model, np.empty(0, np.int32), np.empty(0), 0).any()


def test_a_vector_is_finite_without_regularization():
    random = np.random.default_rng(0)
    model = model_of(random, 5, 6, 8, regularization=0.0)
    vectors, bias = placed(model, table_of(random, 3, 6, 0.5), "user")
    assert np.isfinite(vectors).all()
    assert np.isfinite(bias).all()


def test_a_sample_of_a_large_catalogue_places_nearly_as_the_whole(monkeypatch):
    random = np.random.default_rng(3)
    model, visitors = model_of(random, 10, 6000, 4, share=0.01), table_of(random, 5, 6000, 0.02)
    sampled = np.column_stack(placed(model, visitors, "user"))
    alone = np.column_stack(placed(model, visitors[[2]], "user"))
    assert np.array_equal(alone[0], sampled[2])
    monkeypatch.setattr(logistic, "SAMPLE", 6000)
    whole = np.column_stack(placed(model, visitors, "user"))
    assert not np.array_equal(whole, sampled)
    assert np.abs(whole - sampled).max() < 0.25


def test_shares_of_what_was_met_and_of_all_else_make_up_the_score():
    random = np.random.default_rng(4)
    model = model_of(random, 10, 30, 4)
    met = np.flatnonzero(random.random(30) < 0.3).astype(np.int32)
    values = random.exponential(1, len(met))
    regression = model.objective._of_user(parameters_of(model), met, values)
    row = regression.solved()
    slopes, weights = regression.parts(row)
    asked = np.append(model.item_vectors[5].astype(np.float64), 1)
    effect = regression.design @ np.linalg.solve(regression.curvature(weights), asked)
    of_all = (slopes + weights * (regression.design @ row)) * effect
    assert of_all.sum() == pytest.approx(row @ asked, abs=1e-6)
    assert shares(model, met, values, 5) == pytest.approx(of_all[: len(met)])


@pytest.mark.parametrize("side", ["user", "item"])
@pytest.mark.parametrize("drawn_to", [None, False, True])
def test_rows_are_the_solutions_that_newtons_method_in_numpy_finds(side, drawn_to):
    """The kernel against `Regression`; where rows are drawn to something, fresh ones or not."""
    random = np.random.default_rng(8)
    model, newcomers = model_of(random, 60, 50, 4), table_of(random, 6, 50 if side == "user" else 60, 0.2)
    parameters, toward = parameters_of(model), None
    if drawn_to is not None:
        vectors = random.normal(0, 0.3, (6, 5)).astype(np.float32)
        toward = Toward(vectors, np.full(6, drawn_to and side == "item"))
    found = model.objective.place(parameters, newcomers, side, toward)
    for row in range(6):
        part = slice(newcomers.indptr[row], newcomers.indptr[row + 1])
        met, values = newcomers.indices[part], newcomers.data[part].astype(np.float64)
        said = np.zeros(5) if toward is None else toward.vectors[row].astype(np.float64)
        if side == "user":
            regression = model.objective._of_user(parameters, met, values)
        else:
            drawn, weights = model.objective._of_users(model.objective._often(parameters), 10**6)
            regression = model.objective._regression(parameters, "user", met, values, drawn, weights)
        expected = said + regression.about(said, fresh=bool(drawn_to) and side == "item").solved()
        assert np.append(found.vectors[row], found.bias[row]) == pytest.approx(expected, abs=2e-5)
