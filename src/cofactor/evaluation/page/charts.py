"""Charts as SVG: bars, lines with bands, points with intervals; their colours are the page's, in light and dark.

A chart is drawn as wide as a phone is, so that its letters can be read there; wider screens put charts side by side.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from cofactor.evaluation.page.axes import Axis, linear, linear_from_zero, tick_text
from cofactor.evaluation.page.markup import Markup, decimals, joined, tag

__all__ = ["Series", "Spot", "bars", "legend", "lines", "spots"]

WIDTH, HEIGHT = 400, 250
LEFT, RIGHT, TOP, BOTTOM = 42, 14, 26, 38
LOOKS = 6
MARKERS = ("circle", "square", "diamond", "triangle", "ring", "cross")

Scale: TypeAlias = Callable[[Iterable[float], float, float], Axis]


@dataclass(frozen=True)
class Series:
    """One line of a chart: its points, and the bounds of their intervals where known."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Spot:
    """One point of a chart: each coordinate with the bounds of its interval."""

    label: str
    x: tuple[float, float, float]
    y: tuple[float, float, float]


def bars(labels: Sequence[str], values: Sequence[float], *, across: str, up: str, words: str) -> Markup:
    """Draw one bar for each value.

    Parameters
    ----------
    labels : sequence of str
        What stands below each bar.
    values : sequence of float
        Of 0 or more.
    across, up : str
        What the axes show.
    words : str
        What the picture shows, for those who do not see it.
    """
    y = linear_from_zero(values, HEIGHT - BOTTOM, TOP)
    room = (WIDTH - LEFT - RIGHT) / max(len(values), 1)
    every = max(1, math.ceil(max((len(label) for label in labels), default=1) * 7 / room))
    drawn = []
    for place, (label, value) in enumerate(zip(labels, values, strict=True)):
        x = LEFT + room * place
        shape = f"M{x + room * 0.1:.1f} {y(0):.1f}V{y(value):.1f}h{room * 0.8:.1f}V{y(0):.1f}z"
        drawn.append(tag("path", tag("title", f"{label}: {value:,.0f}"), d=shape, class_="bar"))
        if place % every == 0:
            drawn.append(_text(x + room / 2, HEIGHT - BOTTOM + 16, label, "middle"))
    return _picture(words, _rules_across(y), *drawn, _base(), *_names(across, up))


def lines(series: Sequence[Series], *, across: str, up: str, scales: tuple[Scale, Scale], words: str) -> Markup:
    """Draw a line for each series, with a band for its intervals.

    Parameters
    ----------
    series : sequence of Series
    across, up : str
        What the axes show.
    scales : tuple of two scales
        What makes the horizontal and the vertical axis, such as `axes.linear`.
    words : str
        What the picture shows, for those who do not see it.
    """
    x = scales[0]([value for one in series for value in one.x], LEFT, WIDTH - RIGHT)
    y = scales[1]([value for one in series for value in (*one.y, *one.low, *one.high)], HEIGHT - BOTTOM, TOP)
    bands = [_band(one, x, y, look) for look, one in enumerate(series) if len(one.low)]
    drawn = [_line(one, x, y, look) for look, one in enumerate(series)]
    return _picture(words, _rules_across(y), _ticks_below(x), *bands, *drawn, _base(), *_names(across, up))


