"""BayesianMF: the chain as a whole, its draws in a model, its accuracy on real ratings."""

import dataclasses
import hashlib

import numpy as np
import polars as pl
import pytest
from processes import python
from tablesupport import table_from

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.evaluation.calibration import calibration
from cofactor.evaluation.report import evaluate
from cofactor.model.bayesian.packing import draws_of
from cofactor.model.bayesian.predictions import draw_signals, level_probabilities
from cofactor.model.factors import draws_needed, parameters_of, score_rows
from cofactor.model.fold_in import place_rows
from cofactor.model.uncertainty import interval, score_block, score_with_spread
from cofactor.solvers.bayes import BayesianMF

QUICK = BayesianMF(rank=4, sweeps=40, burn_in=10, n_samples=8, seed=5)
VARIANTS = {
    "plain": QUICK,
    "implicit": dataclasses.replace(QUICK, svdpp=True),
    "probit": dataclasses.replace(QUICK, svdpp=True, likelihood="probit"),
}


@pytest.fixture(params=VARIANTS)
def solver(request):
    return VARIANTS[request.param]


def bits(model):
    arrays = [model.user_vectors, model.item_vectors, model.user_bias, model.item_bias]
    arrays += [array for _, array in sorted(model.extras.items())]
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def every_pair(model):
    return np.divmod(np.arange(model.n_users * model.n_items), model.n_items)


def noisy(n_users=200, n_items=120, n=9000, noise=0.5, seed=1):
    """Draw ratings that are numbers: planted vectors, biases, and normal noise of a known deviation."""
    random = np.random.default_rng(seed)
    pairs = random.permutation(n_users * n_items)[:n]
    users, items = np.divmod(pairs, n_items)
    truth = random.normal(size=(n_users, 2)) @ random.normal(size=(2, n_items)) * 0.5 + 3
    truth += random.normal(size=(n_users, 1)) * 0.4 + random.normal(size=n_items) * 0.4
    return Interactions.from_columns(users, items, truth[users, items] + noise * random.normal(size=n))


def test_the_number_of_threads_does_not_change_a_bit():
    code = """
        import hashlib, numba, numpy as np
        import cofactor as cf
        from cofactor.model.bayesian import row_system
        from cofactor.solvers.bayes import BayesianMF
        row_system._WORTH_SHARING = 0  # small as the table is
        table = cf.load_dataset("synthetic:400x200x9000")
        for likelihood in ("gaussian", "probit"):
            made = set()
            for threads in (1, 2, 4):
                numba.set_num_threads(threads)
                solver = BayesianMF(rank=4, sweeps=12, burn_in=4, n_samples=4, svdpp=True, likelihood=likelihood)
                model = solver.fit(table)
                arrays = model.user_vectors, model.item_vectors, *model.extras.values()
                made.add(hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest())
            print(len(made), threads)
    """
    assert python(code, NUMBA_NUM_THREADS="4").split() == ["1", "4", "1", "4"]


def test_an_interrupted_run_goes_on_to_the_same_bits(solver, ratings, tmp_path):
    class Killed(Exception):
        pass

    def kill(epoch):
        if epoch.number == 17:
            raise Killed

    path = tmp_path / "chain.safetensors"
    with pytest.raises(Killed):
        solver.fit(ratings, callback=kill, checkpoint=path)
    numbers = []
    resumed = solver.fit(ratings, callback=lambda epoch: numbers.append(epoch.number), checkpoint=path)
    whole = solver.fit(ratings)
    assert numbers == list(range(18, 41))
    assert bits(resumed) == bits(whole)
    assert resumed.history == whole.history


def test_another_seed_gives_another_chain(ratings):
    assert bits(QUICK.fit(ratings)) != bits(dataclasses.replace(QUICK, seed=6).fit(ratings))


def test_every_sweep_is_reported_with_its_noise_and_error(solver, ratings):
    reports = []
    model = solver.fit(ratings, callback=reports.append)
    assert [(report.number, report.planned) for report in reports] == [(k, 40) for k in range(1, 41)]
    assert set(model.history) == {"noise", "mse"}
    assert model.history["mse"] == tuple(report.metrics["mse"] for report in reports)
    assert np.mean(model.history["mse"][-10:]) < 0.5 * np.var(ratings.matrix.data)


