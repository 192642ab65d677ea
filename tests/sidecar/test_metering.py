"""What calls cost quotas: asked for before the cache and before the backend, and settled to what was used."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ringfence_sidecar.cache.answers import Answers
from ringfence_sidecar.cache.shared import Shared
from ringfence_sidecar.configuration import CachePolicy, LocalCache
from ringfence_sidecar.envelope import Envelope, Metadata
from ringfence_sidecar.errors import Status
from tests.backends.waiting import eventually
from tests.sidecar.counters import Counters, budget
from tests.sidecar.plugin.bed import call, connector, endpoint, run_all, serving, value, warm
from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running

CACHED = CachePolicy(ttl_seconds=60)


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


def in_process() -> Answers:
    return Answers("team-a", Shared(None), local=LocalCache())


def summed(lines: list[dict[str, Any]]) -> dict[str, float]:
    """What audit lines say was used, by resource."""
    total: dict[str, float] = {}
    for line in lines:
        for resource, amount in line["used"].items():
            total[resource] = total.get(resource, 0) + amount
    return total


def counted(quota: Counters) -> dict[str, float]:
    """What the counters have."""
    return {resource: amount for resource, amount in quota.used.items() if amount}


async def test_where_no_limit_holds_nothing_is_asked() -> None:
    server = Server()
    quota = Counters(budget("messagesPublished", 1))

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, lines):
        await pipeline.run(call("get", {"key": "colour"}))
        _ = [piece async for piece in pipeline.stream(call("watch", {"key": "colour"}))]

        audited = await lines.calls(2)

    assert quota.asked == []
    assert [line["used"] for line in audited] == [{}, {}]


async def test_what_no_cache_can_answer_asks_once_for_all() -> None:
    server = Server()
    quota = Counters(budget("apiCalls", 10), budget("concurrentCalls", 5), budget("queries", 10))

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, lines):
        await pipeline.run(call("get", {"key": "colour"}))

        [line] = await lines.calls()

    assert quota.asked == [{"apiCalls": 1, "concurrentCalls": 1, "queries": 1}]
    assert counted(quota) == line["used"] == {"apiCalls": 1, "queries": 1}


async def test_an_answer_from_the_cache_costs_a_call_and_no_query() -> None:
    server = Server()
    quota = Counters(budget("apiCalls", 10), budget("queries", 10))
    bound = connector(endpoint(server), cache=CACHED)

    async with running(server), serving(bound, cache=in_process(), quota=quota) as (pipeline, lines):
        for _ in range(3):
            await pipeline.run(call("get", {"key": "colour"}))

        audited = await lines.calls(3)

    assert quota.asked == [{"apiCalls": 1}, {"queries": 1}, {"apiCalls": 1}, {"apiCalls": 1}]
    assert counted(quota) == summed(audited) == {"apiCalls": 3, "queries": 1}


async def test_who_waits_for_another_calls_answer_pays_for_no_query() -> None:
    server = Server()
    server.delay = 0.05
    quota = Counters(budget("apiCalls", 100), budget("queries", 1))
    bound = connector(endpoint(server), cache=CACHED)

    async with running(server), serving(bound, cache=in_process(), quota=quota) as (pipeline, lines):
        envelopes = await run_all(pipeline, [call("get", {"key": "colour"}) for _ in range(10)])

        audited = await lines.calls(10)

    assert {envelope.status for envelope in envelopes} == {Status.OK}
    assert counted(quota) == summed(audited) == {"apiCalls": 10, "queries": 1}


async def test_a_stale_answers_successor_is_paid_for_by_a_line_of_its_own() -> None:
    server = Server({"p-colour": "blue"})
    quota = Counters(budget("apiCalls", 100), budget("queries", 100))
    stale = CachePolicy(ttl_seconds=0.02, stale_while_revalidate_seconds=60)

    async with (
        running(server),
        serving(connector(endpoint(server), cache=stale), cache=in_process(), quota=quota) as (
            pipeline,
            lines,
        ),
    ):
        await pipeline.run(call("get", {"key": "colour"}))
        aged = time.monotonic() + 0.03
        await eventually(lambda: time.monotonic() > aged, what="the answer is stale")
        await pipeline.run(call("get", {"key": "colour"}))

        audited = await lines.calls(3)

    assert [line["cache"] for line in audited] == ["none", "local:stale", "revalidate"]
    assert [line["used"] for line in audited] == [{"apiCalls": 1, "queries": 1}, {"apiCalls": 1}, {"queries": 1}]


async def test_a_call_whose_backend_no_quota_is_left_for_costs_nothing() -> None:
    server = Server()
    quota = Counters(budget("apiCalls", 10), budget("concurrentCalls", 10), budget("queries", 1, used=1, remaining=0))
    quota.used["queries"] = 1
    bound = connector(endpoint(server), cache=CACHED)

    async with running(server), serving(bound, cache=in_process(), quota=quota) as (pipeline, lines):
        envelope = await pipeline.run(call("get", {"key": "colour"}))

        [line] = await lines.calls()

    assert envelope.status is Status.LIMITED
    assert (line["decision"], line["quota"], line["rule"]) == ("refused", "team", "queries/Hour/PerAgent")
    assert line["used"] == {}
    assert counted(quota) == {"queries": 1}
    assert server.asked == []


async def test_a_refusal_says_which_quota_which_limit_and_when_to_come_back() -> None:
    server = Server()
    quota = Counters(budget("apiCalls", 1))

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, _):
        await pipeline.run(call("get", {"key": "colour"}))
        envelope = await pipeline.run(call("get", {"key": "colour"}))

    [error] = envelope.errors
    assert (error.quota, error.resource, error.limit, error.used) == ("team", "apiCalls", 1, 1)
    assert (error.window, error.scope, error.retry_after_seconds, error.retryable) == ("Hour", "PerAgent", 60, True)


async def test_a_call_of_mcp_is_a_call_of_a_tool_besides_and_one_of_rest_is_not() -> None:
    server = Server()
    quota = Counters(budget("apiCalls", 10), budget("toolCalls", 10))

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, _):
        await pipeline.run(call("get", {"key": "colour"}, protocol="mcp"))
        await pipeline.run(call("get", {"key": "colour"}, protocol="rest"))

    assert counted(quota) == {"apiCalls": 2, "toolCalls": 1}


async def test_every_call_of_a_batch_counts() -> None:
    server = Server()
    quota = Counters(budget("apiCalls", 2))

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, _):
        envelopes = await run_all(pipeline, [call("get", {"key": str(number)}) for number in range(4)])

    assert sorted(envelope.status.value for envelope in envelopes) == ["limited", "limited", "ok", "ok"]


async def test_calls_at_once_are_held_while_they_run() -> None:
    server = Server()
    server.hangs = True
    quota = Counters(budget("concurrentCalls", 1))

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, _):
        first = asyncio.create_task(pipeline.run(call("get", {"key": "colour"})))
        await server.until(lambda: server.asked == ["GET p-colour"])
        refused = await pipeline.run(call("get", {"key": "shape"}))
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await eventually(lambda: not counted(quota), what="the call is given back")
        server.hangs = False
        served = await pipeline.run(call("get", {"key": "shape"}))

    assert (refused.status, served.status) == (Status.LIMITED, Status.OK)
    assert counted(quota) == {}


async def test_a_stream_is_a_call_at_once_as_long_as_it_is_open() -> None:
    server = Server({"p-colour": "blue"})
    quota = Counters(budget("concurrentCalls", 1))

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, _):
        stream = pipeline.stream(call("watch", {"key": "colour"}))
        await anext(stream)
        refused = await pipeline.run(call("get", {"key": "colour"}))
        await stream.aclose()
        await eventually(lambda: not counted(quota), what="the stream is given back")
        served = await pipeline.run(call("get", {"key": "colour"}))

    assert (refused.status, served.status) == (Status.LIMITED, Status.OK)


async def test_what_policy_refuses_costs_nothing() -> None:
    server = Server()
    quota = Counters(budget("apiCalls", 1))

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, _):
        await pipeline.run(call("get", {"key": "secret-of-bob"}))
        await pipeline.run(call("get", {}))

    assert quota.asked == []


@pytest.mark.parametrize(
    ("operation", "arguments", "used"),
    [
        ("get", {"key": "colour"}, {"apiCalls": 1, "queries": 1}),
        ("append", {"key": "colour", "value": "red"}, {"apiCalls": 1, "queries": 1}),
    ],
)
async def test_a_call_that_runs_out_of_time_costs_what_it_may_have_used(
    operation: str, arguments: Mapping[str, str], used: Mapping[str, float]
) -> None:
    server = Server()
    server.hangs = True
    quota = Counters(budget("apiCalls", 9), budget("queries", 9))

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, lines):
        await warm(pipeline)
        envelope = await pipeline.run(call(operation, arguments, timeout_seconds=1))
        assert server.asked, "the backend was asked in time"
        server.hangs = False

        [line] = await lines.calls()

    assert envelope.status is Status.TIMEOUT
    assert counted(quota) == line["used"] == used


async def test_an_answer_that_others_wait_for_is_paid_for_although_who_asked_first_has_gone() -> None:
    server = Server({"p-colour": "blue"})
    server.may_answer.clear()
    quota = Counters(budget("apiCalls", 9), budget("queries", 9))
    bound = connector(endpoint(server), cache=CACHED)

    async with running(server), serving(bound, cache=in_process(), quota=quota) as (pipeline, lines):
        first = asyncio.create_task(pipeline.run(call("get", {"key": "colour"})))
        await server.until(lambda: server.asked == ["GET p-colour"])
        second = asyncio.create_task(pipeline.run(call("get", {"key": "colour"})))
        await eventually(lambda: len(quota.asked) == 3, what="the second one waits, too")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        before = dict(quota.used)
        server.may_answer.set()
        envelope = await second

        audited = await lines.calls(2)

    assert before == {"apiCalls": 2, "queries": 1}
    assert value(envelope) == "blue"
    assert server.asked == ["GET p-colour"]
    assert counted(quota) == summed(audited) == {"apiCalls": 2, "queries": 1}
    assert sorted(line["outcome"] for line in audited) == ["cancelled", "ok"]


async def test_a_query_that_is_made_after_who_asked_first_has_gone_is_paid_for() -> None:
    server = Server({"p-colour": "blue"})
    server.may_answer.clear()
    quota = Counters(budget("apiCalls", 9), budget("queries", 9))
    bound = connector(endpoint(server), cache=CACHED, limits={"timeoutSeconds": 5, "concurrency": 1})

    async with running(server), serving(bound, cache=in_process(), quota=quota) as (pipeline, lines):
        before = asyncio.create_task(pipeline.run(call("get", {"key": "shape"})))
        await server.until(lambda: server.asked == ["GET p-shape"])
        first = asyncio.create_task(pipeline.run(call("get", {"key": "colour"})))
        await eventually(lambda: len(quota.asked) == 4, what="the first one waits for its turn")
        second = asyncio.create_task(pipeline.run(call("get", {"key": "colour"})))
        await eventually(lambda: len(quota.asked) == 5, what="the second one waits for the first one's answer")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        server.may_answer.set()
        await asyncio.gather(before, second)

        audited = await lines.calls(3)

    assert server.asked == ["GET p-shape", "GET p-colour"]
    assert counted(quota) == summed(audited) == {"apiCalls": 3, "queries": 2}


async def test_a_limit_that_only_warns_serves_and_says_so_and_both_are_counted() -> None:
    server = Server()
    quota = Counters(budget("apiCalls", 1, enforcement="Warn"), budget("queries", 1))

    async with running(server), serving(connector(endpoint(server)), quota=quota) as (pipeline, _):
        await pipeline.run(call("get", {"key": "colour"}))
        quota.limited["queries"] = budget("queries", 2)
        warned = await pipeline.run(call("get", {"key": "colour"}))
        refused = await pipeline.run(call("get", {"key": "colour"}))
        value_of = pipeline.metrics.registry.get_sample_value
        refusals = value_of(
            "ringfence_sidecar_quota_refused_total", {"quota": "team", "resource": "queries", "enforcement": "Hard"}
        )
        warnings = value_of("ringfence_sidecar_quota_warned_total", {"quota": "team", "resource": "apiCalls"})
        waited = "ringfence_sidecar_quota_waited_seconds_count"
        await eventually(lambda: value_of(waited) == 3, what="each wait is counted, when the answer is out")

    assert (warned.status, [each.code for each in warned.warnings]) == (Status.OK, ["QuotaWarning"])
    assert refused.status is Status.LIMITED
    assert (refusals, warnings) == (1, 1)


async def test_a_call_without_a_connector_is_a_call_and_a_refused_one_is_not_served() -> None:
    quota = Counters(budget("apiCalls", 1))
    served = 0

    async def serve() -> Envelope:
        nonlocal served
        served += 1
        return Envelope(Status.OK, None, "", (), (), Metadata("", ""))

    async with serving(quota=quota) as (pipeline, lines):
        first = await pipeline.account(call("get", {"key": "a"}, connector="cache"), serve)
        second = await pipeline.account(call("get", {"key": "a"}, connector="cache"), serve)

        audited = await lines.calls(2)

    assert (first.status, second.status, served) == (Status.OK, Status.LIMITED, 1)
    assert [line["used"] for line in audited] == [{"apiCalls": 1}, {}]
    assert audited[1]["quota"] == "team"
