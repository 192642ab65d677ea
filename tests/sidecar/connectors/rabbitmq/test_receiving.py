"""Receiving, and settling what was received, on a real broker."""

import asyncio
import tracemalloc
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiormq.abc import AbstractChannel
from pamqp.commands import Basic

from ringfence_sidecar.configuration import Agent
from ringfence_sidecar.errors import InvalidArgumentsError, LeaseLostError, LimitedError, UnknownError
from tests.backends.rabbitmq_server import RabbitMQServer
from tests.backends.waiting import eventually
from tests.sidecar.connectors.rabbitmq.workbench import AGENT, TRACE, Bench

pytestmark = pytest.mark.backend


async def test_received_message_is_shown_with_a_handle(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, {"order": 1}, messageId="m-1", headers={"kind": "new"}, type="order")

    (message,) = await bench.take(name, leaseSeconds=30)

    assert len(message["handle"]) > 24
    assert message["payload"] == {"order": 1}
    assert message["headers"]["kind"] == "new"
    shown = {key: message[key] for key in ("messageId", "type", "exchange", "routingKey", "size", "leaseSeconds")}
    assert shown == {
        "messageId": "m-1", "type": "order", "exchange": "", "routingKey": name, "size": 11, "leaseSeconds": 30,
    }  # fmt: skip
    assert message["traceparent"] == TRACE.traceparent


async def test_acknowledged_message_is_gone(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, 1)
    (message,) = await bench.take(name)

    answer = await bench.call("ack", handles=[message["handle"]])

    assert answer == {"results": [{"handle": message["handle"], "outcome": "done"}], "done": 1}
    await bench.lose()
    assert await bench.take(name) == []


async def test_nothing_is_taken_that_was_not_asked_for(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, *range(20))

    taken = await bench.take(name, count=7)

    assert len(taken) == 7
    assert await bench.ready(name) == 13


async def test_empty_queue_answers_at_once(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})

    async with asyncio.timeout(1):
        taken = await bench.take(name, count=5)

    assert taken == []


async def test_long_poll_answers_as_soon_as_a_message_comes(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    waiting = asyncio.create_task(bench.take(name, waitSeconds=15))
    await eventually(lambda: bench.connector.metrics()["channels"] >= 1, what="the long poll has begun")

    await bench.publish(name, "late")

    async with asyncio.timeout(3):
        (message,) = await waiting
    assert message["payload"] == "late"


async def test_long_poll_ends_with_the_calls_deadline(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})

    async with asyncio.timeout(3):
        taken = await bench.take(name, waitSeconds=60, seconds=0.5)

    assert taken == []


