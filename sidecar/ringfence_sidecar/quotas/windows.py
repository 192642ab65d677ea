"""Windows: which slot a moment belongs to, which slots count with it, and when what is in them is free again.

A sliding window has SLOTS slots and counts one more, so that no span as long as the window ever holds more than the
limit. A calendar window is one slot, named for the second in which it began, UTC. The scripts count alike.
"""

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

SLOTS: Final = 20
MILLISECONDS: Final = {
    "Second": 1_000,
    "Minute": 60_000,
    "Hour": 3_600_000,
    "Day": 86_400_000,
    "Month": 2_592_000_000,
}
"""A sliding month is 30 days."""
_DIGITS: Final = 6
_DECEMBER: Final = 12


def exact(amount: float) -> float:
    """Return the amount as it is counted: to a millionth, so that sums of fractions do not drift."""
    # Most amounts are whole, and rounding by digits goes by way of a decimal text.
    return amount if amount % 1 == 0 else round(amount, _DIGITS)


@dataclass(frozen=True, slots=True)
class Shape:
    """A window's name, and whether it is one of the calendar."""

    window: str
    calendar: bool = False
    is_held: bool = field(init=False, repr=False, compare=False)
    """True for what is held and not added up."""

    def __post_init__(self) -> None:
        # It is asked several times in every call.
        object.__setattr__(self, "is_held", self.window == "None")

    @property
    def seconds(self) -> float:
        """How long the window is; 0 for what is held."""
        return MILLISECONDS.get(self.window, 0) / 1000

    @property
    def code(self) -> str:
        """The scripts' form: H, S and the length of a slot, C and the length of the window, or M."""
        if self.is_held:
            return "H"
        if not self.calendar:
            return f"S{MILLISECONDS[self.window] // SLOTS}"
        return "M" if self.window == "Month" else f"C{MILLISECONDS[self.window]}"

    def slot(self, now: int) -> int:
        """Return the slot of a moment, which is in milliseconds since the epoch."""
        if self.is_held:
            return 0
        if not self.calendar:
            return now // (MILLISECONDS[self.window] // SLOTS)
        if self.window == "Month":
            return _month(now)[0]
        length = MILLISECONDS[self.window]
        return now // length * length // 1000

    def first(self, slot: int) -> int:
        """Return the oldest slot that counts together with `slot`."""
        return slot if self.calendar or self.is_held else slot - SLOTS

    def end(self, slot: int) -> float:
        """Return the first millisecond that is not in the slot."""
        if self.is_held:
            return math.inf
        return self.free_at(slot) if self.calendar else (slot + 1) * (MILLISECONDS[self.window] // SLOTS)

    def free_at(self, slot: int) -> int:
        """Return the millisecond since which what is in the slot does not count any more."""
        if not self.calendar:
            return (slot + SLOTS + 1) * (MILLISECONDS[self.window] // SLOTS)
        if self.window == "Month":
            return _month(slot * 1000)[1] * 1000
        return slot * 1000 + MILLISECONDS[self.window]


def _month(now: int) -> tuple[int, int]:
    """Return the seconds in which the moment's month begins and ends."""
    moment = datetime.fromtimestamp(now / 1000, UTC)
    begin = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    year, month = (moment.year + 1, 1) if moment.month == _DECEMBER else (moment.year, moment.month + 1)
    return int(begin.timestamp()), int(datetime(year, month, 1, tzinfo=UTC).timestamp())


class Slots:
    """What was used, by slot."""

    __slots__ = ("_amounts", "_end", "_last", "shape")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._amounts: dict[int, float] = {}
        self._last = 0
        self._end = 0.0
        """Until then, `_last` is the slot of now."""

    def add(self, now: int, amount: float) -> None:
        """Count an amount as used now."""
        slot = self._move(now)
        self._amounts[slot] = exact(self._amounts.get(slot, 0) + amount)

    def used(self, now: int) -> float:
        """Return what counts now."""
        self._move(now)
        return exact(sum(self._amounts.values()))

    def present(self, now: int) -> list[tuple[int, float]]:
        """Return the slots that count, the newest first, and what is in them."""
        self._move(now)
        return sorted(((slot, amount) for slot, amount in self._amounts.items() if amount > 0), reverse=True)

    def wait(self, now: int, need: float) -> float | None:
        """Return the seconds until so much more is free; None if that much was never used."""
        for slot, amount in reversed(self.present(now)):
            need = exact(need - amount)
            if need <= 0:
                return max(0.0, (self.shape.free_at(slot) - now) / 1000)
        return None

    def _move(self, now: int) -> int:
        """Forget what does not count any more; time that goes back counts as standing still."""
        if now < self._end:
            return self._last
        slot = max(self._last, self.shape.slot(now))
        self._end = self.shape.end(slot)
        if slot != self._last:
            self._last = slot
            first = self.shape.first(slot)
            self._amounts = {each: amount for each, amount in self._amounts.items() if each >= first}
        return slot
