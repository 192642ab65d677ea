"""What the cache has done, for metrics."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields


@dataclass(slots=True)
class Statistics:
    """Counts of one connector's answers, or of the agent's own values; they only grow."""

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

    def __add__(self, other: "Statistics") -> "Statistics":
        """Return both together."""
        hits = {layer: count + other.hits[layer] for layer, count in self.hits.items()}
        rest = {each.name: getattr(self, each.name) + getattr(other, each.name) for each in fields(self)[1:]}
        return Statistics(hits, **rest)


class ByConnector(dict[str, Statistics]):
    """Statistics of each connector, by its name; of every one that is asked for, until `keep` names those that are."""

    def __init__(self) -> None:
        super().__init__()
        self._names: frozenset[str] | None = None

    def __missing__(self, name: str) -> Statistics:
        made = Statistics()
        # A call may outlive its connector.
        if self._names is None or name in self._names:
            self[name] = made
        return made

    def keep(self, names: Iterable[str]) -> None:
        """Forget all others, from now on."""
        self._names = frozenset(names)
        for name in self.keys() - self._names:
            del self[name]
