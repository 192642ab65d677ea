import json
from pathlib import Path
from typing import Any

import pytest

from ringfence_operator.resources import observed
from ringfence_operator.resources.observed_pod import Exit, observe_pod
from tests.operator.resources.objects import READY, RUNNING, container_status, node_body, pod_body, terminated


def sample(name: str) -> dict[str, Any]:
    """Return a pod as a real API server had it."""
    text = (Path(__file__).parent / "samples" / f"{name}.json").read_text()
    return json.loads(text)  # type: ignore[no-any-return]


def seen(raw: dict[str, Any], *names: str) -> dict[str, Any]:
    pod = observe_pod(raw)
    return {name: getattr(pod, name) for name in names}


def test_a_running_pod() -> None:
    raw = sample("running")

    pod = observe_pod(raw)

    assert (pod.meta.namespace, pod.meta.name) == ("demo", "one")
    assert pod.meta.uid == raw["metadata"]["uid"]
    assert pod.owner_uid == raw["metadata"]["ownerReferences"][0]["uid"]
    assert pod.labels["ringfence.dev/agent"] == "one"
    assert pod.spec_hash == "6155fdc8596e4c636a56"
    assert (pod.phase, pod.ready, pod.node, pod.restarts) == ("Running", True, "ringfence-dev", 0)
    assert (pod.started, pod.running_since) == ("2026-11-23T14:43:48Z", "2026-11-23T14:43:49Z")
    assert (pod.exit, pod.waiting, pod.unschedulable, pod.disrupted, pod.deleting_since) == (None, "", "", "", "")


def test_a_pod_whose_image_cannot_be_pulled() -> None:
    pod = observe_pod(sample("image-pull-back-off"))

    assert (pod.phase, pod.ready, pod.waiting) == ("Pending", False, "ImagePullBackOff")
    assert "docker.io/library/nope:1" in pod.waiting_message


def test_a_pod_that_was_killed_for_its_memory_and_will_be_started_again() -> None:
    pod = observe_pod(sample("oom-killed"))

    assert (pod.phase, pod.ready, pod.running_since) == ("Running", False, "")
    assert pod.exit is not None
    assert (pod.exit.code, pod.exit.reason, pod.exit.oom_killed) == (137, "OOMKilled", True)
    assert pod.restarts > 0


def test_a_pod_that_succeeded() -> None:
    pod = observe_pod(sample("succeeded"))

    assert (pod.phase, pod.ready) == ("Succeeded", False)
    assert pod.exit is not None
    assert (pod.exit.code, pod.exit.reason, pod.exit.oom_killed) == (0, "Completed", False)


def test_a_pod_that_has_just_been_made() -> None:
    pod = observe_pod(pod_body())

    assert (pod.phase, pod.ready, pod.node, pod.started) == ("Pending", False, "", "")
    assert pod.exit is None


def test_a_pod_that_no_node_can_take() -> None:
    message = "0/1 nodes are available: 1 Insufficient memory."
    conditions = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]

    assert observe_pod(pod_body(conditions=conditions)).unschedulable == message


@pytest.mark.parametrize(
    "condition",
    [
        {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "m"},
        {"type": "PodScheduled", "status": "True", "reason": "Unschedulable", "message": "m"},
    ],
)
def test_a_pod_that_only_waits_for_a_node_is_not_unschedulable(condition: dict[str, str]) -> None:
    assert observe_pod(pod_body(conditions=[condition])).unschedulable == ""


def test_a_pod_between_two_runs_says_how_the_first_ended() -> None:
    waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}

    raw = pod_body(
        phase="Running", containerStatuses=container_status(waiting, restarts=2, last=terminated(3, message="no"))
    )

    assert seen(raw, "waiting", "restarts", "exit") == {
        "waiting": "CrashLoopBackOff",
        "restarts": 2,
        "exit": Exit(3, "Error", "2026-11-23T12:00:00Z", message="no"),
    }


def test_a_pod_that_runs_again_still_says_how_the_last_run_ended() -> None:
    raw = pod_body(phase="Running", conditions=READY, containerStatuses=container_status(RUNNING, last=terminated(3)))

    pod = observe_pod(raw)

    assert pod.ready
    assert pod.exit is not None
    assert pod.exit.code == 3


def test_the_present_end_counts_and_not_the_one_before() -> None:
    statuses = container_status(terminated(4), last=terminated(3))

    found = observe_pod(pod_body(phase="Running", containerStatuses=statuses)).exit

    assert found is not None
    assert found.code == 4


def test_other_containers_of_the_pod_do_not_count() -> None:
    statuses = container_status(terminated(9), name="debugger") + container_status(RUNNING)

    pod = observe_pod(pod_body(phase="Running", containerStatuses=statuses))

    assert pod.exit is None
    assert pod.running_since


