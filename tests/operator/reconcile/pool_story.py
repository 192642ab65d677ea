"""Stories of a pool: what users, nodes and operators do, and what must hold after each step."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any

from ringfence_operator import labels
from ringfence_operator.errors import KubeError, UnavailableError
from ringfence_operator.reconcile.ports import Task
from tests.operator.reconcile.api_server import CrashError
from tests.operator.reconcile.pool_wire import Fault, Lands
from tests.operator.reconcile.pool_world import PoolWorld

AGENTS = ("a", "b", "c", "d", "e")
SIZE = 4
SETTLED = 8
"""After so many times two seconds nothing is left of what two leaders did."""
Action = tuple[str, Any]


class Invariants:
    """Looks at each write that the API server took, in its order.

    `may_double` allows an agent two pods for a while: with two leaders, or after a request that arrives late, nothing
    but what each of them sees keeps them apart.
    """

    def __init__(self, world: PoolWorld) -> None:
        self.world = world
        self.seen = 0
        self.owners: dict[str, set[str]] = {}
        """By the pod's UID, the UIDs of all agents that ever owned it."""
        self.may_double = False

    def check(self) -> None:
        log = self.world.api.log
        for kind, plural, raw in log[self.seen :]:
            if plural == "pods" and kind != "DELETED":
                self._owned(raw)
        self.seen = len(log)
        if self.may_double:
            return
        for name in AGENTS:
            live = [pod for pod in self.world.pods_of(name) if "deletionTimestamp" not in self._meta(pod)]
            owners = [self._meta(pod)["ownerReferences"][0]["uid"] for pod in live]
            assert len(set(owners)) == len(owners), f"two pods for {name}: {live}"

    def _meta(self, pod: str) -> dict[str, Any]:
        return self.world.raw(pod)["metadata"]  # type: ignore[no-any-return]

    def _owned(self, raw: dict[str, Any]) -> None:
        found = {each["uid"] for each in raw["metadata"].get("ownerReferences", ()) if each["kind"] == "Agent"}
        ever = self.owners.setdefault(raw["metadata"]["uid"], set())
        ever |= found
        if ever:
            # What an agent has had is nobody else's, and does not wait for anybody any more.
            assert found == ever, f"pod {raw['metadata']['name']} of {ever} has come back to its pool"
            assert labels.AGENT in raw["metadata"]["labels"]
        assert len(ever) <= 1, f"pod {raw['metadata']['name']} was handed to {ever}"


