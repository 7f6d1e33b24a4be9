"""The map of the items as SVG: those that the same people like lie near each other, with titles on hover."""

import re
from dataclasses import dataclass

import numpy as np

from cofactor.evaluation.page.axes import Axis
from cofactor.evaluation.page.markup import Markup, breadth, joined, shortened, tag
from cofactor.evaluation.plane import item_plane, names_of
from cofactor.model.factors import Factors

__all__ = ["ItemMap", "map_of", "map_picture"]

WIDTH, HEIGHT, MARGIN = 960, 600, 26
MOST = 1500
"""How many items are drawn: a page must stay small enough to send."""

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
        Where each lies.
    counts : numpy.ndarray of int, shape (items,)
        How many users had each in training.
    means : numpy.ndarray, shape (items,)
        Its mean value in training.
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


def map_of(model: Factors) -> ItemMap:
    """Choose what to show: two thirds of the items that anybody had, the most rated, and 50 if there are so many."""
    counts = np.bincount(model.seen.indices, minlength=model.n_items)
    sums = np.bincount(model.seen.indices, weights=model.seen.data, minlength=model.n_items)
    wanted = max(int((counts > 0).sum()) * 2 // 3, min(model.n_items, 50))
    rows = np.argsort(-counts, kind="stable")[: min(wanted, MOST)]
    means = sums[rows] / np.maximum(counts[rows], 1)
    edges = np.unique(np.quantile(means, np.arange(1, SHADES) / SHADES)) if np.ptp(means) > 1e-6 else np.empty(0)
    return ItemMap(rows, item_plane(model)[rows], counts[rows], means, edges, names_of(model, rows))


def map_picture(shown: ItemMap, words: str) -> Markup:
    """Draw the map; every point has its title in it."""
    (left, low), (right, high) = shown.plane.min(axis=0), shown.plane.max(axis=0)
    x, y = Axis(left, right, MARGIN, WIDTH - MARGIN), Axis(low, high, HEIGHT - MARGIN, MARGIN)
    shades = (
        np.searchsorted(shown.edges, shown.means, side="right") if len(shown.edges) else [SHADES - 2] * len(shown.rows)
    )
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
        beside = self.left >= other.right or other.left >= self.right
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
