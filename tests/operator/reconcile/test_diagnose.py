from typing import Any

import pytest

from ringfence_operator import labels
from ringfence_operator.reconcile.diagnose import Diagnosis, diagnose, failure_reason, is_disrupted, why_failed
from ringfence_operator.resources.observed_pod import Pod, observe_pod
from tests.operator.reconcile.contexts import ended_pod, running_pod
from tests.operator.resources.objects import (
    RUNNING,
    container_status,
    effective_of,
    make_agent,
    pod_body,
    terminated,
)
from tests.operator.resources.test_observed import sample

Raw = dict[str, Any]
UNSCHEDULABLE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available: 1 Insufficient memory",
}


def waiting(reason: str, message: str = "", **more: Any) -> Raw:
    state = {"waiting": {"reason": reason, "message": message}}
    return pod_body(node="n1", containerStatuses=container_status(state, **more))


def crashed(code: int = 1, *, restarts: int = 2, **more: Any) -> Raw:
    loop = {"waiting": {"reason": "CrashLoopBackOff"}}
    statuses = container_status(loop, restarts=restarts, last=terminated(code, **more))
    return pod_body(node="n1", phase="Running", containerStatuses=statuses)


def diagnosis(raw: Raw) -> Diagnosis:
    return diagnose(observe_pod(raw), effective_of(make_agent()))


CASES = [
    ("just made", pod_body(), "Starting", "Starting", "the pod is starting"),
    ("bound", pod_body(node="n1"), "Starting", "Starting", "the pod is starting on node n1"),
    ("being made", waiting("ContainerCreating"), "Starting", "Starting", "the pod is starting on node n1"),
    ("running", running_pod(), "Running", "Running", "running on node n1"),
    (
        "not ready",
        running_pod(conditions=[]),
        "Starting",
        "NotReady",
        "the container runs and is not ready yet; see probes",
    ),
    (
        "no node",
        pod_body(conditions=[UNSCHEDULABLE]),
        "Pending",
        "Unschedulable",
        "0/1 nodes are available: 1 Insufficient memory; check resources, nodeSelector and tolerations",
    ),
    *(
        (reason, waiting(reason, "why"), "Pending", "ImageNotFound", "why; check spec.image and imagePullSecrets")
        for reason in ("ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError")
    ),
    (
        "no message",
        waiting("ErrImagePull"),
        "Pending",
        "ImageNotFound",
        "ErrImagePull; check spec.image and imagePullSecrets",
    ),
    (
        "secret missing",
        waiting("CreateContainerConfigError", 'secret "s" not found'),
        "Pending",
        "ConfigNotFound",
        'secret "s" not found; create what is missing, or correct env, envFrom and files',
    ),
    *(
        (reason, waiting(reason, "why"), "Pending", "StartFailed", "why; check spec.command, args and workingDir")
        for reason in ("CreateContainerError", "RunContainerError")
    ),
    (
        "command missing",
        crashed(128, reason="StartError", message='exec: "nope": not found'),
        "Restarting",
        "StartFailed",
        'exec: "nope": not found; check spec.command, args and workingDir',
    ),
    (
        "crash",
        crashed(3, message="no\n  such\nkey"),
        "Restarting",
        "Crashed",
        "the command ended with exit code 3, restarts so far: 2: no such key",
    ),
    (
        "silent crash",
        crashed(3, message="\n "),
        "Restarting",
        "Crashed",
        "the command ended with exit code 3, restarts so far: 2",
    ),
    (
        "out of memory",
        crashed(137, reason="OOMKilled"),
        "Restarting",
        "OutOfMemory",
        "killed by the kernel for passing its memory limit of 512Mi (Default), restarts so far: 2; "
        "raise resources.limits.memory, or use less",
    ),
]


@pytest.mark.parametrize(("raw", "state", "reason", "message"), [each[1:] for each in CASES], ids=[c[0] for c in CASES])
def test_what_a_pod_says_becomes_a_reason_and_a_sentence_that_helps(
    raw: Raw, state: str, reason: str, message: str
) -> None:
    found = diagnosis(raw)

    assert (found.state, found.reason, found.message) == (state, reason, message)
    assert found.is_ready is (reason == "Running")


def test_real_pods_are_understood() -> None:
    names = ["running", "image-pull-back-off", "oom-killed"]

    assert [diagnosis(sample(name)).reason for name in names] == ["Running", "ImageNotFound", "OutOfMemory"]


def test_a_pod_that_runs_again_is_not_judged_by_its_last_end() -> None:
    raw = running_pod(conditions=[], containerStatuses=container_status(RUNNING, restarts=1, last=terminated(1)))

    assert diagnosis(raw).reason == "NotReady"


def test_the_last_words_are_short() -> None:
    assert len(diagnosis(crashed(1, message="x" * 500)).message) < 300


