"""What one meter has counted of one agent, in the form in which it is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KEPT = 21
"""Slots of a sliding window, so that no span as long as the window holds more than they do."""


@dataclass(slots=True)
class Count:
    """What one meter has counted of one agent."""

    is_meter: bool = True
    """False for what kubelets tell, which no meter knows of."""
    is_repeated: bool = False
    """True while only others have told it: what the meter itself says first is then no news, either."""
    total: int = 0
    open: int = 0
    refused: int = 0
    cut: int = 0
    slots: dict[str, dict[int, int]] = field(default_factory=dict)
    pods: dict[str, int] = field(default_factory=dict)
    """Of the total, by the UID of the pod that is there."""

    def take(self, told: Mapping[str, Any]) -> None:
        """Take what the meter says, all of which is absolute."""
        self.total, self.open = int(told["total"]), int(told["open"])
        self.refused, self.cut = int(told["refused"]), int(told["cut"])
        self.pods = dict(told.get("pods", {}))
        for window, slots in told["slots"].items():
            merge(self.slots.setdefault(window, {}), slots, keep=1 if "/" in window else KEPT)

    def newest(self, window: str) -> int:
        """Return the last slot of the window in which anything was counted, 0 if there is none."""
        return max(self.slots.get(window, ()), default=0)

    def wire(self) -> dict[str, Any]:
        """Return it in the form that `take` understands, as of a meter that is gone."""
        slots = {window: {str(slot): count for slot, count in each.items()} for window, each in self.slots.items()}
        counts = {"total": self.total, "open": 0, "refused": self.refused, "cut": self.cut}
        return {**counts, "pods": dict(self.pods), "slots": slots}


def merge(slots: dict[int, int], fresh: Mapping[str, int], *, keep: int) -> None:
    """Put what is told of slots in place of what was known of them; the newest so many are kept."""
    slots.update({int(slot): int(count) for slot, count in fresh.items()})
    newest = max(slots, default=0)
    for old in [slot for slot in slots if slot <= newest - keep]:
        del slots[old]