async def test_caller_that_goes_away_leaves_nothing_held(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    waiting = asyncio.create_task(bench.take(name, waitSeconds=15))
    await eventually(lambda: bench.connector.metrics()["channels"] >= 1, what="the long poll has begun")

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    await bench.publish(name, 1)
    (message,) = await bench.take(name, waitSeconds=5)
    assert message["payload"] == 1


async def test_queue_that_is_deleted_ends_the_long_poll(bench: Bench, admin: AbstractChannel, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    waiting = asyncio.create_task(bench.take(name, waitSeconds=15))
    async with asyncio.timeout(10):
        while not (await bench.call("inspect", queue=name))["consumers"]:
            pass

    await admin.queue_delete(name)

    with pytest.raises(UnknownError, match="was deleted"):
        await waiting


async def test_queue_that_is_not_there_is_unknown(bench: Bench, name: str) -> None:
    with pytest.raises(UnknownError, match=name):
        await bench.take(name)


async def test_lease_that_expires_goes_back_and_its_handle_is_lost(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, 1)
    (first,) = await bench.take(name, leaseSeconds=0.2)

    (second,) = await bench.take(name, waitSeconds=10)

    assert second["redelivered"]
    assert second["deliveryCount"] == 1
    assert second["handle"] != first["handle"]
    with pytest.raises(LeaseLostError, match="comes again"):
        await bench.call("ack", handles=[first["handle"]])


async def test_extended_lease_outlives_its_first_end(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, 1)
    (message,) = await bench.take(name, leaseSeconds=0.4)

    await bench.call("extend", handles=[message["handle"]], leaseSeconds=30)

    assert await bench.take(name, waitSeconds=1) == []
    assert (await bench.call("ack", handles=[message["handle"]]))["done"] == 1


async def test_returned_message_comes_again(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, 1)
    (message,) = await bench.take(name)

    await bench.call("nack", handles=[message["handle"]])

    (again,) = await bench.take(name, waitSeconds=5)
    assert again["redelivered"]


async def test_rejected_message_goes_to_the_dead_letters(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": f"{name}-dead"})
    dead_letters = {"deadLetterExchange": "", "deadLetterRoutingKey": f"{name}-dead"}
    await bench.call("declare", queue={"name": name, **dead_letters})
    await bench.publish(name, 1)
    (message,) = await bench.take(name)

    await bench.call("nack", handles=[message["handle"]], requeue=False)

    (dead,) = await bench.take(f"{name}-dead", waitSeconds=5)
    assert dead["deaths"][0]["queue"] == name
    assert dead["deaths"][0]["reason"] == "rejected"


async def test_channel_that_is_gone_loses_its_leases_and_no_others(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, 1, 2, 3)
    first, second = await bench.take(name, count=2)
    (other,) = await bench.take(name)
    lease = bench.connector.runner.leases.find(first["handle"], f"{AGENT.uid}/connector-uid-1")

    # An acknowledgement of nothing: the broker closes the channel for it.
    await lease.group.channel.basic_ack(9999, wait=False)

    await eventually(lambda: bench.connector.metrics()["leases"] == 1, what="the channel's leases are lost")
    for handle in (first["handle"], second["handle"]):
        with pytest.raises(LeaseLostError):
            await bench.call("ack", handles=[handle])
    assert (await bench.call("ack", handles=[other["handle"]]))["done"] == 1


async def test_lost_connection_loses_all_leases_at_once(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, 1, 2)
    taken = [(await bench.take(name))[0] for _ in range(2)]

    await bench.lose()

    assert bench.connector.metrics()["leases"] == 0
    with pytest.raises(LeaseLostError):
        await bench.call("ack", handles=[message["handle"] for message in taken])
    assert len(await bench.take(name, count=2, waitSeconds=5)) == 2


async def test_each_handle_of_a_call_has_its_outcome(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, 1, 2)
    first, second = await bench.take(name, count=2)
    await bench.call("ack", handles=[first["handle"]])

    answer = await bench.call("ack", handles=[second["handle"], first["handle"], "made-up"])

    assert [each["outcome"] for each in answer["results"]] == ["done", "lost", "unknownHandle"]


async def test_what_is_settled_together_is_settled_and_what_is_held_beside_it_stays_held(
    bench: Bench, name: str
) -> None:
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, *range(6))
    first, *others = await bench.take(name, count=6)

    some = await bench.call("ack", handles=[each["handle"] for each in others[2:]])
    rest = await bench.call("nack", handles=[each["handle"] for each in (others[1], first, others[0])])

    again = await bench.take(name, count=6, waitSeconds=5)
    assert (some["done"], rest["done"]) == (3, 3)
    assert [each["payload"] for each in again] == [0, 1, 2]
    await bench.call("ack", handles=[each["handle"] for each in again])
    await bench.lose()
    assert await bench.take(name) == []


async def test_handles_of_another_agent_are_unknown(
    bench: Bench, broker: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, 1)
    (message,) = await bench.take(name)
    other = Bench(tmp_path, broker, agent=Agent(namespace="team-a", name="other", uid="agent-uid-2"))

    with pytest.raises(UnknownError, match="no lease"):
        await other.call("ack", handles=[message["handle"]])

    assert (await bench.call("ack", handles=[message["handle"]]))["done"] == 1
    await other.close()


async def test_handle_of_before_a_restart_is_lost_and_not_unknown(
    bench: Bench, broker: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, 1)
    (message,) = await bench.take(name)
    after = Bench(tmp_path, broker)

    with pytest.raises(LeaseLostError):
        await after.call("ack", handles=[message["handle"]])

    await after.close()


async def test_acknowledgement_goes_through_though_its_caller_goes_away(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, 1)
    (message,) = await bench.take(name)
    acknowledging = asyncio.create_task(bench.call("ack", handles=[message["handle"]]))
    await asyncio.sleep(0)

    acknowledging.cancel()
    await asyncio.gather(acknowledging, return_exceptions=True)

    await eventually(lambda: not bench.connector.metrics()["leases"], what="the lease is over")
    await bench.lose()
    assert await bench.take(name) == []


async def test_no_more_is_held_than_permitted(broker: RabbitMQServer, tmp_path: Path, name: str) -> None:
    bench = Bench(tmp_path, broker, limits={"leases": 3})
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, *range(5))
    taken = await bench.take(name, count=5)

    with pytest.raises(LimitedError, match="ack or nack"):
        await bench.take(name)

    assert len(taken) == 3
    await bench.call("ack", handles=[taken[0]["handle"]])
    assert len(await bench.take(name, count=5)) == 1
    await bench.close()


async def test_what_a_stream_hands_out_takes_the_room_that_it_has_and_no_more(
    broker: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    bench = Bench(tmp_path, broker, limits={"leases": 4, "prefetch": 3})
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, *range(9))
    held: list[str] = []

    async with aclosing(bench.stream("receive", seconds=20, queue=name, count=3)) as pieces:  # type: ignore[type-var]
        async for piece in pieces:
            held += [message["handle"] for message in piece["messages"]]
            if len(held) == 3:
                break
        beside = await bench.take(name, count=3)
        with pytest.raises(LimitedError):
            await bench.take(name)
        await bench.call("ack", handles=held[:1])
        # The stream may hand out another one in its place.
        with pytest.raises(LimitedError):
            await bench.take(name)
    after = await bench.take(name, count=3, waitSeconds=5)

    assert (len(held), len(beside), len(after)) == (3, 1, 1)
    assert bench.connector.metrics()["leases"] == 4
    await bench.close()


async def test_body_that_is_too_large_is_left_out(
    broker: RabbitMQServer, admin: AbstractChannel, tmp_path: Path, name: str
) -> None:
    bench = Bench(tmp_path, broker, limits={"messageBytes": 100})
    await bench.call("declare", queue={"name": name})
    await admin.basic_publish(b"x" * 101, routing_key=name)

    outcome = await bench.outcome("receive", queue=name)

    (message,) = outcome.data.messages
    assert message.too_large
    assert message.body_base64 is msgspec.UNSET
    assert [warning.code for warning in outcome.warnings] == ["BodyLeftOut"]
    with pytest.raises(InvalidArgumentsError, match="100 are permitted"):
        await bench.publish(name, "x" * 100)
    await bench.close()


async def test_no_more_come_at_once_than_there_is_memory_for(broker: RabbitMQServer, tmp_path: Path, name: str) -> None:
    bench = Bench(tmp_path, broker, limits={"messageBytes": 8 << 20})
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, *range(10))

    taken = await bench.take(name, count=10)
    streamed = [piece async for piece in bench.stream("receive", queue=name, seconds=1)]

    assert len(taken) == 4
    assert sum(len(piece["messages"]) for piece in streamed) == 4
    await bench.close()


