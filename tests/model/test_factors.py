"""What a model answers with: scores, lists, neighbours, descriptions, and what it refuses to be made of."""

import copy
import pickle
import warnings

import joblib
import numpy as np
import polars as pl
import pytest
from scipy import sparse

import cofactor as cf
from cofactor.data.metadata import Metadata
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import DataError, UnknownIdError
from cofactor.lists import everyone
from cofactor.model.factors import evolved
from cofactor.model.origin import Origin
from cofactor.solvers import ImplicitALS


@pytest.fixture
def model():
    random = np.random.default_rng(0)
    seen = sparse.csr_array((random.random((30, 50)) < 0.3).astype(np.float32))
    return cf.Factors.from_arrays(
        random.normal(size=(30, 4)),
        random.normal(size=(50, 4)),
        users=[f"u{k}" for k in range(30)],
        items=[f"i{k}" for k in range(50)],
        user_bias=random.normal(size=30),
        item_bias=random.normal(size=50),
        mean=3.5,
        seen=seen,
        titles=[None if k == 7 else f"Film {k}" for k in range(50)],
    )


def test_a_score_is_the_product_plus_biases_and_mean(model):
    expected = 3.5 + model.user_bias[4] + model.item_bias[9] + model.user_vectors[4] @ model.item_vectors[9]
    assert model.score(["u4"], ["i9"])[0] == pytest.approx(expected, rel=1e-6)


def test_a_recommended_score_is_the_score(model):
    lists = model.recommend([f"u{k}" for k in range(30)], n=5)
    assert np.array_equal(lists["score"].to_numpy(), model.score(lists["user"], lists["item"]))


def test_seen_items_are_never_recommended(model):
    lists = model.recommend(model.users, n=50)
    assert not model.seen[model.users.rows(lists["user"]), model.items.rows(lists["item"])].any()
    assert len(lists) == 30 * 50 - model.seen.nnz


def test_seen_items_come_back_where_that_is_wanted(model):
    assert len(model.recommend(model.users, n=99, exclude_seen=False)) == 30 * 50


def test_the_table_has_one_form(model):
    lists = model.recommend(["u3", "u1"], n=3)
    assert lists.schema == {
        "user": pl.String, "position": pl.Int32, "item": pl.String, "title": pl.String, "score": pl.Float32,
    }  # fmt: skip
    assert lists["user"].to_list() == ["u3"] * 3 + ["u1"] * 3
    assert lists["position"].to_list() == [1, 2, 3] * 2
    assert lists["score"][:3].is_sorted(descending=True)
    assert model.recommend([], n=3).schema == lists.schema


def test_candidates_and_exclusions_bound_the_choice(model):
    only = ["i1", "i2", "i7", "i30"]
    assert set(model.recommend(model.users, n=9, candidates=only)["item"]) <= set(only)
    assert "i7" not in model.recommend(model.users, n=50, exclude=["i7"])["item"].to_list()
    both = model.recommend(["u0"], n=9, candidates=only, exclude=["i1"], exclude_seen=False)
    assert set(both["item"]) == {"i2", "i7", "i30"}
    assert model.recommend(["u0"], candidates=[]).is_empty()


def test_unknown_ids_are_loud_unless_they_may_be_skipped(model):
    with pytest.raises(cf.UnknownIdError, match="unknown user 'nobody'"):
        model.recommend(["u1", "nobody"])
    with pytest.raises(cf.UnknownIdError, match="unknown item 'nothing'"):
        model.score(["u1"], ["nothing"])
    assert set(model.recommend(["u1", "nobody"], on_unknown="skip")["user"]) == {"u1"}
    with pytest.raises(cf.SettingError, match="on_unknown is 'drop': it must be 'raise' or 'skip' or 'popular'"):
        model.recommend(["u1", "nobody"], on_unknown="drop")


def test_pairs_must_be_pairs(model):
    with pytest.raises(cf.SettingError, match="got 2 users and 1 items"):
        model.score(["u1", "u2"], ["i1"])


@pytest.mark.parametrize("n", [-1, 1.5, True, "5"])
def test_n_must_be_a_whole_number(model, n):
    with pytest.raises(cf.SettingError, match="n is"):
        model.recommend(["u1"], n=n)


