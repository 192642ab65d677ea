from typing import Any

import pytest

from ringfence_operator.api.conditions import Condition, Reason, Status
from ringfence_operator.reconcile.events import build_event, transitions
from tests.operator.resources.objects import NOW, make_agent, make_policy


def condition(kind: str, reason: str, *, status: str = "False", message: str = "m") -> Condition:
    return Condition(type=kind, status=Status(status), reason=reason, message=message, last_transition_time=NOW)


def reasons(before: list[Condition], after: list[Condition]) -> list[str]:
    return [each.reason for each in transitions(tuple(before), tuple(after))]


QUIET = ["Running", "Starting", "NotReady", "Stopping", "Restarting", "InForce", "Pending", "NotConfined"]


@pytest.mark.parametrize("reason", QUIET)
def test_what_is_normal_is_no_news(reason: str) -> None:
    assert reasons([condition("Ready", "Crashed")], [condition("Ready", reason)]) == []


@pytest.mark.parametrize("kind", ["Ready", "Suspended", "Enforced"])
def test_a_changed_reason_is_news_once(kind: str) -> None:
    before, after = [condition(kind, "Running")], [condition(kind, "OutOfMemory")]

    assert reasons(before, after) == ["OutOfMemory"]
    assert reasons(after, after) == []


def test_a_first_reason_is_news() -> None:
    assert reasons([], [condition("Ready", "PolicyNotFound")]) == ["PolicyNotFound"]


def test_another_message_is_no_news() -> None:
    before, after = condition("Ready", "Crashed", message="1 times"), condition("Ready", "Crashed", message="2 times")

    assert reasons([before], [after]) == []


@pytest.mark.parametrize("kind", ["Reconciling", "Stalled", "Complete"])
def test_conditions_that_repeat_another_are_not_told_twice(kind: str) -> None:
    assert reasons([], [condition(kind, "OutOfMemory")]) == []


def test_a_condition_that_is_gone_is_no_news() -> None:
    assert reasons([condition("Suspended", "Suspended")], []) == []


@pytest.mark.parametrize(
    ("reason", "kind"),
    [("Succeeded", "Normal"), ("Suspended", "Normal"), ("Replacing", "Normal"), ("ImageNotFound", "Warning")],
)
def test_an_event_tells_of_an_object_and_whether_to_worry(reason: str, kind: str) -> None:
    agent = make_agent()

    built = build_event(agent, condition("Ready", reason, message="x" * 2000), now=NOW, unique="0f")

    assert built["metadata"] == {"name": "a.0f", "namespace": "team"}
    assert built["involvedObject"] == {
        "apiVersion": "ringfence.dev/v1alpha1",
        "kind": "Agent",
        "name": "a",
        "namespace": "team",
        "uid": "agent-uid",
    }
    assert (built["type"], built["reason"], len(built["message"])) == (kind, reason, 1024)
    assert built["firstTimestamp"] == built["lastTimestamp"] == "2026-11-23T12:00:00Z"


def test_an_event_may_be_about_a_policy() -> None:
    built: dict[str, Any] = build_event(make_policy(), condition("Ready", "ReservedAddress"), now=NOW, unique="1")

    assert built["involvedObject"]["kind"] == "SecurityPolicy"


def test_every_reason_is_short_enough_for_an_event() -> None:
    assert max(len(reason) for reason in Reason) <= 128


@pytest.mark.parametrize(("reason", "told"), [("PodAssigned", []), ("NoPod", []), ("StartedCold", ["StartedCold"])])
def test_of_where_a_pod_comes_from_a_cold_start_is_told(reason: str, told: list[str]) -> None:
    assert reasons([], [condition("Assigned", reason)]) == told
