"""Measures how quotas are kept, with real back ends on loopback: python -m bench.quota [--only ROW] [--quick]."""

import sys

from bench.quota.enforcement import measure_enforcement
from bench.quota.exactness import measure_exactness
from bench.quota.latency import measure_latency
from bench.quota.refusals import measure_refusals
from bench.quota.store import measure_store
from bench.sidecar.program import Measure, run

MEASURES: dict[str, Measure] = {
    "latency": measure_latency,
    "enforcement": measure_enforcement,
    "store": measure_store,
    "refusals": measure_refusals,
    "exactness": measure_exactness,
}

if __name__ == "__main__":
    sys.exit(run("quota", __doc__, MEASURES, quick="few samples and small limits"))
