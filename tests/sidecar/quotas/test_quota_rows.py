"""Every row of the table that sidecars keep, on a call's whole way and in a real Redis: what is beyond is refused."""

import asyncio
from collections.abc import Iterator

import pytest

from ringfence_operator.api.quota_matrix import MATRIX, Enforcer, Resource, resources_of
from ringfence_sidecar.builtin import Builtin
from ringfence_sidecar.cache.room import Room
from ringfence_sidecar.configuration import Configuration
from ringfence_sidecar.envelope import Envelope
from ringfence_sidecar.errors import Status
from ringfence_sidecar.kept import Kept
from ringfence_sidecar.payloads import Payloads
from ringfence_sidecar.quotas.quota import Quotas
from ringfence_sidecar.service import Service
from tests.backends.redis_server import RedisServer
from tests.sidecar.plugin.bed import AGENT, call, connector, endpoint, serving, warm
from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running
from tests.sidecar.quotas.pods import Pods, limit, used

pytestmark = pytest.mark.backend

OF_ITSELF = frozenset(
    {
        Resource.API_CALLS,
        Resource.TOOL_CALLS,
        Resource.CONCURRENT_CALLS,
        Resource.CONNECTOR_CONNECTIONS,
        Resource.CACHE_BYTES,
    }
)
"""What costs this no connector says."""
WHILE_IT_RUNS = frozenset({Resource.CONCURRENT_CALLS, Resource.CONNECTOR_CONNECTIONS})


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


@pytest.mark.parametrize("resource", resources_of(Enforcer.SIDECAR), ids=str)
async def test_the_second_of_what_a_limit_has_one_of_is_refused(
    redis_server: RedisServer, pods: Pods, resource: Resource
) -> None:
    server = Server()
    one = limit(resource.value, 1, window=MATRIX[resource].windows[-1].value, shared=False)
    quota = await pods.pod(redis_server.configuration(), one)
    kept = Kept(Room(quota))
    await kept.apply(Configuration(version="1", agent=AGENT, limits=(one,)))
    # Credits are time at a price, which is one a second there.
    cost = Resource.QUERY_SECONDS if resource is Resource.CREDITS else resource
    costs = {} if resource in OF_ITSELF else {cost.value: 1}
    at = connector(endpoint(server), permissions={"costs": costs}, limits={"timeoutSeconds": 60})

    async with running(server), serving(at, quota=quota) as (pipeline, _):
        builtin = Builtin(lambda: kept.values, Payloads(), dict)
        service = Service(pipeline, builtin, Payloads(), is_configured=lambda: True, quota=quota)

        async def ask(key: str, seconds: float) -> Envelope:
            if resource is Resource.CACHE_BYTES:
                return await service.run_own(call("set", {"key": key, "value": 1}, connector="cache"))
            return await service.run(call("get", {"key": key}, protocol="mcp", timeout_seconds=seconds))

        if resource in WHILE_IT_RUNS:
            server.may_answer.clear()
            await warm(pipeline)
        first = asyncio.create_task(ask("first", 60))
        if resource in WHILE_IT_RUNS:
            await server.until(lambda: server.at_work == 1, seconds=30)
        else:
            await first
        await _until_used(quota, resource)
        second = await ask("second", 0.5)
        server.may_answer.set()

    assert (await first).status is Status.OK
    assert (second.status, second.errors[0].resource) == (Status.LIMITED, resource.value)
    assert server.asked == ([] if resource is Resource.CACHE_BYTES else ["GET p-first"])
    await kept.close()


async def _until_used(quota: Quotas, resource: Resource) -> None:
    async with asyncio.timeout(10):
        while True:
            if (await used(quota))[resource.value] == 1:
                return
            await asyncio.sleep(0.01)
