"""An answer that is kept, and its form in Redis."""

import time
from dataclasses import dataclass

import msgspec

Generations = tuple[int, ...]
"""One for each tag, in the order of the tags' names."""


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """An encoded answer, when it was asked for, and the generations that its tags had just before."""

    body: bytes
    created: float
    """Wall-clock seconds: entries go from pod to pod."""
    generations: Generations

    def age(self, now: float | None = None) -> float:
        """Return its age in seconds, never below 0: clocks differ."""
        return max(0.0, (time.time() if now is None else now) - self.created)


@dataclass(frozen=True, slots=True)
class Lives:
    """How long an entry is fresh, may be served while it is renewed, and may be served for want of the backend."""

    ttl: float
    revalidating: float
    on_error: float

    @property
    def whole(self) -> float:
        """Seconds after which it is of no use."""
        return self.ttl + max(self.revalidating, self.on_error)


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Entry)


def encode(entry: Entry) -> bytes:
    """Return the form in Redis: MessagePack."""
    return _ENCODER.encode(entry)


def decode(body: bytes) -> Entry | None:
    """Return the entry; None if it is of another version, or none at all."""
    try:
        return _DECODER.decode(body)
    except msgspec.MsgspecError:
        return None
