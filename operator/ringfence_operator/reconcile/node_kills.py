"""Whom the node has ended at a quota's limit: the kernel at that on memory, the kubelet at that on disk."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ringfence_operator.api.quota_matrix import Resource

Key = tuple[str, str]
MOST_KILLS = 1_000
"""Of so many agents of a limit it is remembered that they were ended."""


@dataclass(frozen=True, slots=True)
class Kill:
    """An agent was ended at a quota's limit; `time` is RFC 3339, `id` tells it from the agent's other ends."""

    agent: str
    time: str
    id: str


@dataclass(slots=True)
class Kills:
    """Those of one limit."""

    last: dict[str, Kill] = field(default_factory=dict)
    """By the agent's UID, how it was ended last."""
    count: int = 0
    """How many are known."""
    seen: int = 0
    """How many of them came since this began, and no status had said before."""


@dataclass(slots=True)
class NodeKills:
    """All of them. `on_use` hears of each quota of which something else is to be said."""

    found: dict[Key, dict[Resource, Kills]] = field(default_factory=dict)
    on_use: Callable[[Key], None] = lambda _: None

    def forget(self, quota: Key) -> None:
        """The quota is gone."""
        self.found.pop(quota, None)

    def of(self, quota: Key, resource: Resource) -> Kills:
        """Return what is known of one limit."""
        return self.found.get(quota, {}).get(resource) or Kills()

    def note(self, quota: Key, resource: Resource, agent_uid: str, kill: Kill, *, is_new: bool) -> None:
        """Take note of a kill; a known one counts once. `is_new`: the agent's status has not said it before."""
        kills = self.found.setdefault(quota, {}).setdefault(resource, Kills())
        before = kills.last.get(agent_uid)
        if before is not None and before.id == kill.id:
            return
        kills.last.pop(agent_uid, None)
        kills.last[agent_uid] = kill
        if len(kills.last) > MOST_KILLS:
            del kills.last[next(iter(kills.last))]
        kills.count += 1
        kills.seen += is_new
        self.on_use(quota)