def test_a_score_is_the_average_over_the_draws(solver, ratings):
    model = solver.fit(ratings)
    users, items = every_pair(model)
    signals, _ = draw_signals(draws_of(parameters_of(model)), users, items)
    assert signals.shape == (len(users), 8)
    assert model.rank == 4
    if solver.likelihood == "probit":  # a score is an expectation over levels; the plain product is an opinion
        product = model.user_vectors[users] * model.item_vectors[items]
        opinions = product.sum(axis=1) + model.user_bias[users] + model.item_bias[items] + model.mean
        np.testing.assert_allclose(opinions, signals.mean(axis=1), atol=1e-4)
        assert 1 <= score_rows(model, users, items).min() < score_rows(model, users, items).max() <= 5
    else:
        np.testing.assert_allclose(score_rows(model, users, items), signals.mean(axis=1), atol=1e-5)


def test_public_scores_and_lists_know_of_the_spread(ratings):
    model = BayesianMF(rank=3, sweeps=40, burn_in=10, n_samples=10).fit(ratings)
    mean, spread = model.score(["u1", "u2"], ["i3", "i4"], spread=True)
    assert mean == pytest.approx(model.score(["u1", "u2"], ["i3", "i4"]), abs=1e-5)
    assert (spread > 0).all()
    assert model.score(["u1"], ["i3"], clip=True, spread=True)[0].max() <= 5
    for by, sign in (("optimistic", 1), ("cautious", -1)):
        lists = model.recommend(["u1", "u5"], n=7, by=by, exclude=["i9"])
        pairs = np.repeat([1, 5], 40), np.tile(np.arange(40), 2)
        scores = [score.reshape(2, -1) for score in score_with_spread(draws_needed(model), *pairs)]
        whole = scores[0] + sign * scores[1]
        whole[model.seen[[1, 5]].toarray() > 0] = -np.inf
        whole[:, model.items.rows(["i9"])] = -np.inf
        for row, user in enumerate(("u1", "u5")):
            best = model.items.take(np.argsort(-whole[row], kind="stable")[:7]).to_list()
            assert lists.filter(pl.col("user") == user)["item"].to_list() == best
    with pytest.raises(cf.SettingError, match="holds no draws"):
        cf.Factors.from_arrays(np.eye(2), np.eye(2)).score([0], [0], spread=True)


