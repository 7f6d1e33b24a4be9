"""Titles are found by their words, begun or with one typo, without accents, in a moment."""

import itertools
import random
import time

import numpy as np
import pytest

from cofactor.apps.web.titles import TitleSearch, _letters, normalized, within_one_typo

TITLES = [
    "Godfather, The (1972)", "Godfather: Part II, The (1974)", "Star Wars (1977)", "Star Trek (1979)",
    "Amélie (Le fabuleux destin d'Amélie Poulain) (2001)", "L'Été meurtrier (1983)", "Żółw (2001)", "東京物語 (1953)",
    "Silence of the Lambs, The (1991)", "Up (2009)", "Upstream Color (2013)", "Star (1990)", "???",
]  # fmt: skip


@pytest.fixture(scope="module")
def search():
    return TitleSearch(TITLES, np.arange(len(TITLES))[::-1])


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("star wars", "Star Wars (1977)"), ("STAR W", "Star Wars (1977)"), ("wars star", "Star Wars (1977)"),
        ("amelie", TITLES[4]), ("AMÉLIE", TITLES[4]), ("ete", TITLES[5]), ("lete", TITLES[5]), ("zolw", "Żółw (2001)"),
        ("東京", TITLES[7]), ("godfahter", TITLES[0]), ("godfater", TITLES[0]), ("godffather", TITLES[0]),
        ("gotfather part", TITLES[1]), ("silense of the lam", TITLES[8]), ("up", "Up (2009)"), ("1991", TITLES[8]),
        ("star", "Star Wars (1977)"), ("  star   TREK!! ", "Star Trek (1979)"),
    ],
)  # fmt: skip
def test_finds(search, text, first):
    assert TITLES[search.find(text, 5)[0]] == first


@pytest.mark.parametrize("text", ["", "   ", "???", "''", "xyzzy", "star xyzzy", "godfathr prat iii", "\0", "a" * 5000])
def test_finds_nothing(search, text):
    assert search.find(text, 5) == []


def test_an_exact_word_comes_before_one_with_a_typo(search):
    found = [TITLES[row] for row in search.find("star", 10)]
    assert found[:3] == ["Star Wars (1977)", "Star Trek (1979)", "Star (1990)"]


def test_at_most_so_many_are_found(search):
    assert len(search.find("s", 2)) == 2


def test_a_catalogue_of_none_finds_nothing():
    assert TitleSearch([], np.empty(0, int)).find("star", 5) == []


def one_edit(word):
    letters = "abc"
    for k in range(len(word) + 1):
        yield from (word[:k] + letter + word[k:] for letter in letters)
    for k in range(len(word)):
        yield word[:k] + word[k + 1 :]
        yield from (word[:k] + letter + word[k + 1 :] for letter in letters)
    for k in range(len(word) - 1):
        yield word[:k] + word[k + 1] + word[k] + word[k + 2 :]


@pytest.mark.parametrize("begun", [False, True])
def test_one_typo_is_exactly_one_typo(begun):
    draw = random.Random(1)
    words = sorted({"".join(draw.choices("abc", k=draw.randint(1, 7))) for _ in range(600)})
    letters = _letters(words)
    for asked in {"".join(draw.choices("abc", k=draw.randint(2, 6))) for _ in range(60)}:
        near = set(one_edit(asked)) | {asked}
        starts = lambda word: (word[:k] for k in range(len(word) + 1))  # noqa: E731
        expected = [any(part in near for part in (starts(word) if begun else (word,))) for word in words]
        assert within_one_typo(asked, letters, begun=begun).tolist() == expected, asked


def test_thirty_thousand_titles_are_searched_in_a_moment():
    draw = random.Random(0)
    syllables = ["".join(pair) for pair in itertools.product("bcdfgklmnprstvz", "aeiou")]
    word = lambda: "".join(draw.choices(syllables, k=draw.randint(2, 4)))  # noqa: E731
    titles = [f"{word()} {word()} {word()} ({draw.randint(1930, 2020)})" for _ in range(30_000)]
    search = TitleSearch(titles, np.zeros(30_000, int))
    times = []
    for title in titles[:40]:
        typo = normalized(title)[:-6]
        typo = typo[:2] + typo[3:]
        start = time.thread_time()
        search.find(typo, 10)
        times.append(time.thread_time() - start)
    assert np.median(times) < 0.05
