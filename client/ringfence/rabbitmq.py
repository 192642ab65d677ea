"""A broker."""

import base64
from collections.abc import Iterable, Mapping, MutableSet, Sequence
from dataclasses import dataclass, field
from typing import Any

from ringfence.connector import Connector, given
from ringfence.consuming import Consumption, Held
from ringfence.errors import NotPublishedError
from ringfence.message import Message
from ringfence.trace import Log
from ringfence.transport import Transport

_WAIT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be published: bytes go as they are, everything else as JSON."""

    payload: Any
    routing_key: str = ""
    """Of the empty exchange, the name of a queue."""
    exchange: str = ""
    message_id: str = ""
    """With one, a call whose answer was lost is tried again, and consumers know a second copy by it."""
    headers: Mapping[str, str | int | bool] = field(default_factory=dict)
    content_type: str = ""
    expiration_seconds: float | None = None
    priority: int | None = None
    correlation_id: str = ""
    reply_to: str = ""
    type: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as the operation takes it."""
        raw = isinstance(self.payload, bytes | bytearray | memoryview)
        body = {"bodyBase64": base64.b64encode(self.payload).decode()} if raw else {"payload": self.payload}
        more = given(
            routingKey=self.routing_key,
            messageId=self.message_id or None,
            headers=dict(self.headers) or None,
            contentType=self.content_type or None,
            expirationSeconds=self.expiration_seconds,
            priority=self.priority,
            correlationId=self.correlation_id or None,
            replyTo=self.reply_to or None,
            type=self.type or None,
        )
        return {"exchange": self.exchange, **more, **body}


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a message: `routed`, `returned` (no queue takes it), `nacked`, or `unknown`: it may be there."""

    message_id: str
    outcome: str
    reason: str = ""


class RabbitMQ(Connector):
    """A Connector of kind `rabbitmq`."""

    def __init__(self, transport: Transport, name: str, *, log: Log, held: MutableSet[Held]) -> None:
        super().__init__(transport, name)
        self._log = log
        self._held = held

    async def publish(
        self,
        payload: Any,
        routing_key: str,
        *,
        exchange: str = "",
        message_id: str = "",
        headers: Mapping[str, str | int | bool] | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - it is told to the sidecar, which ends the call
    ) -> Published:
        """Publish one message, and return once every queue that it goes to has it; see Outgoing for the arguments.

        Raises NotPublishedError if no queue takes it, CallError, UnreachableError.
        """
        message = Outgoing(payload, routing_key, exchange, message_id, headers or {})
        (published,) = await self.publish_all([message], timeout=timeout)
        if published.outcome != "routed":
            where = f"{message.exchange or 'the default exchange'}, routing key {message.routing_key!r}"
            text = f"{published.outcome} ({where}) {published.reason}".rstrip()
            raise NotPublishedError(text, outcome=published.outcome)
        return published

    async def publish_all(
        self,
        messages: Iterable[Outgoing],
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it is told to the sidecar, which ends the call
    ) -> tuple[Published, ...]:
        """Publish several, and return the outcome of each, in their order. Raises CallError, UnreachableError."""
        asked = {"messages": [each.as_json() for each in messages]}
        envelope = await self.call("publish", asked, timeout=timeout)
        return tuple(
            Published(each["messageId"], each["outcome"], each.get("reason", "")) for each in envelope.data["results"]
        )

    async def receive(
        self, queue: str, *, count: int = 1, wait_seconds: float = 0.0, lease_seconds: float | None = None
    ) -> list[Message]:
        """Take up to `count` messages, which are yours for `lease_seconds`, or the Connector's; none, if none came.

        Settle each: `ack` or `nack`. See `consume`, which does that.
        """
        asked = given(queue=queue, count=count, waitSeconds=wait_seconds, leaseSeconds=lease_seconds)
        envelope = await self.call("receive", asked, timeout=self._transport.timeout + wait_seconds)
        return [Message.from_json(each) for each in envelope.data["messages"]]

    async def ack(self, *messages: Message) -> list[Message]:
        """Say that messages are done with, and return those that were not held any longer: they come again.

        Raises LeaseLostError if that is all of them.
        """
        return await self._settle("ack", messages)

    async def nack(self, *messages: Message, requeue: bool = True) -> list[Message]:
        """Give messages back to their queue, or, without `requeue`, to the dead letters; returns and raises as ack."""
        return await self._settle("nack", messages, requeue=requeue)

    async def extend(self, *messages: Message, lease_seconds: float | None = None) -> list[Message]:
        """Hold messages for so long from now. Returns and raises as `ack`."""
        return await self._settle("extend", messages, **given(leaseSeconds=lease_seconds))

    def consume(
        self,
        queue: str,
        *,
        prefetch: int = 1,
        lease_seconds: float | None = None,
        wait_seconds: float = _WAIT_SECONDS,
        until_empty: bool = False,
        requeue: bool = True,
    ) -> Consumption:
        """Return the messages of a queue as they come, for `async with` and `async for`; see Consumption.

        `prefetch` messages are held at once, so that the next is there when one is done. `until_empty` ends the loop
        where it would wait. `requeue=False` gives a message whose body raises to the dead letters.
        """
        held = Held(self, queue, self._held, lease_seconds=lease_seconds, log=self._log)
        return Consumption(
            self,
            queue,
            held,
            prefetch=prefetch,
            lease_seconds=lease_seconds,
            wait_seconds=0.0 if until_empty else wait_seconds,
            until_empty=until_empty,
            requeue=requeue,
        )

    async def _settle(self, operation: str, messages: Sequence[Message], **more: Any) -> list[Message]:
        envelope = await self.call(operation, {"handles": [each.handle for each in messages], **more})
        done = {each["handle"] for each in envelope.data["results"] if each["outcome"] == "done"}
        return [each for each in messages if each.handle not in done]
