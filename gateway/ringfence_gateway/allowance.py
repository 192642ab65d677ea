"""How many queries a port set, and each source in it, may ask."""

from dataclasses import dataclass, field

PER_SECOND, BURST = 5_000.0, 10_000.0
PER_SECOND_AND_SOURCE, BURST_OF_SOURCE = 1_000.0, 2_000.0
MOST_SOURCES = 1_024


@dataclass(slots=True)
class Bucket:
    """A token bucket: `rate` a second, and `most` at once."""

    rate: float
    most: float
    level: float
    filled: float
    """When `level` was right."""

    def take(self, now: float) -> bool:
        """Return True and take a token if there is one."""
        self.level = min(self.most, self.level + (now - self.filled) * self.rate)
        self.filled = now
        if self.level < 1.0:
            return False
        self.level -= 1.0
        return True


@dataclass(slots=True)
class Allowance:
    """One port set's bucket and those of its sources, so that no agent takes what others of its policy need."""

    whole: Bucket = field(default_factory=lambda: Bucket(PER_SECOND, BURST, BURST, 0.0))
    sources: dict[str, Bucket] = field(default_factory=dict)

    def take(self, source: str, now: float) -> bool:
        """Return True if `source` may ask one more."""
        bucket = self.sources.get(source)
        if bucket is None:
            if len(self.sources) >= MOST_SOURCES:
                del self.sources[next(iter(self.sources))]
            bucket = self.sources[source] = Bucket(PER_SECOND_AND_SOURCE, BURST_OF_SOURCE, BURST_OF_SOURCE, now)
        return bucket.take(now) and self.whole.take(now)
