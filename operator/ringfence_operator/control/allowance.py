"""What one source address may ask of the sidecars' server, counted before anything is paid for it. Pure."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MOST_OPEN = 8
"""Connections of one address at once: a sidecar needs one, and another for a moment."""
MOST_STRANGE = 256
"""Connections at once of all addresses that no sidecar is known to have; those that are known have theirs besides."""
MOST_OPEN_OF_ALL = 16_384
NEW_PER_SECOND, NEW_AT_ONCE = 10.0, 20.0
"""Connections of one address. A handshake costs a millisecond."""
REQUESTS_PER_SECOND, REQUESTS_AT_ONCE = 10.0, 20.0
MOST_ADDRESSES = 16_384


@dataclass(slots=True)
class Bucket:
    """Tokens that come at a rate, up to a number."""

    rate: float
    most: float
    tokens: float
    at: float

    def has(self, now: float) -> bool:
        """Return True if there is one to take."""
        self.tokens = min(self.most, self.tokens + (now - self.at) * self.rate)
        self.at = now
        return self.tokens >= 1

    def take(self, now: float) -> bool:
        """Take one; return False if there is none."""
        if not self.has(now):
            return False
        self.tokens -= 1
        return True

    def borrow(self, now: float) -> float:
        """Take one that may not be there yet; return the seconds until it is."""
        self.has(now)
        self.tokens -= 1
        return max(0.0, -self.tokens / self.rate)


@dataclass(slots=True)
class _Source:
    new: Bucket
    requests: Bucket
    open: int = 0


class Allowance:
    """Counts by source address. Of those that have nothing open, only the latest are remembered."""

    def __init__(self, *, clock: Callable[[], float], is_known: Callable[[str], bool]) -> None:
        self._clock: Final = clock
        self._is_known: Final = is_known
        self._sources: OrderedDict[str, _Source] = OrderedDict()
        self._open = 0
        self._strange = 0

    def open(self, address: str) -> bool | None:
        """Count a connection; return whether its address is known, to be given back at `close`, or None if too many."""
        source = self._source(address)
        if not source.new.take(self._clock()) or self._open >= MOST_OPEN_OF_ALL:
            return None
        is_known = self._is_known(address)
        if not is_known:
            if self._strange >= MOST_STRANGE:
                return None
            self._strange += 1
        source.open += 1
        self._open += 1
        return is_known

    def may_open(self, address: str) -> bool:
        """Return True if the address may open a connection now, without counting one."""
        return self._source(address).new.has(self._clock())

    def close(self, address: str, *, is_known: bool) -> None:
        """A connection that `open` counted is closed; `is_known` is what `open` returned."""
        self._sources[address].open -= 1
        self._open -= 1
        if not is_known:
            self._strange -= 1

    def request(self, address: str) -> bool:
        """Count a request; return False if it is one too many."""
        return self._source(address).requests.take(self._clock())

    @property
    def connections(self) -> int:
        """How many are open."""
        return self._open

    def _source(self, address: str) -> _Source:
        found = self._sources.get(address)
        if found is None:
            self._make_room()
            now = self._clock()
            new = Bucket(NEW_PER_SECOND, NEW_AT_ONCE, NEW_AT_ONCE, now)
            requests = Bucket(REQUESTS_PER_SECOND, REQUESTS_AT_ONCE, REQUESTS_AT_ONCE, now)
            found = self._sources[address] = _Source(new, requests)
        else:
            self._sources.move_to_end(address)
        return found

    def _make_room(self) -> None:
        if len(self._sources) < MOST_ADDRESSES:
            return
        # One that has something open is never forgotten; there are at most as many as connections.
        idle = next((address for address, source in self._sources.items() if not source.open), None)
        if idle is not None:
            del self._sources[idle]
