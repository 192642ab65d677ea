import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence_sidecar.configuration import CachePolicy
from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running
from tests.sidecar.rest.bed import SECONDS, serving, store


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


async def test_a_call_under_way_is_answered_although_the_sidecar_stops(tmp_path: Path) -> None:
    server = Server({"p-a": "b"})
    server.delay = 0.3

    async with running(server), serving(tmp_path, store(server)) as bed:
        call = asyncio.create_task(bed.call("get", {"key": "a"}))
        await server.until(lambda: server.at_work == 1)
        stopping = bed.sidecar
        for each in stopping.serving:
            each.should_exit = True
        answer = await asyncio.wait_for(call, SECONDS)

    assert answer.json()["data"] == {"value": "b"}


async def test_the_caches_figures_are_scraped(tmp_path: Path) -> None:
    server = Server({"p-a": "b"})

    async with running(server), serving(tmp_path, store(server, cache=CachePolicy(ttl_seconds=60))) as bed:
        for _ in range(3):
            await bed.call("get", {"key": "a"})
        text = (await bed.client.get(f"{bed.health_url}/metrics")).text

    assert 'ringfence_sidecar_cache_hits_total{connector="store",layer="local"} 2.0' in text
    assert 'ringfence_sidecar_cache_loads_total{connector="store"} 1.0' in text
    assert "ringfence_sidecar_cache_reachable" not in text


async def test_a_changed_configuration_is_in_force_within_a_second(tmp_path: Path) -> None:
    server = Server({"p-a": "b", "q-a": "c"})

    async with running(server), serving(tmp_path, store(server)) as bed:
        before = (await bed.call("get", {"key": "a"})).json()["data"]
        bed.configure(store(server, generation=2, settings={"prefix": "q-"}), version="2")
        async with asyncio.timeout(1.0):
            while (after := (await bed.call("get", {"key": "a"})).json()["data"]) == before:  # noqa: ASYNC110 - as agents do
                await asyncio.sleep(0.02)

    assert (before, after) == ({"value": "b"}, {"value": "c"})
