from datetime import timedelta
from typing import Any

import pytest

from ringfence_operator.api.quota_matrix import Resource
from ringfence_operator.errors import ForbiddenError, InvalidError, KubeError, NotFoundError
from ringfence_operator.reconcile.agent import reconcile_agent
from ringfence_operator.reconcile.resize import RETRY_SECONDS
from tests.operator.reconcile.fleet import Fleet, quota_body

Raw = dict[str, Any]
RESIZED = "patch pods/resize"


@pytest.fixture
async def fleet() -> Fleet:
    """One agent that runs, with limits of 1 core and 512Mi, and its status."""
    fleet = Fleet()
    await start(fleet)
    return fleet


async def start(fleet: Fleet, **spec: Any) -> None:
    await fleet.look(fleet.agent("a", **spec))
    fleet.run_pod("a", fleet.now, qosClass="Burstable")
    await fleet.look("a")
    fleet.deliver()
    fleet.api.writes.clear()


def limit(fleet: Fleet, name: str = "small", **limits: str) -> None:
    """Make or change a quota."""
    body = quota_body(name, resource="memory", max="1")
    body["spec"]["limits"] = [{"resource": resource, "max": most} for resource, most in limits.items()]
    if ("quotas", "team", name) in fleet.api.objects:
        fleet.api.change(("quotas", "team", name), lambda raw: raw.update(spec=body["spec"]), is_spec=True)
        fleet.deliver()
    else:
        fleet.quota(body)


def share(fleet: Fleet) -> Raw:
    found: Raw = fleet.pod("a")["spec"]["containers"][0]["resources"]
    return found


def carry_out(fleet: Fleet) -> None:
    """The kubelet gives the container what its spec says."""
    resources = share(fleet)
    fleet.api.change(
        ("pods", "team", "a"), lambda raw: raw["status"]["containerStatuses"][0].update(resources=resources)
    )
    fleet.deliver()


def row(fleet: Fleet, name: str = "memory") -> tuple[str, str, str | None]:
    found = next(each for each in fleet.status("a")["effective"] if each["name"] == name)
    return found["value"], found["source"], found.get("object")


async def test_a_quota_makes_a_running_agents_share_smaller_in_place(fleet: Fleet) -> None:
    uid = fleet.pod("a")["metadata"]["uid"]
    limit(fleet, memory="256Mi", cpu="500m")

    await fleet.look("a")
    carry_out(fleet)
    await fleet.look("a")

    assert fleet.pod("a")["metadata"]["uid"] == uid
    assert share(fleet)["limits"] | {"ephemeral-storage": ""} == {
        "cpu": "500m",
        "memory": "256Mi",
        "ephemeral-storage": "",
    }
    assert fleet.api.writes.count(RESIZED) == 1
    assert row(fleet) == ("256Mi", "Quota", "small")
    assert row(fleet, "cpu") == ("500m", "Quota", "small")


async def test_the_status_says_what_the_kubelet_gives_and_not_what_is_wanted(fleet: Fleet) -> None:
    carry_out(fleet)
    limit(fleet, memory="256Mi")

    await fleet.look("a")
    fleet.deliver()
    await fleet.look("a")

    assert row(fleet) == ("512Mi", "Default", None)


async def test_a_larger_quota_gives_more_and_none_gives_all_of_it_back(fleet: Fleet) -> None:
    found = []
    for most in ("256Mi", "384Mi", None):
        if most:
            limit(fleet, memory=most)
        else:
            fleet.api.remove(("quotas", "team", "small"))
            fleet.deliver()
        await fleet.look("a")
        carry_out(fleet)
        await fleet.look("a")
        fleet.deliver()
        found.append((share(fleet)["limits"]["memory"], row(fleet)[1]))

    assert found == [("256Mi", "Quota"), ("384Mi", "Quota"), ("512Mi", "Default")]


async def test_settled_it_costs_no_write(fleet: Fleet) -> None:
    limit(fleet, memory="256Mi")
    await fleet.look("a")
    carry_out(fleet)
    await fleet.look("a")
    fleet.deliver()
    fleet.api.writes.clear()

    await fleet.look("a")

    assert fleet.api.writes == []


