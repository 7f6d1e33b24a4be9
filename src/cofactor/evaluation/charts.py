"""Charts as SVG: axes, bars, lines with bands, points with intervals, and the whole chart with title and legend.

One function draws a picture for the report page, which brings its own style, and for a file or a notebook, where
`Chart.to_svg` adds title, legend and style. Either way the colours follow the reader's light or dark scheme. A picture
is as wide as a phone, so that its letters can be read there; wider screens put pictures side by side.
"""

import functools
import math
import os
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from cofactor.data.arguments import path_of
from cofactor.errors import SettingError
from cofactor.evaluation.markup import Markup, decimals, joined, tag
from cofactor.files import replacing

__all__ = [
    "BOTTOM",
    "HEIGHT",
    "LEFT",
    "RIGHT",
    "TOP",
    "WIDTH",
    "Axis",
    "Chart",
    "Series",
    "Spot",
    "axis_names",
    "bars",
    "baseline",
    "grid_lines",
    "legend",
    "line",
    "linear",
    "linear_from_zero",
    "lines",
    "logarithmic",
    "marker",
    "panels",
    "picture",
    "spots",
    "text",
    "tick_text",
    "ticks_below",
]

WIDTH, HEIGHT = 400, 250
LEFT, RIGHT, TOP, BOTTOM = 42, 14, 26, 38
COLOURS = 6
MARKERS = ("circle", "square", "diamond", "triangle", "ring", "cross")


