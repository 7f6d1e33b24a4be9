"""The steps of BPR against a twin in plain Python with the same random numbers, on tables of every shape."""

import dataclasses
import math

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twins import MASK, below, child, parts_of, table_of, unmarked, with_weights

from cofactor.data.vocabulary import Vocabulary
from cofactor.kernels import pairs
from cofactor.model import pair_blocks as parting
from cofactor.model.factors import Factors, parameters_of
from cofactor.model.objectives import pairwise
from cofactor.model.objectives.pairwise import Pairwise
from cofactor.model.pair_blocks import Blocks, pad


def steps_of(learning_rate, regularization, negatives):
    return Pairwise(goal="ranking", learning_rate=learning_rate, regularization=regularization, negatives=negatives)


def pull(lead):
    return 1 / (1 + math.exp(lead))


def hardest(x, drawn, items, bias):
    scores = items[drawn] @ x + bias[drawn]
    return drawn[int(np.argmax(scores))], scores.max()


def twin_epoch(table, cuts, steps, users, items, bias, seed, epoch):
    """Do what `Pairwise.train` does, in place and in float64; return the losses and whether each pair was in order.

    The values of the table are the weights of its pairs.
    """
    weights = table.toarray()
    dense = weights > 0
    blocks = len(cuts) - 1
    members = np.random.default_rng([seed, epoch]).permutation(np.flatnonzero(dense.any(axis=0)))
    edges = np.arange(blocks + 1) * len(members) // blocks
    key, decay = child(child(seed, epoch), 0), 1 - steps.learning_rate * steps.regularization
    losses, in_order = [], []
    for task, block, u, start, inside in parts_of(dense, members, edges, cuts):
        near = members[edges[block] : edges[block + 1]]
        marked, stream = np.isin(near, inside), child(key, task * blocks + block)
        if marked.all():
            continue
        for first in range(0, len(inside), pairs.CHUNK):
            x, together = users[u].copy(), []
            for place, i in enumerate(inside[first : first + pairs.CHUNK], start=start + first):
                numbers = range(place * steps.negatives, (place + 1) * steps.negatives)
                drawn = np.array([near[unmarked(stream, number, marked)] for number in numbers])
                assert not dense[u, drawn].any()
                j, rival = hardest(x, drawn, items, bias)
                lead = items[i] @ x + bias[i] - rival
                losses.append(math.log1p(math.exp(-lead)))
                in_order.append(lead > 0)
                together.append((i, j, weights[u, i] * steps.learning_rate * pull(lead)))
            users[u] *= decay ** len(together)
            for i, j, step in together:
                users[u] += step * (items[i] - items[j])
                items[i], items[j] = decay * items[i] + step * x, decay * items[j] - step * x
                bias[i], bias[j] = decay * bias[i] + step, decay * bias[j] - step
    return losses, in_order


def drawn_vectors(random, n_users, n_items, rank):
    return [random.normal(size=shape).astype(np.float32) for shape in ((n_users, rank), (n_items, rank), (n_items,))]


