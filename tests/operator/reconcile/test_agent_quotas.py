"""Agents under quotas: their sidecar, what it is told, and what becomes of them when a quota comes, changes or goes."""

from typing import Any

import pytest

from ringfence_operator.reconcile.agent import POLICY_SECONDS
from ringfence_operator.settings import Settings
from tests.operator.reconcile.kstatus import kstatus
from tests.operator.reconcile.test_agent_connectors import SETTINGS, USES, Connected
from tests.operator.reconcile.world import AGENT
from tests.operator.resources.objects import quota_body

Raw = dict[str, Any]
PLAIN: Raw = {"args": ["x"]}
QUOTA = ("quotas", "team", "q")
NAMES: Raw = {"quotaRef": {"name": "q"}}
MEMORY: Raw = {"resource": "memory", "max": "1Gi"}
CALLS: Raw = {"resource": "apiCalls", "max": 100, "window": "Hour"}


def world(spec: Raw, *limits: Raw, settings: Settings = SETTINGS, selector: Raw | None = None) -> Connected:
    """Return a world with a quota of these limits, or none without any."""
    made = Connected(spec, settings=settings)
    if limits:
        have(made, *limits, selector=selector)
    made.deliver()
    return made


def have(at: Connected, *limits: Raw, selector: Raw | None = None) -> None:
    body = quota_body("q", *limits)
    if selector is not None:
        body["spec"]["selector"] = selector
    at.api.add("quotas", body, "team")
    look(at)


def look(at: Connected) -> None:
    """Have the agent looked at, as a change of its quota does."""
    at.deliver()
    at.dirty = True
    at.settle()


def deciding(at: Connected) -> list[tuple[str, str, str]]:
    """Return the rows of the status on limits on calls: name, value and whose it is."""
    rows = at.status["effective"]
    return [(each["name"], each["value"], each["object"]) for each in rows if "/" in each["name"]]


def sidecars(at: Connected) -> list[str]:
    assert at.pod is not None
    return [each["name"] for each in at.pod["spec"].get("initContainers", ())]


def test_an_agent_without_connectors_has_a_sidecar_where_a_quota_limits_its_calls() -> None:
    found = world(PLAIN, CALLS, selector={})

    found.run()

    assert found.ready == ("True", "Running")
    assert sidecars(found) == ["sidecar"]
    assert found.pod is not None
    assert found.pod["metadata"]["labels"]["ringfence.dev/sidecar"] == "true"
    assert ("networkpolicies", "team", "ringfence-sidecars") in found.api.objects
    assert ("configmaps", "team", "ringfence-authority") in found.api.objects
    assert found.configuration["connectors"] == []
    assert [each["resource"] for each in found.configuration["limits"]] == ["apiCalls"]


def test_where_several_quotas_limit_the_same_calls_the_status_says_which_decides_and_that_costs_nothing_more() -> None:
    found = world(PLAIN, CALLS, selector={})
    found.run()
    told = [deciding(found)]
    for most in (20, 500):
        if ("quotas", "team", "strict") in found.api.objects:
            found.api.remove(("quotas", "team", "strict"))
        found.api.add("quotas", quota_body("strict", {**CALLS, "max": most}, selector={}), "team")
        look(found)
        told.append(deciding(found))
    found.api.writes.clear()

    look(found)

    assert told == [[], [("apiCalls/Hour/PerAgent", "20", "strict")], [("apiCalls/Hour/PerAgent", "100", "q")]]
    assert found.api.writes == []


def test_a_quota_that_limits_no_calls_brings_no_sidecar() -> None:
    found = world(PLAIN, MEMORY, selector={})

    found.run()

    assert (found.ready, sidecars(found), found.told.served) == (("True", "Running"), [], {})


def test_a_quota_that_comes_later_replaces_no_pod_and_holds_for_the_sidecar_that_is_there() -> None:
    plain, connected = world(PLAIN), world(USES)
    for each in (plain, connected):
        each.run()
    before = [each.pod["metadata"]["uid"] for each in (plain, connected) if each.pod]

    for each in (plain, connected):
        have(each, CALLS, selector={})

    assert [each.pod["metadata"]["uid"] for each in (plain, connected) if each.pod] == before
    assert (sidecars(plain), plain.told.served) == ([], {})
    assert [each["max"] for each in connected.configuration["limits"]] == [100.0]
    assert connected.ready == ("True", "Running")


