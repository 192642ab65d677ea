"""Ten sidecars of five callers each under limits that they share and one of each agent.

Sidecars are killed at random and started again, and Redis is killed and restarted from its append-only file.
"""

import asyncio
import random
import time
from typing import Any

import aio_pika

from bench.quota.callers import QUEUE, Callers
from bench.quota.evidence import RESOURCES, Agent, Audit, rows_of
from bench.quota.pods import limit
from bench.row import Row
from bench.sidecar.bed import EXACT, Bed, configuration
from bench.sidecar.driver import make_items
from bench.sidecar.process import Sidecar
from ringfence_sidecar.configuration import Limit
from ringfence_sidecar.quotas.buckets import Bucket
from ringfence_sidecar.quotas.packing import LEASE_SECONDS
from tests.backends.rabbitmq_server import RabbitMQServer
from tests.backends.redis_server import RedisServer
from tests.sidecar.quotas.fleet import Watch

SIDECARS, QUICK_SIDECARS = 10, 4
CALLERS = 5
KILLS, QUICK_KILLS = 8, 3
CALLS, QUICK = 6_000, 300
SAMPLES = 1_000
_LONGEST_SECONDS = 600


def limits_of(calls: int, sidecars: int) -> tuple[Limit, ...]:
    """Return limits that are all used up, the one on calls last; the agents' own lets none have much more than most."""
    return (
        limit("apiCalls", calls),
        limit("rows", calls * 2),
        limit("messagesPublished", calls // 4),
        limit("concurrentCalls", sidecars * CALLERS - 5, window="None"),
        limit("apiCalls", round(calls / sidecars * 1.25), quota="each", quota_uid="uid-each", shared=False),
    )


async def measure_exactness(bed: Bed) -> list[Row]:
    """Until every limit is used up, and leases longer: what the dead held is used by others."""
    calls, count = bed.count(CALLS, QUICK), bed.count(SIDECARS, QUICK_SIDECARS)
    limits, redis = limits_of(calls, count), bed.redis(*EXACT)
    agents = [f"agent-{number}" for number in range(1, count + 1)]
    rabbitmq = bed.rabbitmq()
    sidecars = await _started(bed, redis, rabbitmq, limits, agents)
    interval = bed.busy()
    with Watch(redis, limits, [f"uid-of-{agent}" for agent in agents]) as watch:
        groups = [Callers(sidecar, agent, count=CALLERS) for sidecar, agent in zip(sidecars, agents, strict=True)]
        await _strike(bed, watch, redis, groups, calls)
        await _used(watch, calls)
        await asyncio.sleep(2 * LEASE_SECONDS)
        await asyncio.gather(*(group.stop() for group in groups))
        note = interval.note()
        await asyncio.gather(*(asyncio.to_thread(each.end) for each in sidecars))
        with redis.client() as client:
            found = watch.look(client)
    counted, arrived = _counted(redis, limits), await _at_broker(rabbitmq)
    evidence = [
        Agent(each.diary, Audit.of(each.sidecar.audits), counted.get(f"uid-of-{each.agent}", {}), each.kills)
        for each in groups
    ]
    bed.keep(
        "exactness",
        {"highest": watch.highest, "found": found, "kills": [each.kills for each in groups], "counted": counted},
    )
    return [*_of_limits(limits, watch, found, evidence, note), *rows_of(evidence, arrived)]


async def _started(
    bed: Bed, redis: RedisServer, rabbitmq: RabbitMQServer, limits: tuple[Limit, ...], agents: list[str]
) -> list[Sidecar]:
    snowflake, _ = bed.snowflake()
    connectors = bed.warehouse(snowflake), bed.broker(rabbitmq)
    await make_items(connectors[0])
    sidecars = []
    with bed.progress.step(f"{len(agents)} sidecars", announce=True):
        for agent in agents:
            made = configuration(*connectors, agent=agent, redis=redis.configuration(), limits=limits)
            sidecar = bed.sidecar(made)
            await sidecar.ready()
            await sidecar.bound("warehouse", "events")
            sidecars.append(sidecar)
    await _declared(sidecars[0])
    return sidecars


async def _declared(sidecar: Sidecar) -> None:
    """Have the queue. An empty store hears first, for the length of a lease, whether others have used something."""
    async with asyncio.timeout(_LONGEST_SECONDS):
        request = sidecar.client.rest("POST", "/v1/connectors/events/declare", {"queue": {"name": QUEUE}})
        while not (await sidecar.client.send(request)).is_served:  # noqa: ASYNC110 - the store tells nobody
            await asyncio.sleep(0.5)


async def _strike(bed: Bed, watch: Watch, redis: RedisServer, groups: list[Callers], calls: int) -> None:
    """Kill sidecars as calls go on, and Redis in the middle."""
    chance, kills = random.Random(1), bed.count(KILLS, QUICK_KILLS)
    # The last one while there is something left for what it held to be used.
    for number in range(kills):
        await _used(watch, calls * (number + 0.5) / (kills + 2))
        await asyncio.sleep(chance.random() / 2)
        struck = chance.choice(groups)
        await asyncio.to_thread(struck.sidecar.kill)
        struck.sidecar.begin()
        struck.kills += 1
        bed.progress.note(f"{struck.agent} killed, {watch.highest.get('apiCalls', 0):g} calls")
        if number == kills // 2:
            await _used(watch, calls * (number + 1) / (kills + 2))
            await asyncio.to_thread(redis.kill)
            await asyncio.to_thread(redis.start)
            bed.progress.note("Redis restarted")


async def _used(watch: Watch, calls: float) -> None:
    deadline = time.monotonic() + _LONGEST_SECONDS
    while watch.highest.get("apiCalls", 0) < calls:
        if time.monotonic() > deadline:
            raise TimeoutError(f"calls do not go on: {watch.highest}")
        await asyncio.sleep(0.02)


async def _at_broker(server: RabbitMQServer) -> int:
    """Return how many messages have arrived."""
    async with await aio_pika.connect(server.url()) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(QUEUE, passive=True)
        return queue.declaration_result.message_count or 0


def _counted(redis: RedisServer, limits: tuple[Limit, ...]) -> dict[str, dict[str, float]]:
    """Return what each agent has used of what is shared, by UID and resource."""
    counted: dict[str, dict[str, float]] = {}
    with redis.client() as client:
        for each in limits:
            if not each.shared:
                continue
            fields: Any = client.hgetall(f"{redis.configuration().prefix}{Bucket.of(each, '').key}")
            for name, amount in fields.items():
                kind, _, agent = name.decode().partition(":")
                if kind == "a":
                    counted.setdefault(agent, {})[each.resource] = float(amount)
    return counted


def _of_limits(
    limits: tuple[Limit, ...], watch: Watch, found: dict[str, float], agents: list[Agent], note: str
) -> list[Row]:
    """Return how far limits were passed, and how much of them was never granted."""
    most = {each.resource: each.max for each in limits if each.shared and each.window != "None"}
    own = next(each.max for each in limits if not each.shared)
    over = max(
        0.0,
        *(watch.highest[name] - max_ for name, max_ in most.items()),
        *(value - own for name, value in watch.highest.items() if "/" in name),
    )
    unused = {name: most[name] - found[name] for name in RESOURCES}
    in_flight = {name: sum(each.in_flight[name] for each in agents) for name in RESOURCES}
    short = sum(unused[name] > in_flight[name] for name in RESOURCES)
    sums = {name: sum(each.counted.get(name, 0.0) for each in agents) for name in RESOURCES}
    differ = sum(abs(sums[name] - found[name]) for name in RESOURCES)
    left = ", ".join(f"{name} {most[name] - unused[name]:g} of {most[name]:g}" for name in RESOURCES)
    what = f"{len(agents)} sidecars, {len(agents) * CALLERS} callers, Redis restarted"
    return [
        Row(f"{what}: limit passed by", "0", over, "", over == 0 and not watch.passed, note),
        Row("  samples of what was used and granted", f"> {SAMPLES:,}", watch.looks, "", watch.looks > SAMPLES),
        Row("  limits left unused by more than was in flight", "0", short, "", short == 0, left),
        Row("  still held in the end", "0", found["concurrentCalls"], "", found["concurrentCalls"] == 0),
        Row("  counters beside the sum of agents in them", "0", differ, "", differ == 0),
    ]