def test_everyone_gets_the_list_that_recommend_gives(model, tmp_path, monkeypatch):
    monkeypatch.setattr(everyone, "USERS_AT_ONCE", 7)
    done = []
    path = model.recommend_all(tmp_path / "lists.parquet", n=4, exclude=["i3"], progress=done.append)
    assert pl.read_parquet(path).equals(model.recommend(model.users, n=4, exclude=["i3"]))
    assert done == [7, 14, 21, 28, 30]


def test_a_failing_list_for_everyone_leaves_the_old_file(model, tmp_path):
    path = tmp_path / "lists.parquet"
    model.recommend_all(path, n=1)
    before = path.read_bytes()

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.recommend_all(path, n=2, progress=stop)
    assert path.read_bytes() == before


def test_a_digest_names_what_a_model_answers(model, tmp_path):
    digest = model.digest
    assert len(digest) == 32
    assert cf.load(model.save(tmp_path / "model.safetensors")).digest == digest
    assert evolved(model, origin=Origin(solver="another")).digest == digest
    raised = model.item_vectors.copy()
    raised[3, 1] += 1
    others = [
        evolved(model, item_vectors=raised),
        evolved(model, mean=1.5),
        evolved(model, seen=model.seen * 2),
        evolved(model, users=Vocabulary([f"v{k}" for k in range(30)], kind="user")),
        evolved(model, metadata=Metadata(pl.DataFrame({"title": [None, *("t" * 49)]}))),
        evolved(model, metadata=Metadata(pl.DataFrame({"title": ["", *("t" * 49)]}))),
        evolved(model, extras={"more": np.array([["a", "bc"]])}),
    ]
    assert len({digest, *(other.digest for other in others)}) == 8


def test_similar_items_are_those_of_nearest_direction(model):
    near = model.similar_items("i5", n=3)
    unit = model.item_vectors / np.linalg.norm(model.item_vectors, axis=1, keepdims=True)
    cosines = unit @ unit[5]
    expected = [f"i{k}" for k in np.argsort(-cosines) if k != 5][:3]
    assert near["item"].to_list() == expected
    assert near["score"].to_numpy() == pytest.approx(np.sort(cosines)[::-1][1:4], rel=1e-5)
    assert "u5" not in model.similar_users("u5", n=99)["user"].to_list()
    assert len(model.similar_users("u5", n=99)) == 29


def test_description_is_that_of_pandas(model):
    pandas = pytest.importorskip("pandas", reason="the oracle of describe() is not installed")
    described = model.describe()
    for side, vectors in (("user", model.user_vectors), ("item", model.item_vectors)):
        ours = described.filter(pl.col("vectors") == side).drop("vectors", "statistic").to_numpy()
        assert ours == pytest.approx(pandas.DataFrame(vectors.astype(float)).describe().to_numpy())
    assert described["statistic"][:8].to_list() == ["count", "mean", "std", "min", "25%", "50%", "75%", "max"]


def test_arrays_from_elsewhere_need_no_ids():
    vectors = np.eye(3)
    model = cf.Factors.from_arrays(vectors, vectors)
    vectors[:] = 9
    assert model.recommend([2], n=1)["item"].to_list() == [2]
    assert not model.user_vectors.flags.writeable


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"user_vectors": np.full((2, 2), np.nan)}, "user_vectors has a value that is not finite in row 0"),
        ({"item_vectors": np.ones((3, 3))}, "shape"),
        ({"user_vectors": np.ones(2)}, "two-dimensional"),
        ({"item_bias": np.ones(2)}, r"item_bias has the shape \(2,\) where \(3,\) is needed"),
        ({"users": ["a"]}, "user_vectors has the shape"),
        ({"users": ["a", "a"]}, "is duplicated"),
        ({"mean": np.inf}, "mean is inf"),
        ({"seen": sparse.csr_array((9, 3))}, "seen has the shape"),
        ({"seen": np.ones((2, 3))}, "sparse matrix"),
        ({"user_vectors": np.full((2, 2), 1e30), "item_vectors": np.full((3, 2), 1e30)}, "overflow"),
        ({"titles": ["one"]}, "1 rows of metadata for 3 items"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, text):
    arrays = {"user_vectors": np.ones((2, 2)), "item_vectors": np.ones((3, 2))} | changes
    with pytest.raises(cf.DataError, match=text):
        cf.Factors.from_arrays(**arrays)


def test_clipping_needs_a_scale(model):
    with pytest.raises(cf.SettingError, match="rating scale"):
        model.score(["u1"], ["i1"], clip=True)


