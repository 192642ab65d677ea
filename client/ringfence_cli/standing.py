"""How an AgentPool stands: a pure function of what the object says."""

from dataclasses import dataclass

from ringfence_kube.objects import Raw, name_of, namespace_of, status_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A pool's pods, and how often agents found one."""

    namespace: str
    pool: str
    size: int
    warm: int
    starting: int
    failed: int
    claimed: int
    hits: int
    misses: int

    @classmethod
    def of(cls, pool: Raw) -> "Standing":
        """Return what a pool says of itself; before the operator has looked at it, that is nothing."""
        status = status_of(pool)
        counted = {
            name: int(status.get(name, 0)) for name in ("warm", "starting", "failed", "claimed", "hits", "misses")
        }
        size = int(pool["spec"].get("size", 1))
        return cls(namespace=namespace_of(pool), pool=name_of(pool), size=size, **counted)

    @property
    def percent(self) -> int | None:
        """Warm pods of those that are asked for; None where none are."""
        return min(100, self.warm * 100 // self.size) if self.size else None

    @property
    def share_of_hits(self) -> str:
        """Agents that found a warm pod at once, of all; empty before there was one."""
        asked = self.hits + self.misses
        return f"{self.hits}/{asked} ({self.hits * 100 // asked}%)" if asked else ""
