"""What an agent may ask of the broker at once."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

LONGEST_LEASE = 1_500.0
"""Seconds: the broker closes a channel on which a delivery is older than its `consumer_timeout`, 30 minutes."""

MOST_BYTES = 33_554_432
"""Bodies that one receive brings at most, and those that are kept of dead letters looked at."""

_Count = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=LONGEST_LEASE)]


class Limits(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The Connector's `limits`. What other kinds and the framework read of them is not looked at."""

    prefetch: _Count = 32
    """Messages that one receive may hold back for its agent."""
    message_bytes: Annotated[int, msgspec.Meta(ge=1)] = 1_048_576
    """Size of a message's body, of those published and of those shown."""
    lease_seconds: _Seconds = 60.0
    """How long a lease lasts where the call does not say."""
    max_lease_seconds: _Seconds = 600.0
    batch: _Count = 100
    """Messages, or handles, of one call."""
    leases: _Count = 256
    """Messages that an agent may hold at once."""
    subscriptions: _Count = 16
    """Queues of its own that an agent may have made."""

    @property
    def together(self) -> int:
        """Messages that one receive may bring: as many as have room if each is as large as may be, at least one."""
        return max(1, min(self.prefetch, MOST_BYTES // self.message_bytes))


def decode(limits: Mapping[str, Any]) -> Limits:
    """Return what the Connector says. Raises msgspec.ValidationError."""
    return msgspec.convert(dict(limits), Limits)
