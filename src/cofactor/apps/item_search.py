"""Search for items by title: words may be unfinished, misspelt, run together, or written as numbers."""

import bisect
import re
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from cofactor.data.vocabulary import Id
from cofactor.errors import UnknownIdError
from cofactor.model.factors import Factors

__all__ = ["ItemSearch", "find_item", "normalized"]

_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"})
_NO_APOSTROPHES = str.maketrans("", "", "'’ʼ`")
_WORD = re.compile(r"\w+")
_INITIALS = re.compile(r"\b\w(?: \w\b)+")
_YEAR = re.compile(r" \d{4}$")
_NUMBERS = {
    "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "eleven": "11", "twelve": "12",
    "ii": "2", "iii": "3", "iv": "4", "vi": "6", "vii": "7", "viii": "8", "ix": "9",
}  # fmt: skip
_LONGEST_WORD = 40  # letters of a word that are compared
_COMPARED_IDS = 100_000
_MISSING = 1 << 20


def normalized(text: str) -> str:
    """Return a text in lower case without accents and apostrophes, words separated by one space.

    Examples
    --------
    >>> normalized("Amélie (Fabuleux destin d'Amélie Poulain, Le) (2001)")
    'amelie fabuleux destin damelie poulain le 2001'
    """
    return " ".join(_WORD.findall(_without_accents(text).translate(_NO_APOSTROPHES)))


def _without_accents(text: str) -> str:
    plain = text.casefold()
    if plain.isascii():
        return plain
    decomposed = unicodedata.normalize("NFKD", plain)
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter)).translate(_PLAIN)


class ItemSearch:
    """An index of titles, made once for a model.

    Parameters
    ----------
    titles : sequence of str
        In item row order.
    popularity : numpy.ndarray of int, shape (items,)
        Of equally good matches the more popular ones come first.
    """

    def __init__(self, titles: Sequence[str], popularity: np.ndarray) -> None:
        self._plain = [normalized(title) for title in titles]
        self._popularity = popularity
        found: dict[str, list[int]] = {}
        for row, title in enumerate(titles):
            for word in set(_words_of(title, self._plain[row])):
                found.setdefault(word, []).append(row)
        self._words = sorted(found)
        self._starts = np.concatenate([[0], np.cumsum([len(found[word]) for word in self._words])]).astype(np.int64)
        self._rows = np.array([row for word in self._words for row in found[word]], dtype=np.int64)
        self._letters, self._title_letters = _letters_of(self._words), _letters_of(self._plain)

    def find(self, text: str, n: int) -> list[int]:
        """Return the rows of the ``n`` best matches, the best first; none for a text without a letter.

        Every word must be in the title; the last one may be a prefix. If no title has them all, typos are allowed, and
        then titles that begin with the whole text, spaces left out.
        """
        plain = normalized(text)
        words = [word[:_LONGEST_WORD] for word in plain.split()]
        if not words:
            return []
        for misses in self._attempts(words):
            if misses.min(initial=_MISSING) < _MISSING:
                return self._ordered(misses, plain, n)
        return []

    def nearest(self, text: str, n: int) -> list[int]:
        """Return the rows of matches, or else of the titles that resemble a text most."""
        found, plain = self.find(text, n), normalized(text)
        if found or not plain:
            return found
        return [row for _, _, row in process.extract(plain, self._plain, scorer=fuzz.WRatio, limit=n, score_cutoff=60)]

    def exact(self, text: str) -> list[int]:
        """Return the rows of the titles that a text is, with their year or, if there are none, without it."""
        plain = normalized(text)
        if not plain:
            return []
        whole = [row for row, title in enumerate(self._plain) if title == plain]
        return whole or [row for row, title in enumerate(self._plain) if _YEAR.sub("", title) == plain]

    def _attempts(self, words: list[str]) -> Iterator[np.ndarray]:
        """Yield how badly each title matches, stricter attempts first."""
        yield self._misses_of(words, typos=False)
        yield self._misses_of(words, typos=True)
        yield self._run_together("".join(words))

    def _misses_of(self, words: list[str], *, typos: bool) -> np.ndarray:
        """Return for each title how far some words are from being in it; _MISSING where one is not."""
        total = self._misses(words[-1], prefix=True, typos=typos)
        for word in words[:-1]:
            if total.min(initial=_MISSING) >= _MISSING:
                break
            total = total + self._misses(word, prefix=False, typos=typos)
        return np.minimum(total, _MISSING)

    def _misses(self, word: str, *, prefix: bool, typos: bool) -> np.ndarray:
        """Return 0 for titles with a word, 1 where it is a prefix of one of theirs, more where there are typos."""
        misses = np.full(len(self._plain), _MISSING)
        if typos:
            likely = _sharing_letters(word, self._letters)
            distances = _distances(word, [self._words[k] for k in likely], prefix=prefix)
            for distance in range(_allowed_typos(word), 0, -1):  # the nearest is written last
                for k in likely[distances == distance].tolist():
                    misses[self._titles_of(k, k + 1)] = 2 * distance
        first = bisect.bisect_left(self._words, word)
        if prefix:
            misses[self._titles_of(first, bisect.bisect_left(self._words, word + "\U0010ffff"))] = 1
        for spelling in {word, _NUMBERS.get(word, word)}:
            k = bisect.bisect_left(self._words, spelling)
            if k < len(self._words) and self._words[k] == spelling:
                misses[self._titles_of(k, k + 1)] = 0
        return misses

    def _run_together(self, text: str) -> np.ndarray:
        """Return how many typos lie between a text and the beginning of each title, spaces left out."""
        misses = np.full(len(self._plain), _MISSING)
        likely = _sharing_letters(text, self._title_letters)
        distances = _distances(text, [self._plain[row].replace(" ", "") for row in likely], prefix=True)
        near = distances <= _allowed_typos(text)
        misses[likely[near]] = distances[near]
        return misses

    def _ordered(self, misses: np.ndarray, plain: str, n: int) -> list[int]:
        hits = np.flatnonzero(misses < _MISSING)
        if len(hits) > n:  # the last step takes Python's time, so it gets the likeliest only
            hits = hits[np.lexsort((-self._popularity[hits], misses[hits]))[: max(20 * n, 200)]]
        later = np.array([not self._plain[row].startswith(plain) for row in hits], dtype=bool)
        order = np.lexsort((hits, -self._popularity[hits], later, misses[hits]))
        return [int(row) for row in hits[order][:n]]

    def _titles_of(self, first: int, last: int) -> np.ndarray:
        rows: np.ndarray = self._rows[self._starts[first] : self._starts[last]]
        return rows


