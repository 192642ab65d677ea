import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest

from ringfence_operator.runtime.health import STUCK_SECONDS, HealthServer
from ringfence_operator.runtime.metrics import Metrics


@dataclass
class FakeCache:
    name: str
    stalled_seconds: float = 0.0
    synced: asyncio.Event = field(default_factory=asyncio.Event)


@pytest.fixture
def caches() -> list[FakeCache]:
    return [FakeCache("agents"), FakeCache("pods")]


@pytest.fixture
async def address(caches: list[FakeCache]) -> AsyncIterator[str]:
    server = HealthServer(Metrics().registry, caches)
    port = await server.start(host="127.0.0.1", port=0)
    yield f"http://127.0.0.1:{port}"
    await server.stop()


async def ask(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_not_ready_until_all_caches_are_synced_and_says_which_are_not(
    address: str, caches: list[FakeCache]
) -> None:
    caches[0].synced.set()
    before = await ask(f"{address}/readyz")
    caches[1].synced.set()
    after = await ask(f"{address}/readyz")

    assert before == (503, "not synced: pods\n")
    assert after == (200, "ok\n")


async def test_alive_while_the_caches_follow_the_server_even_before_they_are_synced(address: str) -> None:
    assert await ask(f"{address}/healthz") == (200, "ok\n")


async def test_not_alive_when_a_cache_is_stuck(address: str, caches: list[FakeCache]) -> None:
    caches[1].stalled_seconds = STUCK_SECONDS + 1

    assert await ask(f"{address}/healthz") == (503, "stuck: pods\n")


async def test_metrics_are_served_as_prometheus_text(address: str) -> None:
    status, text = await ask(f"{address}/metrics")

    assert status == 200
    assert "# TYPE process_resident_memory_bytes gauge" in text
