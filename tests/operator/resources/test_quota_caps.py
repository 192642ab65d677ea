from typing import Any

import pytest

from ringfence_operator.api.quota import Quota
from ringfence_operator.resources.effective import Effective, effective
from ringfence_operator.resources.pod import build_pod
from ringfence_operator.resources.quota_caps import Cap, caps_of
from ringfence_operator.settings import Settings
from tests.operator.reconcile.fleet import quota_body
from tests.operator.resources.objects import CAPABLE, SETTINGS, make_agent

Raw = dict[str, Any]


def quota(name: str, **limits: str) -> Quota:
    body = quota_body(name, resource="memory", max="1")
    body["spec"]["limits"] = [{"resource": resource, "max": most} for resource, most in limits.items()]
    return Quota.from_body(body)


def under(*quotas: Quota, settings: Settings = SETTINGS, **spec: Any) -> Effective:
    return effective(make_agent(**spec), None, settings, CAPABLE, caps_of(quotas))


def test_of_several_quotas_the_strictest_holds_and_is_named() -> None:
    wide, narrow = quota("wide", memory="1Gi", cpu="250m"), quota("narrow", memory="256Mi", cpu="2")

    found = caps_of([narrow, wide])

    assert found == {"memory": Cap("256Mi", "narrow"), "cpu": Cap("250m", "wide")}


@pytest.mark.parametrize(
    ("name", "limits", "value"),
    [
        ("memory", {"memory": "256Mi"}, "256Mi"),
        ("cpu", {"cpu": "250m"}, "250m"),
        ("ephemeral-storage", {"ephemeralStorage": "128Mi"}, "128Mi"),
    ],
)
def test_a_quota_caps_what_the_agent_may_have_and_is_named(name: str, limits: dict[str, str], value: str) -> None:
    found = under(quota("small", **limits))

    assert (found.limits[name].value, found.limits[name].source, found.limits[name].object) == (value, "Quota", "small")
    rows = {row.name: row for row in found.rows()}
    assert (rows[name].value, rows[name].source, rows[name].object) == (value, "Quota", "small")


@pytest.mark.parametrize("asked", ["256Mi", "100Mi"])
def test_a_quota_that_leaves_as_much_as_was_asked_for_changes_nothing(asked: str) -> None:
    found = under(quota("small", memory="256Mi"), resources={"limits": {"memory": asked}}).limits["memory"]

    assert (found.value, found.source, found.object) == (asked, "Agent", "")


def test_a_ceiling_below_the_quota_goes_on_to_hold() -> None:
    found = under(quota("small", memory="256Mi"), settings=Settings(maximum_memory="128Mi")).limits["memory"]

    assert (found.value, found.source) == ("128Mi", "Ceiling")


def test_what_is_asked_for_is_capped_as_well() -> None:
    asked = {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "4", "memory": "2Gi"}}

    found = under(quota("small", memory="256Mi", cpu="500m"), resources=asked)

    assert (found.requests["cpu"], found.requests["memory"]) == ("500m", "256Mi")


def test_limits_that_others_keep_cap_nothing() -> None:
    assert caps_of([Quota.from_body(quota_body(resource="queries", window="Hour", max=1))]) == {}


def test_bandwidth_is_written_on_the_pod_in_both_directions_whatever_the_user_wrote() -> None:
    given = {"annotations": {"kubernetes.io/egress-bandwidth": "100G"}}
    agent = make_agent(podMetadata=given)

    pod = build_pod(agent, None, under(quota("slow", networkBandwidth="10M")))

    annotations = pod["metadata"]["annotations"]
    assert annotations["kubernetes.io/ingress-bandwidth"] == "10M"
    assert annotations["kubernetes.io/egress-bandwidth"] == "10M"


def test_without_a_limit_on_bandwidth_the_pod_says_nothing_of_it() -> None:
    pod = build_pod(make_agent(), None, under(quota("small", memory="256Mi")))

    assert not [key for key in pod["metadata"]["annotations"] if key.startswith("kubernetes.io/")]
