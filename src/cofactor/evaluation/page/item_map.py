"""The map of the items as SVG: those that the same people like lie near each other, with titles on hover."""

import re
from dataclasses import dataclass

import numpy as np

from cofactor.data.interactions import Interactions
from cofactor.data.passes import counts_of, sums_of
from cofactor.evaluation.held_out import table_in_rows_of
from cofactor.evaluation.page.axes import Axis
from cofactor.evaluation.page.markup import Markup, breadth, joined, shortened, tag
from cofactor.evaluation.plane import best_known, item_plane, names_of
from cofactor.model.factors import Factors

__all__ = ["ItemMap", "map_of", "map_picture"]

WIDTH, HEIGHT, MARGIN = 960, 600, 26
MOST = 1500
"""How many items are drawn: a page must stay small enough to send."""

APART = 4
"""How far labels stand from each other."""

OUTLYING = 0.01
"""The share of the items on either side that must not decide how large the rest is drawn."""

SHADES = 5
"""Into how many classes the items are divided by their mean rating."""


@dataclass(frozen=True, eq=False)
class ItemMap:
    """What a map shows, the most rated items first.

    Parameters
    ----------
    rows : numpy.ndarray of int, shape (items,)
        The model's rows of the items shown.
    plane : numpy.ndarray, shape (items, 2)
        Where each is drawn.
    counts : numpy.ndarray of int, shape (items,)
        How many users had each in training.
    means : numpy.ndarray, shape (items,)
        Its mean value in the data, NaN where it has none.
    edges : numpy.ndarray
        The means that divide the shades; empty where all values are the same.
    names : list of str
        Titles, or ids.
    """

    rows: np.ndarray
    plane: np.ndarray
    counts: np.ndarray
    means: np.ndarray
    edges: np.ndarray
    names: list[str]


@dataclass(frozen=True)
class _Letters:
    """How labels are written: so high, at most so wide, at most so many, shown on screens of one kind."""

    size: float
    width: int
    most: int
    kind: str


_YEAR = re.compile(r"\s*\(\d{4}\)$")

DESK = _Letters(12.5, 30, 46, "desk")
PHONE = _Letters(29.0, 22, 14, "phone")
"""A phone shows the same picture a third as large, with fewer and larger letters."""


def map_of(model: Factors, ratings: Interactions) -> ItemMap:
    """Choose what to show: the best known items, as far as a page should hold them."""
    counts = counts_of(model.seen.indices, model.n_items)
    rows = best_known(counts)[:MOST]
    means = _mean_ratings(model, ratings)[rows]
    known = means[~np.isnan(means)]
    edges = np.unique(np.quantile(known, np.arange(1, SHADES) / SHADES)) if len(np.unique(known)) > 1 else np.empty(0)
    return ItemMap(rows, _drawn_in(item_plane(model)[rows]), counts[rows], means, edges, names_of(model, rows))


def _mean_ratings(model: Factors, ratings: Interactions) -> np.ndarray:
    """Return each item's mean in the data, which may hold more than a solver was given; NaN where it has none."""
    table = table_in_rows_of(model.users, model.items, ratings)
    counts, sums = counts_of(table.indices, model.n_items), sums_of(table.indices, table.data, model.n_items)
    means: np.ndarray = np.divide(sums, counts, out=np.full(model.n_items, np.nan), where=counts > 0)
    return means


def _drawn_in(plane: np.ndarray) -> np.ndarray:
    """Draw those few that lie far out to the edge of where the others are, so that these have room."""
    low, high = np.quantile(plane, [OUTLYING, 1 - OUTLYING], axis=0)
    reach = 0.2 * (high - low)
    drawn: np.ndarray = np.clip(plane, low - reach, high + reach)
    return drawn


def map_picture(shown: ItemMap, words: str) -> Markup:
    """Draw the map; every point has its title in it."""
    (left, low), (right, high) = shown.plane.min(axis=0), shown.plane.max(axis=0)
    x, y = Axis(left, right, MARGIN, WIDTH - MARGIN), Axis(low, high, HEIGHT - MARGIN, MARGIN)
    shades = _shades(shown)
    radii = _radii(shown)
    points = [
        tag("circle", tag("title", f"{name} · {count:,}"), cx=x(a), cy=y(b), r=float(r), class_=f"item m{shade}")
        for name, count, (a, b), r, shade in zip(shown.names, shown.counts, shown.plane, radii, shades, strict=True)
    ]
    frame = tag("rect", width=WIDTH, height=HEIGHT, rx=10, class_="frame")
    labels = [_labels(shown, x, y, letters) for letters in (DESK, PHONE)]
    return tag(
        "svg", frame, *points, *labels, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=words, class_="map"
    )


def _shades(shown: ItemMap) -> np.ndarray:
    """Return the class of each mean, from the least; the middle one where there is none, or all are the same."""
    if not len(shown.edges):
        return np.full(len(shown.rows), SHADES // 2)
    classes = np.searchsorted(shown.edges, np.nan_to_num(shown.means), side="right")
    return np.where(np.isnan(shown.means), SHADES // 2, classes)


def _radii(shown: ItemMap) -> np.ndarray:
    """Return how large each point is: its area grows with the number of people."""
    radii: np.ndarray = 2.2 + 7 * np.sqrt(shown.counts / max(shown.counts.max(), 1))
    return radii


def _labels(shown: ItemMap, x: Axis, y: Axis, letters: _Letters) -> Markup:
    """Write titles, the most rated first, wherever one covers no other."""
    taken: list[_Label] = []
    for name, (a, b), radius in zip(shown.names, shown.plane, _radii(shown), strict=True):
        text = shortened(_YEAR.sub("", name), letters.width)
        label = _label(text, x(a), y(b), radius + letters.size * 0.25, letters.size)
        if label.is_inside() and not any(label.covers(other) for other in taken):
            taken.append(label)
        if len(taken) == letters.most:
            break
    return tag("g", joined(label.written(letters.size) for label in taken), class_=letters.kind)


@dataclass(frozen=True)
class _Label:
    """A title beside a point: the box that it fills, and whether it ends at the point rather than begins there."""

    text: str
    left: float
    right: float
    top: float
    bottom: float
    ends: bool

    def is_inside(self) -> bool:
        return self.left > 4 and self.top > 2 and self.bottom < HEIGHT - 2

    def covers(self, other: "_Label") -> bool:
        beside = self.left >= other.right + APART or other.left >= self.right + APART
        return not beside and self.top < other.bottom and other.top < self.bottom

    def written(self, size: float) -> Markup:
        base = float((self.top + self.bottom) / 2 + size * 0.35)
        x = float(self.right if self.ends else self.left)
        return tag("text", self.text, x=x, y=base, class_="end" if self.ends else None)


def _label(text: str, x: float, y: float, gap: float, size: float) -> _Label:
    """Put a title to the right of a point, and to the left where the picture ends."""
    width, half = breadth(text) * size * 0.54, size * 0.7
    ends = x + gap + width > WIDTH - 4
    left = x - gap - width if ends else x + gap
    return _Label(text, left, left + width, y - half, y + half, ends)
