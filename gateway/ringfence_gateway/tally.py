"""What agents asked for, counted between two reports; bounded whatever they ask for. Pure."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ringfence_gateway.names import Verdict

MOST_NAMES = 256
"""Of one block, between two reports."""
MOST_IN_REPORT = 5_000
"""Names in one message: some 600 KB, well below what gRPC takes."""

Key = tuple[str, int, Verdict]
"""Name, port, verdict."""


@dataclass(slots=True)
class Seen:
    """How often, and when last, in Unix seconds."""

    count: int = 0
    last: int = 0


@dataclass(slots=True)
class Tally:
    """Counts by block and name, and of the rest by block."""

    names: dict[int, dict[Key, Seen]] = field(default_factory=dict)
    other: Counter[tuple[int, Verdict]] = field(default_factory=Counter)

    def __bool__(self) -> bool:
        return bool(self.names or self.other)

    def add(self, block: int, name: str | None, port: int, verdict: Verdict, *, now: int, count: int = 1) -> None:
        """Count a request; `name` is a normalized one, or None if what was asked for is no name."""
        seen = self.names.setdefault(block, {}) if name is not None else {}
        entry = None if name is None else seen.get((name, port, verdict))
        if entry is None:
            if name is None or len(seen) >= MOST_NAMES:
                self.other[block, verdict] += count
                return
            entry = seen[name, port, verdict] = Seen()
        entry.count += count
        entry.last = max(entry.last, now)

    def merge(self, earlier: "Tally") -> None:
        """Add what an earlier tally holds, as far as there is room."""
        for block, seen in earlier.names.items():
            for (name, port, verdict), entry in seen.items():
                self.add(block, name, port, verdict, now=entry.last, count=entry.count)
        self.other.update(earlier.other)

    def forget(self, block: int) -> None:
        """Drop what was counted for a block: its next policy is another one."""
        self.names.pop(block, None)
        for key in [key for key in self.other if key[0] == block]:
            del self.other[key]

    def parts(self) -> Iterator["Tally"]:
        """Return the same in parts, none too large for a message."""
        part = Tally(other=self.other)
        size = 0
        for block, seen in self.names.items():
            if size and size + len(seen) > MOST_IN_REPORT:
                yield part
                part, size = Tally(), 0
            part.names[block] = seen
            size += len(seen)
        if part:
            yield part

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form that the control process takes."""
        return {
            "names": [
                {"block": block, "name": name, "port": port, "verdict": verdict, "count": seen.count, "last": seen.last}
                for block, names in self.names.items()
                for (name, port, verdict), seen in names.items()
            ],
            "other": [
                {"block": block, "verdict": verdict, "count": count} for (block, verdict), count in self.other.items()
            ],
        }