def test_an_evicted_pod() -> None:
    message = "Usage of EmptyDir volume exceeds the limit"
    disrupted = [{"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}]

    raw = pod_body(phase="Failed", reason="Evicted", message=message, conditions=disrupted)

    assert seen(raw, "phase", "reason", "message", "disrupted") == {
        "phase": "Failed",
        "reason": "Evicted",
        "message": message,
        "disrupted": "TerminationByKubelet",
    }


def test_a_disruption_that_was_called_off_does_not_count() -> None:
    raw = pod_body(conditions=[{"type": "DisruptionTarget", "status": "False", "reason": "PreemptionByScheduler"}])

    assert observe_pod(raw).disrupted == ""


def test_a_pod_beyond_its_deadline() -> None:
    raw = pod_body(phase="Failed", reason="DeadlineExceeded", message="Pod was active on the node longer than 5 s")

    assert seen(raw, "phase", "reason") == {"phase": "Failed", "reason": "DeadlineExceeded"}


def test_a_pod_that_is_being_deleted() -> None:
    assert observe_pod(pod_body(deleted="2026-11-23T12:00:00Z")).deleting_since == "2026-11-23T12:00:00Z"


def test_an_end_that_nobody_saw_has_no_time() -> None:
    state = {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown", "finishedAt": None, "startedAt": None}}

    found = observe_pod(pod_body(phase="Failed", containerStatuses=container_status(state))).exit

    assert found == Exit(137, "ContainerStatusUnknown", "")


def test_only_the_controlling_owner_owns_a_pod() -> None:
    raw = pod_body(owner="")
    raw["metadata"]["ownerReferences"] = [{"kind": "Agent", "name": "a", "uid": "other"}]

    assert observe_pod(raw).owner_uid == ""


def test_long_messages_are_cut() -> None:
    statuses = container_status(terminated(1, message="x" * 5000))

    pod = observe_pod(pod_body(phase="Failed", message="y" * 5000, containerStatuses=statuses))

    assert pod.exit is not None
    assert (len(pod.exit.message), len(pod.message)) == (512, 1024)


def test_a_new_version_that_says_nothing_new_equals_the_old_one() -> None:
    one, other = pod_body(version="2"), pod_body(version="3")
    other["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] = "now"
    other["metadata"]["managedFields"] = []
    del other["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"]

    assert observe_pod(one) == observe_pod(other)


def network_policy(spec: dict[str, Any], *, is_ours: bool = False) -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": "ringfence"} if is_ours else {}
    name = "ringfence-policy-p" if is_ours else "np"
    meta = {"name": name, "namespace": "team", "uid": "u", "resourceVersion": "1", "labels": labels}
    return {"metadata": meta, "spec": spec}


@pytest.mark.parametrize(
    ("spec", "has_egress"),
    [
        ({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}, True),
        ({"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "egress": [{"to": []}]}, True),
        ({"podSelector": {}, "policyTypes": ["Ingress"], "egress": [{}]}, False),
        ({"podSelector": {}, "policyTypes": ["Egress"]}, False),
        ({"podSelector": {}, "policyTypes": ["Egress"], "egress": []}, False),
        ({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}]}, False),
    ],
)
def test_a_foreign_network_policy_counts_if_it_opens_egress(spec: dict[str, Any], has_egress: bool) -> None:
    found = observed.observe_network_policy(network_policy(spec))

    assert (found.is_ours, found.has_egress, found.selector, found.digest) == (False, has_egress, {}, "")


def test_of_our_own_network_policies_the_whole_spec_counts() -> None:
    spec = {"podSelector": {}, "policyTypes": ["Egress"]}

    one = observed.observe_network_policy(network_policy(spec, is_ours=True))
    other = observed.observe_network_policy(network_policy(spec | {"egress": [{}]}, is_ours=True))

    assert one.is_ours
    assert one.digest != other.digest
    assert one.digest == observed.digest({"policyTypes": ["Egress"], "podSelector": {}})


def test_our_label_under_another_name_makes_a_policy_nobodys_but_its_writers() -> None:
    theirs = network_policy({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]}, is_ours=True)
    theirs["metadata"]["name"] = "evil"

    found = observed.observe_network_policy(theirs)

    assert (found.is_ours, found.has_egress) == (False, True)


def test_a_claim_knows_its_agent() -> None:
    meta = {"name": "a-workspace", "namespace": "team", "uid": "u", "resourceVersion": "1"}
    owned = meta | {
        "labels": {"ringfence.dev/agent-uid": "agent-uid"},
        "ownerReferences": [{"uid": "agent-uid", "controller": True}],
        "deletionTimestamp": "2026-11-23T12:00:00Z",
    }

    plain = observed.observe_claim({"metadata": meta, "spec": {}})
    found = observed.observe_claim({"metadata": owned, "spec": {}})

    assert (plain.agent_uid, plain.owner_uid, plain.is_deleting) == ("", "", False)
    assert (found.agent_uid, found.owner_uid, found.is_deleting) == ("agent-uid", "agent-uid", True)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"handlers": []}, False),
        ({"handlers": [{"name": "runc", "features": {"userNamespaces": True}}]}, False),
        ({"handlers": [{"name": "", "features": {"userNamespaces": False}}]}, False),
        ({"handlers": [{"features": {"userNamespaces": True}}]}, True),
        ({"labels": {"ringfence.dev/user-namespaces": "false"}}, False),
        ({"labels": {"ringfence.dev/user-namespaces": "true"}}, True),
        ({"labels": {"ringfence.dev/user-namespaces": "true"}, "handlers": []}, False),
    ],
)
def test_a_node_has_user_namespaces_if_its_default_runtime_has_and_nobody_says_no(
    changes: dict[str, Any], expected: bool
) -> None:
    assert observed.observe_node(node_body(**changes)).has_user_namespaces is expected


