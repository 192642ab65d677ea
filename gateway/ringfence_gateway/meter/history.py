"""How many bytes an agent has moved, by slots of each window, so that the operator need not remember them. Pure.

A sliding window has 20 slots, of which 21 are kept; a calendar window has one. Slots are numbered since the epoch, UTC
(docs/design/2026-11-28-network-quotas.md).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

KEPT = 21


def _since_epoch(now: float, *, seconds: int) -> int:
    return int(now) // seconds


def _month(now: float) -> int:
    at = datetime.fromtimestamp(now, UTC)
    return at.year * 12 + at.month - 1


@dataclass(frozen=True, slots=True)
class Grain:
    """How the time of one window is cut."""

    slot: Callable[[float], int]
    kept: int


GRAINS = {
    "Minute": Grain(partial(_since_epoch, seconds=3), KEPT),
    "Hour": Grain(partial(_since_epoch, seconds=180), KEPT),
    "Day": Grain(partial(_since_epoch, seconds=4_320), KEPT),
    "Month": Grain(partial(_since_epoch, seconds=129_600), KEPT),
    "Minute/Calendar": Grain(partial(_since_epoch, seconds=60), 1),
    "Hour/Calendar": Grain(partial(_since_epoch, seconds=3_600), 1),
    "Day/Calendar": Grain(partial(_since_epoch, seconds=86_400), 1),
    "Month/Calendar": Grain(_month, 1),
}

Slots = dict[str, dict[int, int]]
"""Window → slot → bytes."""


@dataclass(slots=True)
class History:
    """Bytes by window and slot, and which of them have changed since they were told."""

    slots: Slots = field(default_factory=lambda: {window: {} for window in GRAINS})
    _changed: Slots = field(default_factory=dict)

    def add(self, count: int, *, now: float) -> None:
        """Count bytes as of `now`."""
        for window, grain in GRAINS.items():
            slot, slots = grain.slot(now), self.slots[window]
            slots[slot] = slots.get(slot, 0) + count
            self._changed.setdefault(window, {})[slot] = slots[slot]
            for old in [each for each in slots if each <= slot - grain.kept]:
                del slots[old]

    def take(self, *, is_whole: bool) -> Slots:
        """Return what has changed since the last time, or all of it."""
        changed, self._changed = self._changed, {}
        return {window: dict(slots) for window, slots in self.slots.items()} if is_whole else changed
