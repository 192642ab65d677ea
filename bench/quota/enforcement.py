"""How soon one pod is refused once another has used up what there was."""

import time

from bench.quantile import quantile
from bench.quota.pods import ask, counting, limit
from bench.row import Row, at_most
from bench.sidecar.bed import Bed
from ringfence_sidecar.configuration import Agent
from ringfence_sidecar.errors import LimitedError

COUNT, QUICK = 300, 30
LIMIT_MS = 100


async def measure_enforcement(bed: Bed) -> list[Row]:
    """One pod takes the last of a limit; another one calls until it is refused. A limit of its own each time."""
    count = bed.count(COUNT, QUICK)
    limits = [limit("apiCalls", 3, quota=f"q{number}", quota_uid=f"uid-{number}") for number in range(count)]
    redis = bed.redis().configuration()
    one, other = [await counting(redis, limits[:1], agent=name) for name in ("a", "b")]
    agents = [Agent(namespace="team-a", name=name, uid=f"uid-{name}") for name in ("a", "b")]
    interval = bed.busy()
    samples = []
    for each in limits:
        for pod, agent in zip((one, other), agents, strict=True):
            await pod.apply([each], agent, redis)
        await (await one.reserve(ask(apiCalls=3))).settle({"apiCalls": 3.0})
        began = time.perf_counter()
        while True:
            try:
                await other.reserve(ask(apiCalls=1))
            except LimitedError:
                break
        samples.append((time.perf_counter() - began) * 1000)
    note = interval.note()
    for pod in (one, other):
        await pod.close()
    bed.keep("enforcement", samples)
    slowest = f"p50 {quantile(samples, 0.5):.3f} ms; {note}"
    return [at_most("from over-use to enforcement for calls, slowest", round(max(samples), 3), LIMIT_MS, "ms", slowest)]
