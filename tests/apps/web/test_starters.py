"""Which items newcomers are asked about: well known ones that together say most, as plain arithmetic finds."""

import numpy as np
import pytest

from cofactor.apps.web.starters import starters


def naive(vectors, familiarity, n):
    """Return the same from determinants, all worked out anew."""
    vectors = vectors / np.sqrt(np.median((vectors**2).sum(axis=1)))
    matrix, chosen = np.eye(vectors.shape[1]), []
    for _ in range(n):
        before = np.linalg.slogdet(matrix)[1]
        gains = [np.linalg.slogdet(matrix + np.outer(v, v))[1] - before for v in vectors]
        worth = familiarity * np.array(gains)
        worth[chosen] = -1
        chosen.append(int(worth.argmax()))
        matrix += np.outer(vectors[chosen[-1]], vectors[chosen[-1]])
    return chosen


@pytest.mark.parametrize("seed", range(5))
def test_the_choice_is_that_of_the_determinants(seed):
    random = np.random.default_rng(seed)
    vectors, familiarity = random.normal(size=(60, 5)), random.random(60)
    assert starters(vectors, familiarity, 12).tolist() == naive(vectors, familiarity, 12)


def test_where_vectors_say_nothing_the_best_known_are_asked_about():
    assert starters(np.zeros((5, 3)), np.array([0.1, 0.5, 0.3, 0.0, 0.2]), 12).tolist() == [1, 2, 4, 0]
    assert starters(np.zeros((3, 0)), np.array([0.1, 0.5, 0.3]), 2).tolist() == [1, 2]


def test_the_service_asks_about_twelve_different_items_the_same_each_time(ranking):
    first = ranking.get("/v1/starters").json()
    assert first == ranking.get("/v1/starters").json()
    listed = [one["item"] for one in first["items"]]
    assert len(set(listed)) == 12
    assert listed[:5] == [one["item"] for one in ranking.get("/v1/starters?n=5").json()["items"]]
    assert ranking.get("/v1/starters?n=13").status_code == 422
    popular = [one["item"] for one in ranking.get("/v1/popular?n=12").json()["items"]]
    assert set(listed) != set(popular)


def test_titles_and_years_of_all_items_can_be_had_at_once(ranking):
    found = ranking.get("/v1/titles").json()
    card = ranking.get("/v1/model").json()
    assert len(found["items"]) == len(found["titles"]) == len(found["years"]) == card["items"]
    at = found["items"].index("i1")
    one = ranking.get("/v1/items/i1").json()
    assert (found["titles"][at], found["years"][at] or None) == (one["title"], one["year"])