def test_a_probit_models_scores_are_those_of_its_lists(ratings):
    model = BayesianMF(rank=2, sweeps=30, burn_in=10, n_samples=5, likelihood="probit").fit(ratings)
    lists = model.recommend(["u1", "u2"], n=5)
    assert lists["score"].to_numpy() == pytest.approx(model.score(lists["user"], lists["item"]), abs=1e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_blocks_and_pairs_agree_about_mean_and_spread(name, ratings):
    model = VARIANTS[name].fit(ratings)
    users, items = every_pair(model)
    mean, spread = (
        column.reshape(model.n_users, -1) for column in score_with_spread(draws_needed(model), users, items)
    )
    rows = np.array([4, 50, 7])
    for by, sign in (("mean", 0), ("optimistic", 1), ("cautious", -1)):
        np.testing.assert_allclose(score_block(draws_needed(model), rows, by), (mean + sign * spread)[rows], atol=2e-5)
    assert (spread > 0).all()
    assert mean.dtype == spread.dtype == np.float32
    if name != "probit":
        np.testing.assert_allclose(mean.ravel(), score_rows(model, users, items), atol=2e-6)
    with pytest.raises(cf.SettingError, match="by='worst'"):
        score_block(draws_needed(model), rows, "worst")


def test_the_spread_shrinks_with_more_ratings():
    whole = noisy()
    few = whole.split_random(test_fraction=0.7, seed=0)[0]
    solver = BayesianMF(rank=2, sweeps=80, burn_in=30, n_samples=25)
    spreads = [
        score_with_spread(draws_needed(model := solver.fit(table)), *every_pair(model))[1].mean()
        for table in (few, whole)
    ]
    assert spreads[0] > 1.3 * spreads[1] > 0


def test_intervals_hold_what_they_promise_and_noise_is_found_again():
    train, test = noisy().split_random(test_fraction=0.25, seed=0)
    model = BayesianMF(rank=3, sweeps=150, burn_in=50, n_samples=50).fit(train)
    frame = calibration(model, test, levels=(0.5, 0.9))
    assert frame["share"].to_list() == pytest.approx([0.5, 0.9], abs=0.03)
    assert frame["width"][1] == pytest.approx(2 * 1.645 * 0.5, rel=0.25)
    assert np.mean(model.history["noise"][-50:]) == pytest.approx(0.5, rel=0.1)
    with pytest.raises(cf.DataError, match="were in the training data"):
        calibration(model, train)
    with pytest.raises(cf.SettingError, match=r"level=1\.5"):
        interval(draws_needed(model), np.array([0]), np.array([0]), 1.5)
    strangers = Interactions.from_columns([10**6], [10**6], np.array([1.0]))
    with pytest.raises(cf.DataError, match="none of the test ratings has both its user and its item in the model"):
        calibration(model, strangers)


def test_calibration_is_drawn_against_the_diagonal():
    from cofactor.evaluation import plots

    chart = plots.calibration_plot(pl.DataFrame({"level": [0.5, 0.9], "share": [0.55, 0.88], "width": [1.0, 2.0]}))
    assert chart.labels == ["this model", "perfectly calibrated"]
    assert "this model, 0.9: 0.8800" in chart.picture


def test_the_implicit_part_sees_the_training_rows_only(ratings):
    train, test = ratings.split_random(test_fraction=0.3, seed=0)
    apart = Interactions.from_rows(
        train.users, train.items, *(getattr(train.triplets(), name) for name in ("user_rows", "item_rows", "values"))
    )
    solver = VARIANTS["implicit"]
    model = solver.fit(train)
    assert bits(model) == bits(solver.fit(apart))
    assert model.seen.nnz == len(train) < len(train) + len(test)
    assert model.extras["draws.users.loadings.0"].shape == (ratings.n_items, 8, 5)
    assert model.extras["draws.items.loadings.0"].shape == (ratings.n_users, 8, 5)
    assert "draws.users.loadings.0" not in QUICK.fit(train).extras


def test_a_probit_gives_each_level_a_probability(ratings):
    model = VARIANTS["probit"].fit(ratings)
    draws = draws_of(parameters_of(model))
    table = level_probabilities(draws, *draw_signals(draws, *every_pair(model)))
    assert model.extras["draws.levels"].tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(table.sum(axis=1), 1.0)
    assert (table >= 0).all()
    assert (np.diff(draws.cuts, axis=1) > 0).all()
    mean, _ = score_with_spread(draws_needed(model), *every_pair(model))
    np.testing.assert_allclose(mean, table @ [1, 2, 3, 4, 5], rtol=1e-5)
    assert np.corrcoef(mean, score_rows(model, *every_pair(model)))[0, 1] > 0.95
    low, high = interval(draws_needed(model), *every_pair(model), 0.8)
    public = model.interval(["u1", "u2"], ["i3", "i4"], level=0.8)
    pairs = (np.array([1, 2]), np.array([3, 4]))
    assert np.array_equal(public, interval(draws_needed(model), *pairs, 0.8))
    assert set(np.unique([low, high])) <= {1, 2, 3, 4, 5}
    assert (low <= high).all()


def test_a_probit_refuses_what_it_cannot_do(ratings):
    probit = VARIANTS["probit"]
    with pytest.raises(cf.SettingError, match="take likelihood='gaussian'"):
        probit.fit(noisy(20, 20, 100))
    with pytest.raises(cf.SettingError, match="these have 1 distinct"):
        probit.fit(ratings.binary())
    model = probit.fit(ratings)
    with pytest.raises(cf.SettingError, match="cannot place newcomers"):
        place_rows(model, model.seen, "user")


def test_a_model_keeps_its_draws_in_its_file(solver, ratings, tmp_path):
    model = solver.fit(ratings)
    again = cf.load(model.save(tmp_path / "model.safetensors"))
    assert bits(again) == bits(model)
    pairs = every_pair(model)
    for ours, theirs in zip(
        score_with_spread(draws_needed(model), *pairs), score_with_spread(draws_needed(again), *pairs), strict=True
    ):
        assert np.array_equal(ours, theirs)


def test_users_and_items_without_ratings_are_average_and_uncertain(solver):
    random = np.random.default_rng(0)
    dense = random.integers(1, 6, (30, 20)).astype(float) * (random.random((30, 20)) < 0.7)
    dense[3], dense[4], dense[:, 5] = 0, 0, 0
    model = solver.fit(table_from(dense))
    assert not model.user_vectors[3].any()
    assert not model.item_vectors[5].any()
    assert model.user_bias[3] == pytest.approx(model.user_bias[4], abs=1e-6)
    spreads = score_with_spread(draws_needed(model), *every_pair(model))[1].reshape(30, 20)
    rated = np.delete(np.delete(spreads, [3, 4], axis=0), 5, axis=1)
    assert spreads[3].mean() > rated.mean()
    assert spreads[:, 5].mean() > 1.1 * rated.mean()


@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (1, 1), (5, 4)])
@pytest.mark.parametrize("implicit", [False, True])
def test_degenerate_tables_give_finite_draws(shape, implicit):
    users, items = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
    model = dataclasses.replace(QUICK, rank=9, svdpp=implicit).fit(
        Interactions.from_columns(users, items, np.full(len(users), 3.0))
    )
    assert all(np.isfinite(array).all() for array in model.extras.values())
    assert score_rows(model, users, items) == pytest.approx(np.full(len(users), 3.0), abs=1.0)


