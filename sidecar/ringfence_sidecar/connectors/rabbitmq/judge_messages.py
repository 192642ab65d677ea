"""Judges what publishes, receives and settles messages."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ringfence_sidecar.connectors.base import Effect, Prepared
from ringfence_sidecar.connectors.rabbitmq import arguments
from ringfence_sidecar.connectors.rabbitmq.asked import (
    Asked,
    check_batch,
    count_of,
    judge_any,
    lease_seconds,
    queues,
    to_receive,
)
from ringfence_sidecar.connectors.rabbitmq.leases import Lease
from ringfence_sidecar.connectors.rabbitmq.message import encode
from ringfence_sidecar.connectors.rabbitmq.permissions import Verb
from ringfence_sidecar.connectors.rabbitmq.publishing import Publication
from ringfence_sidecar.connectors.rabbitmq.receiving import Wanted
from ringfence_sidecar.connectors.rabbitmq.settling import Found, Verdict, find
from ringfence_sidecar.errors import InvalidArgumentsError

SUBSCRIBE_ADVICE = (
    "a queue hands out what comes next and cannot be filtered: subscribe to the exchange that fills it, with a "
    "routingKey pattern or headers, and receive from the queue that subscribe answers"
)


@dataclass(frozen=True, slots=True)
class Settling:
    """Handles, and what is to become of what they hold."""

    found: tuple[Found, ...]
    verdict: Verdict | None
    """None extends the leases."""
    seconds: float = 0.0


def publish(given: arguments.Publish, asked: Asked) -> Prepared:
    """Judge a publication, message by message."""
    check_batch(len(given.messages), asked, "messages")
    outgoing = _keyed(given.messages, asked.context.idempotency_key)
    rules: dict[str, None] = {}
    for at, message in enumerate(outgoing):
        if not message.exchange and not message.routing_key:
            raise InvalidArgumentsError(
                "the default exchange routes by the name of a queue: write it as routingKey",
                field=f"arguments.messages[{at}].routingKey",
            )
        rules[asked.permissions.judge_target(message.exchange, message.routing_key)] = None
    ids = [message.message_id for message in outgoing if message.message_id]
    if len(set(ids)) < len(ids):
        raise InvalidArgumentsError("two messages have one messageId: give each its own", field="arguments.messages")
    messages = [
        encode(message, asked.context, most_bytes=asked.limits.message_bytes, field=f"arguments.messages[{at}]")
        for at, message in enumerate(outgoing)
    ]
    is_idempotent = len(ids) == len(messages)
    size = sum(len(message.body) for message in messages)
    exchanges = ", ".join(dict.fromkeys(message.exchange or "(default)" for message in messages))
    return Prepared(
        operation=asked.operation,
        effect=Effect.IDEMPOTENT if is_idempotent else Effect.WRITE,
        payload=Publication(messages, is_idempotent),
        rule=", ".join(rules),
        summary=f"publish {len(messages)} messages, {size} bytes, to {exchanges}",
        estimate={"messagesPublished": len(messages), "messageBytes": size},
    )


def receive(given: arguments.Receive, asked: Asked) -> Prepared:
    """Judge a receipt."""
    if given.filter is not None:
        raise InvalidArgumentsError(SUBSCRIBE_ADVICE, field="arguments.filter")
    rule = asked.permissions.judge_queue(Verb.RECEIVE, given.queue)
    count, seconds = count_of(given.count, asked), lease_seconds(given.lease_seconds, asked)
    wanted = Wanted(given.queue, count, given.wait_seconds, seconds, asked.owner, asked.limits.message_bytes)
    return Prepared(
        operation=asked.operation,
        # What was handed out on a connection that broke went back: asking again, elsewhere too, loses nothing.
        effect=Effect.IDEMPOTENT,
        payload=wanted,
        rule=rule,
        summary=f"receive up to {count} messages from {given.queue}",
        estimate=to_receive(count),
    )


def ack(given: arguments.Settle, asked: Asked) -> Prepared:
    """Judge an acknowledgement."""
    return _settling(asked, given.handles, Verdict.ACKNOWLEDGE)


def nack(given: arguments.Nack, asked: Asked) -> Prepared:
    """Judge a return or a rejection."""
    return _settling(asked, given.handles, Verdict.RETURN if given.requeue else Verdict.REJECT)


def extend(given: arguments.Extend, asked: Asked) -> Prepared:
    """Judge an extension."""
    seconds = lease_seconds(given.lease_seconds, asked)
    return _settling(asked, given.handles, None, seconds=seconds)


def _keyed(messages: Sequence[arguments.OutgoingMessage], key: str) -> Sequence[arguments.OutgoingMessage]:
    """Return the messages of a call that may have an idempotency key: the only one has it as its id."""
    if not key:
        return messages
    if len(messages) > 1:
        raise InvalidArgumentsError(
            "an idempotency key is for one message: give each of several a messageId", field="arguments.messages"
        )
    if messages[0].message_id not in {"", key}:
        raise InvalidArgumentsError(
            "the idempotency key becomes the messageId, and there is another: give one of the two",
            field="arguments.messages[0].messageId",
        )
    return (msgspec.structs.replace(messages[0], message_id=key),)


def _settling(asked: Asked, handles: Sequence[str], verdict: Verdict | None, *, seconds: float = 0.0) -> Prepared:
    check_batch(len(handles), asked, "handles")
    found = find(asked.leases, handles, asked.owner)
    held = [lease for _, lease in found if isinstance(lease, Lease)]
    if verdict in {Verdict.ACKNOWLEDGE, Verdict.REJECT}:
        for lease in held:
            if lease.message is not None:  # looked at, as a dead letter
                judge_any(asked.permissions, lease.group.queue, Verb.DROP, Verb.RECEIVE)
    return Prepared(
        operation=asked.operation,
        effect=asked.operation.effect,
        payload=Settling(found, verdict, seconds),
        rule="handle",
        summary=f"{asked.operation.name} {len(found)} messages of {queues(held)}",
        endpoint=held[0].group.endpoint,
    )
