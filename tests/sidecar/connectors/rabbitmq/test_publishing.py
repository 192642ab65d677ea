"""Publishing on a real broker."""

import base64
from typing import Any

import pytest
from aiormq.abc import AbstractChannel

from ringfence_sidecar.errors import UnknownError
from tests.sidecar.connectors.rabbitmq.workbench import TRACE, Bench

pytestmark = pytest.mark.backend


async def test_message_is_routed_persistent_and_traced(bench: Bench, admin: AbstractChannel, name: str) -> None:
    await bench.call("declare", queue={"name": name})

    answer = await bench.publish(name, {"order": 1}, messageId="m-1", headers={"kind": "new"}, correlationId="c-1")

    assert answer["results"] == [{"messageId": "m-1", "outcome": "routed"}]
    assert (answer["routed"], answer["returned"], answer["nacked"], answer["unknown"]) == (1, 0, 0, 0)
    message = await admin.basic_get(name, no_ack=True)
    properties = message.header.properties
    assert message.body == b'{"order":1}'
    assert properties.delivery_mode == 2
    assert (properties.message_id, properties.correlation_id) == ("m-1", "c-1")
    assert properties.content_type == "application/json"
    assert properties.app_id == "ringfence/team-a/worker"
    headers = {name: value for name, value in (properties.headers or {}).items() if not name.startswith("x-")}
    assert headers == {"kind": "new", "traceparent": TRACE.traceparent, "tracestate": "vendor=value"}


async def test_bytes_keep_their_content_type(bench: Bench, admin: AbstractChannel, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    message: dict[str, Any] = {"exchange": "", "routingKey": name, "contentType": "image/png"}

    await bench.call("publish", messages=[{**message, "bodyBase64": base64.b64encode(b"\x89PNG").decode()}])

    got = await admin.basic_get(name, no_ack=True)
    assert (got.body, got.header.properties.content_type) == (b"\x89PNG", "image/png")


async def test_message_that_no_queue_takes_is_returned(bench: Bench, name: str) -> None:
    await bench.call("declare", exchange={"name": name})

    outcome = await bench.outcome("publish", messages=[{"exchange": name, "routingKey": "none", "payload": 1}])

    assert outcome.partial
    assert outcome.data.results[0].outcome == "returned"
    assert outcome.used == {"messagesPublished": 0, "messageBytes": 0}


async def test_full_queue_that_rejects_nacks(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name, "type": "classic", "maxLength": 1, "overflow": "reject-publish"})
    await bench.publish(name, 1)

    answer = await bench.publish(name, 2)

    assert answer["nacked"] == 1


async def test_batch_tells_each_outcome_in_order(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    targets = [name, f"{name}-none", name, f"{name}-none", name]
    messages = [{"exchange": "", "routingKey": to, "payload": n, "messageId": f"m{n}"} for n, to in enumerate(targets)]

    answer = await bench.call("publish", messages=messages)

    assert [each["outcome"] for each in answer["results"]] == ["routed", "returned", "routed", "returned", "routed"]
    assert [each["messageId"] for each in answer["results"]] == ["m0", "m1", "m2", "m3", "m4"]


async def test_largest_message_that_is_permitted_passes(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    headers = {"a": "x" * 32_767, "": ""}
    body = base64.b64encode(b"x" * 1_048_576).decode()
    message: dict[str, Any] = {"exchange": "", "routingKey": name, "bodyBase64": body, "headers": headers}

    answer = await bench.call("publish", messages=[{**message, "expirationSeconds": 4_294_967, "priority": 255}])

    assert answer["routed"] == 1
    (received,) = await bench.take(name)
    assert received["size"] == 1_048_576
    assert received["headers"]["a"] == headers["a"]


async def test_messages_keep_their_order(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})

    await bench.publish(name, *range(100))

    bodies = [message["payload"] for _ in range(4) for message in await bench.take(name, count=32)]
    assert bodies == list(range(100))


async def test_exchange_that_is_not_there_is_named_before_anything_is_sent(bench: Bench, name: str) -> None:
    await bench.call("declare", queue={"name": name})
    messages = [{"exchange": "", "routingKey": name, "payload": 1}, {"exchange": f"{name}-none", "payload": 2}]

    with pytest.raises(UnknownError, match=f"exchange '{name}-none'"):
        await bench.call("publish", messages=messages)

    assert await bench.ready(name) == 0


async def test_exchange_that_was_deleted_meanwhile_leaves_the_outcome_unknown(
    bench: Bench, admin: AbstractChannel, name: str
) -> None:
    await bench.call("declare", exchange={"name": name}, queue={"name": name})
    await bench.call("publish", messages=[{"exchange": name, "payload": 1}])
    await admin.exchange_delete(name)

    answer = await bench.call("publish", messages=[{"exchange": name, "payload": 1}])

    assert answer["unknown"] == 1
    assert (await bench.publish(name, 1))["routed"] == 1
    with pytest.raises(UnknownError):
        await bench.call("publish", messages=[{"exchange": name, "payload": 1}])
