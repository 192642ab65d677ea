"""What the control process says of one agent's pod: how much more may pass, and how many connections may be open."""

import json
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What holds for the connections of one pod."""

    uid: str
    """The pod's."""
    agent: str
    """UID of the agent; what a pod of it used before counts as its use, too."""
    address: str
    left: int | None
    """How many bytes more may pass all replicas together, None without a limit."""
    totals: dict[str, int]
    """By meter: what it had counted for the agent when `left` was worked out."""
    connections: int | None
    """How many may be open on all replicas together, None without a limit."""
    replicas: tuple[str, ...]
    """Those that share `connections`."""
    words: str
    """What is said to whom is refused, where the protocol has words."""
    retry_after: int
    """Seconds, for the same."""

    @classmethod
    def from_wire(cls, wire: Any) -> "Orders":
        """Return what the JSON `wire` says. Raises ValueError saying what is wrong."""
        try:
            return cls(
                uid=str(wire["uid"]),
                agent=str(wire["agent"]),
                address=str(ip_address(wire["address"])),
                left=None if wire["left"] is None else int(wire["left"]),
                totals={str(meter): int(total) for meter, total in wire["totals"].items()},
                connections=None if wire["connections"] is None else int(wire["connections"]),
                replicas=tuple(str(each) for each in wire["replicas"]),
                words=str(wire["words"]),
                retry_after=int(wire["retryAfter"]),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a meter's orders: {error!r}") from error

    @classmethod
    def from_json(cls, text: bytes) -> "Orders":
        """Return what the JSON `text` says. Raises ValueError saying what is wrong."""
        return cls.from_wire(json.loads(text))

    def share(self, replica: str) -> int | None:
        """Return how many connections one replica may have open: shares differ by one at most, and add up."""
        if self.connections is None:
            return None
        if replica not in self.replicas:
            return 0
        each, more = divmod(self.connections, len(self.replicas))
        return each + (sorted(self.replicas).index(replica) < more)