def _words_of(title: str, plain: str) -> list[str]:
    """Return what a title is found by: its words, initials as one word, numerals as digits."""
    words = plain.split()
    words += [run.replace(" ", "") for run in _INITIALS.findall(plain)]
    words += [_NUMBERS[word] for word in words if word in _NUMBERS]
    if "'" in title or "’" in title:  # l'été is found by "été" as well as by "lété"
        words += _WORD.findall(_without_accents(title))
    return words


def _allowed_typos(word: str) -> int:
    """Return how many typos are allowed: fewer in short words, where they soon make another word."""
    return 0 if len(word) < 3 else 1 if len(word) < 8 else 2


def _letters_of(texts: Sequence[str]) -> np.ndarray:
    """Return which letters each text has, as the bits of a number; letters that share a bit count as one."""
    codes = np.frombuffer("".join(f"{text} " for text in texts).encode("utf-32-le"), dtype=np.uint32)
    bits = np.left_shift(np.uint64(1), codes.astype(np.uint64) % 64)
    bits[codes == ord(" ")] = 0
    ends = np.cumsum([len(text) + 1 for text in texts], dtype=np.int64)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    return np.bitwise_or.reduceat(bits, starts) if len(texts) else np.empty(0, np.uint64)


def _sharing_letters(word: str, letters: np.ndarray) -> np.ndarray:
    """Return the texts that may match a word: a typo removes at most one of its letters, and one must remain."""
    own = _letters_of([word])[0]
    missing = np.bitwise_count(own & ~letters)
    return np.flatnonzero(missing <= min(_allowed_typos(word), int(np.bitwise_count(own)) - 1))


def _distances(word: str, others: Sequence[str], *, prefix: bool) -> np.ndarray:
    """Return how many letters must be changed, added, removed or swapped to turn a word into each of some others.

    With ``prefix``, the beginnings of the others that are about as long are compared.
    """
    limit = _allowed_typos(word)
    if not others:
        return np.empty(0, np.int64)
    cuts = range(len(word) - limit, len(word) + limit + 1) if prefix else (None,)
    compared = ([other[:cut] for other in others] for cut in cuts)
    distances: np.ndarray = np.min(
        [process.cdist([word], texts, scorer=OSA.distance, score_cutoff=limit)[0] for texts in compared], axis=0
    )
    if len(word) == 3:  # with another first letter it is another word
        distances[[not other.startswith(word[0]) for other in others]] = limit + 1
    return distances


def find_item(model: Factors, text: str) -> Id:
    """Return the item that a text means: an id, or a title, with or without its year, in any case.

    Raises
    ------
    UnknownIdError
        Naming the nearest titles or, where there are none, the nearest id.
    """
    identifier = model.items.parse(text)
    if identifier in model.items:
        return identifier
    titles = model.metadata.titles
    if titles is None:
        ids = [str(known) for known in model.items.ids[:_COMPARED_IDS]]
        close = process.extractOne(text, ids, scorer=fuzz.ratio, score_cutoff=60)
        known = f"the nearest id is {close[0]!r}" if close else f"the item ids look like {model.items[0]!r}"
        raise UnknownIdError(f"unknown item {text!r}: {known}, and there are no titles")
    search = ItemSearch([title or "" for title in titles], np.bincount(model.seen.indices, minlength=model.n_items))
    found = search.exact(text)
    if len(found) == 1:
        return model.items[found[0]]
    near = found[:5] or search.nearest(text, 5)
    offered = "; ".join(f"{titles[row]} (id {model.items[row]})" for row in near)
    raise UnknownIdError(
        f"no item is called {text!r}; the nearest are: {offered}"
        if near
        else f"no item is called {text!r}: give an item's id, such as {str(model.items[0])!r}, or words of its title"
    )