async def test_a_quota_that_leaves_more_than_the_agent_has_changes_nothing(fleet: Fleet) -> None:
    limit(fleet, memory="1Gi", cpu="2")

    await fleet.look("a")

    assert fleet.api.writes == []


async def test_another_setting_is_no_reason_to_touch_a_running_agent(fleet: Fleet) -> None:
    fleet.settings = fleet.settings.model_copy(update={"default_memory": "2Gi", "maximum_memory": "256Mi"})
    fleet.start_operator()
    fleet.deliver()

    await fleet.look("a")

    assert fleet.api.writes == []


async def test_somebody_who_gives_the_container_more_than_the_quota_is_put_right(fleet: Fleet) -> None:
    limit(fleet, memory="256Mi")
    await fleet.look("a")
    carry_out(fleet)
    await fleet.look("a")
    fleet.api.change(
        ("pods", "team", "a"), lambda raw: raw["spec"]["containers"][0]["resources"]["limits"].update(memory="4Gi")
    )
    fleet.deliver()

    await fleet.look("a")

    assert share(fleet)["limits"]["memory"] == "256Mi"


@pytest.mark.parametrize(
    "error", [InvalidError("memory limits cannot be decreased"), ForbiddenError("no"), NotFoundError("no such path")]
)
async def test_what_the_api_server_refuses_is_told_and_asked_for_once(fleet: Fleet, error: KubeError) -> None:
    fleet.api.refuse[RESIZED] = error
    limit(fleet, memory="256Mi")

    await fleet.look("a")
    fleet.deliver()
    fleet.api.refuse.clear()
    await fleet.look("a")

    found = fleet.condition("a", "LimitsOutdated")
    assert (found["status"], found["reason"]) == ("True", "ResizeRefused")
    assert str(error) in found["message"]
    assert share(fleet)["limits"]["memory"] == "512Mi"
    assert row(fleet) == ("512Mi", "Default", None)


@pytest.mark.parametrize(
    ("error", "given"), [(ForbiddenError("exceeded quota"), "256Mi"), (InvalidError("no"), "512Mi")]
)
async def test_what_others_forbid_is_asked_for_again_after_a_while(fleet: Fleet, error: KubeError, given: str) -> None:
    fleet.api.refuse[RESIZED] = error
    limit(fleet, memory="256Mi")
    await fleet.look("a")
    fleet.deliver()
    fleet.api.refuse.clear()

    fleet.now += timedelta(seconds=RETRY_SECONDS)
    await fleet.look("a")

    assert share(fleet)["limits"]["memory"] == given


async def test_an_agent_is_looked_at_again_when_what_was_forbidden_is_to_be_asked_for(fleet: Fleet) -> None:
    fleet.api.refuse[RESIZED] = ForbiddenError("exceeded quota")
    limit(fleet, memory="256Mi")
    agent = fleet.view.agent("team", "a")
    assert agent is not None

    again = await reconcile_agent(agent, fleet.tools, now=fleet.now)

    assert again == RETRY_SECONDS


async def test_another_limit_is_asked_for_though_one_was_refused(fleet: Fleet) -> None:
    fleet.api.refuse[RESIZED] = InvalidError("no")
    limit(fleet, memory="256Mi")
    await fleet.look("a")
    fleet.deliver()
    fleet.api.refuse.clear()

    limit(fleet, memory="300Mi")
    await fleet.look("a")
    carry_out(fleet)
    await fleet.look("a")

    assert share(fleet)["limits"]["memory"] == "300Mi"
    assert fleet.condition("a", "LimitsOutdated") == {}


@pytest.mark.parametrize(
    ("kind", "word", "reason"),
    [
        ("PodResizePending", "Deferred", "ResizeDeferred"),
        ("PodResizePending", "Infeasible", "ResizeInfeasible"),
        ("PodResizeInProgress", "Error", "ResizeDeferred"),
    ],
)
async def test_what_the_kubelet_says_of_a_resize_is_told(fleet: Fleet, kind: str, word: str, reason: str) -> None:
    limit(fleet, memory="256Mi")
    await fleet.look("a")
    said = {"type": kind, "status": "True", "reason": word, "message": "below current usage"}
    fleet.api.change(("pods", "team", "a"), lambda raw: raw["status"]["conditions"].append(said))
    fleet.deliver()

    await fleet.look("a")

    found = fleet.condition("a", "LimitsOutdated")
    assert (found["status"], found["reason"]) == ("True", reason)
    assert "below current usage" in found["message"]


