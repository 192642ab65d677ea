"""Many agents under quotas: an API server that lets others have their turn, and an operator that can be replaced."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

from ringfence_operator.api.model import format_timestamp
from ringfence_operator.reconcile import quota_admission
from ringfence_operator.reconcile.agent import reconcile_agent
from ringfence_operator.reconcile.locks import Locks
from ringfence_operator.reconcile.network import Networks
from ringfence_operator.reconcile.tools import Tools
from ringfence_operator.settings import Settings
from tests.operator.reconcile.tables import build_tables, build_view
from tests.operator.reconcile.test_network import SlowServer
from tests.operator.resources.objects import NOW, SETTINGS, agent_body

Raw = dict[str, Any]


def quota_body(name: str = "q", *, selector: Raw | None = None, status: Raw | None = None, **limit: Any) -> Raw:
    """Return a Quota for all agents of its namespace, with one limit in the API's own names."""
    return {
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": f"{name}-uid",
            "resourceVersion": "1",
            "generation": 1,
            "creationTimestamp": format_timestamp(NOW),
        },
        "spec": {"selector": {} if selector is None else selector, "limits": [limit]},
        **({"status": status} if status else {}),
    }


def at_most(agents: int, name: str = "q", **more: Any) -> Raw:
    return quota_body(name, resource="agents", max=agents, scope="Shared", **more)


class Fleet:
    """Agents of namespace `team`, the oldest first; the operator sees everything at once unless told otherwise."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.now = NOW
        self.settings = settings or SETTINGS
        self.api = SlowServer(lambda: self.now)
        self.woken: list[str] = []
        self.most = 0
        self.start_operator()

    def start_operator(self) -> None:
        """Another replica begins to lead: it has listed everything, and remembers nothing."""
        self.tables = build_tables()
        self.view = build_view(self.tables, self.settings)
        self.tools = Tools(self.view, self.api, Networks(self.view, self.api), Locks())
        self.view.places.wake = lambda key: self.woken.append(key[1])
        self.delivered = 0

    def lead(self) -> None:
        quota_admission.begin(self.view)

    def deliver(self, *, but: str = "") -> None:
        """Let the operator's watches catch up, all but one resource's."""
        for kind, plural, raw in self.api.log[self.delivered :]:
            if plural in self.tables and plural != but:
                self.tables[plural].follow(kind, raw)
        self.delivered = len(self.api.log)

    def quota(self, body: Raw) -> None:
        self.api.add("quotas", body, "team")
        self.deliver()

    def agent(self, name: str, *, labels: Raw | None = None, **spec: Any) -> str:
        body = agent_body(name, **spec)
        body["metadata"]["labels"] = labels or {}
        self.now += timedelta(seconds=1)
        self.api.add("agents", body, "team")
        self.deliver()
        return name

    async def look(self, *names: str) -> None:
        """Run a pass over each of these agents, all at once."""
        await asyncio.gather(*(self._look(name) for name in names))

    async def _look(self, name: str) -> None:
        agent = self.view.agent("team", name)
        if agent is not None:
            await reconcile_agent(agent, self.tools, now=self.now)
            self.most = max(self.most, len(self.pods))

    def end(self, name: str) -> None:
        """A pod is gone, however that came."""
        self.api.remove(("pods", "team", name), grace_seconds=0)
        self.deliver()
        quota_admission.wake_next("team", self.view)

    def delete(self, name: str) -> None:
        self.api.remove(("agents", "team", name))
        self.deliver()
        quota_admission.leave_line(("team", name), self.view)

    def run_pod(self, name: str, since: datetime, **status: Any) -> None:
        """Have the agent's pod run."""
        running = {"running": {"startedAt": format_timestamp(since)}}
        container = {"name": "agent", "state": running, "lastState": {}, "restartCount": 0}
        ready = {"type": "Ready", "status": "True", "lastTransitionTime": format_timestamp(since)}
        found = {"phase": "Running", "startTime": format_timestamp(since), "containerStatuses": [container]}
        change = found | {"conditions": [ready]} | status
        self.api.change(("pods", "team", name), lambda raw: raw["status"].update(change))
        self.deliver()

    @property
    def pods(self) -> list[str]:
        return sorted(name for plural, _, name in self.api.objects if plural == "pods")

    def pod(self, name: str) -> Raw:
        return self.api.objects["pods", "team", name]

    def status(self, name: str) -> Raw:
        return self.api.objects["agents", "team", name].get("status", {})  # type: ignore[no-any-return]

    def condition(self, name: str, kind: str) -> Raw:
        return next((each for each in self.status(name).get("conditions", ()) if each["type"] == kind), {})