@dataclass(frozen=True)
class Axis:
    """One axis: it maps values between ``low`` and ``high`` to coordinates from ``start`` to ``end``."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...] = ()
    warp: Callable[[float], float] = float

    def __call__(self, value: float) -> float:
        """Return where a value lies."""
        low, high = self.warp(self.low), self.warp(self.high)
        share = (self.warp(value) - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)


def linear(values: Iterable[float], start: float, end: float) -> Axis:
    """Return an axis that reaches a little beyond the values."""
    known = [*values] or [0.0]
    low, high = min(known), max(known)
    margin = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return _between(low - margin, high + margin, start, end)


def linear_from_zero(values: Iterable[float], start: float, end: float) -> Axis:
    """Return an axis from 0 to the first round number that no value lies beyond."""
    top = max([*values, 0.0]) or 1.0
    step = _step(top)
    return _between(0.0, math.ceil(round(top / step, 9)) * step, start, end)


def _between(low: float, high: float, start: float, end: float) -> Axis:
    step = _step(high - low)
    first = math.ceil(low / step - 1e-9)
    ticks = tuple(step * number for number in range(first, math.floor(high / step + 1e-9) + 1))
    return Axis(low, high, start, end, ticks)


def _step(width: float) -> float:
    """Return a round distance between ticks, so that there are about four."""
    power: float = 10.0 ** math.floor(math.log10(width / 4))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if width / (power * factor) <= 5)


def logarithmic(values: Iterable[float], start: float, end: float) -> Axis:
    """Return a logarithmic axis over positive values, with ticks at powers of ten, or closer where it is short."""
    known = [value for value in values if value > 0] or [1.0]
    low, high = min(known), max(known)
    if high / low < 1.05:
        low, high = low / 1.2, high * 1.2
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5)):
        marks = [factor * 10.0**power for power in decades for factor in factors]
        ticks = tuple(mark for mark in marks if low * 0.999 <= mark <= high * 1.001)
        if len(ticks) >= 3:
            return Axis(low, high, start, end, ticks, math.log10)
    ticks = tuple(tick for tick in _between(low, high, start, end).ticks if tick > 0)
    return Axis(low, high, start, end, ticks, math.log10)


def tick_text(value: float) -> str:
    """Write a tick in few letters.

    >>> [tick_text(value) for value in (0.0, 0.25, 30.0, 2_000.0, 150_000.0, 3e6)]
    ['0', '0.25', '30', '2,000', '150k', '3M']
    """
    for least, unit in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= least:
            return f"{value / (1e3 if unit == 'k' else least):.4g}{unit}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


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
        Written below each bar.
    values : sequence of float
        Of 0 or more.
    across, up : str
        What the axes show.
    words : str
        What the picture shows, for those who cannot see it.
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
            drawn.append(text(x + room / 2, HEIGHT - BOTTOM + 16, label, "middle"))
    return picture(words, grid_lines(y), *drawn, baseline(), *axis_names(across, up))


def lines(
    series: Sequence[Series],
    *,
    across: str,
    up: str,
    scales: tuple[Scale, Scale],
    words: str,
    values: bool = False,
) -> Markup:
    """Draw a line for each series, with a band for its intervals.

    Parameters
    ----------
    series : sequence of Series
    across, up : str
        What the axes show.
    scales : tuple of two scales
        What makes the horizontal and the vertical axis, such as `linear`.
    words : str
        What the picture shows, for those who cannot see it.
    values : bool
        Whether each value is written above its point.
    """
    series = [_finite(one) for one in series]
    x = scales[0]([value for one in series for value in one.x], LEFT, WIDTH - RIGHT)
    y = scales[1]([value for one in series for value in (*one.y, *one.low, *one.high)], HEIGHT - BOTTOM, TOP)
    bands = [_band(one, x, y, look) for look, one in enumerate(series) if len(one.low)]
    drawn = [line(one, x, y, look) for look, one in enumerate(series)]
    written = [_values(one, x, y, look) for look, one in enumerate(series) if values and 2 < len(one.x) < 12]
    return picture(words, grid_lines(y), ticks_below(x), *bands, *drawn, *written, baseline(), *axis_names(across, up))


def _finite(one: Series) -> Series:
    """Return a series without the points that have no value."""
    kept = [place for place, value in enumerate(one.y) if not math.isnan(value)]
    if len(kept) == len(one.y):
        return one
    parts = ([part[place] for place in kept] if len(part) else [] for part in (one.x, one.y, one.low, one.high))
    return Series(one.label, *parts)


def line(one: Series, x: Axis, y: Axis, look: int) -> Markup:
    """Draw a line through the points of a series, with a mark at each unless there are many."""
    points = [(x(a), y(b)) for a, b in zip(one.x, one.y, strict=True)]
    if not points:
        return Markup()
    path = tag("path", d="M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points), class_=f"line {_colour(look)}")
    if len(points) > 24:
        return path
    named = [f"{one.label}, {tick_text(a)}: {decimals(b)}" for a, b in zip(one.x, one.y, strict=True)]
    marks = [marker(look, *point, name) for point, name in zip(points, named, strict=True)]
    return joined([path, *marks])


def _values(one: Series, x: Axis, y: Axis, look: int) -> Markup:
    """Write each value above its point."""
    style = f"value middle {_colour(look)}"
    return joined(tag("text", f"{b:.3f}", x=x(a), y=y(b) - 9, class_=style) for a, b in zip(one.x, one.y, strict=True))


def _band(one: Series, x: Axis, y: Axis, look: int) -> Markup:
    """Draw the intervals: as an area, or as a bar if there is one point only."""
    if len(one.x) == 1:
        return _interval((x(one.x[0]), y(one.low[0])), (x(one.x[0]), y(one.high[0])), look)
    there = [f"{x(a):.1f} {y(b):.1f}" for a, b in zip(one.x, one.high, strict=True)]
    back = [f"{x(a):.1f} {y(b):.1f}" for a, b in zip(one.x, one.low, strict=True)]
    return tag("path", d=f"M{'L'.join([*there, *reversed(back)])}z", class_=f"band {_colour(look)}")


def spots(points: Sequence[Spot], *, across: str, up: str, vertical: Scale, words: str) -> Markup:
    """Draw a point for each, with a bar for the interval of either coordinate."""
    there = {look: one for look, one in enumerate(points) if not any(map(math.isnan, (*one.x, *one.y)))}
    x = linear([value for one in there.values() for value in one.x], LEFT, WIDTH - RIGHT)
    y = vertical([value for one in there.values() for value in one.y], HEIGHT - BOTTOM, TOP)
    drawn = []
    for look, one in there.items():
        (middle, left, right), (height, low, high) = (x(v) for v in one.x), (y(v) for v in one.y)
        drawn += [_interval((left, height), (right, height), look), _interval((middle, low), (middle, high), look)]
        named = f"{one.label}: {decimals(one.x[0])} across, {decimals(one.y[0])} up"
        drawn.append(marker(look, middle, height, named))
    return picture(words, grid_lines(y), ticks_below(x), *drawn, baseline(), *axis_names(across, up))


def _interval(start: tuple[float, float], end: tuple[float, float], look: int) -> Markup:
    return tag("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=f"interval {_colour(look)}")


def marker(look: int, x: float, y: float, name: str = "") -> Markup:
    """Return a marker; both its colour and its shape tell one series from another."""
    kind = MARKERS[(look + look // COLOURS) % len(MARKERS)]
    style = f"mark {_colour(look)}"
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
    """Return what each marker means; empty if there is one only."""
    if len(labels) < 2:
        return Markup()
    entries = []
    for look, label in enumerate(labels):
        key = tag("svg", marker(look, 7, 7), viewBox="0 0 14 14", class_="key", aria_hidden="true")
        entries.append(tag("li", key, label))
    return tag("ul", *entries, class_="legend")


def picture(words: str, *parts: Markup, height: int = HEIGHT) -> Markup:
    """Put the parts of a drawing together; ``words`` say what it shows to those who cannot see it."""
    return tag("svg", *parts, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=words, class_="chart")


def grid_lines(y: Axis) -> Markup:
    """Draw a faint line and a number for each tick of the vertical axis."""
    rules = [tag("line", x1=LEFT, y1=y(tick), x2=WIDTH - RIGHT, y2=y(tick), class_="rule") for tick in y.ticks]
    return joined([*rules, *(text(LEFT - 7, y(tick) + 4, tick_text(tick), "end") for tick in y.ticks)])


def ticks_below(x: Axis) -> Markup:
    """Write a number for each tick of the horizontal axis."""
    return joined(text(x(tick), HEIGHT - BOTTOM + 16, tick_text(tick), "middle") for tick in x.ticks)


def baseline() -> Markup:
    """Draw the horizontal axis."""
    return tag("line", x1=LEFT, y1=HEIGHT - BOTTOM, x2=WIDTH - RIGHT, y2=HEIGHT - BOTTOM, class_="base")


def axis_names(across: str, up: str) -> tuple[Markup, Markup]:
    """Write what the axes show."""
    return text(WIDTH - RIGHT, HEIGHT - 6, across, "end"), text(2, 13, up, "start")


def text(x: float, y: float, words: str, anchor: str = "start") -> Markup:
    """Return some words; ``anchor`` says whether they start, end or have their middle there."""
    return tag("text", words, x=float(x), y=float(y), class_=None if anchor == "start" else anchor)


def _colour(look: int) -> str:
    return f"s{look % COLOURS}"


@dataclass(frozen=True)
class Chart:
    """A picture with what is to be read beside it.

    In a notebook it shows itself; `save` writes it to a file, which every browser and most programs open.

    Parameters
    ----------
    title, note : str
        What it shows, and how to read it.
    picture : Markup
        The drawing alone, an ``svg`` element whose label says what it shows to those who cannot see it.
    labels : sequence of str
        What each colour and marker means; none if there is one alone.
    width, height : int
        Of the drawing.
    """

    title: str
    note: str
    picture: Markup = field(repr=False)
    labels: Sequence[str] = ()
    width: int = WIDTH
    height: int = HEIGHT

    def to_svg(self) -> str:
        """Return the chart as an SVG document of its own, in light and dark."""
        scale, margin = max(1.0, self.width / 620), 16.0
        left, y, parts = margin, margin, []
        for words, size, kind in ((self.title, 16 * scale, "title"), (self.note, 11.5 * scale, "note")):
            for row in textwrap.wrap(words, int(self.width / (size * 0.58))):
                y += size * 1.25
                parts.append(tag("text", row, x=left, y=y, class_=kind, font_size=size))
            y += size * 0.3
        entries, y = _legend_rows(self.labels, left, y, self.width)
        inside = self.picture.replace(
            "<svg", f'<svg x="{left:g}" y="{y + 8:.1f}" width="{self.width}" height="{self.height}"', 1
        )
        width, height = self.width + 2 * margin, y + 8 + self.height + margin
        paper = tag("rect", width=width, height=height, rx=10.0, class_="surface")
        content = joined([tag("style", Markup(_style())), paper, *parts, *entries, Markup(inside)])
        times = 1.6 if self.width < 600 else 1.0  # shown without a page around it, a small drawing is enlarged
        shown = {"width": times * width, "height": times * height}
        box = f"0 0 {width:g} {height:.1f}"
        return tag("svg", content, xmlns="http://www.w3.org/2000/svg", viewBox=box, **shown, class_="cofactor-chart")

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the chart to an SVG file, whole or not at all.

        Raises
        ------
        SettingError
            If the name does not end in ``.svg``.
        """
        path = path_of(path)
        if path.suffix.lower() != ".svg":
            raise SettingError(f"{path}: charts are written as SVG; name the file {path.with_suffix('.svg').name}")
        with replacing(path) as beside:
            beside.write_text(self.to_svg() + "\n", encoding="utf-8")
        return path

    def _repr_svg_(self) -> str:
        return self.to_svg()


