"""Passes over a Quota: what its status says, how often it is written, and what is told besides."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from ringfence_operator import labels
from ringfence_operator.api.conditions import Reason
from ringfence_operator.api.quota import Quota
from ringfence_operator.errors import ConflictError, ForbiddenError, UnavailableError
from ringfence_operator.reconcile.quota import WRITE_SECONDS, QuotaTools, reconcile_quota, remove_quota
from ringfence_operator.reconcile.quota_use import Use, Warned
from ringfence_operator.resources.sidecar_configuration import build_sidecar_configuration
from tests.operator.reconcile.contexts import ago, running_pod
from tests.operator.reconcile.fake_sidecars import FakeSidecars
from tests.operator.reconcile.kstatus import kstatus
from tests.operator.reconcile.test_network import Cluster
from tests.operator.resources.objects import NOW, agent_body, make_agent, pod_body, quota_body

Raw = dict[str, Any]
QUERIES = "queries/Hour/Shared"
LIMIT: Raw = {"resource": "queries", "max": 100, "window": "Hour", "scope": "Shared", "warnAt": [50, 80]}
STATUS = "replace quotas/status"


class FakeSource:
    """Says what a test has it say."""

    def __init__(self) -> None:
        self.said: dict[str, Use] = {}
        self.only = ""
        """Of which quota it knows anything; of all, if it is empty."""

    def uses(self, quota: Quota) -> Mapping[str, Use]:
        if self.only not in ("", quota.metadata.name):
            return {}
        return {each.id: self.said[each.id] for each in quota.spec.limits if each.id in self.said}


class Limited(Cluster):
    """A quota `team/q` for `agents` agents; the clock stands unless a test moves it."""

    def __init__(self, *limits: Raw, agents: int = 2, **spec: Any) -> None:
        super().__init__()
        self.now: datetime = NOW
        self.source = FakeSource()
        self.woken: list[tuple[str, str]] = []
        self.tools = QuotaTools(self.view, self.api, (self.source,), wake=self.woken.extend)
        self.have("quotas", quota_body("q", *(limits or (LIMIT,)), selector={}, **spec))
        for number in range(agents):
            self.have("agents", agent_body(f"a{number}"))
        self.api.writes.clear()

    @property
    def quota(self) -> Quota:
        found = self.view.quotas.get("team", "q")
        assert found is not None
        return found

    @property
    def raw(self) -> Raw:
        return self.api.objects["quotas", "team", "q"]

    async def run(self, *, after: float = 0.0) -> float | None:
        self.now += timedelta(seconds=after)
        return await reconcile_quota(self.quota, self.tools, now=self.now)

    def use(self, used: float, limit: str = QUERIES, **more: Any) -> None:
        self.source.said[limit] = Use(used=used, **more)

    @property
    def events(self) -> list[tuple[str, str, str]]:
        found = [raw for place, raw in self.api.objects.items() if place[0] == "events"]
        return [(each["type"], each["reason"], each["message"]) for each in found]

    def condition(self, kind: str) -> tuple[str, str]:
        found = {each["type"]: (each["status"], each["reason"]) for each in self.raw["status"]["conditions"]}
        return found.get(kind, ("", ""))


async def test_a_status_says_how_many_agents_and_where_each_limit_stands() -> None:
    limited = Limited()
    limited.use(80.0, per_agent={"a0": 80.0})

    await limited.run()

    status = limited.raw["status"]
    assert (status["agents"], status["tightest"]) == (2, "queries 80/100 per Hour")
    assert [each["used"] for each in status["limits"]] == ["80"]
    assert limited.condition("Ready") == ("True", "Enforced")
    assert kstatus(1, limited.raw["status"]) == "Current"


async def test_what_of_a_limit_is_not_counted_is_said_though_it_is_enforced() -> None:
    limited = Limited()
    limited.use(0.0, caveat="some of it is not counted")

    await limited.run()

    [ready] = [each for each in limited.raw["status"]["conditions"] if each["type"] == "Ready"]
    assert (ready["status"], ready["reason"]) == ("True", "Enforced")
    assert ready["message"] == "every limit is kept; queries: some of it is not counted"


async def test_a_quota_that_holds_for_nobody_is_ready_and_says_so() -> None:
    limited = Limited(agents=0)

    await limited.run()

    assert limited.condition("Ready") == ("True", "NoAgents")
    assert (kstatus(1, limited.raw["status"]), limited.events) == ("Current", [])


@pytest.mark.parametrize(
    ("reason", "expected", "condition"),
    [
        (Reason.NO_STORE, "Failed", "Stalled"),
        (Reason.NOT_SUPPORTED, "Failed", "Stalled"),
        (Reason.STORE_UNAVAILABLE, "InProgress", "Reconciling"),
    ],
)
async def test_a_limit_that_is_not_kept_is_told_of(reason: Reason, expected: str, condition: str) -> None:
    limited = Limited()
    limited.use(0.0, trouble=(reason, "do this"))

    await limited.run()

    assert limited.condition("Ready") == ("False", reason.value)
    assert limited.condition(condition) == ("True", reason.value)
    assert kstatus(1, limited.raw["status"]) == expected
    assert limited.events == [("Warning", reason.value, "queries: do this")]


async def test_what_somebody_has_to_mend_is_told_before_what_passes() -> None:
    limited = Limited(LIMIT, {"resource": "memory", "max": "1Gi"})
    limited.use(0.0, trouble=(Reason.STORE_UNAVAILABLE, "it comes back"))
    limited.use(0.0, "memory/None/PerAgent", trouble=(Reason.NOT_SUPPORTED, "it cannot"))

    await limited.run()

    assert limited.condition("Stalled") == ("True", "NotSupported")


async def test_credits_are_told_by_the_thousandth_and_their_metric_is_what_was_used() -> None:
    limited = Limited({"resource": "credits", "max": "500m", "window": "Day", "scope": "Shared", "warnAt": [80]})
    limited.use(0.0101, "credits/Day/Shared", per_agent={"a0": 0.0101})

    await limited.run()

    [limit] = limited.raw["status"]["limits"]
    assert (limit["used"], limit["remaining"], limit["percent"]) == ("11m", "489m", 2)
    assert limited.raw["status"]["tightest"] == "credits 11m/500m per Day"
    assert [ratio for _, ratio, _, _ in limited.view.quota_knowledge.series()] == [pytest.approx(0.0202)]


async def test_what_does_not_change_costs_no_write() -> None:
    limited = Limited()
    limited.use(80.0)
    await limited.run()
    before = list(limited.api.writes)

    for _ in range(10):
        await limited.run(after=60)

    assert limited.api.writes == before


async def test_a_status_is_written_once_in_ten_seconds_however_quickly_it_changes() -> None:
    limited = Limited({key: value for key, value in LIMIT.items() if key != "warnAt"})
    waits = []
    for number in range(60):
        limited.use(float(number))
        waits.append(await limited.run(after=1 if number else 0))

    assert limited.api.writes == [STATUS] * 6
    assert [wait for wait in waits[:11] if wait] == [9, 8, 7, 6, 5, 4, 3, 2, 1]


async def test_the_last_of_a_burst_is_written_when_its_time_has_come() -> None:
    limited = Limited()
    await limited.run()
    limited.use(7.0)
    wait = await limited.run(after=1)
    assert wait == WRITE_SECONDS - 1

    await limited.run(after=wait)

    assert limited.raw["status"]["limits"][0]["used"] == "7"


async def test_it_is_looked_again_when_something_is_free_again() -> None:
    limited = Limited()
    limited.use(7.0, resets_at=NOW + timedelta(seconds=90))
    late = await limited.run()
    limited.use(7.0, resets_at=NOW + timedelta(seconds=12))

    assert (late, await limited.run(after=11)) == (90, WRITE_SECONDS)


async def test_use_that_comes_to_a_percentage_is_told_once_for_each_however_it_goes_up_and_down() -> None:
    limited = Limited()
    for used in (49.0, 50.0, 51.0, 49.0, 52.0, 80.0, 99.0, 10.0, 85.0):
        limited.use(used, per_agent={"a1": used})
        await limited.run(after=10)

    assert limited.events == [
        ("Warning", "QuotaWarning", "queries 50/100 per Hour: 50 % is reached by agent a1"),
        ("Warning", "QuotaWarning", "queries 80/100 per Hour: 80 % is reached by agent a1"),
    ]
    assert list(limited.view.quota_knowledge.series()) == [
        (("team", "q", "queries", "Hour", "Shared"), 0.85, 2, 0),
    ]


async def test_what_a_call_was_told_is_told_though_the_window_is_over_and_of_each_agents_own_limit_each_agent() -> None:
    own: Raw = {"resource": "toolCalls", "max": 5, "window": "Second", "warnAt": [80]}
    limited = Limited(own)
    for seconds, agent in ((1, "a0"), (2, "a0"), (3, "a1")):
        limited.use(0.0, "toolCalls/Second/PerAgent", warned=(Warned(80, agent, NOW + timedelta(seconds=seconds)),))
        await limited.run(after=10)

    assert [message for _, _, message in limited.events] == [
        f"toolCalls 0/5 per Second: 80 % is reached by agent {agent}" for agent in ("a0", "a1")
    ]
    assert list(limited.view.quota_knowledge.series()) == [
        (("team", "q", "toolCalls", "Second", "PerAgent"), 0.0, 2, 0),
    ]


async def test_of_several_percentages_that_are_passed_at_once_each_is_told() -> None:
    limited = Limited({**LIMIT, "warnAt": [50, 80, 100]})
    for used in (10.0, 85.0):
        limited.use(used)
        await limited.run(after=10)

    assert [message for _, _, message in limited.events] == [
        "queries 85/100 per Hour: 50 % is reached",
        "queries 85/100 per Hour: 80 % is reached",
    ]
    assert [warnings for _, _, warnings, _ in limited.view.quota_knowledge.series()] == [2]


async def test_each_percentage_that_one_call_passed_is_told_of_its_agent() -> None:
    own: Raw = {"resource": "toolCalls", "max": 5, "window": "Second", "warnAt": [50, 80, 100]}
    limited = Limited(own)
    for seconds, agent in ((1, "a0"), (2, "a1")):
        limited.use(0.0, "toolCalls/Second/PerAgent", warned=(Warned(80, agent, NOW + timedelta(seconds=seconds)),))
        await limited.run(after=10)

    assert [message for _, _, message in limited.events] == [
        f"toolCalls 0/5 per Second: {percent} % is reached by agent {agent}"
        for agent in ("a0", "a1")
        for percent in (50, 80)
    ]


async def test_it_is_told_again_in_another_window() -> None:
    limited = Limited()
    for after, used in ((0, 50.0), (10, 0.0), (3_600, 60.0)):
        limited.use(used)
        await limited.run(after=after)

    assert [message for _, _, message in limited.events] == [
        "queries 50/100 per Hour: 50 % is reached",
        "queries 60/100 per Hour: 50 % is reached",
    ]


async def test_the_first_refusal_of_a_window_is_told_and_not_each() -> None:
    limited = Limited({**LIMIT, "warnAt": []})
    for number in range(400):
        limited.use(100.0, refusals=number, refused_at=limited.now if number else None, refused_agent="a0")
        await limited.run(after=10)

    assert limited.events == [("Warning", "QuotaRefused", "queries 100/100 per Hour: refused agent a0")] * 2


async def test_each_refusal_is_added_once_although_its_counter_begins_anew() -> None:
    limited = Limited({**LIMIT, "warnAt": []})
    counts = []
    for known, seen in ((5, 5), (5, 5), (1, 6), (2, 7)):
        limited.use(100.0, refusals=known, seen_refusals=seen)
        await limited.run(after=10)
        counts.append(limited.raw["status"]["limits"][0]["refusals"])

    assert counts == [5, 5, 6, 7]


async def test_refusals_of_a_status_that_could_not_be_written_are_in_the_next() -> None:
    limited = Limited({**LIMIT, "warnAt": []})
    await limited.run()
    limited.use(100.0, seen_refusals=3)
    limited.api.refuse[STATUS] = ConflictError("somebody wrote first")
    with pytest.raises(ConflictError):
        await limited.run(after=10)
    limited.api.refuse.clear()

    await limited.run(after=10)

    assert limited.raw["status"]["limits"][0]["refusals"] == 3


async def test_a_limit_that_only_warns_refuses_nobody() -> None:
    limited = Limited({**LIMIT, "warnAt": [], "enforcement": "Warn"})
    limited.use(130.0, refusals=1, refused_at=NOW, refused_agent="a0")

    await limited.run()

    assert limited.events == []


async def test_an_event_that_cannot_be_written_now_is_written_by_the_next_pass() -> None:
    limited = Limited()
    limited.api.refuse["create events"] = UnavailableError("later")
    limited.use(50.0)
    again = await limited.run()
    limited.api.refuse.clear()

    for _ in range(2):
        await limited.run(after=10)

    assert again == WRITE_SECONDS
    assert [message for _, _, message in limited.events] == ["queries 50/100 per Hour: 50 % is reached"]
    assert [warnings for _, _, warnings, _ in limited.view.quota_knowledge.series()] == [1]


async def test_an_event_is_told_before_the_status_says_so_and_once() -> None:
    limited = Limited()
    limited.api.refuse[STATUS] = ConflictError("somebody wrote first")
    limited.use(50.0)
    with pytest.raises(ConflictError):
        await limited.run()
    first = list(limited.events)
    limited.api.refuse.clear()

    await limited.run(after=10)

    assert limited.events == first
    assert [message for _, _, message in first] == ["queries 50/100 per Hour: 50 % is reached"]


async def test_an_event_that_cannot_be_written_is_no_reason_to_stop() -> None:
    limited = Limited()
    limited.api.refuse["create events"] = ForbiddenError("no")
    limited.use(50.0)

    await limited.run()

    assert limited.raw["status"]["limits"][0]["warned"] == 50


async def test_agents_are_told_among_how_many_a_quota_is_shared_out_when_that_changes() -> None:
    limited = Limited(agents=2)
    await limited.run()
    first = list(limited.woken)
    limited.have("agents", agent_body("late"))

    await limited.run(after=10)

    assert (first, sorted(limited.woken)) == ([], [("team", "a0"), ("team", "a1"), ("team", "late")])
    assert limited.view.quota_knowledge.shares["team", "q"] == 3


async def test_agents_without_a_pod_have_no_share() -> None:
    limited = Limited(agents=2)
    for name, state in (("suspended", "Suspended"), ("done", "Succeeded"), ("failed", "Failed")):
        limited.have("agents", agent_body(name) | {"status": {"state": state}})
    waits = {"type": "Ready", "status": "False", "reason": "QuotaExceeded", "message": "", "lastTransitionTime": ago(0)}
    limited.have("agents", agent_body("waits") | {"status": {"state": "Pending", "conditions": [waits]}})
    limited.have("agents", agent_body("going") | {"status": {"state": "Suspended"}})
    limited.have("pods", running_pod() | {"metadata": {"name": "going", "namespace": "team", "uid": "p"}})

    await limited.run()

    assert limited.view.quota_knowledge.shares["team", "q"] == 3


async def test_what_a_pod_that_is_gone_may_have_used_while_redis_was_away_is_nobody_elses() -> None:
    limited = Limited(agents=3)
    away: Raw = {"trouble": (Reason.STORE_UNAVAILABLE, "Redis does not answer")}
    limited.use(10.0)
    await limited.run()
    limited.api.remove(("agents", "team", "a2"))
    limited.have("agents", agent_body("a2") | {"status": {"state": "Succeeded"}})
    found: list[int] = []
    for after, is_away in ((10, False), (10, True), (30, True), (10, False), (20, False), (10, False)):
        limited.use(10.0, **(away if is_away else {}))
        await limited.run(after=after)
        found.append(limited.view.quota_knowledge.shares["team", "q"])

    assert found == [3, 3, 3, 3, 3, 2]
    assert sorted(limited.woken) == [("team", f"a{number}") for number in range(3)]


async def test_a_changed_limit_is_told_to_all_sidecars_by_the_one_pass_of_its_quota() -> None:
    limited = Limited(agents=300)
    sidecars = FakeSidecars()
    limited.tools = QuotaTools(limited.view, limited.api, (limited.source,), sidecars=sidecars)
    for number in range(300):
        name = f"a{number}"
        pod = pod_body(name, uid=f"pod-{name}")
        pod["metadata"]["annotations"][labels.SIDECAR_HASH] = "made"
        limited.have("pods", pod)
        sidecars.publish(f"pod-{name}", "10.0.0.1", build_sidecar_configuration(make_agent(name), ()))
    await limited.run()
    limited.change("quotas", "q", limits=[{**LIMIT, "max": 7}])

    await limited.run(after=1)

    served = [configuration["limits"] for _, configuration in sidecars.served.values()]
    assert [[each["max"] for each in limits] for limits in served] == [[7.0]] * 300


async def test_nothing_is_written_of_a_quota_that_is_going_or_gone() -> None:
    limited = Limited()
    await limited.run()
    limited.use(49.0)
    going = limited.quota
    raw = limited.raw
    limited.api.remove(("quotas", "team", "q"))
    await limited.run(after=10)
    attempts = list(limited.api.writes)
    leaving = Quota.from_body(raw | {"metadata": raw["metadata"] | {"deletionTimestamp": "2026-11-23T12:00:00Z"}})

    await reconcile_quota(leaving, limited.tools, now=limited.now)
    remove_quota(*going.key, limited.tools)

    assert limited.api.writes == attempts == [STATUS, STATUS]
    assert (limited.tools.told, list(limited.view.quota_knowledge.series())) == ({}, [])
