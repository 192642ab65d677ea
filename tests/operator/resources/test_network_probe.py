from typing import Any

import pytest

from ringfence_operator.resources.network_probe import (
    TARGET,
    Like,
    Verdict,
    build_prober,
    build_target,
    observe_probe_pod,
)
from tests.operator.resources.snapshot import assert_snapshot

Raw = dict[str, Any]
LIKE = Like("registry.example/operator:1", {"imagePullSecrets": [{"name": "pull"}]})


def observed(status: Raw, **metadata: Any) -> Any:
    raw = build_target("sys", LIKE)
    raw["metadata"] |= {"uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-11-23T12:00:00Z", **metadata}
    return observe_probe_pod({**raw, "status": status})


def ended(message: str, *, phase: str = "Succeeded", **state: Any) -> Raw:
    terminated = {"exitCode": 0, "message": message, "finishedAt": "2026-11-23T12:00:05Z", **state}
    return {"phase": phase, "containerStatuses": [{"state": {"terminated": terminated}}]}


def test_the_two_pods_are_as_they_were_last_looked_at() -> None:
    assert_snapshot(
        "network-probe", [build_target("sys", LIKE), build_prober("sys", LIKE, ["10.0.0.5", "fd00::5"], [10250])]
    )


def test_they_are_made_like_the_operators_own_pod() -> None:
    spec = {
        "nodeSelector": {"pool": "system"},
        "serviceAccountName": "ringfence-operator",
        "tolerations": [{"operator": "Exists"}],
        "containers": [{"name": "control", "image": "x:2"}, {"name": "operator", "image": "x:1"}],
    }

    found = build_target("sys", Like.pod({"spec": spec}))["spec"]

    assert found["containers"][0]["image"] == "x:1"
    assert (found["nodeSelector"], found["tolerations"]) == (spec["nodeSelector"], spec["tolerations"])
    assert "serviceAccountName" not in found


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (ended('{"pod": "refused", "kubelet": "refused"}'), Verdict(())),
        (ended('{"pod": "open", "kubelet": "open"}'), Verdict(("pod", "kubelet"))),
        (ended('{"pod": "late", "kubelet": "open"}'), Verdict(("kubelet",), late=("pod",))),
        (ended('{"pod": "refused"}'), None),
        (ended('["pod", "kubelet"]'), None),
        (ended("Traceback"), None),
        (ended('{"pod": "refused", "kubelet": "refused"}', phase="Failed"), None),
        ({"phase": "Running"}, None),
        ({}, None),
    ],
)
def test_the_verdict_is_what_a_prober_that_succeeded_says(status: Raw, expected: Verdict | None) -> None:
    assert observed(status).verdict == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, ""),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
        (
            {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]},
            "ImagePullBackOff: no such image",
        ),
        (
            {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "full"}]},
            "Unschedulable: full",
        ),
        ({"phase": "Failed", "reason": "DeadlineExceeded", "message": "too long"}, "DeadlineExceeded: too long"),
        ({"phase": "Failed"}, "Failed: exit code unknown"),
        (ended("", phase="Failed", exitCode=1, reason="Error"), "Error: exit code 1"),
        (ended("no module", phase="Failed", exitCode=1, reason="Error"), "Error: no module"),
    ],
)
def test_why_it_cannot_run_is_told(status: Raw, expected: str) -> None:
    assert observed(status).problem == expected


def test_the_rest_is_read_as_it_is() -> None:
    ready = observed(
        {"podIPs": [{"ip": "10.0.0.5"}, {"ip": "fd00::5"}], "conditions": [{"type": "Ready", "status": "True"}]}
    )
    evicted = observed({"phase": "Failed", "reason": "Evicted"}, deletionTimestamp="2026-11-23T12:00:09Z")

    assert (ready.meta.name, ready.is_ready, ready.addresses) == (TARGET, True, ("10.0.0.5", "fd00::5"))
    assert (ready.has_ended, ready.is_deleting, ready.image) == (False, False, "registry.example/operator:1")
    assert (evicted.has_ended, evicted.is_deleting, evicted.ended) == (True, True, "2026-11-23T12:00:00Z")
