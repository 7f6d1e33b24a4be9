"""Search in titles: by prefix and words, accents and case ignored, one typo in a word forgiven."""

import bisect
import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["TitleSearch", "normalized", "within_one_typo"]

_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "þ": "th", "ð": "d"})
_NO_APOSTROPHES = str.maketrans("", "", "'’ʼ`")
_WORD = re.compile(r"\w+")
_WIDTH = 24  # letters of a word that are looked at where a typo is searched for
_FORGIVEN_FROM = 4  # letters: in a shorter word a typo makes another word


def normalized(text: str) -> str:
    """Return a text in small letters without accents and apostrophes, words separated by one space.

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
    apart = unicodedata.normalize("NFKD", plain)
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).translate(_PLAIN)


class TitleSearch:
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
        for row, title in enumerate(self._plain):
            words = title.split()
            if "'" in titles[row] or "’" in titles[row]:  # l'été is found by "été" as well as by "lété"
                words += _WORD.findall(_without_accents(titles[row]))
            for word in set(words):
                found.setdefault(word, []).append(row)
        self._words = sorted(found)
        self._starts = np.concatenate([[0], np.cumsum([len(found[word]) for word in self._words])]).astype(np.int64)
        self._rows = np.array([row for word in self._words for row in found[word]], dtype=np.int64)
        self._letters = _letters(self._words)
        self._columns = np.asfortranarray(self._letters)

    def find(self, text: str, n: int) -> list[int]:
        """Return the rows of the ``n`` best matches, the best first; none for a text without a letter.

        Every word must be in the title, the last one perhaps only begun.
        """
        plain = normalized(text)
        words = plain.split()
        if not words:
            return []
        typos = self._misses_of(words, forgiving=False)
        if typos.min(initial=_NEVER) == _NEVER:
            typos = self._misses_of(words, forgiving=True)
        hits = np.flatnonzero(typos < _NEVER)
        if len(hits) > n:  # order only the best by what takes Python
            likely = np.lexsort((-self._popularity[hits], typos[hits]))[: max(20 * n, 200)]
            hits = hits[likely]
        starts = np.array([not self._plain[row].startswith(plain) for row in hits], dtype=bool)
        order = np.lexsort((hits, -self._popularity[hits], starts, typos[hits]))
        return [int(row) for row in hits[order][:n]]

    def _misses_of(self, words: list[str], *, forgiving: bool) -> np.ndarray:
        """Return for each title how many typos lie between it and some words, many where it has not all of them."""
        misses = self._misses(words[-1], begun=True, forgiving=forgiving)
        for word in words[:-1]:
            misses = misses + self._misses(word, begun=False, forgiving=forgiving)
        return np.minimum(misses, _NEVER)

    def _misses(self, word: str, *, begun: bool, forgiving: bool) -> np.ndarray:
        misses = np.full(len(self._plain), _NEVER)
        if forgiving and len(word) >= _FORGIVEN_FROM and len(self._words):
            for place in self._near(word[: _WIDTH - 2], begun).tolist():
                misses[self._titles_of(place, place + 1)] = 1
        first = bisect.bisect_left(self._words, word)
        last = bisect.bisect_left(self._words, word + "\U0010ffff") if begun else first + self._has(first, word)
        misses[self._titles_of(first, last)] = 0
        return misses

    def _near(self, word: str, begun: bool) -> np.ndarray:
        """Return the places of the words that are a word but for a typo.

        One typo leaves one of the first two letters, and one of the last two, where it was or next to it: that alone
        rules most words out.
        """
        about = np.ones(len(self._words), bool)
        for pair in ((0, 1), (len(word) - 2, len(word) - 1)):
            here = np.zeros(len(self._words), bool)
            for place in pair:
                for column in range(max(place - 1, 0), place + 2):
                    here |= self._columns[:, column] == ord(word[place])
            about &= here
        likely = np.flatnonzero(about)
        return likely[within_one_typo(word, self._letters[likely], begun=begun)]

    def _has(self, place: int, word: str) -> bool:
        return place < len(self._words) and self._words[place] == word

    def _titles_of(self, first: int, last: int) -> np.ndarray:
        rows: np.ndarray = self._rows[self._starts[first] : self._starts[last]]
        return rows


_NEVER = 1 << 20


def _letters(words: Iterable[str]) -> np.ndarray:
    """Return the code points of the words' first letters, zeros after their ends: (words, _WIDTH)."""
    padded = "".join(word[: _WIDTH - 1].ljust(_WIDTH, "\0") for word in words)
    return np.frombuffer(padded.encode("utf-32-le"), dtype=np.uint32).reshape(-1, _WIDTH)


def within_one_typo(word: str, letters: np.ndarray, *, begun: bool) -> np.ndarray:
    """Tell which words are a word but for one typo: a letter wrong, missing, too many, or two letters swapped.

    Parameters
    ----------
    word : str
    letters : numpy.ndarray of uint32, shape (words, width)
        Code points, padded by zeros; wider than ``word`` by two at least.
    begun : bool
        Whether it is enough that a word begins so.

    Returns
    -------
    numpy.ndarray of bool, shape (words,)
    """
    asked = np.frombuffer((word if begun else word + "\0").encode("utf-32-le"), dtype=np.uint32)
    length = len(asked)
    same = letters[:, :length] == asked
    first = np.where(same.all(axis=1), length, same.argmin(axis=1))  # where the two begin to differ
    rows = np.arange(len(letters))
    after = np.minimum(first + 1, length)
    wrong = _rests(same)[rows, after]
    extra = _rests(letters[:, 1 : length + 1] == asked)[rows, first]  # the title has one letter more
    missing = np.zeros((len(letters), length), bool)
    missing[:, 1:] = letters[:, : length - 1] == asked[1:]
    swapped = np.zeros((len(letters), length), bool)
    swapped[:, : length - 1] = (letters[:, : length - 1] == asked[1:]) & (letters[:, 1:length] == asked[:-1])
    turned = swapped[rows, np.minimum(first, length - 1)] & _rests(same)[rows, np.minimum(first + 2, length)]
    one_less = _rests(missing)[rows, after]
    if not begun:  # the end of a word is no letter that could be mistaken
        inside = first != length - 1
        wrong, one_less = wrong & inside, one_less & inside
    return wrong | extra | one_less | turned


def _rests(equal: np.ndarray) -> np.ndarray:
    """Return for each place whether all is equal from there on; the place past the end counts as equal."""
    rests = np.ones((len(equal), equal.shape[1] + 1), bool)
    rests[:, :-1] = np.logical_and.accumulate(equal[:, ::-1], axis=1)[:, ::-1]
    return rests