def test_it_says_what_it_is(model):
    assert repr(model) == "Factors of rank 4 for 30 users × 50 items by from_arrays"


def test_lists_by_predicted_rating_warn_once_and_name_the_better_way(ratings, tmp_path):
    from cofactor.model.warnings import warn_of_rating_model
    from cofactor.solvers import ALS, ImplicitALS

    warn_of_rating_model.cache_clear()
    model = ALS(rank=2, epochs=2).fit(ratings)
    with pytest.warns(cf.GoalWarning, match="ImplicitALS") as caught:
        model.recommend(["u1"], n=2)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.recommend(["u2"], n=2)
        model.recommend_all(tmp_path / "lists.parquet", n=2)
        warn_of_rating_model.cache_clear()
        ImplicitALS(rank=2, epochs=2).fit(ratings.binary()).recommend(["u1"], n=2)
        model.score(["u1"], ["i1"])


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_model_can_be_copied_and_pickled(model, copied, tmp_path):
    lists = model.recommend(model.users, n=5)
    again = copied(model)
    assert again.digest == model.digest
    assert again.recommend(again.users, n=5).equals(lists)
    joblib.dump(model, tmp_path / "model.joblib")
    assert joblib.load(tmp_path / "model.joblib").digest == model.digest


def test_what_users_see_of_a_model_is_what_they_call(model):
    gone = {"lanes_of", "equations_of", "with_checked", "approximating", "queries", "query_columns", "keys", "offsets"}
    assert not (gone | {"index", "score_rows", "evolve", "approximation"}) & set(dir(model))


def test_models_are_equal_where_they_give_the_same_answers():
    ratings = cf.load_dataset("synthetic:60x40x600")
    one, same = (ImplicitALS(rank=4, epochs=2, seed=0).fit(ratings) for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
    assert one != ImplicitALS(rank=4, epochs=3, seed=0).fit(ratings)
    assert one != one.place({"new": [1, 2]} if one.users.ids.dtype == pl.String else {99: [1, 2]})
    assert one != "a model"


def test_a_matrix_of_scores_holds_what_score_gives(monkeypatch):
    model = ImplicitALS(rank=4, epochs=2).fit(cf.load_dataset("synthetic:60x40x600"))
    monkeypatch.setattr("cofactor.model.factors._SCORES_AT_ONCE", 300)
    whole = model.score_matrix()
    assert whole.shape == (60, 40)
    assert whole.dtype == np.float32
    users, items = model.users.ids.to_list()[5:9], model.items.ids.to_list()[3:6]
    part = model.score_matrix(users, items)
    pairs = [(user, item) for user in users for item in items]
    assert np.array_equal(part.ravel(), model.score(*zip(*pairs, strict=True)))
    assert np.array_equal(part, whole[5:9, 3:6])
    with pytest.raises(UnknownIdError):
        model.score_matrix([10**6])


def test_names_of_other_libraries_are_answered_with_ours():
    model = cf.Factors.from_arrays(np.eye(2), np.eye(2))
    with pytest.raises(AttributeError, match="no attribute 'item_factors': here it is item_vectors"):
        _ = model.item_factors
    with pytest.raises(AttributeError, match=r"no attribute 'nonsense'$"):
        _ = model.nonsense


@pytest.mark.parametrize("ask", ["recommend", "score_matrix", "recommend_users"])
@pytest.mark.parametrize("one", [1, "1", np.int64(1)])
def test_one_id_in_place_of_a_list_is_refused_in_the_same_words(ask, one):
    with pytest.raises(DataError, match=r"ids are one id, .*1.*: give a list, \["):
        getattr(cf.Factors.from_arrays(np.eye(2), np.eye(2)), ask)(one)


@pytest.mark.parametrize("given", [[1], (1,), np.array([1])])
def test_a_list_in_place_of_one_id_is_refused_in_the_same_words(given):
    model = cf.Factors.from_arrays(np.eye(2), np.eye(2))
    for ask in (model.similar_items, model.similar_users, lambda ids: model.explain(ids, 1)):
        with pytest.raises(DataError, match="give one id"):
            ask(given)


def test_neighbours_have_positions():
    model = cf.Factors.from_arrays(np.eye(3) + 0.1, np.eye(3) + 0.1)
    assert model.similar_items(0)["position"].to_list() == [1, 2]
    assert model.similar_users(0).columns == ["position", "user", "score"]
