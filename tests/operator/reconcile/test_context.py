from datetime import timedelta
from typing import Any

import pytest

from ringfence_operator.reconcile.context import NODE_SECONDS
from tests.operator.reconcile.contexts import ago, context_of, counted, ended_pod, running_pod, status
from tests.operator.resources.objects import NOW, pod_body

Raw = dict[str, Any]
HOUR: Raw = {"maxExecutionTime": "1h"}


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 10), (2, 20), (3, 40), (5, 160), (6, 300), (7, 300), (60, 300), (1000, 300)]
)
def test_the_delay_doubles_up_to_its_maximum(failures: int, seconds: int) -> None:
    assert context_of({}, None, counted(failures)).retry_at == NOW + timedelta(seconds=seconds)


def test_without_a_failure_there_is_no_delay() -> None:
    assert context_of({}, None, status()).retry_at is None
    assert context_of({"image": "x:2"}, None, counted(3)).retry_at is None


@pytest.mark.parametrize(
    ("spec", "known", "pod", "left"),
    [
        ({}, None, running_pod(), None),
        (HOUR, None, None, 3600),
        (HOUR, None, pod_body(), 3600),
        (HOUR, None, running_pod(), 3595),
        (HOUR, status(HOUR, startedAt=ago(60)), None, 3540),
        (HOUR, status(HOUR, startedAt=ago(60)), running_pod(), 3540),
        (HOUR, status(HOUR, startedAt=ago(4000)), None, -400),
        (HOUR, status(startedAt=ago(60)), None, 3600),
        (HOUR, None, running_pod(spec_hash="old"), 3600),
        (HOUR, None, running_pod(owner="other"), 3600),
    ],
)
def test_execution_time_counts_from_the_first_start_of_this_run(
    spec: Raw, known: Raw | None, pod: Raw | None, left: float | None
) -> None:
    assert context_of(spec, pod, known).seconds_left == left


@pytest.mark.parametrize(
    ("age", "nodes", "is_gone"),
    [(NODE_SECONDS - 1, [], False), (NODE_SECONDS + 1, [], True), (9999, None, False)],
)
def test_a_node_is_gone_if_it_is_not_in_view_although_the_pod_is_old(
    age: float, nodes: list[Raw] | None, is_gone: bool
) -> None:
    pod = running_pod()
    pod["metadata"]["creationTimestamp"] = ago(age)

    assert context_of({}, pod, nodes=nodes).is_node_gone is is_gone


def test_a_pod_without_a_node_has_lost_none() -> None:
    pod = pod_body()
    pod["metadata"]["creationTimestamp"] = ago(9999)

    assert not context_of({}, pod, nodes=[]).is_node_gone


@pytest.mark.parametrize(("mode", "ran", "expected"), [("Service", 600, 5), ("Service", 601, 1), ("Task", 9999, 5)])
def test_a_service_that_ran_well_for_long_begins_to_count_anew(mode: str, ran: float, expected: int) -> None:
    spec = {"mode": mode}
    context = context_of(spec, ended_pod(1, ran=ran, uid="new"), counted(4, spec=spec))

    assert context.pod is not None
    assert context.failures_with(context.pod) == expected


def test_a_failure_is_counted_if_the_status_of_this_run_names_its_pod() -> None:
    same, other = context_of({}, ended_pod(1), counted(1)), context_of({}, ended_pod(1, uid="x"), counted(1))
    older = context_of({"image": "x:2"}, ended_pod(1), counted(1))

    assert [bool(each.pod and each.is_counted(each.pod)) for each in (same, other, older)] == [True, False, False]


def test_a_pod_that_differs_by_its_policy_only_is_of_this_run() -> None:
    context = context_of({}, running_pod())
    by_policy = context_of({}, running_pod(spec_hash=f"{context.spec_hash}.other"))

    assert not by_policy.is_pod_of_old_run
    assert context_of({}, running_pod(spec_hash="other")).is_pod_of_old_run
