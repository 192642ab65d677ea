"""How soon another limit on calls holds for an agent that runs: from the write of the Quota to the first call."""

import math
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from bench.egress.change import GAP, bounded
from bench.egress.samples import Attempt, Change, in_force
from bench.quantile import quantile
from bench.quota.cluster import Cluster
from bench.row import Row
from tests.e2e.kube import Body
from tests.e2e.world import AgentHandle, QuotaHandle, World

COUNT, QUICK = 100, 6
LEAD = 2.0
"""Seconds from the start of a run to its first change: exec takes a moment."""
BATCH = 10
"""Changes while one run of the program calls."""
MANY, ONE = 1_000_000, 1
LIMIT_MS = 1000.0
SERVED, REFUSED = 200, 429
WAIT_SECONDS = 60.0


def measure_change(bed: Cluster) -> list[Row]:
    """One limit becomes less than is used, and much more again, by turns; the agent calls all the time."""
    count = bed.count(COUNT, QUICK)
    before, began = bed.busy(), time.monotonic()
    found: list[tuple[Change, float]] = []
    with World(bed.kube, "default") as world:
        quota = world.quota(_limit(MANY))
        agent = world.agent(quotaRef=quota.ref)
        agent.until_ready()
        until_served(agent)
        with bed.progress.step(f"{count} changes of a quota", announce=True):
            while len(found) < count:
                found += _batch(quota, agent, min(BATCH, count - len(found)), first=len(found))
                bed.progress.note(f"{len(found)} of {count}")
    note = bed.busy().since(before, seconds=time.monotonic() - began)
    bed.keep("change", [(each.is_open, None if math.isinf(ms) else ms) for each, ms in found])
    return _rows(found, note)


def until_served(agent: AgentHandle) -> None:
    """Return once calls are served: counters that are new count as away at first. Raises TimeoutError."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not any(status == SERVED for _, _, status in calls(agent, 0.5)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"no call is served within {WAIT_SECONDS:.0f} s")


def calls(agent: AgentHandle, seconds: float) -> list[tuple[float, float, int]]:
    """Return when calls from inside the agent's container began and ended, and their status."""
    found: list[tuple[float, float, int]] = agent.pod.script("calls", seconds, seconds=seconds + 60, container="agent")
    return found


def _limit(most: int) -> Body:
    return {"resource": "apiCalls", "max": most, "window": "Hour"}


def _batch(quota: QuotaHandle, agent: AgentHandle, count: int, *, first: int) -> list[tuple[Change, float]]:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(calls, agent, LEAD + count * (GAP + 0.3))
        time.sleep(LEAD)
        changes = [_change(quota, is_open=(first + number) % 2 == 1) for number in range(count)]
        attempts = [_attempt(*each) for each in running.result()]
    ends = [*(each.sent for each in changes[1:]), math.inf]
    return [
        (change, round(in_force(attempts, change, until=end) * 1000, 1))
        for change, end in zip(changes, ends, strict=True)
    ]


def _change(quota: QuotaHandle, *, is_open: bool) -> Change:
    due = time.monotonic() + GAP
    # So that changes do not fall into step with what happens at intervals.
    time.sleep(random.uniform(0, 0.2))
    sent = time.time()
    quota.change(_limit(MANY if is_open else ONE))
    time.sleep(max(0.0, due - time.monotonic()))
    return Change(sent, is_open)


def _attempt(began: float, ended: float, status: int) -> Attempt:
    if status not in (SERVED, REFUSED):
        raise RuntimeError(f"a call was answered with {status}")
    return Attempt(began, ended, "call", "", "" if status == SERVED else "refused")


def _rows(found: Sequence[tuple[Change, float]], note: str) -> list[Row]:
    rows = []
    for is_open, words in ((False, "lowered: API write sent -> first call refused"), (True, "raised: -> served")):
        taken = [ms for each, ms in found if each.is_open is is_open]
        for share, name in ((0.5, f"p50 of {len(taken)}"), (0.99, "p99")):
            rows.append(bounded(f"limit on calls {words}, {name}", quantile(taken, share), LIMIT_MS, note))
            note = ""
    return rows
