"""Measures the client library in one process: python -m bench.client [--only ROW] [--quick] [--realtime]."""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from bench.quantile import quantile
from bench.report import Measured, Report, parser_of
from bench.row import Row, at_most, for_comparison
from bench.sidecar.priority import go_first, is_first
from devcluster.step import Progress
from ringfence import cached
from ringfence.local import LOCAL

ASKED_MS = 0.1
_HITS, _QUICK_HITS = 20_000, 1_000
_ROW = {"id": 4711, "region": "north", "amount": 12.5, "name": "a name of some length"}
ANSWERS = {"a number": 4711, "1 KB of rows": [_ROW] * 12, "10 KB of rows": [_ROW] * 120}


def measure_hits(bed: Measured) -> list[Row]:
    """Return how long an answer takes that this process has, for functions that are async and for others."""
    count = _QUICK_HITS if bed.is_quick else _HITS
    first = ", before all others (SCHED_RR)" if is_first() else ""
    note = f"{count} hits; load average {os.getloadavg()[0]:.1f}{first}"
    rows: list[Row] = []
    for name, answer in ANSWERS.items():

        @cached(ttl=3600, tags=["bench"])
        async def ask(what: str, *, limit: int, answer: Any = answer) -> Any:  # noqa: ARG001 - they make the key
            return answer

        @cached(ttl=3600, tags=["bench"])
        def ask_blocking(what: str, *, limit: int, answer: Any = answer) -> Any:  # noqa: ARG001 - they make the key
            return answer

        LOCAL.clear()
        asynchronous = asyncio.run(_hits(ask, count))
        LOCAL.clear()
        blocking = _hits_blocking(ask_blocking, count)
        for kind, samples in (("async", asynchronous), ("not async", blocking)):
            bed.keep(f"{kind}, {name}", samples)
            rows.append(
                at_most(f"in-process hit of @cached, {kind}, {name}, p99", _p(samples, 0.99), ASKED_MS, "ms", note)
            )
            rows.append(for_comparison("  half of them within", _p(samples, 0.5), "ms"))
    return rows


async def _hits(ask: Callable[..., Awaitable[Any]], count: int) -> list[float]:
    await ask("orders", limit=10)
    samples = []
    for _ in range(count):
        began = time.perf_counter()
        await ask("orders", limit=10)
        samples.append((time.perf_counter() - began) * 1000)
    return samples


def _hits_blocking(ask: Callable[..., Any], count: int) -> list[float]:
    ask("orders", limit=10)
    samples = []
    for _ in range(count):
        began = time.perf_counter()
        ask("orders", limit=10)
        samples.append((time.perf_counter() - began) * 1000)
    return samples


def _p(samples: Iterable[float], share: float) -> float:
    return round(quantile(samples, share), 4)


MEASURES = {"hits": measure_hits}


def main() -> int:
    """Measure, print a table, write the results; return 1 if a row is missed, 2 if one could not be measured."""
    parser = parser_of("bench.client", __doc__, MEASURES, quick="few samples")
    parser.add_argument("--realtime", action="store_true", help="before all others on the processors (SCHED_RR)")
    options = parser.parse_args()
    if options.realtime:
        go_first()
    report = Report("client", Measured(Progress("bench-client"), is_quick=options.quick))
    try:
        report.measure(MEASURES, options.only)
    finally:
        report.write()
    return report.verdict()


if __name__ == "__main__":
    sys.exit(main())