def _line(one: Series, x: Axis, y: Axis, look: int) -> Markup:
    points = [(x(a), y(b)) for a, b in zip(one.x, one.y, strict=True)]
    path = tag("path", d="M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points), class_=f"line s{look % LOOKS}")
    if len(points) > 24:
        return path
    named = [f"{one.label}, {tick_text(a)}: {decimals(b)}" for a, b in zip(one.x, one.y, strict=True)]
    marks = [marker(look, *point, name) for point, name in zip(points, named, strict=True)]
    return joined([path, *marks])


def _band(one: Series, x: Axis, y: Axis, look: int) -> Markup:
    """Draw the intervals: as an area, and as a bar where there is but one point."""
    if len(one.x) == 1:
        return _interval((x(one.x[0]), y(one.low[0])), (x(one.x[0]), y(one.high[0])), look)
    there = [f"{x(a):.1f} {y(b):.1f}" for a, b in zip(one.x, one.high, strict=True)]
    back = [f"{x(a):.1f} {y(b):.1f}" for a, b in zip(one.x, one.low, strict=True)]
    return tag("path", d=f"M{'L'.join([*there, *reversed(back)])}z", class_=f"band s{look % LOOKS}")


def spots(points: Sequence[Spot], *, across: str, up: str, vertical: Scale, words: str) -> Markup:
    """Draw a point for each, with a bar for the interval of either coordinate."""
    x = linear([value for one in points for value in one.x], LEFT, WIDTH - RIGHT)
    y = vertical([value for one in points for value in one.y], HEIGHT - BOTTOM, TOP)
    drawn = []
    for look, one in enumerate(points):
        (middle, left, right), (height, low, high) = (x(v) for v in one.x), (y(v) for v in one.y)
        drawn += [_interval((left, height), (right, height), look), _interval((middle, low), (middle, high), look)]
        named = f"{one.label}: {decimals(one.x[0])} across, {decimals(one.y[0])} up"
        drawn.append(marker(look, middle, height, named))
    return _picture(words, _rules_across(y), _ticks_below(x), *drawn, _base(), *_names(across, up))


def _interval(start: tuple[float, float], end: tuple[float, float], look: int) -> Markup:
    return tag("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=f"interval s{look % LOOKS}")


def marker(look: int, x: float, y: float, name: str = "") -> Markup:
    """Return a mark whose colour and form both tell one series from another."""
    kind, style = MARKERS[look % LOOKS], f"mark s{look % LOOKS}"
    inside = (tag("title", name),) if name else ()
    if kind in ("circle", "ring"):
        return tag("circle", *inside, cx=x, cy=y, r="4.5", class_=f"{style} ring" if kind == "ring" else style)
    shapes = {
        "square": f"M{x - 4:.1f} {y - 4:.1f}h8v8h-8z",
        "diamond": f"M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z",
        "triangle": f"M{x:.1f} {y - 5:.1f}l5 9h-10z",
        "cross": f"M{x - 4:.1f} {y - 4:.1f}l8 8m0 -8l-8 8",
    }
    return tag("path", *inside, d=shapes[kind], class_=f"{style} ring" if kind == "cross" else style)


def legend(labels: Sequence[str]) -> Markup:
    """Return which mark stands for what; empty where there is but one."""
    if len(labels) < 2:
        return Markup()
    entries = []
    for look, label in enumerate(labels):
        key = tag("svg", marker(look, 7, 7), viewBox="0 0 14 14", class_="key", aria_hidden="true")
        entries.append(tag("li", key, label))
    return tag("ul", *entries, class_="legend")


def _picture(words: str, *parts: Markup) -> Markup:
    return tag("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=words, class_="chart")


def _rules_across(y: Axis) -> Markup:
    """Draw a faint line and a number for each tick of the vertical axis."""
    rules = [tag("line", x1=LEFT, y1=y(tick), x2=WIDTH - RIGHT, y2=y(tick), class_="rule") for tick in y.ticks]
    return joined([*rules, *(_text(LEFT - 7, y(tick) + 4, tick_text(tick), "end") for tick in y.ticks)])


def _ticks_below(x: Axis) -> Markup:
    return joined(_text(x(tick), HEIGHT - BOTTOM + 16, tick_text(tick), "middle") for tick in x.ticks)


def _base() -> Markup:
    return tag("line", x1=LEFT, y1=HEIGHT - BOTTOM, x2=WIDTH - RIGHT, y2=HEIGHT - BOTTOM, class_="base")


def _names(across: str, up: str) -> tuple[Markup, Markup]:
    return _text(WIDTH - RIGHT, HEIGHT - 6, across, "end"), _text(2, 13, up, "start")


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return tag("text", text, x=float(x), y=float(y), class_=None if anchor == "start" else anchor)
