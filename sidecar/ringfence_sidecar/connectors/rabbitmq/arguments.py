"""What the operations take."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

_NAMES = "^[-a-zA-Z0-9_.:@#,/+ ]*$"
"""What the driver lets through as the name of a queue or an exchange."""
Name = Annotated[str, Meta(min_length=1, max_length=255, pattern=_NAMES)]
Exchange = Annotated[str, Meta(min_length=1, max_length=127, pattern=_NAMES)]
ExchangeOrDefault = Annotated[str, Meta(max_length=127, pattern=_NAMES)]
Key = Annotated[str, Meta(max_length=255)]
Short = Annotated[str, Meta(max_length=255)]
Handle = Annotated[str, Meta(min_length=1, max_length=64)]
Handles = Annotated[tuple[Handle, ...], Meta(min_length=1, max_length=10_000)]
Seconds = Annotated[float, Meta(gt=0)]
_Bound = Annotated[int, Meta(ge=1, le=2**53)]
HeaderName = Annotated[str, Meta(max_length=128)]
Scalar = str | int | bool
"""The driver would send a float with half its digits: those are written as text."""
Headers = Annotated[dict[HeaderName, Scalar], Meta(max_length=64)]


class _Arguments(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pass


class OutgoingMessage(_Arguments, frozen=True, kw_only=True):
    """One message: either `payload`, sent as JSON, or `bodyBase64`."""

    exchange: ExchangeOrDefault
    """Empty: the default exchange, where routingKey is the name of a queue."""
    routing_key: Key = ""
    payload: Any | UnsetType = UNSET
    body_base64: str | UnsetType = UNSET
    content_type: Short = ""
    """application/json for a payload, application/octet-stream for bytes, unless given."""
    message_id: Annotated[str, Meta(max_length=128)] = ""
    """Give one to have the message tried again elsewhere; consumers can tell a second copy by it."""
    headers: Headers = {}
    persistent: bool = True
    expiration_seconds: Annotated[float, Meta(ge=0, le=4_294_967)] | None = None
    priority: Annotated[int, Meta(ge=0, le=255)] | None = None
    correlation_id: Short = ""
    reply_to: Short = ""
    type: Short = ""


class Publish(_Arguments, frozen=True, kw_only=True):
    """Arguments of `publish`."""

    messages: Annotated[tuple[OutgoingMessage, ...], Meta(min_length=1, max_length=10_000)]


class Receive(_Arguments, frozen=True, kw_only=True):
    """Arguments of `receive`."""

    queue: Name
    count: Annotated[int, Meta(ge=1, le=10_000)] = 1
    """Most messages to take."""
    wait_seconds: Annotated[float, Meta(ge=0, le=300)] = 0.0
    """How long to wait for the first message."""
    lease_seconds: Seconds | None = None
    """How long the messages are yours before they go back to the queue."""
    filter: Any = None
    """Always refused: a queue hands out what comes next. Use subscribe for a queue that is filled by a filter."""


class Settle(_Arguments, frozen=True, kw_only=True):
    """Arguments of `ack`."""

    handles: Handles


class Nack(_Arguments, frozen=True, kw_only=True):
    """Arguments of `nack`."""

    handles: Handles
    requeue: bool = True
    """False sends the messages to the queue's dead-letter exchange; without one, the broker drops them."""


class Extend(_Arguments, frozen=True, kw_only=True):
    """Arguments of `extend`."""

    handles: Handles
    lease_seconds: Seconds | None = None
    """How long from now."""


class HeadersFilter(_Arguments, frozen=True, kw_only=True):
    """Headers that a message must have, for an exchange of type headers."""

    match: Literal["all", "any"] = "all"
    headers: Annotated[dict[HeaderName, Scalar], Meta(min_length=1, max_length=32)]


class Subscribe(_Arguments, frozen=True, kw_only=True):
    """Arguments of `subscribe`."""

    exchange: Exchange
    routing_key: Key | None = None
    """Pattern of routing keys: a topic exchange knows * for one word and # for any number of them."""
    headers: HeadersFilter | None = None
    name: Annotated[str, Meta(pattern="^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$")] = ""
    """Name of the subscription, to find it again; without one, it is made from the filter."""
    queue: str | None = None
    """Always refused: what is in a queue already cannot be filtered."""


class Unsubscribe(_Arguments, frozen=True, kw_only=True):
    """Arguments of `unsubscribe`."""

    queue: Name
    """As subscribe has answered it."""


class QueueDeclaration(_Arguments, frozen=True, kw_only=True):
    """A queue that is to be there."""

    name: Name
    type: Literal["quorum", "classic"] = "quorum"
    durable: bool = True
    dead_letter_exchange: ExchangeOrDefault | None = None
    dead_letter_routing_key: Key | None = None
    delivery_limit: Annotated[int, Meta(ge=-1, le=1_000_000)] | None = None
    """After so many returns a message is dead-lettered, or dropped; quorum queues only. -1: never, which a queue of
    dead letters needs to be looked at. Without one, RabbitMQ has 20 from version 4 on, and none before."""
    message_ttl_seconds: Annotated[float, Meta(ge=0, le=2_592_000)] | None = None
    expires_seconds: Annotated[float, Meta(ge=1, le=2_592_000)] | None = None
    """Unused for so long, the queue goes."""
    max_length: _Bound | None = None
    max_length_bytes: _Bound | None = None
    overflow: Literal["drop-head", "reject-publish"] | None = None
    single_active_consumer: bool = False


class ExchangeDeclaration(_Arguments, frozen=True, kw_only=True):
    """An exchange that is to be there."""

    name: Exchange
    type: Literal["direct", "topic", "fanout", "headers"] = "topic"
    durable: bool = True
    alternate_exchange: Exchange | None = None
    """Where messages go that match no binding."""


class BindingDeclaration(_Arguments, frozen=True, kw_only=True):
    """A binding that is to be there: from an exchange to either a queue or an exchange."""

    source: Exchange
    queue: Name | None = None
    exchange: Exchange | None = None
    routing_key: Key = ""
    headers: HeadersFilter | None = None


class Declare(_Arguments, frozen=True, kw_only=True):
    """Arguments of `declare`: what is given is seen to in this order."""

    exchange: ExchangeDeclaration | None = None
    queue: QueueDeclaration | None = None
    binding: BindingDeclaration | None = None


class Inspect(_Arguments, frozen=True, kw_only=True):
    """Arguments of `inspect`."""

    queue: Name


class LookAtDeadLetters(_Arguments, frozen=True, kw_only=True):
    """Arguments of `dead_letters_look`."""

    queue: Name
    count: Annotated[int, Meta(ge=1, le=10_000)] = 10
    lease_seconds: Seconds | None = None


class ReplayDeadLetters(_Arguments, frozen=True, kw_only=True):
    """Arguments of `dead_letters_replay`: the next `count` of `queue`, or those that `handles` hold."""

    queue: Name | None = None
    count: Annotated[int, Meta(ge=1, le=10_000)] = 10
    handles: Annotated[tuple[Handle, ...], Meta(max_length=10_000)] = ()
    exchange: ExchangeOrDefault | None = None
    """Where to; without it, each goes back to the queue that it died in."""
    routing_key: Key | None = None
    """Without it, the one that the message had."""


class DropDeadLetters(_Arguments, frozen=True, kw_only=True):
    """Arguments of `dead_letters_drop`: those that `handles` hold, or all that are ready in `queue`."""

    queue: Name | None = None
    all: bool = False
    handles: Annotated[tuple[Handle, ...], Meta(max_length=10_000)] = ()
