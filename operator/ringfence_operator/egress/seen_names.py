"""Names that agents asked for, until a status tells them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ringfence_operator.api.security_policy import SeenDomain

MOST_NAMES = 512
_DENIED = ("denied", "audited")

Name = tuple[str, int]
"""And its port."""


@dataclass(slots=True)
class NameList:
    """Names with their counts, so many at most; the rest is one count."""

    names: dict[Name, SeenDomain] = field(default_factory=dict)
    others: int = 0

    def add(self, fresh: SeenDomain) -> None:
        """Count a name so many times more."""
        key = fresh.name, fresh.port
        had = self.names.get(key)
        if had is not None:
            last = max(had.last_seen, fresh.last_seen)
            self.names[key] = fresh.model_copy(update={"count": had.count + fresh.count, "last_seen": last})
        elif len(self.names) < MOST_NAMES:
            self.names[key] = fresh
        else:
            self.others += fresh.count

    def subtract(self, told: Sequence[SeenDomain], others: int) -> None:
        """Take off what a status tells now."""
        self.others -= others
        for each in told:
            had = self.names.get((each.name, each.port))
            if had is None:
                continue
            if had.count > each.count:
                self.names[each.name, each.port] = had.model_copy(update={"count": had.count - each.count})
            else:
                del self.names[each.name, each.port]


@dataclass(slots=True)
class Counts:
    """What agents under one policy reached and were refused; in Audit, a name may be both."""

    observed: NameList = field(default_factory=NameList)
    denied: NameList = field(default_factory=NameList)

    def of(self, verdict: str) -> list[NameList]:
        """Return the lists that an entry of this verdict belongs to."""
        denied = [self.denied] if verdict in _DENIED else []
        return denied if verdict == "denied" else [self.observed, *denied]
