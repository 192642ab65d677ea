"""What holds for every agent, pod and status, however they came together."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringfence_operator.reconcile.context import Context
from ringfence_operator.reconcile.decide import Decision, Step, decide
from ringfence_operator.reconcile.status import agent_status
from tests.operator.reconcile.contexts import ago, context_of, finished, status
from tests.operator.resources.objects import (
    AGENT_UID,
    READY,
    RUNNING,
    container_status,
    node_body,
    pod_body,
    terminated,
)

Raw = dict[str, Any]
MAYBE = st.booleans()


@st.composite
def specs(draw: st.DrawFn) -> Raw:
    mode = draw(st.sampled_from(["Service", "Task"]))
    policies = [None, "OnFailure", "Never"] + (["Always"] if mode == "Service" else [])
    return {
        "mode": mode,
        "restartPolicy": draw(st.sampled_from(policies)),
        "suspend": draw(MAYBE),
        "maxExecutionTime": draw(st.sampled_from([None, "10s", "1h"])),
        "ttlAfterFinished": draw(st.sampled_from([None, None, "0s", "1h"])),
        "backoff": {"limit": draw(st.integers(0, 2))},
        "isolation": draw(st.sampled_from(["Container", "Container", "Container", "None", "Secure"])),
    }


@st.composite
def pods(draw: st.DrawFn) -> Raw:
    phase = draw(st.sampled_from(["Pending", "Running", "Running", "Succeeded", "Failed", "Failed"]))
    code = 0 if phase == "Succeeded" else draw(st.sampled_from([1, 137]))
    states: list[Raw] = [{}, RUNNING, {"waiting": {"reason": "CrashLoopBackOff"}}, terminated(code)]
    state = terminated(code) if phase in ("Succeeded", "Failed") else draw(st.sampled_from(states))
    conditions = READY if state is RUNNING and draw(MAYBE) else []
    if phase == "Failed" and draw(MAYBE):
        conditions = [{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]
    body = pod_body(
        uid=draw(st.sampled_from(["pod-1", "pod-2"])),
        owner=draw(st.sampled_from([AGENT_UID, AGENT_UID, AGENT_UID, "other", ""])),
        spec_hash=draw(st.sampled_from(["", "", "", "old"])),
        deleted=draw(st.sampled_from([None, None, ago(3)])),
        node=draw(st.sampled_from([None, "n1"])) if phase == "Pending" else "n1",
        phase=phase,
        reason=draw(st.sampled_from(["", "", "DeadlineExceeded", "Evicted"])) if phase == "Failed" else "",
        startTime=ago(60),
        conditions=conditions,
        containerStatuses=container_status(state, restarts=draw(st.integers(0, 3)), last=terminated(1)),
    )
    body["metadata"]["creationTimestamp"] = draw(st.sampled_from([ago(5), ago(600)]))
    return body


@st.composite
def statuses(draw: st.DrawFn, spec: Raw) -> Raw | None:
    if draw(MAYBE):
        return draw(st.sampled_from([None, status({"image": "older"}, failures=9), status(spec)]))
    if draw(MAYBE):
        return finished(draw(st.sampled_from(["Succeeded", "Failed"])), spec=spec, seconds=draw(st.integers(0, 9)))
    failures = draw(st.integers(0, 3))
    last = {"podUID": draw(st.sampled_from(["pod-1", "pod-2"])), "time": ago(draw(st.integers(0, 50)))}
    known = status(spec, failures=failures, startedAt=draw(st.sampled_from([None, ago(30)])))
    return known | ({"lastFailure": last} if failures else {})


@st.composite
def contexts(draw: st.DrawFn, /, **fixed: Any) -> Context:
    spec = draw(specs()) | fixed
    pod = draw(st.none() | pods())
    known = draw(statuses(spec))
    return context_of(spec, pod, known, nodes=[node_body()] if draw(MAYBE) else [])


def is_finished_run(context: Context) -> bool:
    return context.agent.status.finished_at is not None and not context.is_new_run


thorough = settings(max_examples=50, deadline=None)


@thorough
@given(context=contexts())
def test_no_pod_is_made_while_one_of_that_name_is_in_view(context: Context) -> None:
    assert decide(context).step is not Step.CREATE or context.pod is None


@thorough
@given(context=contexts())
def test_a_finished_agent_makes_no_pod_and_stays_finished(context: Context) -> None:
    found = decide(context)

    if is_finished_run(context):
        assert found.step is not Step.CREATE
        assert found.is_finished


@thorough
@given(context=contexts())
def test_somebody_elses_pod_is_never_deleted(context: Context) -> None:
    if decide(context).step in (Step.DELETE, Step.FORGET):
        assert context.own_pod is not None


@thorough
@given(context=contexts())
def test_a_pod_is_deleted_at_once_only_if_its_node_is_gone(context: Context) -> None:
    if decide(context).step is Step.FORGET:
        assert context.is_node_gone


@thorough
@given(context=contexts())
def test_a_pod_that_is_on_its_way_out_is_not_deleted_again(context: Context) -> None:
    if decide(context).step is Step.DELETE:
        assert context.own_pod is not None
        assert not context.own_pod.deleting_since


def next_context(context: Context, found: Decision) -> Context:
    known = agent_status(context, found, enforced=None).to_body()
    spec = context.agent.spec.to_body()
    again = context_of(spec, None, known)
    return Context(**{name: getattr(context, name) for name in Context.__dataclass_fields__} | {"agent": again.agent})


@thorough
@given(context=contexts())
def test_a_failure_is_counted_once(context: Context) -> None:
    found = decide(context)
    if found.failures is None:
        return

    again = decide(next_context(context, found))

    assert again.failures is None
    assert context.pod is not None
    assert not context.is_counted(context.pod)
    assert found.failures in (1, context.failures + 1)


@thorough
@given(context=contexts())
def test_an_end_stays_the_end(context: Context) -> None:
    found = decide(context)
    if not found.is_finished:
        return

    again = decide(next_context(context, found))

    assert again.is_finished
    assert (again.state, again.reason) == (found.state, found.reason)


@thorough
@given(context=contexts(suspend=True))
def test_suspension_leads_to_no_pod(context: Context) -> None:
    found = decide(context)

    assert found.step is not Step.CREATE
    own = context.own_pod
    if own is not None and not own.deleting_since:
        assert found.step in (Step.DELETE, Step.FORGET, Step.EXPIRE) or is_finished_run(context)
        if is_finished_run(context) and found.step is Step.KEEP:
            assert context.agent.spec.ttl_after_finished is not None


@thorough
@given(context=contexts())
def test_exactly_one_of_ready_stalled_reconciling_and_suspended_is_true(context: Context) -> None:
    found = decide(context)
    if found.step is Step.WAIT:
        return

    conditions = agent_status(context, found, enforced=None).conditions

    kinds = {"Ready", "Stalled", "Reconciling", "Suspended"}
    assert len([each for each in conditions if each.type in kinds and each.status == "True"]) == 1
    assert all(each.reason for each in conditions)


@thorough
@given(context=contexts())
def test_every_state_has_a_sentence(context: Context) -> None:
    found = decide(context)

    assert found.step is Step.WAIT or found.message
    assert found.look_again is None or found.look_again >= 0


@pytest.mark.parametrize("suspend", [False, True])
@thorough
@given(data=st.data())
def test_an_agent_that_waits_for_time_alone_says_how_long(suspend: bool, data: st.DataObject) -> None:
    context = data.draw(contexts(suspend=suspend, isolation="Container"))
    found = decide(context)

    is_idle = found.step is Step.KEEP and context.pod is None and not found.is_finished and not suspend
    if is_idle:
        assert found.look_again is not None
