"""How long a sidecar takes to be ready, beside an interpreter that does nothing."""

import subprocess
import time
from pathlib import Path

from bench.quantile import quantile
from bench.row import Row, at_most, for_comparison
from bench.sidecar.bed import Bed, configuration
from bench.usage import Use
from ringfence_sidecar.configuration import Configuration

STARTS, QUICK = 20, 5


async def measure_start(bed: Bed) -> list[Row]:
    """By turns, from before the process is made to /readyz: with no Connector bound, and with one of either kind."""
    server, _ = bed.snowflake()
    both = configuration(bed.warehouse(server), bed.broker(bed.rabbitmq()))
    wanted = {"none": configuration(), "both": both}
    for each in wanted.values():
        await _start(bed, each)  # whatever is not compiled yet, is then
    interval = bed.busy()
    found: dict[str, list[float]] = {
        "bare": [],
        **{f"{name} {what}": [] for name in wanted for what in ("ready", "cpu")},
    }
    for _ in range(bed.count(STARTS, QUICK)):
        found["bare"].append(_bare(bed.python))
        for name, each in wanted.items():
            seconds, cpu = await _start(bed, each)
            found[f"{name} ready"].append(seconds)
            found[f"{name} cpu"].append(cpu)
    note = interval.note()
    bed.keep("start", found)
    return [
        *_rows("process start to ready, no Connector bound", found, "none", note),
        *_rows("process start to ready, both kinds bound", found, "both"),
        for_comparison("python -c pass, p50", round(quantile(found["bare"], 0.5), 3), "s"),
    ]


def _rows(what: str, found: dict[str, list[float]], name: str, note: str = "") -> list[Row]:
    ready, cpu = found[f"{name} ready"], found[f"{name} cpu"]
    p50, p90 = (round(quantile(ready, share), 3) for share in (0.5, 0.9))
    return [
        at_most(f"{what}, p50 of {len(ready)}", p50, 0.5, "s", note),
        at_most("  p90", p90, 0.5, "s"),
        for_comparison("  its CPU time, p50", round(quantile(cpu, 0.5), 3), "s"),
    ]


def _bare(python: Path) -> float:
    began = time.monotonic()
    subprocess.run([python, "-c", "pass"], check=True)
    return time.monotonic() - began


async def _start(bed: Bed, wanted: Configuration) -> tuple[float, float]:
    began = time.monotonic()
    sidecar = bed.sidecar(wanted)
    await sidecar.ready()
    seconds, cpu = time.monotonic() - began, Use.of(sidecar.pid).cpu
    sidecar.end()
    return seconds, cpu
