"""How long a sidecar takes to be ready, beside an interpreter that does nothing."""

import subprocess
import time
from pathlib import Path

from bench.quantile import quantile
from bench.row import Row, at_most, for_comparison
from bench.sidecar.bed import Bed, configuration
from bench.usage import Use

STARTS, QUICK = 20, 5


async def measure_start(bed: Bed) -> list[Row]:
    """Both by turns, from before the process is made to /readyz, with no Connector bound."""
    await _start(bed)  # whatever is not compiled yet, is then
    interval = bed.busy()
    found: dict[str, list[float]] = {"bare": [], "ready": [], "cpu": []}
    for _ in range(bed.count(STARTS, QUICK)):
        found["bare"].append(_bare(bed.python))
        seconds, cpu = await _start(bed)
        found["ready"].append(seconds)
        found["cpu"].append(cpu)
    note = interval.note()
    bed.keep("start", found)
    p50, p90 = (round(quantile(found["ready"], share), 3) for share in (0.5, 0.9))
    bare = round(quantile(found["bare"], 0.5), 3)
    return [
        at_most(f"process start to ready, p50 of {len(found['ready'])}", p50, 0.5, "s", note),
        at_most("  p90", p90, 0.5, "s"),
        for_comparison("  its CPU time, p50", round(quantile(found["cpu"], 0.5), 3), "s"),
        for_comparison("  python -c pass, p50", bare, "s"),
    ]


def _bare(python: Path) -> float:
    began = time.monotonic()
    subprocess.run([python, "-c", "pass"], check=True)
    return time.monotonic() - began


async def _start(bed: Bed) -> tuple[float, float]:
    began = time.monotonic()
    sidecar = bed.sidecar(configuration())
    await sidecar.ready()
    seconds, cpu = time.monotonic() - began, Use.of(sidecar.pid).cpu
    sidecar.end()
    return seconds, cpu
