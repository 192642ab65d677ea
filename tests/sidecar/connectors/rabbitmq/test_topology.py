"""Declaring, subscribing and inspecting on a real broker."""

from pathlib import Path
from typing import Any

import pytest
from aiormq.abc import AbstractChannel

from ringfence_sidecar.configuration import Agent
from ringfence_sidecar.errors import ConflictError, InvalidArgumentsError, LimitedError, RefusedError, UnknownError
from tests.backends.rabbitmq_server import RabbitMQServer
from tests.sidecar.connectors.rabbitmq.workbench import Bench

pytestmark = pytest.mark.backend


async def test_queue_is_durable_and_quorum_unless_said_otherwise(
    bench: Bench, admin: AbstractChannel, name: str
) -> None:
    answer = await bench.call("declare", queue={"name": name})

    assert answer["declared"] == [{"kind": "queue", "name": name, "created": True}]
    # The broker refuses a declaration that differs.
    await admin.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum"})


async def test_same_declaration_again_changes_nothing(bench: Bench, name: str) -> None:
    wanted: dict[str, Any] = {"name": name, "deliveryLimit": 3, "messageTtlSeconds": 60, "maxLength": 10}
    await bench.call("declare", queue=wanted)

    answer = await bench.call("declare", queue=wanted)

    assert answer["declared"][0]["created"] is False


async def test_queue_with_other_arguments_is_a_conflict_that_says_what_is_there(
    bench: Bench, admin: AbstractChannel, name: str
) -> None:
    arguments: dict[str, Any] = {
        "x-queue-type": "quorum", "x-delivery-limit": 3, "x-max-length": 500, "x-overflow": "reject-publish",
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead", "x-single-active-consumer": True,
    }  # fmt: skip
    await admin.queue_declare(name, durable=True, arguments=arguments)

    with pytest.raises(ConflictError) as caught:
        await bench.call("declare", queue={"name": name, "maxLength": 7})

    for argument, value in arguments.items():
        assert f"{argument}={value}" in caught.value.message
    assert "/" not in caught.value.message, "no virtual host, and none of the broker's own words"
    await admin.queue_declare(name, durable=True, arguments=arguments)


async def test_classic_queue_that_is_there_is_told_too(bench: Bench, admin: AbstractChannel, name: str) -> None:
    await admin.queue_declare(name, durable=False, auto_delete=True, arguments={"x-max-priority": 5})

    with pytest.raises(ConflictError, match="durable=false, auto-delete=true, x-max-priority=5"):
        await bench.call("declare", queue={"name": name})


async def test_exchange_of_another_type_is_a_conflict(bench: Bench, name: str) -> None:
    await bench.call("declare", exchange={"name": name, "type": "headers"})

    with pytest.raises(ConflictError, match="type=headers"):
        await bench.call("declare", exchange={"name": name})


async def test_exchange_queue_and_binding_are_declared_in_one_call(bench: Bench, name: str) -> None:
    exchange, queue = f"{name}-exchange", f"{name}-queue"

    await bench.call(
        "declare",
        exchange={"name": exchange},
        queue={"name": queue},
        binding={"source": exchange, "queue": queue, "routingKey": "order.*"},
    )

    messages = [{"exchange": exchange, "routingKey": key, "payload": key} for key in ("order.new", "user.new")]
    answer = await bench.call("publish", messages=messages)
    assert [each["outcome"] for each in answer["results"]] == ["routed", "returned"]
    assert await bench.ready(queue) == 1


