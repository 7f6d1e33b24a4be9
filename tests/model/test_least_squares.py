"""Every way to treat a row's normal equation, against plain NumPy in float64."""

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
import scipy.sparse as sp

import cofactor as cf
from cofactor.kernels.assembly import KEPT_FLOATS
from cofactor.model.least_squares import (
    Equations,
    Rows,
    equations,
    gram,
    improve_blocks,
    improve_nonnegative_rows,
    improve_rows,
    singular_values,
    solve_rows,
)
from cofactor.model.objectives.confidence import Confidence
from cofactor.model.objectives.squared import SquaredError

RANKS = (1, 5, 16, 20, 64, 100)


def random_rows(n_rows=40, n_columns=300, density=0.2, seed=0):
    rng = np.random.default_rng(seed)
    matrix = sp.random(n_rows, n_columns, density, "csr", np.float32, random_state=rng)
    matrix.data = rng.integers(1, 6, matrix.nnz).astype(np.float32)
    return matrix


def with_dislikes(matrix):
    """Make a third of the values negative."""
    matrix.data[np.random.default_rng(7).random(matrix.nnz) < 1 / 3] *= -1
    return matrix


def as_rows(matrix):
    return Rows(matrix.indptr, matrix.indices, matrix.data)


def random_vectors(n, rank, seed=1):
    return np.random.default_rng(seed).normal(0, 1 / np.sqrt(rank), (n, rank)).astype(np.float32)


def naive_equation(rows: Rows, system: Equations, row: int):
    """The matrix and the right-hand side of one row, term by term."""
    start, stop = rows.indptr[row : row + 2]
    matrix = system.gram.astype(float)
    matrix = matrix + np.diag((stop - start + system.count_offset) ** system.nu * system.penalty.astype(float))
    right = system.prior[row % len(system.prior)].astype(float)
    for i, value in zip(rows.indices[start:stop], rows.values[start:stop], strict=True):
        y = system.vectors[i].astype(float)
        weight, target = system.weight[0] + system.weight[1] * value, system.target[0] + system.target[1] * value
        if weight < 0:  # a pair that is to score zero
            weight, target = -weight, 0
        matrix = matrix + weight * np.outer(y, y)
        right = right + weight * (target - system.offsets[i]) * y
    return matrix, right


def naive_solution(rows, system):
    return np.array([np.linalg.solve(*naive_equation(rows, system, row)) for row in range(len(rows))])


def naive_conjugate_gradient(matrix, right, x, steps):
    residual = right - matrix @ x
    direction = residual
    for _ in range(steps):
        step = residual @ residual / (direction @ matrix @ direction)
        x = x + step * direction
        new = residual - step * matrix @ direction
        direction = new + new @ new / (residual @ residual) * direction
        residual = new
    return x


def general_equations(rank, n=300):
    """Equations in which no term is zero."""
    rng = np.random.default_rng(2)
    return equations(
        random_vectors(n, rank),
        rng.uniform(0.5, 1, rank),
        gram=0.1 * gram(random_vectors(50, rank, 3)),
        prior=rng.normal(size=rank),
        offsets=rng.normal(size=n),
        weight=(0.3, 0.2),
        target=(-0.5, 0.4),
        count_offset=1.5,
        nu=0.5,
    )


MEAN = 3.0


def losses():
    return (
        SquaredError(regularization=0.5, bias_regularization=0.2, nu=0.5),
        Confidence(unobserved_weight=0.1, count_offset=50.0, regularization=0.05, nu=0.5),
    )


def naive_objective(loss, matrix, users, items):
    dense = matrix.toarray().astype(float)
    seen = dense != 0
    x, y = users.astype(float), items.astype(float)
    counts = seen.sum(1), seen.sum(0)
    if isinstance(loss, Confidence):
        total = (abs(dense) * (x @ y.T - (dense > 0)) ** 2)[seen].sum() + loss.unobserved_weight * (
            (x @ y.T) ** 2
        ).sum()
        scales = [(m + loss.count_offset) ** loss.nu for m in counts]
        return total + sum(loss.regularization * s @ (z**2).sum(1) for s, z in zip(scales, (x, y), strict=True))
    penalty = np.full(x.shape[1], loss.regularization)
    penalty[-1] = loss.bias_regularization
    predicted = MEAN + x[:, :-1] @ y[:, :-1].T + x[:, -1:] + y[:, -1]
    total = ((dense - predicted)[seen] ** 2).sum()
    return total + sum(m**loss.nu @ (z**2 @ penalty) for m, z in zip(counts, (x, y), strict=True))