def test_a_limit_that_changes_is_told_at_once_and_writes_nothing() -> None:
    found = world(NAMES, CALLS)
    found.run()
    found.api.writes.clear()
    version = found.configuration["version"]

    found.api.change(QUOTA, lambda raw: raw["spec"].update(limits=[{**CALLS, "max": 5}]), is_spec=True)
    look(found)

    assert found.configuration["version"] != version
    assert [each["max"] for each in found.configuration["limits"]] == [5.0]
    assert found.api.writes == []


def test_limits_that_others_keep_are_told_to_the_agent_that_has_a_sidecar() -> None:
    found = world(NAMES, CALLS, MEMORY)

    found.run()

    others = found.configuration["others"]
    assert [(each["quota"], each["resource"], each["max"]) for each in others] == [("q", "memory", 2.0**30)]


def test_a_quota_that_goes_takes_its_limits_and_not_the_sidecar() -> None:
    found = world(PLAIN, CALLS, selector={})
    found.run()
    uid = found.pod["metadata"]["uid"] if found.pod else ""

    found.api.remove(QUOTA)
    look(found)

    assert found.pod is not None
    assert (found.pod["metadata"]["uid"], found.ready) == (uid, ("True", "Running"))
    assert found.pod["metadata"]["labels"]["ringfence.dev/sidecar"] == "true"
    assert "limits" not in found.configuration


def test_an_agent_that_names_a_quota_waits_until_it_is_there() -> None:
    found = world(NAMES)
    found.wait(POLICY_SECONDS)
    found.reconcile()
    waiting = found.ready, found.pod, found.condition("Ready")["message"]

    have(found, CALLS)
    found.run()

    assert waiting == (
        ("False", "QuotaNotFound"),
        None,
        "Quota q does not exist: create it, or name another one, or leave quotaRef out",
    )
    assert found.ready == ("True", "Running")


def test_a_quota_that_came_with_its_agent_is_not_told_to_be_missing() -> None:
    found = world(NAMES)

    found.reconcile()

    assert "replace agents/status" not in found.api.writes


def test_where_a_named_quota_goes_the_pod_stays_and_its_calls_are_refused() -> None:
    found = world({**USES, **NAMES}, CALLS)
    found.run()
    uid = found.pod["metadata"]["uid"] if found.pod else ""

    found.api.remove(QUOTA)
    found.deliver()
    found.dirty = True
    found.wait(POLICY_SECONDS)
    found.reconcile()

    assert found.pod is not None
    assert found.pod["metadata"]["uid"] == uid
    assert found.ready == ("False", "QuotaNotFound")
    assert kstatus(1, found.status) == "InProgress"
    assert {(each["quota"], each["max"], each["enforcement"]) for each in found.configuration["limits"]} == {
        ("q", 0.0, "Hard")
    }


def test_naming_another_quota_replaces_no_pod() -> None:
    found = world(NAMES, CALLS)
    found.run()
    uid = found.pod["metadata"]["uid"] if found.pod else ""
    found.api.add("quotas", quota_body("other", {**CALLS, "max": 7}), "team")

    found.set_spec(quotaRef={"name": "other"})
    look(found)

    assert found.pod is not None
    assert found.pod["metadata"]["uid"] == uid
    assert [(each["quota"], each["max"]) for each in found.configuration["limits"]] == [("other", 7.0)]


def test_another_label_brings_the_quotas_that_select_it() -> None:
    found = world(USES, CALLS, selector={"matchLabels": {"team": "red"}})
    found.run()
    before = found.configuration.get("limits")

    found.api.change(AGENT, lambda raw: raw["metadata"].update(labels={"team": "red"}))
    look(found)

    assert before is None
    assert [each["quota"] for each in found.configuration["limits"]] == ["q"]


@pytest.mark.parametrize(
    ("settings", "ports", "reason"),
    [
        (Settings(egress_backend="none"), [], "SidecarUnavailable"),
        (SETTINGS, [{"name": "http", "port": 8811}], "PortReserved"),
    ],
)
def test_where_there_can_be_no_sidecar_a_quota_of_calls_keeps_the_agent_from_running(
    settings: Settings, ports: list[Raw], reason: str
) -> None:
    found = world({"ports": ports} if ports else PLAIN, CALLS, settings=settings, selector={})

    found.wait(POLICY_SECONDS)
    found.reconcile()

    assert (found.pod, found.ready) == (None, ("False", reason))
