"""Consuming a queue through a real sidecar: what becomes of each message, however the work on it ends."""

import asyncio
import gc
from collections.abc import Mapping
from typing import Any

import pytest

import ringfence
from ringfence import Consumption, Outgoing, RabbitMQ, Ringfence
from tests.client.with_sidecar.queues import held, until_ready
from tests.client.with_sidecar.sidecar import Sidecar

pytestmark = pytest.mark.backend


@pytest.fixture
async def events(rf: Ringfence, name: str) -> RabbitMQ:
    """The broker, with a queue of the test's own name that has the messages 1, 2 and 3."""
    found = rf.rabbitmq("events")
    dead = {"name": f"{name}-dead"}
    more = {"deadLetterExchange": "", "deadLetterRoutingKey": f"{name}-dead"}
    await found.call("declare", {"queue": dead})
    await found.call("declare", {"queue": {"name": name, **more}})
    await found.publish_all([Outgoing(number, name) for number in (1, 2, 3)])
    return found


async def fail_at(payload: int, consumption: Consumption) -> None:
    """Consume until such a message comes."""
    async with consumption as messages:
        async for message in messages:
            if message.payload == payload:
                raise ValueError("no")


async def test_a_message_is_acknowledged_when_the_next_one_is_asked_for(events: RabbitMQ, name: str) -> None:
    async with events.consume(name, until_empty=True) as messages:
        seen = [(message.payload, await held(events, name)) async for message in messages]

    assert seen == [(1, 1), (2, 1), (3, 1)]
    await until_ready(events, name, 0)


async def test_a_body_that_raises_gives_its_message_back(events: RabbitMQ, name: str) -> None:
    with pytest.raises(ValueError, match="no"):
        await fail_at(2, events.consume(name, prefetch=3))

    await until_ready(events, name, 2)


async def test_without_requeue_a_body_that_raises_gives_its_message_to_the_dead_letters(
    events: RabbitMQ, name: str
) -> None:
    with pytest.raises(ValueError, match="no"):
        await fail_at(1, events.consume(name, prefetch=3, requeue=False))

    await until_ready(events, f"{name}-dead", 1)
    await until_ready(events, name, 2)


async def test_a_break_is_a_good_end(events: RabbitMQ, name: str) -> None:
    async with events.consume(name, prefetch=3) as messages:
        async for message in messages:
            if message.payload == 2:
                break

    await until_ready(events, name, 1)


async def test_a_loop_that_is_cancelled_gives_its_message_back(events: RabbitMQ, name: str) -> None:
    at_work = asyncio.Event()

    async def work() -> None:
        async with events.consume(name) as messages:
            async for _ in messages:
                at_work.set()
                await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.wait_for(at_work.wait(), 10)
    task.cancel()
    await asyncio.wait({task}, timeout=10)

    assert task.cancelled()
    await until_ready(events, name, 3)


async def test_a_message_that_cannot_be_handled_is_put_aside_and_the_loop_goes_on(events: RabbitMQ, name: str) -> None:
    seen = []

    async with events.consume(name, until_empty=True) as messages:
        async for message in messages:
            seen.append(message.payload)
            if message.payload == 1:
                await messages.nack(requeue=False)

    assert seen == [1, 2, 3]
    await until_ready(events, f"{name}-dead", 1)


async def test_a_lease_lasts_as_long_as_the_work_does(events: RabbitMQ, name: str) -> None:
    async with events.consume(name, lease_seconds=0.9, prefetch=3) as messages:
        async for _ in messages:
            others = await events.receive(name, wait_seconds=2.5)
            break

    assert others == []
    await until_ready(events, name, 2)


async def test_a_lease_that_is_lost_all_the_same_is_logged_and_the_loop_goes_on(
    events: RabbitMQ, name: str, lines: list[Mapping[str, Any]]
) -> None:
    seen = []

    async with events.consume(name, until_empty=True) as messages:
        async for message in messages:
            seen.append(message.payload)
            if seen == [1]:
                await events.nack(message)  # behind its back: as if the sidecar had been started again

    assert sorted(seen) == [1, 1, 2, 3]
    assert {line["event"] for line in lines} == {"lease lost, the message comes again"}


async def test_without_async_with_a_loop_that_ends_by_itself_has_acknowledged_everything(
    events: RabbitMQ, name: str
) -> None:
    seen = [message.payload async for message in events.consume(name, until_empty=True)]

    assert seen == [1, 2, 3]
    await until_ready(events, name, 0)


async def test_without_async_with_a_loop_that_is_left_gives_its_message_back(events: RabbitMQ, name: str) -> None:
    with pytest.raises(ValueError, match="no"):  # noqa: PT012 - it is looked at who lets go of the loop
        async for _ in events.consume(name, prefetch=3):
            raise ValueError("no")
    gc.collect()

    await until_ready(events, name, 3)


async def test_a_connection_that_ends_gives_back_what_is_still_held(
    sidecar: Sidecar, events: RabbitMQ, name: str
) -> None:
    async with ringfence.connect(sidecar.url) as other:
        consumption = other.rabbitmq("events").consume(name, prefetch=2)
        await anext(consumption)
        before = await held(events, name)

    assert before == 2
    await until_ready(events, name, 3)


async def test_messages_that_come_later_are_waited_for(rf: Ringfence, events: RabbitMQ, name: str) -> None:
    seen = []

    async with events.consume(name, wait_seconds=0.2) as messages:
        async for message in messages:
            seen.append(message.payload)
            if message.payload == 3:
                await events.publish(4, name)
            if message.payload == 4:
                break

    assert seen == [1, 2, 3, 4]
