"""Ten processes of five callers each, killed at random, and a Redis that is restarted meanwhile."""

import asyncio
import random
import time
from pathlib import Path

import pytest

from tests.backends.redis_server import RedisServer
from tests.sidecar.quotas.fleet import Fleet, Watch
from tests.sidecar.quotas.pods import Pods, ask, limit

pytestmark = pytest.mark.backend

LIMITS = limit("apiCalls", 1_500), limit("rows", 9_000), limit("messagesPublished", 700)


@pytest.mark.timeout(240)
async def test_limits_hold_exactly_whatever_ends_in_between(
    redis_server: RedisServer, pods: Pods, tmp_path: Path
) -> None:
    chance = random.Random(7)
    fleet = Fleet(tmp_path, redis_server, LIMITS)
    try:
        with Watch(redis_server, LIMITS) as watch:
            fleet.start(10)
            await _grow(watch, 200)
            for _ in range(3):
                await asyncio.sleep(0.3 + chance.random() / 2)
                await asyncio.to_thread(fleet.kill, chance.choice(fleet.workers))
            await asyncio.to_thread(redis_server.kill)
            await asyncio.to_thread(redis_server.start)
            await _grow(watch, 900)
            for _ in range(2):
                await asyncio.sleep(0.3 + chance.random() / 2)
                await asyncio.to_thread(fleet.kill, chance.choice(fleet.workers))
            await _grow(watch, 1_500)
            # Until leases have run out, and what dead workers held has been used by others.
            await asyncio.sleep(4)
            codes = await asyncio.to_thread(fleet.end)
            found = await _settled(watch, redis_server, pods)
    finally:
        for each in fleet.workers:
            each.kill()
    book = fleet.book()

    assert watch.passed == []
    assert watch.looks > 500
    assert codes == [0] * 10
    # Never under-used: calls were refused, and everything is used up in the end.
    assert found["apiCalls"] == 1_500
    for resource, value in found.items():
        assert book.settled[resource] <= value <= book.settled[resource] + book.unsure[resource], resource
    # What cannot be known is at most what the five callers of each killed process were saying just then.
    assert book.unsure["apiCalls"] <= 5 * 5
    assert book.refusals["QuotaExceeded quota/team/apiCalls"] > 0


async def _grow(watch: Watch, calls: float) -> None:
    deadline = time.monotonic() + 90
    while watch.highest.get("apiCalls", 0) < calls:
        assert time.monotonic() < deadline, watch.highest
        await asyncio.sleep(0.02)


async def _settled(watch: Watch, server: RedisServer, pods: Pods) -> dict[str, float]:
    """Return what is used once nobody holds anything: the last one takes back what the dead held."""
    last = await pods.pod(server.configuration(), limit("queries", 1), agent="last")
    reservation = await last.reserve(ask(queries=1))
    await reservation.settle({})
    with server.client() as client:
        return watch.look(client)
