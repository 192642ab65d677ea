"""Judges what is done to dead letters."""

from collections.abc import Sequence
from dataclasses import dataclass

from ringfence_sidecar.connectors.base import Effect, Prepared
from ringfence_sidecar.connectors.rabbitmq import arguments
from ringfence_sidecar.connectors.rabbitmq.asked import (
    Asked,
    check_batch,
    count_of,
    lease_seconds,
    prepared,
    queues,
    to_receive,
)
from ringfence_sidecar.connectors.rabbitmq.dead_letters import Target
from ringfence_sidecar.connectors.rabbitmq.leases import Lease
from ringfence_sidecar.connectors.rabbitmq.permissions import Permissions, Verb
from ringfence_sidecar.connectors.rabbitmq.receiving import Wanted
from ringfence_sidecar.connectors.rabbitmq.settling import Found, find
from ringfence_sidecar.errors import InvalidArgumentsError


@dataclass(frozen=True, slots=True)
class Replaying:
    """Dead letters to be sent on: those of the leases, or the next ones."""

    held: tuple[Lease, ...]
    next: Wanted | None
    target: Target
    permissions: Permissions


@dataclass(frozen=True, slots=True)
class Dropping:
    """Dead letters to be dropped: those of the handles, or all of the queue."""

    found: tuple[Found, ...]
    queue: str


def count(given: arguments.Inspect, asked: Asked) -> Prepared:
    """Judge a count."""
    rule = asked.permissions.judge_queue(Verb.DEAD_LETTERS, given.queue)
    return prepared(asked, given, rule, f"count dead letters of {given.queue}")


def look(given: arguments.LookAtDeadLetters, asked: Asked) -> Prepared:
    """Judge a look."""
    rule = asked.permissions.judge_queue(Verb.DEAD_LETTERS, given.queue)
    count, seconds = count_of(given.count, asked), lease_seconds(given.lease_seconds, asked)
    wanted = Wanted(given.queue, count, 0.0, seconds, asked.owner, asked.limits.message_bytes, keep=True)
    return Prepared(
        operation=asked.operation,
        effect=Effect.IDEMPOTENT,
        payload=wanted,
        rule=rule,
        summary=f"look at up to {count} dead letters of {given.queue}",
        estimate=to_receive(count),
    )


def replay(given: arguments.ReplayDeadLetters, asked: Asked) -> Prepared:
    """Judge a replay: of the dead letters, and of where they go as far as that is said."""
    if (given.queue is None) == (not given.handles):
        raise InvalidArgumentsError("give either a queue or handles", field="arguments.queue")
    if given.exchange == "" and not given.routing_key:
        raise InvalidArgumentsError(
            "the default exchange routes by the name of a queue: write it as routingKey", field="arguments.routingKey"
        )
    if given.exchange is None and given.routing_key is not None:
        raise InvalidArgumentsError("a routing key needs an exchange", field="arguments.exchange")
    target = Target(given.exchange, given.routing_key)
    held: tuple[Lease, ...] = ()
    wanted = None
    if given.queue is None:
        held = _dead(given.handles, asked)
        rules = [asked.permissions.judge_queue(Verb.REPLAY, lease.group.queue) for lease in held]
    else:
        rules = [asked.permissions.judge_queue(Verb.REPLAY, given.queue)]
        count, seconds = count_of(given.count, asked), asked.limits.lease_seconds
        wanted = Wanted(given.queue, count, 0.0, seconds, asked.owner, asked.limits.message_bytes, keep=True)
    if given.exchange is not None and given.routing_key is not None:
        rules.append(asked.permissions.judge_target(given.exchange, given.routing_key))
    return Prepared(
        operation=asked.operation,
        effect=asked.operation.effect,
        payload=Replaying(held, wanted, target, asked.permissions),
        rule=", ".join(dict.fromkeys(rules)),
        summary=f"replay dead letters of {given.queue or queues(held)}",
        estimate={
            "messagesPublished": len(held) or (wanted.count if wanted else 0),
            "messageBytes": sum(len(lease.message.body) for lease in held if lease.message is not None) or 1,
        },
        endpoint=held[0].group.endpoint if held else None,
    )


def drop(given: arguments.DropDeadLetters, asked: Asked) -> Prepared:
    """Judge a drop."""
    if (given.queue is None) == (not given.handles) or (given.queue is not None) != given.all:
        raise InvalidArgumentsError("give either handles, or a queue and all: true", field="arguments.handles")
    if given.queue is not None:
        rule = asked.permissions.judge_queue(Verb.DROP, given.queue)
        return prepared(asked, Dropping((), given.queue), rule, f"drop all dead letters of {given.queue}")
    check_batch(len(given.handles), asked, "handles")
    found = find(asked.leases, given.handles, asked.owner)
    held = [lease for _, lease in found if isinstance(lease, Lease)]
    rules = [asked.permissions.judge_queue(Verb.DROP, lease.group.queue) for lease in held]
    summary = f"drop {len(held)} dead letters of {queues(held)}"
    return Prepared(
        operation=asked.operation,
        effect=asked.operation.effect,
        payload=Dropping(found, ""),
        rule=", ".join(dict.fromkeys(rules)),
        summary=summary,
        endpoint=held[0].group.endpoint,
    )


def _dead(handles: Sequence[str], asked: Asked) -> tuple[Lease, ...]:
    check_batch(len(handles), asked, "handles")
    held = tuple(asked.leases.find(handle, asked.owner) for handle in dict.fromkeys(handles))
    if any(lease.message is None for lease in held):
        raise InvalidArgumentsError(
            "only what dead_letters_look has answered can be replayed: look first", field="arguments.handles"
        )
    return held
