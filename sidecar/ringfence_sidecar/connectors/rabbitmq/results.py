"""What the operations answer."""

from enum import StrEnum
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType


class _Result(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    pass


class PublishOutcome(StrEnum):
    """What became of a message."""

    ROUTED = "routed"
    """Confirmed: every queue that it went to has it."""
    RETURNED = "returned"
    """No queue takes messages of that routing key; nothing is kept."""
    NACKED = "nacked"
    """The broker would not have it, such as a full queue that rejects."""
    UNKNOWN = "unknown"
    """Sent, and never confirmed: it may be there."""


class Published(_Result, frozen=True, kw_only=True, omit_defaults=True):
    """One message's outcome, in the order of the call."""

    message_id: str
    outcome: PublishOutcome
    reason: str = ""


class PublishResult(_Result, frozen=True, kw_only=True):
    """Answer of `publish`."""

    results: tuple[Published, ...]
    routed: int
    returned: int
    nacked: int
    unknown: int


class ReceivedMessage(_Result, frozen=True, kw_only=True, omit_defaults=True):
    """One message, leased: `payload` if it is JSON, `text` if it is text, `bodyBase64` otherwise."""

    handle: str
    lease_seconds: float
    exchange: str
    routing_key: str
    size: int
    redelivered: bool = False
    delivery_count: int | None = None
    """How often it was handed out and came back before, where the queue counts."""
    message_id: str = ""
    content_type: str = ""
    payload: Any | UnsetType = UNSET
    text: str | UnsetType = UNSET
    body_base64: str | UnsetType = UNSET
    too_large: bool = False
    """True if the body is left out: it is larger than the Connector lets through."""
    headers: dict[str, Any] = {}
    correlation_id: str = ""
    reply_to: str = ""
    type: str = ""
    traceparent: str = ""
    deaths: tuple[dict[str, Any], ...] = ()
    """Which queues it died in, the last one first, and why."""


class ReceiveResult(_Result, frozen=True, kw_only=True):
    """Answer of `receive`; none, if nothing came."""

    messages: tuple[ReceivedMessage, ...]
    count: int


class HandleOutcome(StrEnum):
    """What became of a lease."""

    DONE = "done"
    LOST = "lost"
    """It had expired or its channel was gone; the message comes again."""
    UNKNOWN_HANDLE = "unknownHandle"
    UNKNOWN = "unknown"
    """Sent, and then the channel broke: the message may come again."""


class Settled(_Result, frozen=True, kw_only=True):
    """One handle's outcome, in the order of the call."""

    handle: str
    outcome: HandleOutcome


class SettleResult(_Result, frozen=True, kw_only=True):
    """Answer of `ack`, `nack` and `extend`."""

    results: tuple[Settled, ...]
    done: int


class SubscribeResult(_Result, frozen=True, kw_only=True):
    """Answer of `subscribe`: receive from `queue`."""

    queue: str
    created: bool
    expires_seconds: float
    max_messages: int
    max_bytes: int


class Declared(_Result, frozen=True, kw_only=True):
    """One thing that is there now."""

    kind: str
    name: str
    created: bool | None
    """None for a binding: the broker does not say."""


class DeclareResult(_Result, frozen=True, kw_only=True):
    """Answer of `declare`."""

    declared: tuple[Declared, ...]


class InspectResult(_Result, frozen=True, kw_only=True):
    """Answer of `inspect` and `dead_letters_count`."""

    queue: str
    ready: int
    """Messages that wait; those that are leased somewhere are not among them."""
    consumers: int
    """On a quorum queue, whoever holds a message that it has asked for by itself is one, too."""
    held: int
    """Messages of this queue that this agent holds."""


class LookResult(_Result, frozen=True, kw_only=True):
    """Answer of `dead_letters_look`."""

    messages: tuple[ReceivedMessage, ...]
    count: int
    cost: str
    """What the look has cost."""


class ReplayOutcome(StrEnum):
    """What became of a dead letter."""

    REPLAYED = "replayed"
    RETURNED = "returned"
    NACKED = "nacked"
    UNKNOWN = "unknown"
    """Sent, and never confirmed: it may be in both queues."""
    REFUSED = "refused"
    """Its destination is not permitted, or cannot be told, or its body is not kept."""


class Replayed(_Result, frozen=True, kw_only=True, omit_defaults=True):
    """One dead letter; what was not replayed is in the dead-letter queue again."""

    outcome: ReplayOutcome
    message_id: str = ""
    exchange: str = ""
    routing_key: str = ""
    reason: str = ""


class ReplayResult(_Result, frozen=True, kw_only=True):
    """Answer of `dead_letters_replay`."""

    results: tuple[Replayed, ...]
    replayed: int


class DropResult(_Result, frozen=True, kw_only=True):
    """Answer of `dead_letters_drop` and `unsubscribe`."""

    dropped: int
