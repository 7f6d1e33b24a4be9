"""Items are found by words of their title: begun, misspelt, run together or as numbers, with or without accents."""

import itertools
import random
import time

import numpy as np
import pytest

from cofactor.apps.item_search import ItemSearch, _distances, normalized

TITLES = [
    "Godfather, The (1972)", "Godfather: Part II, The (1974)", "Star Wars (1977)", "Star Trek (1979)",
    "Amélie (Le fabuleux destin d'Amélie Poulain) (2001)", "L'Été meurtrier (1983)", "Żółw (2001)", "東京物語 (1953)",
    "Silence of the Lambs, The (1991)", "Up (2009)", "Upstream Color (2013)", "Star (1990)", "???",
    "Eternal Sunshine (2004)", "E.T. the Extra-Terrestrial (1982)", "Twelve Monkeys (1995)", "Ocean's 11 (1960)",
    "Empire Strikes Back, The (1980)", "Rocky III (1982)",
]  # fmt: skip


@pytest.fixture(scope="module")
def search():
    return ItemSearch(TITLES, np.arange(len(TITLES))[::-1])


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("star wars", "Star Wars (1977)"), ("STAR W", "Star Wars (1977)"), ("wars star", "Star Wars (1977)"),
        ("amelie", TITLES[4]), ("AMÉLIE", TITLES[4]), ("ete", TITLES[5]), ("lete", TITLES[5]), ("zolw", "Żółw (2001)"),
        ("東京", TITLES[7]), ("godfahter", TITLES[0]), ("godfater", TITLES[0]), ("godffather", TITLES[0]),
        ("gotfather part", TITLES[1]), ("silense of the lam", TITLES[8]), ("up", "Up (2009)"), ("1991", TITLES[8]),
        ("star", "Star Wars (1977)"), ("  star   TREK!! ", "Star Trek (1979)"), ("star wrs", "Star Wars (1977)"),
        ("satr wars", "Star Wars (1977)"), ("starwars", "Star Wars (1977)"), ("starwasr", "Star Wars (1977)"),
        ("empirestrikes", TITLES[17]), ("et", TITLES[14]), ("e.t.", TITLES[14]), ("eter", TITLES[13]),
        ("12 monkeys", TITLES[15]), ("oceans eleven", TITLES[16]), ("rocky 3", TITLES[18]), ("godfather 2", TITLES[1]),
        ("silince of teh lamsb", TITLES[8]),
    ],
)  # fmt: skip
def test_finds(search, text, first):
    assert TITLES[search.find(text, 5)[0]] == first


@pytest.mark.parametrize(
    "text", ["", "   ", "???", "''", "xyzzy", "star xyzzy", "godfathr prat xyzzy", "starxyzzy", "\0", "a" * 5000]
)
def test_finds_nothing(search, text):
    assert search.find(text, 5) == []


def test_an_exact_word_comes_before_one_with_a_typo(search):
    found = [TITLES[row] for row in search.find("star", 10)]
    assert found[:3] == ["Star Wars (1977)", "Star Trek (1979)", "Star (1990)"]


def test_at_most_so_many_are_found(search):
    assert len(search.find("s", 2)) == 2


def test_a_catalogue_of_none_finds_nothing():
    assert ItemSearch([], np.empty(0, int)).find("star", 5) == []


def one_edit(word):
    letters = "abc"
    for k in range(len(word) + 1):
        yield from (word[:k] + letter + word[k:] for letter in letters)
    for k in range(len(word)):
        yield word[:k] + word[k + 1 :]
        yield from (word[:k] + letter + word[k + 1 :] for letter in letters)
    for k in range(len(word) - 1):
        yield word[:k] + word[k + 1] + word[k] + word[k + 2 :]


@pytest.mark.parametrize("prefix", [False, True])
def test_one_typo_is_exactly_one_typo(prefix):
    draw = random.Random(1)
    words = sorted({"".join(draw.choices("abc", k=draw.randint(1, 7))) for _ in range(600)})
    for asked in {"".join(draw.choices("abc", k=draw.randint(4, 7))) for _ in range(60)}:
        near = set(one_edit(asked)) | {asked}
        starts = lambda word: (word[:k] for k in range(len(word) + 1))  # noqa: E731
        expected = [any(part in near for part in (starts(word) if prefix else (word,))) for word in words]
        assert (_distances(asked, words, prefix=prefix) <= 1).tolist() == expected, asked


def test_thirty_thousand_titles_are_searched_in_a_moment():
    draw = random.Random(0)
    syllables = ["".join(pair) for pair in itertools.product("bcdfgklmnprstvz", "aeiou")]
    word = lambda: "".join(draw.choices(syllables, k=draw.randint(2, 4)))  # noqa: E731
    titles = [f"{word()} {word()} {word()} ({draw.randint(1930, 2020)})" for _ in range(30_000)]
    search = ItemSearch(titles, np.zeros(30_000, int))
    times = []
    for title in titles[:40]:
        typo = normalized(title)[:-6]
        typo = typo[:2] + typo[3:]
        start = time.thread_time()
        search.find(typo, 10)
        times.append(time.thread_time() - start)
    assert np.median(times) < 0.05
