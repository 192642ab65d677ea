"""What quotas leave an agent of the network: bytes and connections. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ringfence_operator.api.quantity import canonical_quantity, parse_quantity
from ringfence_operator.api.quota import Limit
from ringfence_operator.api.quota_matrix import Enforcement, Resource, Scope


@dataclass(frozen=True, slots=True)
class Held:
    """A limit on the network that holds for an agent, and whose it is."""

    namespace: str
    quota: str
    uid: str
    limit: Limit

    @property
    def max(self) -> int:
        """The most, as a number."""
        return int(parse_quantity(self.limit.max))

    @property
    def bucket(self) -> tuple[str, str]:
        """What tells its use from that of other limits."""
        return self.uid, self.limit.id


class Usage(Protocol):
    """What has been used of a limit, by whom it counts."""

    def used(self, held: Held, agent: str, *, now: datetime) -> int:
        """Return the bytes that count against the limit for the agent with this UID."""

    def frees_at(self, held: Held, agent: str, *, now: datetime) -> datetime | None:
        """Return when something of it counts no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What is left to an agent; None where nothing limits it."""

    bytes: int | None = None
    connections: int | None = None
    words: str = ""
    """Of the limit that leaves least, or of the one on connections where none is on bytes."""
    resets_at: datetime | None = None
    """When there is more, where nothing is left."""
    is_told_before: bool = False
    """True if it is what a status said: an operator that begins does not know yet."""

    @property
    def is_spent(self) -> bool:
        """True if no byte more may pass."""
        return self.bytes == 0


def allowed(limits: Sequence[Held], agent: str, usage: Usage, *, now: datetime) -> Allowed:
    """Return what all the limits leave to the agent with this UID: the strictest wins."""
    hard = [each for each in limits if each.limit.enforcement is Enforcement.HARD]
    on_bytes = [
        (max(0, each.max - usage.used(each, agent, now=now)), each) for each in _of(hard, Resource.NETWORK_BYTES)
    ]
    least = min(on_bytes, key=lambda it: it[0], default=None)
    fewest = min(_of(hard, Resource.NETWORK_CONNECTIONS), key=lambda it: it.max, default=None)
    connections = fewest.max if fewest else None
    if least is None:
        words = f"{_limit(fewest)} are open: close some first" if fewest else ""
        return Allowed(connections=connections, words=words)
    left, held = least
    if left:
        words = f"{_limit(fewest)} are open: close some first" if fewest else f"{_limit(held)} are used up"
        return Allowed(bytes=left, connections=connections, words=words)
    resets_at = usage.frees_at(held, agent, now=now)
    more = f"; there is more at {resets_at:%Y-%m-%dT%H:%M:%SZ}" if resets_at else ""
    return Allowed(bytes=0, connections=connections, words=f"{_limit(held)} are used up{more}", resets_at=resets_at)


def _of(limits: Iterable[Held], resource: Resource) -> list[Held]:
    return [each for each in limits if each.limit.resource is resource]


def _limit(held: Held) -> str:
    limit = held.limit
    window = "" if limit.resource is Resource.NETWORK_CONNECTIONS else f" per {limit.window}"
    shared = " of all its agents together" if limit.scope is Scope.SHARED else ""
    return f"Quota {held.quota}: all {canonical_quantity(limit.max)} {limit.resource}{window}{shared}"