async def test_inspection_counts_and_touches_nothing(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    await bench.publish(name, 1, 2, 3)
    await bench.take(name)

    answer = await bench.call("inspect", queue=name)

    assert (answer["queue"], answer["ready"], answer["held"]) == (name, 2, 1)
    (message,) = await bench.take(name)
    assert "redelivered" not in message


async def test_inspection_of_what_is_not_there_is_unknown(bench: Bench, name: str) -> None:
    with pytest.raises(UnknownError):
        await bench.call("inspect", queue=name)


async def test_subscription_is_filled_by_a_routing_key_pattern(bench: Bench, name: str) -> None:
    await bench.call("declare", exchange={"name": name})

    made = await bench.call("subscribe", exchange=name, routingKey="order.#", name="orders")

    assert made["queue"] == "ringfence.team-a.worker.orders"
    messages = [{"exchange": name, "routingKey": key, "payload": key} for key in ("order.eu.new", "user.new")]
    await bench.call("publish", messages=messages)
    taken = await bench.take(made["queue"], count=5, waitSeconds=5)
    assert [message["payload"] for message in taken] == ["order.eu.new"]
    await bench.call("unsubscribe", queue=made["queue"])


async def test_subscription_is_filled_by_headers(bench: Bench, name: str) -> None:
    await bench.call("declare", exchange={"name": name, "type": "headers"})

    made = await bench.call("subscribe", exchange=name, headers={"match": "any", "headers": {"kind": "new", "n": 3}})

    messages = [
        {"exchange": name, "payload": at, "headers": headers}
        for at, headers in enumerate([{"kind": "new"}, {"kind": "old"}, {"n": 3}])
    ]
    await bench.call("publish", messages=messages)
    taken = await bench.take(made["queue"], count=5, waitSeconds=5)
    assert [message["payload"] for message in taken] == [0, 2]
    await bench.call("unsubscribe", queue=made["queue"])


async def test_same_filter_has_the_same_queue(bench: Bench, name: str) -> None:
    await bench.call("declare", exchange={"name": name})

    first = await bench.call("subscribe", exchange=name, routingKey="a")
    again = await bench.call("subscribe", exchange=name, routingKey="a")
    other = await bench.call("subscribe", exchange=name, routingKey="b")

    assert (first["queue"], again["created"]) == (again["queue"], False)
    assert other["queue"] != first["queue"]


async def test_subscription_is_bounded_and_goes_when_unused(bench: Bench, admin: AbstractChannel, name: str) -> None:
    await bench.call("declare", exchange={"name": name})

    made = await bench.call("subscribe", exchange=name, routingKey="#", name=name)

    # The broker refuses a declaration that differs.
    arguments: dict[str, Any] = {
        "x-queue-type": "quorum", "x-expires": 3_600_000, "x-max-length": 10_000, "x-max-length-bytes": 67_108_864,
        "x-overflow": "drop-head",
    }  # fmt: skip
    await admin.queue_declare(made["queue"], durable=True, arguments=arguments)


async def test_failed_subscription_leaves_no_queue(bench: Bench, name: str) -> None:
    with pytest.raises(UnknownError, match="exchange"):
        await bench.call("subscribe", exchange=name, routingKey="#", name=name)

    with pytest.raises(UnknownError):
        await bench.call("inspect", queue=f"ringfence.team-a.worker.{name}")


async def test_number_of_subscriptions_is_limited(broker: RabbitMQServer, tmp_path: Path, name: str) -> None:
    bench = Bench(tmp_path, broker, limits={"subscriptions": 1})
    await bench.call("declare", exchange={"name": name})
    made = await bench.call("subscribe", exchange=name, routingKey="a")

    with pytest.raises(LimitedError, match="unsubscribe"):
        await bench.call("subscribe", exchange=name, routingKey="b")

    await bench.call("unsubscribe", queue=made["queue"])
    await bench.call("subscribe", exchange=name, routingKey="b")
    await bench.close()


async def test_subscription_of_another_agent_is_out_of_reach(
    bench: Bench, broker: RabbitMQServer, tmp_path: Path, name: str
) -> None:
    await bench.call("declare", exchange={"name": name})
    made = await bench.call("subscribe", exchange=name, routingKey="#")
    other = Bench(tmp_path, broker, agent=Agent(namespace="team-a", name="other", uid="agent-uid-2"))

    for operation, arguments in (
        ("receive", {"queue": made["queue"]}),
        ("inspect", {"queue": made["queue"]}),
        ("unsubscribe", {"queue": made["queue"]}),
        ("declare", {"binding": {"source": name, "queue": made["queue"]}}),
        ("publish", {"messages": [{"exchange": "", "routingKey": made["queue"], "payload": 1}]}),
    ):
        with pytest.raises(RefusedError):
            await other.call(operation, **arguments)

    await other.close()


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("receive", {"queue": "orders", "filter": {"routingKey": "eu.*"}}),
        ("subscribe", {"exchange": "events", "queue": "orders", "routingKey": "eu.*"}),
    ],
)
async def test_filter_within_a_queue_is_refused_with_advice(
    bench: Bench, operation: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgumentsError, match="subscribe to the exchange that fills it"):
        await bench.call(operation, **arguments)


async def test_filter_that_filters_nothing_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(InvalidArgumentsError, match="begin with x-"):
        await bench.call("subscribe", exchange=name, headers={"headers": {"x-match": "any"}})
    with pytest.raises(InvalidArgumentsError, match="routingKey"):
        await bench.call("subscribe", exchange=name)
