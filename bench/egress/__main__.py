"""Measures the egress gateway on a cluster of its own: python -m bench.egress [--only ROW] [--quick] [--keep]."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from bench.bed import OUT, write_json
from bench.egress.bed import NAMES, Bed, relative
from bench.egress.change import measure_change
from bench.egress.flood import measure_flood
from bench.egress.killed import measure_killed
from bench.egress.latency import measure_latency
from bench.egress.scale import measure_scale
from bench.egress.throughput import measure_throughput
from bench.egress.writes import measure_writes
from bench.row import Row, table
from devcluster.step import Progress

CLUSTER = "bench"
# In this order: first what wants a gateway that has done little, last what leaves most behind.
MEASURES: dict[str, Callable[[Bed], Iterable[Row]]] = {
    "latency": measure_latency,
    "throughput": measure_throughput,
    "change": measure_change,
    "writes": measure_writes,
    "flood": measure_flood,
    "killed": measure_killed,
    "scale": measure_scale,
}


def main() -> int:
    """Measure, print a table, write the results; returns 1 if a row is missed, 2 if one could not be measured."""
    options = _options()
    progress = Progress("bench-egress")
    bed = Bed(os.environ.get("RINGFENCE_BENCH_CLUSTER", CLUSTER), progress, is_quick=options.quick, names=options.names)
    rows: list[Row] = []
    failed: list[str] = []
    try:
        bed.open(is_fresh=not options.keep)
        for name in options.only or MEASURES:
            _measure(bed, name, rows, failed)
    finally:
        _write(bed, rows)
        if options.keep:
            bed.clear()
        else:
            bed.close()
    return _verdict(progress, rows, failed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.egress", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(MEASURES), help="measure this; may be given again")
    parser.add_argument("--quick", action="store_true", help="few samples, and tens of policies instead of a thousand")
    parser.add_argument("--names", type=int, default=NAMES, help="allowed names of each of the thousand policies")
    parser.add_argument("--keep", action="store_true", help="take a cluster that is up, and leave it up")
    return parser.parse_args()


def _measure(bed: Bed, name: str, rows: list[Row], failed: list[str]) -> None:
    """Measure one; what goes wrong in it must not take away what was found before."""
    found: list[Row] = []
    try:
        with bed.progress.step(name, announce=True):
            found.extend(MEASURES[name](bed))
    except Exception as error:  # noqa: BLE001 - reported in the verdict
        failed.append(f"{name}: {type(error).__name__}: {error}")
        bed.progress.note(f"✗ {failed[-1]}")
    rows += found
    print(table(found), flush=True)


def _write(bed: Bed, rows: Sequence[Row]) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    write_json(OUT / "egress.json", [row.as_json() for row in rows])
    taken = datetime.now(UTC).isoformat(timespec="seconds")
    said = {"taken": taken, "cpus": os.cpu_count(), "is_quick": bed.is_quick, "samples": bed.raw}
    write_json(OUT / "egress.raw.json", said)


def _verdict(progress: Progress, rows: Sequence[Row], failed: Sequence[str]) -> int:
    missed = [row.measure.strip() for row in rows if row.holds is False]
    held = sum(row.holds is True for row in rows)
    print(f"\n{table(rows)}\n")
    print(f"{held} rows hold, {len(missed)} missed, {len(failed)} not measured ({progress.elapsed:.0f} s)")
    for text in (*missed, *failed):
        print(f"  ✗ {text}")
    print(f"results: {relative(OUT)}/egress.json, samples beside it")
    return 2 if failed else int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
