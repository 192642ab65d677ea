"""Dead letters: looked at, sent back to where they died, or dropped."""

import asyncio
import uuid
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

from aiormq.abc import DeliveredMessage
from msgspec.structs import replace
from pamqp.commands import Basic

from ringfence_sidecar.call import Deadline
from ringfence_sidecar.connectors.rabbitmq.definitions import learn
from ringfence_sidecar.connectors.rabbitmq.leases import Lease, Leases, is_whole
from ringfence_sidecar.connectors.rabbitmq.message import COPIES, Outgoing
from ringfence_sidecar.connectors.rabbitmq.permissions import Permissions, Verb
from ringfence_sidecar.connectors.rabbitmq.publishing import Publication, Publisher
from ringfence_sidecar.connectors.rabbitmq.results import (
    HandleOutcome,
    Published,
    PublishOutcome,
    Replayed,
    ReplayOutcome,
)
from ringfence_sidecar.connectors.rabbitmq.session import Session
from ringfence_sidecar.connectors.rabbitmq.settling import Settler, Verdict
from ringfence_sidecar.errors import CallError, ConflictError, RefusedError

_PAST = ("x-death", "x-delivery-count", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason")
"""What the broker has noted of the message's past: a replayed one begins anew."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where dead letters are to go; None: the queue that each died in, or the routing key that each had."""

    exchange: str | None = None
    routing_key: str | None = None


async def refuse_limited(session: Session, queue: str) -> None:
    """Raise ConflictError if the queue could give up what is leased and put back: each time counts as a delivery."""
    limit = (await learn(session, queue)).delivery_limit(session.link.broker_version)
    if limit:
        raise ConflictError(
            f"queue {queue!r} has a delivery limit ({limit}): every look counts, as does every replay that fails, and "
            "the last one drops the message. Use dead_letters_count, or receive, publish and ack; or have the queue "
            "made without one (deliveryLimit: -1)"
        )


async def replay(
    publisher: Publisher, settler: Settler, leases: Leases, dead: Sequence["Dead"], deadline: Deadline
) -> tuple[Replayed, ...]:
    """Send each to its target, and take it out of the dead letters only when that is confirmed.

    What is not replayed is back in the dead-letter queue. If a copy may be in both, its outcome says so.
    """
    publication = Publication([each.plan for each in dead if isinstance(each.plan, Outgoing)], is_idempotent=False)
    try:
        if publication.messages:
            await publisher.publish(publication, deadline)
    except CallError:
        await _settle(settler, leases, [each.lease for each in dead], Verdict.RETURN)
        raise
    published = iter(publication.results())
    results = [each.plan if isinstance(each.plan, Replayed) else _replayed(each.plan, next(published)) for each in dead]
    by_verdict: dict[bool, list[Lease]] = {True: [], False: []}
    for each, result in zip(dead, results, strict=True):
        by_verdict[result.outcome is ReplayOutcome.REPLAYED].append(each.lease)
    gone, _ = await asyncio.gather(
        _settle(settler, leases, by_verdict[True], Verdict.ACKNOWLEDGE),
        _settle(settler, leases, by_verdict[False], Verdict.RETURN),
    )
    return tuple(
        replace(result, outcome=ReplayOutcome.UNKNOWN, reason="sent, but it may still be among the dead letters")
        if result.outcome is ReplayOutcome.REPLAYED and each.lease.handle not in gone
        else result
        for each, result in zip(dead, results, strict=True)
    )


@dataclass(frozen=True, slots=True)
class Dead:
    """A dead letter, and where it goes; a Replayed is the reason why it goes nowhere."""

    lease: Lease
    plan: Outgoing | Replayed


def plan(lease: Lease, message: DeliveredMessage, target: Target, permissions: Permissions) -> Dead:
    """Return where a dead letter goes, if that can be told and is permitted."""
    message_id = message.header.properties.message_id or ""
    if not is_whole(message):
        reason = (
            "its body is not kept: it is larger than the Connector lets through, or many were looked at since; in the "
            "latter case replay it by its queue"
        )
        return Dead(lease, Replayed(outcome=ReplayOutcome.REFUSED, message_id=message_id, reason=reason))
    exchange, routing_key = target.exchange, target.routing_key
    if exchange is None:
        exchange, routing_key = "", _died_in(message)
    elif routing_key is None:
        routing_key = _routing_key(message)
    if routing_key is None:
        reason = "the message does not say which queue it died in: give exchange and routingKey"
        return Dead(lease, Replayed(outcome=ReplayOutcome.REFUSED, message_id=message_id, reason=reason))
    try:
        _judge(permissions, exchange, routing_key)
    except RefusedError as error:
        refused = Replayed(
            outcome=ReplayOutcome.REFUSED,
            message_id=message_id,
            exchange=exchange,
            routing_key=routing_key,
            reason=error.message,
        )
        return Dead(lease, refused)
    return Dead(lease, Outgoing(exchange, routing_key, message.body, _properties(message)))


def _judge(permissions: Permissions, exchange: str, routing_key: str) -> None:
    """A queue that dead letters may be sent back to permits either of the verbs."""
    try:
        permissions.judge_target(exchange, routing_key)
    except RefusedError:
        if exchange:
            raise
        permissions.judge_queue(Verb.REPLAY, routing_key)


def _properties(message: DeliveredMessage) -> Basic.Properties:
    properties = copy(message.header.properties)
    headers = dict(properties.headers or {})
    properties.headers = {name: value for name, value in headers.items() if not _is_past(name)}
    properties.message_id = properties.message_id or uuid.uuid4().hex
    properties.expiration = None
    properties.user_id = None
    return properties


def _is_past(name: str) -> bool:
    return name in _PAST or name.lower() in COPIES


def _death(message: DeliveredMessage) -> dict[str, Any]:
    deaths = (message.header.properties.headers or {}).get("x-death")
    return deaths[0] if isinstance(deaths, list) and deaths and isinstance(deaths[0], dict) else {}


def _died_in(message: DeliveredMessage) -> str | None:
    queue = _death(message).get("queue")
    return queue if isinstance(queue, str) and queue else None


def _routing_key(message: DeliveredMessage) -> str:
    keys = _death(message).get("routing-keys")
    if isinstance(keys, list) and keys and isinstance(keys[0], str):
        return keys[0]
    return message.routing_key or ""


def _replayed(message: Outgoing, published: Published) -> Replayed:
    outcome = {
        PublishOutcome.ROUTED: ReplayOutcome.REPLAYED,
        PublishOutcome.RETURNED: ReplayOutcome.RETURNED,
        PublishOutcome.NACKED: ReplayOutcome.NACKED,
        PublishOutcome.UNKNOWN: ReplayOutcome.UNKNOWN,
    }[published.outcome]
    return Replayed(
        outcome=outcome,
        message_id=published.message_id,
        exchange=message.exchange,
        routing_key=message.routing_key,
        reason=published.reason,
    )


async def _settle(settler: Settler, leases: Leases, held: Sequence[Lease], verdict: Verdict) -> set[str]:
    results = await settler.settle(leases, [(lease.handle, lease) for lease in held], verdict)
    return {result.handle for result in results if result.outcome is HandleOutcome.DONE}
