from datetime import timedelta

import pytest

from ringfence_operator.api.quota import Quota
from ringfence_operator.errors import ForbiddenError, KubeError, UnavailableError
from ringfence_operator.reconcile.quota_admission import running
from tests.operator.reconcile.fleet import Fleet, at_most, quota_body

LABEL = "quota.ringfence.dev/q"


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def quota_of(fleet: Fleet, name: str = "q") -> Quota:
    found = fleet.view.quotas.get("team", name)
    assert found is not None
    return found


async def test_of_fifty_agents_that_come_at_once_as_many_run_as_the_quota_says(fleet: Fleet) -> None:
    fleet.quota(at_most(10))
    names = [fleet.agent(f"a{number:02}") for number in range(50)]

    for _ in range(3):
        await fleet.look(*names)
        fleet.deliver()

    assert len(fleet.pods) == fleet.most == 10
    assert running(quota_of(fleet), fleet.view) == 10


async def test_without_a_quota_all_of_them_run(fleet: Fleet) -> None:
    names = [fleet.agent(f"a{number:02}") for number in range(50)]

    await fleet.look(*names)

    assert len(fleet.pods) == 50


async def test_who_waits_says_for_what(fleet: Fleet) -> None:
    fleet.quota(at_most(1))
    await fleet.look(fleet.agent("first"))

    await fleet.look(fleet.agent("second"))

    ready = fleet.condition("second", "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "QuotaExceeded")
    assert ready["message"].startswith("Quota q: agents 1/1 run at once")
    assert fleet.status("second")["state"] == "Pending"
    assert fleet.condition("second", "Stalled") == {}


async def test_a_place_that_is_given_back_goes_to_the_oldest_that_waits(fleet: Fleet) -> None:
    fleet.quota(at_most(1))
    await fleet.look(fleet.agent("holder"))
    old, young = fleet.agent("z-old"), fleet.agent("a-young")
    await fleet.look(young, old)

    fleet.delete("holder")
    fleet.end("holder")
    woken = list(fleet.woken)
    await fleet.look(young, old)

    assert woken == [old]
    assert fleet.pods == [old]


async def test_who_is_older_and_wants_no_pod_keeps_nobody_waiting(fleet: Fleet) -> None:
    fleet.quota(at_most(1))
    await fleet.look(fleet.agent("holder"))
    old, young = fleet.agent("old"), fleet.agent("young")
    await fleet.look(old, young)
    fleet.api.change(("agents", "team", old), lambda raw: raw["spec"].update(suspend=True), is_spec=True)
    fleet.deliver()

    await fleet.look(old)
    fleet.delete("holder")
    fleet.end("holder")
    await fleet.look(young)

    assert fleet.pods == [young]


async def test_under_several_quotas_an_agent_needs_a_place_in_each(fleet: Fleet) -> None:
    fleet.quota(at_most(5, "wide"))
    fleet.quota(at_most(1, "narrow", selector={"matchLabels": {"team": "x"}}))
    labels = {"team": "x"}
    names = [fleet.agent("a", labels=labels), fleet.agent("b", labels=labels), fleet.agent("c")]

    await fleet.look(*names)

    assert fleet.pods == ["a", "c"]
    assert "Quota narrow: agents 1/1" in fleet.condition("b", "Ready")["message"]


async def test_an_older_one_that_waits_for_another_quota_keeps_nobody_waiting(fleet: Fleet) -> None:
    fleet.quota(at_most(2, "wide"))
    fleet.quota(at_most(1, "narrow", selector={"matchLabels": {"team": "x"}}))
    await fleet.look(fleet.agent("holder", labels={"team": "x"}))
    old = fleet.agent("old", labels={"team": "x"})
    await fleet.look(old)

    await fleet.look(fleet.agent("young"))

    assert fleet.pods == ["holder", "young"]


async def test_a_pod_whose_agent_is_gone_counts_until_it_is_gone_too(fleet: Fleet) -> None:
    fleet.quota(at_most(1))
    await fleet.look(fleet.agent("holder"))
    fleet.deliver()
    fleet.delete("holder")

    await fleet.look(fleet.agent("next"))
    before = fleet.pods
    fleet.end("holder")
    await fleet.look("next")

    assert (before, fleet.pods) == (["holder"], ["next"])


async def test_a_pod_that_has_ended_counts_no_more(fleet: Fleet) -> None:
    fleet.quota(at_most(1))
    await fleet.look(fleet.agent("task", mode="Task", restartPolicy="Never"))
    fleet.api.change(("pods", "team", "task"), lambda raw: raw["status"].update(phase="Succeeded"))
    fleet.deliver()

    await fleet.look(fleet.agent("next"))

    assert fleet.pods == ["next", "task"]


async def test_pods_that_were_there_before_the_quota_count_at_once(fleet: Fleet) -> None:
    names = [fleet.agent("a"), fleet.agent("b")]
    await fleet.look(*names)
    fleet.quota(at_most(2))

    await fleet.look(fleet.agent("c"))

    assert fleet.pods == ["a", "b"]
    assert LABEL not in fleet.pod("a")["metadata"]["labels"]


async def test_a_running_pod_is_given_the_quotas_name_in_place_and_loses_it_with_the_quota(fleet: Fleet) -> None:
    await fleet.look(fleet.agent("a"))
    uid = fleet.pod("a")["metadata"]["uid"]
    fleet.quota(at_most(2))
    fleet.deliver()
    await fleet.look("a")
    with_quota = dict(fleet.pod("a")["metadata"]["labels"])
    fleet.api.remove(("quotas", "team", "q"))
    fleet.deliver()

    await fleet.look("a")

    assert with_quota[LABEL] == "true"
    assert LABEL not in fleet.pod("a")["metadata"]["labels"]
    assert fleet.pod("a")["metadata"]["uid"] == uid


async def test_who_runs_already_goes_on_under_a_smaller_limit(fleet: Fleet) -> None:
    names = [fleet.agent("a"), fleet.agent("b")]
    await fleet.look(*names)

    fleet.quota(at_most(1))
    await fleet.look(*names)

    assert fleet.pods == ["a", "b"]


async def test_a_limit_that_only_warns_lets_everybody_in_and_counts_them(fleet: Fleet) -> None:
    fleet.quota(at_most(1, enforcement="Warn"))

    await fleet.look(fleet.agent("a"), fleet.agent("b"))

    assert fleet.pods == ["a", "b"]
    assert running(quota_of(fleet), fleet.view) == 2


async def test_other_limits_keep_nobody_from_running(fleet: Fleet) -> None:
    fleet.quota(quota_body(resource="queries", max=1, window="Hour", scope="Shared"))
    fleet.view.control.authority = "PEM"

    await fleet.look(fleet.agent("a"), fleet.agent("b"))

    assert running(quota_of(fleet), fleet.view) == 0


async def test_a_new_leader_sees_the_pod_that_its_predecessor_has_just_made(fleet: Fleet) -> None:
    fleet.quota(at_most(1))
    await fleet.look(fleet.agent("a"), fleet.agent("b"))

    fleet.start_operator()
    fleet.deliver(but="pods")
    fleet.lead()
    assert fleet.view.pods.cache == {}
    await fleet.look("b")

    assert fleet.pods == ["a"]


async def test_under_a_new_leader_nobody_is_overtaken(fleet: Fleet) -> None:
    fleet.quota(at_most(1))
    await fleet.look(fleet.agent("holder"))
    old, young = fleet.agent("old"), fleet.agent("young")
    await fleet.look(old, young)
    fleet.deliver()
    fleet.api.remove(("agents", "team", "holder"))
    fleet.api.remove(("pods", "team", "holder"), grace_seconds=0)

    fleet.start_operator()
    fleet.deliver()
    fleet.lead()
    await fleet.look(young)
    await fleet.look(old)

    assert fleet.pods == [old]


async def test_a_pod_of_which_nobody_knows_whether_it_was_made_counts(fleet: Fleet) -> None:
    fleet.quota(at_most(1))
    await fleet.look(fleet.agent("warm-up"))
    fleet.delete("warm-up")
    fleet.end("warm-up")
    fleet.agent("a")
    fleet.agent("b")
    fleet.api.fuse = (0, True, UnavailableError("no answer"))
    with pytest.raises(UnavailableError):
        await fleet.look("a")

    await fleet.look("b")

    assert fleet.pods == ["a"]


@pytest.mark.parametrize("error", [ForbiddenError("no"), KubeError("no")])
async def test_a_pod_that_was_refused_gives_its_place_back(fleet: Fleet, error: KubeError) -> None:
    fleet.quota(at_most(1))
    await fleet.look(fleet.agent("warm-up"))
    fleet.delete("warm-up")
    fleet.end("warm-up")
    fleet.agent("a")
    fleet.agent("b")
    fleet.api.refuse["create pods"] = error
    try:
        await fleet.look("a")
    except KubeError:
        assert not isinstance(error, ForbiddenError)
    fleet.api.refuse.clear()

    await fleet.look("b")

    assert fleet.pods == ["b"]


def test_a_place_that_nobody_came_back_for_is_free_after_a_while() -> None:
    fleet = Fleet()
    fleet.quota(at_most(1))
    agent = fleet.view.agent("team", fleet.agent("a"))
    assert agent is not None
    seconds = 0.0
    fleet.view.places._clock = lambda: seconds
    fleet.view.places.ask(agent, [quota_of(fleet)], lambda *_: 1)
    held = running(quota_of(fleet), fleet.view)

    seconds = timedelta(minutes=2).total_seconds()

    assert (held, running(quota_of(fleet), fleet.view)) == (1, 0)


async def test_refusals_are_counted_once_for_each_agent_that_has_to_wait(fleet: Fleet) -> None:
    fleet.quota(at_most(1))
    await fleet.look(fleet.agent("a"))
    await fleet.look(fleet.agent("b"))
    fleet.deliver()

    await fleet.look("b")

    found = fleet.view.places.refusals["team", "q"]["agents/None/Shared"]
    assert (found.count, found.agent, found.time) == (1, "b", fleet.now)
