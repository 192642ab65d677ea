"""A queue's messages one after the other, each settled by how the work on it ends."""

import asyncio
import contextlib
import weakref
from collections import deque
from collections.abc import MutableSet, Sequence
from types import TracebackType
from typing import Protocol, Self

from ringfence.errors import LeaseLostError, NotFoundError, RingfenceError
from ringfence.message import Message
from ringfence.trace import Log

_EXTENSIONS = 3
"""A lease is extended so often before it would end."""


class Broker(Protocol):
    """What is asked for messages."""

    async def receive(
        self, queue: str, *, count: int, wait_seconds: float, lease_seconds: float | None
    ) -> list[Message]:
        """Lease messages."""

    async def ack(self, *messages: Message) -> list[Message]:
        """Say that they are done with; return those that were lost."""

    async def nack(self, *messages: Message, requeue: bool) -> list[Message]:
        """Give them back; return those that were lost."""

    async def extend(self, *messages: Message, lease_seconds: float | None) -> list[Message]:
        """Hold them for longer; return those that were lost."""


class Held:
    """The messages of one consumption that are not settled. Their leases are extended until it ends."""

    def __init__(
        self, broker: Broker, queue: str, registry: "MutableSet[Held]", *, lease_seconds: float | None, log: Log
    ) -> None:
        self._registry = registry
        """Of all that hold something, so that the connection can give it back when it ends."""
        self._broker = broker
        self._queue = queue
        self._lease_seconds = lease_seconds
        self._granted_seconds = 0.0
        self._log = log
        self._messages: dict[str, Message] = {}
        self._extending: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    def take(self, messages: Sequence[Message]) -> None:
        """Hold these, too."""
        self._messages.update((each.handle, each) for each in messages)
        if not messages:
            return
        self._granted_seconds = min(each.lease_seconds for each in messages)
        self._registry.add(self)
        if self._extending is None:
            self._extending = asyncio.create_task(self._extend())

    async def ack(self, message: Message) -> None:
        """Acknowledge one. One that was lost meanwhile comes again, which is logged."""
        if self._messages.pop(message.handle, None) is None:
            self._say_lost(message)
            return
        try:
            await self._broker.ack(message)
        except (LeaseLostError, NotFoundError):
            self._say_lost(message)

    async def nack(self, message: Message, *, requeue: bool) -> None:
        """Give one back. One that was lost meanwhile is back already."""
        if self._messages.pop(message.handle, None) is not None:
            with contextlib.suppress(LeaseLostError, NotFoundError):
                await self._broker.nack(message, requeue=requeue)

    def end(self) -> "asyncio.Task[None]":
        """Give back what is held, once; the task ends when that is done."""
        if self._ending is None:
            self._ending = asyncio.create_task(self._end())
        return self._ending

    async def _end(self) -> None:
        if self._extending is not None:
            self._extending.cancel()
        left = list(self._messages.values())
        self._messages.clear()
        try:
            if left:
                # Whom it cannot be told has lost them as well; and leases end by themselves.
                with contextlib.suppress(RingfenceError):
                    await self._broker.nack(*left, requeue=True)
        finally:
            self._registry.discard(self)

    async def _extend(self) -> None:
        while True:
            await asyncio.sleep(self._granted_seconds / _EXTENSIONS)
            if held := list(self._messages.values()):
                for lost in await self._extended(held):
                    self._messages.pop(lost.handle, None)

    async def _extended(self, held: list[Message]) -> Sequence[Message]:
        try:
            return await self._broker.extend(*held, lease_seconds=self._lease_seconds)
        except (LeaseLostError, NotFoundError):
            return held
        except RingfenceError:
            return ()  # there is time for another attempt

    def _say_lost(self, message: Message) -> None:
        said = {"queue": self._queue, "messageId": message.message_id}
        self._log({"level": "warning", "event": "lease lost, the message comes again", "fields": said})


class Consumption:
    """`async with broker.consume("orders") as messages:` and in it `async for message in messages:`.

    A message is acknowledged when the next one is asked for, or the block ends; it is given back if the block ends
    with an exception. While the body works, its lease is extended, so the body must let the event loop run.

    Without `async with`, nobody tells an exception from a `break`: a message at which such a loop is left is given
    back. `await messages.ack()` before a `break` keeps it from coming again.
    """

    def __init__(
        self,
        broker: Broker,
        queue: str,
        held: Held,
        *,
        prefetch: int,
        lease_seconds: float | None,
        wait_seconds: float,
        until_empty: bool,
        requeue: bool,
    ) -> None:
        self._broker = broker
        self._queue = queue
        self._held = held
        self._prefetch = prefetch
        self._lease_seconds = lease_seconds
        self._wait_seconds = wait_seconds
        self._until_empty = until_empty
        self._requeue = requeue
        self._ready: deque[Message] = deque()
        self._current: Message | None = None
        self._guard: weakref.finalize[..., Consumption] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        if self._guard is None:
            self._guard = weakref.finalize(self, _abandon, self._held, asyncio.get_running_loop())
            self._guard.atexit = False
        await self.ack()
        while not self._ready:
            messages = await self._broker.receive(
                self._queue,
                count=self._prefetch,
                wait_seconds=self._wait_seconds,
                lease_seconds=self._lease_seconds,
            )
            if not messages and self._until_empty:
                raise StopAsyncIteration
            self._held.take(messages)
            self._ready.extend(messages)
        self._current = self._ready.popleft()
        return self._current

    async def ack(self) -> None:
        """Acknowledge the message that the loop is at, before its body ends."""
        message, self._current = self._current, None
        if message is not None:
            await self._held.ack(message)

    async def nack(self, *, requeue: bool = True) -> None:
        """Give the message that the loop is at back, or, without `requeue`, to the dead letters; the loop goes on."""
        message, self._current = self._current, None
        if message is not None:
            await self._held.nack(message, requeue=requeue)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self.ack()
            else:
                with contextlib.suppress(RingfenceError):  # it must not hide what has happened
                    await self.nack(requeue=self._requeue)
        finally:
            await asyncio.shield(self._held.end())


def _abandon(held: Held, loop: asyncio.AbstractEventLoop) -> None:
    """Give back what a loop held that nobody can go on with."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(held.end)
