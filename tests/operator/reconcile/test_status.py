from typing import Any

import pytest

from ringfence_operator.api.agent_status import AgentState, AgentStatus
from ringfence_operator.api.conditions import Reason
from ringfence_operator.reconcile.decide import Decision, Step, decide
from ringfence_operator.reconcile.status import agent_status
from tests.operator.reconcile.contexts import ago, context_of, counted, ended_pod, finished, running_pod, status
from tests.operator.reconcile.kstatus import kstatus
from tests.operator.resources.objects import NOW, pod_body

Raw = dict[str, Any]
IN_FORCE = (True, Reason.IN_FORCE, "in force")
TASK: Raw = {"mode": "Task"}
ONCE: Raw = {"mode": "Task", "restartPolicy": "Never"}
SUSPENDED: Raw = {"suspend": True}
HOUR: Raw = {"maxExecutionTime": "1h"}


def status_of(spec: Raw | None = None, pod: Raw | None = None, known: Raw | None = None, **options: Any) -> AgentStatus:
    context = context_of(spec, pod, known, **options)
    return agent_status(context, decide(context), enforced=IN_FORCE if context.own_pod else None)


def conditions_of(found: AgentStatus) -> dict[str, str]:
    return {each.type: each.status.value for each in found.conditions}


# Every documented state, what `kubectl wait` sees, and what kstatus makes of it.
STATES: list[tuple[str, Raw, Raw | None, Raw | None, Raw, str]] = [
    ("starting", {}, pod_body(), None, {"Ready": "False", "Reconciling": "True", "Assigned": "True"}, "InProgress"),
    ("running", {}, running_pod(), None, {"Ready": "True", "Assigned": "True", "Enforced": "True"}, "Current"),
    ("not ready", {}, running_pod(conditions=[]), None, {"Ready": "False", "Reconciling": "True"}, "InProgress"),
    ("replaced", {}, running_pod(spec_hash="x"), None, {"Ready": "False", "Reconciling": "True"}, "InProgress"),
    (
        "refused for now",
        {"securityPolicyRef": {"name": "p"}},
        None,
        None,
        {"Ready": "False", "Reconciling": "True", "Assigned": "False"},
        "InProgress",
    ),
    (
        "refused for good",
        {"isolation": "Secure"},
        None,
        None,
        {"Ready": "False", "Stalled": "True", "Assigned": "False"},
        "Failed",
    ),
    ("failed, retried", TASK, ended_pod(1), None, {"Ready": "False", "Reconciling": "True"}, "InProgress"),
    ("succeeded", TASK, ended_pod(0), None, {"Ready": "True", "Complete": "True"}, "Current"),
    ("still succeeded", TASK, None, finished("Succeeded", spec=TASK), {"Ready": "True", "Complete": "True"}, "Current"),
    ("failed", ONCE, ended_pod(1), None, {"Ready": "False", "Stalled": "True", "Complete": "False"}, "Failed"),
    (
        "expired",
        HOUR,
        None,
        status(HOUR, startedAt=ago(9999)),
        {"Ready": "False", "Stalled": "True", "Complete": "False"},
        "Failed",
    ),
    ("suspending", SUSPENDED, running_pod(), None, {"Ready": "False", "Reconciling": "True"}, "InProgress"),
    ("suspended", SUSPENDED, None, None, {"Suspended": "True", "Assigned": "False"}, "Current"),
]
STATE_NAMES = [each[0] for each in STATES]


@pytest.mark.parametrize("state", STATES, ids=STATE_NAMES)
def test_each_state_has_its_conditions_and_its_word_in_kstatus(state: tuple[Any, ...]) -> None:
    _, spec, pod, known, expected, word = state

    found = status_of(spec, pod, known)

    conditions = conditions_of(found)
    assert conditions.items() >= expected.items()
    shown = {"Ready", "Reconciling", "Stalled", "Suspended", "Complete"} & conditions.keys()
    assert shown == expected.keys() - {"Assigned", "Enforced"}
    assert kstatus(1, found.to_body()) == word


def test_an_agent_that_nobody_has_looked_at_is_in_progress() -> None:
    assert kstatus(1, AgentStatus().to_body()) == "InProgress"


def test_a_status_about_an_older_spec_is_in_progress() -> None:
    found = status_of({}, running_pod())

    assert kstatus(2, found.to_body()) == "InProgress"


@pytest.mark.parametrize("state", STATES, ids=STATE_NAMES)
def test_a_pass_over_its_own_status_changes_nothing(state: tuple[Any, ...]) -> None:
    _, spec, pod, known, _, _ = state

    first = status_of(spec, pod, known)

    second = status_of(spec, pod, first.to_body())
    third = status_of(spec, pod, second.to_body())

    assert third == second
    assert first.finished_at == second.finished_at
    assert first.failures == second.failures


def test_the_pod_is_named_with_its_node() -> None:
    found = status_of({}, running_pod())

    assert (found.pod_name, found.pod_uid, found.node_name) == ("a", "pod-1", "n1")
    assert found.started_at is not None
    assert found.started_at.isoformat() == "2026-11-23T11:59:55+00:00"