HOOK = (
    'Exec lifecycle hook ([/app/bin/python -m ringfence_sidecar.wait]) for Container "sidecar" in Pod "a" failed - '
    "error: command '/app/bin/python -m ringfence_sidecar.wait' exited with 1: , message: "
)
AGAIN = "back-off 10s restarting failed container=sidecar pod=a_team(a-uid)"
IMAGE = "have whoever installed the operator check RINGFENCE_OPERATOR_SIDECAR_IMAGE"
SLOW = "its node may have more to do than it can; see the log of container sidecar"
SIDECARS = [
    ("no image", "ImagePullBackOff", "why", {}, f"the sidecar cannot be started: why; {IMAGE}"),
    (
        "late",
        "PostStartHookError",
        f'{HOOK}"the sidecar did not answer within 60 s of its start\\n"',
        terminated(137),
        f"the sidecar did not answer within 60 s of its start, and is started anew: {SLOW}",
    ),
    (
        "late, and waits",
        "CrashLoopBackOff",
        AGAIN,
        terminated(137),
        "the sidecar was ended and is started anew, as the kubelet does with one that does not answer in time: " + SLOW,
    ),
    (
        "crash",
        "CrashLoopBackOff",
        AGAIN,
        terminated(1, message="RINGFENCE_SIDECAR_CONTROL:\n no such scheme"),
        "the sidecar ended with exit code 1, and is started anew: RINGFENCE_SIDECAR_CONTROL: no such scheme; "
        "see the log of container sidecar",
    ),
    (
        "out of memory",
        "CrashLoopBackOff",
        AGAIN,
        terminated(137, reason="OOMKilled"),
        "the kernel killed the sidecar for passing its memory limit, and it is started anew; "
        "see the log of container sidecar",
    ),
    (
        "another image",
        "CrashLoopBackOff",
        AGAIN,
        terminated(128, reason="StartError", message="exec: no such file"),
        f"the sidecar cannot be started: {AGAIN}; {IMAGE}",
    ),
    ("another hook", "PostStartHookError", f'{HOOK}"no"', {}, f'the sidecar cannot be started: {HOOK}"no"; {IMAGE}'),
]


@pytest.mark.parametrize(
    ("why", "message", "last", "sentence"), [each[1:] for each in SIDECARS], ids=[each[0] for each in SIDECARS]
)
def test_only_a_sidecar_that_never_ran_is_put_down_to_its_image(
    why: str, message: str, last: Raw, sentence: str
) -> None:
    status = {"name": "sidecar", "state": {"waiting": {"reason": why, "message": message}}, "lastState": last}

    found = diagnosis(pod_body(node="n1", initContainerStatuses=[status]))

    assert (found.state, found.reason, found.message) == ("Pending", "SidecarFailed", sentence)


@pytest.mark.parametrize(
    ("why", "message", "last", "sentence"),
    [each[1:] for each in SIDECARS if not each[0].startswith("late")],
    ids=[each[0] for each in SIDECARS if not each[0].startswith("late")],
)
def test_of_a_pools_pod_the_starter_is_said_and_its_image(why: str, message: str, last: Raw, sentence: str) -> None:
    status = {"name": "starter", "state": {"waiting": {"reason": why, "message": message}}, "lastState": last}
    said = sentence.replace("the sidecar", "the starter").replace("container sidecar", "container starter")

    body = pod_body(node="n1", initContainerStatuses=[status])
    body["metadata"]["annotations"][labels.TEMPLATE] = "{}"

    found = diagnosis(body)

    assert (found.state, found.reason) == ("Pending", "StarterFailed")
    assert found.message == said.replace("_SIDECAR_IMAGE", "_STARTER_IMAGE")


FAILED: list[tuple[str, Raw, str, str, bool]] = [
    ("exit code", ended_pod(3), "Crashed", "the command ended with exit code 3", False),
    (
        "signal",
        pod_body(phase="Failed", containerStatuses=container_status(terminated(143, signal=15, message="bye"))),
        "Crashed",
        "the command ended with exit code 143 (signal 15): bye",
        False,
    ),
    (
        "memory",
        ended_pod(137, exit_reason="OOMKilled"),
        "OutOfMemory",
        "killed by the kernel for passing its memory limit: raise resources.limits.memory, or use less",
        False,
    ),
    (
        "own disk",
        ended_pod(137, reason="Evicted", message='Usage of EmptyDir volume "writable-0" exceeds the limit "64Mi".'),
        "Evicted",
        'Evicted: Usage of EmptyDir volume "writable-0" exceeds the limit "64Mi".',
        False,
    ),
    (
        "full node",
        ended_pod(137, reason="Evicted", message="The node was low on resource: memory."),
        "Evicted",
        "Evicted: The node was low on resource: memory.",
        True,
    ),
    (
        "preempted",
        ended_pod(137, conditions=[{"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler"}]),
        "Crashed",
        "PreemptionByScheduler: the pod was taken off its node",
        True,
    ),
    ("node shutdown", ended_pod(0, phase="Failed", reason="Terminated"), "Crashed", "Terminated: ", True),
    ("unknown", pod_body(phase="Failed"), "Crashed", "the pod failed", False),
]


@pytest.mark.parametrize("case", FAILED, ids=[each[0] for each in FAILED])
def test_a_failed_pod_says_why_and_whether_the_cluster_took_it(case: tuple[str, Raw, str, str, bool]) -> None:
    _, raw, reason, sentence, disrupted = case
    pod: Pod = observe_pod(raw)

    assert failure_reason(pod) == reason
    assert why_failed(pod).startswith(sentence)
    assert is_disrupted(pod) is disrupted
