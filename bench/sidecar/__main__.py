"""Measures the sidecar with real back ends on loopback: python -m bench.sidecar [--only ROW] [--quick] [--realtime].

What needs a cluster is measured by `make bench-control`: reconcile beside a flood of connections and bad tokens, and
how soon after a write to the API server an agent's call is judged by it.
"""

import sys

from bench.sidecar.broker import measure_broker
from bench.sidecar.footprint import measure_footprint
from bench.sidecar.hits import measure_hits
from bench.sidecar.invalidation import measure_invalidation
from bench.sidecar.killed import measure_killed
from bench.sidecar.latency import measure_latency
from bench.sidecar.outage import measure_outage
from bench.sidecar.pooling import measure_pooling
from bench.sidecar.program import Measure, run
from bench.sidecar.restarted import measure_restarted
from bench.sidecar.skew import measure_skew
from bench.sidecar.start import measure_start

MEASURES: dict[str, Measure] = {
    "footprint": measure_footprint,
    "start": measure_start,
    "latency": measure_latency,
    "hits": measure_hits,
    "invalidation": measure_invalidation,
    "skew": measure_skew,
    "pooling": measure_pooling,
    "killed": measure_killed,
    "broker": measure_broker,
    "restarted": measure_restarted,
    "outage": measure_outage,
}


if __name__ == "__main__":
    sys.exit(run("sidecar", __doc__, MEASURES, quick="few samples, small caches and few sidecars"))
