import asyncio
import itertools
import time
from collections.abc import Iterator

import pytest

from ringfence_sidecar.configuration import HealthCheck
from ringfence_sidecar.errors import Status
from ringfence_sidecar.routing.retry import Budget
from tests.backends.waiting import eventually
from tests.sidecar.plugin.bed import call, connector, endpoint, run_all, serving, value, warm
from tests.sidecar.plugin.installation import installed
from tests.sidecar.plugin.server import Server, running


@pytest.fixture(autouse=True, scope="module")
def _plugin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("site")):
        yield


@pytest.fixture
def servers() -> tuple[Server, Server]:
    store: dict[str, str] = {"p-colour": "blue"}
    return Server(store), Server(store)


async def test_the_endpoint_of_the_lowest_priority_serves_while_it_can(servers: tuple[Server, Server]) -> None:
    first, second = servers
    bound = connector(endpoint(second, "b", priority=1), endpoint(first, "a", priority=0))

    async with running(*servers), serving(bound) as (pipeline, _):
        envelopes = [await pipeline.run(call("get", {"key": "colour"})) for _ in range(20)]

    assert {envelope.metadata.endpoint for envelope in envelopes} == {"a"}
    assert second.asked == []


async def test_no_read_fails_when_the_endpoint_is_killed_under_load(servers: tuple[Server, Server]) -> None:
    first, second = servers
    first.delay = second.delay = 0.005
    bound = connector(endpoint(first, "a"), endpoint(second, "b", priority=1))

    async with running(*servers), serving(bound) as (pipeline, _):
        tasks = []
        for number in itertools.count():
            tasks.append(asyncio.create_task(pipeline.run(call("get", {"key": "colour"}))))
            if number == 30:
                killed = time.monotonic()
                killing = asyncio.create_task(first.kill())
            if number == 100:
                break
            await asyncio.sleep(0.01)
        envelopes = await asyncio.gather(*tasks)
        await killing

    first_elsewhere = next(i for i, envelope in enumerate(envelopes) if envelope.metadata.endpoint == "b")
    assert {envelope.status for envelope in envelopes} == {Status.OK}
    assert {value(envelope) for envelope in envelopes} == {"blue"}
    assert first_elsewhere <= 32
    assert time.monotonic() - killed < 5


async def test_when_the_budget_of_retries_is_used_up_calls_are_tried_once(servers: tuple[Server, Server]) -> None:
    for server in servers:
        server.drops = True
    bound = connector(endpoint(servers[0], "a"), endpoint(servers[1], "b"))

    async with running(*servers), serving(bound) as (pipeline, lines):
        pipeline._registry.bound["store"]._budget = Budget(ratio=0, reserve=2)
        for _ in range(2):
            await pipeline.run(call("get", {"key": "colour"}))
        found = await lines.calls(2)

    assert [line["attempts"] for line in found] == [3, 1]


async def test_a_write_that_may_have_been_done_is_never_sent_again(servers: tuple[Server, Server]) -> None:
    first, second = servers
    first.drops = True
    bound = connector(endpoint(first, "a"), endpoint(second, "b", priority=1))

    async with running(*servers), serving(bound) as (pipeline, lines):
        envelope = await pipeline.run(call("append", {"key": "list", "value": "x"}))

        [line] = await lines.calls()

    assert envelope.status is Status.UNAVAILABLE
    assert not envelope.errors[0].retryable
    assert line["outcomeUnknown"]
    assert first.store["p-list"] == "x"
    assert second.asked == []


async def test_a_write_that_cannot_have_been_sent_goes_to_another_endpoint(servers: tuple[Server, Server]) -> None:
    first, second = servers
    bound = connector(endpoint(first, "a"), endpoint(second, "b", priority=1))

    async with running(second), serving(bound) as (pipeline, _):
        envelope = await pipeline.run(call("append", {"key": "list", "value": "x"}))

    assert envelope.status is Status.OK
    assert envelope.metadata.endpoint == "b"
    assert second.asked == ["APPEND p-list x"]


