"""Queues, exchanges and bindings: declared as asked or not at all, never changed, and seen without being touched."""

import hashlib
from typing import Any

import msgspec

from ringfence_sidecar.connectors.rabbitmq.arguments import (
    BindingDeclaration,
    Declare,
    ExchangeDeclaration,
    HeadersFilter,
    QueueDeclaration,
    Subscribe,
)
from ringfence_sidecar.connectors.rabbitmq.broker_errors import (
    DRIVER_ERRORS,
    call_error,
    inequivalence,
    is_missing,
    translated,
)
from ringfence_sidecar.connectors.rabbitmq.definitions import LIMITED_SINCE, is_there, learn
from ringfence_sidecar.connectors.rabbitmq.results import Declared, SubscribeResult
from ringfence_sidecar.connectors.rabbitmq.session import Session
from ringfence_sidecar.errors import BackendError, CallError, ConflictError

OWN_SECONDS = 3_600.0
"""How long a queue of an agent's own stays when nobody receives from it."""
OWN_MESSAGES = 10_000
"""Messages that such a queue holds; the oldest go first."""
OWN_BYTES = 67_108_864


async def declare(session: Session, wanted: Declare) -> tuple[Declared, ...]:
    """See to it that what is wanted is there. Raises ConflictError that says what is there instead."""
    declared = []
    if wanted.exchange is not None:
        declared.append(await _declare_exchange(session, wanted.exchange))
    if wanted.queue is not None:
        arguments = queue_arguments(wanted.queue, session.link.broker_version)
        created = await _declare_queue(session, wanted.queue.name, arguments, wanted.queue.durable)
        declared.append(Declared(kind="queue", name=wanted.queue.name, created=created))
    if wanted.binding is not None:
        declared.append(await _bind(session, wanted.binding))
    return tuple(declared)


async def subscribe(session: Session, wanted: Subscribe, prefix: str) -> SubscribeResult:
    """Fill a queue of the agent's own by the filter. One name may have several filters: they add up."""
    queue = own_queue(wanted, prefix)
    arguments = {
        "x-queue-type": "quorum",
        "x-expires": round(OWN_SECONDS * 1000),
        "x-max-length": OWN_MESSAGES,
        "x-max-length-bytes": OWN_BYTES,
        "x-overflow": "drop-head",
    }
    created = await _declare_queue(session, queue, arguments, durable=True)
    filters = _header_arguments(wanted.headers)
    try:
        async with session.link.borrowed() as channel:
            with translated(f"exchange {wanted.exchange!r}", sent=True):
                await channel.queue_bind(queue, wanted.exchange, wanted.routing_key or "", arguments=filters)
    except CallError:
        if created and session.is_usable:
            await delete(session, queue)
        raise
    return SubscribeResult(
        queue=queue,
        created=created,
        expires_seconds=OWN_SECONDS,
        max_messages=OWN_MESSAGES,
        max_bytes=OWN_BYTES,
    )


def own_queue(wanted: Subscribe, prefix: str) -> str:
    """Return the name of the subscription's queue; the same filter has the same one."""
    if wanted.name:
        return prefix + wanted.name
    filters = msgspec.json.encode([wanted.exchange, wanted.routing_key, wanted.headers], order="deterministic")
    return prefix + hashlib.blake2b(filters, digest_size=10).hexdigest()


async def delete(session: Session, queue: str) -> int:
    """Delete a queue; return how many messages went with it."""
    async with session.link.borrowed() as channel:
        with translated(f"queue {queue!r}", sent=True):
            answer = await channel.queue_delete(queue)
    return answer.message_count or 0


async def purge(session: Session, queue: str) -> int:
    """Drop all that is ready in a queue; return how many that were."""
    async with session.link.borrowed() as channel:
        with translated(f"queue {queue!r}", sent=True):
            answer = await channel.queue_purge(queue)
    return answer.message_count or 0