def test_without_a_pod_none_is_named() -> None:
    before = status(podName="a", podUID="pod-1", nodeName="n1", startedAt=ago(60))

    found = status_of({}, None, before)

    assert (found.pod_name, found.pod_uid, found.node_name) == (None, None, None)
    assert found.started_at is not None


def test_a_pod_of_an_older_spec_is_not_named() -> None:
    found = status_of({}, running_pod(spec_hash="x"))

    assert (found.pod_name, found.started_at) == (None, None)
    assert conditions_of(found)["Assigned"] == "True"


def test_somebody_elses_pod_is_not_named() -> None:
    found = status_of({}, running_pod(owner="other"))

    assert (found.pod_name, conditions_of(found)["Assigned"]) == (None, "False")
    assert "Enforced" not in conditions_of(found)


def test_counts_begin_anew_with_a_changed_spec() -> None:
    before = counted(3) | {"startedAt": ago(60), "finishedAt": ago(5)}

    found = status_of({"image": "x:2"}, None, before)

    assert (found.failures, found.last_failure, found.started_at, found.finished_at) == (0, None, None, None)


def test_counts_begin_anew_after_a_suspension() -> None:
    found = status_of(SUSPENDED, None, counted(3) | {"startedAt": ago(60)})

    assert (found.failures, found.last_failure, found.started_at) == (0, None, None)


def test_counts_are_kept_until_the_suspended_pod_is_gone() -> None:
    found = status_of(SUSPENDED, running_pod(), counted(3) | {"startedAt": ago(60)})

    assert found.failures == 3


def test_a_failure_is_counted_with_the_pods_uid() -> None:
    found = status_of(TASK, ended_pod(3, uid="pod-9"), counted(1, spec=TASK))

    assert found.failures == 2
    assert found.last_failure is not None
    assert (found.last_failure.pod_uid, found.last_failure.time) == ("pod-9", NOW)


def test_restarts_are_those_of_the_kubelet_and_those_of_the_operator() -> None:
    pod = running_pod()
    pod["status"]["containerStatuses"][0]["restartCount"] = 4

    found = status_of({}, pod, counted(2, pod="earlier"))

    assert (found.restarts, found.failures) == (6, 2)


def test_the_last_exit_is_the_containers_and_stays_when_the_pod_is_gone() -> None:
    first = status_of(TASK, ended_pod(137, exit_reason="OOMKilled"))

    later = status_of(TASK, None, first.to_body())

    assert first.last_exit is not None
    assert (first.last_exit.code, first.last_exit.reason, first.last_exit.oom_killed) == (137, "OOMKilled", True)
    assert first.last_exit.time == NOW
    assert later.last_exit == first.last_exit


def test_the_end_is_written_once() -> None:
    found = status_of(TASK, None, finished("Succeeded", spec=TASK, seconds=50))

    assert found.finished_at is not None
    assert found.finished_at.isoformat() == "2026-11-23T11:59:10+00:00"


def test_the_message_of_the_end_stays() -> None:
    found = status_of(TASK, None, finished("Failed", spec=TASK, reason="BackoffLimitExceeded"))

    ready = found.conditions[0]
    assert (ready.type, ready.reason, ready.message) == ("Ready", "BackoffLimitExceeded", "as it was")


def test_effective_limits_are_those_that_the_pod_was_made_with() -> None:
    known = status(podUID="pod-1", effective=[{"name": "memory", "value": "1Gi", "source": "Default"}])

    kept = status_of({}, running_pod(), known)
    renewed = status_of({}, running_pod(uid="pod-2"), known)

    assert [(row.name, row.value) for row in kept.effective] == [("memory", "1Gi")]
    assert {row.name: row.value for row in renewed.effective}["memory"] == "512Mi"


def test_the_workspaces_claim_is_named() -> None:
    assert status_of({"workspace": {"size": "1Gi"}}).workspace_claim == "a-workspace"
    assert status_of({}).workspace_claim is None


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    first = status_of({}, running_pod())
    later = status_of({"image": "x:2"}, running_pod(spec_hash="x"), first.to_body(), now=NOW.replace(hour=13))

    times = {each.type: each.last_transition_time.hour for each in later.conditions}
    assert times["Assigned"] == 12
    assert times["Ready"] == 13


def test_a_pod_to_forget_is_no_longer_assigned() -> None:
    context = context_of({}, running_pod())
    decision = Decision(step=Step.FORGET, state=AgentState.RESTARTING, reason=Reason.REPLACING, message="gone")

    found = agent_status(context, decision, enforced=IN_FORCE)

    assert conditions_of(found)["Assigned"] == "False"
    assert "Enforced" not in conditions_of(found)


def test_a_status_fits_its_own_schema_in_size() -> None:
    pod = ended_pod(1)
    pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"] = "x" * 9000

    found = status_of(ONCE, pod)

    assert AgentStatus.model_validate(found.to_body()) == found
    assert found.last_exit is not None
    assert found.last_exit.message is not None
    assert len(found.last_exit.message) <= 4096