async def test_an_idempotent_call_is_sent_again_even_if_it_may_have_been_done(servers: tuple[Server, Server]) -> None:
    first, second = servers
    first.drops = True
    bound = connector(endpoint(first, "a"), endpoint(second, "b", priority=1))

    async with running(*servers), serving(bound) as (pipeline, _):
        envelope = await pipeline.run(call("put", {"key": "list", "value": "x"}))

    assert envelope.status is Status.OK
    assert (envelope.metadata.endpoint, envelope.metadata.attempts) == ("b", 2)


async def test_what_the_backend_refuses_is_not_asked_elsewhere(servers: tuple[Server, Server]) -> None:
    first, second = servers
    first.password = "other"
    bound = connector(endpoint(first, "a"), endpoint(second, "b", priority=1))

    async with running(*servers), serving(bound) as (pipeline, _):
        envelope = await pipeline.run(call("get", {"key": "colour"}))

    assert envelope.status is Status.FAILED
    assert second.asked == []


async def test_a_call_that_is_pinned_is_never_served_elsewhere(servers: tuple[Server, Server]) -> None:
    first, second = servers
    bound = connector(endpoint(first, "a", priority=1), endpoint(second, "b"), permissions={"pin": "a"})

    async with running(*servers), serving(bound) as (pipeline, _):
        served = await pipeline.run(call("get", {"key": "colour"}))
        await first.kill()
        lost = await pipeline.run(call("get", {"key": "colour"}))

    assert served.metadata.endpoint == "a"
    assert lost.status is Status.UNAVAILABLE
    assert second.asked == []


async def test_a_handle_of_an_endpoint_that_is_gone_is_not_found() -> None:
    server = Server()
    bound = connector(endpoint(server, "a"), permissions={"pin": "z"})

    async with running(server), serving(bound) as (pipeline, _):
        envelope = await pipeline.run(call("get", {"key": "colour"}))

    assert envelope.status is Status.NOT_FOUND


async def test_when_no_endpoint_is_there_the_answer_says_when_to_ask_again(servers: tuple[Server, Server]) -> None:
    bound = connector(endpoint(servers[0], "a"), endpoint(servers[1], "b"))

    async with serving(bound) as (pipeline, _):
        envelopes = [await pipeline.run(call("get", {"key": "colour"})) for _ in range(8)]

    last = envelopes[-1].errors[0]
    assert {envelope.status for envelope in envelopes} == {Status.UNAVAILABLE}
    assert last.retryable
    assert last.retry_after_seconds is not None
    assert last.retry_after_seconds > 0


async def test_an_endpoint_that_comes_back_serves_again_once_a_health_check_has_seen_it(
    servers: tuple[Server, Server],
) -> None:
    first, second = servers
    checks = HealthCheck(interval_seconds=0.05, timeout_seconds=1)
    bound = connector(endpoint(first, "a"), endpoint(second, "b", priority=1), health_check=checks)

    async with running(*servers), serving(bound) as (pipeline, _):
        await first.until(lambda: first.pings > 0)
        await first.kill()
        away = await pipeline.run(call("get", {"key": "colour"}))
        first.pings = 0
        await first.start()
        await first.until(lambda: first.pings > 1)
        back = await pipeline.run(call("get", {"key": "colour"}))

    assert away.metadata.endpoint == "b"
    assert back.metadata.endpoint == "a"


async def test_sessions_that_died_of_old_age_cost_a_read_one_try_and_not_one_each() -> None:
    server = Server({"p-colour": "blue"})
    server.delay = 0.02

    async with running(server), serving(connector(endpoint(server))) as (pipeline, _):
        await run_all(pipeline, [call("get", {"key": "colour"}) for _ in range(4)])
        before = server.sessions
        server.forgets = True
        envelope = await pipeline.run(call("get", {"key": "colour"}))

    assert before == 4
    assert envelope.status is Status.OK
    assert envelope.metadata.attempts == 2


