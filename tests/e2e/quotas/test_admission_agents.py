"""How many agents run at once, and for how long: the operator decides before a pod exists."""

import time
from datetime import datetime

from tests.e2e.kube import Body, address
from tests.e2e.world import AgentHandle, QuotaHandle, World, condition, is_ready, limit_row, message_of, reason_of


def agents(most: int, **more: object) -> Body:
    return {"resource": "agents", "max": most, "scope": "Shared", **more}


def seconds(most: int, **more: object) -> Body:
    return {"resource": "podSeconds", "max": most, "window": "Hour", **more}


def has_pod(agent: AgentHandle) -> bool:
    return agent.kube.get(agent.pod.path) is not None


def waiting(world: World, quota: QuotaHandle, name: str) -> AgentHandle:
    agent = world.agent(name, quotaRef=quota.ref)
    agent.until_reason("QuotaExceeded")
    return agent


def test_an_agent_too_many_gets_no_pod_and_says_why(world: World) -> None:
    quota = world.quota(agents(2))
    for name in ("one", "two"):
        world.agent(name, quotaRef=quota.ref).until_ready()

    third = world.agent("three", quotaRef=quota.ref)

    found = third.until_reason("QuotaExceeded")
    assert f"Quota {quota.name}: agents 2/2 run at once" in message_of(found)
    assert found["status"]["state"] == "Pending"
    assert not has_pod(third)
    told = quota.until(lambda body: limit_row(body, "agents").get("lastRefusal") is not None)
    row = limit_row(told, "agents")
    assert (row["used"], row["percent"], row["lastRefusal"]["agent"]) == ("2", 100, third.name)


def test_when_one_goes_the_oldest_that_waits_gets_its_place(world: World) -> None:
    quota = world.quota(agents(1))
    holder = world.agent("holder", quotaRef=quota.ref)
    holder.until_ready()
    old = waiting(world, quota, "z-old")
    until_younger(old)
    # This one comes first by its name.
    young = waiting(world, quota, "a-young")

    holder.delete()
    old.until_ready()
    left = has_pod(young)
    old.change(suspend=True)
    young.until_ready()

    assert not left


def test_a_larger_limit_lets_those_in_who_wait(world: World) -> None:
    quota = world.quota(agents(1))
    world.agent("holder", quotaRef=quota.ref).until_ready()
    late = waiting(world, quota, "late")

    quota.change(agents(2))

    late.until_ready()


def test_a_limit_that_only_warns_lets_everybody_run_and_says_so(world: World) -> None:
    quota = world.quota(agents(1, enforcement="Warn", warnAt=[100]))

    for name in ("one", "two"):
        world.agent(name, quotaRef=quota.ref).until_ready()

    told = quota.until(lambda body: limit_row(body, "agents").get("used") == "2")
    assert limit_row(told, "agents")["warned"] == 100
    world.until_event(told["metadata"]["uid"], lambda event: "agents" in event["message"])


def test_agents_that_run_already_go_on_under_a_quota_that_comes_later_and_count(world: World) -> None:
    labels = {"tag": world.tag}
    running = [world.agent(name, metadata={"labels": labels}) for name in ("one", "two")]
    before = [agent.until_ready()["status"]["podUID"] for agent in running]

    quota = world.quota(agents(1), selector={"matchLabels": labels})
    late = world.agent("late", metadata={"labels": labels})
    found = late.until_reason("QuotaExceeded")

    assert f"Quota {quota.name}: agents 2/1 run at once" in message_of(found)
    assert [agent.pod.get()["metadata"]["uid"] for agent in running] == before


def test_an_agent_whose_seconds_are_used_up_is_ended_and_says_until_when(world: World) -> None:
    quota = world.quota(seconds(15))
    agent = world.agent(quotaRef=quota.ref)

    found = agent.until(lambda body: reason_of(body) == "QuotaExceeded" and is_suspended(body))

    agent.pod.until_gone()
    assert f"Quota {quota.name}: podSeconds" in message_of(found)
    assert "it goes on at 20" in message_of(found)
    told = condition(found, "Suspended")
    assert told is not None
    assert (told["status"], told["reason"]) == ("True", "QuotaExceeded")


def test_it_goes_on_when_the_limit_is_raised_and_what_it_used_still_counts(world: World) -> None:
    quota = world.quota(seconds(10))
    agent = world.agent(quotaRef=quota.ref)
    agent.until(is_suspended)
    agent.pod.until_gone()

    quota.change(seconds(3000))

    found = agent.until(is_ready)
    assert sum(each["seconds"] for each in found["status"]["runTime"]["slots"]) >= 10


def test_agents_that_share_seconds_are_all_ended(world: World) -> None:
    quota = world.quota(seconds(20, scope="Shared"))
    both = [world.agent(name, quotaRef=quota.ref) for name in ("one", "two")]

    for agent in both:
        agent.until(is_suspended)
        agent.pod.until_gone()

    late = world.agent("late", quotaRef=quota.ref)
    late.until_reason("QuotaExceeded")
    assert not has_pod(late)
    told = quota.until(lambda body: kept_seconds(body) >= 20)
    assert limit_row(told, "podSeconds")["percent"] == 100


def test_of_an_agent_that_is_gone_the_shared_seconds_stay_used(world: World) -> None:
    quota = world.quota(seconds(15, scope="Shared"))
    agent = world.agent("first", quotaRef=quota.ref)
    agent.until(is_suspended)

    agent.delete()
    agent.until_gone()
    late = world.agent("late", quotaRef=quota.ref)

    late.until_reason("QuotaExceeded")
    assert world.kube.get(address("Pod", late.namespace, late.name)) is None


def until_younger(agent: AgentHandle) -> None:
    """Return once what is created is younger: ages are whole seconds, and of two in the same one the name decides."""
    created = datetime.fromisoformat(agent.get()["metadata"]["creationTimestamp"]).timestamp()
    while time.time() < created + 1:
        time.sleep(0.05)


def kept_seconds(body: Body | None) -> int:
    """Return what the quota's status keeps for the next leader: it follows the figures of the limits a little later."""
    slots = (body or {}).get("status", {}).get("runTime", {}).get("slots", ())
    return sum(each["seconds"] for each in slots)


def is_suspended(body: Body | None) -> bool:
    return body is not None and body.get("status", {}).get("state") == "Suspended"
