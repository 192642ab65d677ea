"""A small cluster in memory: API server, kubelet, users, and one operator that crashes and sees late."""

from collections.abc import Coroutine
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar

from ringfence_operator.api.model import format_timestamp
from ringfence_operator.errors import KubeError
from ringfence_operator.reconcile.agent import reconcile_agent
from ringfence_operator.reconcile.gateway import Gateway
from ringfence_operator.reconcile.locks import Locks
from ringfence_operator.reconcile.network import Networks
from ringfence_operator.reconcile.sidecars import Sidecars
from ringfence_operator.reconcile.tools import Tools
from ringfence_operator.settings import Settings
from tests.operator.reconcile.api_server import CrashError, FakeApiServer, Place, Raw
from tests.operator.reconcile.tables import build_tables, build_view
from tests.operator.resources.objects import NOW, SETTINGS, agent_body, node_body

T = TypeVar("T")
POD: Place = ("pods", "team", "a")
AGENT: Place = ("agents", "team", "a")
NODE: Place = ("nodes", "", "n1")
ENDED = ("Succeeded", "Failed")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never really waits, as none does against an API server in memory."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise AssertionError("the coroutine waited for something")


class World:
    """One agent `team/a`. What the operator does not know yet is in `undelivered`."""

    def __init__(
        self,
        spec: Raw,
        *,
        settings: Settings | None = None,
        gateway: Gateway | None = None,
        sidecars: Sidecars | None = None,
    ) -> None:
        self.now = NOW
        self.gateway = gateway
        self.sidecars = sidecars
        self.authority = "PEM" if sidecars else ""
        self.settings = settings or SETTINGS
        self.api = FakeApiServer(lambda: self.now)
        self.processes: dict[str, str] = {}
        """The processes that run on nodes, by their pod's UID, with the pod's name."""
        self.most_processes = 0
        self.failures = 0
        """How many pods of the agent failed by themselves."""
        self.created_after_end = 0
        self.api.add("nodes", node_body())
        body = agent_body(**spec)
        self.api.add("agents", {**body, "metadata": {"name": "a", "namespace": "team"}}, "team")
        self.start_operator()

    # The operator.

    def start_operator(self) -> None:
        """Begin with synced caches, as a process does."""
        self.api.fuse = None
        self.dirty = True
        self.due: datetime | None = None
        self.tables = build_tables(self._mark)
        self.view = build_view(self.tables, self.settings)
        self.networks = Networks(self.view, self.api)
        self.view.control.authority = self.authority
        self.tools = Tools(self.view, self.api, self.networks, Locks(), self.gateway, self.sidecars)
        self.delivered = 0
        self.deliver()

    def _mark(self) -> None:
        self.dirty = True

    def deliver(self, events: int | None = None) -> None:
        """Let the operator's watches catch up, by so many events or wholly."""
        until = len(self.api.log) if events is None else min(self.delivered + events, len(self.api.log))
        for kind, plural, raw in self.api.log[self.delivered : until]:
            if plural in self.tables:
                self.tables[plural].follow(kind, raw)
        self.delivered = until

    def reconcile(self) -> None:
        """Run one pass, as a worker would: an error means that the key comes again."""
        self.dirty, self.due = False, None
        agent = self.view.agent("team", "a")
        if agent is None:
            return
        was_finished = agent.status.finished_at is not None and agent.status.spec_hash is not None
        pods_made = self.api.writes.count("create pods")
        generation = agent.metadata.generation
        try:
            again = run(reconcile_agent(agent, self.tools, now=self.now))
        except CrashError:
            self.start_operator()
        except KubeError:
            self.dirty = True
        else:
            self.due = None if again is None else self.now + timedelta(seconds=again)
        if was_finished and generation == 1 and self.api.writes.count("create pods") > pods_made:
            self.created_after_end += 1

    # The node.

    @property
    def pod(self) -> Raw | None:
        return self.api.objects.get(POD)

    @property
    def agent(self) -> Raw:
        return self.api.objects[AGENT]

    @property
    def status(self) -> Raw:
        return self.agent.get("status", {})  # type: ignore[no-any-return]

    def condition(self, kind: str) -> Raw:
        return next((each for each in self.status.get("conditions", ()) if each["type"] == kind), {})

    def _set(self, **status: Any) -> None:
        self.api.change(POD, lambda raw: raw["status"].update(status))

    def schedule(self) -> None:
        if self.pod and not self.pod["spec"].get("nodeName") and NODE in self.api.objects:
            self.api.change(POD, lambda raw: raw["spec"].update(nodeName="n1"))
            self._set(phase="Pending", startTime=format_timestamp(self.now))

    def start(self, *, ready: bool = True) -> None:
        pod = self.pod
        if pod is None or not self._is_live(pod):
            return
        self.processes[pod["metadata"]["uid"]] = "a"
        self.most_processes = max(self.most_processes, len(self.processes))
        state = {"running": {"startedAt": format_timestamp(self.now)}}
        self._set(phase="Running", containerStatuses=self._container(state), conditions=self._readiness(ready))

    def become_ready(self) -> None:
        pod = self.pod
        if pod and self._is_live(pod) and pod["metadata"]["uid"] in self.processes:
            self._set(conditions=self._readiness(True))

    def _is_live(self, pod: Raw | None) -> bool:
        if pod is None or NODE not in self.api.objects:
            return False
        status, meta = pod["status"], pod["metadata"]
        return (
            bool(pod["spec"].get("nodeName")) and status.get("phase") not in ENDED and "deletionTimestamp" not in meta
        )

    def _readiness(self, ready: bool) -> list[Raw]:
        return [{"type": "Ready", "status": str(ready), "lastTransitionTime": format_timestamp(self.now)}]

    def _container(self, state: Raw) -> list[Raw]:
        return [{"name": "agent", "state": state, "lastState": {}, "restartCount": 0}]

    def end(self, code: int) -> None:
        """The process ends by itself: the kubelet says so of the container at once, and of the pod in `conclude`."""
        pod = self.pod
        if self._is_live(pod) and pod and self.processes.pop(pod["metadata"]["uid"], None):
            ended = {"exitCode": code, "reason": "Error" if code else "Completed", "finishedAt": self._stamp()}
            self._set(containerStatuses=self._container({"terminated": ended}), conditions=self._readiness(False))

    def conclude(self) -> None:
        pod = self.pod
        if not self._is_live(pod) or pod is None or not pod["status"].get("containerStatuses"):
            return
        ended = pod["status"]["containerStatuses"][0]["state"].get("terminated")
        if ended is None:
            return
        if pod["spec"]["restartPolicy"] == "Always":
            waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
            container = self._container(waiting)[0] | {"lastState": {"terminated": ended}, "restartCount": 1}
            self._set(containerStatuses=[container])
        elif ended["exitCode"] == 0:
            self._set(phase="Succeeded")
        else:
            self.failures += 1
            self._set(phase="Failed")

    def evict(self) -> None:
        """The cluster takes the pod away: it fails through no fault of its own."""
        pod = self.pod
        if self._is_live(pod) and pod:
            self.processes.pop(pod["metadata"]["uid"], None)
            disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}
            self._set(phase="Failed", conditions=[disrupted])

    def finish_termination(self) -> None:
        """The kubelet has stopped what is to be deleted, and what it finds without a pod."""
        pod = self.pod
        uid = pod["metadata"]["uid"] if pod else ""
        is_leaving = pod is not None and "deletionTimestamp" in pod["metadata"] and NODE in self.api.objects
        self.processes = {each: name for each, name in self.processes.items() if each == uid and not is_leaving}
        if is_leaving:
            self.api.remove(POD, grace_seconds=0)

    def lose_node(self) -> None:
        if NODE in self.api.objects:
            self.api.remove(NODE)
            self.processes.clear()

    def add_node(self) -> None:
        if NODE not in self.api.objects:
            self.api.add("nodes", node_body())

    def _stamp(self) -> str:
        return format_timestamp(self.now)

    # Users and time.

    def delete_pod(self) -> None:
        if self.pod and self.pod["status"].get("phase") not in ENDED:
            self.api.remove(POD)

    def set_spec(self, **fields: Any) -> None:
        self.api.change(AGENT, lambda raw: raw["spec"].update(fields), is_spec=True)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def boot(self) -> None:
        """Get as far as a running process, undisturbed."""
        for _ in range(2):
            self.deliver()
            self.reconcile()
            self.finish_termination()
            self.schedule()
            self.start()
        self.deliver()

    def settle(self, *, ends_with: int | None = None, rounds: int = 200) -> None:
        """Let everything happen that happens by itself; a pass runs only where a change or a due time asks for it."""
        for _ in range(rounds):
            self.deliver()
            is_quiet = not self.dirty
            if self.dirty or (self.due is not None and self.due <= self.now):
                self.reconcile()
            before = len(self.api.log)
            self._progress(ends_with)
            if is_quiet and not self.dirty and len(self.api.log) == before == self.delivered:
                if self.due is None:
                    return
                self.now = max(self.now, self.due)
        raise AssertionError(f"did not settle: {self.status}")

    def _progress(self, ends_with: int | None) -> None:
        self.finish_termination()
        self.schedule()
        with suppress(KeyError):
            pod = self.pod
            if pod and pod["metadata"]["uid"] not in self.processes and not self._has_ended(pod):
                self.start()
            elif ends_with is not None:
                self.end(ends_with)
            else:
                self.become_ready()
        self.conclude()

    def _has_ended(self, pod: Raw) -> bool:
        containers = pod["status"].get("containerStatuses") or [{"state": {}}]
        return "terminated" in containers[0]["state"]
