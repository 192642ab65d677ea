"""What a process holds, from /proc."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory in MiB; `private` is what no other process shares."""

    rss: float
    private: float

    @classmethod
    def of(cls, pid: int) -> "Memory":
        """Read it. Raises FileNotFoundError if the process is gone."""
        return cls.from_text(Path(f"/proc/{pid}/smaps_rollup").read_text())

    @classmethod
    def from_text(cls, text: str) -> "Memory":
        """Read what the kernel says of a process."""
        lines = (line.split() for line in text.splitlines()[1:])
        sizes = {name.rstrip(":"): int(size) / 1024 for name, size, _ in lines}
        return cls(round(sizes["Rss"], 1), round(sizes["Private_Clean"] + sizes["Private_Dirty"], 1))
