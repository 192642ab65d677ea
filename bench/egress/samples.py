"""What the traffic program saw, and what follows from it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.quantile import quantile


@dataclass(frozen=True, slots=True)
class Attempt:
    """One new connection that was tried: Unix seconds, and why there is none."""

    began: float
    ended: float
    way: str
    name: str
    error: str

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> "Attempt":
        """Read what the program printed."""
        began = said["began_ns"] / 1e9
        return cls(began, began + said["ms"] / 1000, said["way"], said["name"], said.get("error", ""))

    @property
    def succeeded(self) -> bool:
        """True if the handshakes were done."""
        return not self.error


@dataclass(frozen=True, slots=True)
class Change:
    """One write of a policy: when it was sent, and whether the name is open by it."""

    sent: float
    is_open: bool


def in_force(attempts: Iterable[Attempt], change: Change, *, until: float) -> float:
    """Return the seconds until an attempt was seen to go as the change says, of those after which none went otherwise.

    Attempts that began before the write do not count, nor those that had not ended at `until`, when the next write was
    sent. Infinite if the last one still went otherwise.
    """
    counted = sorted(
        (each for each in attempts if change.sent <= each.began and each.ended < until), key=lambda each: each.began
    )
    first = math.inf
    for each in reversed(counted):
        if each.succeeded != change.is_open:
            break
        first = min(first, each.ended)
    return first - change.sent


@dataclass(frozen=True, slots=True)
class Outage:
    """What new connections met after a replica was killed; `seconds` from the kill to the last failure's begin."""

    seconds: float
    failed: int
    slowest: float
    let_through: int
    total: int


def outage(attempts: Sequence[Attempt], killed: float, *, refused: str) -> Outage:
    """Return how long connections to allowed names failed, and how many to the refused name did not."""
    allowed = [each for each in attempts if each.name != refused]
    failures = [each.began - killed for each in allowed if not each.succeeded and each.ended >= killed]
    after = [each.ended - each.began for each in allowed if each.ended >= killed]
    return Outage(
        seconds=max(0.0, max(failures, default=0.0)),
        failed=len(failures),
        slowest=max(after, default=0.0),
        let_through=sum(each.name == refused and each.succeeded for each in attempts),
        total=len(attempts),
    )


def added(samples: dict[str, list[float]], way: str, base: str, share: float) -> float:
    """Return by how much a quantile of one way is above that of the other."""
    return quantile(samples[way], share) - quantile(samples[base], share)


def per_gigabyte(cpu: float, size: int) -> float:
    """Return CPU seconds for each 10^9 bytes."""
    return cpu / size * 1e9 if size else math.inf
