"""Where a model comes from: solver and settings, data, time, figures on held-out data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Origin"]


@dataclass(frozen=True)
class Origin:
    """Where a model comes from: solver and settings, data, time, library version, figures on held-out data."""

    solver: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""
    trained_at: str = ""
    version: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
