"""A broker through a real sidecar."""

import pytest

import ringfence
from ringfence import Outgoing, RabbitMQ, Ringfence
from tests.client.with_sidecar.queues import ready

pytestmark = pytest.mark.backend


@pytest.fixture
async def events(rf: Ringfence, name: str) -> RabbitMQ:
    """The broker, with a queue of the test's own name."""
    found = rf.rabbitmq("events")
    await found.call("declare", {"queue": {"name": name}})
    return found


@pytest.mark.parametrize("payload", [{"id": 1}, [1, None], "text", 7, None, b"\x00\xff"])
async def test_what_is_published_is_what_is_received(events: RabbitMQ, name: str, payload: object) -> None:
    await events.publish(payload, name, message_id="m-1", headers={"region": "north"})

    (message,) = await events.receive(name, wait_seconds=5)

    assert (message.payload, message.message_id, message.headers["region"]) == (payload, "m-1", "north")
    assert (message.routing_key, message.exchange, message.redelivered) == (name, "", False)


async def test_a_message_that_no_queue_takes_is_an_error_that_says_so(events: RabbitMQ, name: str) -> None:
    with pytest.raises(ringfence.NotPublishedError, match=f"{name}-nowhere") as raised:
        await events.publish({}, f"{name}-nowhere")

    assert raised.value.outcome == "returned"


async def test_of_several_each_has_its_own_outcome(events: RabbitMQ, name: str) -> None:
    published = await events.publish_all(
        [Outgoing(1, name), Outgoing(2, f"{name}-nowhere"), Outgoing(3, name, priority=1, expiration_seconds=60)]
    )

    assert [each.outcome for each in published] == ["routed", "returned", "routed"]
    assert await ready(events, name) == 2


async def test_a_message_is_settled_by_hand(events: RabbitMQ, name: str) -> None:
    await events.publish_all([Outgoing(1, name), Outgoing(2, name)])
    first, second = await events.receive(name, count=2, wait_seconds=5)

    lost = [await events.extend(first, second, lease_seconds=100), await events.ack(first), await events.nack(second)]

    assert lost == [[], [], []]
    (again,) = await events.receive(name, wait_seconds=5)
    assert (again.payload, again.redelivered) == (2, True)


async def test_what_is_not_held_any_longer_is_told(events: RabbitMQ, name: str) -> None:
    await events.publish_all([Outgoing(1, name), Outgoing(2, name)])
    first, second = await events.receive(name, count=2, wait_seconds=5)
    await events.ack(first)

    assert await events.ack(first, second) == [first]
    with pytest.raises(ringfence.LeaseLostError):
        await events.ack(second)


async def test_a_message_carries_the_trace_from_who_sent_it_to_who_handles_it(
    rf: Ringfence, events: RabbitMQ, name: str, lines: list[dict[str, str]]
) -> None:
    with rf.trace("send") as sent:
        await events.publish({}, name)
    (message,) = await events.receive(name, wait_seconds=5)
    with rf.trace("handle", parent=message.traceparent) as handled:
        await events.ack(message)

    assert handled.trace_id == sent.trace_id
    assert [line["event"] for line in lines] == ["send", "handle"]
