"""What patterns cover, and what is judged for each call. No broker."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ringfence_sidecar.connectors.rabbitmq import RabbitMQ
from ringfence_sidecar.connectors.rabbitmq.permissions import Verb, decode
from ringfence_sidecar.errors import InvalidArgumentsError, RefusedError
from tests.sidecar.connectors.rabbitmq.workbench import configuration, context

PERMISSIONS: dict[str, Any] = {
    "exchanges": [
        {"pattern": "events", "verbs": ["Publish", "Bind"]},
        {"pattern": "team-*.out", "verbs": ["Publish", "Declare"]},
        {"pattern": "amq.topic", "verbs": ["Bind"]},
    ],
    "queues": [
        {"pattern": "orders", "verbs": ["Publish", "Receive", "Inspect"]},
        {"pattern": "work.*", "verbs": ["Receive", "Declare", "Bind", "Publish"]},
        {"pattern": "dead.orders", "verbs": ["DeadLetters"]},
        {"pattern": "dead.*", "verbs": ["Replay"]},
        {"pattern": "trash", "verbs": ["Drop"]},
    ],
}


def _publish(exchange: str, routing_key: str = "") -> dict[str, Any]:
    return {"messages": [{"exchange": exchange, "routingKey": routing_key, "payload": 1}]}


def _queue(name: str, **more: Any) -> dict[str, Any]:
    return {"queue": {"name": name, **more}}


def _binding(source: str, **to: str) -> dict[str, Any]:
    return {"binding": {"source": source, **to}}


PERMITTED: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("publish", _publish("events", "any.key"), "exchanges:events"),
    ("publish", _publish("team-a.out"), "exchanges:team-*.out"),
    ("publish", _publish("", "orders"), "queues:orders"),
    ("publish", _publish("", "work.a.b"), "queues:work.*"),
    ("receive", {"queue": "orders"}, "queues:orders"),
    ("receive", {"queue": "ringfence.team-a.worker.mine"}, "queues:own"),
    ("inspect", {"queue": "ringfence.team-a.worker.mine"}, "queues:own"),
    ("inspect", {"queue": "orders"}, "queues:orders"),
    ("subscribe", {"exchange": "events", "routingKey": "#"}, "exchanges:events"),
    ("subscribe", {"exchange": "amq.topic", "routingKey": "#"}, "exchanges:amq.topic"),
    ("unsubscribe", {"queue": "ringfence.team-a.worker.mine"}, "queues:own"),
    ("declare", _queue("work.a"), "queues:work.*"),
    ("declare", _queue("work.a", deadLetterExchange="events"), "queues:work.*, exchanges:events"),
    (
        "declare",
        _queue("work.a", deadLetterExchange="", deadLetterRoutingKey="orders"),
        "queues:work.*, queues:orders",
    ),
    ("declare", {"exchange": {"name": "team-a.out"}}, "exchanges:team-*.out"),
    ("declare", _binding("events", queue="work.a"), "exchanges:events, queues:work.*"),
    ("dead_letters_count", {"queue": "dead.orders"}, "queues:dead.orders"),
    ("dead_letters_look", {"queue": "dead.orders"}, "queues:dead.orders"),
    ("dead_letters_replay", {"queue": "dead.any"}, "queues:dead.*"),
    (
        "dead_letters_replay",
        {"queue": "dead.any", "exchange": "events", "routingKey": "k"},
        "queues:dead.*, exchanges:events",
    ),
    ("dead_letters_drop", {"queue": "trash", "all": True}, "queues:trash"),
)

REFUSED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("publish", _publish("event")),
    ("publish", _publish("events2")),
    ("publish", _publish("Events")),
    ("publish", _publish("team-a.b.out")),
    ("publish", _publish("team-a.out.more")),
    ("publish", _publish("amq.topic")),
    ("publish", _publish("", "events")),
    ("publish", _publish("", "dead.orders")),
    ("publish", _publish("", "ringfence.team-a.worker.mine")),
    ("publish", {"messages": [*_publish("events")["messages"], *_publish("others")["messages"]]}),
    ("receive", {"queue": "dead.orders"}),
    ("receive", {"queue": "work"}),
    ("receive", {"queue": "amq.rabbitmq.reply-to"}),
    ("receive", {"queue": "ringfence.team-a.other.mine"}),
    ("receive", {"queue": "ringfence.team-b.worker.mine"}),
    ("receive", {"queue": "ringfence.team-a.worker.mine.too"}),
    ("receive", {"queue": "ringfence.team-a.worker."}),
    ("inspect", {"queue": "work.a"}),
    ("subscribe", {"exchange": "team-a.out", "routingKey": "#"}),
    ("subscribe", {"exchange": "amq.rabbitmq.trace", "routingKey": "#"}),
    ("unsubscribe", {"queue": "work.a"}),
    ("unsubscribe", {"queue": "ringfence.team-a.other.mine"}),
    ("declare", _queue("orders")),
    ("declare", _queue("ringfence.team-a.worker.mine")),
    ("declare", _queue("work.a", deadLetterExchange="secret")),
    ("declare", _queue("work.a", deadLetterExchange="", deadLetterRoutingKey="dead.orders")),
    ("declare", {"exchange": {"name": "events"}}),
    ("declare", {"exchange": {"name": "team-a.out", "alternateExchange": "secret"}}),
    ("declare", _binding("events", queue="orders")),
    ("declare", _binding("team-a.out", queue="work.a")),
    ("declare", _binding("events", exchange="team-a.out")),
    ("declare", _binding("events", queue="ringfence.team-a.worker.mine")),
    ("dead_letters_count", {"queue": "orders"}),
    ("dead_letters_look", {"queue": "dead.other"}),
    ("dead_letters_replay", {"queue": "orders"}),
    ("dead_letters_replay", {"queue": "dead.any", "exchange": "secret", "routingKey": "k"}),
    ("dead_letters_drop", {"queue": "dead.orders", "all": True}),
)

INVALID: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("publish", _publish(""), "routingKey"),
    ("publish", {"messages": [{"exchange": "events"}]}, "either payload"),
    ("publish", {"messages": [{"exchange": "events", "payload": 1, "bodyBase64": ""}]}, "either payload"),
    ("publish", {"messages": [{"exchange": "events", "bodyBase64": "%"}]}, "base64"),
    ("publish", {"messages": [{"exchange": "events", "payload": 1, "headers": {"CC": "secret"}}]}, "'CC'"),
    ("publish", {"messages": [{"exchange": "events", "payload": 1, "headers": {"bcc": "secret"}}]}, "'bcc'"),
    ("publish", {"messages": [{"exchange": "events", "payload": 1, "headers": {"x-death": "1"}}]}, "'x-death'"),
    ("publish", {"messages": [{"exchange": "events", "payload": 1, "headers": {"traceparent": ""}}]}, "sidecar's"),
    ("publish", {"messages": [{"exchange": "events", "payload": 1, "headers": {"n": 2**63}}]}, "64 bits"),
    ("publish", {"messages": [{"exchange": "events", "payload": 1, "headers": {"a": "x" * 32_768}}]}, "fit"),
    ("publish", {"messages": [{"exchange": "events", "payload": 1, "replyTo": "amq.rabbitmq.reply-to"}]}, "own"),
    ("publish", _publish("events", "\u00e9" * 128), "255 bytes"),
    ("publish", {"messages": [{"exchange": "events", "payload": 1, "headers": {"\u00e9" * 65: 1}}]}, "128 bytes"),
    ("publish", {"messages": [{"exchange": "events", "payload": 1, "headers": {"a": "\ud800"}}]}, "UTF-8"),
    ("publish", {"messages": [{"exchange": "events", "payload": ["\ud800"]}]}, "UTF-8"),
    ("receive", {"queue": "orders\n"}, "control"),
    ("publish", {"messages": [{"exchange": "events", "payload": n, "messageId": "m"} for n in (1, 2)]}, "messageId"),
    ("publish", {"messages": _publish("events")["messages"] * 101}, "at most 100"),
    ("receive", {"queue": "orders", "leaseSeconds": 601}, "at most 600"),
    ("declare", {}, "give an exchange"),
    ("declare", _queue("amq.mine"), "broker's"),
    ("declare", _queue("work.a", durable=False), "classic"),
    ("declare", _queue("work.a", type="classic", deliveryLimit=3), "quorum"),
    ("declare", _queue("work.a", deliveryLimit=0), "-1"),
    ("declare", _queue("work.a", deadLetterExchange=""), "deadLetterRoutingKey"),
    ("declare", _binding("events"), "either a queue or an exchange"),
    ("dead_letters_replay", {}, "either a queue or handles"),
    ("dead_letters_replay", {"queue": "dead.any", "exchange": ""}, "routingKey"),
    ("dead_letters_drop", {"queue": "trash"}, "all: true"),
)


@pytest.fixture
def connector(tmp_path: Path) -> RabbitMQ:
    return RabbitMQ(configuration(tmp_path, None, permissions=PERMISSIONS))


def _prepare(connector: RabbitMQ, name: str, arguments: dict[str, Any], *, key: str = "") -> Any:
    operation = next(operation for operation in connector.operations() if operation.name == name)
    called = replace(context(), idempotency_key=key)
    return connector.prepare(operation, msgspec.convert(arguments, operation.arguments), called)


@pytest.mark.parametrize("case", PERMITTED, ids=str)
def test_what_a_rule_covers_is_permitted_by_it(connector: RabbitMQ, case: tuple[str, dict[str, Any], str]) -> None:
    operation, arguments, rule = case

    prepared = _prepare(connector, operation, arguments)

    assert prepared.rule == rule


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_what_no_rule_covers_is_refused(connector: RabbitMQ, case: tuple[str, dict[str, Any]]) -> None:
    operation, arguments = case

    with pytest.raises(RefusedError) as caught:
        _prepare(connector, operation, arguments)

    assert caught.value.rule == "default-deny"


@pytest.mark.parametrize("case", INVALID, ids=lambda case: f"{case[0]}-{case[2]}")
def test_what_makes_no_sense_is_refused_with_what_to_write(
    connector: RabbitMQ, case: tuple[str, dict[str, Any], str]
) -> None:
    operation, arguments, text = case

    with pytest.raises(InvalidArgumentsError, match=text):
        _prepare(connector, operation, arguments)


def test_star_covers_everything_but_the_brokers_names() -> None:
    permissions = decode({"queues": [{"pattern": "*", "verbs": ["Receive"]}]})

    assert permissions.judge_queue(Verb.RECEIVE, "any.thing at all") == "queues:*"
    for name in ("amq.gen-1", "ringfence.team-a.worker.mine"):
        with pytest.raises(RefusedError):
            permissions.judge_queue(Verb.RECEIVE, name)


@pytest.mark.parametrize("pattern", ["a*b", "*.a*b", "**", "a b"])
def test_star_elsewhere_is_refused(pattern: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="end of a part"):
        decode({"queues": [{"pattern": pattern, "verbs": ["Receive"]}]})


@pytest.mark.parametrize(
    "permissions",
    [
        {"queues": [{"pattern": "a", "verbs": ["Everything"]}]},
        {"exchanges": [{"pattern": "a", "verbs": ["Receive"]}]},
        {"topics": []},
        {"queues": [{"pattern": "a", "verbs": ["Receive"], "unless": "b"}]},
    ],
)
def test_what_is_not_understood_of_permissions_permits_nothing(permissions: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(permissions)


def test_only_permitted_operations_are_offered(tmp_path: Path) -> None:
    nothing = RabbitMQ(configuration(tmp_path, None, permissions={}))
    reader = RabbitMQ(configuration(tmp_path, None, permissions={"queues": [{"pattern": "a", "verbs": ["Receive"]}]}))

    assert nothing.operations() == ()
    assert [operation.name for operation in reader.operations()] == ["receive", "ack", "nack", "extend"]


def test_publishing_is_tried_again_only_if_every_message_has_an_id(connector: RabbitMQ) -> None:
    without, given = _publish("events")["messages"][0], {"exchange": "events", "payload": 1, "messageId": "m"}

    assert _prepare(connector, "publish", {"messages": [given]}).effect == "idempotent"
    assert _prepare(connector, "publish", {"messages": [without]}, key="m").effect == "idempotent"
    assert _prepare(connector, "publish", {"messages": [given, without]}).effect == "write"


def test_summary_has_no_content(connector: RabbitMQ) -> None:
    message = {"exchange": "events", "payload": "content", "headers": {"a": "content"}, "messageId": "content"}

    prepared = _prepare(connector, "publish", {"messages": [message]})

    assert "content" not in prepared.summary
    assert prepared.estimate == {"messagesPublished": 1, "messageBytes": 9}


def test_schemas_can_be_published(connector: RabbitMQ) -> None:
    for operation in connector.operations():
        for shape in (operation.arguments, operation.result):
            schema = msgspec.json.schema(shape)
            assert schema["$ref"].removeprefix("#/$defs/") in schema["$defs"]
