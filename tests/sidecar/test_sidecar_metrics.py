import asyncio
from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest

from ringfence_sidecar.cache_metrics import CacheMetrics
from ringfence_sidecar.configuration import CachePolicy
from ringfence_sidecar.errors import Status
from ringfence_sidecar.kept import Kept
from ringfence_sidecar.pipeline import Pipeline
from tests.sidecar.plugin.bed import call, configuration, connector, endpoint, serving, warm
from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


async def scraped(pipeline: Pipeline) -> dict[str, float]:
    """Each series and its value."""
    await asyncio.sleep(0)  # calls are counted in the turn after they end
    text = generate_latest(pipeline.metrics.registry).decode()
    rows = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {series: float(value) for series, value in rows}


async def test_calls_are_counted_by_connector_operation_and_status() -> None:
    server = Server()

    async with running(server), serving(connector(endpoint(server))) as (pipeline, _):
        await pipeline.run(call("get", {"key": "colour"}))
        await pipeline.run(call("get", {"key": "colour"}))
        await pipeline.run(call("get", {}))
        series = await scraped(pipeline)

    counted = 'ringfence_sidecar_calls_total{connector="store",operation="get",status="%s"}'
    assert series[counted % "ok"] == 2
    assert series[counted % "invalid"] == 1
    assert series['ringfence_sidecar_call_seconds_count{connector="store",operation="get"}'] == 3
    assert series["ringfence_sidecar_own_seconds_count"] == 3


async def test_an_agent_cannot_make_labels() -> None:
    server = Server()

    async with running(server), serving(connector(endpoint(server))) as (pipeline, _):
        before = len(await scraped(pipeline))
        for number in range(50):
            await pipeline.run(call("get", {}, connector=f"made-up-{number}"))
            await pipeline.run(call(f"made_up_{number}", {}))
        series = await scraped(pipeline)

    assert "made" not in " ".join(series)
    assert len(series) < before + 60


async def test_answers_are_counted_by_the_layer_that_they_came_from() -> None:
    server = Server()
    bound = connector(endpoint(server), cache=CachePolicy(ttl_seconds=60))

    async with running(server), serving(bound) as (pipeline, _):
        for _ in range(3):
            await pipeline.run(call("get", {"key": "colour"}))
        series = await scraped(pipeline)

    assert series['ringfence_sidecar_cache_total{connector="store",layer="none"}'] == 1
    assert series['ringfence_sidecar_cache_total{connector="store",layer="local"}'] == 2


async def test_each_endpoint_says_how_it_is() -> None:
    server = Server()

    async with running(server), serving(connector(endpoint(server))) as (pipeline, _):
        await warm(pipeline)
        await pipeline.run(call("get", {"key": "colour"}))
        series = await scraped(pipeline)

    at = 'connector="store",endpoint="a"'
    assert series[f"ringfence_endpoint_healthy{{{at}}}"] == 1
    assert series[f'ringfence_endpoint_breaker{{{at},state="closed"}}'] == 1
    assert series[f'ringfence_endpoint_attempts_total{{{at},result="served"}}'] == 1
    assert series[f'ringfence_endpoint_sessions{{{at},state="idle"}}'] == 1
    assert series['ringfence_connector_gauge{connector="store",name="prefix_length"}'] == 2


async def test_the_series_of_a_connector_go_with_it() -> None:
    server, kept = Server(), Kept()
    bound = connector(endpoint(server), cache=CachePolicy(ttl_seconds=60))
    await kept.apply(configuration(bound))

    async with running(server), serving(bound, cache=kept) as (pipeline, _):
        pipeline.metrics.registry.register(CacheMetrics(kept))
        await pipeline.run(call("get", {"key": "colour"}))
        before = await scraped(pipeline)
        for each in (kept, pipeline):
            await each.apply(configuration(version="2"))
        after = await scraped(pipeline)

    await kept.close()
    assert before['ringfence_sidecar_cache_loads_total{connector="store"}'] == 1
    assert 'connector="store"' not in " ".join(after)


async def test_a_call_that_outlives_its_connector_brings_no_series_of_it_back() -> None:
    server, kept = Server(), Kept()
    bound = connector(endpoint(server), cache=CachePolicy(ttl_seconds=60))
    await kept.apply(configuration(bound))

    async with running(server), serving(bound, cache=kept) as (pipeline, _):
        pipeline.metrics.registry.register(CacheMetrics(kept))
        server.may_answer.clear()
        under_way = asyncio.create_task(pipeline.run(call("get", {"key": "colour"})))
        await server.until(lambda: server.at_work == 1)
        await kept.apply(configuration(version="2"))
        server.may_answer.set()
        envelope = await under_way
        series = await scraped(pipeline)

    await kept.close()
    assert envelope.status is Status.OK
    assert 'ringfence_sidecar_cache_loads_total{connector="store"}' not in series
