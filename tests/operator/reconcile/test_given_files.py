"""Files from ConfigMaps for agents from pools."""

from base64 import b64decode, b64encode
from typing import Any

import pytest

from ringfence_operator.api.agent import Agent
from ringfence_operator.errors import ForbiddenError
from ringfence_operator.reconcile import given_files
from ringfence_operator.reconcile.starters import Heard
from tests.operator.reconcile.pool_world import PoolWorld
from tests.operator.resources.objects import make_agent

Raw = dict[str, Any]
ONE = [{"path": "/tmp/main.py", "configMap": {"name": "code", "key": "main.py"}}]
ALL = [{"path": "/tmp/code", "configMap": {"name": "code"}}]


@pytest.fixture
def world() -> PoolWorld:
    return PoolWorld()


def add_code(world: PoolWorld, **data: str) -> None:
    body = {"metadata": {"name": "code", "namespace": "team", "uid": "code-uid"}}
    given = {"main.py": "print(1)", **data}
    binary = {"data.bin": b64encode(b"\x00\xff").decode()}
    world.api.add("configmaps", {**body, "data": given, "binaryData": binary}, "team")


def files_of(world: PoolWorld, agent: str = "a") -> dict[str, bytes]:
    (pod,) = world.pods_of(agent)
    order = world.starters.orders[world.uid(pod)][2]
    return {each["path"]: b64decode(each["content"]) for each in order["files"]}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (ONE, {"/tmp/main.py": b"print(1)"}),
        (ALL, {"/tmp/code/main.py": b"print(1)", "/tmp/code/data.bin": b"\x00\xff"}),
        ([*ONE, {"path": "/tmp/x", "content": "y"}], {"/tmp/main.py": b"print(1)", "/tmp/x": b"y"}),
    ],
)
async def test_what_a_config_map_holds_is_handed_over(world: PoolWorld, files: Raw, expected: dict[str, bytes]) -> None:
    add_code(world)
    await world.warm(1)
    world.agent("a", files=files)

    await world.settle()

    assert files_of(world) == expected


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([{"path": "/tmp/x", "configMap": {"name": "none"}}], "ConfigMap none does not exist"),
        ([{"path": "/tmp/x", "configMap": {"name": "code", "key": "none"}}], "ConfigMap code has no key none"),
    ],
)
@pytest.mark.parametrize("on_miss", ["Wait", "Cold"])
async def test_what_does_not_exist_is_a_reason_and_takes_no_pod(
    world: PoolWorld, files: Raw, words: str, on_miss: str
) -> None:
    add_code(world)
    (pod,) = await world.warm(1)
    world.agent("a", files=files, onMiss=on_miss)

    await world.settle()

    (ready,) = (each for each in world.status()["conditions"] if each["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ConfigNotFound")
    assert words in ready["message"]
    assert world.free == [pod]


async def test_an_agent_whose_config_map_comes_later_is_served_then(world: PoolWorld) -> None:
    await world.warm(1)
    world.agent("a", files=ONE)
    await world.settle()

    add_code(world)
    await world.settle(20)

    assert files_of(world) == {"/tmp/main.py": b"print(1)"}


@pytest.mark.parametrize("how", ["too many bytes", "too many files", "forbidden"])
async def test_what_cannot_be_read_starts_cold_or_is_a_reason(
    world: PoolWorld, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_code(world, more="x" * 100)
    if how == "too many bytes":
        monkeypatch.setattr(given_files, "MOST_BYTES", 50)
    elif how == "too many files":
        monkeypatch.setattr(given_files, "MOST_FILES", 2)
    else:
        monkeypatch.setattr(type(world.api), "get", forbidding(world.api.get))
    (pod,) = await world.warm(1)
    world.agent("a", files=ALL)
    world.agent("cold", files=ALL, onMiss="Cold")

    await world.settle()
    world.start_pods("cold")
    await world.settle()

    assert world.condition("Ready") == ("False", "NotGivenWarm")
    assert world.condition("Assigned", "cold") == ("True", "StartedCold")
    assert world.free == [pod]


def forbidding(get: Any) -> Any:
    async def refuse(_: object, path: str) -> Raw:
        if "/configmaps/" in path:
            raise ForbiddenError("configmaps is forbidden")
        found: Raw = await get(path)
        return found

    return refuse


@pytest.mark.parametrize("on_miss", ["Wait", "Cold", "Fail"])
async def test_who_gets_no_warm_pod_has_nothing_read_or_kept(
    world: PoolWorld, on_miss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = watched_reads(world, monkeypatch)
    add_code(world)
    await world.warm(1)
    world.agent("first")
    await world.settle()

    world.agent("a", files=ONE, onMiss=on_miss)
    for _ in range(3):
        await world.look("a")

    assert not reads
    assert world.view.pooling.given.of(agent_with_files()) is None


async def test_who_waits_for_a_pod_has_its_files_read_when_it_is_its_turn(
    world: PoolWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = watched_reads(world, monkeypatch)
    add_code(world)
    await world.warm(1)
    world.agent("first")
    world.agent("a", files=ONE)
    await world.settle()
    before = len(reads)

    world.start_pods()
    await world.settle()

    assert (before, len(reads)) == (0, 1)
    assert files_of(world) == {"/tmp/main.py": b"print(1)"}


@pytest.mark.parametrize("how", ["deleted", "suspended", "finished"])
async def test_what_was_read_is_forgotten_if_the_command_never_runs(world: PoolWorld, how: str) -> None:
    add_code(world)
    await world.warm(1, restartPolicy="Never")
    world.agent("a", mode="Task", files=ONE)
    await world.settle()
    before, pod = world.view.pooling.given.of(agent_with_files()), world.pods_of("a")[0]

    if how == "deleted":
        world.delete_agent()
    elif how == "suspended":
        world.set_agent(suspend=True)
    else:
        world.set_pod(pod, phase="Failed", reason="DeadlineExceeded")
    await world.settle()

    assert before
    assert world.view.pooling.given.of(agent_with_files()) is None


def watched_reads(world: PoolWorld, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    reads: list[str] = []
    get = world.api.get

    async def watch(_: object, path: str) -> Raw:
        if "/configmaps/" in path:
            reads.append(path)
        found: Raw = await get(path)
        return found

    monkeypatch.setattr(type(world.api), "get", watch)
    return reads


def agent_with_files() -> Agent:
    agent = make_agent(image=None, files=ONE, poolRef={"name": "p"}, command=["run"])
    return agent.model_copy(update={"metadata": agent.metadata.model_copy(update={"uid": "a-uid"})})


async def test_what_was_read_is_forgotten_once_the_command_runs(world: PoolWorld) -> None:
    add_code(world)
    (pod,) = await world.warm(1)
    world.agent("a", files=ONE)
    await world.settle()
    agent = agent_with_files()
    before = world.view.pooling.given.of(agent)

    world.starters.carry_out(world.uid(pod))
    await world.look("a")

    assert before == {"code": {"main.py": b"print(1)"}}, "only what is asked for"
    assert world.view.pooling.given.of(agent) is None
    assert world.uid(pod) not in world.starters.orders
    assert world.condition("Ready") == ("True", "Running")


@pytest.mark.parametrize(("started", "is_read"), [(True, False), (False, True)])
async def test_a_new_leader_reads_again_only_for_a_starter_that_waits(
    world: PoolWorld, started: bool, is_read: bool
) -> None:
    add_code(world)
    (pod,) = await world.warm(1)
    world.agent("a", files=ONE)
    await world.look("a")
    world.deliver()

    world.start_operator()
    await world.settle()
    silent = world.uid(pod) in world.starters.orders
    world.starters.said[world.uid(pod)] = Heard(agent_uid="a-uid" if started else "", started=started)
    await world.look("a")

    assert not silent, "nobody has asked"
    assert world.starters.wakes[world.uid(pod)] == ("team", "a")
    assert (world.uid(pod) in world.starters.orders) is is_read
