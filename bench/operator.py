"""Measures the operator on a cluster of its own: python -m bench.operator [--only ROW] [--quick]."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from bench.bed import OUT, Bed, write_json
from bench.measure.burst import measure_burst, measure_kill
from bench.measure.cold_start import measure_cold_start
from bench.measure.failover import measure_failover
from bench.measure.latency import measure_latency
from bench.measure.scale import measure_scale
from bench.measure.steady import measure_steady
from bench.measure.writes import measure_writes
from bench.row import Row, table
from devcluster.step import Progress

CLUSTER = "bench"
# In this order: the largest fleet ends its cluster, and the real node has one of its own.
MEASURES: dict[str, Callable[[Bed], list[Row]]] = {
    "writes": measure_writes,
    "latency": measure_latency,
    "steady": measure_steady,
    "burst": measure_burst,
    "kill": measure_kill,
    "failover": measure_failover,
    "scale": measure_scale,
    "cold-start": measure_cold_start,
}


def main() -> int:
    """Measure, print a table, write the results; returns 1 if a row is missed, 2 if one could not be measured."""
    options = _options()
    progress = Progress("bench-operator")
    bed = Bed(os.environ.get("RINGFENCE_BENCH_CLUSTER", CLUSTER), progress, is_quick=options.quick)
    rows: list[Row] = []
    failed: list[str] = []
    try:
        if options.only != ["cold-start"]:
            bed.open()
        for name in options.only or MEASURES:
            _measure(bed, name, rows, failed)
    finally:
        if options.keep:
            bed.end_processes()
        else:
            bed.close()
        _write(bed, rows)
    return _verdict(progress, rows, failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.operator", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(MEASURES), help="measure this; may be given again")
    parser.add_argument("--quick", action="store_true", help="fewer agents and half a minute of idleness")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up")
    return parser.parse_args()


def _measure(bed: Bed, name: str, rows: list[Row], failed: list[str]) -> None:
    """Measure one; what goes wrong in it must not take the others away."""
    try:
        with bed.progress.step(name, announce=True):
            found = MEASURES[name](bed)
    except Exception as error:  # noqa: BLE001 - reported in the verdict
        failed.append(f"{name}: {type(error).__name__}: {error}")
        bed.progress.note(f"✗ {failed[-1]}")
        bed.end_processes()
        return
    rows += found
    print(table(found), flush=True)


def _write(bed: Bed, rows: Sequence[Row]) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    write_json(OUT / "operator.json", [row.as_json() for row in rows])
    taken = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(OUT / "operator.raw.json", {"taken": taken, "cpus": os.cpu_count(), "samples": bed.raw})


def _verdict(progress: Progress, rows: Sequence[Row], failed: Sequence[str]) -> int:
    missed = [row.measure.strip() for row in rows if row.holds is False]
    held = sum(row.holds is True for row in rows)
    print(f"\n{table(rows)}\n")
    print(f"{held} rows hold, {len(missed)} missed, {len(failed)} not measured ({progress.elapsed:.0f} s)")
    for text in (*missed, *failed):
        print(f"  ✗ {text}")
    print(f"results: {OUT.relative_to(OUT.parent.parent)}/operator.json, samples beside it")
    return 2 if failed else int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
