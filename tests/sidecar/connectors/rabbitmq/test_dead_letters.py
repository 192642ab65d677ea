"""Dead letters on a real broker."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiormq.abc import AbstractChannel

from ringfence_sidecar.errors import ConflictError, InvalidArgumentsError, RefusedError
from tests.backends.rabbitmq_server import RabbitMQServer
from tests.sidecar.connectors.rabbitmq.workbench import Bench

pytestmark = pytest.mark.backend


async def _bury(bench: Bench, name: str, *payloads: Any) -> str:
    """Have messages die in queue `name`; return the queue of the dead letters."""
    dead = f"{name}-dead"
    await bench.call("declare", queue={"name": dead})
    await bench.call("declare", queue={"name": name, "deadLetterExchange": "", "deadLetterRoutingKey": dead})
    await bench.publish(name, *payloads)
    taken = await bench.take(name, count=len(payloads), waitSeconds=5)
    await bench.call("nack", handles=[message["handle"] for message in taken], requeue=False)
    await _has(bench, dead, len(payloads))
    return dead


async def _has(bench: Bench, queue: str, count: int) -> None:
    async with asyncio.timeout(10):
        while (await bench.call("dead_letters_count", queue=queue))["ready"] != count:
            pass


async def test_poison_message_ends_among_the_dead_letters(bench: Bench, name: str) -> None:
    dead = f"{name}-dead"
    await bench.call("declare", queue={"name": dead})
    fate = {"deadLetterExchange": "", "deadLetterRoutingKey": dead, "deliveryLimit": 2}
    await bench.call("declare", queue={"name": name, **fate})
    await bench.publish(name, "poison")

    for _ in range(3):
        (message,) = await bench.take(name, waitSeconds=5)
        await bench.call("nack", handles=[message["handle"]])

    await _has(bench, dead, 1)
    (letter,) = (await bench.call("dead_letters_look", queue=dead))["messages"]
    assert letter["deaths"][0]["reason"] == "delivery_limit"
    assert letter["payload"] == "poison"


async def test_counting_takes_nothing(bench: Bench, name: str) -> None:
    dead = await _bury(bench, name, 1, 2)

    answer = await bench.call("dead_letters_count", queue=dead)

    assert (answer["ready"], answer["held"]) == (2, 0)


async def test_look_leases_and_says_what_it_costs(bench: Bench, name: str) -> None:
    dead = await _bury(bench, name, 1, 2)

    outcome = await bench.outcome("dead_letters_look", queue=dead, count=5, leaseSeconds=0.2)

    assert [message.payload for message in outcome.data.messages] == [1, 2]
    assert outcome.data.cost.startswith("2 deliveries")
    assert [warning.code for warning in outcome.warnings] == ["LookCountsAsDelivery"]
    await _has(bench, dead, 2)
    again = await bench.call("dead_letters_look", queue=dead, count=5)
    assert [message["deliveryCount"] for message in again["messages"]] == [1, 1]


async def test_look_at_a_queue_with_a_delivery_limit_is_refused(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name, "deliveryLimit": 5, "maxLength": 100})
    await bench.publish(name, 1)

    with pytest.raises(ConflictError, match=r"delivery limit \(5\).*deliveryLimit: -1"):
        await bench.call("dead_letters_look", queue=name)

    (message,) = await bench.take(name)
    assert "redelivered" not in message


async def test_a_queue_that_is_declared_without_a_delivery_limit_can_be_looked_at(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name, "deliveryLimit": -1})
    await bench.publish(name, 1)

    (letter,) = (await bench.call("dead_letters_look", queue=name))["messages"]

    assert letter["payload"] == 1


async def test_replayed_letters_are_where_they_died_and_nowhere_else(bench: Bench, name: str) -> None:
    dead = await _bury(bench, name, 1, 2, 3)

    answer = await bench.call("dead_letters_replay", queue=dead, count=2)

    assert answer["replayed"] == 2
    assert {result["routingKey"] for result in answer["results"]} == {name}
    taken = await bench.take(name, count=5, waitSeconds=5)
    assert [message["payload"] for message in taken] == [1, 2]
    assert all("deaths" not in message for message in taken)
    assert (await bench.call("dead_letters_count", queue=dead))["ready"] == 1


async def test_looked_at_letter_is_replayed_by_its_handle(bench: Bench, name: str) -> None:
    dead = await _bury(bench, name, 1, 2)
    letters = (await bench.call("dead_letters_look", queue=dead))["messages"]

    answer = await bench.call("dead_letters_replay", handles=[letters[1]["handle"]])

    assert answer["replayed"] == 1
    assert [message["payload"] for message in await bench.take(name, waitSeconds=5)] == [2]


async def test_bodies_of_letters_are_kept_as_long_as_there_is_room_and_replayed_by_the_queue_after(
    bench: Bench, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence_sidecar.connectors.rabbitmq.leases.MOST_BYTES", 250)
    dead = await _bury(bench, name, *("x" * 98 for _ in range(3)))
    letters = (await bench.call("dead_letters_look", queue=dead, count=3))["messages"]
    handles = [letter["handle"] for letter in letters]

    by_handle = await bench.call("dead_letters_replay", handles=handles)
    await _has(bench, dead, 1)
    by_queue = await bench.call("dead_letters_replay", queue=dead)

    assert [len(letter["payload"]) for letter in letters] == [98] * 3
    assert [each["outcome"] for each in by_handle["results"]] == ["refused", "replayed", "replayed"]
    assert "replay it by its queue" in by_handle["results"][0]["reason"]
    assert by_queue["replayed"] == 1


async def test_letters_are_replayed_to_an_exchange_of_choice(bench: Bench, name: str) -> None:
    dead = await _bury(bench, name, 1)
    exchange, queue = f"{name}-exchange", f"{name}-other"
    await bench.call(
        "declare",
        exchange={"name": exchange},
        queue={"name": queue},
        binding={"source": exchange, "queue": queue, "routingKey": "again"},
    )

    answer = await bench.call("dead_letters_replay", queue=dead, exchange=exchange, routingKey="again")

    assert answer["replayed"] == 1
    assert await bench.ready(queue) == 1


async def test_letter_that_cannot_be_routed_stays(bench: Bench, admin: AbstractChannel, name: str) -> None:
    dead = await _bury(bench, name, 1)
    await admin.queue_delete(name)

    outcome = await bench.outcome("dead_letters_replay", queue=dead)

    assert outcome.partial
    assert outcome.data.results[0].outcome == "returned"
    await _has(bench, dead, 1)


async def test_letter_without_a_past_stays(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, 1)

    answer = await bench.call("dead_letters_replay", queue=name)

    assert answer["results"][0]["outcome"] == "refused"
    await _has(bench, name, 1)


async def test_replays_that_go_nowhere_cost_no_letter_of_a_queue_with_a_delivery_limit(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name, "deliveryLimit": 2})
    await bench.publish(name, 1)

    for _ in range(3):
        with pytest.raises(ConflictError, match=r"delivery limit \(2\)"):
            await bench.call("dead_letters_replay", queue=name, exchange="", routingKey="nowhere")

    (message,) = await bench.take(name)
    assert "redelivered" not in message


async def test_replay_goes_only_where_the_agent_may_send(
    bench: Bench, broker: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    dead = await _bury(bench, name, 1)
    permissions = {"queues": [{"pattern": dead, "verbs": ["Replay", "DeadLetters"]}]}
    narrow = Bench(tmp_path, broker, permissions=permissions)

    answer = await narrow.call("dead_letters_replay", queue=dead)

    assert answer["results"][0]["outcome"] == "refused"
    assert "Replay is not permitted" in answer["results"][0]["reason"]
    await _has(bench, dead, 1)
    await narrow.close()


async def test_dropped_letters_are_gone(bench: Bench, name: str) -> None:
    dead = await _bury(bench, name, 1, 2, 3)
    (letter,) = (await bench.call("dead_letters_look", queue=dead, count=1))["messages"]

    first = await bench.call("dead_letters_drop", handles=[letter["handle"]])
    rest = await bench.call("dead_letters_drop", queue=dead, all=True)

    assert (first["dropped"], rest["dropped"]) == (1, 2)
    assert (await bench.call("dead_letters_count", queue=dead))["ready"] == 0


async def test_one_who_may_only_look_cannot_get_rid_of_a_letter(
    bench: Bench, broker: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    dead = await _bury(bench, name, 1)
    narrow = Bench(tmp_path, broker, permissions={"queues": [{"pattern": dead, "verbs": ["DeadLetters"]}]})
    (letter,) = (await narrow.call("dead_letters_look", queue=dead))["messages"]

    for operation, more in (("ack", {}), ("nack", {"requeue": False})):
        with pytest.raises(RefusedError):
            await narrow.call(operation, handles=[letter["handle"]], **more)

    await narrow.call("nack", handles=[letter["handle"]])
    await _has(bench, dead, 1)
    await narrow.close()


async def test_all_is_dropped_only_by_saying_so(bench: Bench, name: str) -> None:
    with pytest.raises(InvalidArgumentsError, match="all: true"):
        await bench.call("dead_letters_drop", queue=name)
