"""Whole calls of several sidecars under limits that they share: never one too many, and every one in the audit."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from ringfence_operator.resources.sidecar_limits import build_limits
from ringfence_sidecar.cache.answers import Answers
from ringfence_sidecar.cache.shared import Shared
from ringfence_sidecar.configuration import CachePolicy, Limit, LocalCache
from ringfence_sidecar.errors import Status
from ringfence_sidecar.quotas.quota import Quotas
from tests.backends.redis_server import RedisServer
from tests.sidecar.plugin.bed import AGENT, call, connector, endpoint, serving
from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running
from tests.sidecar.quotas.pods import Pods, limit

pytestmark = pytest.mark.backend
AGENTS = 4
CALLERS = 5
CALLS = 6
MOST_CALLS, MOST_QUERIES = 90, 40


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


async def test_the_audit_adds_up_to_the_counters_and_no_limit_is_passed(redis_server: RedisServer, pods: Pods) -> None:
    server = Server()
    server.delay = 0.001
    limits = (
        limit("apiCalls", MOST_CALLS),
        limit("queries", MOST_QUERIES),
        limit("concurrentCalls", 12, window="None"),
    )
    statuses: Counter[Status] = Counter()
    audited: list[dict[str, Any]] = []

    async with running(server), contextlib.AsyncExitStack() as stack:
        sidecars = []
        for number in range(AGENTS):
            quota = await pods.pod(redis_server.configuration(), *limits, agent=f"agent-{number}")
            cache = Answers("team-a", Shared(None), local=LocalCache())
            bound = connector(endpoint(server), cache=CachePolicy(ttl_seconds=60))
            pipeline, lines = await stack.enter_async_context(serving(bound, cache=cache, quota=quota))
            sidecars.append((pipeline, lines, quota))

        async def caller(number: int, mine: int) -> None:
            pipeline, _, _ = sidecars[number]
            for at in range(CALLS):
                # Half of the keys are asked for by two callers of the agent: the cache answers one of them.
                asked = call("get", {"key": f"k-{mine // 2}-{at}"})
                if at == CALLS - 1:
                    task = asyncio.create_task(pipeline.run(asked))
                    await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                    statuses[Status.CANCELLED] += 1
                else:
                    statuses[(await pipeline.run(asked)).status] += 1

        await asyncio.gather(*(caller(number, mine) for number in range(AGENTS) for mine in range(CALLERS)))
        for _, lines, _ in sidecars:
            audited += await lines.calls(CALLERS * CALLS)
        budgets = await _settled(sidecars[0][2])

    used: dict[str, float] = {}
    for line in audited:
        for resource, amount in line["used"].items():
            used[resource] = used.get(resource, 0) + amount
    assert statuses[Status.LIMITED] > 0
    assert used["apiCalls"] == budgets["apiCalls"] <= MOST_CALLS
    assert used["queries"] == budgets["queries"] <= MOST_QUERIES
    assert len(server.asked) <= MOST_QUERIES
    assert budgets["concurrentCalls"] == 0


async def test_a_call_whose_time_ends_in_a_soft_limits_line_is_told_which_limit_it_was(
    redis_server: RedisServer, pods: Pods
) -> None:
    server = Server()
    soft = limit("apiCalls", 1, enforcement="Soft", soft_deadline_seconds=600)
    quota = await pods.pod(redis_server.configuration(), soft)

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, lines):
        await pipeline.run(call("get", {"key": "colour"}))
        envelope = await pipeline.run(call("get", {"key": "colour"}, timeout_seconds=0.2))
        [_, line] = await lines.calls(2)
        refusals = pipeline.metrics.registry.get_sample_value(
            "ringfence_sidecar_quota_refused_total", {"quota": "team", "resource": "apiCalls", "enforcement": "Soft"}
        )

    [error] = envelope.errors
    assert (error.code, error.quota, error.resource) == ("QuotaWaitExceeded", "team", "apiCalls")
    assert (error.limit, error.used, error.window) == (1, 1, "Day")
    assert error.retry_after_seconds is not None
    assert (line["quota"], refusals) == ("team", 1)


@pytest.mark.parametrize("cost", ["rows", "messagesReceived"])
async def test_a_stream_ends_before_its_next_piece_once_the_quota_that_the_agent_names_has_gone(
    pods: Pods, cost: str
) -> None:
    server = Server({"p-colour": "blue"})
    quota = await pods.pod(None)
    at = connector(endpoint(server), permissions={"costs": {cost: 1}})

    async with running(server), serving(at, quota=quota) as (pipeline, _):
        stream = pipeline.stream(call("watch", {"key": "colour"}))
        first = await anext(stream)
        await quota.apply(msgspec.convert(build_limits([], missing="gone"), list[Limit]), AGENT, None)
        rest = [piece async for piece in stream]

    assert first.status is Status.OK
    assert [(each.status, each.errors[0].code) for each in rest] == [(Status.LIMITED, "QuotaNotFound")]


async def _settled(quota: Quotas) -> dict[str, float]:
    """Return what all have used, once no call is under way."""
    async with asyncio.timeout(10):
        while True:
            budgets = {each.resource: each.used for each in await quota.budgets()}
            if not budgets["concurrentCalls"]:
                return budgets
            await asyncio.sleep(0.01)
