"""How long pods ran: seconds by slots of a window, from which old ones drop out.

A sliding window has twenty slots and counts one more, so that no span as long as the window ever holds more than it
says; what drops out drops out a slot at a time. A calendar window is one slot, named by the second in which it began.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ringfence_operator.api.quota import Alignment, Limit
from ringfence_operator.api.quota_matrix import Window

SLOTS = 20
_SECONDS = {Window.HOUR: 3600, Window.DAY: 86_400, Window.MONTH: 30 * 86_400}

Slots = dict[int, float]
"""Number of a slot → seconds that pods ran in it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Over which time seconds are added up."""

    window: Window
    alignment: Alignment

    @classmethod
    def of(cls, limit: Limit) -> "Frame":
        """Return that of a limit."""
        return cls(limit.window, limit.alignment or Alignment.SLIDING)

    @property
    def name(self) -> str:
        """What statuses call it."""
        return f"{self.window}/{self.alignment}"

    def slot(self, moment: float) -> int:
        """Return the slot that a moment, in seconds since the epoch, is in."""
        if self.alignment is Alignment.CALENDAR:
            return int(self._began(moment).timestamp())
        return int(moment // self._width)

    def end(self, slot: int) -> float:
        """Return the moment at which a slot ends and the next one begins."""
        if self.alignment is Alignment.CALENDAR:
            return self._next(datetime.fromtimestamp(slot, UTC)).timestamp()
        return (slot + 1) * self._width

    def is_counted(self, slot: int, now: float) -> bool:
        """Return True if what ran in a slot still counts."""
        if self.alignment is Alignment.CALENDAR:
            return slot == self.slot(now)
        return slot >= self.slot(now) - SLOTS

    def drops_at(self, slot: int) -> float:
        """Return the moment from which on what ran in a slot counts no more."""
        return self.end(slot) if self.alignment is Alignment.CALENDAR else (slot + SLOTS + 1) * self._width

    def reaches_back(self, now: float) -> float:
        """Return the moment before which nothing counts at `now`."""
        slot = self.slot(now)
        return float(slot) if self.alignment is Alignment.CALENDAR else (slot - SLOTS) * self._width

    @property
    def _width(self) -> float:
        return _SECONDS[self.window] / SLOTS

    def _began(self, moment: float) -> datetime:
        hour = datetime.fromtimestamp(moment, UTC).replace(minute=0, second=0, microsecond=0)
        if self.window is Window.HOUR:
            return hour
        day = hour.replace(hour=0)
        return day if self.window is Window.DAY else day.replace(day=1)

    def _next(self, began: datetime) -> datetime:
        if self.window is Window.HOUR:
            return began + timedelta(hours=1)
        if self.window is Window.DAY:
            return began + timedelta(days=1)
        return (began + timedelta(days=32)).replace(day=1)


def add(slots: Slots, frame: Frame, start: float, end: float, *, pods: int = 1) -> None:
    """Put the time from `start` to `end`, during which so many pods ran, into the slots that still count at `end`."""
    start = max(start, frame.reaches_back(end))
    while start < end:
        slot = frame.slot(start)
        until = min(end, frame.end(slot))
        slots[slot] = slots.get(slot, 0.0) + (until - start) * pods
        start = until


def counted(slots: Mapping[int, float], frame: Frame, now: float) -> Slots:
    """Return the slots that still count."""
    return {slot: seconds for slot, seconds in slots.items() if frame.is_counted(slot, now)}


def total(slots: Mapping[int, float], frame: Frame, now: float) -> float:
    """Return the seconds that count now."""
    return sum(counted(slots, frame, now).values())


def free_at(slots: Mapping[int, float], frame: Frame, now: float, most: float) -> float:
    """Return the moment from which on less than `most` seconds count, if nothing runs until then."""
    kept = counted(slots, frame, now)
    left = sum(kept.values())
    moment = now
    for slot in sorted(kept):
        if left < most:
            break
        left -= kept[slot]
        moment = frame.drops_at(slot)
    return moment


def overlap(start: float, end: float, since: float) -> tuple[float, float]:
    """Return the part of a span that lies after `since`; an empty one where none does."""
    return max(start, since), max(end, start, since)


def as_rows(slots: Mapping[int, float]) -> Iterable[tuple[int, int]]:
    """Yield slots as a status keeps them, in whole seconds."""
    return ((slot, round(seconds)) for slot, seconds in sorted(slots.items()) if round(seconds) > 0)
