"""The agents and their pods at one moment."""

from dataclasses import dataclass, field
from typing import Any

from demo.kubectl import Kubectl, Raw

HEAD = ("AGENT", "STATE", "REASON", "RESTARTS", "LAST EXIT", "POD UID")


@dataclass(frozen=True, slots=True)
class AgentView:
    """One agent: its status, and its pod if it has one."""

    name: str
    status: Raw = field(default_factory=dict)
    pod: Raw = field(default_factory=dict)

    def condition(self, kind: str) -> Raw:
        """Return one of its conditions, empty if it has none of that type."""
        return next((each for each in self.status.get("conditions", []) if each["type"] == kind), {})

    @property
    def state(self) -> str:
        """One word for its state."""
        return str(self.status.get("state", ""))

    @property
    def reason(self) -> str:
        """Why it is or is not ready."""
        return str(self.condition("Ready").get("reason", ""))

    @property
    def message(self) -> str:
        """The reason as a sentence."""
        return str(self.condition("Ready").get("message", ""))

    @property
    def is_ready(self) -> bool:
        """True if it is ready, and of its spec as it is now."""
        ready = self.condition("Ready")
        return ready.get("status") == "True" and ready.get("observedGeneration") == self.status.get(
            "observedGeneration"
        )

    @property
    def last_exit(self) -> Raw:
        """How its container last ended."""
        found: Raw = self.status.get("lastExit", {})
        return found

    @property
    def pod_uid(self) -> str:
        """UID of its pod."""
        return str(self.pod.get("metadata", {}).get("uid", ""))

    @property
    def container(self) -> Raw:
        """What the kubelet says of its container."""
        statuses: list[Raw] = self.pod.get("status", {}).get("containerStatuses", [])
        return statuses[0] if statuses else {}

    @property
    def addresses(self) -> list[str]:
        """Its pod's addresses, of both families."""
        return [each["ip"] for each in self.pod.get("status", {}).get("podIPs", [])]

    @property
    def life(self) -> tuple[str, int]:
        """What stays the same for as long as nobody harms it: pod and container restarts."""
        return self.pod_uid, int(self.container.get("restartCount", 0))

    def row(self) -> tuple[str, ...]:
        """Return the agent's line in the table."""
        ended = self.last_exit
        exit_ = f"{ended.get('code', '')} {ended.get('reason', '')}".strip()
        restarts = str(self.status.get("restarts", 0))
        return self.name, self.state or "-", self.reason or "-", restarts, exit_ or "-", self.pod_uid[:8] or "-"


class Fleet(dict[str, AgentView]):
    """The agents by name; one that does not exist has neither status nor pod."""

    def __missing__(self, name: str) -> AgentView:
        return AgentView(name)

    def rows(self) -> list[tuple[str, ...]]:
        """Return the table of all agents."""
        return [HEAD, *(self[name].row() for name in sorted(self))]


def look(kube: Kubectl) -> Fleet:
    """Return the agents as they are now."""
    found: dict[str, dict[str, Any]] = {"Agent": {}, "Pod": {}}
    for item in kube.items("agents.ringfence.dev,pods"):
        found[item["kind"]][item["metadata"]["name"]] = item
    agents = found["Agent"].items()
    return Fleet({name: AgentView(name, agent.get("status", {}), found["Pod"].get(name, {})) for name, agent in agents})