class Story:
    """One run: a world, and how many agents of each name there have been."""

    def __init__(self, seed: int) -> None:
        self.world = PoolWorld()
        self.world.api.random = Random(seed)
        self.invariants = Invariants(self.world)
        self.born = 0
        self.rival: PoolWorld | None = None
        """A second operator that leads for a while, as it sees the same world."""

    async def begin(self) -> None:
        """Have a pool of warm pods."""
        await self.world.warm(SIZE)

    async def do(self, action: Action) -> None:
        name, argument = action
        try:
            await getattr(self, f"_{name}")(argument)
        except CrashError:
            self._begin_anew()
        except KubeError:
            pass  # the worker comes again
        self.invariants.check()

    @property
    def operators(self) -> list[PoolWorld]:
        """Those that lead."""
        if self.rival is not None:
            self.rival.now = self.world.now
        return [self.world, *([self.rival] if self.rival else [])]

    def _begin_anew(self) -> None:
        """In place of each operator that was killed another one begins."""
        if self.rival is not None and self.rival.wire.is_dead:
            self.rival = None
        if self.world.wire.is_dead or self.rival is None:
            self.world.start_operator()

    async def _create(self, name: str) -> None:
        if ("agents", "team", name) not in self.world.api.objects:
            self.born += 1
            body = {"metadata": {"name": name, "namespace": "team", "uid": f"{name}-{self.born}"}}
            spec = {"poolRef": {"name": "p"}, "command": ["run"]}
            self.world.now += self.world.now.resolution * 1_000_000
            self.world.api.add("agents", {**body, "spec": spec}, "team")
            for each in self.operators:
                each.deliver("agents")

    async def _look(self, names: Sequence[str]) -> None:
        """Several workers at once, and one of them for the pool; of each operator."""
        passes = [
            *(each.reconcile(Task("Agent", "team", name)) for name in names for each in self.operators),
            *(each.look_at_pool() for each in self.operators),
        ]
        found = await asyncio.gather(*passes, return_exceptions=True)
        wrong = [each for each in found if not isinstance(each, KubeError | float | int | None)]
        # Of a process that is killed, all passes end; what else one of them says is worth more.
        for each in sorted(wrong, key=lambda it: isinstance(it, CrashError)):
            raise each

    async def _pool(self, _: object) -> None:
        await self.world.look_at_pool()

    async def _start(self, _: object) -> None:
        for pod in self.world.pods:
            if not self.world.raw(pod)["spec"].get("nodeName"):
                self.world.set_pod(pod, **self.world.ready_status(pod))

    async def _touch(self, number: int) -> None:
        """Somebody changes a pod: whoever claims it by what it was is told so."""
        if self.world.pods:
            pod = self.world.pods[number % len(self.world.pods)]
            self.world.api.change(("pods", "team", pod), lambda raw: raw["status"].update(message=str(len(raw))))
            self.world.api.change(("pods", "team", pod), lambda raw: raw["status"].update(message="touched"))

    async def _evict(self, number: int) -> None:
        if self.world.pods:
            pod = self.world.pods[number % len(self.world.pods)]
            self.world.set_pod(pod, phase="Failed", reason="Evicted", conditions=[])

    async def _deliver(self, name: str | None) -> None:
        self.world.deliver(*([name] if name else []))

    async def _break(self, how: tuple[int, bool, bool]) -> None:
        write, takes_effect, is_crash = how
        self.world.api.fuse = (write, takes_effect, CrashError() if is_crash else UnavailableError("connection lost"))

    async def _broken_claim(self, how: tuple[str, int, bool, bool]) -> None:
        """An agent's claim, or the status after it, goes wrong; and its worker comes again before any watch does."""
        name, *rest = how
        await self._delete_and_collect(name)
        await self._create(name)
        await self._break((rest[0], bool(rest[1]), bool(rest[2])))
        try:
            await self.world.look(name)
        except CrashError:
            self._begin_anew()
        except KubeError:
            pass
        await self.world.look(name)

    async def _late_leader(self, how: tuple[str, int]) -> None:
        """An agent has just claimed a pod when another replica comes to lead that has not seen it."""
        name, late = how
        await self._delete_and_collect(name)
        await self._create(name)
        with suppress(KubeError):
            await self.world.look(name)
        self.world.start_operator(late=late)
        self.world.deliver("warmpods")
        await self.world.look(name)

    async def _delete_and_collect(self, name: str) -> None:
        await self._delete(name)
        await self._stop(None)
        self.world.deliver()

    async def _fault(self, how: tuple[int, Fault]) -> None:
        """One of the next requests of an operator, reads as well, is its last, or is not answered."""
        which, fault = how
        chosen = self.operators[which % len(self.operators)]
        self.invariants.may_double |= fault.lands is Lands.LATE
        chosen.wire.fault = replace(fault)

    async def _down(self, how: tuple[int, int]) -> None:
        """The API server answers none of an operator's next requests."""
        which, requests = how
        self.operators[which % len(self.operators)].wire.down = requests

    async def _land(self, _: object) -> None:
        await self.world.land()

    async def _lead_too(self, late: int) -> None:
        """A second operator leads before the first has noticed, and its watches are behind."""
        self.invariants.may_double = True
        self.rival = PoolWorld(beside=self.world)
        self.rival.start_operator(late=late)

    async def _retire(self, is_first: bool) -> None:
        """Of two leaders, one sees that it is none."""
        if self.rival is None:
            return
        if is_first:
            # What the other one remembers and has seen stays with it.
            self.world, self.rival = self.rival, self.world
            self.world.now = max(self.world.now, self.rival.now)
            self.invariants.world = self.world
        self.rival = None

    async def _see(self, how: tuple[int, str, int]) -> None:
        """One watch of one operator comes a little further."""
        which, name, events = how
        self.operators[which % len(self.operators)].deliver(name, events=events)

    async def _restart(self, late: int) -> None:
        """A new leader, whose watches have not seen all yet."""
        self.world.start_operator(late=late)

    async def _delete(self, name: str) -> None:
        """An agent is deleted; its pods go later, as the garbage collector comes by."""
        if ("agents", "team", name) in self.world.api.objects:
            self.world.api.remove(("agents", "team", name))

    async def _template(self, number: int) -> None:
        image = f"agent:{number}"
        self.world.api.change(
            ("agentpools", "team", "p"), lambda raw: raw["spec"]["template"].update(image=image), is_spec=True
        )

    async def _stop(self, _: object) -> None:
        self._collect()
        for pod in self.world.pods:
            if "deletionTimestamp" in self.world.raw(pod)["metadata"]:
                self.world.api.remove(("pods", "team", pod), grace_seconds=0)

    def _collect(self) -> None:
        """The garbage collector: what an agent owned goes with it."""
        there = {raw["metadata"]["uid"] for place, raw in self.world.api.objects.items() if place[0] == "agents"}
        for pod in self.world.pods:
            owner = self.world.raw(pod)["metadata"]["ownerReferences"][0]
            if owner["kind"] == "Agent" and owner["uid"] not in there:
                self.world.api.remove(("pods", "team", pod), grace_seconds=0)

    async def end(self) -> None:
        """Let everything come to rest, with one leader."""
        self.world.api.fuse = None
        self.rival = None
        self.world.wire.fault, self.world.wire.down = None, 0
        await self.world.land()
        for turn in range(12):
            self._collect()
            self.world.stop_pods()
            self.world.start_pods()
            await self.world.settle(2)
            # By then whatever stood double is gone, and must not come back.
            self.invariants.may_double &= turn < SETTLED
            self.invariants.check()
