"""Receiving: each message is leased, on a channel of the call's own, and none is taken that nobody asked for."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from ringfence_sidecar.call import Context, Deadline
from ringfence_sidecar.connectors.rabbitmq.broker_errors import DRIVER_ERRORS, translated
from ringfence_sidecar.connectors.rabbitmq.leases import Group, Lease, Leases, without_body
from ringfence_sidecar.connectors.rabbitmq.session import Session
from ringfence_sidecar.errors import BackendLostError, CallError, ConflictError, UnknownError
from ringfence_sidecar.grants import Grants, Held

_LINGER_SECONDS = 0.05
"""How long the next message may take once one is there, before the call answers with what it has."""
_FIRST_SECONDS = 0.2
"""How long a message that is there may take to come."""
_MARGIN_SECONDS = 0.1
"""Kept of a call's deadline to end the consumer."""
_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a call asks for."""

    queue: str
    count: int
    wait_seconds: float
    lease_seconds: float
    owner: str
    """Whose handles they are."""
    most_bytes: int
    """A larger body is let go of as soon as it has come."""
    keep: bool = False
    """Whether the leases keep their messages' contents, for a replay."""
    held: Held | None = None
    """What a quota counts the leases in, as long as they last."""

    def within(self, grants: Grants) -> "Wanted":
        """Return what may be received of it."""
        count = min(grants.whole("messagesReceived", self.count), grants.whole("unackedLeases", self.count))
        return replace(self, count=count, held=grants.held if "unackedLeases" in grants else None)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message, and the lease on it."""

    lease: Lease
    message: DeliveredMessage
    seconds: float


class _Consumer:
    """Messages that the broker hands out on a group's channel, at most `prefetch` of them unacknowledged."""

    def __init__(self, group: Group, most_bytes: int) -> None:
        self._group = group
        self._most_bytes = most_bytes
        self._arrived: asyncio.Queue[DeliveredMessage | None] = asyncio.Queue()
        self._tag = ""

    async def begin(self, prefetch: int) -> None:
        self._group.on_lost = lambda: self._arrived.put_nowait(None)
        await self._group.channel.basic_qos(prefetch_count=prefetch)
        answer = await self._group.channel.basic_consume(self._group.queue, self._on_message)
        self._tag = str(answer.consumer_tag)

    async def next(self, seconds: float) -> DeliveredMessage | None:
        """Return the next message, or None if none came in time. Raises BackendLostError, UnknownError.

        The driver does not say aloud when the broker ends a consumer, so that is looked at now and then.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            try:
                async with asyncio.timeout(min(_LOOK_SECONDS, end - loop.time())):
                    message = await self._arrived.get()
            except TimeoutError:
                if loop.time() >= end:
                    return None
                self._check()
                continue
            if message is None:
                raise BackendLostError(f"queue {self._group.queue!r}: its channel was closed")
            return message

    def ready(self, most: int) -> list[DeliveredMessage]:
        """Return what has come besides, up to so many."""
        messages: list[DeliveredMessage] = []
        while len(messages) < most and not self._arrived.empty():
            message = self._arrived.get_nowait()
            if message is None:
                self._arrived.put_nowait(None)
                break
            messages.append(message)
        return messages

    async def end(self) -> list[DeliveredMessage]:
        """Have no more handed out, and return what had been."""
        await self._group.channel.basic_cancel(self._tag)
        self._group.on_lost = None
        return self.ready(self._arrived.qsize())

    async def _on_message(self, message: DeliveredMessage) -> None:
        self._arrived.put_nowait(_light(message, self._most_bytes))

    def _check(self) -> None:
        if self._tag not in self._group.channel.consumers:
            raise UnknownError(f"queue {self._group.queue!r} was deleted while messages were awaited")


async def receive(session: Session, leases: Leases, wanted: Wanted, deadline: Deadline) -> list[Delivery]:
    """Return up to so many messages, as soon as there are some. Raises LimitedError, UnknownError, BackendLostError."""
    room = leases.reserve(wanted.count)
    try:
        try:
            return await _receive(session, leases, wanted, room, deadline)
        except ConflictError:
            # A queue with a single active consumer hands nothing out but to that.
            if wanted.queue in session.consume_only:
                raise
            session.consume_only.add(wanted.queue)
            return await _receive(session, leases, wanted, room, deadline)
    finally:
        leases.release(room)


async def _receive(session: Session, leases: Leases, wanted: Wanted, room: int, deadline: Deadline) -> list[Delivery]:
    group = await session.group(wanted.queue, room)
    try:
        with translated(f"queue {wanted.queue!r}"):
            longest = max(0.0, deadline.remaining - _MARGIN_SECONDS)
            if wanted.queue in session.consume_only:
                seconds = min(max(wanted.wait_seconds, _FIRST_SECONDS), longest)
                messages = await _consume(_Consumer(group, wanted.most_bytes), room, seconds)
            else:
                messages = await _collect(group, room, wanted, longest)
        _must_live(group)
    except BaseException:
        session.discard(group)
        raise
    deliveries = [_lease(leases, group, message, wanted) for message in messages]
    group.finish()
    return deliveries


async def stream(
    session: Session, leases: Leases, wanted: Wanted, context: Context, prefetch: int
) -> AsyncIterator[list[Delivery]]:
    """Yield messages as they come, until the deadline; no more than `prefetch` of them are held at once.

    What is granted is looked at for each piece: whoever goes on after one has asked for the next.
    """
    deadline = context.deadline
    room = leases.reserve(prefetch)
    try:
        group = await session.group(wanted.queue, room)
        consumer = _Consumer(group, wanted.most_bytes)
        try:
            with leases.streaming(group), translated(f"queue {wanted.queue!r}"):
                await consumer.begin(room)
                while (left := deadline.remaining - _MARGIN_SECONDS) > 0:
                    first = await consumer.next(left)
                    if first is not None:
                        mine = wanted.within(context.grants)
                        messages = [first, *consumer.ready(mine.count - 1)]
                        yield [_lease(leases, group, message, mine) for message in messages]
        except CallError:
            session.discard(group)
            raise
        finally:
            # What the agent holds stays its own, whether it has gone or not; what it has not seen goes back.
            if not group.is_lost:
                session.link.background(_end(session, group, consumer))
    finally:
        leases.release(room)


async def _end(session: Session, group: Group, consumer: _Consumer) -> None:
    try:
        for message in await consumer.end():
            await group.channel.basic_nack(message.delivery_tag or 0, requeue=True, wait=False)
    except (*DRIVER_ERRORS, CallError):
        session.discard(group)
    else:
        group.finish()


async def _collect(group: Group, room: int, wanted: Wanted, longest: float) -> list[DeliveredMessage]:
    consumer = _Consumer(group, wanted.most_bytes)
    first, ready = await _get(group, wanted.most_bytes)
    if first is None:
        seconds = min(wanted.wait_seconds, longest)
        return await _consume(consumer, room, seconds) if wanted.wait_seconds > 0 else []
    missing = min(room - 1, ready)
    return [first, *(await _consume(consumer, missing, min(_FIRST_SECONDS, longest)) if missing else [])]


async def _get(group: Group, most_bytes: int) -> tuple[DeliveredMessage | None, int]:
    """Return a message that is ready, if there is one, and how many more there are."""
    answer = await group.channel.basic_get(group.queue)
    if isinstance(answer.delivery, Basic.GetOk):
        return _light(answer, most_bytes), answer.delivery.message_count or 0
    return None, 0


async def _consume(consumer: _Consumer, count: int, seconds: float) -> list[DeliveredMessage]:
    await consumer.begin(count)
    messages: list[DeliveredMessage] = []
    message = await consumer.next(seconds)
    while message is not None:
        messages += [message, *consumer.ready(count - len(messages) - 1)]
        message = await consumer.next(_LINGER_SECONDS) if len(messages) < count else None
    return messages + await consumer.end()


def _light(message: DeliveredMessage, most_bytes: int) -> DeliveredMessage:
    return without_body(message) if len(message.body) > most_bytes else message


def _must_live(group: Group) -> None:
    if group.is_lost:
        raise BackendLostError(f"queue {group.queue!r}: its channel was closed")


def _lease(leases: Leases, group: Group, message: DeliveredMessage, wanted: Wanted) -> Delivery:
    lease = leases.add(group, message, wanted.lease_seconds, owner=wanted.owner, keep=wanted.keep, held=wanted.held)
    return Delivery(lease, message, wanted.lease_seconds)
