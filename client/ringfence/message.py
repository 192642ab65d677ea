"""Messages that a broker has handed out."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    """One message, leased: nobody else gets it until it is settled or the lease ends."""

    handle: str
    payload: Any
    """JSON's value if it is JSON, text if it is text, bytes otherwise; None if it is `too_large`."""
    lease_seconds: float
    """How long it is yours, from when it came."""
    exchange: str
    routing_key: str
    size: int
    redelivered: bool = False
    delivery_count: int | None = None
    """How often it was handed out and came back before, where the queue counts."""
    message_id: str = ""
    content_type: str = ""
    too_large: bool = False
    """True if its body is larger than the Connector lets through."""
    headers: Mapping[str, Any] = field(default_factory=dict)
    correlation_id: str = ""
    reply_to: str = ""
    type: str = ""
    traceparent: str = ""
    """Whose work it is part of: `rf.trace("…", parent=message.traceparent)`."""

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Message":
        """Return what `receive` says of a message."""
        return cls(
            handle=found["handle"],
            payload=_payload(found),
            lease_seconds=found["leaseSeconds"],
            exchange=found["exchange"],
            routing_key=found["routingKey"],
            size=found["size"],
            redelivered=found.get("redelivered", False),
            delivery_count=found.get("deliveryCount"),
            message_id=found.get("messageId", ""),
            content_type=found.get("contentType", ""),
            too_large=found.get("tooLarge", False),
            headers=found.get("headers", {}),
            correlation_id=found.get("correlationId", ""),
            reply_to=found.get("replyTo", ""),
            type=found.get("type", ""),
            traceparent=found.get("traceparent", ""),
        )


def _payload(found: Mapping[str, Any]) -> Any:
    if "bodyBase64" in found:
        return base64.b64decode(found["bodyBase64"])
    return found["payload"] if "payload" in found else found.get("text")
