"""What the cache has done, for metrics."""

from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(slots=True)
class Statistics:
    """Counts of one connector's answers; they only grow."""

    hits: dict[str, int] = field(default_factory=lambda: {"local": 0, "redis": 0})
    """By layer."""
    misses: int = 0
    stale: int = 0
    """Hits that were past their ttl."""
    joined: int = 0
    """Callers that waited for another's question to the backend, in this pod or elsewhere."""
    loads: int = 0
    kept_bytes: int = 0
    """Bytes of all answers that were kept."""
    age_seconds: float = 0.0
    """Sum over all hits."""
    invalidations: int = 0


class ByConnector(defaultdict[str, Statistics]):
    """Statistics of each connector, by its name."""

    def __init__(self) -> None:
        super().__init__(Statistics)
