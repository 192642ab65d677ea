"""Quantiles of samples, and of what a Prometheus histogram counted."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

_LINE = re.compile(
    r"^(?P<name>\w+?)_(?P<part>bucket|sum|count)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$", re.MULTILINE
)
_BOUND = re.compile(r'le="([^"]+)"')


def quantile(samples: Iterable[float], share: float) -> float:
    """Return the smallest sample that `share` of them do not exceed (nearest rank). Raises ValueError if empty."""
    ordered = sorted(samples)
    if not ordered:
        raise ValueError("no samples")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True)
class Histogram:
    """Counts up to each upper bound, their sum and number."""

    upto: dict[float, float]
    total: float
    count: float

    @classmethod
    def from_text(cls, text: str, name: str) -> "Histogram":
        """Read it from the Prometheus exposition format, whatever its other labels say."""
        upto: dict[float, float] = {}
        total = count = 0.0
        for line in _LINE.finditer(text):
            if line["name"] != name:
                continue
            value = float(line["value"])
            if line["part"] == "sum":
                total += value
            elif line["part"] == "count":
                count += value
            elif bound := _BOUND.search(line["labels"]):
                upper = float(bound[1])
                upto[upper] = upto.get(upper, 0.0) + value
        return cls(upto, total, count)

    def since(self, before: "Histogram") -> "Histogram":
        """Return what was counted after `before` was read."""
        upto = {upper: number - before.upto.get(upper, 0.0) for upper, number in self.upto.items()}
        return Histogram(upto, self.total - before.total, self.count - before.count)

    @property
    def mean(self) -> float:
        """The exact mean. Raises ZeroDivisionError if nothing was counted."""
        return self.total / self.count

    def quantile(self, share: float) -> float:
        """Return the quantile, linear within its bucket; in the last one, its lower bound."""
        wanted, lower, below = share * self.count, 0.0, 0.0
        for upper, number in sorted(self.upto.items()):
            if number >= wanted:
                inside = number - below
                step = (wanted - below) / inside if inside else 0.0
                return lower if math.isinf(upper) else lower + (upper - lower) * step
            lower, below = upper, number
        return lower
