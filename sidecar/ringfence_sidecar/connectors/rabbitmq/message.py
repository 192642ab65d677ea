"""Messages as the agent writes and reads them, and as AMQP carries them."""

import base64
import binascii
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from aiormq.abc import DeliveredMessage
from aiormq.abc import FieldTable as Table
from pamqp.commands import Basic

from ringfence_sidecar.call import Context, Trace
from ringfence_sidecar.connectors.rabbitmq.arguments import OutgoingMessage
from ringfence_sidecar.connectors.rabbitmq.leases import Lease
from ringfence_sidecar.connectors.rabbitmq.results import ReceivedMessage
from ringfence_sidecar.errors import InvalidArgumentsError

_TRACE = frozenset({"traceparent", "tracestate"})
COPIES = frozenset({"cc", "bcc"})
"""Headers by which a publisher has the broker route copies past what was judged."""
_JSON = "application/json"
_MOST_VALUES = 100_000
"""Of a payload that is shown as JSON: in memory, each is many times what it is in the body."""
_MOST_HEADER_BYTES = 32_768
"""All of a message's properties go into one frame of AMQP: a broker ends the connection for a larger one."""
_DEATH = ("queue", "reason", "exchange", "routing-keys", "count")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that is ready to be sent."""

    exchange: str
    routing_key: str
    body: bytes
    properties: Basic.Properties

    @property
    def message_id(self) -> str:
        """What consumers can tell a second copy by."""
        return str(self.properties.message_id)

    def mark(self, trace: Trace) -> None:
        """Carry the W3C trace context of the attempt that sends it."""
        self.properties.headers = {**(self.properties.headers or {}), "traceparent": trace.traceparent}
        if trace.state:
            self.properties.headers["tracestate"] = trace.state


def encode(message: OutgoingMessage, context: Context, *, most_bytes: int, field: str) -> Outgoing:
    """Return what is to be sent. Raises InvalidArgumentsError; `field` is where the message stands."""
    body, content_type = _body(message, field)
    if len(body) > most_bytes:
        raise InvalidArgumentsError(
            f"the body has {len(body)} bytes, and {most_bytes} are permitted: send a reference to it instead",
            field=field,
        )
    if message.reply_to.startswith("amq."):
        raise InvalidArgumentsError("a reply goes to a queue of a name of its own", field=f"{field}.replyTo")
    expiration = message.expiration_seconds
    properties = Basic.Properties(
        content_type=message.content_type or content_type,
        headers=_headers(message.headers, field),
        delivery_mode=2 if message.persistent else 1,
        priority=message.priority,
        correlation_id=message.correlation_id or None,
        reply_to=message.reply_to or None,
        expiration=None if expiration is None else str(round(expiration * 1000)),
        message_id=message.message_id or uuid.uuid4().hex,
        message_type=message.type or None,
        app_id=f"ringfence/{context.agent.namespace}/{context.agent.name}"[:255],
    )
    return Outgoing(message.exchange, message.routing_key, body, properties)


def _body(message: OutgoingMessage, field: str) -> tuple[bytes, str]:
    if (message.payload is msgspec.UNSET) == (message.body_base64 is msgspec.UNSET):
        raise InvalidArgumentsError("give either payload, sent as JSON, or bodyBase64", field=field)
    if isinstance(message.body_base64, str):
        try:
            return base64.b64decode(message.body_base64, validate=True), "application/octet-stream"
        except binascii.Error:
            raise InvalidArgumentsError("this is no base64 (RFC 4648)", field=f"{field}.bodyBase64") from None
    try:
        return msgspec.json.encode(message.payload), _JSON
    except UnicodeEncodeError:
        raise InvalidArgumentsError("the payload has text that UTF-8 cannot write", field=f"{field}.payload") from None


def _headers(headers: Mapping[str, Any], field: str) -> Table:
    size = 0
    for name, value in headers.items():
        if name.lower() in _TRACE | COPIES or name.lower().startswith("x-"):
            raise InvalidArgumentsError(
                f"header {name!r} is the broker's or the sidecar's: write another name", field=f"{field}.headers"
            )
        size += len(name) + len(str(value).encode())
    if size > _MOST_HEADER_BYTES:
        raise InvalidArgumentsError(
            f"headers have {size} bytes, and {_MOST_HEADER_BYTES} fit: put it into the body", field=f"{field}.headers"
        )
    return dict(headers)


def received(lease: Lease, message: DeliveredMessage, seconds: float, *, most_bytes: int) -> ReceivedMessage:
    """Return what the agent is shown of a message that it holds."""
    properties = message.header.properties
    headers = dict(properties.headers or {})
    delivery_count = headers.pop("x-delivery-count", None)
    deaths = headers.pop("x-death", None)
    size = message.header.body_size
    is_large = size > most_bytes
    return ReceivedMessage(
        handle=lease.handle,
        lease_seconds=seconds,
        exchange=message.exchange or "",
        routing_key=message.routing_key or "",
        size=size,
        redelivered=bool(message.redelivered),
        delivery_count=delivery_count if isinstance(delivery_count, int) else None,
        message_id=properties.message_id or "",
        content_type=properties.content_type or "",
        too_large=is_large,
        headers={name: readable(value) for name, value in headers.items()},
        correlation_id=properties.correlation_id or "",
        reply_to=properties.reply_to or "",
        type=properties.message_type or "",
        traceparent=str(headers.get("traceparent") or ""),
        deaths=tuple(_death(death) for death in deaths) if isinstance(deaths, list) else (),
        **({} if is_large else _shown(message.body, properties.content_type or "")),
    )


def _shown(body: bytes, content_type: str) -> dict[str, Any]:
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if (kind == _JSON or kind.endswith("+json")) and _values(body) <= _MOST_VALUES:
            return {"payload": msgspec.json.decode(body)}
        if kind.startswith("text/"):
            return {"text": body.decode()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # what its sender says of it is not so
    return {"body_base64": base64.b64encode(body).decode()}


def _values(body: bytes) -> int:
    """Return how many values there are in it at most, if it is JSON."""
    return sum(map(body.count, (b",", b"[", b"{"))) + 1


def _death(death: Any) -> dict[str, Any]:
    if not isinstance(death, dict):
        return {}
    return {name: readable(death[name]) for name in _DEATH if name in death}


def readable(value: Any) -> Any:
    """Return a value of AMQP in JSON's terms."""
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {str(name): readable(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [readable(part) for part in value]
    return value
