"""Pools and agents of namespace `team`: the real caches and queue, and an API server that lets others pass."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import count
from random import Random
from typing import Any, cast

from ringfence_operator import labels
from ringfence_operator.api.agent_pool import AgentPool
from ringfence_operator.api.model import format_timestamp
from ringfence_operator.caches import Caches
from ringfence_operator.errors import KubeError
from ringfence_operator.kube.client import Client
from ringfence_operator.kube.informer import Informer
from ringfence_operator.reconcile import quota_admission
from ringfence_operator.reconcile.agent import reconcile_agent
from ringfence_operator.reconcile.agent_pool import PoolTools, reconcile_agent_pool, remove_agent_pool
from ringfence_operator.reconcile.locks import Locks
from ringfence_operator.reconcile.network import Networks
from ringfence_operator.reconcile.ports import Task
from ringfence_operator.reconcile.starters import fitness
from ringfence_operator.reconcile.tools import Tools
from ringfence_operator.runtime.queue import WorkQueue
from ringfence_operator.settings import Settings
from tests.operator.reconcile.api_server import CrashError, FakeApiServer
from tests.operator.reconcile.fake_sidecars import FakeSidecars
from tests.operator.reconcile.fake_starters import FakeStarters
from tests.operator.reconcile.pool_wire import Call, Wire
from tests.operator.reconcile.tables import is_warm
from tests.operator.resources.objects import NOW, RUNNING, SETTINGS, container_status, node_body
from tests.operator.runtime.clock import FakeClock

Raw = dict[str, Any]
POOLING = SETTINGS.model_copy(update={"starter_image": "starter:1"})
AGENTS_OF = {"agents", "agentpools", "networkpolicies", "services", "nodes", "securitypolicies", "quotas", "connectors"}

WATCHED = {"warmpods": "pods", "authorities": "configmaps"}
"""Of informers that do not bear it, the plural of what they watch."""


class BusyServer(FakeApiServer):
    """Lets others have their turn before a write takes effect, and before its answer is there."""

    random = Random(0)

    async def _pause(self) -> None:
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)

    async def get(self, path: str) -> Raw:
        await self._pause()
        return await super().get(path)

    async def create(self, path: str, body: Raw) -> Raw:
        await self._pause()
        answer = await super().create(path, body)
        await self._pause()
        return answer

    async def merge_patch(self, path: str, body: Raw) -> Raw:
        await self._pause()
        answer = await super().merge_patch(path, body)
        await self._pause()
        return answer

    async def replace(self, path: str, body: Raw) -> Raw:
        await self._pause()
        return await super().replace(path, body)


class PoolWorld:
    """One operator, which sees everything at once unless told otherwise."""

    now: datetime
    api: BusyServer
    names: Iterator[int]

    def __init__(self, settings: Settings | None = None, *, beside: "PoolWorld | None" = None) -> None:
        """`beside` gives the same world as a second operator sees it, which leads at the same time."""
        self.settings = settings or POOLING
        self.now = beside.now if beside else NOW
        self.in_flight: list[Call] = beside.in_flight if beside else []
        """What was sent by operators that are gone, and has not arrived yet."""
        self.names = beside.names if beside else count(10_000)
        if beside:
            # The caller starts it.
            self.api = beside.api
            return
        self.api = BusyServer(lambda: self.now)
        control = {"metadata": {"name": labels.CONTROL, "namespace": "ringfence-system"}, "spec": {"ports": []}}
        self.api.add("services", control, "ringfence-system")
        self.api.add("nodes", node_body())
        self.start_operator()

    # --- the operator ---

    def start_operator(self, *, late: int = 0) -> None:
        """Another replica begins to lead: it remembers nothing, and has seen everything but the last `late` events."""
        self.api.fuse = None
        self.wire = wire = Wire(self.api, self.in_flight)
        self.clock = FakeClock()
        self.queue: WorkQueue[Task] = WorkQueue(clock=self.clock, call_later=self.clock.call_later)
        self.caches = Caches(cast("Client", wire), self.settings, self.queue)
        self.view = self.caches.view
        self.view.control.authority = "PEM"
        self.starters = FakeStarters()
        self.view.pooling.why_unfit = fitness(self.starters, self.settings)
        self.view.pooling.wake = self.caches.changes.pools.serve
        self.view.pooling.wake_pool = self.caches.changes.pools.pool_stands_otherwise
        networks = Networks(self.view, wire)
        self.sidecars = FakeSidecars()
        self.tools = Tools(self.view, wire, networks, Locks(), sidecars=self.sidecars, starters=self.starters)
        suffix = lambda: str(next(self.names))  # noqa: E731
        self.pool_tools = PoolTools(self.view, wire, networks, suffix, self.starters, self.sidecars)
        self.seen = {each.name: 0 for each in self.caches.informers}
        self.deliver(events=max(0, len(self.api.log) - late))
        quota_admission.begin(self.view)
        self.caches.changes.mark_all()

    async def land(self) -> None:
        """Let what is under way arrive, the last first."""
        while self.in_flight:
            with suppress(KubeError):
                await self.in_flight.pop()()

    def informer(self, name: str) -> Informer[Any]:
        return next(each for each in self.caches.informers if each.name == name)

    def deliver(self, *names: str, events: int | None = None, but: Iterable[str] = ()) -> None:
        """Let these watches catch up, all of them by default, wholly or by so many events."""
        for name in names or [each for each in self.seen if each not in but]:
            until = len(self.api.log) if events is None else min(len(self.api.log), self.seen[name] + events)
            for kind, plural, raw in self.api.log[self.seen[name] : until]:
                if plural == WATCHED.get(name, name):
                    self._follow(name, kind, raw)
            self.seen[name] = until

    def _follow(self, name: str, kind: str, raw: Raw) -> None:
        informer, meta = self.informer(name), raw["metadata"]
        is_selected = {
            "pods": labels.AGENT in meta.get("labels", {}),
            "warmpods": is_warm(raw),
            "authorities": meta["name"] == labels.AUTHORITY,
        }.get(name, True)
        if kind == "DELETED" or not is_selected:
            informer._deleted(raw)
        else:
            informer._keep(raw)
        informer._reach(meta["resourceVersion"])

    async def reconcile(self, task: Task) -> float | None:
        if task.kind == "Agent":
            agent = self.view.agent(task.namespace, task.name)
            return await reconcile_agent(agent, self.tools, now=self.now) if agent else None
        if task.kind == "AgentPool":
            pool = self.view.pools.get(task.namespace, task.name)
            if pool is None:
                remove_agent_pool(task.namespace, task.name, self.pool_tools)
                return None
            return await reconcile_agent_pool(pool, self.pool_tools, now=self.now)
        return None

    async def look(self, *names: str) -> list[float | None]:
        """Run a pass over each of these agents, all at once."""
        return list(await asyncio.gather(*(self.reconcile(Task("Agent", "team", name)) for name in names)))

    async def look_at_pool(self, name: str = "p") -> float | None:
        return await self.reconcile(Task("AgentPool", "team", name))

    async def settle(self, seconds: float = 3.0) -> None:
        """Work through the queue, as one worker does, for so long."""
        for _ in range(int(seconds * 20)):
            self.deliver()
            while (task := self.queue.get_nowait()) is not None:
                await self._pass(task)
                self.deliver()
            self.wait(0.05)

    async def _pass(self, task: Task) -> None:
        try:
            again = await self.reconcile(task)
        except CrashError:
            self.start_operator()
            return
        except KubeError:
            again = 0.1
        self.queue.done(task)
        if again is not None:
            self.queue.add_after(task, again, 1)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.clock.advance(seconds)

    # --- users ---

    def pool(self, size: int = 1, name: str = "p", settings: Raw | None = None, **template: Any) -> None:
        body = {"metadata": {"name": name, "namespace": "team", "uid": f"{name}-uid"}}
        spec = {"size": size, "template": {"image": "agent:1"} | template, **(settings or {})}
        self.api.add("agentpools", {**body, "spec": spec}, "team")
        self.deliver()

    def set_pool(self, name: str = "p", size: int | None = None, settings: Raw | None = None, **template: Any) -> None:
        def edit(raw: Raw) -> None:
            raw["spec"].update(settings or {})
            raw["spec"]["size"] = raw["spec"]["size"] if size is None else size
            raw["spec"]["template"].update(template)

        self.api.change(("agentpools", "team", name), edit, is_spec=True)
        self.deliver()

    def agent(self, name: str = "a", *, seconds: float = 1.0, **spec: Any) -> str:
        self.now += timedelta(seconds=seconds)
        body = {"metadata": {"name": name, "namespace": "team", "uid": f"{name}-uid"}}
        given = {"poolRef": {"name": "p"}, "command": ["run", name]} | spec
        self.api.add("agents", {**body, "spec": {key: each for key, each in given.items() if each is not None}}, "team")
        self.deliver()
        return name

    def set_agent(self, name: str = "a", **spec: Any) -> None:
        self.api.change(("agents", "team", name), lambda raw: raw["spec"].update(spec), is_spec=True)
        self.deliver()

    def delete_agent(self, name: str = "a") -> None:
        """Its pod goes by the garbage collector."""
        self.api.remove(("agents", "team", name))
        for pod in self.pods_of(name):
            self.api.remove(("pods", "team", pod), grace_seconds=0)
        self.deliver()

    # --- the node ---

    def start_pods(self, *names: str) -> None:
        """Have pods that wait for a node become ready, those of all pools by default."""
        for pod in names or [each for each in self.pods if not self.raw(each)["spec"].get("nodeName")]:
            self.set_pod(pod, **self.ready_status(pod))
        self.deliver()

    def ready_status(self, pod: str) -> Raw:
        started = format_timestamp(self.now)
        address = f"10.244.{len(pod)}.{int(self.raw(pod)['metadata']['resourceVersion']) % 250}"
        found: Raw = {"phase": "Running", "startTime": started, "podIP": address}
        found["conditions"] = [{"type": "Ready", "status": "True", "lastTransitionTime": started}]
        return {**found, "containerStatuses": container_status(RUNNING)}

    def set_pod(self, pod: str, **status: Any) -> None:
        def edit(raw: Raw) -> None:
            raw["spec"]["nodeName"] = "n1"
            raw["status"].update(status)

        self.api.change(("pods", "team", pod), edit)

    def stop_pods(self) -> None:
        """Have the kubelet confirm the end of what is being deleted."""
        for pod in self.pods:
            if "deletionTimestamp" in self.raw(pod)["metadata"]:
                self.api.remove(("pods", "team", pod), grace_seconds=0)
        self.deliver()

    # --- what is there ---

    async def warm(self, size: int = 1, settings: Raw | None = None, **template: Any) -> list[str]:
        """Have a pool of so many warm pods, and nothing left to do."""
        self.pool(size, settings=settings, **template)
        await self.settle()
        self.start_pods()
        await self.settle()
        assert self.pool_status()["warm"] == size
        return self.pods

    @property
    def pods(self) -> list[str]:
        return sorted(name for plural, _, name in self.api.objects if plural == "pods")

    def raw(self, pod: str) -> Raw:
        return self.api.objects["pods", "team", pod]

    def owner(self, pod: str) -> str:
        return cast("str", self.raw(pod)["metadata"]["ownerReferences"][0]["name"])

    def pods_of(self, agent: str) -> list[str]:
        found = (self.raw(pod)["metadata"] for pod in self.pods)
        return [each["name"] for each in found if each["labels"].get(labels.AGENT) == agent]

    @property
    def free(self) -> list[str]:
        return [pod for pod in self.pods if is_warm(self.raw(pod))]

    def uid(self, pod: str) -> str:
        return cast("str", self.raw(pod)["metadata"]["uid"])

    def pool_status(self, name: str = "p") -> Raw:
        return cast("Raw", self.api.objects["agentpools", "team", name].get("status", {}))

    def pool_object(self, name: str = "p") -> AgentPool:
        return AgentPool.from_body(self.api.objects["agentpools", "team", name])

    def status(self, agent: str = "a") -> Raw:
        return cast("Raw", self.api.objects["agents", "team", agent].get("status", {}))

    def condition(self, kind: str, agent: str = "a") -> tuple[str, str]:
        """Return a condition's status and reason."""
        found = (each for each in self.status(agent).get("conditions", ()) if each["type"] == kind)
        return next(((each["status"], each["reason"]) for each in found), ("", ""))