@pytest.fixture
def many_blocks(monkeypatch):
    """Small tables in as many blocks as a large one has."""
    monkeypatch.setattr(parting, "PAIRS_IN_TASK", 5)
    monkeypatch.setattr(parting, "ITEMS_IN_BLOCK", 2)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 30), st.integers(1, 40)),
    rank=st.integers(1, 20),
    share=st.sampled_from([0.0, 0.1, 0.5, 0.95, 1.0]),
    drawn=st.integers(1, 5),
    blocks=st.integers(1, 5),
    weighed=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_an_epoch_does_what_the_twin_does(shape, rank, share, drawn, blocks, weighed, seed):
    random = np.random.default_rng(seed)
    table, steps = table_of(random, *shape, share), steps_of(0.07, 0.3, drawn)
    if weighed:
        table = with_weights(random, table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parting, "PAIRS_IN_TASK", max(1, table.nnz // blocks**2))
        patch.setattr(parting, "ITEMS_IN_BLOCK", 1)
        trained = Blocks(table, weights=table.data if weighed else None)
    users, items, bias = drawn_vectors(random, *shape, rank)
    twins = [array.astype(np.float64) for array in (users, items, bias)]
    padded_users, padded_items = pad(users), pad(items)
    for epoch in range(2):
        told = steps.train(trained, steps.learning_rate, padded_users, padded_items, bias, seed, epoch)
        losses, in_order = twin_epoch(table, trained.cuts, steps, *twins, seed, epoch)
        assert told.loss == pytest.approx(np.mean(losses) if losses else 0, rel=1e-4, abs=1e-6)
        assert told.in_order == pytest.approx(np.mean(in_order) if in_order else 0, abs=1e-9)
    assert padded_users[:, :rank] == pytest.approx(twins[0], abs=1e-4)
    assert padded_items[:, :rank] == pytest.approx(twins[1], abs=1e-4)
    assert bias == pytest.approx(twins[2], abs=1e-4)
    assert not padded_users[:, rank:].any()
    assert not padded_items[:, rank:].any()


def test_small_tables_are_one_block_and_large_ones_many(many_blocks):
    random = np.random.default_rng(0)
    assert Blocks(table_of(random, 3, 2, 1.0)).blocks == 1
    assert Blocks(table_of(random, 400, 300, 0.5)).blocks == parting.MOST_BLOCKS
    assert Blocks(table_of(random, 2, 300, 1.0)).blocks == 2


@pytest.mark.parametrize("threads", [2, 4])
def test_threads_do_not_change_a_bit(threads, many_blocks, monkeypatch):
    random = np.random.default_rng(1)
    table, steps = with_weights(random, table_of(random, 200, 150, 0.2)), steps_of(0.1, 0.02, 3)
    start, results = drawn_vectors(random, 200, 150, 9), []
    for count in (1, threads):
        monkeypatch.setattr(numba, "get_num_threads", lambda count=count: count)
        users, items, bias = pad(start[0]), pad(start[1]), start[2].copy()
        blocks = Blocks(table, weights=table.data)
        told = [steps.train(blocks, steps.learning_rate, users, items, bias, 5, epoch) for epoch in range(3)]
        results.append((users.tobytes(), items.tobytes(), bias.tobytes(), told))
    assert results[0] == results[1]


@settings(max_examples=100, deadline=None)
@given(size=st.integers(1, 60), free=st.integers(1, 60), key=st.integers(0, MASK), number=st.integers(0, 10**9))
def test_what_is_drawn_is_never_marked(size, free, key, number):
    marks = np.ones(size, np.uint8)
    marks[np.random.default_rng(number).permutation(size)[:free]] = 0
    place = pairs.draw(np.uint64(key), number, marks)
    assert marks[place] == 0
    assert place == unmarked(key, number, marks)


def test_unmarked_places_are_drawn_evenly():
    marks = (np.arange(40) % 4 == 0).astype(np.uint8)
    drawn = [pairs.draw(np.uint64(3), number, marks) for number in range(30_000)]
    counts = np.bincount(drawn, minlength=40)[marks == 0]
    assert np.abs(counts - 1000).max() < 5 * math.sqrt(1000)


@pytest.mark.parametrize("lead", [-1e30, -100.0, -3.0, 0.0, 3.0, 100.0, 1e30])
def test_a_pull_is_finite_however_long_the_vectors(lead):
    found, factor = pairs.pull_of(np.float32(lead))
    assert found == pytest.approx(pull(min(max(lead, -80), 80)), rel=1e-5, abs=1e-30)
    assert math.isfinite(math.log(float(factor) ** pairs.CHUNK))


def model_of(random, n_users, n_items, rank, steps, share=0.3):
    users, items, bias = drawn_vectors(random, n_users, n_items, rank)
    vocabularies = Vocabulary(range(n_users), kind="user"), Vocabulary(range(n_items), kind="item")
    seen = table_of(random, n_users, n_items, share)
    return Factors(users, items, *vocabularies, item_bias=bias, seen=seen, objective=steps)


def placed_rows(model, table, side):
    found = model.objective.place(parameters_of(model), table, side)
    return found.vectors, found.bias


def rates_of(steps):
    return steps.learning_rate * (1 - np.arange(pairwise.PASSES) / pairwise.PASSES)


def twin_user(model, steps, met, weights):
    """Place a user by the items they met, as `Pairwise.place` does; return the vector and each item's part."""
    items, bias = model.item_vectors.astype(np.float64), model.item_bias.astype(np.float64)
    parts = np.zeros((len(met), items.shape[1]))
    marked = np.isin(np.arange(len(items)), met)
    for number, rate in enumerate(rates_of(steps)):
        stream, decay = child(0, number), 1 - rate * steps.regularization
        for first in range(0, len(met), pairs.CHUNK):
            x, added = parts.sum(axis=0), {}
            for k in range(first, min(first + pairs.CHUNK, len(met))):
                numbers = range(k * steps.negatives, (k + 1) * steps.negatives)
                drawn = np.array([unmarked(stream, n, marked) for n in numbers])
                j, rival = hardest(x, drawn, items, bias)
                step = weights[k] * rate * pull(items[met[k]] @ x + bias[met[k]] - rival)
                added[k] = step * (items[met[k]] - items[j])
            parts *= decay ** len(added)
            for k, part in added.items():
                parts[k] += part
    return parts.sum(axis=0), parts


def unseen(model, stream, u, count):
    """Draw items that a user has not seen; None where so many tries found none."""
    seen, drawn = set(model.seen[[u]].indices.tolist()), []
    for c in range(count):
        tries = (below(stream, c * pairs.TRIES + attempt, model.n_items) for attempt in range(pairs.TRIES))
        free = next((item for item in tries if item not in seen), None)
        if free is None:
            return None
        drawn.append(free)
    return np.array(drawn, int)


def twin_item(model, steps, met, weights):
    """Place an item by the users who met it, as `Pairwise.place` does; return the vector and the bias."""
    users, items, bias = (
        array.astype(np.float64) for array in (model.user_vectors, model.item_vectors, model.item_bias)
    )
    owners = np.repeat(np.arange(model.n_users), np.diff(model.seen.indptr))
    y, b = np.zeros(items.shape[1]), 0.0
    for number, rate in enumerate(rates_of(steps)):
        stream, decay = child(0, number), 1 - rate * steps.regularization
        for k, u in enumerate(met):
            drawn = unseen(model, child(stream, k), u, steps.negatives)
            if drawn is not None:
                step = weights[k] * rate * pull(b + y @ users[u] - hardest(users[u], drawn, items, bias)[1])
                y, b = decay * y + step * users[u], decay * b + step
        for turn in range(round(steps.negatives * model.seen.nnz / model.n_items)):
            branch = child(stream, -2 - turn)
            e = below(branch, -1, model.seen.nnz)
            u, i = owners[e], model.seen.indices[e]
            if u in met or (drawn := unseen(model, branch, u, steps.negatives - 1)) is None:
                continue
            rival = b + y @ users[u]
            if len(drawn) and hardest(users[u], drawn, items, bias)[1] > rival:
                continue
            step = model.seen.data[e] * rate * pull(items[i] @ users[u] + bias[i] - rival)
            y, b = decay * y - step * users[u], decay * b - step
    return y, b


@settings(max_examples=20, deadline=None)
@given(n_items=st.integers(1, 30), rank=st.integers(1, 18), drawn=st.integers(1, 3), seed=st.integers(0, 2**32))
def test_newcomers_are_placed_as_the_twin_places_them(n_items, rank, drawn, seed):
    random, steps = np.random.default_rng(seed), steps_of(0.05, 0.2, drawn)
    model = model_of(random, 12, n_items, rank, steps)
    visitors = with_weights(random, table_of(random, 4, n_items, 0.4))
    placed, bias = placed_rows(model, visitors, "user")
    assert bias is None
    for row in range(4):
        met, weights = visitors[[row]].indices, visitors[[row]].data
        vector, parts = np.zeros(rank), np.zeros((0, rank))
        if len(met) < n_items:
            vector, parts = twin_user(model, steps, met, weights)
        assert placed[row] == pytest.approx(vector, abs=1e-4)
        if len(parts):
            shares = model.objective.shares(parameters_of(model), met, weights, 0, np.array([0]))[:, 0]
            assert shares == pytest.approx(parts @ model.item_vectors[0].astype(np.float64), abs=1e-3)


@settings(max_examples=20, deadline=None)
@given(
    n_items=st.integers(1, 30),
    share=st.sampled_from([0.0, 0.3, 0.9]),
    drawn=st.integers(1, 3),
    seed=st.integers(0, 2**32),
)
def test_new_items_are_placed_as_the_twin_places_them(n_items, share, drawn, seed):
    random, steps = np.random.default_rng(seed), steps_of(0.05, 0.2, drawn)
    model = model_of(random, 12, n_items, 5, steps, share)
    model = dataclasses.replace(model, seen=with_weights(random, model.seen))
    met_by = with_weights(random, table_of(random, 3, 12, 0.4))
    placed, biases = placed_rows(model, met_by, "item")
    for row in range(3):
        vector, bias = twin_item(model, steps, met_by[[row]].indices, met_by[[row]].data)
        assert placed[row] == pytest.approx(vector, abs=1e-3)
        assert biases[row] == pytest.approx(bias, abs=1e-3)


def test_a_newcomer_gets_the_same_bits_whoever_is_placed_beside_them():
    random = np.random.default_rng(4)
    model, visitors = model_of(random, 10, 50, 7, steps_of(0.05, 0.02, 2)), table_of(random, 9, 50, 0.3)
    together = placed_rows(model, visitors, "user")[0]
    for row in range(9):
        assert np.array_equal(placed_rows(model, visitors[[row]], "user")[0][0], together[row])
