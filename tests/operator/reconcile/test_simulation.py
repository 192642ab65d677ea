"""Whatever happens in whatever order, the world ends as the agent's spec says, and little is written on the way."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringfence_operator.errors import UnavailableError
from ringfence_operator.resources.network_policy import build_default_deny
from tests.operator.reconcile.api_server import CrashError
from tests.operator.reconcile.world import World

Action = tuple[str, Any]
TASK: dict[str, Any] = {"mode": "Task", "backoff": {"limit": 100, "initialDelay": "1s", "maxDelay": "4s"}}
SERVICE: dict[str, Any] = {"workspace": {"size": "1Gi"}, "backoff": {"initialDelay": "1s", "maxDelay": "4s"}}


def _break(world: World, how: tuple[int, bool, bool]) -> None:
    write, takes_effect, is_crash = how
    error = CrashError() if is_crash else UnavailableError("connection lost")
    world.api.fuse = (write, takes_effect, error)


ACTIONS: dict[str, Callable[[World, Any], None]] = {
    "reconcile": lambda world, _: world.reconcile(),
    "deliver": lambda world, events: world.deliver(events),
    "break": _break,
    "restart": lambda world, _: world.start_operator(),
    "boot": lambda world, _: world.boot(),
    "schedule": lambda world, _: world.schedule(),
    "start": lambda world, ready: world.start(ready=ready),
    "become ready": lambda world, _: world.become_ready(),
    "end": lambda world, code: world.end(code),
    "conclude": lambda world, _: world.conclude(),
    "evict": lambda world, _: world.evict(),
    "stop": lambda world, _: world.finish_termination(),
    "wait": lambda world, seconds: world.wait(seconds),
    "lose node": lambda world, _: world.lose_node(),
    "add node": lambda world, _: world.add_node(),
    "delete pod": lambda world, _: world.delete_pod(),
    "suspend": lambda world, flag: world.set_spec(suspend=flag),
    "image": lambda world, image: world.set_spec(image=image),
}


def action(name: str, argument: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[Action]:
    return st.tuples(st.just(name), argument if argument is not None else st.none())


OPERATOR = [
    action("reconcile"),
    action("reconcile"),
    action("deliver", st.integers(1, 4)),
    action("deliver", st.none()),
    action("break", st.tuples(st.integers(0, 2), st.booleans(), st.booleans())),
    action("restart"),
    action("wait", st.sampled_from([0.1, 1, 3, 20])),
]
KUBELET = [
    action("boot"),
    action("schedule"),
    action("start", st.booleans()),
    action("become ready"),
    action("end", st.sampled_from([1, 2])),
    action("conclude"),
    action("evict"),
    action("stop"),
]
OTHERS = [
    action("lose node"),
    action("add node"),
    action("delete pod"),
    action("suspend", st.booleans()),
    action("image", st.sampled_from(["a:1", "a:2"])),
]


def play(world: World, actions: list[Action]) -> None:
    for name, argument in actions:
        ACTIONS[name](world, argument)


def end_undisturbed(world: World, **how: Any) -> None:
    world.api.fuse = None
    world.add_node()
    world.settle(**how)


def assert_settled(world: World) -> None:
    """Nothing more is written, whoever looks again."""
    before = list(world.api.writes)
    for restart in (False, True, True):
        if restart:
            world.start_operator()
        world.reconcile()
        world.deliver()
    assert world.api.writes[len(before) :] == []


quick = settings(max_examples=70, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(actions=st.lists(st.one_of(OPERATOR + KUBELET + OTHERS), max_size=40))
def test_a_service_ends_up_as_its_spec_says_with_never_two_processes(actions: list[Action]) -> None:
    world = World(SERVICE)

    play(world, actions)
    end_undisturbed(world)

    assert world.most_processes <= 1
    if world.agent["spec"].get("suspend"):
        assert world.pod is None
        assert world.condition("Suspended")["status"] == "True"
        assert world.status["state"] == "Suspended"
    else:
        assert world.condition("Ready")["status"] == "True"
        assert world.pod is not None
        assert world.status["podUID"] == world.pod["metadata"]["uid"]
        assert world.pod["spec"]["containers"][0]["image"] == world.agent["spec"]["image"]
    assert world.status["observedGeneration"] == world.agent["metadata"]["generation"]
    assert_settled(world)


@quick
@given(actions=st.lists(st.one_of(OPERATOR + KUBELET), max_size=60))
def test_a_tasks_failures_are_counted_each_once_whatever_breaks_in_between(actions: list[Action]) -> None:
    world = World(TASK)

    play(world, actions)
    end_undisturbed(world, ends_with=0)

    assert world.most_processes <= 1
    assert world.status["state"] == "Succeeded"
    assert world.status["failures"] == world.failures
    assert world.created_after_end == 0
    assert_settled(world)


@quick
@given(actions=st.lists(st.one_of(OPERATOR + KUBELET), max_size=40), limit=st.integers(0, 3))
def test_a_task_that_always_fails_ends_after_its_retries(actions: list[Action], limit: int) -> None:
    world = World(TASK | {"backoff": {"limit": limit, "initialDelay": "1s", "maxDelay": "4s"}})

    play(world, actions)
    end_undisturbed(world, ends_with=1)

    assert world.status["state"] == "Failed"
    assert world.condition("Ready")["reason"] == "BackoffLimitExceeded"
    assert world.failures == world.status["failures"] == limit + 1
    assert world.created_after_end == 0
    assert_settled(world)


@quick
@given(actions=st.lists(st.one_of(OPERATOR + KUBELET + OTHERS), max_size=40))
def test_a_task_comes_to_an_end_whatever_happens(actions: list[Action]) -> None:
    world = World(TASK)

    play(world, actions)
    end_undisturbed(world, ends_with=0)

    assert world.most_processes <= 1
    assert world.status["state"] == ("Succeeded" if world.status.get("finishedAt") else "Suspended")
    assert_settled(world)


def settled(**spec: Any) -> World:
    """Return the world after another agent has had the namespace's default deny made."""
    world = World(spec)
    world.api.add("networkpolicies", build_default_deny("team"), "team")
    world.deliver()
    return world


