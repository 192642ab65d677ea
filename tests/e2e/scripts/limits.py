"""Print the limits of the own cgroup (version 1 or 2): bytes of memory and thousandths of a core."""

import json
import sys
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def memory() -> int:
    paths = (ROOT / "memory.max", ROOT / "memory/memory.limit_in_bytes")
    return int(next(path for path in paths if path.exists()).read_text())


def cores() -> float:
    new = ROOT / "cpu.max"
    if new.exists():
        quota, period = new.read_text().split()
    else:
        folder = next(path for path in (ROOT / "cpu", ROOT / "cpu,cpuacct") if path.exists())
        quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
    return 1000 * int(quota) / int(period)


json.dump({"memory": memory(), "millicores": cores()}, sys.stdout)
