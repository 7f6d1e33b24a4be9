"""What raw values are taken for, and the weights that stars become."""

import numpy as np
import pytest

import cofactor as cf
from cofactor.data import preparation
from cofactor.data.preparation import Stars, recognize

STARS = np.array([5, 4, 4, 3, 5, 1, 2, 4], np.float32)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (STARS, "stars"),
        (STARS * 20, "stars"),
        ((STARS - 1) / 4, "stars"),
        ([0.5, 1, 2.5, 3.5, 4, 4, 5], "stars"),
        ([1, 7, 8, 10, 10, 9], "stars"),
        ([0, 6, 7, 8, 10], "stars"),
        ([4, 5, 4, 5], "stars"),  # the low ones were left out
        ([1, 1, 1, 2, 1, 3, 5], "counts"),  # few are high
        ([1, 2, 250, 3], "counts"),
        ([0.3, 0.71, 0.9], "counts"),
        (np.arange(40) + 0.5, "counts"),
        ([1, 1, 1], "binary"),
        ([0, 1, 1], "binary"),
        ([0, 0], "binary"),
        ([], "binary"),
        ([-1, 1, 1], "signed"),
        (np.linspace(-10, 10, 50), "signed"),
    ],
)
def test_values_are_taken_for_what_they_are(values, kind):
    assert recognize(np.asarray(values, np.float32)) == kind


@pytest.mark.parametrize("name", ["ml-100k", "synthetic:200x80x3000"])
def test_ratings_of_data_sets_are_stars(name, request):
    ratings = request.getfixturevalue("ml100k") if name == "ml-100k" else cf.load_dataset(name)
    assert recognize(ratings.matrix.data) == "stars"


def test_long_tables_are_read_in_parts(monkeypatch):
    whole = recognize(STARS), Stars.of(STARS)
    monkeypatch.setattr(preparation, "_AT_ONCE", 3)
    assert (recognize(STARS), Stars.of(STARS)) == whole


def test_a_rating_weighs_its_position_on_the_scale_and_the_lowest_are_dislikes():
    stars = Stars.of(STARS)
    mean = np.mean((STARS - 1) / 4)
    assert (stars.low, stars.high, stars.disliked_below, stars.dislike_weight) == (1, 5, 2, 0.3)
    assert stars.mean == pytest.approx(mean)
    weights = stars.apply(np.array([1, 2, 3, 4, 5]))
    assert weights == pytest.approx([-0.3, 0.25 / mean, 0.5 / mean, 0.75 / mean, 1 / mean])
    assert weights.dtype == np.float32


@pytest.mark.parametrize(("factor", "shift"), [(20, 0), (0.2, 0), (1 / 4, -1 / 4), (25, -25)])
def test_the_same_ratings_on_another_scale_get_the_same_weights(factor, shift):
    other = (STARS * factor + shift).astype(np.float32)
    assert Stars.of(other).apply(other) == pytest.approx(Stars.of(STARS).apply(STARS))


def test_a_table_without_its_low_ratings_has_no_dislikes():
    liked = STARS[STARS >= 3]
    assert Stars.of(liked).apply(liked).min() > 0


def test_newcomers_get_the_weights_of_the_table_that_was_learnt_from():
    stars = Stars.of(STARS)
    assert np.array_equal(stars.apply(STARS[:2]), stars.apply(STARS)[:2])
    assert stars.apply(np.array([9, -3])) == pytest.approx(stars.apply(np.array([5, 1])))


@pytest.mark.parametrize("values", [[1, 2, 250], [1, 1], [-1, 1, 2], []])
def test_statistics_of_what_is_no_stars_are_refused(values):
    with pytest.raises(cf.DataError, match="the values are no stars"):
        Stars.of(np.array(values))