async def count(session: Session, queue: str) -> tuple[int, int]:
    """Return how many messages are ready in a queue, and how many consumers it has; touches nothing."""
    async with session.link.borrowed() as channel:
        with translated(f"queue {queue!r}"):
            answer = await channel.queue_declare(queue, passive=True)
    return answer.message_count or 0, answer.consumer_count or 0


async def _declare_queue(session: Session, name: str, arguments: dict[str, Any], durable: bool) -> bool:
    created = not await is_there(session, name)
    try:
        async with session.link.borrowed() as channel:
            await channel.queue_declare(name, durable=durable, arguments=arguments)
    except DRIVER_ERRORS as error:
        if inequivalence(error) is None:
            raise call_error(error, f"queue {name!r}", sent=True) from None
        raise await _queue_conflict(session, name) from None
    return created


async def _queue_conflict(session: Session, name: str) -> ConflictError:
    try:
        there = f": {(await learn(session, name)).text}"
    except BackendError:
        there = ""
    return ConflictError(
        f"queue {name!r} is there with other arguments{there}; declare it with these, or take another name: what is "
        "there is never changed"
    )


async def _declare_exchange(session: Session, wanted: ExchangeDeclaration) -> Declared:
    created = not await _is_exchange_there(session, wanted.name)
    arguments: dict[str, Any] = {}
    if wanted.alternate_exchange is not None:
        arguments["alternate-exchange"] = wanted.alternate_exchange
    try:
        async with session.link.borrowed() as channel:
            await channel.exchange_declare(
                wanted.name, exchange_type=wanted.type, durable=wanted.durable, arguments=arguments
            )
    except DRIVER_ERRORS as error:
        said = inequivalence(error)
        if said is None:
            raise call_error(error, f"exchange {wanted.name!r}", sent=True) from None
        raise ConflictError(
            f"exchange {wanted.name!r} is there with {said.argument}={said.value or 'none'}; declare it so, or take "
            "another name: what is there is never changed"
        ) from None
    return Declared(kind="exchange", name=wanted.name, created=created)


async def _is_exchange_there(session: Session, name: str) -> bool:
    try:
        async with session.link.borrowed() as channel:
            await channel.exchange_declare(name, passive=True)
    except DRIVER_ERRORS as error:
        if is_missing(error):
            return False
        raise call_error(error, f"exchange {name!r}") from None
    return True


async def _bind(session: Session, wanted: BindingDeclaration) -> Declared:
    arguments = _header_arguments(wanted.headers)
    name = wanted.queue if wanted.queue is not None else wanted.exchange or ""
    async with session.link.borrowed() as channel:
        with translated(f"binding of {wanted.source!r} to {name!r}", sent=True):
            if wanted.queue is not None:
                await channel.queue_bind(name, wanted.source, wanted.routing_key, arguments=arguments)
            else:
                await channel.exchange_bind(name, wanted.source, wanted.routing_key, arguments=arguments)
    return Declared(kind="binding", name=f"{wanted.source} -> {name}", created=None)


def _header_arguments(wanted: HeadersFilter | None) -> dict[str, Any]:
    return {} if wanted is None else {**wanted.headers, "x-match": wanted.match}


def queue_arguments(wanted: QueueDeclaration, version: tuple[int, ...]) -> dict[str, Any]:
    """Return what a broker of that version is to be told of a queue."""
    # A broker that gives no queue a limit of its own takes no -1 for one either.
    is_implied = wanted.delivery_limit == -1 and version < LIMITED_SINCE
    found = {
        "x-queue-type": wanted.type,
        "x-dead-letter-exchange": wanted.dead_letter_exchange,
        "x-dead-letter-routing-key": wanted.dead_letter_routing_key,
        "x-delivery-limit": None if is_implied else wanted.delivery_limit,
        "x-message-ttl": _milliseconds(wanted.message_ttl_seconds),
        "x-expires": _milliseconds(wanted.expires_seconds),
        "x-max-length": wanted.max_length,
        "x-max-length-bytes": wanted.max_length_bytes,
        "x-overflow": wanted.overflow,
        "x-single-active-consumer": wanted.single_active_consumer or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
