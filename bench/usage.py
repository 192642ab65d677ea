"""What processes and the machine have used, from /proc."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Use:
    """One process so far: CPU seconds; memory now and at most, in MiB."""

    cpu: float
    rss: float
    peak: float

    @classmethod
    def of(cls, pid: int) -> "Use":
        """Read it. Raises FileNotFoundError if the process is gone."""
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        status = dict(line.split(":", 1) for line in lines)
        return cls(
            cpu=(int(stat[11]) + int(stat[12])) / _TICKS,
            # One that has ended and was not waited for holds nothing.
            rss=int(status.get("VmRSS", "0").split()[0]) / 1024,
            peak=int(status.get("VmHWM", "0").split()[0]) / 1024,
        )


@dataclass(frozen=True, slots=True)
class Busy:
    """CPU seconds used so far: by the whole machine, taken from it, and by each of the processes that belong here."""

    machine: float
    stolen: float
    ours: Mapping[str, float]

    @classmethod
    def now(cls, pids: Mapping[str, int]) -> "Busy":
        """Read it; processes that are gone are left out."""
        fields = [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        idle = fields[3] + fields[4]
        ours = {name: Use.of(pid).cpu for name, pid in pids.items() if Path(f"/proc/{pid}").exists()}
        return cls((sum(fields) - idle) / _TICKS, fields[7] / _TICKS, ours)

    def since(self, before: "Busy", *, seconds: float, load: float = 0.0) -> str:
        """Say how busy the machine was since `before`; `load` is the generator's own CPU seconds.

        What others used is the measure of how far a latency can be trusted.
        """
        used = {name: cpu - before.ours.get(name, 0.0) for name, cpu in self.ours.items()}
        machine = self.machine - before.machine
        others = machine - sum(used.values()) - load
        cores = os.cpu_count() or 1
        text = f"machine busy {machine:.1f} of {cores * seconds:.1f} CPU s, {max(0.0, others):.1f} of it by others"
        shares = sorted(((cpu, name) for name, cpu in used.items() if cpu >= 0.1), reverse=True)
        text += "".join(f", {name} {cpu:.1f}" for cpu, name in shares)
        stolen = self.stolen - before.stolen
        return text + (f", {stolen:.1f} stolen" if stolen >= 0.1 else "")