def panels(title: str, note: str, charts: Sequence[Chart], columns: int = 2) -> Chart:
    """Put charts side by side that have the same legend; each keeps its title."""
    wide, high = WIDTH + 24, HEIGHT + 40
    parts = []
    for place, chart in enumerate(charts):
        x, y = wide * (place % columns), high * (place // columns)
        parts.append(tag("text", chart.title, x=float(x), y=y + 18.0, class_="title", font_size=13))
        parts.append(Markup(chart.picture.replace("<svg", f'<svg x="{x}" y="{y + 26}" width="{WIDTH}"', 1)))
    width, height = wide * columns - 24, high * math.ceil(len(charts) / columns)
    sized = [Markup(part.replace("<svg", f'<svg height="{HEIGHT}"', 1)) for part in parts]
    whole = tag("svg", *sized, viewBox=f"0 0 {width} {height}", role="img", aria_label=title, class_="panels")
    return Chart(title, note, whole, charts[0].labels, width, height)


def _legend_rows(labels: Sequence[str], left: float, y: float, width: float) -> tuple[list[Markup], float]:
    """Return the legend in rows that fit, and where they end."""
    if len(labels) < 2:
        return [], y
    parts, x, y = [], left, y + 16
    for look, label in enumerate(labels):
        wide = 32 + 7.0 * len(label)
        if x > left and x + wide > left + width:
            x, y = left, y + 18
        parts += [marker(look, x + 7, y - 4), tag("text", label, x=x + 18, y=y, class_="name", font_size=12)]
        x += wide
    return parts, y


@functools.cache
def _style() -> str:
    """Return the rules of charts.css for a document of its own: colours written out, since not all programs know var().

    Every selector is confined to the chart, so that a page into which it is put keeps its own style.
    """
    sheet = (Path(__file__).parent / "charts.css").read_text(encoding="utf-8")
    palettes = [
        dict(re.findall(r"(--[\w-]+):\s*([^;]+);", block)) for block in re.findall(r":root\s*{(.*?)}", sheet, re.S)
    ]
    rules = re.findall(r"([^{}]+){([^{}]*)}", re.sub(r"/\*.*?\*/", "", sheet.split("/* Marks */")[1], flags=re.S))
    written = []
    for palette in palettes:
        confined = (
            f"{','.join(f'.cofactor-chart {one.strip()}' for one in selectors.split(','))}{{{' '.join(body.split())}}}"
            for selectors, body in rules
        )
        written.append(re.sub(r"var\((--[\w-]+)\)", lambda found: palette[found[1]], "\n".join(confined)))  # noqa: B023
    return f"{written[0]}\n@media screen and (prefers-color-scheme: dark) {{\n{written[1]}\n}}"