async def test_disk_waits_for_a_new_pod_and_the_agent_says_so(fleet: Fleet) -> None:
    uid = fleet.pod("a")["metadata"]["uid"]
    limit(fleet, ephemeralStorage="128Mi")

    await fleet.look("a")
    fleet.deliver()
    told, has = fleet.condition("a", "LimitsOutdated"), row(fleet, "ephemeral-storage")
    is_same = fleet.pod("a")["metadata"]["uid"] == uid
    fleet.end("a")
    await fleet.look("a")
    fleet.run_pod("a", fleet.now)
    await fleet.look("a")

    assert (told["reason"], has, is_same) == ("NeedsNewPod", ("1Gi", "Default", None), True)
    assert "ephemeral-storage is 1Gi in this pod, and 128Mi (Quota small) now" in told["message"]
    assert fleet.condition("a", "LimitsOutdated") == {}
    assert row(fleet, "ephemeral-storage") == ("128Mi", "Quota", "small")
    assert share(fleet)["limits"]["ephemeral-storage"] == "128Mi"


async def test_a_new_pod_is_made_with_what_the_quota_leaves() -> None:
    fleet = Fleet()
    limit(fleet, memory="64Mi", cpu="50m")

    await fleet.look(fleet.agent("a"))

    assert share(fleet)["limits"]["memory"] == "64Mi"
    assert share(fleet)["requests"]["cpu"] == "50m"
    assert share(fleet)["requests"]["memory"] == "64Mi"


async def test_after_the_kernel_has_killed_it_the_agent_says_whose_limit_that_was(fleet: Fleet) -> None:
    limit(fleet, memory="256Mi")
    await fleet.look("a")
    carry_out(fleet)
    await fleet.look("a")
    ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-11-23T12:30:00Z"}
    fleet.api.change(
        ("pods", "team", "a"),
        lambda raw: raw["status"]["containerStatuses"][0].update(
            state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": ended}, restartCount=1
        ),
    )
    fleet.api.change(("pods", "team", "a"), lambda raw: raw["status"].update(conditions=[]))
    fleet.deliver()

    await fleet.look("a")
    fleet.deliver()
    limit(fleet, memory="300Mi")
    await fleet.look("a")

    killed = fleet.status("a")["lastExit"]["memoryLimit"]
    assert (killed["value"], killed["source"], killed["object"]) == ("256Mi", "Quota", "small")
    message = fleet.condition("a", "Ready")["message"]
    assert "memory limit of 256Mi (Quota small)" in message
    assert "raise it there" in message
    kills = fleet.view.node_kills.of(("team", "small"), Resource.MEMORY)
    assert (kills.count, kills.seen) == (1, 1)


async def test_a_kill_that_the_status_tells_already_is_no_new_one_to_an_operator_that_begins(fleet: Fleet) -> None:
    limit(fleet, memory="256Mi")
    await fleet.look("a")
    carry_out(fleet)
    await fleet.look("a")
    ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-11-23T12:30:00Z"}
    fleet.api.change(
        ("pods", "team", "a"),
        lambda raw: raw["status"]["containerStatuses"][0].update(lastState={"terminated": ended}, restartCount=1),
    )
    fleet.deliver()
    await fleet.look("a")

    fleet.start_operator()
    fleet.deliver()
    await fleet.look("a")

    kills = fleet.view.node_kills.of(("team", "small"), Resource.MEMORY)
    assert (kills.count, kills.seen) == (1, 0)


async def test_who_was_killed_at_the_agents_own_limit_is_not_told_of_a_quota(fleet: Fleet) -> None:
    ended = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-11-23T12:30:00Z"}
    fleet.api.change(
        ("pods", "team", "a"),
        lambda raw: raw["status"]["containerStatuses"][0].update(lastState={"terminated": ended}, restartCount=1),
    )
    fleet.deliver()

    await fleet.look("a")

    killed = fleet.status("a")["lastExit"]["memoryLimit"]
    assert (killed["value"], killed["source"]) == ("512Mi", "Default")
    assert fleet.view.node_kills.found == {}
