import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringfence_sidecar.configuration import CachePolicy
from tests.sidecar.plugin.bed import connector, endpoint
from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running
from tests.sidecar.rest.bed import SECONDS, Bed, serving, store


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


async def test_those_who_only_listen_are_told_that_it_ends_and_do_not_hold_it_up(tmp_path: Path) -> None:
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    params = {"_meta": meta, "notifications": {"toolsListChanged": True}}
    headers = {"mcp-protocol-version": "2026-07-28", "mcp-method": "subscriptions/listen"}
    body = {"jsonrpc": "2.0", "id": 5, "method": "subscriptions/listen", "params": params}

    async with (
        serving(tmp_path, stop_seconds=60) as bed,
        bed.client.stream("POST", "/mcp", json=body, headers=headers) as answer,
    ):
        lines = answer.aiter_lines()
        first = [await anext(lines) for _ in range(3)][1]
        bed.sidecar.stop_listeners()
        rest = [line async for line in lines if line]

    assert "notifications/subscriptions/acknowledged" in first
    assert rest[1].startswith('data: {"jsonrpc":"2.0","id":5,"result":{"resultType":"complete"')


async def test_the_caches_figures_are_scraped(tmp_path: Path) -> None:
    server = Server({"p-a": "b"})

    async with running(server), serving(tmp_path, store(server, cache=CachePolicy(ttl_seconds=60))) as bed:
        for _ in range(3):
            await bed.call("get", {"key": "a"})
        text = (await bed.client.get(f"{bed.health_url}/metrics")).text

    assert 'ringfence_sidecar_cache_hits_total{connector="store",layer="local"} 2.0' in text
    assert 'ringfence_sidecar_cache_loads_total{connector="store"} 1.0' in text
    assert "ringfence_sidecar_cache_reachable" not in text


async def test_so_are_those_of_the_agents_own_values_though_a_connector_has_the_same_name(tmp_path: Path) -> None:
    server = Server({"p-a": "b"})
    same = connector(endpoint(server), name="cache", cache=CachePolicy(ttl_seconds=60))

    async with running(server), serving(tmp_path, same) as bed:
        await bed.client.put("/v1/cache/colour", json={"value": "blue", "tags": ["t"]})
        kept = dict(await scraped(bed))
        for key in ("colour", "colour", "grey"):
            await bed.client.get(f"/v1/cache/{key}")
        await bed.client.post("/v1/cache/invalidate_tag", json={"tag": "t"})
        for _ in range(2):
            await bed.client.post("/v1/connectors/cache/get", json={"key": "a"})
        series = await scraped(bed)

    after = dict(series)
    assert len(series) == len(after), "Prometheus takes no scrape with a series twice"
    assert kept['kept_bytes_total{connector="cache"}'] == len('"blue"')
    assert kept["local_bytes"] > 0
    assert after['hits_total{connector="cache",layer="local"}'] == 2 + 1
    assert after['misses_total{connector="cache"}'] == 1 + 1
    assert after['loads_total{connector="cache"}'] == 1
    assert after['invalidations_total{connector="cache"}'] == 1


async def scraped(bed: Bed) -> list[tuple[str, float]]:
    """The cache's series, without what their names have in common."""
    lines = (await bed.client.get(f"{bed.health_url}/metrics")).text.splitlines()
    rows = [line.rsplit(" ", 1) for line in lines if line.startswith("ringfence_sidecar_cache_")]
    return [(series.removeprefix("ringfence_sidecar_cache_"), float(value)) for series, value in rows]


async def test_a_changed_configuration_is_in_force_within_a_second(tmp_path: Path) -> None:
    server = Server({"p-a": "b", "q-a": "c"})

    async with running(server), serving(tmp_path, store(server)) as bed:
        before = (await bed.call("get", {"key": "a"})).json()["data"]
        bed.configure(store(server, generation=2, settings={"prefix": "q-"}), version="2")
        async with asyncio.timeout(1.0):
            while (after := (await bed.call("get", {"key": "a"})).json()["data"]) == before:  # noqa: ASYNC110 - as agents do
                await asyncio.sleep(0.02)

    assert (before, after) == ({"value": "b"}, {"value": "c"})


@pytest.mark.parametrize(("warm", "let_in", "status"), [(True, True, 200), (True, False, 503), (False, True, 503)])
async def test_without_a_configuration_only_one_that_waits_for_an_agent_and_is_let_in_is_ready(
    tmp_path: Path, warm: bool, let_in: bool, status: int
) -> None:
    async with serving(tmp_path, configured=False, warm=warm) as bed:
        bed.sidecar._is_let_in = lambda: let_in

        assert (await bed.client.get("/readyz")).status_code == status


async def test_in_a_warm_pod_calls_wait_for_the_first_configuration_from_the_first_call_on(tmp_path: Path) -> None:
    server = Server({"p-a": "b"})

    async with running(server), serving(tmp_path, configured=False, warm=True, start_seconds=1) as bed:
        await asyncio.sleep(1.1)
        call = asyncio.create_task(bed.call("get", {"key": "a"}))
        done, _ = await asyncio.wait({call}, timeout=0.3)
        bed.configure(store(server), version="1")
        answer = await asyncio.wait_for(call, SECONDS)

    assert not done
    assert answer.json()["data"] == {"value": "b"}


async def test_a_call_in_a_warm_pod_that_is_not_configured_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path, configured=False, warm=True, start_seconds=0) as bed:
        answer = await bed.call("get", {"key": "a"})

    assert answer.status_code == 503


async def test_a_call_that_comes_before_the_first_configuration_waits_for_it_a_moment(tmp_path: Path) -> None:
    server = Server({"p-a": "b"})

    async with running(server), serving(tmp_path, configured=False) as bed:
        call = asyncio.create_task(bed.call("get", {"key": "a"}))
        done, _ = await asyncio.wait({call}, timeout=0.3)
        bed.configure(store(server), version="1")
        answer = await asyncio.wait_for(call, SECONDS)

    assert not done
    assert answer.json()["data"] == {"value": "b"}
