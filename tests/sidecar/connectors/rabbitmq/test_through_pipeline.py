"""The connector within the framework: routing, failover, handles, streams and audit, on real brokers."""

import asyncio
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiormq
import msgspec
import pytest

from ringfence_sidecar.configuration import Connector, HealthCheck
from ringfence_sidecar.envelope import Envelope
from ringfence_sidecar.errors import Status
from ringfence_sidecar.pipeline import Pipeline
from tests.backends.rabbitmq_server import RabbitMQServer
from tests.backends.waiting import eventually
from tests.sidecar.connectors.rabbitmq.workbench import EVERYTHING, Bench, configuration, endpoint
from tests.sidecar.plugin.bed import call, serving
from tests.sidecar.plugin.bed import configuration as everything

pytestmark = pytest.mark.backend


def _connector(directory: Path, *servers: RabbitMQServer, **changes: Any) -> Connector:
    endpoints = tuple(endpoint(server, f"e{at}", priority=at) for at, server in enumerate(servers))
    health_check = HealthCheck(interval_seconds=0.5, timeout_seconds=2)
    limits = {"timeoutSeconds": 20, "concurrency": 64}
    fields: dict[str, Any] = {"endpoints": endpoints, "health_check": health_check, "limits": limits, **changes}
    return configuration(directory, None, **fields)


async def _run(pipeline: Pipeline, operation: str, **arguments: Any) -> Envelope:
    return await pipeline.run(call(operation, arguments, connector="events"))


def _data(envelope: Envelope) -> Any:
    assert envelope.status is Status.OK, envelope
    return msgspec.json.decode(msgspec.json.encode(envelope.data))


async def _settled(pipeline: Pipeline, handle: str) -> Envelope:
    """Acknowledge, as soon as the endpoint is trusted again."""
    for _ in range(200):
        envelope = await _run(pipeline, "ack", handles=[handle])
        if envelope.status is not Status.UNAVAILABLE:
            break
        await asyncio.sleep(0.1)
    return envelope


async def _declared(directory: Path, name: str, *servers: RabbitMQServer) -> None:
    for server in servers:
        bench = Bench(directory, server)
        await bench.call("declare", queue={"name": name})
        await eventually(lambda server=server: server.has_written(name), what="the queue is on disk")  # type: ignore[misc]
        await bench.close()


