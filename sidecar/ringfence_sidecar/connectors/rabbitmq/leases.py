"""Messages that the agent holds: deliveries that are not acknowledged, each on a channel of its own group."""

import asyncio
import contextlib
import dataclasses
import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel

from ringfence_sidecar.connectors.rabbitmq.limits import LONGEST_LEASE, MOST_BYTES
from ringfence_sidecar.errors import LeaseLostError, LimitedError, UnknownError
from ringfence_sidecar.grants import Held


@dataclass(slots=True, eq=False)
class Group:
    """What one call received, on one channel: if that goes, all of it goes back to the queue at once."""

    channel: Channel
    queue: str
    endpoint: str
    prefetch: int
    on_empty: Callable[["Group"], None]
    """Called when the call is over and nothing of it is held any longer."""
    leases: set["Lease"] = field(default_factory=set)
    is_receiving: bool = True
    is_lost: bool = False
    on_lost: Callable[[], None] | None = None
    """Wakes who waits for messages on it."""

    def finish(self) -> None:
        """Say that nothing more will be received."""
        self.is_receiving = False
        self._look()

    def remove(self, lease: "Lease") -> None:
        """Say that a lease is over."""
        self.leases.discard(lease)
        self._look()

    def _look(self) -> None:
        if not self.leases and not self.is_receiving and not self.is_lost:
            self.on_empty(self)


@dataclass(slots=True, eq=False)
class Lease:
    """One message that the agent holds."""

    handle: str
    group: Group
    tag: int
    taken_at: float
    """By the loop's clock."""
    message: DeliveredMessage | None
    """The dead letter itself, to be replayed, without its body if that was let go of; None for what was received."""
    timer: asyncio.TimerHandle | None = None
    held: Held | None = None
    """What a quota counts it in, as long as it lasts."""


class Leases:
    """All that one agent holds of one Connector."""

    def __init__(
        self, most: int, on_expiry: Callable[[Lease], None], on_end: Callable[[Lease], None] = lambda _: None
    ) -> None:
        self.most = most
        """How many there may be."""
        self._on_expiry = on_expiry
        self._on_end = on_end
        self._held: dict[str, Lease] = {}
        self._kept: dict[Lease, DeliveredMessage] = {}
        """Those whose bodies are kept, the oldest first."""
        self._reserved = 0
        self._streaming: set[Group] = set()

    def __len__(self) -> int:
        return len(self._held)

    def is_held(self, handle: str) -> bool:
        """Return True if the handle's lease has not ended."""
        return handle in self._held

    def held_of(self, queue: str) -> int:
        """Return how many messages of a queue are held."""
        return sum(lease.group.queue == queue for lease in self._held.values())

    def reserve(self, wanted: int) -> int:
        """Set room aside for up to so many, and return for how many. Raises LimitedError if there is none."""
        beside = sum(lease.group not in self._streaming for lease in self._held.values())
        room = min(wanted, self.most - beside - self._reserved)
        if room <= 0:
            raise LimitedError(
                f"{self.most} messages are held or being received, which is the limit: ack or nack some first",
                code="TooManyLeases",
            )
        self._reserved += room
        return room

    def release(self, room: int) -> None:
        """Give reserved room back."""
        self._reserved -= room

    @contextlib.contextmanager
    def streaming(self, group: Group) -> Iterator[None]:
        """Count the group's leases within the room that is set aside for it, and not once more, during the block."""
        self._streaming.add(group)
        try:
            yield
        finally:
            self._streaming.discard(group)

    def add(
        self,
        group: Group,
        message: DeliveredMessage,
        seconds: float,
        *,
        owner: str,
        keep: bool,
        held: Held | None = None,
    ) -> Lease:
        """Lease a message for so many seconds; `keep` keeps its content for a replay, as long as there is room."""
        if message.delivery_tag is None:
            raise AssertionError("a delivery without a tag")
        now = asyncio.get_running_loop().time()
        lease = Lease(_new_handle(owner), group, message.delivery_tag, now, message if keep else None, held=held)
        group.leases.add(lease)
        self._held[lease.handle] = lease
        if keep:
            self._keep(lease, message)
        self.extend(lease, seconds)
        return lease

    def find(self, handle: str, owner: str) -> Lease:
        """Return what a handle holds. Raises LeaseLostError for one of before, UnknownError for any other."""
        if (lease := self._held.get(handle)) is not None:
            return lease
        random, _, mark = handle.rpartition(".")
        if secrets.compare_digest(mark.encode(), _mark(random, owner).encode()):
            raise LeaseLostError(
                "the lease is over: settled before, expired, or its channel is gone; in the latter cases the message "
                "comes again: receive once more"
            )
        raise UnknownError("no lease has this handle: write one that receive has answered")

    def extend(self, lease: Lease, seconds: float) -> float:
        """Have the lease end so many seconds from now, or when it must; return how many it has."""
        loop = asyncio.get_running_loop()
        if lease.timer is not None:
            lease.timer.cancel()
        seconds = max(0.0, min(seconds, lease.taken_at + LONGEST_LEASE - loop.time()))
        lease.timer = loop.call_later(seconds, self._expire, lease)
        return seconds

    def take(self, lease: Lease) -> None:
        """End a lease; whoever does so settles the message."""
        if self._held.pop(lease.handle, None) is None:
            return
        if lease.timer is not None:
            lease.timer.cancel()
        self._kept.pop(lease, None)
        self._on_end(lease)

    def lose(self, group: Group) -> None:
        """End all leases of a group whose channel is gone."""
        group.is_lost = True
        if group.on_lost is not None:
            group.on_lost()
        for lease in group.leases:
            self.take(lease)
        group.leases.clear()

    def _keep(self, lease: Lease, message: DeliveredMessage) -> None:
        self._kept[lease] = message
        size = sum(len(each.body) for each in self._kept.values())
        for oldest, each in list(self._kept.items())[:-1]:
            if size <= MOST_BYTES:
                break
            oldest.message = without_body(self._kept.pop(oldest))
            size -= len(each.body)

    def _expire(self, lease: Lease) -> None:
        self.take(lease)
        self._on_expiry(lease)


def without_body(message: DeliveredMessage) -> DeliveredMessage:
    """Return the message without its body; its header still says how large that was."""
    return dataclasses.replace(message, body=b"")


def is_whole(message: DeliveredMessage) -> bool:
    """Return True if its body is there."""
    return len(message.body) == message.header.body_size


def _new_handle(owner: str) -> str:
    random = secrets.token_urlsafe(18)
    return f"{random}.{_mark(random, owner)}"


def _mark(random: str, owner: str) -> str:
    """Tells an agent's own old handles from what was never one; what opens a lease is the random part."""
    return hashlib.blake2b(f"{owner}\0{random}".encode(), digest_size=4).hexdigest()
