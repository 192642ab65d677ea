"""The in-process layer: bounded by bytes, with three ways to choose what goes."""

from collections import OrderedDict
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from time import monotonic
from typing import Generic, Protocol, TypeVar

V = TypeVar("V")

_OVERHEAD = 200
"""About what a key and its bookkeeping take, in bytes."""
_SLACK = 4
"""Records of a heap per entry that is there, before the heap is made anew."""


class Order(Protocol):
    """Knows which entry is to go first."""

    def put(self, key: str, expires: float) -> None:
        """Take note of a new entry."""

    def used(self, key: str) -> None:
        """Take note that it was served."""

    def drop(self, key: str) -> None:
        """Forget it."""

    def first(self) -> str:
        """Return the one that goes first. Raises KeyError if there is none."""


class Recency:
    """LRU: the one that was not asked for the longest goes first."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, None] = OrderedDict()

    def put(self, key: str, expires: float) -> None:  # noqa: ARG002 - the Protocol's
        """Take note of a new entry."""
        self._keys[key] = None
        self._keys.move_to_end(key)

    def used(self, key: str) -> None:
        """Take note that it was served."""
        self._keys.move_to_end(key)

    def drop(self, key: str) -> None:
        """Forget it."""
        self._keys.pop(key, None)

    def first(self) -> str:
        """Return the one that goes first. Raises KeyError if there is none."""
        for key in self._keys:
            return key
        raise KeyError("there is no entry")


class _Ranked:
    """Keeps keys by a rank that may change: a heap whose outdated records are skipped."""

    def __init__(self) -> None:
        self._ranks: dict[str, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, str]] = []
        self._clock = 0

    def rank(self, key: str, rank: float) -> None:
        self._clock += 1
        self._ranks[key] = (rank, self._clock)
        heappush(self._heap, (rank, self._clock, key))
        if len(self._heap) > _SLACK * len(self._ranks) + _SLACK:
            self._heap = [(rank, clock, key) for key, (rank, clock) in self._ranks.items()]
            heapify(self._heap)

    def drop(self, key: str) -> None:
        self._ranks.pop(key, None)

    def first(self) -> str:
        while self._heap:
            rank, clock, key = self._heap[0]
            if self._ranks.get(key) == (rank, clock):
                return key
            heappop(self._heap)
        raise KeyError("there is no entry")


class Frequency(_Ranked):
    """LFU: the one that was served least often goes first, among equals the oldest."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, int] = {}

    def put(self, key: str, expires: float) -> None:  # noqa: ARG002 - the Protocol's
        """Take note of a new entry; one that takes another's place keeps its count."""
        self._counts.setdefault(key, 0)
        self.rank(key, self._counts[key])

    def used(self, key: str) -> None:
        """Take note that it was served."""
        self._counts[key] += 1
        self.rank(key, self._counts[key])

    def drop(self, key: str) -> None:
        """Forget it."""
        super().drop(key)
        self._counts.pop(key, None)


class Expiry(_Ranked):
    """TTL: the one that would expire first goes first, however often it is asked for."""

    def put(self, key: str, expires: float) -> None:
        """Take note of a new entry."""
        self.rank(key, expires)

    def used(self, key: str) -> None:
        """Nothing changes."""


_ORDERS: dict[str, Callable[[], Order]] = {"LRU": Recency, "LFU": Frequency, "TTL": Expiry}


class LocalCache(Generic[V]):
    """Values under keys, each with a size and an end.

    `max_bytes` bounds what values and keys take; a value that does not fit is not kept.
    """

    def __init__(
        self,
        *,
        eviction: str,
        max_bytes: int,
        clock: Callable[[], float] = monotonic,
        on_gone: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._order = _ORDERS[eviction]()
        self._max_bytes = max_bytes
        self._clock = clock
        self._on_gone = on_gone
        """Told of each key whose value is forgotten, and not of one whose value is replaced."""
        self._entries: dict[str, tuple[V, int, float]] = {}
        self.bytes = 0
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> V | None:
        """Return the value if it is there and not at its end."""
        found = self._entries.get(key)
        if found is None:
            return None
        value, _, expires = found
        if expires <= self._clock():
            self.drop(key)
            return None
        self._order.used(key)
        return value

    def put(self, key: str, value: V, *, size: int, seconds: float) -> None:
        """Keep `value` for so long, or until another needs its place."""
        size += len(key) + _OVERHEAD
        if key in self._entries:
            self.bytes -= self._entries.pop(key)[1]
        if size > self._max_bytes or seconds <= 0:
            self._order.drop(key)
            self._on_gone(key)
            return
        expires = self._clock() + seconds
        self._make_room(size, but=key)
        self._entries[key] = (value, size, expires)
        self._order.put(key, expires)
        self.bytes += size

    def _make_room(self, size: int, *, but: str) -> None:
        # Before the new one is put into the order: the least often used would always be that one.
        while self.bytes + size > self._max_bytes:
            first = self._order.first()
            if first == but:  # its old value is gone already
                self._order.drop(first)
                continue
            self.drop(first)
            self.evictions += 1

    def drop(self, key: str) -> None:
        """Forget the value."""
        found = self._entries.pop(key, None)
        if found is not None:
            self.bytes -= found[1]
            self._order.drop(key)
            self._on_gone(key)

    def resize(self, max_bytes: int) -> None:
        """Keep no more than this from now on; what goes first goes at once."""
        self._max_bytes = max_bytes
        while self.bytes > max_bytes:
            self.drop(self._order.first())
            self.evictions += 1

    def clear(self) -> None:
        """Forget everything."""
        for key in list(self._entries):
            self.drop(key)