async def test_one_trace_goes_from_the_call_to_the_message_and_the_audit_line(
    broker: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    await _declared(tmp_path, name, broker)
    asked = call(
        "publish", {"messages": [{"exchange": "", "routingKey": name, "payload": "content"}]}, connector="events"
    )

    async with serving(_connector(tmp_path, broker)) as (pipeline, lines):
        _data(await pipeline.run(asked))
        message = _data(await _run(pipeline, "receive", queue=name))["messages"][0]
        line = (await lines.calls())[0]

    assert message["traceparent"].split("-")[1] == asked.trace.trace_id
    assert asked.trace.trace_id in str(line)
    assert "content" not in str(line)
    assert "queues:*" in str(line)


async def test_publishing_with_ids_fails_over_and_loses_nothing(
    broker: RabbitMQServer, fragile: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    await _declared(tmp_path, name, fragile, broker)
    confirmed: list[str] = []
    endpoints: set[str] = set()

    async with serving(_connector(tmp_path, fragile, broker)) as (pipeline, _):

        async def publish(worker: int) -> None:
            for number in range(100):
                body = f"{worker}-{number}"
                message = {"exchange": "", "routingKey": name, "payload": body, "messageId": body}
                envelope = await _run(pipeline, "publish", messages=[message])
                assert _data(envelope)["routed"] == 1
                confirmed.append(body)
                endpoints.add(envelope.metadata.endpoint)
                if len(confirmed) == 80:
                    fragile.kill()

        async with asyncio.timeout(60):
            await asyncio.gather(*(publish(worker) for worker in range(4)))

    fragile.start()
    there: set[str] = set()
    for server in (fragile, broker):
        async with aiormq.connect(server.url()) as connection:
            channel = await connection.channel()
            while (message := await channel.basic_get(name, no_ack=True)).delivery_tag is not None:
                there.add(msgspec.json.decode(message.body))
    assert len(confirmed) == 400
    assert set(confirmed) - there == set()
    assert endpoints == {"e0", "e1"}


async def test_idempotency_key_of_one_message_is_its_id(broker: RabbitMQServer, tmp_path: Path, name: str) -> None:
    await _declared(tmp_path, name, broker)
    message = {"exchange": "", "routingKey": name, "payload": 1}
    keyed = [call("publish", {"messages": [message]}, connector="events", idempotency_key="order-7") for _ in range(2)]
    wrong = [[message, message], [{**message, "messageId": "order-8"}]]

    async with serving(_connector(tmp_path, broker)) as (pipeline, _):
        published = [_data(await pipeline.run(each)) for each in keyed]
        refused = [
            await pipeline.run(call("publish", {"messages": each}, connector="events", idempotency_key="order-7"))
            for each in wrong
        ]
        received = _data(await _run(pipeline, "receive", queue=name, count=5, waitSeconds=5))

    assert [each["results"][0]["messageId"] for each in published] == ["order-7", "order-7"]
    assert [each["messageId"] for each in received["messages"]] == ["order-7", "order-7"]
    assert [each.errors[0].field for each in refused] == ["arguments.messages", "arguments.messages[0].messageId"]


async def test_handle_is_settled_where_its_lease_lives(
    broker: RabbitMQServer, fragile: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    await _declared(tmp_path, name, fragile, broker)

    async with serving(_connector(tmp_path, fragile, broker)) as (pipeline, _):
        message = {"exchange": "", "routingKey": name, "payload": 1}
        await _run(pipeline, "publish", messages=[message])
        held = _data(await _run(pipeline, "receive", queue=name))["messages"][0]["handle"]
        fragile.freeze()
        try:
            # The first endpoint is out of sight: what is received now comes from the second.
            await eventually(lambda: not pipeline.health()[0].healthy, what="the first endpoint is ill")
            await _run(pipeline, "publish", messages=[message])
            other = _data(await _run(pipeline, "receive", queue=name, waitSeconds=5))["messages"][0]["handle"]
        finally:
            fragile.thaw()

        acknowledged = [await _settled(pipeline, handle) for handle in (other, held)]

    assert [envelope.metadata.endpoint for envelope in acknowledged] == ["e1", "e0"]
    assert all(_data(envelope)["done"] == 1 for envelope in acknowledged)


async def test_lost_handle_is_a_conflict_with_advice(broker: RabbitMQServer, tmp_path: Path, name: str) -> None:
    await _declared(tmp_path, name, broker)

    async with serving(_connector(tmp_path, broker)) as (pipeline, _):
        message = {"exchange": "", "routingKey": name, "payload": 1}
        await _run(pipeline, "publish", messages=[message])
        held = _data(await _run(pipeline, "receive", queue=name))["messages"][0]["handle"]
        await _run(pipeline, "ack", handles=[held])

        envelope = await _run(pipeline, "ack", handles=[held])

    assert envelope.status is Status.CONFLICT
    assert envelope.errors[0].code == "LeaseLost"


async def test_messages_stream_until_the_caller_has_enough(broker: RabbitMQServer, tmp_path: Path, name: str) -> None:
    await _declared(tmp_path, name, broker)
    seen: list[int] = []

    async with serving(_connector(tmp_path, broker)) as (pipeline, _):
        messages = [{"exchange": "", "routingKey": name, "payload": number} for number in range(5)]
        await _run(pipeline, "publish", messages=messages)
        asked = call("receive", {"queue": name, "count": 2}, connector="events", timeout_seconds=20)
        async with aclosing(pipeline.stream(asked)) as pieces:
            async for piece in pieces:
                for message in _data(piece)["messages"]:
                    seen.append(message["payload"])
                    await _run(pipeline, "ack", handles=[message["handle"]])
                if len(seen) == 5:
                    break

    assert seen == [0, 1, 2, 3, 4]


async def test_lease_outlives_changes_of_limits_and_its_session_is_closed_after_it(
    broker: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    await _declared(tmp_path, name, broker)
    before = _connector(tmp_path, broker)
    message = {"exchange": "", "routingKey": name, "payload": 1}

    async with serving(before) as (pipeline, _):
        await _run(pipeline, "publish", messages=[message, message])
        first, second = _data(await _run(pipeline, "receive", queue=name, count=2))["messages"]
        settled, held = [], []
        for generation, taken in ((2, first), (3, second)):
            limits = {**before.limits, "leases": generation}
            after = msgspec.structs.replace(before, limits=limits, generation=generation)
            await pipeline.apply(everything(after, version=str(generation)))
            held.append(_data(await _run(pipeline, "inspect", queue=name))["held"])
            settled.append(_data(await _run(pipeline, "ack", handles=[taken["handle"]])))
        left = _data(await _run(pipeline, "inspect", queue=name))
        await eventually(lambda: not pipeline._registry._retiring, what="the sessions before are closed")

    assert (held, [each["done"] for each in settled]) == ([2, 1], [1, 1])
    assert (left["ready"], left["held"]) == (0, 0)


async def test_lease_ends_with_the_permission_even_if_it_had_outlived_a_change_of_limits(
    broker: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    await _declared(tmp_path, name, broker)
    before = _connector(tmp_path, broker)
    wider = msgspec.structs.replace(before, limits={**before.limits, "leases": 8}, generation=2)
    narrow = {**EVERYTHING, "queues": [{"pattern": name, "verbs": ["Inspect"]}]}
    narrower = msgspec.structs.replace(wider, permissions=narrow, generation=3)
    bench = Bench(tmp_path, broker)

    async with serving(before) as (pipeline, _):
        await _run(pipeline, "publish", messages=[{"exchange": "", "routingKey": name, "payload": 1}])
        _data(await _run(pipeline, "receive", queue=name))
        for version, changed in (("2", wider), ("3", narrower)):
            await pipeline.apply(everything(changed, version=version))

        assert [each["payload"] for each in await bench.take(name, waitSeconds=15)] == [1]

    await bench.close()


async def test_permission_that_is_taken_away_holds_for_the_next_call(
    broker: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    await _declared(tmp_path, name, broker)
    before = _connector(tmp_path, broker)
    narrow = {**EVERYTHING, "exchanges": [], "queues": [{"pattern": name, "verbs": ["Receive"]}]}
    after = msgspec.structs.replace(before, permissions=narrow, generation=2)

    async with serving(before) as (pipeline, _):
        message = {"exchange": "", "routingKey": name, "payload": 1}
        first = await _run(pipeline, "publish", messages=[message])
        held = _data(await _run(pipeline, "receive", queue=name))["messages"][0]["handle"]
        await pipeline.apply(everything(after, version="2"))

        second = await _run(pipeline, "publish", messages=[message])
        lost = await _run(pipeline, "ack", handles=[held])

    assert first.status is Status.OK
    assert second.status is Status.NOT_FOUND
    assert lost.errors[0].code == "LeaseLost"