@pytest.mark.parametrize("delay", [0.0, 0.4, 1.9])
def test_a_plain_agent_that_is_ready_within_two_seconds_costs_two_writes(delay: float) -> None:
    world = settled()

    world.reconcile()
    world.deliver()
    world.reconcile()
    world.schedule()
    world.deliver()
    world.reconcile()
    world.wait(delay)
    world.start()
    world.settle()

    assert world.api.writes == ["create pods", "replace agents/status"]
    assert world.condition("Ready")["status"] == "True"
    assert world.api.reads == []


@pytest.mark.parametrize("delay", [5.1, 10, 60])
def test_a_plain_agent_that_is_ready_later_costs_three_writes(delay: float) -> None:
    world = settled()
    world.reconcile()
    world.schedule()
    world.deliver()
    world.reconcile()

    world.wait(delay)
    world.deliver()
    world.reconcile()
    world.start()
    world.settle()

    assert world.api.writes == ["create pods", "replace agents/status", "replace agents/status"]
    assert world.condition("Ready")["status"] == "True"


def test_a_workspace_and_a_service_cost_a_write_each() -> None:
    world = settled(workspace={"size": "1Gi"}, ports=[{"name": "http", "port": 80}])

    world.settle()

    assert sorted(world.api.writes) == [
        "create persistentvolumeclaims",
        "create pods",
        "create services",
        "replace agents/status",
    ]


def test_the_first_agent_of_a_namespace_is_closed_before_its_pod_is_made() -> None:
    world = World({})

    world.settle()

    assert world.api.writes == ["create networkpolicies", "create pods", "replace agents/status"]


def test_a_pod_made_by_a_predecessor_a_moment_ago_is_taken_over() -> None:
    world = settled()
    world.api.fuse = (0, True, UnavailableError("the answer was lost"))

    world.reconcile()
    world.reconcile()

    assert world.pod is not None
    assert len(world.api.reads) == 1
    world.settle()
    assert world.condition("Ready")["status"] == "True"
    assert world.api.writes.count("replace agents/status") == 1


def test_a_slow_agent_says_that_it_starts_after_two_seconds_at_the_latest() -> None:
    world = settled()
    world.reconcile()
    assert world.status == {}

    assert world.due is not None
    world.wait((world.due - world.now).total_seconds())
    world.reconcile()

    assert world.status["state"] == "Starting"


def test_suspend_and_resume_keep_the_workspace() -> None:
    world = settled(workspace={"size": "1Gi"})
    world.settle()
    claim = world.api.objects["persistentvolumeclaims", "team", "a-workspace"]

    world.set_spec(suspend=True)
    world.settle()
    assert world.pod is None
    world.set_spec(suspend=False)
    world.settle()

    assert world.condition("Ready")["status"] == "True"
    assert world.api.objects["persistentvolumeclaims", "team", "a-workspace"] == claim


def test_an_agent_whose_time_after_the_end_is_over_goes() -> None:
    world = settled(mode="Task", ttlAfterFinished="30s")

    world.settle(ends_with=0)

    assert ("agents", "team", "a") not in world.api.objects


def test_a_deadline_holds_over_replacements() -> None:
    world = settled(mode="Task", maxExecutionTime="1m", backoff={"limit": 100, "initialDelay": "20s"})

    world.settle(ends_with=1)

    assert world.condition("Ready")["reason"] == "DeadlineExceeded"
    assert world.status["state"] == "Failed"