def test_kept_draws_are_evenly_spaced_and_end_with_the_last_sweep():
    solver = BayesianMF(rank=1, sweeps=50, burn_in=11, n_samples=7)
    kept = [sweep for sweep in range(50) if solver._place(sweep) is not None]
    assert [solver._place(sweep) for sweep in kept] == list(range(7))
    assert kept[-1] == 49
    assert set(np.diff(kept)) <= {5, 6}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sweeps": 80}, r"burn_in=100\): it must be less than sweeps=80"),
        ({"sweeps": 120}, r"n_samples=64\): only 20 sweeps follow the burn-in"),
        ({"n_samples": 0}, "n_samples=0"),
        ({"likelihood": "poisson"}, "likelihood='poisson'"),
    ],
)
def test_settings_that_do_not_fit_are_named(changes, message):
    with pytest.raises(cf.SettingError, match=message):
        BayesianMF(**changes)


def test_a_model_without_draws_has_no_spread():
    plain = cf.Factors.from_arrays(np.eye(2), np.eye(2))
    with pytest.raises(cf.SettingError, match="train it with BayesianMF"):
        score_with_spread(draws_needed(plain), np.array([0]), np.array([0]))


@pytest.fixture(scope="module")
def real(ml100k):
    return ml100k.split_random(test_fraction=0.2, seed=0)


def test_real_ratings_are_predicted_well_and_users_placed_where_they_were(real):
    train, test = real
    model = BayesianMF(rank=10, sweeps=150, burn_in=40, n_samples=32).fit(train)
    assert evaluate(model, test)["mse"] <= 0.795
    assert calibration(model, test, levels=[0.9])["share"][0] == pytest.approx(0.9, abs=0.02)
    placed = place_rows(model, train.matrix, "user")
    columns = test.triplets()
    users, items = columns.user_rows, columns.item_rows
    anew = (
        np.einsum("ij,ij->i", placed.vectors[users], model.item_vectors[items])
        + placed.bias[users]
        + model.item_bias[items]
    )
    trained = score_rows(model, users, items)
    assert np.sqrt(np.mean((anew + model.mean - trained) ** 2)) < 0.12 * trained.std()


def test_the_implicit_part_predicts_real_ratings_better(real):
    train, test = real
    model = BayesianMF(rank=10, sweeps=150, burn_in=40, n_samples=32, svdpp=True).fit(train)
    assert evaluate(model, test)["mse"] <= 0.775