async def test_calls_wait_for_a_probe_that_is_under_way_and_are_not_refused() -> None:
    server = Server({"p-colour": "blue"})
    server.delay = 0.02
    checks = HealthCheck(interval_seconds=0.05, timeout_seconds=1)

    async with serving(connector(endpoint(server), health_check=checks)) as (pipeline, _):
        for _ in range(6):
            await pipeline.run(call("get", {"key": "colour"}))
        await server.start()
        await warm(pipeline)
        calls = [call("get", {"key": "colour"}) for _ in range(8)]
        envelopes = await run_all(pipeline, calls)
        await server.kill()

    assert {envelope.status for envelope in envelopes} == {Status.OK}


async def test_a_call_waits_for_an_endpoint_that_was_not_yet_there_when_it_was_first_looked_at() -> None:
    server = Server({"p-colour": "blue"})
    checks = HealthCheck(interval_seconds=60, timeout_seconds=1)

    async with serving(connector(endpoint(server), health_check=checks)) as (pipeline, _):
        await eventually(lambda: not pipeline.health()[0].healthy, what="the endpoint is found away")
        await server.start()
        envelope = await pipeline.run(call("get", {"key": "colour"}))
        await server.kill()

    assert envelope.status is Status.OK


async def test_an_endpoint_that_takes_connections_and_answers_nothing_costs_a_read_no_failure(
    servers: tuple[Server, Server],
) -> None:
    first, second = servers
    first.is_deaf = True
    bound = connector(endpoint(first, "a"), endpoint(second, "b", priority=1))

    async with running(*servers), serving(bound) as (pipeline, _):
        envelope = await pipeline.run(call("get", {"key": "colour"}, timeout_seconds=1))

    assert envelope.status is Status.OK
    assert envelope.metadata.endpoint == "b"


async def test_an_endpoint_whose_sessions_all_hang_is_found_dead_and_its_reads_are_made_elsewhere(
    servers: tuple[Server, Server],
) -> None:
    first, second = servers
    checks = HealthCheck(interval_seconds=0.1, timeout_seconds=0.2)
    bound = connector(endpoint(first, "a"), endpoint(second, "b", priority=1), health_check=checks)

    async with running(*servers), serving(bound) as (pipeline, _):
        await warm(pipeline)
        first.hangs = True
        calls = [call("get", {"key": "colour"}, timeout_seconds=3) for _ in range(20)]
        asking = asyncio.create_task(run_all(pipeline, calls))
        await first.until(lambda: first.at_work == 4)
        first.is_deaf = True
        envelopes = await asking

    assert {envelope.status for envelope in envelopes} == {Status.OK}
    assert {envelope.metadata.endpoint for envelope in envelopes} == {"b"}
    assert max(envelope.metadata.duration_ms for envelope in envelopes) < 2500


async def test_a_write_at_an_endpoint_that_hangs_is_not_made_elsewhere(servers: tuple[Server, Server]) -> None:
    first, second = servers
    checks = HealthCheck(interval_seconds=0.05, timeout_seconds=0.1)
    bound = connector(endpoint(first, "a"), endpoint(second, "b", priority=1), health_check=checks)

    async with running(*servers), serving(bound) as (pipeline, _):
        await warm(pipeline)
        first.hangs = True
        asked = call("append", {"key": "list", "value": "x"}, timeout_seconds=1.5)
        asking = asyncio.create_task(pipeline.run(asked))
        await first.until(lambda: first.at_work == 1)
        first.is_deaf = True
        envelope = await asking

    assert envelope.status is Status.TIMEOUT
    assert second.asked == []


async def test_an_endpoint_that_becomes_far_slower_than_it_was_is_left_alone_for_a_while(
    servers: tuple[Server, Server],
) -> None:
    first, second = servers
    bound = connector(endpoint(first, "a"), endpoint(second, "b", priority=1))

    async with running(*servers), serving(bound) as (pipeline, _):
        for _ in range(20):
            await pipeline.run(call("get", {"key": "colour"}))
        first.delay = 0.3
        slow = [call("get", {"key": "colour"}) for _ in range(30)]
        await run_all(pipeline, slow)
        envelope = await pipeline.run(call("get", {"key": "colour"}))

    assert envelope.metadata.endpoint == "b"