async def test_bodies_that_nobody_is_shown_take_up_no_memory(
    broker: RabbitMQServer, admin: AbstractChannel, tmp_path: Path, name: str
) -> None:
    size, count = 8 << 20, 12
    bench = Bench(tmp_path, broker)
    await bench.call("declare", queue={"name": name})
    for _ in range(count):
        await admin.basic_publish(bytes(size), routing_key=name)
    await bench.session()

    tracemalloc.start()
    outcome = await bench.outcome("receive", queue=name, count=count, waitSeconds=5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [message.size for message in outcome.data.messages] == [size] * count
    assert all(message.too_large for message in outcome.data.messages)
    assert peak < 5 * size
    await bench.close()


_SHOWN: tuple[tuple[str, bytes, dict[str, Any]], ...] = (
    ("application/json", b'{"a":1}', {"payload": {"a": 1}}),
    ("application/cloudevents+json; charset=utf-8", b"[1]", {"payload": [1]}),
    ("application/json", b"{no", {"bodyBase64": "e25v"}),
    ("text/plain", b"hello", {"text": "hello"}),
    ("text/plain", b"\xff", {"bodyBase64": "/w=="}),
    ("", b"raw", {"bodyBase64": "cmF3"}),
    ("application/json", b"[" * 30_000, {"bodyBase64": "W1tb" * 10_000}),
    ("application/json", b"[0," + b"0,0," * 60_000 + b"0]", {"bodyBase64": "WzAs" + "MCwwLDAs" * 40_000 + "MF0="}),
)


@pytest.mark.parametrize("case", _SHOWN, ids=lambda case: f"{case[0]}-{case[1][:4]!r}")
async def test_body_is_shown_as_its_type_says_if_it_is_that(
    bench: Bench, admin: AbstractChannel, name: str, case: tuple[str, bytes, dict[str, Any]]
) -> None:
    content_type, body, shown = case
    await bench.call("declare", queue={"name": name})
    await admin.basic_publish(body, routing_key=name, properties=Basic.Properties(content_type=content_type))

    (message,) = await bench.take(name, waitSeconds=5)

    assert {key: message[key] for key in ("payload", "text", "bodyBase64") if key in message} == shown


async def test_stream_hands_out_messages_as_they_come(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, 0)
    seen: list[int] = []

    async for piece in bench.stream("receive", seconds=10, queue=name, count=10):
        for message in piece["messages"]:
            seen.append(message["payload"])
            await bench.call("ack", handles=[message["handle"]])
        if len(seen) == 5:
            break
        await bench.publish(name, len(seen))

    assert seen == [0, 1, 2, 3, 4]
    assert bench.connector.metrics()["leases"] == 0


async def test_stream_ends_with_its_deadline_and_takes_no_more(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})

    pieces = [piece async for piece in bench.stream("receive", seconds=0.5, queue=name)]

    await bench.publish(name, 1)
    assert pieces == []
    assert len(await bench.take(name, waitSeconds=5)) == 1


async def test_what_a_stream_has_handed_out_stays_held_after_it(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, 1, 2, 3)

    async for piece in bench.stream("receive", seconds=10, queue=name, count=1):
        (message,) = piece["messages"]
        break

    assert (await bench.call("ack", handles=[message["handle"]]))["done"] == 1
    rest = [message for _ in range(2) for message in await bench.take(name, waitSeconds=5)]
    assert sorted(message["payload"] for message in rest) == [2, 3]


async def test_queue_with_a_single_active_consumer_is_received_from(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name, "singleActiveConsumer": True})
    await bench.publish(name, *range(3))

    taken = await bench.take(name, count=2)
    (third,) = await bench.take(name, count=2)

    assert [message["payload"] for message in (*taken, third)] == [0, 1, 2]


async def test_channels_are_used_again(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    for number in range(30):
        await bench.publish(name, number)
        (message,) = await bench.take(name, count=3)
        await bench.call("ack", handles=[message["handle"]])

    channels = bench.connector.metrics()["channels"]

    assert channels <= 3
