"""Whatever happens in whatever order: no pod is ever two agents', no agent ever has two pods, and none is lost."""

import asyncio
from contextlib import suppress
from random import Random
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ringfence_operator import labels
from ringfence_operator.errors import KubeError, UnavailableError
from ringfence_operator.reconcile.ports import Task
from tests.operator.reconcile.api_server import CrashError
from tests.operator.reconcile.pool_world import PoolWorld

AGENTS = ("a", "b", "c", "d", "e")
SIZE = 4
Action = tuple[str, Any]
LOOKS = st.tuples(st.just("look"), st.sets(st.sampled_from(AGENTS), min_size=1).map(sorted))
BREAKS = st.tuples(st.just("break"), st.tuples(st.integers(0, 2), st.booleans(), st.booleans()))
CREATES = st.tuples(st.just("create"), st.sampled_from(AGENTS))
BROKEN_CLAIMS = st.tuples(
    st.just("broken_claim"), st.tuples(st.sampled_from(AGENTS), st.integers(0, 1), st.booleans(), st.booleans())
)
LATE_LEADERS = st.tuples(st.just("late_leader"), st.tuples(st.sampled_from(AGENTS), st.integers(0, 3)))
"""What goes wrong most, without having to come about by chance."""
ACTIONS = st.one_of(
    *[BROKEN_CLAIMS] * 3,
    *[LATE_LEADERS] * 2,
    *[CREATES] * 4,
    *[LOOKS] * 5,
    *[BREAKS] * 3,
    *[st.tuples(st.just("restart"), st.sampled_from([0, 1, 2, 3, 6]))] * 2,
    st.tuples(st.just("pool"), st.none()),
    st.tuples(st.just("start"), st.none()),
    st.tuples(st.just("touch"), st.integers(0, 9)),
    st.tuples(st.just("evict"), st.integers(0, 9)),
    st.tuples(st.just("deliver"), st.sampled_from(["pods", "warmpods", "agents", "agentpools"])),
    st.tuples(st.just("deliver"), st.none()),
    st.tuples(st.just("delete"), st.sampled_from(AGENTS)),
    st.tuples(st.just("template"), st.integers(1, 3)),
    st.tuples(st.just("stop"), st.none()),
)


class Invariants:
    """Looks at each write that the API server took, in its order."""

    def __init__(self, world: PoolWorld) -> None:
        self.world = world
        self.seen = 0
        self.owners: dict[str, set[str]] = {}
        """By the pod's UID, the UIDs of all agents that ever owned it."""

    def check(self) -> None:
        log = self.world.api.log
        for kind, plural, raw in log[self.seen :]:
            if plural == "pods" and kind != "DELETED":
                self._owned(raw)
        self.seen = len(log)
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
        assert len(ever) <= 1, f"pod {raw['metadata']['name']} was handed to {ever}"


class Story:
    """One run: a world, and how many agents of each name there have been."""

    def __init__(self, seed: int) -> None:
        self.world = PoolWorld()
        self.world.api.random = Random(seed)
        self.invariants = Invariants(self.world)
        self.born = 0

    async def begin(self) -> None:
        """Have a pool of warm pods."""
        await self.world.warm(SIZE)

    async def do(self, action: Action) -> None:
        name, argument = action
        try:
            await getattr(self, f"_{name}")(argument)
        except CrashError:
            self.world.start_operator()
        except KubeError:
            pass  # the worker comes again
        self.invariants.check()

    async def _create(self, name: str) -> None:
        if ("agents", "team", name) not in self.world.api.objects:
            self.born += 1
            body = {"metadata": {"name": name, "namespace": "team", "uid": f"{name}-{self.born}"}}
            spec = {"poolRef": {"name": "p"}, "command": ["run"]}
            self.world.now += self.world.now.resolution * 1_000_000
            self.world.api.add("agents", {**body, "spec": spec}, "team")
            self.world.deliver("agents")

    async def _look(self, names: list[str]) -> None:
        """Several workers at once, and one of them for the pool."""
        passes = (self.world.reconcile(Task("Agent", "team", name)) for name in names)
        found = await asyncio.gather(*passes, self.world.look_at_pool(), return_exceptions=True)
        for each in found:
            if isinstance(each, CrashError) or not isinstance(each, KubeError | float | int | None):
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
            self.world.start_operator()
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
        """Let everything come to rest."""
        self.world.api.fuse = None
        for _ in range(12):
            self._collect()
            self.world.stop_pods()
            self.world.start_pods()
            await self.world.settle(2)
            self.invariants.check()


@given(st.lists(ACTIONS, min_size=20, max_size=60), st.integers(0, 2**16))
# Not shrunk: that takes minutes, and the story is told in full.
@settings(
    max_examples=60,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
def test_each_pod_is_one_agents_for_life_and_each_agent_comes_to_have_one(actions: list[Action], seed: int) -> None:
    asyncio.run(_tell(actions, seed))


async def _tell(actions: list[Action], seed: int) -> None:
    story = Story(seed)
    await story.begin()
    for action in actions:
        await story.do(action)
    await story.end()

    world = story.world
    agents = [name for plural, _, name in world.api.objects if plural == "agents"]
    assert [len(world.pods_of(name)) for name in agents] == [1] * len(agents)
    assert len(world.free) == SIZE
    assert len(world.pods) == SIZE + len(agents), "a pod is nobody's"
    assert all(labels.POOL in world.raw(pod)["metadata"]["labels"] for pod in world.pods)