@pytest.mark.parametrize("rank", RANKS)
def test_rows_are_solved_exactly(rank):
    rows, system = as_rows(random_rows()), general_equations(rank)
    assert solve_rows(rows, system) == pytest.approx(naive_solution(rows, system), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("rank", RANKS)
def test_conjugate_gradient_takes_the_textbook_steps(rank):
    rows, system = as_rows(random_rows()), general_equations(rank)
    start = random_vectors(len(rows), rank, 4)
    expected = [naive_conjugate_gradient(*naive_equation(rows, system, u), start[u], 1) for u in range(len(rows))]
    assert improve_rows(rows, system, start, steps=1) == pytest.approx(np.array(expected), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("rank", RANKS)
def test_enough_conjugate_steps_reach_the_solution(rank):
    rows, system = as_rows(random_rows()), general_equations(rank)
    found = improve_rows(rows, system, random_vectors(len(rows), rank, 4), steps=50)
    assert found == pytest.approx(naive_solution(rows, system), rel=1e-3, abs=1e-4)


def test_rows_too_long_to_be_kept_near_are_solved_by_conjugate_gradient_too():
    rows, system = as_rows(random_rows(1, 12_000, 0.8)), general_equations(256, 12_000)
    assert len(rows.indices) * 256 > KEPT_FLOATS
    start = np.zeros((1, 256), np.float32)
    assert improve_rows(rows, system, start) == pytest.approx(naive_solution(rows, system), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("rank", [5, 64, 100, 130])
def test_blocks_come_to_the_solution(rank):
    rows, system = as_rows(random_rows()), general_equations(rank)
    found = np.zeros((len(rows), rank), np.float32)
    for _ in range(30):
        found = improve_blocks(rows, system, found)
    assert found == pytest.approx(naive_solution(rows, system), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("rank", [5, 20, 64])
def test_nonnegative_rows_satisfy_the_optimality_conditions(rank):
    rows, system = as_rows(random_rows()), general_equations(rank)
    found = improve_nonnegative_rows(rows, system, np.zeros((len(rows), rank), np.float32), sweeps=300)
    assert found.min() == 0  # the constraint binds somewhere, else this shows nothing
    for row in range(len(rows)):
        matrix, right = naive_equation(rows, system, row)
        gradient = (matrix @ found[row] - right) / np.diag(matrix)
        assert gradient[found[row] > 0] == pytest.approx(0, abs=1e-4)
        assert gradient.min() > -1e-4


def test_one_nonnegative_sweep_is_one_pass_of_coordinate_descent():
    rows, system = as_rows(random_rows()), general_equations(5)
    start = np.abs(random_vectors(len(rows), 5, 4))
    expected = start.astype(float)
    for row in range(len(rows)):
        matrix, right = naive_equation(rows, system, row)
        for f in range(5):
            expected[row, f] = max(0, expected[row, f] + (right - matrix @ expected[row])[f] / matrix[f, f])
    assert improve_nonnegative_rows(rows, system, start, sweeps=1) == pytest.approx(expected, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("rank", RANKS)
def test_a_negative_weight_is_a_target_of_zero_for_every_method(rank):
    rows, system = as_rows(with_dislikes(random_rows())), general_equations(rank)
    signed = system.weight[0] + system.weight[1] * rows.values
    assert (signed < 0).any()
    assert (signed[rows.values < 0] > 0).any()  # what counts is the weight's sign, not the value's
    expected = naive_solution(rows, system)
    assert solve_rows(rows, system) == pytest.approx(expected, rel=1e-3, abs=1e-5)
    start = random_vectors(len(rows), rank, 4)
    assert improve_rows(rows, system, start.copy(), steps=60) == pytest.approx(expected, rel=1e-3, abs=1e-4)
    for _ in range(40):
        improve_blocks(rows, system, start)
    assert start == pytest.approx(expected, rel=1e-3, abs=1e-4)
    free = improve_nonnegative_rows(rows, system, np.zeros_like(start), sweeps=1000, free=rank)
    assert free == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_negative_ratings_are_still_ratings_in_a_squared_error():
    rows, loss = as_rows(with_dislikes(random_rows())), SquaredError(regularization=0.5, nu=0.5)
    system = loss.equations(random_vectors(300, 5), -0.5)
    _, targets = system.weights_and_targets(rows.values, rows.indices)
    assert targets == pytest.approx(rows.values + 0.5 - system.offsets[rows.indices])
    assert solve_rows(rows, system) == pytest.approx(naive_solution(rows, system), rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("n", [1, 7, 5000, 70_000])
def test_gram_is_the_product(rank, n):
    vectors = random_vectors(n, rank)
    expected = vectors.T.astype(float) @ vectors.astype(float)
    assert gram(vectors) == pytest.approx(expected, rel=1e-5, abs=1e-6 * np.abs(expected).max())


def test_singular_values_are_those_of_the_table_of_scores():
    users, items = random_vectors(40, 7), random_vectors(30, 7, 2)
    items[:, 6] = items[:, 0]  # one dimension too many
    expected = np.linalg.svd(users.astype(float) @ items.T.astype(float), compute_uv=False)[:7]
    assert singular_values(users, items) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("rank", [1, 5, 20, 64])
@pytest.mark.parametrize("loss", losses(), ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("made", [lambda matrix: matrix, with_dislikes], ids=["positive", "both"])
def test_objective_is_the_loss_term_by_term(loss, rank, made):
    matrix = made(random_rows())
    users, items = random_vectors(40, rank + 1), random_vectors(300, rank + 1, 2)
    found = loss.measure(as_rows(matrix), as_rows(matrix.T.tocsr()), users, items, MEAN).objective
    assert found == pytest.approx(naive_objective(loss, matrix, users, items), rel=1e-6)


@pytest.mark.parametrize("loss", losses(), ids=lambda loss: type(loss).__name__)
def test_exact_half_steps_never_raise_the_objective(loss):
    matrix = random_rows()
    by_user, by_item = as_rows(matrix), as_rows(matrix.T.tocsr())
    users, items = random_vectors(40, 9), random_vectors(300, 9, 2)
    history = [loss.measure(by_user, by_item, users, items, MEAN).objective]
    for _ in range(40):
        users = solve_rows(by_user, loss.equations(items, MEAN))
        history.append(loss.measure(by_user, by_item, users, items, MEAN).objective)
        items = solve_rows(by_item, loss.equations(users, MEAN))
        history.append(loss.measure(by_user, by_item, users, items, MEAN).objective)
    assert history[-1] < 0.9 * history[1]
    assert np.all(np.diff(history) <= 1e-10 * history[0])


def test_free_coordinates_may_be_negative():
    rows, system = as_rows(random_rows()), general_equations(5)
    found = improve_nonnegative_rows(rows, system, np.zeros((len(rows), 5), np.float32), sweeps=500, free=5)
    assert found == pytest.approx(naive_solution(rows, system), rel=1e-3, abs=1e-4)
    assert found.min() < 0
    one_free = improve_nonnegative_rows(rows, system, np.zeros((len(rows), 5), np.float32), sweeps=500, free=1)
    assert one_free[:, :4].min() == 0
    assert one_free[:, 4].min() < 0


def test_all_methods_write_where_they_are_told():
    rows, system = as_rows(random_rows()), general_equations(5)
    out = np.empty((len(rows), 5), np.float32)
    assert solve_rows(rows, system, out=out) is out
    assert improve_rows(rows, system, out) is out


def every_method(rows, system):
    start = np.abs(random_vectors(len(rows), system.rank, 4))
    yield solve_rows(rows, system)
    yield improve_rows(rows, system, start.copy())
    yield improve_blocks(rows, system, start.copy())
    yield improve_nonnegative_rows(rows, system, start.copy())
    yield gram(system.vectors)


@pytest.mark.parametrize("rank", [20, 64])
def test_threads_change_no_bit(rank, monkeypatch):
    rows, system = as_rows(random_rows(3000, 2000, 0.05)), general_equations(rank, 2000)
    results = []
    for threads in (1, 2, 4):
        monkeypatch.setattr(numba, "get_num_threads", lambda threads=threads: threads)
        results.append([result.tobytes() for result in every_method(rows, system)])
    assert all(result == results[0] for result in results)


def test_callers_in_many_threads_get_the_bits_of_one():
    rows, system = as_rows(random_rows(300, 300)), general_equations(20)
    expected = solve_rows(rows, system)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: solve_rows(rows, system), range(32)))
    assert all(np.array_equal(expected, result) for result in found)


def test_a_row_alone_gets_the_bits_it_gets_among_others():
    rows, system = as_rows(random_rows()), general_equations(20)
    start, stop = rows.indptr[7:9]
    alone = Rows(np.array([0, stop - start]), rows.indices[start:stop], rows.values[start:stop])
    assert np.array_equal(solve_rows(alone, system)[0], solve_rows(rows, system)[7])


def test_empty_rows_get_zeros_without_regularization_too():
    matrix = random_rows()
    matrix.data[matrix.indptr[3] : matrix.indptr[4]] = 0
    matrix.eliminate_zeros()
    system = equations(random_vectors(300, 5), 0.0, nu=1.0)
    assert not solve_rows(as_rows(matrix), system)[3].any()
    assert not improve_rows(as_rows(matrix), system, np.zeros((40, 5), np.float32))[3].any()


def test_held_vectors_give_the_equations_of_a_copy_and_come_back_unchanged():
    loss, fixed = SquaredError(regularization=0.5, bias_regularization=0.2, nu=1.0), random_vectors(300, 6)
    before, rows = fixed.copy(), as_rows(random_rows())
    with loss.holding(fixed, MEAN) as system:
        held = solve_rows(rows, system)
    assert np.array_equal(fixed, before)
    assert np.array_equal(held, solve_rows(rows, loss.equations(fixed, MEAN)))
    with pytest.raises(RuntimeError), loss.holding(fixed, MEAN):
        raise RuntimeError
    assert np.array_equal(fixed, before)


def test_an_empty_row_with_a_prior_gets_the_prior_mean():
    precision, mean = np.diag([1.0, 2.0, 4.0]), np.array([0.5, -1.0, 2.0])
    system = equations(random_vectors(10, 3), 0.0, gram=precision, prior=precision @ mean)
    empty = Rows(np.array([0, 0]), np.array([]), np.array([]))
    assert solve_rows(empty, system)[0] == pytest.approx(mean)


def test_no_rows_give_no_vectors():
    system = general_equations(5)
    nothing = Rows(np.array([0]), np.array([]), np.array([]))
    assert solve_rows(nothing, system).shape == (0, 5)


def test_a_singular_row_is_named_with_the_remedy():
    rows = Rows(np.array([0, 0, 1]), np.array([0]), np.array([3.0]))  # one rating cannot fix two unknowns
    with pytest.raises(cf.SettingError, match=r"row 1 .*give a positive regularization"):
        solve_rows(rows, equations(random_vectors(4, 2), 0.0))


def test_a_row_that_only_float64_can_solve_is_solved():
    rows, vectors = as_rows(random_rows(2, 300, 0.5)), random_vectors(300, 4)
    vectors[:, 3] = vectors[:, 2] + 1e-4 * vectors[:, 3]
    system = equations(vectors, 1e-6)
    assert solve_rows(rows, system) == pytest.approx(naive_solution(rows, system), rel=1e-3)
    rows, system = as_rows(with_dislikes(random_rows(2, 300, 0.5))), equations(vectors, 1e-6, weight=(0.0, 1.0))
    assert solve_rows(rows, system) == pytest.approx(naive_solution(rows, system), rel=1e-3)


def test_a_long_row_that_only_float64_can_solve_is_solved_by_improving_too():
    n = KEPT_FLOATS // 4
    vectors = random_vectors(n, 4)
    vectors[:, 3] = vectors[:, 2] + 1e-4 * vectors[:, 3]
    values = np.random.default_rng(2).integers(1, 6, n).astype(np.float32)
    rows, system = Rows(np.array([0, n]), np.arange(n), values), equations(vectors, 1e-6)
    found = improve_rows(rows, system, np.zeros((1, 4), np.float32))
    assert np.array_equal(found, solve_rows(rows, system))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", ["value", "vector"])
def test_what_is_not_finite_is_refused(bad, place):
    rows, system = as_rows(random_rows()), general_equations(5)
    if place == "value":
        values = rows.values.copy()
        values[100] = bad
        rows = Rows(rows.indptr, rows.indices, values)
    else:
        system.vectors[17, 3] = bad
    start = np.ones((40, 5), np.float32)
    for method in (
        solve_rows,
        lambda *a: improve_rows(*a, start),
        lambda *a: improve_blocks(*a, start),
        lambda *a: improve_nonnegative_rows(*a, start),
    ):
        with pytest.raises(cf.DataError, match=r"cannot solve for row .* not finite"):
            method(rows, system)


def test_inputs_are_left_as_they_were():
    rows, system = as_rows(random_rows()), general_equations(20)
    copies = rows.values.copy(), system.vectors.copy()
    list(every_method(rows, system))
    for array, copy in zip((rows.values, system.vectors), copies, strict=True):
        assert np.array_equal(array, copy)
