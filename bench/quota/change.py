"""How soon another limit on calls holds for an agent that runs: from the write of the Quota to the first call."""

import time

from bench.quota.cluster import Cluster
from bench.row import Row
from bench.toggled import Toggled, rows, samples
from tests.e2e.kube import Body
from tests.e2e.world import World

COUNT, QUICK = 100, 6
MANY, ONE = 1_000_000, 1
LIMIT_MS = 1000.0
REFUSED = 429
CALL = ("PUT", "/v1/cache/bench", {"value": 1})
"""Costs one of apiCalls: it puts a value of the agent's own away."""


def measure_change(bed: Cluster) -> list[Row]:
    """One limit becomes less than is used, and much more again, by turns; the agent calls all the time."""
    count = bed.count(COUNT, QUICK)
    before, began = bed.busy(), time.monotonic()
    with World(bed.kube, "default") as world:
        quota = world.quota(_limit(MANY))
        agent = world.agent(quotaRef=quota.ref)
        agent.until_ready()

        def write(is_open: bool) -> Body:
            return quota.change(_limit(MANY if is_open else ONE))

        toggled = Toggled(agent=agent, call=CALL, write=write, refused=REFUSED)
        # Counters that are new count as away at first.
        toggled.until_served()
        with bed.progress.step(f"{count} changes of a quota", announce=True):
            found = toggled.often(count, note=bed.progress.note)
    note = bed.busy().since(before, seconds=time.monotonic() - began)
    bed.keep("change", samples(found))
    lowered = "limit on calls lowered: API write sent -> first call refused"
    raised = "limit on calls raised: -> served"
    return rows(found, lowered, raised, limit=LIMIT_MS, note=note)


def _limit(most: int) -> Body:
    return {"resource": "apiCalls", "max": most, "window": "Hour"}
