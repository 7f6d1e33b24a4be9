"""Counters for Prometheus, summed over all processes of a service: each has its own in shared memory."""

import bisect
import datetime
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cofactor.apps.web.shared import Shared

__all__ = ["BUCKETS", "Metrics", "resident_bytes", "seconds_since", "timestamp_of"]

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Upper bounds of the latency buckets, in seconds."""

EVENTS = (
    "fold_ins", "ratings_written", "reloads", "reload_failures", "refused",
    "lists_kept", "events_kept", "events_dropped",
)  # fmt: skip
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_CLASSES = 5  # 1xx to 5xx
_SUM = _CLASSES + len(BUCKETS) + 1


class Metrics:
    """The counters of one process.

    Parameters
    ----------
    shared : Shared, optional
        What the processes of one service share; None for a single process.
    routes : iterable of str
        The paths by which requests are counted; any other counts as "other".
    """

    def __init__(self, shared: Shared | None, routes: Iterable[str]) -> None:
        self._routes = [*sorted(set(routes)), "other"]
        self._index = {route: index for index, route in enumerate(self._routes)}
        count = len(self._routes) * (_SUM + 1) + len(EVENTS)
        self._shared = shared
        self._numbers = (np.zeros(count) if shared is None else shared.own_counters())[:count]

    def request(self, route: str | None, status: int, seconds: float) -> None:
        """Count a request: how it ended and how long it took."""
        start = self._index.get(route or "other", len(self._routes) - 1) * (_SUM + 1)
        bucket = bisect.bisect_left(BUCKETS, seconds)
        self._numbers[start + status // 100 - 1] += 1
        self._numbers[start + _CLASSES + bucket] += 1
        self._numbers[start + _SUM] += seconds

    def count(self, event: str, times: int = 1) -> None:
        """Count an event."""
        self._numbers[len(self._routes) * (_SUM + 1) + EVENTS.index(event)] += times

    def text(self, gauges: Iterable[tuple[str, Mapping[str, str], float]]) -> str:
        """Return all counters in Prometheus' text format, and some gauges: (name, labels, value)."""
        total = self._total()
        lines = ["# TYPE cofactor_requests_total counter"]
        by_route = total[: len(self._routes) * (_SUM + 1)].reshape(len(self._routes), _SUM + 1)
        for route, numbers in zip(self._routes, by_route, strict=True):
            for kind in np.flatnonzero(numbers[:_CLASSES]):
                labels = {"route": route, "status": f"{kind + 1}xx"}
                lines.append(_sample("requests_total", labels, f"{numbers[kind]:.0f}"))
        lines.append("# TYPE cofactor_request_seconds histogram")
        for route, numbers in zip(self._routes, by_route, strict=True):
            lines += _histogram(route, numbers) if numbers[:_CLASSES].any() else []
        for event, number in zip(EVENTS, total[-len(EVENTS) :], strict=True):
            lines += [f"# TYPE cofactor_{event}_total counter", _sample(f"{event}_total", {}, f"{number:.0f}")]
        for name, told, value in gauges:
            lines += [f"# TYPE cofactor_{name} gauge", _sample(name, told, f"{value:.10g}")]
        return "\n".join(lines) + "\n"

    def by_route(self) -> list[dict[str, Any]]:
        """Return how many requests each route has had, how many were refused or failed, and how long they took."""
        numbers = self._total()[: len(self._routes) * (_SUM + 1)].reshape(len(self._routes), _SUM + 1)
        return [
            _route_figures(route, row) for route, row in zip(self._routes, numbers, strict=True) if row[:_CLASSES].any()
        ]

    def _total(self) -> np.ndarray:
        if self._shared is None:
            return self._numbers
        total: np.ndarray = self._shared.counters()[:, : len(self._numbers)].sum(axis=0)
        return total


def _route_figures(route: str, numbers: np.ndarray) -> dict[str, Any]:
    counts = np.cumsum(numbers[_CLASSES:_SUM])
    quantiles = {f"p{percent}_ms": _quantile(counts, percent / 100) for percent in (50, 95, 99)}
    answered = {"requests": int(numbers[:_CLASSES].sum()), "refused": int(numbers[3]), "failed": int(numbers[4])}
    return {"route": route, **answered, **quantiles}


def _quantile(counts: np.ndarray, share: float) -> float | None:
    """Return a quantile in milliseconds, between the bounds of its bucket; None beyond the last bound.

    Examples
    --------
    >>> counts = np.array([0, 0, 0, 0, 10, 10, 10, 10, 10, 10, 10])
    >>> _quantile(counts, 0.5), _quantile(counts + np.arange(11) // 10 * 90, 0.95)
    (17.5, None)
    """
    place = int(np.searchsorted(counts, share * counts[-1]))
    if place >= len(BUCKETS):
        return None
    below = counts[place - 1] if place else 0
    low, high = (BUCKETS[place - 1] if place else 0.0), BUCKETS[place]
    return round(1000 * (low + (high - low) * float((share * counts[-1] - below) / (counts[place] - below))), 2)


def _histogram(route: str, numbers: np.ndarray) -> list[str]:
    counts = np.cumsum(numbers[_CLASSES:_SUM])
    bounds = [*(f"{bound:g}" for bound in BUCKETS), "+Inf"]
    lines = [
        _sample("request_seconds_bucket", {"route": route, "le": bound}, f"{count:.0f}")
        for bound, count in zip(bounds, counts, strict=True)
    ]
    lines.append(_sample("request_seconds_sum", {"route": route}, f"{numbers[_SUM]:.6f}"))
    return [*lines, _sample("request_seconds_count", {"route": route}, f"{counts[-1]:.0f}")]


def _sample(name: str, labels: Mapping[str, str], value: str) -> str:
    """Write one sample: the only place where a text becomes part of a line, with its quotes and line ends escaped."""
    escaped = (f'{label}="{text.translate(_ESCAPES)}"' for label, text in labels.items())
    return f"cofactor_{name}{{{','.join(escaped)}}} {value}" if labels else f"cofactor_{name} {value}"


def resident_bytes() -> int:
    """Return the memory of this process in bytes; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def timestamp_of(text: str) -> float | None:
    """Return an ISO time in seconds since 1970; None if it is not one."""
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def seconds_since(moment: float) -> float:
    """Return the seconds since a time stamp; 0 if the clock was set back."""
    return max(time.time() - moment, 0.0)
