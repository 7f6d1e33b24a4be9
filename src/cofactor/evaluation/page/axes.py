"""Axes: from values to places in a picture, with ticks at round numbers."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

__all__ = ["Axis", "linear", "linear_from_zero", "logarithmic", "tick_text"]


@dataclass(frozen=True)
class Axis:
    """One axis: it turns values between ``low`` and ``high`` into places from ``start`` to ``end``."""

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
    known = [*values]
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
    """Return a round distance of ticks such that there are about four."""
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