def test_a_nodes_addresses_and_pod_cidrs_are_kept_and_its_names_not() -> None:
    addresses = [
        {"type": "InternalIP", "address": "10.201.0.2"},
        {"type": "ExternalIP", "address": "203.0.113.2"},
        {"type": "Hostname", "address": "n1"},
        {"type": "InternalDNS", "address": "n1.local"},
    ]

    node = observed.observe_node(node_body(addresses=addresses, pod_cidrs=["10.244.0.0/24", "fd53::/64"]))

    assert node.addresses == ("10.201.0.2", "203.0.113.2")
    assert node.pod_cidrs == ("10.244.0.0/24", "fd53::/64")


def test_a_node_that_has_just_registered_is_readable() -> None:
    node = observed.observe_node({"metadata": {"name": "n", "uid": "u", "resourceVersion": "1"}, "spec": {}})

    assert (node.addresses, node.pod_cidrs, node.has_user_namespaces) == ((), (), False)


def test_service_cidrs_and_endpoints_are_lists_of_addresses() -> None:
    meta = {"name": "kubernetes", "uid": "u", "resourceVersion": "1"}
    slice_ = {"metadata": meta, "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": ["10.0.0.2"]}]}

    assert observed.observe_service_cidr({"metadata": meta, "spec": {"cidrs": ["10.96.0.0/24"]}}).values == (
        "10.96.0.0/24",
    )
    assert observed.observe_endpoints(slice_).values == ("10.0.0.1", "10.0.0.2")
    assert observed.observe_endpoints({"metadata": meta, "endpoints": None}).values == ()
    assert observed.observe_name({"metadata": meta}).values == ()


def test_the_order_of_keys_does_not_change_a_digest() -> None:
    assert observed.digest({"a": 1, "b": [1, 2]}) == observed.digest({"b": [1, 2], "a": 1})
    assert observed.digest([1, 2]) != observed.digest([2, 1])


@pytest.mark.parametrize(
    "name",
    ["ringfence-default-deny-too", "ringfence-default-denying", "ringfence-gatewayish", "ringfence-gateway-dns"],
)
def test_a_network_policy_whose_name_only_begins_like_ours_is_its_writers(name: str) -> None:
    meta = {"name": name, "namespace": "team", "uid": "n", "resourceVersion": "1"}
    labels = {"app.kubernetes.io/managed-by": "ringfence"}

    found = observed.observe_network_policy({"metadata": meta | {"labels": labels}, "spec": {"podSelector": {}}})

    assert not found.is_ours


@pytest.mark.parametrize(
    ("phase", "ready", "deleted", "expected"),
    [
        ("Running", "True", False, (True, True)),
        ("Running", "False", False, (False, True)),
        ("Running", "True", True, (False, True)),
        ("Pending", "False", False, (False, False)),
        ("Failed", "False", False, (False, False)),
        ("Succeeded", "False", True, (False, False)),
    ],
)
def test_a_gateways_replica_is_reached_while_ready_and_may_serve_while_running(
    phase: str, ready: str, deleted: bool, expected: tuple[bool, bool]
) -> None:
    meta = {"name": "g1", "namespace": "ringfence-system", "uid": "g", "resourceVersion": "1"}
    meta |= {"deletionTimestamp": "2026-11-23T12:00:00Z"} if deleted else {}

    found = observed.observe_gateway_pod(
        {"metadata": meta, "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}}
    )

    assert (found.is_ready, found.is_running) == expected
